//! The run that others are part of: its lock, its row in the journal, its stages.

use std::sync::Arc;
use std::time::Instant;

use walkback_core::engine::Begin;
use walkback_core::{Access, Cx, ErrorKind, MigrationId, Result, Session};

use super::{BACKUP, ProcedureReport, Stage};
use crate::execute::join;
use crate::hooks::{Caller, Moment};
use crate::journal::{Journal, RunRecord, RunStatus};
use crate::lock::Lock;
use crate::runner::{Outer, Runner};
use crate::settings::Consent;
use crate::{identity, steady};

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
    lock: Arc<Lock>,
    run: RunRecord,
    records: Vec<crate::journal::HookRecord>,
    began: Instant,
}

impl<'a> Procedure<'a> {
    /// Takes the lock and writes the row of the procedure. The context to go on with is one whose moments come after
    /// those of earlier runs.
    pub(super) async fn begin(
        runner: &'a Runner,
        cx: &Cx,
        kind: &str,
        consent: &'a Consent,
        (from, to): (&[MigrationId], &[MigrationId]),
    ) -> Result<(Self, Cx)> {
        let lock = Lock::take(runner, cx, kind).await?;
        let mut session = runner.connect(cx, Access::Write).await?;
        let dialect = runner.dialect();
        runner.quiet()?;
        session.begin(cx, Begin::Write).await?;
        Journal::new(&mut *session, &*dialect).create(cx).await?;
        session.commit(cx).await?;
        let mut journal = Journal::new(&mut *session, &*dialect);
        let mut notices = Vec::new();
        let cx = steady::after_the_last(cx, &mut journal, &mut notices).await?;
        notices.iter().for_each(|notice| cx.progress().warn(notice));
        let settings = runner.settings();
        let run = RunRecord {
            id: identity::run_id(&cx),
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
        };
        journal.begin_run(&cx, &run, env!("CARGO_PKG_VERSION")).await?;
        cx.step("procedure.recorded");
        let report = ProcedureReport {
            run: run.id.clone(),
            stages: Vec::new(),
            backup: None,
            runs: Vec::new(),
            lost: Vec::new(),
            from: from.to_vec(),
            to: from.to_vec(),
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
            lock,
            run,
            records: Vec::new(),
            began: Instant::now(),
        };
        Ok((procedure, cx))
    }

    /// Returns the runner of the runs that this one is made of.
    pub(super) fn inside(&self, goes_back: bool) -> Runner {
        self.runner.inside(Outer {
            lock: Arc::clone(&self.lock),
            run: self.run.id.clone(),
            goes_back,
        })
    }

    /// Notes in the journal that a stage begins.
    pub(super) async fn enter(&mut self, cx: &Cx, stage: &'static str) -> Result<()> {
        cx.check()?;
        let done = self.report.stages.iter().map(|stage| {
            let how = if stage.ok { "done" } else { "failed" };
            format!("{} {how}", stage.stage)
        });
        let detail = done
            .chain([format!("{stage} begun")])
            .collect::<Vec<_>>()
            .join(", ");
        let mut session = self.runner.connect(cx, Access::Write).await?;
        let dialect = self.runner.dialect();
        Journal::new(&mut *session, &*dialect)
            .note_stage(cx, &self.run.id, &detail)
            .await?;
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
        self.enter(cx, moment.name()).await?;
        let mut session = self.runner.connect(cx, Access::Write).await?;
        let outcome = self.call(cx, &mut *session, moment, word).await;
        self.leave(moment.name(), &outcome, said);
        outcome
    }

    async fn call(
        &mut self,
        cx: &Cx,
        session: &mut dyn Session,
        moment: Moment,
        outcome: Option<&'static str>,
    ) -> Result<()> {
        let dialect = self.runner.dialect();
        let mut caller = Caller {
            runner: self.runner,
            session,
            dialect: &*dialect,
            home: None,
            run: &self.run,
            to: self.run.to.clone(),
            outcome,
            records: &mut self.records,
        };
        caller.call(cx, moment).await
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
        if status != RunStatus::Running {
            let mut session = self.runner.connect(cx, Access::Write).await?;
            let dialect = self.runner.dialect();
            let at = identity::moment(cx.now());
            Journal::new(&mut *session, &*dialect)
                .finish_run(cx, &self.run.id, status, &self.run.to, &lines.join("; "), &at)
                .await?;
            cx.step("procedure.finished");
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
