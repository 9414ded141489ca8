//! What rollbacks took away and the next up of the same migration puts back.

use walkback_core::{Cx, Error, MigrationId, Result, TableName};

use walkback_core::value::Row;

use super::{Journal, required, tables, text};
use crate::changes::PutAside;

/// What the rollback of one migration took away, as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RescueRow {
    /// The run that walked the migration back.
    pub(crate) run_id: String,
    pub(crate) migration: MigrationId,
    /// The point with the tables as the migration had left them, if there is one.
    pub(crate) changes: Option<String>,
    pub(crate) tables: Vec<PutAside>,
    pub(crate) noted_at: String,
}

impl RescueRow {
    /// Returns whether a point is read when it is put back.
    pub(crate) fn needs(&self, point: &str) -> bool {
        self.changes.as_deref() == Some(point)
            || self
                .tables
                .iter()
                .any(|aside| aside.point == point || aside.left.as_deref() == Some(point))
    }
}

impl Journal<'_> {
    pub(crate) async fn note_rescue(&mut self, cx: &Cx, rescue: &RescueRow) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} ({COLUMNS}) VALUES (?, ?, ?, ?, ?)",
            tables::RESCUES
        );
        let json = serde_json::to_string(&rescue.tables).map_err(|error| {
            Error::internal("what is put aside cannot be written as JSON").with_source(error)
        })?;
        let params = [
            rescue.run_id.clone().into(),
            rescue.migration.as_str().into(),
            rescue.changes.clone().into(),
            json.into(),
            rescue.noted_at.clone().into(),
        ];
        self.write(cx, &sql, &params).await
    }

    /// Forgets what one rollback took away: it is back.
    pub(crate) async fn forget_rescue(&mut self, cx: &Cx, run: &str, migration: &MigrationId) -> Result<()> {
        let sql = format!(
            "DELETE FROM {} WHERE run_id = ? AND migration = ?",
            tables::RESCUES
        );
        let params = [run.into(), migration.as_str().into()];
        self.write(cx, &sql, &params).await
    }

    /// Notes that what rollbacks of a migration took away waits no more: a run has brought the migration back with all of it.
    pub(crate) async fn return_rescues_of(
        &mut self,
        cx: &Cx,
        migration: &MigrationId,
        run: &str,
    ) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} (returned_by, {COLUMNS}) SELECT ?, {COLUMNS} FROM {} WHERE migration = ?",
            tables::RETURNED,
            tables::RESCUES
        );
        let params = [run.into(), migration.as_str().into()];
        self.write(cx, &sql, &params).await?;
        let sql = format!("DELETE FROM {} WHERE migration = ?", tables::RESCUES);
        self.write(cx, &sql, &[migration.as_str().into()]).await
    }

    /// Returns what had waited when a run brought its migrations back.
    pub(crate) async fn returned_by(&mut self, cx: &Cx, run: &str) -> Result<Vec<RescueRow>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM {} WHERE returned_by = ? ORDER BY noted_at, run_id, migration",
            tables::RETURNED
        );
        let rows = self.all(cx, &sql, &[run.into()]).await?;
        rows.iter().map(rescue).collect()
    }

    /// Forgets what had waited for a migration that goes again: what is taken away then is noted anew.
    pub(crate) async fn forget_returned_of(&mut self, cx: &Cx, migration: &MigrationId) -> Result<()> {
        let sql = format!("DELETE FROM {} WHERE migration = ?", tables::RETURNED);
        self.write(cx, &sql, &[migration.as_str().into()]).await
    }

    /// Returns what waits, oldest first. A journal of an earlier version has nothing.
    pub(crate) async fn rescues(&mut self, cx: &Cx) -> Result<Vec<RescueRow>> {
        let table = TableName::new(tables::RESCUES);
        if !self.session.has_table(cx, &table).await? {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM {} ORDER BY noted_at, run_id, migration",
            tables::RESCUES
        );
        let rows = self.all(cx, &sql, &[]).await?;
        rows.iter().map(rescue).collect()
    }
}

/// The columns that [`rescue`] reads.
const COLUMNS: &str = "run_id, migration, changes, tables, noted_at";

fn rescue(row: &Row) -> Result<RescueRow> {
    let tables = serde_json::from_str(&required(row, 3)?)
        .map_err(|error| Error::internal("the journal's rescues cannot be read").with_source(error))?;
    Ok(RescueRow {
        run_id: required(row, 0)?,
        migration: MigrationId::new(required(row, 1)?),
        changes: text(row, 2),
        tables,
        noted_at: required(row, 4)?,
    })
}
