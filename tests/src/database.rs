//! The database, looked at from outside and without any code of walkback.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

/// Everything an application can see: definitions and rows, without walkback's own tables.
#[derive(Debug, Clone, PartialEq)]
pub struct Contents {
    /// Definitions by kind and name, white space folded.
    pub definitions: BTreeMap<String, String>,
    /// Rows of each table, sorted, each as text in which 1, 1.0 and '1' differ.
    pub rows: BTreeMap<String, Vec<String>>,
}

/// Reads a database. One that does not exist is empty.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn contents(file: &Path) -> Contents {
    let mut contents = Contents {
        definitions: BTreeMap::new(),
        rows: BTreeMap::new(),
    };
    if !file.exists() {
        return contents;
    }
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE).expect("it opens");
    let mut statement = connection
        .prepare("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE '!_walkback!_%' ESCAPE '!'")
        .expect("the schema can be read");
    let objects: Vec<(String, String, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .expect("the schema can be read")
        .collect::<Result<_, _>>()
        .expect("the schema can be read");
    for (kind, name, sql) in objects {
        if name.starts_with("sqlite_") || name == "__diesel_schema_migrations" {
            continue;
        }
        if kind == "table" {
            contents.rows.insert(name.clone(), rows(&connection, &name));
        }
        let folded = sql
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .replace('"', "");
        contents.definitions.insert(format!("{kind} {name}"), folded);
    }
    contents
}

/// Reads the rows of a table, each cell under its column's name, so that the order of columns does not matter.
fn rows(connection: &Connection, table: &str) -> Vec<String> {
    let sql = format!("SELECT * FROM \"{}\"", table.replace('"', "\"\""));
    let mut statement = connection.prepare(&sql).expect("the table can be read");
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows: Vec<String> = statement
        .query_map([], |row| {
            let mut cells: Vec<String> = Vec::new();
            for (index, name) in names.iter().enumerate() {
                cells.push(format!("{name}={}", cell(row.get_ref(index)?)));
            }
            cells.sort();
            Ok(cells.join(" "))
        })
        .expect("the table can be read")
        .collect::<Result<_, _>>()
        .expect("the table can be read");
    rows.sort();
    rows
}

fn cell(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => format!("i{number}"),
        ValueRef::Real(number) => format!("r{:016x}", number.to_bits()),
        // Text need not be UTF-8 in SQLite.
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => format!("t{text:?}"),
            Err(_) => format!("t{bytes:?}"),
        },
        ValueRef::Blob(bytes) => format!("b{bytes:?}"),
    }
}
