//! What is written over where conflicts are decided for what was there before the migration.

use walkback_core::{Result, TableName};

use super::plan::Planning;
use super::{RollbackPlan, RollbackStep};
use crate::changes::OnConflict;
use crate::loss::Loss;

impl Planning<'_> {
    /// Adds to a plan what `--on-conflict revert` takes away: which of it is in conflict is seen only when it is done, so that
    /// all that was written since to these tables is told.
    pub(super) async fn tell_reverted(&mut self, plan: &mut RollbackPlan) -> Result<()> {
        if plan.on_conflict != OnConflict::Revert {
            return Ok(());
        }
        for step in &mut plan.steps {
            let found = self.reverted(step).await?;
            step.loss.extend(found);
        }
        if let Some(changes) = &plan.changes {
            plan.reverted = changes.tables.iter().map(nobody_knows).collect();
        }
        Ok(())
    }

    async fn reverted(&mut self, step: &RollbackStep) -> Result<Vec<Loss>> {
        let Some(changes) = &step.changes else {
            return Ok(Vec::new());
        };
        let left = self.after(&step.id).await?;
        let mut found = Vec::new();
        for table in &changes.tables {
            let Some(then) = left.get(&table.to_string()) else {
                found.push(nobody_knows(table));
                continue;
            };
            let since = self.loss_of(table, Some(then)).await?;
            found.extend(since.map(|loss| Loss {
                what: format!(
                    "{}; of that goes what is in conflict (`--on-conflict revert`)",
                    loss.what
                ),
                ..loss
            }));
        }
        Ok(found)
    }
}

fn nobody_knows(table: &TableName) -> Loss {
    Loss {
        table: table.clone(),
        rows: 1,
        what: "what is in conflict (`--on-conflict revert`), if anything is".to_owned(),
    }
}
