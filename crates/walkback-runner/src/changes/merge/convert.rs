//! Columns of another type on MySQL, where no expression tells whether a value can be converted: what does not fit is an
//! error, or something else in its place. So the values are converted beside the tables, and looked at.

use walkback_core::{Dialect, TableName};

use super::Merged;
use super::cells::Cell;
use crate::changes::sql::same;

/// The values of the columns of one table that have another type, converted.
#[derive(Debug)]
pub(in crate::changes) struct Converted {
    /// The rows as they are now: their values in the type as it was, and from that back again.
    now: TableName,
    /// The rows as they were: their values in the type as it is now.
    then: TableName,
    key: Vec<String>,
}

impl Converted {
    /// Converts beside the tables of these names.
    pub(super) fn new(merged: &Merged, now: TableName, then: TableName) -> Self {
        Self {
            now,
            then,
            key: merged.then.primary_key.clone(),
        }
    }

    /// Returns the statements that convert.
    pub(super) fn making(
        &self,
        dialect: &dyn Dialect,
        (shadow, live): (&TableName, &str),
        cells: &[Cell<'_>],
    ) -> Vec<String> {
        let columns: Vec<_> = cells.iter().filter(|cell| cell.has_another_type()).collect();
        let quoted = |table: &TableName| dialect.quote_table(table);
        let list = |each: &dyn Fn(&Cell<'_>) -> String| {
            let each: Vec<_> = columns.iter().map(|cell| each(cell)).collect();
            each.join(", ")
        };
        let was = |cell: &Cell<'_>| column(dialect, "then", cell);
        let is = |cell: &Cell<'_>| column(dialect, "now", cell);
        let keys = |row: &str| {
            let each = self.key.iter();
            let each: Vec<_> = each
                .map(|name| format!("{row}{}", dialect.quote_identifier(name)))
                .collect();
            each.join(", ")
        };
        // The columns are as those that they are made of, whatever their character set, and may be empty.
        let empty = format!(
            "FROM (SELECT 1 AS one) AS o LEFT JOIN {} AS s ON 1 = 0 LEFT JOIN {} AS n ON 1 = 0 WHERE 1 = 0",
            quoted(shadow),
            live
        );
        let index = if self.can_be_indexed(cells) {
            format!(" (KEY ({}))", keys(""))
        } else {
            String::new()
        };
        let make = |table: &TableName, columns: String| {
            format!(
                "CREATE TABLE {}{index} AS SELECT {columns} {empty}",
                quoted(table)
            )
        };
        let as_was = |cell: &Cell<'_>| format!("s.{} AS {}", cell.name(dialect), was(cell));
        let as_is = |cell: &Cell<'_>| format!("n.{} AS {}", cell.name(dialect), is(cell));
        let (now, then) = (quoted(&self.now), quoted(&self.then));
        vec![
            make(
                &self.now,
                format!("{}, {}, {}", keys("n."), list(&as_was), list(&as_is)),
            ),
            format!(
                "INSERT IGNORE INTO {now} ({}, {}) SELECT {}, {} FROM {} AS n",
                keys(""),
                list(&was),
                keys("n."),
                list(&|cell| format!("n.{}", cell.name(dialect))),
                live
            ),
            format!(
                "UPDATE IGNORE {now} SET {}",
                list(&|cell| format!("{} = {}", is(cell), was(cell)))
            ),
            make(&self.then, format!("{}, {}", keys("s."), list(&as_is))),
            format!(
                "INSERT IGNORE INTO {then} ({}, {}) SELECT {}, {} FROM {} AS s",
                keys(""),
                list(&is),
                keys("s."),
                list(&|cell| format!("s.{}", cell.name(dialect))),
                quoted(shadow)
            ),
        ]
    }

    /// Returns the statements that clear away what was converted.
    pub(super) fn unmaking(&self, dialect: &dyn Dialect) -> Vec<String> {
        [&self.then, &self.now]
            .map(|table| format!("DROP TABLE {}", dialect.quote_table(table)))
            .to_vec()
    }

    /// Says that a value of a row as it is now comes back from the type as it was.
    pub(super) fn fits(&self, dialect: &dyn Dialect, cell: &Cell<'_>, row: &str) -> String {
        let back = format!("f.{}", column(dialect, "now", cell));
        let now = format!("{row}.{}", cell.name(dialect));
        format!(
            "EXISTS (SELECT 1 FROM {} AS f WHERE {} AND {})",
            dialect.quote_table(&self.now),
            self.keys(dialect, "f", row),
            same(dialect.kind(), &cell.now.data_type, &back, &now)
        )
    }

    /// Says that a value of a row as it was is, in the type as it is now, that of another row.
    pub(super) fn alike(&self, dialect: &dyn Dialect, cell: &Cell<'_>, (then, now): (&str, &str)) -> String {
        let converted = format!(
            "(SELECT g.{} FROM {} AS g WHERE {})",
            column(dialect, "now", cell),
            dialect.quote_table(&self.then),
            self.keys(dialect, "g", then)
        );
        let now = format!("{now}.{}", cell.name(dialect));
        same(dialect.kind(), &cell.now.data_type, &converted, &now)
    }

    fn keys(&self, dialect: &dyn Dialect, one: &str, other: &str) -> String {
        let each = self.key.iter().map(|name| {
            let name = dialect.quote_identifier(name);
            format!("{one}.{name} = {other}.{name}")
        });
        each.collect::<Vec<_>>().join(" AND ")
    }

    /// Texts without end are indexed by their beginnings, and these are too few rows to ask which.
    fn can_be_indexed(&self, cells: &[Cell<'_>]) -> bool {
        let is_long = |cell: &&Cell<'_>| {
            let of_type = cell.now.data_type.to_ascii_lowercase();
            cell.is_key && (of_type.contains("text") || of_type.contains("blob"))
        };
        !cells.iter().any(|cell| is_long(&cell))
    }
}

/// Returns the name of a converted column.
fn column(dialect: &dyn Dialect, of: &str, cell: &Cell<'_>) -> String {
    let hash = blake3::hash(cell.then.name.as_bytes()).to_hex();
    dialect.quote_identifier(&format!("_walkback_{of}_{}", &hash[..16]))
}
