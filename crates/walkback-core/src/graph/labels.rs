//! Labels: names of branches, and how far each of them reaches.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Links;
use crate::error::{Error, Result};
use crate::migration::{Migration, MigrationId};

/// Gathers where each label is declared.
pub(super) fn declared(
    migrations: &[Migration],
    index: &HashMap<MigrationId, usize>,
) -> Result<BTreeMap<String, usize>> {
    let mut declared = BTreeMap::new();
    for (given, migration) in migrations.iter().enumerate() {
        for label in &migration.labels {
            super::build::check_name("the label", label, migration)?;
            if let Some(other) = index.get(&MigrationId::new(label)) {
                return Err(taken(label, migration, &migrations[*other], "is the identity of"));
            }
            match declared.insert(label.clone(), given) {
                Some(earlier) if earlier != given => {
                    return Err(taken(
                        label,
                        migration,
                        &migrations[earlier],
                        "is also declared by",
                    ));
                }
                _ => {}
            }
        }
    }
    Ok(declared)
}

fn taken(label: &str, migration: &Migration, other: &Migration, how: &str) -> Error {
    Error::config(format!(
        "the label `{label}` of migration `{}` {how} migration `{}` ({} and {})",
        migration.id,
        other.id,
        migration.file.display(),
        other.file.display(),
    ))
    .hint("declare a label once, on the first migration of its branch")
}

/// Spreads each label as Alembic does: down to all descendants, and up until a branch or merge point.
pub(super) fn spread(links: &[Links], declared: &BTreeMap<String, usize>) -> Vec<BTreeSet<String>> {
    let mut branches = vec![BTreeSet::new(); links.len()];
    for (label, position) in declared {
        for (member, reached) in
            super::walk::reach(links, [*position], |links| links.children.iter().copied())
                .into_iter()
                .enumerate()
        {
            if reached {
                branches[member].insert(label.clone());
            }
        }
        let mut at = *position;
        while links[at].after().count() <= 1
            && let [parent] = links[at].parents[..]
        {
            if links[parent].after().count() > 1 || links[parent].parents.len() > 1 {
                break;
            }
            branches[parent].insert(label.clone());
            at = parent;
        }
    }
    branches
}
