//! Where a point is written: one vault or several, each with its own names and encryption.
//!
//! What costs is done once for all of them: rows are exported, chunks are cut, hashed and compressed once. The
//! manifests are written when every chunk is durable in every vault, so that no vault shows a point that another
//! one could not take.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use tokio::sync::OnceCell;
use walkback_core::store::StoreExt as _;
use walkback_core::{Cx, Error, ErrorKind, Result, TableName};

use crate::chunk::{self, Bad};
use crate::crypt::{Access, Envelope, Sealing};
use crate::naming::Naming;
use crate::vault::{Reuse, Vault};
use crate::{ChunkEntry, Manifest, Totals, error};

/// How many questions to the store are open at once before the manifest is written.
const STATS_AT_ONCE: usize = 16;

/// A point that was written.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Written {
    /// What it says, as one of the vaults that have it names the chunks: the first that can be read here.
    pub manifest: Manifest,
    /// The vaults that have it.
    pub copies: Vec<Copy>,
}

/// One vault that has a point.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Copy {
    /// The name of the store, or its location.
    pub store: String,
    /// Where it is.
    pub location: String,
    /// The hash of the manifest there. Names and encryption differ from vault to vault, and so may this.
    pub hash: String,
}

/// What keeping a chunk came to, in the first vault.
pub(crate) struct Stored {
    /// What the chunk is called in the manifest that is shared by all vaults: as the first one names it.
    pub(crate) shared: String,
    pub(crate) bytes: u64,
    pub(crate) reused: bool,
}

/// A chunk on its way into vaults.
struct Content {
    bytes: Bytes,
    packed: OnceCell<Bytes>,
}

impl Content {
    async fn packed(&self) -> Result<Bytes> {
        let packed = self.packed.get_or_try_init(|| chunk::pack(self.bytes.clone()));
        packed.await.cloned()
    }
}

/// The vaults a point is written to.
#[derive(Debug)]
pub(crate) struct Targets {
    all: Vec<Target>,
    /// How many must have the point in the end.
    required: usize,
}

impl Targets {
    pub(crate) async fn begin(cx: &Cx, id: &str, vaults: &[Vault], required: usize) -> Result<Self> {
        let mut targets = Self {
            all: Vec::new(),
            required,
        };
        let mut missing = Vec::new();
        for vault in vaults {
            match Target::begin(cx, id, vault).await {
                Ok(target) => targets.all.push(target),
                // These say something about the point, and would be said of every vault.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::AlreadyExists | ErrorKind::Usage | ErrorKind::Interrupted
                    ) =>
                {
                    return Err(error);
                }
                Err(error) => missing.push((vault, error)),
            }
        }
        for (vault, error) in missing {
            targets.go_on_without(cx, vault, vaults.len(), targets.all.len(), error)?;
        }
        Ok(targets)
    }

    fn living(&self) -> impl Iterator<Item = &Target> {
        self.all.iter().filter(|target| target.failed.get().is_none())
    }

    /// Makes sure that one chunk is in all vaults.
    pub(crate) async fn keep(&self, cx: &Cx, bytes: Bytes) -> Result<Stored> {
        let first = &self.all[0].access.naming;
        let shared = chunk::name(first, bytes.clone()).await?;
        let content = Content {
            bytes,
            packed: OnceCell::new(),
        };
        let outcomes = self.living().map(|target| {
            let (naming, shared, content) = (&target.access.naming, &shared, &content);
            async move {
                let name = if naming == first {
                    shared.clone()
                } else {
                    chunk::name(naming, content.bytes.clone()).await?
                };
                target.keep(cx, shared, name, content).await
            }
            .map(move |outcome| (target, outcome))
            .boxed()
        });
        let outcomes = futures::future::join_all(outcomes).await;
        let mut kept = None;
        for (target, outcome) in outcomes {
            match outcome {
                Ok(found) => kept = kept.or(Some(found)),
                Err(error) => self.give_up(cx, target, error)?,
            }
        }
        let (stored, reused) = kept.ok_or_else(|| Error::internal("no vault is left to write to"))?;
        Ok(Stored {
            shared,
            bytes: stored,
            reused,
        })
    }

    /// Goes on without a vault that failed, if enough others are left.
    fn give_up(&self, cx: &Cx, target: &Target, error: Error) -> Result<()> {
        // Other chunks may have found out at the same time.
        if target.failed.get().is_some() {
            return Ok(());
        }
        let left = self.living().count() - 1;
        self.go_on_without(cx, &target.vault, self.all.len(), left, error)?;
        target.failed.set(()).ok();
        Ok(())
    }

    fn go_on_without(&self, cx: &Cx, vault: &Vault, of: usize, left: usize, error: Error) -> Result<()> {
        if error.kind() == ErrorKind::Interrupted || of == 1 {
            return Err(error);
        }
        let what = format!("nothing can be written to the store `{}`", vault.name());
        if left < self.required.max(1) {
            let error = error.wrap(what);
            return Err(if self.required >= of {
                error.hint(
                    "`stores_required = 1` in the environment lets a backup go on without a store that fails",
                )
            } else {
                error
            });
        }
        cx.progress()
            .warn(&format!("{what}, and the backup goes on without it: {error}"));
        Ok(())
    }

    /// Writes the manifests: all of them, or none.
    pub(crate) async fn finish(&self, cx: &Cx, shared: Manifest) -> Result<Written> {
        let mut ready = Vec::new();
        for target in self.living() {
            match target.prepare(cx, &shared).await {
                Ok(file) => ready.push((target, file)),
                Err(error) => self.give_up(cx, target, error)?,
            }
        }
        cx.check()?;
        cx.step("vault.before-manifest");
        let mut written: Vec<(&Target, Manifest)> = Vec::new();
        for (target, (manifest, bytes)) in ready {
            let outcome = target.publish(cx, &manifest.id, bytes).await;
            match outcome.or_else(|error| self.give_up(cx, target, error)) {
                Ok(()) if target.failed.get().is_some() => {}
                Ok(()) => written.push((target, manifest)),
                Err(error) => {
                    let made = written.into_iter().map(|(target, _)| target).collect::<Vec<_>>();
                    return Err(withdraw(cx, &shared.id, &made, error).await);
                }
            }
        }
        let copies = written
            .iter()
            .map(|(target, manifest)| target.copy(manifest))
            .collect();
        // One that can be read here, if there is one.
        written.sort_by_key(|(_, manifest)| !manifest.is_open());
        let manifest = written.into_iter().map(|(_, manifest)| manifest).next();
        let manifest = manifest.ok_or_else(|| Error::internal("no vault has the point"))?;
        Ok(Written { manifest, copies })
    }
}

/// Takes back the manifests that were written before one could not be.
async fn withdraw(cx: &Cx, id: &str, made: &[&Target], mut error: Error) -> Error {
    let cx = &cx.shielded();
    for target in made {
        if let Err(stays) = target.vault.store.remove(cx, &target.vault.point_key(id)).await {
            error = error.succeeded(format!(
                "the point `{id}` is complete in the store `{}` and could not be removed there: {stays}",
                target.vault.name()
            ));
        }
    }
    error
}

/// One vault a point is written to.
#[derive(Debug)]
pub(crate) struct Target {
    vault: Vault,
    access: Access,
    sealing: Option<Sealing>,
    /// What this point has already made sure of here, by the shared name: its name here, and its size.
    kept: Mutex<HashMap<String, (String, u64)>>,
    /// The chunks named by the points there were when this was first asked.
    named: OnceCell<HashSet<String>>,
    /// Set when the point goes on without this vault.
    failed: OnceLock<()>,
}

impl Target {
    async fn begin(cx: &Cx, id: &str, vault: &Vault) -> Result<Self> {
        vault.refuse_taken(cx, id).await?;
        let sealing = vault.sealing(cx).await?;
        let access = match &sealing {
            Some(sealing) => Access {
                naming: Naming::Keyed(vault.hash, sealing.name_key.clone()),
                opener: sealing.opener.clone(),
            },
            None => Access {
                naming: Naming::Plain(vault.hash),
                opener: None,
            },
        };
        Ok(Self {
            vault: vault.clone(),
            access,
            sealing,
            kept: Mutex::default(),
            named: OnceCell::new(),
            failed: OnceLock::new(),
        })
    }

    /// Makes sure that one chunk is here; returns its size in the store, and whether it was here before.
    async fn keep(&self, cx: &Cx, shared: &str, name: String, content: &Content) -> Result<(u64, bool)> {
        let known = match self.seen(shared) {
            Some(stored) => Some(stored),
            None => self.reusable(cx, &name, content.bytes.len() as u64).await?,
        };
        let (stored, reused) = match known {
            Some(stored) => (stored, true),
            None => {
                let packed = content.packed().await?;
                let object = match &self.sealing {
                    Some(sealing) => chunk::seal(packed, sealing).await?,
                    None => packed,
                };
                let stored = object.len() as u64;
                let key = self.vault.object_key(&name);
                self.vault.store.put(cx, &key, object).await?;
                cx.step("vault.chunk-durable");
                (stored, false)
            }
        };
        self.lock_kept().insert(shared.to_owned(), (name, stored));
        Ok((stored, reused))
    }

    /// Returns the size in the store of a chunk that is there, whole, and will stay as long as this point
    /// needs to be finished: it is young, or a point names it. See `docs/design/ordering.md`.
    async fn reusable(&self, cx: &Cx, hash: &str, bytes: u64) -> Result<Option<u64>> {
        let key = self.vault.object_key(hash);
        let blob = match self.vault.store.stat(cx, &key).await {
            Ok(blob) => blob,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let young = blob.modified >= cx.now() - self.vault.grace / 2;
        if !young && !self.named(cx).await?.contains(hash) {
            return Ok(None);
        }
        // On a machine that can only write nobody can look into a chunk: its name has to do.
        let closed = self.sealing.is_some() && self.access.opener.is_none();
        if self.vault.reuse == Reuse::Trusted || closed {
            return Ok(Some(blob.bytes));
        }
        match chunk::fetch(&self.vault, cx, &self.access, hash, bytes).await {
            Ok(_) => Ok(Some(blob.bytes)),
            Err(Bad::Store(error)) => Err(error),
            Err(bad @ (Bad::Missing | Bad::Damaged(_))) => {
                let healed = format!("chunk `{hash}` in the vault {bad}; it is written anew");
                cx.progress().warn(&healed);
                Ok(None)
            }
        }
    }

    async fn named(&self, cx: &Cx) -> Result<&HashSet<String>> {
        self.named
            .get_or_try_init(|| self.vault.named_by_readable_points(cx))
            .await
    }

    /// Makes sure that every chunk is here, and returns the manifest as it is here, with the bytes of its file.
    async fn prepare(&self, cx: &Cx, shared: &Manifest) -> Result<(Manifest, Vec<u8>)> {
        let mut manifest = shared.clone();
        {
            let kept = self.lock_kept();
            for chunk in manifest.tables.iter_mut().flat_map(|entry| &mut entry.chunks) {
                let (name, stored) = kept
                    .get(&chunk.hash)
                    .ok_or_else(|| Error::internal("a chunk of the point was never written"))?;
                chunk.hash.clone_from(name);
                chunk.stored = *stored;
            }
        }
        all_chunks_are_there(&self.vault, cx, &manifest).await?;
        manifest.totals = Totals::of(&manifest.tables);
        let encryption = self.sealing.as_ref().map(|sealing| sealing.encryption.clone());
        manifest.describe(&self.access.naming, encryption);
        let mut bytes = manifest.seal()?;
        if let Some(sealing) = &self.sealing {
            bytes = Envelope::seal(&manifest, sealing)?;
        }
        manifest.origin.access = self.access.clone();
        manifest.origin.location = self.vault.location();
        self.vault.refuse_taken(cx, &manifest.id).await?;
        Ok((manifest, bytes))
    }

    /// Writes the file of a manifest.
    async fn publish(&self, cx: &Cx, id: &str, bytes: Vec<u8>) -> Result<()> {
        let key = self.vault.point_key(id);
        let bytes = Bytes::from(bytes);
        self.vault.store.put(cx, &key, bytes.clone()).await?;
        cx.step("vault.manifest-durable");
        // What is not read back now would be found out when it is needed.
        match self.vault.manifest_bytes(&cx.shielded(), id, &key).await {
            Ok(back) if back == bytes => Ok(()),
            Ok(_) => Err(error::manifest(
                id,
                "what is there now is not what was written: it is damaged, or another program wrote a point of the same id",
            )),
            Err(error) => Err(error.wrap("the manifest does not read back as it was written")),
        }
    }

    fn copy(&self, manifest: &Manifest) -> Copy {
        Copy {
            store: self.vault.name(),
            location: self.vault.location(),
            hash: manifest.hash.clone(),
        }
    }

    fn seen(&self, shared: &str) -> Option<u64> {
        self.lock_kept().get(shared).map(|(_, stored)| *stored)
    }

    fn lock_kept(&self) -> std::sync::MutexGuard<'_, HashMap<String, (String, u64)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn all_chunks_are_there(vault: &Vault, cx: &Cx, manifest: &Manifest) -> Result<()> {
    let tables = &manifest.tables;
    let mut seen = HashSet::new();
    let mut distinct = Vec::new();
    for (table, entry) in tables.iter().enumerate() {
        for (chunk, named) in entry.chunks.iter().enumerate() {
            if seen.insert(&named.hash) {
                distinct.push((table, chunk));
            }
        }
    }
    drop(seen);
    futures::stream::iter(distinct)
        .map(|(table, chunk)| {
            let entry = &tables[table];
            is_there(vault, cx, &entry.table, &entry.chunks[chunk]).boxed()
        })
        .buffer_unordered(STATS_AT_ONCE)
        .try_collect::<()>()
        .await
}

async fn is_there(vault: &Vault, cx: &Cx, table: &TableName, chunk: &ChunkEntry) -> Result<()> {
    let why = match vault.store.stat(cx, &vault.object_key(&chunk.hash)).await {
        Ok(blob) if blob.bytes == chunk.stored => return Ok(()),
        Ok(blob) => format!(
            "has {} bytes in the store instead of {}",
            blob.bytes, chunk.stored
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => "has vanished from the store".to_owned(),
        Err(error) => return Err(error),
    };
    Err(Error::new(
        ErrorKind::Damaged,
        format!(
            "chunk `{}` of table `{table}` {why} while the point was being written",
            chunk.hash
        ),
    )
    .with_context("table", table)
    .with_context("chunk", &chunk.hash)
    .hint("the point was not made; run the same command again"))
}
