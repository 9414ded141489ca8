//! SQL as MySQL and MariaDB speak it: names, texts and statements as a session needs them.

use std::path::Path;

use walkback_core::dialect::DialectKind;
use walkback_core::{TableName, Value};

/// The family of SQL.
pub(crate) const KIND: DialectKind = DialectKind::Mysql;

/// Quotes an identifier.
pub(crate) fn quoted(name: &str) -> String {
    walkback_sql::quote_identifier(KIND, name)
}

/// Quotes the name of a table, with its database if it has one.
pub(crate) fn quoted_table(table: &TableName) -> String {
    walkback_sql::quote_table(KIND, table)
}

/// Writes a text as a literal that means the same under every `sql_mode`.
pub(crate) fn literal(text: &str) -> String {
    walkback_sql::literal(KIND, &Value::Text(text.to_owned()))
}

/// Returns whether a text is exactly one statement.
pub(crate) fn is_one_statement(sql: &str) -> bool {
    walkback_sql::split(KIND, sql, Path::new("statement")).is_ok_and(|statements| statements.len() == 1)
}
