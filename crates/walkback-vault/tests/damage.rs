//! What is damaged is found and named, and never takes anything else down with it.

mod common;

use common::{SetClock, add, chunk, chunks, meta, point, read, vault};
use futures::StreamExt as _;
use proptest::prelude::*;
use walkback_conformance::memory_store::MemoryStore;
use walkback_core::store::StoreExt as _;
use walkback_core::{BackupStore as _, Cx, ErrorKind, TableName};
use walkback_vault::{DamageKind, Manifest, Vault};

const POINT: &str = "team/app/points/p.json";

async fn one_point() -> (MemoryStore, Vault, Manifest) {
    let store = MemoryStore::new();
    let vault = vault(&store);
    let tables = [("items", 0..3), ("users", 3..5)];
    let manifest = point(&vault, &Cx::background(), "p", &tables).await.unwrap();
    (store, vault, manifest)
}

fn object_key(hash: &str) -> String {
    format!("team/app/objects/{}/{hash}", &hash[..2])
}

#[tokio::test]
async fn every_damaged_chunk_is_named_with_its_table() {
    let (store, vault, manifest) = one_point().await;
    let cx = Cx::background();
    for entry in &manifest.tables {
        for (index, chunk) in entry.chunks.iter().enumerate() {
            let key = object_key(&chunk.hash);
            let whole = store.get(&cx, &key).await.unwrap();
            for damage in 0..4 {
                store.tamper(&key, |bytes| match damage {
                    0 => bytes[12] ^= 1,
                    1 => bytes.truncate(bytes.len() - 1),
                    2 => bytes.clear(),
                    _ => bytes.extend(b"more"),
                });
                let report = vault.verify(&cx, "p").await.unwrap();
                let damaged: Vec<_> = report
                    .tables
                    .iter()
                    .filter(|table| !table.damage.is_empty())
                    .collect();
                assert_eq!(damaged.len(), 1, "damage {damage}");
                assert_eq!(damaged[0].table, entry.table);
                assert_eq!(damaged[0].intact_in, None);
                let [found] = damaged[0].damage.as_slice() else {
                    panic!("{report:?}")
                };
                assert_eq!((found.index, &found.hash), (index as u64, &chunk.hash));
                assert!(matches!(found.kind, DamageKind::Damaged(_)), "{found:?}");

                let error = report.into_result().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Damaged);
                assert!(error.message().contains(&chunk.hash), "{error:?}");
                assert!(error.message().contains(&entry.table.name), "{error:?}");
                let error = read(&vault, &cx, &manifest, &entry.table.name).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Damaged);
                assert!(error.hints()[0].contains("walkback backup verify p"), "{error:?}");
                store.tamper(&key, |bytes| *bytes = whole.to_vec());
            }
            store.remove(&cx, &key).await.unwrap();
            let report = vault.verify(&cx, "p").await.unwrap();
            let found = report
                .tables
                .iter()
                .flat_map(|table| &table.damage)
                .collect::<Vec<_>>();
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].kind, DamageKind::Missing);
            store.put(&cx, &key, whole).await.unwrap();
        }
    }
    assert!(vault.verify(&cx, "p").await.unwrap().is_intact());
}

/// Each is a whole object with a checksum that fits, and of the right size: only its name tells.
#[tokio::test]
async fn two_chunks_with_their_contents_swapped_are_both_damaged() {
    let (store, cx) = (MemoryStore::new(), Cx::background());
    let vault = vault(&store);
    let mut writer = vault.begin(&cx, "p", meta()).await.unwrap();
    let rows = vec![chunk(1, "one row of it"), chunk(1, "two row of it")];
    add(&mut writer, &cx, "items", rows).await.unwrap();
    let manifest = writer.finish(&cx).await.unwrap();
    let named = &manifest.tables[0].chunks;
    assert_eq!(
        (named[0].bytes, named[0].stored),
        (named[1].bytes, named[1].stored)
    );
    let (first, second) = (object_key(&named[0].hash), object_key(&named[1].hash));
    let one = store.get(&cx, &first).await.unwrap();
    let two = store.get(&cx, &second).await.unwrap();
    store.tamper(&first, |bytes| *bytes = two.to_vec());
    store.tamper(&second, |bytes| *bytes = one.to_vec());
    let report = vault.verify(&cx, "p").await.unwrap();
    assert_eq!(report.tables[0].damage.len(), 2);
    assert!(matches!(&report.tables[0].damage[0].kind, DamageKind::Damaged(why) if why.contains("hash")));
    assert_eq!(
        read(&vault, &cx, &manifest, "items").await.unwrap_err().kind(),
        ErrorKind::Damaged
    );
}

#[tokio::test]
async fn nothing_is_read_past_a_damaged_chunk() {
    let (store, vault, manifest) = one_point().await;
    let cx = Cx::background();
    store
        .remove(&cx, &object_key(&manifest.tables[0].chunks[1].hash))
        .await
        .unwrap();
    let mut rows = vault
        .read_table(&cx, &manifest, &TableName::new("items"))
        .unwrap();
    assert_eq!(rows.next().await.unwrap().unwrap(), chunks(0..1)[0]);
    assert!(rows.next().await.unwrap().is_err());
    assert!(rows.next().await.is_none());
}

#[tokio::test]
async fn the_newest_point_with_an_intact_copy_is_named() {
    let (store, clock) = (MemoryStore::new(), SetClock::new());
    let (vault, cx) = (vault(&store), clock.cx());
    let mut ids = Vec::new();
    // `gone` holds no `items` at all, and `same` builds on the same damaged chunk.
    for (id, items) in [
        ("old", Some(0..2)),
        ("newer", Some(1..3)),
        ("same", Some(7..8)),
        ("gone", None),
        ("bad", Some(7..9)),
    ] {
        let tables: Vec<_> = items
            .into_iter()
            .map(|numbers| ("items", numbers))
            .chain([("users", 3..5)])
            .collect();
        ids.push(point(&vault, &cx, id, &tables).await.unwrap());
        clock.advance(chrono::TimeDelta::minutes(1));
    }
    let hash = &ids[4].tables[0].chunks[0].hash;
    store.tamper(&object_key(hash), |bytes| bytes[20] ^= 4);
    let report = vault.verify(&cx, "bad").await.unwrap();
    assert_eq!(report.tables[0].intact_in.as_deref(), Some("newer"));
    assert_eq!(
        report.tables[1].intact_in, None,
        "only looked for where there is damage"
    );
    let error = report.into_result().unwrap_err();
    assert!(
        error
            .hints()
            .iter()
            .any(|hint| hint.contains("point `newer` still has all of it")),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_next_backup_heals_a_damaged_chunk() {
    let (store, vault, manifest) = one_point().await;
    let cx = Cx::background();
    store.tamper(&object_key(&manifest.tables[0].chunks[0].hash), |bytes| {
        bytes[20] ^= 4
    });
    store.tamper(&object_key(&manifest.tables[0].chunks[2].hash), Vec::clear);
    assert!(!vault.verify(&cx, "p").await.unwrap().is_intact());
    point(&vault, &cx, "q", &[("items", 0..3)]).await.unwrap();
    assert!(vault.verify(&cx, "q").await.unwrap().is_intact());
    assert!(vault.verify(&cx, "p").await.unwrap().is_intact());
}

#[tokio::test]
async fn a_damaged_manifest_is_listed_with_its_reason() {
    let (store, vault, _) = one_point().await;
    let cx = Cx::background();
    point(&vault, &cx, "q", &[]).await.unwrap();
    store
        .put(&cx, "team/app/points/stray.txt", "hello".into())
        .await
        .unwrap();
    store.tamper(POINT, |bytes| bytes.truncate(100));
    let list = vault.list(&cx).await.unwrap();
    assert_eq!(list.len(), 3);
    let of = |id: &str| list.iter().find(|point| point.id == id).unwrap().info.as_ref();
    assert!(of("q").is_ok());
    let error = of("p").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(
        error.message().contains("`p` is damaged: it is not JSON"),
        "{error:?}"
    );
    assert!(of("stray.txt").unwrap_err().message().contains("`.json`"));
    assert_eq!(vault.open(&cx, "p").await.unwrap_err().kind(), ErrorKind::Damaged);
    assert_eq!(
        vault.verify(&cx, "p").await.unwrap_err().kind(),
        ErrorKind::Damaged
    );
}

#[tokio::test]
async fn every_change_to_a_manifest_is_seen() {
    let (store, _, manifest) = one_point().await;
    let whole = store.get(&Cx::background(), POINT).await.unwrap();
    assert_eq!(Manifest::parse("p", &whole).unwrap(), manifest);
    for position in 0..whole.len() {
        let mut bad = whole.to_vec();
        bad[position] ^= 1 << (position % 7);
        // White space outside of strings may change into other white space; nothing else.
        if let Ok(read) = Manifest::parse("p", &bad) {
            assert_eq!(read, manifest, "a change at byte {position} goes unnoticed");
        }
    }
    for length in 0..whole.len() - 1 {
        assert!(
            Manifest::parse("p", &whole[..length]).is_err(),
            "cut to {length} bytes"
        );
    }
    let error = Manifest::parse("other", &whole).unwrap_err();
    assert!(error.message().contains("it says it is point `p`"), "{error:?}");
}

/// Writes a manifest anew after a change, with a hash that fits.
fn forge(
    manifest: &Manifest,
    change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>),
) -> Vec<u8> {
    let mut value = serde_json::to_value(manifest).unwrap();
    let fields = value.as_object_mut().unwrap();
    change(fields);
    fields.remove("hash");
    let hash = blake3::hash(canonical(&value).as_bytes()).to_hex().to_string();
    value.as_object_mut().unwrap().insert("hash".into(), hash.into());
    serde_json::to_vec(&value).unwrap()
}

/// The canonical form once more, written independently of the one that is tested.
fn canonical(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(fields) => {
            let sorted: std::collections::BTreeMap<_, _> = fields.iter().collect();
            let fields = sorted.into_iter().map(|(name, value)| {
                format!("{}:{}", serde_json::to_string(name).unwrap(), canonical(value))
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        serde_json::Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        leaf => serde_json::to_string(leaf).unwrap(),
    }
}

#[tokio::test]
async fn what_a_newer_version_wrote_is_refused_by_name() {
    let (store, vault, manifest) = one_point().await;
    let unknown = [
        ("version", serde_json::json!(2), "version 2"),
        (
            "requires",
            serde_json::json!(["sparse-chunks"]),
            "`sparse-chunks`",
        ),
        ("encryption", serde_json::json!({"scheme": "pgp"}), "`pgp`"),
        ("encryption", serde_json::json!({"kind": "age"}), "does not name"),
        (
            "compression",
            serde_json::json!("brotli"),
            "the compression `brotli`",
        ),
        ("hashing", serde_json::json!("md5"), "the hashing `md5`"),
        (
            "hashing",
            serde_json::json!("hmac-sha256"),
            "the hashing `hmac-sha256`",
        ),
    ];
    for (field, value, named) in unknown {
        let bytes = forge(&manifest, |fields| drop(fields.insert(field.into(), value)));
        let error = Manifest::parse("p", &bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        assert!(error.message().contains(named), "{error:?}");
        assert!(error.hints()[0].contains("at least as new"), "{error:?}");
        store.tamper(POINT, |old| *old = bytes);
        let list = vault.list(&Cx::background()).await.unwrap();
        assert_eq!(list[0].info.as_ref().unwrap_err().kind(), ErrorKind::Unsupported);
    }
    let bytes = forge(&manifest, |fields| {
        drop(fields.insert("colour".into(), "red".into()))
    });
    let read = Manifest::parse("p", &bytes).expect("an unknown field that is not required is no obstacle");
    assert_eq!(read.tables, manifest.tables);
}

type Change = fn(&mut serde_json::Value);

#[tokio::test]
async fn a_manifest_that_contradicts_itself_is_damaged() {
    let (_, _, manifest) = one_point().await;
    let wrong: [(&str, Change); 7] = [
        ("the chunks of table `items` do not add up", |m| {
            m["tables"][0]["rows"] = 7.into()
        }),
        ("the chunks of table `items` do not add up", |m| {
            m["tables"][0]["chunks"][0]["bytes"] = u64::MAX.into()
        }),
        ("totals", |m| m["totals"]["tables"] = 9.into()),
        ("no valid hash", |m| {
            m["tables"][0]["chunks"][0]["hash"] = "../../x".into()
        }),
        ("encoded", |m| {
            m["tables"][0]["encoding"] = serde_json::Value::Null
        }),
        ("missing field `kind`", |m| {
            drop(m.as_object_mut().unwrap().remove("kind"))
        }),
        ("does not say", |m| m["format"] = "zip".into()),
    ];
    for (why, change) in wrong {
        let bytes = forge(&manifest, |fields| {
            let mut value = serde_json::Value::Object(std::mem::take(fields));
            change(&mut value);
            *fields = value.as_object().unwrap().clone();
        });
        let error = Manifest::parse("p", &bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{why}: {error:?}");
        assert!(error.message().contains(why), "{why}: {error:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_manifest_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Manifest::parse("p", &bytes).is_err());
    }

    #[test]
    fn no_json_makes_the_manifest_reader_panic(text in "[\\[\\]{}\",:0-9a-z -]{0,200}") {
        prop_assert!(Manifest::parse("p", text.as_bytes()).is_err());
        let framed = format!("{{\"format\":\"walkback point\",\"version\":1,\"hash\":\"x\",\"a\":{text}");
        prop_assert!(Manifest::parse("p", framed.as_bytes()).is_err());
    }
}

#[test]
fn deep_json_does_not_overflow_the_stack() {
    let deep = format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(
        Manifest::parse("p", deep.as_bytes()).unwrap_err().kind(),
        ErrorKind::Damaged
    );
}
