//! Tables as a migration left them, to tell what was written since.

use std::collections::BTreeMap;

use walkback_core::fingerprint::TableFingerprint;
use walkback_core::{Cx, MigrationId, Result};

use super::{Journal, required, tables};

impl Journal<'_> {
    pub(crate) async fn note_after(
        &mut self,
        cx: &Cx,
        migration: &MigrationId,
        table: &str,
        print: &TableFingerprint,
    ) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} (migration, table_name, row_count, hash) VALUES (?, ?, ?, ?)",
            tables::AFTER
        );
        let rows = i64::try_from(print.rows).unwrap_or(i64::MAX);
        self.write(
            cx,
            &sql,
            &[
                migration.as_str().into(),
                table.into(),
                rows.into(),
                print.hash.clone().into(),
            ],
        )
        .await
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
    ) -> Result<BTreeMap<String, TableFingerprint>> {
        let sql = format!(
            "SELECT table_name, row_count, hash FROM {} WHERE migration = ?",
            tables::AFTER
        );
        let rows = self.all(cx, &sql, &[migration.as_str().into()]).await?;
        rows.iter()
            .map(|row| {
                let count = row[1]
                    .as_i64()
                    .and_then(|count| u64::try_from(count).ok())
                    .unwrap_or_default();
                Ok((
                    required(row, 0)?,
                    TableFingerprint {
                        rows: count,
                        hash: required(row, 2)?,
                    },
                ))
            })
            .collect()
    }
}
