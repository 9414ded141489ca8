//! Counting what a rollback takes away that was written since, before anybody is asked.

use std::collections::BTreeMap;

use serde::Serialize;
use walkback_core::catalog::Schema;
use walkback_core::{Cx, Result, Session, TableName};
use walkback_vault::TableEntry;

use crate::journal::TableThen;

/// Something a rollback or a restore takes away that was written since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// The table.
    pub table: TableName,
    /// How many rows at least.
    pub rows: u64,
    /// What, in words.
    pub what: String,
}

/// Compares tables with what they held at an earlier moment, while a rollback is planned step by step: what
/// an earlier step brings back is what the next one finds.
#[derive(Debug, Default)]
pub(crate) struct LossCounter {
    /// What tables will hold once the steps planned so far have been taken, where they change it.
    expected: BTreeMap<TableName, TableThen>,
    /// How many rows are in tables that a step moves back, and that nobody sees until then; by what they are called now
    /// and will be called.
    moved: BTreeMap<TableName, Loss>,
}

impl LossCounter {
    /// Notes that a step brings these rows back.
    pub(crate) fn expect(&mut self, entry: &TableEntry) {
        match &entry.fingerprint {
            Some(print) => {
                let then = TableThen {
                    columns: entry.columns.clone(),
                    print: print.clone(),
                };
                self.expected.insert(entry.table.clone(), then);
            }
            None => {
                self.expected.remove(&entry.table);
            }
        }
    }

    /// Notes that a step moves a table back that was moved aside with so many rows.
    pub(crate) fn move_back(&mut self, table: &TableName, aside: &TableName, rows: u64) {
        let what = format!(
            "{rows} rows that were moved aside, of which nobody has looked at what was written since"
        );
        for name in [table, aside] {
            let loss = Loss {
                table: table.clone(),
                rows,
                what: what.clone(),
            };
            self.moved.insert(name.clone(), loss);
        }
    }

    /// Returns whether it is known what a table will hold.
    pub(crate) fn expects(&self, table: &TableName) -> bool {
        self.expected.contains_key(table)
    }

    /// Notes that a step leaves rows there of which nobody knows yet what they are.
    pub(crate) fn forget(&mut self, table: &TableName) {
        self.expected.remove(table);
    }

    /// Says what of a table was written since it was as `then` has it. `None`: nothing.
    pub(crate) async fn since(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        schema: &Schema,
        table: &TableName,
        then: Option<&TableThen>,
    ) -> Result<Option<Loss>> {
        let Some(now) = self.now(cx, session, schema, table, then).await? else {
            return Ok(self.moved.get(table).filter(|loss| loss.rows > 0).cloned());
        };
        let Some(then) = then else {
            let what = match now.print.rows {
                1 => "1 row, of which nobody knows when it was written".to_owned(),
                rows => format!("{rows} rows, of which nobody knows when they were written"),
            };
            return Ok((now.print.rows > 0).then(|| Loss {
                table: table.clone(),
                rows: now.print.rows,
                what,
            }));
        };
        let comparable = now.columns == then.columns;
        if comparable && now.print == then.print {
            return Ok(None);
        }
        let added = now.print.rows.saturating_sub(then.print.rows);
        let gone = then.print.rows.saturating_sub(now.print.rows);
        let what = match (added, gone) {
            (0, 0) if comparable => "rows changed since".to_owned(),
            (0, 0) => "as many rows as then, in other columns: nobody knows what was written to them since"
                .to_owned(),
            (1, 0) => "1 row more than then, and perhaps others changed".to_owned(),
            (added, 0) => format!("{added} rows more than then, and perhaps others changed"),
            (_, gone) => format!("{gone} deleted since come back, and perhaps others were changed"),
        };
        Ok(Some(Loss {
            table: table.clone(),
            rows: added.max(1),
            what,
        }))
    }

    /// Returns what a table will hold when the next step is taken, seen through the columns of `then` where
    /// it still has them.
    async fn now(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        schema: &Schema,
        table: &TableName,
        then: Option<&TableThen>,
    ) -> Result<Option<TableThen>> {
        if let Some(expected) = self.expected.get(table) {
            return Ok(Some(expected.clone()));
        }
        let Some(found) = schema.exact_table(table) else {
            return Ok(None);
        };
        let mut seen = found.clone();
        if let Some(then) = then {
            let column = |name: &String| found.columns.iter().find(|column| column.name == *name).cloned();
            if let Some(columns) = then.columns.iter().map(column).collect::<Option<Vec<_>>>() {
                seen.columns = columns;
            }
        }
        let print = session.fingerprint(cx, &seen).await?;
        Ok(Some(TableThen {
            columns: crate::point::slice_of(&seen).columns,
            print,
        }))
    }
}
