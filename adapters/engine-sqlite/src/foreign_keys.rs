//! Foreign keys that are violated, before and after tables were rebuilt.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use rusqlite::Connection;
use walkback_core::{Error, ErrorKind, Result};

use crate::dialect::quoted;
use crate::link::Link;
use crate::rows;

/// How many violations an error names one by one.
const NAMED: usize = 5;

/// The violated foreign keys of a database, and how often each is violated in the same way.
#[derive(Debug, Default)]
pub(crate) struct Violations {
    counts: BTreeMap<Violation, u64>,
    tables: BTreeSet<String>,
}

/// One way in which a foreign key is violated. The row is not named by its rowid, which a rebuild may change,
/// but by what it refers to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    table: String,
    columns: Vec<String>,
    parent: String,
    /// The values that refer to no row, encoded and in words.
    values: (Vec<u8>, String),
}

impl Violations {
    /// Looks at every foreign key of the database.
    pub(crate) fn find(link: &Link) -> Result<Self> {
        Self::look(&link.connection)
            .map_err(|error| link.place.failed("cannot check the foreign keys", error))
    }

    /// Fails if a foreign key is violated now that was not violated in the same way before.
    pub(crate) fn must_hold(&self, link: &Link) -> Result<()> {
        let mut left = self.counts.clone();
        let mut new = Vec::new();
        for (violation, count) in Self::find(link)?.counts {
            let known = left.remove(&violation).unwrap_or(0);
            let renamed = count.saturating_sub(known);
            if renamed > 0 && !self.is_renamed(&violation, renamed, &mut left) {
                new.push((violation, renamed));
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        Err(Self::report(&new))
    }

    /// Returns whether a violation is an old one whose table, or the table it refers to, has a new name.
    fn is_renamed(&self, violation: &Violation, count: u64, left: &mut BTreeMap<Violation, u64>) -> bool {
        if self.tables.contains(&violation.table) && self.tables.contains(&violation.parent) {
            return false;
        }
        let old = left.iter_mut().find(|(old, before)| {
            old.values == violation.values
                && **before >= count
                && (old.table == violation.table || old.parent == violation.parent)
        });
        old.map(|(_, before)| *before -= count).is_some()
    }

    fn report(new: &[(Violation, u64)]) -> Error {
        let total: u64 = new.iter().map(|(_, count)| count).sum();
        let mut text =
            format!("the transaction would leave {total} row(s) that refer to nothing, and was rolled back:");
        for (violation, count) in new.iter().take(NAMED) {
            let Violation {
                table,
                parent,
                columns,
                values: (_, values),
            } = violation;
            let separator = if text.ends_with(':') { " " } else { "; " };
            let columns = columns.join(", ");
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "{separator}{count} of `{table}` with ({columns}) = ({values}), which `{parent}` does not have"
            );
        }
        if new.len() > NAMED {
            let _ = write!(text, "; and {} more kinds", new.len() - NAMED);
        }
        Error::new(ErrorKind::Database, text).hint(
            "list them with `PRAGMA foreign_key_check`; correct the rows or keep the rows they refer to in the same \
             migration",
        )
    }

    fn look(connection: &Connection) -> rusqlite::Result<Self> {
        let mut found = Self::default();
        let mut statement =
            connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?;
        let tables = statement
            .query_map([], |row| row.get::<_, String>(0))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        found.tables = tables.iter().map(|table| table.to_ascii_lowercase()).collect();
        for table in &tables {
            let keys = foreign_keys(connection, table)?;
            if !keys.is_empty() {
                found.check_table(connection, table, &keys)?;
            }
        }
        Ok(found)
    }

    fn check_table(
        &mut self,
        connection: &Connection,
        table: &str,
        keys: &BTreeMap<i64, Key>,
    ) -> rusqlite::Result<()> {
        let mut statement =
            connection.prepare("SELECT \"rowid\", \"parent\", \"fkid\" FROM pragma_foreign_key_check(?1)")?;
        let mut violated = statement.query([table])?;
        loop {
            let row = match violated.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(()),
                Err(error)
                    if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) =>
                {
                    return Err(error);
                }
                // `foreign key mismatch`: the parent has no such key at all.
                Err(error) => {
                    self.add(table, &Key::default(), (Vec::new(), error.to_string()));
                    return Ok(());
                }
            };
            let (rowid, parent, id): (Option<i64>, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let key = keys.get(&id).cloned().unwrap_or_else(|| Key {
                parent,
                columns: Vec::new(),
            });
            let values = match rowid {
                Some(rowid) => values(connection, table, &key.columns, rowid)?,
                None => (Vec::new(), "..".to_owned()),
            };
            self.add(table, &key, values);
        }
    }

    fn add(&mut self, table: &str, key: &Key, values: (Vec<u8>, String)) {
        let violation = Violation {
            table: table.to_ascii_lowercase(),
            parent: key.parent.to_ascii_lowercase(),
            columns: key.columns.clone(),
            values,
        };
        *self.counts.entry(violation).or_default() += 1;
    }
}

#[derive(Debug, Clone, Default)]
struct Key {
    parent: String,
    columns: Vec<String>,
}

fn foreign_keys(connection: &Connection, table: &str) -> rusqlite::Result<BTreeMap<i64, Key>> {
    let mut statement = connection.prepare(
        "SELECT \"id\", \"table\", \"from\" FROM pragma_foreign_key_list(?1) ORDER BY \"id\", \"seq\"",
    )?;
    let mut rows = statement.query([table])?;
    let mut keys: BTreeMap<i64, Key> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let key = keys.entry(row.get(0)?).or_default();
        key.parent = row.get(1)?;
        key.columns.push(row.get(2)?);
    }
    Ok(keys)
}

fn values(
    connection: &Connection,
    table: &str,
    columns: &[String],
    rowid: i64,
) -> rusqlite::Result<(Vec<u8>, String)> {
    let Some(alias) = rowid_alias(connection, table)? else {
        return Ok((Vec::new(), format!("row {rowid}")));
    };
    let list = columns
        .iter()
        .map(|column| quoted(column))
        .collect::<Vec<_>>()
        .join(", ");
    let quotes = columns
        .iter()
        .map(|column| format!("quote({})", quoted(column)))
        .collect::<Vec<_>>()
        .join(" || ', ' || ");
    let sql = format!(
        "SELECT {quotes}, {list} FROM {} WHERE {alias} = ?1",
        quoted(table)
    );
    connection.query_row(&sql, [rowid], |row| {
        let mut encoded = Vec::new();
        for index in 1..=columns.len() {
            rows::encode_value(row.get_ref(index)?, &mut encoded);
        }
        Ok((encoded, row.get(0)?))
    })
}

/// Returns a name of the rowid that no column of the table has taken for itself.
pub(crate) fn rowid_alias(connection: &Connection, table: &str) -> rusqlite::Result<Option<&'static str>> {
    let mut statement = connection.prepare("SELECT lower(name) FROM pragma_table_xinfo(?1)")?;
    let taken = statement
        .query_map([table], |row| row.get::<_, String>(0))?
        .collect::<rusqlite::Result<BTreeSet<_>>>()?;
    Ok(["rowid", "_rowid_", "oid"]
        .into_iter()
        .find(|alias| !taken.contains(*alias)))
}
