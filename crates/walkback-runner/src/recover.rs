//! Recovering: a run was killed in the middle of a migration that could not be one transaction.

use std::collections::BTreeSet;

use serde::Serialize;
use walkback_core::Access;
use walkback_core::{Cx, Direction, Error, ErrorKind, MigrationId, Phase, Result, Session};

use crate::approval::{self, NOT_APPROVED};
use crate::execute::{BEGUN_BACK, ByJournal, Execution, Progress, has_ways_back, join, kept_in};
use crate::gate;
use crate::hooks::left_by;
use crate::journal::{Journal, PointRow, StatementRow, StatementState};
use crate::plan::{PlannedStep, Planner, RunKind};
use crate::records::LoadRecovery;
use crate::report::RunReport;
use crate::restore::RESTORE;
use crate::runner::Runner;
use crate::scope::ScopeRecovery;
use crate::settings::Consent;
use crate::state::State;

/// Which way a half-done migration goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RecoverDirection {
    /// To what was there before it.
    Back,
    /// To what is there after it: the rest of its statements are run.
    Forward,
}

/// What was found, and what would be done.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RecoverPlan {
    /// The run that never ended.
    pub run: String,
    /// What was found, a line each.
    pub found: Vec<String>,
    /// Which way.
    pub direction: RecoverDirection,
    /// Why.
    pub reason: String,
    /// Whether a migration is half-done; otherwise only the row of the run is closed.
    pub half_done: bool,
    /// The point that is restored, if the journal alone cannot put it right.
    pub point: Option<String>,
    /// Whether rows that applications wrote since may go with it; a point keeps them.
    pub may_lose: bool,
    /// What the other way would be, or why it cannot be gone.
    pub other: Option<String>,
    #[serde(skip)]
    migration: Option<MigrationId>,
    #[serde(skip)]
    load: Option<LoadRecovery>,
    #[serde(skip)]
    scope: Option<ScopeRecovery>,
}

impl RecoverPlan {
    /// Plans to put a load right.
    fn of_load(mut self, recovery: LoadRecovery, wanted: Option<RecoverDirection>) -> Result<Self> {
        self.run.clone_from(&recovery.load.run_id);
        self.half_done = true;
        self.found.push(recovery.found());
        let (direction, reason, other) = recovery.choose(wanted)?;
        (self.direction, self.reason, self.other) = (direction, reason, Some(other));
        self.load = Some(recovery);
        Ok(self)
    }

    /// Plans to put a scope right.
    fn of_scope(mut self, recovery: ScopeRecovery, wanted: Option<RecoverDirection>) -> Result<Self> {
        recovery.run().clone_into(&mut self.run);
        self.half_done = true;
        self.found.push(recovery.found());
        let (direction, reason, other) = recovery.choose(wanted)?;
        (self.direction, self.reason, self.other) = (direction, reason, Some(other));
        self.point = recovery.point().map(str::to_owned);
        self.may_lose = direction == RecoverDirection::Back && self.point.is_some();
        self.scope = Some(recovery);
        Ok(self)
    }

    /// Chooses a way.
    fn choose(&mut self, ways: Ways, wanted: Option<RecoverDirection>) -> Result<()> {
        let left = |left: usize| match left {
            0 => "each of its statements is done, and only its row is missing".to_owned(),
            1 => "one statement is left to run".to_owned(),
            left => format!("{left} statements are left to run"),
        };
        let direction = wanted.unwrap_or(match (&ways.back, &ways.forward) {
            (_, Ok(0)) | (Err(_), Ok(_)) => RecoverDirection::Forward,
            _ => RecoverDirection::Back,
        });
        self.direction = direction;
        match direction {
            RecoverDirection::Back => {
                self.may_lose = ways.by_point;
                self.other = Some(match ways.forward {
                    Ok(count) => format!("`walkback recover --forward`: {}", left(count)),
                    Err(why) => format!("it cannot go forward: {why}"),
                });
                self.reason = ways.back.map_err(|error| {
                    error
                        .hint("restore a backup with `walkback restore <BACKUP>`; `walkback backup list` shows what there is")
                        .hint("or put the database right by hand, then `walkback stamp <TARGET>`")
                })?;
            }
            RecoverDirection::Forward => {
                self.other = Some(match ways.back {
                    Ok(why) => format!("`walkback recover --back`: {why}"),
                    Err(_) => "it cannot go back: no point was made before it".to_owned(),
                });
                self.reason = ways.forward.map(left).map_err(|why| {
                    let migration = self.migration.as_ref().map_or("", |id| id.as_str());
                    Error::new(
                        ErrorKind::NeedsRecovery,
                        format!("migration `{migration}` cannot go forward: {why}"),
                    )
                    .hint("`walkback recover --back` takes it back")
                })?;
            }
        }
        Ok(())
    }
}

/// Says what was found of a killed restore.
fn of_restore(points: &[PointRow]) -> String {
    let found =
        "it exchanges its tables at once: they are all as in the backup, or all as they were before it";
    match points.iter().find(|point| point.kind == "safety") {
        Some(point) => format!("{found}; what was there before is in `{}`", point.id),
        None => format!("{found}, and it had not come so far as to keep these"),
    }
}

/// Says what was found of a half-done script, a line each.
fn found(half_done: &[StatementRow]) -> Vec<String> {
    let first = half_done.first().map(|first| match first.direction.as_str() {
        RESTORE => "it was in the middle of exchanging tables, outside a transaction".to_owned(),
        direction => format!(
            "it was in the middle of `{}` ({direction}), outside a transaction",
            first.migration
        ),
    });
    let statements = half_done.iter().map(|statement| {
        let how = match statement.state {
            StatementState::Done => "done",
            StatementState::Intent => "begun; it may have happened",
        };
        format!(
            "{}: {} ({how})",
            statement.place,
            crate::execute::excerpt(&statement.statement)
        )
    });
    first.into_iter().chain(statements).collect()
}

/// What would be done with a half-done migration, each way, or why it cannot be.
struct Ways {
    /// Why going back is right.
    back: Result<String>,
    /// How many statements are left.
    forward: std::result::Result<usize, String>,
    /// The point made before it.
    point: Option<String>,
    /// Whether going back is to that point, and not statement by statement.
    by_point: bool,
}

impl Runner {
    /// Looks for a run that never ended, and plans to put it right: the way that is `wanted`, else back, or forward if every
    /// statement is done or there is no way back. `None`: there is no such run. Nothing is written.
    ///
    /// # Errors
    /// `NeedsRecovery` if a migration is half-done and cannot go that way.
    pub async fn plan_recover(
        &self,
        cx: &Cx,
        wanted: Option<RecoverDirection>,
    ) -> Result<Option<RecoverPlan>> {
        let mut session = self.connect(cx, Access::Read).await?;
        let state = self.load(cx, &mut *session).await?;
        // A load that is not at its end is to be settled also where its run has ended with an error.
        let (id, first) = match (state.unfinished.last(), &state.load) {
            (Some(run), _) => (
                run.id.clone(),
                format!("run `{}` ({}) by {} never ended", run.id, run.kind, run.actor),
            ),
            (None, Some(load)) => (
                load.run_id.clone(),
                format!("run `{}` has ended, and its load has not", load.run_id),
            ),
            (None, None) => return Ok(None),
        };
        let mut plan = RecoverPlan {
            run: id,
            found: vec![first],
            direction: RecoverDirection::Back,
            reason: "only its row in the journal is open".to_owned(),
            half_done: false,
            point: None,
            may_lose: false,
            other: None,
            migration: None,
            load: None,
            scope: None,
        };
        let dialect = self.dialect();
        let heads = join(&state.heads(&state.applied_set()));
        for run in &state.unfinished {
            let mut journal = Journal::new(&mut *session, &*dialect);
            let left = left_by(cx, &mut journal, &self.settings().hooks, run, &heads);
            plan.found.extend(left.await?);
        }
        if let Some(load) = state.load.clone() {
            return plan.of_load(LoadRecovery::of(load), wanted).map(Some);
        }
        if let Some(scope) = ScopeRecovery::of(&state.half_done) {
            let points = Journal::new(&mut *session, &*dialect)
                .points_of(cx, scope.run())
                .await?;
            return plan.of_scope(scope.with_points(&points), wanted).map(Some);
        }
        let Some(first) = state.half_done.first() else {
            let restore = state
                .unfinished
                .last()
                .filter(|run| run.kind == RunKind::Restore.name());
            plan.found.push(match restore {
                Some(run) => {
                    let points = Journal::new(&mut *session, &*dialect)
                        .points_of(cx, &run.id)
                        .await?;
                    of_restore(&points)
                }
                None => "every migration it ran is complete, and nothing is half-done".to_owned(),
            });
            return Ok(Some(plan));
        };
        plan.run.clone_from(&first.run_id);
        plan.half_done = true;
        plan.migration = Some(MigrationId::new(first.migration.clone()));
        plan.found.extend(found(&state.half_done));
        let ways = self.ways(cx, &mut *session, &state, &plan).await?;
        plan.point.clone_from(&ways.point);
        plan.choose(ways, wanted)?;
        Ok(Some(plan))
    }

    async fn ways(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        state: &State,
        plan: &RecoverPlan,
    ) -> Result<Ways> {
        let dialect = self.dialect();
        let mut journal = Journal::new(session, &*dialect);
        let undo = journal.undo_of(cx, &plan.run).await?;
        let points = journal.points_of(cx, &plan.run).await?;
        let is_up = state.half_done.iter().all(|row| row.direction == "up");
        let is_taken_back = match &plan.migration {
            Some(id) => journal.is_taken_back(cx, (&plan.run, id)).await?,
            None => false,
        };
        let point = self.right_point(cx, state, points, is_up).await?;
        let step = self.step_of(cx, state, plan).await;
        let is_approved = match &step {
            Ok(step) => {
                let mut journal = Journal::new(session, &*dialect);
                approval::may_go_on(self, cx, &mut journal, (&plan.run, step)).await?
            }
            Err(_) => true,
        };
        let now = self.schema(cx, session).await?;
        let forward = match step {
            Ok(_) if !is_approved => Err(NOT_APPROVED.to_owned()),
            Ok(_) if is_taken_back => Err(BEGUN_BACK.to_owned()),
            Ok(_) if is_up && point.is_none() => Err("no point holds the schema before it".to_owned()),
            Ok(step) => Progress::of(&step, &state.half_done, &undo, &now)
                .map(|progress| step.statements.len() - progress.done),
            Err(error) => Err(error.to_string()),
        };
        let by_point = !has_ways_back(&state.half_done, &undo);
        let back = if !by_point {
            Ok("the journal knows what takes each of its statements back without losing anything".to_owned())
        } else if let Some(point) = &point {
            Ok(format!(
                "point `{point}` holds what was there before; what applications wrote since to the tables that come from it goes, \
                 and is kept in a point of its own first"
            ))
        } else {
            let migration = plan.migration.as_ref().map_or("", |id| id.as_str());
            Err(Error::new(
                ErrorKind::NeedsRecovery,
                format!(
                    "migration `{migration}` is half-done, and no point was made before it: {}",
                    plan.found.join("; ")
                ),
            ))
        };
        Ok(Ways {
            back,
            forward,
            point,
            by_point,
        })
    }

    /// Returns the point that holds what was there before a half-done script.
    async fn right_point(
        &self,
        cx: &Cx,
        state: &State,
        points: Vec<PointRow>,
        is_up: bool,
    ) -> Result<Option<String>> {
        if !is_up {
            // Of the run as a whole. An undo that failed has made another, of what was half-done by then.
            let safety = points.into_iter().find(|point| point.kind == "safety");
            return Ok(safety.map(|point| point.id));
        }
        for point in points.into_iter().rev() {
            // The point before an earlier migration of the run holds a state that is no longer the right one.
            if point.kind == "safety" {
                continue;
            }
            let manifest = self.needed_vault()?.open(cx, &point.id).await?;
            let applied: BTreeSet<_> = manifest.ledger.applied.iter().map(MigrationId::new).collect();
            if applied == state.applied_set() {
                return Ok(Some(point.id));
            }
        }
        Ok(None)
    }

    /// Returns the script that is half-done, as it would run now.
    async fn step_of(&self, cx: &Cx, state: &State, plan: &RecoverPlan) -> Result<PlannedStep> {
        let ids: Vec<_> = plan.migration.iter().cloned().collect();
        let planner = Planner::new(self, state);
        let planned = match state.half_done.iter().all(|row| row.direction == "up") {
            true => planner.plan(cx, RunKind::Up, &[], &ids).await?,
            false => planner.plan(cx, RunKind::Down, &ids, &[]).await?,
        };
        let step = planned.steps.into_iter().next();
        step.ok_or_else(|| Error::internal("a plan of one migration has no step"))
    }

    /// Drops the scratch databases that killed processes have left on the server, and returns their names. They hold copies of
    /// what is in this one, and nobody else looks for them.
    ///
    /// # Errors
    /// Fails if the server cannot be asked.
    pub async fn sweep_scratch(&self, cx: &Cx) -> Result<Vec<String>> {
        match self.engine().scratch() {
            Some(scratch) => scratch.sweep(cx).await,
            None => Ok(Vec::new()),
        }
    }

    /// Puts an unfinished run right as planned.
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub async fn run_recover(&self, cx: &Cx, plan: &RecoverPlan, consent: &Consent) -> Result<RunReport> {
        let admitted = gate::recover(self.settings(), plan, consent);
        self.noting_refusal(cx, "recover", consent, admitted).await?;
        let (mut execution, steady) = Execution::begin(self, cx, RunKind::Recover, consent, &[]).await?;
        let cx = &steady;
        let heads = execution.state.heads(&execution.state.applied_set());
        execution.record(cx, &heads, &heads).await?;
        let outcome = Box::pin(execution.recover(cx, plan)).await;
        execution.conclude(cx, outcome).await
    }
}

impl Execution<'_> {
    async fn recover(&mut self, cx: &Cx, plan: &RecoverPlan) -> Result<()> {
        let half_done = self
            .state
            .half_done
            .first()
            .map(|statement| MigrationId::new(&statement.migration));
        let is_other_load = self.state.load.is_some() && plan.load.is_none();
        let told = self.report.warnings.len();
        let scope = ScopeRecovery::of(&self.state.half_done);
        let planned = plan.scope.as_ref().map(ScopeRecovery::run);
        let is_other_scope = scope.as_ref().map(ScopeRecovery::run) != planned;
        if scope.is_none() && half_done != plan.migration || is_other_load || is_other_scope {
            return Err(Error::new(
                ErrorKind::CheckFailed,
                "the database is no longer what this plan was made for",
            )
            .hint("the run has gone on meanwhile; run the command again to look anew"));
        }
        if let Some(recovery) = &plan.load {
            self.recover_load(cx, recovery, plan.direction).await?;
            cx.step("recover.loaded");
        } else if let Some(scope) = &plan.scope {
            Box::pin(self.recover_scope(cx, scope, plan.direction)).await?;
        } else if let Some(migration) = &plan.migration
            && plan.direction == RecoverDirection::Forward
        {
            self.forward(cx, plan).await?;
            cx.step("recover.gone-on");
            self.report
                .notes
                .push(format!("`{migration}` has gone on, and is complete"));
        } else if let Some(migration) = &plan.migration {
            let how = self
                .undo_or_restore(cx, plan.point.as_deref(), &plan.run, migration)
                .await?;
            cx.step("recover.restored");
            self.report
                .warnings
                .push(format!("`{migration}` is undone {how}"));
            if self.state.phase_of(migration) == Some(Phase::Contract) {
                self.report.warnings.push(
                    "what was expanded before it is complete and usable; `walkback up --phase contract` tries it again"
                        .to_owned(),
                );
            }
        }
        let what = self.found_and_done(plan, told);
        self.clear_after_kill(cx).await;
        let unfinished = std::mem::take(&mut self.state.unfinished);
        for run in &unfinished {
            let left = self.left_by_hooks(cx, run).await?;
            self.close_run(cx, run, &what).await?;
            self.report.warnings.extend(left);
        }
        self.put_back_late(cx).await
    }

    /// Says for the row of the run that was killed what has become of what it left half-done: what a person was told.
    fn found_and_done(&self, plan: &RecoverPlan, told: usize) -> String {
        let warned = self.report.warnings.get(told..).unwrap_or_default();
        let done = [&self.report.notes[..], warned].concat().join("; ");
        let is_half_done = plan.migration.is_some() || plan.load.is_some() || plan.scope.is_some();
        match (is_half_done, done.is_empty()) {
            (false, _) => "found nothing half-done".to_owned(),
            (true, true) => "put it right".to_owned(),
            (true, false) => format!("put it right: {done}"),
        }
    }

    /// Puts back what was to follow a migration that was the last thing a killed run did.
    async fn put_back_late(&mut self, cx: &Cx) -> Result<()> {
        let applied = self.state.applied_set();
        let waiting = self.state.rescues.iter().map(|rescue| rescue.migration.clone());
        let waiting: BTreeSet<_> = waiting.filter(|id| applied.contains(id)).collect();
        for id in &waiting {
            self.put_back(cx, id, false).await?;
        }
        Ok(())
    }

    /// Runs what is left of a half-done script.
    async fn forward(&mut self, cx: &Cx, plan: &RecoverPlan) -> Result<()> {
        let step = self.runner.step_of(cx, &self.state, plan).await?;
        let (runner, dialect) = (self.runner, self.dialect.clone());
        let mut journal = Journal::new(&mut *self.session, &*dialect);
        if !approval::may_go_on(runner, cx, &mut journal, (&plan.run, &step)).await? {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("`{}` cannot go on: {NOT_APPROVED}", step.name),
            )
            .hint("`walkback recover --back` takes it back"));
        }
        let mut before = None;
        if step.direction == Direction::Up
            && let Some(point) = &plan.point
        {
            let manifest = self.open_point(cx, point).await?;
            before = Some(manifest.schema.clone());
            self.held = Some(manifest);
        }
        self.go_on(cx, &step, &plan.run, (before, plan.point.clone()))
            .await
    }

    /// Takes a half-done script back by the journal, else from its point, and says how.
    async fn undo_or_restore(
        &mut self,
        cx: &Cx,
        point: Option<&str>,
        run: &str,
        migration: &MigrationId,
    ) -> Result<String> {
        let (only, why) = match self.undo_by_journal(cx, run, migration, point.is_some()).await? {
            ByJournal::Undone => return Ok("statement by statement".to_owned()),
            ByJournal::Rows(tables) => (Some(tables), String::new()),
            ByJournal::Impossible(why) => (None, why),
        };
        let Some(point) = point else {
            return Err(Error::new(
                ErrorKind::NeedsRecovery,
                format!("migration `{migration}` cannot be taken back by the journal: {why}"),
            )
            .hint("restore a backup with `walkback restore <BACKUP>`; `walkback backup list` shows what there is")
            .hint("or put the database right by hand, then `walkback stamp <TARGET>`"));
        };
        self.note_taken_back(cx, run, migration).await?;
        // Whoever waited with the recovery has let applications write for that long.
        let kept = self.keep_half_done(cx, point, only.as_deref()).await?;
        cx.step("recover.kept");
        self.restore_half_done(cx, point, run, migration, only).await?;
        Ok(format!("from point `{point}`{}", kept_in(kept.as_deref())))
    }
}
