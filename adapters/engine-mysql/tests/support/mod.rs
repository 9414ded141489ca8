//! Fresh databases on the servers that `walkback-services` finds.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::sync::Arc;

use walkback_core::{AdapterConfig, Engine, Registry};
use walkback_engine_mysql as _;
use walkback_services::{Database, Found, Service, resolve};

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

    fn service(self) -> Service {
        match self {
            Self::Mysql => Service::Mysql,
            Self::Mariadb => Service::Mariadb,
        }
    }
}

/// A fresh and empty database, gone when dropped.
pub(crate) struct Place {
    /// The name of the database.
    pub(crate) database: String,
    made: Database,
}

impl Place {
    /// Creates a database, or says why there is no server.
    pub(crate) fn new(kind: Kind) -> Result<Self, String> {
        match resolve(kind.service()) {
            Found::Ready(server) => {
                let made = server.fresh_database();
                Ok(Self {
                    database: made.name().to_owned(),
                    made,
                })
            }
            Found::Absent(why) => Err(why),
        }
    }

    /// Returns the URL of the database.
    pub(crate) fn url(&self) -> String {
        self.made.url().to_owned()
    }

    /// Returns the URL of the database for another user.
    pub(crate) fn url_as(&self, user: &str, password: &str) -> String {
        self.made.url_as(user, password)
    }

    /// Opens the engine on it.
    pub(crate) fn engine(&self) -> Arc<dyn Engine> {
        open(&self.url())
    }

    /// Runs a statement as the administrator.
    pub(crate) fn administer(&self, sql: &str) -> Result<(), String> {
        self.made.run(sql).map_err(|error| format!("{error:#}"))
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
    let name = kind.service().name();
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
