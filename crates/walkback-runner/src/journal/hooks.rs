//! Hooks: which commands ran round a run, how they ended, and what they wrote.

use serde::Serialize;
use walkback_core::value::Value;
use walkback_core::{Cx, Result, TableName};

use super::{Journal, required, tables, text};

/// One command that ran round a run, as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HookRecord {
    /// The run.
    #[serde(skip)]
    pub run: String,
    /// Its place among the commands of the run; 0 until it is noted.
    #[serde(skip)]
    pub seq: i64,
    /// The key of the configuration: `before_up`, `health_check`.
    pub hook: String,
    /// What was run.
    pub command: String,
    /// `running`, `done`, `failed`, `timed_out` or `stopped`. What is `running` in a run that was killed was cut off.
    pub outcome: String,
    /// The end of what it wrote.
    pub output: String,
    /// When it began, RFC 3339 in UTC.
    pub began_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
}

impl HookRecord {
    /// What the journal says of a command that has not ended.
    pub const RUNNING: &str = "running";
    /// What the journal says of a command that did what it was to do.
    pub const DONE: &str = "done";

    pub(crate) fn begun(run: &str, hook: &str, command: &str, at: String) -> Self {
        Self {
            run: run.to_owned(),
            seq: 0,
            hook: hook.to_owned(),
            command: command.to_owned(),
            outcome: Self::RUNNING.to_owned(),
            output: String::new(),
            began_at: at,
            ended_at: None,
        }
    }
}

const COLUMNS: &str = "run_id, seq, hook, command, outcome, output, began_at, ended_at";

impl Journal<'_> {
    /// Notes that a command is about to run, and gives it its place.
    pub(crate) async fn begin_hook(&mut self, cx: &Cx, hook: &mut HookRecord) -> Result<()> {
        let sql = format!("SELECT max(seq) FROM {} WHERE run_id = ?", tables::HOOKS);
        let last = self.first(cx, &sql, &[hook.run.clone().into()]).await?;
        let last = last.and_then(|row| row.first().and_then(Value::as_i64));
        let seq = last.unwrap_or_default() + 1;
        let sql = format!(
            "INSERT INTO {} ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            tables::HOOKS
        );
        let params = [
            hook.run.clone().into(),
            seq.into(),
            hook.hook.clone().into(),
            hook.command.clone().into(),
            hook.outcome.clone().into(),
            hook.output.clone().into(),
            hook.began_at.clone().into(),
            hook.ended_at.clone().into(),
        ];
        self.write(cx, &sql, &params).await?;
        hook.seq = seq;
        Ok(())
    }

    /// Notes how a command ended.
    pub(crate) async fn end_hook(&mut self, cx: &Cx, hook: &HookRecord) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET outcome = ?, output = ?, ended_at = ? WHERE run_id = ? AND seq = ?",
            tables::HOOKS
        );
        let params = [
            hook.outcome.clone().into(),
            hook.output.clone().into(),
            hook.ended_at.clone().into(),
            hook.run.clone().into(),
            hook.seq.into(),
        ];
        self.write(cx, &sql, &params).await
    }

    /// Returns the commands of a run in the order in which they ran. A journal of an earlier version has none.
    pub(crate) async fn hooks_of(&mut self, cx: &Cx, run: &str) -> Result<Vec<HookRecord>> {
        let mut table = TableName::new(tables::HOOKS);
        table.schema = self.home.map(str::to_owned);
        if !self.session.has_table(cx, &table).await? {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM {} WHERE run_id = ? ORDER BY seq",
            tables::HOOKS
        );
        let rows = self.all(cx, &sql, &[run.into()]).await?;
        let record = |row: &Vec<Value>| {
            Ok(HookRecord {
                run: required(row, 0)?,
                seq: row.get(1).and_then(Value::as_i64).unwrap_or_default(),
                hook: required(row, 2)?,
                command: required(row, 3)?,
                outcome: required(row, 4)?,
                output: text(row, 5).unwrap_or_default(),
                began_at: required(row, 6)?,
                ended_at: text(row, 7),
            })
        };
        rows.iter().map(record).collect()
    }
}
