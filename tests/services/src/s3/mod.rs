//! A server that speaks S3, in this process: requests come over TCP and are signed, and can be made to fail.
//!
//! There are two. [`S3Server::strict`] keeps objects as S3 does: keys are flat, what is in parts is an object only
//! when it is completed, an upload that is over is unknown, lists come in short pages. [`S3Server::folder`] is
//! `s3s-fs`, which other people wrote.

mod bucket;
mod faults;

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub use bucket::{Facts, StrictBucket};
pub use faults::{Asked, Fault, Faults};

/// The one bucket there is.
pub const BUCKET: &str = "backups";
/// The public half of the one key pair there is.
pub const ACCESS_KEY: &str = "AKIAWALKBACKTEST";
/// Its secret half.
pub const SECRET_KEY: &str = "wrJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY";

/// A server on a free port of the loopback interface. It ends when it is dropped.
pub struct S3Server {
    address: SocketAddr,
    faults: Arc<Faults>,
    bucket: Option<Arc<StrictBucket>>,
    runtime: Option<Runtime>,
    folder: TempDir,
}

impl fmt::Debug for S3Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl S3Server {
    /// Starts a server that is as strict as S3.
    ///
    /// # Panics
    /// If the system gives no folder, thread or port.
    #[must_use]
    pub fn strict() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let bucket = Arc::new(StrictBucket::new(BUCKET, folder.path()));
        let builder = S3ServiceBuilder::new(bucket::Shared(Arc::clone(&bucket)));
        Self::start(builder, Some(bucket), folder)
    }

    /// Starts `s3s-fs`, whose objects are files: no key may lie below another.
    ///
    /// # Panics
    /// If the system gives no folder, thread or port.
    #[must_use]
    pub fn folder() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::create_dir(folder.path().join(BUCKET)).expect("a folder can be made");
        let files = s3s_fs::FileSystem::new(folder.path()).expect("the folder is there");
        Self::start(S3ServiceBuilder::new(files), None, folder)
    }

    fn start(mut builder: S3ServiceBuilder, bucket: Option<Arc<StrictBucket>>, folder: TempDir) -> Self {
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let (service, faults) = (builder.build(), Arc::new(Faults::default()));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("the system gives threads");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        listener
            .set_nonblocking(true)
            .expect("a socket can be told not to block");
        let address = listener.local_addr().expect("a socket has an address");
        let shared = Arc::clone(&faults);
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("the runtime takes the socket");
            serve(listener, service, shared).await;
        });
        Self {
            address,
            faults,
            bucket,
            runtime: Some(runtime),
            folder,
        }
    }

    /// Returns its address, such as `http://127.0.0.1:40001`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns what makes requests fail, and counts them.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Returns the folder it keeps everything in.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns what can be seen of a strict server from behind.
    ///
    /// # Panics
    /// If the server is not a strict one.
    #[must_use]
    pub fn bucket(&self) -> &StrictBucket {
        self.bucket.as_deref().expect("the server is a strict one")
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A test may end inside of a runtime of its own, where nobody may wait for another.
            runtime.shutdown_background();
        }
    }
}

async fn serve(listener: TcpListener, service: S3Service, faults: Arc<Faults>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (service, faults) = (service.clone(), Arc::clone(&faults));
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let (service, faults) = (service.clone(), Arc::clone(&faults));
                async move { faults.answer(&service, request).await }
            });
            // A connection that breaks is what some tests are about.
            http1::Builder::new()
                .serve_connection(TokioIo::new(socket), answer)
                .await
                .ok();
            Ok::<_, Infallible>(())
        });
    }
}
