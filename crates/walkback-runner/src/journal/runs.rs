//! Runs: who, why, from, to, outcome.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use walkback_core::engine::Begin;
use walkback_core::value::Value;
use walkback_core::{Cx, Result};

use super::{AuditNote, Author, Event, HookRecord, Journal, required, tables, text};

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It is running, or it was killed.
    Running,
    /// It did what it was asked to.
    Done,
    /// It failed; what it had finished before stays, and nothing is half-done.
    Failed,
    /// It failed half-way, and has been undone.
    Undone,
    /// It was killed; a later command found that nothing is half-done, or put it right.
    Interrupted,
}

impl RunStatus {
    /// Returns the word in the journal.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Undone => "undone",
            Self::Interrupted => "interrupted",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [
            Self::Running,
            Self::Done,
            Self::Failed,
            Self::Undone,
            Self::Interrupted,
        ]
        .into_iter()
        .find(|status| status.word() == word)
    }
}

/// One run, as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RunRecord {
    /// Its identity.
    pub id: String,
    /// What sort of run: the name of the command.
    pub kind: String,
    /// What became of it.
    pub status: RunStatus,
    /// Name of the environment.
    pub environment: String,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// When it ended.
    pub finished_at: Option<String>,
    /// Who ran it.
    pub actor: String,
    /// Heads before, joined by commas.
    pub from: String,
    /// Heads after, joined by commas.
    pub to: String,
    /// Its ticket.
    pub ticket: Option<String>,
    /// Why, in words.
    pub reason: Option<String>,
    /// What happened, in words.
    pub detail: Option<String>,
    /// The commands that ran round it, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookRecord>,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub(crate) struct RunEnd<'a> {
    pub(crate) id: &'a str,
    pub(crate) status: RunStatus,
    /// The heads that were reached.
    pub(crate) to: &'a str,
    pub(crate) detail: &'a str,
    /// What it took away that was written since, in words.
    pub(crate) lost: Option<String>,
    pub(crate) at: &'a str,
}

const COLUMNS: &str = "id, kind, status, environment, started_at, finished_at, actor, from_heads, to_heads, \
                       ticket, reason, detail";

impl Journal<'_> {
    /// Writes the row of a run that begins, and the entry of the audit, in a transaction of their own.
    pub(crate) async fn begin_run_alone(
        &mut self,
        cx: &Cx,
        run: &RunRecord,
        by: &Author<'_>,
        approved: Option<String>,
    ) -> Result<()> {
        self.session.begin(cx, Begin::Write).await?;
        let outcome = self.begin_run(cx, run, by, approved).await;
        self.end(cx, outcome).await
    }

    /// Writes them in the current transaction.
    pub(crate) async fn begin_run(
        &mut self,
        cx: &Cx,
        run: &RunRecord,
        by: &Author<'_>,
        approved: Option<String>,
    ) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} ({COLUMNS}, tool_version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            tables::RUNS
        );
        let params: [Value; 13] = [
            run.id.clone().into(),
            run.kind.clone().into(),
            run.status.word().into(),
            run.environment.clone().into(),
            run.started_at.clone().into(),
            run.finished_at.clone().into(),
            run.actor.clone().into(),
            run.from.clone().into(),
            run.to.clone().into(),
            run.ticket.clone().into(),
            run.reason.clone().into(),
            run.detail.clone().into(),
            env!("CARGO_PKG_VERSION").into(),
        ];
        self.write(cx, &sql, &params).await?;
        let note = AuditNote {
            approved,
            ..AuditNote::of_run(Event::Begun, run)
        };
        self.append_audit(cx, by, note).await
    }

    /// Ends a run with its outcome, in the current transaction. `to` replaces the heads that were hoped for by those that
    /// were reached.
    pub(crate) async fn finish_run(&mut self, cx: &Cx, by: &Author<'_>, end: RunEnd<'_>) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET status = ?, to_heads = ?, detail = ?, finished_at = ? WHERE id = ? AND status = ?",
            tables::RUNS
        );
        let params: [Value; 6] = [
            end.status.word().into(),
            end.to.into(),
            end.detail.into(),
            end.at.into(),
            end.id.into(),
            RunStatus::Running.word().into(),
        ];
        // A run ends once: with its own transaction, or by the command that found it killed.
        if self.changed(cx, &sql, &params).await? == 0 {
            return Ok(());
        }
        self.note_end(cx, by, &end).await
    }

    async fn note_end(&mut self, cx: &Cx, by: &Author<'_>, end: &RunEnd<'_>) -> Result<()> {
        let sql = format!("SELECT {COLUMNS} FROM {} WHERE id = ?", tables::RUNS);
        for run in self.records(cx, &sql, &[end.id.into()]).await? {
            let note = AuditNote {
                outcome: Some(end.status.word().to_owned()),
                lost: end.lost.clone(),
                ..AuditNote::of_run(Event::Ended, &run)
            };
            self.append_audit(cx, by, note).await?;
        }
        Ok(())
    }

    /// Ends a run with its outcome, in a transaction of its own.
    pub(crate) async fn finish_run_alone(&mut self, cx: &Cx, by: &Author<'_>, end: RunEnd<'_>) -> Result<()> {
        self.session.begin(cx, Begin::Write).await?;
        let outcome = self.finish_run(cx, by, end).await;
        self.end(cx, outcome).await
    }

    /// Returns what the journal says has become of a run.
    pub(crate) async fn run_status(&mut self, cx: &Cx, id: &str) -> Result<Option<RunStatus>> {
        let sql = format!("SELECT {COLUMNS} FROM {} WHERE id = ?", tables::RUNS);
        let found = self.records(cx, &sql, &[id.into()]).await?;
        Ok(found.first().map(|run| run.status))
    }

    /// Notes how far a run has come that is made of others.
    pub(crate) async fn note_stage(&mut self, cx: &Cx, id: &str, detail: &str) -> Result<()> {
        let sql = format!("UPDATE {} SET detail = ? WHERE id = ?", tables::RUNS);
        self.write(cx, &sql, &[detail.into(), id.into()]).await
    }

    /// Returns the last moment that a run has noted.
    pub(crate) async fn last_moment(&mut self, cx: &Cx) -> Result<Option<DateTime<Utc>>> {
        // A run that was killed has not noted its end, but what it did.
        let sql = format!(
            "SELECT (SELECT max(started_at) FROM {0}), (SELECT max(finished_at) FROM {0}), (SELECT max(stored_at) FROM {1}), \
             (SELECT max(noted_at) FROM {2})",
            tables::RUNS,
            tables::MIGRATIONS,
            tables::STATEMENTS
        );
        let row = self.first(cx, &sql, &[]).await?.unwrap_or_default();
        let moment = |column| text(&row, column)?.parse::<DateTime<Utc>>().ok();
        Ok((0..4).filter_map(moment).max())
    }

    /// Returns the run that began last, except for the one that others are part of.
    pub(crate) async fn last_run(&mut self, cx: &Cx, except: Option<&str>) -> Result<Option<String>> {
        let sql = format!(
            "SELECT id FROM {} WHERE id <> ? ORDER BY started_at DESC, id DESC LIMIT 1",
            tables::RUNS
        );
        let row = self.first(cx, &sql, &[except.unwrap_or_default().into()]).await?;
        Ok(row.and_then(|row| text(&row, 0)))
    }

    /// Returns the newest runs first.
    pub(crate) async fn runs(&mut self, cx: &Cx, limit: Option<usize>) -> Result<Vec<RunRecord>> {
        let limit = limit.map(|limit| format!(" LIMIT {limit}")).unwrap_or_default();
        let sql = format!(
            "SELECT {COLUMNS} FROM {} ORDER BY started_at DESC, id DESC{limit}",
            tables::RUNS
        );
        self.records(cx, &sql, &[]).await
    }

    /// Returns all runs, the newest first; none where somebody has removed their table.
    pub(crate) async fn runs_if_any(&mut self, cx: &Cx) -> Result<Vec<RunRecord>> {
        let table = walkback_core::TableName {
            schema: self.home.map(str::to_owned),
            name: tables::RUNS.to_owned(),
        };
        match self.session.has_table(cx, &table).await? {
            true => self.runs(cx, None).await,
            false => Ok(Vec::new()),
        }
    }

    /// Returns the runs that never ended, oldest first.
    pub(crate) async fn unfinished_runs(&mut self, cx: &Cx) -> Result<Vec<RunRecord>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM {} WHERE status = ? ORDER BY started_at, id",
            tables::RUNS
        );
        self.records(cx, &sql, &[RunStatus::Running.word().into()]).await
    }

    async fn records(&mut self, cx: &Cx, sql: &str, params: &[Value]) -> Result<Vec<RunRecord>> {
        let rows = self.all(cx, sql, params).await?;
        let record = |row: &Vec<Value>| {
            Ok(RunRecord {
                id: required(row, 0)?,
                kind: required(row, 1)?,
                status: RunStatus::from_word(&required(row, 2)?).unwrap_or(RunStatus::Failed),
                environment: required(row, 3)?,
                started_at: required(row, 4)?,
                finished_at: text(row, 5),
                actor: required(row, 6)?,
                from: text(row, 7).unwrap_or_default(),
                to: text(row, 8).unwrap_or_default(),
                ticket: text(row, 9),
                reason: text(row, 10),
                detail: text(row, 11),
                hooks: Vec::new(),
            })
        };
        rows.iter().map(record).collect()
    }
}
