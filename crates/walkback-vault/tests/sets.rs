//! Several vaults hold the same: all or none take a point, and each makes up for what another has lost.

#[path = "common/mod.rs"]
mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use age::secrecy::ExposeSecret as _;
use async_trait::async_trait;
use common::{SetClock, add, chunks, meta, stream};
use futures::TryStreamExt as _;
use futures::stream::BoxStream;
use walkback_conformance::memory_store::MemoryStore;
use walkback_core::bulk::Chunk;
use walkback_core::cx::{Progress, Task, Unit};
use walkback_core::store::{BlobInfo, BlobWriter, ByteRange, ByteStream, StoreExt as _, Swept};
use walkback_core::{BackupStore, Cx, Error, ErrorKind, Result, TableName};
use walkback_vault::{HashKind, Keys, Manifest, PointWriter, Vault, VaultSet};

/// A store that can be made to fail.
#[derive(Debug, Clone, Default)]
struct Shaky {
    inside: MemoryStore,
    place: &'static str,
    writes_fail: Arc<AtomicBool>,
    manifests_fail: Arc<AtomicBool>,
    reads_fail: Arc<AtomicBool>,
}

impl Shaky {
    fn called(place: &'static str) -> Self {
        Self {
            place,
            ..Self::default()
        }
    }

    fn check(flag: &AtomicBool) -> Result<()> {
        if flag.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Unavailable, "the store is away"));
        }
        Ok(())
    }
}

#[async_trait]
impl BackupStore for Shaky {
    fn location(&self) -> String {
        format!("memory:{}", self.place)
    }

    async fn create(&self, cx: &Cx, key: &str) -> Result<Box<dyn BlobWriter>> {
        Self::check(&self.writes_fail)?;
        if key.starts_with("points/") {
            Self::check(&self.manifests_fail)?;
        }
        self.inside.create(cx, key).await
    }

    async fn read<'a>(&'a self, cx: &Cx, key: &str, range: Option<ByteRange>) -> Result<ByteStream<'a>> {
        Self::check(&self.reads_fail)?;
        self.inside.read(cx, key, range).await
    }

    async fn list<'a>(&'a self, cx: &Cx, prefix: &str) -> Result<BoxStream<'a, Result<BlobInfo>>> {
        Self::check(&self.reads_fail)?;
        self.inside.list(cx, prefix).await
    }

    async fn stat(&self, cx: &Cx, key: &str) -> Result<BlobInfo> {
        Self::check(&self.reads_fail)?;
        self.inside.stat(cx, key).await
    }

    async fn remove(&self, cx: &Cx, key: &str) -> Result<()> {
        self.inside.remove(cx, key).await
    }

    async fn sweep(&self, cx: &Cx) -> Result<Swept> {
        self.inside.sweep(cx).await
    }
}

/// Keeps what is warned of.
#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Progress for Warnings {
    fn begin(&self, _: &str, _: Unit, _: Option<u64>) -> Box<dyn Task> {
        Box::new(Untold)
    }

    fn note(&self, _: &str) {}

    fn warn(&self, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

struct Untold;

impl Task for Untold {
    fn advance(&self, _: u64) {}
}

struct Two {
    local: Shaky,
    offsite: Shaky,
    warnings: Arc<Warnings>,
    cx: Cx,
    vaults: [Vault; 2],
}

/// A vault as it comes, and one that names chunks by SHA-256 and encrypts them.
fn two() -> Two {
    let (local, offsite) = (Shaky::called("local"), Shaky::called("offsite"));
    let warnings = Arc::new(Warnings::default());
    let cx = SetClock::new().cx().with_progress(warnings.clone());
    let key = age::x25519::Identity::generate();
    let keys = Keys::default()
        .encrypt_to(&[key.to_public().to_string()])
        .unwrap()
        .with_identities(key.to_string().expose_secret(), "the test")
        .unwrap();
    let vault = |store: &Shaky| {
        Vault::new(Arc::new(store.clone()), "")
            .unwrap()
            .named(store.place)
    };
    let vaults = [
        vault(&local),
        vault(&offsite).with_keys(keys).with_hash(HashKind::Sha256),
    ];
    Two {
        local,
        offsite,
        warnings,
        cx,
        vaults,
    }
}

impl Two {
    fn set(&self, required: Option<usize>) -> VaultSet {
        VaultSet::new(self.vaults.to_vec(), required).unwrap()
    }

    fn warned(&self) -> String {
        std::mem::take(&mut *self.warnings.0.lock().unwrap()).join("\n")
    }

    async fn point(&self, id: &str) -> Manifest {
        let mut writer = self.set(None).begin(&self.cx, id, meta()).await.unwrap();
        add(&mut writer, &self.cx, "items", chunks(0..3)).await.unwrap();
        writer.finish(&self.cx).await.unwrap()
    }

    async fn read(&self, manifest: &Manifest) -> Result<Vec<Chunk>> {
        let set = self.set(None);
        let rows = set.read_table(&self.cx, manifest, &TableName::new("items"))?;
        rows.try_collect().await
    }

    fn points(store: &Shaky) -> usize {
        store
            .inside
            .keys()
            .iter()
            .filter(|key| key.starts_with("points/"))
            .count()
    }
}

async fn begun(two: &Two, required: Option<usize>) -> Result<PointWriter> {
    let mut writer = two.set(required).begin(&two.cx, "p", meta()).await?;
    add(&mut writer, &two.cx, "items", chunks(0..3)).await?;
    Ok(writer)
}

#[tokio::test]
async fn each_vault_holds_the_point_in_its_own_way() {
    let two = two();
    two.point("p").await;
    for vault in &two.vaults {
        let manifest = vault.open(&two.cx, "p").await.unwrap();
        assert_eq!(
            common::read(vault, &two.cx, &manifest, "items").await.unwrap(),
            chunks(0..3)
        );
        assert!(vault.verify(&two.cx, "p").await.unwrap().is_intact());
    }
    let [local, offsite] = &two.vaults;
    assert_eq!(local.open(&two.cx, "p").await.unwrap().hashing, "blake3");
    assert_eq!(offsite.open(&two.cx, "p").await.unwrap().hashing, "hmac-sha256");
    let listed = two.set(None).list(&two.cx).await.unwrap();
    assert_eq!((listed.len(), listed[0].stores.len()), (1, 2));
    assert_eq!(two.warned(), "");
}

#[tokio::test]
async fn a_chunk_that_is_bad_in_one_is_read_from_the_other() {
    let two = two();
    let manifest = two.point("p").await;
    let keys = two.local.inside.keys();
    let objects: Vec<_> = keys.iter().filter(|key| key.starts_with("objects/")).collect();
    two.local.inside.tamper(objects[0], |bytes| bytes[12] ^= 1);
    two.local.inside.remove(&two.cx, objects[1]).await.unwrap();
    assert_eq!(two.read(&manifest).await.unwrap(), chunks(0..3));
    let warned = two.warned();
    for part in [
        "table `items`",
        "the store `local` is damaged",
        "the store `local` is missing",
        "`offsite`",
    ] {
        assert!(warned.contains(part), "{part}: {warned}");
    }
    let reports = two.set(None).verify(&two.cx, "p").await.unwrap();
    let damage: Vec<_> = reports
        .into_iter()
        .map(|report| (report.store, report.outcome.unwrap().tables[0].damage.len()))
        .collect();
    assert_eq!(damage, [("local".to_owned(), 2), ("offsite".to_owned(), 0)]);

    // Bad in both is bad.
    let keys = two.offsite.inside.keys();
    for key in keys.iter().filter(|key| key.starts_with("objects/")) {
        two.offsite.inside.tamper(key, |bytes| bytes.truncate(100));
    }
    let error = two.read(&manifest).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
}

#[tokio::test]
async fn a_manifest_that_is_bad_in_one_is_read_from_the_other() {
    let two = two();
    two.point("p").await;
    two.local.inside.tamper("points/p.json", |bytes| bytes[40] ^= 1);
    let manifest = two.set(None).open(&two.cx, "p").await.unwrap();
    assert_eq!(manifest.hashing, "hmac-sha256");
    let warned = two.warned();
    assert!(
        warned.contains("`local`") && warned.contains("`offsite`"),
        "{warned}"
    );
    assert_eq!(two.read(&manifest).await.unwrap(), chunks(0..3));
    assert_eq!(two.warned(), "");
    let listed = two.set(None).list(&two.cx).await.unwrap();
    assert!(listed[0].info.is_ok());
    assert!(listed[0].stores[0].error.is_some() && listed[0].stores[1].error.is_none());
}

#[tokio::test]
async fn a_store_that_is_away_is_made_up_for_and_named_once() {
    let two = two();
    let manifest = two.point("p").await;
    two.local.reads_fail.store(true, Ordering::Relaxed);
    assert_eq!(two.read(&manifest).await.unwrap(), chunks(0..3));
    assert!(two.warned().contains("the store `local` cannot be read"));
    two.set(None).open(&two.cx, "p").await.unwrap();
    assert!(two.warned().contains("the store `local` cannot be read"));
    two.offsite.reads_fail.store(true, Ordering::Relaxed);
    assert_eq!(
        two.set(None).list(&two.cx).await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
}

#[tokio::test]
async fn a_store_that_fails_makes_the_backup_fail_and_nothing_is_visible() {
    let two = two();
    two.offsite.writes_fail.store(true, Ordering::Relaxed);
    let error = begun(&two, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("`offsite`"), "{error:?}");
    assert!(
        error.hints().iter().any(|hint| hint.contains("stores_required")),
        "{error:?}"
    );

    // Also where it fails last of all, when the other store has its manifest already.
    two.offsite.writes_fail.store(false, Ordering::Relaxed);
    two.offsite.manifests_fail.store(true, Ordering::Relaxed);
    let writer = begun(&two, None).await.unwrap();
    assert!(writer.finish(&two.cx).await.is_err());
    assert_eq!((Two::points(&two.local), Two::points(&two.offsite)), (0, 0));
    assert!(two.set(None).list(&two.cx).await.unwrap().is_empty());

    two.offsite.manifests_fail.store(false, Ordering::Relaxed);
    begun(&two, None).await.unwrap().finish(&two.cx).await.unwrap();
    assert_eq!((Two::points(&two.local), Two::points(&two.offsite)), (1, 1));
}

#[tokio::test]
async fn as_many_stores_as_are_required_are_enough() {
    for when in ["chunks", "manifest", "begin"] {
        let two = two();
        match when {
            "chunks" => two.local.writes_fail.store(true, Ordering::Relaxed),
            "manifest" => two.local.manifests_fail.store(true, Ordering::Relaxed),
            _ => two.local.reads_fail.store(true, Ordering::Relaxed),
        }
        let written = begun(&two, Some(1))
            .await
            .unwrap()
            .finish_all(&two.cx)
            .await
            .unwrap();
        assert_eq!(written.copies.len(), 1, "{when}");
        assert_eq!(written.copies[0].store, "offsite");
        assert!(two.warned().contains("`local`"), "{when}");
        assert_eq!(
            (Two::points(&two.local), Two::points(&two.offsite)),
            (0, 1),
            "{when}"
        );
        assert!(
            two.vaults[1].verify(&two.cx, "p").await.unwrap().is_intact(),
            "{when}"
        );
        two.local.reads_fail.store(false, Ordering::Relaxed);
        let listed = two.set(None).list(&two.cx).await.unwrap();
        assert_eq!(listed[0].stores.len(), 1, "{when}");
        two.offsite.writes_fail.store(true, Ordering::Relaxed);
        two.local.writes_fail.store(true, Ordering::Relaxed);
        let mut writer = two.set(Some(1)).begin(&two.cx, "q", meta()).await.unwrap();
        let rows = stream(chunks(7..9));
        assert!(
            writer
                .add_table(&two.cx, &common::slice("items"), rows)
                .await
                .is_err(),
            "{when}"
        );
    }
}

#[tokio::test]
async fn a_point_is_removed_everywhere_and_its_space_given_back() {
    let two = two();
    let clock = SetClock::new();
    let cx = clock.cx();
    two.point("p").await;
    two.set(None).remove(&cx, "p").await.unwrap();
    assert!(two.set(None).list(&cx).await.unwrap().is_empty());
    clock.advance(chrono::TimeDelta::days(3));
    let collected = two.set(None).collect_garbage(&cx).await.unwrap();
    assert_eq!((collected.objects, collected.points_forgotten), (6, 2));
    assert_eq!(
        two.set(None).remove(&cx, "p").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert!(!two.local.inside.exists(&cx, "points/p.json").await.unwrap());
}
