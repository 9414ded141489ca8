//! Applied migrations as they were when they were applied: the way back, from the database itself.

use std::collections::BTreeMap;

use walkback_core::value::Value;
use walkback_core::{Cx, Error, ErrorKind, MigrationId, Result, TableName};

use super::{Journal, required, tables, text};
use crate::delta::SchemaDelta;
use crate::plan::Verdict;

/// What the journal keeps of an applied migration, so that a checkout which has never seen it can walk it back.
#[derive(Debug, Clone)]
pub(crate) struct StoredMigration {
    pub(crate) id: MigrationId,
    pub(crate) slug: String,
    pub(crate) parents: Vec<MigrationId>,
    pub(crate) up_hash: String,
    /// The author's down, if there is one.
    pub(crate) down_sql: Option<String>,
    pub(crate) down_hash: Option<String>,
    pub(crate) down_transaction: bool,
    /// The down that was derived statement by statement while the migration was applied.
    pub(crate) derived_sql: Option<Vec<String>>,
    /// What the derived down cannot bring back.
    pub(crate) derived_loses: Vec<String>,
    pub(crate) verdict: Verdict,
    pub(crate) delta: SchemaDelta,
    /// Tables whose rows or columns it changed; `None` if that could not be read.
    pub(crate) touched: Option<Vec<TableName>>,
    pub(crate) point: Option<String>,
    /// The point with the tables as it left them, if it changed rows.
    pub(crate) changes: Option<String>,
    pub(crate) run_id: String,
    pub(crate) stored_at: String,
}

const COLUMNS: &str = "id, slug, parents, up_hash, down_sql, down_hash, down_transaction, derived_sql, derived_loses, \
                       verdict, delta, touched, point, run_id, stored_at";

impl StoredMigration {
    pub(crate) fn name(&self) -> String {
        if self.slug.is_empty() {
            self.id.0.clone()
        } else {
            format!("{}_{}", self.id, self.slug)
        }
    }

    /// Returns the stored down after checking it against its hash.
    ///
    /// # Errors
    /// `Damaged` if somebody has edited it in the database.
    pub(crate) fn checked_down(&self) -> Result<Option<&str>> {
        let (Some(sql), Some(hash)) = (&self.down_sql, &self.down_hash) else {
            return Ok(None);
        };
        if script_hash(sql) == *hash {
            return Ok(Some(sql));
        }
        Err(Error::new(
            ErrorKind::Damaged,
            format!(
                "the stored down of migration `{}` does not match its hash",
                self.name()
            ),
        )
        .hint("check out the release that has the migration's files, or run `walkback rollback --type full`"))
    }
}

/// Returns the hash of a script; the same for both kinds of line ends.
pub(crate) fn script_hash(sql: &str) -> String {
    blake3::hash(sql.replace("\r\n", "\n").as_bytes())
        .to_hex()
        .to_string()
}

impl Journal<'_> {
    pub(crate) async fn store_migration(&mut self, cx: &Cx, stored: &StoredMigration) -> Result<()> {
        self.forget_migration(cx, &stored.id).await?;
        let sql = format!(
            "INSERT INTO {} ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            tables::MIGRATIONS
        );
        let params: [Value; 15] = [
            stored.id.0.clone().into(),
            stored.slug.clone().into(),
            json(&stored.parents)?.into(),
            stored.up_hash.clone().into(),
            stored.down_sql.clone().into(),
            stored.down_hash.clone().into(),
            i64::from(stored.down_transaction).into(),
            stored.derived_sql.as_ref().map(json).transpose()?.into(),
            json(&stored.derived_loses)?.into(),
            json(&stored.verdict)?.into(),
            json(&stored.delta)?.into(),
            stored.touched.as_ref().map(json).transpose()?.into(),
            stored.point.clone().into(),
            stored.run_id.clone().into(),
            stored.stored_at.clone().into(),
        ];
        self.write(cx, &sql, &params).await?;
        self.note_changes(cx, &stored.id, stored.changes.as_deref()).await
    }

    pub(crate) async fn forget_migration(&mut self, cx: &Cx, id: &MigrationId) -> Result<()> {
        let sql = format!("DELETE FROM {} WHERE id = ?", tables::MIGRATIONS);
        self.write(cx, &sql, &[id.as_str().into()]).await
    }

    pub(crate) async fn stored_migrations(
        &mut self,
        cx: &Cx,
    ) -> Result<BTreeMap<MigrationId, StoredMigration>> {
        let sql = format!("SELECT {COLUMNS} FROM {}", tables::MIGRATIONS);
        let rows = self.all(cx, &sql, &[]).await?;
        let mut changes = self.changes(cx).await?;
        rows.iter()
            .map(|row| {
                let mut stored = stored(row)?;
                stored.changes = changes.remove(&stored.id);
                Ok((stored.id.clone(), stored))
            })
            .collect()
    }
}

fn stored(row: &Vec<Value>) -> Result<StoredMigration> {
    Ok(StoredMigration {
        id: MigrationId::new(required(row, 0)?),
        slug: text(row, 1).unwrap_or_default(),
        parents: parsed(row, 2)?,
        up_hash: required(row, 3)?,
        down_sql: text(row, 4),
        down_hash: text(row, 5),
        down_transaction: row[6].as_i64() != Some(0),
        derived_sql: if row[7].is_null() {
            None
        } else {
            Some(parsed(row, 7)?)
        },
        derived_loses: parsed(row, 8)?,
        verdict: parsed(row, 9)?,
        delta: parsed(row, 10)?,
        touched: if row[11].is_null() {
            None
        } else {
            Some(parsed(row, 11)?)
        },
        point: text(row, 12),
        changes: None,
        run_id: required(row, 13)?,
        stored_at: required(row, 14)?,
    })
}

fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::internal("cannot write JSON").with_source(error))
}

fn parsed<T: serde::de::DeserializeOwned>(row: &Vec<Value>, column: usize) -> Result<T> {
    serde_json::from_str(&required(row, column)?).map_err(|error| {
        Error::new(
            ErrorKind::Damaged,
            format!("a row of `{}` cannot be read", tables::MIGRATIONS),
        )
        .with_source(error)
    })
}
