//! Putting back what a rollback took away, once the migration is applied again.

use std::collections::BTreeMap;

use walkback_core::engine::{Begin, Swap};
use walkback_core::{Cx, Error, ErrorKind, MigrationId, Result, TableName};
use walkback_vault::Manifest;

use super::Rescued;
use super::lost::{Lost, lost, triggers};
use crate::changes::sift::Side;
use crate::changes::{TableChanges, no_way};
use crate::execute::Execution;
use crate::journal::RescueRow;

/// How the statements of one rescue are kept from taking the migration with them if they fail.
const SAVEPOINT: &str = "_walkback_rescue";

impl Execution<'_> {
    /// Puts back what rollbacks of a migration have taken away. What cannot be is a warning, and waits.
    ///
    /// `inside`: the transaction of the migration is still open, and nobody else can have written to its tables.
    pub(crate) async fn put_back(&mut self, cx: &Cx, id: &MigrationId, inside: bool) -> Result<()> {
        let waiting = self.state.rescues.iter().filter(|rescue| rescue.migration == *id);
        for rescue in waiting.cloned().collect::<Vec<_>>() {
            let outcome = if inside {
                self.put_back_inside(cx, &rescue).await?
            } else {
                Box::pin(self.put_back_alone(cx, &rescue)).await
            };
            match outcome {
                Ok(tables) => {
                    self.state.rescues.retain(|other| *other != rescue);
                    self.report.rescued.push(Rescued {
                        migration: self.state.named(id),
                        run: rescue.run_id,
                        tables,
                    });
                }
                Err(error) if is_of_the_moment(&error) => return Err(error),
                Err(error) => {
                    let points: Vec<_> = rescue.tables.iter().map(|aside| aside.point.as_str()).collect();
                    let warning = format!(
                        "what the rollback of `{}` had taken away is not put back: {error}; it stays in the point `{}`, \
                         and the next `walkback up` tries again",
                        self.state.named(id).name,
                        points.first().unwrap_or(&"")
                    );
                    self.report.warnings.push(warning);
                }
            }
        }
        Ok(())
    }

    /// Returns whether what comes back can do so in the transaction of the migration. Where tables are altered by
    /// making them anew that needs a transaction of another kind, in which the migration would not mean the same.
    pub(crate) fn puts_back_inside(&self) -> bool {
        let capability = self.session.capability();
        capability.transactional_ddl && !capability.alters_by_rebuild
    }

    /// Puts back within the transaction of the migration: both are there, or none.
    async fn put_back_inside(&mut self, cx: &Cx, rescue: &RescueRow) -> Result<Result<Vec<TableChanges>>> {
        self.session
            .execute(cx, &format!("SAVEPOINT {SAVEPOINT}"), &[])
            .await?;
        let outcome = Box::pin(self.put_back_rows(cx, rescue, true)).await;
        if outcome.is_err() {
            let back = format!("ROLLBACK TO SAVEPOINT {SAVEPOINT}");
            self.session.execute(&cx.shielded(), &back, &[]).await?;
        }
        self.session
            .execute(&cx.shielded(), &format!("RELEASE SAVEPOINT {SAVEPOINT}"), &[])
            .await?;
        Ok(outcome)
    }

    /// Puts back in a transaction of its own, after that of the migration.
    async fn put_back_alone(&mut self, cx: &Cx, rescue: &RescueRow) -> Result<Vec<TableChanges>> {
        let is_transactional = self.session.capability().transactional_ddl;
        let outcome = if is_transactional {
            self.session.begin(cx, Begin::Rebuild).await?;
            self.put_back_rows(cx, rescue, false).await
        } else {
            let mode = self.take_as_they_are(cx).await?;
            let outcome = self.put_back_loaded(cx, rescue).await;
            self.take_as_before(cx, mode).await?;
            outcome
        };
        let (tables, outcome) = match outcome {
            Ok(tables) => (tables, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        let outcome = self.end_transaction(cx, outcome).await;
        if !is_transactional {
            self.clear_shadows(&cx.shielded()).await.ok();
        }
        outcome?;
        cx.step("rescue.put-back");
        Ok(tables)
    }

    /// Loads what is put back first: the definition of a table would end the transaction.
    async fn put_back_loaded(&mut self, cx: &Cx, rescue: &RescueRow) -> Result<Vec<TableChanges>> {
        let now = self.runner.schema(cx, &mut *self.session).await?;
        let points = self.points_of(cx, rescue).await?;
        let (lost, base) = lost(rescue, &points, &now)?;
        if let Some(trigger) = triggers(&lost, &now).first() {
            let table = trigger.on.as_ref().unwrap_or(&trigger.name);
            let why = format!("its trigger `{}` would fire on what comes back", trigger.name);
            return Err(no_way(table, &why));
        }
        self.load_lost(cx, &lost, base).await?;
        self.session.begin(cx, Begin::Write).await?;
        self.hold_lost(cx, &lost).await?;
        let tables = self.write_lost(cx, &rescue.migration, &lost, false).await?;
        self.journal()
            .forget_rescue(cx, &rescue.run_id, &rescue.migration)
            .await?;
        Ok(tables)
    }

    /// Puts back in the current transaction, in which definitions can be made too.
    async fn put_back_rows(
        &mut self,
        cx: &Cx,
        rescue: &RescueRow,
        inside: bool,
    ) -> Result<Vec<TableChanges>> {
        let now = self.runner.schema(cx, &mut *self.session).await?;
        let points = self.points_of(cx, rescue).await?;
        let (lost, base) = lost(rescue, &points, &now)?;
        self.hold_lost(cx, &lost).await?;
        let triggers = triggers(&lost, &now);
        let without = Swap {
            drop_objects: triggers.clone(),
            ..Swap::default()
        };
        if !triggers.is_empty() {
            self.session.swap(cx, &without).await?;
        }
        self.load_lost(cx, &lost, base).await?;
        let tables = self.write_lost(cx, &rescue.migration, &lost, inside).await?;
        self.clear_shadows(cx).await?;
        if !triggers.is_empty() {
            let with = Swap {
                create_objects: triggers,
                ..Swap::default()
            };
            self.session.swap(cx, &with).await?;
        }
        self.journal()
            .forget_rescue(cx, &rescue.run_id, &rescue.migration)
            .await?;
        Ok(tables)
    }

    async fn points_of(&mut self, cx: &Cx, rescue: &RescueRow) -> Result<BTreeMap<String, Manifest>> {
        let asides = rescue.tables.iter();
        let asides = asides.flat_map(|aside| std::iter::once(&aside.point).chain(&aside.left));
        let mut points = BTreeMap::new();
        for id in asides.chain(&rescue.changes) {
            if !points.contains_key(id) {
                points.insert(id.clone(), self.open_point(cx, id).await?);
            }
        }
        Ok(points)
    }

    async fn hold_lost(&mut self, cx: &Cx, lost: &[Lost<'_>]) -> Result<()> {
        if !self.session.capability().holds_tables {
            return Ok(());
        }
        let tables: Vec<TableName> = lost.iter().map(|one| one.table.name.clone()).collect();
        self.session.hold_tables(cx, &tables).await
    }

    async fn load_lost(&mut self, cx: &Cx, lost: &[Lost<'_>], base: Option<&Manifest>) -> Result<()> {
        let now = self.runner.schema(cx, &mut *self.session).await?;
        for one in lost {
            self.note_homes(one.point, &now);
        }
        self.clear_shadows(cx).await?;
        for one in lost {
            let sides = [
                (one.point, &one.was, &one.gone),
                (base.unwrap_or(one.point), &one.left, &one.new),
            ];
            let sides = sides.map(|(manifest, shadow, ranges)| Side {
                manifest,
                shadow,
                ranges,
            });
            if one.was.entry.columns == one.left.entry.columns {
                self.load_difference(cx, sides).await?;
            } else {
                for side in sides {
                    self.load_side(cx, side).await?;
                }
            }
            if let Some((manifest, shadow)) = &one.without {
                self.session
                    .create_shadow(cx, &shadow.table, &shadow.name)
                    .await?;
                self.load(cx, manifest, shadow).await?;
                self.session
                    .index_shadow(cx, &shadow.table, &shadow.name, &[])
                    .await?;
            }
        }
        Ok(())
    }
}

/// Returns whether an error says nothing about what is put back, and ends the run.
fn is_of_the_moment(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::NeedsRecovery)
}
