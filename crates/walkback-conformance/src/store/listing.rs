//! `list`.

use std::sync::Arc;

use futures::TryStreamExt as _;
use walkback_core::{Cx, ErrorKind, Result};

use super::StoreFixture;
use super::support::{keys, noise, put};

/// Keys whose order by bytes is not the order in which a walk over folders finds them.
const TRICKY: &[&str] = &[
    "a-b",
    "a-b/c",
    "a.b/c",
    "a/-",
    "a/.x",
    "a/0",
    "a/B",
    "a/b/c",
    "a/b-c",
    "a0",
    "aA",
    "a_/b",
    "b",
    "objects/ff/1",
    "objects/ff0/1",
    "points/a.json",
];

pub(super) async fn an_empty_store_lists_nothing(fixture: StoreFixture) -> Result<()> {
    for prefix in ["", "a", "objects/", "objects/aa/"] {
        assert!(
            keys(&*fixture.store, prefix).await?.is_empty(),
            "under `{prefix}`"
        );
    }
    Ok(())
}

pub(super) async fn a_list_is_sorted_by_the_bytes_of_the_keys(fixture: StoreFixture) -> Result<()> {
    let store = &*fixture.store;
    let added = TRICKY.iter().filter(|key| **key != "a-b").rev();
    for (size, key) in added.enumerate() {
        put(store, key, &noise(1, size)).await?;
    }
    let listed = keys(store, "").await?;
    let mut sorted = listed.clone();
    sorted.sort();
    assert_eq!(listed, sorted);
    assert_eq!(listed.len(), TRICKY.len() - 1);
    let blobs: Vec<_> = store.list(&Cx::background(), "").await?.try_collect().await?;
    for blob in blobs {
        assert_eq!(
            blob,
            store.stat(&Cx::background(), &blob.key).await?,
            "the list and stat differ"
        );
    }
    Ok(())
}

pub(super) async fn a_prefix_selects_exactly_what_begins_with_it(fixture: StoreFixture) -> Result<()> {
    let store = &*fixture.store;
    let all: Vec<_> = TRICKY.iter().copied().filter(|key| *key != "a-b").collect();
    for key in &all {
        put(store, key, &noise(1, 3)).await?;
    }
    for prefix in [
        "",
        "a",
        "a/",
        "a/b",
        "a/b/",
        "a/b-",
        "a-",
        "a-b",
        "a-b/",
        "obj",
        "objects/ff",
        "objects/ff/",
        "objects/ff/1",
        "objects/ff/12",
        "points/a.json",
        "points/a.json/",
        "z",
        "A",
    ] {
        let mut expected: Vec<_> = all.iter().filter(|key| key.starts_with(prefix)).collect();
        expected.sort();
        assert_eq!(
            keys(store, prefix).await?,
            expected.into_iter().copied().collect::<Vec<_>>(),
            "`{prefix}`"
        );
    }
    Ok(())
}

pub(super) async fn a_prefix_cannot_leave_the_store(fixture: StoreFixture) -> Result<()> {
    let store = &*fixture.store;
    put(store, "a/b", &noise(1, 3)).await?;
    for prefix in ["/", "..", "../", "a/../", "./", "/etc/", "a//", "a/b/../b", "\0"] {
        match keys(store, prefix).await {
            Ok(listed) => assert!(listed.is_empty(), "`{prefix}` lists {listed:?}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Usage, "`{prefix}`: {error:?}"),
        }
    }
    Ok(())
}

pub(super) async fn a_list_shows_committed_blobs_only(fixture: StoreFixture) -> Result<()> {
    let (store, cx) = (&*fixture.store, Cx::background());
    put(store, "a/1", &noise(1, 3)).await?;
    let mut unfinished = store.create(&cx, "a/2").await?;
    unfinished.write(&cx, noise(1, 100_000)).await?;
    let mut replacement = store.create(&cx, "a/1").await?;
    replacement.write(&cx, noise(1, 100_000)).await?;
    let listed: Vec<_> = store.list(&cx, "").await?.try_collect().await?;
    let listed: Vec<_> = listed
        .iter()
        .map(|blob| (blob.key.as_str(), blob.bytes))
        .collect();
    assert_eq!(listed, [("a/1", 3)]);
    replacement.abort(&cx).await?;
    unfinished.commit(&cx).await?;
    assert_eq!(keys(store, "").await?, ["a/1", "a/2"]);
    Ok(())
}

pub(super) async fn a_list_goes_on_while_others_write(fixture: StoreFixture) -> Result<()> {
    let store = Arc::clone(&fixture.store);
    let early: Vec<_> = (0..40)
        .map(|n| format!("objects/{:02}/early{n}", n % 7))
        .collect();
    for key in &early {
        put(&*store, key, &noise(1, 5_000)).await?;
    }
    let writing = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for n in 0..60 {
                let key = format!("objects/{:02}/late{n}", n % 7);
                put(&*store, &key, &noise(1, 5_000)).await?;
                if n % 3 == 0 {
                    store.remove(&Cx::background(), &key).await?;
                }
            }
            Ok::<_, walkback_core::Error>(())
        })
    };
    while !writing.is_finished() {
        let blobs: Vec<_> = store
            .list(&Cx::background(), "objects/")
            .await?
            .try_collect()
            .await?;
        assert!(
            blobs.iter().all(|blob| blob.bytes == 5_000),
            "a list shows half a blob"
        );
        let missing: Vec<_> = early
            .iter()
            .filter(|key| !blobs.iter().any(|blob| blob.key == **key))
            .collect();
        assert!(
            missing.is_empty(),
            "{missing:?} are not listed while others are written"
        );
    }
    writing.await.expect("the writer does not panic")?;
    assert_eq!(keys(&*store, "objects/").await?.len(), 80);
    Ok(())
}
