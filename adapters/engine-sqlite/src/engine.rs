//! The engine: a database file, with scratch databases and copies of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use walkback_core::bulk::Chunk;
use walkback_core::capture::Capture;
use walkback_core::cx::Unit;
use walkback_core::dump::Dumps;
use walkback_core::engine::{Control, EngineInfo, Login, Physical, Scratch, ScratchDatabase};
use walkback_core::grants::GrantKeeping;
use walkback_core::witness::Witness;
use walkback_core::{Access, AdapterConfig, Cx, Dialect, Engine, Error, ErrorKind, Result, Session};
use walkback_sql::Sql;

use crate::config::Config;
use crate::dialect::KIND;
use crate::link::{Link, Worker};
use crate::rows;
use crate::session::SqliteSession;

/// How many pages are copied at a time, between two looks at whether to stop.
const PAGES: i32 = 256;

/// How long to wait for a writer before the copy goes on.
const NAP: Duration = Duration::from_millis(10);

/// A SQLite database.
#[derive(Debug)]
pub(crate) struct SqliteEngine {
    pub(crate) config: Arc<Config>,
}

/// Opens the engine at a URL. Does not touch the file.
pub(crate) fn open(url: &str, config: &AdapterConfig) -> Result<Arc<dyn Engine>> {
    let config = Config::parse(url, &config.base)?;
    Ok(Arc::new(SqliteEngine {
        config: Arc::new(config),
    }))
}

#[async_trait]
impl Engine for SqliteEngine {
    fn info(&self) -> EngineInfo {
        EngineInfo::new(self.config.scheme, self.config.location.clone())
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
        let session = SqliteSession::open(cx, Arc::clone(&self.config), access).await?;
        Ok(Box::new(session))
    }

    fn scratch(&self) -> Option<&dyn Scratch> {
        Some(self)
    }

    fn physical(&self) -> Option<&dyn Physical> {
        Some(self)
    }

    fn control(&self) -> Option<&dyn Control> {
        // A file has no server that could refuse other programs; its permissions are the operator's.
        None
    }

    fn capture(&self) -> Option<&dyn Capture> {
        Some(self)
    }

    fn witness(&self) -> Option<&dyn Witness> {
        None
    }

    fn dumps(&self) -> Option<&dyn Dumps> {
        Some(self)
    }

    fn grants(&self) -> GrantKeeping<'_> {
        // There are no users: who may read the file may read all of it.
        GrantKeeping::None
    }
}

#[async_trait]
impl Scratch for SqliteEngine {
    async fn create(&self, cx: &Cx) -> Result<Box<dyn ScratchDatabase>> {
        cx.check()?;
        let folder = tempfile::Builder::new()
            .prefix("walkback-scratch-")
            .tempdir()
            .map_err(|error| Error::io("create a folder in", &std::env::temp_dir(), error))?;
        let mut config = Config::of(folder.path().join("scratch.db"));
        config.foreign_keys = self.config.foreign_keys;
        config.durable = false;
        let engine = Arc::new(SqliteEngine {
            config: Arc::new(config),
        });
        Ok(Box::new(SqliteScratch {
            engine,
            _folder: folder,
        }))
    }
}

/// A scratch database, and the folder that goes with it.
#[derive(Debug)]
struct SqliteScratch {
    engine: Arc<SqliteEngine>,
    _folder: TempDir,
}

impl ScratchDatabase for SqliteScratch {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.engine) as Arc<dyn Engine>
    }
}

#[async_trait]
impl Physical for SqliteEngine {
    async fn copy_to(&self, cx: &Cx, file: &Path) -> Result<()> {
        if !self.config.path.exists() {
            return Err(Error::not_found(format!(
                "the database `{}` does not exist",
                self.config.location
            )));
        }
        if file.exists() {
            return Err(already_there(file));
        }
        let worker = Worker::start(cx, Arc::clone(&self.config), Access::Read).await?;
        let (target, context) = (file.to_owned(), cx.clone());
        worker.call(cx, move |link| copy(&context, link, &target)).await
    }
}

/// Copies into a file beside the target that is renamed at the end, so that a half copy never has its name.
fn copy(cx: &Cx, link: &mut Link, target: &Path) -> Result<()> {
    let folder = match target.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => return Err(already_there(target)),
    };
    let part = tempfile::Builder::new()
        .prefix(".walkback-copy-")
        .tempfile_in(folder)
        .map_err(|error| Error::io("create", target, error))?;
    let mut copy =
        open_part(part.path()).map_err(|error| link.place.failed("cannot begin the copy", error))?;
    copy_pages(cx, link, &mut copy)?;
    copy.close()
        .map_err(|(_, error)| link.place.failed("cannot end the copy", error))?;
    part.as_file()
        .sync_all()
        .map_err(|error| Error::io("write", target, error))?;
    part.persist_noclobber(target).map_err(|failure| {
        if failure.error.kind() == std::io::ErrorKind::AlreadyExists {
            already_there(target)
        } else {
            Error::io("create", target, failure.error)
        }
    })?;
    // A file whose name is not yet on disk is not there after a power cut.
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| Error::io("write", folder, error))
}

fn open_part(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // The part is thrown away on any failure, and flushed as a whole at the end.
    connection.execute_batch("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF")?;
    Ok(connection)
}

fn copy_pages(cx: &Cx, link: &Link, copy: &mut Connection) -> Result<()> {
    let failed = |error| link.place.failed("cannot copy the database", error);
    let page_size: i64 = link
        .connection
        .pragma_query_value(None, "page_size", |row| row.get(0))
        .map_err(failed)?;
    let bytes = |pages: i32| u64::try_from(i64::from(pages) * page_size).unwrap_or(0);
    let backup = Backup::new(&link.connection, copy).map_err(failed)?;
    let mut task = None;
    let mut done = 0;
    loop {
        cx.check()?;
        if link.stopped() {
            return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
        }
        let step = backup.step(PAGES).map_err(failed)?;
        let progress = backup.progress();
        let task = task.get_or_insert_with(|| {
            cx.progress().begin(
                "copying the database",
                Unit::Bytes,
                Some(bytes(progress.pagecount)),
            )
        });
        // The copy begins again when somebody else writes; the bar waits then.
        let now = bytes(progress.pagecount - progress.remaining);
        task.advance(now.saturating_sub(done));
        done = done.max(now);
        match step {
            StepResult::Done => return Ok(()),
            StepResult::Busy | StepResult::Locked => std::thread::sleep(NAP),
            _ => {}
        }
    }
}

fn already_there(file: &Path) -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        format!("`{}` exists already", file.display()),
    )
    .hint("name another file, or remove that one")
}
