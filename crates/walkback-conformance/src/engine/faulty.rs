//! Engines that break the contract in one way each: a check that none of them fails is no check.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Arc, Once};

use async_trait::async_trait;
use futures::FutureExt as _;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use libtest_mimic::{Failed, Trial};
use walkback_core::bulk::{Chunk, ChunkStream, ImportTarget, TableSlice};
use walkback_core::catalog::{Schema, Table};
use walkback_core::engine::{
    Begin, EngineInfo, LockAttempt, LockHolder, Physical, RowStream, Scratch, ScratchDatabase, SnapshotId,
    Swap,
};
use walkback_core::fingerprint::TableFingerprint;
use walkback_core::{
    Access, Capability, Cx, Dialect, Engine, Error, ErrorKind, Result, Session, TableName, Value,
};

use super::{CHECKS, EngineFixture};
use crate::runner::{Fixture, runtime};

/// One way to break the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A read session writes.
    ReadSessionWrites,
    /// Opening a read session creates the database.
    ReadSessionCreates,
    /// The count of changed rows is always one.
    CountsOne,
    /// Only the first of several statements is run, and the rest dropped.
    DropsSecondStatement,
    /// Parameters are written into the statement.
    SplicesParameters,
    /// Text that is bound loses its characters beyond the basic plane.
    LosesEmoji,
    /// The last row of a query is lost.
    LosesLastRow,
    /// A cancelled context is not looked at.
    IgnoresCancellation,
    /// A cancelled commit is not rolled back.
    ForgetsFailedCommit,
    /// A rollback commits.
    RollbackCommits,
    /// A commit rolls back.
    CommitRollsBack,
    /// A transaction inside a transaction is accepted.
    AcceptsNestedBegin,
    /// A commit outside of a transaction is accepted.
    AcceptsStrayCommit,
    /// A transaction that rebuilds is one that writes.
    RebuildIsWrite,
    /// A read transaction is none at all.
    ReadIsNoTransaction,
    /// Snapshots are claimed and do not work.
    ClaimsSnapshots,
    /// Transactional definitions are not claimed.
    DeniesTransactionalDdl,
    /// Every lock is free.
    LockAlwaysTaken,
    /// A lock is never freed.
    UnlockDoesNothing,
    /// Every lock has one name.
    LocksShareOneName,
    /// The holder of a lock is claimed to be known and not said.
    ForgetsHolder,
    /// Every table is there.
    HasEveryTable,
    /// The schema has no indexes.
    HidesIndexes,
    /// The facts of tables hold no defaults and no checks.
    FactsAreColumnNames,
    /// The facts are the text as it was written.
    FactsAreText,
    /// The primary key has its columns in the order of the table.
    SortsPrimaryKey,
    /// A fingerprint leaves the last column out.
    FingerprintIgnoresLastColumn,
    /// A fingerprint counts and does not look.
    FingerprintCountsOnly,
    /// An export comes in the order in which rows lie.
    ExportsUnordered,
    /// An export cuts chunks by their size.
    CutsBySize,
    /// An import drops the last row.
    ImportDropsLastRow,
    /// An import commits by itself.
    ImportCommits,
    /// An import takes any chunk for one it knows.
    ImportTrustsEncoding,
    /// A shadow has the columns and no constraints.
    ShadowLosesConstraints,
    /// A swap forgets the objects it should create.
    SwapForgetsObjects,
    /// A swap leaves the objects it should drop.
    SwapLeavesObjects,
    /// A swap commits halfway.
    SwapCommits,
    /// A scratch database is the real one.
    ScratchIsReal,
    /// A copy replaces what is there.
    CopyReplaces,
    /// A copy that fails leaves something behind.
    CopyLeavesDebris,
}

/// Every fault, and the check that is there to catch it.
pub const FAULTS: &[(Fault, &str)] = &[
    (Fault::ReadSessionWrites, "a_read_session_changes_nothing"),
    (
        Fault::ReadSessionCreates,
        "a_database_that_was_never_written_reads_as_empty_and_is_not_created",
    ),
    (Fault::CountsOne, "execute_returns_how_many_rows_it_changed"),
    (Fault::DropsSecondStatement, "execute_runs_exactly_one_statement"),
    (Fault::SplicesParameters, "parameters_are_bound_and_never_spliced"),
    (Fault::LosesEmoji, "values_come_back_as_they_were_bound"),
    (Fault::LosesLastRow, "a_query_gives_every_row_in_order"),
    (Fault::IgnoresCancellation, "a_cancelled_context_runs_nothing"),
    (Fault::ForgetsFailedCommit, "a_cancelled_context_runs_nothing"),
    (Fault::RollbackCommits, "rollback_takes_rows_back"),
    (Fault::CommitRollsBack, "commit_keeps_and_shows_what_was_written"),
    (
        Fault::AcceptsNestedBegin,
        "begin_inside_a_transaction_is_an_error",
    ),
    (
        Fault::AcceptsStrayCommit,
        "commit_and_rollback_outside_of_a_transaction_are_errors",
    ),
    (
        Fault::RebuildIsWrite,
        "a_rebuild_enforces_foreign_keys_at_its_end_only",
    ),
    (Fault::ReadIsNoTransaction, "a_read_transaction_sees_one_moment"),
    (
        Fault::ClaimsSnapshots,
        "a_snapshot_is_shared_where_that_is_claimed",
    ),
    (
        Fault::DeniesTransactionalDdl,
        "rollback_takes_definitions_back_where_that_is_claimed",
    ),
    (Fault::LockAlwaysTaken, "a_lock_excludes_other_sessions"),
    (Fault::UnlockDoesNothing, "a_freed_lock_can_be_taken"),
    (
        Fault::LocksShareOneName,
        "locks_of_different_names_are_different_locks",
    ),
    (
        Fault::ForgetsHolder,
        "the_holder_of_a_lock_is_named_where_that_is_claimed",
    ),
    (Fault::HasEveryTable, "a_table_is_found_by_its_name"),
    (Fault::HidesIndexes, "a_schema_describes_tables_as_they_were_made"),
    (
        Fault::FactsAreColumnNames,
        "every_change_of_meaning_is_a_difference",
    ),
    (Fault::FactsAreText, "two_spellings_of_one_table_have_equal_facts"),
    (
        Fault::SortsPrimaryKey,
        "a_schema_describes_tables_as_they_were_made",
    ),
    (Fault::FingerprintIgnoresLastColumn, "every_cell_matters"),
    (Fault::FingerprintCountsOnly, "values_that_only_look_alike_differ"),
    (Fault::ExportsUnordered, "the_same_rows_give_the_same_chunks"),
    (Fault::CutsBySize, "one_changed_row_changes_at_most_two_chunks"),
    (Fault::ImportDropsLastRow, "an_export_imports_to_the_same_rows"),
    (
        Fault::ImportCommits,
        "an_import_belongs_to_the_transaction_around_it",
    ),
    (
        Fault::ImportTrustsEncoding,
        "a_chunk_that_is_not_right_is_refused",
    ),
    (
        Fault::ShadowLosesConstraints,
        "a_shadow_is_an_empty_table_of_the_same_shape",
    ),
    (Fault::SwapForgetsObjects, "a_swap_puts_rows_and_objects_in_place"),
    (Fault::SwapLeavesObjects, "a_swap_puts_rows_and_objects_in_place"),
    (Fault::SwapCommits, "a_swap_is_taken_back_by_a_rollback"),
    (Fault::ScratchIsReal, "a_scratch_database_is_empty_and_private"),
    (Fault::CopyReplaces, "a_copy_never_replaces_a_file"),
    (Fault::CopyLeavesDebris, "a_copy_that_is_stopped_leaves_nothing"),
];

/// Makes a trial of each fault, on a good engine: the check that is named must fail with it, and pass without.
pub fn trials(
    name: &str,
    fixture: impl Fn() -> Fixture<EngineFixture> + Clone + Send + Sync + 'static,
) -> Vec<Trial> {
    FAULTS
        .iter()
        .map(|(fault, catcher)| {
            let fixture = fixture.clone();
            Trial::test(format!("{name}::fault::{fault:?}_is_caught"), move || {
                let check = CHECKS
                    .iter()
                    .find(|check| check.name == *catcher)
                    .ok_or_else(|| Failed::from(format!("there is no check `{catcher}`")))?;
                let run = |wrap: Option<Fault>| {
                    let ready = match fixture() {
                        Fixture::Ready(ready) => ready,
                        Fixture::Absent(why) => return Err(Failed::from(why)),
                    };
                    let ready = match wrap {
                        Some(fault) => ready.with_engine(|inner| Arc::new(Faulty { inner, fault })),
                        None => ready,
                    };
                    let outcome =
                        quietly(|| runtime().block_on(AssertUnwindSafe((check.run)(ready)).catch_unwind()));
                    Ok(matches!(outcome, Ok(Ok(()))))
                };
                if !run(None)? {
                    return Err(format!("`{catcher}` fails without the fault").into());
                }
                if run(Some(*fault))? {
                    return Err(format!("`{catcher}` passes with the fault").into());
                }
                Ok(())
            })
        })
        .collect()
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs something whose panics are expected, and need not be printed.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    QUIET.set(true);
    let outcome = work();
    QUIET.set(false);
    outcome
}

/// An engine with a fault.
#[derive(Debug)]
pub struct Faulty {
    /// The good engine.
    pub inner: Arc<dyn Engine>,
    /// What it does wrong.
    pub fault: Fault,
}

#[async_trait]
impl Engine for Faulty {
    fn info(&self) -> EngineInfo {
        self.inner.info()
    }

    fn dialect(&self) -> Arc<dyn Dialect> {
        self.inner.dialect()
    }

    async fn connect(&self, cx: &Cx, access: Access) -> Result<Box<dyn Session>> {
        if self.fault == Fault::ReadSessionCreates {
            drop(self.inner.connect(cx, Access::Write).await?);
        }
        let access = match self.fault {
            Fault::ReadSessionWrites => Access::Write,
            _ => access,
        };
        let inner = self.inner.connect(cx, access).await?;
        let mut capability = inner.capability().clone();
        match self.fault {
            Fault::ClaimsSnapshots => capability.shared_snapshot = true,
            Fault::DeniesTransactionalDdl => capability.transactional_ddl = false,
            _ => {}
        }
        Ok(Box::new(FaultySession {
            inner,
            fault: self.fault,
            dialect: self.inner.dialect(),
            capability,
            open: false,
        }))
    }

    fn scratch(&self) -> Option<&dyn Scratch> {
        match self.fault {
            Fault::ScratchIsReal => Some(self),
            _ => self.inner.scratch(),
        }
    }

    fn physical(&self) -> Option<&dyn Physical> {
        Some(self)
    }
}

#[async_trait]
impl Scratch for Faulty {
    async fn create(&self, _: &Cx) -> Result<Box<dyn ScratchDatabase>> {
        Ok(Box::new(Real(Arc::clone(&self.inner))))
    }
}

struct Real(Arc<dyn Engine>);

impl ScratchDatabase for Real {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.0)
    }
}

#[async_trait]
impl Physical for Faulty {
    async fn copy_to(&self, cx: &Cx, file: &Path) -> Result<()> {
        let Some(physical) = self.inner.physical() else {
            return Err(Error::unsupported("a copy as files", "this engine"));
        };
        if self.fault == Fault::CopyReplaces {
            drop(std::fs::remove_file(file));
        }
        let outcome = physical.copy_to(cx, file).await;
        if outcome.is_err() && self.fault == Fault::CopyLeavesDebris {
            drop(std::fs::write(file, "half a copy"));
        }
        outcome
    }
}

#[derive(Debug)]
struct FaultySession {
    inner: Box<dyn Session>,
    fault: Fault,
    dialect: Arc<dyn Dialect>,
    capability: Capability,
    open: bool,
}

impl FaultySession {
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
        let count = self.inner.execute(&cx, &sql, &params).await?;
        Ok(if self.is(Fault::CountsOne) { 1 } else { count })
    }

    async fn query<'s>(&'s mut self, cx: &Cx, sql: &str, params: &[Value]) -> Result<RowStream<'s>> {
        let cx = self.context(cx);
        let (sql, params) = self.bound(sql, params);
        if self.is(Fault::LosesLastRow) {
            let mut rows: Vec<_> = self.inner.query(&cx, &sql, &params).await?.try_collect().await?;
            if rows.len() > 1 {
                rows.pop();
            }
            return Ok(stream::iter(rows.into_iter().map(Ok)).boxed());
        }
        self.inner.query(&cx, &sql, &params).await
    }

    async fn begin(&mut self, cx: &Cx, mode: Begin) -> Result<()> {
        if self.open && self.is(Fault::AcceptsNestedBegin) {
            return Ok(());
        }
        if mode == Begin::Read && self.is(Fault::ReadIsNoTransaction) {
            self.open = true;
            return Ok(());
        }
        let mode = match mode {
            Begin::Rebuild if self.is(Fault::RebuildIsWrite) => Begin::Write,
            mode => mode,
        };
        self.inner.begin(&self.context(cx), mode).await?;
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
        match self.fault {
            Fault::ReadIsNoTransaction if was_open => Ok(()),
            Fault::CommitRollsBack => self.inner.rollback(cx).await,
            _ => self.inner.commit(&self.context(cx)).await,
        }
    }

    async fn rollback(&mut self, cx: &Cx) -> Result<()> {
        self.open = false;
        match self.fault {
            Fault::RollbackCommits => self.inner.commit(cx).await,
            _ => self.inner.rollback(cx).await,
        }
    }

    async fn export_snapshot(&mut self, cx: &Cx) -> Result<SnapshotId> {
        self.inner.export_snapshot(cx).await
    }

    async fn try_lock(&mut self, cx: &Cx, name: &str, holder: &LockHolder) -> Result<LockAttempt> {
        if self.is(Fault::LockAlwaysTaken) {
            return Ok(LockAttempt::Taken);
        }
        if self.is(Fault::LocksShareOneName) {
            return self.inner.try_lock(cx, "one", holder).await;
        }
        let attempt = self.inner.try_lock(cx, name, holder).await?;
        Ok(match attempt {
            LockAttempt::Held(_) if self.is(Fault::ForgetsHolder) => LockAttempt::Held(None),
            attempt => attempt,
        })
    }

    async fn unlock(&mut self, cx: &Cx, name: &str) -> Result<()> {
        if self.is(Fault::UnlockDoesNothing) {
            return Ok(());
        }
        self.inner.unlock(cx, name).await
    }

    async fn has_table(&mut self, cx: &Cx, table: &TableName) -> Result<bool> {
        Ok(self.is(Fault::HasEveryTable) || self.inner.has_table(cx, table).await?)
    }

    async fn schema(&mut self, cx: &Cx) -> Result<Schema> {
        let mut schema = self.inner.schema(cx).await?;
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
        let mut print = self.inner.fingerprint(cx, &table).await?;
        if self.is(Fault::FingerprintCountsOnly) {
            print.hash = print.rows.to_string();
        }
        Ok(print)
    }

    async fn export<'s>(&'s mut self, cx: &Cx, slice: &TableSlice) -> Result<ChunkStream<'s>> {
        let mut slice = slice.clone();
        match self.fault {
            // The fault of an engine that walks the rows along whatever index is at hand.
            Fault::ExportsUnordered => slice.order = slice.columns.iter().rev().cloned().collect(),
            Fault::CutsBySize => {
                let chunks: Vec<Chunk> = self.inner.export(cx, &slice).await?.try_collect().await?;
                let whole: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.bytes.to_vec()).collect();
                let pieces = whole.chunks(4096).map(|piece| Chunk {
                    encoding: chunks[0].encoding.clone(),
                    rows: 1,
                    bytes: bytes::Bytes::copy_from_slice(piece),
                });
                let pieces: Vec<_> = pieces.map(Ok).collect();
                return Ok(stream::iter(pieces).boxed());
            }
            _ => {}
        }
        if self.fault == Fault::ExportsUnordered && slice.table.name == "t" {
            slice.order.reverse();
        }
        self.inner.export(cx, &slice).await
    }

    async fn import(&mut self, cx: &Cx, target: &ImportTarget, chunks: ChunkStream<'_>) -> Result<u64> {
        match self.fault {
            Fault::ImportTrustsEncoding => {
                let known = chunks.map(|chunk| {
                    chunk.map(|chunk| Chunk {
                        encoding: walkback_core::bulk::Encoding("rows-v1".to_owned()),
                        ..chunk
                    })
                });
                self.inner.import(cx, target, known.boxed()).await
            }
            Fault::ImportCommits => {
                let rows = self.inner.import(cx, target, chunks).await?;
                if self.open {
                    self.inner.commit(cx).await?;
                    self.inner.begin(cx, Begin::Write).await?;
                }
                Ok(rows)
            }
            Fault::ImportDropsLastRow => {
                let rows = self.inner.import(cx, target, chunks).await?;
                let (table, key) = (
                    self.dialect.quote_table(&target.table),
                    self.dialect.quote_identifier(&target.columns[0]),
                );
                let last = format!(
                    "DELETE FROM {table} WHERE {key} = (SELECT m FROM (SELECT MAX({key}) AS m FROM {table}) x)"
                );
                self.inner.execute(cx, &last, &[]).await?;
                Ok(rows)
            }
            _ => self.inner.import(cx, target, chunks).await,
        }
    }

    async fn create_shadow(&mut self, cx: &Cx, table: &Table, shadow: &TableName) -> Result<()> {
        if !self.is(Fault::ShadowLosesConstraints) {
            return self.inner.create_shadow(cx, table, shadow).await;
        }
        if self.inner.has_table(cx, shadow).await? {
            return Err(Error::new(ErrorKind::AlreadyExists, "there is one"));
        }
        let sql = format!(
            "CREATE TABLE {} AS SELECT * FROM {} WHERE 1 = 0",
            self.dialect.quote_table(shadow),
            self.dialect.quote_table(&table.name)
        );
        self.inner.execute(cx, &sql, &[]).await.map(drop)
    }

    async fn swap(&mut self, cx: &Cx, swap: &Swap) -> Result<()> {
        let mut swap = swap.clone();
        match self.fault {
            Fault::SwapForgetsObjects => swap.create_objects.clear(),
            Fault::SwapLeavesObjects => {
                swap.create_objects.append(&mut swap.drop_objects);
            }
            _ => {}
        }
        self.inner.swap(cx, &swap).await?;
        if self.is(Fault::SwapCommits) {
            self.inner.commit(cx).await?;
            self.inner.begin(cx, Begin::Rebuild).await?;
        }
        Ok(())
    }
}
