//! Walking back: which kind for each migration, why, and what it loses.

mod again;
mod ahead;
mod aside;
mod left;
mod load;
mod losses;
mod moment;
mod named;
mod otherwise;
mod plan;
mod renamed;
mod reverted;
mod run;
mod scope;
mod step;
mod whole;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use walkback_core::MigrationId;

use crate::changes::{ChangesPlan, OnConflict};
use crate::loss::Loss;
use crate::plan::PlannedStep;
use crate::records::LoadUndo;
use crate::restore::RestorePlan;
use crate::state::State;

/// The kinds of rollback. What each does and loses is in the book, under "Kinds of rollback".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RollbackKind {
    /// The cheapest that is sound, for each migration.
    Auto,
    /// By a down script: the file's, the stored or the derived one.
    Down,
    /// By taking back what the migration changed in rows, cell by cell; what was written since stays.
    Surgical,
    /// By removing the rows that the migration added, and nothing else.
    Partial,
    /// By restoring what the migration touched from the point made before it.
    Full,
    /// By the database's own transaction, while a run is unfinished.
    Transaction,
    /// By restoring a whole backup.
    Backup,
}

impl RollbackKind {
    /// Returns the word on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Down => "down",
            Self::Surgical => "surgical",
            Self::Partial => "partial",
            Self::Full => "full",
            Self::Transaction => "transaction",
            Self::Backup => "backup",
        }
    }
}

/// What to walk back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RollbackWhat {
    /// The last run that changed something.
    LastRun,
    /// This run of the journal.
    Run(String),
    /// So many migrations.
    Count(usize),
    /// Everything after a target, which stays applied.
    To(String),
    /// All migrations that were applied after a moment.
    Since(DateTime<Utc>),
    /// What is applied and not in the checkout, and what was built on it.
    Ahead,
    /// Everything since a point.
    Point(String),
    /// The whole database, to a backup.
    Backup(String),
}

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollbackRequest {
    /// What to walk back.
    pub what: RollbackWhat,
    /// By which means.
    pub kind: RollbackKind,
    /// What becomes of what the migration changed and that was changed again since.
    pub on_conflict: OnConflict,
}

/// How one migration is walked back.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RollbackStep {
    /// The migration.
    pub id: MigrationId,
    /// Its name for a person.
    pub name: String,
    /// By which means: `Down`, `Surgical`, `Partial` or `Full`.
    pub kind: RollbackKind,
    /// Why this and no other.
    pub reason: String,
    /// The script, for `Down`.
    pub down: Option<PlannedStep>,
    /// What was changed, for `Surgical` and `Partial`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<ChangesPlan>,
    /// The exchange, for `Full`.
    pub restore: Option<RestorePlan>,
    /// What is taken away that was written since.
    pub loss: Vec<Loss>,
}

/// What a rollback would do. Nothing in it has happened.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RollbackPlan {
    /// The kind, where it is one for all; `Auto` where each migration has its own.
    pub kind: RollbackKind,
    /// Why, in words.
    pub reason: String,
    /// Heads now.
    pub from: Vec<MigrationId>,
    /// Heads afterwards.
    pub to: Vec<MigrationId>,
    /// The migrations, newest first, each with its means.
    pub steps: Vec<RollbackStep>,
    /// The exchange, where the whole goes back to one point.
    pub restore: Option<RestorePlan>,
    /// What the rollback that is itself walked back had changed, where it was captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<ChangesPlan>,
    /// The load that is taken back, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadUndo>,
    /// What `--on-conflict revert` takes away of what was written since, where no step is told of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reverted: Vec<Loss>,
    /// What becomes of what was changed again since, where rows go back cell by cell.
    pub on_conflict: OnConflict,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// Whether nothing but the scripts was asked for (`--type down`).
    #[serde(skip)]
    pub(crate) only_scripts: bool,
    /// Whether it is a scope that is taken back.
    #[serde(skip)]
    pub(crate) of_scope: bool,
    #[serde(skip)]
    pub(crate) applied: Vec<MigrationId>,
    /// What is applied afterwards, where what a rollback had changed is taken back.
    #[serde(skip)]
    pub(crate) applied_after: Vec<MigrationId>,
}

impl RollbackPlan {
    /// A plan that leads to what is applied in `after`, without its steps.
    fn to(state: &State, after: &BTreeSet<MigrationId>, kind: RollbackKind, reason: String) -> Self {
        let applied = state.applied_set();
        Self {
            kind,
            reason,
            from: state.heads(&applied),
            to: state.heads(after),
            steps: Vec::new(),
            restore: None,
            changes: None,
            load: None,
            reverted: Vec::new(),
            on_conflict: OnConflict::default(),
            warnings: Vec::new(),
            only_scripts: false,
            of_scope: false,
            applied: applied.into_iter().collect(),
            applied_after: Vec::new(),
        }
    }

    /// A plan by which no migration comes or goes.
    fn staying(state: &State, kind: RollbackKind, reason: String) -> Self {
        Self::to(state, &state.applied_set(), kind, reason)
    }

    /// Returns what is taken away that was written since, over all steps.
    pub fn loss(&self) -> impl Iterator<Item = &Loss> {
        let steps = self.steps.iter().flat_map(|step| &step.loss);
        let whole = self.restore.iter().flat_map(|restore| &restore.loss);
        steps
            .chain(whole)
            .chain(self.load.iter().flat_map(|load| &load.loss))
            .chain(&self.reverted)
    }

    /// Returns whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let is_whole = self.restore.is_some() || self.changes.is_some() || self.load.is_some();
        self.steps.is_empty() && !is_whole && self.kind != RollbackKind::Transaction
    }
}
