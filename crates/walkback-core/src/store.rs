//! The contract of a backup store: bytes under keys, nothing else.
//!
//! # How to write one
//! A crate `adapters/store-<name>` with `config.rs`, `store.rs` and `error.rs`; `register_store!` in its
//! `lib.rs`; its name in `walkback-adapters`; and a test `tests/conformance.rs` of ten lines that hands a
//! fresh, empty store to `walkback_conformance::store`. There is no format and no encryption in a store: the
//! vault brings both.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;

use crate::cx::Cx;
use crate::error::Result;

/// A stream of bytes in pieces of any size.
pub type ByteStream<'a> = BoxStream<'a, Result<Bytes>>;

/// What is known of a blob without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlobInfo {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was last written.
    pub modified: DateTime<Utc>,
}

impl BlobInfo {
    /// Creates the description of a blob.
    #[must_use]
    pub fn new(key: String, bytes: u64, modified: DateTime<Utc>) -> Self {
        Self { key, bytes, modified }
    }
}

/// What `sweep` has removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many unfinished blobs.
    pub blobs: u64,
    /// How many bytes they held.
    pub bytes: u64,
}

/// Bytes under keys.
///
/// A key is one or more parts joined by `/`; a part is 1 to 200 characters of `a-z A-Z 0-9 . _ -`, and
/// neither `.` nor `..`. Any other key is refused with `Usage` and no effect. Callers use no key that lies
/// below another one (`a/b` beside `a`), and none that differs from another in upper and lower case alone:
/// a folder of files cannot hold both, and may refuse the second with `Usage`.
///
/// - `create` shows nothing under the key until `commit` has returned.
/// - `commit` returns only when the blob is durable, whole and visible to `read`, `stat` and `list`.
/// - `commit` over an existing key replaces it, all at once: a reader sees the old blob or the new one.
/// - A writer that is aborted, dropped or killed leaves nothing visible.
/// - `read` gives the bytes that were written, or the part asked for; a range past the end is cut.
/// - `read` and `stat` of a missing key are `NotFound`.
/// - `list` is sorted by key, sees every committed blob whose key starts with the prefix, and nothing else.
/// - `remove` of a missing key is fine; a removed blob is gone for `read`, `stat` and `list`.
/// - `sweep` removes what killed writers left behind, and nothing a living writer still needs.
#[async_trait]
pub trait BackupStore: fmt::Debug + Send + Sync {
    /// Returns where the store is, for messages: never a credential.
    fn location(&self) -> String;

    /// Begins a blob.
    async fn create(&self, cx: &Cx, key: &str) -> Result<Box<dyn BlobWriter>>;

    /// Reads a blob, or `length` bytes of it from `offset`.
    async fn read<'a>(&'a self, cx: &Cx, key: &str, range: Option<ByteRange>) -> Result<ByteStream<'a>>;

    /// Lists the blobs whose key starts with `prefix`, sorted by key.
    async fn list<'a>(&'a self, cx: &Cx, prefix: &str) -> Result<BoxStream<'a, Result<BlobInfo>>>;

    /// Describes a blob.
    async fn stat(&self, cx: &Cx, key: &str) -> Result<BlobInfo>;

    /// Removes a blob.
    async fn remove(&self, cx: &Cx, key: &str) -> Result<()>;

    /// Removes what killed writers left behind.
    async fn sweep(&self, cx: &Cx) -> Result<Swept>;
}

/// A part of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte, from 0.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
}

/// A blob being written. Dropping it without `commit` is an abort.
#[async_trait]
pub trait BlobWriter: Send {
    /// Appends bytes.
    async fn write(&mut self, cx: &Cx, bytes: Bytes) -> Result<()>;

    /// Makes the blob durable and visible, or fails and leaves nothing.
    async fn commit(self: Box<Self>, cx: &Cx) -> Result<()>;

    /// Forgets the blob.
    async fn abort(self: Box<Self>, cx: &Cx) -> Result<()>;
}

/// Checks a key against the rule on [`BackupStore`].
///
/// # Errors
/// [`ErrorKind::Usage`](crate::ErrorKind::Usage) with the key in the message.
pub fn check_key(key: &str) -> Result<()> {
    let part_is_fine = |part: &str| {
        (1..=200).contains(&part.len())
            && part != "."
            && part != ".."
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    if key.split('/').all(part_is_fine) {
        return Ok(());
    }
    Err(crate::Error::new(
        crate::ErrorKind::Usage,
        format!("`{key}` is not a key of a store"),
    ))
}

/// What can be said with the primitives of a store.
#[async_trait]
pub trait StoreExt: BackupStore {
    /// Writes a whole blob at once.
    async fn put(&self, cx: &Cx, key: &str, bytes: Bytes) -> Result<()> {
        let mut writer = self.create(cx, key).await?;
        if let Err(error) = writer.write(cx, bytes).await {
            writer.abort(&cx.shielded()).await.ok();
            return Err(error);
        }
        writer.commit(cx).await
    }

    /// Reads a whole blob.
    async fn get(&self, cx: &Cx, key: &str) -> Result<Bytes> {
        use futures::TryStreamExt as _;
        let mut stream = self.read(cx, key, None).await?;
        let mut whole = bytes::BytesMut::new();
        while let Some(piece) = stream.try_next().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// Returns whether a blob exists.
    async fn exists(&self, cx: &Cx, key: &str) -> Result<bool> {
        match self.stat(cx, key).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == crate::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl<S: BackupStore + ?Sized> StoreExt for S {}
