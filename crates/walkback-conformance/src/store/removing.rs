//! `remove` and `sweep`.

use std::sync::Arc;

use walkback_core::store::Swept;
use walkback_core::{Cx, Result};

use super::StoreFixture;
use super::support::{assert_absent, assert_holds, keys, noise, put};

pub(super) async fn a_removed_blob_is_gone(fixture: StoreFixture) -> Result<()> {
    let store = &*fixture.store;
    put(store, "a/1", &noise(1, 10)).await?;
    put(store, "a/2", &noise(2, 10)).await?;
    store.remove(&Cx::background(), "a/1").await?;
    assert_absent(store, "a/1", "after it was removed").await?;
    assert_holds(store, "a/2", &noise(2, 10), "after its neighbour was removed").await
}

pub(super) async fn removing_a_missing_blob_is_fine(fixture: StoreFixture) -> Result<()> {
    let (store, cx) = (&*fixture.store, Cx::background());
    store.remove(&cx, "a/1").await?;
    put(store, "a/1", &noise(1, 10)).await?;
    for key in ["a/2", "b/c/d", "a/1/x", "a", "a/1", "a/1"] {
        store.remove(&cx, key).await?;
    }
    assert!(keys(store, "").await?.is_empty());
    Ok(())
}

pub(super) async fn removing_takes_one_blob_only(fixture: StoreFixture) -> Result<()> {
    let (store, cx) = (&*fixture.store, Cx::background());
    let all = ["a/1", "a/1-x", "a/10", "a/2/3", "b"];
    for key in all {
        put(store, key, &noise(1, 10)).await?;
    }
    // The beginning of keys is not a key.
    store.remove(&cx, "a").await?;
    store.remove(&cx, "a/2").await?;
    assert_eq!(keys(store, "").await?, all);
    store.remove(&cx, "a/1").await?;
    assert_eq!(keys(store, "").await?, all[1..]);
    Ok(())
}

pub(super) async fn a_removed_key_can_be_written_again(fixture: StoreFixture) -> Result<()> {
    let (store, cx) = (&*fixture.store, Cx::background());
    put(store, "a/b/c", &noise(1, 10)).await?;
    store.remove(&cx, "a/b/c").await?;
    put(store, "a/b/c", &noise(2, 20)).await?;
    assert_holds(
        store,
        "a/b/c",
        &noise(2, 20),
        "after it was removed and written again",
    )
    .await?;
    // Nothing is left of a key that once was a part of others.
    store.remove(&cx, "a/b/c").await?;
    put(store, "a/b", &noise(3, 30)).await?;
    assert_holds(store, "a/b", &noise(3, 30), "where keys below it have been").await
}

pub(super) async fn sweep_takes_nothing_that_is_committed(fixture: StoreFixture) -> Result<()> {
    let (store, cx) = (&*fixture.store, Cx::background());
    assert_eq!(store.sweep(&cx).await?, Swept::default(), "in an empty store");
    put(store, "a/1", &noise(1, 1000)).await?;
    put(store, "empty", &noise(1, 0)).await?;
    assert_eq!(store.sweep(&cx).await?, Swept::default(), "among committed blobs");
    assert_holds(store, "a/1", &noise(1, 1000), "after a sweep").await?;
    assert_holds(store, "empty", &noise(1, 0), "after a sweep").await
}

pub(super) async fn sweep_spares_living_writers(fixture: StoreFixture) -> Result<()> {
    let (store, cx) = (&*fixture.store, Cx::background());
    let mut begun = store.create(&cx, "a/1").await?;
    let mut halfway = store.create(&cx, "a/2").await?;
    halfway.write(&cx, noise(2, 100_000)).await?;
    let swept = store.sweep(&cx).await?;
    assert_eq!(swept, Swept::default(), "a living writer was swept away");
    begun.write(&cx, noise(1, 1000)).await?;
    halfway.write(&cx, noise(3, 1000)).await?;
    begun.commit(&cx).await?;
    halfway.commit(&cx).await?;
    assert_holds(
        store,
        "a/1",
        &noise(1, 1000),
        "after a sweep while it was written",
    )
    .await?;
    let whole = [noise(2, 100_000), noise(3, 1000)].concat().into();
    assert_holds(store, "a/2", &whole, "after a sweep while it was written").await
}

pub(super) async fn sweep_while_others_write_loses_nothing(fixture: StoreFixture) -> Result<()> {
    let writers: Vec<_> = (0..4_u64)
        .map(|writer| {
            let store = Arc::clone(&fixture.store);
            tokio::spawn(async move {
                for n in 0..30_u64 {
                    put(&*store, &format!("{writer}/{n}"), &noise(writer * 100 + n, 2_000)).await?;
                }
                Ok::<_, walkback_core::Error>(())
            })
        })
        .collect();
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        // A file that is made but not yet marked as its writer's own may go: the writer makes another.
        let swept = fixture.store.sweep(&Cx::background()).await?;
        assert_eq!(swept.bytes, 0, "what a living writer has written was swept away");
    }
    for writer in writers {
        writer.await.expect("a writer does not panic")?;
    }
    assert_eq!(keys(&*fixture.store, "").await?.len(), 120);
    Ok(())
}
