//! Proof of a backup: it is restored into a scratch database, and what is there then is compared with what it says
//! that it holds.

use std::sync::Arc;

use serde::Serialize;
use walkback_core::engine::ScratchDatabase;
use walkback_core::{Access, Cx, Error, ErrorKind, MigrationId, Result, TableName};
use walkback_vault::Manifest;

use crate::execute::Execution;
use crate::plan::RunKind;
use crate::point;
use crate::restore::Exchange;
use crate::runner::Runner;
use crate::settings::{Consent, Policy, Settings};

/// What became of restoring a backup into a scratch database.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RestoreReport {
    /// The backup.
    pub id: String,
    /// Tables that were restored and compared.
    pub tables: u64,
    /// Rows in them.
    pub rows: u64,
    /// What is not as the backup says, in words; empty: it is all there.
    pub differences: Vec<String>,
}

impl RestoreReport {
    /// Returns the report if nothing differs.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] with what differs.
    pub fn into_result(self) -> Result<Self> {
        if self.differences.is_empty() {
            return Ok(self);
        }
        let shown: Vec<_> = self.differences.iter().take(5).map(String::as_str).collect();
        Err(Error::new(
            ErrorKind::Damaged,
            format!(
                "`{}` was restored into a scratch database and is not what it says it holds: {}",
                self.id,
                shown.join("; ")
            ),
        ))
    }
}

/// What is restored of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Contents {
    /// The database of the applications.
    Database,
    /// And the ledger, which says what is applied.
    WithLedger,
}

/// A runner on a scratch database into which a point was restored. It goes with the database.
pub(crate) struct Restored {
    pub(crate) runner: Runner,
    pub(crate) manifest: Manifest,
    // Dropped after the runner.
    pub(crate) database: Box<dyn ScratchDatabase>,
}

impl Runner {
    /// Restores a point into a scratch database, which is dropped afterwards, and compares schema and rows with
    /// what the manifest says. The database itself is not touched.
    ///
    /// # Errors
    /// `Damaged` if it cannot be restored, `Unsupported` if it holds some of its tables only or the engine has no
    /// scratch databases.
    pub async fn point_verify_restore(&self, cx: &Cx, id: &str) -> Result<RestoreReport> {
        let Restored { runner, manifest, .. } = &self.restored_in_scratch(cx, id).await?;
        let mut session = runner.connect(cx, Access::Read).await?;
        let schema = runner.schema(cx, &mut *session).await?;
        let mut report = RestoreReport {
            id: manifest.id.clone(),
            tables: manifest.totals.tables,
            rows: manifest.totals.rows,
            differences: manifest
                .schema
                .differences(&schema)
                .iter()
                .map(ToString::to_string)
                .collect(),
        };
        for entry in &manifest.tables {
            let Some(table) = schema.table(&entry.table) else {
                continue;
            };
            let print = session.fingerprint(cx, &point::kept(table)).await?;
            if entry
                .fingerprint
                .as_ref()
                .is_some_and(|expected| *expected != print)
            {
                report
                    .differences
                    .push(format!("table `{}`: its rows are others", entry.table));
            }
        }
        Ok(report)
    }

    /// Returns whether a point holds the rows of every table, so that it can be restored on its own.
    ///
    /// # Errors
    /// Fails if the manifest cannot be read.
    pub async fn point_is_whole(&self, cx: &Cx, id: &str) -> Result<bool> {
        let manifest = self.needed_vault()?.open(cx, id).await?;
        Ok(table_without_rows(&manifest).is_none())
    }

    /// Restores a point into a scratch database.
    pub(crate) async fn restored_in_scratch(&self, cx: &Cx, id: &str) -> Result<Restored> {
        Box::pin(self.restored(cx, id, Contents::Database)).await
    }

    /// Restores a point into a scratch database, whose ledger says then what was applied.
    pub(crate) async fn restored_with_ledger(&self, cx: &Cx, id: &str) -> Result<Restored> {
        Box::pin(self.restored(cx, id, Contents::WithLedger)).await
    }

    async fn restored(&self, cx: &Cx, id: &str, contents: Contents) -> Result<Restored> {
        let manifest = self.needed_vault()?.open(cx, id).await?;
        if let Some(table) = table_without_rows(&manifest) {
            return Err(Error::unsupported(
                format!(
                    "restoring `{}` on its own: it does not hold the rows of table `{table}`",
                    manifest.id
                ),
                "a point of some tables",
            )
            .hint("a backup of the whole database can be: `walkback backup create`"));
        }
        if manifest.database.dialect != self.dialect().kind() {
            return Err(Error::new(
                ErrorKind::Usage,
                format!(
                    "`{}` is of {}, and this database is {}",
                    manifest.id,
                    manifest.database.product,
                    self.dialect().kind()
                ),
            ));
        }
        let scratch = self
            .engine()
            .scratch()
            .ok_or_else(|| Error::unsupported("a scratch database", self.engine().info().scheme))?;
        let database = scratch.create(cx).await?;
        let mut settings = Settings::new("scratch", self.settings().actor.clone());
        settings.policy = Policy::default();
        settings.copies_audit = false;
        let vault = self.vault().cloned();
        let runner = Self::new(database.engine(), Arc::clone(self.source()), vault, settings);
        let restored = Restored {
            runner,
            manifest,
            database,
        };
        let Restored { runner, manifest, .. } = &restored;
        let (mut execution, steady) = Box::pin(Execution::begin(
            runner,
            cx,
            RunKind::Restore,
            &Consent::default(),
            &[],
        ))
        .await?;
        let cx = &steady;
        execution.record(cx, &[], &[]).await?;
        let outcome = Box::pin(execution.restore_into_empty(cx, manifest, contents)).await;
        Box::pin(execution.conclude(cx, outcome)).await?;
        Ok(restored)
    }
}

fn table_without_rows(manifest: &Manifest) -> Option<&TableName> {
    let mut names = manifest.schema.tables.iter().map(|table| &table.name);
    names.find(|name| manifest.table(name).is_none())
}

impl Execution<'_> {
    /// Brings a point back where nothing is: there is nothing to keep first.
    async fn restore_into_empty(&mut self, cx: &Cx, manifest: &Manifest, contents: Contents) -> Result<()> {
        self.begin_exchange(cx, "*", &manifest.id).await?;
        let outcome = async {
            let now = self.runner.schema(cx, &mut *self.session).await?;
            let exchange = Exchange::restoring(None, manifest, &now)?;
            self.exchange(cx, manifest, &exchange).await?;
            self.record_exchange(cx).await?;
            if contents == Contents::WithLedger {
                let applied: Vec<_> = manifest.ledger.applied.iter().map(MigrationId::new).collect();
                self.set_ledger(cx, &applied).await?;
            }
            Ok(())
        }
        .await;
        self.end_exchange(cx, "*", outcome).await
    }
}
