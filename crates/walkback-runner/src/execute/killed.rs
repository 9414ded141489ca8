//! The rows of runs that were killed: who ends them, and what is told of them.

use walkback_core::{Cx, Result};

use super::{Execution, join};
use crate::identity;
use crate::journal::{RunEnd, RunRecord, RunStatus};

impl Execution<'_> {
    /// Ends the rows of runs that were killed. Where every migration is one transaction nothing of them is
    /// half-done, and there is nothing to repair; anything else needs `recover`.
    pub(super) async fn close_interrupted(&mut self, cx: &Cx) -> Result<()> {
        self.state.refuse_half_done()?;
        let unfinished = std::mem::take(&mut self.state.unfinished);
        if !unfinished.is_empty() {
            self.clear_after_kill(cx).await;
        }
        for run in &unfinished {
            let left = self.left_by_hooks(cx, run).await?;
            self.close_run(cx, run, "found nothing half-done").await?;
            self.report.warnings.push(format!(
                "run `{}` ({}) had been killed; nothing of it was half-done, and its row is closed now",
                run.id, run.kind
            ));
            self.report.warnings.extend(left);
        }
        Ok(())
    }

    /// Ends the rows of runs that were killed, in the current transaction: what they left half-done has been
    /// replaced, or a person says what is really there.
    pub(crate) async fn settle_unfinished(&mut self, cx: &Cx) -> Result<()> {
        for statement in std::mem::take(&mut self.state.half_done) {
            self.journal()
                .forget_statements(cx, &statement.run_id, &statement.migration)
                .await?;
        }
        let at = identity::moment(cx.now());
        self.abandon_load(cx).await?;
        let detail = format!("it was killed; run `{}` put it right", self.run.id);
        for run in std::mem::take(&mut self.state.unfinished) {
            let left = self.left_by_hooks(cx, &run).await?;
            let by = self.runner.author();
            let end = RunEnd {
                id: &run.id,
                status: RunStatus::Interrupted,
                to: &run.from,
                detail: &detail,
                lost: None,
                at: &at,
            };
            Box::pin(self.journal().finish_run(cx, &by, end)).await?;
            self.report.warnings.extend(left);
        }
        Ok(())
    }

    /// Ends the row of a run that was killed, and says what this one has found or done.
    pub(crate) async fn close_run(&mut self, cx: &Cx, run: &RunRecord, what: &str) -> Result<()> {
        self.drop_unneeded_backups(cx, &run.id).await?;
        let to = join(&self.state.heads(&self.state.applied_set()));
        let detail = format!("it was killed; run `{}` {what}", self.run.id);
        let at = identity::moment(cx.now());
        let by = self.runner.author();
        let end = RunEnd {
            id: &run.id,
            status: RunStatus::Interrupted,
            to: &to,
            detail: &detail,
            lost: None,
            at: &at,
        };
        Box::pin(self.journal().finish_run_alone(cx, &by, end)).await?;
        cx.step("run.closed");
        Ok(())
    }
}
