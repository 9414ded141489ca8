//! Choosing the means for one migration: its script, or the point made before it.

use walkback_core::{Error, ErrorKind, MigrationId, Result};

use super::plan::Planning;
use super::{RollbackKind, RollbackStep};
use crate::changes::{Changed, ChangesPlan};
use crate::journal::StoredMigration;
use crate::plan::{Planner, Verdict};
use crate::restore::Exchange;

impl Planning<'_> {
    pub(super) async fn step(&mut self, id: &MigrationId, kind: RollbackKind) -> Result<RollbackStep> {
        let stored = self.state.stored.get(id);
        match kind {
            RollbackKind::Down => self.by_down(id, "it was asked for".to_owned()).await,
            RollbackKind::Surgical => self.by_changes(id).await,
            RollbackKind::Full => {
                let stored = stored.ok_or_else(|| self.no_point(id))?;
                self.by_point(stored, "it was asked for".to_owned()).await
            }
            RollbackKind::Backup => Err(Error::new(
                ErrorKind::Usage,
                "`--type backup` needs the backup to restore",
            )
            .hint("`walkback rollback --backup-file <BACKUP>`; `walkback backup list` shows what there is")),
            RollbackKind::Auto | RollbackKind::Transaction => self.by_the_cheapest(id).await,
        }
    }

    /// Chooses as DESIGN section 5 says: a sound and lossless down, else what it changed cell by cell, else the point,
    /// else nothing.
    pub(super) async fn by_the_cheapest(&mut self, id: &MigrationId) -> Result<RollbackStep> {
        let stored = self.state.stored.get(id);
        let verdict = self.verdict(id).await?;
        if verdict == Verdict::Lossless {
            return self.by_down(id, "its way down is lossless".to_owned()).await;
        }
        if stored.is_some_and(|stored| stored.changes.is_some())
            && let Ok(step) = self.by_changes(id).await
        {
            return Ok(step);
        }
        match stored {
            Some(stored) if stored.point.is_some() && self.runner.vault().is_some() => {
                let reason = format!("a point was made before it, and its way down is {verdict}");
                self.by_point(stored, reason).await
            }
            _ => Err(Error::new(
                ErrorKind::Refused,
                format!(
                    "no sound way back from `{}` is known: its way down is {verdict}, and no point was made before it",
                    self.state.named(id).name
                ),
            )
            .hint("`walkback rollback --type down` runs its down script all the same, if it has one")
            .hint("`walkback rollback --backup-file <BACKUP>` restores a whole backup; `walkback backup list` shows them")),
        }
    }

    /// Returns what the way down of a migration is worth, also of one that another tool has applied.
    pub(super) async fn verdict(&self, id: &MigrationId) -> Result<Verdict> {
        if let Some(stored) = self.state.stored.get(id) {
            return Ok(stored.verdict.clone());
        }
        if !self.state.in_checkout.contains(id) {
            return Ok(Verdict::Unknown {
                why: "nobody knows what it did".to_owned(),
            });
        }
        Ok(Planner::new(self.runner, self.state)
            .up_step(self.cx, id)
            .await?
            .verdict)
    }

    pub(super) async fn by_down(&mut self, id: &MigrationId, reason: String) -> Result<RollbackStep> {
        let down = Planner::new(self.runner, self.state)
            .down_step(self.cx, id)
            .await?;
        let loss = self.loss_of_down(id, &down.script).await?;
        Ok(RollbackStep {
            id: id.clone(),
            name: down.name.clone(),
            kind: RollbackKind::Down,
            reason,
            down: Some(down),
            changes: None,
            restore: None,
            loss,
        })
    }

    /// Takes back what a migration changed in rows, if it changed nothing else.
    async fn by_changes(&mut self, id: &MigrationId) -> Result<RollbackStep> {
        let stored = self.state.stored.get(id).ok_or_else(|| self.no_point(id))?;
        let (Some(before), Some(after)) = (&stored.point, &stored.changes) else {
            return Err(Error::not_found(format!(
                "what `{}` changed in rows was not kept",
                stored.name()
            ))
            .hint("that is done where a migration changes rows and no definitions, in one transaction, of tables with a primary key, and there is a vault")
            .hint("`walkback rollback --type full` restores its tables from the point, and shows first what that loses"));
        };
        let about = format!("migration `{}`", stored.name());
        let mut manifests = Vec::new();
        for point in [before, after] {
            let manifest = self.manifest(point).await;
            manifests.push(manifest.map_err(|error| self.gone(error, point, &about))?);
        }
        let changed = Changed::all(&manifests[0], &manifests[1], &self.schema)?;
        let tables: Vec<_> = changed.into_iter().map(|changed| changed.table.name).collect();
        Ok(RollbackStep {
            id: stored.id.clone(),
            name: stored.name(),
            kind: RollbackKind::Surgical,
            reason: "what it changed in rows was kept, and goes back cell by cell".to_owned(),
            down: None,
            changes: Some(ChangesPlan {
                before: before.clone(),
                after: after.clone(),
                tables,
            }),
            restore: None,
            loss: Vec::new(),
        })
    }

    pub(super) async fn by_point(
        &mut self,
        stored: &StoredMigration,
        reason: String,
    ) -> Result<RollbackStep> {
        let point = stored.point.as_deref().ok_or_else(|| self.no_point(&stored.id))?;
        let manifest = self.manifest(point).await.map_err(|error| {
            let about = format!("migration `{}`", stored.name());
            let error = self.gone(error, point, &about);
            if stored.down_sql.is_some() || stored.derived_sql.is_some() {
                error.hint(format!(
                    "or run `walkback rollback --type down`, without the point: its way down is {}",
                    stored.verdict
                ))
            } else {
                error
            }
        })?;
        let exchange = Exchange::undoing(&stored.delta, stored.touched.as_deref(), &manifest, &self.schema)?;
        let mut restore = self.restore_plan(&manifest, &exchange, Some(&stored.id)).await?;
        restore.applied_after.retain(|id| *id != stored.id);
        let loss = std::mem::take(&mut restore.loss);
        Ok(RollbackStep {
            id: stored.id.clone(),
            name: stored.name(),
            kind: RollbackKind::Full,
            reason,
            down: None,
            changes: None,
            restore: Some(restore),
            loss,
        })
    }

    pub(super) fn no_point(&self, id: &MigrationId) -> Error {
        Error::not_found(format!("no point was made before migration `{}`", self.state.named(id).name))
            .hint("it changed nothing that needs one, or there was no vault; `walkback rollback --type down` runs its down script")
    }
}
