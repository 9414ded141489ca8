//! The columns of a table that is merged: which of them both have, and what fits into them.

use walkback_core::catalog::Column;
use walkback_core::{Dialect, DialectKind};

use super::Merged;
use super::convert::Converted;
use crate::changes::sql::same;

/// A column that the table has now, had when the migration was done, and will have again.
#[derive(Debug, Clone, Copy)]
pub(in crate::changes) struct Cell<'a> {
    pub(in crate::changes) then: &'a Column,
    pub(in crate::changes) now: &'a Column,
    pub(in crate::changes) is_key: bool,
    /// Where the values of another type are, converted; MySQL's only.
    pub(in crate::changes) converted: Option<&'a Converted>,
}

impl<'a> Cell<'a> {
    /// Returns the columns that a table keeps.
    pub(super) fn all(merged: &'a Merged) -> Vec<Self> {
        let find = |columns: &'a [Column], name: &str| {
            let mut columns = columns.iter().filter(|column| !column.generated);
            columns.find(|column| column.name == name)
        };
        let kept = merged.then.columns.iter().filter(|column| !column.generated);
        kept.filter_map(|then| {
            find(&merged.left.columns, &then.name)?;
            Some(Cell {
                then,
                now: find(&merged.now.columns, &then.name)?,
                is_key: merged.then.primary_key.contains(&then.name),
                converted: None,
            })
        })
        .collect()
    }

    pub(in crate::changes) fn name(&self, dialect: &dyn Dialect) -> String {
        dialect.quote_identifier(&self.then.name)
    }

    pub(super) fn has_another_type(&self) -> bool {
        !self.then.data_type.eq_ignore_ascii_case(&self.now.data_type)
    }

    /// Says that two rows of the table as it is now hold the same in this column.
    pub(in crate::changes) fn same(&self, dialect: &dyn Dialect, one: &str, other: &str) -> String {
        let name = self.name(dialect);
        let (one, other) = (format!("{one}.{name}"), format!("{other}.{name}"));
        same(dialect.kind(), &self.now.data_type, &one, &other)
    }

    /// Says that a row of the table as it was and one of the table as it is now hold the same, as text where the column
    /// has another type.
    pub(in crate::changes) fn alike(&self, dialect: &dyn Dialect, then: &str, now: &str) -> String {
        if !self.has_another_type() {
            return self.same(dialect, then, now);
        }
        let name = self.name(dialect);
        match dialect.kind() {
            DialectKind::Sqlite => {
                format!("CAST({then}.{name} AS TEXT) IS CAST({now}.{name} AS TEXT)")
            }
            DialectKind::Postgres => {
                let converted = self.function(dialect, "as");
                format!("{converted}({then}.{name}::text) IS NOT DISTINCT FROM {now}.{name}::text")
            }
            DialectKind::Mysql => match self.converted {
                Some(converted) => converted.alike(dialect, self, (then, now)),
                None => format!("CAST({then}.{name} AS CHAR) <=> CAST({now}.{name} AS CHAR)"),
            },
        }
    }

    /// Returns what is written to the table as it was.
    pub(super) fn value(&self, dialect: &dyn Dialect, row: &str) -> String {
        let name = self.name(dialect);
        if self.is_converted(dialect) {
            format!("{row}.{name}::text::{}", self.then.data_type)
        } else {
            format!("{row}.{name}")
        }
    }

    /// Says that the table as it was can hold what a row has now. `None`: it always can.
    pub(super) fn fits(&self, dialect: &dyn Dialect, row: &str) -> Option<String> {
        let name = self.name(dialect);
        let mut conditions = Vec::new();
        if !self.then.nullable && self.now.nullable {
            conditions.push(format!("{row}.{name} IS NOT NULL"));
        }
        if self.is_converted(dialect) {
            let fits = self.function(dialect, "fits");
            conditions.push(format!("({row}.{name} IS NULL OR {fits}({row}.{name}::text))"));
        }
        if let Some(converted) = self.converted.filter(|_| self.has_another_type()) {
            let fits = converted.fits(dialect, self, row);
            conditions.push(format!("({row}.{name} IS NULL OR {fits})"));
        }
        (!conditions.is_empty()).then(|| format!("({})", conditions.join(" AND ")))
    }

    /// SQLite holds anything in any column; PostgreSQL is asked first whether a text can be read as the type.
    fn is_converted(&self, dialect: &dyn Dialect) -> bool {
        dialect.kind() == DialectKind::Postgres && self.has_another_type()
    }

    fn function(&self, dialect: &dyn Dialect, does: &str) -> String {
        let pair = format!("{} from {}", self.then.data_type, self.now.data_type);
        let hash = blake3::hash(pair.as_bytes()).to_hex();
        let name = dialect.quote_identifier(&format!("_walkback_{does}_{}", &hash[..16]));
        format!("pg_temp.{name}")
    }

    /// Returns the statements that make the functions by which columns of another type are compared and asked: a cast
    /// that fails would end the transaction. A value fits if it comes back from the type as it was. A session keeps them
    /// to itself.
    pub(in crate::changes) fn making(&self, dialect: &dyn Dialect) -> Vec<String> {
        if !self.is_converted(dialect) {
            return Vec::new();
        }
        let make = |does: &str, result: &str, body: String, otherwise: &str| {
            format!(
                "CREATE OR REPLACE FUNCTION {}(value text) RETURNS {result} LANGUAGE plpgsql AS \
                 $walkback$ BEGIN RETURN {body}; EXCEPTION WHEN others THEN RETURN {otherwise}; END $walkback$",
                self.function(dialect, does),
            )
        };
        let (then, now) = (&self.then.data_type, &self.now.data_type);
        vec![
            make(
                "fits",
                "boolean",
                format!("value::{then}::text::{now}::text = value"),
                "false",
            ),
            make("as", "text", format!("value::{now}::text"), "value"),
        ]
    }

    /// Returns the statements that drop them.
    pub(in crate::changes) fn unmaking(&self, dialect: &dyn Dialect) -> Vec<String> {
        if !self.is_converted(dialect) {
            return Vec::new();
        }
        ["fits", "as"]
            .map(|does| format!("DROP FUNCTION IF EXISTS {}(text)", self.function(dialect, does)))
            .to_vec()
    }
}

/// Returns the columns of the table as it was that it does not have now, or has otherwise.
pub(super) fn missing<'a>(merged: &'a Merged, cells: &[Cell<'_>]) -> Vec<&'a Column> {
    let is_kept = |column: &Column| cells.iter().any(|cell| cell.then.name == column.name);
    let columns = merged.then.columns.iter();
    columns
        .filter(|column| !column.generated && !is_kept(column))
        .collect()
}
