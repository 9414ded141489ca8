//! The way back of a deployment that failed: the database first, then services, then the code.

use std::time::Duration;

use walkback_core::{Cx, Error, ErrorKind, Result};

use super::DeployPlan;
use super::procedure::Procedure;
use crate::changes::OnConflict;
use crate::hooks::Moment;
use crate::journal::RunRecord;
use crate::plan::RunKind;
use crate::rollback::{RollbackKind, RollbackPlan, RollbackRequest, RollbackWhat};
use crate::settings::Decision;

/// How often the way back is planned again where the database does not answer.
const TRIES: usize = 10;

/// How long to wait before that.
const PAUSE: Duration = Duration::from_secs(1);

impl Procedure<'_> {
    /// Goes back after a stage has failed, and returns what to tell.
    pub(super) async fn go_back(&mut self, cx: &Cx, plan: &DeployPlan, error: Error) -> Error {
        self.goes_back = true;
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
            self.stayed();
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
        // Where the database stays at what was applied, the code that fits it stays too; and where no code was started
        // there is none to take back.
        let with_code = back.is_ok() && self.started && self.ahead.is_none();
        let runs = self.bring_back_services_and_code(cx, "failed", with_code).await;
        self.reached(cx).await.ok();
        let failed = self.report.failed_after.split_off(before);
        let told = match &back {
            Ok(()) => self.taken_back(error.wrap(as_it_was(stage, self.ahead.as_ref()))),
            Err(second) => not_taken_back(error, stage, second, runs),
        };
        let told = failed
            .into_iter()
            .fold(told, |told, failure| told.hint(format!("and then: {failure}")));
        match runs {
            Services::Stopped => self.not_started(told),
            _ => told,
        }
    }

    /// Names the code that was not brought back, because the database was ahead of it already.
    fn taken_back(&self, error: Error) -> Error {
        if self.ahead.is_none() || !self.started {
            return error;
        }
        let hooks = &self.runner.settings().hooks;
        let left = hooks.phrases(Moment::RollbackCode).into_iter();
        let error = left.fold(error, |error, command| {
            error.hint(format!(
                "the code of before may not fit the database, and was not brought back: `{command}`"
            ))
        });
        error.hint(
            "`walkback rollback --full` takes back the migrations of that deployment, and the code with them",
        )
    }

    /// Walks back what was applied.
    async fn database_back(&mut self, cx: &Cx, plan: &DeployPlan) -> Result<()> {
        let Some(run) = self.begun.last(RunKind::Up.name()) else {
            return Ok(());
        };
        // First of all, so that what services write until they stop is counted.
        if self.started
            && let Err(error) = self.hooks(cx, Moment::StopServices, Some("failed")).await
        {
            // What services write meanwhile is kept by the rollback, or counted as lost.
            cx.progress().warn(&format!("{error}; going back all the same"));
        }
        let Some(back) = self.plan_back(cx, plan, &run).await? else {
            return Ok(());
        };
        self.refuse_loss(&back)?;
        self.walk_back(cx, &back, true).await
    }

    /// Plans to walk back what its own run has applied, and nothing else. `None`: it has applied nothing. A database that
    /// does not answer is asked again for a while.
    async fn plan_back(&self, cx: &Cx, plan: &DeployPlan, run: &str) -> Result<Option<RollbackPlan>> {
        let mut tries = 0;
        loop {
            match self.try_to_plan_back(cx, plan, run).await {
                Err(error) if error.kind() == ErrorKind::Unavailable && tries < TRIES => {
                    tries += 1;
                    tracing::warn!(%error, tries, "the way back cannot be planned yet");
                    tokio::time::sleep(PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_to_plan_back(&self, cx: &Cx, plan: &DeployPlan, run: &str) -> Result<Option<RollbackPlan>> {
        let inside = self.inside(true);
        let applied = inside.state(cx).await?.applied_set();
        if applied == plan.up.applied.iter().cloned().collect() {
            return Ok(None);
        }
        let request = RollbackRequest {
            what: RollbackWhat::Run(run.to_owned()),
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
    /// of it takes anything back. Returns what is known of the services.
    pub(super) async fn bring_back_services_and_code(
        &mut self,
        cx: &Cx,
        word: &'static str,
        with_code: bool,
    ) -> Services {
        let hooks = &self.runner.settings().hooks;
        let has_code = with_code && hooks.has(Moment::RollbackCode);
        let starts = hooks.has(Moment::StartServices);
        let mut failures = Vec::new();
        let start = self.hooks(cx, Moment::StartServices, Some(word)).await;
        let services = match (&start, starts) {
            (_, false) => Services::Unknown,
            (Ok(()), true) => Services::Run,
            (Err(_), true) => Services::Stopped,
        };
        failures.extend(start.err());
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
        services
    }
}

/// What is known of the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Services {
    /// They were started.
    Run,
    /// The commands that start them have failed.
    Stopped,
    /// No command starts them.
    Unknown,
}

fn as_it_was(stage: &str, ahead: Option<&RunRecord>) -> String {
    match ahead {
        None => format!("the deployment failed at `{stage}`, and was taken back: the database is as it was"),
        Some(run) => format!(
            "the deployment failed at `{stage}`, and was taken back: the database is as run `{}` ({}) has left it, which did \
             not end well",
            run.id, run.kind
        ),
    }
}

fn not_taken_back(error: Error, stage: &str, second: &Error, services: Services) -> Error {
    let stays = match services {
        Services::Run => "services run with what was applied",
        Services::Stopped | Services::Unknown => "what was applied stays",
    };
    // Nothing is half-done where the way back was refused or has failed. A database that did not answer has to be looked at.
    let kind = match second.kind() {
        kind @ (ErrorKind::Refused | ErrorKind::Conflict | ErrorKind::Damaged) => kind,
        ErrorKind::Unavailable | ErrorKind::Interrupted => ErrorKind::NeedsRecovery,
        _ => ErrorKind::CheckFailed,
    };
    error
        .with_kind(kind)
        .wrap(format!(
            "the deployment failed at `{stage}`, and what it applied could not be walked back: {second}"
        ))
        .hint(format!(
            "{stays}; `walkback rollback --dry-run` shows the ways back"
        ))
}
