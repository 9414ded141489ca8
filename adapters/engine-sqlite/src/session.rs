//! A session: a connection on a thread, seen from the outside.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use walkback_core::bulk::{ChunkStream, Division, ImportTarget, TableSlice};
use walkback_core::catalog::{Object, Schema, Table};
use walkback_core::engine::{Begin, LockAttempt, LockHolder, RowStream, SnapshotId, Swap};
use walkback_core::fingerprint::TableFingerprint;
use walkback_core::statement::Action;
use walkback_core::{Access, Capability, Cx, Error, Result, Session, TableName, Value};

use crate::config::Config;
use crate::link::Worker;
use crate::lock::Locks;
use crate::stream;

/// Longer names than this are possible, but help nobody.
const LONGEST_IDENTIFIER: usize = 255;

/// A session on a SQLite database.
#[derive(Debug)]
pub(crate) struct SqliteSession {
    // Before the locks, so that a transaction is rolled back by the time they are free.
    worker: Worker,
    locks: Locks,
    capability: Capability,
    config: Arc<Config>,
}

impl SqliteSession {
    /// Opens a session.
    pub(crate) async fn open(cx: &Cx, config: Arc<Config>, access: Access) -> Result<Self> {
        Ok(Self {
            worker: Worker::start(cx, Arc::clone(&config), access).await?,
            locks: Locks::default(),
            capability: capability(),
            config,
        })
    }
}

fn capability() -> Capability {
    let mut capability = Capability::new("SQLite", rusqlite::version());
    capability.longest_identifier = LONGEST_IDENTIFIER;
    capability.transactional_ddl = true;
    capability.alters_by_rebuild = true;
    capability.names_lock_holder = true;
    // A write transaction keeps every other writer out.
    capability.holds_tables = true;
    capability
}

#[async_trait]
impl Session for SqliteSession {
    fn capability(&self) -> &Capability {
        &self.capability
    }

    async fn execute(&mut self, cx: &Cx, sql: &str, params: &[Value]) -> Result<u64> {
        let (sql, params) = (sql.to_owned(), params.to_vec());
        self.worker
            .call(cx, move |link| link.execute(&sql, &params))
            .await
    }

    async fn query<'s>(&'s mut self, cx: &Cx, sql: &str, params: &[Value]) -> Result<RowStream<'s>> {
        let (sql, params) = (sql.to_owned(), params.to_vec());
        stream::open(&self.worker, cx, move |link, outlet| {
            link.query(&sql, &params, outlet)
        })
        .await
    }

    async fn begin(&mut self, cx: &Cx, mode: Begin) -> Result<()> {
        self.worker.call(cx, move |link| link.begin(&mode)).await
    }

    async fn commit(&mut self, cx: &Cx) -> Result<()> {
        if let Err(ended) = cx.check() {
            // A commit that fails has rolled back, also one that was never tried.
            self.rollback(cx).await?;
            return Err(ended);
        }
        self.worker.call(cx, |link| link.commit()).await
    }

    async fn rollback(&mut self, cx: &Cx) -> Result<()> {
        // What made the transaction fail must not keep it from being rolled back.
        self.worker.call(&cx.shielded(), |link| link.rollback()).await
    }

    async fn export_snapshot(&mut self, _: &Cx) -> Result<SnapshotId> {
        Err(Error::unsupported("sharing a snapshot", "SQLite"))
    }

    async fn try_lock(&mut self, cx: &Cx, name: &str, holder: &LockHolder) -> Result<LockAttempt> {
        cx.check()?;
        self.locks.attempt(&self.config.path, name, holder)
    }

    async fn unlock(&mut self, _: &Cx, name: &str) -> Result<()> {
        self.locks.free(name)
    }

    async fn set_lock_timeout(&mut self, cx: &Cx, timeout: Duration) -> Result<()> {
        self.worker
            .call(cx, move |link| link.set_lock_timeout(timeout))
            .await
    }

    async fn hold_tables(&mut self, cx: &Cx, _: &[TableName]) -> Result<()> {
        cx.check()
    }

    async fn missing_rights(&mut self, cx: &Cx, _: &[Action]) -> Result<Vec<String>> {
        // Rights are those of the file, and opening it to write has asked for them.
        cx.check().map(|()| Vec::new())
    }

    async fn has_table(&mut self, cx: &Cx, table: &TableName) -> Result<bool> {
        let table = table.clone();
        self.worker
            .call(cx, move |link| {
                link.must_be_alive()?;
                link.has_table(&table)
            })
            .await
    }

    async fn schema(&mut self, cx: &Cx) -> Result<Schema> {
        self.worker.call(cx, |link| link.schema()).await
    }

    async fn fingerprint(&mut self, cx: &Cx, table: &Table) -> Result<TableFingerprint> {
        let table = table.clone();
        self.worker.call(cx, move |link| link.fingerprint(&table)).await
    }

    async fn divide(&mut self, cx: &Cx, slice: &TableSlice, _: u64) -> Result<Division> {
        // No other session could read a part of it in the same snapshot.
        cx.check().map(|()| Division::none(slice, 0))
    }

    async fn export<'s>(&'s mut self, cx: &Cx, slice: &TableSlice) -> Result<ChunkStream<'s>> {
        let slice = slice.clone();
        stream::open(&self.worker, cx, move |link, outlet| link.export(&slice, outlet)).await
    }

    async fn import(&mut self, cx: &Cx, target: &ImportTarget, mut chunks: ChunkStream<'_>) -> Result<u64> {
        let target = Arc::new(target.clone());
        let own = self
            .worker
            .call(cx, |link| {
                let own = link.transaction.is_none() && link.connection.is_autocommit();
                if own {
                    link.begin(&Begin::Write)?;
                }
                Ok(own)
            })
            .await?;
        let mut outcome = Ok(0);
        while let (Ok(count), Some(chunk)) = (&outcome, chunks.next().await) {
            let target = Arc::clone(&target);
            let count = *count;
            outcome = match chunk {
                Ok(chunk) => {
                    self.worker
                        .call(cx, move |link| link.import(&target, &chunk))
                        .await
                }
                Err(error) => Err(error),
            }
            .map(|rows| rows + count);
        }
        match (own, outcome) {
            (true, Ok(rows)) => self.commit(cx).await.map(|()| rows),
            (true, Err(error)) => {
                self.rollback(cx).await?;
                Err(error)
            }
            (false, outcome) => outcome,
        }
    }

    async fn create_shadow(&mut self, cx: &Cx, table: &Table, shadow: &TableName) -> Result<()> {
        let (table, shadow) = (table.clone(), shadow.clone());
        self.worker
            .call(cx, move |link| link.create_shadow(&table, &shadow))
            .await
    }

    /// One session writes at a time: the exchange makes them.
    async fn index_shadow(&mut self, _: &Cx, _: &Table, _: &TableName, _: &[Object]) -> Result<()> {
        Ok(())
    }

    async fn set_aside(&mut self, cx: &Cx, slice: &TableSlice, aside: &TableName) -> Result<u64> {
        let (slice, aside) = (slice.clone(), aside.clone());
        self.worker
            .call(cx, move |link| link.set_aside(&slice, &aside))
            .await
    }

    async fn swap(&mut self, cx: &Cx, swap: &Swap) -> Result<()> {
        let swap = swap.clone();
        self.worker.call(cx, move |link| link.swap(&swap)).await
    }
}
