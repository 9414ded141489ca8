//! Running a plan: lock, journal, points, one migration after the other, record.

mod autocommit;
mod conditions;
mod derivation;
mod down;
mod forward;
mod killed;
mod meanwhile;
mod record;
mod statement;
mod told;
mod tries;
mod undo;
mod up;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use walkback_core::capture::Captured;
use walkback_core::engine::{Begin, Claim};
use walkback_core::ledger::LedgerFormat;
use walkback_core::migration::Condition;
use walkback_core::statement::Action;
use walkback_core::{
    Access, Cx, Dialect, Direction, Error, ErrorKind, MigrationId, Result, Session, TableName,
};
use walkback_vault::{Manifest, PointKind, TableEntry};

use crate::approval::Approval;
use crate::audit::lost_in_words;
use crate::changes::Unplaced;
use crate::hooks::Around;
use crate::incumbent::Incumbent;
use crate::journal::{DeprecatedRow, Journal, RunEnd, RunRecord, RunStatus};
use crate::ledger::Ledger;
use crate::lock::Lock;
use crate::plan::{Plan, PlannedStep, PointScope, RunKind};
use crate::point::{self, PointRequest};
use crate::report::{Named, RunReport};
use crate::runner::Runner;
use crate::settings::{Consent, Decision};
use crate::state::State;
use crate::{gate, identity, lock, rights, steady};

pub(crate) use autocommit::kept_in;
pub(crate) use derivation::Derivation;
pub(crate) use forward::{BEGUN_BACK, Progress};
pub(crate) use statement::excerpt;
pub(crate) use told::summary;
pub(crate) use tries::{Tries, is_of_another_session};
pub(crate) use undo::{ByJournal, has_ways_back, may_have_happened};
pub(crate) use up::{Outcome, changes_schema};

/// A run under way: the lock, a session to work on, its row in the journal.
pub(crate) struct Execution<'a> {
    pub(crate) runner: &'a Runner,
    pub(crate) session: Box<dyn Session>,
    pub(crate) dialect: Arc<dyn Dialect>,
    pub(crate) format: LedgerFormat,
    /// The state under the lock; its applied rows follow what the run does.
    pub(crate) state: State,
    pub(crate) run: RunRecord,
    pub(crate) report: RunReport,
    /// What was taken back of a step that failed, in words.
    pub(crate) taken_back: Option<String>,
    /// The point that holds what was there before the run, if one was made.
    pub(crate) safety: Option<String>,
    /// What was asked that is asked once in a run.
    pub(crate) asked: Vec<Condition>,
    /// Whether the session waits for locks as long as the author of one script says.
    pub(crate) limited: bool,
    /// Whether all that the run had done was taken back with what failed.
    pub(crate) all_taken_back: bool,
    /// Whether more may be lost than the plan has shown.
    pub(crate) may_lose: bool,
    /// The point before the script that runs outside a transaction: no store is asked for it once that has begun.
    pub(crate) held: Option<Manifest>,
    /// Whether an exchange of tables has begun that no rollback takes back.
    pub(crate) swapping: bool,
    /// What a restore has loaded before its transaction: the point, and its tables.
    pub(crate) ahead: Option<(String, Vec<TableEntry>)>,
    /// The tables that a script of another tool has changed, where its transaction has told.
    pub(crate) told: Option<Vec<TableName>>,
    /// The schemas in which shadows may be left.
    pub(crate) homes: BTreeSet<Option<String>>,
    /// What the exchange under way has set aside.
    pub(crate) kept: Vec<TableName>,
    /// What a merge had no place for: the point with the tables as it left them.
    pub(crate) unplaced: Option<Unplaced>,
    /// How many tables this run has set rows aside in.
    pub(crate) kept_number: usize,
    /// What the migration under way has moved aside.
    pub(crate) aside: Vec<DeprecatedRow>,
    /// How many tables this run has moved aside.
    pub(crate) aside_number: i64,
    /// Tables that were moved back, or of which captured rows were taken back, and that are in no point yet.
    pub(crate) moved_back: Vec<TableName>,
    /// In which points those are that older migrations may take away again.
    pub(crate) kept_moved: BTreeMap<TableName, String>,
    /// The points that hold tables as the later migrations of the run have left them that are walked back already.
    pub(crate) kept_over: BTreeMap<TableName, String>,
    /// What the migration under way has changed in rows, where that is captured.
    pub(crate) captured: Vec<Captured>,
    /// Whether what a rollback changes in rows is captured, instead of a safety point before it.
    pub(crate) captures_own: bool,
    /// Why the tables of the migration under way cannot be moved aside, or what it changes not be captured.
    pub(crate) needs_point: Option<String>,
    /// Whether this run keeps applications from writing.
    pub(crate) keeps_quiet: bool,
    /// What it takes away that was written since, in words, for the audit.
    pub(crate) lost: Option<String>,
    /// Who has approved it, in words, for the audit.
    pub(crate) approved: Option<String>,
    /// Held as long as that.
    pub(crate) claim: Option<Claim>,
    seq: i64,
    started: Instant,
    /// The lock of the tool whose ledger this is. Its drop needs walkback's own still.
    incumbent: Option<Incumbent>,
    // Held for its drop.
    lock: Arc<Lock>,
}

impl Runner {
    /// Runs a plan of [`Runner::plan_up`], [`Runner::plan_down`], [`Runner::plan_goto`] or
    /// [`Runner::plan_redo`].
    ///
    /// Each migration commits together with its row in the ledger and in the journal, where the engine has
    /// transactional DDL. A migration that fails is undone; those before it stay, and the error names them.
    ///
    /// # Errors
    /// `Refused` by the policy, `Locked` if somebody else runs, `CheckFailed` if the database is no longer
    /// what the plan was made for, `NeedsRecovery` if a failed migration could not be undone.
    pub async fn run(&self, cx: &Cx, plan: &Plan, consent: &Consent) -> Result<RunReport> {
        let admitted = gate::plan(self, cx, plan, consent);
        Box::pin(self.noting_refusal(cx, plan.kind.name(), consent, admitted)).await?;
        let (mut execution, steady) =
            Execution::begin(self, cx, plan.kind, consent, &rights::of_plan(plan)).await?;
        let cx = &steady;
        let steps = execution.still_to_do(plan)?;
        // Another run may have done some of it while this one waited.
        let from = execution.state.heads(&execution.state.applied_set());
        execution.lost = lost_in_words(&plan.loss);
        if let Err(refused) = execution.still_as_approved(cx, plan) {
            drop(execution);
            return Box::pin(self.noting_refusal(cx, plan.kind.name(), consent, Err(refused))).await;
        }
        execution.approved = plan.approval.as_ref().and_then(Approval::words);
        execution.record(cx, &from, &plan.to).await?;
        let around = Around::steps(&steps);
        let outcome = match execution.before(cx, &around).await {
            Ok(()) => match execution.still_to_do(plan) {
                Ok(steps) => Box::pin(execution.steps(cx, plan, &steps)).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        let outcome = execution.after(cx, &around, outcome).await;
        execution.conclude(cx, outcome).await
    }
}

impl<'a> Execution<'a> {
    /// Takes the lock, brings the journal into being, and reads the state that nobody can change any more. The context to go
    /// on with is one whose moments come after those of earlier runs.
    pub(crate) async fn begin(
        runner: &'a Runner,
        cx: &Cx,
        kind: RunKind,
        consent: &Consent,
        actions: &[Action],
    ) -> Result<(Self, Cx)> {
        if !matches!(kind, RunKind::Recover | RunKind::Purge | RunKind::Stamp) {
            runner.check_quiet(cx).await?;
        }
        let lock = Lock::take(runner, cx, kind.name()).await?;
        let mut session = runner.connect(cx, Access::Write).await?;
        lock::take_work(runner, cx, kind.name(), &mut *session).await?;
        if session.capability().statements_outlive_client {
            // A server would wait for ever; how long a file is waited for, its URL says.
            session
                .set_lock_timeout(cx, runner.settings().lock_timeout)
                .await?;
        }
        let mut notices = session.capability().notices.clone();
        let (dialect, format) = (runner.dialect(), runner.ledger());
        rights::check(runner, cx, &mut *session, actions).await?;
        session.begin(cx, Begin::Write).await?;
        Journal::new(&mut *session, &*dialect).create(cx).await?;
        Ledger::new(&mut *session, &*dialect, &format).create(cx).await?;
        session.commit(cx).await?;
        cx.step("journal.created");
        let mut journal = Journal::new(&mut *session, &*dialect);
        let cx = &steady::after_the_last(cx, &mut journal, &mut notices).await?;
        let id = identity::run_id(cx);
        let settings = runner.settings();
        let who = format!("{id} ({} by {})", kind.name(), settings.actor.phrase());
        let incumbent = Incumbent::take(runner, cx, (&mut *session, &format), &who, &mut notices).await?;
        let state = State::load(runner, cx, &mut *session).await?;
        let run = RunRecord {
            id,
            kind: kind.name().to_owned(),
            status: RunStatus::Running,
            environment: settings.environment.clone(),
            started_at: identity::moment(cx.now()),
            finished_at: None,
            actor: settings.actor.phrase(),
            from: String::new(),
            to: String::new(),
            ticket: consent.ticket.clone(),
            reason: consent.reason.clone(),
            detail: None,
            hooks: Vec::new(),
        };
        let report = RunReport {
            run: run.id.clone(),
            outcome: None,
            kind,
            applied: Vec::new(),
            undone: Vec::new(),
            restored_from: None,
            points: Vec::new(),
            kept: Vec::new(),
            purged: Vec::new(),
            changes: Vec::new(),
            rescued: Vec::new(),
            grants: 0,
            from: Vec::new(),
            to: Vec::new(),
            notes: Vec::new(),
            warnings: notices,
            hooks: Vec::new(),
            failed_after: Vec::new(),
            duration_ms: 0,
            undo_with: None,
        };
        let mut format = format;
        if format.table.schema.is_none() {
            // A script may change what names without a schema mean.
            format.table.schema.clone_from(&state.schema.home);
        }
        if let Some(other) = &mut format.shown_in
            && other.table.schema.is_none()
        {
            other.table.schema.clone_from(&state.schema.home);
        }
        let mut execution = Self {
            runner,
            session,
            dialect,
            format,
            state,
            run,
            report,
            taken_back: None,
            safety: None,
            asked: Vec::new(),
            limited: false,
            all_taken_back: false,
            may_lose: consent.lossy || settings.policy.lossy == Decision::Allow,
            held: None,
            swapping: false,
            ahead: None,
            told: None,
            homes: BTreeSet::new(),
            kept: Vec::new(),
            unplaced: None,
            kept_number: 0,
            aside: Vec::new(),
            aside_number: 0,
            moved_back: Vec::new(),
            kept_moved: BTreeMap::new(),
            kept_over: BTreeMap::new(),
            captured: Vec::new(),
            captures_own: false,
            needs_point: None,
            keeps_quiet: false,
            claim: None,
            lost: None,
            approved: None,
            seq: 0,
            started: Instant::now(),
            incumbent,
            lock,
        };
        // These three put right what a killed run left, each in its own transaction.
        if !matches!(kind, RunKind::Recover | RunKind::Restore | RunKind::Stamp) {
            execution.close_interrupted(cx).await?;
            execution.end_quiet_of_killed(cx).await?;
            execution.forget_witnessed(cx).await?;
        }
        execution.settle_shown(cx, kind).await?;
        execution.forget_what_others_undid(cx).await?;
        Ok((execution, cx.clone()))
    }

    /// Returns the steps of a plan that are left, if the plan is still good: another run may have done some
    /// of them while this one waited for the lock.
    fn still_to_do(&self, plan: &Plan) -> Result<Vec<PlannedStep>> {
        let now = self.state.applied_set();
        let then = plan.applied.iter().cloned().collect();
        if now == then {
            return Ok(plan.steps.clone());
        }
        let planned: std::collections::BTreeSet<_> = plan.steps.iter().map(|step| step.id.clone()).collect();
        let only_ups = plan.steps.iter().all(|step| step.direction == Direction::Up);
        if only_ups && now.is_superset(&then) && now.difference(&then).all(|id| planned.contains(id)) {
            return Ok(plan
                .steps
                .iter()
                .filter(|step| !now.contains(&step.id))
                .cloned()
                .collect());
        }
        Err(Error::new(
            ErrorKind::CheckFailed,
            "the database is no longer what this plan was made for",
        )
        .hint("another run has changed it meanwhile; run the command again to plan anew"))
    }

    async fn steps(&mut self, cx: &Cx, plan: &Plan, steps: &[PlannedStep]) -> Result<()> {
        let task = cx.progress().begin(
            plan.kind.name(),
            walkback_core::cx::Unit::Items,
            Some(steps.len() as u64),
        );
        if steps.iter().any(|step| step.direction == Direction::Down) {
            // It is what the whole run is walked back to: it holds also what the ups of the run will change.
            let safety = self.safety_scope(steps);
            if safety != PointScope::None {
                self.safety_point(cx, plan.kind.name(), &safety).await?;
            }
        }
        for waiting in &plan.rescues {
            if self.state.is_applied(&waiting.migration.id) {
                self.put_back(cx, &waiting.migration.id, false).await?;
            }
        }
        for step in steps {
            cx.check()?;
            self.limit_waiting(cx, step).await?;
            match step.direction {
                Direction::Up => {
                    let applied = Box::pin(self.up_if_it_holds(cx, step)).await;
                    applied.map_err(|error| match self.runner.outer() {
                        // A deployment that fails goes back as a whole.
                        Some(_) => error,
                        None => step.explain_phase(error),
                    })?;
                }
                Direction::Down => {
                    self.keep_moved_back(cx).await?;
                    let mut tries = self.tries();
                    while let Err(error) = self.down(cx, step).await {
                        // Statements outside a transaction were tried again one by one; and what was restored is another state.
                        if !step.may_be_repeated(&self.state.capability) || self.all_taken_back {
                            return Err(error);
                        }
                        tries
                            .again(cx, &format!("the down of `{}`", step.name), error)
                            .await?;
                        self.taken_back = None;
                    }
                }
            }
            task.advance(1);
        }
        Ok(())
    }

    /// Returns how often something is tried again that other sessions have stopped.
    pub(crate) fn tries(&self) -> Tries {
        Tries::new(self.runner.settings().lock_retries)
    }

    /// Returns what all steps of a run together may change of what is there now.
    fn safety_scope(&self, steps: &[PlannedStep]) -> PointScope {
        let triggers = steps
            .iter()
            .flat_map(|step| crate::reach::triggers_of(&step.statements));
        let triggers: Vec<_> = triggers.collect();
        steps
            .iter()
            .map(|step| {
                let mut step = step.clone();
                step.look(self.runner, &self.state.schema, &triggers);
                step.safety_scope()
            })
            .fold(PointScope::None, PointScope::and)
    }

    /// Keeps what a rollback is about to take away, so that the rollback can itself be walked back.
    pub(crate) async fn safety_point(
        &mut self,
        cx: &Cx,
        about: &str,
        scope: &PointScope,
    ) -> Result<Option<Manifest>> {
        let description = format!("before {about}, run {}", self.run.id);
        let made = self
            .point(cx, PointKind::BeforeRollback, "safety", about, scope, description)
            .await?;
        self.safety = made.as_ref().map(|point| point.id.clone());
        Ok(made)
    }

    /// Makes a point, if there is a vault and something to keep. It is complete when this returns.
    pub(crate) async fn point(
        &mut self,
        cx: &Cx,
        kind: PointKind,
        prefix: &str,
        about: &str,
        scope: &PointScope,
        description: String,
    ) -> Result<Option<Manifest>> {
        if self.runner.vault().is_none() {
            return Ok(None);
        }
        let request = PointRequest {
            kind,
            prefix,
            about,
            scope,
            description: Some(description),
            run_id: Some(self.run.id.clone()),
            of: None,
            grants: None,
            before: None,
        };
        let made = point::make(self.runner, cx, &self.state, request).await;
        let written = made.map_err(|error| match error.kind() {
            ErrorKind::Interrupted => error,
            _ => error.wrap(format!(
                "no point can be made before `{about}`, and without one it is not begun"
            )),
        })?;
        cx.step("point.complete");
        let row = point::row_of(&written);
        self.journal().note_point(cx, &row).await?;
        cx.step("point.noted");
        self.report.points.push(written.manifest.id.clone());
        Ok(Some(written.manifest))
    }

    /// Ends the run: its row, the schema as it is now, and the report or the error.
    pub(crate) async fn conclude(mut self, cx: &Cx, outcome: Result<()>) -> Result<RunReport> {
        // What ends a run must not be stopped by what stopped the run.
        let cx = &cx.shielded();
        if let Some(incumbent) = self.incumbent.take()
            && let Err(error) = incumbent.release(cx, &mut *self.session).await
        {
            tracing::warn!(%error, "the lock of the other tool is freed by another connection");
        }
        let to = self.state.heads(&self.state.applied_set());
        let at = identity::moment(cx.now());
        let id = self.run.id.clone();
        let outcome = outcome.map_err(|error| self.lock.explain(error));
        self.log_end(&outcome);
        match outcome {
            Ok(()) => {
                let detail = summary(&self.report);
                self.session.begin(cx, Begin::Write).await?;
                self.remember_schema(cx).await?;
                let by = self.runner.author();
                let end = RunEnd {
                    id: &id,
                    status: RunStatus::Done,
                    to: &join(&to),
                    detail: &detail,
                    lost: self.lost.clone(),
                    at: &at,
                };
                Box::pin(self.journal().finish_run(cx, &by, end)).await?;
                self.session.commit(cx).await?;
                cx.step("run.finished");
                let told = self.end_quiet(cx).await;
                Box::pin(self.copy_audit(cx)).await;
                self.report.failed_after.extend(told);
                self.report.to = to;
                self.report.duration_ms =
                    u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.report.undo_with = told::undo_command(&self.report);
                Ok(self.report)
            }
            Err(error) if error.kind() == ErrorKind::NeedsRecovery => Err(self.with_what_was_done(error)),
            Err(error) => {
                let status = match error.kind() {
                    ErrorKind::Interrupted => RunStatus::Undone,
                    _ if self.report.kind.is_all_or_nothing() => RunStatus::Undone,
                    _ => RunStatus::Failed,
                };
                let by = self.runner.author();
                let end = RunEnd {
                    id: &id,
                    status,
                    to: &join(&to),
                    detail: &error.to_string(),
                    lost: None,
                    at: &at,
                };
                match Box::pin(self.journal().finish_run_alone(cx, &by, end)).await {
                    Ok(()) => Box::pin(self.copy_audit(cx)).await,
                    Err(second) => {
                        tracing::warn!(error = ?second, "the end of the run could not be recorded");
                    }
                }
                Err(self.with_what_was_done(error))
            }
        }
    }

    /// Adds to the error of a run what it had done before, and what it took back, in that order.
    fn with_what_was_done(&self, error: Error) -> Error {
        let undone = self.report.undone.iter();
        let undone = undone.map(|done| format!("walked back `{}`", done.name));
        let applied = self.report.applied.iter();
        let applied = applied.map(|done| format!("applied `{}`", done.name));
        undone
            .chain(applied)
            .chain(self.taken_back.clone())
            .fold(error, Error::succeeded)
    }

    /// Keeps the schema as this run leaves it, so that `status` can tell what was changed without walkback.
    async fn remember_schema(&mut self, cx: &Cx) -> Result<()> {
        let schema = self.runner.schema(cx, &mut *self.session).await?;
        let json = serde_json::to_string(&schema)
            .map_err(|error| Error::internal("a schema cannot be written as JSON").with_source(error))?;
        self.journal().set_meta(cx, "schema", &json).await
    }

    pub(crate) fn journal(&mut self) -> Journal<'_> {
        Journal::new(&mut *self.session, &*self.dialect).at(self.state.schema.home.as_deref())
    }

    pub(crate) fn next_seq(&mut self) -> i64 {
        self.seq += 1;
        self.seq
    }

    /// Returns the number of the statement noted last.
    pub(crate) fn last_seq(&self) -> i64 {
        self.seq
    }

    pub(crate) fn named(&self, id: &MigrationId) -> Named {
        self.state.named(id)
    }
}

/// Joins identities for the journal.
pub(crate) fn join(ids: &[MigrationId]) -> String {
    ids.iter().map(MigrationId::as_str).collect::<Vec<_>>().join(", ")
}
