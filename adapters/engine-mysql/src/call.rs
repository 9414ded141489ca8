//! Calls on a connection: one at a time, each of which can be given up.
//!
//! A call runs as a task of its own, so that whoever waits for it can go away at any moment without leaving
//! half an answer in the connection: the task then ends the statement by `KILL QUERY` through a second
//! connection, and reads what is left. The next call waits for that.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt as _};
use mysql_async::prelude::Queryable as _;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use walkback_core::{Cx, Error, Result};

use crate::blocker;
use crate::config::Config;
use crate::link::{self, Link};

/// How long a call that is given up may go on by itself, before it is ended.
const GRACE: Duration = Duration::from_millis(20);

/// How long until it is ended once more: a kill that comes between two statements ends neither.
const AGAIN: Duration = Duration::from_secs(1);

/// How many parcels of a stream wait to be taken.
const PARCELS: usize = 2;

/// The shared end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    link: Arc<Mutex<Link>>,
    config: Arc<Config>,
    id: Arc<AtomicU64>,
}

/// Where a call puts what a stream is to give.
pub(crate) type Outlet<T> = mpsc::Sender<Result<Vec<T>>>;

impl Line {
    /// Shares a connection.
    pub(crate) fn new(link: Link) -> Self {
        Self {
            config: Arc::clone(link.place.config()),
            id: Arc::clone(&link.number),
            link: Arc::new(Mutex::new(link)),
        }
    }

    /// Makes a call, and ends it on the server if the context ends or nobody waits any more.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        cx: &Cx,
        work: impl for<'l> FnOnce(&'l mut Link) -> BoxFuture<'l, Result<T>> + Send + 'static,
    ) -> Result<T> {
        cx.check()?;
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        let mut task = tokio::spawn(self.clone().run(stop.clone(), work));
        let outcome = tokio::select! {
            biased;
            outcome = &mut task => joined(outcome),
            ended = cx.ended() => {
                stop.cancel();
                // What was done all the same is said to be done.
                joined(task.await).map_err(|_| ended)
            }
        };
        drop(guard.disarm());
        outcome
    }

    /// Makes a call that gives a stream. An error before its first parcel is that of this function.
    pub(crate) async fn stream<'s, T: Send + 'static>(
        &'s self,
        cx: &Cx,
        work: impl for<'l> FnOnce(&'l mut Link, Outlet<T>) -> BoxFuture<'l, Result<()>> + Send + 'static,
    ) -> Result<BoxStream<'s, Result<T>>> {
        cx.check()?;
        let stop = CancellationToken::new();
        let (outlet, mut parcels) = mpsc::channel(PARCELS);
        let failures = outlet.clone();
        let run = self.clone().run(stop.clone(), move |link| work(link, outlet));
        let guard = stop.drop_guard();
        let task = tokio::spawn(async move {
            if let Err(error) = run.await {
                // Nobody may wait for it.
                failures.send(Err(error)).await.ok();
            }
        });
        let first = tokio::select! {
            biased;
            first = parcels.recv() => first,
            ended = cx.ended() => return Err(ended),
        };
        let ready = match first {
            Some(Ok(parcel)) => parcel.into(),
            Some(Err(error)) => return Err(cx.check().err().unwrap_or(error)),
            None => VecDeque::new(),
        };
        let flow = Flow {
            ready,
            parcels,
            cx: cx.clone(),
            _guard: guard,
            _task: task,
        };
        Ok(stream::try_unfold(flow, Flow::next).boxed())
    }

    async fn run<T: Send>(
        self,
        stop: CancellationToken,
        work: impl for<'l> FnOnce(&'l mut Link) -> BoxFuture<'l, Result<T>> + Send,
    ) -> Result<T> {
        let mut link = Arc::clone(&self.link).lock_owned().await;
        link.stop = stop.clone();
        link.must_go_on()?;
        let asks = link
            .has_lock_timeout
            .then(|| (&self.config, self.id.load(Ordering::SeqCst)));
        let mut job = work(&mut link);
        let outcome = tokio::select! {
            biased;
            outcome = blocker::naming(asks, &mut job) => return outcome,
            () = stop.cancelled() => self.end(&mut job).await,
        };
        drop(job);
        link.absorb_kill().await;
        outcome
    }

    /// Ends a call that is given up.
    async fn end<T>(&self, job: &mut BoxFuture<'_, Result<T>>) -> Result<T> {
        let mut pause = GRACE;
        loop {
            match tokio::time::timeout(pause, &mut *job).await {
                Ok(outcome) => return outcome,
                Err(_) => self.kill().await,
            }
            pause = AGAIN;
        }
    }

    async fn kill(&self) {
        let id = self.id.load(Ordering::SeqCst);
        let outcome = async {
            let mut conn = link::connect(&self.config, None).await?;
            conn.query_drop(format!("KILL QUERY {id}")).await?;
            conn.disconnect().await
        };
        if let Err(error) = outcome.await {
            tracing::warn!(%error, connection = id, "cannot end a statement on the server");
        }
    }
}

fn joined<T>(outcome: std::result::Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    match outcome {
        Ok(outcome) => outcome,
        Err(error) => Err(Error::internal("a call on a connection did not end").with_source(error)),
    }
}

/// A stream that is read.
struct Flow<T> {
    ready: VecDeque<T>,
    parcels: mpsc::Receiver<Result<Vec<T>>>,
    cx: Cx,
    // Ends the call when the stream is dropped.
    _guard: DropGuard,
    _task: JoinHandle<()>,
}

impl<T> Flow<T> {
    async fn next(mut self) -> Result<Option<(T, Self)>> {
        loop {
            self.cx.check()?;
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some((item, self)));
            }
            let parcel = tokio::select! {
                biased;
                parcel = self.parcels.recv() => parcel,
                ended = self.cx.ended() => return Err(ended),
            };
            match parcel {
                Some(Ok(parcel)) => self.ready = parcel.into(),
                Some(Err(error)) => return Err(self.cx.check().err().unwrap_or(error)),
                None => return Ok(None),
            }
        }
    }
}
