//! Taking a half-done script back by what the journal noted before each of its statements.

use std::collections::BTreeMap;

use walkback_core::catalog::Schema;
use walkback_core::engine::Begin;
use walkback_core::statement::Action;
use walkback_core::{Cx, Dialect, Effect, Error, MigrationId, Result, Statement, TableName};

use super::Execution;
use crate::delta::SchemaDelta;
use crate::journal::{StatementRow, StatementState, UndoRow};
use crate::reach::Reach;

/// What came of an attempt to take a script back by the journal.
#[derive(Debug)]
pub(crate) enum ByJournal {
    /// The schema is what it was before, no row was lost, and the statements are forgotten.
    Undone,
    /// The schema is what it was before. The rows of these tables are to be brought back from the point.
    Rows(Vec<TableName>),
    /// It cannot be done, or not completely, for this reason.
    Impossible(String),
}

impl Execution<'_> {
    /// Takes back the statements of a half-done script, newest first. Nothing is begun unless each of them has a
    /// way back that loses nothing, or, if there is a point, has changed rows only: the tables of those are
    /// returned. May be killed at any moment and done again.
    pub(crate) async fn undo_by_journal(
        &mut self,
        cx: &Cx,
        run: &str,
        migration: &MigrationId,
        has_point: bool,
    ) -> Result<ByJournal> {
        let statements = self.journal().statements_of(cx, run).await?;
        let undo = self.journal().undo_of(cx, run).await?;
        let now = self.runner.schema(cx, &mut *self.session).await?;
        let script = last_script(statements, migration);
        let mut ways: Vec<(Vec<String>, String)> = Vec::new();
        let mut of_rows: Vec<(String, Effect)> = Vec::new();
        for row in script.iter().rev() {
            let Some(undo) = undo.get(&row.seq) else {
                return Ok(ByJournal::Impossible(format!(
                    "no way back was noted for {}",
                    row.place
                )));
            };
            let way = match way_of(row, undo, &now) {
                Ok(way) => way,
                Err(why) => match rows_only(row).filter(|_| has_point) {
                    Some(effect) => {
                        of_rows.push((row.statement.clone(), effect));
                        Vec::new()
                    }
                    None => return Ok(ByJournal::Impossible(why)),
                },
            };
            ways.push((way, undo.schema_before.clone()));
        }
        let first = ways.last().map(|(_, schema)| schema.clone());
        if ways.iter().any(|(way, _)| !way.is_empty()) {
            self.note_taken_back(cx, run, migration).await?;
        }
        let after = match self.run_ways(cx, ways, now).await {
            Ok(after) => after,
            Err(error) => return Ok(ByJournal::Impossible(error.to_string())),
        };
        if first.is_some_and(|before| before != after.hash()) {
            return Ok(ByJournal::Impossible(
                "the schema is not what it was before the script".to_owned(),
            ));
        }
        if !of_rows.is_empty() {
            // Rows may have been changed while their table had another name.
            of_rows.extend(script.iter().filter_map(renames));
            let reach = Reach::new(&*self.dialect, &after, true);
            return Ok(match reach.of_effects(&*self.dialect, &of_rows) {
                Some(tables) => ByJournal::Rows(tables),
                None => ByJournal::Impossible("which rows it has changed is not known".to_owned()),
            });
        }
        self.drop_unneeded_backups(cx, run).await?;
        self.session.begin(cx, Begin::Write).await?;
        let forgotten = self
            .journal()
            .forget_statements(cx, run, migration.as_str())
            .await;
        let forgotten = match forgotten {
            Ok(()) => {
                self.journal()
                    .forget_deprecated(cx, run, migration.as_str())
                    .await
            }
            failed => failed,
        };
        self.end_transaction(cx, forgotten).await?;
        Ok(ByJournal::Undone)
    }

    /// Notes that a script goes back from here on, whatever stops that.
    pub(crate) async fn note_taken_back(&mut self, cx: &Cx, run: &str, id: &MigrationId) -> Result<()> {
        self.journal().note_taken_back(cx, (run, id)).await?;
        cx.step("undo.begun");
        Ok(())
    }

    async fn run_ways(
        &mut self,
        cx: &Cx,
        mut ways: Vec<(Vec<String>, String)>,
        mut now: Schema,
    ) -> Result<Schema> {
        // The schema is what it was before one of them: it and all that came after have not happened, or were
        // taken back by an undo that was killed.
        let hash = now.hash();
        if let Some(place) = ways.iter().rposition(|(_, before)| *before == hash) {
            ways.drain(..=place);
        }
        for (statements, _) in ways {
            if statements.is_empty() {
                continue;
            }
            for sql in &statements {
                if !adds_what_is_there(&*self.dialect, sql, &now) {
                    self.session.execute(cx, sql, &[]).await?;
                }
            }
            cx.step("undo.statement");
            let then = std::mem::replace(&mut now, self.runner.schema(cx, &mut *self.session).await?);
            tracing::info!(changed = ?SchemaDelta::between(&then, &now), "took a statement back");
        }
        Ok(now)
    }
}

/// Returns whether a statement adds nothing but columns that are there: an undo that was killed has added them.
fn adds_what_is_there(dialect: &dyn Dialect, sql: &str, now: &Schema) -> bool {
    let statement = Statement {
        sql: sql.to_owned(),
        line: 1,
        touches: Vec::new(),
    };
    let is_there = |action: &Action| match action {
        Action::AddColumn { table, column } => now.table(table).is_some_and(|table| {
            let mut columns = table.columns.iter();
            columns.any(|other| other.name.eq_ignore_ascii_case(column))
        }),
        _ => false,
    };
    let actions = dialect.effect(&statement).actions;
    !actions.is_empty() && actions.iter().all(is_there)
}

/// Returns whether each statement of a half-done script has a way back that loses nothing.
pub(crate) fn has_ways_back(rows: &[StatementRow], undo: &BTreeMap<i64, UndoRow>) -> bool {
    rows.iter()
        .all(|row| undo.get(&row.seq).is_some_and(|undo| undo.way.is_ok()))
}

/// Returns the statements of the last script of a run, if it is this migration's.
pub(super) fn last_script(statements: Vec<StatementRow>, migration: &MigrationId) -> Vec<StatementRow> {
    let Some(direction) = statements.last().map(|last| last.direction.clone()) else {
        return Vec::new();
    };
    let mut script: Vec<_> = statements
        .into_iter()
        .rev()
        .take_while(|row| row.migration == migration.as_str() && row.direction == direction)
        .collect();
    script.reverse();
    script
}

/// Returns whether a statement has happened, at least in part, as far as that can be seen.
pub(crate) fn may_have_happened(row: &StatementRow, undo: &UndoRow, now: &Schema) -> bool {
    row.state == StatementState::Done
        || !undo.with_outcome && (now.hash() != undo.schema_before || changes_rows(row))
}

/// Returns what takes a statement back: nothing, if it has not happened.
fn way_of(row: &StatementRow, undo: &UndoRow, now: &Schema) -> std::result::Result<Vec<String>, String> {
    if !may_have_happened(row, undo, now) {
        return Ok(Vec::new());
    }
    if row.state == StatementState::Intent && now.hash() == undo.schema_before {
        return Err(format!("whether {} has changed rows cannot be seen", row.place));
    }
    undo.way
        .clone()
        .map_err(|why| format!("{} cannot be taken back by itself: {why}", row.place))
}

/// Returns what a statement does, if that is to change rows and nothing else.
fn rows_only(row: &StatementRow) -> Option<Effect> {
    let effect = serde_json::from_str::<Effect>(&row.effect).ok()?;
    let of_rows = |action: &Action| {
        matches!(
            action,
            Action::Read
                | Action::Insert { .. }
                | Action::Update { .. }
                | Action::Delete { .. }
                | Action::Truncate { .. }
        )
    };
    effect.actions.iter().all(of_rows).then_some(effect)
}

/// Returns what a statement renames, if it does.
fn renames(row: &StatementRow) -> Option<(String, Effect)> {
    let mut effect = serde_json::from_str::<Effect>(&row.effect).ok()?;
    effect
        .actions
        .retain(|action| matches!(action, Action::RenameTable { .. }));
    (!effect.actions.is_empty()).then(|| (String::new(), effect))
}

/// Returns whether a statement may change rows and leave the schema as it is.
pub(super) fn changes_rows(row: &StatementRow) -> bool {
    let Ok(effect) = serde_json::from_str::<Effect>(&row.effect) else {
        return true;
    };
    effect.actions.iter().any(|action| {
        matches!(
            action,
            Action::Insert { .. }
                | Action::Update { .. }
                | Action::Delete { .. }
                | Action::Truncate { .. }
                | Action::Unknown { .. }
        )
    })
}

/// Returns the error of a script that failed half-way and could not be taken back.
pub(crate) fn needs_recovery(name: &str, error: Error, second: &Error) -> Error {
    error
        .wrap(format!(
            "migration `{name}` failed half-way outside a transaction, and is not undone: {second}"
        ))
        .with_kind(walkback_core::ErrorKind::NeedsRecovery)
        .hint("run `walkback recover`; it says what it found and what it will do, and asks")
}
