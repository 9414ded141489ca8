//! Changes in two parts: what the new code needs is added first, and what only the old code needed is taken away last.

use walkback_core::{Error, ErrorKind, MigrationId, Phase, Result};

use super::{Plan, PlannedStep};
use crate::report::Named;
use crate::state::State;

impl State {
    /// Returns those of the pending migrations that one part is made of. They have one order, over all branches: a part
    /// ends at the first migration of any branch that belongs to the other.
    pub(crate) fn of_phase(&self, phase: Phase, pending: Vec<MigrationId>) -> Result<Vec<MigrationId>> {
        if !pending.is_empty() && pending.iter().all(|id| self.phase_of(id).is_none()) {
            return Err(without_phases(phase));
        }
        let contracts = |id: &MigrationId| self.phase_of(id) == Some(Phase::Contract);
        let mut ids = pending.into_iter().peekable();
        if phase == Phase::Expand {
            return Ok(ids.take_while(|id| !contracts(id)).collect());
        }
        match ids.peek() {
            Some(first) if !contracts(first) => Err(self.not_expanded(first)),
            _ => Ok(ids.take_while(contracts).collect()),
        }
    }

    fn not_expanded(&self, first: &MigrationId) -> Error {
        let phase = match self.phase_of(first) {
            Some(phase) => format!(" ({phase})"),
            None => String::new(),
        };
        Error::new(
            ErrorKind::Refused,
            format!(
                "migration `{}`{phase} is pending, and nothing is contracted before it",
                self.named(first).name
            ),
        )
        .hint("`walkback up --phase expand` applies what comes before the first contract migration")
        .hint("when no old code runs any more: `walkback up --phase contract`")
    }
}

/// Refuses to take a part of what has none: all of it would go, with what it drops.
fn without_phases(phase: Phase) -> Error {
    Error::new(
        ErrorKind::Usage,
        format!("no pending migration says which part it is, and `--phase {phase}` would not be one"),
    )
    .hint("`-- walkback: phase=expand` in the head of a script of `kind = \"sql\"` says so; other sources have no phases")
    .hint("`walkback up` applies everything")
}

impl Plan {
    /// Says which part this is, and what is left afterwards.
    pub(crate) fn of_phase(mut self, state: &State, phase: Phase) -> Self {
        let mut after = state.applied_set();
        after.extend(self.steps.iter().map(|step| step.id.clone()));
        let left = state.graph.pending(&after).into_iter();
        self.left = left.map(|migration| state.named(&migration.id)).collect();
        self.phase = Some(phase);
        if let Some(first) = self.left.first() {
            let next = match first.phase {
                Some(Phase::Contract) => Phase::Contract,
                Some(Phase::Expand) | None => Phase::Expand,
            };
            let names: Vec<_> = self.left.iter().map(|one| format!("`{}`", one.name)).collect();
            self.warnings.push(format!(
                "this is the {phase} phase: {} left; `walkback up --phase {next}` goes on with {}",
                is_left(&self.left),
                names.join(", ")
            ));
        }
        self
    }
}

fn is_left(left: &[Named]) -> String {
    match left.len() {
        1 => "1 migration is".to_owned(),
        count => format!("{count} migrations are"),
    }
}

impl PlannedStep {
    /// Says of the error of an up what it means for a change in two parts: where the second fails, the first is in use.
    pub(crate) fn explain_phase(&self, error: Error) -> Error {
        if self.phase != Some(Phase::Contract) {
            return error;
        }
        if error.kind() == ErrorKind::NeedsRecovery {
            return error.hint(
                "what was expanded before it stays as it is: once this one is recovered, `walkback up --phase contract` \
                 tries it again",
            );
        }
        if error.kind() == ErrorKind::Unavailable {
            // It may have been lost in the middle of the commit.
            return error
                .hint("whether it has happened is not known: look at `walkback status` before you go on");
        }
        error
            .hint(format!(
                "`{}` is as it was before, and the expanded state is complete and usable: nothing needs to be walked back",
                self.name
            ))
            .hint("when the reason is gone: `walkback up --phase contract`")
    }
}
