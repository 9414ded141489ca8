//! Rows in bulk: chunks of whole rows, cut where the rows themselves say so.

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::fingerprint::Fingerprinter;
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
    /// Which of the rows.
    pub range: KeyRange,
}

impl TableSlice {
    /// Creates a slice of all rows.
    #[must_use]
    pub fn new(table: TableName, columns: Vec<String>, order: Vec<String>) -> Self {
        Self {
            table,
            columns,
            order,
            range: KeyRange::default(),
        }
    }

    /// Returns the part of a slice that lies in a range.
    #[must_use]
    pub fn within(&self, range: KeyRange) -> Self {
        Self {
            range,
            ..self.clone()
        }
    }
}

/// A range of the first column of a slice's order; of a slice without an order, a range of the places where its
/// rows are, as the engine numbers them. The default is all there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyRange {
    /// The first key that belongs to it; `None` for as small as there are.
    pub from: Option<i64>,
    /// The first key that does not belong to it any more; `None` for as large as there are.
    pub until: Option<i64>,
}

impl KeyRange {
    /// Divides all keys into ranges, about as many as asked for and at most four times as many, given the
    /// least and the greatest key there is.
    ///
    /// Ranges begin at multiples of a power of two: while a table grows they begin where they did before, or at
    /// every other of these places, so that what they cut is cut alike the next time.
    #[must_use]
    pub fn divide(least: i64, most: i64, parts: u64) -> Vec<Self> {
        let (least, most) = (i128::from(least), i128::from(most));
        let span = (most - least).max(0) + 1;
        let parts = i128::from(parts.clamp(1, 1 << 16));
        let mut step: i128 = 1;
        while step * parts < span {
            step *= 2;
        }
        let mut bounds = Vec::new();
        let mut bound = (least.div_euclid(step) + 1) * step;
        while bound <= most && parts > 1 {
            bounds.extend(i64::try_from(bound).ok());
            bound += step;
        }
        let from = std::iter::once(None).chain(bounds.iter().copied().map(Some));
        let until = bounds.iter().copied().map(Some).chain([None]);
        from.zip(until)
            .map(|(from, until)| Self { from, until })
            .collect()
    }
}

/// How a slice can be read by several sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Division {
    /// About how many bytes the table takes; 0 where that cannot be told without reading it.
    pub bytes: u64,
    /// The parts, in the order of the whole. There is at least one.
    pub parts: Vec<TableSlice>,
}

impl Division {
    /// Leaves a slice as it is.
    #[must_use]
    pub fn none(slice: &TableSlice, bytes: u64) -> Self {
        Self {
            bytes,
            parts: vec![slice.clone()],
        }
    }

    /// Divides a slice with keys from `least` to `most` into parts of about this many bytes.
    #[must_use]
    pub fn of(slice: &TableSlice, bytes: u64, part: u64, (least, most): (i64, i64)) -> Self {
        let ranges = KeyRange::divide(least, most, bytes.div_ceil(part.max(1)));
        Self {
            bytes,
            parts: ranges.into_iter().map(|range| slice.within(range)).collect(),
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
    /// What the rows add up to, where each was looked at by itself: an export says it, so that the fingerprint of
    /// a table costs no second reading. A chunk that comes out of a vault does not know.
    pub fingerprint: Option<Fingerprinter>,
}

impl Chunk {
    /// Creates a chunk of rows that nobody has looked at one by one.
    #[must_use]
    pub fn new(encoding: Encoding, rows: u64, bytes: Bytes) -> Self {
        Self {
            encoding,
            rows,
            bytes,
            fingerprint: None,
        }
    }
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
    fingerprinter: Fingerprinter,
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
            one_row_in: 4096,
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
            fingerprinter: Fingerprinter::new(),
        }
    }

    /// Adds one encoded row, and returns a chunk if the row ended one.
    pub fn push(&mut self, row: &[u8]) -> Option<Chunk> {
        self.buffer.extend_from_slice(row);
        self.rows += 1;
        let hash = self.fingerprinter.add(row);
        let full = self.buffer.len() >= self.bounds.most;
        let place = self.buffer.len() >= self.bounds.least && hash & (self.bounds.one_row_in - 1) == 0;
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
            fingerprint: Some(std::mem::take(&mut self.fingerprinter)),
        })
    }
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

    #[test]
    fn ranges_hold_every_key_once_in_order() {
        for (least, most, parts) in [
            (1, 1000, 7),
            (-50, 50, 4),
            (0, 0, 3),
            (5, 4, 2),
            (i64::MIN, i64::MAX, 8),
            (i64::MAX - 3, i64::MAX, 100),
            (17, 18, 1),
        ] {
            let ranges = KeyRange::divide(least, most, parts);
            assert_eq!(ranges.first().unwrap().from, None);
            assert_eq!(ranges.last().unwrap().until, None);
            for pair in ranges.windows(2) {
                assert_eq!(pair[0].until, pair[1].from);
                assert!(pair[0].from < pair[0].until);
            }
            assert!(ranges.len() as u64 <= 4 * parts, "{} ranges", ranges.len());
        }
        assert!(KeyRange::divide(1, 1000, 8).len() >= 4);
    }

    #[test]
    fn a_table_that_grows_is_divided_where_it_was_before() {
        let bounds = |most: i64, parts| -> Vec<i64> {
            let ranges = KeyRange::divide(1, most, parts);
            ranges.iter().filter_map(|range| range.from).collect()
        };
        let mut before = bounds(1_000_000, 10);
        for percent in 1..200 {
            let most = 1_000_000 + 10_000 * percent;
            let after = bounds(most, 10 + u64::try_from(percent).unwrap() / 10);
            let kept = before.iter().filter(|bound| after.contains(bound)).count();
            assert!(
                kept * 2 + 1 >= before.len(),
                "{percent} %: {kept} of {}",
                before.len()
            );
            before = after;
        }
    }
}
