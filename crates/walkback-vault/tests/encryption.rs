//! What is encrypted opens with its key alone, tells nothing without it, and is checked like everything else.

#[path = "common/mod.rs"]
mod common;

use std::sync::Arc;

use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;
use common::{SetClock, add, chunk, chunks, meta, point, read};
use walkback_conformance::memory_store::MemoryStore;
use walkback_core::store::StoreExt as _;
use walkback_core::{BackupStore as _, Cx, Error, ErrorKind};
use walkback_vault::{DamageKind, HashKind, Keys, Vault};

fn open(store: &MemoryStore, keys: Keys) -> Vault {
    Vault::new(Arc::new(store.clone()), "team/app")
        .unwrap()
        .with_keys(keys)
}

fn to(recipients: &[&Identity]) -> Keys {
    let publics: Vec<_> = recipients.iter().map(|key| key.to_public().to_string()).collect();
    Keys::default().encrypt_to(&publics).unwrap()
}

fn with(keys: Keys, identity: &Identity) -> Keys {
    keys.with_identities(identity.to_string().expose_secret(), "the test")
        .unwrap()
}

fn passphrase(text: &str) -> Keys {
    Keys::default().with_passphrase(text.to_owned())
}

/// Nothing of the vault's files may hold any of these.
async fn assert_tells_nothing(store: &MemoryStore, words: &[&str]) {
    for key in store.keys() {
        let bytes = store.get(&Cx::background(), &key).await.unwrap();
        for word in words {
            let found = bytes.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!found && !key.contains(word), "`{word}` is in {key}");
        }
    }
}

fn assert_closed(error: &Error, shows: &[&str]) {
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    for text in shows {
        assert!(format!("{error:?}").contains(text), "{error:?}");
    }
    assert!(!error.hints().is_empty());
}

#[tokio::test]
async fn a_point_is_read_with_the_key_and_with_no_other() {
    for hash in [HashKind::Blake3, HashKind::Sha256] {
        let (store, cx) = (MemoryStore::new(), Cx::background());
        let (mine, other) = (Identity::generate(), Identity::generate());
        let vault = open(&store, with(to(&[&mine]), &mine)).with_hash(hash);
        let written = point(&vault, &cx, "p", &[("items", 0..3)]).await.unwrap();
        let manifest = vault.open(&cx, "p").await.unwrap();
        assert_eq!(manifest, written);
        assert_eq!(manifest.schema, meta().schema);
        assert_eq!(read(&vault, &cx, &manifest, "items").await.unwrap(), chunks(0..3));
        assert!(vault.verify(&cx, "p").await.unwrap().is_intact());
        assert_tells_nothing(
            &store,
            &["items", "CREATE TABLE", "2.199,", "20260202_more", "quoted"],
        )
        .await;

        let public = mine.to_public().to_string();
        let with_other = open(&store, with(to(&[&mine]), &other));
        let error = with_other.open(&cx, "p").await.unwrap_err();
        assert_closed(
            &error,
            &[&public, &other.to_public().to_string(), "WALKBACK_IDENTITY_FILE"],
        );
        let without = open(&store, Keys::default());
        assert_closed(
            &without.open(&cx, "p").await.unwrap_err(),
            &[&public, "no identity is set"],
        );
        assert_closed(&without.verify(&cx, "p").await.unwrap_err(), &[&public]);
        let listed = without.list(&cx).await.unwrap();
        assert_eq!(listed[0].id, "p");
        assert_eq!(listed[0].encrypted_to, [public]);
        assert_eq!(listed[0].kind, Some(walkback_vault::PointKind::BeforeUp));
        assert_closed(listed[0].info.as_ref().unwrap_err(), &["encrypted"]);
        assert!(!format!("{vault:?} {manifest:?}").contains(&mine.to_string().expose_secret()[16..]));
    }
}

#[tokio::test]
async fn what_has_not_changed_costs_nothing_twice_and_other_recipients_start_anew() {
    let (store, clock) = (MemoryStore::new(), SetClock::new());
    let cx = clock.cx();
    let (one, two) = (Identity::generate(), Identity::generate());
    let vault = open(&store, with(to(&[&one]), &one));
    point(&vault, &cx, "a", &[("items", 0..3)]).await.unwrap();
    let mut writer = vault.begin(&cx, "b", meta()).await.unwrap();
    let summary = add(&mut writer, &cx, "items", chunks(0..4)).await.unwrap();
    assert_eq!((summary.chunks, summary.chunks_reused), (4, 3));
    writer.finish(&cx).await.unwrap();

    // `two` could not open the chunks that are there.
    let both = open(&store, with(to(&[&one, &two]), &one));
    let mut writer = both.begin(&cx, "c", meta()).await.unwrap();
    let summary = add(&mut writer, &cx, "items", chunks(0..4)).await.unwrap();
    assert_eq!(summary.chunks_reused, 0);
    writer.finish(&cx).await.unwrap();
    let second = open(&store, with(Keys::default(), &two));
    let manifest = second.open(&cx, "c").await.unwrap();
    assert_eq!(
        read(&second, &cx, &manifest, "items").await.unwrap(),
        chunks(0..4)
    );
    assert_closed(
        &second.open(&cx, "a").await.unwrap_err(),
        &[&one.to_public().to_string()],
    );
    // Who has the older key still reads the older points, and points that were never encrypted.
    let plain = open(&store, Keys::default());
    point(&plain, &cx, "d", &[("items", 0..2)]).await.unwrap();
    for (id, count) in [("a", 3), ("b", 4), ("c", 4), ("d", 2)] {
        let manifest = vault.open(&cx, id).await.unwrap();
        assert_eq!(
            read(&vault, &cx, &manifest, "items").await.unwrap(),
            chunks(0..count),
            "{id}"
        );
    }
}

#[tokio::test]
async fn a_machine_that_can_only_write_writes_what_others_read() {
    let (store, cx) = (MemoryStore::new(), Cx::background());
    let mine = Identity::generate();
    let writer = open(&store, to(&[&mine]));
    assert!(!writer.can_read());
    let first = point(&writer, &cx, "a", &[("items", 0..3)]).await.unwrap();
    let second = point(&writer, &cx, "b", &[("items", 0..3)]).await.unwrap();
    let error = read(&writer, &cx, &first, "items").await.unwrap_err();
    assert_closed(&error, &["keys of others", "WALKBACK_IDENTITY_FILE"]);
    // Without a secret nobody can know that the rows are the same, nor this machine the next time.
    assert_ne!(first.tables[0].chunks[0].hash, second.tables[0].chunks[0].hash);
    let reader = open(&store, with(to(&[&mine]), &mine));
    for id in ["a", "b"] {
        let manifest = reader.open(&cx, id).await.unwrap();
        assert_eq!(
            read(&reader, &cx, &manifest, "items").await.unwrap(),
            chunks(0..3)
        );
    }
    assert_closed(&writer.open(&cx, "a").await.unwrap_err(), &["no identity is set"]);
    // Garbage is collected without a key.
    writer.collect_garbage(&cx).await.unwrap();

    // With a secret for the names alone it does.
    let shared = || to(&[&mine]).with_naming_secret("names only".to_owned());
    let writer = open(&store, shared());
    point(&writer, &cx, "c", &[("items", 0..3)]).await.unwrap();
    let mut again = writer.begin(&cx, "d", meta()).await.unwrap();
    let summary = add(&mut again, &cx, "items", chunks(0..4)).await.unwrap();
    assert_eq!(summary.chunks_reused, 3);
    again.finish(&cx).await.unwrap();
    assert!(reader.verify(&cx, "d").await.unwrap().is_intact());
}

#[tokio::test]
async fn a_passphrase_opens_what_it_closed_and_a_mistyped_one_writes_nothing() {
    let (store, cx) = (MemoryStore::new(), Cx::background());
    let vault = open(&store, passphrase("correct horse"));
    point(&vault, &cx, "a", &[("items", 0..3)]).await.unwrap();
    assert_tells_nothing(&store, &["items", "CREATE TABLE", "correct", "AGE-SECRET-KEY"]).await;
    let again = open(&store, passphrase("correct horse"));
    let mut writer = again.begin(&cx, "b", meta()).await.unwrap();
    let summary = add(&mut writer, &cx, "items", chunks(0..3)).await.unwrap();
    assert_eq!(summary.chunks_reused, 3);
    let manifest = writer.finish(&cx).await.unwrap();
    assert_eq!(read(&again, &cx, &manifest, "items").await.unwrap(), chunks(0..3));

    let wrong = open(&store, passphrase("correct hoarse"));
    assert_closed(&wrong.open(&cx, "a").await.unwrap_err(), &["does not open it"]);
    let keys = store.keys();
    assert_closed(
        &wrong.begin(&cx, "c", meta()).await.unwrap_err(),
        &["old_passphrases"],
    );
    assert_eq!(store.keys(), keys);
    let none = open(&store, Keys::default());
    assert_closed(
        &none.open(&cx, "a").await.unwrap_err(),
        &["with a passphrase", "passphrase = "],
    );

    // A new one is taken from who knows the old one, and both are then read.
    let changed = open(
        &store,
        passphrase("battery").with_old_passphrase("correct horse".to_owned()),
    );
    point(&changed, &cx, "c", &[("items", 0..2)]).await.unwrap();
    for id in ["a", "c"] {
        assert!(changed.verify(&cx, id).await.unwrap().is_intact());
    }
    let new_only = open(&store, passphrase("battery"));
    assert!(new_only.verify(&cx, "c").await.unwrap().is_intact());
    assert_closed(&new_only.open(&cx, "a").await.unwrap_err(), &["old_passphrases"]);
    // Each point brings the key that its passphrase opens.
    for key in store.keys().into_iter().filter(|key| key.contains("/keys/")) {
        store.remove(&cx, &key).await.unwrap();
    }
    assert!(
        open(&store, passphrase("battery"))
            .verify(&cx, "c")
            .await
            .unwrap()
            .is_intact()
    );
}

#[tokio::test]
async fn every_flipped_bit_and_every_cut_is_found() {
    let (store, cx) = (MemoryStore::new(), Cx::background());
    let mine = Identity::generate();
    let vault = open(&store, with(to(&[&mine]), &mine));
    let mut writer = vault.begin(&cx, "p", meta()).await.unwrap();
    add(&mut writer, &cx, "items", vec![chunk(1, "one row")])
        .await
        .unwrap();
    let manifest = writer.finish(&cx).await.unwrap();
    let hash = &manifest.tables[0].chunks[0].hash;
    let object = format!("team/app/objects/{}/{hash}", &hash[..2]);
    let whole = store.get(&cx, &object).await.unwrap();
    for position in 0..whole.len() * 8 {
        store.tamper(&object, |bytes| bytes[position / 8] ^= 1 << (position % 8));
        let report = vault.verify(&cx, "p").await.unwrap();
        assert_eq!(report.tables[0].damage.len(), 1, "bit {position} of the chunk");
        assert!(matches!(report.tables[0].damage[0].kind, DamageKind::Damaged(_)));
        store.tamper(&object, |bytes| *bytes = whole.to_vec());
    }
    for length in 0..whole.len() {
        store.tamper(&object, |bytes| bytes.truncate(length));
        assert!(
            !vault.verify(&cx, "p").await.unwrap().is_intact(),
            "cut to {length}"
        );
        store.tamper(&object, |bytes| *bytes = whole.to_vec());
    }
    store.tamper(&object, |bytes| bytes.extend(b"more"));
    assert!(!vault.verify(&cx, "p").await.unwrap().is_intact());
    store.tamper(&object, |bytes| *bytes = whole.to_vec());

    let file = "team/app/points/p.json";
    let whole = store.get(&cx, file).await.unwrap();
    for position in 0..whole.len() {
        for bit in [0, 5] {
            store.tamper(file, |bytes| bytes[position] ^= 1 << bit);
            match vault.open(&cx, "p").await {
                // White space between the parts says nothing.
                Ok(found) => assert_eq!(found, manifest, "byte {position}"),
                Err(error) => assert!(
                    matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Unsupported),
                    "byte {position}: {error:?}"
                ),
            }
            store.tamper(file, |bytes| *bytes = whole.to_vec());
        }
    }
}

#[tokio::test]
async fn garbage_of_an_encrypted_vault_is_collected_without_a_key() {
    let (store, clock) = (MemoryStore::new(), SetClock::new());
    let cx = clock.cx();
    let mine = Identity::generate();
    let vault = open(&store, with(to(&[&mine]), &mine));
    point(&vault, &cx, "a", &[("items", 0..3)]).await.unwrap();
    point(&vault, &cx, "b", &[("items", 2..5)]).await.unwrap();
    let blind = open(&store, Keys::default());
    blind.remove(&cx, "a").await.unwrap();
    clock.advance(chrono::TimeDelta::days(3));
    let collected = blind.collect_garbage(&cx).await.unwrap();
    assert_eq!(collected.objects, 2);
    assert!(vault.verify(&cx, "b").await.unwrap().is_intact());
}
