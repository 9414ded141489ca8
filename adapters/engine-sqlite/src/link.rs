//! The connection, and the thread that owns it.
//!
//! SQLite blocks, so each connection lives on a thread of its own and is handed closures, one at a time. Each
//! closure comes with a flag: once it is raised, SQLite itself stops at the next occasion, also while it waits
//! for another writer. A flag per closure and not one per connection, so that a late cancellation can never
//! hit the statement that follows.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;
use walkback_core::{Access, Cx, Error, ErrorKind, Result};

use crate::config::Config;
use crate::error::Place;
use crate::private::PrivateCopy;
use crate::transaction::Open;

/// How many instructions of its virtual machine SQLite runs between two looks at the flag.
const LOOK_EVERY: i32 = 1000;

/// How long SQLite sleeps before it tries again to get a lock.
const NAP: Duration = Duration::from_millis(5);

/// Raised to stop what is running.
pub(crate) type Flag = Arc<AtomicBool>;

/// The flag of the closure that is running now.
type Current = Arc<Mutex<Flag>>;

struct Job {
    flag: Flag,
    work: Box<dyn FnOnce(&mut Link) + Send>,
}

/// A connection, on the thread that owns it.
#[derive(Debug)]
pub(crate) struct Link {
    /// The connection.
    pub(crate) connection: Connection,
    /// Where the database is.
    pub(crate) place: Place,
    /// The transaction that was begun and not yet ended, if there is one.
    pub(crate) transaction: Option<Open>,
    /// What the session may do.
    pub(crate) access: Access,
    current: Current,
    _copy: Option<PrivateCopy>,
}

impl Link {
    /// Runs something that must not be stopped: what puts the connection back in order.
    pub(crate) fn undisturbed<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.swap_flag(Flag::default());
        let result = work(self);
        self.swap_flag(before);
        result
    }

    /// Returns whether what is running was asked to stop.
    pub(crate) fn stopped(&self) -> bool {
        lock(&self.current).load(Ordering::Relaxed)
    }

    /// Runs statements without parameters that are walkback's own.
    pub(crate) fn batch(&self, sql: &str) -> Result<()> {
        self.connection
            .execute_batch(sql)
            .map_err(|error| self.place.statement_failed(sql, error))
    }

    /// Reads a setting that is on or off.
    pub(crate) fn pragma(&self, name: &str) -> Result<bool> {
        self.connection
            .pragma_query_value(None, name, |row| row.get(0))
            .map_err(|error| {
                self.place
                    .failed(format!("cannot read the setting `{name}`"), error)
            })
    }

    /// Changes a setting that is on or off.
    pub(crate) fn set_pragma(&self, name: &str, on: bool) -> Result<()> {
        self.connection.pragma_update(None, name, on).map_err(|error| {
            self.place
                .failed(format!("cannot change the setting `{name}`"), error)
        })
    }

    fn swap_flag(&self, flag: Flag) -> Flag {
        std::mem::replace(&mut *lock(&self.current), flag)
    }

    fn open(config: &Config, access: Access) -> Result<Self> {
        let place = Place {
            path: config.path.clone(),
            location: config.location.clone(),
        };
        if config.path.is_dir() {
            return Err(place.is_folder());
        }
        let (connection, copy) = match access {
            Access::Write => (open_for_writing(config, &place)?, None),
            Access::Read => open_for_reading(config, &place)?,
        };
        let mut link = Self {
            connection,
            place,
            transaction: None,
            access,
            current: Current::default(),
            _copy: copy,
        };
        link.watch(config.busy_timeout)
            .map_err(|error| link.place.failed("cannot prepare the connection", error))?;
        link.set_pragma("foreign_keys", config.foreign_keys)?;
        match access {
            Access::Read => link.set_pragma("query_only", true)?,
            // EXTRA also makes the removal of the journal durable: without it, a power cut right after a
            // commit can bring the journal back, and the next reader would roll the commit back.
            Access::Write => link.batch(if config.durable {
                "PRAGMA synchronous=EXTRA"
            } else {
                "PRAGMA synchronous=OFF"
            })?,
        }
        Ok(link)
    }

    /// Sets how long a statement waits for another writer.
    pub(crate) fn set_lock_timeout(&mut self, timeout: Duration) -> Result<()> {
        self.watch(timeout)
            .map_err(|error| self.place.failed("cannot set the lock timeout", error))
    }

    fn watch(&mut self, busy_timeout: Duration) -> rusqlite::Result<()> {
        let current = Arc::clone(&self.current);
        self.connection
            .progress_handler(LOOK_EVERY, Some(move || raised(&current)))?;
        let current = Arc::clone(&self.current);
        let mut since = Instant::now();
        self.connection.busy_handler(Some(move |tries| {
            if tries == 0 {
                since = Instant::now();
            }
            let wait = !raised(&current) && since.elapsed() < busy_timeout;
            if wait {
                std::thread::sleep(NAP);
            }
            wait
        }))
    }
}

fn raised(current: &Current) -> bool {
    lock(current).load(Ordering::Relaxed)
}

fn lock(current: &Current) -> std::sync::MutexGuard<'_, Flag> {
    current.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_for_writing(config: &Config, place: &Place) -> Result<Connection> {
    let folder = config
        .path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if !folder.unwrap_or(Path::new(".")).is_dir() {
        return Err(place.no_folder());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let connection =
        open_file(&config.path, flags, config.busy_timeout).map_err(|error| cannot(place, error))?;
    // SQLite falls back to reading where it may not write, and says so at the first write only.
    match connection.is_readonly("main") {
        Ok(false) => Ok(connection),
        Ok(true) => Err(place.failed("cannot open the database", read_only())),
        Err(error) => Err(cannot(place, error)),
    }
}

/// Opens for reading: the file itself; nothing, where there is none; or a private copy, where the file cannot
/// be read as it is because a killed writer left a journal that only a writer may roll back.
fn open_for_reading(config: &Config, place: &Place) -> Result<(Connection, Option<PrivateCopy>)> {
    if !config
        .path
        .try_exists()
        .map_err(|error| Error::io("open", &config.path, error))?
    {
        let empty = Connection::open_in_memory().map_err(|error| cannot(place, error))?;
        return Ok((empty, None));
    }
    match open_file(
        &config.path,
        OpenFlags::SQLITE_OPEN_READ_ONLY,
        config.busy_timeout,
    ) {
        Ok(connection) => {
            connection
                .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
                .map_err(|error| cannot(place, error))?;
            Ok((connection, None))
        }
        Err(error) if PrivateCopy::would_help(&error, &config.path) => {
            let copy = PrivateCopy::of(&config.path)?;
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
            let connection =
                open_file(&copy.path(), flags, config.busy_timeout).map_err(|error| cannot(place, error))?;
            Ok((connection, Some(copy)))
        }
        Err(error) => Err(cannot(place, error)),
    }
}

fn open_file(path: &Path, flags: OpenFlags, busy_timeout: Duration) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(busy_timeout)?;
    // Opening reads nothing: this does, and finds out what is wrong with the file.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

fn cannot(place: &Place, error: rusqlite::Error) -> Error {
    place.failed(format!("cannot open `{}`", place.location), error)
}

fn read_only() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY), None)
}

/// The handle of the thread that owns a connection. Dropping it stops what runs, closes the connection, which
/// rolls back, and waits until that has happened.
pub(crate) struct Worker {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    last: Mutex<Flag>,
}

impl Worker {
    /// Opens a connection on a thread of its own.
    pub(crate) async fn start(cx: &Cx, config: Arc<Config>, access: Access) -> Result<Self> {
        cx.check()?;
        let (jobs, queue) = mpsc::channel::<Job>();
        let (opened, outcome) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("walkback-sqlite".to_owned())
            .spawn(move || serve(&config, access, opened, &queue))
            .map_err(|error| {
                Error::new(ErrorKind::Unavailable, "cannot start a thread").with_source(error)
            })?;
        outcome.await.unwrap_or_else(|_| Err(ended()))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
            last: Mutex::default(),
        })
    }

    /// Has something done on the connection. When the context ends first, SQLite is stopped, and the error is
    /// the context's; what had already succeeded by then is reported as the success it was.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        cx: &Cx,
        work: impl FnOnce(&mut Link) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        cx.check()?;
        let (answer, mut answered) = oneshot::channel();
        let stop = self.submit(move |link| {
            // Nobody listens any more when the caller was dropped; then the flag is raised as well.
            drop(answer.send(work(link)));
        })?;
        let error = tokio::select! {
            biased;
            result = &mut answered => return result.unwrap_or_else(|_| Err(ended())),
            error = cx.ended() => error,
        };
        stop.raise();
        match answered.await.unwrap_or_else(|_| Err(ended())) {
            Err(cause) if cause.kind() == ErrorKind::Interrupted || cause.kind() == ErrorKind::Locked => {
                Err(error)
            }
            result => result,
        }
    }

    /// Has something done on the connection, and returns at once. What is returned stops it when dropped.
    pub(crate) fn submit(&self, work: impl FnOnce(&mut Link) + Send + 'static) -> Result<Stop> {
        let flag = Flag::default();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&flag);
        let job = Job {
            flag: Arc::clone(&flag),
            work: Box::new(work),
        };
        self.jobs
            .as_ref()
            .and_then(|jobs| jobs.send(job).ok())
            .ok_or_else(ended)?;
        Ok(Stop(flag))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .store(true, Ordering::Relaxed);
        drop(self.jobs.take());
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the thread of a SQLite connection panicked");
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worker")
    }
}

/// Stops a job when it is dropped; a job that is over is not harmed.
#[derive(Debug)]
pub(crate) struct Stop(Flag);

impl Stop {
    /// Asks the job to stop.
    pub(crate) fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.raise();
    }
}

fn serve(config: &Config, access: Access, opened: oneshot::Sender<Result<()>>, queue: &mpsc::Receiver<Job>) {
    let mut link = match Link::open(config, access) {
        Ok(link) => {
            if opened.send(Ok(())).is_err() {
                return;
            }
            link
        }
        Err(error) => {
            drop(opened.send(Err(error)));
            return;
        }
    };
    while let Ok(job) = queue.recv() {
        link.swap_flag(job.flag);
        (job.work)(&mut link);
    }
    link.swap_flag(Flag::default());
}

fn ended() -> Error {
    Error::internal("the thread of the SQLite connection has ended")
}
