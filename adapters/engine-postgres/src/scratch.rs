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

/// For how long one may be without a session although its process lives, in seconds.
const YOUNG: u32 = 30;

/// A scratch database.
#[derive(Debug)]
struct PostgresScratch {
    real: Arc<Config>,
    name: String,
    engine: Arc<PostgresEngine>,
    // A session in it, by which others see that it is in use.
    guard: Option<Link>,
}

impl ScratchDatabase for PostgresScratch {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.engine) as Arc<dyn Engine>
    }
}

impl Drop for PostgresScratch {
    fn drop(&mut self) {
        self.guard = None;
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
    if let Err(error) = sweep_each(cx, &mut link).await {
        tracing::debug!(%error, "scratch databases that were left behind could not be looked for");
    }
    let sql = "SELECT pg_catalog.pg_encoding_to_char(encoding), datcollate, datctype FROM pg_catalog.pg_database \
               WHERE datname = current_database()";
    let rows = link.texts(cx, sql, &[]).await?;
    let name = format!(
        "{PREFIX}{:08x}{:08x}",
        seconds(cx, &mut link).await?,
        rand::random::<u32>()
    );
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
    let mut scratch = PostgresScratch {
        real: Arc::clone(config),
        engine: Arc::new(PostgresEngine::new(config.for_database(&name))),
        name,
        guard: None,
    };
    link.batch(cx, &create)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => without_right(config, error),
            _ => error.wrap("a scratch database cannot be made"),
        })?;
    let within = Arc::new(config.for_database(&scratch.name));
    let mut guard = Link::open(cx, within, Access::Read).await?;
    // A session that does nothing is not to be ended by the server for it; older ones know no such limit.
    guard.batch(cx, "SET idle_session_timeout = 0").await.ok();
    scratch.guard = Some(guard);
    Ok(Box::new(scratch))
}

/// Returns the moment as names have it, by the clock of the server: how old a database is, that does not say.
async fn seconds(cx: &Cx, link: &mut Link) -> Result<u32> {
    let sql = "SELECT extract(epoch FROM now())::bigint::text";
    Ok(link.one_text(cx, sql).await?.parse().unwrap_or_default())
}

/// Drops the scratch databases that nobody is in.
pub(crate) async fn sweep(cx: &Cx, config: &Arc<Config>) -> Result<Vec<String>> {
    let mut link = Link::open(cx, Arc::clone(config), Access::Write).await?;
    link.batch(cx, "SET default_transaction_read_only = off").await?;
    sweep_each(cx, &mut link).await
}

/// What cannot be dropped is left to whoever may.
async fn sweep_each(cx: &Cx, link: &mut Link) -> Result<Vec<String>> {
    let sql = "SELECT datname FROM pg_catalog.pg_database d WHERE datname ~ '^walkback_scratch_[0-9a-f]{16}$' \
               AND pg_catalog.pg_has_role(datdba, 'USAGE') \
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid)";
    let rows = link.texts(cx, sql, &[]).await?;
    let names: Vec<String> = rows.iter().map(|row| row.get(0).to_owned()).collect();
    let now = seconds(cx, link).await?;
    let mut dropped = Vec::new();
    for name in names {
        let made = name.strip_prefix(PREFIX).and_then(|rest| rest.get(..8));
        let made = made.and_then(|made| u32::from_str_radix(made, 16).ok());
        // Who has just made one is not in it yet.
        if made.is_none_or(|made| now.abs_diff(made) < YOUNG) {
            continue;
        }
        match link.batch(cx, &format!("DROP DATABASE {}", quoted(&name))).await {
            Ok(_) => {
                tracing::info!(
                    database = name,
                    "a scratch database that was left behind is dropped"
                );
                dropped.push(name);
            }
            Err(error) => tracing::debug!(%error, database = name, "a scratch database is left behind"),
        }
    }
    Ok(dropped)
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
