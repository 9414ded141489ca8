//! The engine: a database of a server.

use std::sync::Arc;

use async_trait::async_trait;
use walkback_core::bulk::Chunk;
use walkback_core::capture::Capture;
use walkback_core::dump::Dumps;
use walkback_core::engine::{Control, EngineInfo, Login, Physical, Scratch};
use walkback_core::grants::GrantKeeping;
use walkback_core::replay::Replay;
use walkback_core::witness::Witness;
use walkback_core::{Access, AdapterConfig, Cx, Dialect, Engine, Result, Session};
use walkback_sql::Sql;

use crate::config::Config;
use crate::dialect::KIND;
use crate::rows;
use crate::session::MysqlSession;

/// A database of a MySQL or MariaDB server.
#[derive(Debug)]
pub(crate) struct MysqlEngine {
    pub(crate) config: Arc<Config>,
}

/// Opens the engine at a URL. Does not connect.
pub(crate) fn open(url: &str, config: &AdapterConfig) -> Result<Arc<dyn Engine>> {
    let config = Config::parse(url, &config.base)?;
    Ok(Arc::new(MysqlEngine {
        config: Arc::new(config),
    }))
}

#[async_trait]
impl Engine for MysqlEngine {
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
        rows::ends(chunk, columns)
    }

    async fn connect(&self, cx: &Cx, access: Access) -> Result<Box<dyn Session>> {
        let session = MysqlSession::open(cx, Arc::clone(&self.config), access).await?;
        Ok(Box::new(session))
    }

    fn scratch(&self) -> Option<&dyn Scratch> {
        Some(self)
    }

    fn physical(&self) -> Option<&dyn Physical> {
        // The files of a server are not this program's to copy.
        None
    }

    fn control(&self) -> Option<&dyn Control> {
        Some(self)
    }

    fn capture(&self) -> Option<&dyn Capture> {
        // Triggers take rights that many users lack here, end the transaction, and miss what foreign keys do.
        None
    }

    fn witness(&self) -> Option<&dyn Witness> {
        None
    }

    fn dumps(&self) -> Option<&dyn Dumps> {
        Some(self)
    }

    fn replay(&self) -> Option<&dyn Replay> {
        Some(self)
    }

    fn grants(&self) -> GrantKeeping<'_> {
        GrantKeeping::Apart(self)
    }
}
