//! The statements that put cells back into the columns that come with a migration.
//!
//! `t` is the table as the migration has made it again, `w` holds rows of it as they were before the rollback, `l` as
//! the migration had left them the first time.

use walkback_core::DialectKind;
use walkback_core::catalog::Column;

use crate::changes::asking::Question;
use crate::changes::sql::Sql;

/// What each joined row is marked with, so that one that is not there can be told from one of `NULL`s.
const HERE: &str = "_walkback_here";

/// How much is known of what the migration wrote into the cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Both what it wrote the first time, and that nobody has written to the table since it was done again.
    All,
    /// What it wrote the first time.
    FirstTime,
    /// Nothing: a cell that holds no more than its default was not written by it.
    Nothing,
}

/// Cells of one table.
pub(super) struct Cells<'a> {
    pub(super) sql: Sql<'a>,
    pub(super) known: Known,
}

impl Cells<'_> {
    /// Writes the cells that were written to after the migration.
    pub(super) fn put_back(&self) -> String {
        let is_mysql = self.sql.dialect.kind() == DialectKind::Mysql;
        let prefix = if is_mysql { "t." } else { "" };
        let (mut sets, mut any) = (Vec::new(), Vec::new());
        for column in &self.sql.columns {
            let (name, takes) = (self.sql.name(&column.name), self.takes(column));
            sets.push(format!(
                "{prefix}{name} = CASE WHEN {takes} THEN w.{name} ELSE t.{name} END"
            ));
            any.push(takes);
        }
        let (live, sets, any) = (self.sql.live(), sets.join(", "), any.join(" OR "));
        let own = self.sql.keys("t", "w");
        let rows = self.rows();
        if is_mysql {
            // A joined table cannot be written to through the outer side: the table itself comes first.
            format!("UPDATE {live} AS t JOIN ({rows}) ON {own} SET {sets} WHERE {any}")
        } else {
            format!("UPDATE {live} AS t SET {sets} FROM {rows} WHERE {own} AND ({any})")
        }
    }

    /// Asks for cells that stay as the migration has written them this time.
    pub(super) fn left_out(&self, column: &Column) -> Question {
        let name = self.sql.name(&column.name);
        let key = self.sql.table.primary_key.iter();
        let key: Vec<_> = key.map(|column| format!("t.{}", self.sql.name(column))).collect();
        Question {
            selected: format!("{}, w.{name}, l.{name}, t.{name}", key.join(", ")),
            rest: format!(
                "FROM {} JOIN {} AS t ON {} WHERE {} AND NOT ({}) AND NOT ({})",
                self.rows(),
                self.sql.live(),
                self.sql.keys("t", "w"),
                self.is_written(column),
                self.sql.same(column, "t", "w"),
                self.takes(column),
            ),
        }
    }

    /// Returns the rows as they were before the rollback, each with itself as the migration had left it.
    fn rows(&self) -> String {
        format!(
            "{} AS w LEFT JOIN (SELECT 1 AS {HERE}, m.* FROM {} AS m) AS l ON {}",
            self.sql.was(),
            self.sql.left(),
            self.sql.keys("w", "l"),
        )
    }

    /// Says that a cell was written to after the migration, or that nobody knows.
    fn is_written(&self, column: &Column) -> String {
        format!("(l.{HERE} IS NULL OR NOT ({}))", self.sql.same(column, "w", "l"))
    }

    fn takes(&self, column: &Column) -> String {
        let name = self.sql.name(&column.name);
        let untouched = match self.known {
            Known::All => String::new(),
            Known::FirstTime => format!(
                " AND (t.{name} IS NULL OR (l.{HERE} IS NOT NULL AND {}))",
                self.sql.same(column, "t", "l")
            ),
            Known::Nothing => format!(" AND (t.{name} IS NULL{})", self.is_default(column)),
        };
        format!(
            "({} AND NOT ({}){untouched}{})",
            self.is_written(column),
            self.sql.same(column, "t", "w"),
            self.sql.has_parent(column)
        )
    }

    fn is_default(&self, column: &Column) -> String {
        let Some(default) = &column.default else {
            return String::new();
        };
        let name = self.sql.name(&column.name);
        let is_computed = default.contains('(');
        match self.sql.dialect.kind() {
            DialectKind::Mysql if is_computed => String::new(),
            DialectKind::Mysql => format!(" OR t.{name} <=> DEFAULT(t.{name})"),
            DialectKind::Sqlite => format!(" OR t.{name} IS ({default})"),
            DialectKind::Postgres if is_computed => String::new(),
            DialectKind::Postgres => format!(" OR t.{name}::text IS NOT DISTINCT FROM ({default})::text"),
        }
    }
}
