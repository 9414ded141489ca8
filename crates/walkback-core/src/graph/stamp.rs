//! Stamps: what counts as applied once a ledger is made to name a target.

use std::collections::BTreeSet;

use super::MigrationGraph;
use super::target::{Target, usage};
use super::walk::positions_in;
use crate::error::Result;
use crate::migration::MigrationId;

impl MigrationGraph {
    /// Returns everything that counts as applied once a target has been stamped: the target takes the place of the heads
    /// on its line, and other branches stay as they are.
    ///
    /// # Errors
    /// As [`MigrationGraph::plan_up`], and [`ErrorKind::Usage`](crate::ErrorKind::Usage) for a target that counts steps, which
    /// Alembic refuses too.
    pub fn stamped(&self, applied: &BTreeSet<MigrationId>, target: &Target) -> Result<BTreeSet<MigrationId>> {
        let branch = self.branch(target)?;
        if target.steps.is_some() && self.exact(&target.text).is_none() {
            return Err(usage(format!(
                "`{target}` counts steps, and a stamp writes what is named"
            ))
            .hint("name the migration, or write `head`, `heads` or `base`"));
        }
        let goal = self.fixed(target, branch.as_ref())?;
        let heads = self.tips(&self.marks(applied));
        let label = target.label.as_deref();
        let label = label.and_then(|label| self.declared.get(label).copied().or_else(|| self.exact(label)));
        let named: Vec<usize> = goal.iter().copied().chain(label).collect();
        let replaced: Vec<usize> = heads
            .iter()
            .copied()
            .filter(|head| named.is_empty() || named.iter().any(|named| self.is_on_one_line(*head, *named)))
            .collect();
        let mut rows: BTreeSet<usize> = heads.into_iter().collect();
        for place in &goal {
            if replaced.contains(place) {
                continue;
            }
            if replaced.iter().any(|head| self.is_on_one_line(*head, *place)) {
                rows.retain(|row| !replaced.contains(row));
            }
            rows.insert(*place);
        }
        if goal.is_empty() {
            rows.retain(|row| !replaced.contains(row));
        }
        let state = self.needed_by(rows);
        Ok(positions_in(&state)
            .map(|position| self.id_at(position).clone())
            .collect())
    }

    /// Returns whether one of two builds on the other, by parents and dependencies.
    fn is_on_one_line(&self, left: usize, right: usize) -> bool {
        self.needed_by([left])[right] || self.needed_by([right])[left]
    }
}
