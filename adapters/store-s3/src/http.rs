//! What lies between the client of the object store and the wire.
//!
//! The client repeats what failed, with growing pauses. What this layer adds: it tells a failure that passes from
//! one that stays by what the server says, keeps the server's words short, reads every answer but a blob to its
//! end (so that half an answer is a failure that passes), and locks objects.

use std::fmt;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use object_store::ClientOptions;
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use object_store::{HeaderMap, HeaderValue};
use reqwest::header::AUTHORIZATION;
use reqwest::{Method, StatusCode, Url};

use crate::error::{Failure, NoCredentials};

/// For how long objects are locked, and how strictly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    pub(crate) mode: &'static str,
    pub(crate) keep: TimeDelta,
}

/// The lock of one object, attached to the request that makes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lock {
    pub(crate) mode: &'static str,
    pub(crate) until: DateTime<Utc>,
}

/// What all requests of a store have in common.
pub(crate) struct Shared {
    /// Host and port of the store. Requests to others are for credentials.
    authority: String,
    region: String,
    /// Known once the client is built.
    credentials: OnceLock<AwsCredentialProvider>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(endpoint: &Url, region: String) -> Self {
        Self {
            authority: endpoint.authority().to_owned(),
            region,
            credentials: OnceLock::new(),
        }
    }

    pub(crate) fn set_credentials(&self, provider: AwsCredentialProvider) {
        self.credentials.set(provider).ok();
    }

    /// Adds the headers that lock an object, and signs the request anew: every header of S3 has to be signed.
    async fn lock(&self, request: &mut HttpRequest, lock: Lock) -> Result<(), HttpError> {
        let until = lock.until.to_rfc3339_opts(SecondsFormat::Secs, true);
        let headers = request.headers_mut();
        headers.remove(AUTHORIZATION);
        headers.insert("x-amz-object-lock-mode", HeaderValue::from_static(lock.mode));
        headers.insert(
            "x-amz-object-lock-retain-until-date",
            HeaderValue::from_str(&until).map_err(stays)?,
        );
        let digest = headers
            .get("x-amz-content-sha256")
            .and_then(|value| hex::decode(value).ok());
        let Some(provider) = self.credentials.get() else {
            return Ok(());
        };
        let credential = provider.get_credential().await.map_err(stays)?;
        AwsAuthorizer::new(&credential, "s3", &self.region)
            .try_authorize(request, digest.as_deref())
            .map_err(stays)
    }
}

fn stays(error: impl std::error::Error + Send + Sync + 'static) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, error)
}

/// Makes clients that are careful.
#[derive(Debug)]
pub(crate) struct Connector(Arc<Shared>);

impl Connector {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Makes a client for requests that the object store's own does not know.
    pub(crate) fn client(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        self.connect(options)
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Careful {
            wire: ReqwestConnector::default().connect(options)?,
            shared: Arc::clone(&self.0),
        }))
    }
}

#[derive(Debug)]
struct Careful {
    wire: HttpClient,
    shared: Arc<Shared>,
}

#[async_trait]
impl HttpService for Careful {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let authority = request.uri().authority().map(|authority| authority.as_str());
        if authority != Some(self.shared.authority.as_str()) {
            return self.credentials(request).await;
        }
        if let Some(lock) = request.extensions().get::<Lock>().copied() {
            self.shared.lock(&mut request, lock).await?;
        }
        let is_blob = request.method() == Method::GET && request.uri().query().is_none();
        let response = self.wire.execute(request).await.map_err(broken)?;
        if is_blob && response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = body.bytes().await.map_err(broken)?;
        if parts.status.is_success() && !says_error(&body) {
            return Ok(HttpResponse::from_parts(parts, body.into()));
        }
        Err(refused(parts.status, &parts.headers, &body))
    }
}

impl Careful {
    /// Asks whoever hands out credentials. Where there is nobody, that does not change by asking again.
    async fn credentials(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let response = self
            .wire
            .execute(request)
            .await
            .map_err(|error| stays(NoCredentials::unreachable(&error)))?;
        let status = response.status();
        if status.is_success() || status.is_server_error() {
            return Ok(response);
        }
        Err(stays(NoCredentials::refused(status.as_u16())))
    }
}

/// A failure of the network. Every request of a store may be sent twice, so the client may repeat it, unless it is
/// the certificate that is wrong.
fn broken(error: HttpError) -> HttpError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(found) = cause {
        let inner = found
            .downcast_ref::<std::io::Error>()
            .and_then(|error| error.get_ref()?.downcast_ref::<rustls::Error>());
        if matches!(inner, Some(rustls::Error::InvalidCertificate(_))) {
            return HttpError::new(HttpErrorKind::Unknown, error);
        }
        cause = found.source();
    }
    match error.kind() {
        HttpErrorKind::Connect => error,
        _ => HttpError::new(HttpErrorKind::Request, error),
    }
}

/// A request may fail after its answer has begun with 200.
fn says_error(body: &Bytes) -> bool {
    let start = &body[..body.len().min(512)];
    start.windows(7).any(|window| window == b"<Error>")
}

fn refused(status: StatusCode, headers: &HeaderMap, body: &Bytes) -> HttpError {
    let failure = Failure::read(status.as_u16(), headers, body);
    let kind = if failure.passes() {
        HttpErrorKind::Request
    } else {
        HttpErrorKind::Unknown
    };
    HttpError::new(kind, failure)
}
