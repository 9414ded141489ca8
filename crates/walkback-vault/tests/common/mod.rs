//! What the tests of the vault share: a clock that stands still, and points that are easily written.

#![allow(dead_code, reason = "each test binary uses a part of this")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt as _, TryStreamExt as _};
use walkback_conformance::memory_store::MemoryStore;
use walkback_core::bulk::{Chunk, ChunkStream, Encoding, TableSlice};
use walkback_core::catalog::{Column, Schema, Table};
use walkback_core::cx::Clock;
use walkback_core::{Cx, DialectKind, Result, TableName};
use walkback_vault::{
    Database, LedgerState, Manifest, PointKind, PointMeta, PointWriter, TableSummary, Vault,
};

/// A clock that shows what it is told to.
pub(crate) struct SetClock(Mutex<DateTime<Utc>>);

impl SetClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new("2026-11-20T12:00:00Z".parse().unwrap())))
    }

    pub(crate) fn advance(&self, time: TimeDelta) {
        *self.0.lock().unwrap() += time;
    }

    pub(crate) fn cx(self: &Arc<Self>) -> Cx {
        Cx::background().with_clock(self.clone())
    }
}

impl Clock for SetClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

pub(crate) fn vault(store: &MemoryStore) -> Vault {
    Vault::new(Arc::new(store.clone()), "team/app").unwrap()
}

pub(crate) fn meta() -> PointMeta {
    let table = Table {
        name: TableName::new("order \"items\""),
        columns: vec![Column {
            name: "id".into(),
            data_type: "INTEGER".into(),
            nullable: false,
            default: None,
            generated: false,
        }],
        primary_key: vec!["id".into()],
        foreign_keys: Vec::new(),
        parents: Vec::new(),
        definition: "CREATE TABLE \"order \"\"items\"\"\" (id INTEGER PRIMARY KEY)".into(),
        facts: BTreeMap::from([("column id".into(), "INTEGER NOT NULL".into())]),
    };
    let schema = Schema {
        tables: vec![table],
        objects: Vec::new(),
        home: None,
    };
    let applied = vec!["20260101_start".to_owned(), "20260202_more".to_owned()];
    let ledger = LedgerState::new(applied.clone(), applied[1..].to_vec());
    let database = Database::new("SQLite", "3.54.1", "app", DialectKind::Sqlite);
    let mut meta = PointMeta::new(PointKind::BeforeUp, database, ledger, schema);
    meta.description = Some("before the move — ☃ \"quoted\"\n".into());
    meta.run_id = Some("run_1".into());
    meta
}

pub(crate) fn slice(table: &str) -> TableSlice {
    TableSlice::new(
        TableName::new(table),
        vec!["id".into(), "naïve col".into()],
        vec!["id".into()],
    )
}

pub(crate) fn chunk(rows: u64, bytes: impl Into<Bytes>) -> Chunk {
    Chunk::new(Encoding("rows-v1".into()), rows, bytes.into())
}

pub(crate) fn stream<'a>(chunks: impl IntoIterator<Item = Chunk, IntoIter: Send + 'a>) -> ChunkStream<'a> {
    futures::stream::iter(chunks.into_iter().map(Ok)).boxed()
}

/// Chunks of about 2 KB each, the same for the same numbers.
pub(crate) fn chunks(numbers: std::ops::Range<u64>) -> Vec<Chunk> {
    let text = |n: u64| {
        (0..200)
            .map(|row| format!("{n}.{row},{}\n", n * 7919 + row))
            .collect::<String>()
    };
    numbers.map(|n| chunk(200, text(n))).collect()
}

pub(crate) async fn add(
    writer: &mut PointWriter,
    cx: &Cx,
    table: &str,
    chunks: Vec<Chunk>,
) -> Result<TableSummary> {
    writer.add_table(cx, &slice(table), stream(chunks)).await
}

/// Writes a point of these tables.
pub(crate) async fn point(
    vault: &Vault,
    cx: &Cx,
    id: &str,
    tables: &[(&str, std::ops::Range<u64>)],
) -> Result<Manifest> {
    let mut writer = vault.begin(cx, id, meta()).await?;
    for (table, numbers) in tables {
        add(&mut writer, cx, table, chunks(numbers.clone())).await?;
    }
    writer.finish(cx).await
}

pub(crate) async fn read(vault: &Vault, cx: &Cx, manifest: &Manifest, table: &str) -> Result<Vec<Chunk>> {
    vault
        .read_table(cx, manifest, &TableName::new(table))?
        .try_collect()
        .await
}
