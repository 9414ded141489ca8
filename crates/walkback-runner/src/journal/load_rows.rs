//! The rows that a load inserted: what takes them back, and nothing else.

use walkback_core::value::Value;
use walkback_core::{Cx, Result};

use super::loads::number;
use super::{Journal, required, tables};

/// How many rows are noted by one statement.
const AT_ONCE: usize = 500;

/// A row that a load inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoadedRow {
    /// Its key, as JSON.
    pub(crate) key: String,
    /// The hash of all of it, as it was right after it was inserted.
    pub(crate) hash: String,
}

impl Journal<'_> {
    pub(crate) async fn note_load_rows(
        &mut self,
        cx: &Cx,
        run: &str,
        batch: u64,
        rows: &[LoadedRow],
    ) -> Result<()> {
        for (part, rows) in rows.chunks(AT_ONCE).enumerate() {
            let places = vec!["(?, ?, ?, ?, ?)"; rows.len()].join(", ");
            let sql = format!(
                "INSERT INTO {} (run_id, batch, item, row_key, row_hash) VALUES {places}",
                tables::LOAD_ROWS
            );
            let mut params: Vec<Value> = Vec::with_capacity(rows.len() * 5);
            for (index, row) in rows.iter().enumerate() {
                let item = (part * AT_ONCE + index) as u64;
                params.extend([
                    run.into(),
                    number(batch),
                    number(item),
                    row.key.clone().into(),
                    row.hash.clone().into(),
                ]);
            }
            self.write(cx, &sql, &params).await?;
        }
        Ok(())
    }

    /// Returns the rows of one batch of a load, in their order.
    pub(crate) async fn load_rows(&mut self, cx: &Cx, run: &str, batch: u64) -> Result<Vec<LoadedRow>> {
        let sql = format!(
            "SELECT row_key, row_hash FROM {} WHERE run_id = ? AND batch = ? ORDER BY item",
            tables::LOAD_ROWS
        );
        let rows = self.all(cx, &sql, &[run.into(), number(batch)]).await?;
        rows.iter()
            .map(|row| {
                Ok(LoadedRow {
                    key: required(row, 0)?,
                    hash: required(row, 1)?,
                })
            })
            .collect()
    }

    /// Forgets the rows of one batch of a load: they were taken back.
    pub(crate) async fn forget_load_batch(&mut self, cx: &Cx, run: &str, batch: u64) -> Result<()> {
        let sql = format!("DELETE FROM {} WHERE run_id = ? AND batch = ?", tables::LOAD_ROWS);
        self.write(cx, &sql, &[run.into(), number(batch)]).await
    }

    /// Forgets the rows of a load: they were taken back.
    pub(crate) async fn forget_load_rows(&mut self, cx: &Cx, run: &str) -> Result<()> {
        let sql = format!("DELETE FROM {} WHERE run_id = ?", tables::LOAD_ROWS);
        self.write(cx, &sql, &[run.into()]).await
    }
}
