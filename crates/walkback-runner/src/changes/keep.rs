//! Keeping the tables as a migration left them, inside its transaction.

use walkback_core::fingerprint::Fingerprinter;
use walkback_core::statement::{Action, Severity};
use walkback_core::{Cx, Result, ResultExt as _};
use walkback_vault::{Manifest, PointKind};

use crate::delta::SchemaDelta;
use crate::execute::{Execution, Outcome};
use crate::plan::{PlannedStep, PointScope};
use crate::point::{self, PointRequest};

impl Execution<'_> {
    /// Makes a point of the tables that the point before the migration holds, as the current transaction sees them.
    /// `None`: the migration does more or less than to change rows, some of these cannot be told apart, or nothing was
    /// kept before it.
    pub(crate) async fn keep_changes(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        before: Option<&Manifest>,
        outcome: &Outcome,
    ) -> Result<Option<Manifest>> {
        let is_of_rows_only =
            changes_rows(step) && SchemaDelta::between(&outcome.before, &outcome.after).is_of_rows_only();
        let Some(before) = before.filter(|_| is_of_rows_only) else {
            return Ok(None);
        };
        let tables: Vec<_> = before
            .tables
            .iter()
            .filter_map(|entry| outcome.after.table(&entry.table))
            .collect();
        if tables.is_empty() || tables.iter().any(|table| table.primary_key.is_empty()) {
            return Ok(None);
        }
        let request = PointRequest {
            kind: PointKind::AfterUp,
            prefix: "ch",
            about: &step.name,
            scope: &PointScope::None,
            description: Some(format!("after migration {}", step.name)),
            run_id: Some(self.run.id.clone()),
            of: None,
            grants: None,
        };
        let capability = self.session.capability().clone();
        let meta = point::meta(self.runner, &self.state, &capability, &outcome.after, &request);
        let mut writer = point::begin(self.runner.needed_vault()?, cx, &request, meta).await?;
        for table in tables {
            let slice = point::slice_of(table);
            let chunks = self.session.export(cx, &slice).await?;
            let part = writer.write_part(cx, &slice.table, chunks).await?;
            if writer.add_parts(&slice, vec![part])?.chunks == 0 {
                writer.set_fingerprint(&slice.table, Fingerprinter::new().finish())?;
            }
        }
        let written = writer
            .finish_all(cx)
            .await
            .wrap(|| format!("what `{}` changed cannot be kept", step.name))?;
        cx.step("changes.kept");
        let row = point::row_of(&written);
        self.journal().note_point(cx, &row).await?;
        Ok(Some(written.manifest))
    }
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
    let is_known = step
        .statements
        .iter()
        .all(|statement| statement.severity != Severity::Unknown);
    is_known
        && actions().any(is_of_rows)
        && actions().all(|action| is_of_rows(action) || matches!(action, Action::Read | Action::Session))
}
