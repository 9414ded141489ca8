//! A store in memory that is stricter than any real one, and can be told to misbehave.
//!
//! Strict: it notes what a careful caller does not do ([`MemoryStore::misuse`]). Faulty: each [`Fault`] breaks
//! one line of the contract, so that the checks of [`crate::store`] can be shown to see it. Persisted: with a
//! folder behind it, it survives a killed process, for crash tests of what is built on a store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use walkback_core::store::{BlobInfo, BlobWriter, ByteRange, ByteStream, Swept, check_key};
use walkback_core::{BackupStore, Cx, Error, ErrorKind, Result};

/// Reads come in pieces of this many bytes, so that nobody relies on getting a blob whole.
const PIECE: usize = 60_000;

/// One broken line of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// `write` shows what was written so far.
    VisibleBeforeCommit,
    /// `commit` returns before the blob can be seen.
    CommitReturnsEarly,
    /// `commit` over an existing key shows half of the new blob for a moment.
    CommitInTwoHalves,
    /// `commit` over an existing key keeps the old blob.
    OverwriteKeepsOld,
    /// Only the last piece that was written is kept.
    KeepsLastPieceOnly,
    /// A blob without bytes is not kept.
    EmptyBlobVanishes,
    /// Two writers of one key write into one buffer.
    WritersShareBuffer,
    /// `abort` commits.
    AbortCommits,
    /// `abort` removes the blob that was there before.
    AbortRemovesOld,
    /// Dropping a writer commits.
    DropCommits,
    /// A cancelled context is not looked at.
    IgnoresCancellation,
    /// A missing blob reads as an empty one.
    MissingReadsEmpty,
    /// A missing blob has a size of zero.
    MissingStatsEmpty,
    /// A range begins one byte late.
    RangeOffByOne,
    /// A range past the end is an error.
    RangePastEndFails,
    /// A blob is read in one piece.
    ReadsInOnePiece,
    /// A reader that has begun goes on in whatever blob is there by then.
    ReaderFollowsReplacement,
    /// The size of a blob is one too large.
    WrongSize,
    /// The time of a blob is the beginning of time.
    NoTime,
    /// A list comes in no order.
    ListUnsorted,
    /// A list is sorted part by part of the keys, as a walk over folders gives it.
    ListSortedByParts,
    /// A prefix must end where a part of a key ends.
    PrefixOfWholeParts,
    /// A list shows everything.
    ListIgnoresPrefix,
    /// A list leaves out the last blob.
    ListForgetsLast,
    /// A list shows blobs that are being written.
    ListShowsUnfinished,
    /// Removing a missing blob is an error.
    RemoveOfMissingFails,
    /// A removed blob stays in the list.
    RemoveKeepsListed,
    /// Removing a blob removes those whose key begins with it.
    RemoveTakesMore,
    /// `sweep` removes what a living writer has written.
    SweepKillsLiving,
    /// `sweep` removes a committed blob.
    SweepTakesCommitted,
    /// Keys that break the rule are accepted.
    AcceptsBadKeys,
}

/// A store in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    fault: Option<Fault>,
    folder: Option<PathBuf>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    blobs: BTreeMap<String, Blob>,
    /// Removed blobs that [`Fault::RemoveKeepsListed`] still lists.
    ghosts: BTreeMap<String, Blob>,
    unfinished: BTreeMap<u64, (String, BytesMut)>,
    writers: u64,
    misuse: Vec<String>,
}

#[derive(Debug, Clone)]
struct Blob {
    bytes: Bytes,
    modified: DateTime<Utc>,
}

impl MemoryStore {
    /// Creates an empty store that keeps the contract.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty store that breaks one line of it.
    #[must_use]
    pub fn with_fault(fault: Fault) -> Self {
        Self {
            fault: Some(fault),
            ..Self::default()
        }
    }

    /// Opens a store whose blobs are also files in a folder, which must exist.
    ///
    /// # Panics
    /// If the folder cannot be read, or holds something else.
    #[must_use]
    pub fn persisted(folder: &Path) -> Self {
        let store = Self {
            folder: Some(folder.to_owned()),
            ..Self::default()
        };
        for file in std::fs::read_dir(folder).expect("the folder can be read") {
            let file = file.expect("the folder can be read");
            let name = file.file_name().into_string().expect("the name is text");
            // What a killed writer left: never a blob.
            let Some(key) = name.strip_suffix(".blob") else {
                continue;
            };
            let metadata = file.metadata().expect("the file is there");
            let blob = Blob {
                bytes: std::fs::read(file.path()).expect("the file can be read").into(),
                modified: metadata.modified().expect("the system keeps times").into(),
            };
            store.lock().blobs.insert(key.replace('+', "/"), blob);
        }
        store
    }

    /// Returns what a careful caller would not have done: two writers of one key at once, a writer dropped
    /// without `commit` or `abort`, a key below another key.
    #[must_use]
    pub fn misuse(&self) -> Vec<String> {
        self.lock().misuse.clone()
    }

    /// Replaces the bytes of a blob behind everybody's back, keeping its time; returns whether there is one.
    pub fn tamper(&self, key: &str, with: impl FnOnce(&mut Vec<u8>)) -> bool {
        match self.lock().blobs.get_mut(key) {
            Some(blob) => {
                let mut bytes = blob.bytes.to_vec();
                with(&mut bytes);
                blob.bytes = bytes.into();
                true
            }
            None => false,
        }
    }

    /// Returns the keys of all blobs.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.lock().blobs.keys().cloned().collect()
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, cx: &Cx, key: &str) -> Result<()> {
        if !self.is(Fault::AcceptsBadKeys) {
            check_key(key)?;
        }
        if self.is(Fault::IgnoresCancellation) {
            return Ok(());
        }
        cx.check()
    }

    fn refuse_nested(&self, key: &str) -> Result<()> {
        let mut state = self.lock();
        let nested = |other: &String| {
            let (longer, shorter) = if other.len() > key.len() {
                (other.as_str(), key)
            } else {
                (key, other.as_str())
            };
            longer
                .strip_prefix(shorter)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        if let Some(other) = state.blobs.keys().find(|other| nested(other)).cloned() {
            state.misuse.push(format!("`{key}` was created beside `{other}`"));
            return Err(Error::new(
                ErrorKind::Usage,
                format!("`{key}` lies above or below `{other}`"),
            ));
        }
        Ok(())
    }

    fn missing(key: &str) -> Error {
        Error::not_found(format!("there is no blob `{key}` in memory"))
    }

    /// Makes a blob visible, and durable if there is a folder.
    fn publish(&self, cx: &Cx, key: &str, bytes: Bytes) -> Result<()> {
        if let Some(folder) = &self.folder {
            let file = folder.join(format!("{}.blob", key.replace('/', "+")));
            let unfinished = file.with_extension(format!("unfinished-{}", std::process::id()));
            let io = |error| Error::io("write", &file, error);
            std::fs::write(&unfinished, &bytes).map_err(io)?;
            cx.step("memory.store.written");
            std::fs::rename(&unfinished, &file).map_err(io)?;
            cx.step("memory.store.committed");
        }
        let modified = if self.is(Fault::NoTime) {
            DateTime::UNIX_EPOCH
        } else {
            cx.now()
        };
        self.lock().blobs.insert(key.to_owned(), Blob { bytes, modified });
        Ok(())
    }

    fn matches(&self, key: &str, prefix: &str) -> bool {
        if self.is(Fault::ListIgnoresPrefix) {
            return true;
        }
        if self.is(Fault::PrefixOfWholeParts) && !prefix.is_empty() && !prefix.ends_with('/') {
            return key == prefix || key.starts_with(&format!("{prefix}/"));
        }
        key.starts_with(prefix)
    }

    fn info(&self, key: &str, blob: &Blob) -> BlobInfo {
        let more = u64::from(self.is(Fault::WrongSize));
        BlobInfo::new(key.to_owned(), blob.bytes.len() as u64 + more, blob.modified)
    }

    fn cut(&self, bytes: &Bytes, range: Option<ByteRange>) -> Result<Bytes> {
        let Some(range) = range else {
            return Ok(bytes.clone());
        };
        let length = bytes.len() as u64;
        let late = u64::from(self.is(Fault::RangeOffByOne));
        let end = range.offset.saturating_add(range.length);
        if end > length && self.is(Fault::RangePastEndFails) {
            return Err(Error::new(ErrorKind::Usage, "the range lies past the end"));
        }
        let at = |position: u64| usize::try_from(position.min(length)).unwrap_or(bytes.len());
        let end = at(end);
        Ok(bytes.slice(at(range.offset.saturating_add(late)).min(end)..end))
    }
}

#[async_trait]
impl BackupStore for MemoryStore {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    async fn create(&self, cx: &Cx, key: &str) -> Result<Box<dyn BlobWriter>> {
        self.check(cx, key)?;
        self.refuse_nested(key)?;
        let mut state = self.lock();
        state.writers += 1;
        let id = state.writers;
        if state.unfinished.values().any(|(other, _)| other == key) {
            state.misuse.push(format!("`{key}` has two writers at once"));
        }
        state.unfinished.insert(id, (key.to_owned(), BytesMut::new()));
        Ok(Box::new(MemoryWriter {
            store: self.clone(),
            key: key.to_owned(),
            id,
            cx: cx.clone(),
            ended: false,
        }))
    }

    async fn read<'a>(&'a self, cx: &Cx, key: &str, range: Option<ByteRange>) -> Result<ByteStream<'a>> {
        self.check(cx, key)?;
        let blob = self.lock().blobs.get(key).map(|blob| blob.bytes.clone());
        let bytes = match blob {
            Some(bytes) => self.cut(&bytes, range)?,
            None if self.is(Fault::MissingReadsEmpty) => Bytes::new(),
            None => return Err(Self::missing(key)),
        };
        if self.is(Fault::ReadsInOnePiece) {
            return Ok(stream::iter([Ok(bytes)]).boxed());
        }
        let key = key.to_owned();
        let pieces = (0..bytes.len().div_ceil(PIECE)).map(move |piece| {
            let from = if self.is(Fault::ReaderFollowsReplacement) {
                self.lock()
                    .blobs
                    .get(&key)
                    .map_or_else(Bytes::new, |blob| blob.bytes.clone())
            } else {
                bytes.clone()
            };
            let start = (piece * PIECE).min(from.len());
            Ok(from.slice(start..(start + PIECE).min(from.len())))
        });
        Ok(stream::iter(pieces).boxed())
    }

    async fn list<'a>(&'a self, cx: &Cx, prefix: &str) -> Result<BoxStream<'a, Result<BlobInfo>>> {
        cx.check()?;
        let state = self.lock();
        let mut found: Vec<_> = state
            .blobs
            .iter()
            .chain(&state.ghosts)
            .filter(|(key, _)| self.matches(key, prefix))
            .map(|(key, blob)| self.info(key, blob))
            .collect();
        if self.is(Fault::ListShowsUnfinished) {
            let unfinished = state
                .unfinished
                .values()
                .filter(|(key, _)| self.matches(key, prefix));
            found.extend(
                unfinished.map(|(key, bytes)| BlobInfo::new(key.clone(), bytes.len() as u64, cx.now())),
            );
        }
        drop(state);
        if self.is(Fault::ListForgetsLast) {
            found.pop();
        }
        if self.is(Fault::ListUnsorted) {
            found.reverse();
        }
        if self.is(Fault::ListSortedByParts) {
            found.sort_by_key(|blob| blob.key.split('/').map(str::to_owned).collect::<Vec<_>>());
        }
        Ok(stream::iter(found.into_iter().map(Ok)).boxed())
    }

    async fn stat(&self, cx: &Cx, key: &str) -> Result<BlobInfo> {
        self.check(cx, key)?;
        match self.lock().blobs.get(key) {
            Some(blob) => Ok(self.info(key, blob)),
            None if self.is(Fault::MissingStatsEmpty) => Ok(BlobInfo::new(key.to_owned(), 0, cx.now())),
            None => Err(Self::missing(key)),
        }
    }

    async fn remove(&self, cx: &Cx, key: &str) -> Result<()> {
        self.check(cx, key)?;
        if let Some(folder) = &self.folder {
            let file = folder.join(format!("{}.blob", key.replace('/', "+")));
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io("remove", &file, error));
                }
                _ => cx.step("memory.store.removed"),
            }
        }
        let mut state = self.lock();
        let removed = state.blobs.remove(key);
        if self.is(Fault::RemoveTakesMore) {
            state.blobs.retain(|other, _| !other.starts_with(key));
        }
        match removed {
            Some(blob) if self.is(Fault::RemoveKeepsListed) => {
                state.ghosts.insert(key.to_owned(), blob);
                Ok(())
            }
            None if self.is(Fault::RemoveOfMissingFails) => Err(Self::missing(key)),
            _ => Ok(()),
        }
    }

    async fn sweep(&self, cx: &Cx) -> Result<Swept> {
        cx.check()?;
        let mut state = self.lock();
        let mut swept = Swept::default();
        if self.is(Fault::SweepKillsLiving) {
            swept.blobs = state.unfinished.len() as u64;
            state.unfinished.clear();
        }
        if self.is(Fault::SweepTakesCommitted) {
            state.blobs.pop_first();
        }
        Ok(swept)
    }
}

struct MemoryWriter {
    store: MemoryStore,
    key: String,
    id: u64,
    cx: Cx,
    ended: bool,
}

impl MemoryWriter {
    /// Takes what was written out of the store.
    fn take(&mut self) -> Result<Bytes> {
        self.ended = true;
        match self.store.lock().unfinished.remove(&self.id) {
            Some((_, bytes)) => Ok(bytes.freeze()),
            None => Err(Error::new(
                ErrorKind::Io,
                format!("what was written of `{}` is gone", self.key),
            )),
        }
    }

    fn written(&self) -> Option<Bytes> {
        let state = self.store.lock();
        state
            .unfinished
            .get(&self.id)
            .map(|(_, bytes)| bytes.clone().freeze())
    }
}

#[async_trait]
impl BlobWriter for MemoryWriter {
    async fn write(&mut self, cx: &Cx, bytes: Bytes) -> Result<()> {
        self.store.check(cx, &self.key)?;
        {
            let mut state = self.store.lock();
            let ids: BTreeSet<u64> = if self.store.is(Fault::WritersShareBuffer) {
                let same = state.unfinished.iter().filter(|(_, (key, _))| *key == self.key);
                same.map(|(id, _)| *id).collect()
            } else {
                BTreeSet::from([self.id])
            };
            for id in ids {
                if let Some((_, buffer)) = state.unfinished.get_mut(&id) {
                    if self.store.is(Fault::KeepsLastPieceOnly) {
                        buffer.clear();
                    }
                    buffer.extend_from_slice(&bytes);
                }
            }
        }
        if self.store.is(Fault::VisibleBeforeCommit)
            && let Some(so_far) = self.written()
        {
            self.store.publish(cx, &self.key, so_far)?;
        }
        // A writer that never waits hides what concurrent ones would do to each other.
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn commit(mut self: Box<Self>, cx: &Cx) -> Result<()> {
        let bytes = self.take()?;
        self.store.check(cx, &self.key)?;
        self.store.refuse_nested(&self.key)?;
        let exists = self.store.lock().blobs.contains_key(&self.key);
        if bytes.is_empty() && self.store.is(Fault::EmptyBlobVanishes) {
            return Ok(());
        }
        if exists && self.store.is(Fault::OverwriteKeepsOld) {
            return Ok(());
        }
        if exists && self.store.is(Fault::CommitInTwoHalves) {
            self.store
                .publish(cx, &self.key, bytes.slice(..bytes.len() / 2))?;
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        if self.store.is(Fault::CommitReturnsEarly) {
            let (store, key, cx) = (self.store.clone(), self.key.clone(), cx.clone());
            tokio::spawn(async move {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                store.publish(&cx, &key, bytes)
            });
            return Ok(());
        }
        self.store.publish(cx, &self.key, bytes)
    }

    async fn abort(mut self: Box<Self>, cx: &Cx) -> Result<()> {
        let bytes = self.take()?;
        if self.store.is(Fault::AbortCommits) {
            return self.store.publish(cx, &self.key, bytes);
        }
        if self.store.is(Fault::AbortRemovesOld) {
            self.store.lock().blobs.remove(&self.key);
        }
        Ok(())
    }
}

impl Drop for MemoryWriter {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let note = format!("the writer of `{}` was dropped without commit or abort", self.key);
        self.store.lock().misuse.push(note);
        let Ok(bytes) = self.take() else { return };
        if self.store.is(Fault::DropCommits) {
            let modified = self.cx.now();
            self.store
                .lock()
                .blobs
                .insert(self.key.clone(), Blob { bytes, modified });
        }
    }
}
