//! What was written comes back.

mod common;

use std::sync::Arc;

use common::{SetClock, add, chunk, chunks, meta, point, read, slice, stream, vault};
use futures::StreamExt as _;
use proptest::prelude::*;
use walkback_conformance::memory_store::MemoryStore;
use walkback_core::bulk::{Chunk, Encoding, TableSlice};
use walkback_core::fingerprint::Fingerprinter;
use walkback_core::store::StoreExt as _;
use walkback_core::{BackupStore as _, Cx, Error, ErrorKind, TableName};
use walkback_vault::{Reuse, Vault};

#[tokio::test]
async fn a_point_comes_back_as_it_was_written() {
    let (store, cx) = (MemoryStore::new(), SetClock::new().cx());
    let vault = vault(&store);
    let mut writer = vault.begin(&cx, "rb_more_20261120_120000", meta()).await.unwrap();
    let summary = add(&mut writer, &cx, "items", chunks(0..20)).await.unwrap();
    assert_eq!(
        (
            summary.rows,
            summary.chunks,
            summary.chunks_reused,
            summary.bytes_reused
        ),
        (4000, 20, 0, 0)
    );
    assert!(
        summary.bytes_new < summary.bytes / 2,
        "rows are compressed: {summary:?}"
    );
    let empty = add(&mut writer, &cx, "empty", Vec::new()).await.unwrap();
    assert_eq!((empty.rows, empty.chunks), (0, 0));
    let mut fingerprint = Fingerprinter::new();
    (0..4000).for_each(|_| {
        fingerprint.add(b"row");
    });
    writer
        .set_fingerprint(&TableName::new("items"), fingerprint.finish())
        .unwrap();
    let written = writer.finish(&cx).await.unwrap();

    let opened = vault.open(&cx, "rb_more").await.unwrap();
    assert_eq!(opened, written);
    assert_eq!(opened.schema, meta().schema);
    assert_eq!(opened.description, meta().description);
    assert_eq!(opened.totals.rows, 4000);
    assert_eq!(opened.created_at, cx.now());
    assert_eq!(
        opened.table(&TableName::new("ITEMS")).unwrap().fingerprint,
        Some(fingerprint.finish())
    );
    assert_eq!(read(&vault, &cx, &opened, "items").await.unwrap(), chunks(0..20));
    assert!(read(&vault, &cx, &opened, "empty").await.unwrap().is_empty());
    assert!(vault.verify(&cx, "rb_more").await.unwrap().is_intact());
    assert_eq!(store.misuse(), [""; 0]);
    // The layout is part of the format.
    assert!(
        store
            .keys()
            .contains(&"team/app/points/rb_more_20261120_120000.json".to_owned())
    );
    let hash = &opened.tables[0].chunks[0].hash;
    assert_eq!(hash, blake3::hash(&chunks(0..1)[0].bytes).to_hex().as_str());
    assert!(
        store
            .keys()
            .contains(&format!("team/app/objects/{}/{hash}", &hash[..2]))
    );
}

#[tokio::test]
async fn a_second_backup_costs_only_what_changed() {
    let (store, cx) = (MemoryStore::new(), Cx::background());
    let vault = vault(&store);
    point(&vault, &cx, "first", &[("items", 0..20)]).await.unwrap();
    let objects = store.keys().len();
    for (id, reuse) in [("second", Reuse::Verified), ("third", Reuse::Trusted)] {
        let vault = vault.clone().with_reuse(reuse);
        let mut writer = vault.begin(&cx, id, meta()).await.unwrap();
        let summary = add(&mut writer, &cx, "items", chunks(0..21)).await.unwrap();
        let new = u64::from(id == "second");
        assert_eq!((summary.chunks, summary.chunks_reused), (21, 21 - new));
        assert!(summary.bytes_reused > summary.bytes_new * 10, "{summary:?}");
        writer.finish(&cx).await.unwrap();
    }
    assert_eq!(
        store.keys().len(),
        objects + 1 + 2,
        "one new chunk and two manifests"
    );
}

#[tokio::test]
async fn equal_chunks_of_one_point_are_kept_once() {
    let (store, cx) = (MemoryStore::new(), Cx::background());
    let vault = vault(&store);
    let mut writer = vault.begin(&cx, "p", meta()).await.unwrap();
    add(&mut writer, &cx, "a", chunks(0..3)).await.unwrap();
    let again = add(&mut writer, &cx, "b", chunks(0..3)).await.unwrap();
    assert_eq!((again.chunks_reused, again.bytes_new), (3, 0));
    let manifest = writer.finish(&cx).await.unwrap();
    assert_eq!(store.keys().len(), 4);
    assert_eq!(read(&vault, &cx, &manifest, "b").await.unwrap(), chunks(0..3));
}

#[tokio::test]
async fn names_of_every_sort_are_kept() {
    let (store, cx) = (MemoryStore::new(), Cx::background());
    let vault = vault(&store);
    let mut writer = vault.begin(&cx, "p", meta()).await.unwrap();
    let names = [
        "select", "a\"b`c]", "ta\0ble", "naïve", "𝒳", " ", "", "../x", "A", "a.b",
    ];
    let tables = names
        .iter()
        .map(|name| TableName::new(*name))
        .chain([TableName::in_schema("a", "b"), TableName::in_schema("", "")]);
    let tables: Vec<_> = tables.collect();
    for (number, table) in tables.iter().enumerate() {
        let slice = TableSlice::new(table.clone(), vec!["\"".into()], Vec::new());
        let number = number as u64;
        writer
            .add_table(&cx, &slice, stream(chunks(number..number + 1)))
            .await
            .unwrap();
    }
    writer.finish(&cx).await.unwrap();
    let manifest = vault.open(&cx, "p").await.unwrap();
    for (number, table) in tables.iter().enumerate() {
        let number = number as u64;
        let mut rows = vault.read_table(&cx, &manifest, table).unwrap();
        assert_eq!(
            rows.next().await.unwrap().unwrap(),
            chunks(number..number + 1)[0],
            "{table:?}"
        );
    }
}

#[tokio::test]
async fn a_point_without_finish_does_not_exist() {
    let (store, cx) = (MemoryStore::new(), Cx::background());
    let vault = vault(&store);
    let mut writer = vault.begin(&cx, "p", meta()).await.unwrap();
    add(&mut writer, &cx, "items", chunks(0..3)).await.unwrap();
    drop(writer);
    assert!(vault.list(&cx).await.unwrap().is_empty());
    let error = vault.open(&cx, "p").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.hints()[0].contains("walkback point create"), "{error:?}");
}

#[tokio::test]
async fn a_failing_export_leaves_the_table_out_and_the_error_as_it_was() {
    let (store, cx) = (MemoryStore::new(), Cx::background());
    let vault = vault(&store);
    let mut writer = vault.begin(&cx, "p", meta()).await.unwrap();
    let mut rows: Vec<_> = chunks(0..6).into_iter().map(Ok).collect();
    rows.insert(
        3,
        Err(Error::new(ErrorKind::Database, "the disk of the server is full")),
    );
    let broken = futures::stream::iter(rows).boxed();
    let error = writer.add_table(&cx, &slice("items"), broken).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Database, "the disk of the server is full")
    );
    add(&mut writer, &cx, "items", chunks(0..2)).await.unwrap();
    let manifest = writer.finish(&cx).await.unwrap();
    assert_eq!(read(&vault, &cx, &manifest, "items").await.unwrap(), chunks(0..2));
}

#[tokio::test]
async fn a_cancelled_backup_stops_and_leaves_no_point() {
    let (store, cx) = (MemoryStore::new(), Cx::background());
    let vault = vault(&store);
    let mut writer = vault.begin(&cx, "p", meta()).await.unwrap();
    add(&mut writer, &cx, "items", chunks(0..2)).await.unwrap();
    cx.canceller().cancel();
    let error = add(&mut writer, &cx, "more", chunks(0..2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    assert_eq!(
        writer.finish(&cx).await.unwrap_err().kind(),
        ErrorKind::Interrupted
    );
    assert!(vault.list(&Cx::background()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_chunk_that_vanishes_before_the_manifest_prevents_the_point() {
    let (store, cx) = (MemoryStore::new(), Cx::background());
    let vault = vault(&store);
    for cut in [false, true] {
        let mut writer = vault.begin(&cx, "p", meta()).await.unwrap();
        add(&mut writer, &cx, "items", chunks(0..5)).await.unwrap();
        let key = store.keys()[2].clone();
        if cut {
            store.tamper(&key, |bytes| bytes.truncate(10));
        } else {
            store.remove(&cx, &key).await.unwrap();
        }
        let error = writer.finish(&cx).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(error.message().contains("table `items`"), "{error:?}");
        assert!(vault.list(&cx).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn an_id_is_used_once_and_must_be_one() {
    let (store, cx) = (MemoryStore::new(), Cx::background());
    let vault = vault(&store);
    let late = vault.begin(&cx, "p", meta()).await.unwrap();
    point(&vault, &cx, "p", &[("items", 0..1)]).await.unwrap();
    assert_eq!(
        vault.begin(&cx, "p", meta()).await.unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
    assert_eq!(
        late.finish(&cx).await.unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
    for id in ["", ".", "..", "a/b", "-p", ".p", "a b", "ä", &"x".repeat(151)] {
        assert_eq!(
            vault.begin(&cx, id, meta()).await.unwrap_err().kind(),
            ErrorKind::Usage,
            "{id:?}"
        );
        assert!(vault.open(&cx, id).await.is_err(), "{id:?}");
        assert!(vault.remove(&cx, id).await.is_err(), "{id:?}");
    }
    assert_eq!(vault.list(&cx).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_point_is_found_by_the_beginning_of_its_id() {
    let (store, clock) = (MemoryStore::new(), SetClock::new());
    let (vault, cx) = (vault(&store), clock.cx());
    for id in ["rb_users_1", "rb_users_2", "rb_orders", "rb"] {
        point(&vault, &cx, id, &[]).await.unwrap();
        clock.advance(chrono::TimeDelta::seconds(1));
    }
    assert_eq!(vault.open(&cx, "rb_o").await.unwrap().id, "rb_orders");
    assert_eq!(vault.open(&cx, "rb").await.unwrap().id, "rb", "an exact id wins");
    let several = vault.open(&cx, "rb_u").await.unwrap_err();
    assert_eq!(several.kind(), ErrorKind::Usage);
    assert!(
        several.hints()[0].contains("`rb_users_1`, `rb_users_2`"),
        "{several:?}"
    );
    let close = vault.open(&cx, "rb_order5").await.unwrap_err();
    assert_eq!(close.kind(), ErrorKind::NotFound);
    assert!(
        close.hints()[0].contains("did you mean `rb_orders`?"),
        "{close:?}"
    );
    let far = vault.open(&cx, "zzz").await.unwrap_err();
    assert_eq!(far.hints()[0], "the newest point is `rb`");
    let ids: Vec<_> = vault
        .list(&cx)
        .await
        .unwrap()
        .into_iter()
        .map(|point| point.id)
        .collect();
    assert_eq!(
        ids,
        ["rb", "rb_orders", "rb_users_2", "rb_users_1"],
        "newest first"
    );
}

#[tokio::test]
async fn mistakes_of_the_caller_are_refused() {
    let (store, cx) = (MemoryStore::new(), Cx::background());
    let vault = vault(&store);
    let mut writer = vault.begin(&cx, "p", meta()).await.unwrap();
    add(&mut writer, &cx, "items", chunks(0..1)).await.unwrap();
    assert!(
        add(&mut writer, &cx, "items", chunks(0..1)).await.is_err(),
        "a table twice"
    );
    let two = vec![
        chunk(1, "a"),
        Chunk {
            encoding: Encoding("other".into()),
            ..chunk(1, "b")
        },
    ];
    assert!(add(&mut writer, &cx, "two", two).await.is_err(), "two encodings");
    let none = Fingerprinter::new().finish();
    assert!(
        writer
            .set_fingerprint(&TableName::new("items"), none.clone())
            .is_err(),
        "another number of rows"
    );
    assert!(
        writer.set_fingerprint(&TableName::new("nope"), none).is_err(),
        "no such table"
    );
    let manifest = writer.finish(&cx).await.unwrap();
    let error = vault
        .read_table(&cx, &manifest, &TableName::new("item"))
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.hints()[0], "did you mean `items`?");
    for prefix in ["/", "a/", "../x", "a b"] {
        assert_eq!(
            Vault::new(Arc::new(store.clone()), prefix).unwrap_err().kind(),
            ErrorKind::Usage
        );
    }
    assert!(store.exists(&cx, "team/app/points/p.json").await.unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_tables_come_back(tables in proptest::collection::vec(
        proptest::collection::vec((0_u64..5, proptest::collection::vec(any::<u8>(), 0..400)), 0..9),
        0..5,
    )) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (store, cx) = (MemoryStore::new(), Cx::background());
            let vault = vault(&store);
            let mut writer = vault.begin(&cx, "p", meta()).await.unwrap();
            let tables: Vec<Vec<Chunk>> = tables
                .into_iter()
                .map(|table| table.into_iter().map(|(rows, bytes)| chunk(rows, bytes)).collect())
                .collect();
            for (number, table) in tables.iter().enumerate() {
                add(&mut writer, &cx, &format!("t{number}"), table.clone()).await.unwrap();
            }
            writer.finish(&cx).await.unwrap();
            let manifest = vault.open(&cx, "p").await.unwrap();
            for (number, table) in tables.iter().enumerate() {
                assert_eq!(&read(&vault, &cx, &manifest, &format!("t{number}")).await.unwrap(), table);
            }
            assert!(vault.verify(&cx, "p").await.unwrap().is_intact());
            assert!(store.misuse().is_empty());
        });
    }
}

/// A runner that holds a vault across an `.await` must itself stay `Send`.
#[test]
fn every_call_gives_a_future_that_can_move_between_threads() {
    fn is_send<T: Send>(what: impl Fn() -> T) -> impl Fn() -> T {
        what
    }
    let store = MemoryStore::new();
    let (vault, cx) = (vault(&store), Cx::background());
    drop(is_send(|| vault.list(&cx)));
    drop(is_send(|| vault.open(&cx, "p")));
    drop(is_send(|| vault.verify(&cx, "p")));
    drop(is_send(|| vault.remove(&cx, "p")));
    drop(is_send(|| vault.bring_back(&cx, "p")));
    drop(is_send(|| vault.collect_garbage(&cx)));
    drop(is_send(|| point(&vault, &cx, "p", &[("items", 0..1)])));
}
