//! Writes names and values so that they read back as the same names and values.

use walkback_core::{DialectKind, TableName, Value};

/// Quotes an identifier so that any name, with any character in it, stands for itself.
#[must_use]
pub fn quote_identifier(kind: DialectKind, name: &str) -> String {
    let quote = if kind == DialectKind::Mysql { '`' } else { '"' };
    let mut quoted = String::with_capacity(name.len() + 2);
    quoted.push(quote);
    for character in name.chars() {
        if character == quote {
            quoted.push(quote);
        }
        quoted.push(character);
    }
    quoted.push(quote);
    quoted
}

/// Quotes the name of a table, with its schema if it has one.
#[must_use]
pub fn quote_table(kind: DialectKind, table: &TableName) -> String {
    let name = quote_identifier(kind, &table.name);
    match &table.schema {
        Some(schema) => format!("{}.{name}", quote_identifier(kind, schema)),
        None => name,
    }
}

/// Writes a value as a literal that reads back as the same value.
///
/// What an engine cannot hold becomes the nearest it can: on SQLite and MySQL a NaN is `NULL`, as SQLite
/// itself stores it. The settings `standard_conforming_strings = on` (PostgreSQL) is taken for granted; no
/// `sql_mode` of MySQL changes what the literals mean. On SQLite the database must be in UTF-8 for text
/// with a NUL character.
#[must_use]
pub fn literal(kind: DialectKind, value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(value) => boolean(kind, *value).to_owned(),
        Value::Integer(value) => value.to_string(),
        Value::Unsigned(value) => value.to_string(),
        Value::Float(value) => float(kind, *value),
        Value::Decimal(digits) => decimal(kind, digits),
        Value::Text(text) => text_literal(kind, text),
        Value::BrokenText(bytes) => broken_text(kind, bytes),
        Value::Bytes(bytes) => byte_literal(kind, bytes),
        // `Value` may grow; its text is then the best there is.
        other => text_literal(kind, &format!("{other:?}")),
    }
}

fn boolean(kind: DialectKind, value: bool) -> &'static str {
    match (kind, value) {
        (DialectKind::Postgres, true) => "TRUE",
        (DialectKind::Postgres, false) => "FALSE",
        (_, true) => "1",
        (_, false) => "0",
    }
}

fn float(kind: DialectKind, value: f64) -> String {
    match kind {
        // A bare number with a point is `numeric` and would lose the sign of `-0.0`.
        DialectKind::Postgres if value.is_nan() => "'NaN'::float8".to_owned(),
        DialectKind::Postgres if value.is_infinite() => {
            format!("'{}Infinity'::float8", if value < 0.0 { "-" } else { "" })
        }
        DialectKind::Postgres => format!("'{value:?}'::float8"),
        _ if value.is_nan() => "NULL".to_owned(),
        DialectKind::Sqlite if value.is_infinite() => {
            (if value < 0.0 { "-9e999" } else { "9e999" }).to_owned()
        }
        DialectKind::Sqlite => format!("{value:?}"),
        // MySQL has no infinity; only a number with an exponent is a double there.
        DialectKind::Mysql if value.is_infinite() => "NULL".to_owned(),
        DialectKind::Mysql => format!("{value:e}"),
    }
}

fn decimal(kind: DialectKind, digits: &str) -> String {
    let unsigned = digits.strip_prefix('-').unwrap_or(digits);
    let is_number = unsigned.bytes().any(|byte| byte.is_ascii_digit())
        && unsigned.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && unsigned.bytes().filter(|byte| *byte == b'.').count() <= 1;
    match kind {
        // SQLite would read a longer number as a double; as text it keeps its digits.
        DialectKind::Sqlite if is_number && unsigned.len() <= 15 => digits.to_owned(),
        DialectKind::Postgres if !is_number => format!("{}::numeric", text_literal(kind, digits)),
        DialectKind::Postgres | DialectKind::Mysql if is_number => digits.to_owned(),
        _ => text_literal(kind, digits),
    }
}

fn text_literal(kind: DialectKind, text: &str) -> String {
    let plain = || format!("'{}'", text.replace('\'', "''"));
    match kind {
        DialectKind::Sqlite if text.contains('\0') => {
            format!("CAST({} AS TEXT)", hexadecimal(text.as_bytes()))
        }
        // What a backslash means depends on `sql_mode`; what hexadecimal digits mean does not.
        DialectKind::Mysql if text.contains(['\\', '\0', '\u{1a}']) => {
            format!("_utf8mb4 {}", hexadecimal(text.as_bytes()))
        }
        _ => plain(),
    }
}

fn broken_text(kind: DialectKind, bytes: &[u8]) -> String {
    match kind {
        DialectKind::Sqlite => format!("CAST({} AS TEXT)", hexadecimal(bytes)),
        DialectKind::Postgres => byte_literal(kind, bytes),
        DialectKind::Mysql => format!("_binary {}", hexadecimal(bytes)),
    }
}

fn byte_literal(kind: DialectKind, bytes: &[u8]) -> String {
    match kind {
        DialectKind::Postgres => {
            let hexadecimal = hexadecimal(bytes);
            format!("'\\x{}'::bytea", &hexadecimal[2..hexadecimal.len() - 1])
        }
        DialectKind::Sqlite | DialectKind::Mysql => hexadecimal(bytes),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2 + 3);
    text.push_str("X'");
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text.push('\'');
    text
}
