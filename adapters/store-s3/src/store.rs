//! The store itself: how a blob is found, read and removed.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, SubsecRound as _, Utc};
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3;
use object_store::client::HttpClient;
use object_store::list::{PaginatedListOptions, PaginatedListStore as _};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, Extensions, GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore as _,
    ObjectStoreExt as _,
};
use walkback_core::store::{BlobInfo, BlobWriter, ByteRange, ByteStream, Swept, check_key};
use walkback_core::{BackupStore, Cx, Error, Result};

use crate::error::{Place, failure};
use crate::http::{Lock, Retention};
use crate::write::S3Writer;

/// Blobs as objects below a prefix of one bucket.
#[derive(Clone)]
pub struct S3Store(Arc<Inner>);

/// Where it is, and nothing else: the client holds credentials.
impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("S3Store").field(&self.0.place.location).finish()
    }
}

/// What a store and its writers share.
pub(crate) struct Inner {
    pub(crate) s3: AmazonS3,
    /// For requests that the client of the object store does not know.
    pub(crate) http: HttpClient,
    pub(crate) place: Place,
    pub(crate) storage_class: Option<String>,
    pub(crate) retention: Option<Retention>,
    /// What every key begins with: empty, or with a `/` at its end.
    pub(crate) base: String,
    /// A request has shown that the bucket is there.
    pub(crate) bucket_seen: AtomicBool,
}

impl Inner {
    /// Returns the object of a key.
    pub(crate) fn path(&self, key: &str) -> Result<Path> {
        check_key(key)?;
        Path::parse(format!("{}{key}", self.base)).map_err(|error| {
            Error::internal(format!("`{key}` is not a name of an object")).with_source(error)
        })
    }

    /// Runs a request until it is done or the context has ended.
    pub(crate) async fn run<T>(
        &self,
        cx: &Cx,
        doing: impl FnOnce() -> String,
        request: impl Future<Output = object_store::Result<T>> + Send,
    ) -> Result<T> {
        match until_ended(cx, request).await? {
            Ok(value) => {
                self.bucket_seen.store(true, Ordering::Relaxed);
                Ok(value)
            }
            Err(error) => Err(self.place.error(&error, &doing())),
        }
    }

    /// Returns what is attached to an object when it is made.
    pub(crate) fn attached(&self, cx: &Cx) -> (Attributes, Extensions) {
        let (mut attributes, mut extensions) = (Attributes::new(), Extensions::new());
        if let Some(class) = &self.storage_class {
            attributes.insert(Attribute::StorageClass, class.clone().into());
        }
        if let Some(retention) = self.retention {
            extensions.insert(Lock {
                mode: retention.mode,
                until: cx.now() + retention.keep,
            });
        }
        (attributes, extensions)
    }

    /// Turns "there is no such object" into an error that names the key. An answer without a body does not say
    /// whether it is the bucket that is missing, so that is asked once.
    async fn missing(&self, cx: &Cx, key: &str) -> Error {
        if !self.bucket_seen.load(Ordering::Relaxed) {
            let options = PaginatedListOptions {
                max_keys: Some(1),
                ..PaginatedListOptions::default()
            };
            let look = self.s3.list_paginated(Some(&self.base), options);
            if let Err(error) = self.run(cx, || format!("look for `{key}`"), look).await {
                return error;
            }
        }
        self.place.missing(key)
    }
}

/// Runs something until it is done or the context has ended.
pub(crate) async fn until_ended<T>(cx: &Cx, work: impl Future<Output = T> + Send) -> Result<T> {
    cx.check()?;
    tokio::select! {
        biased;
        done = work => Ok(done),
        error = cx.ended() => Err(error),
    }
}

/// Times of objects have whole seconds where the object is described, and finer ones where it is listed.
pub(crate) fn whole_seconds(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(0)
}

fn is_missing(error: &object_store::Error) -> bool {
    failure(error).is_some_and(|failure| failure.status == 404 && failure.code != "NoSuchBucket")
}

/// The part of a blob that is asked for, as a request can say it.
enum Part {
    Whole,
    Range(GetRange),
    Nothing,
}

impl Part {
    /// Servers keep sizes in signed numbers: no blob is larger, and a larger number would not be understood.
    const LARGEST: u64 = i64::MAX as u64;

    fn of(range: Option<ByteRange>) -> Self {
        let Some(ByteRange { offset, length }) = range else {
            return Self::Whole;
        };
        let end = offset.saturating_add(length);
        if length == 0 || offset >= Self::LARGEST {
            Self::Nothing
        } else if end >= Self::LARGEST {
            Self::Range(GetRange::Offset(offset))
        } else {
            Self::Range(GetRange::Bounded(offset..end))
        }
    }
}

impl S3Store {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    async fn describe(&self, cx: &Cx, key: &str) -> Result<ObjectMeta> {
        let path = self.0.path(key)?;
        match until_ended(cx, self.0.s3.head(&path)).await? {
            Err(error) if is_missing(&error) => Err(self.0.missing(cx, key).await),
            other => {
                self.0
                    .run(cx, || format!("look at `{key}`"), async { other })
                    .await
            }
        }
    }

    /// Passes the bytes of an answer on, and fails if there are fewer than were announced.
    fn stream(&self, cx: &Cx, key: &str, found: GetResult) -> ByteStream<'static> {
        let left = found.range.end - found.range.start;
        let (store, cx, key) = (self.clone(), cx.clone(), key.to_owned());
        let bytes = found.into_stream();
        stream::try_unfold((bytes, left), move |(mut bytes, left)| {
            let (store, cx, key) = (store.clone(), cx.clone(), key.clone());
            async move {
                let place = &store.0.place;
                match until_ended(&cx, bytes.next()).await? {
                    Some(Ok(piece)) => {
                        let left = left.saturating_sub(piece.len() as u64);
                        Ok(Some((piece, (bytes, left))))
                    }
                    Some(Err(error)) => Err(place.error(&error, &format!("read `{key}`"))),
                    None if left > 0 => Err(place.short(&key, left)),
                    None => Ok(None),
                }
            }
        })
        .into_stream()
        .boxed()
    }
}

#[async_trait]
impl BackupStore for S3Store {
    fn location(&self) -> String {
        self.0.place.location.clone()
    }

    async fn create(&self, cx: &Cx, key: &str) -> Result<Box<dyn BlobWriter>> {
        let path = self.0.path(key)?;
        cx.check()?;
        Ok(Box::new(S3Writer::new(Arc::clone(&self.0), key, path)))
    }

    async fn read<'a>(&'a self, cx: &Cx, key: &str, range: Option<ByteRange>) -> Result<ByteStream<'a>> {
        let path = self.0.path(key)?;
        let range = match Part::of(range) {
            Part::Whole => None,
            Part::Range(range) => Some(range),
            Part::Nothing => {
                self.describe(cx, key).await?;
                return Ok(stream::empty().boxed());
            }
        };
        let options = GetOptions {
            range,
            ..GetOptions::default()
        };
        match until_ended(cx, self.0.s3.get_opts(&path, options)).await? {
            Err(error) if is_missing(&error) => Err(self.0.missing(cx, key).await),
            // The part begins at the end of the blob, or behind it.
            Err(error) if failure(&error).is_some_and(|failure| failure.status == 416) => {
                Ok(stream::empty::<Result<Bytes>>().boxed())
            }
            other => {
                let found = self
                    .0
                    .run(cx, || format!("read `{key}`"), async { other })
                    .await?;
                Ok(self.stream(cx, key, found))
            }
        }
    }

    async fn list<'a>(&'a self, cx: &Cx, prefix: &str) -> Result<BoxStream<'a, Result<BlobInfo>>> {
        cx.check()?;
        Ok(crate::list::list(cx, Arc::clone(&self.0), prefix))
    }

    async fn stat(&self, cx: &Cx, key: &str) -> Result<BlobInfo> {
        let found = self.describe(cx, key).await?;
        Ok(BlobInfo::new(
            key.to_owned(),
            found.size,
            whole_seconds(found.last_modified),
        ))
    }

    async fn remove(&self, cx: &Cx, key: &str) -> Result<()> {
        let path = self.0.path(key)?;
        match until_ended(cx, self.0.s3.delete(&path)).await? {
            // Most servers are silent about an object that is not there; some are not.
            Err(error) if is_missing(&error) => Ok(()),
            other => {
                self.0
                    .run(cx, || format!("remove `{key}`"), async { other })
                    .await
            }
        }?;
        cx.step("store.s3.removed");
        Ok(())
    }

    async fn sweep(&self, cx: &Cx) -> Result<Swept> {
        crate::sweep::sweep(cx, &self.0).await
    }
}
