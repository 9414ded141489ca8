//! Taking back what a migration changed in rows, from the backup tables that hold them.

use walkback_core::catalog::{Column, Schema, Table};
use walkback_core::engine::Begin;
use walkback_core::{Cx, DialectKind, Error, ErrorKind, Result};

use super::copies::copied;
use super::undo::{How, Taken};
use super::{ChangesPlan, Whose, has_circle, no_way_beside, parents_first};
use crate::execute::Execution;

impl Execution<'_> {
    /// Takes back cell by cell, as from points: only that nothing has to be loaded.
    pub(super) async fn undo_beside(
        &mut self,
        cx: &Cx,
        whose: Whose<'_>,
        plan: &ChangesPlan,
        how: How,
    ) -> Result<()> {
        // In the same mode as where rows are loaded: the order of tables is not all that foreign keys ask for.
        let mode = match self.session.capability().transactional_ddl {
            true => Begin::Rebuild,
            false => Begin::Write,
        };
        let now = self.runner.schema(cx, &mut *self.session).await?;
        let taken = taken(self.dialect.kind(), plan, &now)?;
        self.clear_shadows(cx).await?;
        let is_transactional = self.session.capability().transactional_ddl;
        let mut copies = None;
        if !is_transactional {
            // Their definition would end the transaction.
            let copied = self.copy_changed(cx, &taken, 0).await;
            if copied.is_err() {
                self.clear_shadows(&cx.shielded()).await.ok();
            }
            copies = Some(copied?);
        }
        let values = self.take_as_they_are(cx).await?;
        self.session.begin(cx, mode).await?;
        let outcome = async {
            let held = taken.iter().map(|one| one.table.name.clone());
            self.hold_changed(cx, held.collect()).await?;
            let copies = match copies {
                Some(copies) => copies,
                None => self.copy_changed(cx, &taken, 0).await?,
            };
            let taken = copied(&taken, &copies);
            let tables = Box::pin(self.take_back_in_turn(cx, &taken, how)).await?;
            if is_transactional {
                self.clear_shadows(cx).await?;
            }
            self.record_taken(cx, whose).await?;
            Ok(tables)
        };
        let outcome = outcome.await;
        let tables = self.end_taken(cx, outcome, values).await;
        if !is_transactional {
            self.clear_shadows(&cx.shielded()).await.ok();
        }
        self.note_taken(cx, whose, tables?);
        Ok(())
    }
}

/// Returns the tables as they are now with those that hold their changed rows, parents before those that refer to them.
fn taken<'a>(kind: DialectKind, plan: &'a ChangesPlan, now: &'a Schema) -> Result<Vec<Taken<'a>>> {
    let mut all = Vec::new();
    for one in &plan.beside {
        let table = now.table(&one.table).ok_or_else(|| {
            Error::new(
                ErrorKind::CheckFailed,
                format!("table `{}` is not there any more", one.table),
            )
        })?;
        all.push(Taken {
            table,
            columns: kept_columns(table),
            was: &one.was,
            left: &one.left,
        });
    }
    parents_first(&mut all, |one| one.table);
    let tables: Vec<&Table> = all.iter().map(|one| one.table).collect();
    // MySQL looks at each row as it comes: of two that refer to each other none can be the first.
    let mut circles = tables.iter().filter(|one| has_circle(&tables, one));
    match circles.next() {
        Some(one) if kind == DialectKind::Mysql => {
            Err(no_way_beside(&one.name, "it refers to another in a circle"))
        }
        _ => Ok(all),
    }
}

/// Returns the columns that a backup table of rows has.
pub(crate) fn kept_columns(table: &Table) -> Vec<&Column> {
    let columns = table.columns.iter();
    columns.filter(|column| !column.generated).collect()
}
