//! Reading the rows of a table back, every chunk checked.

use futures::StreamExt as _;
use walkback_core::bulk::{Chunk, ChunkStream, Encoding};
use walkback_core::cx::Unit;
use walkback_core::{Cx, Error, Result, TableName};

use crate::chunk::{self, Bad};
use crate::vault::Vault;
use crate::{ChunkEntry, Manifest, error};

/// How many chunks are read ahead.
const AT_ONCE: usize = 4;

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
        let Some(entry) = manifest.table(table) else {
            return Err(not_in(manifest, table));
        };
        let task = cx
            .progress()
            .begin(&format!("reading `{table}`"), Unit::Bytes, Some(entry.bytes));
        let encoding = entry.encoding.clone().unwrap_or_else(|| Encoding(String::new()));
        let chunks = futures::stream::iter(&entry.chunks)
            .map(move |chunk| self.read_chunk(cx, manifest, &entry.table, chunk, encoding.clone()))
            .buffered(AT_ONCE)
            .inspect(move |chunk| {
                if let Ok(chunk) = chunk {
                    task.advance(chunk.bytes.len() as u64);
                }
            });
        Ok(end_with_first_error(chunks.boxed()))
    }

    async fn read_chunk(
        &self,
        cx: &Cx,
        manifest: &Manifest,
        table: &TableName,
        entry: &ChunkEntry,
        encoding: Encoding,
    ) -> Result<Chunk> {
        cx.check()?;
        let key = self.object_key(&entry.hash);
        match chunk::fetch(&*self.store, cx, &key, &entry.hash, entry.bytes).await {
            Ok(bytes) => Ok(Chunk {
                encoding,
                rows: entry.rows,
                bytes,
            }),
            Err(Bad::Store(error)) => Err(error),
            Err(bad) => Err(error::chunk(&manifest.id, table, &entry.hash, bad)),
        }
    }
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
