//! Writing a point: chunks first, in parallel and in bounded memory; the manifest last.

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use walkback_core::bulk::{Chunk, ChunkStream, TableSlice};
use walkback_core::catalog::Schema;
use walkback_core::cx::Unit;
use walkback_core::fingerprint::TableFingerprint;
use walkback_core::grants::Grant;
use walkback_core::store::StoreExt as _;
use walkback_core::{Cx, Error, ErrorKind, Result, TableName};

use crate::manifest::{COMPRESSION, Origin};
use crate::part::{Kept, Part, TableSummary};
use crate::target::{Targets, Written};
use crate::vault::{Vault, check_id};
use crate::{
    ChunkEntry, Database, FORMAT, LedgerState, Manifest, PointKind, Position, TableEntry, Totals, VERSION,
};

/// How many chunks of a table are in memory at once: this many times the largest chunk (4 MiB), twice (as
/// rows, and packed), is all the memory a backup takes.
const AT_ONCE: usize = 4;

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
    /// Rights on the database, if they are to be kept.
    pub grants: Option<Vec<Grant>>,
    /// Of changed rows as a run left them: the id of the point that holds them as they were.
    pub before: Option<String>,
}

impl PointMeta {
    /// Creates the description of a point, without description, run, position and rights.
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
            grants: None,
            before: None,
        }
    }
}

/// A point being written. Dropping it before [`PointWriter::finish`] leaves no point; the chunks it wrote are
/// garbage that the next attempt reuses.
#[derive(Debug)]
pub struct PointWriter {
    /// Where it is written, all in the same way but for names and encryption.
    targets: Targets,
    /// As the first of them names the chunks.
    manifest: Manifest,
}

impl Vault {
    /// Begins a point. Nothing is written yet.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if the id is not one; [`ErrorKind::AlreadyExists`] if there is such a point, or
    /// was until a short time ago.
    pub async fn begin(&self, cx: &Cx, id: &str, meta: PointMeta) -> Result<PointWriter> {
        PointWriter::begin(cx, id, meta, std::slice::from_ref(self), 1).await
    }

    pub(crate) async fn refuse_taken(&self, cx: &Cx, id: &str) -> Result<()> {
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
    /// Begins a point in several vaults, of which so many must have it in the end.
    pub(crate) async fn begin(
        cx: &Cx,
        id: &str,
        meta: PointMeta,
        vaults: &[Vault],
        required: usize,
    ) -> Result<Self> {
        check_id(id)?;
        let targets = Targets::begin(cx, id, vaults, required).await?;
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
            hashing: String::new(),
            compression: COMPRESSION.to_owned(),
            encryption: None,
            tables: Vec::new(),
            totals: Totals::default(),
            grants: meta.grants,
            before: meta.before,
            hash: String::new(),
            origin: Origin::default(),
        };
        Ok(Self { targets, manifest })
    }

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
        let part = self.write_part(cx, &slice.table, chunks).await?;
        self.add_parts(slice, vec![part])
    }

    /// Writes a part of the rows of a table, beside other parts. Every chunk is durable when this returns; the
    /// rows belong to the point once [`PointWriter::add_parts`] is told of them.
    ///
    /// # Errors
    /// Fails if the stream or the store does.
    pub async fn write_part(&self, cx: &Cx, table: &TableName, chunks: ChunkStream<'_>) -> Result<Part> {
        let task = cx
            .progress()
            .begin(&format!("backing up `{table}`"), Unit::Bytes, None);
        let mut part = Part::of(table);
        let mut written = chunks
            .map(|chunk| async move { self.keep(cx, chunk?).await }.boxed())
            .buffered(AT_ONCE);
        while let Some(kept) = written.try_next().await? {
            task.advance(kept.entry.bytes);
            part.add(kept)?;
        }
        Ok(part)
    }

    /// Adds a table to the point: its parts, in the order of its rows.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if the table is there already, or its parts do not fit each other.
    pub fn add_parts(&mut self, slice: &TableSlice, parts: Vec<Part>) -> Result<TableSummary> {
        let table = &slice.table;
        if self.manifest.tables.iter().any(|entry| entry.table == *table) {
            return Err(Error::internal(format!(
                "table `{table}` is added twice to one point"
            )));
        }
        let mut whole = Part::of(table);
        for part in parts {
            whole.append(part)?;
        }
        self.manifest.tables.push(TableEntry {
            table: table.clone(),
            columns: slice.columns.clone(),
            order: slice.order.clone(),
            encoding: whole.encoding,
            rows: whole.summary.rows,
            bytes: whole.summary.bytes,
            // Without a chunk, nobody has said anything.
            fingerprint: whole
                .fingerprint
                .filter(|_| !whole.chunks.is_empty())
                .map(|sum| sum.finish()),
            chunks: whole.chunks,
        });
        Ok(whole.summary)
    }

    /// Notes what the rows of a table add up to, where its chunks did not say so themselves.
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
        self.finish_all(cx).await.map(|written| written.manifest)
    }

    /// Makes sure that every chunk is there in every vault, and only then writes the manifests. The point exists
    /// when this returns; after an error there is none in any vault.
    ///
    /// # Errors
    /// As [`PointWriter::finish`].
    pub async fn finish_all(self, cx: &Cx) -> Result<Written> {
        self.targets.finish(cx, self.manifest).await
    }

    /// Makes sure that one chunk is in the stores.
    async fn keep(&self, cx: &Cx, chunk: Chunk) -> Result<Kept> {
        cx.check()?;
        let bytes = chunk.bytes.len() as u64;
        let stored = self.targets.keep(cx, chunk.bytes).await?;
        Ok(Kept {
            entry: ChunkEntry {
                hash: stored.shared,
                rows: chunk.rows,
                bytes,
                stored: stored.bytes,
            },
            encoding: chunk.encoding,
            fingerprint: chunk.fingerprint,
            reused: stored.reused,
        })
    }
}
