//! Walking one migration back by a script.

use walkback_core::{Cx, Error, ErrorKind, MigrationId, Result};

use super::Execution;
use crate::journal::StatementState;
use crate::plan::PlannedStep;

impl Execution<'_> {
    /// Runs a down script. What it leaves behind is a warning: a person asked for this script.
    pub(super) async fn down(&mut self, cx: &Cx, step: &PlannedStep) -> Result<()> {
        let left = self.down_checked(cx, step, false).await?;
        for difference in left {
            self.report.warnings.push(format!(
                "the down of `{}` does not lead back: {difference}",
                step.name
            ));
        }
        Ok(())
    }

    /// Runs a down script and compares the schema with what was there before the migration. With `strict`, a
    /// difference rolls it back and is an error; otherwise the differences are returned.
    pub(crate) async fn down_checked(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        strict: bool,
    ) -> Result<Vec<String>> {
        let transactional = self.session.capability().transactional_ddl;
        if !step.transaction || !transactional {
            return self.down_statement_by_statement(cx, step).await;
        }
        self.session.begin(cx, self.mode(&step.script)).await?;
        let mut left = Vec::new();
        let outcome = match self.down_inside(cx, step).await {
            Ok(differences) if strict && !differences.is_empty() => Err(Error::new(
                ErrorKind::CheckFailed,
                format!(
                    "the down of `{}` does not lead back: {}",
                    step.name,
                    differences.join("; ")
                ),
            )),
            Ok(differences) => {
                left = differences;
                self.record_undone(cx, &step.id).await
            }
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            self.taken_back = Some(format!(
                "rolled back the transaction of the down of `{}`",
                step.name
            ));
        }
        self.end_transaction(cx, outcome).await?;
        cx.step("migration.committed");
        self.note_undone(&step.id);
        Ok(left)
    }

    async fn down_inside(&mut self, cx: &Cx, step: &PlannedStep) -> Result<Vec<String>> {
        let before = self.runner.schema(cx, &mut *self.session).await?;
        for index in 0..step.statements.len() {
            self.send(cx, step, index).await?;
            let row = self.statement_row(cx, step, index, StatementState::Done)?;
            self.journal().note_statement(cx, &row).await?;
        }
        let after = self.runner.schema(cx, &mut *self.session).await?;
        let Some(stored) = self.state.stored.get(&step.id) else {
            return Ok(Vec::new());
        };
        let left = stored.delta.left_behind(&before, &after);
        Ok(left
            .iter()
            .filter(|difference| !difference.is_residue())
            .map(ToString::to_string)
            .collect())
    }

    /// Outside a transaction there is nothing to roll back: every statement is noted before and after.
    async fn down_statement_by_statement(&mut self, cx: &Cx, step: &PlannedStep) -> Result<Vec<String>> {
        let before = self.runner.schema(cx, &mut *self.session).await?;
        for index in 0..step.statements.len() {
            if let Err(error) = self.send_with_intent(cx, step, index).await {
                return Err(error
                    .wrap(format!(
                        "the down of `{}` failed half-way outside a transaction",
                        step.name
                    ))
                    .with_kind(ErrorKind::NeedsRecovery)
                    .hint("run `walkback recover`; it says what it found and what it will do, and asks"));
            }
        }
        let after = self.runner.schema(cx, &mut *self.session).await?;
        let left = self
            .state
            .stored
            .get(&step.id)
            .map(|stored| stored.delta.left_behind(&before, &after));
        self.session
            .begin(cx, walkback_core::engine::Begin::Write)
            .await?;
        let recorded = self.record_undone(cx, &step.id).await;
        self.end_transaction(cx, recorded).await?;
        cx.step("migration.committed");
        self.note_undone(&step.id);
        Ok(left.unwrap_or_default().iter().map(ToString::to_string).collect())
    }

    /// Takes a migration out of the ledger, in the current transaction.
    pub(crate) async fn record_undone(&mut self, cx: &Cx, id: &MigrationId) -> Result<()> {
        if !self.ledger().remove(cx, id).await? {
            return Err(Error::new(
                ErrorKind::CheckFailed,
                format!(
                    "migration `{id}` is not in the ledger `{}` any more",
                    self.format.table
                ),
            )
            .hint("another tool has changed the ledger meanwhile; run the command again to plan anew"));
        }
        // What the journal keeps of the migration stays: walking this back brings the migration back.
        Ok(())
    }

    pub(crate) fn note_undone(&mut self, id: &MigrationId) {
        let named = self.named(id);
        self.report.undone.push(named);
        self.state.applied.retain(|row| row.id != *id);
    }
}
