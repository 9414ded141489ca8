//! Going back to a point or a backup as a whole: what is exchanged, and what that takes away.

use std::collections::{BTreeMap, BTreeSet};

use walkback_core::{Error, ErrorKind, MigrationId, Result, TableName};
use walkback_vault::{Manifest, TableEntry};

use super::plan::Planning;
use super::{RollbackKind, RollbackPlan, RollbackStep};
use crate::changes::made_since;
use crate::delta::SchemaDelta;
use crate::identity;
use crate::journal::{Journal, StoredMigration, TableThen};
use crate::restore::{Exchange, RestorePlan, check_manifest, refuse_changes};

impl Planning<'_> {
    /// Plans to bring back everything as it was at a point.
    pub(super) async fn back_to_point(&mut self, id: &str, why: &str) -> Result<RollbackPlan> {
        let manifest = self.manifest(id).await?;
        let delta = SchemaDelta::between(&manifest.schema, &self.schema);
        let exchange = Exchange::undoing(&delta, None, &manifest, &self.schema)?;
        self.whole(&manifest, &exchange, RollbackKind::Full, why).await
    }

    /// Plans to bring back everything as it was before a rollback, from its safety point. What differs from the tables as
    /// that rollback left them was written since.
    pub(super) async fn back_to_safety_point(
        &mut self,
        id: &str,
        run: &str,
        why: &str,
    ) -> Result<RollbackPlan> {
        let manifest = self.manifest(id).await?;
        let delta = SchemaDelta::between(&manifest.schema, &self.schema);
        let exchange = Exchange::undoing(&delta, None, &manifest, &self.schema)?;
        let mut then = held(&manifest);
        let dialect = self.runner.dialect();
        let left = Journal::new(self.session, &*dialect)
            .left_by(self.cx, run)
            .await?;
        then.extend(left);
        self.whole_since(&manifest, &exchange, RollbackKind::Full, (why, then))
            .await
    }

    /// Refuses to restore tables that a later migration, which stays applied, has changed too: its work would
    /// be gone, and the ledger would still say that it is there.
    pub(super) fn refuse_to_undo_others(&self, step: &RollbackStep, undone: &[MigrationId]) -> Result<()> {
        let (Some(restore), Some(stored)) = (&step.restore, self.state.stored.get(&step.id)) else {
            return Ok(());
        };
        let mut later = self
            .state
            .stored
            .values()
            .filter(|other| other.stored_at > stored.stored_at && !undone.contains(&other.id));
        let tables: Vec<&TableName> = restore.replace.iter().map(|(table, _)| table).collect();
        let shared = |other: &StoredMigration| {
            let mut touched = other.touched.iter().flatten().chain(other.delta.altered_tables());
            let is_replaced = |name: &&TableName| {
                tables
                    .iter()
                    .any(|table| table.name.eq_ignore_ascii_case(&name.name))
            };
            touched.find(is_replaced).cloned()
        };
        let Some((other, table)) = later.find_map(|other| shared(other).map(|table| (other, table))) else {
            return Ok(());
        };
        Err(Error::new(
            ErrorKind::Refused,
            format!(
                "restoring `{table}` as it was before `{}` would also undo `{}`, which stays applied",
                step.name,
                other.name()
            ),
        )
        .hint(format!(
            "walk back `{}` first, or both at once with `--to`",
            other.name()
        ))
        .hint(format!(
            "`walkback rollback --type down` runs the down script of `{}`, if it has one",
            step.name
        )))
    }

    /// Refuses to go back to a point that does not hold what migrations have changed since: the ledger would
    /// say that they are walked back, and what they wrote would still be there.
    pub(super) async fn refuse_unheld(&mut self, id: &str) -> Result<()> {
        let manifest = self.manifest(id).await?;
        refuse_changes(&manifest)?;
        let dialect = self.runner.dialect();
        let mut journal = Journal::new(self.session, &*dialect);
        let stored = if journal.exists(self.cx).await? {
            journal.stored_migrations(self.cx).await?
        } else {
            BTreeMap::new()
        };
        let then: BTreeSet<_> = manifest.ledger.applied.iter().map(MigrationId::new).collect();
        let now = self.state.applied_set();
        let made = identity::moment(manifest.created_at);
        let again = |id: &&MigrationId| stored.get(*id).is_some_and(|stored| stored.stored_at > made);
        let since = then
            .symmetric_difference(&now)
            .chain(then.intersection(&now).filter(again));
        for migration in since {
            let Some(table) = unheld(&manifest, stored.get(migration)) else {
                continue;
            };
            let name = self.state.named(migration).name;
            return Err(Error::new(
                ErrorKind::Refused,
                format!(
                    "the point `{}` does not hold table `{table}`, which migration `{name}` has changed since",
                    manifest.id
                ),
            )
            .hint(format!("`walkback rollback --to {}` walks back one migration after the other", target_of(&manifest)))
            .hint("`walkback rollback --backup-file <BACKUP>` restores a whole backup; `walkback backup list` shows them"));
        }
        Ok(())
    }

    pub(super) async fn back_to_backup(&mut self, id: &str) -> Result<RollbackPlan> {
        let manifest = self.manifest(id).await?;
        let exchange = Exchange::restoring(None, &manifest, &self.schema)?;
        self.whole(&manifest, &exchange, RollbackKind::Backup, "it was asked for")
            .await
    }

    pub(super) async fn whole(
        &mut self,
        manifest: &Manifest,
        exchange: &Exchange,
        kind: RollbackKind,
        why: &str,
    ) -> Result<RollbackPlan> {
        let then = self.held_or_left(manifest).await?;
        self.whole_since(manifest, exchange, kind, (why, then)).await
    }

    async fn whole_since(
        &mut self,
        manifest: &Manifest,
        exchange: &Exchange,
        kind: RollbackKind,
        (why, then): (&str, BTreeMap<String, TableThen>),
    ) -> Result<RollbackPlan> {
        let mut restore = self.restore_plan(manifest, exchange, then).await?;
        restore.applied_after = manifest.ledger.applied.iter().map(MigrationId::new).collect();
        let after = restore.applied_after.iter().cloned().collect();
        Ok(RollbackPlan {
            restore: Some(restore),
            ..RollbackPlan::to(self.state, &after, kind, why.to_owned())
        })
    }

    /// Returns the tables as a point holds them. Where it was made before the newest migration and goes back behind no other,
    /// those that the migration changed are as it left them: its own work is not what is lost.
    async fn held_or_left(&mut self, manifest: &Manifest) -> Result<BTreeMap<String, TableThen>> {
        let mut then = held(manifest);
        let mut since = self.state.applied_set();
        let is_older = manifest
            .ledger
            .applied
            .iter()
            .all(|id| since.remove(&MigrationId::new(id)));
        let newest = since.first().and_then(|id| self.state.stored.get(id));
        let is_its_own = newest.is_some_and(|stored| stored.point.as_deref() == Some(manifest.id.as_str()));
        if let Some(stored) = newest.filter(|_| is_older && is_its_own && since.len() == 1) {
            then.extend(self.after(&stored.id).await?);
        }
        Ok(then)
    }

    /// Describes an exchange, with what it takes away: what was written since its tables were as in `after`.
    pub(super) async fn restore_plan(
        &mut self,
        manifest: &Manifest,
        exchange: &Exchange,
        after: BTreeMap<String, TableThen>,
    ) -> Result<RestorePlan> {
        let replaced = exchange.replace.iter().map(|entry| &entry.table);
        let mut loss = Vec::new();
        for table in replaced.chain(&exchange.drop_tables) {
            loss.extend(self.loss_of(table, after.get(&table.to_string())).await?);
        }
        for (part, going) in made_since(exchange, &manifest.schema, &self.schema) {
            for column in &going {
                loss.extend(self.loss_of_column((&part, column), (&part, column)).await?);
            }
        }
        exchange
            .replace
            .iter()
            .for_each(|entry| self.losses.expect(entry));
        let (create_objects, drop_objects) = exchange.changed_objects();
        Ok(RestorePlan {
            point: manifest.id.clone(),
            created_at: identity::moment(manifest.created_at),
            replace: exchange
                .replace
                .iter()
                .map(|entry| (entry.table.clone(), entry.rows))
                .collect(),
            drop_tables: exchange.drop_tables.clone(),
            create_objects,
            drop_objects,
            changed_since: Vec::new(),
            applied_after: self.state.applied.iter().map(|row| row.id.clone()).collect(),
            grants: Vec::new(),
            loss,
            warnings: exchange.warnings.clone(),
            only: None,
            applied_before: self.state.applied.iter().map(|row| row.id.clone()).collect(),
        })
    }

    pub(super) async fn manifest(&mut self, id: &str) -> Result<Manifest> {
        let manifest = self.runner.needed_vault()?.open(self.cx, id).await?;
        let dialect = self.runner.dialect();
        let mut journal = Journal::new(self.session, &*dialect);
        let expected = if journal.exists(self.cx).await? {
            journal.manifest_hash(self.cx, &manifest.id).await?
        } else {
            None
        };
        check_manifest(&manifest, expected.as_deref())?;
        if manifest.database.dialect != dialect.kind() {
            return Err(Error::new(
                ErrorKind::Usage,
                format!(
                    "`{}` is of {}, and this database is {}",
                    manifest.id,
                    manifest.database.product,
                    dialect.kind()
                ),
            ));
        }
        Ok(manifest)
    }

    /// Says that a point is missing, if that is the error: the journal knows that it was made.
    pub(super) fn gone(&self, error: Error, point: &str, about: &str) -> Error {
        let Some(vault) = self
            .runner
            .vault()
            .filter(|_| error.kind() == ErrorKind::NotFound)
        else {
            return error;
        };
        Error::new(
            ErrorKind::Damaged,
            format!("the point `{point}`, made before {about}, is no longer in the vault at `{}`", vault.location()),
        )
        .hint("bring the vault back from a copy, or correct `path` of the store, and run the same command again")
    }
}

/// Returns a table that a migration changes and that a point knows but does not hold.
pub(super) fn unheld(manifest: &Manifest, migration: Option<&StoredMigration>) -> Option<TableName> {
    let known = |name: &TableName| crate::reach::find(&manifest.schema, name).map(|table| table.name.clone());
    let changed: Vec<TableName> = match migration {
        Some(StoredMigration {
            touched: Some(touched),
            delta,
            ..
        }) => touched
            .iter()
            .chain(delta.altered_tables())
            .chain(delta.created_tables())
            .filter_map(known)
            .collect(),
        _ => manifest
            .schema
            .tables
            .iter()
            .map(|table| table.name.clone())
            .collect(),
    };
    changed.into_iter().find(|table| manifest.table(table).is_none())
}

/// Returns what was applied when a point was made, as a target.
fn target_of(manifest: &Manifest) -> &str {
    manifest.ledger.heads.first().map_or("base", String::as_str)
}

/// Returns the tables as a point holds them.
pub(super) fn held(manifest: &Manifest) -> BTreeMap<String, TableThen> {
    let then = |entry: &TableEntry| {
        let print = entry.fingerprint.clone()?;
        Some((
            entry.table.to_string(),
            TableThen {
                columns: entry.columns.clone(),
                print,
            },
        ))
    };
    manifest.tables.iter().filter_map(then).collect()
}
