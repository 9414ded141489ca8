//! Applications are kept from writing while a run works, and may write again when it ends, however it ends.
//!
//! The journal says so before it is done: what a killed run leaves is released by the next one, by `recover`, by
//! `maintenance off`, and by `unlock` where it ends a session. What a person has switched on with `maintenance on` stays on.
//! The mark also says what was set before, which is set again.

use std::time::{Duration, Instant};

use walkback_core::engine::{Claim, Control};
use walkback_core::{Access, Cx, Error, ErrorKind, Result};

use crate::execute::Execution;
use crate::journal::Journal;
use crate::runner::Runner;

/// What the journal calls it.
const MARK: &str = "read_only_for";

/// How often it is asked whether nobody else has the mode of the server.
const AGAIN: Duration = Duration::from_millis(100);

/// How often it is tried again to let applications write.
const TRIES: usize = 5;

/// How long to wait before that.
const PAUSE: Duration = Duration::from_secs(1);

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

    /// Says before anything is done whether applications can be kept from writing, where the policy wants that. What only
    /// goes back is not stopped by it.
    pub(crate) async fn check_quiet(&self, cx: &Cx) -> Result<()> {
        if self.goes_back_anyway() {
            return Ok(());
        }
        match self.quiet()? {
            Some(control) => control.check_read_only(cx).await,
            None => Ok(()),
        }
    }

    /// Waits until nobody else on the server keeps applications from writing, or lets them again.
    pub(crate) async fn claim_quiet(&self, cx: &Cx, control: &dyn Control) -> Result<Claim> {
        let patience = self.settings().lock_timeout;
        let (began, mut said) = (Instant::now(), false);
        loop {
            if let Some(claim) = control.claim_read_only(cx).await? {
                return Ok(claim);
            }
            if began.elapsed() >= patience {
                return Err(Error::new(
                    ErrorKind::Locked,
                    "another run on this server keeps applications from writing, and the mode is the whole server's",
                )
                .hint(format!(
                    "waited {} s; wait longer with `--lock-timeout 5m`",
                    patience.as_secs()
                ))
                .hint("a run whose machine is gone leaves the mode to others within a minute"));
            }
            if !said {
                cx.progress()
                    .note("waiting for another run on this server, which keeps applications from writing");
                said = true;
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                ended = cx.ended() => return Err(ended),
            }
        }
    }

    /// Lets applications write again where a run has left it otherwise that was killed, or is ending.
    pub(crate) async fn release_after_kill(
        &self,
        cx: &Cx,
        claim: Option<&Claim>,
    ) -> Result<Option<Released>> {
        let Some(control) = self.engine().control() else {
            return Ok(None);
        };
        let mut session = self.connect(cx, Access::Write).await?;
        let dialect = self.dialect();
        let mut journal = Journal::new(&mut *session, &*dialect);
        if !journal.exists(cx).await? {
            return Ok(None);
        }
        let Some(mark) = journal.meta(cx, MARK).await? else {
            return Ok(None);
        };
        let own = match claim {
            Some(_) => None,
            None => Some(self.claim_quiet(cx, control).await?),
        };
        let (run, before) = match mark.split_once(' ') {
            Some((run, before)) => (run, Some(before)),
            None => (&*mark, None),
        };
        let notice = control
            .end_read_only(cx, before, self.settings().lock_timeout)
            .await?;
        cx.step("read_only.off");
        journal.forget_meta(cx, MARK).await?;
        cx.step("read_only.forgotten");
        drop(own);
        Ok(Some(Released {
            run: run.to_owned(),
            notice,
        }))
    }
}

/// That applications may write again.
pub(crate) struct Released {
    /// The run that had kept them from it.
    pub(crate) run: String,
    /// Whom that does not reach.
    pub(crate) notice: Option<String>,
}

impl Execution<'_> {
    /// Keeps applications from writing, where the policy wants that. The mark is durable first.
    pub(crate) async fn keep_quiet(&mut self, cx: &Cx) -> Result<()> {
        let runner = self.runner;
        let Some(control) = runner.quiet()? else {
            return Ok(());
        };
        self.claim = Some(runner.claim_quiet(cx, control).await?);
        if control.read_only(cx).await? {
            return Ok(());
        }
        let before = control.before_read_only(cx).await?;
        let mark = format!("{} {before}", self.run.id);
        self.keeps_quiet = true;
        self.journal().set_meta(cx, MARK, &mark).await?;
        cx.step("read_only.marked");
        control
            .begin_read_only(cx, runner.settings().lock_timeout)
            .await?;
        cx.step("read_only.on");
        Ok(())
    }

    /// Lets applications write again, by a connection of its own: that of the run may be lost. Returns what has failed; whom it
    /// does not reach is a warning.
    pub(crate) async fn end_quiet(&mut self, cx: &Cx) -> Option<String> {
        let cx = &cx.shielded();
        if !self.keeps_quiet && !matches!(self.journal().meta(cx, MARK).await, Ok(Some(_))) {
            self.claim = None;
            return None;
        }
        let mut tries = 0;
        let outcome = loop {
            match self.runner.release_after_kill(cx, self.claim.as_ref()).await {
                Err(error) if tries < TRIES => {
                    tries += 1;
                    tracing::warn!(%error, tries, "applications are not let to write yet");
                    tokio::time::sleep(PAUSE).await;
                }
                outcome => break outcome,
            }
        };
        self.claim = None;
        match outcome {
            Ok(released) => {
                self.keeps_quiet = false;
                let notice = released.and_then(|released| released.notice);
                self.report.warnings.extend(notice);
                None
            }
            Err(error) => Some(format!(
                "applications are still kept from writing: {error}; `walkback maintenance off` lets them"
            )),
        }
    }

    /// Lets applications write again where a killed run has left it otherwise, and says so.
    pub(crate) async fn end_quiet_of_killed(&mut self, cx: &Cx) -> Result<()> {
        if self.journal().meta(cx, MARK).await?.is_none() {
            return Ok(());
        }
        if let Some(released) = self.runner.release_after_kill(cx, None).await? {
            let warnings = &mut self.report.warnings;
            warnings.push(format!(
                "applications were still kept from writing for run `{}`, which was killed; they may write again",
                released.run
            ));
            warnings.extend(released.notice);
        }
        Ok(())
    }
}
