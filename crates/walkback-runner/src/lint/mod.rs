//! Lint: what a person should know of a migration before it runs, told from its scripts, in both directions.
//!
//! The rules are pure: scripts with what their statements do go in, findings come out. They never say more than
//! the scripts do, and give the same answer with and without a database; one that can be reached adds how large
//! the tables are.

mod allow;
mod linter;
mod rule;
mod rules;
mod sizes;
mod subject;

use serde::Serialize;
use walkback_core::statement::Location;
use walkback_core::{Direction, MigrationId, TableName};

use std::path::PathBuf;

pub use linter::Linter;
pub use rule::Rule;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Worth a second look.
    Warning,
    /// Wrong, unless somebody says that it is meant.
    Error,
}

impl Level {
    /// Returns the word for messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What a rule has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// How bad it is.
    pub level: Level,
    /// The script it is in.
    pub direction: Direction,
    /// Its place.
    #[serde(flatten)]
    pub at: Location,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub advice: String,
    /// The table it is about, where its size matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<TableName>,
    /// About how many bytes that table takes in the database, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_bytes: Option<u64>,
}

/// What was found in one migration.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LintedMigration {
    /// The migration.
    pub id: MigrationId,
    /// Its name for a person.
    pub name: String,
    /// What was found, by place, up before down.
    pub findings: Vec<Finding>,
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LintReport {
    /// The migrations that were read, oldest first.
    pub migrations: Vec<LintedMigration>,
    /// Files that are no part of a migration, with the reason.
    pub unmatched: Vec<(PathBuf, String)>,
}

impl LintReport {
    /// Returns how many findings are of this level.
    #[must_use]
    pub fn count(&self, level: Level) -> usize {
        self.findings().filter(|finding| finding.level == level).count()
    }

    /// Returns all findings.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.migrations.iter().flat_map(|migration| &migration.findings)
    }
}

#[cfg(test)]
mod tests;
