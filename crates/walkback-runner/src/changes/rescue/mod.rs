//! What a rollback takes away that was written since the migration, put aside for the next up of the same migration.
//!
//! Nothing is copied for it: the safety point holds the tables as they were before the rollback, and the point behind
//! the migration as it had left them. The difference of the two was written since.

mod again;
mod lost;
mod over;
mod put_back;
mod sql;
mod unplaced;
mod write;

use serde::{Deserialize, Serialize};
use walkback_core::statement::{Action, Severity};
use walkback_core::{Cx, MigrationId, Result, TableName};
use walkback_vault::TableEntry;

use crate::changes::{Names, TableChanges, parts};
use crate::execute::Execution;
use crate::identity;
use crate::journal::{RescueRow, StoredMigration, TableThen};
use crate::report::Named;
use crate::rollback::RollbackKind;
use crate::runner::Runner;
use crate::state::State;

/// Of one table, what is put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PutAside {
    /// The table.
    pub table: TableName,
    /// The point that holds it as it was before the rollback.
    pub point: String,
    /// The columns whose cells are put back; `None`: rows, with all of their columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// The point that holds it as the rollback left it, where something that was written had no place in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
}

/// Tables that have no place for all that was written to them, as a rollback leaves them.
#[derive(Debug)]
pub(crate) struct Unplaced {
    point: String,
    tables: Vec<TableName>,
}

/// What waits for the next up of a migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Waiting {
    /// The migration.
    pub migration: Named,
    /// The run that walked it back.
    pub run: String,
    /// When, in RFC 3339.
    pub since: String,
    /// Of which tables.
    pub tables: Vec<PutAside>,
}

/// What was put back by an up.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Rescued {
    /// The migration.
    pub migration: Named,
    /// The run that had walked it back.
    pub run: String,
    /// What became of it, table by table.
    pub tables: Vec<TableChanges>,
}

impl Waiting {
    pub(crate) fn of(state: &State, row: &RescueRow) -> Self {
        Self {
            migration: state.named(&row.migration),
            run: row.run_id.clone(),
            since: row.noted_at.clone(),
            tables: row.tables.clone(),
        }
    }
}

impl Runner {
    /// Returns what of a point waits for the next up of a migration. Nothing, where the database cannot be asked: a
    /// point can be looked at without it.
    ///
    /// # Errors
    /// Fails if the journal cannot be read.
    pub async fn waiting_for(&self, cx: &Cx, point: &str) -> Result<Vec<Waiting>> {
        let Ok(state) = self.state(cx).await else {
            return Ok(Vec::new());
        };
        let needs = |rescue: &&RescueRow| rescue.needs(point);
        Ok(state
            .rescues
            .iter()
            .filter(needs)
            .map(|rescue| Waiting::of(&state, rescue))
            .collect())
    }
}

impl Execution<'_> {
    /// Notes, in the transaction that takes a migration out of the ledger, what walking it back has taken away.
    pub(crate) async fn note_rescue(&mut self, cx: &Cx, id: &MigrationId, kind: RollbackKind) -> Result<()> {
        let (Some(safety), Some(stored)) = (self.safety.clone(), self.state.stored.get(id).cloned()) else {
            return Ok(());
        };
        let left = self.journal().after(cx, id).await?;
        let mut tables = Vec::new();
        let unplaced = self.unplaced.take();
        let names = self.names_behind(cx, &stored, kind).await?;
        let mut concerned = concerned(&stored, kind, &names);
        concerned.extend(self.of_parts_made_since(&stored, &concerned));
        for table in unplaced.iter().flat_map(|unplaced| &unplaced.tables) {
            if names.renames(table) {
                let what = format!("what `{table}` had no place for, and was written under another name,");
                self.warn_of_names(&what, &safety, &stored);
            } else if !concerned.iter().any(|(known, _)| known == table) {
                concerned.push((table.clone(), Some(Vec::new())));
            }
        }
        for (table, columns) in concerned {
            if self.is_named_above(cx, &table, columns.as_deref()).await? {
                let what = format!(
                    "what was written under another name to what `{}` had brought of `{table}`",
                    stored.name()
                );
                self.warn_of_names(&what, &safety, &stored);
                continue;
            }
            let moved = self.kept_moved.get(&table).cloned();
            let point = match self.kept_over.get(&table).cloned() {
                Some(point) => point,
                None => self
                    .point_above(cx, &table)
                    .await?
                    .or(moved)
                    .unwrap_or_else(|| safety.clone()),
            };
            let manifest = self.open_point(cx, &point).await?;
            let Some(entry) = manifest.table(&table) else {
                continue;
            };
            if was_left(entry, left.get(&table.to_string())) || entry.rows == 0 && columns.is_some() {
                continue;
            }
            if entry.order.is_empty() {
                self.report.warnings.push(format!(
                    "what was written to `{table}` stays in the point `{point}`: it has no primary key, so that the \
                     next up of `{}` cannot put it back",
                    stored.name()
                ));
                continue;
            }
            let has_left = |unplaced: &&Unplaced| columns.is_some() && unplaced.tables.contains(&table);
            let left = unplaced
                .as_ref()
                .filter(has_left)
                .map(|unplaced| unplaced.point.clone());
            tables.push(PutAside {
                table,
                point,
                columns,
                left,
            });
        }
        if tables.is_empty() {
            return Ok(());
        }
        let row = RescueRow {
            run_id: self.run.id.clone(),
            migration: id.clone(),
            changes: stored.changes,
            tables,
            noted_at: identity::moment(cx.now()),
        };
        self.journal().note_rescue(cx, &row).await?;
        self.state.rescues.push(row);
        Ok(())
    }

    /// Returns the partitions that were made since the migration, with the columns that go from them.
    fn of_parts_made_since(
        &self,
        stored: &StoredMigration,
        concerned: &[(TableName, Option<Vec<String>>)],
    ) -> Vec<(TableName, Option<Vec<String>>)> {
        let known = |table: &TableName| concerned.iter().any(|(other, _)| other == table);
        let mut found = Vec::new();
        for whole in stored.delta.altered_tables() {
            let columns = stored.delta.added_columns((whole, whole));
            let below = parts::parts(whole, &self.state.schema);
            let new = below
                .iter()
                .filter(|part| parts::is_part(part) && !known(&part.name));
            if !columns.is_empty() {
                found.extend(new.map(|part| (part.name.clone(), Some(columns.clone()))));
            }
        }
        found
    }

    /// Returns the point before the next migration of this run that changed rows of a table and is walked back
    /// already: what is in the table above that one is that migration's.
    async fn point_above(&mut self, cx: &Cx, table: &TableName) -> Result<Option<String>> {
        let above = self.next_above(cx, table).await?;
        Ok(above.and_then(|later| later.point))
    }

    /// Returns the next migration of this run that changed rows of a table and is walked back already.
    async fn next_above(&mut self, cx: &Cx, table: &TableName) -> Result<Option<StoredMigration>> {
        let undone = self.report.undone.iter().rev();
        let undone: Vec<_> = undone.map(|named| named.id.clone()).collect();
        for id in undone {
            let Some(later) = self.state.stored.get(&id).cloned() else {
                continue;
            };
            let reaches = later
                .touched
                .as_ref()
                .is_none_or(|touched| touched.contains(table));
            if reaches && later.point.is_some() && self.has_changed_rows(cx, &later).await? {
                return Ok(Some(later));
            }
        }
        Ok(None)
    }

    fn warn_of_names(&mut self, what: &str, point: &str, stored: &StoredMigration) {
        self.report.warnings.push(format!(
            "{what} stays in the point `{point}`: the next up of `{}` cannot put it back",
            stored.name()
        ));
    }

    /// Returns whether a migration of this run that is walked back already had given another name to a table, or to one of these
    /// columns of it.
    async fn is_named_above(
        &mut self,
        cx: &Cx,
        table: &TableName,
        columns: Option<&[String]>,
    ) -> Result<bool> {
        let undone: Vec<_> = self.report.undone.iter().map(|named| named.id.clone()).collect();
        for id in undone {
            let Some(later) = self.state.stored.get(&id).cloned() else {
                continue;
            };
            let names = self.names_behind(cx, &later, RollbackKind::Surgical).await?;
            let mut named = names.of_columns(table).iter();
            let is_column = named.any(|(then, _)| columns.unwrap_or_default().contains(then));
            if is_column || names.of_table(table) != table {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the names behind a migration under which rows and cells were written that its way back leaves where they are.
    async fn names_behind(&mut self, cx: &Cx, stored: &StoredMigration, kind: RollbackKind) -> Result<Names> {
        if kind == RollbackKind::Full {
            return Ok(Names::default());
        }
        let effects = self.journal().effects_of(cx, stored).await?.unwrap_or_default();
        let statements = effects.iter().map(|(_, effect)| effect.actions.as_slice());
        let (before, after) = stored.delta.tables();
        Ok(Names::follow(statements, &before, &after).unwrap_or_default())
    }

    async fn has_changed_rows(&mut self, cx: &Cx, stored: &StoredMigration) -> Result<bool> {
        let effects = self.journal().effects_of(cx, stored).await?;
        let changes = |action: &Action| {
            matches!(
                action,
                Action::Insert { .. } | Action::Update { .. } | Action::Delete { .. }
            )
        };
        Ok(effects.is_none_or(|effects| {
            let mut effects = effects.iter();
            effects.any(|(_, effect)| {
                effect.severity() == Severity::Unknown || effect.actions.iter().any(changes)
            })
        }))
    }
}

/// Returns the tables of which a way back takes something away, with the columns that go, or without where rows do.
fn concerned(
    stored: &StoredMigration,
    kind: RollbackKind,
    names: &Names,
) -> Vec<(TableName, Option<Vec<String>>)> {
    let delta = &stored.delta;
    let is_renamed = |table: &&TableName| names.table_before(table) != *table;
    let mut tables: Vec<(TableName, Option<Vec<String>>)> = delta
        .created_tables()
        .filter(|table| !is_renamed(table))
        .map(|table| (table.clone(), None))
        .collect();
    if kind == RollbackKind::Full {
        let touched = stored.touched.iter().flatten();
        for table in touched.chain(delta.altered_tables()) {
            if !tables.iter().any(|(known, _)| known == table) {
                tables.push((table.clone(), None));
            }
        }
        return tables;
    }
    for table in delta.altered_tables() {
        let mut columns = delta.added_columns((table, names.of_table(table)));
        let named = names.of_columns(table);
        columns.retain(|column| !named.iter().any(|(_, left)| left == column));
        if !columns.is_empty() {
            tables.push((names.of_table(table).clone(), Some(columns)));
        }
    }
    tables
}

/// Returns whether nothing was written to a table since the migration left it.
fn was_left(entry: &TableEntry, then: Option<&TableThen>) -> bool {
    then.is_some_and(|then| entry.columns == then.columns && entry.fingerprint.as_ref() == Some(&then.print))
}
