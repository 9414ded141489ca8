//! Space is given back, and never under a point or a running backup.

mod common;

use chrono::TimeDelta;
use common::{SetClock, add, chunks, meta, point, read, vault};
use walkback_conformance::memory_store::MemoryStore;
use walkback_core::ErrorKind;
use walkback_vault::GRACE;

fn objects(store: &MemoryStore) -> usize {
    store
        .keys()
        .iter()
        .filter(|key| key.contains("/objects/"))
        .count()
}

#[tokio::test]
async fn a_removed_point_gives_its_space_back_after_the_grace_period() {
    let (store, clock) = (MemoryStore::new(), SetClock::new());
    let (vault, cx) = (vault(&store), clock.cx());
    point(&vault, &cx, "a", &[("items", 0..10)]).await.unwrap();
    point(&vault, &cx, "b", &[("items", 5..15)]).await.unwrap();
    clock.advance(GRACE * 3);
    assert_eq!(
        vault.collect_garbage(&cx).await.unwrap().objects,
        0,
        "every chunk is named"
    );

    vault.remove(&cx, "a").await.unwrap();
    assert_eq!(
        vault.open(&cx, "a").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        vault.collect_garbage(&cx).await.unwrap().objects,
        0,
        "the point could be brought back"
    );
    assert_eq!(objects(&store), 15);

    clock.advance(GRACE + TimeDelta::seconds(1));
    let collected = vault.collect_garbage(&cx).await.unwrap();
    assert_eq!((collected.objects, collected.points_forgotten), (5, 1));
    assert!(collected.bytes > 0);
    assert_eq!(objects(&store), 10);
    assert!(vault.verify(&cx, "b").await.unwrap().is_intact());
    assert_eq!(
        vault.collect_garbage(&cx).await.unwrap(),
        walkback_vault::Collected::default()
    );
    assert_eq!(store.misuse(), [""; 0]);
}

#[tokio::test]
async fn a_removed_point_can_be_brought_back() {
    let (store, clock) = (MemoryStore::new(), SetClock::new());
    let (vault, cx) = (vault(&store), clock.cx());
    let before = point(&vault, &cx, "a", &[("items", 0..3)]).await.unwrap();
    clock.advance(GRACE * 2);
    vault.remove(&cx, "a").await.unwrap();
    assert_eq!(
        vault.remove(&cx, "a").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let taken = vault.begin(&cx, "a", meta()).await.unwrap_err();
    assert_eq!(
        taken.kind(),
        ErrorKind::AlreadyExists,
        "its chunks are protected by this id"
    );
    clock.advance(GRACE / 3);
    vault.collect_garbage(&cx).await.unwrap();
    assert_eq!(vault.bring_back(&cx, "a").await.unwrap(), before);
    clock.advance(GRACE * 2);
    vault.collect_garbage(&cx).await.unwrap();
    assert_eq!(vault.open(&cx, "a").await.unwrap(), before);
    assert!(vault.verify(&cx, "a").await.unwrap().is_intact());
    assert_eq!(
        vault.bring_back(&cx, "nope").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn a_point_that_was_removed_long_ago_is_not_brought_back() {
    let (store, clock) = (MemoryStore::new(), SetClock::new());
    let (vault, cx) = (vault(&store), clock.cx());
    point(&vault, &cx, "a", &[("items", 0..3)]).await.unwrap();
    vault.remove(&cx, "a").await.unwrap();
    // A garbage collection that began a moment ago may not count it any more when it ends.
    clock.advance(GRACE / 2 + TimeDelta::seconds(1));
    point(&vault, &cx, "b", &[]).await.unwrap();
    vault.remove(&cx, "b").await.unwrap();
    assert_eq!(
        vault.bring_back(&cx, "a").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    vault.bring_back(&cx, "b").await.unwrap();
}

#[tokio::test]
async fn a_point_is_removed_by_its_whole_id_only() {
    let (store, clock) = (MemoryStore::new(), SetClock::new());
    let (vault, cx) = (vault(&store), clock.cx());
    point(&vault, &cx, "rb_users", &[]).await.unwrap();
    let error = vault.remove(&cx, "rb_u").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.hints()[0].contains("`rb_users`"), "{error:?}");
    assert_eq!(vault.list(&cx).await.unwrap().len(), 1);
}

#[tokio::test]
async fn chunks_of_a_running_backup_are_kept() {
    let (store, clock) = (MemoryStore::new(), SetClock::new());
    let (vault, cx) = (vault(&store), clock.cx());
    point(&vault, &cx, "old", &[("items", 0..5)]).await.unwrap();
    clock.advance(GRACE * 3);
    // The running backup builds on chunks 0..5 of `old`, and writes 5..8.
    let mut running = vault.begin(&cx, "running", meta()).await.unwrap();
    let summary = add(&mut running, &cx, "items", chunks(0..8)).await.unwrap();
    assert_eq!(summary.chunks_reused, 5);
    vault.remove(&cx, "old").await.unwrap();
    clock.advance(GRACE / 2 - TimeDelta::seconds(1));
    let collected = vault.collect_garbage(&cx).await.unwrap();
    assert_eq!((collected.objects, collected.kept_young), (0, 3));
    let manifest = running.finish(&cx).await.unwrap();
    clock.advance(GRACE * 3);
    vault.collect_garbage(&cx).await.unwrap();
    assert_eq!(read(&vault, &cx, &manifest, "items").await.unwrap(), chunks(0..8));
}

#[tokio::test]
async fn an_old_chunk_that_no_point_names_is_written_anew() {
    let (store, clock) = (MemoryStore::new(), SetClock::new());
    let (vault, cx) = (vault(&store), clock.cx());
    let mut given_up = vault.begin(&cx, "given_up", meta()).await.unwrap();
    add(&mut given_up, &cx, "items", chunks(0..3)).await.unwrap();
    drop(given_up);
    // Young: reused. Older than half the grace period: garbage collection may be about to take it.
    let mut soon = vault.begin(&cx, "soon", meta()).await.unwrap();
    assert_eq!(
        add(&mut soon, &cx, "items", chunks(0..3))
            .await
            .unwrap()
            .chunks_reused,
        3
    );
    clock.advance(GRACE * 2 / 3);
    let mut later = vault.begin(&cx, "later", meta()).await.unwrap();
    assert_eq!(
        add(&mut later, &cx, "items", chunks(0..3))
            .await
            .unwrap()
            .chunks_reused,
        0
    );
    clock.advance(GRACE * 2 / 3);
    let collected = vault.collect_garbage(&cx).await.unwrap();
    assert_eq!(
        (collected.objects, collected.kept_young),
        (0, 3),
        "they were written anew"
    );
    later.finish(&cx).await.unwrap();
    assert!(vault.verify(&cx, "later").await.unwrap().is_intact());
}

#[tokio::test]
async fn a_backup_that_was_given_up_is_collected() {
    let (store, clock) = (MemoryStore::new(), SetClock::new());
    let (vault, cx) = (vault(&store), clock.cx());
    let mut given_up = vault.begin(&cx, "given_up", meta()).await.unwrap();
    add(&mut given_up, &cx, "items", chunks(0..3)).await.unwrap();
    drop(given_up);
    assert_eq!(vault.collect_garbage(&cx).await.unwrap().kept_young, 3);
    clock.advance(GRACE + TimeDelta::seconds(1));
    assert_eq!(vault.collect_garbage(&cx).await.unwrap().objects, 3);
    assert_eq!(store.keys(), [""; 0]);
}

#[tokio::test]
async fn an_unreadable_manifest_stops_garbage_collection() {
    let (store, clock) = (MemoryStore::new(), SetClock::new());
    let (vault, cx) = (vault(&store), clock.cx());
    point(&vault, &cx, "a", &[("items", 0..3)]).await.unwrap();
    let mut given_up = vault.begin(&cx, "given_up", meta()).await.unwrap();
    add(&mut given_up, &cx, "items", chunks(5..8)).await.unwrap();
    drop(given_up);
    store.tamper("team/app/points/a.json", |bytes| bytes.truncate(50));
    clock.advance(GRACE * 2);
    let error = vault.collect_garbage(&cx).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.message().contains("no chunk was removed"), "{error:?}");
    assert!(
        error
            .hints()
            .iter()
            .any(|hint| hint.contains("walkback point remove a")),
        "{error:?}"
    );
    assert_eq!(objects(&store), 6);
    // Given up by a person, it no longer stands in the way once nobody can bring it back.
    vault.remove(&cx, "a").await.unwrap();
    assert_eq!(
        vault.collect_garbage(&cx).await.unwrap_err().kind(),
        ErrorKind::Damaged
    );
    clock.advance(GRACE * 2);
    assert_eq!(vault.collect_garbage(&cx).await.unwrap().objects, 6);
}

#[tokio::test]
async fn what_is_not_a_chunk_is_left_alone() {
    use walkback_core::store::StoreExt as _;
    let (store, clock) = (MemoryStore::new(), SetClock::new());
    let (vault, cx) = (vault(&store), clock.cx());
    let other = [
        "team/app/objects/README",
        "team/app/objects/aa/notes.txt",
        "team/app2/objects/aa/x",
        "team/app/audit/2026-11-20.jsonl",
    ];
    for key in other {
        store.put(&cx, key, "mine".into()).await.unwrap();
    }
    clock.advance(GRACE * 2);
    assert_eq!(
        vault.collect_garbage(&cx).await.unwrap(),
        walkback_vault::Collected::default()
    );
    assert_eq!(store.keys().len(), other.len());
}
