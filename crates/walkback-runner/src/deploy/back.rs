//! The way back of a deployment that failed: the database first, then services, then the code.

use walkback_core::{Access, Cx, Error, ErrorKind, Result};

use super::DeployPlan;
use super::procedure::Procedure;
use crate::changes::OnConflict;
use crate::hooks::Moment;
use crate::journal::Journal;
use crate::rollback::{RollbackKind, RollbackPlan, RollbackRequest, RollbackWhat};
use crate::settings::Decision;

impl Procedure<'_> {
    /// Goes back after a stage has failed, and returns what to tell.
    pub(super) async fn go_back(&mut self, cx: &Cx, plan: &DeployPlan, error: Error) -> Error {
        let stage = self
            .report
            .stages
            .last()
            .map_or("its beginning", |stage| stage.stage);
        if error.kind() == ErrorKind::NeedsRecovery {
            let error = error.wrap(format!(
                "the deployment failed at `{stage}`, and the database is between two states"
            ));
            return self.left_stopped(error);
        }
        if !self.stopped {
            return error.wrap(format!("the deployment failed at `{stage}`; nothing was changed"));
        }
        cx.progress().warn(&format!(
            "the deployment failed at `{stage}`: {error}; going back"
        ));
        let back = self.database_back(cx, plan).await;
        if let Err(second) = &back
            && second.kind() == ErrorKind::NeedsRecovery
        {
            let told =
                format!("the deployment failed at `{stage}` ({error}), and so did the way back: {second}");
            return self.left_stopped(Error::new(ErrorKind::NeedsRecovery, told));
        }
        let before = self.report.failed_after.len();
        // Where the database stays at what was applied, the code that fits it stays too.
        self.bring_back_services_and_code(cx, "failed", back.is_ok())
            .await;
        self.reached(cx).await.ok();
        let failed = self.report.failed_after.split_off(before);
        let told = match &back {
            Ok(()) => error.wrap(format!(
                "the deployment failed at `{stage}`, and was taken back: the database is as it was"
            )),
            Err(second) => error
                .with_kind(ErrorKind::NeedsRecovery)
                .wrap(format!(
                    "the deployment failed at `{stage}`, and what it applied could not be walked back: {second}"
                ))
                .hint("services run with what was applied; `walkback rollback --dry-run` shows the ways back"),
        };
        failed
            .into_iter()
            .fold(told, |told, failure| told.hint(format!("and then: {failure}")))
    }

    /// Walks back what was applied.
    async fn database_back(&mut self, cx: &Cx, plan: &DeployPlan) -> Result<()> {
        let Some(back) = self.plan_back(cx, plan).await? else {
            return Ok(());
        };
        if self.started
            && let Err(error) = self.hooks(cx, Moment::StopServices, Some("failed")).await
        {
            // What services write meanwhile is kept by the rollback, or counted as lost.
            cx.progress().warn(&format!("{error}; going back all the same"));
        }
        self.refuse_loss(&back)?;
        self.walk_back(cx, &back, true).await
    }

    /// Plans to walk back what was applied. `None`: nothing was.
    async fn plan_back(&self, cx: &Cx, plan: &DeployPlan) -> Result<Option<RollbackPlan>> {
        let inside = self.inside(true);
        let applied = inside.state(cx).await?.applied_set();
        if applied == plan.up.applied.iter().cloned().collect() {
            return Ok(None);
        }
        let mut session = inside.connect(cx, Access::Read).await?;
        let dialect = inside.dialect();
        let runs = Journal::new(&mut *session, &*dialect).runs(cx, Some(1)).await?;
        drop(session);
        let Some(run) = runs.into_iter().next() else {
            return Ok(None);
        };
        let request = RollbackRequest {
            what: RollbackWhat::Run(run.id),
            kind: RollbackKind::Auto,
            on_conflict: OnConflict::Keep,
        };
        inside.plan_rollback(cx, &request).await.map(Some)
    }

    /// Nobody is there to ask, and a policy that refuses a loss means it. Where it asks, the deployment was the answer: what
    /// is taken away is kept in the safety point.
    fn refuse_loss(&self, back: &RollbackPlan) -> Result<()> {
        let policy = &self.runner.settings().policy;
        let lost: u64 = back.loss().map(|loss| loss.rows).sum();
        if lost == 0 || policy.lossy != Decision::Refuse || self.consent.lossy {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Refused,
            format!(
                "going back would take away {lost} rows written since, and `lossy = \"refuse\"` forbids that"
            ),
        ))
    }

    /// Starts the services, asks whether the application is well, and brings the code back. What fails is told; nothing
    /// of it takes anything back.
    pub(super) async fn bring_back_services_and_code(
        &mut self,
        cx: &Cx,
        word: &'static str,
        with_code: bool,
    ) {
        let has_code = with_code && self.runner.settings().hooks.has(Moment::RollbackCode);
        let mut failures = Vec::new();
        failures.extend(self.hooks(cx, Moment::StartServices, Some(word)).await.err());
        let health = self.hooks(cx, Moment::HealthCheck, Some(word)).await;
        if has_code {
            failures.extend(self.hooks(cx, Moment::RollbackCode, Some(word)).await.err());
            // With the code of before the application may be well again, and only that counts.
            failures.extend(self.hooks(cx, Moment::HealthCheck, Some(word)).await.err());
        } else {
            failures.extend(health.err());
        }
        self.report
            .failed_after
            .extend(failures.iter().map(ToString::to_string));
    }
}
