//! A session: a connection, seen from the outside.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use walkback_core::bulk::{ChunkStream, Division, ImportTarget, TableSlice};
use walkback_core::catalog::{Object, Schema, Table};
use walkback_core::engine::{Begin, LockAttempt, LockHolder, RowStream, SnapshotId, Swap};
use walkback_core::fingerprint::TableFingerprint;
use walkback_core::statement::Action;
use walkback_core::{Access, Capability, Cx, Result, Session, TableName, Value};

use crate::config::Config;
use crate::link::Link;
use crate::lock::Locks;
use crate::pooler;

/// Longest name, in bytes.
const LONGEST_IDENTIFIER: usize = 63;

/// A session on a PostgreSQL database.
#[derive(Debug)]
pub(crate) struct PostgresSession {
    link: Link,
    locks: Locks,
    capability: Capability,
}

impl PostgresSession {
    /// Opens a session.
    pub(crate) async fn open(cx: &Cx, config: Arc<Config>, access: Access) -> Result<Self> {
        let mut link = Link::open(cx, config, access).await?;
        let notices = pooler::notices(&mut link, cx).await?;
        if access == Access::Write {
            // A database that keeps applications from writing lets walkback.
            link.batch(cx, "SET default_transaction_read_only = off").await?;
        }
        let version = link
            .one_text(cx, "SELECT pg_catalog.current_setting('server_version')")
            .await?;
        // With fewer digits than these, a float that travels as text comes back as another one.
        let digits = link
            .one_text(cx, "SELECT pg_catalog.current_setting('extra_float_digits')")
            .await?;
        if digits.parse::<i32>().is_ok_and(|digits| digits < 1) {
            link.batch(cx, "SET extra_float_digits = 1").await?;
        }
        Ok(Self {
            link,
            locks: Locks::default(),
            capability: capability(&version, notices),
        })
    }
}

fn capability(version: &str, notices: Vec<String>) -> Capability {
    let mut capability = Capability::new("PostgreSQL", version);
    capability.longest_identifier = LONGEST_IDENTIFIER;
    capability.transactional_ddl = true;
    capability.shared_snapshot = true;
    capability.names_lock_holder = true;
    capability.holds_tables = true;
    capability.statements_outlive_client = true;
    capability.notices = notices;
    capability
}

#[async_trait]
impl Session for PostgresSession {
    fn capability(&self) -> &Capability {
        &self.capability
    }

    async fn execute(&mut self, cx: &Cx, sql: &str, params: &[Value]) -> Result<u64> {
        self.link.execute(cx, sql, params).await
    }

    async fn query<'s>(&'s mut self, cx: &Cx, sql: &str, params: &[Value]) -> Result<RowStream<'s>> {
        self.link.query(cx, sql, params).await
    }

    async fn begin(&mut self, cx: &Cx, mode: Begin) -> Result<()> {
        self.link.begin(cx, mode).await
    }

    async fn commit(&mut self, cx: &Cx) -> Result<()> {
        self.link.commit(cx).await
    }

    async fn rollback(&mut self, cx: &Cx) -> Result<()> {
        self.link.rollback(cx).await
    }

    async fn export_snapshot(&mut self, cx: &Cx) -> Result<SnapshotId> {
        self.link.export_snapshot(cx).await
    }

    async fn try_lock(&mut self, cx: &Cx, name: &str, holder: &LockHolder) -> Result<LockAttempt> {
        self.locks.attempt(&mut self.link, cx, name, holder).await
    }

    async fn unlock(&mut self, cx: &Cx, name: &str) -> Result<()> {
        self.locks.free(&mut self.link, cx, name).await
    }

    async fn set_lock_timeout(&mut self, cx: &Cx, timeout: Duration) -> Result<()> {
        self.link.set_lock_timeout(cx, timeout).await
    }

    async fn hold_tables(&mut self, cx: &Cx, tables: &[TableName]) -> Result<()> {
        self.link.hold_tables(cx, tables).await
    }

    async fn missing_rights(&mut self, cx: &Cx, actions: &[Action]) -> Result<Vec<String>> {
        self.link.missing_rights(cx, actions).await
    }

    async fn has_table(&mut self, cx: &Cx, table: &TableName) -> Result<bool> {
        self.link.tidy().await?;
        self.link.has_table(cx, table).await
    }

    async fn schema(&mut self, cx: &Cx) -> Result<Schema> {
        self.link.schema(cx).await
    }

    async fn fingerprint(&mut self, cx: &Cx, table: &Table) -> Result<TableFingerprint> {
        self.link.fingerprint(cx, table).await
    }

    async fn divide(&mut self, cx: &Cx, slice: &TableSlice, part: u64) -> Result<Division> {
        self.link.divide(cx, slice, part).await
    }

    async fn export<'s>(&'s mut self, cx: &Cx, slice: &TableSlice) -> Result<ChunkStream<'s>> {
        self.link.export(cx, slice).await
    }

    async fn import(&mut self, cx: &Cx, target: &ImportTarget, chunks: ChunkStream<'_>) -> Result<u64> {
        self.link.import(cx, target, chunks).await
    }

    async fn create_shadow(&mut self, cx: &Cx, table: &Table, shadow: &TableName) -> Result<()> {
        self.link.create_shadow(cx, table, shadow).await
    }

    async fn index_shadow(
        &mut self,
        cx: &Cx,
        table: &Table,
        shadow: &TableName,
        indexes: &[Object],
    ) -> Result<()> {
        self.link.index_shadow(cx, table, shadow, indexes).await
    }

    async fn set_aside(&mut self, cx: &Cx, slice: &TableSlice, aside: &TableName) -> Result<u64> {
        self.link.set_aside(cx, slice, aside).await
    }

    async fn swap(&mut self, cx: &Cx, swap: &Swap) -> Result<()> {
        self.link.swap(cx, swap).await
    }
}
