//! What is known here, as the [`Dialect`] of an engine.

use std::path::Path;

use walkback_core::catalog::Schema;
use walkback_core::dialect::{ColumnType, Dialect, DialectKind, Inverse};
use walkback_core::{Effect, Result, Statement, TableName, Value};

/// The dialect of a family of SQL.
#[derive(Debug, Clone, Copy)]
pub struct Sql(pub DialectKind);

impl Dialect for Sql {
    fn kind(&self) -> DialectKind {
        self.0
    }

    fn quote_identifier(&self, name: &str) -> String {
        crate::quote_identifier(self.0, name)
    }

    fn quote_table(&self, table: &TableName) -> String {
        crate::quote_table(self.0, table)
    }

    fn literal(&self, value: &Value) -> String {
        crate::literal(self.0, value)
    }

    fn placeholder(&self, n: usize) -> String {
        match self.0 {
            DialectKind::Sqlite => format!("?{n}"),
            DialectKind::Postgres => format!("${n}"),
            DialectKind::Mysql => "?".to_owned(),
        }
    }

    fn column_type(&self, column: ColumnType) -> String {
        match (self.0, column) {
            (DialectKind::Sqlite, ColumnType::Key(_) | ColumnType::Text)
            | (DialectKind::Postgres, ColumnType::Text) => "TEXT".to_owned(),
            (DialectKind::Sqlite, ColumnType::Integer) => "INTEGER".to_owned(),
            (DialectKind::Postgres, ColumnType::Key(length)) => format!("VARCHAR({length})"),
            // Compared byte by byte, as on the other engines: two ids that differ in case only are two ids.
            (DialectKind::Mysql, ColumnType::Key(length)) => {
                format!("VARCHAR({length}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
            }
            (DialectKind::Mysql, ColumnType::Text) => {
                "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin".to_owned()
            }
            (DialectKind::Postgres | DialectKind::Mysql, ColumnType::Integer) => "BIGINT".to_owned(),
        }
    }

    fn split(&self, script: &str, file: &Path) -> Result<Vec<Statement>> {
        crate::split(self.0, script, file)
    }

    fn effect(&self, statement: &Statement) -> Effect {
        crate::effect(self.0, statement)
    }

    fn refuses_transaction(&self, statement: &Statement) -> bool {
        crate::refuses_transaction(self.0, statement)
    }

    fn commits_implicitly(&self, statement: &Statement) -> bool {
        crate::is_implicit_commit(self.0, statement)
    }

    fn inverse(&self, statement: &Statement, before: &Schema) -> Inverse {
        crate::inverse(self.0, statement, before)
    }
}
