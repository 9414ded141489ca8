//! What is applied and not in the checkout: on a branch from which the newer files were removed, that is what goes.

use std::collections::BTreeSet;

use walkback_core::{Error, ErrorKind, MigrationId, Result};

use crate::state::State;

impl State {
    /// Returns the migrations that are applied and not in the checkout, and those that were built on them, newest first.
    ///
    /// # Errors
    /// `NotFound` if nothing is known of one that is applied.
    pub(super) fn beyond_checkout(&self) -> Result<Vec<MigrationId>> {
        let applied = self.applied_set();
        if self.in_checkout.is_empty() && !applied.is_empty() {
            return Err(Error::new(
                ErrorKind::Refused,
                "the checkout has no migration at all, and all would go",
            )
            .hint("is this the right folder? `walkback status` shows where migrations are looked for")
            .hint("`walkback rollback --to base` walks back everything, if that is meant"));
        }
        let mut beyond = BTreeSet::new();
        let mut ids = Vec::new();
        for migration in self.graph.iter().filter(|one| applied.contains(&one.id)) {
            let mut before = migration.parents.iter().chain(&migration.depends_on);
            if !self.in_checkout.contains(&migration.id) || before.any(|id| beyond.contains(id)) {
                beyond.insert(migration.id.clone());
                ids.push(migration.id.clone());
            }
        }
        ids.reverse();
        self.refuse_strangers()?;
        Ok(ids)
    }
}
