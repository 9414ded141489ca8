//! Walking over the folder in the order of the keys, one folder in memory at a time.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::vec::IntoIter;

use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use walkback_core::store::{BlobInfo, check_key};
use walkback_core::{Cx, Result};

use crate::error::{Doing as _, is_missing, not_a_folder};
use crate::store::blocking;

/// A file or folder, by the part of a key it stands for.
struct Entry {
    /// The key of a file; of a folder, the beginning of the keys in it, with a `/` at its end.
    key: String,
    path: PathBuf,
    metadata: Metadata,
}

/// Lists the files whose key starts with `prefix`, sorted by key.
pub(crate) fn list<'a>(cx: &Cx, root: PathBuf, prefix: &str) -> BoxStream<'a, Result<BlobInfo>> {
    let state = Walk {
        cx: cx.clone(),
        prefix: prefix.to_owned(),
        next: Some((root, String::new())),
        open: Vec::new(),
    };
    stream::try_unfold(state, |mut walk| async move {
        let found = walk.advance().await?;
        Ok(found.map(|blob| (blob, walk)))
    })
    .into_stream()
    .boxed()
}

struct Walk {
    cx: Cx,
    prefix: String,
    /// A folder to read next.
    next: Option<(PathBuf, String)>,
    /// What is left of the folders that are being read, the innermost last.
    open: Vec<IntoIter<Entry>>,
}

impl Walk {
    async fn advance(&mut self) -> Result<Option<BlobInfo>> {
        loop {
            if let Some((folder, key)) = self.next.take() {
                self.cx.check()?;
                let prefix = self.prefix.clone();
                let entries = blocking(move || read_sorted(&folder, &key, &prefix)).await?;
                self.open.push(entries.into_iter());
            }
            let Some(innermost) = self.open.last_mut() else {
                return Ok(None);
            };
            match innermost.next() {
                None => drop(self.open.pop()),
                Some(entry) if entry.metadata.is_dir() => self.next = Some((entry.path, entry.key)),
                Some(entry) => {
                    let modified = entry.metadata.modified().doing("look at", &entry.path)?;
                    return Ok(Some(BlobInfo::new(
                        entry.key,
                        entry.metadata.len(),
                        modified.into(),
                    )));
                }
            }
        }
    }
}

/// Reads one folder. A folder sorts by its name with a `/`, as the keys in it do: `a-b` before `a/b`.
fn read_sorted(folder: &Path, below: &str, prefix: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let listing = match fs::read_dir(folder) {
        // Of a folder that a file has taken the place of, nobody can say that there are no blobs in it.
        Err(_) if below.is_empty() && folder.is_file() => return Err(not_a_folder(folder)),
        Err(error) if is_missing(&error) => return Ok(entries),
        other => other.doing("read the folder", folder)?,
    };
    for item in listing {
        let path = item.doing("read the folder", folder)?.path();
        // What has a name that no key can have was not put here by a store: the temporary folder above all.
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if check_key(name).is_err() {
            continue;
        }
        let mut key = format!("{below}{name}");
        let metadata = match fs::metadata(&path) {
            // Removed while the folder was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.doing("look at", &path)?,
        };
        if metadata.is_dir() {
            key.push('/');
        }
        let leads_there = key.starts_with(prefix) || (metadata.is_dir() && prefix.starts_with(&key));
        if leads_there {
            entries.push(Entry { key, path, metadata });
        }
    }
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(entries)
}
