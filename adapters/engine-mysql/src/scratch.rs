//! Scratch databases: beside the real one on the same server, gone when dropped.

use std::sync::Arc;

use async_trait::async_trait;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use walkback_core::engine::{Scratch, ScratchDatabase};
use walkback_core::{Cx, Engine, ErrorKind, Result};

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
        sweep(&self.config).await;
        let guard = create(&self.config, &name).await.map_err(|error| {
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
            _guard: guard,
        }))
    }

    async fn sweep(&self, cx: &Cx) -> Result<Vec<String>> {
        cx.check()?;
        Ok(sweep(&self.config).await)
    }
}

/// Drops the scratch databases that nobody holds the lock of. What cannot be dropped is left to whoever may.
async fn sweep(config: &Config) -> Vec<String> {
    let mut dropped = Vec::new();
    if let Err(error) = sweep_each(config, &mut dropped).await {
        tracing::debug!(%error, "scratch databases that were left behind could not be looked for");
    }
    dropped
}

async fn sweep_each(
    config: &Config,
    dropped: &mut Vec<String>,
) -> std::result::Result<(), mysql_async::Error> {
    let mut conn = link::connect(config, None).await?;
    conn.query_drop("SET SESSION lock_wait_timeout = 5").await?;
    let names: Vec<String> = conn
        .query(format!(
            "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE LEFT(SCHEMA_NAME, {}) = {}",
            PREFIX.len(),
            literal(PREFIX)
        ))
        .await?;
    for name in names.iter().filter(|name| is_made_here(name)) {
        let lock = literal(name);
        // Who made it holds this lock for as long as it lives. What a killed process was doing may still go on at the server.
        let ask = format!(
            "SELECT GET_LOCK({lock}, 0) = 1 AND NOT EXISTS (SELECT 1 FROM information_schema.PROCESSLIST WHERE DB = {lock})"
        );
        let is_free: Option<Option<bool>> = conn.query_first(&ask).await?;
        if is_free.flatten() == Some(true) {
            match conn.query_drop(format!("DROP DATABASE {}", quoted(name))).await {
                Ok(()) => {
                    tracing::info!(
                        database = name,
                        "a scratch database that was left behind is dropped"
                    );
                    dropped.push(name.clone());
                }
                Err(error) => tracing::debug!(%error, database = name, "a scratch database is left behind"),
            }
        }
        conn.query_drop(format!("DO RELEASE_LOCK({lock})")).await?;
    }
    conn.disconnect().await
}

/// Returns whether a name is one that we give, and not only one that begins as ours do.
fn is_made_here(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.len() == 16 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Creates a database with the character set of another, and returns the connection that says that it is in use.
async fn create(config: &Config, name: &str) -> Result<Conn> {
    let place = Place::new(Arc::new(config.clone()));
    let mut conn = link::connect(config, None)
        .await
        .map_err(|error| place.cannot_connect(error))?;
    // A connection that does nothing is not to be closed by the server for it.
    for sql in [
        "SET SESSION wait_timeout = 31536000".to_owned(),
        format!("DO GET_LOCK({}, 0)", literal(name)),
    ] {
        let outcome = conn.query_drop(&sql).await;
        outcome.map_err(|error| place.statement_failed(&sql, error))?;
    }
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
    Ok(conn)
}

/// A scratch database.
#[derive(Debug)]
struct MysqlScratch {
    engine: Arc<MysqlEngine>,
    // Holds the lock by which others see that it is in use.
    _guard: Conn,
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
