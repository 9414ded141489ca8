//! Walking one migration back by a script.

use walkback_core::catalog::Schema;
use walkback_core::fingerprint::TableFingerprint;
use walkback_core::{Cx, Error, ErrorKind, MigrationId, Result, TableName};
use walkback_vault::TableEntry;

use super::Execution;
use super::derivation::Derivation;
use crate::journal::StatementState;
use crate::plan::{PlannedStep, Verdict};
use crate::rollback::RollbackKind;

impl Execution<'_> {
    /// Runs a down script. What it leaves behind is a warning: a person asked for this script.
    pub(crate) async fn down(&mut self, cx: &Cx, step: &PlannedStep) -> Result<()> {
        let left = self.down_checked(cx, step, false).await;
        let left = left.map_err(|error| self.with_other_way(step, error))?;
        for difference in left {
            self.report.warnings.push(format!(
                "the down of `{}` does not lead back: {difference}",
                step.name
            ));
        }
        Ok(())
    }

    /// Says what else walks a migration back whose down does not run.
    fn with_other_way(&self, step: &PlannedStep, error: Error) -> Error {
        if error.kind() != ErrorKind::Database {
            return error;
        }
        let stored = self.state.stored.get(&step.id);
        if stored.is_some_and(|stored| stored.point.is_some()) {
            return error.hint(
                "`walkback rollback -n 1` walks it back without its down, from the point made before it",
            );
        }
        if self.has_other_means(&step.id).unwrap_or(false) {
            return error.hint("`walkback rollback -n 1` walks it back without its down, by a derived one");
        }
        error
    }

    /// Runs a down script and compares the schema with what was there before the migration. With `strict`, a
    /// difference rolls it back and is an error; otherwise the differences are returned.
    pub(crate) async fn down_checked(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        strict: bool,
    ) -> Result<Vec<String>> {
        if !step.transaction {
            return self.down_statement_by_statement(cx, step, strict).await;
        }
        self.session.begin(cx, self.mode(&step.script)).await?;
        let mut left = Vec::new();
        let watched = if strict {
            self.watched(cx, step).await
        } else {
            Ok(Vec::new())
        };
        let outcome = match self.down_inside(cx, step, watched).await {
            Ok(differences) if strict && !differences.is_empty() => {
                Err(does_not_lead_back(step, &differences))
            }
            Ok(differences) => {
                left = differences;
                self.record_taken_away(cx, &step.id).await
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

    /// Returns the tables whose rows the way back has to bring back exactly: those the point holds and that
    /// nobody has written to since the migration. Where the down is known to lose something there are none.
    async fn watched(&mut self, cx: &Cx, step: &PlannedStep) -> Result<Vec<TableEntry>> {
        let Some(stored) = self.state.stored.get(&step.id).cloned() else {
            return Ok(Vec::new());
        };
        let (Some(point), true) = (&stored.point, stored.verdict == Verdict::Lossless) else {
            return Ok(Vec::new());
        };
        if self.runner.vault().is_none() {
            return Ok(Vec::new());
        }
        let Ok(manifest) = self.open_point(cx, point).await else {
            // A point that is gone is no reason to refuse a script that does not need it.
            return Ok(Vec::new());
        };
        let schema = self.runner.schema(cx, &mut *self.session).await?;
        let left = self.journal().after(cx, &step.id).await?;
        let mut watched = Vec::new();
        for entry in manifest.tables {
            let Some(then) = left.get(&entry.table.to_string()) else {
                continue;
            };
            let now = self.print(cx, &schema, &entry.table, &then.columns).await?;
            if now.as_ref() == Some(&then.print) {
                watched.push(entry);
            }
        }
        Ok(watched)
    }

    /// Returns what the rows of a table add up to, seen through these columns; `None` if it has not all of them.
    pub(crate) async fn print(
        &mut self,
        cx: &Cx,
        schema: &Schema,
        table: &TableName,
        columns: &[String],
    ) -> Result<Option<TableFingerprint>> {
        let Some(table) = schema.table(table) else {
            return Ok(None);
        };
        let column = |name: &String| table.columns.iter().find(|column| column.name == *name).cloned();
        let Some(columns) = columns.iter().map(column).collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        let mut seen = table.clone();
        seen.columns = columns;
        self.session.fingerprint(cx, &seen).await.map(Some)
    }

    async fn down_inside(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        watched: Result<Vec<TableEntry>>,
    ) -> Result<Vec<String>> {
        let watched = watched?;
        let before = self.runner.schema(cx, &mut *self.session).await?;
        for index in 0..step.statements.len() {
            self.send(cx, step, index).await?;
            let row = self.statement_row(cx, step, index, StatementState::Done)?;
            self.journal().note_statement(cx, &row).await?;
        }
        let after = self.runner.schema(cx, &mut *self.session).await?;
        self.left_by(cx, step, &before, &after, watched).await
    }

    /// Returns in what the schema and the watched rows after a way back are not what they were before the
    /// migration, a line each.
    async fn left_by(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        before: &Schema,
        after: &Schema,
        watched: Vec<TableEntry>,
    ) -> Result<Vec<String>> {
        let Some(stored) = self.state.stored.get(&step.id) else {
            return Ok(Vec::new());
        };
        let left = stored.delta.left_behind(before, after);
        let mut left: Vec<String> = left
            .iter()
            .filter(|difference| !difference.is_residue())
            .map(ToString::to_string)
            .collect();
        for entry in watched {
            let now = self.print(cx, after, &entry.table, &entry.columns).await?;
            if now.is_some() && entry.fingerprint.is_some() && now != entry.fingerprint {
                left.push(format!(
                    "the rows of table `{}` are not what they were",
                    entry.table
                ));
            }
        }
        Ok(left)
    }

    /// Outside a transaction there is nothing to roll back: every statement is noted before and after, and what
    /// fails is undone by the journal, else from the safety point of the run.
    async fn down_statement_by_statement(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        strict: bool,
    ) -> Result<Vec<String>> {
        let watched = if strict {
            self.watched(cx, step).await?
        } else {
            Vec::new()
        };
        let before = self.runner.schema(cx, &mut *self.session).await?;
        let (_, outcome) = self
            .one_by_one(cx, step, &before, (0, Derivation::default()))
            .await;
        let outcome = match outcome {
            Ok(after) => self.left_by(cx, step, &before, &after, watched).await,
            Err(error) => Err(error),
        };
        let outcome = match outcome {
            Ok(left) if strict && !left.is_empty() => Err(does_not_lead_back(step, &left)),
            Ok(left) => self.finish_loose_down(cx, step).await.map(|()| left),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(left) => {
                cx.step("migration.committed");
                self.note_undone(&step.id);
                Ok(left)
            }
            Err(error) => {
                let safety = self.safety.clone();
                Err(self.undo_half(cx, step, safety.as_deref(), error).await)
            }
        }
    }

    pub(super) async fn finish_loose_down(&mut self, cx: &Cx, step: &PlannedStep) -> Result<()> {
        self.begin_after_loose(cx, step).await?;
        let recorded = async {
            self.record_taken_away(cx, &step.id).await?;
            let run = self.run.id.clone();
            self.journal().forget_undo(cx, &run, step.id.as_str()).await
        }
        .await;
        self.end_transaction(cx, recorded).await
    }

    async fn record_taken_away(&mut self, cx: &Cx, id: &MigrationId) -> Result<()> {
        self.note_rescue(cx, id, RollbackKind::Down).await?;
        self.note_moved_back(cx, id).await?;
        self.record_undone(cx, id).await
    }

    /// Takes a migration out of the ledger, in the current transaction.
    pub(crate) async fn record_undone(&mut self, cx: &Cx, id: &MigrationId) -> Result<()> {
        if !self.remove_row(cx, id).await? {
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
        self.journal().forget_returned_of(cx, id).await?;
        self.note_left_without(cx, id).await
    }

    pub(crate) fn note_undone(&mut self, id: &MigrationId) {
        let named = self.named(id);
        self.report.undone.push(named);
        self.state.applied.retain(|row| row.id != *id);
        // No point holds its tables as they are now: one has to, before an older migration takes them away.
        let captured = self
            .state
            .stored
            .get(id)
            .filter(|stored| stored.point.is_none())
            .filter(|stored| stored.changes.is_some() || self.state.is_beside(stored));
        let tables = captured.and_then(|stored| stored.touched.clone());
        self.moved_back.extend(tables.into_iter().flatten());
    }
}

fn does_not_lead_back(step: &PlannedStep, left: &[String]) -> Error {
    Error::new(
        ErrorKind::CheckFailed,
        format!(
            "the down of `{}` does not lead back: {}",
            step.name,
            left.join("; ")
        ),
    )
}
