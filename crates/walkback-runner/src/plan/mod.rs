//! Plans: what a run would do, as data, before it does anything.

mod build;
mod no_down;
mod phase;
mod scope;
mod script;
mod verdict;
mod verified;

use serde::{Deserialize, Serialize};
use walkback_core::statement::{Effect, Location, Severity};
use walkback_core::{Direction, MigrationId, Phase, TableName};

use crate::approval::{Approval, History};
use crate::changes::Waiting;
use crate::loss::Loss;
use crate::protect::{Protect, StatementProtection};
use crate::report::Named;

pub(crate) use build::Planner;
pub(crate) use no_down::ways_elsewhere;
pub(crate) use script::ReadScript;
pub use verdict::Verdict;
pub(crate) use verdict::created as creates;
pub use verified::Verified;

/// What sort of run it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunKind {
    /// Applies migrations.
    Up,
    /// Runs downs.
    Down,
    /// Goes to a target, down and up as needed.
    Goto,
    /// Runs the down and the up of the newest migration.
    Redo,
    /// Writes the ledger and runs no script.
    Stamp,
    /// Walks back by whatever means.
    Rollback,
    /// Restores a backup.
    Restore,
    /// Puts an unfinished run right.
    Recover,
    /// Drops what was kept for a time.
    Purge,
    /// Loads records from a file into a table.
    Load,
    /// Runs the work of a program within a scope.
    Scope,
}

impl RunKind {
    /// Returns the name of the command that does it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Goto => "goto",
            Self::Redo => "redo",
            Self::Stamp => "stamp",
            Self::Rollback => "rollback",
            Self::Restore => "restore",
            Self::Recover => "recover",
            Self::Purge => "purge",
            Self::Load => "load",
            Self::Scope => "scope",
        }
    }
}

/// Where a script comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScriptOrigin {
    /// A file of the checkout.
    File,
    /// The journal in the database, stored when the migration was applied.
    Stored,
    /// Derived from the up script when it was applied.
    Derived,
}

/// What a run would do: nothing in it has happened.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// What sort of run.
    pub kind: RunKind,
    /// Heads of what is applied now.
    pub from: Vec<MigrationId>,
    /// Heads of what will be applied.
    pub to: Vec<MigrationId>,
    /// The steps, in order.
    pub steps: Vec<PlannedStep>,
    /// What the rollback point will hold.
    pub point: PointScope,
    /// What its downs take away that was written since.
    pub loss: Vec<Loss>,
    /// What rollbacks had taken away and its ups put back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rescues: Vec<Waiting>,
    /// What a person should know before it runs.
    pub warnings: Vec<String>,
    /// The part of changes in two parts that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// What is pending still when that part is done, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Named>,
    /// Runs that were killed and left nothing half-done: this one closes their rows in the journal.
    pub closes: Vec<String>,
    /// What is applied now: the plan is good for this state only.
    #[serde(skip)]
    pub(crate) applied: Vec<MigrationId>,
    /// The hash of the schema that it was made for.
    #[serde(skip)]
    pub(crate) schema: String,
    /// The chain of the audit and the last run that it was made for.
    #[serde(skip)]
    pub(crate) history: History,
    /// Who has approved it, where it comes from a file.
    #[serde(skip)]
    pub(crate) approval: Option<Approval>,
}

/// One migration in one direction.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PlannedStep {
    /// The migration.
    pub id: MigrationId,
    /// Its name for a person.
    pub name: String,
    /// Which way.
    pub direction: Direction,
    /// Where the script comes from.
    pub origin: ScriptOrigin,
    /// Whether all of it happens or none.
    pub transaction: bool,
    /// The statements.
    pub statements: Vec<PlannedStatement>,
    /// What its way back is worth.
    pub verdict: Verdict,
    /// Which part of a change in two parts it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The script, as it will be recorded.
    #[serde(skip)]
    pub(crate) script: ReadScript,
    /// How it is protected: as its author says, else as the environment does.
    #[serde(skip)]
    pub(crate) protect: Protect,
    /// The down that will be stored with it (up only).
    #[serde(skip)]
    pub(crate) paired_down: Option<ReadScript>,
    /// Whether a point before it holds every table: what it does beyond its own is not seen on this engine.
    #[serde(skip)]
    pub(crate) keeps_everything: bool,
    /// The tables it changes, also by foreign keys and triggers; `None` if that cannot be known.
    #[serde(skip)]
    pub(crate) touched: Option<Vec<TableName>>,
}

/// One statement of a plan.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PlannedStatement {
    /// The text that will be sent.
    pub sql: String,
    /// Where it stands.
    pub at: Location,
    /// What it does.
    pub effect: Effect,
    /// How bad that can be.
    pub severity: Severity,
    /// How what it destroys is protected, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protection: Option<StatementProtection>,
    /// How its author wants it protected, instead of as the script says.
    #[serde(skip)]
    pub(crate) protect: Option<Protect>,
    /// Whether the server runs it outside of any transaction: it refuses one, or ends it.
    #[serde(skip)]
    pub(crate) alone: bool,
    /// How it is run where it is no SQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
}

/// A script that only the tool of its layout can run.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct External {
    /// Why nobody can read what it does.
    pub why: String,
    /// Whether all of it happens or nothing, where definitions are taken back with their transaction.
    pub atomic: bool,
}

/// What a rollback point holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "scope", content = "tables")]
pub enum PointScope {
    /// No point: the run changes nothing that would need one, or there is no vault.
    None,
    /// The schema, and the rows of these tables.
    Tables(Vec<TableName>),
    /// The schema, and the rows of all tables: somebody could not read what a statement touches.
    Everything,
}

impl Plan {
    /// Returns whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.closes.is_empty() && self.rescues.is_empty()
    }

    /// Returns the statements that destroy something or cannot be read.
    pub fn destructive(&self) -> impl Iterator<Item = (&PlannedStep, &PlannedStatement)> {
        self.steps.iter().flat_map(|step| {
            let risky = step
                .statements
                .iter()
                .filter(|statement| statement.severity >= Severity::Destructive);
            risky.map(move |statement| (step, statement))
        })
    }
}
