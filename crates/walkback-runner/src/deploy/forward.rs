//! A deployment: stage after stage.

use walkback_core::{Cx, Error, ErrorKind, MigrationId, Result};

use super::procedure::{Planned, Procedure, outdated, still_applied};
use super::{BACKUP, DEPLOY, DeployPlan, PlannedStage, ProcedureReport, ROLLBACK, UP};
use crate::gate;
use crate::hooks::Moment;
use crate::report::RunReport;
use crate::rollback::RollbackPlan;
use crate::runner::{Runner, UpTarget};
use crate::settings::Consent;
use crate::state::State;

impl Runner {
    /// Plans a deployment: a backup, the hooks, the migrations, the health check, and what is done if one of them fails.
    /// Nothing is written and nothing is run.
    ///
    /// # Errors
    /// As [`Runner::plan_up`], and `Config` if there is no store for the backup.
    pub async fn plan_deploy(&self, cx: &Cx, target: UpTarget) -> Result<DeployPlan> {
        self.needed_vault()?;
        let up = self.plan_up(cx, target.clone()).await?;
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
            target,
        })
    }

    /// Runs a deployment as planned. If a stage fails it goes back by itself: what was applied is walked back, services are
    /// started, the health check is asked again, and the code is brought back by the environment's `rollback_code`.
    ///
    /// # Errors
    /// The error of the stage that failed, once all is as it was before; `NeedsRecovery` if it could not be brought back.
    pub async fn run_deploy(&self, cx: &Cx, plan: &DeployPlan, consent: &Consent) -> Result<ProcedureReport> {
        let admitted =
            gate::plan(self, cx, &plan.up, consent).and_then(|()| gate::hours(self.settings(), cx));
        self.noting_refusal(cx, DEPLOY, consent, admitted).await?;
        let planned = Planned {
            to: &plan.up.to,
            holds: &|state| plan.still_holds(state),
        };
        let (mut procedure, cx) = Procedure::begin(self, cx, DEPLOY, consent, planned).await?;
        let outcome = match Box::pin(procedure.deploy(&cx, plan)).await {
            Ok(()) => Ok(()),
            Err(error) => Err(Box::pin(procedure.go_back(&cx.shielded(), plan, error)).await),
        };
        let outcome = procedure.after_deploy(&cx, outcome).await;
        procedure.conclude(&cx, outcome).await
    }
}

impl DeployPlan {
    /// Fails unless the database is what this was planned for: the same migrations applied, and the same pending.
    fn still_holds(&self, state: &State) -> Result<()> {
        state.refuse_half_done()?;
        still_applied(state, &self.up.applied)?;
        let planned: Vec<&MigrationId> = self.up.steps.iter().map(|step| &step.id).collect();
        if state.ups(&self.target)?.iter().collect::<Vec<_>>() != planned {
            return Err(outdated());
        }
        Ok(())
    }
}

impl Procedure<'_> {
    async fn deploy(&mut self, cx: &Cx, plan: &DeployPlan) -> Result<()> {
        self.ahead = self.left_ahead(cx).await?;
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
        if let Err(error) = self.reached(cx).await {
            // The application is well: what cannot be read afterwards takes nothing back.
            cx.progress().warn(&format!(
                "the deployment is done; what is applied cannot be read: {error}"
            ));
            self.report.to.clone_from(&plan.up.to);
        }
        Ok(())
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

    /// Says that services stay stopped while the database is between two states.
    pub(super) fn left_stopped(&mut self, error: Error) -> Error {
        self.half_done = true;
        self.name_start(error, "services were not started; once the database is right")
    }

    /// Names the commands that start the services, which have failed.
    pub(super) fn not_started(&self, error: Error) -> Error {
        self.name_start(error, "services were not started; once that is put right")
    }

    fn name_start(&self, error: Error, why: &str) -> Error {
        let hooks = &self.runner.settings().hooks;
        let left = hooks.phrases(Moment::StartServices).into_iter();
        left.fold(error, |error, command| error.hint(format!("{why}: `{command}`")))
    }
}
