//! What a run did, for the caller.

use serde::Serialize;
use walkback_core::{MigrationId, Phase};

use crate::changes::{Rescued, TableChanges};
use crate::journal::HookRecord;
use crate::plan::RunKind;
use crate::purge::KeptTable;

/// A migration, by identity and by the name a person reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Its identity.
    pub id: MigrationId,
    /// Its name for a person.
    pub name: String,
    /// Which part of a change in two parts it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
}

/// What a run did.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RunReport {
    /// The run, as the journal knows it.
    pub run: String,
    /// What it did, in words, where that is not about migrations.
    #[serde(skip)]
    pub(crate) outcome: Option<String>,
    /// What sort of run it was.
    pub kind: RunKind,
    /// Migrations that were applied, in order.
    pub applied: Vec<Named>,
    /// Migrations that were walked back, in order.
    pub undone: Vec<Named>,
    /// The point or backup that was brought back, where it was one for all.
    pub restored_from: Option<String>,
    /// Points that were made, oldest first.
    pub points: Vec<String>,
    /// Tables that hold what was replaced, until their deadlines.
    pub kept: Vec<KeptTable>,
    /// Such tables that were dropped for good.
    pub purged: Vec<KeptTable>,
    /// What became of rows that went back cell by cell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<TableChanges>,
    /// What earlier rollbacks had taken away and is back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rescued: Vec<Rescued>,
    /// How many grants were given back.
    #[serde(skip_serializing_if = "is_zero")]
    pub grants: usize,
    /// Heads before.
    pub from: Vec<MigrationId>,
    /// Heads after.
    pub to: Vec<MigrationId>,
    /// What it came to, where that is neither about migrations nor a warning.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What a person should know: what a down left behind, what was kept.
    pub warnings: Vec<String>,
    /// The commands that ran round it, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookRecord>,
    /// What failed after the work was done: it stays done, and somebody has to look.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed_after: Vec<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The command that takes it back.
    pub undo_with: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
