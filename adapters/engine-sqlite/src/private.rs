//! A private copy of a database that cannot be read in place.
//!
//! A writer that is killed leaves a journal beside the file, and the file is not to be read before that
//! journal is rolled back. A session that may not change a byte of the file cannot do so: it copies both, and
//! rolls back in the copy. The same goes for a database in WAL mode in a folder that cannot be written.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::ffi;
use tempfile::TempDir;
use walkback_core::{Error, ErrorKind, Result};

/// How often a copy is begun again because somebody wrote meanwhile.
const ATTEMPTS: usize = 5;

/// What SQLite appends to the name of a database for the files that belong to it.
const COMPANIONS: [&str; 2] = ["-journal", "-wal"];

/// A copy of a database with its journals, removed when it is dropped.
#[derive(Debug)]
pub(crate) struct PrivateCopy {
    folder: TempDir,
}

impl PrivateCopy {
    /// Returns whether an error says that the file itself is fine, but only a writer can read it.
    ///
    /// Reading a database past SQLite is sound here alone: closing the file drops every lock that this process
    /// holds on it, and in these cases it can hold none.
    pub(crate) fn would_help(error: &rusqlite::Error, path: &Path) -> bool {
        let code = error.sqlite_error().map(|error| error.extended_code);
        match code {
            Some(
                ffi::SQLITE_READONLY_ROLLBACK
                | ffi::SQLITE_READONLY_RECOVERY
                | ffi::SQLITE_READONLY_CANTINIT
                | ffi::SQLITE_READONLY_CANTLOCK,
            ) => true,
            // What a database in WAL mode answers whose folder cannot be written.
            Some(ffi::SQLITE_CANTOPEN) => path
                .parent()
                .is_some_and(|folder| tempfile::tempfile_in(folder).is_err()),
            _ => false,
        }
    }

    /// Copies a database and its journals, all in the state of one moment.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let original = fs::canonicalize(path).map_err(|error| Error::io("open", path, error))?;
        for _ in 0..ATTEMPTS {
            let before = stamps(&original);
            let copy = Self {
                folder: tempfile::tempdir()
                    .map_err(|error| Error::io("create a folder in", &std::env::temp_dir(), error))?,
            };
            copy_file(&original, &copy.path())?;
            for companion in COMPANIONS {
                let from = beside(&original, companion);
                if from.exists() {
                    copy_file(&from, &beside(&copy.path(), companion))?;
                }
            }
            if stamps(&original) == before {
                return Ok(copy);
            }
        }
        Err(Error::new(
            ErrorKind::Locked,
            format!("`{}` changed each time it was copied", path.display()),
        )
        .retryable())
    }

    /// Returns the file of the copy.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("copy.db")
    }
}

/// Returns the name of a file that belongs to a database: `app.db-journal`.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .map(drop)
        .map_err(|error| Error::io("read", from, error))
}

/// What changes when somebody writes: size and time of each file.
fn stamps(path: &Path) -> Vec<Option<(u64, Option<SystemTime>)>> {
    std::iter::once(path.to_owned())
        .chain(COMPANIONS.map(|companion| beside(path, companion)))
        .map(|file| {
            let metadata = fs::metadata(file).ok()?;
            Some((metadata.len(), metadata.modified().ok()))
        })
        .collect()
}
