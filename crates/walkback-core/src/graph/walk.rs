//! Walks over the graph: ancestors, descendants, heads of what is applied.

use std::collections::BTreeSet;

use super::{Links, MigrationGraph};
use crate::migration::{Migration, MigrationId};

/// Returns, by position, whether a position can be reached from these, which count as reached.
pub(super) fn reach<'a, I: Iterator<Item = usize> + 'a>(
    links: &'a [Links],
    from: impl IntoIterator<Item = usize>,
    next: impl Fn(&'a Links) -> I,
) -> Vec<bool> {
    let mut reached = vec![false; links.len()];
    let mut open: Vec<usize> = from.into_iter().collect();
    while let Some(at) = open.pop() {
        if !std::mem::replace(&mut reached[at], true) {
            open.extend(next(&links[at]).filter(|next| !reached[*next]));
        }
    }
    reached
}

impl MigrationGraph {
    /// Returns these migrations and everything that must be applied before them, by parents and
    /// dependencies.
    #[must_use]
    pub fn ancestors<'a>(&self, ids: impl IntoIterator<Item = &'a MigrationId>) -> BTreeSet<MigrationId> {
        self.ids(&self.needed_by(self.positions(ids)))
    }

    /// Returns these migrations and everything that builds on them, by parents and dependencies.
    #[must_use]
    pub fn descendants<'a>(&self, ids: impl IntoIterator<Item = &'a MigrationId>) -> BTreeSet<MigrationId> {
        self.ids(&self.built_on(self.positions(ids)))
    }

    /// Returns those of the applied migrations on which no other applied one builds, in topological order.
    /// They are the rows of a ledger that stores heads only, such as Alembic's.
    #[must_use]
    pub fn heads_of(&self, applied: &BTreeSet<MigrationId>) -> Vec<&Migration> {
        self.tips(&self.marks(applied))
            .into_iter()
            .map(|position| &self.migrations[position])
            .collect()
    }

    /// Returns those of the applied migrations that no other applied one has as a parent, in topological order: the ends of
    /// the branches, also where another branch depends on one. It is what Alembic calls current.
    #[must_use]
    pub fn ends_of(&self, applied: &BTreeSet<MigrationId>) -> Vec<&Migration> {
        let applied = self.marks(applied);
        positions_in(&applied)
            .filter(|position| !self.links[*position].children.iter().any(|child| applied[*child]))
            .map(|position| &self.migrations[position])
            .collect()
    }

    /// Returns the migrations that are not applied, in topological order.
    #[must_use]
    pub fn pending(&self, applied: &BTreeSet<MigrationId>) -> Vec<&Migration> {
        self.iter()
            .filter(|migration| !applied.contains(&migration.id))
            .collect()
    }

    /// Returns the identities that are applied and not in the graph: the database is ahead of these files.
    #[must_use]
    pub fn unknown(&self, applied: &BTreeSet<MigrationId>) -> Vec<MigrationId> {
        applied
            .iter()
            .filter(|id| !self.index.contains_key(*id))
            .cloned()
            .collect()
    }

    /// Returns the migrations that are not applied although something that builds on them is, in
    /// topological order. They are pending like any other, and worth a warning: the migrations after them
    /// ran without them.
    #[must_use]
    pub fn out_of_order(&self, applied: &BTreeSet<MigrationId>) -> Vec<&Migration> {
        let applied = self.marks(applied);
        let needed = self.needed_by(positions_in(&applied));
        needed
            .iter()
            .zip(&applied)
            .zip(&self.migrations)
            .filter_map(|((needed, applied), migration)| (*needed && !applied).then_some(migration))
            .collect()
    }

    /// Returns the positions of what is known, as marks by position.
    pub(super) fn marks(&self, ids: &BTreeSet<MigrationId>) -> Vec<bool> {
        let mut marks = vec![false; self.len()];
        for position in self.positions(ids) {
            marks[position] = true;
        }
        marks
    }

    /// Marks these and everything before them.
    pub(super) fn needed_by(&self, positions: impl IntoIterator<Item = usize>) -> Vec<bool> {
        reach(&self.links, positions, Links::before)
    }

    /// Marks these and everything after them.
    pub(super) fn built_on(&self, positions: impl IntoIterator<Item = usize>) -> Vec<bool> {
        reach(&self.links, positions, Links::after)
    }

    /// Marks the line a migration is on: itself, its ancestors and its descendants, by parents alone.
    pub(super) fn lineage(&self, position: usize) -> Vec<bool> {
        let mut lineage = self.forebears(position);
        let later = reach(&self.links, [position], |links| links.children.iter().copied());
        for (mark, later) in lineage.iter_mut().zip(later) {
            *mark |= later;
        }
        lineage
    }

    /// Marks a migration and its ancestors, by parents alone.
    pub(super) fn forebears(&self, position: usize) -> Vec<bool> {
        reach(&self.links, [position], |links| links.parents.iter().copied())
    }

    /// Returns the marked positions on which no other marked one builds.
    pub(super) fn tips(&self, marks: &[bool]) -> Vec<usize> {
        let before = positions_in(marks).flat_map(|position| self.links[position].before());
        let covered = self.needed_by(before);
        positions_in(marks)
            .filter(|position| !covered[*position])
            .collect()
    }

    fn positions<'a>(&self, ids: impl IntoIterator<Item = &'a MigrationId>) -> Vec<usize> {
        ids.into_iter().filter_map(|id| self.position(id)).collect()
    }

    fn ids(&self, marks: &[bool]) -> BTreeSet<MigrationId> {
        positions_in(marks)
            .map(|position| self.id_at(position).clone())
            .collect()
    }
}

/// Returns the marked positions in topological order.
pub(super) fn positions_in(marks: &[bool]) -> impl DoubleEndedIterator<Item = usize> {
    marks
        .iter()
        .enumerate()
        .filter_map(|(position, marked)| marked.then_some(position))
}
