//! What each step of a rollback takes away, worked out step by step.

use std::collections::BTreeMap;

use walkback_core::engine::SessionExt as _;
use walkback_core::statement::Action;
use walkback_core::{Access, Cx, Direction, MigrationId, Result, TableName};

use super::plan::Planning;
use crate::journal::{Journal, TableThen};
use crate::loss::Loss;
use crate::plan::{Plan, ReadScript, ScriptOrigin};
use crate::runner::Runner;
use crate::state::State;

impl Runner {
    /// Adds to a plan what its downs take away that was written since.
    pub(crate) async fn with_loss(&self, cx: &Cx, state: &State, mut plan: Plan) -> Result<Plan> {
        let mut session = self.connect(cx, Access::Read).await?;
        let schema = self.schema(cx, &mut *session).await?;
        let mut planning = Planning::new(self, cx, state, (&mut *session, schema));
        for step in plan.steps.iter().filter(|step| step.direction == Direction::Down) {
            let loss = planning.loss_of_down(&step.id, &step.script).await?;
            plan.loss.extend(loss);
        }
        Ok(plan)
    }
}

impl Planning<'_> {
    /// Returns the tables as a migration left them.
    pub(super) async fn after(&mut self, migration: &MigrationId) -> Result<BTreeMap<String, TableThen>> {
        let dialect = self.runner.dialect();
        let mut journal = Journal::new(self.session, &*dialect);
        if journal.exists(self.cx).await? {
            journal.after(self.cx, migration).await
        } else {
            Ok(BTreeMap::new())
        }
    }

    pub(super) async fn loss_of(
        &mut self,
        table: &TableName,
        then: Option<&TableThen>,
    ) -> Result<Option<Loss>> {
        // What a step has put back is found by its name then, all else by that of now.
        let is_there = self.losses.expects(table) || self.schema.exact_table(table).is_some();
        let now = match is_there {
            true => table.clone(),
            false => self.renamed.table(table),
        };
        let then = then.map(|then| TableThen {
            columns: then
                .columns
                .iter()
                .map(|column| self.renamed.column(table, column))
                .collect(),
            print: then.print.clone(),
        });
        self.losses
            .since(self.cx, self.session, &self.schema, &now, then.as_ref())
            .await
    }

    /// Returns whether a table has a column before anything is done.
    pub(super) fn has_column(&self, table: &TableName, name: &str) -> bool {
        self.schema.table(table).is_some_and(|table| {
            let mut columns = table.columns.iter();
            columns.any(|column| column.name.eq_ignore_ascii_case(name))
        })
    }

    /// Counts the values of a column that goes, under the names that it and its table have before anything is done.
    pub(super) async fn loss_of_column(
        &mut self,
        (table, column): (&TableName, &str),
        (now, of): (&TableName, &str),
    ) -> Result<Option<Loss>> {
        let dialect = self.runner.dialect();
        let sql = format!(
            "SELECT count(*) FROM {} WHERE {} IS NOT NULL",
            dialect.quote_table(now),
            dialect.quote_identifier(of)
        );
        let row = self.session.fetch_optional(self.cx, &sql, &[]).await?;
        let count = row
            .and_then(|row| row[0].as_i64())
            .and_then(|count| u64::try_from(count).ok());
        let values = |rows: u64| if rows == 1 { "value" } else { "values" };
        Ok(count.filter(|count| *count > 0).map(|rows| Loss {
            table: table.clone(),
            rows,
            what: format!(
                "{rows} {} of column `{column}`, what the migration itself wrote included",
                values(rows)
            ),
        }))
    }

    /// Counts what a down script takes away that the migration did not bring.
    pub(super) async fn loss_of_down(&mut self, id: &MigrationId, script: &ReadScript) -> Result<Vec<Loss>> {
        let after = self.after(id).await?;
        let mut losses = Vec::new();
        for action in script
            .statements
            .iter()
            .flat_map(|statement| &statement.effect.actions)
        {
            match action {
                Action::DropTable { table } => {
                    let now = self.renamed.table(table);
                    losses.extend(self.loss_of(&now, after.get(&table.to_string())).await?);
                }
                Action::DropColumn { table, column } => {
                    let (now, of) = (self.renamed.table(table), self.renamed.column(table, column));
                    // What an earlier down brings back first holds nothing that was written since.
                    if !self.has_column(&now, &of) {
                        continue;
                    }
                    let found = self.loss_of_column((table, column), (&now, &of)).await?;
                    losses.extend(found);
                }
                // A derived one fills what it has made again, and takes away no row.
                Action::Update { .. } if script.origin == ScriptOrigin::Derived => {}
                Action::Update { table }
                | Action::Delete { table }
                | Action::Truncate { table }
                | Action::Insert {
                    table,
                    may_overwrite: true,
                } => {
                    let now = self.renamed.table(table);
                    let since = self.loss_of(&now, after.get(&table.to_string())).await?;
                    losses.extend(since.map(|loss| Loss {
                        what: format!(
                            "the down changes rows of it, and it was written to since: {}",
                            loss.what
                        ),
                        ..loss
                    }));
                }
                _ => self.renamed.note(action),
            }
        }
        Ok(losses)
    }
}
