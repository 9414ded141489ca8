//! Writing down that a run has begun, and into the ledger, whatever its format, and into the table that shows it to another tool.

use std::collections::BTreeSet;

use walkback_core::ledger::{LedgerFormat, LedgerRows};
use walkback_core::{Cx, MigrationId, Result};

use super::{Execution, join};
use crate::journal::RunRecord;
use crate::ledger::{Heads, Ledger, NewRow};

impl Execution<'_> {
    /// Writes the row of the run: from here on, a kill is noticed by the next command.
    pub(crate) async fn record(&mut self, cx: &Cx, from: &[MigrationId], to: &[MigrationId]) -> Result<()> {
        let run = self.run_between(from, to);
        let (by, approved) = (self.runner.author(), self.approved.clone());
        Box::pin(self.journal().begin_run_alone(cx, &run, &by, approved)).await?;
        self.is_recorded(cx, &run);
        Ok(())
    }

    /// The same in the current transaction.
    pub(crate) async fn record_inside(
        &mut self,
        cx: &Cx,
        from: &[MigrationId],
        to: &[MigrationId],
    ) -> Result<()> {
        let run = self.run_between(from, to);
        let (by, approved) = (self.runner.author(), self.approved.clone());
        Box::pin(self.journal().begin_run(cx, &run, &by, approved)).await?;
        self.is_recorded(cx, &run);
        Ok(())
    }

    fn run_between(&mut self, from: &[MigrationId], to: &[MigrationId]) -> RunRecord {
        self.report.from = from.to_vec();
        self.run.from = join(from);
        self.run.to = join(to);
        self.run.clone()
    }

    fn is_recorded(&self, cx: &Cx, run: &RunRecord) {
        if let Some(outer) = self.runner.outer() {
            outer.begun.note(&run.kind, &run.id);
        }
        cx.step("run.recorded");
        tracing::info!(run = %run.id, kind = %run.kind, environment = %run.environment, actor = %run.actor, ticket = ?run.ticket,
            from = %run.from, to = %run.to, "a run begins");
    }

    /// Adds to the copies of the audit what this run has added to it.
    pub(super) async fn copy_audit(&mut self, cx: &Cx) {
        // A run that others are part of does it once, at its end.
        if self.runner.outer().is_none() {
            let home = self.state.schema.home.clone();
            self.runner
                .copy_audit(cx, &mut *self.session, home.as_deref())
                .await;
        }
    }

    /// Writes into the log how the run has ended.
    pub(super) fn log_end(&self, outcome: &Result<()>) {
        let (run, kind) = (&self.run.id, &self.run.kind);
        match outcome {
            Ok(()) => tracing::info!(%run, %kind, "the run has done what it was to do"),
            Err(error) => tracing::error!(%run, %kind, %error, "the run has failed"),
        }
    }

    pub(crate) fn ledger(&mut self) -> Ledger<'_> {
        Ledger::new(&mut *self.session, &*self.dialect, &self.format)
    }

    /// Writes into the ledger that a migration is applied.
    pub(crate) async fn insert_row(&mut self, cx: &Cx, row: &NewRow<'_>) -> Result<()> {
        if self.format.rows == LedgerRows::Applied {
            self.ledger().insert(cx, row).await?;
        }
        let mut after = self.state.applied_set();
        after.insert(row.id.clone());
        self.move_heads(cx, &after).await
    }

    /// Takes a migration out of the ledger, and says whether it was in it.
    pub(crate) async fn remove_row(&mut self, cx: &Cx, id: &MigrationId) -> Result<bool> {
        let mut after = self.state.applied_set();
        let mut was_in_it = after.remove(id);
        if self.format.rows == LedgerRows::Applied {
            was_in_it = self.ledger().remove(cx, id).await?;
        }
        self.move_heads(cx, &after).await?;
        Ok(was_in_it)
    }

    /// Takes every row out of the ledger.
    pub(crate) async fn empty_ledger(&mut self, cx: &Cx) -> Result<()> {
        self.ledger().empty(cx).await?;
        match self.heads_table() {
            Some(other) if self.format.rows == LedgerRows::Applied => {
                Ledger::new(&mut *self.session, &*self.dialect, &other)
                    .empty(cx)
                    .await
            }
            _ => Ok(()),
        }
    }

    /// Returns the table of heads that is kept: the ledger itself, or what shows it to another tool.
    fn heads_table(&self) -> Option<LedgerFormat> {
        match self.format.rows {
            LedgerRows::Heads => Some(self.format.clone()),
            LedgerRows::Applied => {
                let other = self.format.shown_in.as_deref();
                other.filter(|_| self.state.shown.is_kept()).cloned()
            }
        }
    }

    /// Writes the heads of what is applied afterwards where they are kept.
    async fn move_heads(&mut self, cx: &Cx, after: &BTreeSet<MigrationId>) -> Result<()> {
        let Some(format) = self.heads_table() else {
            return Ok(());
        };
        let before: Heads = self.state.heads(&self.state.applied_set()).into_iter().collect();
        let after: Heads = self.state.heads(after).into_iter().collect();
        let mut table = Ledger::new(&mut *self.session, &*self.dialect, &format);
        table.move_heads(cx, (&before, &after)).await?;
        match self.format.rows {
            LedgerRows::Applied => self.note_shown(cx, &after).await,
            LedgerRows::Heads => Ok(()),
        }
    }
}
