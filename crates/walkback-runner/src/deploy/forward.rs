//! A deployment, and a full rollback: stage after stage.

use walkback_core::{Cx, Error, ErrorKind, Result};

use super::procedure::Procedure;
use super::{BACKUP, DeployPlan, PlannedStage, ProcedureReport, ROLLBACK, UP};
use crate::gate;
use crate::hooks::Moment;
use crate::report::RunReport;
use crate::rollback::RollbackPlan;
use crate::runner::{Runner, UpTarget};
use crate::settings::Consent;

impl Runner {
    /// Plans a deployment: a backup, the hooks, the migrations, the health check, and what is done if one of them fails.
    /// Nothing is written and nothing is run.
    ///
    /// # Errors
    /// As [`Runner::plan_up`], and `Config` if there is no store for the backup.
    pub async fn plan_deploy(&self, cx: &Cx, target: UpTarget) -> Result<DeployPlan> {
        self.needed_vault()?;
        let up = self.plan_up(cx, target).await?;
        let hooks = &self.settings().hooks;
        let hook = |moment| PlannedStage::hook(hooks, moment);
        let migrations = up.steps.len();
        let stages = [
            hook(Moment::BeforeDeploy),
            Some(PlannedStage::work(BACKUP, "the whole database")),
            hook(Moment::StopServices),
            (migrations > 0).then(|| {
                PlannedStage::work(
                    UP,
                    match migrations {
                        1 => "1 migration".to_owned(),
                        several => format!("{several} migrations"),
                    },
                )
            }),
            hook(Moment::StartServices),
            hook(Moment::HealthCheck),
            hook(Moment::AfterDeploy),
        ];
        let back = [
            hook(Moment::StopServices),
            (migrations > 0)
                .then(|| PlannedStage::work(ROLLBACK, "what was applied, by the kind that loses least")),
            hook(Moment::StartServices),
            hook(Moment::HealthCheck),
            hook(Moment::RollbackCode),
            hook(Moment::RollbackCode).and_then(|_| hook(Moment::HealthCheck)),
            hook(Moment::AfterDeploy),
        ];
        Ok(DeployPlan {
            stages: stages.into_iter().flatten().collect(),
            back: back.into_iter().flatten().collect(),
            up,
        })
    }

    /// Runs a deployment as planned. If a stage fails it goes back by itself: what was applied is walked back, services are
    /// started, the health check is asked again, and the code is brought back by the environment's `rollback_code`.
    ///
    /// # Errors
    /// The error of the stage that failed, once all is as it was before; `NeedsRecovery` if it could not be brought back.
    pub async fn run_deploy(&self, cx: &Cx, plan: &DeployPlan, consent: &Consent) -> Result<ProcedureReport> {
        gate::plan(self.settings(), cx, &plan.up, consent)?;
        gate::hours(self.settings(), cx)?;
        let heads = (&plan.up.from[..], &plan.up.to[..]);
        let (mut procedure, cx) = Procedure::begin(self, cx, "deploy", consent, heads).await?;
        let outcome = match Box::pin(procedure.deploy(&cx, plan)).await {
            Ok(()) => Ok(()),
            Err(error) => Err(Box::pin(procedure.go_back(&cx.shielded(), plan, error)).await),
        };
        let outcome = procedure.after_deploy(&cx, outcome).await;
        procedure.conclude(&cx, outcome).await
    }

    /// Returns the stages of a full rollback.
    #[must_use]
    pub fn full_rollback_stages(&self) -> Vec<PlannedStage> {
        let hooks = &self.settings().hooks;
        let hook = |moment| PlannedStage::hook(hooks, moment);
        [
            hook(Moment::StopServices),
            Some(PlannedStage::work(BACKUP, "the whole database, for safety")),
            Some(PlannedStage::work(ROLLBACK, "as above")),
            hook(Moment::StartServices),
            hook(Moment::HealthCheck),
            hook(Moment::RollbackCode),
            hook(Moment::RollbackCode).and_then(|_| hook(Moment::HealthCheck)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Runs a rollback with all that belongs to it: services are stopped, a backup is made, the database is walked back,
    /// services are started, the health check is asked, and then the code is brought back.
    ///
    /// # Errors
    /// As [`Runner::run_rollback`]; what fails after the database was walked back is in the report instead.
    pub async fn run_full_rollback(
        &self,
        cx: &Cx,
        plan: &RollbackPlan,
        consent: &Consent,
    ) -> Result<ProcedureReport> {
        gate::rollback(self.settings(), plan, consent)?;
        self.needed_vault()?;
        let heads = (&plan.from[..], &plan.to[..]);
        let (mut procedure, cx) = Procedure::begin(self, cx, FULL_ROLLBACK, consent, heads).await?;
        let outcome = Box::pin(procedure.full_rollback(&cx, plan)).await;
        procedure.conclude(&cx, outcome).await
    }
}

/// What a full rollback is called in the journal.
pub(crate) const FULL_ROLLBACK: &str = "full-rollback";

impl Procedure<'_> {
    async fn deploy(&mut self, cx: &Cx, plan: &DeployPlan) -> Result<()> {
        self.hooks(cx, Moment::BeforeDeploy, None).await?;
        self.backup(cx, "before a deployment").await?;
        self.stopped = true;
        self.hooks(cx, Moment::StopServices, None).await?;
        if !plan.up.is_empty() {
            self.enter(cx, UP).await?;
            let outcome = self.inside(false).run(cx, &plan.up, self.consent).await;
            self.left_by(UP, outcome)?;
        }
        self.started = true;
        self.hooks(cx, Moment::StartServices, None).await?;
        self.hooks(cx, Moment::HealthCheck, None).await?;
        self.reached(cx).await
    }

    /// Notes what a run of the procedure did. A hook after it that fails is a failure here.
    pub(super) fn left_by(&mut self, stage: &'static str, outcome: Result<RunReport>) -> Result<()> {
        let said = outcome.as_ref().map(crate::execute::summary);
        self.leave(stage, &outcome, said.unwrap_or_default());
        let report = outcome?;
        let failed = report.failed_after.join("; ");
        self.report.runs.push(report);
        if failed.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Hook, failed))
    }

    /// Runs the hooks after a deployment, whatever came of it.
    async fn after_deploy(&mut self, cx: &Cx, outcome: Result<()>) -> Result<()> {
        let word = match &outcome {
            Ok(()) => "done",
            Err(error) if error.kind() == ErrorKind::NeedsRecovery => "needs_recovery",
            Err(error) if error.kind() == ErrorKind::Interrupted => "undone",
            Err(_) => "failed",
        };
        let cx = &if outcome.is_ok() {
            cx.clone()
        } else {
            cx.shielded()
        };
        let after = self.hooks(cx, Moment::AfterDeploy, Some(word)).await;
        match (outcome, after) {
            (Ok(()), Err(after)) => {
                self.report.failed_after.push(after.to_string());
                Ok(())
            }
            (Err(error), Err(after)) => Err(error.hint(format!("and then: {after}"))),
            (outcome, Ok(())) => outcome,
        }
    }

    async fn full_rollback(&mut self, cx: &Cx, plan: &RollbackPlan) -> Result<()> {
        self.stopped = true;
        let mut outcome = self.hooks(cx, Moment::StopServices, None).await;
        if outcome.is_ok() {
            outcome = self.backup(cx, "before a full rollback").await;
        }
        if outcome.is_ok() {
            outcome = self.walk_back(cx, plan, false).await;
        }
        match outcome {
            Ok(()) => {}
            // A hook after the rollback does not take it back.
            Err(error) if self.report.runs.last().is_some() => {
                self.report.failed_after.push(error.to_string())
            }
            Err(error) => return Err(self.start_after(&cx.shielded(), error).await),
        }
        // The database is walked back: services are started also after Ctrl-C.
        let cx = &cx.shielded();
        self.reached(cx).await?;
        self.bring_back_services_and_code(cx, "done", true).await;
        Ok(())
    }

    /// Walks the database back, and notes what that took away.
    pub(super) async fn walk_back(&mut self, cx: &Cx, plan: &RollbackPlan, goes_back: bool) -> Result<()> {
        self.enter(cx, ROLLBACK).await?;
        let inside = self.inside(goes_back);
        let outcome = Box::pin(inside.run_rollback(cx, plan, self.consent)).await;
        if outcome.is_ok() {
            self.report.lost = plan.loss().cloned().collect();
        }
        self.left_by(ROLLBACK, outcome)
    }

    /// Starts the services again after a failure before which nothing was changed.
    async fn start_after(&mut self, cx: &Cx, error: Error) -> Error {
        if error.kind() == ErrorKind::NeedsRecovery {
            return self.left_stopped(error);
        }
        match self.hooks(cx, Moment::StartServices, Some("failed")).await {
            Ok(()) => error,
            Err(second) => error.hint(format!("and then: {second}")),
        }
    }

    /// Says that services stay stopped while the database is between two states.
    pub(super) fn left_stopped(&mut self, error: Error) -> Error {
        self.half_done = true;
        let hooks = &self.runner.settings().hooks;
        let left = hooks.phrases(Moment::StartServices).into_iter();
        left.fold(error, |error, command| {
            error.hint(format!(
                "services were not started; once the database is right: `{command}`"
            ))
        })
    }
}
