//! Files and folders that are private and durable.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use walkback_core::store::Swept;
use walkback_core::{Cx, Result};

use crate::error::Doing as _;

/// Folders of which this process knows that their entries are durable.
#[derive(Debug, Default)]
pub(crate) struct Folders(Mutex<HashSet<PathBuf>>);

impl Folders {
    /// Makes a folder and those above it, durably. One that is there already may have been made by a process
    /// that was killed before it could make it durable, so the first look at it does that again.
    pub(crate) fn make(&self, cx: &Cx, folder: &Path) -> Result<()> {
        if self.known(folder) {
            return Ok(());
        }
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent
            && !folder.is_dir()
        {
            self.make(cx, parent)?;
        }
        match private_folder().create(folder) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
            Err(error) => return Err(error).doing("create the folder", folder),
        }
        // Folders above the store's own belong to somebody else, and are durable or not without us.
        if let Some(parent) = parent {
            sync_folder(parent).doing("make durable the folder", parent)?;
        }
        cx.step("store.fs.folder-durable");
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(folder.to_owned());
        Ok(())
    }

    fn known(&self, folder: &Path) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(folder)
    }
}

/// A file under a name that nobody else uses, locked as long as it lives, and removed when it is dropped.
#[derive(Debug)]
pub(crate) struct TempFile {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    renamed: bool,
}

impl TempFile {
    /// Creates a temporary file in a folder that exists.
    pub(crate) fn create(folder: &Path) -> Result<Self> {
        loop {
            let path = folder.join(unused_name());
            let file = match private_file().open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                other => other.doing("create", &path)?,
            };
            let temp = Self {
                file,
                path,
                renamed: false,
            };
            temp.file.lock().doing("lock", &temp.path)?;
            // Between its creation and the lock, the file looked as if its writer was dead: a sweep may have
            // removed it. Such a file is of no use, and the next one is tried.
            if is_linked(&temp.file, &temp.path).doing("look at", &temp.path)? {
                return Ok(temp);
            }
        }
    }

    /// Gives the file its final name.
    pub(crate) fn rename(&mut self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.renamed {
            // If this fails, the lock ends with the process and the next sweep removes the file.
            fs::remove_file(&self.path).ok();
        }
    }
}

/// Removes the temporary files whose writers are dead.
pub(crate) fn sweep(folder: &Path) -> Result<Swept> {
    let mut swept = Swept::default();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(swept),
        other => other.doing("read the folder", folder)?,
    };
    for entry in entries {
        let path = entry.doing("read the folder", folder)?.path();
        if let Some(bytes) = remove_if_dead(&path).doing("sweep", &path)? {
            swept.blobs += 1;
            swept.bytes += bytes;
        }
    }
    Ok(swept)
}

fn remove_if_dead(path: &Path) -> io::Result<Option<u64>> {
    let file = match File::open(path) {
        // Its writer has just finished.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
        Ok(()) => {}
    }
    // A writer may have renamed its file and ended between the two calls; then this name is free, or belongs
    // to another file that is not locked by us.
    if !is_linked(&file, path)? {
        return Ok(None);
    }
    let bytes = file.metadata()?.len();
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(|()| Some(bytes)),
    }
}

/// Makes the entries of a folder durable: names that were added, changed or removed.
#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes the entries of a folder durable: elsewhere the system does so by itself.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Returns whether the open file is the one under this path.
#[cfg(unix)]
fn is_linked(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let open = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((open.dev(), open.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn is_linked(_: &File, path: &Path) -> io::Result<bool> {
    path.try_exists()
}

fn private_folder() -> DirBuilder {
    #[cfg_attr(not(unix), expect(unused_mut))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn unused_name() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let nanoseconds = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    format!("{}-{nanoseconds:x}-{count}", std::process::id())
}
