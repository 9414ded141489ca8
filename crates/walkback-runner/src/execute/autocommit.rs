//! Applying a migration outside a transaction: intent durable, statement, outcome durable, one by one.

use walkback_core::catalog::Schema;
use walkback_core::engine::Begin;
use walkback_core::{Cx, Error, ErrorKind, Result};

use super::Execution;
use super::up::{Derivation, Outcome};
use crate::journal::StatementState;
use crate::plan::PlannedStep;

impl Execution<'_> {
    /// Runs the statements one by one. A failure is undone from the point, which was complete before the
    /// first of them.
    pub(super) async fn up_statement_by_statement(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        point: Option<String>,
    ) -> Result<()> {
        let before = self.runner.schema(cx, &mut *self.session).await?;
        let (derivation, outcome) = self.one_by_one(cx, step).await;
        if let Err(error) = outcome {
            return Err(self.undo_half(cx, step, point.as_deref(), error).await);
        }
        let outcome = self
            .finish_loose(cx, step, point.clone(), before, derivation)
            .await;
        if let Err(error) = outcome {
            return Err(self.undo_half(cx, step, point.as_deref(), error).await);
        }
        cx.step("migration.committed");
        self.note_applied(step);
        Ok(())
    }

    async fn finish_loose(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        point: Option<String>,
        before: Schema,
        derivation: Derivation,
    ) -> Result<()> {
        let after = self.runner.schema(cx, &mut *self.session).await?;
        self.session.begin(cx, Begin::Write).await.map_err(|error| {
            error
                .wrap(format!("`{}` leaves a transaction of its own open", step.name))
                .with_kind(ErrorKind::Database)
                .hint("end it with `COMMIT` in the script")
        })?;
        let outcome = Outcome {
            before,
            after,
            derivation,
        };
        let recorded = self.record_applied(cx, step, point, outcome).await;
        self.end_transaction(cx, recorded).await
    }

    async fn one_by_one(&mut self, cx: &Cx, step: &PlannedStep) -> (Derivation, Result<()>) {
        let mut derivation = Derivation::default();
        for (index, statement) in step.statements.iter().enumerate() {
            let sent = async {
                let schema = self.runner.schema(cx, &mut *self.session).await?;
                derivation.add(&*self.dialect, statement, &schema);
                self.send_with_intent(cx, step, index).await
            };
            if let Err(error) = sent.await {
                return (derivation, Err(error));
            }
        }
        (derivation, Ok(()))
    }

    /// Sends a statement between two durable rows: whatever happens, the next command knows how far it got.
    pub(super) async fn send_with_intent(&mut self, cx: &Cx, step: &PlannedStep, index: usize) -> Result<()> {
        let row = self.statement_row(cx, step, index, StatementState::Intent)?;
        self.journal().note_statement(cx, &row).await?;
        cx.step("statement.intent");
        self.send(cx, step, index).await?;
        cx.step("statement.sent");
        let at = crate::identity::moment(cx.now());
        self.journal()
            .statement_done(cx, &row.run_id, row.seq, &at)
            .await?;
        cx.step("statement.done");
        Ok(())
    }

    /// Undoes a migration that failed half-way from its point, and returns the error to report.
    async fn undo_half(&mut self, cx: &Cx, step: &PlannedStep, point: Option<&str>, error: Error) -> Error {
        let cx = &cx.shielded();
        // The script may have begun a transaction of its own; there is none to end in most cases.
        self.session.rollback(cx).await.ok();
        let changed = step
            .statements
            .iter()
            .any(|statement| statement.severity > walkback_core::statement::Severity::None);
        if !changed {
            return match self.forget_statements(cx, step).await {
                Ok(()) => error,
                Err(second) => needs_recovery(step, error, &second),
            };
        }
        let Some(point) = point else {
            return needs_recovery(step, error, &Error::not_found("no point was made before it"));
        };
        match self.restore_after_failure(cx, step, point).await {
            Ok(()) => {
                self.taken_back = Some(format!("undid `{}` from the point `{point}`", step.name));
                error
            }
            Err(second) => needs_recovery(step, error, &second),
        }
    }

    /// Marks the statements of a migration that changed nothing as done, so that nobody has to recover it.
    pub(crate) async fn forget_statements(&mut self, cx: &Cx, step: &PlannedStep) -> Result<()> {
        let run = self.run.id.clone();
        let id = step.id.0.clone();
        self.journal().forget_statements(cx, &run, &id).await
    }
}

fn needs_recovery(step: &PlannedStep, error: Error, second: &Error) -> Error {
    error
        .wrap(format!(
            "migration `{}` failed half-way outside a transaction, and is not undone: {second}",
            step.name
        ))
        .with_kind(ErrorKind::NeedsRecovery)
        .hint("run `walkback recover`; it says what it found and what it will do, and asks")
}
