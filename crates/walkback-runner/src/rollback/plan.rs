//! Planning a rollback: the kind for each migration, and the loss, without writing a byte.

use std::collections::{BTreeMap, BTreeSet};

use walkback_core::catalog::{Schema, Table};
use walkback_core::{Access, Cx, Error, ErrorKind, MigrationId, Result, Session, TableName};

use super::named::meant_as_target;
use super::renamed::Renamed;
use super::whole::held;
use super::{RollbackKind, RollbackPlan, RollbackRequest, RollbackWhat};
use crate::changes::{Changed, ChangesPlan};
use crate::journal::{Journal, PointRow, RunRecord, RunStatus};
use crate::killed::is_walked_back;
use crate::loss::LossCounter;
use crate::others::heads_in;
use crate::plan::RunKind;
use crate::restore::{Exchange, RestorePlan};
use crate::runner::{DownTarget, Runner};
use crate::since;
use crate::state::State;

impl Runner {
    /// Plans a rollback. Nothing is written.
    ///
    /// # Errors
    /// `NotFound` if there is nothing to walk back or no point; `Refused` if no sound way back is known, with
    /// the reason and what can be forced.
    pub async fn plan_rollback(&self, cx: &Cx, request: &RollbackRequest) -> Result<RollbackPlan> {
        let mut session = self.connect(cx, Access::Read).await?;
        self.wait_for_rollback(cx, &mut *session).await?;
        let state = self.load(cx, &mut *session).await?;
        if request.kind == RollbackKind::Transaction {
            return plan_transaction(&state);
        }
        state.refuse_half_done()?;
        let run = self.named_run(cx, &mut *session, &request.what).await?;
        if run.is_none() {
            let names_nothing = request.what == RollbackWhat::LastRun;
            self.refuse_after_killed(cx, &mut *session, &state, names_nothing)
                .await?;
        }
        let mut planning = Planning::new(self, cx, &state, (&mut *session, state.schema.clone()));
        let what = run.as_ref().map_or(&request.what, |run| run);
        let mut plan = Box::pin(planning.way_back(what, request.kind))
            .await
            .map_err(|error| meant_as_target(&state, what, error))?;
        plan.on_conflict = request.on_conflict;
        super::load::look(&mut planning, &mut plan).await?;
        planning.tell_reverted(&mut plan).await?;
        Ok(plan)
    }

    /// Plans to bring back a backup, or chosen tables of it. Nothing is written.
    ///
    /// # Errors
    /// `NotFound` if there is no such backup or it does not hold a table.
    pub async fn plan_restore(
        &self,
        cx: &Cx,
        backup: &str,
        tables: &[String],
        set_version: Option<&str>,
    ) -> Result<RestorePlan> {
        let mut session = self.connect(cx, Access::Read).await?;
        let state = self.load(cx, &mut *session).await?;
        // Bringing back everything puts right what a killed run left; some tables alone do not.
        if !tables.is_empty() {
            state.refuse_half_done()?;
        }
        let mut planning = Planning::new(self, cx, &state, (&mut *session, state.schema.clone()));
        let manifest = planning.manifest(backup).await?;
        let only = (!tables.is_empty()).then(|| tables.iter().map(TableName::new).collect::<Vec<_>>());
        let exchange = Exchange::restoring(only.as_deref(), &manifest, &planning.schema)?;
        let mut plan = planning
            .restore_plan(&manifest, &exchange, held(&manifest))
            .await?;
        let replaced = exchange.replace.iter().map(|entry| &entry.table);
        plan.changed_since = since::changes(&manifest, &planning.schema, replaced);
        plan.applied_after = match (set_version, &only) {
            (Some(target), _) => state
                .graph
                .state_at(&state.applied_set(), &target.parse()?)?
                .into_iter()
                .collect(),
            (None, Some(_)) => state.applied.iter().map(|row| row.id.clone()).collect(),
            (None, None) => manifest.ledger.applied.iter().map(MigrationId::new).collect(),
        };
        plan.only = only;
        Ok(plan)
    }
}

pub(super) struct Planning<'a> {
    pub(super) runner: &'a Runner,
    pub(super) cx: &'a Cx,
    pub(super) state: &'a State,
    pub(super) session: &'a mut dyn Session,
    pub(super) schema: Schema,
    pub(super) losses: LossCounter,
    pub(super) renamed: Renamed,
    /// Tables that the steps planned so far change: what they are then; `None` if that is not known.
    pub(super) replaced: BTreeMap<TableName, Option<Table>>,
}

impl<'a> Planning<'a> {
    pub(super) fn new(
        runner: &'a Runner,
        cx: &'a Cx,
        state: &'a State,
        (session, schema): (&'a mut dyn Session, Schema),
    ) -> Self {
        Self {
            runner,
            cx,
            state,
            session,
            schema,
            losses: LossCounter::default(),
            renamed: Renamed::default(),
            replaced: BTreeMap::new(),
        }
    }
}

impl Planning<'_> {
    /// Plans the way back to what was asked for.
    async fn way_back(&mut self, what: &RollbackWhat, kind: RollbackKind) -> Result<RollbackPlan> {
        let load = match what {
            RollbackWhat::Point(id) => self.load_named(id).await?,
            _ => None,
        };
        let scope = match what {
            RollbackWhat::Point(id) if load.is_none() => self.scope_before(id).await?,
            _ => None,
        };
        match what {
            _ if load.is_some() => self.back_to_load(load.as_ref(), kind),
            _ if scope.is_some() => match &scope {
                Some(scope) => self.back_to_scope(scope, kind).await,
                None => Err(Error::internal("no scope was found to be taken back")),
            },
            RollbackWhat::Backup(id) => self.back_to_backup(id).await,
            RollbackWhat::Point(id)
                if matches!(
                    kind,
                    RollbackKind::Down | RollbackKind::Surgical | RollbackKind::Partial
                ) =>
            {
                let ids = self.since_point(id, kind).await?;
                self.migrations(&ids, kind).await
            }
            RollbackWhat::Point(id) => {
                self.refuse_unheld(id).await?;
                self.back_to_point(id, "it was asked for").await
            }
            RollbackWhat::Count(count) => {
                let ids = self.state.downs(&DownTarget::Count(*count))?;
                self.migrations(&ids, kind).await
            }
            RollbackWhat::To(target) => {
                let ids = self.state.downs(&DownTarget::To(target.clone()))?;
                self.migrations(&ids, kind).await
            }
            RollbackWhat::Since(moment) => self.back_to_moment(*moment, kind).await,
            RollbackWhat::Ahead => {
                let ids = self.state.beyond_checkout()?;
                self.migrations(&ids, kind).await
            }
            RollbackWhat::LastRun => self.last_run(kind).await,
            RollbackWhat::Run(id) => self.run(id, kind).await,
        }
    }

    /// Plans to undo the last run that changed something, whatever it was.
    async fn last_run(&mut self, kind: RollbackKind) -> Result<RollbackPlan> {
        let dialect = self.runner.dialect();
        let mut journal = Journal::new(self.session, &*dialect);
        let runs = if journal.exists(self.cx).await? {
            journal.runs(self.cx, None).await?
        } else {
            Vec::new()
        };
        // A procedure is walked back by the runs that it was made of.
        for run in runs.iter().filter(|run| is_walked_back(run)) {
            if let Some(plan) = self.back_before(run, kind).await? {
                return Ok(plan);
            }
        }
        let error = Error::not_found("there is no run to walk back");
        Err(if self.state.applied.is_empty() {
            error.hint("no migration is applied; `walkback status` shows what is there")
        } else {
            error
                .hint("`walkback rollback -n 1` walks back the newest migration, if a way back from it is known")
                .hint("`walkback rollback --backup-file <BACKUP>` goes back to a whole backup, or to a dump")
        })
    }

    /// Plans to undo one run by its name.
    async fn run(&mut self, id: &str, kind: RollbackKind) -> Result<RollbackPlan> {
        let dialect = self.runner.dialect();
        let runs = Journal::new(self.session, &*dialect).runs(self.cx, None).await?;
        let planned = match runs.iter().find(|run| run.id == id) {
            Some(run) => self.back_before(run, kind).await?,
            None => None,
        };
        planned.ok_or_else(|| Error::not_found(format!("run `{id}` has left nothing to walk back")))
    }

    /// Plans to undo one run. `None`: it changed nothing.
    async fn back_before(&mut self, run: &RunRecord, kind: RollbackKind) -> Result<Option<RollbackPlan>> {
        if run.kind == RunKind::Load.name() {
            return self.back_before_load(&run.id, kind).await;
        }
        if run.kind == RunKind::Scope.name() {
            return self.back_before_scope(run, kind).await;
        }
        let moved = run.from != run.to;
        let done = run.status == RunStatus::Done;
        if run.kind == "stamp" {
            return if moved { Err(only_stamped(run)) } else { Ok(None) };
        }
        let dialect = self.runner.dialect();
        let mut points = Journal::new(self.session, &*dialect)
            .points_of(self.cx, &run.id)
            .await?;
        let own = points.iter().rfind(|point| point.kind == "changes").cloned();
        // One made behind the point before a migration holds what that had left half-way when it was undone.
        let ups = points.iter().filter(|point| point.kind == "before_up");
        let first_up = ups.map(|point| point.created_at.clone()).min();
        points.retain(|point: &PointRow| {
            point.kind == "safety" && first_up.as_ref().is_none_or(|up| point.created_at <= *up)
        });
        let is_rollback = run.kind == RunKind::Rollback.name() && kind == RollbackKind::Auto;
        // That of a scope moves no migration.
        if let (Some(own), true, true) = (own, is_rollback && points.is_empty(), done || moved) {
            return self.back_to_changes(run, &own.id).await.map(Some);
        }
        if let (Some(point), true, true) = (points.first(), kind == RollbackKind::Auto, done || moved) {
            let why = format!(
                "the last run, `{}` ({}), walked back, and this is its safety point",
                run.id, run.kind
            );
            let plan = self.back_to_safety_point(&point.id, &run.id, &why).await;
            let about = format!("the last run, `{}` ({})", run.id, run.kind);
            let mut plan = plan.map_err(|error| self.gone(error, &point.id, &about))?;
            plan.warnings.extend(self.up_instead(&plan));
            return Ok(Some(plan));
        }
        if !moved && run.kind != "restore" && run.kind != "redo" {
            return Ok(None);
        }
        let before = heads_in(&run.from);
        let applied = self.state.applied_set();
        let kept = self.state.graph.ancestors(&before);
        let undo: BTreeSet<_> = applied.iter().filter(|id| !kept.contains(*id)).cloned().collect();
        if !undo.is_empty() {
            let ids = self.newest_first(&undo);
            return self.migrations(&ids, kind).await.map(Some);
        }
        if done {
            return Err(Error::not_found(format!("the last run, `{}` ({}), left nothing to walk back", run.id, run.kind))
                .hint("`walkback up` applies what it walked back; `walkback rollback -n 1` walks back the newest migration"));
        }
        // It failed or was killed before it had changed anything.
        Ok(None)
    }

    /// Plans to take back what a rollback had changed in rows, and captured.
    async fn back_to_changes(&mut self, run: &RunRecord, after: &str) -> Result<RollbackPlan> {
        let about = format!("the last run, `{}` ({})", run.id, run.kind);
        let left = self.manifest(after).await;
        let left = left.map_err(|error| self.gone(error, after, &about))?;
        let before = left.before.clone().ok_or_else(|| {
            Error::new(
                ErrorKind::Damaged,
                format!("`{after}` does not say which rows there were before"),
            )
        })?;
        let was = self.manifest(&before).await;
        let was = was.map_err(|error| self.gone(error, &before, &about))?;
        let changed = Changed::all(&was, &left, &self.schema)?;
        let applied_after: Vec<_> = was.ledger.applied.iter().map(MigrationId::new).collect();
        let then = applied_after.iter().cloned().collect();
        let reason = format!("{about}, walked back, and what it changed in rows was captured");
        Ok(RollbackPlan {
            changes: Some(ChangesPlan {
                before,
                after: after.to_owned(),
                tables: changed.into_iter().map(|changed| changed.table.name).collect(),
                beside: Vec::new(),
            }),
            applied_after,
            ..RollbackPlan::to(self.state, &then, RollbackKind::Surgical, reason)
        })
    }

    /// Plans to walk back migrations, newest first.
    pub(super) async fn migrations(
        &mut self,
        ids: &[MigrationId],
        kind: RollbackKind,
    ) -> Result<RollbackPlan> {
        let applied = self.state.applied_set();
        let after: BTreeSet<_> = applied.iter().filter(|id| !ids.contains(id)).cloned().collect();
        // A point holds what was there when its migration ran, branches that ran before it included: they are
        // taken in the reverse of the order in which they ran, not of the graph.
        let mut ids = ids.to_vec();
        if ids.iter().all(|id| self.state.stored.contains_key(id)) {
            ids.sort_by(|left, right| {
                self.state.stored[right]
                    .stored_at
                    .cmp(&self.state.stored[left].stored_at)
            });
        }
        let ids = &ids[..];
        let mut steps = Vec::new();
        for id in ids {
            steps.push(self.step(id, kind).await?);
        }
        for step in &steps {
            self.refuse_to_undo_others(step, ids)?;
        }
        let one = steps
            .first()
            .map(|step| step.kind)
            .filter(|kind| steps.iter().all(|step| step.kind == *kind));
        let reason = match (kind, &steps[..]) {
            (RollbackKind::Auto, [step]) => step.reason.clone(),
            (RollbackKind::Auto, _) => "each migration by the cheapest sound means".to_owned(),
            _ => "it was asked for".to_owned(),
        };
        Ok(RollbackPlan {
            steps,
            only_scripts: kind == RollbackKind::Down,
            ..RollbackPlan::to(self.state, &after, one.unwrap_or(RollbackKind::Auto), reason)
        })
    }

    /// Returns the migration that a point was made before, and all that were applied after it, newest first.
    async fn since_point(&mut self, id: &str, kind: RollbackKind) -> Result<Vec<MigrationId>> {
        let point = self.manifest(id).await?.id;
        let applied = self.state.applied_set();
        let stored = || {
            self.state
                .stored
                .values()
                .filter(|stored| applied.contains(&stored.id))
        };
        let Some(first) = stored().find(|stored| stored.point.as_deref() == Some(point.as_str())) else {
            return Err(Error::new(
                ErrorKind::Usage,
                format!(
                    "`--type {}` walks back migrations, and `{point}` is not the point before one that is applied",
                    kind.word()
                ),
            )
            .hint("`walkback point list` shows which point is of which migration")
            .hint(format!("`walkback rollback {point}` brings back everything as it was at that point")));
        };
        let since = stored().filter(|stored| stored.stored_at >= first.stored_at);
        let ids: Vec<_> = since.map(|stored| stored.id.clone()).collect();
        self.state.refuse_needed(&ids)?;
        Ok(ids)
    }

    pub(super) fn newest_first(&self, ids: &BTreeSet<MigrationId>) -> Vec<MigrationId> {
        let known = self
            .state
            .graph
            .iter()
            .map(|migration| &migration.id)
            .filter(|id| ids.contains(*id));
        known.rev().cloned().collect()
    }
}

/// Plans to let the database take back what a killed run had not committed: it already has.
fn plan_transaction(state: &State) -> Result<RollbackPlan> {
    state.refuse_half_done()?;
    let Some(run) = state.unfinished.first() else {
        return Err(
            Error::not_found("no run is unfinished: there is no transaction to roll back")
                .hint("`walkback rollback` walks back what the last run did"),
        );
    };
    let reason = format!(
        "run `{}` never ended; the database has taken back what it had not committed",
        run.id
    );
    Ok(RollbackPlan::staying(state, RollbackKind::Transaction, reason))
}
/// Says that a stamp is taken back by a stamp: it ran no script, and none may run to undo it.
fn only_stamped(run: &RunRecord) -> Error {
    let to = if run.from.is_empty() { "base" } else { &run.from };
    Error::new(
        ErrorKind::Refused,
        format!(
            "the last run, `{}`, was a stamp: it ran no script, and there is nothing to walk back",
            run.id
        ),
    )
    .hint(format!("run `walkback stamp {to}` to take the stamp back"))
    .hint("or `walkback rollback -n 1` to walk back the newest migration all the same")
}
