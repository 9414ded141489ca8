//! In which points the tables are as migrations left them.

use std::collections::BTreeMap;

use walkback_core::{Cx, MigrationId, Result, TableName};

use super::{Journal, required, tables};

impl Journal<'_> {
    /// Notes the point with the tables as a migration left them, or that there is none.
    pub(crate) async fn note_changes(
        &mut self,
        cx: &Cx,
        migration: &MigrationId,
        point: Option<&str>,
    ) -> Result<()> {
        let forget = format!("DELETE FROM {} WHERE migration = ?", tables::CHANGES);
        self.write(cx, &forget, &[migration.as_str().into()]).await?;
        let Some(point) = point else { return Ok(()) };
        let insert = format!("INSERT INTO {} (migration, point) VALUES (?, ?)", tables::CHANGES);
        let params = [migration.as_str().into(), point.into()];
        self.write(cx, &insert, &params).await
    }

    /// Returns these points by migration. A journal of an earlier version has none.
    pub(crate) async fn changes(&mut self, cx: &Cx) -> Result<BTreeMap<MigrationId, String>> {
        if !self
            .session
            .has_table(cx, &TableName::new(tables::CHANGES))
            .await?
        {
            return Ok(BTreeMap::new());
        }
        let sql = format!("SELECT migration, point FROM {}", tables::CHANGES);
        let rows = self.all(cx, &sql, &[]).await?;
        rows.iter()
            .map(|row| Ok((MigrationId::new(required(row, 0)?), required(row, 1)?)))
            .collect()
    }
}
