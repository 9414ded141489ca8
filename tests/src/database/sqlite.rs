//! A SQLite file, looked at from outside.

use std::path::Path;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OpenFlags};

use super::{Contents, is_bookkeeping};

/// Reads a database. One that does not exist is empty.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn contents(file: &Path) -> Contents {
    if !file.exists() {
        return Contents::default();
    }
    read(&Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE).expect("it opens"))
}

pub(super) fn read(connection: &Connection) -> Contents {
    let mut contents = Contents::default();
    let mut statement = connection
        .prepare("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE '!_walkback!_%' ESCAPE '!'")
        .expect("the schema can be read");
    let objects: Vec<(String, String, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .expect("the schema can be read")
        .collect::<Result<_, _>>()
        .expect("the schema can be read");
    for (kind, name, sql) in objects {
        if name.starts_with("sqlite_") || is_bookkeeping(&name) {
            continue;
        }
        if kind == "table" {
            contents.rows.insert(name.clone(), rows(connection, &name));
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

/// Returns the first value of a query, as text.
pub(super) fn value(connection: &Connection, sql: &str) -> Result<String, String> {
    let value: Value = connection
        .query_row(sql, [], |row| row.get(0))
        .map_err(|error| error.to_string())?;
    Ok(match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text,
        Value::Blob(bytes) => format!("{bytes:?}"),
    })
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

/// Returns what the integrity and the foreign key check say, if it is bad.
pub(super) fn violations(connection: &Connection) -> Vec<String> {
    let read = |sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).expect("it can be asked");
        statement
            .query_map([], |row| row.get(0))
            .expect("it can be asked")
            .collect::<Result<_, _>>()
            .expect("it can be asked")
    };
    let mut violations = read("SELECT \"table\" || ' refers to ' || parent FROM pragma_foreign_key_check");
    violations.extend(
        read("PRAGMA integrity_check")
            .into_iter()
            .filter(|line| line != "ok"),
    );
    violations
}
