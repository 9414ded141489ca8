//! Words the checks share.

use bytes::Bytes;
use futures::TryStreamExt as _;
use walkback_core::store::{ByteRange, StoreExt as _};
use walkback_core::{BackupStore, Cx, ErrorKind, Result};

/// Returns bytes that differ everywhere, so that a shift or a swap shows.
#[must_use]
pub fn noise(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

pub(super) async fn put(store: &dyn BackupStore, key: &str, bytes: &Bytes) -> Result<()> {
    store.put(&Cx::background(), key, bytes.clone()).await
}

pub(super) async fn get(store: &dyn BackupStore, key: &str) -> Result<Bytes> {
    store.get(&Cx::background(), key).await
}

pub(super) async fn get_range(store: &dyn BackupStore, key: &str, offset: u64, length: u64) -> Result<Bytes> {
    let range = Some(ByteRange { offset, length });
    let pieces: Vec<Bytes> = store
        .read(&Cx::background(), key, range)
        .await?
        .try_collect()
        .await?;
    Ok(pieces.concat().into())
}

pub(super) async fn keys(store: &dyn BackupStore, prefix: &str) -> Result<Vec<String>> {
    let blobs = store.list(&Cx::background(), prefix).await?;
    blobs.map_ok(|blob| blob.key).try_collect().await
}

/// Asserts that nothing is visible under a key, by every way there is.
pub(super) async fn assert_absent(store: &dyn BackupStore, key: &str, when: &str) -> Result<()> {
    let cx = Cx::background();
    match store.read(&cx, key, None).await {
        Ok(_) => panic!("`{key}` can be read {when}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "reading {when}: {error:?}"),
    }
    match store.stat(&cx, key).await {
        Ok(blob) => panic!("`{key}` has {} bytes {when}", blob.bytes),
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "stat {when}: {error:?}"),
    }
    let listed = keys(store, "").await?;
    assert!(
        !listed.iter().any(|listed| listed == key),
        "`{key}` is listed {when}"
    );
    Ok(())
}

/// Asserts that exactly these bytes are visible under a key, by every way there is.
pub(super) async fn assert_holds(
    store: &dyn BackupStore,
    key: &str,
    bytes: &Bytes,
    when: &str,
) -> Result<()> {
    let found = get(store, key).await?;
    assert!(
        found == *bytes,
        "`{key}` reads as other bytes {when}: {} instead of {}",
        found.len(),
        bytes.len()
    );
    let stat = store.stat(&Cx::background(), key).await?;
    assert_eq!(
        (stat.key.as_str(), stat.bytes),
        (key, bytes.len() as u64),
        "stat {when}"
    );
    let blobs: Vec<_> = store.list(&Cx::background(), key).await?.try_collect().await?;
    let listed = blobs.iter().find(|blob| blob.key == key);
    assert_eq!(
        listed.map(|blob| blob.bytes),
        Some(bytes.len() as u64),
        "the list {when}"
    );
    Ok(())
}
