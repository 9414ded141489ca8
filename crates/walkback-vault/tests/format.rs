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
use walkback_vault::{HashKind, Keys, Manifest, PointKind, Position, Vault};

const ID: &str = "rb_more_20261120_120000";

/// The key that opens the encrypted fixture. It protects nothing.
const IDENTITY: &str = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";
const RECIPIENT: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";
const PASSPHRASE: &str = "only a fixture";

/// The fixtures: a folder each, and how the vault in it is opened.
const FIXTURES: [&str; 4] = ["v1", "v1-sha256", "v1-age", "v1-passphrase"];

fn open(store: MemoryStore, fixture: &str) -> Vault {
    let vault = Vault::new(Arc::new(store), "").unwrap();
    match fixture {
        "v1-sha256" => vault.with_hash(HashKind::Sha256),
        "v1-age" => vault.with_keys(
            Keys::default()
                .encrypt_to(&[RECIPIENT.to_owned()])
                .unwrap()
                .with_identities(IDENTITY, "the test")
                .unwrap(),
        ),
        "v1-passphrase" => vault
            .with_keys(Keys::default().with_passphrase(PASSPHRASE.to_owned()))
            .with_hash(HashKind::Sha256),
        _ => vault,
    }
}

fn folder(fixture: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(fixture)
}

/// Reads a fixture into a store. Where there is none yet `WALKBACK_BLESS=1` writes it; one that is there never
/// changes.
async fn fixture(name: &str) -> MemoryStore {
    if !folder(name).exists() && std::env::var("WALKBACK_BLESS").is_ok_and(|bless| bless == "1") {
        bless(name).await;
    }
    let store = MemoryStore::new();
    let mut folders = vec![folder(name)];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let key = path
                .strip_prefix(folder(name))
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
    (0..400).for_each(|_| {
        fingerprint.add(b"row");
    });
    writer
        .set_fingerprint(&TableName::new("order \"items\""), fingerprint.finish())
        .unwrap();
    let mut empty = slice("empty");
    empty.table = TableName::in_schema("sales", "empty");
    writer.add_table(&cx, &empty, stream([])).await.unwrap();
    writer.finish(&cx).await.unwrap()
}

async fn bless(name: &str) {
    let store = MemoryStore::new();
    write(&open(store.clone(), name)).await;
    for key in store.keys() {
        let path = folder(name).join(&key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, store.get(&Cx::background(), &key).await.unwrap()).unwrap();
    }
}

#[tokio::test]
async fn a_point_of_version_1_is_read() {
    for (name, hashing) in FIXTURES
        .into_iter()
        .zip(["blake3", "sha256", "blake3-keyed", "hmac-sha256"])
    {
        let (store, cx) = (fixture(name).await, Cx::background());
        let vault = open(store, name);
        let manifest = vault.open(&cx, ID).await.unwrap();
        assert_eq!(
            (manifest.version, manifest.kind),
            (1, PointKind::BeforeUp),
            "{name}"
        );
        assert_eq!(manifest.hashing, hashing, "{name}");
        assert_eq!(manifest.created_at.to_rfc3339(), "2026-11-20T12:00:00+00:00");
        assert_eq!(manifest.database.dialect, DialectKind::Sqlite);
        assert_eq!(manifest.ledger.heads, ["20260202_more"]);
        assert_eq!(manifest.schema, meta().schema, "{name}");
        let position = Position::new("binlog", "mysql-bin.000003:154");
        assert_eq!(manifest.position, Some(position));
        assert_eq!(manifest.totals.rows, 400);
        let rows = read(&vault, &cx, &manifest, "order \"items\"").await.unwrap();
        assert_eq!(rows, chunks(0..2), "{name}");
        assert!(vault.verify(&cx, ID).await.unwrap().is_intact(), "{name}");
    }
}

#[tokio::test]
async fn what_is_written_now_is_still_version_1() {
    for name in FIXTURES {
        let store = MemoryStore::new();
        let now = write(&open(store.clone(), name)).await;
        let fixture = fixture(name).await;
        let mut then = open(fixture.clone(), name)
            .open(&Cx::background(), ID)
            .await
            .unwrap();
        // Each vault with a passphrase has a key of its own, and names made with it.
        if name != "v1-passphrase" {
            assert_eq!(store.keys(), fixture.keys(), "{name}");
        }
        // Who wrote it, and how well the compressor of the day does, may differ.
        then.tool.clone_from(&now.tool);
        then.hash.clone_from(&now.hash);
        then.totals.stored = now.totals.stored;
        for (then, now) in then.tables.iter_mut().zip(&now.tables) {
            for (then, now) in then.chunks.iter_mut().zip(&now.chunks) {
                then.stored = now.stored;
                if name == "v1-passphrase" {
                    then.hash.clone_from(&now.hash);
                }
            }
        }
        if name == "v1-passphrase" {
            then.encryption.clone_from(&now.encryption);
        }
        assert_eq!(then, now, "{name}");
    }
}
