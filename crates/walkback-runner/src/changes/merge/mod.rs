//! Taking back a migration that changed definitions too: its tables come back from the point before it, and what was
//! written since it ran is written into them, before they take their places.
//!
//! Three states of a row are told apart: as it was before, which is what the shadow is loaded with, as the migration
//! left it, and as it is now. What differs between the last two was written since, and stays.

mod carried;
pub(super) mod cells;
mod convert;
mod divided;
mod draft;
mod mixed;
mod references;
mod room;
mod run;
mod sql;

pub(crate) use carried::Carried;
pub(crate) use run::Merging;

use std::collections::BTreeMap;

use walkback_core::catalog::{Schema, Table};
use walkback_core::{Dialect, DialectKind, Result, TableName};
use walkback_vault::{Manifest, TableEntry};

use super::{NO_KEY, Names, no_way, parts};
use crate::journal::TableThen;
use crate::restore::Exchange;

/// A table that comes back, and into which is written what was written since.
#[derive(Debug, Clone)]
pub(crate) struct Merged {
    /// As it was before the migration, and will be again.
    pub(crate) then: Table,
    /// As the migration left it, with its columns called as before.
    pub(crate) left: Table,
    /// As it is now, by its name of now, with its columns called as before.
    pub(crate) now: Table,
    /// What the columns are called that have other names now.
    pub(crate) names: Names,
    /// As the migration left it, as it is.
    pub(crate) real: Table,
    /// What its point holds of it as it was left.
    pub(crate) after: TableEntry,
    /// Whether the migration changed nothing in its rows: what was written to it since is what differs from the point
    /// before the migration, also what was written while it ran.
    pub(crate) is_unchanged: bool,
}

impl Merged {
    /// Returns the tables that an exchange brings back and that are there now, without those that have no key: what was
    /// written to these goes with them, if they are not [`Carried`].
    ///
    /// # Errors
    /// Says why rows of a table cannot be told apart, or what it has become nobody knows.
    pub(crate) fn all(
        (before, after): (&Manifest, &Manifest),
        (written, names): (&BTreeMap<String, TableThen>, &Names),
        exchange: &Exchange,
        now: &Schema,
    ) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for entry in &exchange.replace {
            let name = &entry.table;
            let called = names.of_table(name);
            let (live, kept) = (now.exact_table(called), after.table(called));
            let is_both = live.is_some() && after.schema.exact_table(called).is_some();
            if is_both && carried::is_keyless((name, called), (before, after)) {
                continue;
            }
            if let Some(whole) = live.filter(|live| parts::is_divided(live, now)) {
                may_be_divided((name, whole), (&before.schema, &after.schema, now), names)
                    .map_err(|why| no_way(name, &why))?;
                continue;
            }
            let (live, kept) = match (live, kept) {
                // The migration has dropped it: nobody can have written to it.
                (None, None) if after.schema.exact_table(called).is_none() => continue,
                (Some(live), Some(kept)) => (live, kept),
                (Some(_), None) => return Err(no_way(name, "it was made again since the migration")),
                (None, _) => return Err(no_way(name, "it is not there any more")),
            };
            let known = before
                .schema
                .exact_table(name)
                .zip(after.schema.exact_table(called));
            let (then, real) = known.ok_or_else(|| no_way(name, "its point does not say what it was"))?;
            let as_then = names.as_then(name, real).zip(names.as_then(name, live));
            let (left, live) =
                as_then.ok_or_else(|| no_way(name, "it has a column of an earlier name again"))?;
            let is_mysql = before.database.dialect == DialectKind::Mysql;
            let why_not = why_not(then, &left, (&live, now), names).or_else(|| {
                let is_another = is_mysql && has_another_key(then, &live);
                is_another.then_some("its primary key has another type")
            });
            if let Some(why) = why_not {
                return Err(no_way(name, why));
            }
            let is_unchanged = written.get(&name.to_string()).is_some_and(|then| {
                then.columns == entry.columns && Some(&then.print) == entry.fingerprint.as_ref()
            });
            let is_unchanged = is_unchanged && !names.renames(name);
            let (left, real, kept) = if is_unchanged {
                (then.clone(), then, entry)
            } else {
                (left, real, kept)
            };
            all.push(Self {
                then: then.clone(),
                left,
                now: live,
                names: names.clone(),
                real: real.clone(),
                after: kept.clone(),
                is_unchanged,
            });
        }
        Ok(all)
    }

    /// Returns where the rows of the table are read as it is now, with its columns called as before the migration.
    pub(super) fn live(&self, dialect: &dyn Dialect) -> String {
        self.names
            .source(dialect, &self.then.name, (&self.now.name, &self.now))
    }

    /// Returns the columns that go with the migration: what was written to them the table cannot hold as it was.
    pub(crate) fn going(&self) -> impl Iterator<Item = &str> {
        going(&self.then, &self.now)
    }
}

/// Returns the columns that a table has now and had not then.
pub(super) fn going<'a>(then: &'a Table, now: &'a Table) -> impl Iterator<Item = &'a str> {
    let has = |name: &str| then.columns.iter().any(|column| column.name == name);
    let columns = now.columns.iter().filter(|column| !column.generated);
    columns
        .map(|column| column.name.as_str())
        .filter(move |name| !has(name))
}

/// Says why what was written to a table since cannot be written to it as it was.
fn why_not(
    then: &Table,
    left: &Table,
    (live, now): (&Table, &Schema),
    names: &Names,
) -> Option<&'static str> {
    if then.primary_key.is_empty() || left.primary_key.is_empty() || live.primary_key.is_empty() {
        return Some(NO_KEY);
    }
    if then.primary_key != left.primary_key || left.primary_key != live.primary_key {
        return Some("its primary key is not what it was");
    }
    let has = |name: &String| live.columns.iter().any(|column| column.name == *name);
    if !left.columns.iter().all(|column| has(&column.name)) {
        return Some("it has lost columns since the migration");
    }
    parts::why_not(live, now).or_else(|| parts::why_not_alike(then, live, names))
}

/// Says why the rows of a table cannot be merged partition by partition.
fn may_be_divided(
    (then, live): (&TableName, &Table),
    (before, after, now): (&Schema, &Schema, &Schema),
    names: &Names,
) -> std::result::Result<(), String> {
    let name = &live.name;
    let unnamed = Names::default();
    for (schema, name, names) in [(before, then, names), (after, name, &unnamed)] {
        let then = schema
            .exact_table(name)
            .filter(|then| parts::is_divided(then, schema));
        let then = then.ok_or("it had no partitions then")?;
        if let Some(why) = parts::why_not_alike(then, live, names) {
            return Err(why.to_owned());
        }
    }
    // One that was made since keeps its rows where they are: all of them were written since.
    let below = parts::parts(name, now);
    // Rows of others would be looked for among those of each partition.
    let refers = |table: &&Table| {
        let keys = table.foreign_keys.iter();
        keys.map(|key| &key.references)
            .any(|to| to == name || below.iter().any(|part| part.name == *to))
    };
    match now.tables.iter().chain(&before.tables).find(refers) {
        Some(child) => Err(format!(
            "it is divided into partitions, and `{}` refers to it",
            child.name
        )),
        None => Ok(()),
    }
}

/// Returns whether columns of the key have another type, of which values that differ may be equal to the server.
fn has_another_key(then: &Table, live: &Table) -> bool {
    let of_type = |table: &Table, name: &String| {
        let column = table.columns.iter().find(|column| column.name == *name);
        column.map(|column| column.data_type.to_ascii_lowercase())
    };
    let is_integer = |of_type: &String| of_type.contains("int") && !of_type.contains("point");
    then.primary_key.iter().any(|name| {
        let (was, is) = (of_type(then, name), of_type(live, name));
        was != is && !(was.as_ref().is_some_and(is_integer) && is.as_ref().is_some_and(is_integer))
    })
}

/// Returns the names of the tables that are exchanged, and of the live ones that go.
fn held(exchange: &Exchange, now: &Schema) -> Vec<TableName> {
    let replaced = exchange.replace.iter().map(|entry| &entry.table);
    let tables = replaced.chain(&exchange.drop_tables);
    tables
        .filter(|name| now.exact_table(name).is_some())
        .cloned()
        .collect()
}
