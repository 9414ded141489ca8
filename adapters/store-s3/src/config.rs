//! The settings of the store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::ClientOptions;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::{BackoffConfig, RetryConfig};
use reqwest::Url;
use serde::Deserialize;
use walkback_core::store::check_key;
use walkback_core::{AdapterConfig, BackupStore, Error, Result};

use crate::credentials;
use crate::error::Place;
use crate::http::{Connector, Retention, Shared};
use crate::store::{Inner, S3Store};

/// How often a request is repeated, unless the configuration says otherwise.
const RETRIES: usize = 6;

/// How long an answer may take, unless the configuration says otherwise.
const TIMEOUT: Duration = Duration::from_secs(60);

/// No request is repeated after this time: its signature would soon be too old.
const LAST_RETRY: Duration = Duration::from_secs(180);

/// The settings of `kind = "s3"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct S3Config {
    /// The bucket. It is never created.
    pub bucket: String,
    /// What every key begins with, such as `production`.
    #[serde(default)]
    pub prefix: String,
    /// The region of the bucket; without, `AWS_REGION`, `AWS_DEFAULT_REGION` or that of the profile.
    pub region: Option<String>,
    /// The address of a server that is not AWS.
    pub endpoint: Option<String>,
    /// Whether the bucket stands in the path and not in the name of the host; with an `endpoint`, it does.
    pub path_style: Option<bool>,
    /// Allows an `endpoint` without TLS on another machine.
    #[serde(default)]
    pub allow_http: bool,
    /// The public half of a key pair.
    pub access_key_id: Option<String>,
    /// The secret half.
    pub secret_access_key: Option<Secret>,
    /// What belongs to a key pair that lives for some hours only.
    pub session_token: Option<Secret>,
    /// The profile in the shared files of AWS.
    pub profile: Option<String>,
    /// How the server is to encrypt: `AES256`, `aws:kms`, `aws:kms:dsse`.
    pub server_side_encryption: Option<String>,
    /// Which key `aws:kms` takes; without, the one of the account.
    pub kms_key: Option<String>,
    /// How objects are stored, such as `STANDARD_IA`.
    pub storage_class: Option<String>,
    /// For how long nobody may remove or change an object.
    pub object_lock: Option<ObjectLock>,
    /// Which checksum is sent with each upload: `sha256` or `none`.
    pub checksum: Option<String>,
    /// How long the server may take to answer, or to send the next bytes.
    pub timeout: Option<String>,
    /// How often a request is repeated that failed for a reason that passes.
    pub retries: Option<usize>,
}

/// For how long an object is locked, and how strictly.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectLock {
    /// `GOVERNANCE` or `COMPLIANCE`.
    pub mode: String,
    /// How long from the moment of writing.
    pub keep: String,
}

/// A text that is never shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Opens the store. Nothing is sent.
pub(crate) fn open(config: &AdapterConfig) -> Result<Arc<dyn BackupStore>> {
    let settings: S3Config = config.parse().map_err(|error| {
        error.hint(format!(
            "`[{}]` needs `bucket`, and `region` or `endpoint`",
            config.section
        ))
    })?;
    let opening = Opening {
        section: &config.section,
        settings: &settings,
    };
    Ok(Arc::new(opening.open(config)?))
}

/// A store that is being opened.
struct Opening<'a> {
    section: &'a str,
    settings: &'a S3Config,
}

impl Opening<'_> {
    fn open(&self, config: &AdapterConfig) -> Result<S3Store> {
        let settings = self.settings;
        self.check_names()?;
        let shared_files = credentials::profile(config, settings)?;
        let region = self.region(config, shared_files.region.as_deref())?;
        let endpoint = self.endpoint(&region)?;
        let retention = self.retention()?;
        let options = self.client_options(&endpoint)?;
        let retries = settings.retries.unwrap_or(RETRIES);
        let shared = Arc::new(Shared::new(&endpoint, region.clone()));
        // A second call, or one by somebody else, finds that it is done.
        rustls::crypto::ring::default_provider().install_default().ok();
        let connector = Connector::new(Arc::clone(&shared));
        let http = connector.client(&options).map_err(|error| self.unusable(error))?;
        let builder = AmazonS3Builder::new()
            .with_bucket_name(&settings.bucket)
            .with_region(region)
            .with_endpoint(endpoint.as_str().trim_end_matches('/'))
            // The endpoint is that of the bucket, in either style.
            .with_virtual_hosted_style_request(true)
            .with_disable_bulk_delete(true)
            .with_client_options(options)
            .with_retry(retry(retries))
            .with_http_connector(connector);
        let builder = self.encrypted(self.checked(builder)?)?;
        let builder = credentials::add(builder, config, settings, shared_files)?;
        let s3 = builder.build().map_err(|error| self.unusable(error))?;
        shared.set_credentials(Arc::clone(s3.credentials()));
        Ok(S3Store::new(Inner {
            s3,
            http,
            place: Place::new(self.section, settings, &endpoint, retries),
            storage_class: settings.storage_class.clone(),
            retention,
            base: self.base(),
            bucket_seen: false.into(),
        }))
    }

    fn unusable(&self, error: object_store::Error) -> Error {
        Error::config(format!("`[{}]` cannot be used", self.section)).with_source(error)
    }

    /// Returns a complaint about one setting.
    fn wrong(&self, key: &str, value: &str, hint: &str) -> Error {
        Error::config(format!(
            "`{value}` is no value of `{key}` in `[{}]`",
            self.section
        ))
        .hint(hint)
    }

    fn check_names(&self) -> Result<()> {
        let settings = self.settings;
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let bucket = &settings.bucket;
        if bucket.is_empty() || !bucket.bytes().all(fine) || bucket.starts_with('.') {
            return Err(self.wrong(
                "bucket",
                bucket,
                "name the bucket alone, such as `bucket = \"db-backups\"`; a folder in it is its `prefix`",
            ));
        }
        if !self.base().is_empty() && check_key(self.base().trim_end_matches('/')).is_err() {
            return Err(self.wrong(
                "prefix",
                &settings.prefix,
                "a prefix is made of letters, digits, `.`, `_`, `-` and `/`, such as `prefix = \"production\"`",
            ));
        }
        if let Some(class) = &settings.storage_class {
            let colder = ["GLACIER", "DEEP_ARCHIVE"];
            if class.is_empty() || !class.bytes().all(fine) || colder.contains(&class.as_str()) {
                return Err(self.wrong(
                    "storage_class",
                    class,
                    "take one that can be read at once, such as `STANDARD_IA` or `GLACIER_IR`: a rollback does not \
                     wait for hours",
                ));
            }
        }
        Ok(())
    }

    /// Returns what every key begins with: empty, or with a `/` at its end.
    fn base(&self) -> String {
        match self.settings.prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        }
    }

    fn region(&self, config: &AdapterConfig, of_profile: Option<&str>) -> Result<String> {
        let variable = |name| config.environment.get(name);
        let region = self
            .settings
            .region
            .clone()
            .or_else(|| variable("AWS_REGION"))
            .or_else(|| variable("AWS_DEFAULT_REGION"))
            .or_else(|| of_profile.map(str::to_owned));
        match region {
            Some(region) => {
                let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
                if region.is_empty() || !region.bytes().all(fine) {
                    return Err(self.wrong("region", &region, "name one, such as `region = \"eu-central-1\"`"));
                }
                Ok(region)
            }
            // Others than AWS mostly have one region, and take this name for it.
            None if self.settings.endpoint.is_some() => Ok("us-east-1".to_owned()),
            None => Err(
                Error::config(format!("`[{}]` has no `region`", self.section)).hint(
                    "add the region of the bucket, such as `region = \"eu-central-1\"`, or set `AWS_REGION`; or \
                     `endpoint`, if it is not on AWS",
                ),
            ),
        }
    }

    /// Returns the address of the bucket.
    fn endpoint(&self, region: &str) -> Result<Url> {
        let bucket = &self.settings.bucket;
        let (server, path_style) = match &self.settings.endpoint {
            Some(endpoint) => (self.server(endpoint)?, self.settings.path_style.unwrap_or(true)),
            None => {
                let china = if region.starts_with("cn-") { ".cn" } else { "" };
                let address = format!("https://s3.{region}.amazonaws.com{china}");
                // A certificate is good for one level of names, so a bucket with a dot needs the path.
                let dotted = bucket.contains('.');
                (self.server(&address)?, self.settings.path_style.unwrap_or(dotted))
            }
        };
        let mut url = server.clone();
        if path_style {
            url.set_path(&format!("{}/{bucket}", server.path().trim_end_matches('/')));
            return Ok(url);
        }
        let host = server.host_str().unwrap_or_default();
        url.set_host(Some(&format!("{bucket}.{host}"))).map_err(|error| {
            Error::config(format!(
                "`{bucket}.{host}` in `[{}]` is no name of a host",
                self.section
            ))
            .with_source(error)
            .hint("set `path_style = true`")
        })?;
        Ok(url)
    }

    fn server(&self, endpoint: &str) -> Result<Url> {
        let hint = "write it as `endpoint = \"https://minio.example.org:9000\"`, without a user or a query";
        let url = Url::parse(endpoint).map_err(|_| self.wrong("endpoint", "..", hint))?;
        let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        if !plain || !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(self.wrong("endpoint", "..", hint));
        }
        if url.scheme() == "http" && !self.settings.allow_http && !is_loopback(&url) {
            return Err(Error::config(format!(
                "`endpoint` in `[{}]` has no TLS: backups would cross the network for everybody to read",
                self.section
            ))
            .hint("use `https://`, or set `allow_http = true` if the network is yours alone"));
        }
        Ok(url)
    }

    fn client_options(&self, endpoint: &Url) -> Result<ClientOptions> {
        let timeout = match &self.settings.timeout {
            Some(text) => self.duration("timeout", text)?,
            None => TIMEOUT,
        };
        Ok(ClientOptions::new()
            .with_allow_http(endpoint.scheme() == "http")
            .with_connect_timeout(timeout.min(Duration::from_secs(10)))
            // Of a large blob nobody knows how long it takes; that the next bytes come can be asked for.
            .with_timeout_disabled()
            .with_read_timeout(timeout))
    }

    fn duration(&self, key: &str, text: &str) -> Result<Duration> {
        match humantime::parse_duration(text) {
            Ok(duration) if !duration.is_zero() => Ok(duration),
            _ => Err(self.wrong(key, text, "write a time, such as `30s`, `5m` or `30d`")),
        }
    }

    fn retention(&self) -> Result<Option<Retention>> {
        let Some(lock) = &self.settings.object_lock else {
            return Ok(None);
        };
        if self.settings.checksum.as_deref() == Some("none") {
            return Err(Error::config(format!(
                "`object_lock` in `[{}]` needs a `checksum`: S3 locks nothing without",
                self.section
            ))
            .hint("remove `checksum = \"none\"`"));
        }
        let mode = match lock.mode.as_str() {
            "GOVERNANCE" => "GOVERNANCE",
            "COMPLIANCE" => "COMPLIANCE",
            other => {
                return Err(self.wrong("mode", other, "it takes `GOVERNANCE` or `COMPLIANCE`"));
            }
        };
        let keep = self.duration("keep", &lock.keep)?;
        match chrono::TimeDelta::from_std(keep) {
            Ok(keep) if keep <= chrono::TimeDelta::days(36_500) => Ok(Some(Retention { mode, keep })),
            _ => Err(self.wrong("keep", &lock.keep, "S3 locks for 100 years at most")),
        }
    }

    fn checked(&self, builder: AmazonS3Builder) -> Result<AmazonS3Builder> {
        match self.settings.checksum.as_deref() {
            None | Some("sha256") => Ok(builder.with_checksum_algorithm(Checksum::SHA256)),
            // The signature still covers a hash of the content, which the server checks.
            Some("none") => Ok(builder),
            Some(other) => Err(self.wrong("checksum", other, "it takes `sha256` or `none`")),
        }
    }

    fn encrypted(&self, builder: AmazonS3Builder) -> Result<AmazonS3Builder> {
        let (kind, key) = (
            self.settings.server_side_encryption.as_deref(),
            self.settings.kms_key.as_deref(),
        );
        if key.is_some() && !kind.is_some_and(|kind| kind.starts_with("aws:kms")) {
            return Err(Error::config(format!(
                "`kms_key` in `[{}]` needs `server_side_encryption = \"aws:kms\"`",
                self.section
            ))
            .hint("add it, or remove `kms_key`"));
        }
        let Some(kind) = kind else {
            return Ok(builder);
        };
        if !["AES256", "aws:kms", "aws:kms:dsse"].contains(&kind) {
            return Err(self.wrong(
                "server_side_encryption",
                kind,
                "it takes `AES256`, `aws:kms` or `aws:kms:dsse`",
            ));
        }
        let builder = builder.with_config(known("aws_server_side_encryption")?, kind);
        match key {
            Some(key) => Ok(builder.with_config(known("aws_sse_kms_key_id")?, key)),
            None => Ok(builder),
        }
    }
}

/// Returns a setting of the client by its name.
pub(crate) fn known(name: &str) -> Result<AmazonS3ConfigKey> {
    name.parse().map_err(|error: object_store::Error| {
        Error::internal(format!("the client has no `{name}`")).with_source(error)
    })
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn retry(retries: usize) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(15),
            base: 2.,
        },
        max_retries: retries,
        retry_timeout: LAST_RETRY,
    }
}

#[cfg(test)]
mod tests;
