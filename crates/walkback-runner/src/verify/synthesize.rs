//! Rows made up to fit a schema, so that a lost row or a lost value shows.

use std::collections::BTreeMap;

use walkback_core::catalog::{Column, Schema, Table};
use walkback_core::engine::SessionExt as _;
use walkback_core::value::{Row, Value};
use walkback_core::{Cx, Dialect, Result, Session, TableName};

use crate::journal::bind;

/// How many rows an empty table is given.
const ROWS: i64 = 3;

/// Gives every empty table a few rows, parents before children, and returns those that would not take any.
pub(super) async fn fill(
    cx: &Cx,
    session: &mut dyn Session,
    dialect: &dyn Dialect,
    schema: &Schema,
) -> Result<BTreeMap<TableName, String>> {
    let mut refused: BTreeMap<TableName, String> = BTreeMap::new();
    // A few rounds are enough for any chain of parents that the first round met in the wrong order.
    for _ in 0..3 {
        refused.clear();
        for table in &schema.tables {
            if is_empty(cx, session, dialect, table).await?
                && let Err(error) = fill_table(cx, session, dialect, table).await
            {
                let cause =
                    std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                refused.insert(table.name.clone(), cause);
            }
        }
        if refused.is_empty() {
            break;
        }
    }
    Ok(refused)
}

async fn is_empty(cx: &Cx, session: &mut dyn Session, dialect: &dyn Dialect, table: &Table) -> Result<bool> {
    let sql = format!("SELECT count(*) FROM {}", dialect.quote_table(&table.name));
    let row = session.fetch_optional(cx, &sql, &[]).await?;
    Ok(row.and_then(|row| row[0].as_i64()) == Some(0))
}

async fn fill_table(cx: &Cx, session: &mut dyn Session, dialect: &dyn Dialect, table: &Table) -> Result<()> {
    for number in 1..=ROWS {
        let row = synthetic_row(cx, session, dialect, table, number).await?;
        let (names, values): (Vec<_>, Vec<_>) = row.into_iter().unzip();
        let names: Vec<_> = names
            .iter()
            .map(|name: &String| dialect.quote_identifier(name))
            .collect();
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            dialect.quote_table(&table.name),
            names.join(", "),
            vec!["?"; names.len()].join(", ")
        );
        session
            .execute(cx, &bind_outside_quotes(dialect, &sql), &values)
            .await?;
    }
    Ok(())
}

/// Makes up a row. What refers to another table takes values that are there.
async fn synthetic_row(
    cx: &Cx,
    session: &mut dyn Session,
    dialect: &dyn Dialect,
    table: &Table,
    number: i64,
) -> Result<Vec<(String, Value)>> {
    let mut row: Vec<(String, Value)> = table
        .columns
        .iter()
        .filter(|column| !column.generated)
        .map(|column| (column.name.clone(), synthetic_value(column, number)))
        .collect();
    for key in &table.foreign_keys {
        let Some(parent) = parent_row(cx, session, dialect, key, number).await? else {
            continue;
        };
        for (column, value) in key.columns.iter().zip(parent) {
            if let Some(cell) = row.iter_mut().find(|(name, _)| name == column) {
                cell.1 = value;
            }
        }
    }
    Ok(row)
}

async fn parent_row(
    cx: &Cx,
    session: &mut dyn Session,
    dialect: &dyn Dialect,
    key: &walkback_core::catalog::ForeignKey,
    number: i64,
) -> Result<Option<Row>> {
    if key.referenced_columns.is_empty() || !session.has_table(cx, &key.references).await? {
        return Ok(None);
    }
    let columns: Vec<_> = key
        .referenced_columns
        .iter()
        .map(|column| dialect.quote_identifier(column))
        .collect();
    let sql = format!(
        "SELECT {} FROM {} ORDER BY 1 LIMIT 1 OFFSET {}",
        columns.join(", "),
        dialect.quote_table(&key.references),
        number - 1
    );
    session.fetch_optional(cx, &sql, &[]).await
}

/// Makes up a value that most columns of the type take: different in each row, and awkward where it can be.
fn synthetic_value(column: &Column, number: i64) -> Value {
    let data_type = column.data_type.to_ascii_lowercase();
    let is = |words: &[&str]| words.iter().any(|word| data_type.contains(word));
    if is(&["bool"]) {
        Value::Integer(number % 2)
    } else if is(&["int", "serial"]) {
        Value::Integer(number)
    } else if is(&["real", "floa", "doub", "num", "dec"]) {
        Value::Float(1.5 * f64::from(i32::try_from(number).unwrap_or(1)))
    } else if is(&["timestamp", "datetime"]) {
        Value::Text(format!("2026-01-0{number} 03:04:05"))
    } else if is(&["date"]) {
        Value::Text(format!("2026-01-0{number}"))
    } else if is(&["time"]) {
        Value::Text(format!("0{number}:04:05"))
    } else if is(&["blob", "binary", "bytea"]) {
        Value::Bytes(vec![0, 0xff, u8::try_from(number).unwrap_or(1)])
    } else if is(&["json"]) {
        Value::Text(format!("{{\"n\": {number}}}"))
    } else if is(&["char(1)"]) {
        Value::Text(number.to_string())
    } else {
        Value::Text(format!("{number} it's «🐘»"))
    }
}

/// Names may hold a question mark: only the placeholders at the end are bound.
fn bind_outside_quotes(dialect: &dyn Dialect, sql: &str) -> String {
    match sql.rfind(" VALUES (") {
        Some(values) => format!("{}{}", &sql[..values], bind(dialect, &sql[values..])),
        None => sql.to_owned(),
    }
}
