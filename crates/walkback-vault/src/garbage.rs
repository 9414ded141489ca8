//! Giving space back: removing points, and the chunks that no point names any more.

use std::collections::HashSet;

use chrono::TimeDelta;
use futures::TryStreamExt as _;
use serde::Serialize;
use walkback_core::store::{StoreExt as _, Swept};
use walkback_core::{Cx, Error, ErrorKind, Result};

use crate::Manifest;
use crate::list::PointFile;
use crate::manifest::PointFileContent;
use crate::vault::{Vault, check_id};

/// How long the chunks of a removed point, and chunks that no point names yet, are kept. A backup that takes
/// less than half of this is safe from garbage collection; see `docs/design/ordering.md`.
pub const GRACE: TimeDelta = TimeDelta::days(1);

/// What garbage collection has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Collected {
    /// Chunks that were removed.
    pub objects: u64,
    /// Bytes they had in the store.
    pub bytes: u64,
    /// Chunks that no point names, but that are too young to be removed.
    pub kept_young: u64,
    /// Removed points that can no longer be brought back.
    pub points_forgotten: u64,
}

impl std::ops::AddAssign for Collected {
    fn add_assign(&mut self, other: Self) {
        self.objects += other.objects;
        self.bytes += other.bytes;
        self.kept_young += other.kept_young;
        self.points_forgotten += other.points_forgotten;
    }
}

impl Vault {
    /// Removes a point, by its whole id. Its chunks stay until garbage collection finds that no other point
    /// names them and the grace period is over; until half of it is over [`Vault::bring_back`] undoes this.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such point.
    pub async fn remove(&self, cx: &Cx, id: &str) -> Result<()> {
        check_id(id)?;
        let found = self.find(cx, id).await?;
        if found != id {
            return Err(Error::not_found(format!("there is no point `{id}`"))
                .hint(format!("to remove a point give its whole id: `{found}`")));
        }
        // First a copy, then the removal: at no moment do its chunks look like garbage.
        let bytes = self.manifest_bytes(cx, id, &self.point_key(id)).await?;
        self.store.put(cx, &self.removed_key(id), bytes).await?;
        cx.step("vault.removal-noted");
        self.store.remove(cx, &self.point_key(id)).await?;
        cx.step("vault.point-removed");
        Ok(())
    }

    /// Undoes the removal of a point, as long as half of its grace period lasts: then no garbage collection
    /// can have begun that no longer counts it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if no such point was removed lately.
    pub async fn bring_back(&self, cx: &Cx, id: &str) -> Result<Manifest> {
        check_id(id)?;
        let removed = self.files_below(cx, "removed/").await?;
        let lately = cx.now() - self.grace / 2;
        if !manifests(removed)
            .iter()
            .any(|file| file.id == id && file.modified >= lately)
        {
            return Err(Error::not_found(format!("no point `{id}` was removed lately"))
                .hint("run `walkback point list` to see the points there are"));
        }
        let bytes = self.manifest_bytes(cx, id, &self.removed_key(id)).await?;
        let manifest = self.unseal(id, PointFileContent::parse(id, &bytes)?).await?;
        if !self.store.exists(cx, &self.point_key(id)).await? {
            self.store.put(cx, &self.point_key(id), bytes).await?;
            cx.step("vault.point-brought-back");
        }
        // The note of the removal stays until it is forgotten: a garbage collection that has already listed
        // the points still counts the chunks through it.
        Ok(manifest)
    }

    /// Removes what killed writers have left unfinished in the store.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn sweep(&self, cx: &Cx) -> Result<Swept> {
        self.store.sweep(cx).await
    }

    /// Removes the chunks that no point names, and that are older than the grace period.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] or [`ErrorKind::Unsupported`] if a manifest cannot be read: what it names is
    /// then unknown, and nothing is removed.
    pub async fn collect_garbage(&self, cx: &Cx) -> Result<Collected> {
        let oldest_kept = cx.now() - self.grace;
        // Points before removed points: one that is being removed is then seen in at least one of them.
        let mut named = HashSet::new();
        for file in self.point_files(cx).await? {
            self.absorb(cx, &file, &self.point_key(&file.id), &mut named)
                .await?;
        }
        let removed = self.files_below(cx, "removed/").await?;
        let (forgotten, kept): (Vec<_>, Vec<_>) =
            removed.into_iter().partition(|file| file.modified < oldest_kept);
        for file in kept {
            self.absorb(cx, &file, &self.removed_key(&file.id), &mut named)
                .await?;
        }
        let mut collected = self.remove_unnamed(cx, &named, oldest_kept).await?;
        for file in forgotten {
            self.store.remove(cx, &self.removed_key(&file.id)).await?;
            collected.points_forgotten += 1;
        }
        Ok(collected)
    }

    async fn remove_unnamed(
        &self,
        cx: &Cx,
        named: &HashSet<String>,
        oldest_kept: chrono::DateTime<chrono::Utc>,
    ) -> Result<Collected> {
        let mut collected = Collected::default();
        let objects = self.key("objects/");
        let mut blobs = self.store.list(cx, &objects).await?;
        while let Some(blob) = blobs.try_next().await? {
            cx.check()?;
            let name = blob.key.rsplit('/').next().unwrap_or_default();
            if named.contains(name) || blob.key != self.key_of(name) {
                continue;
            }
            if blob.modified >= oldest_kept || !self.is_still_old(cx, &blob.key, oldest_kept).await? {
                collected.kept_young += 1;
                continue;
            }
            self.store.remove(cx, &blob.key).await?;
            cx.step("vault.object-removed");
            collected.objects += 1;
            collected.bytes += blob.bytes;
        }
        Ok(collected)
    }

    /// Returns where an object of this name would be; what is elsewhere is not ours to remove.
    fn key_of(&self, name: &str) -> String {
        if crate::manifest::is_hash(name) {
            self.object_key(name)
        } else {
            String::new()
        }
    }

    /// A backup may have written the chunk anew since it was listed.
    async fn is_still_old(
        &self,
        cx: &Cx,
        key: &str,
        oldest_kept: chrono::DateTime<chrono::Utc>,
    ) -> Result<bool> {
        match self.store.stat(cx, key).await {
            Ok(blob) => Ok(blob.modified < oldest_kept),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Adds the chunks that one manifest names.
    async fn absorb(&self, cx: &Cx, file: &PointFile, key: &str, named: &mut HashSet<String>) -> Result<()> {
        let content = match self.manifest_bytes(cx, &file.id, key).await {
            Ok(bytes) => PointFileContent::parse(&file.id, &bytes),
            // A point that was removed since it was listed is found among the removed ones, which are listed
            // after the points; a removed one is forgotten only when its grace period is over.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => Err(error),
        };
        let content = content.map_err(|error| {
            error
                .wrap("no chunk was removed, because it is not known which are still needed")
                .hint(format!(
                    "or give the point up with `walkback point remove {} --force`",
                    file.id
                ))
        })?;
        named.extend(content.into_objects());
        Ok(())
    }

    /// Returns the chunks named by the points that can be read. What an unreadable one names is written anew.
    pub(crate) async fn named_by_readable_points(&self, cx: &Cx) -> Result<HashSet<String>> {
        let mut named = HashSet::new();
        for file in manifests(self.point_files(cx).await?) {
            let bytes = self.manifest_bytes(cx, &file.id, &self.point_key(&file.id)).await;
            match bytes.and_then(|bytes| PointFileContent::parse(&file.id, &bytes)) {
                Ok(content) => named.extend(content.into_objects()),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Damaged | ErrorKind::Unsupported | ErrorKind::NotFound
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(named)
    }
}

fn manifests(mut files: Vec<PointFile>) -> Vec<PointFile> {
    files.retain(|file| file.is_manifest);
    files
}
