//! The next means, where the script of a migration failed or did not lead back, and was undone.

use walkback_core::{Cx, Error, ErrorKind, MigrationId, Result};

use super::plan::Planning;
use super::run::may_go_on;
use super::{RollbackKind, RollbackStep};
use crate::changes::{ChangesPlan, OnConflict, Whose};
use crate::execute::Execution;
use crate::journal::StoredMigration;
use crate::loss::Loss;
use crate::plan::Planner;

impl Execution<'_> {
    /// Returns whether a migration can be walked back without its author's script.
    pub(crate) fn has_other_means(&self, id: &MigrationId) -> Result<bool> {
        let Some(stored) = self.state.stored.get(id) else {
            return Ok(false);
        };
        let derived = Planner::new(self.runner, &self.state).derived_script(stored)?;
        let is_sound = derived.is_some() && stored.derived_loses.is_empty();
        let is_kept = stored.point.is_some() || stored.changes.is_some();
        Ok(is_sound || is_kept && self.runner.vault().is_some())
    }

    /// The script failed and was undone: takes the derived down if there is a lossless one, else what was kept of the
    /// migration cell by cell, else the point, if that takes nothing away that the plan has not named.
    pub(super) async fn walk_back_otherwise(
        &mut self,
        cx: &Cx,
        stored: &StoredMigration,
        (planned, policy): (&RollbackStep, OnConflict),
        error: Error,
    ) -> Result<()> {
        let name = stored.name();
        let derived = Planner::new(self.runner, &self.state).derived_script(stored)?;
        if let Some(script) = derived.filter(|_| stored.derived_loses.is_empty()) {
            let step = Planner::new(self.runner, &self.state).down_step_of(&stored.id, script);
            match self.down_checked(cx, &step, true).await {
                Ok(_) => {
                    let how = format!("{error}; walked `{name}` back by the derived down");
                    self.report.warnings.push(how);
                    return Ok(());
                }
                Err(second) if may_go_on(&second) && !self.all_taken_back => {}
                Err(second) => return Err(second),
            }
        }
        let Some(step) = Box::pin(self.other_means(cx, stored)).await? else {
            return Err(
                error.hint("it was undone, and no point was made before the migration to restore from")
            );
        };
        if let Some(changes) = &step.changes {
            self.take_back_changes(cx, stored, (&step, changes), policy)
                .await?;
            let how = format!("{error}; took back what `{name}` changed, cell by cell");
            self.report.warnings.push(how);
            return Ok(());
        }
        let unnamed: Vec<&Loss> = step.loss.iter().filter(|loss| !planned.names(loss)).collect();
        if !unnamed.is_empty() && !self.may_lose {
            return Err(unasked(error, &name, &unnamed));
        }
        let lost = unnamed
            .iter()
            .map(|loss| format!("lost from `{}`: {}", loss.table, loss.what));
        let lost: Vec<String> = lost.collect();
        self.restore_migration(cx, stored).await?;
        let how = format!("{error}; restored `{name}` from its point");
        self.report.warnings.push(how);
        self.report.warnings.extend(lost);
        Ok(())
    }

    /// Plans how else a migration is taken back, from what is there now.
    async fn other_means(&mut self, cx: &Cx, stored: &StoredMigration) -> Result<Option<RollbackStep>> {
        if self.runner.vault().is_none() {
            return Ok(None);
        }
        let schema = self.runner.schema(cx, &mut *self.session).await?;
        let mut planning = Planning::new(self.runner, cx, &self.state, (&mut *self.session, schema));
        if stored.changes.is_some() {
            match planning.step(&stored.id, RollbackKind::Surgical).await {
                Ok(step) => return Ok(Some(step)),
                Err(error) if !may_go_on(&error) => return Err(error),
                Err(error) => tracing::info!(migration = %stored.id, %error, "not cell by cell"),
            }
        }
        if stored.point.is_none() {
            return Ok(None);
        }
        let reason = "its script failed".to_owned();
        planning.by_point(stored, reason).await.map(Some)
    }

    /// Takes back what a migration changed, and keeps what was written since.
    pub(super) async fn take_back_changes(
        &mut self,
        cx: &Cx,
        stored: &StoredMigration,
        (step, changes): (&RollbackStep, &ChangesPlan),
        policy: OnConflict,
    ) -> Result<()> {
        if step.restore.is_some() {
            return Box::pin(self.undo_merging(cx, stored, changes, policy)).await;
        }
        let only_added = step.kind == RollbackKind::Partial;
        let whose = Whose::Migration(&stored.id);
        Box::pin(self.undo_changes(cx, whose, changes, (policy, only_added))).await
    }
}

impl RollbackStep {
    /// Returns whether this much was shown before anybody was asked.
    fn names(&self, loss: &Loss) -> bool {
        let mut shown = self.loss.iter();
        shown.any(|shown| shown.table == loss.table && shown.rows >= loss.rows)
    }
}

/// Says that the next means would take away what nobody was shown.
fn unasked(error: Error, name: &str, losses: &[&Loss]) -> Error {
    let lost: Vec<String> = losses
        .iter()
        .map(|loss| format!("from `{}`: {}", loss.table, loss.what))
        .collect();
    let refusal = format!(
        "restoring `{name}` from its point would take away what was written since, and nobody was asked: {}",
        lost.join("; ")
    );
    error
        .wrap(refusal)
        .with_kind(ErrorKind::Refused)
        .hint("`walkback rollback --type full` shows what it loses before it asks; `--allow-lossy` lets this command go on")
}
