//! One connection to a server, and calls on it that can be stopped.
//!
//! A statement goes on at the server when the future that waits for it is dropped, or even the connection. So
//! whatever stops waiting asks the server to stop, on a connection of its own, and whatever comes next on this
//! connection waits until that is done: a request to stop that comes late must not hit the next statement.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_postgres::{Client, SimpleQueryMessage};
use walkback_core::{Access, Cx, Result};

use crate::blocker::{self, Patience};
use crate::config::Config;
use crate::connect::{self, Stopper};
use crate::error;
use crate::transaction::Open;

/// How long to wait before the server is asked again to stop: the request may have come before the statement.
const PATIENCE: Duration = Duration::from_millis(200);

/// How long a statement may take to stop before the connection is given up.
pub(crate) const TOO_LONG: Duration = Duration::from_secs(30);

/// A connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) client: Arc<Client>,
    pub(crate) config: Arc<Config>,
    pub(crate) access: Access,
    pub(crate) transaction: Option<Open>,
    /// What to run before anything else: it undoes what a stream that was left behind has set.
    pub(crate) afterwards: Option<String>,
    /// Whether a transaction block of our own may be open, around one statement.
    pub(crate) is_block_loose: bool,
    /// How long a statement waits for a lock, once somebody has said so.
    pub(crate) patience: Option<Patience>,
    /// The schema the session works in, as it was when the catalog was first read.
    pub(crate) home: Option<String>,
    stopper: Stopper,
    strays: Strays,
}

/// Requests to stop what nobody waits for any more.
#[derive(Debug, Clone, Default)]
struct Strays(Arc<Mutex<Vec<JoinHandle<()>>>>);

impl Strays {
    /// Asks the server to stop. Without a runtime there is nobody to ask, and the connection ends with it.
    fn add(&self, stopper: &Stopper) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let stopper = stopper.clone();
            let request = runtime.spawn(async move { stopper.ask().await });
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(request);
        }
    }

    /// Waits until the server has taken every request, and returns whether there were any.
    async fn wait(&self) -> bool {
        let requests = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let were_any = !requests.is_empty();
        for request in requests {
            drop(request.await);
        }
        were_any
    }
}

/// Something that runs at the server. If it is dropped before it is done, the server is asked to stop.
#[derive(Debug)]
pub(crate) struct Running {
    stopper: Stopper,
    strays: Strays,
    is_done: bool,
}

impl Running {
    /// Notes that the server is done with it.
    pub(crate) fn done(&mut self) {
        self.is_done = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_done {
            self.strays.add(&self.stopper);
        }
    }
}

impl Link {
    /// Opens a connection.
    pub(crate) async fn open(cx: &Cx, config: Arc<Config>, access: Access) -> Result<Self> {
        cx.check()?;
        let opening = connect::open(&config, access);
        let (client, stopper) = tokio::select! {
            biased;
            opened = opening => opened?,
            ended = cx.ended() => return Err(ended),
        };
        Ok(Self {
            client: Arc::new(client),
            config,
            access,
            transaction: None,
            afterwards: None,
            is_block_loose: false,
            home: None,
            patience: None,
            stopper,
            strays: Strays::default(),
        })
    }

    /// Returns the port that was connected to, unless it is a socket of the system.
    pub(crate) fn port(&self) -> Option<u16> {
        self.stopper.port()
    }

    /// Notes that something is about to run.
    pub(crate) fn running(&self) -> Running {
        Running {
            stopper: self.stopper.clone(),
            strays: self.strays.clone(),
            is_done: false,
        }
    }

    /// Runs something until it is done or the context ends; then the server is asked to stop, and waited for.
    pub(crate) async fn call<T>(
        &mut self,
        cx: &Cx,
        sql: &str,
        work: impl Future<Output = Result<T, tokio_postgres::Error>> + Send,
    ) -> Result<T> {
        cx.check()?;
        self.settle().await?;
        let mut running = self.running();
        let (outcome, blocker) = blocker::noting(&self.config, self.patience, self.wait(cx, work)).await;
        let outcome = match outcome {
            Ok(outcome) => {
                running.done();
                outcome
            }
            Err(ended) => {
                self.spoil();
                return Err(ended);
            }
        };
        outcome.map_err(|failure| {
            self.spoil();
            match cx.check() {
                Err(ended) if error::code(&failure) == "57014" => ended,
                _ if error::code(&failure) == error::LOCK_TIMEOUT => {
                    blocker::name(error::statement_failed(sql, &failure), blocker)
                }
                _ => error::statement_failed(sql, &failure),
            }
        })
    }

    /// Waits for work, and asks the server to stop it once the context has ended.
    async fn wait<T>(
        &self,
        cx: &Cx,
        work: impl Future<Output = Result<T, tokio_postgres::Error>> + Send,
    ) -> Result<Result<T, tokio_postgres::Error>> {
        let mut work = pin!(work);
        let ended = tokio::select! {
            biased;
            outcome = &mut work => return Ok(outcome),
            ended = cx.ended() => ended,
        };
        let start = Instant::now();
        while start.elapsed() < TOO_LONG {
            self.strays.add(&self.stopper);
            if let Ok(outcome) = tokio::time::timeout(PATIENCE, &mut work).await {
                return Ok(outcome);
            }
        }
        Err(ended)
    }

    /// Waits until nothing runs any more that nobody waits for, and undoes what a stream has left.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        if self.strays.wait().await {
            self.spoil();
            self.drain().await?;
        }
        if let Some(sql) = self.afterwards.take()
            && let Err(failure) = self.client.batch_execute(&sql).await
        {
            // In a transaction that has failed, nothing can be set and nothing needs to be: it is set locally.
            tracing::debug!(error = %failure, "cannot put settings back");
        }
        Ok(())
    }

    /// Waits until the server has answered everything that was sent, and asks it to stop meanwhile.
    async fn drain(&self) -> Result<()> {
        let start = Instant::now();
        loop {
            let mut barrier = pin!(self.client.batch_execute(""));
            let outcome = loop {
                match tokio::time::timeout(PATIENCE, &mut barrier).await {
                    Ok(outcome) => break outcome,
                    Err(_) if start.elapsed() > TOO_LONG => return Err(error::lost()),
                    Err(_) => self.strays.add(&self.stopper),
                }
            };
            match outcome {
                Err(failure) if failure.as_db_error().is_none() => {
                    return Err(error::failed("the connection cannot be used", "", &failure));
                }
                // A request that was made meanwhile must not hit what comes next.
                _ if self.strays.wait().await => {}
                _ => return Ok(()),
            }
        }
    }

    /// Ends a transaction block of our own that a dropped call has left open.
    pub(crate) async fn tidy(&mut self) -> Result<()> {
        self.settle().await?;
        if self.is_block_loose {
            self.client
                .batch_execute("ROLLBACK")
                .await
                .map_err(|failure| error::failed("the connection cannot be used", "ROLLBACK", &failure))?;
            self.is_block_loose = false;
        }
        Ok(())
    }

    /// Notes that the transaction may have failed at the server.
    pub(crate) fn spoil(&mut self) {
        if let Some(open) = &mut self.transaction {
            open.is_suspect = true;
        }
    }

    /// Runs statements of our own that bind nothing.
    pub(crate) async fn batch(&mut self, cx: &Cx, sql: &str) -> Result<()> {
        let client = Arc::clone(&self.client);
        self.call(cx, sql, async move { client.batch_execute(sql).await })
            .await
    }

    /// Runs a query of our own, whose columns are all text.
    pub(crate) async fn texts(&mut self, cx: &Cx, sql: &str, params: &[&str]) -> Result<Vec<Texts>> {
        let client = Arc::clone(&self.client);
        if params.is_empty() {
            let messages = self
                .call(cx, sql, async move { client.simple_query(sql).await })
                .await?;
            return Ok(messages.iter().filter_map(Texts::of_message).collect());
        }
        let rows = self
            .call(cx, sql, async move {
                let params: Vec<_> = params
                    .iter()
                    .map(|text| text as &(dyn tokio_postgres::types::ToSql + Sync))
                    .collect();
                client.query(sql, &params).await
            })
            .await?;
        Ok(rows.iter().map(Texts::of).collect())
    }
}

/// A row of texts.
#[derive(Debug, Clone)]
pub(crate) struct Texts(Vec<Option<String>>);

impl Texts {
    fn of_message(message: &SimpleQueryMessage) -> Option<Self> {
        match message {
            SimpleQueryMessage::Row(row) => Some(Self(
                (0..row.len())
                    .map(|index| row.get(index).map(str::to_owned))
                    .collect(),
            )),
            _ => None,
        }
    }

    fn of(row: &tokio_postgres::Row) -> Self {
        Self(
            (0..row.len())
                .map(|index| row.try_get(index).unwrap_or_default())
                .collect(),
        )
    }

    /// Returns a cell; a NULL is an empty text.
    pub(crate) fn get(&self, index: usize) -> &str {
        self.find(index).unwrap_or_default()
    }

    /// Returns a cell, if it is not NULL.
    pub(crate) fn find(&self, index: usize) -> Option<&str> {
        self.0.get(index).and_then(Option::as_deref)
    }

    /// Returns whether a cell is the text of a true boolean.
    pub(crate) fn is(&self, index: usize) -> bool {
        matches!(self.get(index), "true" | "t")
    }
}
