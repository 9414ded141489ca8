//! A script that another tool runs in a transaction of its own: what it changes is kept in that transaction.

use futures::StreamExt as _;
use walkback_core::bulk::TableSlice;
use walkback_core::catalog::Schema;
use walkback_core::engine::SessionExt as _;
use walkback_core::source::{ExternalRun, Pause, Watched};
use walkback_core::witness::{COPY, WHOLE, WITNESSED};
use walkback_core::{Cx, Direction, Result, ResultExt as _, TableName};
use walkback_vault::{Manifest, PointKind};

use super::Execution;
use crate::changes::Kept;
use crate::plan::{PlannedStatement, PlannedStep};
use crate::point;

/// What a transaction of another tool has left of itself.
#[derive(Debug, Default)]
pub(crate) struct Witnessed {
    /// The tables it has changed or made.
    pub(crate) touched: Vec<TableName>,
    /// The number of the copy of each.
    copies: Vec<i64>,
    /// Why it cannot be taken back cell by cell.
    why_not: Option<String>,
}

impl Execution<'_> {
    /// Returns whether what a statement changes is kept in the transaction of the tool that runs it.
    pub(super) fn watches(&self, step: &PlannedStep, statement: &PlannedStatement) -> bool {
        let is_atomic = statement
            .external
            .as_ref()
            .is_some_and(|external| external.atomic);
        is_atomic && step.direction == Direction::Up && self.runner.engine().witness().is_some()
    }

    /// Lets the tool run a script. Where what it changes can be kept, nobody else writes to the tables of the point from the
    /// beginning of its transaction on, and the point is seen to be true then.
    pub(super) async fn run_watched(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        index: usize,
        run: ExternalRun,
    ) -> Result<()> {
        let source = self.runner.source().clone();
        let engine = self.runner.engine().clone();
        let is_watched = self.watches(step, &step.statements[index]);
        let (Some(witness), Some(held), true) = (engine.witness(), &self.held, is_watched) else {
            return source.run(cx, &run).await;
        };
        let patience = step
            .script
            .lock_timeout
            .unwrap_or(self.runner.settings().lock_timeout);
        let tables: Vec<_> = held.tables.iter().map(|entry| entry.table.clone()).collect();
        let (pause, mut asked) = Pause::new();
        let run = run.watched(Watched {
            first: witness.first(&tables, patience),
            last: witness.last(self.home().as_deref()),
            pause,
        });
        let mut running = source.run(cx, &run);
        let mut refused = None;
        loop {
            tokio::select! {
                ran = &mut running => return match refused {
                    Some(error) => Err(error),
                    None => ran,
                },
                Some(answer) = asked.next() => {
                    let held = self.held.take();
                    let still = self.point_still_true(cx, step, &step.scope(), held).await;
                    let goes_on = still.is_ok();
                    match still {
                        Ok(point) => self.held = point,
                        Err(error) => refused = Some(error),
                    }
                    // If it has ended meanwhile, it says so itself.
                    answer.send(goes_on).ok();
                }
            }
        }
    }

    /// Returns the schema that the journal is in.
    fn home(&self) -> Option<String> {
        self.format.table.schema.clone()
    }

    /// Reads what the transaction of a script has left of itself, if it has.
    pub(crate) async fn witnessed(&mut self, cx: &Cx, after: &Schema) -> Result<Option<Witnessed>> {
        let home = self.home();
        let list = TableName {
            schema: home.clone(),
            name: WITNESSED.to_owned(),
        };
        if self.runner.engine().witness().is_none() || !self.session.has_table(cx, &list).await? {
            return Ok(None);
        }
        let sql = format!(
            "SELECT number, schema_name, table_name, why FROM {} ORDER BY number",
            self.dialect.quote_table(&list)
        );
        let rows = self.session.fetch_all(cx, &sql, &[]).await?;
        let mut witnessed = Witnessed::default();
        let mut is_whole = false;
        for row in rows {
            let number = row[0].as_i64().unwrap_or(-1);
            is_whole |= number == WHOLE;
            let (Some(schema), Some(name)) = (row[1].as_str(), row[2].as_str()) else {
                continue;
            };
            let is_it = |table: &TableName| {
                let of = table.schema.as_deref().or(after.home.as_deref());
                table.name == name && of == Some(schema)
            };
            if let Some(table) = after.tables.iter().find(|table| is_it(&table.name)) {
                witnessed.touched.push(table.name.clone());
                witnessed.copies.push(number);
            }
            if let Some(why) = row[3].as_str() {
                witnessed.why_not = Some(format!("of `{name}` it cannot be told: {why}"));
            }
        }
        Ok(is_whole.then_some(witnessed))
    }

    /// Makes a point of the tables as the script has left them, of their copies.
    pub(super) async fn keep_witnessed(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        witnessed: &Witnessed,
        after: &Schema,
    ) -> Result<Option<Manifest>> {
        let tables: Vec<_> = witnessed
            .touched
            .iter()
            .filter_map(|name| after.table(name))
            .collect();
        let without_key = tables.iter().find(|table| table.primary_key.is_empty());
        let why_not = match (&witnessed.why_not, without_key) {
            (Some(why), _) => Some(why.clone()),
            (None, Some(table)) => Some(format!("`{}` has no primary key", table.name)),
            (None, None) => None,
        };
        if let Some(why) = why_not {
            tracing::info!(migration = %step.name, why, "not kept as it was left");
            return Ok(None);
        }
        if tables.is_empty() || self.runner.vault().is_none() {
            return Ok(None);
        }
        let home = self.home();
        let slices = tables.into_iter().zip(&witnessed.copies).map(|(table, number)| {
            let slice = point::slice_of(table);
            let copy = TableName {
                schema: home.clone(),
                name: format!("{COPY}{number}"),
            };
            (
                TableSlice::new(copy, slice.columns.clone(), slice.order.clone()),
                slice,
            )
        });
        let kept = Kept {
            kind: PointKind::AfterUp,
            prefix: "ch",
            about: &step.name,
            description: format!("after migration {}", step.name),
            schema: after,
            before: None,
            slices: slices.collect(),
        };
        let written = self.keep(cx, kept).await;
        let manifest = written.wrap(|| format!("what `{}` changed cannot be kept", step.name))?;
        cx.step("changes.kept");
        Ok(Some(manifest))
    }

    /// Drops what the transaction of a script has left of itself.
    pub(crate) async fn forget_witnessed(&mut self, cx: &Cx) -> Result<()> {
        let home = self.home();
        let list = TableName {
            schema: home.clone(),
            name: WITNESSED.to_owned(),
        };
        let engine = self.runner.engine().clone();
        let Some(witness) = engine.witness() else {
            return Ok(());
        };
        if !self.session.has_table(cx, &list).await? {
            return Ok(());
        }
        let sql = format!(
            "SELECT number FROM {} WHERE number > {WHOLE}",
            self.dialect.quote_table(&list)
        );
        let rows = self.session.fetch_all(cx, &sql, &[]).await?;
        let copies: Vec<i64> = rows.iter().filter_map(|row| row[0].as_i64()).collect();
        for sql in witness.forget(home.as_deref(), &copies) {
            self.session.execute(cx, &sql, &[]).await?;
        }
        Ok(())
    }
}
