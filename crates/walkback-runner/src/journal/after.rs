//! Tables as a migration or a rollback left them, to tell what was written since.

use std::collections::BTreeMap;

use walkback_core::fingerprint::TableFingerprint;
use walkback_core::{Cx, Error, MigrationId, Result};

use super::{Journal, required, tables};

/// A table as a migration, or a point, left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableThen {
    /// The columns the fingerprint was taken over, in this order: columns added later do not count.
    pub(crate) columns: Vec<String>,
    pub(crate) print: TableFingerprint,
}

impl Journal<'_> {
    pub(crate) async fn note_after(
        &mut self,
        cx: &Cx,
        migration: &MigrationId,
        table: &str,
        then: &TableThen,
    ) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} (migration, table_name, columns, row_count, hash) VALUES (?, ?, ?, ?, ?)",
            tables::AFTER
        );
        let columns = serde_json::to_string(&then.columns)
            .map_err(|error| Error::internal("names cannot be written as JSON").with_source(error))?;
        let rows = i64::try_from(then.print.rows).unwrap_or(i64::MAX);
        let hash = then.print.hash.clone();
        let params = [
            migration.as_str().into(),
            table.into(),
            columns.into(),
            rows.into(),
            hash.into(),
        ];
        self.write(cx, &sql, &params).await
    }

    /// Notes a table as a rollback left it, by its run. A later step of it may have changed the table again.
    pub(crate) async fn note_left_by(
        &mut self,
        cx: &Cx,
        run: &str,
        table: &str,
        then: &TableThen,
    ) -> Result<()> {
        let sql = format!(
            "DELETE FROM {} WHERE migration = ? AND table_name = ?",
            tables::AFTER
        );
        self.write(cx, &sql, &[run.into(), table.into()]).await?;
        self.note_after(cx, &MigrationId::new(run), table, then).await
    }

    /// Returns the tables as a rollback left them, by name.
    pub(crate) async fn left_by(&mut self, cx: &Cx, run: &str) -> Result<BTreeMap<String, TableThen>> {
        self.after(cx, &MigrationId::new(run)).await
    }

    pub(crate) async fn forget_after(&mut self, cx: &Cx, migration: &MigrationId) -> Result<()> {
        let sql = format!("DELETE FROM {} WHERE migration = ?", tables::AFTER);
        self.write(cx, &sql, &[migration.as_str().into()]).await
    }

    /// Returns the tables as a migration left them, by name.
    pub(crate) async fn after(
        &mut self,
        cx: &Cx,
        migration: &MigrationId,
    ) -> Result<BTreeMap<String, TableThen>> {
        let sql = format!(
            "SELECT table_name, columns, row_count, hash FROM {} WHERE migration = ?",
            tables::AFTER
        );
        let rows = self.all(cx, &sql, &[migration.as_str().into()]).await?;
        rows.iter()
            .map(|row| {
                let columns = serde_json::from_str(&required(row, 1)?).unwrap_or_default();
                let rows = row[2]
                    .as_i64()
                    .and_then(|count| u64::try_from(count).ok())
                    .unwrap_or_default();
                let print = TableFingerprint {
                    rows,
                    hash: required(row, 3)?,
                };
                Ok((required(row, 0)?, TableThen { columns, print }))
            })
            .collect()
    }
}
