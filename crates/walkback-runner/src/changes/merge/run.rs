//! Bringing tables back with what was written to them since.

use walkback_core::catalog::Schema;
use walkback_core::engine::SessionExt as _;
use walkback_core::name::ObjectKind;
use walkback_core::{Cx, DialectKind, Result};
use walkback_vault::Manifest;

use super::cells::Cell;
use super::convert::Converted;
use super::divided::Divided;
use super::references::{self, References};
use super::sql::MergeSql;
use super::{Carried, Merged, held};
use crate::changes::undo::{explained, stopped};
use crate::changes::{ChangesPlan, Names, OnConflict, TableChanges};
use crate::execute::Execution;
use crate::journal::StoredMigration;
use crate::load::Shadow;
use crate::restore::Exchange;
use crate::rollback::RollbackKind;

/// What is written into the shadows of an exchange before they take their places.
#[derive(Debug)]
pub(crate) struct Merging<'a> {
    /// Before the migration, and as it left its tables.
    points: (&'a Manifest, &'a Manifest),
    pub(super) tables: Vec<Merged>,
    carried: Vec<Carried>,
    pub(super) divided: Vec<Divided>,
    policy: OnConflict,
}

impl Execution<'_> {
    /// Takes back all that a migration did, definitions included, and keeps what was written since.
    ///
    /// # Errors
    /// `Conflict` if something was changed since and that is to stop it; nothing has changed then.
    pub(crate) async fn undo_merging(
        &mut self,
        cx: &Cx,
        stored: &StoredMigration,
        plan: &ChangesPlan,
        policy: OnConflict,
    ) -> Result<()> {
        let before = self.open_point(cx, &plan.before).await?;
        let after = self.open_point(cx, &plan.after).await?;
        self.begin_exchange(cx, stored.id.as_str(), &plan.before).await?;
        let outcome = async {
            let now = self.runner.schema(cx, &mut *self.session).await?;
            let mut exchange = Exchange::undoing(&stored.delta, stored.touched.as_deref(), &before, &now)?;
            if self.session.capability().holds_tables {
                self.session.hold_tables(cx, &held(&exchange, &now)).await?;
            } else {
                self.session.hold_until_swap(cx, &held(&exchange, &now)).await?;
            }
            let then = self.journal().after(cx, &stored.id).await?;
            let effects = self.journal().effects_of(cx, stored).await?;
            let points = (&before, &after);
            let names = Names::between(points, effects.as_deref())?;
            leave_sequences(&mut exchange, &now, &names);
            let tables = Merged::all(points, (&then, &names), &exchange, &now)?;
            let merging = Merging {
                points,
                divided: Divided::all(self.dialect.kind(), &tables),
                tables,
                carried: Carried::all(&*self.dialect, points, effects.as_deref(), (&exchange, &now)),
                policy,
            };
            self.keep_replaced(cx, &exchange, &now).await?;
            let mode = self.take_as_they_are(cx).await?;
            let tables = self
                .exchange_merging(cx, &before, &exchange, Some(&merging))
                .await;
            self.take_as_before(cx, mode).await?;
            let tables = tables?;
            self.report.warnings.extend(exchange.warnings);
            self.record_exchange(cx).await?;
            self.note_rescue(cx, &stored.id, RollbackKind::Surgical).await?;
            self.record_undone(cx, &stored.id).await?;
            Ok(tables)
        };
        let (tables, outcome) = match Box::pin(outcome).await {
            Ok(tables) => (tables, Ok(())),
            Err(error) => (Vec::new(), Err(explained(error))),
        };
        self.session.let_go(cx).await?;
        self.end_exchange(cx, stored.id.as_str(), outcome).await?;
        cx.step("restore.committed");
        self.note_undone(&stored.id);
        self.report.changes.extend(tables);
        Ok(())
    }

    /// Writes into shadows what was written since.
    pub(crate) async fn merge(
        &mut self,
        cx: &Cx,
        merging: &Merging<'_>,
        (shadows, exchange): (&[Shadow], &Exchange),
    ) -> Result<Vec<TableChanges>> {
        let now = self.runner.schema(cx, &mut *self.session).await?;
        let left = self.load_left(cx, merging, shadows.len(), &now).await?;
        let dialect = self.runner.dialect();
        if dialect.kind() == DialectKind::Postgres {
            // Knowing nothing of tables that were just made, it would compile what it takes for long, each time.
            self.session.execute(cx, "SET LOCAL jit = off", &[]).await?;
        }
        let first = shadows.len() + left.iter().flatten().count();
        let drafts = self.draft(cx, merging, (shadows, &left, first)).await?;
        let (fair, shadows) = (shadows, &drafts.shadows[..]);
        let find = |merged: &Merged| {
            let mut shadows = shadows.iter();
            shadows.find(|shadow| shadow.table.name == merged.then.name)
        };
        let converted = self.convert(cx, merging, (shadows, first)).await?;
        let sqls: Vec<MergeSql<'_>> = merging
            .tables
            .iter()
            .zip(&left)
            .zip(&converted)
            .filter_map(|((merged, left), converted)| {
                let left = left.as_ref().map(|left| &left.name);
                let converted = converted.as_ref();
                Some(MergeSql::new(
                    &*dialect,
                    merged,
                    &find(merged)?.name,
                    left,
                    converted,
                ))
            })
            .collect();
        let mut found: Vec<_> = sqls
            .iter()
            .map(|sql| TableChanges::none(&sql.merged.then.name))
            .collect();
        let mut written = Vec::new();
        let mut others: Vec<_> = shadows
            .iter()
            .map(|shadow| TableChanges::none(&shadow.table.name))
            .collect();
        for making in sqls
            .iter()
            .flat_map(|sql| &sql.cells)
            .flat_map(|cell| cell.making(&*dialect))
        {
            self.session.execute(cx, &making, &[]).await?;
        }
        for (sql, found) in sqls.iter().zip(&mut found).filter(|(sql, _)| sql.left.is_some()) {
            let schemas = (&merging.points.0.schema, &now);
            self.write_since(cx, sql, (merging.policy, schemas), found)
                .await?;
        }
        for carried in &merging.carried {
            let mut shadows = shadows.iter();
            if let Some(shadow) = shadows.find(|shadow| shadow.table.name == *carried.name()) {
                let session = &mut *self.session;
                written.extend(carried.write(cx, session, (&*dialect, shadow)).await?);
            }
        }
        if references::any(&merging.tables, shadows, &now) {
            let references = References {
                dialect: &*dialect,
                now: &now,
                shadows,
                drop_tables: &exchange.drop_tables,
                sqls: &sqls,
            };
            references
                .settle(cx, &mut *self.session, &mut found, &mut others)
                .await?;
        }
        for unmaking in sqls
            .iter()
            .flat_map(|sql| &sql.cells)
            .flat_map(|cell| cell.unmaking(&*dialect))
        {
            self.session.execute(cx, &unmaking, &[]).await?;
        }
        // The last ones first: what a kill leaves is found by numbers that leave none out.
        for unmaking in converted
            .iter()
            .rev()
            .flatten()
            .flat_map(|one| one.unmaking(&*dialect))
        {
            self.session.execute(cx, &unmaking, &[]).await?;
        }
        self.copy_fair(cx, &drafts, fair).await?;
        for left in left.iter().rev().flatten() {
            let sql = format!("DROP TABLE {}", dialect.quote_table(&left.name));
            self.session.execute(cx, &sql, &[]).await?;
        }
        self.keep_unplaced(cx, (&found, fair), &now).await?;
        found.retain(|table| table.conflicts > 0 || table.kept.is_some());
        found.extend(written);
        found.extend(others.into_iter().filter(|other| other.conflicts > 0));
        if merging.policy == OnConflict::Stop && found.iter().any(|table| table.conflicts > 0) {
            return Err(stopped(&found));
        }
        cx.step("changes.merged");
        Ok(found)
    }

    /// Converts the values of columns that have another type, where no expression can tell whether they fit.
    async fn convert(
        &mut self,
        cx: &Cx,
        merging: &Merging<'_>,
        (shadows, first): (&[Shadow], usize),
    ) -> Result<Vec<Option<Converted>>> {
        let dialect = self.runner.dialect();
        let mut names = (first..).map(Shadow::name_of);
        let mut all = Vec::new();
        for merged in &merging.tables {
            let cells = Cell::all(merged);
            let shadow = shadows
                .iter()
                .find(|shadow| shadow.table.name == merged.then.name);
            let is_needed =
                dialect.kind() == DialectKind::Mysql && cells.iter().any(|cell| cell.has_another_type());
            let (Some(shadow), true) = (shadow, is_needed) else {
                all.push(None);
                continue;
            };
            let mut name = || merged.then.name.renamed(names.next().unwrap_or_default());
            let converted = Converted::new(merged, name(), name());
            let live = merged.live(&*dialect);
            for making in converted.making(&*dialect, (&shadow.name, &live), &cells) {
                self.session.execute(cx, &making, &[]).await?;
            }
            all.push(Some(converted));
        }
        Ok(all)
    }

    /// Loads the tables as the migration left them that were written to since.
    async fn load_left(
        &mut self,
        cx: &Cx,
        merging: &Merging<'_>,
        first: usize,
        now: &Schema,
    ) -> Result<Vec<Option<Shadow>>> {
        let mut left = Vec::new();
        for merged in &merging.tables {
            let entry = &merged.after;
            let print = self.print(cx, now, &entry.table, &entry.columns).await?;
            if print.is_some() && print == entry.fingerprint {
                left.push(None);
                continue;
            }
            let shadow = Shadow::numbered(first + left.iter().flatten().count(), &merged.real, entry);
            self.session
                .create_shadow(cx, &shadow.table, &shadow.name)
                .await?;
            let point = if merged.is_unchanged {
                merging.points.0
            } else {
                merging.points.1
            };
            self.load(cx, point, &shadow).await?;
            left.push(Some(shadow));
        }
        Ok(left)
    }

    async fn write_since(
        &mut self,
        cx: &Cx,
        sql: &MergeSql<'_>,
        (policy, (then, now)): (OnConflict, (&Schema, &Schema)),
        found: &mut TableChanges,
    ) -> Result<()> {
        let session = &mut *self.session;
        let mut questions = sql.questions();
        if let Some(any) = sql.any_unchecked(policy)
            && session.fetch_optional(cx, &any, &[]).await?.is_some()
        {
            questions.extend(sql.unchecked());
        }
        for (question, what, column) in questions {
            let key = &sql.merged.then.primary_key;
            let asking = crate::changes::asking::Asking {
                dialect: sql.dialect,
                key,
            };
            asking.ask(cx, session, (&question, what), column, found).await?;
        }
        let kept = found.kept.get_or_insert_default();
        kept.deleted += session.execute(cx, &sql.delete(policy), &[]).await?;
        if let Some(change) = sql.change(policy) {
            kept.changed += session.execute(cx, &change, &[]).await?;
        }
        if let Some(replace) = sql.replace().filter(|_| policy != OnConflict::Revert) {
            kept.changed += session.execute(cx, &replace, &[]).await?;
        }
        kept.inserted += session.execute(cx, &sql.insert(policy), &[]).await?;
        sql.give_way(cx, session, then, found).await?;
        sql.leave_out_twins(cx, session, (then, now), found).await
    }
}

/// Leaves sequences where they stand: what was drawn from them since is in use.
fn leave_sequences(exchange: &mut Exchange, now: &Schema, names: &Names) {
    for object in &mut exchange.create_objects {
        if let Some(numbered) = names.numbered_on(object, now) {
            *object = numbered;
            continue;
        }
        // Where one stands is an object of its own on some engines.
        if matches!(object.kind, ObjectKind::Sequence | ObjectKind::Other)
            && let Some(live) = now.counterpart(object).filter(|live| live.facts == object.facts)
        {
            *object = live.clone();
        }
    }
}
