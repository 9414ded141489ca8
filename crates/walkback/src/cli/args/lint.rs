//! The arguments of `lint`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Arguments of `lint`.
#[derive(Debug, Args)]
pub(crate) struct Lint {
    /// Migrations; none means all.
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// Exit with 3 also if there are only warnings.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Read the scripts in this dialect, and ask no database how large its tables are.
    #[arg(long, value_name = "DIALECT", conflicts_with = "url")]
    pub(crate) dialect: Option<LintDialect>,
    /// Also write the findings into this file, in the form of JUnit.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

/// What scripts are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LintDialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
}
