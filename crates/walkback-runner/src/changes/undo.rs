//! Taking back what a migration changed in rows, and nothing else.

use walkback_core::catalog::{Column, Table};
use walkback_core::engine::Begin;
use walkback_core::{Cx, DialectKind, Error, ErrorKind, MigrationId, Result, TableName};
use walkback_vault::{Manifest, TableEntry};

use super::conflicts::{OF_MIGRATION, OF_ROLLBACK, Words};
use super::copies::copied;
use super::extent::Extent;
use super::sift::Side;
use super::sql::{Others, Sql};
use super::{Changed, ChangesPlan, OnConflict, TableChanges};
use crate::execute::Execution;
use crate::load::Shadow;

/// The two tables that the changed rows of one are loaded into.
#[derive(Debug)]
struct Pair {
    was: Shadow,
    left: Shadow,
}

/// How they are taken back.
#[derive(Clone, Copy)]
pub(super) struct How {
    policy: OnConflict,
    /// Only the rows that were added go.
    only_added: bool,
    /// What is said of conflicts.
    words: &'static Words,
}

impl How {
    fn of(whose: Whose<'_>, (policy, only_added): (OnConflict, bool)) -> Self {
        Self {
            policy,
            only_added,
            words: match whose {
                Whose::Migration(_) | Whose::Scope => &OF_MIGRATION,
                Whose::Rollback(_) => &OF_ROLLBACK,
            },
        }
    }
}

/// Whose changes are taken back.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Whose<'a> {
    /// A migration's: it is not applied afterwards.
    Migration(&'a MigrationId),
    /// A rollback's: these are applied afterwards.
    Rollback(&'a [MigrationId]),
    /// A scope's: no migration comes or goes.
    Scope,
}

impl Execution<'_> {
    /// Takes back what a run changed, cell by cell, in one transaction; or only the rows that it added.
    ///
    /// # Errors
    /// `Conflict` if something was changed since and that is to stop it; nothing has changed then.
    pub(crate) async fn undo_changes(
        &mut self,
        cx: &Cx,
        whose: Whose<'_>,
        plan: &ChangesPlan,
        how: (OnConflict, bool),
    ) -> Result<()> {
        let how = How::of(whose, how);
        if !plan.beside.is_empty() {
            return Box::pin(self.undo_beside(cx, whose, plan, how)).await;
        }
        let before = self.open_point(cx, &plan.before).await?;
        let after = self.open_point(cx, &plan.after).await?;
        let now = self.runner.schema(cx, &mut *self.session).await?;
        let changed = Changed::all(&before, &after, &now)?;
        let pairs = pairs(&before, &after, &changed)?;
        self.note_homes(&before, &now);
        self.clear_shadows(cx).await?;
        let is_transactional = self.session.capability().transactional_ddl;
        if !is_transactional {
            // Their definition would end the transaction.
            let loaded = self.load_changes(cx, (&before, &after), (&changed, &pairs)).await;
            if let Err(error) = loaded {
                self.clear_shadows(&cx.shielded()).await.ok();
                return Err(error);
            }
        }
        // With definitions in it, where the engine takes them: those of the tables that are loaded.
        let mode = if is_transactional {
            Begin::Rebuild
        } else {
            Begin::Write
        };
        let values = self.take_as_they_are(cx).await?;
        self.session.begin(cx, mode).await?;
        let outcome = async {
            if is_transactional {
                self.load_changes(cx, (&before, &after), (&changed, &pairs))
                    .await?;
            }
            let held = changed.iter().map(|one| one.table.name.clone());
            self.hold_changed(cx, held.collect()).await?;
            let taken = taken(&changed, &pairs);
            let copies = if is_transactional {
                // What is loaded there has the keys of its table.
                self.copy_changed(cx, &taken, 2 * pairs.len()).await?
            } else {
                vec![None; taken.len()]
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
        let taken = self.end_taken(cx, outcome, values).await;
        if !is_transactional {
            self.clear_shadows(&cx.shielded()).await.ok();
        }
        self.note_taken(cx, whose, taken?);
        Ok(())
    }

    /// Ends the transaction in which rows were taken back.
    pub(super) async fn end_taken(
        &mut self,
        cx: &Cx,
        outcome: Result<Vec<TableChanges>>,
        values: Option<String>,
    ) -> Result<Vec<TableChanges>> {
        let (tables, outcome) = match outcome {
            Ok(tables) => (tables, Ok(())),
            Err(error) => (Vec::new(), Err(explained(error))),
        };
        let outcome = self.end_transaction(cx, outcome).await;
        self.take_as_before(cx, values).await?;
        if self.captures_own && outcome.is_err() {
            self.abandon_capture(&cx.shielded()).await?;
        }
        outcome.map(|()| tables)
    }

    pub(super) fn note_taken(&mut self, cx: &Cx, whose: Whose<'_>, tables: Vec<TableChanges>) {
        cx.step("migration.committed");
        if let Whose::Migration(id) = whose {
            self.note_undone(id);
        }
        self.report.changes.extend(tables);
    }

    /// Notes in the ledger what is applied once rows were taken back, in the current transaction.
    pub(super) async fn record_taken(&mut self, cx: &Cx, whose: Whose<'_>) -> Result<()> {
        match whose {
            Whose::Migration(id) => self.record_undone(cx, id).await,
            Whose::Rollback(applied) => self.set_ledger(cx, applied).await,
            Whose::Scope => Ok(()),
        }
    }

    pub(super) async fn take_back_in_turn(
        &mut self,
        cx: &Cx,
        taken: &[Taken<'_>],
        how: How,
    ) -> Result<Vec<TableChanges>> {
        if self.captures_own {
            self.take_back_captured(cx, taken, how).await
        } else {
            self.take_back(cx, taken, how).await
        }
    }

    /// Takes back as [`Self::take_back`] does, and captures what that changes: so it can itself be taken back.
    async fn take_back_captured(
        &mut self,
        cx: &Cx,
        taken: &[Taken<'_>],
        how: How,
    ) -> Result<Vec<TableChanges>> {
        let tables: Vec<Table> = taken.iter().map(|one| one.table.clone()).collect();
        self.start_capture(cx, &tables).await?;
        let found = self.take_back(cx, taken, how).await?;
        self.finish_capture(cx, &tables).await?;
        let schema = self.runner.schema(cx, &mut *self.session).await?;
        self.keep_captured(cx, "rollback", "the rollback", &schema)
            .await?;
        Ok(found)
    }

    pub(super) async fn hold_changed(&mut self, cx: &Cx, tables: Vec<TableName>) -> Result<()> {
        if !self.session.capability().holds_tables {
            return Ok(());
        }
        self.session.hold_tables(cx, &tables).await
    }

    /// Loads the rows of the chunks that differ.
    async fn load_changes(
        &mut self,
        cx: &Cx,
        (before, after): (&Manifest, &Manifest),
        (changed, pairs): (&[Changed], &[Pair]),
    ) -> Result<()> {
        for (one, pair) in changed.iter().zip(pairs) {
            let sides = [(before, &pair.was, &one.gone), (after, &pair.left, &one.new)];
            let sides = sides.map(|(manifest, shadow, ranges)| Side {
                manifest,
                shadow,
                ranges,
            });
            self.load_difference(cx, sides).await?;
        }
        Ok(())
    }

    async fn take_back(&mut self, cx: &Cx, taken: &[Taken<'_>], how: How) -> Result<Vec<TableChanges>> {
        let How {
            policy, only_added, ..
        } = how;
        let dialect = self.runner.dialect();
        let now = self.runner.schema(cx, &mut *self.session).await?;
        let others: Vec<Others<'_>> = taken
            .iter()
            .map(|one| Others {
                table: one.table,
                was: one.was,
                left: one.left,
            })
            .collect();
        let mut sqls: Vec<Sql<'_>> = taken
            .iter()
            .zip(&others)
            .enumerate()
            .map(|(index, (one, own))| Sql {
                dialect: &*dialect,
                table: own.table,
                columns: one.columns.clone(),
                was: own.was,
                left: own.left,
                schema: &now,
                circle: super::in_circle_with(&others, index),
                words: how.words,
                extent: Extent::unknown(),
            })
            .collect();
        if dialect.kind() == DialectKind::Postgres {
            // A few rows of many are looked up by their keys; by default the server would rather read the table, each time. Nor is
            // it worth its while to compile what it takes for long, knowing nothing of tables that were just made.
            for setting in ["random_page_cost = 1.1", "jit = off"] {
                self.session
                    .execute(cx, &format!("SET LOCAL {setting}"), &[])
                    .await?;
            }
        }
        for sql in &mut sqls {
            sql.extent = sql.look(cx, &mut *self.session).await?;
        }
        let mut tables: Vec<TableChanges> = taken
            .iter()
            .map(|one| TableChanges::none(&one.table.name))
            .collect();
        let session = &mut *self.session;
        let mut aside = Vec::new();
        for (sql, found) in sqls.iter().zip(&mut tables).filter(|_| !only_added) {
            sql.leave_what_does_not_pass(cx, session, policy, found).await?;
            aside.push(sql.make_room(cx, session, policy, found).await?);
        }
        for (sql, found) in sqls.iter_mut().zip(&mut tables).filter(|_| !only_added) {
            sql.take_whole_rows_back(cx, session, found).await?;
        }
        for (sql, found) in sqls.iter().zip(&mut tables) {
            if only_added {
                sql.added_and_changed(cx, session, found).await?;
            } else {
                sql.changed_since(cx, session, found).await?;
            }
        }
        // What others refer to comes first and goes last.
        let whole = || sqls.iter().filter(|_| !only_added);
        for (sql, found) in whole().zip(&mut tables) {
            let takes_keys = policy == OnConflict::Revert && sql.extent.has_deleted;
            if let Some(back) = sql.take_key_back().filter(|_| takes_keys) {
                found.changed_back += session.execute(cx, &back, &[]).await?;
            }
            sql.without_parents(cx, session, found).await?;
            if sql.extent.has_deleted {
                found.brought_back += session.execute(cx, &sql.bring_back(), &[]).await?;
            }
        }
        for (sql, found) in whole().zip(&mut tables) {
            sql.referring_to_nothing(cx, session, found).await?;
            if let Some(back) = sql.change_back(policy) {
                found.changed_back += session.execute(cx, &back, &[]).await?;
            }
        }
        for (sql, found) in sqls.iter().zip(&mut tables).rev() {
            if sql.extent.has_inserted {
                sql.referred_to(cx, session, found).await?;
                found.removed += session.execute(cx, &sql.remove(policy), &[]).await?;
            }
        }
        for (sql, aside) in sqls.iter().zip(&aside) {
            sql.nobody_is_aside(cx, session, aside).await?;
        }
        if policy == OnConflict::Stop && tables.iter().any(|table| table.conflicts > 0) {
            return Err(stopped(&tables));
        }
        Ok(tables)
    }
}

impl TableChanges {
    pub(super) fn none(table: &TableName) -> Self {
        Self {
            table: table.clone(),
            changed_back: 0,
            brought_back: 0,
            removed: 0,
            conflicts: 0,
            listed: Vec::new(),
            kept: None,
        }
    }
}

/// A table of which rows are taken back, and where these are.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    pub(super) table: &'a Table,
    /// The columns that were kept.
    pub(super) columns: Vec<&'a Column>,
    pub(super) was: &'a TableName,
    pub(super) left: &'a TableName,
}

fn taken<'a>(changed: &'a [Changed], pairs: &'a [Pair]) -> Vec<Taken<'a>> {
    let one = |(one, pair): (&'a Changed, &'a Pair)| Taken {
        table: &one.table,
        columns: columns(one),
        was: &pair.was.name,
        left: &pair.left.name,
    };
    changed.iter().zip(pairs).map(one).collect()
}

/// Returns the columns that were kept, as they are now.
fn columns(changed: &Changed) -> Vec<&Column> {
    let columns = changed.table.columns.iter();
    columns
        .filter(|column| changed.after.columns.contains(&column.name))
        .collect()
}

/// Numbers the tables that changed rows are loaded into as a restore does, so that what a kill leaves is found.
fn pairs(before: &Manifest, after: &Manifest, changed: &[Changed]) -> Result<Vec<Pair>> {
    let both = changed.iter().flat_map(|one| [&one.before, &one.after]);
    let entries: Vec<TableEntry> = both.cloned().collect();
    let was = Shadow::all(before, &entries)?.into_iter().step_by(2);
    let left = Shadow::all(after, &entries)?.into_iter().skip(1).step_by(2);
    Ok(was.zip(left).map(|(was, left)| Pair { was, left }).collect())
}

pub(super) fn stopped(tables: &[TableChanges]) -> Error {
    let conflicts: u64 = tables.iter().map(|table| table.conflicts).sum();
    let mut error = Error::new(
        ErrorKind::Conflict,
        format!("{conflicts} of the cells and rows that the migration changed were changed again since"),
    );
    for table in tables {
        for conflict in table.listed.iter().take(10) {
            error = error.hint(format!("`{}`: {conflict}", table.table));
        }
    }
    error.hint(
        "nothing was changed; `--on-conflict keep` leaves these as they are, `--on-conflict revert` takes them back too",
    )
}

/// Says what can be done where the server refuses what was before: another row has a value that has to be unique.
pub(super) fn explained(error: Error) -> Error {
    if error.kind() != ErrorKind::Database {
        return error;
    }
    error
        .wrap("what the migration changed cannot go back cell by cell")
        .hint("nothing was changed; `walkback rollback --type full` restores its tables, and shows first what that loses")
}
