//! One bucket, as strict as S3.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures::StreamExt as _;
use futures::stream;
use hyper::body::Bytes;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Sha256};
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

/// The smallest part but the last.
const SMALLEST_PART: u64 = 5 << 20;

/// How many entries a page of a list has: few, so that every list has several.
const PAGE: usize = 7;

/// What was asked for when an object was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// How it is stored.
    pub storage_class: Option<String>,
    /// How it is encrypted.
    pub encryption: Option<String>,
    /// By which key.
    pub kms_key: Option<String>,
    /// How strictly it is locked.
    pub lock_mode: Option<String>,
    /// Until when.
    pub locked_until: Option<SystemTime>,
    /// Whether each request that brought bytes had a checksum of its own.
    pub checked: bool,
    /// Of how many parts it was made; 0 if it came at once.
    pub parts: usize,
}

struct Stored {
    file: PathBuf,
    size: u64,
    modified: SystemTime,
    etag: String,
    metadata: Option<Metadata>,
    facts: Facts,
}

struct Unfinished {
    key: String,
    initiated: SystemTime,
    metadata: Option<Metadata>,
    facts: Facts,
    parts: BTreeMap<i32, Received>,
}

struct Received {
    file: PathBuf,
    size: u64,
    etag: String,
    checked: bool,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Stored>,
    uploads: BTreeMap<String, Unfinished>,
    count: u64,
}

impl State {
    fn object(&self, key: &str) -> S3Result<&Stored> {
        self.objects.get(key).ok_or_else(|| s3_error!(NoSuchKey))
    }
}

/// One bucket, whose bytes are in files so that they take no memory.
pub struct StrictBucket {
    name: String,
    folder: PathBuf,
    state: Mutex<State>,
}

impl fmt::Debug for StrictBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StrictBucket").finish_non_exhaustive()
    }
}

/// The same bucket, for the server and for the test.
pub(super) struct Shared(pub(super) Arc<StrictBucket>);

impl StrictBucket {
    pub(super) fn new(name: &str, folder: &Path) -> Self {
        Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the keys of all objects.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.state().objects.keys().cloned().collect()
    }

    /// Returns what was asked for when an object was made.
    #[must_use]
    pub fn facts(&self, key: &str) -> Option<Facts> {
        Some(self.state().objects.get(key)?.facts.clone())
    }

    /// Returns the bytes of an object.
    ///
    /// # Panics
    /// If they cannot be read.
    #[must_use]
    pub fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let file = &state.objects.get(key)?.file;
        Some(std::fs::read(file).expect("what was kept can be read"))
    }

    /// Returns the keys of the uploads that are not over.
    #[must_use]
    pub fn uploads(&self) -> Vec<String> {
        self.state()
            .uploads
            .values()
            .map(|upload| upload.key.clone())
            .collect()
    }

    /// Makes every upload that is not over begin that much earlier.
    pub fn age_uploads(&self, by: Duration) {
        for upload in self.state().uploads.values_mut() {
            upload.initiated -= by;
        }
    }

    /// Puts an object there that no walkback has written.
    pub fn put_foreign(&self, key: &str) {
        let file = self.fresh();
        std::fs::write(&file, "mine").expect("a file can be written");
        let (facts, etag) = (Facts::default(), self.etag());
        self.keep(key, file, 4, etag, None, facts);
    }

    fn fresh(&self) -> PathBuf {
        let mut state = self.state();
        state.count += 1;
        self.folder.join(state.count.to_string())
    }

    fn etag(&self) -> String {
        let mut state = self.state();
        state.count += 1;
        format!("{:032x}", state.count)
    }

    fn keep(
        &self,
        key: &str,
        file: PathBuf,
        size: u64,
        etag: String,
        metadata: Option<Metadata>,
        facts: Facts,
    ) {
        let stored = Stored {
            file,
            size,
            modified: SystemTime::now(),
            etag,
            metadata,
            facts,
        };
        // A reader that has opened the old file keeps it.
        if let Some(old) = self.state().objects.insert(key.to_owned(), stored) {
            std::fs::remove_file(old.file).ok();
        }
    }

    fn check_bucket(&self, bucket: &str) -> S3Result<()> {
        if bucket == self.name {
            Ok(())
        } else {
            Err(s3_error!(NoSuchBucket))
        }
    }

    /// Takes the bytes of a request, and checks them against their checksum.
    async fn receive(&self, body: Option<StreamingBlob>, sha256: Option<&String>) -> S3Result<Received> {
        let file = self.fresh();
        let mut to = File::create(&file).map_err(broken)?;
        let mut hasher = ChecksumHasher {
            sha256: Some(Sha256::new()),
            ..ChecksumHasher::default()
        };
        let (mut size, mut body) = (0, body);
        while let Some(body) = &mut body
            && let Some(piece) = body.next().await
        {
            let piece = piece.map_err(|_| s3_error!(IncompleteBody))?;
            hasher.update(&piece);
            to.write_all(&piece).map_err(broken)?;
            size += piece.len() as u64;
        }
        if sha256.is_some() && hasher.finalize().checksum_sha256.as_ref() != sha256 {
            return Err(s3_error!(BadDigest));
        }
        Ok(Received {
            file,
            size,
            etag: self.etag(),
            checked: sha256.is_some(),
        })
    }

    fn join(&self, parts: &[Received]) -> io::Result<(PathBuf, u64)> {
        let file = self.fresh();
        let mut to = File::create(&file)?;
        let mut size = 0;
        for part in parts {
            size += io::copy(&mut File::open(&part.file)?, &mut to)?;
            std::fs::remove_file(&part.file)?;
        }
        Ok((file, size))
    }
}

fn broken(error: io::Error) -> s3s::S3Error {
    s3_error!(error, InternalError)
}

/// Reads a part of a file, piece by piece.
fn pieces(path: &Path, from: u64, length: u64) -> io::Result<StreamingBlob> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut rest = file.take(length);
    let pieces = std::iter::from_fn(move || {
        let mut piece = vec![0; 64 << 10];
        match rest.read(&mut piece) {
            Ok(0) => None,
            Ok(read) => Some(Ok::<_, io::Error>(Bytes::copy_from_slice(&piece[..read]))),
            Err(error) => Some(Err(error)),
        }
    });
    Ok(StreamingBlob::wrap(stream::iter(pieces)))
}

fn time(of: Option<Timestamp>) -> Option<SystemTime> {
    of.map(|stamp| SystemTime::from(time::OffsetDateTime::from(stamp)))
}

fn signed(size: u64) -> i64 {
    i64::try_from(size).expect("no file is that large")
}

#[async_trait::async_trait]
impl S3 for Shared {
    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let (bucket, input) = (&self.0, req.input);
        bucket.check_bucket(&input.bucket)?;
        let received = bucket.receive(input.body, input.checksum_sha256.as_ref()).await?;
        if input.object_lock_mode.is_some() && !received.checked {
            return Err(s3_error!(
                InvalidRequest,
                "A checksum is required to lock an object"
            ));
        }
        let facts = Facts {
            storage_class: input.storage_class.map(|class| class.as_str().to_owned()),
            encryption: input.server_side_encryption.map(|kind| kind.as_str().to_owned()),
            kms_key: input.ssekms_key_id,
            lock_mode: input.object_lock_mode.map(|mode| mode.as_str().to_owned()),
            locked_until: time(input.object_lock_retain_until_date),
            checked: received.checked,
            parts: 0,
        };
        let etag = received.etag.clone();
        bucket.keep(
            &input.key,
            received.file,
            received.size,
            received.etag,
            input.metadata,
            facts,
        );
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(ETag::Strong(etag)),
            ..PutObjectOutput::default()
        }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let (bucket, input) = (&self.0, req.input);
        bucket.check_bucket(&input.bucket)?;
        let state = bucket.state();
        let stored = state.object(&input.key)?;
        let (range, shown) = match input.range {
            None => (0..stored.size, None),
            Some(range) => {
                let range = range.check(stored.size)?;
                let shown = format!("bytes {}-{}/{}", range.start, range.end - 1, stored.size);
                (range, Some(shown))
            }
        };
        let length = range.end - range.start;
        Ok(S3Response::new(GetObjectOutput {
            body: Some(pieces(&stored.file, range.start, length).map_err(broken)?),
            content_length: Some(signed(length)),
            content_range: shown,
            e_tag: Some(ETag::Strong(stored.etag.clone())),
            last_modified: Some(stored.modified.into()),
            metadata: stored.metadata.clone(),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let (bucket, input) = (&self.0, req.input);
        bucket.check_bucket(&input.bucket)?;
        let state = bucket.state();
        let stored = state.object(&input.key)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: Some(signed(stored.size)),
            e_tag: Some(ETag::Strong(stored.etag.clone())),
            last_modified: Some(stored.modified.into()),
            metadata: stored.metadata.clone(),
            ..HeadObjectOutput::default()
        }))
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.0.check_bucket(&req.input.bucket)?;
        if let Some(old) = self.0.state().objects.remove(&req.input.key) {
            std::fs::remove_file(old.file).ok();
        }
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let (bucket, input) = (&self.0, req.input);
        bucket.check_bucket(&input.bucket)?;
        let prefix = input.prefix.unwrap_or_default();
        let after = input.continuation_token.map_or(Bound::Unbounded, Bound::Excluded);
        let state = bucket.state();
        let mut found: Vec<Object> = state
            .objects
            .range((after, Bound::Unbounded))
            .filter(|(key, _)| key.starts_with(&prefix))
            .take(PAGE + 1)
            .map(|(key, stored)| Object {
                key: Some(key.clone()),
                size: Some(signed(stored.size)),
                last_modified: Some(stored.modified.into()),
                e_tag: Some(ETag::Strong(stored.etag.clone())),
                ..Object::default()
            })
            .collect();
        let more = found.len() > PAGE;
        found.truncate(PAGE);
        Ok(S3Response::new(ListObjectsV2Output {
            next_continuation_token: found.last().filter(|_| more).and_then(|last| last.key.clone()),
            is_truncated: Some(more),
            contents: Some(found),
            ..ListObjectsV2Output::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let (bucket, input) = (&self.0, req.input);
        bucket.check_bucket(&input.bucket)?;
        let id = format!("upload-{}", bucket.etag());
        let upload = Unfinished {
            key: input.key,
            initiated: SystemTime::now(),
            metadata: input.metadata,
            facts: Facts {
                storage_class: input.storage_class.map(|class| class.as_str().to_owned()),
                encryption: input.server_side_encryption.map(|kind| kind.as_str().to_owned()),
                kms_key: input.ssekms_key_id,
                lock_mode: input.object_lock_mode.map(|mode| mode.as_str().to_owned()),
                locked_until: time(input.object_lock_retain_until_date),
                ..Facts::default()
            },
            parts: BTreeMap::new(),
        };
        bucket.state().uploads.insert(id.clone(), upload);
        Ok(S3Response::new(CreateMultipartUploadOutput {
            upload_id: Some(id),
            ..CreateMultipartUploadOutput::default()
        }))
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let (bucket, input) = (&self.0, req.input);
        let received = bucket.receive(input.body, input.checksum_sha256.as_ref()).await?;
        let etag = received.etag.clone();
        let mut state = bucket.state();
        let upload = state
            .uploads
            .get_mut(&input.upload_id)
            .ok_or_else(|| s3_error!(NoSuchUpload))?;
        upload.parts.insert(input.part_number, received);
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(ETag::Strong(etag)),
            checksum_sha256: input.checksum_sha256,
            ..UploadPartOutput::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let (bucket, input) = (&self.0, req.input);
        let wanted = input
            .multipart_upload
            .and_then(|upload| upload.parts)
            .unwrap_or_default();
        let upload = bucket
            .state()
            .uploads
            .remove(&input.upload_id)
            .ok_or_else(|| s3_error!(NoSuchUpload))?;
        let sizes: Vec<u64> = upload.parts.values().map(|part| part.size).collect();
        if let Some((_, all_but_last)) = sizes.split_last()
            && all_but_last.iter().any(|size| *size < SMALLEST_PART)
        {
            return Err(s3_error!(EntityTooSmall));
        }
        let same = wanted.len() == upload.parts.len()
            && wanted.iter().zip(&upload.parts).all(|(wanted, (number, part))| {
                let etag = wanted.e_tag.as_ref().map(ETag::value);
                wanted.part_number == Some(*number) && etag == Some(part.etag.as_str())
            });
        if !same {
            return Err(s3_error!(InvalidPart));
        }
        let parts: Vec<Received> = upload.parts.into_values().collect();
        let (file, size) = bucket.join(&parts).map_err(broken)?;
        let facts = Facts {
            checked: parts.iter().all(|part| part.checked),
            parts: parts.len(),
            ..upload.facts
        };
        let etag = format!("{}-{}", bucket.etag(), parts.len());
        bucket.keep(&upload.key, file, size, etag.clone(), upload.metadata, facts);
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            e_tag: Some(ETag::Strong(etag)),
            ..CompleteMultipartUploadOutput::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        match self.0.state().uploads.remove(&req.input.upload_id) {
            Some(_) => Ok(S3Response::new(AbortMultipartUploadOutput::default())),
            None => Err(s3_error!(NoSuchUpload)),
        }
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let (bucket, input) = (&self.0, req.input);
        bucket.check_bucket(&input.bucket)?;
        let prefix = input.prefix.unwrap_or_default();
        let after = (
            input.key_marker.unwrap_or_default(),
            input.upload_id_marker.unwrap_or_default(),
        );
        let state = bucket.state();
        let mut found: Vec<(String, String, SystemTime)> = state
            .uploads
            .iter()
            .map(|(id, upload)| (upload.key.clone(), id.clone(), upload.initiated))
            .filter(|(key, id, _)| key.starts_with(&prefix) && (key, id) > (&after.0, &after.1))
            .collect();
        found.sort();
        let more = found.len() > PAGE;
        found.truncate(PAGE);
        let last = found.last().filter(|_| more);
        Ok(S3Response::new(ListMultipartUploadsOutput {
            is_truncated: Some(more),
            next_key_marker: last.map(|(key, ..)| key.clone()),
            next_upload_id_marker: last.map(|(_, id, _)| id.clone()),
            uploads: Some(
                found
                    .into_iter()
                    .map(|(key, id, initiated)| MultipartUpload {
                        key: Some(key),
                        upload_id: Some(id),
                        initiated: Some(initiated.into()),
                        ..MultipartUpload::default()
                    })
                    .collect(),
            ),
            ..ListMultipartUploadsOutput::default()
        }))
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let state = self.0.state();
        let upload = state
            .uploads
            .get(&req.input.upload_id)
            .ok_or_else(|| s3_error!(NoSuchUpload))?;
        Ok(S3Response::new(ListPartsOutput {
            is_truncated: Some(false),
            parts: Some(
                upload
                    .parts
                    .iter()
                    .map(|(number, part)| Part {
                        part_number: Some(*number),
                        size: Some(signed(part.size)),
                        ..Part::default()
                    })
                    .collect(),
            ),
            ..ListPartsOutput::default()
        }))
    }
}
