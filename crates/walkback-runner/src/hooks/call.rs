//! The hooks of one moment, one after the other, each noted in the journal before and after it.

use walkback_core::{Cx, Error, ErrorKind, Result};

use super::shell::{self, End, Surroundings};
use super::{Hook, Moment, Note, Notes, health};
use crate::identity;
use crate::journal::{HookRecord, RunRecord};
use crate::runner::Runner;

/// How many lines of what a command wrote are part of its error.
const LINES: usize = 12;

/// Calls hooks for a run.
pub(crate) struct Caller<'a> {
    pub(crate) runner: &'a Runner,
    pub(crate) notes: Notes<'a>,
    /// Whether commands are run also where the journal cannot be reached.
    pub(crate) anyhow: bool,
    pub(crate) run: &'a RunRecord,
    /// The heads that are reached, or will be.
    pub(crate) to: String,
    /// What became of the run, where that is known.
    pub(crate) outcome: Option<&'static str>,
    /// What has run.
    pub(crate) records: &'a mut Vec<HookRecord>,
}

impl Caller<'_> {
    /// Runs the commands of a moment, or the health check.
    ///
    /// # Errors
    /// `Hook` with what failed, `Interrupted` if the run was asked to stop.
    pub(crate) async fn call(&mut self, cx: &Cx, moment: Moment) -> Result<()> {
        let hooks = &self.runner.settings().hooks;
        if moment == Moment::HealthCheck {
            return match &hooks.health_check {
                Some(check) => self.one(cx, moment, Asked::Health(check)).await,
                None => Ok(()),
            };
        }
        let mut failures = Vec::new();
        for hook in hooks.of(moment) {
            match self.one(cx, moment, Asked::Command(hook)).await {
                Ok(()) => {}
                Err(error) if moment.goes_on() && error.kind() == ErrorKind::Hook => failures.push(error),
                Err(error) => return Err(error),
            }
        }
        all_failures(failures).map_or(Ok(()), Err)
    }

    async fn one(&mut self, cx: &Cx, moment: Moment, asked: Asked<'_>) -> Result<()> {
        cx.check()?;
        let command = asked.phrase();
        let began_at = identity::moment(cx.now());
        let mut record = HookRecord::begun(&self.run.id, moment.name(), &command, began_at);
        let anyhow = self.anyhow || moment.puts_right();
        self.notes.note(cx, Note::Begins(&mut record), anyhow).await?;
        cx.step("hook.noted");
        cx.progress().note(&format!("{}: {command}", moment.name()));
        let ended = self.run(cx, moment, asked).await;
        // How it ended is noted also when that is because of Ctrl-C.
        let shielded = cx.shielded();
        let (end, output) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                self.note_end(&shielded, &mut record, "failed", error.to_string())
                    .await;
                return Err(error);
            }
        };
        tracing::info!(hook = moment.name(), %command, ?end, %output, "a hook has ended");
        let outcome = match &end {
            End::Done => HookRecord::DONE,
            End::Failed(_) => "failed",
            End::TimedOut => "timed_out",
            End::Stopped(_) => "stopped",
        };
        self.note_end(&shielded, &mut record, outcome, output).await;
        cx.step("hook.ended");
        let why = match end {
            End::Done => return Ok(()),
            End::Stopped(error) => return Err(error),
            End::Failed(why) => why,
            End::TimedOut => format!("it took longer than {} s and was stopped", asked.seconds()),
        };
        Err(failure(moment, &command, &why, &record.output))
    }

    async fn run(&mut self, cx: &Cx, moment: Moment, asked: Asked<'_>) -> Result<(End, String)> {
        let login = self.runner.engine().login();
        let variables = self.variables(moment);
        let surroundings = Surroundings {
            folder: self.runner.settings().hooks.folder.as_deref(),
            variables: &variables,
            secret: login.password.as_deref(),
        };
        match asked {
            Asked::Command(hook) => shell::run(cx, &hook.run, hook.timeout, surroundings).await,
            Asked::Health(check) => {
                let health = health::check(cx, check, surroundings).await?;
                Ok((health.end, health.output))
            }
        }
    }

    /// Notes how a command ended. That cannot be undone: what cannot be noted is told, and changes nothing.
    async fn note_end(&mut self, cx: &Cx, record: &mut HookRecord, outcome: &str, output: String) {
        outcome.clone_into(&mut record.outcome);
        record.output = output;
        record.ended_at = Some(identity::moment(cx.now()));
        if let Err(error) = self.notes.note(cx, Note::Ended(record), true).await {
            tracing::warn!(%error, "the end of a hook is not noted");
        }
        self.records.push(record.clone());
    }

    /// Returns what a command is told of the run. The password of the database is never among it.
    fn variables(&self, moment: Moment) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("WALKBACK_ENV", self.run.environment.clone()),
            ("WALKBACK_RUN_ID", self.run.id.clone()),
            ("WALKBACK_COMMAND", self.run.kind.clone()),
            ("WALKBACK_HOOK", moment.name().to_owned()),
            ("WALKBACK_DATABASE", self.runner.engine().info().location),
            ("WALKBACK_FROM", self.run.from.clone()),
            ("WALKBACK_TO", self.to.clone()),
        ];
        let optional = [
            ("WALKBACK_TICKET", self.run.ticket.clone()),
            ("WALKBACK_REASON", self.run.reason.clone()),
            ("WALKBACK_OUTCOME", self.outcome.map(str::to_owned)),
        ];
        variables.extend(
            optional
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        variables
    }
}

/// What is run.
#[derive(Clone, Copy)]
enum Asked<'a> {
    Command(&'a Hook),
    Health(&'a super::HealthCheck),
}

impl Asked<'_> {
    fn phrase(self) -> String {
        match self {
            Self::Command(hook) => hook.run.clone(),
            Self::Health(check) => check.probe.phrase(),
        }
    }

    fn seconds(self) -> f32 {
        match self {
            Self::Command(hook) => hook.timeout.as_secs_f32(),
            Self::Health(check) => check.timeout.as_secs_f32(),
        }
    }
}

fn failure(moment: Moment, command: &str, why: &str, output: &str) -> Error {
    let error = Error::new(
        ErrorKind::Hook,
        format!("the hook `{}` failed: `{command}`: {why}", moment.name()),
    )
    .with_context("hook", moment.name());
    let lines: Vec<_> = output.lines().rev().take(LINES).collect();
    let lines: Vec<_> = lines.into_iter().rev().collect();
    if lines.is_empty() || why.contains(output.trim()) {
        return error;
    }
    error
        .with_source(lines.join("\n"))
        .hint("`walkback audit -v` shows what each hook of a run has written")
}

/// Makes one error of several.
fn all_failures(failures: Vec<Error>) -> Option<Error> {
    let mut failures = failures.into_iter();
    let first = failures.next()?;
    let others: Vec<_> = failures.map(|error| error.to_string()).collect();
    Some(match others.is_empty() {
        true => first,
        false => {
            let all = format!("{first}; {}", others.join("; "));
            first.wrap(all)
        }
    })
}
