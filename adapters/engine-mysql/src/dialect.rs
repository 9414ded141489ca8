//! SQL as MySQL and MariaDB speak it: what `walkback-sql` knows of it, as a [`Dialect`].

use std::path::Path;

use walkback_core::catalog::Schema;
use walkback_core::dialect::{ColumnType, Dialect, DialectKind, Inverse};
use walkback_core::{Effect, Result, Statement, TableName, Value};

/// The family of SQL.
pub(crate) const KIND: DialectKind = DialectKind::Mysql;

/// The dialect of MySQL and MariaDB.
#[derive(Debug)]
pub(crate) struct MysqlDialect;

impl Dialect for MysqlDialect {
    fn kind(&self) -> DialectKind {
        KIND
    }

    fn quote_identifier(&self, name: &str) -> String {
        quoted(name)
    }

    fn quote_table(&self, table: &TableName) -> String {
        quoted_table(table)
    }

    fn literal(&self, value: &Value) -> String {
        walkback_sql::literal(KIND, value)
    }

    fn placeholder(&self, _: usize) -> String {
        "?".to_owned()
    }

    fn column_type(&self, column: ColumnType) -> String {
        match column {
            // Compared byte by byte, as on the other engines: two ids that differ in case only are two ids.
            ColumnType::Key(length) => format!("VARCHAR({length}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
            ColumnType::Text => "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin".to_owned(),
            ColumnType::Integer => "BIGINT".to_owned(),
        }
    }

    fn split(&self, script: &str, file: &Path) -> Result<Vec<Statement>> {
        walkback_sql::split(KIND, script, file)
    }

    fn effect(&self, statement: &Statement) -> Effect {
        walkback_sql::effect(KIND, statement)
    }

    fn refuses_transaction(&self, statement: &Statement) -> bool {
        walkback_sql::refuses_transaction(KIND, statement)
    }

    fn commits_implicitly(&self, statement: &Statement) -> bool {
        walkback_sql::is_implicit_commit(KIND, statement)
    }

    fn inverse(&self, statement: &Statement, before: &Schema) -> Inverse {
        walkback_sql::inverse(KIND, statement, before)
    }
}

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
