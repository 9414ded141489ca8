//! Reading a table of a point that several vaults have: a chunk that is bad in one is taken from another.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::OnceCell;
use walkback_core::{Cx, ErrorKind, Result};

use crate::chunk::{self, Bad};
use crate::read::chunk_error;
use crate::vault::Vault;
use crate::{ChunkEntry, Manifest, TableEntry};

/// The vaults that may have the chunks of a point.
#[derive(Clone)]
pub(crate) struct Copies<'a> {
    manifest: &'a Manifest,
    /// The one the manifest was read from first.
    vaults: Arc<[CopyOf<'a>]>,
    /// Vaults that did not answer: they are asked last from then on.
    away: Arc<Mutex<HashSet<usize>>>,
}

struct CopyOf<'a> {
    vault: &'a Vault,
    /// The manifest as it is there, read when it is first needed; `None` if it cannot be.
    manifest: OnceCell<Option<Manifest>>,
}

impl<'a> Copies<'a> {
    pub(crate) fn new(vaults: &'a [Vault], manifest: &'a Manifest) -> Self {
        let mut vaults: Vec<_> = vaults.iter().collect();
        vaults.sort_by_key(|vault| vault.location() != manifest.origin.location);
        Self {
            manifest,
            vaults: vaults
                .into_iter()
                .map(|vault| CopyOf {
                    vault,
                    manifest: OnceCell::new(),
                })
                .collect(),
            away: Arc::default(),
        }
    }

    /// Reads one chunk.
    pub(crate) fn read(
        self,
        cx: &'a Cx,
        entry: &'a TableEntry,
        index: usize,
    ) -> BoxFuture<'a, Result<Bytes>> {
        async move { self.read_now(cx, entry, index).await }.boxed()
    }

    async fn read_now(&self, cx: &Cx, entry: &TableEntry, index: usize) -> Result<Bytes> {
        let chunk = &entry.chunks[index];
        let mut order: Vec<usize> = (0..self.vaults.len()).collect();
        order.sort_by_key(|place| self.is_away(*place));
        let mut failed: Vec<(usize, Bad)> = Vec::new();
        for place in order {
            match self.fetch(cx, place, entry, index).await {
                Ok(bytes) => {
                    self.warn(cx, entry, chunk, &failed, place);
                    return Ok(bytes);
                }
                Err(Bad::Store(error)) if error.kind() == ErrorKind::Interrupted => return Err(error),
                Err(bad) => failed.push((place, bad)),
            }
        }
        // What is wrong where the manifest is says most.
        let first = failed
            .iter()
            .position(|(place, _)| *place == 0)
            .unwrap_or_default();
        Err(chunk_error(
            self.manifest,
            entry,
            chunk,
            failed.swap_remove(first).1,
        ))
    }

    /// Reads a chunk from one of the vaults, where it may be called otherwise.
    async fn fetch(&self, cx: &Cx, place: usize, entry: &TableEntry, index: usize) -> Result<Bytes, Bad> {
        let chunk = &entry.chunks[index];
        let (copy, ours) = (&self.vaults[place], &self.manifest.origin.access);
        if place == 0 {
            return chunk::fetch(copy.vault, cx, ours, &chunk.hash, chunk.bytes).await;
        }
        let manifest = copy
            .manifest
            .get_or_init(|| async { copy.vault.manifest(cx, &self.manifest.id).await.ok() })
            .await;
        let there = manifest
            .as_ref()
            .and_then(|manifest| Some((manifest, manifest.table(&entry.table)?.chunks.get(index)?)))
            .filter(|(_, there)| (there.rows, there.bytes) == (chunk.rows, chunk.bytes));
        let Some((manifest, there)) = there else {
            // Without a manifest it may still be there, under the same name.
            return chunk::fetch(copy.vault, cx, ours, &chunk.hash, chunk.bytes).await;
        };
        let access = &manifest.origin.access;
        let bytes = chunk::fetch(copy.vault, cx, access, &there.hash, there.bytes).await?;
        match chunk::name(&ours.naming, bytes.clone()).await {
            Ok(name) if name == chunk.hash => Ok(bytes),
            Ok(_) => Err(Bad::Damaged(
                "it is another chunk than that of the other stores".to_owned(),
            )),
            Err(error) => Err(Bad::Store(error)),
        }
    }

    fn warn(
        &self,
        cx: &Cx,
        entry: &TableEntry,
        chunk: &ChunkEntry,
        failed: &[(usize, Bad)],
        taken_from: usize,
    ) {
        for (place, bad) in failed {
            let name = self.vaults[*place].vault.name();
            let instead = self.vaults[taken_from].vault.name();
            if let Bad::Store(error) = bad {
                if self.set_away(*place) {
                    cx.progress().warn(&format!(
                        "the store `{name}` cannot be read, and `{instead}` is used instead: {error}"
                    ));
                }
                continue;
            }
            cx.progress().warn(&format!(
                "chunk `{}` of table `{}` in the store `{name}` {bad}; it is read from `{instead}`",
                chunk.hash, entry.table
            ));
        }
    }

    fn is_away(&self, place: usize) -> bool {
        self.lock_away().contains(&place)
    }

    fn set_away(&self, place: usize) -> bool {
        self.lock_away().insert(place)
    }

    fn lock_away(&self) -> std::sync::MutexGuard<'_, HashSet<usize>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
