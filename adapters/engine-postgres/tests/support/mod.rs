//! Servers to test on, and a fresh database of them for each test.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::sync::Arc;

use walkback_conformance::engine::EngineFixture;
use walkback_conformance::runner::Fixture;
use walkback_core::{Access, AdapterConfig, Cx, Engine, Registry, Result, Session};
use walkback_engine_postgres as _;

/// A server that tests may use.
#[derive(Debug)]
pub(crate) struct Server {
    /// What it is called in the names of tests and in `WALKBACK_REQUIRE`.
    pub(crate) name: &'static str,
    variable: &'static str,
}

/// The oldest and the newest version that is tested.
pub(crate) const SERVERS: &[Server] = &[
    Server {
        name: "postgres",
        variable: "WALKBACK_TEST_POSTGRES_URL",
    },
    Server {
        name: "postgres-newest",
        variable: "WALKBACK_TEST_POSTGRES_NEWEST_URL",
    },
];

impl Server {
    /// Returns the URL of a database of the server in which others can be made.
    pub(crate) fn url(&self) -> Option<String> {
        std::env::var(self.variable).ok()
    }
}

/// Opens an engine.
pub(crate) fn open(url: &str) -> Arc<dyn Engine> {
    let registry = Registry::linked().expect("the engine is linked");
    let config = AdapterConfig::new("--url", "/");
    registry.open_engine(url, &config).expect("the URL is good")
}

/// A database that is dropped when it is.
pub(crate) struct Fresh {
    pub(crate) engine: Arc<dyn Engine>,
    _database: Box<dyn walkback_core::engine::ScratchDatabase>,
}

impl Fresh {
    /// Makes a database on a server.
    pub(crate) async fn on(server: &Server) -> Option<Self> {
        let url = server.url()?;
        let scratch = open(&url);
        let database = scratch
            .scratch()
            .expect("there are scratch databases")
            .create(&Cx::background())
            .await
            .expect("a scratch database can be made");
        Some(Self {
            engine: database.engine(),
            _database: database,
        })
    }

    /// Opens a session that writes.
    pub(crate) async fn writer(&self) -> Result<Box<dyn Session>> {
        self.engine.connect(&Cx::background(), Access::Write).await
    }
}

/// Makes a fixture for the conformance suite.
pub(crate) fn fixture(server: &'static Server) -> Fixture<EngineFixture> {
    if server.url().is_none() {
        return Fixture::Absent(format!("`{}` is not set", server.variable));
    }
    let made = std::thread::spawn(|| {
        let runtime = walkback_conformance::runner::runtime();
        runtime.block_on(Fresh::on(server))
    });
    match made.join() {
        Ok(Some(fresh)) => Fixture::Ready(EngineFixture::new(Arc::clone(&fresh.engine)).keeping(fresh)),
        _ => Fixture::Absent("the server cannot be used".to_owned()),
    }
}
