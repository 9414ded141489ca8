//! What `verify` has seen of a migration that is planned or shown.

use serde::Serialize;

use super::{PlannedStep, Verdict};
use crate::journal::{StoredMigration, VerdictRow};
use crate::state::State;

/// What going up, down and up again has shown of a migration, as the journal of the database keeps it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Verified {
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// What its way back is worth, as seen.
    pub verdict: Verdict,
    /// Whether it did what it says.
    pub passed: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether the scripts are still those that were verified.
    pub current: bool,
}

impl Verified {
    pub(crate) fn new(row: &VerdictRow, up_hash: Option<&str>, down_hash: Option<&str>) -> Self {
        Self {
            at: row.verified_at.clone(),
            verdict: row.verdict.clone(),
            passed: row.passed,
            reason: row.reason.clone(),
            current: row.is_of(up_hash, down_hash),
        }
    }
}

impl State {
    /// Returns when the stored way down of an applied migration was seen not to lead back.
    pub(crate) fn seen_to_fail(&self, stored: &StoredMigration) -> Option<&str> {
        let row = self.verdicts.get(&stored.id)?;
        let is_of = row.is_of(Some(&stored.up_hash), stored.down_hash.as_deref());
        (is_of && !row.passed).then_some(row.verified_at.as_str())
    }

    /// Says that the way back of a migration that would go up was seen to fail.
    pub(super) fn known_to_fail(&self, step: &PlannedStep) -> Option<String> {
        let row = self.verdicts.get(&step.id)?;
        let down = step.paired_down.as_ref().map(|down| down.hash.as_str());
        if row.passed || !row.is_of(Some(&step.script.hash), down) {
            return None;
        }
        let why = row.reason.as_ref().map(|reason| format!(": {reason}"));
        Some(format!(
            "the way down of `{}` did not lead back when `walkback verify` tried it ({}){}",
            step.name,
            row.verified_at,
            why.unwrap_or_default()
        ))
    }
}
