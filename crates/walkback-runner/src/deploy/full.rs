//! A full rollback: services, a backup, the database, services, the health check, the code.

use std::collections::BTreeMap;

use walkback_core::{Cx, Error, ErrorKind, Result, TableName};

use super::procedure::{Planned, Procedure, still_applied};
use super::{BACKUP, PlannedStage, ProcedureReport, ROLLBACK};
use crate::gate;
use crate::hooks::Moment;
use crate::rollback::{RollbackPlan, RollbackRequest};
use crate::runner::Runner;
use crate::settings::{Consent, Decision};

/// What a full rollback is called in the journal.
pub(crate) const FULL_ROLLBACK: &str = "full-rollback";

impl Runner {
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
    /// What services wrote until they stopped is counted once they have: `plan` is made anew from `request` then, and
    /// nothing is taken back if it loses more than `plan` has said.
    ///
    /// # Errors
    /// As [`Runner::run_rollback`]; what fails after the database was walked back is in the report instead.
    pub async fn run_full_rollback(
        &self,
        cx: &Cx,
        request: &RollbackRequest,
        plan: &RollbackPlan,
        consent: &Consent,
    ) -> Result<ProcedureReport> {
        let admitted = gate::rollback(self.settings(), plan, consent);
        self.noting_refusal(cx, FULL_ROLLBACK, consent, admitted).await?;
        self.needed_vault()?;
        let planned = Planned {
            to: &plan.to,
            holds: &|state| still_applied(state, &plan.applied),
        };
        let (mut procedure, cx) = Procedure::begin(self, cx, FULL_ROLLBACK, consent, planned).await?;
        let outcome = Box::pin(procedure.full_rollback(&cx, request, plan)).await;
        procedure.conclude(&cx, outcome).await
    }
}

impl Procedure<'_> {
    async fn full_rollback(&mut self, cx: &Cx, request: &RollbackRequest, plan: &RollbackPlan) -> Result<()> {
        self.stopped = true;
        match Box::pin(self.stop_and_walk_back(cx, request, plan)).await {
            Ok(()) => {}
            // A hook after the rollback does not take it back.
            Err(error) if self.report.runs.last().is_some() => {
                self.report.failed_after.push(error.to_string());
            }
            Err(error) => return Err(self.start_after(&cx.shielded(), error).await),
        }
        // The database is walked back: services are started also after Ctrl-C.
        let cx = &cx.shielded();
        self.goes_back = true;
        if let Err(error) = self.reached(cx).await {
            self.report.to.clone_from(&plan.to);
            self.report
                .failed_after
                .push(format!("what is applied cannot be read: {error}"));
        }
        self.bring_back_services_and_code(cx, "done", true).await;
        Ok(())
    }

    async fn stop_and_walk_back(
        &mut self,
        cx: &Cx,
        request: &RollbackRequest,
        plan: &RollbackPlan,
    ) -> Result<()> {
        self.hooks(cx, Moment::StopServices, None).await?;
        let now = self.inside(false).plan_rollback(cx, request).await?;
        self.refuse_more_loss(plan, &now)?;
        self.backup(cx, "before a full rollback").await?;
        self.walk_back(cx, &now, false).await
    }

    /// Refuses to take away more than was shown and confirmed.
    fn refuse_more_loss(&self, confirmed: &RollbackPlan, now: &RollbackPlan) -> Result<()> {
        gate::rollback(self.runner.settings(), now, self.consent)?;
        if self.consent.lossy || self.runner.settings().policy.lossy == Decision::Allow {
            return Ok(());
        }
        let (then, now) = (by_table(confirmed), by_table(now));
        let grown = now
            .iter()
            .find(|(table, rows)| **rows > then.get(*table).copied().unwrap_or_default());
        let Some((table, rows)) = grown else {
            return Ok(());
        };
        Err(Error::new(
            ErrorKind::Refused,
            format!(
                "until the services stopped more was written: {rows} rows of table `{table}` would be taken back, not {} as \
                 was confirmed; nothing was changed",
                then.get(*table).copied().unwrap_or_default()
            ),
        )
        .hint("run the same command again: it shows what is lost now")
        .hint("`--allow-lossy` takes back whatever was written until the services stopped; the safety point keeps it"))
    }

    /// Starts the services again after a failure before which nothing was changed.
    async fn start_after(&mut self, cx: &Cx, error: Error) -> Error {
        if error.kind() == ErrorKind::NeedsRecovery {
            return self.left_stopped(error);
        }
        self.goes_back = true;
        self.stayed();
        let has_any = self.runner.settings().hooks.has(Moment::StartServices);
        match self.hooks(cx, Moment::StartServices, Some("failed")).await {
            Ok(()) if has_any => error.hint("the services were started again"),
            Ok(()) => error,
            Err(second) => self.not_started(error.hint(format!("and then: {second}"))),
        }
    }
}

fn by_table(plan: &RollbackPlan) -> BTreeMap<&TableName, u64> {
    let mut rows = BTreeMap::new();
    for loss in plan.loss() {
        *rows.entry(&loss.table).or_default() += loss.rows;
    }
    rows
}
