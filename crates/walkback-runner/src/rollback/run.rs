//! Running a rollback: a safety point, then each migration by its means, checked, with the next means ready.

use std::collections::BTreeMap;

use walkback_core::catalog::{Object, Schema};
use walkback_core::{Cx, Error, ErrorKind, MigrationId, Result};

use super::{RollbackKind, RollbackPlan, RollbackStep};
use crate::audit::lost_in_words;
use crate::changes::{ChangesPlan, Whose, with_parts};
use crate::execute::{Execution, is_of_another_session};
use crate::gate;
use crate::hooks::Around;
use crate::journal::StoredMigration;
use crate::plan::{PointScope, RunKind};
use crate::protect::may_be_captured;
use crate::report::RunReport;
use crate::restore::{Exchange, RestorePlan};
use crate::rights;
use crate::runner::Runner;
use crate::settings::Consent;

/// Migrations whose scripts were tried and undone, and why.
type Unsound = BTreeMap<MigrationId, (ErrorKind, String)>;

/// What the journal names where a whole point is brought back, and no migration of its own.
const WHOLE: &str = "*";

impl Runner {
    /// Runs a rollback as planned. A safety point is made first, so that it can itself be walked back.
    ///
    /// A down script that fails, or that does not lead back to the schema before the migration, is undone,
    /// and the next sound means is taken; the report says so.
    ///
    /// # Errors
    /// As [`Runner::run`], and `Damaged` if a point cannot be read; nothing has changed then.
    pub async fn run_rollback(&self, cx: &Cx, plan: &RollbackPlan, consent: &Consent) -> Result<RunReport> {
        let admitted = gate::rollback(self.settings(), plan, consent);
        Box::pin(self.noting_refusal(cx, "rollback", consent, admitted)).await?;
        let (mut execution, steady) =
            Execution::begin(self, cx, RunKind::Rollback, consent, &rights::of_rollback(plan)).await?;
        let cx = &steady;
        execution.still_as_planned(&plan.applied)?;
        execution.lost = lost_in_words(plan.loss());
        execution.record(cx, &plan.from, &plan.to).await?;
        let around = Around::rollback();
        let outcome = match execution.before(cx, &around).await {
            Ok(()) => match execution.still_as_planned(&plan.applied) {
                Ok(()) => Box::pin(execution.rollback(cx, plan)).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        let outcome = execution.after(cx, &around, outcome).await;
        execution.conclude(cx, outcome).await
    }

    /// Restores a backup as planned. A safety point is made first.
    ///
    /// # Errors
    /// As [`Runner::run_rollback`].
    pub async fn run_restore(&self, cx: &Cx, plan: &RestorePlan, consent: &Consent) -> Result<RunReport> {
        Box::pin(self.check_restore(cx, plan, consent)).await?;
        let (mut execution, steady) =
            Execution::begin(self, cx, RunKind::Restore, consent, &rights::of_restore(plan)).await?;
        let cx = &steady;
        execution.still_as_planned(&plan.applied_before)?;
        let from = execution.state.heads(&execution.state.applied_set());
        let to = execution
            .state
            .heads(&plan.applied_after.iter().cloned().collect());
        execution.lost = lost_in_words(&plan.loss);
        execution.record(cx, &from, &to).await?;
        let around = Around::restore();
        let outcome = match execution.before(cx, &around).await {
            Ok(()) => match execution.still_as_planned(&plan.applied_before) {
                Ok(()) => Box::pin(execution.restore_whole(cx, plan, true)).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        if outcome.is_ok() {
            execution.give_back(cx, plan).await;
        }
        let outcome = execution.after(cx, &around, outcome).await;
        execution.conclude(cx, outcome).await
    }
}

impl Execution<'_> {
    fn still_as_planned(&self, applied: &[MigrationId]) -> Result<()> {
        if self.state.applied_set() == applied.iter().cloned().collect() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::CheckFailed,
            "the database is no longer what this plan was made for",
        )
        .hint("another run has changed it meanwhile; run the command again to plan anew"))
    }

    async fn rollback(&mut self, cx: &Cx, plan: &RollbackPlan) -> Result<()> {
        if let Some(restore) = &plan.restore {
            return self
                .restore_whole(cx, restore, plan.kind == RollbackKind::Backup)
                .await;
        }
        if let Some(load) = &plan.load {
            return Box::pin(self.roll_back_load(cx, load, plan.on_conflict)).await;
        }
        if let Some(changes) = self.only_changes(plan) {
            match self.undo_and_capture(cx, plan, changes).await {
                // The safety point keeps everything then, for the other means too.
                Err(error) if self.may_keep_all(plan, &error) => self.taken_back = None,
                done => return done,
            }
        }
        let mut scope = PointScope::None;
        let mut triggers: Vec<Object> = Vec::new();
        for step in &plan.steps {
            scope = scope.and(self.scope_of(cx, step, &mut triggers).await?);
        }
        if let Some(changes) = &plan.changes {
            scope = scope.and(PointScope::Tables(changes.tables.clone()));
        }
        let scope = with_parts(scope, &self.state.schema);
        if scope != PointScope::None {
            self.safety_point(cx, "rollback", &scope).await?;
        }
        if let Some(changes) = &plan.changes {
            return self.undo_captured(cx, plan, changes).await;
        }
        let mut unsound = Unsound::new();
        let warnings = self.report.warnings.len();
        while let Err((id, error)) = self.walk_back_all(cx, plan, &unsound).await {
            // Without transactions, undoing a down that proves unsound may take all steps back.
            let others = self.all_taken_back && may_go_on(&error) && self.has_other_means(&id)?;
            if plan.only_scripts || !others || unsound.contains_key(&id) {
                return Err(error);
            }
            self.all_taken_back = false;
            self.taken_back = None;
            self.report.applied.clear();
            self.report.warnings.truncate(warnings);
            unsound.insert(id, (error.kind(), error.to_string()));
        }
        Ok(())
    }

    /// Returns what is taken back, if that is nothing but rows: what the rollback itself changes is captured then where it
    /// can be, and no table is read for a safety point.
    fn only_changes<'p>(&self, plan: &'p RollbackPlan) -> Option<&'p ChangesPlan> {
        self.runner.engine().capture()?;
        self.runner.vault()?;
        if let Some(changes) = &plan.changes {
            return Some(changes);
        }
        let [step] = &plan.steps[..] else { return None };
        let stored = self.state.stored.get(&step.id)?;
        let changes = step.changes.as_ref().filter(|_| step.restore.is_none())?;
        let can_be = stored.point.is_none() || may_be_captured(&self.state.schema, &changes.tables);
        can_be.then_some(changes)
    }

    /// Takes back rows and captures what that changes, and tries again what another session has stopped.
    async fn undo_and_capture(&mut self, cx: &Cx, plan: &RollbackPlan, changes: &ChangesPlan) -> Result<()> {
        let mut tries = self.tries();
        self.captures_own = true;
        let outcome = loop {
            match self.undo_captured(cx, plan, changes).await {
                Err(error) if is_of_another_session(&error) => {
                    if let Err(error) = tries.again(cx, "the rollback", error).await {
                        break Err(error);
                    }
                    (self.needs_point, self.taken_back) = (None, None);
                }
                outcome => break outcome,
            }
        };
        self.captures_own = false;
        outcome
    }

    /// Returns whether what failed with what it changes captured may go on with a safety point: it cannot be captured, or
    /// the migration has a point, and with it other means.
    fn may_keep_all(&mut self, plan: &RollbackPlan, error: &Error) -> bool {
        if self.needs_point.take().is_some() {
            return true;
        }
        let stored = plan
            .steps
            .first()
            .and_then(|step| self.state.stored.get(&step.id));
        let has_point = stored.is_some_and(|stored| stored.point.is_some());
        has_point && may_go_on(error) && error.kind() != ErrorKind::Conflict
    }

    /// Takes back rows that were captured: those of a migration, or those of a rollback.
    async fn undo_captured(&mut self, cx: &Cx, plan: &RollbackPlan, changes: &ChangesPlan) -> Result<()> {
        let whose = match &plan.steps[..] {
            [step] => Whose::Migration(&step.id),
            _ if plan.of_scope => Whose::Scope,
            _ => Whose::Rollback(&plan.applied_after),
        };
        let only_added = plan.kind == RollbackKind::Partial;
        Box::pin(self.undo_changes(cx, whose, changes, (plan.on_conflict, only_added))).await
    }

    /// Walks back one migration after the other. For those in `unsound`, their script has been tried.
    async fn walk_back_all(
        &mut self,
        cx: &Cx,
        plan: &RollbackPlan,
        unsound: &Unsound,
    ) -> Result<(), (MigrationId, Error)> {
        for step in &plan.steps {
            let kept = self.keep_moved_back(cx).await;
            kept.map_err(|error| (step.id.clone(), error))?;
            let kept = self.keep_gone_over(cx, &step.id).await;
            kept.map_err(|error| (step.id.clone(), error))?;
            let stored = self.state.stored.get(&step.id).cloned();
            let outcome = match (cx.check(), unsound.get(&step.id), stored) {
                (Err(ended), _, _) => Err(ended),
                (Ok(()), Some((kind, message)), Some(stored)) => {
                    let error = Error::new(*kind, message);
                    self.walk_back_otherwise(cx, &stored, (step, plan.on_conflict), error)
                        .await
                }
                _ => self.walk_back_patiently(cx, step, plan).await,
            };
            outcome.map_err(|error| (step.id.clone(), error))?;
        }
        Ok(())
    }

    /// Returns what walking a migration back may take away, by whichever means. `triggers` are those that
    /// earlier steps bring back: they may fire in this one.
    async fn scope_of(
        &mut self,
        cx: &Cx,
        step: &RollbackStep,
        triggers: &mut Vec<Object>,
    ) -> Result<PointScope> {
        let stored = self.state.stored.get(&step.id).cloned();
        let mut restored = PointScope::None;
        if let Some(point) = stored.as_ref().and_then(|stored| stored.point.as_deref())
            && self.runner.vault().is_some()
        {
            match self.open_point(cx, point).await {
                Ok(manifest) => {
                    triggers.extend(manifest.schema.objects);
                    let held = manifest.tables.into_iter().map(|entry| entry.table);
                    restored = PointScope::Tables(held.collect());
                }
                Err(error) if step.down.is_none() => return Err(error),
                // A down script needs no point.
                Err(_) => {}
            }
        }
        let down = step.down.clone().map_or(PointScope::None, |mut down| {
            down.look(self.runner, &self.state.schema, triggers);
            triggers.extend(crate::reach::triggers_of(&down.statements));
            down.safety_scope()
        });
        let Some(stored) = stored else {
            return Ok(down);
        };
        let changed = stored
            .delta
            .created_tables()
            .chain(stored.delta.altered_tables())
            .cloned()
            .collect();
        let touched = stored
            .touched
            .clone()
            .map_or(PointScope::Everything, PointScope::Tables);
        Ok(down.and(touched).and(restored).and(PointScope::Tables(changed)))
    }

    /// Walks one migration back, and tries again what another session has stopped.
    async fn walk_back_patiently(&mut self, cx: &Cx, step: &RollbackStep, plan: &RollbackPlan) -> Result<()> {
        let mut tries = self.tries();
        while let Err(error) = Box::pin(self.walk_back(cx, step, plan)).await {
            let down = step.down.as_ref();
            let is_whole = down.is_none_or(|down| down.may_be_repeated(&self.state.capability));
            if self.all_taken_back || !is_whole {
                return Err(error);
            }
            let what = format!("the rollback of `{}`", step.name);
            tries.again(cx, &what, error).await?;
            self.taken_back = None;
        }
        Ok(())
    }

    /// Walks one migration back: by its script if that is the plan and it proves sound, else from its point.
    /// With `only_scripts` the script is run as it is, and what it leaves behind is a warning.
    async fn walk_back(&mut self, cx: &Cx, step: &RollbackStep, plan: &RollbackPlan) -> Result<()> {
        let stored = self.state.stored.get(&step.id).cloned();
        if let Some(changes) = &step.changes {
            let stored =
                stored.ok_or_else(|| Error::internal("changes were planned of a migration nobody knows"))?;
            return self
                .take_back_changes(cx, &stored, (step, changes), plan.on_conflict)
                .await;
        }
        let Some(down) = &step.down else {
            let stored =
                stored.ok_or_else(|| Error::internal("a full rollback was planned without a point"))?;
            return self.restore_migration(cx, &stored).await;
        };
        self.limit_waiting(cx, down).await?;
        if plan.only_scripts {
            return self.down(cx, down).await;
        }
        let strict = stored.is_some();
        let error = match self.down_checked(cx, down, strict).await {
            Ok(_) => return Ok(()),
            Err(error) if may_go_on(&error) && !self.all_taken_back => error,
            Err(error) => return Err(error),
        };
        let Some(stored) = stored else { return Err(error) };
        self.walk_back_otherwise(cx, &stored, (step, plan.on_conflict), error)
            .await
    }

    /// Brings back what was there before a migration, from its point, in one transaction.
    pub(super) async fn restore_migration(&mut self, cx: &Cx, stored: &StoredMigration) -> Result<()> {
        let point = stored.point.as_deref().ok_or_else(|| {
            Error::not_found(format!("no point was made before migration `{}`", stored.name()))
        })?;
        let manifest = self.open_point(cx, point).await?;
        let now = self.runner.schema(cx, &mut *self.session).await?;
        let exchange = Exchange::undoing(&stored.delta, stored.touched.as_deref(), &manifest, &now)?;
        self.load_ahead(cx, &manifest, &exchange).await?;
        self.begin_exchange(cx, stored.id.as_str(), point).await?;
        let outcome = async {
            let now = self.runner.schema(cx, &mut *self.session).await?;
            let exchange = Exchange::undoing(&stored.delta, stored.touched.as_deref(), &manifest, &now)?;
            self.keep_replaced(cx, &exchange, &now).await?;
            self.exchange(cx, &manifest, &exchange).await?;
            self.report.warnings.extend(exchange.warnings);
            self.record_exchange(cx).await?;
            self.note_rescue(cx, &stored.id, RollbackKind::Full).await?;
            self.record_undone(cx, &stored.id).await
        }
        .await;
        self.end_exchange(cx, stored.id.as_str(), outcome).await?;
        cx.step("restore.committed");
        self.note_undone(&stored.id);
        Ok(())
    }

    /// Brings a whole point or backup back, the ledger included.
    async fn restore_whole(&mut self, cx: &Cx, plan: &RestorePlan, everything: bool) -> Result<()> {
        let manifest = self.open_point(cx, &plan.point).await?;
        let tables = plan
            .replace
            .iter()
            .map(|(table, _)| table.clone())
            .chain(plan.drop_tables.iter().cloned());
        let scope = with_parts(PointScope::Tables(tables.collect()), &self.state.schema);
        self.safety_point(cx, "restore", &scope).await?;
        let exchange_with = |now: &Schema| {
            if everything || plan.only.is_some() {
                return Exchange::restoring(plan.only.as_deref(), &manifest, now);
            }
            let delta = crate::delta::SchemaDelta::between(&manifest.schema, now);
            Exchange::undoing(&delta, None, &manifest, now)
        };
        let now = self.runner.schema(cx, &mut *self.session).await?;
        self.load_ahead(cx, &manifest, &exchange_with(&now)?).await?;
        self.begin_exchange(cx, WHOLE, &plan.point).await?;
        let outcome = async {
            let now = self.runner.schema(cx, &mut *self.session).await?;
            let exchange = exchange_with(&now)?;
            self.keep_replaced(cx, &exchange, &now).await?;
            self.exchange(cx, &manifest, &exchange).await?;
            self.report.warnings.extend(exchange.warnings);
            self.record_exchange(cx).await?;
            self.settle_unfinished(cx).await?;
            let waited = self.waited_at(cx, &manifest.id).await?;
            self.set_ledger(cx, &plan.applied_after).await?;
            self.wait_again(cx, waited).await?;
            let left = exchange.replace.iter().map(|entry| entry.table.clone());
            self.note_left(cx, Some(left.collect())).await
        }
        .await;
        self.end_exchange(cx, WHOLE, outcome).await?;
        cx.step("restore.committed");
        self.report.restored_from = Some(manifest.id);
        Ok(())
    }

    /// Makes the ledger say exactly this, in the current transaction.
    pub(crate) async fn set_ledger(&mut self, cx: &Cx, applied: &[MigrationId]) -> Result<()> {
        let gone: Vec<_> = self
            .state
            .applied
            .iter()
            .map(|row| row.id.clone())
            .filter(|id| !applied.contains(id))
            .collect();
        for id in gone.iter().rev() {
            self.record_undone(cx, id).await?;
            self.note_undone(id);
        }
        for id in applied {
            if !self.state.is_applied(id) {
                self.insert_unrun(cx, id).await?;
                // It is there with all that it held.
                let run = self.run.id.clone();
                self.journal().return_rescues_of(cx, id, &run).await?;
            }
        }
        Ok(())
    }
}

/// Returns whether the next means may be tried after this error: the script was undone, nobody asked to stop.
pub(super) fn may_go_on(error: &Error) -> bool {
    !is_of_another_session(error)
        && !matches!(
            error.kind(),
            ErrorKind::Interrupted | ErrorKind::NeedsRecovery | ErrorKind::Unavailable | ErrorKind::Locked
        )
}
