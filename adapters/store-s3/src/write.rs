//! Writing a blob: one request if it is small, parts of a fixed size if it is not.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use object_store::{
    Attribute, GetOptions, ObjectStore as _, PutMultipartOptions, PutOptions, PutPayload, PutPayloadMut,
};
use tokio::task::JoinSet;
use walkback_core::store::BlobWriter;
use walkback_core::{Cx, Error, ErrorKind, Result};

use crate::error::{failure, torn};
use crate::store::{Inner, until_ended};

/// How large a part is. All but the last have the same size: some servers want that.
const PART: usize = 8 << 20;

/// How many parts are on their way at once, beside the one that is being filled.
const IN_FLIGHT: usize = 2;

/// S3 takes no more parts than this.
const MOST_PARTS: usize = 10_000;

/// Pieces up to this size are copied together.
const SMALL: usize = 64 << 10;

/// How long an abort may take that nobody waits for on purpose.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What tells one upload from every other, kept with the object.
const MARK: &str = "walkback-upload";

/// A blob that is being written.
pub(crate) struct S3Writer {
    store: Arc<Inner>,
    key: String,
    path: Path,
    /// What is not sent yet: up to one part.
    pending: PutPayloadMut,
    /// Begun when there is more than one part.
    upload: Option<Upload>,
    /// A write has failed or was given up half-way: the blob must not be committed.
    torn: bool,
}

impl S3Writer {
    pub(crate) fn new(store: Arc<Inner>, key: &str, path: Path) -> Self {
        Self {
            store,
            key: key.to_owned(),
            path,
            pending: empty(),
            upload: None,
            torn: false,
        }
    }

    async fn append(&mut self, cx: &Cx, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            if self.pending.content_length() == PART {
                self.send_part(cx).await?;
            }
            let room = PART - self.pending.content_length();
            let piece = bytes.split_to(room.min(bytes.len()));
            if piece.len() > SMALL {
                self.pending.push(piece);
            } else {
                self.pending.extend_from_slice(&piece);
            }
        }
        Ok(())
    }

    async fn send_part(&mut self, cx: &Cx) -> Result<()> {
        let part = std::mem::replace(&mut self.pending, empty()).freeze();
        let upload = match &mut self.upload {
            Some(upload) => upload,
            None => self
                .upload
                .insert(Upload::begin(cx, &self.store, &self.key, &self.path).await?),
        };
        upload.send(cx, part).await
    }

    async fn put(mut self, cx: &Cx) -> Result<()> {
        let (attributes, extensions) = self.store.attached(cx);
        let options = PutOptions {
            attributes,
            extensions,
            ..PutOptions::default()
        };
        let payload = std::mem::take(&mut self.pending).freeze();
        let request = self.store.s3.put_opts(&self.path, payload, options);
        self.store
            .run(cx, || format!("write `{}`", self.key), request)
            .await?;
        cx.step("store.s3.put");
        Ok(())
    }
}

fn empty() -> PutPayloadMut {
    PutPayloadMut::new().with_block_size(256 << 10)
}

#[async_trait]
impl BlobWriter for S3Writer {
    async fn write(&mut self, cx: &Cx, bytes: Bytes) -> Result<()> {
        cx.check()?;
        // If this future is dropped while it waits, nobody knows how much was taken.
        let torn_before = std::mem::replace(&mut self.torn, true);
        self.append(cx, bytes).await?;
        self.torn = torn_before;
        Ok(())
    }

    async fn commit(mut self: Box<Self>, cx: &Cx) -> Result<()> {
        let ready = match cx.check() {
            Ok(()) if self.torn => Err(torn(&self.key)),
            other => other,
        };
        let sent = match ready {
            Ok(()) if self.upload.is_none() => return self.put(cx).await,
            Ok(()) => self.send_part(cx).await,
            Err(error) => Err(error),
        };
        let Some(upload) = self.upload.take() else {
            return sent;
        };
        upload.end(cx, sent).await
    }

    async fn abort(mut self: Box<Self>, cx: &Cx) -> Result<()> {
        match self.upload.take() {
            Some(upload) => upload.abort(&cx.shielded()).await,
            None => Ok(()),
        }
    }
}

/// An upload in parts. Dropping it aborts it, as far as there is time for that.
struct Upload {
    store: Arc<Inner>,
    key: String,
    path: Path,
    id: String,
    mark: String,
    sending: JoinSet<(usize, Result<PartId>)>,
    /// What the server calls the parts that it has.
    sent: Vec<Option<PartId>>,
    /// Nothing is left to abort.
    over: bool,
}

impl Upload {
    async fn begin(cx: &Cx, store: &Arc<Inner>, key: &str, path: &Path) -> Result<Self> {
        let (mut attributes, extensions) = store.attached(cx);
        let mark = format!("{:032x}", rand::random::<u128>());
        attributes.insert(Attribute::Metadata(MARK.into()), mark.clone().into());
        let options = PutMultipartOptions {
            attributes,
            extensions,
            ..PutMultipartOptions::default()
        };
        let request = store.s3.create_multipart_opts(path, options);
        let id = store.run(cx, || format!("begin `{key}`"), request).await?;
        let upload = Self {
            store: Arc::clone(store),
            key: key.to_owned(),
            path: path.clone(),
            id,
            mark,
            sending: JoinSet::new(),
            sent: Vec::new(),
            over: false,
        };
        cx.step("store.s3.upload-begun");
        Ok(upload)
    }

    /// Sends a part in the background, as soon as few enough others are on their way.
    async fn send(&mut self, cx: &Cx, part: PutPayload) -> Result<()> {
        if self.sent.len() == MOST_PARTS {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("`{}` is larger than {} GiB", self.key, (MOST_PARTS * PART) >> 30),
            ));
        }
        while self.sending.len() >= IN_FLIGHT {
            self.wait_for_one(cx).await?;
        }
        let index = self.sent.len();
        self.sent.push(None);
        let (store, path, id) = (Arc::clone(&self.store), self.path.clone(), self.id.clone());
        let (cx, doing) = (cx.clone(), format!("write part {} of `{}`", index + 1, self.key));
        self.sending.spawn(async move {
            let request = store.s3.put_part(&path, &id, index, part);
            (index, store.run(&cx, || doing, request).await)
        });
        Ok(())
    }

    async fn wait_for_one(&mut self, cx: &Cx) -> Result<()> {
        let Some(ended) = until_ended(cx, self.sending.join_next()).await? else {
            return Ok(());
        };
        let (index, part) =
            ended.map_err(|error| Error::internal("a task of the store panicked").with_source(error))?;
        self.sent[index] = Some(part?);
        cx.step("store.s3.part-written");
        Ok(())
    }

    /// Makes an object of the parts, or aborts.
    async fn end(mut self, cx: &Cx, sent: Result<()>) -> Result<()> {
        let ended = match sent {
            Ok(()) => self.complete(cx).await,
            Err(error) => Err(error),
        };
        let Err(error) = ended else {
            self.over = true;
            cx.step("store.s3.completed");
            return Ok(());
        };
        // A server that does not answer would keep the caller waiting once more: what is left is for `sweep`.
        if error.kind() != ErrorKind::Unavailable {
            tokio::time::timeout(LAST_WORDS, self.abort(&cx.shielded()))
                .await
                .ok();
        }
        Err(error)
    }

    async fn complete(&mut self, cx: &Cx) -> Result<()> {
        while !self.sending.is_empty() {
            self.wait_for_one(cx).await?;
        }
        let parts = self.sent.drain(..).collect::<Option<Vec<PartId>>>();
        let parts = parts.ok_or_else(|| torn(&self.key))?;
        let request = self.store.s3.complete_multipart(&self.path, &self.id, parts);
        match until_ended(cx, request).await? {
            // It was done the first time, and the answer was lost.
            Err(error) if self.is_unknown(&error) && self.has_landed(cx).await? => Ok(()),
            other => {
                let doing = || format!("complete `{}`", self.key);
                self.store.run(cx, doing, async { other }).await.map(drop)
            }
        }
    }

    fn is_unknown(&self, error: &object_store::Error) -> bool {
        failure(error).is_some_and(|failure| failure.status == 404 || failure.code == "NoSuchUpload")
    }

    /// Returns whether the object under the key is the one of this upload.
    async fn has_landed(&self, cx: &Cx) -> Result<bool> {
        let options = GetOptions {
            head: true,
            ..GetOptions::default()
        };
        match until_ended(cx, self.store.s3.get_opts(&self.path, options)).await? {
            Ok(found) => {
                let mark = found.attributes.get(&Attribute::Metadata(MARK.into()));
                Ok(mark.is_some_and(|mark| mark.as_ref() == self.mark))
            }
            Err(_) => Ok(false),
        }
    }

    async fn abort(mut self, cx: &Cx) -> Result<()> {
        // A part that arrives after the abort would be kept, and paid for.
        self.sending.shutdown().await;
        self.over = true;
        let aborted = abort(&self.store, &self.path, &self.id);
        let doing = || format!("abort `{}`", self.key);
        self.store.run(cx, doing, aborted).await
    }
}

/// Aborts an upload; one that is over already is fine.
pub(crate) async fn abort(store: &Inner, path: &Path, id: &String) -> object_store::Result<()> {
    match store.s3.abort_multipart(path, id).await {
        Err(error) if failure(&error).is_some_and(|failure| failure.status == 404) => Ok(()),
        other => other,
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.sending.abort_all();
        // Without a runtime, or in a process that ends, it stays for `sweep`.
        if let (false, Ok(runtime)) = (self.over, tokio::runtime::Handle::try_current()) {
            let (store, path, id) = (Arc::clone(&self.store), self.path.clone(), self.id.clone());
            let mut sending = std::mem::take(&mut self.sending);
            runtime.spawn(async move {
                sending.shutdown().await;
                tokio::time::timeout(LAST_WORDS, abort(&store, &path, &id))
                    .await
                    .ok();
            });
        }
    }
}
