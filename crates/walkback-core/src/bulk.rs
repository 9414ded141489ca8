//! Rows in bulk: chunks of whole rows, cut where the rows themselves say so.

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::name::TableName;

/// What part of a table to read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableSlice {
    /// The table.
    pub table: TableName,
    /// The columns, in this order. Generated columns cannot be written back and are left out by the caller.
    pub columns: Vec<String>,
    /// Columns whose order the rows come in, so that unchanged regions give unchanged chunks: the primary
    /// key. Empty: whatever order the engine keeps.
    pub order: Vec<String>,
}

impl TableSlice {
    /// Creates a slice of all rows.
    #[must_use]
    pub fn new(table: TableName, columns: Vec<String>, order: Vec<String>) -> Self {
        Self {
            table,
            columns,
            order,
        }
    }
}

/// How the rows inside a chunk are encoded: `rows-v1` or a name an engine documents. A reader that does not
/// know the name must refuse the chunk.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Encoding(pub String);

/// Whole rows in one encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// How they are encoded.
    pub encoding: Encoding,
    /// How many rows.
    pub rows: u64,
    /// The rows.
    pub bytes: Bytes,
}

/// A stream of chunks.
pub type ChunkStream<'a> = BoxStream<'a, Result<Chunk>>;

/// Where to write rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportTarget {
    /// The table.
    pub table: TableName,
    /// The columns, in the order in which the chunks have them.
    pub columns: Vec<String>,
}

/// Gathers encoded rows into chunks, and cuts where a hash of the last row says so.
///
/// Because a cut depends on one row alone, a row that is added, changed or removed changes the chunk it is in
/// and at most the next one; all others come out byte for byte as before, and cost nothing in a
/// content-addressed vault.
#[derive(Debug)]
pub struct ChunkCutter {
    encoding: Encoding,
    bounds: ChunkBounds,
    buffer: BytesMut,
    rows: u64,
}

/// Sizes between which chunks are cut, in bytes before compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkBounds {
    /// No cut before this size, unless the table ends.
    pub least: usize,
    /// A cut at the latest after the row that reaches this size.
    pub most: usize,
    /// One row in this many (a power of two) is a place to cut.
    pub one_row_in: u64,
}

impl Default for ChunkBounds {
    fn default() -> Self {
        Self {
            least: 128 << 10,
            most: 4 << 20,
            one_row_in: 2048,
        }
    }
}

impl ChunkCutter {
    /// Creates a cutter for one table.
    #[must_use]
    pub fn new(encoding: Encoding, bounds: ChunkBounds) -> Self {
        Self {
            encoding,
            bounds,
            buffer: BytesMut::new(),
            rows: 0,
        }
    }

    /// Adds one encoded row, and returns a chunk if the row ended one.
    pub fn push(&mut self, row: &[u8]) -> Option<Chunk> {
        self.buffer.extend_from_slice(row);
        self.rows += 1;
        let full = self.buffer.len() >= self.bounds.most;
        let place = self.buffer.len() >= self.bounds.least && is_cut(row, self.bounds.one_row_in);
        if full || place { self.finish() } else { None }
    }

    /// Returns what is left, if anything is.
    pub fn finish(&mut self) -> Option<Chunk> {
        if self.rows == 0 {
            return None;
        }
        let rows = std::mem::take(&mut self.rows);
        Some(Chunk {
            encoding: self.encoding.clone(),
            rows,
            bytes: self.buffer.split().freeze(),
        })
    }
}

fn is_cut(row: &[u8], one_row_in: u64) -> bool {
    // FNV-1a over the row, then a mix: cheap, and the low bits depend on every byte.
    let hash = row.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    mixed & (one_row_in - 1) == 0
}

/// Convenience for adapters that have nothing to stream.
#[must_use]
pub fn no_chunks<'a>() -> BoxStream<'a, Result<Chunk>> {
    Box::pin(futures::stream::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(rows: &[Vec<u8>]) -> Vec<Chunk> {
        let bounds = ChunkBounds {
            least: 256,
            most: 8192,
            one_row_in: 32,
        };
        let mut cutter = ChunkCutter::new(Encoding("test".into()), bounds);
        let mut chunks: Vec<_> = rows.iter().filter_map(|row| cutter.push(row)).collect();
        chunks.extend(cutter.finish());
        chunks
    }

    fn rows() -> Vec<Vec<u8>> {
        (0..20_000_u32)
            .map(|n| format!("row {n} {}", n.wrapping_mul(2_654_435_761)).into_bytes())
            .collect()
    }

    #[test]
    fn chunks_hold_every_row_in_order() {
        let whole: Vec<u8> = rows().concat();
        let chunks = cut(&rows());
        assert!(chunks.len() > 100, "{}", chunks.len());
        assert_eq!(
            chunks
                .iter()
                .flat_map(|chunk| chunk.bytes.to_vec())
                .collect::<Vec<_>>(),
            whole
        );
        assert_eq!(chunks.iter().map(|chunk| chunk.rows).sum::<u64>(), 20_000);
    }

    #[test]
    fn one_inserted_row_changes_at_most_two_chunks() {
        let before = cut(&rows());
        for position in [0, 1, 777, 10_000, 19_999] {
            let mut changed = rows();
            changed.insert(position, b"a row that was not there".to_vec());
            let after = cut(&changed);
            let new = after.iter().filter(|chunk| !before.contains(chunk)).count();
            assert!(new <= 2, "{new} chunks changed by a row at {position}");
        }
    }
}
