//! Servers to test on, and a fresh database of them for each test.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::sync::Arc;

use walkback_conformance::engine::EngineFixture;
use walkback_conformance::runner::Fixture;
use walkback_core::{Access, AdapterConfig, Cx, Engine, Registry, Result, Session};
use walkback_engine_postgres as _;
use walkback_services::{Database, Found, Service, resolve};

/// The oldest and the newest version that is tested.
pub(crate) const SERVICES: [Service; 2] = [Service::Postgres, Service::PostgresNewest];

/// Opens an engine.
pub(crate) fn open(url: &str) -> Arc<dyn Engine> {
    let registry = Registry::linked().expect("the engine is linked");
    let config = AdapterConfig::new("--url", "/");
    registry.open_engine(url, &config).expect("the URL is good")
}

/// A database of its own, gone when it is dropped.
pub(crate) struct Fresh {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) database: Database,
}

impl Fresh {
    /// Makes a database on a server, if there is one.
    pub(crate) fn on(service: Service) -> Fixture<Self> {
        match resolve(service) {
            Found::Absent(why) => Fixture::Absent(why),
            Found::Ready(server) => {
                let database = server.fresh_database();
                Fixture::Ready(Self {
                    engine: open(database.url()),
                    database,
                })
            }
        }
    }

    /// Opens a session that writes.
    pub(crate) async fn writer(&self) -> Result<Box<dyn Session>> {
        self.engine.connect(&Cx::background(), Access::Write).await
    }

    /// Opens a session of another user, or with other parameters: `?sslmode=disable`.
    pub(crate) async fn session(&self, url: &str, access: Access) -> Result<Box<dyn Session>> {
        open(url).connect(&Cx::background(), access).await
    }
}

/// Makes a fixture for the conformance suite.
pub(crate) fn fixture(service: Service) -> Fixture<EngineFixture> {
    Fresh::on(service).map(|fresh| EngineFixture::new(Arc::clone(&fresh.engine)).keeping(fresh))
}
