//! What a migration changed in rows, and only that: the difference of two points, one made before it and one as it
//! left its tables, inside its transaction. What applications wrote before or after is in neither difference.
//!
//! Both points keep rows in chunks named by their content, so that the second costs what was changed, and what was
//! not changed is found without being read.

mod aside;
mod asking;
mod beside;
mod checks;
mod collide;
mod conflicts;
mod copies;
mod extent;
mod keep;
mod merge;
mod mode;
mod names;
mod parts;
mod questions;
mod rescue;
mod sift;
mod sql;
mod undo;
mod unique;

use std::ops::Range;

use serde::{Deserialize, Serialize};
use walkback_core::catalog::{Object, Schema, Table};
use walkback_core::name::ObjectKind;
use walkback_core::{DialectKind, Error, Result, TableName};
use walkback_vault::{ChunkEntry, Manifest, TableEntry};

pub(crate) use beside::kept_columns;
pub(crate) use keep::Kept;
pub(crate) use merge::{Carried, Merged, Merging};
pub(crate) use names::Names;
pub(crate) use parts::{made_since, with_parts};
pub(crate) use rescue::Unplaced;
pub use rescue::{PutAside, Rescued, Waiting};
pub(crate) use sql::same;
pub(crate) use undo::Whose;

/// What becomes of a cell or row that the migration changed and that was changed again since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OnConflict {
    /// It stays as it is now, and is reported.
    #[default]
    Keep,
    /// It goes back to what it was before the migration; what it was changed to is in the safety point.
    Revert,
    /// Nothing is changed at all.
    Stop,
}

/// What a surgical rollback will look at.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ChangesPlan {
    /// The point before the migration.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub before: String,
    /// The point with the tables as it left them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub after: String,
    /// The tables in which rows were changed.
    pub tables: Vec<TableName>,
    /// Where those rows are instead of in points, if they were kept in backup tables.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Beside>,
}

/// The backup tables of the rows of one table.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Beside {
    /// The table.
    pub table: TableName,
    /// Its changed rows as they were.
    pub was: TableName,
    /// Its changed rows as the migration left them.
    pub left: TableName,
}

/// What became of one table.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct TableChanges {
    /// The table.
    pub table: TableName,
    /// Rows that got cells back.
    pub changed_back: u64,
    /// Rows that the migration had deleted and that are there again.
    pub brought_back: u64,
    /// Rows that the migration had inserted and that are gone.
    pub removed: u64,
    /// How many conflicts there are.
    pub conflicts: u64,
    /// The first of them.
    pub listed: Vec<Conflict>,
    /// What was written since and is kept, where the table came back as it was before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<KeptWrites>,
}

/// Rows that were written since and are so afterwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeptWrites {
    /// Rows that were inserted.
    pub inserted: u64,
    /// Rows of which cells were changed.
    pub changed: u64,
    /// Rows that were deleted.
    pub deleted: u64,
}

/// A cell or row that was changed since the migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Conflict {
    /// The key of the row, as `id = 7`.
    pub key: String,
    /// The column; `None` for the whole row.
    pub column: Option<String>,
    /// What is the matter, in words.
    pub what: String,
    /// What was there before the migration, as a literal.
    pub before: Option<String>,
    /// What the migration wrote.
    pub written: Option<String>,
    /// What is there now.
    pub now: Option<String>,
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "row {}", self.key)?;
        if let Some(column) = &self.column {
            write!(f, ", column `{column}`")?;
        }
        write!(f, ": {}", self.what)?;
        if let (Some(before), Some(written), Some(now)) = (&self.before, &self.written, &self.now) {
            write!(f, " (before {before}, the migration wrote {written}, now {now})")?;
        }
        Ok(())
    }
}

/// A table of which a migration changed rows.
#[derive(Debug, Clone)]
pub(crate) struct Changed {
    /// As it is now; of a partition, with all that it is a part of.
    pub(crate) table: Table,
    pub(crate) before: TableEntry,
    pub(crate) after: TableEntry,
    /// Which chunks of the first point the second has not, and the other way round.
    pub(crate) gone: Vec<Range<usize>>,
    pub(crate) new: Vec<Range<usize>>,
}

impl Changed {
    /// Returns the tables of which rows were changed, parents before those that refer to them.
    ///
    /// # Errors
    /// Says why rows of a table cannot be told apart, or cannot go back by themselves.
    pub(crate) fn all(before: &Manifest, after: &Manifest, now: &Schema) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        let mut left_out = before.tables.iter().filter(|entry| {
            let is_there = after.schema.exact_table(&entry.table).is_some();
            is_there && after.table(&entry.table).is_none()
        });
        if let Some(entry) = left_out.next() {
            return Err(no_way(&entry.table, NO_KEY));
        }
        for entry in &after.tables {
            let Some(earlier) = before.table(&entry.table) else {
                return Err(no_way(
                    &entry.table,
                    "the point before the migration does not hold it",
                ));
            };
            let gone = missing(&earlier.chunks, &entry.chunks);
            let new = missing(&entry.chunks, &earlier.chunks);
            if gone.is_empty() && new.is_empty() {
                continue;
            }
            let table = now
                .exact_table(&entry.table)
                .ok_or_else(|| no_way(&entry.table, "it is not there any more"))?;
            if let Some(why) = why_not(table, earlier, entry, now) {
                return Err(no_way(&entry.table, &why));
            }
            all.push(Self {
                table: parts::with_wholes(table, now),
                before: earlier.clone(),
                after: entry.clone(),
                gone,
                new,
            });
        }
        parents_first(&mut all, |one| &one.table);
        // MySQL looks at each row as it comes: of two that refer to each other none can be the first.
        let circle = all
            .iter()
            .find(|one| before.database.dialect == DialectKind::Mysql && is_in_circle(&all, one));
        if let Some(one) = circle {
            return Err(no_way(&one.table.name, "it refers to another in a circle"));
        }
        Ok(all)
    }
}

/// Says why the changed rows of a table cannot go back cell by cell.
fn why_not(table: &Table, before: &TableEntry, after: &TableEntry, now: &Schema) -> Option<String> {
    if table.primary_key.is_empty() {
        return Some(NO_KEY.to_owned());
    }
    if before.order != table.primary_key || after.order != table.primary_key {
        return Some("its primary key is not what it was".to_owned());
    }
    let has = |name: &String| table.columns.iter().any(|column| column.name == *name);
    if before.columns != after.columns || !after.columns.iter().all(has) {
        return Some("its columns are not what they were".to_owned());
    }
    if let Some(why) = parts::why_not(table, now) {
        return Some(why.to_owned());
    }
    let whole = parts::with_wholes(table, now);
    let is_own = |object: &&Object| object.on.as_ref().is_some_and(|on| parts::is_of(&whole, on));
    let mut objects = now.objects.iter().filter(is_own);
    let trigger = objects.find(|object| object.kind == ObjectKind::Trigger)?;
    Some(format!(
        "its trigger `{}` would fire again on what goes back",
        trigger.name
    ))
}

/// Why rows of a table cannot go back one by one.
const NO_KEY: &str = "it has no primary key: one of its rows cannot be told from another";

fn no_way(table: &TableName, why: &str) -> Error {
    Error::new(
        walkback_core::ErrorKind::Unsupported,
        format!("the rows of table `{table}` cannot go back cell by cell: {why}"),
    )
    .hint(
        "`walkback rollback --type full` restores its tables from the point, and shows first what that loses",
    )
}

/// Says the same where there is no point.
pub(crate) fn no_way_beside(table: &TableName, why: &str) -> Error {
    Error::new(
        walkback_core::ErrorKind::Refused,
        format!("the rows of table `{table}` cannot go back cell by cell: {why}"),
    )
    .hint("nothing was changed; `walkback purge --dry-run` lists the backup tables that hold them, and until when")
}

/// Returns where the chunks are that others have not.
fn missing(chunks: &[ChunkEntry], others: &[ChunkEntry]) -> Vec<Range<usize>> {
    let known: std::collections::BTreeSet<&str> = others.iter().map(|chunk| chunk.hash.as_str()).collect();
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (index, _) in chunks
        .iter()
        .enumerate()
        .filter(|(_, chunk)| !known.contains(chunk.hash.as_str()))
    {
        match ranges.last_mut() {
            Some(last) if last.end == index => last.end += 1,
            _ => ranges.push(index..index + 1),
        }
    }
    ranges
}

/// Puts tables behind those that they refer to, as far as there is no circle.
fn parents_first<T>(all: &mut Vec<T>, table: fn(&T) -> &Table) {
    let mut ordered: Vec<T> = Vec::new();
    while !all.is_empty() {
        let waits = |one: &T| {
            let own = table(one);
            own.foreign_keys.iter().any(|key| {
                let is_own = parts::is_of(own, &key.references);
                !is_own
                    && all
                        .iter()
                        .any(|other| parts::is_of(table(other), &key.references))
            })
        };
        let free = all.iter().position(|one| !waits(one)).unwrap_or(0);
        ordered.push(all.remove(free));
    }
    *all = ordered;
}

/// Returns whether a table refers to another that refers to it.
fn is_in_circle(all: &[Changed], one: &Changed) -> bool {
    let tables: Vec<&Table> = all.iter().map(|other| &other.table).collect();
    has_circle(&tables, &one.table)
}

fn has_circle(tables: &[&Table], one: &Table) -> bool {
    tables.iter().any(|other| {
        other.name != one.name
            && reaches(tables, &one.name, &other.name)
            && reaches(tables, &other.name, &one.name)
    })
}

/// Returns whether foreign keys lead from one table to another.
fn reaches(tables: &[&Table], from: &TableName, to: &TableName) -> bool {
    let is_it = |name: &TableName| {
        let mut tables = tables.iter().filter(|table| table.name == *to);
        tables.any(|table| parts::is_of(table, name))
    };
    let (mut seen, mut next) = (Vec::new(), vec![from]);
    while let Some(name) = next.pop() {
        let found = tables.iter().filter(|table| parts::is_of(table, name));
        for key in found.flat_map(|table| &table.foreign_keys) {
            if is_it(&key.references) {
                return true;
            }
            if !seen.contains(&&key.references) {
                seen.push(&key.references);
                next.push(&key.references);
            }
        }
    }
    false
}

/// Returns the tables that refer to one and are referred to by it, however many are between, itself included: none of
/// them comes before the others.
fn in_circle_with<'a>(all: &[sql::Others<'a>], index: usize) -> Vec<sql::Others<'a>> {
    let tables: Vec<&Table> = all.iter().map(|others| others.table).collect();
    let own = &all[index].table.name;
    all.iter()
        .filter(|others| {
            others.table.name == *own
                || (reaches(&tables, own, &others.table.name) && reaches(&tables, &others.table.name, own))
        })
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(hashes: &[&str]) -> Vec<ChunkEntry> {
        hashes
            .iter()
            .map(|hash| {
                serde_json::from_value(serde_json::json!({"hash": hash, "rows": 1, "bytes": 1, "stored": 1}))
            })
            .collect::<std::result::Result<_, _>>()
            .unwrap()
    }

    #[test]
    fn only_chunks_that_differ_are_read() {
        let (one, other) = (chunks(&["a", "b", "c", "d", "e"]), chunks(&["a", "x", "d", "y"]));
        assert_eq!(missing(&one, &other), [1..3, 4..5]);
        assert_eq!(missing(&other, &one), [1..2, 3..4]);
        assert!(missing(&one, &one).is_empty());
    }
}
