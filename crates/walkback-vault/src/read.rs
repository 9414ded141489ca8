//! Reading the rows of a table back, every chunk checked.

use std::ops::Range;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use walkback_core::bulk::{Chunk, ChunkStream, Encoding};
use walkback_core::cx::Unit;
use walkback_core::{Cx, Error, Result, TableName};

use crate::chunk::{self, Bad};
use crate::vault::Vault;
use crate::{ChunkEntry, Manifest, TableEntry, error};

/// How many chunks are read ahead.
const AT_ONCE: usize = 3;

impl Vault {
    /// Reads the rows of a table, in order and with a few chunks of read-ahead. Each chunk is checked against
    /// its hash before it is given out; the stream ends with the first error.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](walkback_core::ErrorKind::NotFound) if the point does not hold the table. The
    /// stream fails with [`ErrorKind::Damaged`](walkback_core::ErrorKind::Damaged).
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
        stream_table(cx, manifest, table, range, move |entry, index| {
            self.read_chunk(cx, manifest, entry, index).boxed()
        })
    }

    async fn read_chunk(
        &self,
        cx: &Cx,
        manifest: &Manifest,
        entry: &TableEntry,
        index: usize,
    ) -> Result<Bytes> {
        let chunk = &entry.chunks[index];
        match chunk::fetch(self, cx, &manifest.origin.access, &chunk.hash, chunk.bytes).await {
            Ok(bytes) => Ok(bytes),
            Err(bad) => Err(chunk_error(manifest, entry, chunk, bad)),
        }
    }
}

/// Returns the error for a chunk that cannot be used.
pub(crate) fn chunk_error(manifest: &Manifest, entry: &TableEntry, chunk: &ChunkEntry, bad: Bad) -> Error {
    match bad {
        Bad::Store(error) => error,
        bad => error::chunk(&manifest.id, &entry.table, &chunk.hash, bad),
    }
}

/// Reads the rows of a table with something that reads a chunk by its place.
pub(crate) fn stream_table<'a>(
    cx: &'a Cx,
    manifest: &'a Manifest,
    table: &TableName,
    range: Range<usize>,
    read: impl Fn(&'a TableEntry, usize) -> BoxFuture<'a, Result<Bytes>> + Send + 'a,
) -> Result<ChunkStream<'a>> {
    let Some(entry) = manifest.table(table) else {
        return Err(not_in(manifest, table));
    };
    if !manifest.is_open() {
        return Err(error::written_only(&manifest.id));
    }
    let end = range.end.min(entry.chunks.len());
    let wanted = range.start.min(end)..end;
    let bytes = entry.chunks[wanted.clone()].iter().map(|chunk| chunk.bytes).sum();
    let task = cx
        .progress()
        .begin(&format!("reading `{table}`"), Unit::Bytes, Some(bytes));
    let encoding = entry.encoding.clone().unwrap_or_else(|| Encoding(String::new()));
    let chunks = futures::stream::iter(wanted)
        .map(move |index| {
            let (bytes, encoding) = (read(entry, index), encoding.clone());
            async move {
                cx.check()?;
                Ok(Chunk::new(encoding, entry.chunks[index].rows, bytes.await?))
            }
        })
        .buffered(AT_ONCE)
        .inspect(move |chunk: &Result<Chunk>| {
            if let Ok(chunk) = chunk {
                task.advance(chunk.bytes.len() as u64);
            }
        });
    Ok(end_with_first_error(chunks.boxed()))
}

/// Nothing after an error may be taken for the rest of the table.
fn end_with_first_error(chunks: ChunkStream<'_>) -> ChunkStream<'_> {
    chunks
        .scan(false, |failed, chunk| {
            let give = (!*failed).then_some(chunk);
            *failed |= give.as_ref().is_some_and(Result::is_err);
            std::future::ready(give)
        })
        .boxed()
}

fn not_in(manifest: &Manifest, table: &TableName) -> Error {
    let error = Error::not_found(format!("point `{}` does not hold table `{table}`", manifest.id))
        .with_context("point", &manifest.id)
        .with_context("table", table);
    let close = manifest
        .tables
        .iter()
        .map(|entry| entry.table.to_string())
        .find(|name| strsim::damerau_levenshtein(name, &table.to_string()) <= 2);
    match close {
        Some(close) => error.hint(format!("did you mean `{close}`?")),
        None => error.hint(format!(
            "run `walkback backup show {}` to see its tables",
            manifest.id
        )),
    }
}
