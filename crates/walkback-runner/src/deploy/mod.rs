//! Whole procedures: a deployment that goes back by itself, and a full rollback with services and code.
//!
//! A procedure is a run of its own in the journal, with the runs that it is made of under its lock. How far it has come
//! is noted there before each stage, so that one that was killed can be explained.
//!
//! | file | idea |
//! |---|---|
//! | `procedure.rs` | the run that others are part of: its row, its stages, its end |
//! | `forward.rs` | a deployment, and what a full rollback is made of |
//! | `back.rs` | the way back of a deployment that failed |
//! | `full.rs` | a full rollback |
//! | `ahead.rs` | a deployment before, whose code was not brought back |

mod ahead;
mod back;
mod forward;
mod full;
mod procedure;

pub(crate) use full::FULL_ROLLBACK;

use serde::Serialize;
use walkback_core::MigrationId;

use crate::hooks::Moment;
use crate::loss::Loss;
use crate::plan::Plan;
use crate::report::RunReport;
use crate::runner::UpTarget;

/// What a deployment would do. Nothing in it has happened.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct DeployPlan {
    /// The stages, in order.
    pub stages: Vec<PlannedStage>,
    /// What is done if one of them fails, in order.
    pub back: Vec<PlannedStage>,
    /// The migrations.
    pub up: Plan,
    /// What they were planned for.
    #[serde(skip)]
    pub(crate) target: UpTarget,
}

/// A stage of a procedure, and what it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlannedStage {
    /// What it is called: `stop_services`, `up`.
    pub stage: &'static str,
    /// The commands, or what is done in words.
    pub runs: Vec<String>,
}

/// A stage that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stage {
    /// What it is called.
    pub stage: &'static str,
    /// Whether it did what it was to do.
    pub ok: bool,
    /// What it did, or why it failed.
    pub said: String,
}

/// What a procedure did.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ProcedureReport {
    /// Its name in the journal.
    pub run: String,
    /// Its stages, in order.
    pub stages: Vec<Stage>,
    /// The backup that was made first.
    pub backup: Option<String>,
    /// The runs that it was made of.
    pub runs: Vec<RunReport>,
    /// What a rollback took away that was written since.
    pub lost: Vec<Loss>,
    /// Heads before.
    pub from: Vec<MigrationId>,
    /// Heads after.
    pub to: Vec<MigrationId>,
    /// What failed after the work was done: it stays done, and somebody has to look.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed_after: Vec<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// The stage that makes a backup.
pub(crate) const BACKUP: &str = "backup";
/// The stage that applies migrations.
pub(crate) const UP: &str = "up";
/// The stage that walks back.
pub(crate) const ROLLBACK: &str = "rollback";
/// What a deployment is called in the journal.
pub(crate) const DEPLOY: &str = "deploy";

impl PlannedStage {
    fn hook(hooks: &crate::hooks::Hooks, moment: Moment) -> Option<Self> {
        hooks.has(moment).then(|| Self {
            stage: moment.name(),
            runs: hooks.phrases(moment),
        })
    }

    fn work(stage: &'static str, what: impl Into<String>) -> Self {
        Self {
            stage,
            runs: vec![what.into()],
        }
    }
}
