//! The bytes of version 1 are kept, and stay readable for ever.

#[path = "common/mod.rs"]
mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{SetClock, add, chunks, meta, read, slice, stream};
use walkback_conformance::memory_store::MemoryStore;
use walkback_core::fingerprint::Fingerprinter;
use walkback_core::store::StoreExt as _;
use walkback_core::{Cx, DialectKind, TableName};
use walkback_vault::{Manifest, PointKind, Position, Vault};

const ID: &str = "rb_more_20261120_120000";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1")
}

/// Reads the fixture into a store.
async fn fixture() -> MemoryStore {
    let store = MemoryStore::new();
    let mut folders = vec![folder()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let key = path
                .strip_prefix(folder())
                .unwrap()
                .to_str()
                .unwrap()
                .replace('\\', "/");
            store
                .put(&Cx::background(), &key, std::fs::read(&path).unwrap().into())
                .await
                .unwrap();
        }
    }
    store
}

async fn write(vault: &Vault) -> Manifest {
    let cx = SetClock::new().cx();
    let mut meta = meta();
    meta.position = Some(Position::new("binlog", "mysql-bin.000003:154"));
    let mut writer = vault.begin(&cx, ID, meta).await.unwrap();
    add(&mut writer, &cx, "order \"items\"", chunks(0..2))
        .await
        .unwrap();
    let mut fingerprint = Fingerprinter::new();
    (0..400).for_each(|_| fingerprint.add(b"row"));
    writer
        .set_fingerprint(&TableName::new("order \"items\""), fingerprint.finish())
        .unwrap();
    let mut empty = slice("empty");
    empty.table = TableName::in_schema("sales", "empty");
    writer.add_table(&cx, &empty, stream([])).await.unwrap();
    writer.finish(&cx).await.unwrap()
}

#[tokio::test]
async fn a_point_of_version_1_is_read() {
    let (store, cx) = (fixture().await, Cx::background());
    let vault = Vault::new(Arc::new(store), "").unwrap();
    let manifest = vault.open(&cx, ID).await.unwrap();
    assert_eq!((manifest.version, manifest.kind), (1, PointKind::BeforeUp));
    assert_eq!(manifest.created_at.to_rfc3339(), "2026-11-20T12:00:00+00:00");
    assert_eq!(manifest.database.dialect, DialectKind::Sqlite);
    assert_eq!(manifest.ledger.heads, ["20260202_more"]);
    assert_eq!(manifest.schema, meta().schema);
    assert_eq!(
        manifest.position,
        Some(Position::new("binlog", "mysql-bin.000003:154"))
    );
    assert_eq!(manifest.totals.rows, 400);
    assert_eq!(
        read(&vault, &cx, &manifest, "order \"items\"").await.unwrap(),
        chunks(0..2)
    );
    assert!(vault.verify(&cx, ID).await.unwrap().is_intact());
}

#[tokio::test]
async fn what_is_written_now_is_still_version_1() {
    let store = MemoryStore::new();
    let now = write(&Vault::new(Arc::new(store.clone()), "").unwrap()).await;
    let fixture = fixture().await;
    let mut then = Vault::new(Arc::new(fixture.clone()), "")
        .unwrap()
        .open(&Cx::background(), ID)
        .await
        .unwrap();
    assert_eq!(store.keys(), fixture.keys());
    // Who wrote it, and how well the compressor of the day does, may differ.
    then.tool.clone_from(&now.tool);
    then.hash.clone_from(&now.hash);
    then.totals.stored = now.totals.stored;
    for (then, now) in then.tables.iter_mut().zip(&now.tables) {
        for (then, now) in then.chunks.iter_mut().zip(&now.chunks) {
            then.stored = now.stored;
        }
    }
    assert_eq!(then, now);
}

#[tokio::test]
#[ignore = "writes the fixture: only when there is none yet, for the format never changes"]
async fn the_fixture_is_written() {
    let store = MemoryStore::new();
    write(&Vault::new(Arc::new(store.clone()), "").unwrap()).await;
    for key in store.keys() {
        let path = folder().join(&key);
        assert!(!path.exists(), "the fixture is there already");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, store.get(&Cx::background(), &key).await.unwrap()).unwrap();
    }
}
