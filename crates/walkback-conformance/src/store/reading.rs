//! `read` and `stat`.

use futures::TryStreamExt as _;
use walkback_core::{Cx, ErrorKind, Result};

use super::StoreFixture;
use super::support::{assert_absent, assert_holds, get_range, noise, put};

pub(super) async fn a_missing_blob_is_not_found(fixture: StoreFixture) -> Result<()> {
    let (store, cx) = (&*fixture.store, Cx::background());
    assert_absent(store, "points/a.json", "in a new store").await?;
    put(store, "points/a.json", &noise(1, 10)).await?;
    // What only begins like a key, or goes on after one, is missing too.
    for key in [
        "points",
        "points/a",
        "points/a.json.x",
        "points/a.json/x",
        "points/b/c/d",
    ] {
        let error = store
            .stat(&cx, key)
            .await
            .expect_err("a missing blob has no size");
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
        let error = store
            .read(&cx, key, None)
            .await
            .err()
            .expect("a missing blob cannot be read");
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
        assert!(
            error.message().contains(key),
            "the error does not name `{key}`: {error}"
        );
    }
    Ok(())
}

pub(super) async fn a_range_gives_the_part_asked_for(fixture: StoreFixture) -> Result<()> {
    let store = &*fixture.store;
    let whole = noise(3, 600_000);
    put(store, "objects/a", &whole).await?;
    let offsets = [0, 1, 7, 4095, 4096, 59_999, 60_000, 262_143, 262_144, 599_999];
    for offset in offsets {
        for length in [0, 1, 2, 4096, 60_001, 262_144] {
            let expected = whole.slice(offset..(offset + length).min(whole.len()));
            let found = get_range(store, "objects/a", offset as u64, length as u64).await?;
            assert!(
                found == expected,
                "{length} bytes from {offset} are not what was written there"
            );
        }
    }
    Ok(())
}

pub(super) async fn a_range_past_the_end_is_cut(fixture: StoreFixture) -> Result<()> {
    let store = &*fixture.store;
    let whole = noise(3, 1000);
    put(store, "objects/a", &whole).await?;
    put(store, "objects/empty", &noise(0, 0)).await?;
    for (offset, length, expected) in [
        (999, 2, whole.slice(999..)),
        (0, u64::MAX, whole.clone()),
        (1, u64::MAX, whole.slice(1..)),
        (1000, 1, whole.slice(1000..)),
        (1001, 1, whole.slice(1000..)),
        (u64::MAX, u64::MAX, whole.slice(1000..)),
    ] {
        let found = get_range(store, "objects/a", offset, length).await?;
        assert!(
            found == expected,
            "{length} bytes from {offset}: {} were read",
            found.len()
        );
        assert!(
            get_range(store, "objects/empty", offset, length)
                .await?
                .is_empty()
        );
    }
    Ok(())
}

pub(super) async fn a_reader_may_stop_early(fixture: StoreFixture) -> Result<()> {
    let (store, cx) = (&*fixture.store, Cx::background());
    let whole = noise(3, 2_000_000);
    put(store, "objects/a", &whole).await?;
    for _ in 0..20 {
        let mut stream = store.read(&cx, "objects/a", None).await?;
        let first = stream.try_next().await?.expect("there is a first piece");
        assert!(whole.starts_with(&first));
    }
    assert_holds(store, "objects/a", &whole, "after readers that stopped early").await?;
    let cancelled = Cx::background();
    let stream = store.read(&cancelled, "objects/a", None).await?;
    cancelled.canceller().cancel();
    match stream.try_collect::<Vec<_>>().await {
        Ok(pieces) => assert!(
            pieces.concat() == whole,
            "a cancelled reader takes a part for the whole"
        ),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted, "{error:?}"),
    }
    Ok(())
}
