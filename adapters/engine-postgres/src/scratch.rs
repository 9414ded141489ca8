//! Scratch databases: beside the real one on its server, gone when they are dropped.

use std::sync::Arc;
use std::time::Duration;

use walkback_core::engine::ScratchDatabase;
use walkback_core::{Access, Cx, Engine, Error, ErrorKind, Result};

use crate::config::Config;
use crate::dialect::{quoted, text_literal};
use crate::engine::PostgresEngine;
use crate::link::Link;

/// How long dropping one may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What names of scratch databases begin with.
const PREFIX: &str = "walkback_scratch_";

/// A scratch database.
#[derive(Debug)]
struct PostgresScratch {
    real: Arc<Config>,
    name: String,
    engine: Arc<PostgresEngine>,
}

impl ScratchDatabase for PostgresScratch {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.engine) as Arc<dyn Engine>
    }
}

impl Drop for PostgresScratch {
    fn drop(&mut self) {
        // A drop cannot wait for a future of the runtime it may itself run on, hence a thread with its own.
        let (real, name) = (Arc::clone(&self.real), self.name.clone());
        let thread = std::thread::spawn(move || drop_database(&real, &name));
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, database = self.name, "a scratch database is left behind")
            }
            Err(_) => tracing::warn!(database = self.name, "a scratch database is left behind"),
        }
    }
}

/// Creates an empty database like the real one, which must not be a template itself: others may be connected.
pub(crate) async fn create(cx: &Cx, config: &Arc<Config>) -> Result<Box<dyn ScratchDatabase>> {
    let mut link = Link::open(cx, Arc::clone(config), Access::Write).await?;
    link.batch(cx, "SET default_transaction_read_only = off").await?;
    let sql = "SELECT pg_catalog.pg_encoding_to_char(encoding), datcollate, datctype FROM pg_catalog.pg_database \
               WHERE datname = current_database()";
    let rows = link.texts(cx, sql, &[]).await?;
    let name = format!("{PREFIX}{:016x}", rand::random::<u64>());
    let mut create = format!("CREATE DATABASE {} TEMPLATE template0", quoted(&name));
    if let Some(row) = rows.first() {
        create.push_str(&format!(
            " ENCODING {} LC_COLLATE {} LC_CTYPE {}",
            text_literal(row.get(0)),
            text_literal(row.get(1)),
            text_literal(row.get(2))
        ));
    }
    // From here on there is something to drop, also if this future is.
    let scratch = PostgresScratch {
        real: Arc::clone(config),
        engine: Arc::new(PostgresEngine::new(config.for_database(&name))),
        name,
    };
    link.batch(cx, &create)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => without_right(config, error),
            _ => error.wrap("a scratch database cannot be made"),
        })?;
    Ok(Box::new(scratch))
}

fn without_right(config: &Config, error: Error) -> Error {
    let user = config.user().map(quoted).unwrap_or_default();
    error
        .wrap("a scratch database cannot be made: the user may not create databases")
        .hint(format!("let it: `ALTER ROLE {user} CREATEDB`"))
}

fn drop_database(config: &Arc<Config>, name: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::internal("the system gives no runtime").with_source(error))?;
    let outcome = runtime.block_on(async {
        let cx = Cx::background().with_timeout(PATIENCE);
        let mut link = Link::open(&cx, Arc::clone(config), Access::Write).await?;
        link.batch(&cx, "SET default_transaction_read_only = off").await?;
        link.batch(
            &cx,
            &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name)),
        )
        .await
    });
    runtime.shutdown_background();
    outcome
}
