//! Writing a point: chunks first, in parallel and in bounded memory; the manifest last.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use tokio::sync::OnceCell;
use walkback_core::bulk::{Chunk, ChunkStream, TableSlice};
use walkback_core::catalog::Schema;
use walkback_core::cx::Unit;
use walkback_core::fingerprint::TableFingerprint;
use walkback_core::store::StoreExt as _;
use walkback_core::{Cx, Error, ErrorKind, Result, TableName};

use crate::chunk::{self, Bad};
use crate::manifest::{COMPRESSION, HASHING};
use crate::vault::{Reuse, Vault, check_id};
use crate::{
    ChunkEntry, Database, FORMAT, LedgerState, Manifest, PointKind, Position, TableEntry, Totals, VERSION,
    error,
};

/// How many chunks of a table are in memory at once: this many times the largest chunk (4 MiB), twice (as
/// rows, and packed), is all the memory a backup takes.
const AT_ONCE: usize = 4;

/// How many questions to the store are open at once before the manifest is written.
const STATS_AT_ONCE: usize = 16;

/// What is known of a point when it is begun.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PointMeta {
    /// What it is made for.
    pub kind: PointKind,
    /// The database.
    pub database: Database,
    /// The migrations that are applied.
    pub ledger: LedgerState,
    /// Everything that is defined.
    pub schema: Schema,
    /// What a person writes about it.
    pub description: Option<String>,
    /// The run it belongs to.
    pub run_id: Option<String>,
    /// Where the database's own log stands.
    pub position: Option<Position>,
}

impl PointMeta {
    /// Creates the description of a point, without description, run and position.
    #[must_use]
    pub fn new(kind: PointKind, database: Database, ledger: LedgerState, schema: Schema) -> Self {
        Self {
            kind,
            database,
            ledger,
            schema,
            description: None,
            run_id: None,
            position: None,
        }
    }
}

/// What writing one table came to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct TableSummary {
    /// The table.
    pub table: TableName,
    /// How many rows.
    pub rows: u64,
    /// How many bytes, before compression.
    pub bytes: u64,
    /// How many chunks.
    pub chunks: u64,
    /// How many of them the vault had already.
    pub chunks_reused: u64,
    /// Bytes that were added to the store.
    pub bytes_new: u64,
    /// Bytes in the store that were there already.
    pub bytes_reused: u64,
}

/// A point being written. Dropping it before [`PointWriter::finish`] leaves no point; the chunks it wrote are
/// garbage that the next attempt reuses.
#[derive(Debug)]
pub struct PointWriter {
    vault: Vault,
    manifest: Manifest,
    /// What this point has already made sure of: hash, and size in the store.
    kept: Mutex<HashMap<String, u64>>,
    /// The chunks named by the points there were when this was first asked.
    named: OnceCell<HashSet<String>>,
}

impl Vault {
    /// Begins a point. Nothing is written yet.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if the id is not one; [`ErrorKind::AlreadyExists`] if there is such a point, or
    /// was until a short time ago.
    pub async fn begin(&self, cx: &Cx, id: &str, meta: PointMeta) -> Result<PointWriter> {
        check_id(id)?;
        self.refuse_taken(cx, id).await?;
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            version: VERSION,
            requires: Vec::new(),
            id: id.to_owned(),
            created_at: cx.now(),
            tool: concat!("walkback ", env!("CARGO_PKG_VERSION")).to_owned(),
            kind: meta.kind,
            description: meta.description,
            run_id: meta.run_id,
            database: meta.database,
            ledger: meta.ledger,
            position: meta.position,
            schema: meta.schema,
            hashing: HASHING.to_owned(),
            compression: COMPRESSION.to_owned(),
            encryption: None,
            tables: Vec::new(),
            totals: Totals::default(),
            hash: String::new(),
        };
        Ok(PointWriter {
            vault: self.clone(),
            manifest,
            kept: Mutex::default(),
            named: OnceCell::new(),
        })
    }

    async fn refuse_taken(&self, cx: &Cx, id: &str) -> Result<()> {
        let taken = |what: &str| {
            Error::new(
                ErrorKind::AlreadyExists,
                format!("{what} `{id}` in the vault at `{}`", self.location()),
            )
        };
        if self.store.exists(cx, &self.point_key(id)).await? {
            return Err(taken("there is already a point").hint(format!("run `walkback point show {id}`")));
        }
        // Its chunks are protected through this file, which a second removal would replace.
        if self.store.exists(cx, &self.removed_key(id)).await? {
            return Err(
                taken("there was, until a short time ago, a point").hint("give the new point another id")
            );
        }
        Ok(())
    }
}

impl PointWriter {
    /// Returns the id of the point.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.manifest.id
    }

    /// Writes the rows of a table. Every chunk is durable when this returns.
    ///
    /// # Errors
    /// Fails if the stream or the store does; the table is then not part of the point.
    pub async fn add_table(
        &mut self,
        cx: &Cx,
        slice: &TableSlice,
        chunks: ChunkStream<'_>,
    ) -> Result<TableSummary> {
        let table = &slice.table;
        if self.manifest.tables.iter().any(|entry| entry.table == *table) {
            return Err(Error::internal(format!(
                "table `{table}` is added twice to one point"
            )));
        }
        let task = cx
            .progress()
            .begin(&format!("backing up `{table}`"), Unit::Bytes, None);
        let mut entry = TableEntry {
            table: table.clone(),
            columns: slice.columns.clone(),
            order: slice.order.clone(),
            encoding: None,
            rows: 0,
            bytes: 0,
            fingerprint: None,
            chunks: Vec::new(),
        };
        let mut summary = TableSummary::of(table);
        let this = &*self;
        let mut written = chunks
            .map(|chunk| async move { this.keep(cx, chunk?).await }.boxed())
            .buffered(AT_ONCE);
        while let Some(kept) = written.try_next().await? {
            task.advance(kept.entry.bytes);
            summary.count(&kept);
            entry.rows += kept.entry.rows;
            entry.bytes += kept.entry.bytes;
            let first = entry.encoding.get_or_insert_with(|| kept.chunk_encoding.clone());
            if *first != kept.chunk_encoding {
                let (first, other) = (&first.0, &kept.chunk_encoding.0);
                return Err(Error::internal(format!(
                    "table `{table}` is exported in two encodings, `{first}` and `{other}`"
                )));
            }
            entry.chunks.push(kept.entry);
        }
        drop(written);
        self.manifest.tables.push(entry);
        Ok(summary)
    }

    /// Notes what the rows of a table add up to.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if the table was not added, or has another number of rows.
    pub fn set_fingerprint(&mut self, table: &TableName, fingerprint: TableFingerprint) -> Result<()> {
        let Some(entry) = self
            .manifest
            .tables
            .iter_mut()
            .find(|entry| entry.table == *table)
        else {
            return Err(Error::internal(format!(
                "table `{table}` has a fingerprint but no rows in the point"
            )));
        };
        if entry.rows != fingerprint.rows {
            return Err(Error::internal(format!(
                "table `{table}` has {} rows by its fingerprint and {} in the point",
                fingerprint.rows, entry.rows
            )));
        }
        entry.fingerprint = Some(fingerprint);
        Ok(())
    }

    /// Makes sure that every chunk is there, and writes the manifest. The point exists when this returns.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] if a chunk has vanished from the store meanwhile; there is then no point.
    pub async fn finish(self, cx: &Cx) -> Result<Manifest> {
        let Self {
            vault, mut manifest, ..
        } = self;
        all_chunks_are_there(&vault, cx, &manifest).await?;
        manifest.totals = Totals::of(&manifest.tables);
        let bytes = manifest.seal()?;
        vault.refuse_taken(cx, &manifest.id).await?;
        cx.check()?;
        cx.step("vault.before-manifest");
        let key = vault.point_key(&manifest.id);
        vault.store.put(cx, &key, bytes.into()).await?;
        cx.step("vault.manifest-durable");
        // What is not read back now would be found out when it is needed.
        match vault.manifest(&cx.shielded(), &manifest.id).await {
            Ok(back) if back == manifest => Ok(manifest),
            Ok(_) => Err(error::manifest(
                &manifest.id,
                "another program wrote a point of the same id",
            )),
            Err(error) => Err(error.wrap("the manifest does not read back as it was written")),
        }
    }

    /// Makes sure that one chunk is in the store.
    async fn keep(&self, cx: &Cx, chunk: Chunk) -> Result<Kept> {
        cx.check()?;
        let bytes = chunk.bytes.len() as u64;
        let hash = chunk::name(chunk.bytes.clone()).await?;
        let known = match self.seen(&hash) {
            Some(stored) => Some(stored),
            None => self.reusable(cx, &hash, bytes).await?,
        };
        let (stored, reused) = match known {
            Some(stored) => (stored, true),
            None => {
                let packed = chunk::pack(chunk.bytes).await?;
                let stored = packed.len() as u64;
                self.vault
                    .store
                    .put(cx, &self.vault.object_key(&hash), packed)
                    .await?;
                cx.step("vault.chunk-durable");
                (stored, false)
            }
        };
        self.lock_kept().insert(hash.clone(), stored);
        Ok(Kept {
            entry: ChunkEntry {
                hash,
                rows: chunk.rows,
                bytes,
                stored,
            },
            chunk_encoding: chunk.encoding,
            reused,
        })
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
        if self.vault.reuse == Reuse::Trusted {
            return Ok(Some(blob.bytes));
        }
        match chunk::fetch(&*self.vault.store, cx, &key, hash, bytes).await {
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

    fn seen(&self, hash: &str) -> Option<u64> {
        self.lock_kept().get(hash).copied()
    }

    fn lock_kept(&self) -> std::sync::MutexGuard<'_, HashMap<String, u64>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Kept {
    entry: ChunkEntry,
    chunk_encoding: walkback_core::bulk::Encoding,
    reused: bool,
}

impl TableSummary {
    fn of(table: &TableName) -> Self {
        Self {
            table: table.clone(),
            rows: 0,
            bytes: 0,
            chunks: 0,
            chunks_reused: 0,
            bytes_new: 0,
            bytes_reused: 0,
        }
    }

    fn count(&mut self, kept: &Kept) {
        self.rows += kept.entry.rows;
        self.bytes += kept.entry.bytes;
        self.chunks += 1;
        if kept.reused {
            self.chunks_reused += 1;
            self.bytes_reused += kept.entry.stored;
        } else {
            self.bytes_new += kept.entry.stored;
        }
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
