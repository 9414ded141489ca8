//! A connection to a server and what is known of it.

use mysql_async::consts::StatusFlags;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error as DriverError, Row, Value as Cell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;
use walkback_core::{Access, Error, ErrorKind, Result};

use crate::config::{Config, SslMode};
use crate::error::Place;
use crate::hold::Hold;
use crate::shadow::Shadow;
use crate::transaction::Open;

/// Which of the two servers it is, and how old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// Whether it is MariaDB.
    pub(crate) is_mariadb: bool,
    /// Its version, as it says it.
    pub(crate) version: String,
}

/// A connection, used by one call at a time.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) conn: Conn,
    pub(crate) place: Place,
    pub(crate) server: Server,
    pub(crate) access: Access,
    /// The database.
    pub(crate) database: String,
    /// Whether somebody has said how long a statement waits for a lock.
    pub(crate) has_lock_timeout: bool,
    /// The transaction that was begun and not yet ended.
    pub(crate) transaction: Option<Open>,
    /// The locks this session holds, by their names, with the names they have on the server.
    pub(crate) locks: BTreeMap<String, String>,
    /// The shadows that this session has made, by their names.
    pub(crate) shadowed: BTreeMap<String, Shadow>,
    /// The tables that others are kept from writing to until they are exchanged.
    pub(crate) holds: Vec<Hold>,
    /// Whether the server takes files of its clients, once it was asked.
    pub(crate) takes_files: Option<bool>,
    /// The number of the connection on the server.
    pub(crate) number: Arc<AtomicU64>,
    /// Ends when whoever waits for the current call does not want it any more.
    pub(crate) stop: CancellationToken,
}

/// Connects, with encryption as the settings say.
pub(crate) async fn connect(config: &Config, database: Option<&str>) -> Result<Conn, DriverError> {
    let attempt = |is_encrypted| {
        let options = config.options(is_encrypted, database);
        async move {
            match tokio::time::timeout(config.connect_timeout, Conn::new(options)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(DriverError::Io(mysql_async::IoError::Io(
                    std::io::ErrorKind::TimedOut.into(),
                ))),
            }
        }
    };
    if config.ssl_mode == SslMode::Disabled {
        return attempt(false).await;
    }
    match attempt(true).await {
        Err(DriverError::Driver(mysql_async::DriverError::NoClientSslFlagFromServer))
            if config.ssl_mode == SslMode::Preferred =>
        {
            attempt(false).await
        }
        outcome => outcome,
    }
}

impl Link {
    /// Opens a connection for a session.
    pub(crate) async fn open(config: Arc<Config>, access: Access) -> Result<Self> {
        let place = Place::new(Arc::clone(&config));
        let outcome = connect(&config, Some(&config.database)).await;
        let database = config.database.clone();
        let mut link = Self {
            conn: outcome.map_err(|error| place.cannot_connect(error))?,
            place,
            server: Server {
                is_mariadb: false,
                version: String::new(),
            },
            access,
            database,
            has_lock_timeout: false,
            transaction: None,
            locks: BTreeMap::new(),
            shadowed: BTreeMap::new(),
            holds: Vec::new(),
            takes_files: None,
            number: Arc::default(),
            stop: CancellationToken::new(),
        };
        link.prepare().await?;
        Ok(link)
    }

    async fn prepare(&mut self) -> Result<()> {
        self.number.store(u64::from(self.conn.id()), Ordering::SeqCst);
        let version = self.one("SELECT VERSION()").await?.unwrap_or_default();
        self.server = Server {
            is_mariadb: version.contains("MariaDB"),
            version,
        };
        self.run("SET NAMES utf8mb4").await?;
        if self.access == Access::Read {
            self.run("SET SESSION TRANSACTION READ ONLY").await?;
        }
        Ok(())
    }

    /// Fails if the call that this is done for is not wanted any more.
    pub(crate) fn must_go_on(&self) -> Result<()> {
        if self.stop.is_cancelled() {
            Err(Error::new(ErrorKind::Interrupted, "interrupted"))
        } else {
            Ok(())
        }
    }

    /// Runs a statement of walkback's own.
    pub(crate) async fn run(&mut self, sql: &str) -> Result<()> {
        self.must_go_on()?;
        self.finish(sql).await
    }

    /// Runs a statement that puts something back, and so is run although the call is not wanted any more.
    pub(crate) async fn finish(&mut self, sql: &str) -> Result<()> {
        let outcome = self.conn.query_drop(sql).await;
        outcome.map_err(|error| self.place.statement_failed(sql, error))
    }

    /// Returns the rows of a query of walkback's own, each cell as text. Fails on a cell that is not UTF-8.
    pub(crate) async fn texts(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        self.must_go_on()?;
        let rows: Vec<Row> = self
            .conn
            .query(sql)
            .await
            .map_err(|error| self.place.statement_failed(sql, error))?;
        rows.into_iter()
            .map(|row| row.unwrap().into_iter().map(text).collect())
            .collect()
    }

    /// Returns the first cell of the first row of a query of walkback's own.
    pub(crate) async fn one(&mut self, sql: &str) -> Result<Option<String>> {
        let rows = self.texts(sql).await?;
        Ok(rows
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next())
            .flatten())
    }

    /// Returns whether the server said last that a transaction is open.
    pub(crate) fn says_in_transaction(&self) -> Option<bool> {
        let packet = self.conn.last_ok_packet()?;
        Some(
            packet
                .status_flags()
                .contains(StatusFlags::SERVER_STATUS_IN_TRANS),
        )
    }

    /// Returns whether a transaction is open, asking the server where it has not said so.
    pub(crate) async fn is_in_transaction(&mut self) -> Result<bool> {
        if let Some(is_open) = self.says_in_transaction() {
            return Ok(is_open);
        }
        self.finish("DO 0").await?;
        Ok(self.says_in_transaction().unwrap_or(false))
    }

    /// Takes what a `KILL QUERY` has left behind that came after its statement had ended.
    pub(crate) async fn absorb_kill(&mut self) {
        for _ in 0..2 {
            if self.conn.query_drop("DO 0").await.is_ok() {
                return;
            }
        }
    }
}

fn text(cell: Cell) -> Result<Option<String>> {
    match cell {
        Cell::NULL => Ok(None),
        Cell::Bytes(bytes) => String::from_utf8(bytes).map(Some).map_err(|error| {
            Error::internal("the server answers in another character set").with_source(error)
        }),
        other => Ok(Some(other.as_sql(true))),
    }
}
