//! The store itself: how a blob is written, read and removed.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use walkback_core::store::{BlobInfo, BlobWriter, ByteRange, ByteStream, Swept, check_key};
use walkback_core::{BackupStore, Cx, Error, Result};

use crate::disk::{self, Folders, TempFile};
use crate::error::{self, Doing as _, is_missing};

/// Where unfinished files are. No key can have a `~` in it.
const TEMP: &str = "tmp~";

/// How many bytes are read at once.
const PIECE: usize = 256 << 10;

/// Blobs as files below one folder.
#[derive(Debug, Clone)]
pub struct FsStore {
    root: PathBuf,
    folders: Arc<Folders>,
}

impl FsStore {
    /// Creates a store below a folder, which need not exist. Nothing is read or written.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            folders: Arc::default(),
        }
    }

    fn path(&self, key: &str) -> Result<PathBuf> {
        check_key(key)?;
        Ok(self.root.join(key))
    }

    fn temp_folder(&self) -> PathBuf {
        self.root.join(TEMP)
    }
}

#[async_trait]
impl BackupStore for FsStore {
    fn location(&self) -> String {
        self.root.display().to_string()
    }

    async fn create(&self, cx: &Cx, key: &str) -> Result<Box<dyn BlobWriter>> {
        let target = self.path(key)?;
        cx.check()?;
        let (store, owned, key) = (self.clone(), cx.clone(), key.to_owned());
        let temp = blocking(move || {
            let folder = store.temp_folder();
            store.folders.make(&owned, &folder)?;
            let temp = TempFile::create(&folder)?;
            owned.step("store.fs.temp-created");
            Ok(temp)
        })
        .await?;
        Ok(Box::new(FsWriter {
            folders: Arc::clone(&self.folders),
            temp: Arc::new(temp),
            target,
            key,
            torn: false,
        }))
    }

    async fn read<'a>(&'a self, cx: &Cx, key: &str, range: Option<ByteRange>) -> Result<ByteStream<'a>> {
        let path = self.path(key)?;
        cx.check()?;
        let (root, key) = (self.root.clone(), key.to_owned());
        let file = blocking(move || open_at(&root, &key, path, range)).await?;
        let cx = cx.clone();
        let pieces = stream::try_unfold(file, move |file| {
            let cx = cx.clone();
            async move {
                cx.check()?;
                blocking(move || file.next_piece()).await
            }
        });
        Ok(pieces.into_stream().boxed())
    }

    async fn list<'a>(&'a self, cx: &Cx, prefix: &str) -> Result<BoxStream<'a, Result<BlobInfo>>> {
        cx.check()?;
        Ok(crate::list::list(cx, self.root.clone(), prefix))
    }

    async fn stat(&self, cx: &Cx, key: &str) -> Result<BlobInfo> {
        let path = self.path(key)?;
        cx.check()?;
        let (root, key) = (self.root.clone(), key.to_owned());
        blocking(move || match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => {
                let modified = metadata.modified().doing("look at", &path)?;
                Ok(BlobInfo::new(key, metadata.len(), modified.into()))
            }
            Ok(_) => Err(error::missing(&key, &root)),
            Err(error) if is_missing(&error) => Err(error::missing(&key, &root)),
            Err(error) => Err(error).doing("look at", &path),
        })
        .await
    }

    async fn remove(&self, cx: &Cx, key: &str) -> Result<()> {
        let path = self.path(key)?;
        cx.check()?;
        let cx = cx.clone();
        blocking(move || {
            if path.is_dir() {
                return Ok(());
            }
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if is_missing(&error) => return Ok(()),
                Err(error) => return Err(error).doing("remove", &path),
            }
            cx.step("store.fs.unlinked");
            sync_parent(&path)?;
            cx.step("store.fs.removed");
            Ok(())
        })
        .await
    }

    async fn sweep(&self, cx: &Cx) -> Result<Swept> {
        cx.check()?;
        let folder = self.temp_folder();
        blocking(move || disk::sweep(&folder)).await
    }
}

/// A blob that is being written to a temporary file.
struct FsWriter {
    folders: Arc<Folders>,
    temp: Arc<TempFile>,
    target: PathBuf,
    key: String,
    /// A write has failed or was given up half-way: the file must not be committed.
    torn: bool,
}

#[async_trait]
impl BlobWriter for FsWriter {
    async fn write(&mut self, cx: &Cx, bytes: Bytes) -> Result<()> {
        cx.check()?;
        // If this future is dropped while it waits, nobody knows how much was written.
        let torn_before = std::mem::replace(&mut self.torn, true);
        let temp = Arc::clone(&self.temp);
        blocking(move || (&temp.file).write_all(&bytes).doing("write", &temp.path)).await?;
        self.torn = torn_before;
        Ok(())
    }

    async fn commit(self: Box<Self>, cx: &Cx) -> Result<()> {
        cx.check()?;
        if self.torn {
            return Err(error::torn(&self.key));
        }
        let Ok(temp) = Arc::try_unwrap(self.temp) else {
            return Err(error::torn(&self.key));
        };
        let (folders, target, key, cx) = (self.folders, self.target, self.key, cx.clone());
        blocking(move || commit(&cx, &folders, temp, &target, &key)).await
    }

    async fn abort(self: Box<Self>, _: &Cx) -> Result<()> {
        blocking(move || {
            drop(self);
            Ok(())
        })
        .await
    }
}

/// The order that makes a blob atomic and durable: content, then name, then the folder that holds the name.
fn commit(cx: &Cx, folders: &Folders, mut temp: TempFile, target: &Path, key: &str) -> Result<()> {
    temp.file
        .set_modified(cx.now().into())
        .doing("date", &temp.path)?;
    temp.file.sync_all().doing("make durable", &temp.path)?;
    cx.step("store.fs.temp-durable");
    let folder = target.parent().unwrap_or(target);
    if let Err(error) = folders.make(cx, folder) {
        return Err(if has_file_above(target) {
            error::nested(key, io::ErrorKind::NotADirectory.into())
        } else {
            error
        });
    }
    match temp.rename(target) {
        // A folder from which everything was removed is in the way of nobody.
        Err(_) if target.is_dir() && fs::remove_dir(target).is_ok() => {
            temp.rename(target).doing("create", target)?
        }
        Err(source) if target.is_dir() => return Err(error::nested(key, source)),
        other => other.doing("create", target)?,
    }
    cx.step("store.fs.renamed");
    sync_parent(target)?;
    cx.step("store.fs.committed");
    Ok(())
}

fn has_file_above(target: &Path) -> bool {
    target.ancestors().skip(1).any(Path::is_file)
}

fn sync_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    disk::sync_folder(parent).doing("make durable the folder", parent)
}

/// A file being read, and how much of it is still wanted.
struct OpenFile {
    file: File,
    path: PathBuf,
    left: u64,
}

impl OpenFile {
    fn next_piece(mut self) -> Result<Option<(Bytes, Self)>> {
        let wanted = usize::try_from(self.left).unwrap_or(PIECE).min(PIECE);
        let mut piece = BytesMut::zeroed(wanted);
        let mut filled = 0;
        while filled < wanted {
            match self.file.read(&mut piece[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).doing("read", &self.path),
            }
        }
        if filled == 0 {
            return Ok(None);
        }
        piece.truncate(filled);
        self.left -= filled as u64;
        Ok(Some((piece.freeze(), self)))
    }
}

fn open_at(root: &Path, key: &str, path: PathBuf, range: Option<ByteRange>) -> Result<OpenFile> {
    let mut file = match File::open(&path) {
        Err(error) if is_missing(&error) => return Err(error::missing(key, root)),
        other => other.doing("open", &path)?,
    };
    let size = file.metadata().doing("look at", &path)?;
    if !size.is_file() {
        return Err(error::missing(key, root));
    }
    let left = match range {
        None => u64::MAX,
        // Nobody needs to seek to a place past the end, and some systems refuse to.
        Some(range) if range.offset >= size.len() => 0,
        Some(range) => {
            file.seek(SeekFrom::Start(range.offset)).doing("seek in", &path)?;
            range.length
        }
    };
    Ok(OpenFile { file, path, left })
}

/// Runs file operations on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal("a worker thread of the store panicked").with_source(error))?
}
