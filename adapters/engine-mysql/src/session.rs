//! A session: a connection, seen from the outside.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use tokio::sync::mpsc;
use walkback_core::bulk::{ChunkStream, Division, ImportTarget, TableSlice};
use walkback_core::catalog::{Object, Schema, Table};
use walkback_core::engine::{Begin, LockAttempt, LockHolder, RowStream, SnapshotId, Swap};
use walkback_core::fingerprint::TableFingerprint;
use walkback_core::replay::LogPosition;
use walkback_core::statement::Action;
use walkback_core::{Access, Capability, Cx, Error, Result, Session, TableName, Value};

use crate::call::Line;
use crate::config::Config;
use crate::link::{Link, Server};

/// How many chunks wait to be written.
const AHEAD: usize = 2;

/// The longest identifier of both servers, in characters; in bytes it may be more.
const LONGEST_IDENTIFIER: usize = 64;

/// A session on a MySQL or MariaDB server.
#[derive(Debug)]
pub(crate) struct MysqlSession {
    line: Line,
    capability: Capability,
}

impl MysqlSession {
    /// Opens a session.
    pub(crate) async fn open(cx: &Cx, config: Arc<Config>, access: Access) -> Result<Self> {
        cx.check()?;
        let link = tokio::select! {
            biased;
            link = Link::open(config, access) => link?,
            ended = cx.ended() => return Err(ended),
        };
        let capability = capability(&link.server);
        Ok(Self {
            line: Line::new(link),
            capability,
        })
    }

    fn unsupported(&self, what: &str) -> Error {
        Error::unsupported(what, &self.capability.product)
    }
}

fn capability(server: &Server) -> Capability {
    let product = if server.is_mariadb { "MariaDB" } else { "MySQL" };
    let mut capability = Capability::new(product, &server.version);
    capability.longest_identifier = LONGEST_IDENTIFIER;
    capability.names_lock_holder = true;
    capability.shared_snapshot = true;
    capability.holds_until_swap = true;
    capability.statements_outlive_client = true;
    capability
}

#[async_trait]
impl Session for MysqlSession {
    fn capability(&self) -> &Capability {
        &self.capability
    }

    async fn execute(&mut self, cx: &Cx, sql: &str, params: &[Value]) -> Result<u64> {
        let (sql, params) = (sql.to_owned(), params.to_vec());
        self.line
            .call(cx, move |link| {
                Box::pin(async move { link.execute(&sql, &params).await })
            })
            .await
    }

    async fn query<'s>(&'s mut self, cx: &Cx, sql: &str, params: &[Value]) -> Result<RowStream<'s>> {
        let (sql, params) = (sql.to_owned(), params.to_vec());
        self.line
            .stream(cx, move |link, outlet| {
                Box::pin(async move { link.query(&sql, &params, outlet).await })
            })
            .await
    }

    async fn begin(&mut self, cx: &Cx, mode: Begin) -> Result<()> {
        self.line.call(cx, move |link| Box::pin(link.begin(mode))).await
    }

    async fn commit(&mut self, cx: &Cx) -> Result<()> {
        if let Err(ended) = cx.check() {
            // A commit that fails has rolled back, also one that was never tried.
            self.rollback(cx).await?;
            return Err(ended);
        }
        // A commit that is stopped half-way would be neither.
        self.line
            .call(&cx.shielded(), |link| Box::pin(link.commit()))
            .await
    }

    async fn rollback(&mut self, cx: &Cx) -> Result<()> {
        // What made the transaction fail must not keep it from being rolled back.
        self.line
            .call(&cx.shielded(), |link| Box::pin(link.rollback()))
            .await
    }

    async fn export_snapshot(&mut self, cx: &Cx) -> Result<SnapshotId> {
        self.line.call(cx, |link| Box::pin(link.export_snapshot())).await
    }

    async fn log_position(&mut self, cx: &Cx) -> Result<Option<LogPosition>> {
        self.line.call(cx, |link| Box::pin(link.log_position())).await
    }

    async fn try_lock(&mut self, cx: &Cx, name: &str, _: &LockHolder) -> Result<LockAttempt> {
        let name = name.to_owned();
        self.line
            .call(cx, move |link| {
                Box::pin(async move { link.try_lock(&name).await })
            })
            .await
    }

    async fn unlock(&mut self, cx: &Cx, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.line
            .call(&cx.shielded(), move |link| {
                Box::pin(async move { link.unlock(&name).await })
            })
            .await
    }

    async fn set_lock_timeout(&mut self, cx: &Cx, timeout: Duration) -> Result<()> {
        self.line
            .call(cx, move |link| Box::pin(link.set_lock_timeout(timeout)))
            .await
    }

    async fn hold_tables(&mut self, _: &Cx, _: &[TableName]) -> Result<()> {
        // `LOCK TABLES` commits, and then allows no other table; reading a whole table for update keeps no
        // definition out.
        Err(self.unsupported("holding tables inside a transaction"))
    }

    async fn missing_rights(&mut self, cx: &Cx, actions: &[Action]) -> Result<Vec<String>> {
        let actions = actions.to_vec();
        self.line
            .call(cx, move |link| {
                Box::pin(async move { link.missing_rights(&actions).await })
            })
            .await
    }

    async fn has_table(&mut self, cx: &Cx, table: &TableName) -> Result<bool> {
        let table = table.clone();
        self.line
            .call(cx, move |link| {
                Box::pin(async move { link.has_table(&table).await })
            })
            .await
    }

    async fn schema(&mut self, cx: &Cx) -> Result<Schema> {
        self.line.call(cx, |link| Box::pin(link.schema())).await
    }

    async fn fingerprint(&mut self, cx: &Cx, table: &Table) -> Result<TableFingerprint> {
        let table = table.clone();
        self.line
            .call(cx, move |link| {
                Box::pin(async move { link.fingerprint(&table).await })
            })
            .await
    }

    async fn divide(&mut self, cx: &Cx, slice: &TableSlice, part: u64) -> Result<Division> {
        let slice = slice.clone();
        self.line
            .call(cx, move |link| {
                Box::pin(async move { link.divide(&slice, part).await })
            })
            .await
    }

    async fn export<'s>(&'s mut self, cx: &Cx, slice: &TableSlice) -> Result<ChunkStream<'s>> {
        let slice = slice.clone();
        self.line
            .stream(cx, move |link, outlet| {
                Box::pin(async move { link.export(&slice, outlet).await })
            })
            .await
    }

    async fn import(&mut self, cx: &Cx, target: &ImportTarget, mut chunks: ChunkStream<'_>) -> Result<u64> {
        let target = Arc::new(target.clone());
        let into = Arc::clone(&target);
        let own = self
            .line
            .call(cx, move |link| {
                Box::pin(async move { link.begin_import(&into).await })
            })
            .await?;
        let (feed, inlet) = mpsc::channel(AHEAD);
        let store = self.line.call(cx, move |link| {
            Box::pin(async move { link.import(&target, inlet).await })
        });
        let pump = async move {
            while let Some(chunk) = chunks.next().await {
                // Nobody takes it any more after a failure.
                if feed.send(chunk?).await.is_err() {
                    break;
                }
            }
            Ok(())
        };
        let (stored, pumped) = tokio::join!(store, pump);
        match (own, pumped.and(stored)) {
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
        self.line
            .call(cx, move |link| {
                Box::pin(async move { link.create_shadow(&table, &shadow).await })
            })
            .await
    }

    async fn index_shadow(
        &mut self,
        cx: &Cx,
        table: &Table,
        shadow: &TableName,
        indexes: &[Object],
    ) -> Result<()> {
        let (table, shadow, indexes) = (table.clone(), shadow.clone(), indexes.to_vec());
        self.line
            .call(cx, move |link| {
                Box::pin(async move { link.index_shadow(&table, &shadow, &indexes).await })
            })
            .await
    }

    async fn set_aside(&mut self, cx: &Cx, slice: &TableSlice, aside: &TableName) -> Result<u64> {
        let (slice, aside) = (slice.clone(), aside.clone());
        self.line
            .call(cx, move |link| {
                Box::pin(async move { link.set_aside(&slice, &aside).await })
            })
            .await
    }

    async fn hold_until_swap(&mut self, cx: &Cx, tables: &[TableName]) -> Result<()> {
        let tables = tables.to_vec();
        self.line
            .call(cx, move |link| {
                Box::pin(async move { link.hold_until_swap(&tables).await })
            })
            .await
    }

    async fn let_go(&mut self, cx: &Cx) -> Result<()> {
        self.line
            .call(&cx.shielded(), |link| {
                Box::pin(async move {
                    link.let_go().await;
                    Ok(())
                })
            })
            .await
    }

    async fn swap(&mut self, cx: &Cx, swap: &Swap) -> Result<()> {
        let swap = swap.clone();
        self.line
            .call(cx, move |link| Box::pin(async move { link.swap(&swap).await }))
            .await
    }
}
