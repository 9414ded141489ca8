//! Fresh databases on the servers of this machine.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::sync::Arc;

use mysql_async::prelude::Queryable as _;
use walkback_core::{AdapterConfig, Engine, Registry};
use walkback_engine_mysql as _;

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// MySQL.
    Mysql,
    /// MariaDB.
    Mariadb,
}

impl Kind {
    /// Both of them.
    pub(crate) const ALL: [Self; 2] = [Self::Mysql, Self::Mariadb];

    /// Returns the URL of the server, which ends with a slash, or why there is none.
    pub(crate) fn url(self) -> Result<String, String> {
        let variable = match self {
            Self::Mysql => "WALKBACK_TEST_MYSQL_URL",
            Self::Mariadb => "WALKBACK_TEST_MARIADB_URL",
        };
        std::env::var(variable).map_err(|_| format!("`{variable}` is not set"))
    }
}

/// A fresh and empty database, gone when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    /// The URL of the server.
    pub(crate) server: String,
    /// The name of the database.
    pub(crate) database: String,
}

impl Place {
    /// Creates a database.
    pub(crate) fn new(kind: Kind) -> Result<Self, String> {
        let place = Self {
            server: kind.url()?,
            database: format!("walkback_test_{:016x}", rand::random::<u64>()),
        };
        place.administer(&format!(
            "CREATE DATABASE {} CHARACTER SET utf8mb4",
            place.database
        ))?;
        Ok(place)
    }

    /// Returns the URL of the database.
    pub(crate) fn url(&self) -> String {
        format!("{}{}", self.server, self.database)
    }

    /// Opens the engine on it.
    pub(crate) fn engine(&self) -> Arc<dyn Engine> {
        open(&self.url())
    }

    /// Runs a statement as the administrator, outside of any database.
    pub(crate) fn administer(&self, sql: &str) -> Result<(), String> {
        let (url, sql) = (self.server.clone(), sql.to_owned());
        // A thread, for the caller may be in a runtime.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| error.to_string())?;
            runtime
                .block_on(async {
                    let mut conn = mysql_async::Conn::from_url(&url).await?;
                    conn.query_drop(&sql).await?;
                    conn.disconnect().await
                })
                .map_err(|error: mysql_async::Error| error.to_string())
        })
        .join()
        .map_err(|_| "the administrator's thread panicked".to_owned())?
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.administer(&format!("DROP DATABASE IF EXISTS {}", self.database))
            .ok();
    }
}

/// Opens an engine as a program would.
pub(crate) fn open(url: &str) -> Arc<dyn Engine> {
    let registry = Registry::linked().expect("the engine is linked");
    let config = AdapterConfig::new("--url", "/");
    registry.open_engine(url, &config).expect("the URL is good")
}

/// Says that a server is absent, or fails if it must be there.
pub(crate) fn absent(kind: Kind, why: &str) -> walkback_core::Result<()> {
    let name = match kind {
        Kind::Mysql => "mysql",
        Kind::Mariadb => "mariadb",
    };
    assert!(
        !walkback_conformance::runner::is_required(name),
        "{name} is required and absent: {why}"
    );
    note(&format!("{name} is absent, nothing is tested on it: {why}"));
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a test tells what it did not do")]
fn note(text: &str) {
    eprintln!("{text}");
}
