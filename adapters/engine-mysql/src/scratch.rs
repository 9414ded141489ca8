//! Scratch databases: beside the real one on the same server, gone when dropped.

use std::sync::Arc;

use async_trait::async_trait;
use mysql_async::prelude::Queryable as _;
use walkback_core::engine::{Scratch, ScratchDatabase};
use walkback_core::{Cx, Engine, ErrorKind, Result, ResultExt as _};

use crate::config::Config;
use crate::dialect::{literal, quoted};
use crate::engine::MysqlEngine;
use crate::error::Place;
use crate::link;

/// What the names of scratch databases begin with.
const PREFIX: &str = "walkback_scratch_";

/// Returns whether a database is a scratch database, by its name.
pub(crate) fn is_scratch(database: &str) -> bool {
    database.starts_with(PREFIX)
}

#[async_trait]
impl Scratch for MysqlEngine {
    async fn create(&self, cx: &Cx) -> Result<Box<dyn ScratchDatabase>> {
        cx.check()?;
        let name = format!("{PREFIX}{:016x}", rand::random::<u64>());
        let config = Arc::new(self.config.with_database(&name));
        create(&self.config, &name).await.map_err(|error| {
            let is_right = error.kind() == ErrorKind::PermissionDenied;
            let error = error.wrap(format!("cannot create the scratch database `{name}`"));
            if is_right {
                let user = self.config.user();
                error.hint(format!(
                    "let it create them: GRANT ALL PRIVILEGES ON `walkback\\_scratch\\_%`.* TO '{user}'@'%'"
                ))
            } else {
                error
            }
        })?;
        Ok(Box::new(MysqlScratch {
            engine: Arc::new(MysqlEngine { config }),
        }))
    }
}

/// Creates a database with the character set of another.
async fn create(config: &Config, name: &str) -> Result<()> {
    let place = Place::new(Arc::new(config.clone()));
    let mut conn = link::connect(config, None)
        .await
        .map_err(|error| place.cannot_connect(error))?;
    let sql = format!(
        "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA \
         WHERE SCHEMA_NAME = {}",
        literal(&config.database)
    );
    let found: Option<(String, String)> = conn
        .query_first(&sql)
        .await
        .map_err(|error| place.statement_failed(&sql, error))?;
    let mut sql = format!("CREATE DATABASE {}", quoted(name));
    if let Some((charset, collation)) = found {
        sql.push_str(&format!(" CHARACTER SET {charset} COLLATE {collation}"));
    }
    let outcome = conn.query_drop(&sql).await;
    outcome.map_err(|error| place.statement_failed(&sql, error))?;
    conn.disconnect()
        .await
        .map_err(|error| place.failed("cannot close a connection", error))
        .wrap(|| "the scratch database was created")
}

/// A scratch database.
#[derive(Debug)]
struct MysqlScratch {
    engine: Arc<MysqlEngine>,
}

impl ScratchDatabase for MysqlScratch {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.engine) as Arc<dyn Engine>
    }
}

impl Drop for MysqlScratch {
    fn drop(&mut self) {
        // Nothing can be awaited here, and the runtime of whoever drops it may be the one that is ending: a
        // thread with a runtime of its own sees to it, and is waited for.
        let config = Arc::clone(&self.engine.config);
        let outcome = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(remove(&config)))
        })
        .join();
        match outcome {
            Ok(Ok(Ok(()))) => {}
            other => tracing::warn!(
                database = self.engine.config.database,
                ?other,
                "a scratch database is left behind"
            ),
        }
    }
}

async fn remove(config: &Config) -> std::result::Result<(), mysql_async::Error> {
    let mut conn = link::connect(config, None).await?;
    // A session that was just dropped may hold a table of it for a moment; nobody else has any business here.
    conn.query_drop("SET SESSION lock_wait_timeout = 30").await?;
    conn.query_drop(format!("DROP DATABASE IF EXISTS {}", quoted(&config.database)))
        .await?;
    conn.disconnect().await
}
