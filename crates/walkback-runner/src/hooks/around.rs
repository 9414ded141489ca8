//! The hooks round the work of a run: what fails before it stops it, what fails after it is told and changes nothing.

use walkback_core::{Cx, Direction, Error, ErrorKind, Result};

use super::{Caller, Moment, Notes};
use crate::execute::{Execution, join};
use crate::plan::PlannedStep;
use crate::state::State;

/// Which hooks run round the work of a run.
#[derive(Debug, Default)]
pub(crate) struct Around {
    before: Vec<Moment>,
    after: Vec<Moment>,
    checks_health: bool,
}

impl Around {
    /// Those of scripts that are run, of each direction once.
    pub(crate) fn steps(steps: &[PlannedStep]) -> Self {
        let goes = |direction| steps.iter().any(|step| step.direction == direction);
        let mut around = Self::default();
        if goes(Direction::Down) {
            around.before.push(Moment::BeforeDown);
            around.after.push(Moment::AfterDown);
        }
        if goes(Direction::Up) {
            around.before.push(Moment::BeforeUp);
            around.after.insert(0, Moment::AfterUp);
        }
        around
    }

    /// Those of a rollback.
    pub(crate) fn rollback() -> Self {
        Self {
            before: vec![Moment::BeforeRollback],
            after: vec![Moment::AfterRollback],
            checks_health: true,
        }
    }

    /// Those of a restore.
    pub(crate) fn restore() -> Self {
        Self {
            before: vec![Moment::BeforeRestore],
            after: vec![Moment::AfterRestore],
            checks_health: true,
        }
    }
}

impl Execution<'_> {
    /// Runs the hooks before the work. What they may have changed in the database is read again.
    ///
    /// In the way back of a deployment one that fails is told and passed over: to go back is what matters then.
    pub(crate) async fn before(&mut self, cx: &Cx, around: &Around) -> Result<()> {
        let hooks = &self.runner.settings().hooks;
        let moments: Vec<_> = around
            .before
            .iter()
            .filter(|moment| hooks.has(**moment))
            .collect();
        for moment in &moments {
            let outcome = self.caller(None).call(cx, **moment).await;
            match outcome {
                Err(error) if error.kind() == ErrorKind::Hook && self.runner.goes_back_anyway() => {
                    self.report
                        .warnings
                        .push(format!("{error}; went back all the same"));
                }
                Err(error) if error.kind() == ErrorKind::Hook => {
                    return Err(
                        error.hint("nothing was changed; put it right and run the same command again")
                    );
                }
                outcome => outcome?,
            }
        }
        match self.keep_quiet(cx).await {
            Err(error) if self.runner.goes_back_anyway() => self.report.warnings.push(format!(
                "applications were not kept from writing: {error}; went back all the same"
            )),
            outcome => outcome?,
        }
        if !moments.is_empty() {
            let unfinished = std::mem::take(&mut self.state.unfinished);
            self.state = State::load(self.runner, cx, &mut *self.session).await?;
            self.state.unfinished = unfinished;
        }
        Ok(())
    }

    /// Runs the hooks after the work, whatever came of it, and returns what came of it.
    pub(crate) async fn after(&mut self, cx: &Cx, around: &Around, outcome: Result<()>) -> Result<()> {
        let needs_recovery = matches!(&outcome, Err(error) if error.kind() == ErrorKind::NeedsRecovery);
        let told_of_quiet = match needs_recovery {
            false => self.end_quiet(cx).await,
            true => None,
        };
        let word = match &outcome {
            Ok(()) => "done",
            Err(error) if error.kind() == ErrorKind::NeedsRecovery => {
                return outcome.map_err(|error| self.not_run_after(around, error));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => "undone",
            Err(_) => "failed",
        };
        // Services that the hooks before have stopped are started also after Ctrl-C.
        let cx = &if outcome.is_ok() {
            cx.clone()
        } else {
            cx.shielded()
        };
        let mut failures = Vec::new();
        for moment in &around.after {
            if let Err(error) = self.caller(Some(word)).call(cx, *moment).await {
                failures.push(error);
            }
        }
        let is_part = self.runner.outer_run().is_some();
        if around.checks_health && outcome.is_ok() && !is_part {
            let checked = self.caller(Some(word)).call(cx, Moment::HealthCheck).await;
            failures.extend(checked.err());
        }
        match outcome {
            Ok(()) => {
                self.report.failed_after.extend(told_of_quiet);
                self.report.failed_after.extend(failures.iter().map(told));
                Ok(())
            }
            Err(error) => {
                let failures = failures.iter().map(told);
                let told = told_of_quiet.into_iter().chain(failures);
                Err(told.fold(error, |error, failure| error.hint(format!("and then: {failure}"))))
            }
        }
    }

    fn not_run_after(&self, around: &Around, error: Error) -> Error {
        let hooks = &self.runner.settings().hooks;
        let left = around.after.iter().flat_map(|moment| hooks.phrases(*moment));
        let error = match self.keeps_quiet {
            true => {
                error.hint("applications are still kept from writing; `walkback recover` lets them again")
            }
            false => error,
        };
        left.fold(error, |error, command| {
            error.hint(format!("once that is done, run what was left out: `{command}`"))
        })
    }

    fn caller(&mut self, outcome: Option<&'static str>) -> Caller<'_> {
        let to = match outcome {
            Some(_) => join(&self.state.heads(&self.state.applied_set())),
            None => self.run.to.clone(),
        };
        let home = self.state.schema.home.clone();
        Caller {
            runner: self.runner,
            notes: Notes::on(self.runner, &mut *self.session, home),
            anyhow: outcome.is_some() || self.runner.goes_back_anyway(),
            run: &self.run,
            to,
            outcome,
            records: &mut self.report.hooks,
        }
    }
}

/// Says what failed, with what it wrote.
fn told(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}\n{cause}"),
        None => error.to_string(),
    }
}
