//! Going on with a script outside a transaction that a killed run has left half-done.

use std::collections::BTreeMap;

use walkback_core::catalog::Schema;
use walkback_core::statement::Action;
use walkback_core::{Cx, Direction, Effect, Error, ErrorKind, Result};

use super::Execution;
use super::derivation::Derivation;
use super::undo::{changes_rows, last_script};
use super::up::Outcome;
use crate::journal::{StatementRow, StatementState, UndoRow};
use crate::plan::PlannedStep;

/// Why what was begun to be taken back goes no other way.
pub(crate) const BEGUN_BACK: &str = "somebody has begun to take it back";

/// How far a half-done script has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    /// How many of its statements are done.
    pub(crate) done: usize,
    /// What takes back the one that was begun, before it is run again.
    again: Vec<String>,
    /// Its number, if one was begun and is not done.
    begun: Option<i64>,
    /// What takes back those that are done, oldest first.
    ways: Vec<std::result::Result<Vec<String>, String>>,
}

impl Progress {
    /// Finds out how far a script has got, or says why it cannot go on.
    pub(crate) fn of(
        step: &PlannedStep,
        rows: &[StatementRow],
        undo: &BTreeMap<i64, UndoRow>,
        now: &Schema,
    ) -> std::result::Result<Self, String> {
        if step.transaction {
            return Err("the script is one transaction now".to_owned());
        }
        if step.is_soft() {
            return Err("what it drops is moved aside or kept in several steps".to_owned());
        }
        let same = |(at, row): (usize, &StatementRow)| {
            let planned = step.statements.get(at);
            planned.is_some_and(|planned| {
                // What another tool ran is not run again half-way.
                let is_ours = planned.external.is_none() || row.state == StatementState::Done;
                is_ours && planned.sql == row.statement
            })
        };
        if !rows.iter().enumerate().all(same) {
            return Err("the script is no longer the one that was begun".to_owned());
        }
        let mut progress = Self {
            done: 0,
            again: Vec::new(),
            begun: None,
            ways: Vec::new(),
        };
        for row in rows {
            let Some(undo) = undo.get(&row.seq) else {
                return Err(format!("nothing was noted before {}", row.place));
            };
            let is_done = match row.state {
                StatementState::Done => true,
                StatementState::Intent => progress.meet(row, undo, now)?,
            };
            if is_done {
                progress.done += 1;
                progress.ways.push(undo.way.clone());
            }
        }
        Ok(progress)
    }

    /// Finds out whether a statement that was begun is done, and notes what has to be done with it otherwise.
    fn meet(
        &mut self,
        row: &StatementRow,
        undo: &UndoRow,
        now: &Schema,
    ) -> std::result::Result<bool, String> {
        self.begun = Some(row.seq);
        if undo.with_outcome {
            return Ok(false);
        }
        if now.hash() == undo.schema_before {
            return match changes_rows(row) {
                true => Err(format!("whether {} has changed rows cannot be seen", row.place)),
                false => Ok(false),
            };
        }
        if has_dropped_all(row, now) {
            return Ok(true);
        }
        match &undo.way {
            Ok(way) => {
                self.again.clone_from(way);
                Ok(false)
            }
            Err(why) => Err(format!(
                "whether {} came to its end cannot be seen, nor can it be taken back: {why}",
                row.place
            )),
        }
    }
}

impl Execution<'_> {
    /// Runs what is left of a half-done script, in the name of the run that was killed. `before` is the schema before its
    /// first statement. May be killed at any moment and done again.
    pub(crate) async fn go_on(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        run: &str,
        (before, point): (Option<Schema>, Option<String>),
    ) -> Result<()> {
        if self.journal().is_taken_back(cx, (run, &step.id)).await? {
            return Err(Error::new(
                ErrorKind::CheckFailed,
                format!("`{}` cannot go on: {BEGUN_BACK}", step.name),
            ));
        }
        let rows = self.journal().statements_of(cx, run).await?;
        let undo = self.journal().undo_of(cx, run).await?;
        let now = self.runner.schema(cx, &mut *self.session).await?;
        // A way back may have been noted for a statement that was not.
        let noted = undo.keys().next_back().copied().unwrap_or_default();
        let last = rows.last().map_or(0, |row| row.seq).max(noted);
        let script = last_script(rows, &step.id);
        let progress = Progress::of(step, &script, &undo, &now).map_err(|why| {
            Error::new(
                ErrorKind::CheckFailed,
                format!("`{}` cannot go on: {why}", step.name),
            )
        })?;
        for sql in &progress.again {
            self.session.execute(cx, sql, &[]).await?;
        }
        cx.step("forward.taken-back");
        if let Some(seq) = progress.begun {
            match progress.done == script.len() {
                true => self.note_done(cx, run, seq).await?,
                false => self.journal().forget_statement(cx, run, seq).await?,
            }
        }
        cx.step("forward.begun");
        let (own, own_seq) = (std::mem::replace(&mut self.run.id, run.to_owned()), self.seq);
        self.seq = last;
        if step.direction == Direction::Down {
            // What it takes away is put aside from the safety point of the run that was killed.
            self.safety.clone_from(&point);
        }
        let outcome = self.rest(cx, step, progress, before, point).await;
        self.run.id = own;
        self.seq = own_seq;
        outcome.map_err(|error| {
            error
                .wrap(format!("`{}` could not go on, and is still half-done", step.name))
                .with_kind(ErrorKind::NeedsRecovery)
                .hint("`walkback recover --back` takes back what it has done, where that can be")
                .hint("`walkback recover --forward` tries to go on again")
        })?;
        match step.direction {
            Direction::Up => self.put_back(cx, &step.id, false).await,
            Direction::Down => Ok(()),
        }
    }

    async fn note_done(&mut self, cx: &Cx, run: &str, seq: i64) -> Result<()> {
        let at = crate::identity::moment(cx.now());
        self.journal().statement_done(cx, run, seq, &at).await
    }

    async fn rest(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        progress: Progress,
        before: Option<Schema>,
        point: Option<String>,
    ) -> Result<()> {
        self.limit_waiting(cx, step).await?;
        let now = self.runner.schema(cx, &mut *self.session).await?;
        let done = progress.done;
        let before = before.unwrap_or_else(|| now.clone());
        let derivation = Derivation::of_done(progress.ways, &step.statements, &before);
        let (derivation, after) = self.one_by_one(cx, step, &now, (done, derivation)).await;
        let after = after?;
        match step.direction {
            Direction::Up => {
                let outcome = Outcome {
                    before,
                    after,
                    derivation,
                };
                self.finish_loose(cx, step, point, outcome).await?;
                cx.step("migration.committed");
                self.note_applied(step);
                Ok(())
            }
            Direction::Down => {
                self.finish_loose_down(cx, step).await?;
                cx.step("migration.committed");
                self.note_undone(&step.id);
                Ok(())
            }
        }
    }
}

/// Returns whether a statement drops tables, and none of them is there any more.
fn has_dropped_all(row: &StatementRow, now: &Schema) -> bool {
    let Ok(effect) = serde_json::from_str::<Effect>(&row.effect) else {
        return false;
    };
    let is_gone = |action: &Action| match action {
        Action::DropTable { table, .. } => crate::reach::find(now, table).is_none(),
        _ => false,
    };
    !effect.actions.is_empty() && effect.actions.iter().all(is_gone)
}
