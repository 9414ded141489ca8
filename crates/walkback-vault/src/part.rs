//! Parts of a table: chunks that are in the vault, and what they add up to.

use walkback_core::bulk::Encoding;
use walkback_core::fingerprint::Fingerprinter;
use walkback_core::{Error, Result, TableName};

use crate::ChunkEntry;

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

/// A chunk that is in the vault.
pub(crate) struct Kept {
    pub(crate) entry: ChunkEntry,
    pub(crate) encoding: Encoding,
    pub(crate) fingerprint: Option<Fingerprinter>,
    pub(crate) reused: bool,
}

/// Rows of a table whose chunks are in the vault, and in no point yet.
#[derive(Debug)]
#[must_use = "the rows are in the vault, but in no point"]
pub struct Part {
    pub(crate) encoding: Option<Encoding>,
    /// What the rows add up to, if every chunk has said what its own do.
    pub(crate) fingerprint: Option<Fingerprinter>,
    pub(crate) chunks: Vec<ChunkEntry>,
    pub(crate) summary: TableSummary,
}

impl Part {
    pub(crate) fn of(table: &TableName) -> Self {
        Self {
            encoding: None,
            fingerprint: Some(Fingerprinter::new()),
            chunks: Vec::new(),
            summary: TableSummary::of(table),
        }
    }

    pub(crate) fn add(&mut self, kept: Kept) -> Result<()> {
        self.must_be_encoded_as(&kept.encoding)?;
        self.sum_up(kept.fingerprint.as_ref());
        self.summary.count(&kept);
        self.chunks.push(kept.entry);
        Ok(())
    }

    pub(crate) fn append(&mut self, part: Self) -> Result<()> {
        if let Some(encoding) = &part.encoding {
            self.must_be_encoded_as(encoding)?;
        }
        self.sum_up(part.fingerprint.as_ref());
        self.summary.add(&part.summary);
        self.chunks.extend(part.chunks);
        Ok(())
    }

    fn must_be_encoded_as(&mut self, encoding: &Encoding) -> Result<()> {
        let first = self.encoding.get_or_insert_with(|| encoding.clone());
        if first == encoding {
            return Ok(());
        }
        Err(Error::internal(format!(
            "table `{}` is exported in two encodings, `{}` and `{}`",
            self.summary.table, first.0, encoding.0
        )))
    }

    fn sum_up(&mut self, more: Option<&Fingerprinter>) {
        match (&mut self.fingerprint, more) {
            (Some(sum), Some(more)) => sum.merge(more),
            (sum, _) => *sum = None,
        }
    }
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

    fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.chunks += other.chunks;
        self.chunks_reused += other.chunks_reused;
        self.bytes_new += other.bytes_new;
        self.bytes_reused += other.bytes_reused;
    }
}
