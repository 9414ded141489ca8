//! What is in a database, in a form that can be compared: rows by hash, objects by name.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

/// The tables of the application and everything beside them, walkback's own left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Columns, count of rows and hash of all rows, by table.
    pub(crate) tables: BTreeMap<String, TableState>,
    /// Indexes, views and triggers, as `kind name`.
    pub(crate) objects: Vec<String>,
}

/// What is in one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableState {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: u64,
    pub(crate) hash: String,
}

impl Snapshot {
    /// Reads a database without changing it.
    pub(crate) fn of(file: &Path) -> Result<Self> {
        let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .with_context(|| format!("cannot open `{}`", file.display()))?;
        let mut tables = BTreeMap::new();
        let mut objects = Vec::new();
        let mut statement = connection.prepare("SELECT type, name FROM sqlite_schema ORDER BY type, name")?;
        let listed =
            statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        for entry in listed {
            let (kind, name) = entry?;
            if is_ours(&name) || name.starts_with("sqlite_") {
                continue;
            }
            if kind == "table" {
                let state = TableState::of(&connection, &name)
                    .with_context(|| format!("cannot read the table `{name}`"))?;
                tables.insert(name, state);
            } else {
                objects.push(format!("{kind} {name}"));
            }
        }
        Ok(Self { tables, objects })
    }

    /// Returns how many rows all tables have together.
    pub(crate) fn rows(&self) -> u64 {
        self.tables.values().map(|table| table.rows).sum()
    }

    /// Says what differs, a line each; empty if nothing does.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, before) in &self.tables {
            match other.tables.get(name) {
                None => found.push(format!("table `{name}` is gone, with {} rows", before.rows)),
                Some(after) if after.columns != before.columns => {
                    found.push(format!(
                        "table `{name}` has other columns: {:?}, not {:?}",
                        after.columns, before.columns
                    ));
                }
                Some(after) if after != before => {
                    found.push(format!(
                        "table `{name}` has other rows ({}, before {})",
                        after.rows, before.rows
                    ));
                }
                Some(_) => {}
            }
        }
        let new = other
            .tables
            .keys()
            .filter(|name| !self.tables.contains_key(*name));
        found.extend(new.map(|name| format!("table `{name}` is new")));
        let gone = self
            .objects
            .iter()
            .filter(|object| !other.objects.contains(object));
        found.extend(gone.map(|object| format!("{object} is gone")));
        let new = other
            .objects
            .iter()
            .filter(|object| !self.objects.contains(object));
        found.extend(new.map(|object| format!("{object} is new")));
        found
    }
}

/// Walkback's own tables, and what it keeps aside for a way back.
fn is_ours(name: &str) -> bool {
    name.starts_with("_walkback") || name.starts_with("_deprecated")
}

impl TableState {
    fn of(connection: &Connection, table: &str) -> Result<Self> {
        let name = format!("\"{}\"", table.replace('"', "\"\""));
        let mut statement = connection.prepare(&format!("SELECT * FROM {name}"))?;
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query([])?;
        let mut hashes = Vec::new();
        while let Some(row) = rows.next()? {
            let mut hasher = blake3::Hasher::new();
            for column in 0..columns.len() {
                feed(&mut hasher, row.get_ref(column)?);
            }
            hashes.push(*hasher.finalize().as_bytes());
        }
        // The physical order of the rows is nobody's business.
        hashes.sort_unstable();
        let mut whole = blake3::Hasher::new();
        for hash in &hashes {
            whole.update(hash);
        }
        Ok(Self {
            columns,
            rows: u64::try_from(hashes.len())?,
            hash: whole.finalize().to_hex().to_string(),
        })
    }
}

/// Feeds a value with its type and its length, so that no two rows look alike.
fn feed(hasher: &mut blake3::Hasher, value: ValueRef<'_>) {
    let (tag, bytes): (u8, &[u8]) = match value {
        ValueRef::Null => (0, &[]),
        ValueRef::Integer(number) => {
            hasher.update(&[1]).update(&number.to_le_bytes());
            return;
        }
        ValueRef::Real(number) => {
            hasher.update(&[2]).update(&number.to_bits().to_le_bytes());
            return;
        }
        ValueRef::Text(text) => (3, text),
        ValueRef::Blob(bytes) => (4, bytes),
    };
    hasher
        .update(&[tag])
        .update(&bytes.len().to_le_bytes())
        .update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(folder: &Path, name: &str, script: &str) -> Snapshot {
        let file = folder.join(name);
        let connection = Connection::open(&file).expect("a database");
        connection.execute_batch(script).expect("the script runs");
        drop(connection);
        Snapshot::of(&file).expect("the database can be read")
    }

    #[test]
    fn a_snapshot_sees_every_kind_of_loss() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let base = "CREATE TABLE a (x, y); INSERT INTO a VALUES (1, NULL), (2, ''); CREATE INDEX i ON a (x);";
        let before = database(folder.path(), "before", base);
        assert_eq!(before.rows(), 2);
        let same = format!("{base} CREATE TABLE _walkback_ledger (id);");
        assert!(
            before
                .differences(&database(folder.path(), "same", &same))
                .is_empty()
        );
        for (name, change) in [
            ("null", "UPDATE a SET y = '' WHERE x = 1"),
            ("type", "UPDATE a SET x = '1' WHERE x = 1"),
            ("row", "DELETE FROM a WHERE x = 1"),
            ("column", "ALTER TABLE a DROP COLUMN y"),
            ("table", "ALTER TABLE a RENAME TO b"),
            ("index", "DROP INDEX i"),
            ("view", "CREATE VIEW v AS SELECT 1"),
        ] {
            let after = database(folder.path(), name, &format!("{base} {change};"));
            assert!(!before.differences(&after).is_empty(), "{name}");
        }
    }
}
