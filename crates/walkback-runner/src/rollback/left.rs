//! Tables as a rollback leaves them: what differs when that is itself walked back was written since.

use std::collections::BTreeMap;

use walkback_core::{Cx, MigrationId, Result, TableName};

use crate::execute::Execution;
use crate::journal::TableThen;
use crate::point;

impl Execution<'_> {
    /// Notes the tables of a migration that is walked back as they are now, in the transaction that takes it out of the ledger.
    pub(crate) async fn note_left_without(&mut self, cx: &Cx, id: &MigrationId) -> Result<()> {
        let Some(stored) = self.state.stored.get(id) else {
            return Ok(());
        };
        let changed = stored.delta.altered_tables();
        let tables = stored
            .touched
            .as_ref()
            .map(|touched| touched.iter().chain(changed).cloned().collect());
        self.note_left(cx, tables).await
    }

    /// Notes tables as they are now; where nobody knows which, those that the safety point holds. Without one nothing will ask
    /// for it.
    pub(super) async fn note_left(&mut self, cx: &Cx, tables: Option<Vec<TableName>>) -> Result<()> {
        let Some(safety) = self.safety.clone() else {
            return Ok(());
        };
        let names = match tables {
            Some(tables) => tables,
            None => {
                let held = self.open_point(cx, &safety).await?.tables;
                held.into_iter().map(|entry| entry.table).collect()
            }
        };
        if names.is_empty() {
            return Ok(());
        }
        let now = self.runner.schema(cx, &mut *self.session).await?;
        let found = names.iter().filter_map(|name| crate::reach::find(&now, name));
        let found: BTreeMap<_, _> = found.map(|table| (&table.name, table)).collect();
        let run = self.run.id.clone();
        for (name, table) in found {
            let then = TableThen {
                columns: point::slice_of(table).columns,
                print: self.session.fingerprint(cx, &point::kept(table)).await?,
            };
            self.journal()
                .note_left_by(cx, &run, &name.to_string(), &then)
                .await?;
        }
        Ok(())
    }
}
