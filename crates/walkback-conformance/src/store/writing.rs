//! `create`, `write`, `commit`, `abort`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use walkback_core::{Cx, ErrorKind, Result};

use super::StoreFixture;
use super::support::{assert_absent, assert_holds, get, noise, put};

const KEY: &str = "points/a.json";

pub(super) async fn a_blob_is_invisible_until_it_is_committed(fixture: StoreFixture) -> Result<()> {
    let (store, cx) = (&*fixture.store, Cx::background());
    let mut writer = store.create(&cx, KEY).await?;
    assert_absent(store, KEY, "after create").await?;
    writer.write(&cx, noise(1, 400_000)).await?;
    assert_absent(store, KEY, "after a write").await?;
    writer.commit(&cx).await?;
    assert_holds(store, KEY, &noise(1, 400_000), "after commit").await
}

pub(super) async fn a_committed_blob_is_whole_and_visible_at_once(fixture: StoreFixture) -> Result<()> {
    for size in [1, 2, 4095, 4096, 4097, 65_536, 1_000_003] {
        let key = format!("objects/{size}");
        put(&*fixture.store, &key, &noise(7, size)).await?;
        assert_holds(&*fixture.store, &key, &noise(7, size), "right after commit").await?;
    }
    Ok(())
}

pub(super) async fn a_commit_over_an_existing_key_replaces_it(fixture: StoreFixture) -> Result<()> {
    let store = &*fixture.store;
    put(store, KEY, &noise(1, 300_000)).await?;
    // A shorter blob, so that what is left of the longer one would show.
    put(store, KEY, &noise(2, 1_000)).await?;
    assert_holds(store, KEY, &noise(2, 1_000), "after a shorter one was committed").await?;
    put(store, KEY, &noise(3, 500_000)).await?;
    assert_holds(store, KEY, &noise(3, 500_000), "after a longer one was committed").await
}

pub(super) async fn a_reader_sees_the_old_blob_or_the_new_one(fixture: StoreFixture) -> Result<()> {
    let store = Arc::clone(&fixture.store);
    let versions: Vec<_> = (0..20).map(|version| noise(version, 700_000)).collect();
    put(&*store, KEY, &versions[0]).await?;
    // A reader that has begun stays with its blob, or fails; it never gets half of another.
    let cx = Cx::background();
    let mut begun = store.read(&cx, KEY, None).await?;
    let first = begun.try_next().await?.unwrap_or_default();
    let writing = {
        let (store, versions) = (Arc::clone(&store), versions.clone());
        tokio::spawn(async move {
            for version in &versions {
                put(&*store, KEY, version).await?;
            }
            Ok::<_, walkback_core::Error>(())
        })
    };
    while !writing.is_finished() {
        let seen = get(&*store, KEY).await?;
        assert!(
            versions.contains(&seen),
            "a reader saw {} bytes that nobody wrote",
            seen.len()
        );
    }
    writing.await.expect("the writer does not panic")?;
    let rest: std::result::Result<Vec<Bytes>, _> = begun.try_collect().await;
    if let Ok(rest) = rest {
        let whole = [vec![first], rest].concat().concat();
        assert!(
            versions.iter().any(|version| *version == whole),
            "a reader that had begun saw two blobs mixed"
        );
    }
    Ok(())
}

pub(super) async fn an_aborted_writer_leaves_nothing(fixture: StoreFixture) -> Result<()> {
    let (store, cx) = (&*fixture.store, Cx::background());
    let mut writer = store.create(&cx, KEY).await?;
    writer.write(&cx, noise(1, 200_000)).await?;
    writer.abort(&cx).await?;
    assert_absent(store, KEY, "after abort").await?;
    assert_eq!(
        store.sweep(&cx).await?.blobs,
        0,
        "an aborted writer leaves work for `sweep`"
    );
    Ok(())
}

pub(super) async fn a_dropped_writer_leaves_nothing(fixture: StoreFixture) -> Result<()> {
    let (store, cx) = (&*fixture.store, Cx::background());
    put(store, "points/b.json", &noise(5, 10)).await?;
    for key in [KEY, "points/b.json"] {
        let mut writer = store.create(&cx, key).await?;
        writer.write(&cx, noise(1, 200_000)).await?;
        drop(writer);
    }
    // What a drop starts may end a moment later, but never by showing the blob.
    for _ in 0..3 {
        assert_absent(store, KEY, "after its writer was dropped").await?;
        assert_holds(
            store,
            "points/b.json",
            &noise(5, 10),
            "after its second writer was dropped",
        )
        .await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

pub(super) async fn an_abort_keeps_the_blob_that_was_there(fixture: StoreFixture) -> Result<()> {
    let (store, cx) = (&*fixture.store, Cx::background());
    put(store, KEY, &noise(1, 1000)).await?;
    let mut writer = store.create(&cx, KEY).await?;
    writer.write(&cx, noise(2, 50)).await?;
    writer.abort(&cx).await?;
    assert_holds(store, KEY, &noise(1, 1000), "after another writer was aborted").await
}

pub(super) async fn many_pieces_make_one_blob(fixture: StoreFixture) -> Result<()> {
    let (store, cx) = (&*fixture.store, Cx::background());
    let whole = noise(11, 300_000);
    let mut writer = store.create(&cx, KEY).await?;
    let mut start = 0;
    for size in [0, 1, 2, 3, 0, 1000, 65_535, 65_536, 100_000].into_iter().cycle() {
        let end = (start + size).min(whole.len());
        writer.write(&cx, whole.slice(start..end)).await?;
        start = end;
        if start == whole.len() {
            break;
        }
    }
    writer.commit(&cx).await?;
    assert_holds(store, KEY, &whole, "after writes of many sizes").await
}

pub(super) async fn an_empty_blob_is_a_blob(fixture: StoreFixture) -> Result<()> {
    let (store, cx) = (&*fixture.store, Cx::background());
    store.create(&cx, KEY).await?.commit(&cx).await?;
    assert_holds(store, KEY, &Bytes::new(), "after a commit without a write").await?;
    put(store, "points/b.json", &Bytes::new()).await?;
    assert_holds(store, "points/b.json", &Bytes::new(), "after a write of nothing").await
}

pub(super) async fn a_large_blob_takes_little_memory(fixture: StoreFixture) -> Result<()> {
    const PIECES: u64 = 256;
    const LARGEST_PIECE: usize = 8 << 20;
    const MOST_MEMORY: u64 = 32 << 20;
    let (store, cx) = (&*fixture.store, Cx::background());
    let before = peak_memory();
    let mut writer = store.create(&cx, "objects/large").await?;
    for piece in 0..PIECES {
        writer.write(&cx, noise(piece, 256 << 10)).await?;
    }
    writer.commit(&cx).await?;
    let mut expected = blob_of(PIECES);
    let mut left = Bytes::new();
    let mut read = 0;
    let mut stream = store.read(&cx, "objects/large", None).await?;
    while let Some(mut piece) = stream.try_next().await? {
        assert!(
            piece.len() <= LARGEST_PIECE,
            "a piece of {} bytes was read at once",
            piece.len()
        );
        read += piece.len();
        while !piece.is_empty() {
            if left.is_empty() {
                left = expected.next().expect("no more is read than was written");
            }
            let same = left.len().min(piece.len());
            assert!(
                left.split_to(same) == piece.split_to(same),
                "other bytes are read than were written"
            );
        }
    }
    assert_eq!(read, 64 << 20);
    if let (Some(before), Some(after), false) = (before, peak_memory(), fixture.in_memory) {
        let grown = after.saturating_sub(before);
        assert!(
            grown < MOST_MEMORY,
            "writing and reading 64 MiB took {} MiB of memory",
            grown >> 20
        );
    }
    Ok(())
}

fn blob_of(pieces: u64) -> impl Iterator<Item = Bytes> {
    (0..pieces).map(|piece| noise(piece, 256 << 10))
}

/// Returns the largest resident size this process ever had, in bytes, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes << 10)
}

pub(super) async fn concurrent_writers_of_one_key_do_not_mix(fixture: StoreFixture) -> Result<()> {
    let versions: Vec<_> = (1..=8).map(|version| noise(version, 200_000)).collect();
    // All have begun before one writes, and all have written before one commits.
    let together = Arc::new(tokio::sync::Barrier::new(versions.len()));
    let writers = versions.iter().cloned().map(|version| {
        let (store, together) = (Arc::clone(&fixture.store), Arc::clone(&together));
        tokio::spawn(async move {
            let cx = Cx::background();
            let mut writer = store.create(&cx, KEY).await?;
            together.wait().await;
            for start in (0..version.len()).step_by(10_000) {
                writer.write(&cx, version.slice(start..start + 10_000)).await?;
            }
            together.wait().await;
            writer.commit(&cx).await
        })
    });
    for outcome in futures::future::join_all(writers).await {
        outcome.expect("a writer does not panic")?;
    }
    let last = get(&*fixture.store, KEY).await?;
    assert!(versions.contains(&last), "what is left was written by no writer");
    assert_holds(&*fixture.store, KEY, &last, "after eight writers").await
}

pub(super) async fn a_cancelled_context_stops_a_writer_and_leaves_nothing(
    fixture: StoreFixture,
) -> Result<()> {
    let (store, calm) = (&*fixture.store, Cx::background());
    let cx = Cx::background();
    let mut writer = store.create(&calm, KEY).await?;
    writer.write(&calm, noise(1, 100_000)).await?;
    cx.canceller().cancel();
    let refused = |error: walkback_core::Error| assert_eq!(error.kind(), ErrorKind::Interrupted, "{error:?}");
    refused(
        writer
            .write(&cx, noise(1, 100))
            .await
            .expect_err("a cancelled write fails"),
    );
    refused(writer.commit(&cx).await.expect_err("a cancelled commit fails"));
    assert_absent(store, KEY, "after a cancelled commit").await?;
    match store.create(&cx, KEY).await {
        Ok(_) => panic!("a cancelled context creates a writer"),
        Err(error) => refused(error),
    }
    assert_eq!(
        store.sweep(&calm).await?.blobs,
        0,
        "a cancelled writer leaves work for `sweep`"
    );
    Ok(())
}

pub(super) async fn a_cancelled_writer_can_still_be_aborted(fixture: StoreFixture) -> Result<()> {
    let (store, cx) = (&*fixture.store, Cx::background());
    let mut writer = store.create(&cx, KEY).await?;
    writer.write(&cx, noise(1, 100_000)).await?;
    cx.canceller().cancel();
    writer.abort(&cx).await?;
    let calm = Cx::background();
    assert_absent(store, KEY, "after an abort").await?;
    assert_eq!(
        store.sweep(&calm).await?.blobs,
        0,
        "an aborted writer leaves work for `sweep`"
    );
    Ok(())
}

pub(super) async fn the_size_and_time_of_a_blob_are_those_of_its_commit(fixture: StoreFixture) -> Result<()> {
    // Clocks of stores may be a little off, and some keep whole seconds only.
    let leeway = chrono::TimeDelta::seconds(120);
    let (store, cx) = (&*fixture.store, Cx::background());
    put(store, KEY, &noise(1, 1000)).await?;
    let first = store.stat(&cx, KEY).await?;
    let age = (cx.now() - first.modified).abs();
    assert!(
        age < leeway,
        "a blob that was just written says {}",
        first.modified
    );
    tokio::time::sleep(Duration::from_millis(1100)).await;
    put(store, KEY, &noise(2, 2000)).await?;
    let second = store.stat(&cx, KEY).await?;
    assert!(
        second.modified > first.modified,
        "a blob that was replaced keeps the time of the old one"
    );
    assert_eq!(second.bytes, 2000);
    Ok(())
}
