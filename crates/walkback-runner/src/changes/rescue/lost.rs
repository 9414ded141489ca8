//! What is put back of each table, and which chunks hold it.

use std::collections::BTreeMap;
use std::ops::Range;

use walkback_core::catalog::{Column, Object, Schema, Table};
use walkback_core::name::ObjectKind;
use walkback_core::{Error, Result};
use walkback_vault::{Manifest, TableEntry};

use super::PutAside;
use crate::changes::parts::{self, is_of};
use crate::changes::{missing, no_way};
use crate::journal::RescueRow;
use crate::load::Shadow;

/// Rows of one table that are put back.
#[derive(Debug)]
pub(super) struct Lost<'a> {
    pub(super) aside: &'a PutAside,
    /// As it is now.
    pub(super) table: Table,
    pub(super) columns: Vec<String>,
    /// The point with what is put back, and which of its chunks are read.
    pub(super) point: &'a Manifest,
    pub(super) was: Shadow,
    pub(super) gone: Vec<Range<usize>>,
    /// As the migration had left it; empty where nobody knows.
    pub(super) left: Shadow,
    pub(super) new: Vec<Range<usize>>,
    pub(super) is_known: bool,
    /// As the rollback left it, where it had no place for something.
    pub(super) without: Option<(&'a Manifest, Shadow)>,
}

impl Lost<'_> {
    pub(super) fn columns(&self) -> Vec<&Column> {
        let columns = self.table.columns.iter();
        columns
            .filter(|column| !column.generated && self.columns.contains(&column.name))
            .collect()
    }

    /// Returns the columns that it has now and had in both states.
    pub(super) fn shared(&self) -> Vec<&Column> {
        let (was, left) = (&self.was.entry.columns, &self.left.entry.columns);
        let columns = self.table.columns.iter().filter(|column| !column.generated);
        columns
            .filter(|column| was.contains(&column.name) && left.contains(&column.name))
            .collect()
    }
}

/// Returns what is put back, parents before those that refer to them, and the point behind the migration.
pub(super) fn lost<'a>(
    rescue: &'a RescueRow,
    points: &'a BTreeMap<String, Manifest>,
    now: &Schema,
) -> Result<(Vec<Lost<'a>>, Option<&'a Manifest>)> {
    let base = rescue.changes.as_ref().and_then(|id| points.get(id));
    let mut all = Vec::new();
    for aside in &rescue.tables {
        let point = points
            .get(&aside.point)
            .ok_or_else(|| Error::internal("a point of a rescue was not opened"))?;
        let without = aside.left.as_ref().and_then(|id| points.get(id));
        all.push(lost_of(aside, (point, base, without), now)?);
    }
    let mut ordered: Vec<Lost<'a>> = Vec::new();
    while !all.is_empty() {
        let waits = |one: &Lost<'_>| {
            let mut keys = one.table.foreign_keys.iter();
            keys.any(|key| {
                let is_own = is_of(&one.table, &key.references);
                !is_own && all.iter().any(|other| is_of(&other.table, &key.references))
            })
        };
        let free = all.iter().position(|one| !waits(one)).unwrap_or(0);
        ordered.push(all.remove(free));
    }
    let mut numbers = 0..;
    for one in &mut ordered {
        let without = one.without.as_mut().map(|(_, shadow)| shadow);
        for shadow in [&mut one.was, &mut one.left].into_iter().chain(without) {
            *shadow = Shadow::numbered(numbers.next().unwrap_or_default(), &shadow.table, &shadow.entry);
        }
    }
    Ok((ordered, base))
}

fn lost_of<'a>(
    aside: &'a PutAside,
    (point, base, without): (&'a Manifest, Option<&Manifest>, Option<&'a Manifest>),
    now: &Schema,
) -> Result<Lost<'a>> {
    let name = &aside.table;
    let table = now
        .exact_table(name)
        .ok_or_else(|| no_way(name, "it is not there"))?;
    let held = point.table(name).zip(point.schema.table(name));
    let (entry, then) = held.ok_or_else(|| no_way(name, "its point does not hold it"))?;
    if entry.order != table.primary_key {
        return Err(no_way(name, "its primary key is not what it was"));
    }
    if let Some(why) = parts::why_not(table, now) {
        return Err(no_way(name, why));
    }
    let known = base.and_then(|base| base.table(name).zip(base.schema.table(name)));
    let (earlier, left): (&TableEntry, &Table) = known.unwrap_or((entry, then));
    let wanted = |column: &&String| {
        let named = aside
            .columns
            .as_ref()
            .is_none_or(|columns| columns.contains(*column));
        named && table.columns.iter().any(|other| other.name == **column) && earlier.columns.contains(*column)
    };
    let columns: Vec<String> = entry.columns.iter().filter(wanted).cloned().collect();
    let without = without.and_then(|without| {
        let (entry, table) = without.table(name).zip(without.schema.table(name))?;
        Some((without, Shadow::numbered(2, table, entry)))
    });
    if columns.is_empty() && without.is_none() {
        return Err(no_way(name, "its columns are not what they were"));
    }
    let (gone, new) = match known {
        Some(_) if entry.columns == earlier.columns => (
            missing(&entry.chunks, &earlier.chunks),
            missing(&earlier.chunks, &entry.chunks),
        ),
        Some(_) => (whole(entry), whole(earlier)),
        None => (whole(entry), Vec::new()),
    };
    Ok(Lost {
        aside,
        table: parts::with_wholes(table, now),
        columns,
        point,
        was: Shadow::numbered(0, then, entry),
        gone,
        left: Shadow::numbered(1, left, earlier),
        new,
        is_known: known.is_some(),
        without,
    })
}

fn whole(entry: &TableEntry) -> Vec<Range<usize>> {
    if entry.chunks.is_empty() {
        return Vec::new();
    }
    std::iter::once(0..entry.chunks.len()).collect()
}

/// Returns the triggers that would fire on what comes back: they have fired when it was written.
pub(super) fn triggers(lost: &[Lost<'_>], now: &Schema) -> Vec<Object> {
    let is_on_one = |object: &&Object| {
        let on = object.on.as_ref();
        on.is_some_and(|on| lost.iter().any(|one| is_of(&one.table, on)))
    };
    let triggers = now
        .objects
        .iter()
        .filter(|object| object.kind == ObjectKind::Trigger);
    triggers.filter(is_on_one).cloned().collect()
}
