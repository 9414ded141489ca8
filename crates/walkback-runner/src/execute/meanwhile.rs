//! What applications write while a script outside a transaction runs: nobody keeps them from its tables.

use std::collections::BTreeMap;

use walkback_core::catalog::{Schema, Table};
use walkback_core::statement::{Action, Severity};
use walkback_core::{Cx, ErrorKind, Result, TableName};
use walkback_vault::Manifest;

use super::{Execution, Outcome};
use crate::derive::changes_rows;
use crate::journal::TableThen;
use crate::plan::PlannedStep;
use crate::reach::Reach;

impl Execution<'_> {
    /// Makes a point of the tables as a script outside a transaction has left them, so that what is written from now on can be
    /// told from what it did. What was written while it ran to tables in whose rows it changes something is in there too.
    pub(super) async fn keep_left(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        outcome: &Outcome,
    ) -> Result<Option<Manifest>> {
        let Some(held) = self.held.clone() else {
            return Ok(None);
        };
        if self.session.capability().holds_tables {
            let tables = held.tables.iter().map(|entry| entry.table.clone());
            let there: Vec<_> = tables
                .filter(|name| outcome.after.table(name).is_some())
                .collect();
            self.session.hold_tables(cx, &there).await?;
        }
        let kept = self.keep_changes(cx, step, Some(&held), outcome).await;
        self.or_from_its_point(step, kept)
    }

    /// Goes on where a migration that is done cannot be kept as it left its tables: the point before it is there.
    pub(super) fn or_from_its_point(
        &mut self,
        step: &PlannedStep,
        kept: Result<Option<Manifest>>,
    ) -> Result<Option<Manifest>> {
        match kept {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                let warning = format!("{error}; `{}` goes back from its point only", step.name);
                self.report.warnings.push(warning);
                Ok(None)
            }
            kept => kept,
        }
    }

    /// Returns the tables in whose rows the script changes nothing, and that are not as its point holds them all the same,
    /// as they are there: a rollback from the point takes away what was written meanwhile, and has to say so.
    ///
    /// Of tables in whose rows the script changes something it cannot be told.
    pub(super) async fn written_meanwhile(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        after: &Schema,
    ) -> Result<BTreeMap<TableName, TableThen>> {
        let mut written = BTreeMap::new();
        let Some(manifest) = self.held.take().filter(|_| !step.transaction) else {
            return Ok(written);
        };
        let Some(own) = self.tables_written_by(step, after) else {
            return Ok(written);
        };
        for entry in &manifest.tables {
            let (Some(then), Some(now)) = (manifest.schema.table(&entry.table), after.table(&entry.table))
            else {
                continue;
            };
            let Some(print) = &entry.fingerprint else { continue };
            let is_left_alone = !own.contains(&entry.table) && has_columns_of(now, then);
            if !is_left_alone || !only_adds_to(step, &entry.table) {
                continue;
            }
            let seen = self.print(cx, after, &entry.table, &entry.columns).await?;
            if seen.as_ref() == Some(print) {
                continue;
            }
            self.report.warnings.push(format!(
                "applications wrote to `{}` while `{}` ran; a rollback from its point would take that away, and says so",
                entry.table, step.name
            ));
            let then = TableThen {
                columns: entry.columns.clone(),
                print: print.clone(),
            };
            written.insert(entry.table.clone(), then);
        }
        Ok(written)
    }

    /// Returns the tables in whose rows a script may change something. `None`: any.
    fn tables_written_by(&self, step: &PlannedStep, schema: &Schema) -> Option<Vec<TableName>> {
        let changes = |actions: &[Action]| actions.iter().any(changes_rows);
        let statements = step.statements.iter();
        let effects: Vec<_> = statements
            .filter(|statement| statement.severity == Severity::Unknown || changes(&statement.effect.actions))
            .map(|statement| (statement.sql.clone(), statement.effect.clone()))
            .collect();
        if effects.is_empty() {
            return Some(Vec::new());
        }
        Reach::new(&*self.dialect, schema, true).of_effects(&*self.dialect, &effects)
    }
}

/// Returns whether a script names a table, and does nothing to it that could change how its rows are written down.
fn only_adds_to(step: &PlannedStep, table: &TableName) -> bool {
    let is_it = |name: &TableName| name.name.eq_ignore_ascii_case(&table.name);
    let touched = step.touched();
    let actions = step
        .statements
        .iter()
        .flat_map(|statement| &statement.effect.actions);
    touched.is_some_and(|tables| tables.iter().any(is_it))
        && actions
            .filter(|action| action.changed_table().is_some_and(is_it))
            .all(|action| matches!(action, Action::AddColumn { .. } | Action::Create { .. }))
}

/// Returns whether a table still has all columns that it had, as they were.
fn has_columns_of(now: &Table, then: &Table) -> bool {
    then.columns.iter().all(|column| {
        let found = now.columns.iter().find(|other| other.name == column.name);
        found.is_some_and(|found| found.data_type == column.data_type)
    })
}
