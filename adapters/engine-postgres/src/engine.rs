//! The engine: a database on a server, with scratch databases beside it and control over it.

use std::sync::Arc;

use async_trait::async_trait;
use walkback_core::bulk::Chunk;
use walkback_core::capture::Capture;
use walkback_core::dump::Dumps;
use walkback_core::engine::{Control, EngineInfo, Login, Physical, Scratch, ScratchDatabase};
use walkback_core::grants::GrantKeeping;
use walkback_core::recovery::Recovery;
use walkback_core::witness::Witness;
use walkback_core::{Access, AdapterConfig, Cx, Dialect, Engine, Result, Session};
use walkback_sql::Sql;

use crate::config::Config;
use crate::dialect::KIND;
use crate::rows::Shape;
use crate::scratch;
use crate::session::PostgresSession;

/// A PostgreSQL database.
#[derive(Debug)]
pub(crate) struct PostgresEngine {
    config: Arc<Config>,
}

/// Opens the engine at a URL. Does not connect.
pub(crate) fn open(url: &str, config: &AdapterConfig) -> Result<Arc<dyn Engine>> {
    Ok(Arc::new(PostgresEngine::new(Config::parse(url, config)?)))
}

impl PostgresEngine {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config: Arc::new(config),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Config> {
        &self.config
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }
}

#[async_trait]
impl Engine for PostgresEngine {
    fn info(&self) -> EngineInfo {
        EngineInfo::new(self.config.scheme, self.config.location())
    }

    fn login(&self) -> Login {
        self.config.login()
    }

    fn dialect(&self) -> Arc<dyn Dialect> {
        Arc::new(Sql(KIND))
    }

    fn row_ends(&self, chunk: &Chunk, columns: usize) -> Result<Vec<usize>> {
        let mut ends = Vec::new();
        Shape::of(&chunk.encoding)?.each_end(chunk, columns, |end| ends.push(end))?;
        Ok(ends)
    }

    async fn connect(&self, cx: &Cx, access: Access) -> Result<Box<dyn Session>> {
        let session = PostgresSession::open(cx, Arc::clone(&self.config), access).await?;
        Ok(Box::new(session))
    }

    fn scratch(&self) -> Option<&dyn Scratch> {
        Some(self)
    }

    fn physical(&self) -> Option<&dyn Physical> {
        // The files of a server hold all its databases, and are not ours to copy.
        None
    }

    fn control(&self) -> Option<&dyn Control> {
        Some(self)
    }

    fn capture(&self) -> Option<&dyn Capture> {
        Some(self)
    }

    fn witness(&self) -> Option<&dyn Witness> {
        Some(self)
    }

    fn dumps(&self) -> Option<&dyn Dumps> {
        Some(self)
    }

    fn grants(&self) -> GrantKeeping<'_> {
        GrantKeeping::InSchema
    }

    fn recovery(&self) -> Option<&dyn Recovery> {
        Some(self)
    }
}

#[async_trait]
impl Scratch for PostgresEngine {
    async fn create(&self, cx: &Cx) -> Result<Box<dyn ScratchDatabase>> {
        scratch::create(cx, &self.config).await
    }

    async fn sweep(&self, cx: &Cx) -> Result<Vec<String>> {
        scratch::sweep(cx, &self.config).await
    }
}
