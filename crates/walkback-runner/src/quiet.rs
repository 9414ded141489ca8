//! Applications are kept from writing while a run works, and may write again when it ends, however it ends.
//!
//! The journal says so before it is done: what a killed run leaves is released by the next one, by `recover`, by
//! `maintenance off`, and by `unlock` where it ends a session. What a person has switched on with `maintenance on` stays on.

use walkback_core::engine::Control;
use walkback_core::{Access, Cx, Error, Result};

use crate::execute::Execution;
use crate::journal::Journal;
use crate::runner::Runner;

/// What the journal calls it.
const MARK: &str = "read_only_for";

impl Runner {
    /// Returns how to keep applications from writing, where the policy wants that during a run.
    ///
    /// # Errors
    /// `Unsupported` where the engine has no such mode.
    pub(crate) fn quiet(&self) -> Result<Option<&dyn Control>> {
        if !self.settings().policy.read_only_during_run {
            return Ok(None);
        }
        match self.engine().control() {
            Some(control) => Ok(Some(control)),
            None => Err(
                Error::unsupported("`read_only_during_run`", self.engine().info().scheme)
                    .hint("remove it from the policy, and stop the application by `before_up` and `stop_services` instead"),
            ),
        }
    }

    /// Lets applications write again where a killed run has left it otherwise. Returns the run.
    pub(crate) async fn release_after_kill(&self, cx: &Cx) -> Result<Option<String>> {
        let Some(control) = self.engine().control() else {
            return Ok(None);
        };
        let mut session = self.connect(cx, Access::Write).await?;
        let dialect = self.dialect();
        let mut journal = Journal::new(&mut *session, &*dialect);
        if !journal.exists(cx).await? {
            return Ok(None);
        }
        let Some(run) = journal.meta(cx, MARK).await? else {
            return Ok(None);
        };
        control.set_read_only(cx, false).await?;
        cx.step("read_only.off");
        journal.forget_meta(cx, MARK).await?;
        cx.step("read_only.forgotten");
        Ok(Some(run))
    }
}

impl Execution<'_> {
    /// Keeps applications from writing, where the policy wants that. The mark is durable first.
    pub(crate) async fn keep_quiet(&mut self, cx: &Cx) -> Result<()> {
        let runner = self.runner;
        let Some(control) = runner.quiet()? else {
            return Ok(());
        };
        if control.read_only(cx).await? {
            return Ok(());
        }
        let run = self.run.id.clone();
        self.journal().set_meta(cx, MARK, &run).await?;
        cx.step("read_only.marked");
        control.set_read_only(cx, true).await?;
        cx.step("read_only.on");
        Ok(())
    }

    /// Lets applications write again. What cannot be released is told; it is not what the run was for.
    pub(crate) async fn end_quiet(&mut self, cx: &Cx) {
        let cx = &cx.shielded();
        let outcome = match self.journal().meta(cx, MARK).await {
            Ok(None) => return,
            Ok(Some(_)) => self.runner.release_after_kill(cx).await,
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            self.report.failed_after.push(format!(
                "applications are still kept from writing: {error}; `walkback maintenance off` lets them"
            ));
        }
    }

    /// Lets applications write again where a killed run has left it otherwise, and says so.
    pub(crate) async fn end_quiet_of_killed(&mut self, cx: &Cx) -> Result<()> {
        if self.journal().meta(cx, MARK).await?.is_none() {
            return Ok(());
        }
        if let Some(run) = self.runner.release_after_kill(cx).await? {
            self.report.warnings.push(format!(
                "applications were still kept from writing for run `{run}`, which was killed; they may write again"
            ));
        }
        Ok(())
    }
}
