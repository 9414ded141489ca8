//! Values of cells, between walkback and SQLite.

use rusqlite::types::{ToSqlOutput, ValueRef};
use walkback_core::{Error, ErrorKind, Result, Value};

/// Returns the value of a cell, by its storage class.
pub(crate) fn from_cell(cell: ValueRef<'_>) -> Value {
    match cell {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Float(value),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::BrokenText(bytes.to_owned()),
        },
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_owned()),
    }
}

/// Returns what to bind for a parameter, counted from 1 in messages. A value that SQLite would change without
/// a word is refused.
pub(crate) fn to_parameter(value: &Value, number: usize) -> Result<ToSqlOutput<'_>> {
    let bound = match value {
        Value::Null => ValueRef::Null,
        Value::Bool(value) => ValueRef::Integer(i64::from(*value)),
        Value::Integer(value) => ValueRef::Integer(*value),
        Value::Unsigned(value) => match i64::try_from(*value) {
            Ok(value) => ValueRef::Integer(value),
            Err(_) => {
                return Err(refused(
                    number,
                    &format!("the integer {value} is beyond 64 bits with a sign"),
                ));
            }
        },
        Value::Float(value) if value.is_nan() => {
            return Err(refused(number, "SQLite has no NaN and would store NULL"));
        }
        Value::Float(value) => ValueRef::Real(*value),
        Value::Decimal(text) | Value::Text(text) => ValueRef::Text(text.as_bytes()),
        Value::BrokenText(bytes) => ValueRef::Text(bytes),
        Value::Bytes(bytes) => ValueRef::Blob(bytes),
        other => return Err(refused(number, &format!("SQLite has no place for {other:?}"))),
    };
    Ok(ToSqlOutput::Borrowed(bound))
}

fn refused(number: usize, why: &str) -> Error {
    Error::new(
        ErrorKind::Usage,
        format!("parameter {number} cannot be bound: {why}"),
    )
}
