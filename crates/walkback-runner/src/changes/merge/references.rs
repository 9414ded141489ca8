//! What refers to what, once all writes are in: rows that came back whose parents were deleted since, rows written
//! since whose parents the migration had inserted.

use walkback_core::TableName;
use walkback_core::catalog::{ForeignKey, Schema, Table};
use walkback_core::{Cx, Dialect, DialectKind, Result, Session};

use super::Merged;
use super::cells::Cell;
use super::sql::MergeSql;
use crate::changes::TableChanges;
use crate::changes::asking::{Asking, Question};
use crate::changes::sql::{deleted, update};
use crate::load::Shadow;

/// All that is exchanged, with what else is there.
pub(super) struct References<'a> {
    pub(super) dialect: &'a dyn Dialect,
    pub(super) now: &'a Schema,
    pub(super) shadows: &'a [Shadow],
    pub(super) drop_tables: &'a [TableName],
    pub(super) sqls: &'a [MergeSql<'a>],
}

impl References<'_> {
    /// Writes, changes back and takes away rows until each refers to one that is there; `found` has a place for each
    /// of `sqls`, and `others` one for each shadow.
    pub(super) async fn settle(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        found: &mut [TableChanges],
        others: &mut [TableChanges],
    ) -> Result<()> {
        // Each round moves at least one row for good: to the state it is in now, or away.
        loop {
            let mut moved = 0;
            for (index, shadow) in self.shadows.iter().enumerate() {
                let own = self.merge_of(&shadow.table.name);
                for key in &shadow.table.foreign_keys {
                    let Some(dangling) = self.dangling(shadow, key, "c") else {
                        continue;
                    };
                    if let Some(at) = own {
                        moved += self
                            .keep_cells(cx, session, (at, key, &dangling), &mut found[at])
                            .await?;
                    }
                    if let Some(parent) = self.merge_of(&key.references) {
                        let children = (self.dialect.quote_table(&shadow.name), key);
                        moved += self
                            .bring_parents(cx, session, (parent, children), &mut found[parent])
                            .await?;
                    }
                    let found = match own {
                        Some(at) => &mut found[at],
                        None => &mut others[index],
                    };
                    moved += self
                        .take_away(cx, session, (shadow, own, &dangling), found)
                        .await?;
                }
            }
            for child in self.staying() {
                for key in &child.foreign_keys {
                    if let Some(parent) = self.merge_of(&key.references) {
                        let children = (self.dialect.quote_table(&child.name), key);
                        moved += self
                            .bring_parents(cx, session, (parent, children), &mut found[parent])
                            .await?;
                    }
                }
            }
            if moved == 0 && self.leave_out(cx, session, found).await? == 0 {
                return Ok(());
            }
        }
    }

    fn merge_of(&self, table: &TableName) -> Option<usize> {
        self.sqls.iter().position(|sql| sql.merged.then.name == *table)
    }

    /// Returns the tables that stay as they are.
    fn staying(&self) -> impl Iterator<Item = &Table> {
        let goes = |name: &TableName| {
            self.drop_tables.contains(name) || self.shadows.iter().any(|shadow| shadow.table.name == *name)
        };
        self.now.tables.iter().filter(move |table| !goes(&table.name))
    }

    /// Returns where the rows of a table will be, and its definition.
    fn place(&self, table: &TableName) -> Option<(String, &Table)> {
        let shadow = self.shadows.iter().find(|shadow| shadow.table.name == *table);
        if let Some(shadow) = shadow {
            return Some((self.dialect.quote_table(&shadow.name), &shadow.table));
        }
        let live = self.now.table(table)?;
        Some((self.dialect.quote_table(table), live))
    }

    fn pairs(&self, key: &ForeignKey, parent: &Table, (child, other): (&str, &str)) -> Vec<(String, String)> {
        let theirs = if key.referenced_columns.is_empty() {
            &parent.primary_key
        } else {
            &key.referenced_columns
        };
        let quoted = |row: &str, name: &String| format!("{row}.{}", self.dialect.quote_identifier(name));
        let pairs = key.columns.iter().zip(theirs);
        pairs
            .map(|(own, their)| (quoted(child, own), quoted(other, their)))
            .collect()
    }

    /// Says that a row as it was refers to one as it is now, whose columns may be of types that know no `=` with those of
    /// then.
    fn refers_to_live(&self, key: &ForeignKey, parent: &MergeSql<'_>, rows: (&str, &str)) -> String {
        let of_another_type = |their: &str| {
            let mut cells = parent.cells.iter();
            cells.any(|cell| {
                cell.has_another_type() && their.ends_with(&format!(".{}", cell.name(self.dialect)))
            })
        };
        let pairs = self.pairs(key, &parent.merged.then, rows);
        let equal = pairs.iter().map(|(own, their)| {
            if self.dialect.kind() == DialectKind::Postgres && of_another_type(their) {
                format!("{own}::text = {their}::text")
            } else {
                format!("{own} = {their}")
            }
        });
        equal.collect::<Vec<_>>().join(" AND ")
    }

    /// Says that a row of a shadow refers to one that will not be there.
    fn dangling(&self, shadow: &Shadow, key: &ForeignKey, row: &str) -> Option<String> {
        debug_assert!(shadow.table.foreign_keys.contains(key), "a key of another table");
        let (place, parent) = self.place(&key.references)?;
        let pairs = self.pairs(key, parent, (row, "p"));
        let place = if self.dialect.kind() == DialectKind::Mysql {
            // It changes no table that it reads, unless what it reads is put together first.
            let theirs: Vec<_> = pairs.iter().map(|(_, their)| their.as_str()).collect();
            format!("(SELECT DISTINCT {} FROM {place} AS p)", theirs.join(", "))
        } else {
            place
        };
        let present: Vec<_> = pairs
            .iter()
            .map(|(own, _)| format!("{own} IS NOT NULL"))
            .collect();
        let equal: Vec<_> = pairs
            .iter()
            .map(|(own, their)| format!("{their} = {own}"))
            .collect();
        Some(format!(
            "{} AND NOT EXISTS (SELECT 1 FROM {place} AS p WHERE {})",
            present.join(" AND "),
            equal.join(" AND ")
        ))
    }

    async fn ask(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        (key, question, what): (&[String], &Question, &str),
        found: &mut TableChanges,
    ) -> Result<()> {
        let asking = Asking {
            dialect: self.dialect,
            key,
        };
        asking.ask(cx, session, (question, what), None, found).await
    }

    /// Leaves cells as they are now that would refer to what was deleted since.
    async fn keep_cells(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        (at, key, dangling): (usize, &ForeignKey, &str),
        found: &mut TableChanges,
    ) -> Result<u64> {
        let sql = &self.sqls[at];
        let cells: Vec<_> = sql
            .cells
            .iter()
            .filter(|cell| key.columns.contains(&cell.then.name) && !cell.is_key)
            .collect();
        if cells.len() != key.columns.len() {
            return Ok(0);
        }
        let differ: Vec<_> = cells
            .iter()
            .map(|cell| {
                // What was converted before is of rows that may have changed since.
                let as_it_is = Cell {
                    converted: None,
                    ..**cell
                };
                as_it_is.alike(self.dialect, "c", "n")
            })
            .collect();
        let mut conditions = vec![
            sql.keys("c", "n"),
            format!("NOT ({})", differ.join(" AND ")),
            dangling.to_owned(),
        ];
        conditions.extend(cells.iter().filter_map(|cell| cell.fits(self.dialect, "n")));
        let conditions = conditions.join(" AND ");
        let (shadow, live) = (sql.quoted(sql.shadow), sql.live());
        let question = Question {
            selected: sql
                .merged
                .then
                .primary_key
                .iter()
                .map(|name| format!("c.{}", self.dialect.quote_identifier(name)))
                .collect::<Vec<_>>()
                .join(", "),
            rest: format!("FROM {shadow} AS c, {live} AS n WHERE {conditions}"),
        };
        let what = "what it was refers to a row that is gone";
        self.ask(
            cx,
            session,
            (&sql.merged.then.primary_key, &question, what),
            found,
        )
        .await?;
        let sets: Vec<_> = cells
            .iter()
            .map(|cell| (cell.name(self.dialect), cell.value(self.dialect, "n")))
            .collect();
        let from = format!("{} AS n", sql.read());
        let update = update(self.dialect, (&shadow, "c"), &sets, &from, &conditions);
        session.execute(cx, &update, &[]).await
    }

    /// Leaves rows there that others refer to and that the migration had inserted.
    async fn bring_parents(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        (parent, (children, key)): (usize, (String, &ForeignKey)),
        found: &mut TableChanges,
    ) -> Result<u64> {
        let sql = &self.sqls[parent];
        let condition = format!(
            "EXISTS (SELECT 1 FROM {children} AS c WHERE {})",
            self.refers_to_live(key, sql, ("c", "n"))
        );
        let what = "inserted by the migration, and other rows refer to it";
        let question = sql.asking_for(&condition);
        self.ask(
            cx,
            session,
            (&sql.merged.then.primary_key, &question, what),
            found,
        )
        .await?;
        session.execute(cx, &sql.insert_where(&condition), &[]).await
    }

    /// Leaves rows out that were written since and refer to others for which there is no place.
    async fn leave_out(&self, cx: &Cx, session: &mut dyn Session, found: &mut [TableChanges]) -> Result<u64> {
        let mut moved = 0;
        for (at, sql) in self.sqls.iter().enumerate() {
            let Some(shadow) = self.shadows.iter().find(|shadow| shadow.name == *sql.shadow) else {
                continue;
            };
            for key in &shadow.table.foreign_keys {
                let (Some(dangling), Some(parent)) =
                    (self.dangling(shadow, key, "c"), self.merge_of(&key.references))
                else {
                    continue;
                };
                let parent = &self.sqls[parent];
                let rest = format!(
                    "FROM {} AS c WHERE {dangling} AND EXISTS (SELECT 1 FROM {} AS q WHERE {})",
                    self.dialect.quote_table(&shadow.name),
                    parent.live(),
                    self.refers_to_live(key, parent, ("c", "q"))
                );
                let what = "written since, and it refers to a row that has no place";
                moved += self
                    .ask_and_delete(cx, session, (shadow, &rest, what), &mut found[at])
                    .await?;
            }
        }
        Ok(moved)
    }

    async fn ask_and_delete(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        (shadow, rest, what): (&Shadow, &str, &str),
        found: &mut TableChanges,
    ) -> Result<u64> {
        let key = &shadow.table.primary_key;
        let selected: Vec<_> = key
            .iter()
            .map(|name| format!("c.{}", self.dialect.quote_identifier(name)))
            .collect();
        let question = Question {
            // A table that the migration dropped may have no key.
            selected: if selected.is_empty() {
                "1".to_owned()
            } else {
                selected.join(", ")
            },
            rest: rest.to_owned(),
        };
        self.ask(cx, session, (key, &question, what), found).await?;
        let delete = format!("DELETE{} {rest}", deleted(self.dialect, "c"));
        session.execute(cx, &delete, &[]).await
    }

    /// Takes rows away that came back and refer to what was deleted since.
    async fn take_away(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        (shadow, own, dangling): (&Shadow, Option<usize>, &str),
        found: &mut TableChanges,
    ) -> Result<u64> {
        let not_there = own.map(|at| {
            let sql = &self.sqls[at];
            let live = sql.live();
            format!(
                " AND NOT EXISTS (SELECT 1 FROM {live} AS n WHERE {})",
                sql.keys("c", "n")
            )
        });
        let rest = format!(
            "FROM {} AS c WHERE {dangling}{}",
            self.dialect.quote_table(&shadow.name),
            not_there.unwrap_or_default()
        );
        let what = "deleted by the migration, and it refers to a row that is gone";
        self.ask_and_delete(cx, session, (shadow, &rest, what), found)
            .await
    }
}

/// Returns whether anything is exchanged that refers or is referred to.
pub(super) fn any(merged: &[Merged], shadows: &[Shadow], now: &Schema) -> bool {
    let refers = |table: &Table| !table.foreign_keys.is_empty();
    let is_parent = |table: &Table| {
        let mut keys = table.foreign_keys.iter();
        keys.any(|key| merged.iter().any(|one| one.then.name == key.references))
    };
    shadows.iter().any(|shadow| refers(&shadow.table)) || now.tables.iter().any(is_parent)
}
