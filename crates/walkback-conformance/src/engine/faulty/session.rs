//! A session that does one thing wrong, and hands the rest to a good one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use walkback_core::bulk::{Chunk, ChunkStream, Division, ImportTarget, TableSlice};
use walkback_core::catalog::{Object, Schema, Table};
use walkback_core::engine::{Begin, LockAttempt, LockHolder, RowStream, SnapshotId, Swap};
use walkback_core::fingerprint::TableFingerprint;
use walkback_core::replay::LogPosition;
use walkback_core::statement::Action;
use walkback_core::{
    Access, Capability, Cx, Dialect, Engine, Error, ErrorKind, Result, Session, TableName, Value,
};

use super::Fault;

/// A session with a fault.
#[derive(Debug)]
pub(super) struct FaultySession {
    /// Taken only when the session is dropped.
    inner: Option<Box<dyn Session>>,
    engine: Arc<dyn Engine>,
    locks: Vec<String>,
    fault: Fault,
    dialect: Arc<dyn Dialect>,
    capability: Capability,
    open: bool,
}

impl Drop for FaultySession {
    #[expect(
        clippy::disallowed_methods,
        reason = "that its owner is outlived is this very fault"
    )]
    fn drop(&mut self) {
        if self.fault == Fault::LeaksSessions {
            std::mem::forget(self.inner.take());
        }
    }
}

impl FaultySession {
    /// Creates a session that does one thing wrong.
    pub(super) fn new(
        inner: Box<dyn Session>,
        engine: Arc<dyn Engine>,
        fault: Fault,
        capability: Capability,
    ) -> Self {
        Self {
            inner: Some(inner),
            dialect: engine.dialect(),
            engine,
            fault,
            capability,
            open: false,
            locks: Vec::new(),
        }
    }

    fn inner(&mut self) -> &mut dyn Session {
        &mut **self
            .inner
            .as_mut()
            .expect("the session is there until it is dropped")
    }

    async fn free_locks(&mut self, cx: &Cx) -> Result<()> {
        if self.is(Fault::LocksEndWithTransaction) {
            for name in std::mem::take(&mut self.locks) {
                self.inner().unlock(cx, &name).await?;
            }
        }
        Ok(())
    }

    async fn failed(&mut self, cx: &Cx, error: Error) -> Error {
        match self.fault {
            Fault::HidesCause => Error::new(error.kind(), error.message()),
            Fault::FailureEndsTransaction if std::mem::take(&mut self.open) => {
                drop(self.inner().rollback(cx).await);
                error
            }
            _ => error,
        }
    }

    async fn swap_by_renaming(&mut self, cx: &Cx, swap: &Swap) -> Result<()> {
        let dialect = Arc::clone(&self.dialect);
        let quoted = |name: &TableName| dialect.quote_table(name);
        let gone = |name: &TableName| quoted(&name.renamed(format!("{}_gone", name.name)));
        let mut statements = Vec::new();
        for table in &swap.drop_tables {
            statements.push(format!("ALTER TABLE {} RENAME TO {}", quoted(table), gone(table)));
        }
        for (shadow, name) in &swap.shadows {
            statements.push(format!(
                "ALTER TABLE {} RENAME TO {}",
                quoted(shadow),
                quoted(name)
            ));
        }
        statements.extend(
            swap.drop_tables
                .iter()
                .map(|table| format!("DROP TABLE {}", gone(table))),
        );
        for sql in statements {
            self.inner().execute(cx, &sql, &[]).await?;
        }
        Ok(())
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn context(&self, cx: &Cx) -> Cx {
        if self.is(Fault::IgnoresCancellation) {
            cx.shielded()
        } else {
            cx.clone()
        }
    }

    /// Returns the statement and its parameters with the faults that concern them.
    fn bound(&self, sql: &str, params: &[Value]) -> (String, Vec<Value>) {
        let mut sql = sql.to_owned();
        let mut params = params.to_vec();
        if self.is(Fault::SplicesParameters) && !params.is_empty() {
            for (index, value) in params.iter().enumerate().rev() {
                let literal = match value {
                    Value::Text(text) => format!("'{text}'"),
                    other => self.dialect.literal(other),
                };
                sql = sql.replace(&self.dialect.placeholder(index + 1), &literal);
            }
            params.clear();
        }
        if self.is(Fault::PadsParameters) {
            let wanted = (1..)
                .take_while(|n| sql.contains(&self.dialect.placeholder(*n)))
                .count();
            params.resize(wanted, Value::Null);
        }
        if self.is(Fault::LosesEmoji) {
            for value in &mut params {
                if let Value::Text(text) = value {
                    text.retain(|letter| u32::from(letter) < 0x1_0000);
                }
            }
        }
        (sql, params)
    }
}

#[async_trait]
impl Session for FaultySession {
    fn capability(&self) -> &Capability {
        &self.capability
    }

    async fn execute(&mut self, cx: &Cx, sql: &str, params: &[Value]) -> Result<u64> {
        let cx = self.context(cx);
        let (mut sql, params) = self.bound(sql, params);
        if self.is(Fault::DropsSecondStatement)
            && let Ok(mut statements) = self.dialect.split(&sql, Path::new("faulty"))
            && !statements.is_empty()
        {
            sql = statements.remove(0).sql;
        }
        let count = match self.inner().execute(&cx, &sql, &params).await {
            Ok(count) => count,
            Err(error) => return Err(self.failed(&cx, error).await),
        };
        Ok(if self.is(Fault::CountsOne) { 1 } else { count })
    }

    async fn query<'s>(&'s mut self, cx: &Cx, sql: &str, params: &[Value]) -> Result<RowStream<'s>> {
        let cx = self.context(cx);
        let (sql, params) = self.bound(sql, params);
        if self.is(Fault::LosesLastRow) {
            let mut rows: Vec<_> = self
                .inner()
                .query(&cx, &sql, &params)
                .await?
                .try_collect()
                .await?;
            if rows.len() > 1 {
                rows.pop();
            }
            return Ok(stream::iter(rows.into_iter().map(Ok)).boxed());
        }
        let fault = self.fault;
        let stream = self.inner().query(&cx, &sql, &params).await?;
        Ok(match fault {
            Fault::CancelledStreamEnds => {
                let whole = stream.take_while(|row| {
                    let stopped = row
                        .as_ref()
                        .is_err_and(|error| error.kind() == ErrorKind::Interrupted);
                    futures::future::ready(!stopped)
                });
                whole.boxed()
            }
            Fault::DeadlineIsInterrupt => stream
                .map_err(|error| error.with_kind(ErrorKind::Interrupted))
                .boxed(),
            _ => stream,
        })
    }

    async fn begin(&mut self, cx: &Cx, mode: Begin) -> Result<()> {
        if self.open && self.is(Fault::AcceptsNestedBegin) {
            return Ok(());
        }
        if mode == Begin::Read && self.is(Fault::ReadIsNoTransaction) {
            self.open = true;
            return Ok(());
        }
        if self.is(Fault::BeginDoesNothing) {
            self.open = true;
            return Ok(());
        }
        let mode = match mode {
            Begin::Read if self.is(Fault::ReadIsWrite) => Begin::Write,
            Begin::Rebuild if self.is(Fault::RebuildIsWrite) => Begin::Write,
            mode => mode,
        };
        let cx = self.context(cx);
        self.inner().begin(&cx, mode).await?;
        self.open = true;
        Ok(())
    }

    async fn commit(&mut self, cx: &Cx) -> Result<()> {
        if !self.open && self.is(Fault::AcceptsStrayCommit) {
            return Ok(());
        }
        if self.is(Fault::ForgetsFailedCommit)
            && let Err(error) = cx.check()
        {
            return Err(error);
        }
        let was_open = std::mem::take(&mut self.open);
        self.free_locks(cx).await?;
        match self.fault {
            Fault::ReadIsNoTransaction | Fault::BeginDoesNothing if was_open => Ok(()),
            Fault::CommitRollsBack => self.inner().rollback(cx).await,
            _ => {
                let cx = self.context(cx);
                self.inner().commit(&cx).await
            }
        }
    }

    async fn rollback(&mut self, cx: &Cx) -> Result<()> {
        let was_open = std::mem::take(&mut self.open);
        self.free_locks(cx).await?;
        match self.fault {
            Fault::BeginDoesNothing | Fault::ReadIsNoTransaction if was_open => Ok(()),
            Fault::RollbackCommits => self.inner().commit(cx).await,
            _ => self.inner().rollback(cx).await,
        }
    }

    async fn export_snapshot(&mut self, cx: &Cx) -> Result<SnapshotId> {
        self.inner().export_snapshot(cx).await
    }

    async fn log_position(&mut self, cx: &Cx) -> Result<Option<LogPosition>> {
        self.inner().log_position(cx).await
    }

    async fn try_lock(&mut self, cx: &Cx, name: &str, holder: &LockHolder) -> Result<LockAttempt> {
        if self.is(Fault::LockAlwaysTaken) {
            return Ok(LockAttempt::Taken);
        }
        if self.is(Fault::LocksShareOneName) {
            return self.inner().try_lock(cx, "one", holder).await;
        }
        let attempt = self.inner().try_lock(cx, name, holder).await?;
        if attempt == LockAttempt::Taken {
            self.locks.push(name.to_owned());
        }
        Ok(match attempt {
            LockAttempt::Held(_) if self.is(Fault::ForgetsHolder) => LockAttempt::Held(None),
            attempt => attempt,
        })
    }

    async fn unlock(&mut self, cx: &Cx, name: &str) -> Result<()> {
        if self.is(Fault::UnlockDoesNothing) {
            return Ok(());
        }
        let outcome = self.inner().unlock(cx, name).await;
        if self.is(Fault::FreesAnyLock) {
            Ok(())
        } else {
            outcome
        }
    }

    async fn set_lock_timeout(&mut self, cx: &Cx, timeout: Duration) -> Result<()> {
        self.inner().set_lock_timeout(cx, timeout).await
    }

    async fn hold_tables(&mut self, cx: &Cx, tables: &[TableName]) -> Result<()> {
        self.inner().hold_tables(cx, tables).await
    }

    async fn hold_until_swap(&mut self, cx: &Cx, tables: &[TableName]) -> Result<()> {
        self.inner().hold_until_swap(cx, tables).await
    }

    async fn let_go(&mut self, cx: &Cx) -> Result<()> {
        self.inner().let_go(cx).await
    }

    async fn missing_rights(&mut self, cx: &Cx, actions: &[Action]) -> Result<Vec<String>> {
        self.inner().missing_rights(cx, actions).await
    }

    async fn has_table(&mut self, cx: &Cx, table: &TableName) -> Result<bool> {
        Ok(self.is(Fault::HasEveryTable) || self.inner().has_table(cx, table).await?)
    }

    async fn schema(&mut self, cx: &Cx) -> Result<Schema> {
        let mut schema = if self.is(Fault::SchemaOfAnotherSession) {
            self.engine.connect(cx, Access::Read).await?.schema(cx).await?
        } else {
            self.inner().schema(cx).await?
        };
        let own = TableName::new("_walkback_probe");
        if self.is(Fault::ShowsOwnTables) && self.inner().has_table(cx, &own).await? {
            let mut table = schema.tables[0].clone();
            table.name = own;
            schema.tables.push(table);
        }
        if self.is(Fault::HidesIndexes) {
            schema
                .objects
                .retain(|object| object.kind != walkback_core::name::ObjectKind::Index);
        }
        for table in &mut schema.tables {
            match self.fault {
                Fault::FactsAreColumnNames => {
                    for value in table.facts.values_mut() {
                        value.clear();
                    }
                    table.facts.retain(|name, _| name.starts_with("column "));
                }
                Fault::FactsAreText => {
                    table.facts = [("definition".to_owned(), table.definition.clone())].into();
                }
                Fault::FoldsNames => table.name.name = table.name.name.to_lowercase(),
                Fault::ForgetsColumnOrder => {
                    table.facts.remove(walkback_core::catalog::COLUMN_ORDER);
                }
                Fault::DefinitionsAreColumns => {
                    let column = |column: &walkback_core::catalog::Column| {
                        format!(
                            "{} {}",
                            self.dialect.quote_identifier(&column.name),
                            column.data_type
                        )
                    };
                    let columns: Vec<_> = table.columns.iter().map(column).collect();
                    let name = self.dialect.quote_table(&table.name);
                    table.definition = format!("CREATE TABLE {name} ({})", columns.join(", "));
                }
                Fault::SortsPrimaryKey => table.primary_key.sort(),
                _ => {}
            }
        }
        Ok(schema)
    }

    async fn fingerprint(&mut self, cx: &Cx, table: &Table) -> Result<TableFingerprint> {
        let mut table = table.clone();
        if self.is(Fault::FingerprintIgnoresLastColumn) {
            table.columns.pop();
        }
        let mut print = self.inner().fingerprint(cx, &table).await?;
        if self.is(Fault::FingerprintCountsOnly) {
            print.hash = print.rows.to_string();
        }
        if self.is(Fault::FingerprintSeesIndexes) {
            print.hash = format!("{}{}", print.hash, self.inner().schema(cx).await?.hash());
        }
        Ok(print)
    }

    async fn divide(&mut self, cx: &Cx, slice: &TableSlice, part: u64) -> Result<Division> {
        self.inner().divide(cx, slice, part).await
    }

    async fn export<'s>(&'s mut self, cx: &Cx, slice: &TableSlice) -> Result<ChunkStream<'s>> {
        let mut slice = slice.clone();
        match self.fault {
            // The fault of an engine that walks the rows along whatever index is at hand.
            Fault::ExportsUnordered => slice.order = slice.columns.iter().rev().cloned().collect(),
            Fault::CutsBySize => {
                let chunks: Vec<Chunk> = self.inner().export(cx, &slice).await?.try_collect().await?;
                let whole: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.bytes.to_vec()).collect();
                let pieces = whole.chunks(4096).map(|piece| {
                    let bytes = bytes::Bytes::copy_from_slice(piece);
                    Chunk::new(chunks[0].encoding.clone(), 1, bytes)
                });
                let pieces: Vec<_> = pieces.map(Ok).collect();
                return Ok(stream::iter(pieces).boxed());
            }
            _ => {}
        }
        if self.fault == Fault::ExportsUnordered && slice.table.name == "t" {
            slice.order.reverse();
        }
        if self.is(Fault::ExportsEmptyChunk) {
            let encoding = walkback_core::bulk::Encoding("rows-v1".to_owned());
            let empty = Chunk::new(encoding, 0, bytes::Bytes::new());
            let chunks = self.inner().export(cx, &slice).await?;
            return Ok(chunks.chain(stream::iter([Ok(empty)])).boxed());
        }
        if self.is(Fault::ExportForgetsSums) {
            let chunks = self.inner().export(cx, &slice).await?;
            let forgetful = chunks.map_ok(|chunk| Chunk {
                fingerprint: None,
                ..chunk
            });
            return Ok(forgetful.boxed());
        }
        if self.is(Fault::ExportIgnoresRange) {
            slice = slice.within(walkback_core::bulk::KeyRange::default());
        }
        let cx = match self.fault {
            Fault::ExportIgnoresCancellation => cx.shielded(),
            _ => cx.clone(),
        };
        self.inner().export(&cx, &slice).await
    }

    async fn import(&mut self, cx: &Cx, target: &ImportTarget, mut chunks: ChunkStream<'_>) -> Result<u64> {
        match self.fault {
            Fault::ImportTrustsEncoding => {
                let known = chunks.map(|chunk| {
                    chunk.map(|chunk| Chunk {
                        encoding: walkback_core::bulk::Encoding("rows-v1".to_owned()),
                        ..chunk
                    })
                });
                self.inner().import(cx, target, known.boxed()).await
            }
            Fault::ImportKeepsHalf => {
                let mut rows = 0;
                while let Some(chunk) = chunks.try_next().await? {
                    let one = stream::iter([Ok(chunk)]).boxed();
                    rows += self.inner().import(cx, target, one).await?;
                }
                Ok(rows)
            }
            Fault::ImportCommits => {
                let rows = self.inner().import(cx, target, chunks).await?;
                if self.open {
                    self.inner().commit(cx).await?;
                    self.inner().begin(cx, Begin::Write).await?;
                }
                Ok(rows)
            }
            Fault::ImportDropsLastRow => {
                let rows = self.inner().import(cx, target, chunks).await?;
                let (table, key) = (
                    self.dialect.quote_table(&target.table),
                    self.dialect.quote_identifier(&target.columns[0]),
                );
                let last = format!(
                    "DELETE FROM {table} WHERE {key} = (SELECT m FROM (SELECT MAX({key}) AS m FROM {table}) x)"
                );
                self.inner().execute(cx, &last, &[]).await?;
                Ok(rows)
            }
            _ => self.inner().import(cx, target, chunks).await,
        }
    }

    async fn create_shadow(&mut self, cx: &Cx, table: &Table, shadow: &TableName) -> Result<()> {
        if self.is(Fault::ShadowReplaces) {
            let drop = format!("DROP TABLE IF EXISTS {}", self.dialect.quote_table(shadow));
            self.inner().execute(cx, &drop, &[]).await?;
        }
        if !self.is(Fault::ShadowLosesConstraints) && !self.is(Fault::KeysAreForgotten) {
            return self.inner().create_shadow(cx, table, shadow).await;
        }
        if self.inner().has_table(cx, shadow).await? {
            return Err(Error::new(ErrorKind::AlreadyExists, "there is one"));
        }
        let sql = format!(
            "CREATE TABLE {} AS SELECT * FROM {} WHERE 1 = 0",
            self.dialect.quote_table(shadow),
            self.dialect.quote_table(&table.name)
        );
        self.inner().execute(cx, &sql, &[]).await.map(drop)
    }

    async fn index_shadow(
        &mut self,
        cx: &Cx,
        table: &Table,
        shadow: &TableName,
        indexes: &[Object],
    ) -> Result<()> {
        self.inner().index_shadow(cx, table, shadow, indexes).await
    }

    async fn set_aside(&mut self, cx: &Cx, slice: &TableSlice, aside: &TableName) -> Result<u64> {
        let quoted = self.dialect.quote_table(aside);
        match self.fault {
            Fault::AsideReplaces => {
                let drop = format!("DROP TABLE IF EXISTS {quoted}");
                self.inner().execute(cx, &drop, &[]).await?;
            }
            Fault::AsideIsShadow => {
                let schema = self.inner().schema(cx).await?;
                let table = schema.table(&slice.table).expect("the table is there").clone();
                self.inner().create_shadow(cx, &table, aside).await?;
                let live = self.dialect.quote_table(&slice.table);
                let copy = format!("INSERT INTO {quoted} SELECT * FROM {live}");
                return self.inner().execute(cx, &copy, &[]).await;
            }
            _ => {}
        }
        let rows = self.inner().set_aside(cx, slice, aside).await?;
        if self.is(Fault::AsideIsEmpty) {
            let empty = format!("DELETE FROM {quoted}");
            self.inner().execute(cx, &empty, &[]).await?;
        }
        Ok(rows)
    }

    async fn swap(&mut self, cx: &Cx, swap: &Swap) -> Result<()> {
        let mut swap = swap.clone();
        match self.fault {
            Fault::SwapRenamesAway => return self.swap_by_renaming(cx, &swap).await,
            Fault::SwapForgetsObjects => swap.create_objects.clear(),
            Fault::SwapLeavesObjects => {
                swap.create_objects.append(&mut swap.drop_objects);
            }
            _ => {}
        }
        self.inner().swap(cx, &swap).await?;
        if self.is(Fault::SwapCommits) {
            self.inner().commit(cx).await?;
            self.inner().begin(cx, Begin::Rebuild).await?;
        }
        Ok(())
    }
}
