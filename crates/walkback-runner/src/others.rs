//! What other tools have done to the ledger since the last run: they share it, and know nothing of the journal.

use std::collections::BTreeSet;

use walkback_core::ledger::LedgerFormat;
use walkback_core::{Cx, MigrationId, Result};

use crate::execute::Execution;
use crate::journal::{Journal, RunStatus};
use crate::state::State;

/// Returns the heads that the last run left.
pub(crate) async fn left_by_last_run(
    cx: &Cx,
    journal: &mut Journal<'_>,
    format: &LedgerFormat,
) -> Result<Option<BTreeSet<MigrationId>>> {
    // Nobody else writes walkback's own.
    if format.tool == LedgerFormat::own().tool {
        return Ok(None);
    }
    let runs = journal.runs(cx, Some(1)).await?;
    let ended = runs.first().filter(|run| run.status != RunStatus::Running);
    Ok(ended.map(|run| heads_in(&run.to)))
}

/// Returns the identities in a list of the journal.
pub(crate) fn heads_in(text: &str) -> BTreeSet<MigrationId> {
    text.split(", ")
        .filter(|id| !id.is_empty())
        .map(MigrationId::new)
        .collect()
}

impl State {
    /// Returns the heads that the last run left, if another tool has moved the ledger since.
    pub(crate) fn moved_from(&self) -> Option<&BTreeSet<MigrationId>> {
        let left = self.left_by_last_run.as_ref()?;
        let now: BTreeSet<_> = self.heads(&self.applied_set()).into_iter().collect();
        (*left != now).then_some(left)
    }
}

impl Execution<'_> {
    /// Forgets what the journal holds of migrations that another tool has walked back: if they are applied again, what was
    /// kept before them is of an earlier time.
    pub(crate) async fn forget_what_others_undid(&mut self, cx: &Cx) -> Result<()> {
        let Some(left) = self.state.moved_from() else {
            return Ok(());
        };
        let applied = self.state.applied_set();
        let gone: Vec<_> = self
            .state
            .graph
            .ancestors(left)
            .into_iter()
            .chain(left.iter().cloned())
            .filter(|id| !applied.contains(id))
            .collect();
        for id in gone {
            self.journal().forget_migration(cx, &id).await?;
            self.journal().forget_after(cx, &id).await?;
        }
        Ok(())
    }
}
