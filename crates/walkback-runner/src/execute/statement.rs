//! Running one statement, with an error that names its place.

use std::time::Duration;

use walkback_core::source::ExternalRun;
use walkback_core::statement::Action;
use walkback_core::{Cx, Error, ErrorKind, Result};

use super::Execution;
use crate::identity;
use crate::journal::{StatementRow, StatementState};
use crate::plan::{PlannedStatement, PlannedStep, ScriptOrigin};
use crate::protect::names_aside;

impl Execution<'_> {
    /// Sends a statement of a step.
    pub(crate) async fn send(&mut self, cx: &Cx, step: &PlannedStep, index: usize) -> Result<()> {
        let statement = &step.statements[index];
        tracing::info!(migration = %step.name, at = %statement.at, "{}", statement.effect);
        let limit = step.script.statement_timeout;
        let limited = limit.map_or_else(|| cx.clone(), |limit| cx.clone().with_timeout(limit));
        self.run_one(&limited, statement).await.map_err(|error| {
            let over = error.kind() == ErrorKind::Unavailable && limited.time_left() == Some(Duration::ZERO);
            let error = match limit.filter(|_| over && cx.check().is_ok()) {
                Some(limit) => error
                    .with_kind(ErrorKind::Database)
                    .hint(format!("its `statement_timeout` is {} s", limit.as_secs_f64())),
                None => error,
            };
            statement_failed(step, index, error)
        })
    }

    /// Lets the tool of its layout run a script, which notes itself in the journal that it has ended.
    pub(crate) async fn run_external(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        index: usize,
        seq: i64,
    ) -> Result<()> {
        let at = identity::moment(cx.now());
        let run = self.run.id.clone();
        let proof = self.journal().proof_of_end(&run, seq, &at);
        let run = ExternalRun::new(
            step.id.clone(),
            step.direction,
            self.dialect.kind(),
            self.runner.engine().login(),
            proof,
        );
        tracing::info!(migration = %step.name, "{}", step.statements[index].sql);
        let ran = match Box::pin(self.run_watched(cx, step, index, run)).await {
            Ok(()) => self.must_have_ended(cx, seq).await,
            Err(error) => Err(error),
        };
        ran.map_err(|error| statement_failed(step, index, error))
    }

    /// Makes sure that what a script noted of itself is there: it may have been rolled back with all that it did.
    async fn must_have_ended(&mut self, cx: &Cx, seq: i64) -> Result<()> {
        let run = self.run.id.clone();
        let statements = self.journal().statements_of(cx, &run).await?;
        let ended = |row: &StatementRow| row.seq == seq && row.state == StatementState::Done;
        if statements.iter().any(ended) {
            return Ok(());
        }
        Err(
            Error::new(ErrorKind::Database, "it ran to its end, and was not committed")
                .hint("does `env.py` commit, as with `with context.begin_transaction()`?"),
        )
    }

    /// Lets the statements of a step wait for locks as long as its author says, else as long as the run may.
    pub(crate) async fn limit_waiting(&mut self, cx: &Cx, step: &PlannedStep) -> Result<()> {
        let timeout = match step.script.lock_timeout {
            Some(timeout) => timeout,
            None if self.limited => self.runner.settings().lock_timeout,
            None => return Ok(()),
        };
        self.session.set_lock_timeout(cx, timeout).await?;
        self.limited = step.script.lock_timeout.is_some();
        Ok(())
    }

    /// A query gives rows, which are read to the end: some have effects only when they are.
    async fn run_one(&mut self, cx: &Cx, statement: &PlannedStatement) -> Result<()> {
        use futures::TryStreamExt as _;
        let reads = statement
            .effect
            .actions
            .iter()
            .all(|action| matches!(action, Action::Read));
        let word = statement
            .sql
            .trim_start()
            .get(..6)
            .unwrap_or_default()
            .to_ascii_lowercase();
        if reads || word == "select" || word == "pragma" {
            let mut rows = self.session.query(cx, &statement.sql, &[]).await?;
            while rows.try_next().await?.is_some() {}
            return Ok(());
        }
        self.session.execute(cx, &statement.sql, &[]).await.map(|_| ())
    }

    /// Returns the row of the journal for a statement of a step.
    pub(crate) fn statement_row(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        index: usize,
        state: StatementState,
    ) -> Result<StatementRow> {
        let statement = &step.statements[index];
        let effect = serde_json::to_string(&statement.effect)
            .map_err(|error| Error::internal("an effect cannot be written as JSON").with_source(error))?;
        Ok(StatementRow {
            run_id: self.run.id.clone(),
            seq: self.next_seq(),
            migration: step.id.0.clone(),
            direction: step.direction.to_string(),
            place: statement.at.to_string(),
            statement: statement.sql.clone(),
            effect,
            state,
            noted_at: identity::moment(cx.now()),
        })
    }
}

/// Says which statement an error is about.
pub(super) fn statement_failed(step: &PlannedStep, index: usize, error: Error) -> Error {
    let statement = &step.statements[index];
    let kind = error.kind();
    let is_held = names_aside(&error);
    let failed = error
        .wrap(format!(
            "statement {} of `{}` failed ({}): {}",
            index + 1,
            step.name,
            statement.at,
            excerpt(&statement.sql)
        ))
        .with_operation("execute");
    let failed = if is_held {
        failed.hint("a table that a migration dropped was moved aside, and uses it still; `walkback purge` lists such tables, and `walkback purge --all` drops them for good")
    } else {
        failed
    };
    match kind {
        ErrorKind::Interrupted => failed.with_kind(ErrorKind::Interrupted),
        ErrorKind::Database if step.origin == ScriptOrigin::File => {
            failed.hint("correct the script, then run the same command again")
        }
        _ => failed,
    }
}

/// Returns the beginning of a statement, on one line.
pub(crate) fn excerpt(sql: &str) -> String {
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 80 {
        line
    } else {
        format!("{}…", line.chars().take(79).collect::<String>())
    }
}
