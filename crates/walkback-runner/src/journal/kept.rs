//! What restores replaced: in which tables it is, and how long they stay.

use walkback_core::value::Value;
use walkback_core::{Cx, Result, TableName};

use super::{Journal, required, tables, text};

/// A table that holds what a restore replaced, as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptRow {
    pub(crate) table: TableName,
    pub(crate) replaced: String,
    pub(crate) run_id: String,
    pub(crate) rows: i64,
    pub(crate) kept_at: String,
    pub(crate) deadline: String,
}

impl Journal<'_> {
    pub(crate) async fn note_kept(&mut self, cx: &Cx, kept: &KeptRow) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} (name, schema_name, replaced, run_id, row_count, kept_at, deadline) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
            tables::KEPT
        );
        let params = [
            kept.table.name.clone().into(),
            kept.table.schema.clone().into(),
            kept.replaced.clone().into(),
            kept.run_id.clone().into(),
            kept.rows.into(),
            kept.kept_at.clone().into(),
            kept.deadline.clone().into(),
        ];
        self.write(cx, &sql, &params).await
    }

    /// Notes how many rows are in it, once they are.
    pub(crate) async fn note_kept_rows(&mut self, cx: &Cx, name: &str, rows: i64) -> Result<()> {
        let sql = format!("UPDATE {} SET row_count = ? WHERE name = ?", tables::KEPT);
        self.write(cx, &sql, &[rows.into(), name.into()]).await
    }

    pub(crate) async fn forget_kept(&mut self, cx: &Cx, name: &str) -> Result<()> {
        let sql = format!("DELETE FROM {} WHERE name = ?", tables::KEPT);
        self.write(cx, &sql, &[name.into()]).await
    }

    /// Returns all of them, oldest first. A journal of an earlier version has none.
    pub(crate) async fn kept(&mut self, cx: &Cx) -> Result<Vec<KeptRow>> {
        if !self.session.has_table(cx, &TableName::new(tables::KEPT)).await? {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT name, schema_name, replaced, run_id, row_count, kept_at, deadline FROM {} ORDER BY kept_at, name",
            tables::KEPT
        );
        let rows = self.all(cx, &sql, &[]).await?;
        rows.iter()
            .map(|row| {
                let mut table = TableName::new(required(row, 0)?);
                table.schema = text(row, 1);
                Ok(KeptRow {
                    table,
                    replaced: required(row, 2)?,
                    run_id: required(row, 3)?,
                    rows: row.get(4).and_then(Value::as_i64).unwrap_or_default(),
                    kept_at: required(row, 5)?,
                    deadline: required(row, 6)?,
                })
            })
            .collect()
    }
}
