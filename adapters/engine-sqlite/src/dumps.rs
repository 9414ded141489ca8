//! Loading dumps: a database file, and the SQL that the `sqlite3` shell writes. No program is needed for either.

use std::fs;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use rusqlite::backup::Backup;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use walkback_core::dump::{DumpFormat, Dumps, Program};
use walkback_core::{Cx, Error, ErrorKind, Result};

use crate::engine::SqliteEngine;
use crate::private::PrivateCopy;

/// How many pages are copied at a time.
const PAGES: i32 = 1024;

#[async_trait]
impl Dumps for SqliteEngine {
    fn program(&self, format: DumpFormat, _: bool) -> Result<Option<Program>> {
        known(format).map(|_| None)
    }

    async fn load(&self, cx: &Cx, format: DumpFormat, file: &Path) -> Result<()> {
        let load = known(format)?;
        cx.check()?;
        let (target, file) = (self.config.path.clone(), file.to_owned());
        let canceller = cx.canceller();
        let task = tokio::task::spawn_blocking(move || load(&file, &target, &|| canceller.is_cancelled()));
        task.await
            .map_err(|error| Error::internal("loading a dump came to no end").with_source(error))??;
        cx.check()
    }
}

type Load = fn(&Path, &Path, &dyn Fn() -> bool) -> Result<()>;

fn known(format: DumpFormat) -> Result<Load> {
    match format {
        DumpFormat::SqliteFile => Ok(load_file),
        DumpFormat::SqliteSql => Ok(load_sql),
        other => Err(Error::unsupported(
            format!("loading a dump of another engine ({})", other.words()),
            "SQLite",
        )),
    }
}

/// Copies a database, with what a writer may have left in its journal. The original is read and no more.
fn load_file(file: &Path, target: &Path, stopped: &dyn Fn() -> bool) -> Result<()> {
    let copy = PrivateCopy::of(file)?;
    let damaged = |error| broken(file, &error);
    let from = Connection::open(copy.path()).map_err(damaged)?;
    let mut into = Connection::open(target).map_err(damaged)?;
    into.execute_batch("PRAGMA synchronous=OFF").map_err(damaged)?;
    let backup = Backup::new(&from, &mut into).map_err(damaged)?;
    while backup.step(PAGES).map_err(damaged)? != rusqlite::backup::StepResult::Done {
        if stopped() {
            return Ok(());
        }
    }
    drop(backup);
    check(file, &into)
}

/// Runs the statements of a dump. None of them may reach another file.
fn load_sql(file: &Path, target: &Path, stopped: &dyn Fn() -> bool) -> Result<()> {
    let text = fs::read(file).map_err(|error| Error::io("read", file, error))?;
    let text = String::from_utf8(text).map_err(|error| {
        Error::new(
            ErrorKind::Damaged,
            format!("`{}` is not text in UTF-8", file.display()),
        )
        .with_source(error)
    })?;
    let mut into = Connection::open(target).map_err(|error| broken(file, &error))?;
    let at_home = |context: AuthContext<'_>| match context.action {
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => Authorization::Deny,
        _ => Authorization::Allow,
    };
    into.authorizer(Some(at_home))
        .and_then(|()| into.execute_batch("PRAGMA synchronous=OFF; PRAGMA foreign_keys=OFF"))
        .and_then(|()| into.execute_batch(&text))
        .map_err(|error| broken(file, &error))?;
    if stopped() {
        return Ok(());
    }
    into.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)
        .map_err(|error| broken(file, &error))?;
    if !into.is_autocommit() {
        return Err(Error::new(
            ErrorKind::Damaged,
            format!("`{}` ends in the middle of a transaction", file.display()),
        ));
    }
    // A dump with virtual tables writes the catalog itself: what it wrote is read when the file is opened.
    drop(into);
    check(
        file,
        &Connection::open(target).map_err(|error| broken(file, &error))?,
    )
}

/// Fails unless every page and every index of a database is sound.
fn check(file: &Path, database: &Connection) -> Result<()> {
    database
        .busy_timeout(Duration::from_secs(1))
        .map_err(|error| broken(file, &error))?;
    let mut statement = database
        .prepare("PRAGMA integrity_check(3)")
        .map_err(|error| broken(file, &error))?;
    let found: Vec<String> = statement
        .query_map([], |row| row.get(0))
        .and_then(Iterator::collect)
        .map_err(|error| broken(file, &error))?;
    if found.iter().all(|line| line == "ok") {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Damaged,
        format!(
            "`{}` is damaged: SQLite finds: {}",
            file.display(),
            found.join("; ")
        ),
    ))
}

fn broken(file: &Path, error: &rusqlite::Error) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!("SQLite cannot read `{}`: {error}", file.display()),
    )
}
