//! Advisory locks that die with the process.
//!
//! A lock is a file beside the database, locked by the operating system: `app.db-walkback-lock` for the lock
//! `walkback`, `app.db-walkback-lock-<name>` for any other. The system frees it when the file is closed, hence
//! also when the process is killed. Who holds it is written into the file; what a dead process has left there
//! means nothing, because the lock decides. The file stays when the lock is freed: removing it would let two
//! processes lock two files of one name.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use walkback_core::engine::{LockAttempt, LockHolder};
use walkback_core::{Error, Result};

use crate::private::beside;

/// The name whose file needs no suffix.
const USUAL: &str = "walkback";

/// No holder is longer; more is not read.
const LONGEST_HOLDER: u64 = 64 << 10;

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    name: String,
    file: File,
}

/// The locks that one session holds.
#[derive(Debug, Default)]
pub(crate) struct Locks(Vec<Lock>);

impl Locks {
    /// Tries once to take a lock on a database.
    pub(crate) fn attempt(
        &mut self,
        database: &Path,
        name: &str,
        holder: &LockHolder,
    ) -> Result<LockAttempt> {
        if self.0.iter().any(|lock| lock.name == name) {
            return Err(Error::new(
                walkback_core::ErrorKind::Usage,
                format!("this session holds the lock `{name}` already"),
            ));
        }
        let path = file_of(database, name)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| cannot_lock(&path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(LockAttempt::Held(read_holder(&mut file))),
            Err(TryLockError::Error(error)) => return Err(cannot_lock(&path, error)),
        }
        write_holder(&mut file, holder).map_err(|error| cannot_lock(&path, error))?;
        self.0.push(Lock {
            name: name.to_owned(),
            file,
        });
        Ok(LockAttempt::Taken)
    }

    /// Frees a lock.
    pub(crate) fn free(&mut self, name: &str) -> Result<()> {
        let Some(index) = self.0.iter().position(|lock| lock.name == name) else {
            return Err(Error::new(
                walkback_core::ErrorKind::Usage,
                format!("this session does not hold the lock `{name}`"),
            ));
        };
        drop(self.0.remove(index));
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // So that nobody reads the name of somebody who is done. Closing the file is what frees the lock.
        if let Err(error) = self.file.set_len(0) {
            tracing::debug!(%error, "cannot empty a lock file");
        }
    }
}

/// Returns the file of a lock: beside the database itself, whatever links lead to it.
fn file_of(database: &Path, name: &str) -> Result<PathBuf> {
    let real = match std::fs::canonicalize(database) {
        Ok(real) => real,
        Err(_) => {
            let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            let folder = std::fs::canonicalize(folder).map_err(|error| cannot_lock(folder, error))?;
            folder.join(database.file_name().unwrap_or_default())
        }
    };
    let suffix = if name == USUAL {
        "-walkback-lock".to_owned()
    } else {
        format!("-walkback-lock-{}", safe(name))
    };
    Ok(beside(&real, &suffix))
}

/// Returns a name that is sound in every file system, and another one for every other name.
fn safe(name: &str) -> String {
    let mut safe = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' {
            safe.push(char::from(byte));
        } else {
            safe.push_str(&format!("_{byte:02x}"));
        }
    }
    safe
}

fn cannot_lock(path: &Path, error: std::io::Error) -> Error {
    Error::io("lock", path, error)
        .hint("walkback keeps its lock in a file beside the database: make that folder writable")
}

fn read_holder(file: &mut File) -> Option<LockHolder> {
    let mut text = String::new();
    file.take(LONGEST_HOLDER).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn write_holder(file: &mut File, holder: &LockHolder) -> std::io::Result<()> {
    let text = serde_json::to_vec(holder)?;
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(who: &str) -> LockHolder {
        LockHolder {
            who: who.to_owned(),
            since: None,
        }
    }

    #[test]
    fn names_of_locks_become_names_of_files_that_never_collide() {
        assert_eq!(safe("point-1"), "point-1");
        assert_ne!(safe("a/b"), safe("a_b"));
        assert_ne!(safe("A"), safe("a"));
        assert!(!safe("../../etc/é\0").contains(['/', '.', '\0']));
    }

    #[test]
    fn two_paths_to_one_database_are_one_lock() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        std::fs::write(&file, "").unwrap();
        let (mut one, mut other) = (Locks::default(), Locks::default());
        assert_eq!(
            one.attempt(&file, "walkback", &holder("one")).unwrap(),
            LockAttempt::Taken
        );
        let detour = folder.path().join(".").join("a.db");
        assert_eq!(
            other.attempt(&detour, "walkback", &holder("other")).unwrap(),
            LockAttempt::Held(Some(holder("one")))
        );
        #[cfg(unix)]
        {
            let link = folder.path().join("link.db");
            std::os::unix::fs::symlink(&file, &link).unwrap();
            assert_ne!(
                other.attempt(&link, "walkback", &holder("other")).unwrap(),
                LockAttempt::Taken
            );
        }
        one.free("walkback").unwrap();
        assert_eq!(
            other.attempt(&detour, "walkback", &holder("other")).unwrap(),
            LockAttempt::Taken
        );
        assert!(one.free("walkback").is_err());
    }

    #[test]
    fn what_a_dead_process_left_in_the_file_does_not_matter() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        std::fs::write(beside(&file, "-walkback-lock"), "{\"who\": \"a dead process").unwrap();
        let mut locks = Locks::default();
        assert_eq!(
            locks.attempt(&file, "walkback", &holder("me")).unwrap(),
            LockAttempt::Taken
        );
        let text = std::fs::read_to_string(beside(&file, "-walkback-lock")).unwrap();
        assert_eq!(text, r#"{"who":"me"}"#);
    }
}
