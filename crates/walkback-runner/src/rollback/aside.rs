//! Walking a migration back that moved tables aside: they are moved back.

use walkback_core::engine::SessionExt as _;
use walkback_core::name::ObjectKind;
use walkback_core::{Error, ErrorKind, MigrationId, Result};

use super::plan::Planning;
use super::{RollbackKind, RollbackStep};
use crate::changes::{Beside, ChangesPlan, kept_columns, no_way_beside};
use crate::journal::{DeprecatedRow, StoredMigration};
use crate::plan::Planner;
use crate::protect::{NOT_NULL_LATER, PUT_BACK, count_since, count_taken, is_backup};
use crate::state::State;

impl Planning<'_> {
    /// Plans to move back what a migration had moved aside, and to take back what else it did. `None`: it moved nothing,
    /// or not all of it is there.
    pub(super) async fn by_moving_back(&mut self, id: &MigrationId) -> Result<Option<RollbackStep>> {
        let Some(stored) = self.state.stored.get(id) else {
            return Ok(None);
        };
        let rows: Vec<DeprecatedRow> = self.aside_of(stored).cloned().collect();
        if rows.is_empty() || !stored.derived_loses.is_empty() {
            return Ok(None);
        }
        let planner = Planner::new(self.runner, self.state);
        let Some(script) = planner.derived_script(stored)? else {
            return Ok(None);
        };
        let down = planner.down_step_of(id, script);
        let (copies, moved): (Vec<_>, Vec<_>) = rows.iter().partition(|row| is_backup(&row.table));
        for row in &moved {
            self.refuse_taken(stored, row)?;
        }
        let name = stored.name();
        let mut reasons = Vec::new();
        if !moved.is_empty() {
            let names: Vec<_> = moved.iter().map(|row| format!("`{}`", row.original)).collect();
            reasons.push(format!(
                "{} was moved aside, and is moved back with its rows",
                names.join(", ")
            ));
        }
        let way = stored.derived_sql.clone().unwrap_or_default();
        let needs_value = way.iter().any(|sql| needs_value(sql));
        for row in copies {
            let copy = self.runner.dialect().quote_table(&row.table);
            let puts_back = |sql: &String| sql.contains(PUT_BACK) && sql.contains(&copy);
            reasons.push(match way.iter().any(puts_back) {
                true => self.put_back_from(row).await?,
                false => self.filled_from(&name, row, needs_value).await?,
            });
        }
        let reason = reasons.join("; ");
        let moved: Vec<_> = moved
            .iter()
            .map(|row| (row.original.clone(), row.table.clone()))
            .collect();
        let loss = self.loss_of_down(id, &down.script).await?;
        for (original, aside) in moved {
            let sql = format!(
                "SELECT count(*) FROM {}",
                self.runner.dialect().quote_table(&aside)
            );
            let count = self.session.fetch_optional(self.cx, &sql, &[]).await?;
            let count = count.and_then(|row| row[0].as_i64()).unwrap_or_default();
            let count = u64::try_from(count).unwrap_or_default();
            // The statements that move it back rename it, or take it from its schema.
            self.losses.move_back(&original, &aside, count);
        }
        let altered = stored.delta.altered_tables().map(|table| (table.clone(), None));
        self.replaced.extend(altered);
        Ok(Some(RollbackStep {
            id: id.clone(),
            name: down.name.clone(),
            kind: RollbackKind::Down,
            reason,
            down: Some(down),
            changes: None,
            restore: None,
            loss,
        }))
    }

    /// Plans to take rows back from the backup tables that hold them as they were and as the migration left them. `None`:
    /// there are none, or not all are there.
    pub(super) async fn by_rows_beside(&mut self, id: &MigrationId) -> Result<Option<RollbackStep>> {
        let Some(stored) = self.state.stored.get(id) else {
            return Ok(None);
        };
        let rows: Vec<&DeprecatedRow> = self.aside_of(stored).collect();
        let is_there = rows.iter().all(|row| row.gone.is_none());
        if !self.state.is_beside(stored) || !is_there {
            return Ok(None);
        }
        let mut beside: Vec<Beside> = Vec::new();
        for row in &rows {
            // The first of each table holds its rows as they were.
            match beside.iter_mut().find(|one| one.table == row.original) {
                Some(one) => one.left = row.table.clone(),
                None => beside.push(Beside {
                    table: row.original.clone(),
                    was: row.table.clone(),
                    left: row.table.clone(),
                }),
            }
        }
        for one in &beside {
            self.refuse_changed(one).await?;
        }
        Ok(Some(RollbackStep {
            id: id.clone(),
            name: stored.name(),
            kind: RollbackKind::Surgical,
            reason: "what it changed in rows was kept in backup tables, and goes back cell by cell"
                .to_owned(),
            down: None,
            changes: Some(ChangesPlan {
                before: String::new(),
                after: String::new(),
                tables: beside.iter().map(|one| one.table.clone()).collect(),
                beside,
            }),
            restore: None,
            loss: Vec::new(),
        }))
    }

    /// Refuses a table that is no longer what it was, as far as rows go back into it.
    async fn refuse_changed(&mut self, one: &Beside) -> Result<()> {
        let name = &one.table;
        let Some(table) = self.schema.table(name) else {
            return Err(no_way_beside(name, "it is not there any more"));
        };
        let trigger = self
            .schema
            .objects_on(&table.name)
            .find(|object| object.kind == ObjectKind::Trigger);
        if let Some(trigger) = trigger {
            let why = format!(
                "its trigger `{}` would fire again on what goes back",
                trigger.name
            );
            return Err(no_way_beside(name, &why));
        }
        let dialect = self.runner.dialect();
        let columns: Vec<_> = kept_columns(table)
            .iter()
            .map(|column| dialect.quote_identifier(&column.name))
            .collect();
        let sql = format!(
            "SELECT {} FROM {} WHERE 1 = 0",
            columns.join(", "),
            dialect.quote_table(&one.was)
        );
        let asked = self.session.fetch_optional(self.cx, &sql, &[]).await;
        match asked {
            Err(error) if error.kind() == ErrorKind::Database => {
                Err(no_way_beside(name, "its columns are not what they were"))
            }
            other => other.map(|_| ()),
        }
    }

    /// Says that the rows of a table are put back from its backup table, but for those whose keys were used since.
    async fn put_back_from(&mut self, row: &DeprecatedRow) -> Result<String> {
        let text = format!(
            "what it took from `{}` was kept in `{}`, and goes back",
            row.original, row.table
        );
        let Some(table) = self.schema.table(&row.original) else {
            return Ok(text);
        };
        let sql = count_taken(&*self.runner.dialect(), table, &row.table);
        let found = self.session.fetch_optional(self.cx, &sql, &[]).await?;
        let taken = found.and_then(|row| row[0].as_i64()).unwrap_or_default();
        Ok(match taken {
            0 => text,
            taken => format!("{text}, but for {taken} whose keys were used since: what is there stays"),
        })
    }

    /// Says that a table is filled from its backup table, and what of the rows that came since.
    async fn filled_from(&mut self, name: &str, row: &DeprecatedRow, needs_value: bool) -> Result<String> {
        let text = format!("what it took from `{}` was kept in `{}`", row.original, row.table);
        let Some(table) = self.schema.table(&row.original) else {
            return Ok(text);
        };
        let sql = count_since(&*self.runner.dialect(), table, &row.table);
        let found = self.session.fetch_optional(self.cx, &sql, &[]).await?;
        let since = found.and_then(|row| row[0].as_i64()).unwrap_or_default();
        if since == 0 {
            return Ok(format!("{text}, and goes back"));
        }
        let rows = match since {
            1 => "1 row inserted since has".to_owned(),
            rows => format!("{rows} rows inserted since have"),
        };
        if !needs_value {
            return Ok(format!("{text}, and goes back; {rows} the default there"));
        }
        Err(Error::new(
            ErrorKind::Refused,
            format!(
                "`{name}` dropped a column of `{}` that must not be `NULL`, and {rows} no value for it",
                row.original
            ),
        )
        .hint(format!(
            "nothing was changed; what was kept is in `{}`, and `walkback purge --dry-run` says until when",
            row.table
        ))
        .hint("`walkback rollback --type down` runs the author's script instead, if there is one"))
    }

    fn aside_of<'s>(&'s self, stored: &'s StoredMigration) -> impl Iterator<Item = &'s DeprecatedRow> {
        self.state
            .deprecated
            .iter()
            .filter(move |row| row.run_id == stored.run_id && row.migration == stored.id)
    }

    /// Refuses to move a table back over one that is called so now, unless a migration that is walked back as well has
    /// made that.
    fn refuse_taken(&self, stored: &StoredMigration, row: &DeprecatedRow) -> Result<()> {
        let name = &row.original;
        let is_made_by_us = self.state.stored.values().any(|other| {
            let is_since = other.stored_at >= stored.stored_at;
            is_since && other.delta.leaves_table(name)
        });
        if self.schema.table(name).is_none() || is_made_by_us {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Refused,
            format!(
                "`{}` dropped table `{name}`, which is to be moved back from `{}`, and there is another table `{name}` now",
                stored.name(),
                row.table
            ),
        )
        .hint(format!(
            "nothing was changed; rename the new table or drop it, then run the command again: \
             `ALTER TABLE {name} RENAME TO {}_new`",
            name.name
        ))
        .hint("`walkback rollback --type down` runs the author's script instead, if there is one"))
    }
}

/// Returns whether a statement of a way back says that a column it has filled must not be `NULL`.
fn needs_value(sql: &str) -> bool {
    sql.ends_with(" SET NOT NULL") || sql.contains(NOT_NULL_LATER)
}

impl State {
    /// Returns whether the rows that a migration has changed were kept in backup tables, and nothing of definitions.
    pub(crate) fn is_beside(&self, stored: &StoredMigration) -> bool {
        let of_it = |row: &&DeprecatedRow| row.run_id == stored.run_id && row.migration == stored.id;
        let mut rows = self.deprecated.iter().filter(of_it).peekable();
        rows.peek().is_some() && rows.all(|row| is_backup(&row.table)) && stored.delta.is_of_rows_only()
    }
}
