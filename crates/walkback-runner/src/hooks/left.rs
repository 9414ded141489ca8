//! What the hooks of a run have left: a command that was cut off, services that nobody has started again, commands that the
//! run did not come to.

use walkback_core::{Cx, Result};

use super::{Hooks, Moment};
use crate::deploy::{DEPLOY, FULL_ROLLBACK};
use crate::execute::{Execution, join};
use crate::journal::{HookRecord, Journal, RunRecord};
use crate::killed::{Work, heads_moved, part_of, work_of};
use crate::plan::RunKind;

/// What puts right again what a hook has done.
const PAIRS: [(Moment, Moment); 6] = [
    (Moment::StopServices, Moment::StartServices),
    (Moment::BeforeUp, Moment::AfterUp),
    (Moment::BeforeDown, Moment::AfterDown),
    (Moment::BeforeRollback, Moment::AfterRollback),
    (Moment::BeforeRestore, Moment::AfterRestore),
    (Moment::BeforeDeploy, Moment::AfterDeploy),
];

/// Those whose failure leaves an application away, or another than the database is for.
const NEEDED: [Moment; 2] = [Moment::StartServices, Moment::RollbackCode];

/// Says what the hooks of a run that was killed have left, a line each. `heads` are those of what is applied now.
pub(crate) async fn left_by(
    cx: &Cx,
    journal: &mut Journal<'_>,
    hooks: &Hooks,
    run: &RunRecord,
    heads: &str,
) -> Result<Vec<String>> {
    let stage = run.detail.iter().map(|stage| format!("it was at: {stage}"));
    let mut left: Vec<_> = stage.collect();
    left.extend(left_out(cx, journal, hooks, run, heads).await?);
    Ok(left)
}

/// The same of a run that may have ended long ago.
pub(crate) async fn left_out(
    cx: &Cx,
    journal: &mut Journal<'_>,
    hooks: &Hooks,
    run: &RunRecord,
    heads: &str,
) -> Result<Vec<String>> {
    let records = journal.hooks_of(cx, &run.id).await?;
    let runs = journal.runs(cx, None).await?;
    let owed = match run.status.was_killed() {
        true => owed(&runs, run, heads, &records),
        false => Vec::new(),
    };
    let work = work_of(&runs, run);
    Ok(lines(hooks, &records, &owed, work))
}

impl Execution<'_> {
    /// Says what the hooks of a run that was killed have left.
    pub(crate) async fn left_by_hooks(&mut self, cx: &Cx, run: &RunRecord) -> Result<Vec<String>> {
        let hooks = &self.runner.settings().hooks;
        let heads = join(&self.state.heads(&self.state.applied_set()));
        left_by(cx, &mut self.journal(), hooks, run, &heads).await
    }
}

/// Returns what a run that was killed would have run after its work on the database, if that was done.
fn owed(runs: &[RunRecord], run: &RunRecord, heads: &str, records: &[HookRecord]) -> Vec<Moment> {
    let is_part = part_of(runs, run).is_some();
    let moved = heads_moved(run, heads);
    match run.kind.as_str() {
        kind if kind == RunKind::Up.name() && moved => vec![Moment::AfterUp],
        kind if kind == RunKind::Down.name() && moved => vec![Moment::AfterDown],
        kind if kind == RunKind::Rollback.name() && moved => match is_part {
            true => vec![Moment::AfterRollback],
            false => vec![Moment::AfterRollback, Moment::HealthCheck],
        },
        FULL_ROLLBACK if work_of(runs, run).is_some_and(|work| work.is_done(heads)) => {
            vec![Moment::StartServices, Moment::HealthCheck, Moment::RollbackCode]
        }
        DEPLOY => owed_by_deployment(work_of(runs, run), heads, records),
        _ => Vec::new(),
    }
}

fn owed_by_deployment(work: Option<Work<'_>>, heads: &str, records: &[HookRecord]) -> Vec<Moment> {
    let Some(work) = work.filter(|work| work.is_done(heads)) else {
        return vec![Moment::AfterDeploy];
    };
    let mut owed = vec![Moment::StartServices, Moment::HealthCheck];
    let had_started = records.iter().any(|record| {
        let starts = [Moment::StartServices, Moment::HealthCheck].map(Moment::name);
        starts.contains(&record.hook.as_str()) && record.began_at < work.run.started_at
    });
    if work.goes_back() && had_started {
        owed.push(Moment::RollbackCode);
    }
    owed.push(Moment::AfterDeploy);
    owed
}

fn lines(hooks: &Hooks, records: &[HookRecord], owed: &[Moment], work: Option<Work<'_>>) -> Vec<String> {
    let cut_off = records
        .iter()
        .filter(|record| record.outcome == HookRecord::RUNNING);
    let mut lines: Vec<_> = cut_off
        .map(|record| {
            format!(
                "the hook `{}` was running, and may still be: `{}`",
                record.hook, record.command
            )
        })
        .collect();
    let place = |moment: Moment| records.iter().rposition(|record| record.hook == moment.name());
    let mut told = Vec::new();
    for (first, then) in PAIRS {
        let Some(at) = place(first) else { continue };
        if !hooks.has(then) || place(then).is_some_and(|then| then > at) {
            continue;
        }
        told.push(then);
        lines.push(format!(
            "`{}` has run and `{}` has not: run {} once the database is right",
            first.name(),
            then.name(),
            quoted(&hooks.phrases(then))
        ));
    }
    // What ran before the services were stopped last belongs to an earlier part of the procedure.
    let from = place(Moment::StopServices).map_or_else(
        || {
            let began = work.map(|work| work.run.started_at.as_str()).unwrap_or_default();
            records
                .iter()
                .take_while(|record| record.began_at.as_str() < began)
                .count()
        },
        |at| at + 1,
    );
    let since = &records[from..];
    lines.extend(NEEDED.into_iter().filter_map(|moment| failed(since, moment)));
    let owed = owed.iter().filter(|moment| !told.contains(moment));
    lines.extend(owed.filter_map(|moment| not_run(hooks, since, *moment)));
    lines
}

/// Names the commands of a moment that were run and have failed.
fn failed(records: &[HookRecord], moment: Moment) -> Option<String> {
    let fine = [HookRecord::RUNNING, HookRecord::DONE];
    let failed = records
        .iter()
        .filter(|record| record.hook == moment.name() && !fine.contains(&record.outcome.as_str()));
    let commands: Vec<_> = failed.map(|record| record.command.clone()).collect();
    (!commands.is_empty()).then(|| {
        format!(
            "`{}` has failed: run {} once that is put right",
            moment.name(),
            quoted(&commands)
        )
    })
}

/// Names the commands of a moment that the run did not come to.
fn not_run(hooks: &Hooks, records: &[HookRecord], moment: Moment) -> Option<String> {
    let begun = records
        .iter()
        .filter(|record| record.hook == moment.name())
        .count();
    let commands: Vec<_> = hooks.phrases(moment).into_iter().skip(begun).collect();
    let named = quoted(&commands);
    match (commands.is_empty(), moment) {
        (true, _) => None,
        (false, Moment::HealthCheck) => Some(format!("`health_check` has not been asked: {named}")),
        (false, _) => Some(format!("`{}` has not run: run {named}", moment.name())),
    }
}

fn quoted(commands: &[String]) -> String {
    let commands: Vec<_> = commands.iter().map(|command| format!("`{command}`")).collect();
    commands.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooks::Hook;

    fn record(hook: Moment, outcome: &str) -> HookRecord {
        let mut record = HookRecord::begun("run", hook.name(), "c", String::new());
        outcome.clone_into(&mut record.outcome);
        record
    }

    #[test]
    fn services_that_were_stopped_and_not_started_are_named() {
        let mut hooks = Hooks::default();
        hooks
            .commands
            .insert(Moment::StartServices, vec![Hook::new("start it")]);
        let told = |records: &[HookRecord]| lines(&hooks, records, &[], None);
        let stopped = record(Moment::StopServices, HookRecord::DONE);
        let left = told(std::slice::from_ref(&stopped));
        assert_eq!(left.len(), 1);
        assert!(left[0].contains("`start it`"), "{left:?}");
        let started = record(Moment::StartServices, HookRecord::DONE);
        assert!(told(&[stopped.clone(), started.clone()]).is_empty());
        // They were stopped again on the way back.
        assert_eq!(told(&[stopped.clone(), started, stopped.clone()]).len(), 1);
        let running = told(&[record(Moment::BeforeUp, HookRecord::RUNNING)]);
        assert!(running[0].contains("was running"), "{running:?}");
        let failed = told(&[stopped, record(Moment::StartServices, "failed")]);
        assert!(failed[0].contains("`start_services` has failed"), "{failed:?}");
    }

    #[test]
    fn each_command_that_a_run_did_not_come_to_is_named() {
        let mut hooks = Hooks::default();
        let commands = |names: &[&str]| names.iter().map(|name| Hook::new(*name)).collect::<Vec<_>>();
        hooks
            .commands
            .insert(Moment::StartServices, commands(&["one", "two"]));
        hooks.commands.insert(Moment::RollbackCode, commands(&["code"]));
        let owed = [Moment::StartServices, Moment::RollbackCode];
        let records = [
            record(Moment::StopServices, HookRecord::DONE),
            record(Moment::StartServices, HookRecord::DONE),
        ];
        let told = lines(&hooks, &records, &owed, None);
        assert_eq!(
            told,
            [
                "`start_services` has not run: run `two`",
                "`rollback_code` has not run: run `code`"
            ]
        );
    }
}
