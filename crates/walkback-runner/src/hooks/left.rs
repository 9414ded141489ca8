//! What the hooks of a run that was killed have left: a command that was cut off, services that nobody has started again.

use walkback_core::{Cx, Result};

use super::{Hooks, Moment};
use crate::execute::Execution;
use crate::journal::{HookRecord, Journal, RunRecord};

/// What puts right again what a hook has done.
const PAIRS: [(Moment, Moment); 6] = [
    (Moment::StopServices, Moment::StartServices),
    (Moment::BeforeUp, Moment::AfterUp),
    (Moment::BeforeDown, Moment::AfterDown),
    (Moment::BeforeRollback, Moment::AfterRollback),
    (Moment::BeforeRestore, Moment::AfterRestore),
    (Moment::BeforeDeploy, Moment::AfterDeploy),
];

/// Says what the hooks of a run have left, a line each.
pub(crate) async fn left_by(
    cx: &Cx,
    journal: &mut Journal<'_>,
    hooks: &Hooks,
    run: &RunRecord,
) -> Result<Vec<String>> {
    let records = journal.hooks_of(cx, &run.id).await?;
    let mut left: Vec<_> = run
        .detail
        .iter()
        .map(|stage| format!("it was at: {stage}"))
        .collect();
    left.extend(lines(hooks, &records));
    Ok(left)
}

impl Execution<'_> {
    /// Says what the hooks of a run that was killed have left.
    pub(crate) async fn left_by_hooks(&mut self, cx: &Cx, run: &RunRecord) -> Result<Vec<String>> {
        let hooks = &self.runner.settings().hooks;
        left_by(cx, &mut self.journal(), hooks, run).await
    }
}

fn lines(hooks: &Hooks, records: &[HookRecord]) -> Vec<String> {
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
    for (first, then) in PAIRS {
        let place = |moment: Moment| records.iter().rposition(|record| record.hook == moment.name());
        let Some(at) = place(first) else { continue };
        if !hooks.has(then) || place(then).is_some_and(|then| then > at) {
            continue;
        }
        let commands: Vec<_> = hooks
            .phrases(then)
            .iter()
            .map(|command| format!("`{command}`"))
            .collect();
        lines.push(format!(
            "`{}` has run and `{}` has not: run {} once the database is right",
            first.name(),
            then.name(),
            commands.join(", ")
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooks::Hook;

    #[test]
    fn services_that_were_stopped_and_not_started_are_named() {
        let mut hooks = Hooks::default();
        hooks
            .commands
            .insert(Moment::StartServices, vec![Hook::new("start it")]);
        let record = |hook: Moment, outcome: &str| {
            let mut record = HookRecord::begun("run", hook.name(), "c", String::new());
            outcome.clone_into(&mut record.outcome);
            record
        };
        let stopped = record(Moment::StopServices, HookRecord::DONE);
        let told = lines(&hooks, std::slice::from_ref(&stopped));
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("`start it`"), "{told:?}");
        let started = record(Moment::StartServices, HookRecord::DONE);
        assert!(lines(&hooks, &[stopped.clone(), started.clone()]).is_empty());
        // They were stopped again on the way back.
        assert_eq!(lines(&hooks, &[stopped.clone(), started, stopped]).len(), 1);
        let running = lines(&hooks, &[record(Moment::BeforeUp, HookRecord::RUNNING)]);
        assert!(running[0].contains("was running"), "{running:?}");
    }
}
