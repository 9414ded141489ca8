//! What `verify` has seen of the ways back of migrations.

use std::collections::BTreeMap;

use walkback_core::engine::Begin;
use walkback_core::value::Value;
use walkback_core::{Cx, Error, MigrationId, Result, TableName};

use super::{Journal, required, tables, text};
use crate::plan::Verdict;

/// What going up, down and up again has shown of a migration, and of which scripts that holds.
#[derive(Debug, Clone)]
pub(crate) struct VerdictRow {
    pub(crate) migration: MigrationId,
    pub(crate) up_hash: String,
    /// That of the author's down; `None` where there was none.
    pub(crate) down_hash: Option<String>,
    pub(crate) verdict: Verdict,
    pub(crate) passed: bool,
    /// Why it has not passed.
    pub(crate) reason: Option<String>,
    pub(crate) verified_at: String,
}

impl VerdictRow {
    /// Returns whether it is of these scripts.
    pub(crate) fn is_of(&self, up_hash: Option<&str>, down_hash: Option<&str>) -> bool {
        up_hash == Some(&self.up_hash) && down_hash == self.down_hash.as_deref()
    }
}

const COLUMNS: &str = "migration, up_hash, down_hash, verdict, passed, reason, verified_at";

impl Journal<'_> {
    /// Notes what was seen last, all of it or none, in the place of what was seen before.
    pub(crate) async fn note_verdicts(&mut self, cx: &Cx, rows: &[VerdictRow]) -> Result<()> {
        if !self.has_verdicts(cx).await? {
            // The journal is of a version that kept none.
            let table = tables::ALL.iter().find(|table| table.name == tables::VERDICTS);
            let sql = table.map(|table| table.create(self.dialect)).unwrap_or_default();
            self.session.execute(cx, &sql, &[]).await?;
        }
        self.session.begin(cx, Begin::Write).await?;
        let written = self.write_verdicts(cx, rows).await;
        self.end(cx, written).await
    }

    async fn write_verdicts(&mut self, cx: &Cx, rows: &[VerdictRow]) -> Result<()> {
        let forget = format!("DELETE FROM {} WHERE migration = ?", tables::VERDICTS);
        let insert = format!(
            "INSERT INTO {} ({COLUMNS}, tool_version) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            tables::VERDICTS
        );
        for row in rows {
            self.write(cx, &forget, &[row.migration.as_str().into()]).await?;
            let verdict = serde_json::to_string(&row.verdict)
                .map_err(|error| Error::internal("cannot write JSON").with_source(error))?;
            let params: [Value; 8] = [
                row.migration.as_str().into(),
                row.up_hash.clone().into(),
                row.down_hash.clone().into(),
                verdict.into(),
                i64::from(row.passed).into(),
                row.reason.clone().into(),
                row.verified_at.clone().into(),
                env!("CARGO_PKG_VERSION").into(),
            ];
            self.write(cx, &insert, &params).await?;
        }
        Ok(())
    }

    /// Returns what was seen last of each migration. A journal of an earlier version has nothing.
    pub(crate) async fn verdicts(&mut self, cx: &Cx) -> Result<BTreeMap<MigrationId, VerdictRow>> {
        if !self.has_verdicts(cx).await? {
            return Ok(BTreeMap::new());
        }
        let sql = format!("SELECT {COLUMNS} FROM {}", tables::VERDICTS);
        let rows = self.all(cx, &sql, &[]).await?;
        rows.iter()
            .map(|row| read(row).map(|row| (row.migration.clone(), row)))
            .collect()
    }

    async fn has_verdicts(&mut self, cx: &Cx) -> Result<bool> {
        let table = TableName {
            schema: self.home.map(str::to_owned),
            name: tables::VERDICTS.to_owned(),
        };
        self.session.has_table(cx, &table).await
    }
}

fn read(row: &Vec<Value>) -> Result<VerdictRow> {
    let unknown = || Verdict::Unknown {
        why: "the journal does not say it in words of this version".to_owned(),
    };
    Ok(VerdictRow {
        migration: MigrationId::new(required(row, 0)?),
        up_hash: required(row, 1)?,
        down_hash: text(row, 2),
        verdict: serde_json::from_str(&required(row, 3)?).unwrap_or_else(|_| unknown()),
        passed: row[4].as_i64() == Some(1),
        reason: text(row, 5),
        verified_at: required(row, 6)?,
    })
}
