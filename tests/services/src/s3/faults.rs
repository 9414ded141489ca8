//! What goes wrong between a client and S3, on demand.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use s3s::dto::StreamingBlob;
use s3s::service::S3Service;
use s3s::{Body, HttpError, HttpRequest, HttpResponse};

/// A request, as far as a test decides by it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its method.
    pub method: String,
    /// Bucket and key.
    pub path: String,
    /// What is behind the question mark.
    pub query: String,
    /// How many requests came before it since the faults were set.
    pub number: usize,
    /// How many came before it that were the same but for their signature.
    pub repeated: usize,
}

/// What happens to a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It is answered with this status and this code, and not looked at.
    Refuse(u16, &'static str),
    /// The connection is closed before the request is looked at.
    DropBefore,
    /// The request is carried out, and the connection closed without an answer.
    DropAfter,
    /// The request is carried out, and half of the answer's body is sent.
    Truncate,
    /// The request is carried out and answered after this time.
    Slow(Duration),
    /// The answer is this, whatever the request was.
    Say(u16, Vec<(&'static str, String)>, &'static str),
}

type Decide = dyn FnMut(&Asked) -> Option<Fault> + Send;

/// Decides of each request what happens to it, and counts.
#[derive(Default)]
pub struct Faults {
    decide: Mutex<Option<Box<Decide>>>,
    seen: Mutex<(usize, BTreeMap<String, usize>)>,
    parts: AtomicUsize,
    most_parts: AtomicUsize,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Faults {
    /// Sets what happens to requests from now on, and counts them from 0.
    pub fn set(&self, decide: impl FnMut(&Asked) -> Option<Fault> + Send + 'static) {
        *lock(&self.seen) = Default::default();
        *lock(&self.decide) = Some(Box::new(decide));
    }

    /// Lets every request pass.
    pub fn clear(&self) {
        *lock(&self.decide) = None;
    }

    /// Returns how many requests came since the faults were set.
    #[must_use]
    pub fn requests(&self) -> usize {
        lock(&self.seen).0
    }

    /// Returns how many parts of uploads were on their way at once, at most.
    #[must_use]
    pub fn most_parts(&self) -> usize {
        self.most_parts.load(Ordering::SeqCst)
    }

    fn note(&self, request: &Request<Incoming>) -> Asked {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let path = request.uri().path().to_owned();
        let unsigned: Vec<&str> = query
            .split('&')
            .filter(|pair| !pair.starts_with("X-Amz-"))
            .collect();
        let same = format!("{} {path} {}", request.method(), unsigned.join("&"));
        let mut seen = lock(&self.seen);
        let number = seen.0;
        seen.0 += 1;
        let times = seen.1.entry(same).or_default();
        let repeated = *times;
        *times += 1;
        Asked {
            method: request.method().to_string(),
            path,
            query,
            number,
            repeated,
        }
    }

    /// Answers a request, or does not.
    pub(super) async fn answer(
        &self,
        service: &S3Service,
        request: Request<Incoming>,
    ) -> Result<HttpResponse, HttpError> {
        let asked = self.note(&request);
        let fault = lock(&self.decide).as_mut().and_then(|decide| decide(&asked));
        let is_part = asked.query.contains("partNumber=");
        if is_part {
            let now = self.parts.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_parts.fetch_max(now, Ordering::SeqCst);
        }
        let answer = act(fault, service, request.map(Body::from)).await;
        if is_part {
            self.parts.fetch_sub(1, Ordering::SeqCst);
        }
        answer
    }
}

async fn act(
    fault: Option<Fault>,
    service: &S3Service,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    match fault {
        None => service.call(request).await,
        Some(Fault::Refuse(status, code)) => Ok(refusal(status, code)),
        Some(Fault::Say(status, headers, body)) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response
                .body(Body::from(body.to_owned()))
                .expect("a test says something sensible"))
        }
        Some(Fault::DropBefore) => Err(closed()),
        Some(Fault::DropAfter) => {
            service.call(request).await?;
            Err(closed())
        }
        Some(Fault::Truncate) => half(service.call(request).await?).await,
        Some(Fault::Slow(time)) => {
            let answer = service.call(request).await;
            tokio::time::sleep(time).await;
            answer
        }
    }
}

/// An error makes the server close the connection.
fn closed() -> HttpError {
    HttpError::new(Box::new(io::Error::other("the test closes the connection")))
}

fn refusal(status: u16, code: &str) -> HttpResponse {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>Injected by the test.</Message>\
         <RequestId>1</RequestId></Error>"
    );
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).expect("a test says a status that exists");
    response
}

async fn half(response: HttpResponse) -> Result<HttpResponse, HttpError> {
    let (mut parts, mut body) = response.into_parts();
    let whole: Bytes = body.store_all_limited(64 << 20).await.map_err(HttpError::new)?;
    // The size of what was only asked about is that of the blob.
    if whole.is_empty() {
        return Ok(HttpResponse::from_parts(parts, Body::empty()));
    }
    parts.headers.insert("content-length", whole.len().into());
    parts.headers.remove("transfer-encoding");
    let pieces = [
        Ok(whole.slice(..whole.len() / 2)),
        Err(io::Error::other("the test cuts the answer")),
    ];
    let body = Body::from(StreamingBlob::wrap(stream::iter(pieces)));
    Ok(HttpResponse::from_parts(parts, body))
}
