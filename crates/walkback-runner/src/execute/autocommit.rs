//! Running a script outside a transaction: intent durable, statement, outcome durable, one by one.

use walkback_core::catalog::Schema;
use walkback_core::dialect::Inverse;
use walkback_core::engine::Begin;
use walkback_core::statement::{Action, Severity};
use walkback_core::{Cx, Direction, Error, ErrorKind, Result, TableName};
use walkback_vault::Manifest;

use super::Execution;
use super::derivation::Derivation;
use super::statement::statement_failed;
use super::undo::{ByJournal, needs_recovery};
use super::up::{Outcome, changes_schema};
use crate::approval::mark_of;
use crate::journal::{StatementRow, StatementState, UndoRow};
use crate::plan::{PlannedStatement, PlannedStep, PointScope};
use crate::protect::Protect;

impl Execution<'_> {
    /// Applies a migration statement by statement. A failure is undone by the journal, or else from the point,
    /// which was complete before the first of them.
    pub(super) async fn up_statement_by_statement(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        scope: &PointScope,
        point: Option<Manifest>,
    ) -> Result<()> {
        // What another tool's transaction holds is looked at in there, where nobody writes any more.
        let is_watched = step
            .statements
            .first()
            .is_some_and(|first| self.watches(step, first));
        let point = if is_watched {
            point
        } else {
            self.point_still_true(cx, step, scope, point).await?
        };
        self.held.clone_from(&point);
        let point = point.map(|point| point.id);
        let before = self.runner.schema(cx, &mut *self.session).await?;
        let start = (0, Derivation::default());
        let (derivation, outcome) = self.one_by_one(cx, step, &before, start).await;
        // A script of another tool may have found that the first one was no longer true.
        let point = self.held.as_ref().map(|held| held.id.clone()).or(point);
        let outcome = match outcome {
            Ok(after) => {
                let outcome = Outcome {
                    before,
                    after,
                    derivation,
                };
                self.finish_loose(cx, step, point.clone(), outcome).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            return Err(self.undo_half(cx, step, point.as_deref(), error).await);
        }
        cx.step("migration.committed");
        self.note_applied(step);
        self.put_back(cx, &step.id, false).await
    }

    pub(super) async fn finish_loose(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        point: Option<String>,
        outcome: Outcome,
    ) -> Result<()> {
        self.begin_after_loose(cx, step).await?;
        let recorded = async {
            let mut after = None;
            if let Some(witnessed) = self.witnessed(cx, &outcome.after).await? {
                // Nobody has written meanwhile.
                self.held = None;
                let kept = Box::pin(self.keep_witnessed(cx, step, &witnessed, &outcome.after)).await;
                after = self.or_from_its_point(step, kept)?;
                self.told = Some(witnessed.touched);
            } else if step.statements.iter().all(|one| one.external.is_none()) {
                after = Box::pin(self.keep_left(cx, step, &outcome)).await?;
            }
            let recorded = self.record_applied(cx, step, (point, after), outcome).await;
            self.told = None;
            recorded?;
            self.forget_witnessed(cx).await?;
            let run = self.run.id.clone();
            self.journal().forget_undo(cx, &run, step.id.as_str()).await
        }
        .await;
        self.end_transaction(cx, recorded).await
    }

    /// Begins the transaction that records a script, which must have ended its own.
    pub(super) async fn begin_after_loose(&mut self, cx: &Cx, step: &PlannedStep) -> Result<()> {
        self.session.begin(cx, Begin::Write).await.map_err(|error| {
            error
                .wrap(format!("`{}` leaves a transaction of its own open", step.name))
                .with_kind(ErrorKind::Database)
                .hint("end it with `COMMIT` in the script")
        })
    }

    /// Runs the statements from one of them on, with the way back of those before it, and returns the schema after the last.
    pub(super) async fn one_by_one(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        before: &Schema,
        (from, mut derivation): (usize, Derivation),
    ) -> (Derivation, Result<Schema>) {
        let mut current = before.clone();
        let own = controls_transactions(step);
        if from == 0 && step.direction == Direction::Up {
            // What goes on with it after a kill asks whether it is this one still.
            let (run, mark) = (self.run.id.clone(), mark_of(step));
            if let Err(error) = self.journal().note_script(cx, &run, &mark).await {
                return (derivation, Err(error));
            }
        }
        for (index, statement) in step.statements.iter().enumerate().skip(from) {
            if statement.is_soft() {
                let aside = self.move_aside_one_by_one(cx, step, index, &current, &mut derivation);
                match aside.await {
                    Ok(schema) => current = schema,
                    Err(error) => return (derivation, Err(error)),
                }
                continue;
            }
            if statement.is_backed_up() {
                let kept = Box::pin(self.back_up_alone(cx, step, index, &current, &mut derivation));
                match kept.await {
                    Ok(schema) => current = schema,
                    Err(error) => return (derivation, Err(error)),
                }
                continue;
            }
            let inverse = if step.is_soft() && statement.protect == Some(Protect::Off) {
                derivation.add_waived(&*self.dialect, statement, &current)
            } else if step.is_soft() && step.fills_its_own(statement, before) {
                Inverse::Nothing
            } else {
                derivation.add(&*self.dialect, statement, &current)
            };
            let with_outcome = match &statement.external {
                // It notes its outcome itself, in its own transaction.
                Some(external) => external.atomic && self.session.capability().transactional_ddl,
                None => !own && commits_with_outcome(statement),
            };
            let undo = UndoRow {
                way: way_back(inverse),
                schema_before: current.hash(),
                with_outcome,
            };
            if let Err(error) = self.send_with_intent(cx, step, index, &undo).await {
                return (derivation, Err(error));
            }
            if changes_schema(statement) {
                match self.runner.schema(cx, &mut *self.session).await {
                    Ok(schema) => current = schema,
                    Err(error) => return (derivation, Err(error)),
                }
            }
        }
        (derivation, Ok(current))
    }

    /// Sends a statement between two durable rows: whatever happens, the next command knows how far it got. A
    /// statement that leaves its transaction to us commits together with its outcome.
    pub(crate) async fn send_with_intent(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        index: usize,
        undo: &UndoRow,
    ) -> Result<()> {
        let row = self.statement_row(cx, step, index, StatementState::Intent)?;
        self.journal().note_undo(cx, &row.run_id, row.seq, undo).await?;
        self.journal().note_statement(cx, &row).await?;
        cx.step("statement.intent");
        if step.statements[index].external.is_some() {
            self.run_external(cx, step, index, row.seq).await?;
            cx.step("statement.sent");
            cx.step("statement.done");
            return Ok(());
        }
        let mut tries = self.tries();
        while let Err(error) = self.send_once(cx, step, index, (&row, undo.with_outcome)).await {
            if !self.has_not_happened(cx, step, index, undo).await? {
                return Err(error);
            }
            tries
                .again(
                    cx,
                    &format!("a statement of `{}` ({})", step.name, row.place),
                    error,
                )
                .await?;
        }
        if !undo.with_outcome {
            cx.step("statement.sent");
            let at = crate::identity::moment(cx.now());
            self.journal()
                .statement_done(cx, &row.run_id, row.seq, &at)
                .await?;
        }
        cx.step("statement.done");
        Ok(())
    }

    /// Returns whether a statement that has failed has surely not happened, in no part and with nothing before it.
    async fn has_not_happened(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        index: usize,
        undo: &UndoRow,
    ) -> Result<bool> {
        let statement = &step.statements[index];
        if statement.severity == Severity::Unknown || controls_transactions(step) {
            // A routine may have committed, and a deadlock ends the transaction of a script with all that is in it.
            return Ok(false);
        }
        if undo.with_outcome {
            return Ok(true);
        }
        if statement.effect.actions.iter().any(crate::derive::changes_rows) {
            return Ok(false);
        }
        let now = self.runner.schema(cx, &mut *self.session).await;
        Ok(now.is_ok_and(|now| now.hash() == undo.schema_before))
    }

    /// Sends a statement, with its outcome if they commit together.
    async fn send_once(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        index: usize,
        (row, with_outcome): (&StatementRow, bool),
    ) -> Result<()> {
        let at = crate::identity::moment(cx.now());
        if with_outcome {
            self.session.begin(cx, Begin::Write).await?;
            let sent = self.send(cx, step, index).await;
            if let Err(error) = sent {
                return self.end_transaction(cx, Err(error)).await;
            }
            cx.step("statement.sent");
            let noted = self.journal().statement_done(cx, &row.run_id, row.seq, &at).await;
            self.end_transaction(cx, noted)
                .await
                .map_err(|error| statement_failed(step, index, error))
        } else {
            self.send(cx, step, index).await
        }
    }

    /// Undoes a script that failed half-way: by the journal, else from its point. Returns the error to report.
    pub(super) async fn undo_half(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        point: Option<&str>,
        error: Error,
    ) -> Error {
        let cx = &cx.shielded();
        // The script may have begun a transaction of its own; there is none to end in most cases.
        self.session.rollback(cx).await.ok();
        let changed = step
            .statements
            .iter()
            .any(|statement| statement.severity > Severity::None);
        if !changed {
            return match self.forget_statements(cx, step).await {
                Ok(()) => error,
                Err(second) => needs_recovery(&step.name, error, &second),
            };
        }
        let run = self.run.id.clone();
        let (only, why) = match self.undo_by_journal(cx, &run, &step.id, point.is_some()).await {
            Ok(ByJournal::Undone) => {
                self.taken_back = Some(format!("undid `{}`, statement by statement", step.name));
                return error;
            }
            Ok(ByJournal::Rows(tables)) => (Some(tables), String::new()),
            Ok(ByJournal::Impossible(why)) => (None, why),
            Err(second) => (None, second.to_string()),
        };
        let Some(point) = point else {
            return needs_recovery(
                &step.name,
                error,
                &Error::not_found(format!("{why}, and no point was made before it")),
            );
        };
        if let Err(second) = self.note_taken_back(cx, &run, &step.id).await {
            return needs_recovery(&step.name, error, &second);
        }
        // The safety point is what was there before the whole run; restoring it says so in the report.
        let is_first = self.report.undone.is_empty();
        match self.restore_after_failure(cx, step, point, only).await {
            Ok(kept) => {
                self.taken_back = Some(format!(
                    "undid `{}` from the point `{point}`{}",
                    step.name,
                    kept_in(kept.as_deref())
                ));
                if step.direction == Direction::Down && !is_first {
                    self.report.undone.clear();
                    self.all_taken_back = true;
                }
                error
            }
            Err(second) => needs_recovery(&step.name, error, &second),
        }
    }

    async fn restore_after_failure(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        point: &str,
        only: Option<Vec<TableName>>,
    ) -> Result<Option<String>> {
        let run = self.run.id.clone();
        let kept = self.keep_half_done(cx, point, only.as_deref()).await?;
        self.restore_half_done(cx, point, &run, &step.id, only).await?;
        Ok(kept)
    }

    /// Marks the statements of a migration that changed nothing as done, so that nobody has to recover it.
    pub(crate) async fn forget_statements(&mut self, cx: &Cx, step: &PlannedStep) -> Result<()> {
        let run = self.run.id.clone();
        let id = step.id.0.clone();
        self.journal().forget_statements(cx, &run, &id).await
    }
}

/// Says where that is which was there until something was undone from a point.
pub(crate) fn kept_in(kept: Option<&str>) -> String {
    kept.map(|kept| {
        format!("; what was there until then, also what applications wrote meanwhile, is kept in the point `{kept}`")
    })
    .unwrap_or_default()
}

/// Returns what takes a statement back without losing anything, or why nothing does.
fn way_back(inverse: Inverse) -> std::result::Result<Vec<String>, String> {
    match inverse {
        Inverse::Nothing => Ok(Vec::new()),
        Inverse::Statements { statements, loses } if loses.is_empty() => Ok(statements),
        Inverse::Statements { loses, .. } => Err(format!("that would lose {}", loses.join(", "))),
        Inverse::NotDerivable { why } => Err(why),
    }
}

/// Returns whether a script begins and ends transactions of its own, so that none can be put around parts of it.
fn controls_transactions(step: &PlannedStep) -> bool {
    step.statements
        .iter()
        .any(|statement| statement.effect.actions.contains(&Action::Transaction))
}

/// Returns whether a statement can commit together with the row that says it did.
fn commits_with_outcome(statement: &PlannedStatement) -> bool {
    let lasts_only_in_session = statement
        .effect
        .actions
        .iter()
        .all(|action| matches!(action, Action::Session | Action::Maintain | Action::Read));
    !statement.alone && !lasts_only_in_session
}
