//! Reading all of a point, and naming what is damaged.

use futures::{FutureExt as _, StreamExt as _};
use serde::Serialize;
use walkback_core::cx::Unit;
use walkback_core::{Cx, Error, ErrorKind, Result, TableName};

use crate::chunk::{self, Bad};
use crate::crypt::Access;
use crate::vault::Vault;
use crate::{ChunkEntry, Manifest, TableEntry, error};

/// How many chunks are read at the same time.
const AT_ONCE: usize = 4;

/// What reading all of a point came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The point.
    pub id: String,
    /// Its tables.
    pub tables: Vec<TableReport>,
}

/// What reading a table came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TableReport {
    /// The table.
    pub table: TableName,
    /// How many rows the point names.
    pub rows: u64,
    /// How many bytes the point names, before compression.
    pub bytes: u64,
    /// How many chunks were read.
    pub chunks: u64,
    /// What is wrong, in the order of the chunks.
    pub damage: Vec<Damage>,
    /// The newest other point that still has an intact copy of the table, looked for only where there is
    /// damage.
    pub intact_in: Option<String>,
}

/// A chunk that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Damage {
    /// Its place in the table, from 0.
    pub index: u64,
    /// Its name.
    pub hash: String,
    /// How many rows are lost with it.
    pub rows: u64,
    /// What is wrong.
    pub kind: DamageKind,
}

/// What is wrong with a chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "why")]
#[non_exhaustive]
pub enum DamageKind {
    /// It is not in the store.
    Missing,
    /// Its content is not what was written, for this reason.
    Damaged(String),
    /// The store cannot read it, for this reason.
    Unreadable(String),
}

impl VerifyReport {
    /// Returns whether nothing is wrong.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.tables.iter().all(|table| table.damage.is_empty())
    }

    /// Turns damage into an error that names the first damaged chunk, how many there are, and for each
    /// damaged table where it is still intact.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] if anything is wrong.
    pub fn into_result(self) -> Result<Self> {
        let mut damaged = self
            .tables
            .iter()
            .filter(|table| !table.damage.is_empty())
            .peekable();
        let Some(first) = damaged.peek() else {
            drop(damaged);
            return Ok(self);
        };
        let bad = &first.damage[0];
        let mut error = error::chunk(&self.id, &first.table, &bad.hash, &bad.kind);
        for table in damaged {
            let (name, count, of) = (&table.table, table.damage.len(), table.chunks);
            error = error.hint(match &table.intact_in {
                Some(point) => format!(
                    "{count} of {of} chunks of table `{name}` cannot be used; point `{point}` still has all of it"
                ),
                None => format!("{count} of {of} chunks of table `{name}` cannot be used; no other point has all of it"),
            });
        }
        Err(error)
    }
}

impl std::fmt::Display for DamageKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::Damaged(why) => write!(f, "is damaged: {why}"),
            Self::Unreadable(why) => write!(f, "cannot be read: {why}"),
        }
    }
}

impl Vault {
    /// Reads all of a point. Damage is a report, not an error; see [`VerifyReport::into_result`].
    ///
    /// # Errors
    /// As [`Vault::open`], and if the store cannot be reached.
    pub async fn verify(&self, cx: &Cx, id: &str) -> Result<VerifyReport> {
        let manifest = self.open(cx, id).await?;
        let task = cx.progress().begin(
            &format!("verifying point `{}`", manifest.id),
            Unit::Bytes,
            Some(manifest.totals.bytes),
        );
        let mut tables = Vec::new();
        for entry in &manifest.tables {
            let damage = self
                .damage_of(cx, &manifest, entry, |bytes| task.advance(bytes))
                .await?;
            let intact_in = if damage.is_empty() {
                None
            } else {
                self.intact_elsewhere(cx, &manifest, &entry.table).await?
            };
            tables.push(TableReport {
                table: entry.table.clone(),
                rows: entry.rows,
                bytes: entry.bytes,
                chunks: entry.chunks.len() as u64,
                damage,
                intact_in,
            });
        }
        Ok(VerifyReport {
            id: manifest.id,
            tables,
        })
    }

    async fn damage_of(
        &self,
        cx: &Cx,
        manifest: &Manifest,
        entry: &TableEntry,
        read: impl Fn(u64),
    ) -> Result<Vec<Damage>> {
        let access = &manifest.origin.access;
        let chunks = &entry.chunks;
        let mut checked = futures::stream::iter(0..chunks.len())
            .map(|index| self.look_at(cx, access, &chunks[index]).boxed())
            .buffered(AT_ONCE);
        let mut damage = Vec::new();
        for (index, chunk) in (0..).zip(chunks) {
            let found = checked.next().await.transpose()?.flatten();
            read(chunk.bytes);
            if let Some(kind) = found {
                damage.push(Damage {
                    index,
                    hash: chunk.hash.clone(),
                    rows: chunk.rows,
                    kind,
                });
            }
        }
        Ok(damage)
    }

    async fn look_at(&self, cx: &Cx, access: &Access, chunk: &ChunkEntry) -> Result<Option<DamageKind>> {
        cx.check()?;
        match chunk::fetch(self, cx, access, &chunk.hash, chunk.bytes).await {
            Ok(_) => Ok(None),
            Err(Bad::Missing) => Ok(Some(DamageKind::Missing)),
            Err(Bad::Damaged(why)) => Ok(Some(DamageKind::Damaged(why))),
            // A store that is away says nothing about the chunk; one that cannot read this file does.
            Err(Bad::Store(error)) if is_about_the_store(&error) => Err(error),
            Err(Bad::Store(error)) => Ok(Some(DamageKind::Unreadable(with_cause(&error)))),
        }
    }

    async fn intact_elsewhere(&self, cx: &Cx, bad: &Manifest, table: &TableName) -> Result<Option<String>> {
        for point in self.list(cx).await? {
            let holds = point.info.as_ref().is_ok_and(|info| info.tables.contains(table));
            if point.id == bad.id || !holds {
                continue;
            }
            let other = self.manifest(cx, &point.id).await?;
            let Some(entry) = other.table(table) else { continue };
            if self.damage_of(cx, &other, entry, |_| ()).await?.is_empty() {
                return Ok(Some(point.id));
            }
        }
        Ok(None)
    }
}

fn is_about_the_store(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Interrupted | ErrorKind::Unavailable | ErrorKind::Internal
    ) || error.is_retryable()
}

fn with_cause(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
