//! What one family of SQL looks like: quoting, splitting, effects and inverses. Pure; never touches a server.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::catalog::Schema;
use crate::error::Result;
use crate::name::TableName;
use crate::statement::{Effect, Statement};
use crate::value::Value;

/// The family of SQL a script is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DialectKind {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
}

impl DialectKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::Mysql];

    /// Returns the word in file names (`up.postgres.sql`) and in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
        }
    }

    /// Returns the dialect a word in a file name stands for, also under its common other names.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "sqlite" | "sqlite3" => Some(Self::Sqlite),
            "postgres" | "postgresql" | "pg" => Some(Self::Postgres),
            "mysql" | "mariadb" => Some(Self::Mysql),
            _ => None,
        }
    }
}

impl fmt::Display for DialectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Column types of walkback's own tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Text of at most this many characters, usable as a key.
    Key(u16),
    /// Text of any length.
    Text,
    /// A signed 64-bit integer.
    Integer,
}

/// The way back of one statement, as far as it follows from the statement and the catalog before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inverse {
    /// Nothing to do: the statement changes nothing that lasts.
    Nothing,
    /// These statements, in order, take it back.
    Statements {
        /// The statements.
        statements: Vec<String>,
        /// What they cannot bring back (rows of a dropped table, values of a column), in words. Empty: lossless.
        loses: Vec<String>,
    },
    /// It does not follow, for this reason.
    NotDerivable {
        /// Why, in words.
        why: String,
    },
}

/// What one family of SQL looks like.
///
/// - Everything is pure: no server is asked, the same input gives the same answer.
/// - `split` keeps every byte of a statement, and errs by `file:line` instead of guessing.
/// - `effect` never understates: what cannot be read is unknown.
/// - `inverse` never promises more than it gives: what is not brought back is named.
pub trait Dialect: fmt::Debug + Send + Sync {
    /// Returns which family this is.
    fn kind(&self) -> DialectKind;

    /// Quotes an identifier so that any name, with any character in it, stands for itself.
    fn quote_identifier(&self, name: &str) -> String;

    /// Quotes the name of a table, with its schema if it has one.
    fn quote_table(&self, table: &TableName) -> String;

    /// Writes a value as a literal that reads back as the same value.
    fn literal(&self, value: &Value) -> String;

    /// Returns the placeholder of the n-th parameter, from 1.
    fn placeholder(&self, n: usize) -> String;

    /// Returns the type of a column of walkback's own tables.
    fn column_type(&self, column: ColumnType) -> String;

    /// Splits a script into statements. `file` is for messages only.
    ///
    /// # Errors
    /// Fails with `file:line` on an unterminated quote, comment or body, and on client commands (psql
    /// backslash commands, `source`) that no server understands.
    fn split(&self, script: &str, file: &Path) -> Result<Vec<Statement>>;

    /// Says what a statement does, never less than it does.
    fn effect(&self, statement: &Statement) -> Effect;

    /// Says whether the statement is refused by the server inside a transaction (`VACUUM`,
    /// `CREATE INDEX CONCURRENTLY`).
    fn refuses_transaction(&self, statement: &Statement) -> bool;

    /// Says whether the server ends the current transaction by itself when this statement runs, as MySQL does
    /// around definitions.
    fn commits_implicitly(&self, statement: &Statement) -> bool;

    /// Derives the statements that take a statement back, given the schema just before it.
    fn inverse(&self, statement: &Statement, before: &Schema) -> Inverse;
}
