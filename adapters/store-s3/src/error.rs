//! The errors of the store, worded in one place. No text of a server is shown that could hold a credential.

use std::error::Error as StdError;
use std::fmt;

use bytes::Bytes;
use object_store::HeaderMap;
use object_store::client::{HttpError, HttpErrorKind};
use reqwest::Url;
use serde::Deserialize;
use walkback_core::{Error, ErrorKind};

use crate::config::S3Config;
use crate::credentials::HOW_TO_GIVE;

/// How much of what a server says is shown.
const LONGEST_MESSAGE: usize = 300;

/// What a server says when it does not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    /// One word for programs: `SlowDown`, `NoSuchBucket`.
    pub(crate) code: String,
    message: String,
    /// The region in which the bucket really is.
    region: Option<String>,
}

/// The body of a refusal.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Body {
    code: String,
    message: String,
    region: Option<String>,
}

impl Failure {
    pub(crate) fn read(status: u16, headers: &HeaderMap, body: &Bytes) -> Self {
        let text = String::from_utf8_lossy(body);
        // A proxy in between may answer with a page: of that, the status is enough.
        let body: Body = quick_xml::de::from_str(&text).unwrap_or_default();
        let region = headers
            .get("x-amz-bucket-region")
            .and_then(|value| Some(value.to_str().ok()?.to_owned()));
        Self {
            status,
            code: body.code,
            message: body.message.chars().take(LONGEST_MESSAGE).collect(),
            region: region.or(body.region),
        }
    }

    /// Returns whether the same request may succeed later.
    pub(crate) fn passes(&self) -> bool {
        match self.code.as_str() {
            // The connection was too slow, or what arrived is not what was sent.
            "RequestTimeout" | "IncompleteBody" | "BadDigest" | "XAmzContentSHA256Mismatch" => true,
            "InternalError"
            | "SlowDown"
            | "ServiceUnavailable"
            | "OperationAborted"
            | "ConditionalRequestConflict" => true,
            "NotImplemented" => false,
            _ => matches!(self.status, 408 | 429 | 500 | 502..=599),
        }
    }

    fn denies(&self) -> bool {
        matches!(
            self.code.as_str(),
            "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" | "InvalidAccessKeyId" | "NotSignedUp"
        ) || matches!(self.status, 401 | 403)
    }

    fn is_elsewhere(&self) -> bool {
        matches!(self.status, 301 | 302 | 307 | 308) || self.code == "AuthorizationHeaderMalformed"
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server says {}", self.status)?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        if self.message.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.message)
        }
    }
}

impl StdError for Failure {}

/// Nobody hands out credentials.
#[derive(Debug)]
pub(crate) struct NoCredentials(String);

impl NoCredentials {
    pub(crate) fn unreachable(error: &HttpError) -> Self {
        Self(format!(
            "neither settings, variables nor a profile give any, and what hands them out to this machine does not \
             answer: {}",
            innermost(error)
        ))
    }

    pub(crate) fn refused(status: u16) -> Self {
        Self(format!(
            "what hands credentials out to this machine says {status}"
        ))
    }
}

impl fmt::Display for NoCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for NoCredentials {}

/// Where a store is, in the words of its configuration.
#[derive(Debug)]
pub(crate) struct Place {
    section: String,
    bucket: String,
    /// Bucket and prefix.
    pub(crate) location: String,
    endpoint: String,
    pub(crate) retries: usize,
}

impl Place {
    pub(crate) fn new(section: &str, settings: &S3Config, endpoint: &Url, retries: usize) -> Self {
        let bucket = settings.bucket.clone();
        let prefix = settings.prefix.trim_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        Self {
            section: section.to_owned(),
            location: format!("s3://{bucket}{slash}{prefix}"),
            bucket,
            endpoint: endpoint.origin().ascii_serialization(),
            retries,
        }
    }

    /// Returns what a failed request means.
    pub(crate) fn error(&self, error: &(dyn StdError + 'static), doing: &str) -> Error {
        if let Some(failure) = find::<Failure>(error) {
            return self
                .failure(failure, doing)
                .with_context("endpoint", &self.endpoint)
                .with_source(failure.clone());
        }
        let cause = innermost(error);
        let location = &self.location;
        if find::<NoCredentials>(error).is_some() {
            return Error::new(
                ErrorKind::PermissionDenied,
                format!("there are no credentials for `{location}`"),
            )
            .with_source(cause)
            .hint(HOW_TO_GIVE);
        }
        let unreachable =
            find::<HttpError>(error).is_some_and(|error| error.kind() == HttpErrorKind::Connect);
        let certificate = cause.contains("certificate");
        let error = Error::new(
            ErrorKind::Unavailable,
            if unreachable || certificate {
                format!("cannot reach `{}` to {doing} in `{location}`", self.endpoint)
            } else {
                format!("cannot {doing} in `{location}`")
            },
        )
        .with_context("endpoint", &self.endpoint)
        .with_source(cause);
        if certificate {
            return error.hint("add the authority that signed it to the certificates this machine trusts");
        }
        self.try_again(error)
    }

    fn try_again(&self, error: Error) -> Error {
        error.retryable().hint(format!(
            "each request was tried {} times; look at `{}` and the network, then run the same command again",
            self.retries + 1,
            self.endpoint
        ))
    }

    fn failure(&self, failure: &Failure, doing: &str) -> Error {
        let location = &self.location;
        if failure.passes() {
            return self.try_again(Error::new(
                ErrorKind::Unavailable,
                format!("cannot {doing} in `{location}`"),
            ));
        }
        if failure.code == "NoSuchBucket" {
            return Error::config(format!("there is no bucket `{}`", self.bucket)).hint(format!(
                "create it at `{}`, or correct `bucket` in `[{}]`",
                self.endpoint, self.section
            ));
        }
        if failure.is_elsewhere() {
            let error = Error::config(format!("the bucket `{}` is in another region", self.bucket));
            return match &failure.region {
                Some(region) => error.hint(format!("set `region = \"{region}\"` in `[{}]`", self.section)),
                None => error.hint(format!("correct `region` in `[{}]`", self.section)),
            };
        }
        if failure.denies() {
            let error = Error::new(
                ErrorKind::PermissionDenied,
                format!("`{location}` does not let this account {doing}"),
            );
            return error.hint(self.why_denied(failure));
        }
        if failure.status == 501 || failure.code == "NotImplemented" {
            return Error::new(
                ErrorKind::Unsupported,
                format!("`{location}` cannot {doing}: the server does not know how"),
            );
        }
        Error::config(format!("`{location}` refuses to {doing}")).hint(self.why_refused(failure))
    }

    fn why_denied(&self, failure: &Failure) -> String {
        match failure.code.as_str() {
            "SignatureDoesNotMatch" => format!(
                "the `secret_access_key` that `[{}]` takes is wrong, or belongs to another `access_key_id`",
                self.section
            ),
            "InvalidAccessKeyId" | "NotSignedUp" => {
                format!(
                    "`{}` does not know the `access_key_id` that `[{}]` takes",
                    self.endpoint, self.section
                )
            }
            "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => {
                "the credentials have run out: fetch new ones, then run the same command again".to_owned()
            }
            "RequestTimeTooSkewed" => "set the clock of this machine: it is wrong by minutes".to_owned(),
            // To a question for no more than the head of an object, a server answers without a reason.
            "" => format!(
                "the server gives no reason: either the `access_key_id` or the `secret_access_key` that `[{}]` takes is \
                 wrong, or the account lacks {}",
                self.section,
                self.permissions()
            ),
            _ => format!("the account needs {}", self.permissions()),
        }
    }

    fn permissions(&self) -> String {
        format!(
            "`s3:ListBucket` on the bucket, and `s3:GetObject`, `s3:PutObject` and `s3:DeleteObject` on `{}/*`",
            self.location.trim_start_matches("s3://")
        )
    }

    fn why_refused(&self, failure: &Failure) -> String {
        let key = match failure.code.as_str() {
            "InvalidStorageClass" => "`storage_class`",
            "InvalidBucketName" => "`bucket`",
            code if code.starts_with("KMS.") => "`kms_key`",
            _ => return format!("correct `[{}]`, or the bucket", self.section),
        };
        format!("correct {key} in `[{}]`", self.section)
    }

    /// A key that is not there.
    pub(crate) fn missing(&self, key: &str) -> Error {
        Error::not_found(format!("there is no `{key}` in `{}`", self.location)).with_context("key", key)
    }

    /// A blob that ended before its end.
    pub(crate) fn short(&self, key: &str, lacking: u64) -> Error {
        Error::new(
            ErrorKind::Unavailable,
            format!("`{key}` in `{}` ended {lacking} bytes too early", self.location),
        )
        .retryable()
    }

    /// A server whose answer is not one.
    pub(crate) fn nonsense(&self, what: &str) -> Error {
        Error::new(
            ErrorKind::Unsupported,
            format!("`{}` at `{}` {what}", self.location, self.endpoint),
        )
    }
}

/// A writer that has failed before.
pub(crate) fn torn(key: &str) -> Error {
    Error::internal(format!("`{key}` is committed although a write of it failed"))
}

/// Returns what a server said, if it was a server that made a request fail.
pub(crate) fn failure<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Failure> {
    find(error)
}

fn find<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
}

/// Returns the last cause: those above it name the request, and say the same again.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    std::iter::successors(Some(error), |&error| error.source())
        .last()
        .map_or_else(String::new, ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, body: &'static str) -> Failure {
        Failure::read(status, &HeaderMap::new(), &Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn the_words_of_a_server_are_read_and_those_of_a_proxy_are_not_shown() {
        let slow = failure(
            503,
            "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message>\
             <Resource>/b/k</Resource></Error>",
        );
        assert!(slow.passes());
        assert_eq!(
            slow.to_string(),
            "the server says 503 SlowDown: Please reduce your request rate."
        );
        let page = failure(502, "<html><body>Bad <b>gateway</body></html>");
        assert!(page.passes());
        assert_eq!(page.to_string(), "the server says 502");
    }

    #[test]
    fn what_the_signature_was_made_of_is_not_shown() {
        let denied = failure(
            403,
            "<Error><Code>SignatureDoesNotMatch</Code><Message>no match</Message>\
             <CanonicalRequest>x-amz-security-token:TOKEN</CanonicalRequest></Error>",
        );
        assert!(denied.denies() && !denied.passes());
        assert!(!format!("{denied:?}").contains("TOKEN"));
    }

    #[test]
    fn what_arrived_damaged_is_sent_again_and_what_is_wrong_is_not() {
        for code in ["BadDigest", "RequestTimeout", "XAmzContentSHA256Mismatch"] {
            let failure = Failure {
                code: code.to_owned(),
                ..failure(400, "")
            };
            assert!(failure.passes(), "{code}");
        }
        assert!(!failure(400, "").passes());
        assert!(!failure(501, "").passes());
        assert!(!failure(404, "").passes());
    }
}
