//! A migration and its scripts, as a source delivers them.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::statement::Location;

/// The identity of a migration: what its ledger stores.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MigrationId(pub String);

impl MigrationId {
    /// Creates an identity.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// Returns it as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MigrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Apply.
    Up,
    /// Walk back.
    Down,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// Which part of a change in two parts a migration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It adds what the new code needs, and leaves what the old code needs.
    Expand,
    /// It takes away what only the old code needed.
    Contract,
}

impl Phase {
    /// Returns the word in scripts and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Expand => "expand",
            Self::Contract => "contract",
        }
    }

    /// Returns the phase that a word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Expand, Self::Contract]
            .into_iter()
            .find(|phase| phase.word() == word)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One step of the schema or the data: its identity and place in the graph, without its scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Migration {
    /// Its identity.
    pub id: MigrationId,
    /// What it is about, from its file name: `add_users`.
    pub slug: String,
    /// What a target may call it as well, if no other migration is called so: `author:id` of Liquibase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Migrations it follows. Several make it a merge, none makes it a base.
    pub parents: Vec<MigrationId>,
    /// Migrations that must be applied before it without being its parents.
    pub depends_on: Vec<MigrationId>,
    /// Names of the branch it begins.
    pub labels: Vec<String>,
    /// The file a message about it names.
    pub file: PathBuf,
    /// The line it begins on, where a file holds several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Whether its author wrote a way back.
    pub has_down: bool,
    /// A file for its way back that holds no statement, and so counts as not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_down: Option<PathBuf>,
    /// Why its author says that it cannot be walked back.
    pub irreversible: Option<String>,
    /// Which part of a change in two parts it is, if its author says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// What its up script is known by, where that is told without reading the script: see [`SqlScript::known_as`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_hash: Option<String>,
}

impl Migration {
    /// Creates a migration without parents, labels or a way back.
    pub fn new(id: impl Into<String>, slug: impl Into<String>, file: impl Into<PathBuf>) -> Self {
        Self {
            id: MigrationId::new(id),
            slug: slug.into(),
            alias: None,
            parents: Vec::new(),
            depends_on: Vec::new(),
            labels: Vec::new(),
            file: file.into(),
            line: None,
            has_down: false,
            empty_down: None,
            irreversible: None,
            phase: None,
            up_hash: None,
        }
    }

    /// Returns where it begins, for messages: `file:line`.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.line.unwrap_or(1))
    }

    /// Returns the name a person reads: `20260411_drop_legacy`.
    #[must_use]
    pub fn name(&self) -> String {
        if self.slug.is_empty() {
            self.id.0.clone()
        } else {
            format!("{}_{}", self.id, self.slug)
        }
    }
}

/// One direction of a migration, ready to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Script {
    /// SQL in the dialect of the target.
    Sql(SqlScript),
    /// What only the tool of its layout can run, by [`MigrationSource::run`](crate::MigrationSource::run).
    External(ExternalScript),
}

/// A script that is no SQL, or whose SQL nobody knows before it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalScript {
    /// How a person would run it: `alembic upgrade 1975ea83b712`.
    pub command: String,
    /// Where it stands.
    pub location: Location,
    /// Why it cannot be read, in words.
    pub why: String,
    /// What it is known by: the same for scripts that do the same.
    pub hash: String,
    /// Whether all of it happens or nothing, where the engine takes back definitions with their transaction.
    pub atomic: bool,
}

/// A script of SQL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SqlScript {
    /// The text.
    pub text: String,
    /// The file and the line the text begins on.
    pub location: Location,
    /// Whether it runs in one transaction, where the engine has transactional DDL.
    pub transaction: bool,
    /// How its author wants it protected, instead of by the policy (`protect=..`).
    pub protect: Option<String>,
    /// How long each of its statements waits for a lock that another session holds (`lock_timeout=..`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_timeout: Option<Duration>,
    /// How long each of its statements may take (`statement_timeout=..`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement_timeout: Option<Duration>,
    /// For each line of the text the line of the file it comes from, where the text is not what stands in the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<usize>,
    /// What the script is known by, where that is not its text: whether it was edited is told by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_as: Option<String>,
    /// What has to hold before its first statement runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// A question to the database whose answer has to be this before a script runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// A query of one value.
    pub sql: String,
    /// The value, as text.
    pub expected: String,
    /// Where it stands.
    pub location: Location,
    /// What happens if it is another one.
    pub otherwise: Otherwise,
    /// Whether it is asked once in a run, before the first of the scripts that ask it: those may change its answer.
    #[serde(default)]
    pub once: bool,
}

/// What happens if a condition of a script does not hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// The run stops before the script.
    #[default]
    Stop,
    /// It is said, and the script runs.
    Warn,
    /// The script does not run, and counts as applied.
    CountAsApplied,
    /// The script does not run, and stays pending.
    Leave,
}

impl SqlScript {
    /// Creates a script that begins on the first line of its file and runs in a transaction.
    pub fn new(text: impl Into<String>, file: impl Into<PathBuf>) -> Self {
        Self {
            text: text.into(),
            location: Location {
                file: file.into(),
                line: 1,
            },
            transaction: true,
            protect: None,
            lock_timeout: None,
            statement_timeout: None,
            lines: Vec::new(),
            known_as: None,
            conditions: Vec::new(),
        }
    }

    /// Returns what the script is known by: the hash of the text, the same for both kinds of line ends: a checkout on another system is
    /// not an edit.
    #[must_use]
    pub fn hash(&self) -> String {
        if let Some(known_as) = &self.known_as {
            return known_as.clone();
        }
        blake3::hash(self.text.replace("\r\n", "\n").as_bytes())
            .to_hex()
            .to_string()
    }
}
