//! The graph of migrations: what follows what, and what a target means. Pure; reads no file and no database.
//!
//! Migrations are kept in one topological order, made once: parents and dependencies come first, and where
//! both orders are possible the one in which the source gave them stands. Every plan is a selection from
//! that order, so the same files always give the same plan. Nothing here recurses; a line of any length is
//! walked in constant stack.
//!
//! What is applied is passed in as a set. Identities in it that the graph does not know (the database is
//! ahead of these files) are left alone by every walk; [`MigrationGraph::unknown`] names them.
//!
//! Targets mean what they mean in Alembic; see [`Target`] for the grammar.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::migration::{Migration, MigrationId};

mod build;
mod labels;
mod plan;
mod resolve;
mod stamp;
mod target;
mod walk;

pub use plan::Moves;
pub use target::{Range, Target};

/// All migrations of a source, as a directed acyclic graph by parents and dependencies.
#[derive(Debug, Clone, Default)]
pub struct MigrationGraph {
    /// In topological order.
    migrations: Vec<Migration>,
    index: HashMap<MigrationId, usize>,
    /// By position, like everything below.
    links: Vec<Links>,
    /// Where each label was declared.
    declared: BTreeMap<String, usize>,
    /// The branches each migration is on.
    branches: Vec<BTreeSet<String>>,
}

/// What one migration is tied to, as positions.
#[derive(Debug, Clone, Default)]
struct Links {
    parents: Vec<usize>,
    children: Vec<usize>,
    depends_on: Vec<usize>,
    dependents: Vec<usize>,
}

impl Links {
    fn before(&self) -> impl Iterator<Item = usize> {
        self.parents.iter().chain(&self.depends_on).copied()
    }

    fn after(&self) -> impl Iterator<Item = usize> {
        self.children.iter().chain(&self.dependents).copied()
    }
}

impl MigrationGraph {
    /// Returns how many migrations there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.migrations.len()
    }

    /// Returns whether there is no migration.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.migrations.is_empty()
    }

    /// Returns the migrations in topological order.
    pub fn iter(&self) -> std::slice::Iter<'_, Migration> {
        self.migrations.iter()
    }

    /// Returns the migration with this identity.
    #[must_use]
    pub fn get(&self, id: &MigrationId) -> Option<&Migration> {
        self.position(id).map(|position| &self.migrations[position])
    }

    /// Returns the place of a migration in the topological order, from 0.
    #[must_use]
    pub fn position(&self, id: &MigrationId) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// Returns whether the migrations form one line: one base, and each follows the one before it.
    #[must_use]
    pub fn is_linear(&self) -> bool {
        self.links
            .iter()
            .enumerate()
            .all(|(position, links)| match position.checked_sub(1) {
                None => links.parents.is_empty(),
                Some(previous) => links.parents == [previous],
            })
    }

    /// Returns the migrations that no other follows, in topological order.
    #[must_use]
    pub fn heads(&self) -> Vec<&Migration> {
        self.pick(|links| links.children.is_empty())
    }

    /// Returns the migrations that follow no other, in topological order.
    #[must_use]
    pub fn bases(&self) -> Vec<&Migration> {
        self.pick(|links| links.parents.is_empty())
    }

    /// Returns the migrations that have this one as a parent, in topological order.
    #[must_use]
    pub fn children(&self, id: &MigrationId) -> Vec<&Migration> {
        self.position(id).map_or_else(Vec::new, |position| {
            self.links[position]
                .children
                .iter()
                .map(|child| &self.migrations[*child])
                .collect()
        })
    }

    /// Returns the labels of the branches this migration is on: those it declares, those of its ancestors,
    /// and those declared after it, back to the nearest branch or merge point.
    #[must_use]
    pub fn labels_of(&self, id: &MigrationId) -> Option<&BTreeSet<String>> {
        self.position(id).map(|position| &self.branches[position])
    }

    /// Returns every declared label with the migration that declares it, sorted by label.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &Migration)> {
        self.declared
            .iter()
            .map(|(label, position)| (label.as_str(), &self.migrations[*position]))
    }

    fn pick(&self, wanted: impl Fn(&Links) -> bool) -> Vec<&Migration> {
        self.links
            .iter()
            .zip(&self.migrations)
            .filter_map(|(links, migration)| wanted(links).then_some(migration))
            .collect()
    }

    fn id_at(&self, position: usize) -> &MigrationId {
        &self.migrations[position].id
    }
}

impl<'a> IntoIterator for &'a MigrationGraph {
    type Item = &'a Migration;
    type IntoIter = std::slice::Iter<'a, Migration>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Joins names for a message: `` `a`, `b` ``, cut after ten.
fn list<T: std::fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 10;
    let mut names = names.into_iter();
    let mut shown: Vec<String> = names
        .by_ref()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    let rest = names.count();
    if rest > 0 {
        shown.push(format!("and {rest} more"));
    }
    shown.join(", ")
}

/// Returns the candidate a mistyped word most likely meant.
fn closest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = |candidate: &&str| {
        let longest = candidate.chars().count().max(word.chars().count());
        strsim::damerau_levenshtein(candidate, word) <= (longest / 4).max(1)
    };
    candidates
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= word.len() / 4 + 4)
        .filter(near)
        .min_by_key(|candidate| strsim::damerau_levenshtein(candidate, word))
}
