//! Keeping the tables as a migration left them, inside its transaction.

use walkback_core::bulk::TableSlice;
use walkback_core::capture::Captured;
use walkback_core::catalog::{Schema, Table};
use walkback_core::fingerprint::Fingerprinter;
use walkback_core::statement::{Action, Severity};
use walkback_core::{Cx, Result, ResultExt as _, TableName};
use walkback_vault::{Manifest, PointKind};

use super::Names;
use crate::delta::SchemaDelta;
use crate::execute::{Execution, Outcome};
use crate::plan::{PlannedStep, PointScope};
use crate::point::{self, PointRequest};

/// What a point within a transaction holds.
pub(crate) struct Kept<'a> {
    pub(crate) kind: PointKind,
    pub(crate) prefix: &'static str,
    pub(crate) about: &'a str,
    pub(crate) description: String,
    pub(crate) schema: &'a Schema,
    /// Of changed rows: the id of the point that holds them as they were.
    pub(crate) before: Option<&'a str>,
    /// What is read, and as what it is kept.
    pub(crate) slices: Vec<(TableSlice, TableSlice)>,
}

impl Execution<'_> {
    /// Makes a point of the tables that the point before the migration holds, and of those that it created, as the
    /// current transaction sees them. `None`: what was written to them since could not be told apart, or nothing was
    /// kept before it.
    pub(crate) async fn keep_changes(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        before: Option<&Manifest>,
        outcome: &Outcome,
    ) -> Result<Option<Manifest>> {
        let delta = SchemaDelta::between(&outcome.before, &outcome.after);
        let Some(before) = before.filter(|_| is_told_apart(step, &delta, outcome)) else {
            return Ok(None);
        };
        let held = before.tables.iter().map(|entry| &entry.table);
        // Of tables without a key nothing is gained by it.
        let has_key = |schema: &Schema, name| {
            let table: Option<&Table> = schema.table(name);
            table.is_some_and(|table| !table.primary_key.is_empty())
        };
        let mut tables: Vec<_> = held
            .filter(|name| has_key(&outcome.before, name) && has_key(&outcome.after, name))
            .filter_map(|name| outcome.after.table(name))
            .collect();
        let is_held = |table: &Table| before.table(&table.name).is_some();
        let created = delta
            .created_tables()
            .filter_map(|name| outcome.after.table(name));
        tables.extend(created.filter(|table| !table.primary_key.is_empty() && !is_held(table)));
        if tables.is_empty() {
            return Ok(None);
        }
        let slices = tables.into_iter().map(point::slice_of);
        let slices: Vec<_> = slices.map(|slice| (slice.clone(), slice)).collect();
        let kept = Kept {
            kind: PointKind::AfterUp,
            prefix: "ch",
            about: &step.name,
            description: format!("after migration {}", step.name),
            schema: &outcome.after,
            before: None,
            slices,
        };
        let written = self.keep(cx, kept).await;
        let manifest = written.wrap(|| format!("what `{}` changed cannot be kept", step.name))?;
        cx.step("changes.kept");
        Ok(Some(manifest))
    }

    /// Makes two points of what was captured: the rows as they were, and as they were left. Returns the second.
    pub(crate) async fn keep_captured(
        &mut self,
        cx: &Cx,
        about: &str,
        whose: &str,
        schema: &Schema,
    ) -> Result<Manifest> {
        let captured = std::mem::take(&mut self.captured);
        let slices = |side: fn(&Captured) -> &TableName| {
            let tables = captured.iter();
            let slices = tables.filter_map(|one| {
                let slice = point::slice_of(schema.table(&one.table)?);
                let read = TableSlice::new(side(one).clone(), slice.columns.clone(), slice.order.clone());
                Some((read, slice))
            });
            slices.collect::<Vec<_>>()
        };
        let kept = |words: &str, before, slices| Kept {
            kind: PointKind::Changes,
            prefix: "ch",
            about,
            description: format!("rows that {whose} changed, {words}"),
            schema,
            before,
            slices,
        };
        let was = kept("as they were", None, slices(|one| &one.was));
        let failed = || format!("what {whose} changed cannot be kept");
        let was = self.keep(cx, was).await.wrap(failed)?;
        let left = kept("as it left them", Some(was.id.as_str()), slices(|one| &one.left));
        let left = self.keep(cx, left).await.wrap(failed)?;
        cx.step("changes.kept");
        Ok(left)
    }

    /// Makes a point of tables as the current transaction sees them.
    pub(crate) async fn keep(&mut self, cx: &Cx, kept: Kept<'_>) -> Result<Manifest> {
        let request = PointRequest {
            kind: kept.kind,
            prefix: kept.prefix,
            about: kept.about,
            scope: &PointScope::None,
            description: Some(kept.description),
            run_id: Some(self.run.id.clone()),
            of: None,
            grants: None,
            before: kept.before,
        };
        let capability = self.session.capability().clone();
        let meta = point::meta(self.runner, &self.state, &capability, kept.schema, &request);
        let mut writer = point::begin(self.runner.needed_vault()?, cx, &request, meta).await?;
        for (read, slice) in kept.slices {
            let chunks = self.session.export(cx, &read).await?;
            let part = writer.write_part(cx, &slice.table, chunks).await?;
            if writer.add_parts(&slice, vec![part])?.chunks == 0 {
                writer.set_fingerprint(&slice.table, Fingerprinter::new().finish())?;
            }
        }
        let written = writer.finish_all(cx).await?;
        let row = point::row_of(&written);
        self.journal().note_point(cx, &row).await?;
        Ok(written.manifest)
    }
}

/// Returns whether it is known what a migration does, and can be taken back without what was written since.
fn is_told_apart(step: &PlannedStep, delta: &SchemaDelta, outcome: &Outcome) -> bool {
    let mut statements = step.statements.iter();
    let is_known = statements.all(|statement| statement.severity != Severity::Unknown);
    is_known
        && if delta.is_of_rows_only() {
            changes_rows(step)
        } else {
            has_names(step, outcome)
        }
}

/// Returns whether each name that was there before can be followed.
fn has_names(step: &PlannedStep, outcome: &Outcome) -> bool {
    let statements = step.statements.iter();
    let statements = statements.map(|statement| statement.effect.actions.as_slice());
    Names::follow(statements, &outcome.before, &outcome.after).is_ok()
}

/// Returns whether a migration changes rows, and every statement of it is known to do nothing else: a view that it
/// fills anew, say, would not go back with them.
fn changes_rows(step: &PlannedStep) -> bool {
    let actions = || {
        step.statements
            .iter()
            .flat_map(|statement| &statement.effect.actions)
    };
    let is_of_rows = |action: &Action| {
        matches!(
            action,
            Action::Insert { .. } | Action::Update { .. } | Action::Delete { .. } | Action::Truncate { .. }
        )
    };
    actions().any(is_of_rows)
        && actions().all(|action| is_of_rows(action) || matches!(action, Action::Read | Action::Session))
}
