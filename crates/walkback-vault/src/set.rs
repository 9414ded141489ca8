//! Several vaults that hold the same: written to all, read from the first that verifies.

use std::collections::BTreeMap;
use std::ops::Range;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use walkback_core::bulk::ChunkStream;
use walkback_core::{Cx, Error, ErrorKind, Result, TableName};

use crate::list::{PointFile, PointStore, find_in};
use crate::set_read::Copies;
use crate::vault::Vault;
use crate::{Collected, Manifest, PointMeta, PointSummary, PointWriter, VerifyReport, error, read};

/// The vaults of an environment, in the order in which they are read. Most have one.
#[derive(Debug, Clone)]
pub struct VaultSet {
    vaults: Vec<Vault>,
    required: usize,
}

/// What verifying a point in one of the vaults came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct StoreReport {
    /// The name of the store.
    pub store: String,
    /// What was found there.
    pub outcome: Result<VerifyReport>,
}

impl From<Vault> for VaultSet {
    fn from(vault: Vault) -> Self {
        Self {
            vaults: vec![vault],
            required: 1,
        }
    }
}

impl VaultSet {
    /// Creates a set. A backup fails if fewer than `required` vaults can take it; `None` is all of them.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] without a vault, or if more are required than there are, or none.
    pub fn new(vaults: Vec<Vault>, required: Option<usize>) -> Result<Self> {
        let required = required.unwrap_or(vaults.len());
        if vaults.is_empty() || !(1..=vaults.len()).contains(&required) {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("{required} of {} vaults cannot be required", vaults.len()),
            ));
        }
        Ok(Self { vaults, required })
    }

    /// Returns the vaults, in the order in which they are read.
    #[must_use]
    pub fn vaults(&self) -> &[Vault] {
        &self.vaults
    }

    /// Returns where they are, for messages.
    #[must_use]
    pub fn location(&self) -> String {
        let locations: Vec<_> = self.vaults.iter().map(Vault::location).collect();
        locations.join(", ")
    }

    /// Returns whether new points are encrypted in any of them: their ids then tell nothing either.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.vaults.iter().any(Vault::is_encrypted)
    }

    /// Returns whether what is written can be read here again, from one of them.
    #[must_use]
    pub fn can_read(&self) -> bool {
        self.vaults.iter().any(Vault::can_read)
    }

    /// Begins a point in all of them.
    ///
    /// # Errors
    /// As [`Vault::begin`].
    pub async fn begin(&self, cx: &Cx, id: &str, meta: PointMeta) -> Result<PointWriter> {
        PointWriter::begin(cx, id, meta, &self.vaults, self.required).await
    }

    /// Lists the points of all of them, newest first, each once and with the vaults that have it.
    ///
    /// # Errors
    /// Fails if no vault can be read. One that cannot is warned of.
    pub async fn list(&self, cx: &Cx) -> Result<Vec<PointSummary>> {
        if let [only] = self.vaults.as_slice() {
            return only.list(cx).await;
        }
        let mut merged: BTreeMap<String, PointSummary> = BTreeMap::new();
        let lists = self.each(cx, |vault| vault.list(cx).boxed()).await?;
        for (vault, points) in lists {
            for mut point in points {
                let error = point.info.as_ref().err().map(|error| error.message().to_owned());
                let here = PointStore::new(vault.name(), error);
                match merged.get_mut(&point.id) {
                    None => {
                        point.stores.push(here);
                        merged.insert(point.id.clone(), point);
                    }
                    Some(known) => {
                        known.stores.push(here);
                        if known.info.is_err() && point.info.is_ok() {
                            point.stores = std::mem::take(&mut known.stores);
                            *known = point;
                        }
                    }
                }
            }
        }
        let mut points: Vec<_> = merged.into_values().collect();
        points.sort_by_key(|point| std::cmp::Reverse((point.created_at(), point.id.clone())));
        Ok(points)
    }

    /// Opens a point, from the first vault that has it whole. One that has it damaged is warned of.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub async fn open(&self, cx: &Cx, id: &str) -> Result<Manifest> {
        if let [only] = self.vaults.as_slice() {
            return only.open(cx, id).await;
        }
        let (full, vaults) = self.find(cx, id).await?;
        let mut failed: Vec<(&Vault, Error)> = Vec::new();
        for vault in vaults {
            match vault.manifest(cx, &full).await {
                Ok(manifest) => {
                    for (other, error) in failed {
                        let (other, here) = (other.name(), vault.name());
                        cx.progress().warn(&format!(
                            "the store `{other}` cannot be used for point `{full}`, which is read from `{here}`: {error}"
                        ));
                    }
                    return Ok(manifest);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
                Err(error) => failed.push((vault, error)),
            }
        }
        // Damage weighs more than a key that is not set: with the key there would still be damage.
        let worst = failed
            .iter()
            .position(|(_, error)| !error::is_closed(error))
            .unwrap_or_default();
        Err(failed.swap_remove(worst).1)
    }

    /// Reads the rows of a table, each chunk from the first vault that has it whole. One that has not is warned of.
    ///
    /// # Errors
    /// As [`Vault::read_table`].
    pub fn read_table<'a>(
        &'a self,
        cx: &'a Cx,
        manifest: &'a Manifest,
        table: &TableName,
    ) -> Result<ChunkStream<'a>> {
        self.read_chunks(cx, manifest, table, 0..usize::MAX)
    }

    /// Reads some of the rows of a table: those of its chunks from one to another, as far as there are so many.
    ///
    /// # Errors
    /// As [`Vault::read_table`].
    pub fn read_chunks<'a>(
        &'a self,
        cx: &'a Cx,
        manifest: &'a Manifest,
        table: &TableName,
        range: Range<usize>,
    ) -> Result<ChunkStream<'a>> {
        if let [only] = self.vaults.as_slice() {
            return only.read_chunks(cx, manifest, table, range);
        }
        let copies = Copies::new(&self.vaults, manifest);
        read::stream_table(cx, manifest, table, range, move |entry, index| {
            copies.clone().read(cx, entry, index)
        })
    }

    /// Reads all of a point in every vault that has it.
    ///
    /// # Errors
    /// As [`VaultSet::open`], where it is about all of them.
    pub async fn verify(&self, cx: &Cx, id: &str) -> Result<Vec<StoreReport>> {
        let (full, vaults) = self.find(cx, id).await?;
        let mut reports = Vec::new();
        for vault in vaults {
            let outcome = vault.verify(cx, &full).await;
            if let Err(error) = &outcome
                && error.kind() == ErrorKind::Interrupted
            {
                return outcome.map(|_| reports);
            }
            reports.push(StoreReport {
                store: vault.name(),
                outcome,
            });
        }
        Ok(reports)
    }

    /// Removes a point, by its whole id, from every vault that has it.
    ///
    /// # Errors
    /// As [`Vault::remove`].
    pub async fn remove(&self, cx: &Cx, id: &str) -> Result<()> {
        if let [only] = self.vaults.as_slice() {
            return only.remove(cx, id).await;
        }
        let (full, vaults) = self.find(cx, id).await?;
        if full != id {
            return Err(Error::not_found(format!("there is no point `{id}`"))
                .hint(format!("to remove a point give its whole id: `{full}`")));
        }
        for vault in vaults {
            match vault.remove(cx, id).await {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Removes from every vault the chunks that no point of that vault names.
    ///
    /// # Errors
    /// As [`Vault::collect_garbage`].
    pub async fn collect_garbage(&self, cx: &Cx) -> Result<Collected> {
        let mut collected = Collected::default();
        for vault in &self.vaults {
            collected += vault.collect_garbage(cx).await?;
        }
        Ok(collected)
    }

    /// Returns the full id of a point, and the vaults that have it.
    async fn find(&self, cx: &Cx, id: &str) -> Result<(String, Vec<&Vault>)> {
        let lists = self.each(cx, |vault| vault.point_files(cx).boxed()).await?;
        let mut files: BTreeMap<String, PointFile> = BTreeMap::new();
        for file in lists.iter().flat_map(|(_, files)| files) {
            files.entry(file.id.clone()).or_insert_with(|| file.clone());
        }
        let full = find_in(id, files.into_values().collect(), &self.location())?;
        let has = |files: &[PointFile]| files.iter().any(|file| file.id == full);
        let vaults = lists
            .iter()
            .filter(|(_, files)| has(files))
            .map(|(vault, _)| *vault)
            .collect();
        Ok((full, vaults))
    }

    /// Asks every vault. One that does not answer is warned of, and an error if none does.
    async fn each<'v: 'c, 'c, T>(
        &'v self,
        cx: &'c Cx,
        ask: impl Fn(&'v Vault) -> BoxFuture<'c, Result<T>>,
    ) -> Result<Vec<(&'v Vault, T)>> {
        let mut answers = Vec::new();
        let mut failed = Vec::new();
        for vault in &self.vaults {
            match ask(vault).await {
                Ok(answer) => answers.push((vault, answer)),
                Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
                Err(error) => failed.push((vault, error)),
            }
        }
        if answers.is_empty()
            && let Some((_, error)) = failed.pop()
        {
            return Err(error);
        }
        for (vault, error) in failed {
            cx.progress()
                .warn(&format!("the store `{}` cannot be read: {error}", vault.name()));
        }
        Ok(answers)
    }
}
