//! Tables that migrations dropped and that were moved aside instead: where they are, and how long they stay.

use walkback_core::value::Value;
use walkback_core::{Cx, MigrationId, Result, TableName};

use super::{Journal, required, tables, text};

/// A table that was moved aside, as the journal has it. Its row stays when it has gone, to say how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeprecatedRow {
    pub(crate) run_id: String,
    /// Its number among those of the run.
    pub(crate) seq: i64,
    pub(crate) migration: MigrationId,
    /// Where it is now.
    pub(crate) table: TableName,
    /// What it was called.
    pub(crate) original: TableName,
    pub(crate) noted_at: String,
    pub(crate) deadline: String,
    /// What became of it, in words; `None` as long as it is there.
    pub(crate) gone: Option<String>,
}

const COLUMNS: &str =
    "run_id, seq, migration, schema_name, name, original_schema, original, noted_at, deadline, gone";

impl Journal<'_> {
    pub(crate) async fn note_deprecated(&mut self, cx: &Cx, row: &DeprecatedRow) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            tables::DEPRECATED
        );
        let params: [Value; 10] = [
            row.run_id.clone().into(),
            row.seq.into(),
            row.migration.as_str().into(),
            row.table.schema.clone().into(),
            row.table.name.clone().into(),
            row.original.schema.clone().into(),
            row.original.name.clone().into(),
            row.noted_at.clone().into(),
            row.deadline.clone().into(),
            row.gone.clone().into(),
        ];
        self.write(cx, &sql, &params).await
    }

    /// Notes that it is no longer there, and why.
    pub(crate) async fn deprecated_is_gone(&mut self, cx: &Cx, row: &DeprecatedRow, how: &str) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET gone = ? WHERE run_id = ? AND seq = ?",
            tables::DEPRECATED
        );
        let params = [how.into(), row.run_id.clone().into(), row.seq.into()];
        self.write(cx, &sql, &params).await
    }

    /// Forgets what a migration moved aside in a run: all of it is back, or never went.
    pub(crate) async fn forget_deprecated(&mut self, cx: &Cx, run: &str, migration: &str) -> Result<()> {
        let sql = format!(
            "DELETE FROM {} WHERE run_id = ? AND migration = ?",
            tables::DEPRECATED
        );
        self.write(cx, &sql, &[run.into(), migration.into()]).await
    }

    /// Forgets what earlier runs of a migration moved aside and is gone.
    pub(crate) async fn forget_gone(&mut self, cx: &Cx, migration: &MigrationId) -> Result<()> {
        let sql = format!(
            "DELETE FROM {} WHERE migration = ? AND gone IS NOT NULL",
            tables::DEPRECATED
        );
        self.write(cx, &sql, &[migration.as_str().into()]).await
    }

    /// Returns all of them, oldest first, those that are gone included. A journal of an earlier version has none.
    pub(crate) async fn deprecated(&mut self, cx: &Cx) -> Result<Vec<DeprecatedRow>> {
        let table = TableName {
            schema: self.home.map(str::to_owned),
            name: tables::DEPRECATED.to_owned(),
        };
        if !self.session.has_table(cx, &table).await? {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM {} ORDER BY noted_at, run_id, seq",
            tables::DEPRECATED
        );
        let rows = self.all(cx, &sql, &[]).await?;
        rows.iter().map(read).collect()
    }
}

fn read(row: &Vec<Value>) -> Result<DeprecatedRow> {
    Ok(DeprecatedRow {
        run_id: required(row, 0)?,
        seq: row[1].as_i64().unwrap_or_default(),
        migration: MigrationId::new(required(row, 2)?),
        table: TableName {
            schema: text(row, 3),
            name: required(row, 4)?,
        },
        original: TableName {
            schema: text(row, 5),
            name: required(row, 6)?,
        },
        noted_at: required(row, 7)?,
        deadline: required(row, 8)?,
        gone: text(row, 9),
    })
}
