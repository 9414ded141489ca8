//! Taking back what a migration changed in rows, and nothing else.

use walkback_core::engine::Begin;
use walkback_core::{Cx, Error, ErrorKind, Result, TableName};
use walkback_vault::{Manifest, TableEntry};

use super::sift::Side;
use super::sql::{Others, Sql};
use super::{Changed, ChangesPlan, OnConflict, TableChanges};
use crate::execute::Execution;
use crate::journal::StoredMigration;
use crate::load::Shadow;

/// The two tables that the changed rows of one are loaded into.
#[derive(Debug)]
struct Pair {
    was: Shadow,
    left: Shadow,
}

impl Execution<'_> {
    /// Takes back what a migration changed, cell by cell, in one transaction; or only the rows that it added.
    ///
    /// # Errors
    /// `Conflict` if something was changed since and that is to stop it; nothing has changed then.
    pub(crate) async fn undo_changes(
        &mut self,
        cx: &Cx,
        stored: &StoredMigration,
        plan: &ChangesPlan,
        how: (OnConflict, bool),
    ) -> Result<()> {
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
        self.session.begin(cx, mode).await?;
        let outcome = async {
            if is_transactional {
                self.load_changes(cx, (&before, &after), (&changed, &pairs))
                    .await?;
            }
            self.hold_changed(cx, &changed).await?;
            let tables = self.take_back(cx, &changed, &pairs, how).await?;
            if is_transactional {
                self.clear_shadows(cx).await?;
            }
            self.record_undone(cx, &stored.id).await?;
            Ok(tables)
        };
        let (tables, outcome) = match outcome.await {
            Ok(tables) => (tables, Ok(())),
            Err(error) => (Vec::new(), Err(explained(error))),
        };
        let outcome = self.end_transaction(cx, outcome).await;
        if !is_transactional {
            self.clear_shadows(&cx.shielded()).await.ok();
        }
        outcome?;
        cx.step("migration.committed");
        self.note_undone(&stored.id);
        self.report.changes.extend(tables);
        Ok(())
    }

    async fn hold_changed(&mut self, cx: &Cx, changed: &[Changed]) -> Result<()> {
        if !self.session.capability().holds_tables {
            return Ok(());
        }
        let tables: Vec<TableName> = changed.iter().map(|one| one.table.name.clone()).collect();
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

    async fn take_back(
        &mut self,
        cx: &Cx,
        changed: &[Changed],
        pairs: &[Pair],
        (policy, only_added): (OnConflict, bool),
    ) -> Result<Vec<TableChanges>> {
        let dialect = self.runner.dialect();
        let now = self.runner.schema(cx, &mut *self.session).await?;
        let others: Vec<Others<'_>> = changed
            .iter()
            .zip(pairs)
            .map(|(one, pair)| Others {
                table: &one.table,
                was: &pair.was.name,
                left: &pair.left.name,
            })
            .collect();
        let sqls: Vec<Sql<'_>> = changed
            .iter()
            .zip(&others)
            .enumerate()
            .map(|(index, (one, own))| Sql {
                dialect: &*dialect,
                table: own.table,
                columns: columns(one),
                was: own.was,
                left: own.left,
                schema: &now,
                circle: super::in_circle_with(&others, index),
                words: &super::conflicts::OF_MIGRATION,
            })
            .collect();
        let mut tables: Vec<TableChanges> = changed
            .iter()
            .map(|one| TableChanges::none(&one.table.name))
            .collect();
        let session = &mut *self.session;
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
            if let Some(back) = sql.take_key_back().filter(|_| policy == OnConflict::Revert) {
                found.changed_back += session.execute(cx, &back, &[]).await?;
            }
            sql.without_parents(cx, session, found).await?;
            found.brought_back += session.execute(cx, &sql.bring_back(), &[]).await?;
        }
        for (sql, found) in whole().zip(&mut tables) {
            sql.referring_to_nothing(cx, session, found).await?;
            if let Some(back) = sql.change_back(policy) {
                found.changed_back += session.execute(cx, &back, &[]).await?;
            }
        }
        for (sql, found) in sqls.iter().zip(&mut tables).rev() {
            sql.referred_to(cx, session, found).await?;
            found.removed += session.execute(cx, &sql.remove(policy), &[]).await?;
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

/// Returns the columns that were kept, as they are now.
fn columns(changed: &Changed) -> Vec<&walkback_core::catalog::Column> {
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
