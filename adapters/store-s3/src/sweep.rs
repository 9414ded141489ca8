//! Removing the parts that killed writers left behind. They cost money, and no list of objects shows them.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use object_store::client::{HttpErrorKind, HttpRequest, HttpRequestBody};
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer as _};
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use walkback_core::store::{Swept, check_key};
use walkback_core::{Cx, Error, ErrorKind, Result};

use crate::store::{Inner, until_ended};
use crate::write::abort;

/// An upload that is older than this has no writer any more: the process it began in is dead.
const DEAD: TimeDelta = TimeDelta::days(1);

/// How long a signed address is good for.
const GOOD_FOR: Duration = Duration::from_secs(300);

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Uploads {
    upload: Vec<Unfinished>,
    is_truncated: bool,
    next_key_marker: String,
    next_upload_id_marker: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Unfinished {
    key: String,
    upload_id: String,
    initiated: DateTime<Utc>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Parts {
    part: Vec<Sent>,
    is_truncated: bool,
    next_part_number_marker: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sent {
    size: u64,
}

/// Aborts the uploads of this store that are older than a day.
pub(crate) async fn sweep(cx: &Cx, store: &Inner) -> Result<Swept> {
    let mut swept = Swept::default();
    for upload in unfinished(cx, store).await? {
        // The time is the server's: a clock that is a little off does no harm in a day.
        if cx.now() - upload.initiated <= DEAD || !is_ours(store, &upload.key) {
            continue;
        }
        let Ok(path) = Path::parse(&upload.key) else {
            continue;
        };
        let bytes = held(cx, store, &path, &upload.upload_id).await?;
        let request = abort(store, &path, &upload.upload_id);
        store
            .run(cx, || format!("abort `{}`", upload.key), request)
            .await?;
        cx.step("store.s3.swept");
        swept.blobs += 1;
        swept.bytes += bytes;
    }
    Ok(swept)
}

fn is_ours(store: &Inner, key: &str) -> bool {
    key.strip_prefix(&store.base)
        .is_some_and(|key| check_key(key).is_ok())
}

/// Returns the uploads that were begun and not ended. A server that cannot tell has none to show.
async fn unfinished(cx: &Cx, store: &Inner) -> Result<Vec<Unfinished>> {
    let mut all = Vec::new();
    let (mut key, mut id) = (String::new(), String::new());
    loop {
        let query = [
            ("uploads", ""),
            ("prefix", &store.base),
            ("key-marker", &key),
            ("upload-id-marker", &id),
        ];
        let page: Uploads = match get(cx, store, &Path::default(), &query).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(all),
            other => other?,
        };
        all.extend(page.upload);
        if !page.is_truncated || (&page.next_key_marker, &page.next_upload_id_marker) == (&key, &id) {
            return Ok(all);
        }
        (key, id) = (page.next_key_marker, page.next_upload_id_marker);
    }
}

/// Returns how many bytes an upload holds.
async fn held(cx: &Cx, store: &Inner, path: &Path, id: &str) -> Result<u64> {
    let (mut bytes, mut marker) = (0, String::new());
    loop {
        let query = [("uploadId", id), ("part-number-marker", &marker)];
        let page: Parts = match get(cx, store, path, &query).await {
            // Somebody else has just swept it.
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::NotFound) => {
                return Ok(bytes);
            }
            other => other?,
        };
        bytes += page.part.iter().map(|part| part.size).sum::<u64>();
        if !page.is_truncated || page.next_part_number_marker == marker {
            return Ok(bytes);
        }
        marker = page.next_part_number_marker;
    }
}

/// Sends a request that the client of the object store does not know, and reads the answer.
async fn get<T: DeserializeOwned>(cx: &Cx, store: &Inner, path: &Path, query: &[(&str, &str)]) -> Result<T> {
    let body = until_ended(cx, fetch(store, path, query)).await??;
    let text = String::from_utf8_lossy(&body);
    quick_xml::de::from_str(&text).map_err(|error| {
        store
            .place
            .nonsense("lists unfinished uploads in a way that cannot be read")
            .with_source(error)
    })
}

async fn fetch(store: &Inner, path: &Path, query: &[(&str, &str)]) -> Result<Bytes> {
    const DOING: &str = "list unfinished uploads";
    let asked = query
        .iter()
        .filter(|(name, value)| *name == "uploads" || !value.is_empty());
    let options = SignedUrlOptions::new().with_query(asked.copied());
    let mut pause = Duration::from_millis(200);
    let mut left = store.place.retries;
    loop {
        let signed = store.s3.signed_url_opts(Method::GET, path, GOOD_FOR, &options);
        let url = signed.await.map_err(|error| store.place.error(&error, DOING))?;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = url
            .as_str()
            .parse()
            .map_err(|error| Error::internal("a signed address is none").with_source(error))?;
        let answer = match store.http.execute(request).await {
            Ok(response) => response.into_body().bytes().await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(body) => return Ok(body),
            Err(error)
                if left > 0 && matches!(error.kind(), HttpErrorKind::Connect | HttpErrorKind::Request) =>
            {
                left -= 1;
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(15));
            }
            Err(error) => {
                let missing =
                    crate::error::failure(&error).is_some_and(|failure| failure.code == "NoSuchUpload");
                let error = store.place.error(&error, DOING);
                return Err(if missing {
                    error.with_kind(ErrorKind::NotFound)
                } else {
                    error
                });
            }
        }
    }
}
