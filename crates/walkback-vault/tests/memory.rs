//! A backup and its reading take the memory of a few chunks, however large the table is.

mod common;

use bytes::Bytes;
use common::{chunk, meta, slice, vault};
use futures::{StreamExt as _, TryStreamExt as _};
use walkback_conformance::memory_store::MemoryStore;
use walkback_core::{Cx, TableName};

const CHUNKS: u64 = 256;
const SIZE: usize = 4 << 20;

/// A chunk of the largest usual size, different from all others, that compresses to almost nothing.
fn large(number: u64) -> Bytes {
    let mut bytes = vec![0; SIZE];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes.into()
}

fn peak_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: usize = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes << 10)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gigabyte_goes_through_a_few_chunks_of_memory() {
    let (vault, cx) = (vault(&MemoryStore::new()), Cx::background());
    let before = peak_memory();
    let mut writer = vault.begin(&cx, "p", meta()).await.unwrap();
    let rows = futures::stream::iter(0..CHUNKS)
        .map(|number| Ok(chunk(1, large(number))))
        .boxed();
    writer.add_table(&cx, &slice("items"), rows).await.unwrap();
    let manifest = writer.finish(&cx).await.unwrap();
    let mut rows = vault
        .read_table(&cx, &manifest, &TableName::new("items"))
        .unwrap();
    let mut number = 0;
    while let Some(read) = rows.try_next().await.unwrap() {
        assert!(
            read.bytes == large(number),
            "chunk {number} is in the wrong place"
        );
        number += 1;
    }
    assert_eq!(number, CHUNKS);
    let (Some(before), Some(after)) = (before, peak_memory()) else {
        return;
    };
    let grown = after - before;
    // Sixteen chunks in flight, as rows and packed; the rest is what the allocator keeps for each thread.
    assert!(
        grown < 64 * SIZE,
        "{} MiB of memory for a gigabyte of rows",
        grown >> 20
    );
}
