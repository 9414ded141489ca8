//! Loading what differs of two states of a table, row by row: what both have is not loaded at all.

use std::collections::HashSet;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use walkback_core::bulk::{Chunk, ChunkStream, Encoding};
use walkback_core::{Cx, Result};
use walkback_vault::Manifest;

use crate::execute::Execution;
use crate::load::Shadow;

/// How many bytes of rows of which the counterpart has not come yet are held at most.
const HELD: usize = 64 << 20;

/// How many bytes are loaded at a time.
const LOADED: usize = 1 << 20;

/// One state of a table: the point that holds it, where it is loaded to, and which of its chunks the other has not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) shadow: &'a Shadow,
    pub(super) ranges: &'a [Range<usize>],
}

/// Rows of one side that the other has not had so far.
#[derive(Debug, Default)]
struct Alone {
    rows: HashSet<Box<[u8]>>,
    bytes: usize,
    encoding: Option<Encoding>,
}

impl Execution<'_> {
    /// Loads the rows that one of two states of a table has and the other has not. Both are in the order of their
    /// keys, so that a row meets its counterpart soon.
    pub(super) async fn load_difference(&mut self, cx: &Cx, sides: [Side<'_>; 2]) -> Result<()> {
        for side in sides {
            self.session
                .create_shadow(cx, &side.shadow.table, &side.shadow.name)
                .await?;
        }
        let mut streams = [self.read_side(cx, sides[0])?, self.read_side(cx, sides[1])?];
        let mut alone = [Alone::default(), Alone::default()];
        let (mut read, mut ended) = ([0_u64; 2], [false; 2]);
        while ended != [true; 2] {
            let turn = usize::from(ended[0] || (!ended[1] && read[1] < read[0]));
            let Some(chunk) = streams[turn].next().await else {
                ended[turn] = true;
                continue;
            };
            let chunk = chunk?;
            read[turn] += chunk.rows;
            let columns = sides[turn].shadow.entry.columns.len();
            let ends = self.runner.engine().row_ends(&chunk, columns)?;
            let [one, other] = &mut alone;
            let (own, others) = if turn == 0 { (one, other) } else { (other, one) };
            own.take(&chunk, &ends, others);
            if alone.iter().map(|alone| alone.bytes).sum::<usize>() > HELD {
                // Their counterparts, if they come, are loaded too: what is in both states is no change.
                for (alone, side) in alone.iter_mut().zip(sides) {
                    self.load_alone(cx, alone, side.shadow).await?;
                }
            }
        }
        for (alone, side) in alone.iter_mut().zip(sides) {
            self.load_alone(cx, alone, side.shadow).await?;
            self.session
                .index_shadow(cx, &side.shadow.table, &side.shadow.name, &[])
                .await?;
        }
        Ok(())
    }

    /// Loads all rows of one state.
    pub(super) async fn load_side(&mut self, cx: &Cx, side: Side<'_>) -> Result<()> {
        let Side { shadow, .. } = side;
        self.session
            .create_shadow(cx, &shadow.table, &shadow.name)
            .await?;
        let chunks = self.read_side(cx, side)?;
        self.session.import(cx, &shadow.target(), chunks).await?;
        self.session
            .index_shadow(cx, &shadow.table, &shadow.name, &[])
            .await
    }

    fn read_side<'s>(&self, cx: &'s Cx, side: Side<'s>) -> Result<ChunkStream<'s>>
    where
        Self: 's,
    {
        let vault = self.runner.needed_vault()?;
        let table = &side.shadow.entry.table;
        let ranges = side.ranges.iter().cloned();
        let streams: Vec<_> = ranges
            .map(|range| vault.read_chunks(cx, side.manifest, table, range))
            .collect::<Result<_>>()?;
        Ok(futures::stream::iter(streams).flatten().boxed())
    }

    async fn load_alone(&mut self, cx: &Cx, alone: &mut Alone, shadow: &Shadow) -> Result<()> {
        let Some(chunks) = alone.chunks() else {
            return Ok(());
        };
        let chunks = futures::stream::iter(chunks.into_iter().map(Ok)).boxed();
        self.session.import(cx, &shadow.target(), chunks).await.map(drop)
    }
}

impl Alone {
    /// Takes the rows of a chunk, but for those that the other side has had: they go from there.
    fn take(&mut self, chunk: &Chunk, ends: &[usize], others: &mut Self) {
        self.encoding.get_or_insert_with(|| chunk.encoding.clone());
        let mut start = 0;
        for end in ends {
            let row = &chunk.bytes[start..*end];
            start = *end;
            if others.rows.remove(row) {
                others.bytes -= row.len();
            } else {
                self.bytes += row.len();
                self.rows.insert(row.into());
            }
        }
    }

    /// Returns the rows as chunks, and holds none of them any more. `None`: there were none.
    fn chunks(&mut self) -> Option<Vec<Chunk>> {
        let encoding = self.encoding.clone().filter(|_| !self.rows.is_empty())?;
        self.bytes = 0;
        let mut chunks = Vec::new();
        let (mut buffer, mut count) = (BytesMut::new(), 0);
        for row in std::mem::take(&mut self.rows) {
            buffer.extend_from_slice(&row);
            count += 1;
            if buffer.len() >= LOADED {
                let bytes: Bytes = buffer.split().freeze();
                chunks.push(Chunk::new(encoding.clone(), std::mem::take(&mut count), bytes));
            }
        }
        if count > 0 {
            chunks.push(Chunk::new(encoding, count, buffer.freeze()));
        }
        Some(chunks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(rows: &[&str]) -> (Chunk, Vec<usize>) {
        let ends = rows.iter().scan(0, |end, row| {
            *end += row.len();
            Some(*end)
        });
        let ends: Vec<_> = ends.collect();
        let bytes = Bytes::from(rows.concat());
        (
            Chunk::new(Encoding("test".into()), rows.len() as u64, bytes),
            ends,
        )
    }

    fn left(alone: &mut Alone) -> Vec<String> {
        let rows = std::mem::take(&mut alone.rows).into_iter();
        let mut rows: Vec<_> = rows
            .map(|row| String::from_utf8_lossy(&row).into_owned())
            .collect();
        rows.sort();
        rows
    }

    #[test]
    fn only_what_the_other_side_has_not_is_left() {
        let (mut one, mut other) = (Alone::default(), Alone::default());
        let (first, ends) = chunk(&["a1", "b1", "c1"]);
        one.take(&first, &ends, &mut other);
        let (second, ends) = chunk(&["b2", "c1"]);
        other.take(&second, &ends, &mut one);
        let (third, ends) = chunk(&["a1", "d1"]);
        other.take(&third, &ends, &mut one);
        assert_eq!((one.bytes, other.bytes), (2, 4));
        assert_eq!(left(&mut one), ["b1"]);
        assert_eq!(left(&mut other), ["b2", "d1"]);
    }
}
