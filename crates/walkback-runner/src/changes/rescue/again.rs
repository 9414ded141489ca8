//! What waits again once the rollback of a rollback is itself walked back.

use walkback_core::{Cx, Result};

use crate::execute::Execution;
use crate::journal::RescueRow;

impl Execution<'_> {
    /// Returns what had waited for the next up when a run made this safety point, and brought the migrations back by going
    /// back to another.
    pub(crate) async fn waited_at(&mut self, cx: &Cx, point: &str) -> Result<Vec<RescueRow>> {
        match self.journal().run_of_safety_point(cx, point).await? {
            Some(run) => self.journal().returned_by(cx, &run).await,
            None => Ok(Vec::new()),
        }
    }

    /// Lets it wait again for migrations that are gone again, in the transaction that takes them out of the ledger.
    pub(crate) async fn wait_again(&mut self, cx: &Cx, waited: Vec<RescueRow>) -> Result<()> {
        for row in waited {
            if !self.state.is_applied(&row.migration) {
                self.journal().note_rescue(cx, &row).await?;
                self.state.rescues.push(row);
            }
        }
        Ok(())
    }
}
