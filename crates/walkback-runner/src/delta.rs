//! What a migration changed in the schema: enough to tell whether its way back really led back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use walkback_core::TableName;
use walkback_core::catalog::{Change, Column, Difference, Key, Schema, Table};
use walkback_core::name::ObjectKind;

/// What is known of an object, by name.
type Facts = BTreeMap<String, String>;

/// The objects a migration changed, each as it was before and after.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SchemaDelta(Vec<Changed>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Changed {
    kind: ObjectKind,
    name: TableName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on: Option<TableName>,
    before: Option<Facts>,
    after: Option<Facts>,
}

impl Changed {
    /// Returns whether its definition afterwards has these words.
    fn defines(&self, words: &str) -> bool {
        let mut facts = self.after.iter().flat_map(BTreeMap::values);
        facts.any(|fact| fact.to_ascii_uppercase().contains(words))
    }
}

impl SchemaDelta {
    /// Returns whether nothing in the schema has changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares the schema before and after a migration.
    pub(crate) fn between(before: &Schema, after: &Schema) -> Self {
        let (old, new) = (before.by_key(), after.by_key());
        let keys = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
        let changed = keys
            .filter(|key| old.get(*key) != new.get(*key))
            .map(|key| Changed {
                kind: key.0,
                name: key.1.clone(),
                on: key.2.cloned(),
                before: old.get(key).map(|facts| (*facts).clone()),
                after: new.get(key).map(|facts| (*facts).clone()),
            });
        Self(changed.collect())
    }

    /// Returns the names of the tables that the migration created.
    pub(crate) fn created_tables(&self) -> impl Iterator<Item = &TableName> {
        self.0
            .iter()
            .filter(|changed| changed.kind == ObjectKind::Table && changed.before.is_none())
            .map(|changed| &changed.name)
    }

    /// Returns the indexes that the migration made on tables that were there, each with its table.
    pub(crate) fn created_indexes(&self) -> impl Iterator<Item = (&TableName, &TableName)> {
        let made = |table: &TableName| self.created_tables().any(|created| created == table);
        let indexes = self
            .0
            .iter()
            .filter(|changed| changed.kind == ObjectKind::Index && changed.before.is_none());
        // A unique one keeps rows out, and one of a foreign key may be the only one that serves it.
        let is_unique = |changed: &Changed| {
            let facts = changed.after.as_ref();
            let said = facts.and_then(|facts| facts.get("unique")).map(String::as_str);
            said == Some("yes") || changed.defines("UNIQUE ")
        };
        let refers = |table: &TableName| {
            let mut constraints = self
                .0
                .iter()
                .filter(|changed| changed.kind == ObjectKind::Constraint);
            constraints.any(|changed| changed.on.as_ref() == Some(table) && changed.defines("FOREIGN KEY"))
        };
        indexes
            .filter(move |changed| !is_unique(changed))
            .filter_map(|changed| changed.on.as_ref().map(|on| (&changed.name, on)))
            .filter(move |(_, on)| !made(on) && !refers(on))
    }

    /// Returns the names of the tables that the migration changed or dropped.
    pub(crate) fn altered_tables(&self) -> impl Iterator<Item = &TableName> {
        self.0
            .iter()
            .filter(|changed| changed.kind == ObjectKind::Table && changed.before.is_some())
            .map(|changed| &changed.name)
    }

    /// Returns whether the migration left a table of that name that is not the one from before: it made it, or made it anew.
    pub(crate) fn leaves_table(&self, table: &TableName) -> bool {
        self.0.iter().any(|changed| {
            changed.kind == ObjectKind::Table && changed.name == *table && changed.after.is_some()
        })
    }

    /// Returns the tables that the migration changed, with nothing but their columns, before it and behind it.
    pub(crate) fn tables(&self) -> (Schema, Schema) {
        let changed = || self.0.iter().filter(|changed| changed.kind == ObjectKind::Table);
        let schema = |side: fn(&Changed) -> Option<&Facts>| Schema {
            tables: changed()
                .filter_map(|changed| Some(bare(&changed.name, side(changed)?)))
                .collect(),
            ..Schema::default()
        };
        (
            schema(|changed| changed.before.as_ref()),
            schema(|changed| changed.after.as_ref()),
        )
    }

    /// Returns the names of the columns that the migration added to a table that was there, by its names before and behind it.
    pub(crate) fn added_columns(&self, (then, left): (&TableName, &TableName)) -> Vec<String> {
        let of = |name: &TableName| {
            let mut changed = self.0.iter();
            changed.find(|changed| changed.kind == ObjectKind::Table && changed.name == *name)
        };
        let before = of(then).and_then(|changed| changed.before.as_ref());
        let after = of(left).and_then(|changed| changed.after.as_ref());
        let Some((before, after)) = before.zip(after) else {
            return Vec::new();
        };
        let new = after.keys().filter(|fact| !before.contains_key(*fact));
        new.filter_map(|fact| fact.strip_prefix("column ").map(str::to_owned))
            .collect()
    }

    /// Returns whether the migration changed nothing but rows; what sequences draw next is counted to them.
    pub(crate) fn is_of_rows_only(&self) -> bool {
        let mut changed = self.0.iter();
        changed.all(|changed| changed.kind == ObjectKind::Sequence)
    }

    /// Returns whether the migration changed this object in any way.
    pub(crate) fn concerns(&self, key: Key<'_>) -> bool {
        self.0.iter().any(|changed| changed.key() == key)
    }

    /// Compares the schema after a way back with what was there before the migration. Objects that somebody
    /// else had changed since (`now_before` differs from how the migration left them) are not counted.
    pub(crate) fn left_behind(&self, now_before: &Schema, now_after: &Schema) -> Vec<Difference> {
        let (earlier, later) = (now_before.by_key(), now_after.by_key());
        let mut left = Vec::new();
        for changed in &self.0 {
            let key = changed.key();
            if earlier.get(&key).copied() != changed.after.as_ref() {
                continue;
            }
            left.extend(changed.compare(later.get(&key).copied()));
        }
        // What the migration had left alone, its way back has to leave alone too.
        let all = Self::between(now_before, now_after);
        let beyond = all.0.iter().filter(|other| !self.concerns(other.key()));
        left.extend(beyond.flat_map(|other| other.compare(other.after.as_ref())));
        left
    }
}

/// Returns a table of which nothing is known but its name and columns.
fn bare(name: &TableName, facts: &Facts) -> Table {
    let columns = facts.iter().filter_map(|(fact, value)| {
        Some(Column {
            name: fact.strip_prefix("column ")?.to_owned(),
            data_type: value.clone(),
            nullable: true,
            default: None,
            generated: false,
        })
    });
    Table {
        name: name.clone(),
        columns: columns.collect(),
        primary_key: Vec::new(),
        foreign_keys: Vec::new(),
        parents: Vec::new(),
        definition: String::new(),
        facts: Facts::new(),
    }
}

impl Changed {
    fn key(&self) -> Key<'_> {
        (self.kind, &self.name, self.on.as_ref())
    }

    fn compare(&self, now: Option<&BTreeMap<String, String>>) -> Vec<Difference> {
        let difference = |change| Difference {
            kind: self.kind,
            name: self.name.clone(),
            on: self.on.clone(),
            change,
        };
        match (&self.before, now) {
            (None, None) => Vec::new(),
            (None, Some(_)) => vec![difference(Change::Extra)],
            (Some(_), None) => vec![difference(Change::Missing)],
            (Some(before), Some(now)) => {
                let names = before
                    .keys()
                    .chain(now.keys().filter(|fact| !before.contains_key(*fact)));
                names
                    .filter(|fact| before.get(*fact) != now.get(*fact))
                    .map(|fact| {
                        difference(Change::Fact {
                            fact: fact.clone(),
                            before: before.get(fact).cloned(),
                            after: now.get(fact).cloned(),
                        })
                    })
                    .collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use walkback_core::catalog::Table;

    use super::*;

    fn schema(tables: &[(&str, &str)]) -> Schema {
        let table = |(name, column): &(&str, &str)| Table {
            name: TableName::new(*name),
            columns: Vec::new(),
            primary_key: Vec::new(),
            foreign_keys: Vec::new(),
            parents: Vec::new(),
            definition: String::new(),
            facts: BTreeMap::from([("column a".to_owned(), (*column).to_owned())]),
        };
        Schema {
            tables: tables.iter().map(table).collect(),
            objects: Vec::new(),
            home: None,
        }
    }

    #[test]
    fn a_way_back_is_judged_by_what_the_migration_changed_and_by_what_it_left_alone() {
        let before = schema(&[("old", "TEXT"), ("kept", "TEXT")]);
        let after = schema(&[("old", "INTEGER"), ("kept", "TEXT"), ("new", "TEXT")]);
        let delta = SchemaDelta::between(&before, &after);
        for (now_before, now_after, left) in [
            (after.clone(), before.clone(), 0),
            // Nothing is undone.
            (after.clone(), after.clone(), 2),
            // The new table is left over.
            (
                after.clone(),
                schema(&[("old", "TEXT"), ("kept", "TEXT"), ("new", "TEXT")]),
                1,
            ),
            // What the migration had left alone is gone.
            (after.clone(), schema(&[("old", "TEXT")]), 1),
            // Somebody had changed `old` since: it is not blamed on the way back.
            (
                schema(&[("old", "BLOB"), ("kept", "TEXT"), ("new", "TEXT")]),
                schema(&[("old", "BLOB"), ("kept", "TEXT")]),
                0,
            ),
        ] {
            let found = delta.left_behind(&now_before, &now_after);
            assert_eq!(found.len(), left, "{found:?}");
        }
        assert_eq!(delta.created_tables().count(), 1);
        assert_eq!(delta.altered_tables().count(), 1);
    }
}
