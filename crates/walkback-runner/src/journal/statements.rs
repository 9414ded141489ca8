//! Statements of a run, with intent and outcome.

use walkback_core::value::Value;
use walkback_core::{Cx, Effect, Result};

use super::{Journal, StoredMigration, required, tables, text};

/// How far a statement got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatementState {
    /// It was about to be sent. Outside a transaction this is durable before the statement is.
    Intent,
    /// It succeeded.
    Done,
}

impl StatementState {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Done => "done",
        }
    }
}

/// One statement of a run.
#[derive(Debug, Clone)]
pub(crate) struct StatementRow {
    pub(crate) run_id: String,
    pub(crate) seq: i64,
    pub(crate) migration: String,
    pub(crate) direction: String,
    pub(crate) place: String,
    pub(crate) statement: String,
    pub(crate) effect: String,
    pub(crate) state: StatementState,
    pub(crate) noted_at: String,
}

/// What the table of facts calls the script that was begun last outside a transaction.
const SCRIPT: &str = "script";

impl Journal<'_> {
    /// Notes which script a run is about to begin, before its first statement.
    pub(crate) async fn note_script(&mut self, cx: &Cx, run: &str, mark: &str) -> Result<()> {
        self.set_meta(cx, SCRIPT, &format!("{run} {mark}")).await
    }

    /// Returns whether a script is the one that a run has begun.
    pub(crate) async fn has_begun_script(&mut self, cx: &Cx, run: &str, mark: &str) -> Result<bool> {
        let noted = self.meta(cx, SCRIPT).await?;
        Ok(noted == Some(format!("{run} {mark}")))
    }

    pub(crate) async fn note_statement(&mut self, cx: &Cx, row: &StatementRow) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} (run_id, seq, migration, direction, place, statement, effect, state, noted_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            tables::STATEMENTS
        );
        let params: [Value; 9] = [
            row.run_id.clone().into(),
            row.seq.into(),
            row.migration.clone().into(),
            row.direction.clone().into(),
            row.place.clone().into(),
            row.statement.clone().into(),
            row.effect.clone().into(),
            row.state.word().into(),
            row.noted_at.clone().into(),
        ];
        self.write(cx, &sql, &params).await
    }

    pub(crate) async fn statement_done(&mut self, cx: &Cx, run: &str, seq: i64, at: &str) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET state = ?, noted_at = ? WHERE run_id = ? AND seq = ?",
            tables::STATEMENTS
        );
        let params = [
            StatementState::Done.word().into(),
            at.into(),
            run.into(),
            seq.into(),
        ];
        self.write(cx, &sql, &params).await
    }

    /// Returns the statement by which a program notes that a statement of a run is done, without parameters. It changes
    /// one row, on the database with this journal.
    pub(crate) fn proof_of_end(&self, run: &str, seq: i64, at: &str) -> String {
        let text = |value: &str| self.dialect.literal(&value.into());
        let state = |state: StatementState| text(state.word());
        self.bind(&format!(
            "UPDATE {} SET state = {}, noted_at = {} WHERE run_id = {} AND seq = {seq} AND state = {}",
            tables::STATEMENTS,
            state(StatementState::Done),
            text(at),
            text(run),
            state(StatementState::Intent),
        ))
    }

    /// Returns the statements of an applied migration, each with what it does. `None`: of one of them that is not known.
    pub(crate) async fn effects_of(
        &mut self,
        cx: &Cx,
        stored: &StoredMigration,
    ) -> Result<Option<Vec<(String, Effect)>>> {
        let statements = self.statements_of(cx, &stored.run_id).await?;
        let own = statements
            .into_iter()
            .filter(|row| row.direction == "up" && row.migration == stored.id.as_str());
        Ok(own
            .map(|row| Some((row.statement, serde_json::from_str(&row.effect).ok()?)))
            .collect())
    }

    /// Returns the statements of a run: migration, direction, place, text and whether each is known to be done.
    pub(crate) async fn statements_of(&mut self, cx: &Cx, run: &str) -> Result<Vec<StatementRow>> {
        let sql = format!(
            "SELECT seq, migration, direction, place, statement, effect, state, noted_at FROM {} \
             WHERE run_id = ? ORDER BY seq",
            tables::STATEMENTS
        );
        let rows = self.all(cx, &sql, &[run.into()]).await?;
        let statement = |row: &Vec<Value>| {
            Ok(StatementRow {
                run_id: run.to_owned(),
                seq: row[0].as_i64().unwrap_or_default(),
                migration: required(row, 1)?,
                direction: required(row, 2)?,
                place: text(row, 3).unwrap_or_default(),
                statement: text(row, 4).unwrap_or_default(),
                effect: text(row, 5).unwrap_or_default(),
                state: if required(row, 6)? == StatementState::Done.word() {
                    StatementState::Done
                } else {
                    StatementState::Intent
                },
                noted_at: text(row, 7).unwrap_or_default(),
            })
        };
        rows.iter().map(statement).collect()
    }

    /// Removes one statement of a run: nothing of it has happened.
    pub(crate) async fn forget_statement(&mut self, cx: &Cx, run: &str, seq: i64) -> Result<()> {
        let sql = format!("DELETE FROM {} WHERE run_id = ? AND seq = ?", tables::STATEMENTS);
        self.write(cx, &sql, &[run.into(), seq.into()]).await
    }

    /// Removes the statements of a migration from a run: it has been undone, or changed nothing.
    pub(crate) async fn forget_statements(&mut self, cx: &Cx, run: &str, migration: &str) -> Result<()> {
        self.forget_undo(cx, run, migration).await?;
        let sql = format!(
            "DELETE FROM {} WHERE run_id = ? AND migration = ?",
            tables::STATEMENTS
        );
        self.write(cx, &sql, &[run.into(), migration.into()]).await
    }

    /// Removes the ways back of the statements of a migration: it is complete, and has one of its own.
    pub(crate) async fn forget_undo(&mut self, cx: &Cx, run: &str, migration: &str) -> Result<()> {
        let sql = format!(
            "DELETE FROM {} WHERE run_id = ? AND seq IN (SELECT seq FROM {} WHERE run_id = ? AND migration = ?)",
            tables::UNDO,
            tables::STATEMENTS
        );
        self.write(cx, &sql, &[run.into(), run.into(), migration.into()])
            .await
    }
}
