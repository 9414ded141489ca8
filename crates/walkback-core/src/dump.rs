//! Dumps that other tools have made, and how an engine has one loaded.

use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::dialect::DialectKind;
use crate::error::Result;

/// The forms in which other tools write a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DumpFormat {
    /// SQL, as `pg_dump` writes it.
    PostgresSql,
    /// `pg_dump -Fc`.
    PostgresCustom,
    /// `pg_dump -Fd`.
    PostgresDirectory,
    /// `pg_dump -Ft`.
    PostgresTar,
    /// SQL, as `mysqldump` and `mariadb-dump` write it.
    MysqlSql,
    /// SQL, as `.dump` of the `sqlite3` shell writes it.
    SqliteSql,
    /// A database of SQLite itself.
    SqliteFile,
}

impl DumpFormat {
    /// Returns the family of SQL it is of.
    #[must_use]
    pub const fn dialect(self) -> DialectKind {
        match self {
            Self::PostgresSql | Self::PostgresCustom | Self::PostgresDirectory | Self::PostgresTar => {
                DialectKind::Postgres
            }
            Self::MysqlSql => DialectKind::Mysql,
            Self::SqliteSql | Self::SqliteFile => DialectKind::Sqlite,
        }
    }

    /// Returns the words used in messages.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::PostgresSql => "plain SQL of pg_dump",
            Self::PostgresCustom => "custom archive of pg_dump",
            Self::PostgresDirectory => "directory archive of pg_dump",
            Self::PostgresTar => "tar archive of pg_dump",
            Self::MysqlSql => "SQL of mysqldump",
            Self::SqliteSql => "SQL of sqlite3 .dump",
            Self::SqliteFile => "SQLite database",
        }
    }

    /// Returns whether it is text, read from its beginning to its end.
    #[must_use]
    pub const fn is_text(self) -> bool {
        matches!(self, Self::PostgresSql | Self::MysqlSql | Self::SqliteSql)
    }
}

/// How a program of the server is called so that it loads a dump. Nothing secret is in its arguments, which every
/// user of the machine can read.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Program {
    /// Its names, the best first: `mariadb`, `mysql`.
    pub names: Vec<&'static str>,
    /// Its arguments. The path of the dump follows them if [`takes_path`](Self::takes_path).
    pub arguments: Vec<String>,
    /// Variables it is started with.
    pub environment: Vec<(&'static str, String)>,
    /// What is written into a file that only this user can read, and the argument, before all others, behind
    /// which its path stands.
    pub options: Option<(&'static str, String)>,
    /// Whether it reads the dump by its path; otherwise from its standard input.
    pub takes_path: bool,
    /// How it is installed, in words.
    pub package: &'static str,
}

impl Program {
    /// Creates a call without arguments of a program that reads its standard input.
    #[must_use]
    pub fn new(names: Vec<&'static str>, package: &'static str) -> Self {
        Self {
            names,
            arguments: Vec::new(),
            environment: Vec::new(),
            options: None,
            takes_path: false,
            package,
        }
    }
}

/// Without what may be secret.
impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("names", &self.names)
            .field("arguments", &self.arguments)
            .finish_non_exhaustive()
    }
}

/// How dumps of other tools are loaded into a database, which is empty and nobody else's.
///
/// - A format of another family is `Unsupported` with both.
/// - What `load` loads is checked as far as the engine can, and damage is `Damaged`.
/// - `load` never changes the file, and reaches no other database, whatever the file says.
#[async_trait]
pub trait Dumps: Send + Sync {
    /// Returns how the server's own program is called that loads a dump of this format; `None` if
    /// [`load`](Self::load) does it. `from_path`: the dump is there under a path and not compressed once more.
    fn program(&self, format: DumpFormat, from_path: bool) -> Result<Option<Program>>;

    /// Loads a dump without any program.
    async fn load(&self, cx: &Cx, format: DumpFormat, file: &Path) -> Result<()>;
}
