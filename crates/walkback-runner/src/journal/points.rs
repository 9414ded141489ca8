//! Points: which there are, and the hash each manifest must have.

use std::collections::BTreeSet;

use walkback_core::{Cx, Result};

use super::{Journal, required, tables, text};

/// A rollback point, as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PointRow {
    pub(crate) id: String,
    pub(crate) run_id: Option<String>,
    pub(crate) kind: String,
    pub(crate) created_at: String,
    pub(crate) store: String,
    pub(crate) manifest_hash: String,
}

impl Journal<'_> {
    pub(crate) async fn note_point(&mut self, cx: &Cx, point: &PointRow) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} (id, run_id, kind, created_at, store, manifest_hash) VALUES (?, ?, ?, ?, ?, ?)",
            tables::POINTS
        );
        let params = [
            point.id.clone().into(),
            point.run_id.clone().into(),
            point.kind.clone().into(),
            point.created_at.clone().into(),
            point.store.clone().into(),
            point.manifest_hash.clone().into(),
        ];
        self.write(cx, &sql, &params).await
    }

    /// Returns the points of a run, oldest first.
    pub(crate) async fn points_of(&mut self, cx: &Cx, run: &str) -> Result<Vec<PointRow>> {
        let sql = format!(
            "SELECT id, run_id, kind, created_at, store, manifest_hash FROM {} WHERE run_id = ? \
             ORDER BY created_at, id",
            tables::POINTS
        );
        let rows = self.all(cx, &sql, &[run.into()]).await?;
        rows.iter()
            .map(|row| {
                Ok(PointRow {
                    id: required(row, 0)?,
                    run_id: text(row, 1),
                    kind: required(row, 2)?,
                    created_at: required(row, 3)?,
                    store: required(row, 4)?,
                    manifest_hash: required(row, 5)?,
                })
            })
            .collect()
    }

    /// Returns the run that made a safety point, if one did.
    pub(crate) async fn run_of_safety_point(&mut self, cx: &Cx, point: &str) -> Result<Option<String>> {
        let sql = format!("SELECT run_id FROM {} WHERE id = ? AND kind = ?", tables::POINTS);
        let row = self.first(cx, &sql, &[point.into(), "safety".into()]).await?;
        Ok(row.and_then(|row| text(&row, 0)))
    }

    /// Returns the ids of all points that runs have noted.
    pub(crate) async fn point_ids(&mut self, cx: &Cx) -> Result<BTreeSet<String>> {
        let sql = format!("SELECT id FROM {}", tables::POINTS);
        let rows = self.all(cx, &sql, &[]).await?;
        rows.iter().map(|row| required(row, 0)).collect()
    }

    /// Returns the hash that the manifest of a point must have, if the journal knows the point.
    pub(crate) async fn manifest_hash(&mut self, cx: &Cx, id: &str) -> Result<Option<String>> {
        let sql = format!("SELECT manifest_hash FROM {} WHERE id = ?", tables::POINTS);
        Ok(self
            .first(cx, &sql, &[id.into()])
            .await?
            .and_then(|row| text(&row, 0)))
    }
}
