//! Running a load: batch by batch, each with its checkpoint, until the end or the threshold.

use std::time::Instant;

use walkback_core::catalog::Table;
use walkback_core::cx::Unit;
use walkback_core::engine::Begin;
use walkback_core::statement::Action;
use walkback_core::{Cx, Error, ErrorKind, Result};

use super::batch::{Inserter, Pending};
use super::columns::{self, Columns, Fault};
use super::plan::{LoadPlan, ready};
use super::read::{Place, Reader, Record, Seal};
use super::rejects::Rejects;
use super::report::LoadReport;
use super::tally::Tally;
use super::undo::written_columns;
use crate::changes::OnConflict;
use crate::execute::Execution;
use crate::journal::{LoadRow, LoadState};
use crate::plan::RunKind;
use crate::runner::Runner;
use crate::settings::Consent;
use crate::{gate, identity};

/// How many kinds of reasons an error names.
const NAMED: usize = 5;

impl Runner {
    /// Loads a file as planned. Past the threshold, on any other error and when it is interrupted, it takes back what it has
    /// loaded; the file of rejected records stays.
    ///
    /// # Errors
    /// As [`Runner::run`]; `CheckFailed` if the file or the table is not what the plan was made for.
    pub async fn run_load(&self, cx: &Cx, plan: &LoadPlan, consent: &Consent) -> Result<LoadReport> {
        let admitted = gate::change(self.settings(), consent).and_then(|()| gate::hours(self.settings(), cx));
        self.noting_refusal(cx, "load", consent, admitted).await?;
        let table = plan.table.clone();
        let actions = [
            Action::Insert {
                table: table.clone(),
                may_overwrite: false,
            },
            Action::Delete { table },
        ];
        let started = Instant::now();
        let begun = Execution::begin(self, cx, RunKind::Load, consent, &actions).await?;
        let (mut execution, steady) = begun;
        let cx = &steady;
        plan.seal().check(&plan.options.file)?;
        let mut load = execution.begin_load(cx, plan).await?;
        let outcome = Box::pin(execution.load_records(cx, &mut load, Some(plan.records))).await;
        let outcome = match outcome {
            Ok(()) => Ok(()),
            Err(error) => Err(Box::pin(execution.give_up(cx, &load, error)).await),
        };
        let report = execution.conclude(cx, outcome).await?;
        Ok(LoadReport {
            run: report.run,
            point: load.point.clone(),
            table: load.table.clone(),
            records: load.records,
            loaded: load.loaded,
            rejected: load.rejected,
            reasons: Tally::of(&load).by_kind(),
            rejects: (load.rejected > 0).then(|| load.options.rejects.clone()),
            duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            warnings: report.warnings,
            undo_with: (load.loaded > 0).then(|| format!("walkback rollback {}", load.point)),
        })
    }
}

/// What a load works with.
struct Work<'a> {
    inserter: Inserter<'a>,
    columns: &'a Columns,
    rejects: Rejects,
}

/// Records that were read together.
struct Batch {
    pending: Vec<Pending>,
    faults: Vec<(Record, Fault)>,
    read: usize,
    end: Place,
    is_last: bool,
}

impl Execution<'_> {
    /// Writes into the journal that a load is under way: from here on, a kill is noticed by the next command.
    async fn begin_load(&mut self, cx: &Cx, plan: &LoadPlan) -> Result<LoadRow> {
        let point = self.free_point(cx, &plan.table.name).await?;
        let table = columns::table(&self.state.schema, &plan.options.table)?;
        let load = LoadRow {
            run_id: self.run.id.clone(),
            point,
            table: table.name.clone(),
            columns: written_columns(table),
            options: plan.options.clone(),
            file_bytes: plan.file_bytes,
            file_hash: plan.file_hash.clone(),
            state: LoadState::Loading,
            batch: 0,
            records: 0,
            lines: 0,
            bytes: 0,
            loaded: 0,
            rejected: 0,
            rejects_bytes: 0,
            reasons: std::collections::BTreeMap::new(),
            noted_at: identity::moment(cx.now()),
        };
        let heads = self.state.heads(&self.state.applied_set());
        self.session.begin(cx, Begin::Write).await?;
        self.record_inside(cx, &heads, &heads).await?;
        self.journal().note_load(cx, &load).await?;
        // What the journal names from here on is nobody else's.
        Rejects::reserve(&load.options.rejects)?;
        self.session.commit(cx).await?;
        cx.step("load.noted");
        Ok(load)
    }

    /// Returns a name for the way back that no other load has.
    async fn free_point(&mut self, cx: &Cx, table: &str) -> Result<String> {
        let id = identity::point_id(cx, "rb_load", table);
        let mut free = id.clone();
        let mut number = 1;
        while self.journal().load_named(cx, &free).await?.is_some() {
            number += 1;
            free = format!("{id}_{number}");
        }
        Ok(free)
    }

    /// Loads what is left of the file, from the checkpoint on.
    pub(super) async fn load_records(
        &mut self,
        cx: &Cx,
        load: &mut LoadRow,
        total: Option<u64>,
    ) -> Result<()> {
        let schema = self.runner.schema(cx, &mut *self.session).await?;
        let table = super::undo::table_of(&schema, load)?;
        let columns = Columns::of(self.dialect.kind(), table, &load.options)?;
        let dialect = std::sync::Arc::clone(&self.dialect);
        let mut work = Work {
            inserter: Inserter::new(&*dialect, (&schema, table), &columns),
            columns: &columns,
            rejects: Rejects::new(&load.options.rejects),
        };
        work.inserter.make_strict(cx, &mut *self.session).await?;
        let done = Place {
            records: load.records,
            lines: load.lines,
            bytes: load.bytes,
        };
        let mut reader = Reader::open(&load.options, (done.bytes > 0).then_some(done))?;
        let task = cx.progress().begin("load", Unit::Rows, total);
        task.advance(load.records);
        loop {
            cx.check()?;
            let batch = read_batch(&mut reader, work.columns, load)?;
            let mut tries = self.tries();
            while let Err(error) = self.load_batch(cx, &mut work, load, &batch).await {
                self.session.rollback(&cx.shielded()).await.ok();
                tries.again(cx, "a batch of the load", error).await?;
            }
            task.advance(batch.read as u64);
            let tally = Tally::of(load);
            if tally.is_past(load.options.max_failures, load.options.batch, batch.is_last) {
                return Err(given_up(load, &tally));
            }
            if batch.is_last {
                break;
            }
        }
        self.finish_load(cx, load, table).await
    }

    /// Inserts a batch, and commits it with its checkpoint.
    async fn load_batch(
        &mut self,
        cx: &Cx,
        work: &mut Work<'_>,
        load: &mut LoadRow,
        batch: &Batch,
    ) -> Result<()> {
        let mut next = load.clone();
        next.records = batch.end.records.max(load.records);
        next.lines = batch.end.lines.max(load.lines);
        next.bytes = batch.end.bytes.max(load.bytes);
        next.batch += 1;
        next.noted_at = identity::moment(cx.now());
        self.session.begin(cx, Begin::Write).await?;
        work.inserter.check_at_once(cx, &mut *self.session).await?;
        let inserted = work
            .inserter
            .insert(cx, &mut *self.session, &batch.pending)
            .await?;
        let mut rejected = [&batch.faults[..], &inserted.refused[..]].concat();
        rejected.sort_by_key(|(record, _)| record.number);
        let mut tally = Tally::of(load);
        tally.loaded += inserted.rows.len() as u64;
        rejected.iter().for_each(|(_, fault)| tally.reject(&fault.kind));
        next.rejects_bytes = work.rejects.write(load.rejects_bytes, &rejected)?;
        if !rejected.is_empty() {
            cx.step("load.rejects");
        }
        (next.loaded, next.rejected, next.reasons) = (tally.loaded, tally.rejected, tally.reasons);
        self.journal()
            .note_load_rows(cx, &load.run_id, next.batch, &inserted.rows)
            .await?;
        self.journal().note_progress(cx, &next).await?;
        cx.step("load.batch.written");
        self.session.commit(cx).await?;
        *load = next;
        cx.step("load.batch");
        Ok(())
    }

    /// Ends a load, if the file is still what it was begun with.
    async fn finish_load(&mut self, cx: &Cx, load: &mut LoadRow, table: &Table) -> Result<()> {
        let seal = Seal {
            bytes: load.file_bytes,
            hash: load.file_hash.clone(),
        };
        seal.check(&load.options.file)?;
        load.state = LoadState::Loaded;
        load.noted_at = identity::moment(cx.now());
        self.journal().note_progress(cx, load).await?;
        cx.step("load.done");
        Rejects::remove_empty(&load.options.rejects);
        self.report.outcome = Some(format!(
            "loaded {} records of `{}` into `{}`, rejected {}",
            load.loaded,
            load.options.file.display(),
            table.name,
            load.rejected
        ));
        Ok(())
    }

    /// Takes back what a load that has failed has loaded, and returns the error to report.
    pub(super) async fn give_up(&mut self, cx: &Cx, load: &LoadRow, error: Error) -> Error {
        let cx = &cx.shielded();
        // A batch may be under way; there is none to end in most cases.
        self.session.rollback(cx).await.ok();
        Rejects::remove_empty(&load.options.rejects);
        match self.undo_load(cx, load, (OnConflict::Keep, 0)).await {
            Ok(found) => {
                self.taken_back = Some(format!("took back {} loaded rows", found.removed));
                if found.conflicts == 0 {
                    return error;
                }
                let listed = found.listed.iter().take(NAMED).map(ToString::to_string);
                error
                    .with_kind(ErrorKind::Conflict)
                    .hint(format!(
                        "{} rows stay, for they are not as they were loaded: {}",
                        found.conflicts,
                        listed.collect::<Vec<_>>().join("; ")
                    ))
                    .hint(format!(
                        "decide what becomes of them, then `walkback rollback {}`",
                        load.point
                    ))
            }
            Err(second) => Error::new(
                ErrorKind::NeedsRecovery,
                format!(
                    "the load into `{}` failed, and could not be taken back: {second}",
                    load.table
                ),
            )
            .with_source(error)
            .hint("run `walkback recover`; it says what it found and what it will do, and asks"),
        }
    }
}

fn read_batch(reader: &mut Reader, columns: &Columns, load: &LoadRow) -> Result<Batch> {
    let most = load.options.batch;
    let mut batch = Batch {
        pending: Vec::new(),
        faults: Vec::new(),
        read: 0,
        end: Place::default(),
        is_last: false,
    };
    while batch.read < most
        && let Some(record) = reader.next()?
    {
        batch.read += 1;
        batch.end = record.end;
        match ready(columns, &record) {
            Ok(ready) => batch.pending.push(Pending { record, ready }),
            Err(fault) => batch.faults.push((record, fault)),
        }
    }
    batch.is_last = batch.read < most;
    Ok(batch)
}

/// Says that too much was rejected, and why it was.
fn given_up(load: &LoadRow, tally: &Tally) -> Error {
    let error = Error::new(
        ErrorKind::Database,
        format!(
            "{} of {} records were rejected, and at most {} may be",
            tally.rejected,
            tally.tried(),
            load.options.max_failures
        ),
    );
    let kinds = tally.by_kind();
    let error = kinds.iter().take(NAMED).fold(error, |error, one| {
        let records = match one.records {
            1 => "record",
            _ => "records",
        };
        error.hint(format!("{} {records}: {}", one.records, one.reason))
    });
    let error = match &kinds[kinds.len().min(NAMED)..] {
        [] => error,
        left_out => {
            let records: u64 = left_out.iter().map(|one| one.records).sum();
            let kinds = match left_out.len() {
                1 => "1 other kind of reason".to_owned(),
                kinds => format!("{kinds} other kinds of reasons"),
            };
            error.hint(format!("and {records} for {kinds}"))
        }
    };
    error
        .hint(format!(
            "each of them is in `{}`, with its reason",
            load.options.rejects.display()
        ))
        .hint("mend the file, or allow more with `--max-failures`")
}
