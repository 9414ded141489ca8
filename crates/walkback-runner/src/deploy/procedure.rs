//! The run that others are part of: its lock, its row in the journal, its stages.

use std::sync::Arc;
use std::time::Instant;

use walkback_core::engine::Begin;
use walkback_core::{Access, Cx, Error, ErrorKind, MigrationId, Result};

use super::{BACKUP, ProcedureReport, Stage};
use crate::audit::lost_in_words;
use crate::execute::join;
use crate::hooks::{Caller, Moment, Note, Notes};
use crate::journal::{Journal, RunEnd, RunRecord, RunStatus};
use crate::lock::Lock;
use crate::runner::{Begun, Outer, Runner};
use crate::settings::Consent;
use crate::state::State;
use crate::{identity, steady};

/// What a procedure was planned for.
pub(super) struct Planned<'p> {
    /// The heads that are to be reached.
    pub(super) to: &'p [MigrationId],
    /// Whether the database is still what the plan was made for.
    pub(super) holds: &'p (dyn Fn(&State) -> Result<()> + Sync),
}

/// Fails unless exactly this is applied.
pub(super) fn still_applied(state: &State, applied: &[MigrationId]) -> Result<()> {
    if state.applied_set() == applied.iter().cloned().collect() {
        return Ok(());
    }
    Err(outdated())
}

/// Says that a plan is no longer good.
pub(super) fn outdated() -> Error {
    Error::new(
        ErrorKind::CheckFailed,
        "the database is no longer what this plan was made for; nothing was done",
    )
    .hint("another run has changed it meanwhile; run the command again to plan anew")
}

fn row(
    runner: &Runner,
    consent: &Consent,
    id: &str,
    kind: &str,
    cx: &Cx,
    (from, to): (&[MigrationId], &[MigrationId]),
) -> RunRecord {
    let settings = runner.settings();
    RunRecord {
        id: id.to_owned(),
        kind: kind.to_owned(),
        status: RunStatus::Running,
        environment: settings.environment.clone(),
        started_at: identity::moment(cx.now()),
        finished_at: None,
        actor: settings.actor.phrase(),
        from: join(from),
        to: join(to),
        ticket: consent.ticket.clone(),
        reason: consent.reason.clone(),
        detail: None,
        hooks: Vec::new(),
    }
}

/// A procedure under way.
pub(super) struct Procedure<'a> {
    pub(super) runner: &'a Runner,
    pub(super) consent: &'a Consent,
    pub(super) report: ProcedureReport,
    /// Whether services were stopped, or may have been.
    pub(super) stopped: bool,
    /// Whether they were started since.
    pub(super) started: bool,
    /// Whether a part of it is half-done, and `recover` has to look.
    pub(super) half_done: bool,
    /// Whether it only puts right from here on: what cannot be noted in the journal stops nothing.
    pub(super) goes_back: bool,
    /// A deployment before it that has left the database ahead of the code.
    pub(super) ahead: Option<RunRecord>,
    /// The runs that it is made of.
    pub(super) begun: Begun,
    lock: Arc<Lock>,
    run: RunRecord,
    records: Vec<crate::journal::HookRecord>,
    began: Instant,
}

impl<'a> Procedure<'a> {
    /// Takes the lock, looks whether the plan is still good, and writes the row of the procedure. The context to go on with
    /// is one whose moments come after those of earlier runs.
    pub(super) async fn begin(
        runner: &'a Runner,
        cx: &Cx,
        kind: &str,
        consent: &'a Consent,
        planned: Planned<'_>,
    ) -> Result<(Self, Cx)> {
        let lock = Lock::take(runner, cx, kind).await?;
        let mut session = runner.connect(cx, Access::Write).await?;
        let dialect = runner.dialect();
        runner.check_quiet(cx).await?;
        session.begin(cx, Begin::Write).await?;
        Journal::new(&mut *session, &*dialect).create(cx).await?;
        session.commit(cx).await?;
        let mut journal = Journal::new(&mut *session, &*dialect);
        let mut notices = Vec::new();
        let cx = steady::after_the_last(cx, &mut journal, &mut notices).await?;
        notices.iter().for_each(|notice| cx.progress().warn(notice));
        let outer = Outer {
            lock: Arc::clone(&lock),
            run: identity::run_id(&cx),
            goes_back: false,
            begun: Begun::default(),
        };
        // Another run may have changed it while this one waited for the lock, and what that did is not this one's to take back.
        let state = runner.inside(outer.clone()).state(&cx).await?;
        (planned.holds)(&state)?;
        let from = state.heads(&state.applied_set());
        let run = row(runner, consent, &outer.run, kind, &cx, (&from, planned.to));
        journal.begin_run_alone(&cx, &run, &runner.author(), None).await?;
        cx.step("procedure.recorded");
        let report = ProcedureReport {
            run: run.id.clone(),
            stages: Vec::new(),
            backup: None,
            runs: Vec::new(),
            lost: Vec::new(),
            to: from.clone(),
            from,
            failed_after: Vec::new(),
            duration_ms: 0,
        };
        let procedure = Self {
            runner,
            consent,
            report,
            stopped: false,
            started: false,
            half_done: false,
            goes_back: false,
            ahead: None,
            begun: outer.begun,
            lock,
            run,
            records: Vec::new(),
            began: Instant::now(),
        };
        Ok((procedure, cx))
    }

    /// Notes that the database is where it was: nothing was applied.
    pub(super) fn stayed(&mut self) {
        self.run.to.clone_from(&self.run.from);
    }

    /// Returns the runner of the runs that this one is made of.
    pub(super) fn inside(&self, goes_back: bool) -> Runner {
        self.runner.inside(Outer {
            lock: Arc::clone(&self.lock),
            run: self.run.id.clone(),
            goes_back,
            begun: self.begun.clone(),
        })
    }

    /// Returns the heads that it began with, as the journal has them.
    pub(super) fn from(&self) -> &str {
        &self.run.from
    }

    /// Notes in the journal that a stage begins.
    pub(super) async fn enter(&mut self, cx: &Cx, stage: &'static str) -> Result<()> {
        let mut notes = Notes::of(self.runner);
        self.enter_by(cx, &mut notes, stage, self.goes_back).await
    }

    async fn enter_by(
        &self,
        cx: &Cx,
        notes: &mut Notes<'_>,
        stage: &'static str,
        anyhow: bool,
    ) -> Result<()> {
        cx.check()?;
        let done = self.report.stages.iter().map(|stage| {
            let how = if stage.ok { "done" } else { "failed" };
            format!("{} {how}", stage.stage)
        });
        let detail = done
            .chain([format!("{stage} begun")])
            .collect::<Vec<_>>()
            .join(", ");
        notes.note(cx, Note::Stage(&self.run.id, &detail), anyhow).await?;
        cx.step("procedure.stage");
        Ok(())
    }

    /// Notes how a stage ended.
    pub(super) fn leave<T>(&mut self, stage: &'static str, outcome: &Result<T>, said: impl Into<String>) {
        let (ok, said) = match outcome {
            Ok(_) => (true, said.into()),
            Err(error) => (false, error.to_string()),
        };
        self.report.stages.push(Stage { stage, ok, said });
    }

    /// Runs the hooks of a moment as a stage; one without any is none.
    pub(super) async fn hooks(&mut self, cx: &Cx, moment: Moment, word: Option<&'static str>) -> Result<()> {
        let hooks = &self.runner.settings().hooks;
        if !hooks.has(moment) {
            return Ok(());
        }
        let said = hooks.phrases(moment).join("; ");
        let anyhow = self.goes_back || moment.puts_right();
        let mut notes = Notes::of(self.runner);
        self.enter_by(cx, &mut notes, moment.name(), anyhow).await?;
        let mut caller = Caller {
            runner: self.runner,
            notes,
            anyhow,
            run: &self.run,
            to: self.run.to.clone(),
            outcome: word,
            records: &mut self.records,
        };
        let outcome = caller.call(cx, moment).await;
        self.leave(moment.name(), &outcome, said);
        outcome
    }

    /// Backs the whole database up.
    pub(super) async fn backup(&mut self, cx: &Cx, why: &str) -> Result<()> {
        self.enter(cx, BACKUP).await?;
        let description = format!("{why}, run {}", self.run.id);
        let made = self
            .inside(false)
            .backup_create(cx, &[], Some(&description), false)
            .await;
        self.report.backup = made.as_ref().ok().map(|manifest| manifest.id.clone());
        let said = self.report.backup.as_ref().map(|id| format!("`{id}`"));
        self.leave(BACKUP, &made, said.unwrap_or_default());
        made?;
        cx.step("procedure.backup");
        Ok(())
    }

    /// Notes the heads that are reached now.
    pub(super) async fn reached(&mut self, cx: &Cx) -> Result<()> {
        let state = self.inside(false).state(cx).await?;
        self.report.to = state.heads(&state.applied_set());
        self.run.to = join(&self.report.to);
        Ok(())
    }

    /// Ends the row of the procedure. One that left something half-done stays open, so that `recover` finds it.
    pub(super) async fn conclude(mut self, cx: &Cx, outcome: Result<()>) -> Result<ProcedureReport> {
        let cx = &cx.shielded();
        let outcome = outcome.map_err(|error| self.lock.explain(error));
        let status = match &outcome {
            Ok(()) => RunStatus::Done,
            Err(_) if self.half_done => RunStatus::Running,
            Err(error) if error.kind() == ErrorKind::Interrupted => RunStatus::Undone,
            Err(_) => RunStatus::Failed,
        };
        let mut lines = self.lines();
        lines.extend(outcome.as_ref().err().map(ToString::to_string));
        if status != RunStatus::Running
            && let Err(error) = self.finish(cx, status, &lines.join("; ")).await
        {
            // What came of it matters more than its row, which the next run closes.
            cx.progress().warn(&format!(
                "the end of run `{}` cannot be noted in the journal: {error}; the next run closes its row",
                self.run.id
            ));
        }
        self.report.duration_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        match outcome {
            Ok(()) => Ok(self.report),
            Err(error) => Err(self
                .lines()
                .into_iter()
                .fold(error, walkback_core::Error::succeeded)),
        }
    }

    async fn finish(&self, cx: &Cx, status: RunStatus, detail: &str) -> Result<()> {
        let mut session = self.runner.connect(cx, Access::Write).await?;
        let dialect = self.runner.dialect();
        let at = identity::moment(cx.now());
        let end = RunEnd {
            id: &self.run.id,
            status,
            to: &self.run.to,
            detail,
            lost: lost_in_words(&self.report.lost),
            at: &at,
        };
        Journal::new(&mut *session, &*dialect)
            .finish_run_alone(cx, &self.runner.author(), end)
            .await?;
        cx.step("procedure.finished");
        self.runner.copy_audit(cx, &mut *session, None).await;
        Ok(())
    }

    /// Says what was done at each stage, and what was lost.
    fn lines(&self) -> Vec<String> {
        let stages = self.report.stages.iter().map(|stage| match stage.ok {
            true => format!("{}: {}", stage.stage, stage.said),
            false => format!("{} failed: {}", stage.stage, stage.said),
        });
        let lost = self.report.lost.iter().map(|loss| {
            format!(
                "lost in table `{}`: {} (the safety point has it)",
                loss.table, loss.what
            )
        });
        stages
            .chain(lost)
            .chain(self.report.failed_after.iter().cloned())
            .collect()
    }
}
