//! Several migrations that are walked back in one run, of which later ones gave their cells back one by one: what was written
//! since to what an older one takes away is no longer where the safety point has it.

use walkback_core::{Cx, MigrationId, Result, TableName};
use walkback_vault::PointKind;

use super::concerned;
use crate::execute::Execution;
use crate::plan::PointScope;
use crate::rollback::RollbackKind;

impl Execution<'_> {
    /// Keeps the tables of which a migration takes something away, before it is walked back, where a later one of the run
    /// had changed their rows and left what was written since in them.
    pub(crate) async fn keep_gone_over(&mut self, cx: &Cx, id: &MigrationId) -> Result<()> {
        self.kept_over.clear();
        let stored = self.state.stored.get(id).cloned();
        let Some(stored) = stored.filter(|_| !self.report.undone.is_empty() && self.runner.vault().is_some())
        else {
            return Ok(());
        };
        let names = self.names_behind(cx, &stored, RollbackKind::Surgical).await?;
        let mut tables = Vec::new();
        for (table, _) in concerned(&stored, RollbackKind::Surgical, &names) {
            if self.is_gone_over(cx, &table).await? {
                tables.push(table);
            }
        }
        if tables.is_empty() {
            return Ok(());
        }
        let scope = PointScope::Tables(tables.clone());
        let description = format!("as run {} has left them so far", self.run.id);
        let made = self
            .point(
                cx,
                PointKind::AfterRollback,
                "re",
                "rollback",
                &scope,
                description,
            )
            .await?;
        if let Some(point) = made {
            let kept = tables.into_iter().map(|table| (table, point.id.clone()));
            self.kept_over.extend(kept);
        }
        Ok(())
    }

    /// Returns whether the next later migration that changed rows of a table has left in it what was written since. Where the
    /// table came back as it was then, that waits for the later one.
    async fn is_gone_over(&mut self, cx: &Cx, table: &TableName) -> Result<bool> {
        let Some(later) = self.next_above(cx, table).await? else {
            return Ok(false);
        };
        let run = &self.run.id;
        let mut rescues = self.state.rescues.iter();
        let waits = rescues.any(|rescue| {
            let mut tables = rescue.tables.iter();
            rescue.run_id == *run
                && rescue.migration == later.id
                && tables.any(|aside| aside.table == *table && aside.columns.is_none())
        });
        Ok(!waits)
    }
}
