//! One connection to a server, and calls on it that can be stopped.
//!
//! A statement goes on at the server when the future that waits for it is dropped, or even the connection. So
//! whatever stops waiting asks the server to stop, on a connection of its own, and whatever comes next on this
//! connection waits until that is done: a request to stop that comes late must not hit the next statement.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode as Tls;
use tokio_postgres::{CancelToken, Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;
use walkback_core::{Access, Cx, Error, Result};

use crate::config::{Config, SslMode};
use crate::transaction::Open;
use crate::{error, passfile, tls};

/// How long to wait before the server is asked again to stop: the request may have come before the statement.
const PATIENCE: Duration = Duration::from_millis(200);

/// How long a statement may take to stop before the connection is given up.
const TOO_LONG: Duration = Duration::from_secs(30);

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
    pub(crate) lock_timeout: Option<Duration>,
    stopper: Stopper,
    strays: Strays,
}

/// Asks the server to stop what runs on one connection.
#[derive(Clone)]
struct Stopper {
    token: CancelToken,
    tls: MakeRustlsConnect,
}

impl std::fmt::Debug for Stopper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stopper").finish_non_exhaustive()
    }
}

impl Stopper {
    async fn ask(&self) {
        let asked = tokio::time::timeout(TOO_LONG, self.token.cancel_query(self.tls.clone())).await;
        match asked {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "cannot ask the server to stop a statement"),
            Err(_) => tracing::debug!("the server does not take a request to stop a statement"),
        }
    }
}

/// Requests to stop what nobody waits for any more.
#[derive(Debug, Clone, Default)]
struct Strays(Arc<Mutex<Vec<JoinHandle<()>>>>);

impl Strays {
    fn take(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, stray: JoinHandle<()>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(stray);
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
        if self.is_done {
            return;
        }
        // Without a runtime there is nobody left to ask; the connection ends with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let stopper = self.stopper.clone();
            self.strays.add(runtime.spawn(async move { stopper.ask().await }));
        }
    }
}

impl Link {
    /// Opens a connection.
    pub(crate) async fn open(cx: &Cx, config: Arc<Config>, access: Access) -> Result<Self> {
        cx.check()?;
        let tls = tls::connector(&config)?;
        let opening = connect(&config, access, tls.clone());
        let client = tokio::select! {
            biased;
            opened = opening => opened?,
            ended = cx.ended() => return Err(ended),
        };
        let stopper = Stopper {
            token: client.cancel_token(),
            tls,
        };
        Ok(Self {
            client: Arc::new(client),
            config,
            access,
            transaction: None,
            afterwards: None,
            is_block_loose: false,
            lock_timeout: None,
            stopper,
            strays: Strays::default(),
        })
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
        let outcome = self.wait(cx, work).await;
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
        let stop = async {
            loop {
                self.stopper.ask().await;
                tokio::time::sleep(PATIENCE).await;
            }
        };
        tokio::select! {
            biased;
            outcome = &mut work => Ok(outcome),
            () = stop => Err(ended),
            () = tokio::time::sleep(TOO_LONG) => Err(ended),
        }
    }

    /// Waits until nothing runs any more that nobody waits for, and undoes what a stream has left.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        let strays = self.strays.take();
        if !strays.is_empty() {
            for stray in strays {
                drop(stray.await);
            }
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
        for _ in 0..2 {
            let mut barrier = pin!(self.client.batch_execute(""));
            let stop = async {
                loop {
                    tokio::time::sleep(PATIENCE).await;
                    self.stopper.ask().await;
                }
            };
            let outcome = tokio::select! {
                biased;
                outcome = &mut barrier => outcome,
                () = stop => Ok(()),
                () = tokio::time::sleep(TOO_LONG) => return Err(error::lost()),
            };
            match outcome {
                Ok(()) => return Ok(()),
                Err(failure) if failure.as_db_error().is_some() => {}
                Err(failure) => return Err(error::failed("the connection cannot be used", "", &failure)),
            }
        }
        Ok(())
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
        self.call(cx, sql, async move { client.batch_execute(sql).await }).await
    }

    /// Runs a query of our own, whose columns are all text.
    pub(crate) async fn texts(&mut self, cx: &Cx, sql: &str, params: &[&str]) -> Result<Vec<Texts>> {
        let client = Arc::clone(&self.client);
        let rows = self
            .call(cx, sql, async move {
                let params: Vec<_> = params.iter().map(|text| text as &(dyn tokio_postgres::types::ToSql + Sync)).collect();
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
    fn of(row: &tokio_postgres::Row) -> Self {
        Self((0..row.len()).map(|index| row.try_get(index).unwrap_or_default()).collect())
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

async fn connect(config: &Config, access: Access, tls: MakeRustlsConnect) -> Result<Client> {
    let mut connection = config.connection()?;
    if access == Access::Read {
        let options = connection.get_options().unwrap_or_default().to_owned();
        connection.options(format!("{options} -cdefault_transaction_read_only=on").trim());
    }
    let password = match config.password() {
        Some(password) => Some(password.to_owned()),
        None => passfile::password(config)?,
    };
    if let Some(password) = password {
        connection.password(password);
    }
    connection.ssl_mode(match config.ssl_mode {
        SslMode::Disable | SslMode::Allow => Tls::Disable,
        SslMode::Prefer => Tls::Prefer,
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => Tls::Require,
    });
    if config.is_local_socket() {
        connection.ssl_mode(Tls::Disable);
        return open_plain(config, &connection).await;
    }
    match open_encrypted(&connection, tls.clone()).await {
        Ok(client) => Ok(client),
        // The server has answered, and does not want a connection without TLS.
        Err(failure) if config.ssl_mode == SslMode::Allow && failure.as_db_error().is_some() => {
            connection.ssl_mode(Tls::Require);
            open_encrypted(&connection, tls)
                .await
                .map_err(|failure| unreachable(config, &failure))
        }
        Err(failure) => Err(unreachable(config, &failure)),
    }
}

async fn open_encrypted(
    connection: &tokio_postgres::Config,
    tls: MakeRustlsConnect,
) -> Result<Client, tokio_postgres::Error> {
    let (client, worker) = connection.connect(tls).await?;
    drop(tokio::spawn(async move {
        if let Err(error) = worker.await {
            tracing::debug!(%error, "a connection to PostgreSQL has ended");
        }
    }));
    Ok(client)
}

async fn open_plain(config: &Config, connection: &tokio_postgres::Config) -> Result<Client> {
    let (client, worker) = connection
        .connect(NoTls)
        .await
        .map_err(|failure| unreachable(config, &failure))?;
    drop(tokio::spawn(async move {
        if let Err(error) = worker.await {
            tracing::debug!(%error, "a connection to PostgreSQL has ended");
        }
    }));
    Ok(client)
}

fn unreachable(config: &Config, failure: &tokio_postgres::Error) -> Error {
    let location = config.location();
    let message = format!("cannot connect to PostgreSQL at `{location}`");
    if failure.as_db_error().is_some() {
        let error = error::failed(message, "", failure);
        return match error::code(failure) {
            "3D000" => error.hint(format!("create it: `createdb {}`", config.database())),
            _ => error,
        };
    }
    let error = error::failed(message.clone(), "", failure);
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    let error = Error::new(walkback_core::ErrorKind::Unavailable, message)
        .with_source(std::io::Error::other(cause.clone()))
        .retryable();
    if cause.contains("certificate") || cause.contains("tls") || cause.contains("TLS") {
        error.hint("`sslmode` and `sslrootcert` in the URL say whether and how the server is checked")
    } else if cause.contains("password missing") {
        error.hint("give the password: in the URL, in `PGPASSWORD` or in the password file")
    } else {
        error.hint("check the host and the port of the URL, and that the server runs and lets this host in")
    }
}
