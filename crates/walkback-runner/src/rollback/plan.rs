//! Planning a rollback: the kind for each migration, and the loss, without writing a byte.

use std::collections::{BTreeMap, BTreeSet};

use walkback_core::catalog::Schema;
use walkback_core::{Access, Cx, Error, ErrorKind, MigrationId, Result, Session, TableName};
use walkback_vault::{Manifest, TableEntry};

use super::{RollbackKind, RollbackPlan, RollbackRequest, RollbackStep, RollbackWhat};
use crate::delta::SchemaDelta;
use crate::identity;
use crate::journal::{Journal, PointRow, RunRecord, RunStatus, StoredMigration, TableThen};
use crate::loss::LossCounter;
use crate::plan::{PlannedStep, Planner, Verdict};
use crate::restore::{Exchange, RestorePlan, check_manifest};
use crate::runner::{DownTarget, Runner};
use crate::state::State;

impl Runner {
    /// Plans a rollback. Nothing is written.
    ///
    /// # Errors
    /// `NotFound` if there is nothing to walk back or no point; `Refused` if no sound way back is known, with
    /// the reason and what can be forced.
    pub async fn plan_rollback(&self, cx: &Cx, request: &RollbackRequest) -> Result<RollbackPlan> {
        let mut session = self.connect(cx, Access::Read).await?;
        let state = self.load(cx, &mut *session).await?;
        if request.kind == RollbackKind::Transaction {
            return plan_transaction(&state);
        }
        state.refuse_half_done()?;
        let schema = self.schema(cx, &mut *session).await?;
        let mut planning = Planning {
            runner: self,
            cx,
            state: &state,
            session: &mut *session,
            schema,
            losses: LossCounter::default(),
        };
        match &request.what {
            RollbackWhat::Backup(id) => planning.back_to_backup(id).await,
            RollbackWhat::Point(id) => {
                planning.refuse_unheld(id).await?;
                planning.back_to_point(id, "it was asked for").await
            }
            RollbackWhat::Count(count) => {
                let ids = state.downs(&DownTarget::Count(*count))?;
                planning.migrations(&ids, request.kind).await
            }
            RollbackWhat::To(target) => {
                let ids = state.downs(&DownTarget::To(target.clone()))?;
                planning.migrations(&ids, request.kind).await
            }
            RollbackWhat::LastRun => planning.last_run(request.kind).await,
        }
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
        let schema = self.schema(cx, &mut *session).await?;
        let mut planning = Planning {
            runner: self,
            cx,
            state: &state,
            session: &mut *session,
            schema,
            losses: LossCounter::default(),
        };
        let manifest = planning.manifest(backup).await?;
        let only = (!tables.is_empty()).then(|| tables.iter().map(TableName::new).collect::<Vec<_>>());
        let exchange = Exchange::restoring(only.as_deref(), &manifest, &planning.schema)?;
        let mut plan = planning.restore_plan(&manifest, &exchange, None).await?;
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
}

impl Planning<'_> {
    /// Plans to undo the last run that changed something, whatever it was.
    async fn last_run(&mut self, kind: RollbackKind) -> Result<RollbackPlan> {
        let dialect = self.runner.dialect();
        let mut journal = Journal::new(self.session, &*dialect);
        let runs = if journal.exists(self.cx).await? {
            journal.runs(self.cx, None).await?
        } else {
            Vec::new()
        };
        for run in runs.iter().filter(|run| run.kind != "recover") {
            if let Some(plan) = self.back_before(run, kind).await? {
                return Ok(plan);
            }
        }
        let error = Error::not_found("there is no run to walk back");
        Err(if self.state.applied.is_empty() {
            error.hint("no migration is applied; `walkback status` shows what is there")
        } else {
            error.hint("`walkback rollback -n 1` walks back the newest migration")
        })
    }

    /// Plans to undo one run. `None`: it changed nothing.
    async fn back_before(&mut self, run: &RunRecord, kind: RollbackKind) -> Result<Option<RollbackPlan>> {
        let moved = run.from != run.to;
        let done = run.status == RunStatus::Done;
        if run.kind == "stamp" {
            return if moved { Err(only_stamped(run)) } else { Ok(None) };
        }
        let dialect = self.runner.dialect();
        let mut points = Journal::new(self.session, &*dialect)
            .points_of(self.cx, &run.id)
            .await?;
        points.retain(|point: &PointRow| point.kind == "safety");
        if let (Some(point), true, true) = (points.first(), kind == RollbackKind::Auto, done || moved) {
            let why = format!(
                "the last run, `{}` ({}), walked back, and this is its safety point",
                run.id, run.kind
            );
            let plan = self.back_to_point(&point.id, &why).await;
            let about = format!("the last run, `{}` ({})", run.id, run.kind);
            return plan
                .map(Some)
                .map_err(|error| self.gone(error, &point.id, &about));
        }
        if !moved && run.kind != "restore" && run.kind != "redo" {
            return Ok(None);
        }
        let before: BTreeSet<_> = split(&run.from);
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

    /// Plans to walk back migrations, newest first.
    async fn migrations(&mut self, ids: &[MigrationId], kind: RollbackKind) -> Result<RollbackPlan> {
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
            kind: one.unwrap_or(RollbackKind::Auto),
            reason,
            from: self.state.heads(&applied),
            to: self.state.heads(&after),
            steps,
            restore: None,
            warnings: Vec::new(),
            applied: applied.into_iter().collect(),
        })
    }

    async fn step(&mut self, id: &MigrationId, kind: RollbackKind) -> Result<RollbackStep> {
        let stored = self.state.stored.get(id);
        match kind {
            RollbackKind::Down => self.by_down(id, "it was asked for".to_owned()).await,
            RollbackKind::Full => {
                let stored = stored.ok_or_else(|| self.no_point(id))?;
                self.by_point(stored, "it was asked for".to_owned()).await
            }
            RollbackKind::Backup => Err(Error::new(
                ErrorKind::Usage,
                "`--type backup` needs the backup to restore",
            )
            .hint("`walkback rollback --backup-file <BACKUP>`; `walkback backup list` shows what there is")),
            RollbackKind::Auto | RollbackKind::Transaction => self.by_the_cheapest(id).await,
        }
    }

    /// Chooses as DESIGN section 5 says: a sound and lossless down, else the point, else nothing.
    async fn by_the_cheapest(&mut self, id: &MigrationId) -> Result<RollbackStep> {
        let stored = self.state.stored.get(id);
        let verdict = self.verdict(id).await?;
        if verdict == Verdict::Lossless {
            return self.by_down(id, "its way down is lossless".to_owned()).await;
        }
        match stored {
            Some(stored) if stored.point.is_some() && self.runner.vault().is_some() => {
                let reason = format!("a point was made before it, and its way down is {verdict}");
                self.by_point(stored, reason).await
            }
            _ => Err(Error::new(
                ErrorKind::Refused,
                format!(
                    "no sound way back from `{}` is known: its way down is {verdict}, and no point was made before it",
                    self.state.named(id).name
                ),
            )
            .hint("`walkback rollback --type down` runs its down script all the same, if it has one")
            .hint("`walkback rollback --backup-file <BACKUP>` restores a whole backup; `walkback backup list` shows them")),
        }
    }

    /// Returns what the way down of a migration is worth, also of one that another tool has applied.
    async fn verdict(&self, id: &MigrationId) -> Result<Verdict> {
        if let Some(stored) = self.state.stored.get(id) {
            return Ok(stored.verdict.clone());
        }
        if !self.state.in_checkout.contains(id) {
            return Ok(Verdict::Unknown {
                why: "nobody knows what it did".to_owned(),
            });
        }
        Ok(Planner::new(self.runner, self.state)
            .up_step(self.cx, id)
            .await?
            .verdict)
    }

    async fn by_down(&mut self, id: &MigrationId, reason: String) -> Result<RollbackStep> {
        let down = Planner::new(self.runner, self.state)
            .down_step(self.cx, id)
            .await?;
        let loss = self.loss_of_down(id, &down.script).await?;
        Ok(RollbackStep {
            id: id.clone(),
            name: down.name.clone(),
            kind: RollbackKind::Down,
            reason,
            down: Some(down),
            restore: None,
            loss,
        })
    }

    async fn by_point(&mut self, stored: &StoredMigration, reason: String) -> Result<RollbackStep> {
        let point = stored.point.as_deref().ok_or_else(|| self.no_point(&stored.id))?;
        let manifest = self.manifest(point).await.map_err(|error| {
            let about = format!("migration `{}`", stored.name());
            let error = self.gone(error, point, &about);
            if stored.down_sql.is_some() || stored.derived_sql.is_some() {
                error.hint(format!(
                    "or run `walkback rollback --type down`, without the point: its way down is {}",
                    stored.verdict
                ))
            } else {
                error
            }
        })?;
        let exchange = Exchange::undoing(&stored.delta, stored.touched.as_deref(), &manifest, &self.schema)?;
        let mut restore = self.restore_plan(&manifest, &exchange, Some(&stored.id)).await?;
        restore.applied_after.retain(|id| *id != stored.id);
        let loss = std::mem::take(&mut restore.loss);
        Ok(RollbackStep {
            id: stored.id.clone(),
            name: stored.name(),
            kind: RollbackKind::Full,
            reason,
            down: None,
            restore: Some(restore),
            loss,
        })
    }

    /// Plans to bring back everything as it was at a point.
    async fn back_to_point(&mut self, id: &str, why: &str) -> Result<RollbackPlan> {
        let manifest = self.manifest(id).await?;
        let delta = SchemaDelta::between(&manifest.schema, &self.schema);
        let exchange = Exchange::undoing(&delta, None, &manifest, &self.schema)?;
        self.whole(&manifest, &exchange, RollbackKind::Full, why).await
    }

    /// Refuses to restore tables that a later migration, which stays applied, has changed too: its work would
    /// be gone, and the ledger would still say that it is there.
    fn refuse_to_undo_others(&self, step: &RollbackStep, undone: &[MigrationId]) -> Result<()> {
        let (Some(restore), Some(stored)) = (&step.restore, self.state.stored.get(&step.id)) else {
            return Ok(());
        };
        let mut later = self
            .state
            .stored
            .values()
            .filter(|other| other.stored_at > stored.stored_at && !undone.contains(&other.id));
        let tables: Vec<&TableName> = restore.replace.iter().map(|(table, _)| table).collect();
        let shared = |other: &StoredMigration| {
            let mut touched = other.touched.iter().flatten().chain(other.delta.altered_tables());
            let is_replaced = |name: &&TableName| {
                tables
                    .iter()
                    .any(|table| table.name.eq_ignore_ascii_case(&name.name))
            };
            touched.find(is_replaced).cloned()
        };
        let Some((other, table)) = later.find_map(|other| shared(other).map(|table| (other, table))) else {
            return Ok(());
        };
        Err(Error::new(
            ErrorKind::Refused,
            format!(
                "restoring `{table}` as it was before `{}` would also undo `{}`, which stays applied",
                step.name,
                other.name()
            ),
        )
        .hint(format!(
            "walk back `{}` first, or both at once with `--to`",
            other.name()
        ))
        .hint(format!(
            "`walkback rollback --type down` runs the down script of `{}`, if it has one",
            step.name
        )))
    }

    /// Refuses to go back to a point that does not hold what migrations have changed since: the ledger would
    /// say that they are walked back, and what they wrote would still be there.
    async fn refuse_unheld(&mut self, id: &str) -> Result<()> {
        let manifest = self.manifest(id).await?;
        let dialect = self.runner.dialect();
        let mut journal = Journal::new(self.session, &*dialect);
        let stored = if journal.exists(self.cx).await? {
            journal.stored_migrations(self.cx).await?
        } else {
            BTreeMap::new()
        };
        let then: BTreeSet<_> = manifest.ledger.applied.iter().map(MigrationId::new).collect();
        let now = self.state.applied_set();
        let made = identity::moment(manifest.created_at);
        let again = |id: &&MigrationId| stored.get(*id).is_some_and(|stored| stored.stored_at > made);
        let since = then
            .symmetric_difference(&now)
            .chain(then.intersection(&now).filter(again));
        for migration in since {
            let Some(table) = unheld(&manifest, stored.get(migration)) else {
                continue;
            };
            let name = self.state.named(migration).name;
            return Err(Error::new(
                ErrorKind::Refused,
                format!(
                    "the point `{}` does not hold table `{table}`, which migration `{name}` has changed since",
                    manifest.id
                ),
            )
            .hint(format!("`walkback rollback --to {}` walks back one migration after the other", target_of(&manifest)))
            .hint("`walkback rollback --backup-file <BACKUP>` restores a whole backup; `walkback backup list` shows them"));
        }
        Ok(())
    }

    async fn back_to_backup(&mut self, id: &str) -> Result<RollbackPlan> {
        let manifest = self.manifest(id).await?;
        let exchange = Exchange::restoring(None, &manifest, &self.schema)?;
        self.whole(&manifest, &exchange, RollbackKind::Backup, "it was asked for")
            .await
    }

    async fn whole(
        &mut self,
        manifest: &Manifest,
        exchange: &Exchange,
        kind: RollbackKind,
        why: &str,
    ) -> Result<RollbackPlan> {
        let mut restore = self.restore_plan(manifest, exchange, None).await?;
        restore.applied_after = manifest.ledger.applied.iter().map(MigrationId::new).collect();
        let applied = self.state.applied_set();
        let after = restore.applied_after.iter().cloned().collect();
        Ok(RollbackPlan {
            kind,
            reason: why.to_owned(),
            from: self.state.heads(&applied),
            to: self.state.heads(&after),
            steps: Vec::new(),
            restore: Some(restore),
            warnings: Vec::new(),
            applied: applied.into_iter().collect(),
        })
    }

    /// Describes an exchange, with what it takes away: for a migration, what was written since it had run.
    async fn restore_plan(
        &mut self,
        manifest: &Manifest,
        exchange: &Exchange,
        migration: Option<&MigrationId>,
    ) -> Result<RestorePlan> {
        let after = match migration {
            Some(id) => self.after(id).await?,
            None => held(manifest),
        };
        let replaced = exchange.replace.iter().map(|entry| &entry.table);
        let mut loss = Vec::new();
        for table in replaced.chain(&exchange.drop_tables) {
            loss.extend(self.loss_of(table, after.get(&table.to_string())).await?);
        }
        exchange
            .replace
            .iter()
            .for_each(|entry| self.losses.expect(entry));
        let (create_objects, drop_objects) = exchange.changed_objects();
        Ok(RestorePlan {
            point: manifest.id.clone(),
            created_at: identity::moment(manifest.created_at),
            replace: exchange
                .replace
                .iter()
                .map(|entry| (entry.table.clone(), entry.rows))
                .collect(),
            drop_tables: exchange.drop_tables.clone(),
            create_objects,
            drop_objects,
            applied_after: self.state.applied.iter().map(|row| row.id.clone()).collect(),
            loss,
            warnings: exchange.warnings.clone(),
            only: None,
            applied_before: self.state.applied.iter().map(|row| row.id.clone()).collect(),
        })
    }

    async fn manifest(&mut self, id: &str) -> Result<Manifest> {
        let manifest = self.runner.needed_vault()?.open(self.cx, id).await?;
        let dialect = self.runner.dialect();
        let mut journal = Journal::new(self.session, &*dialect);
        let expected = if journal.exists(self.cx).await? {
            journal.manifest_hash(self.cx, &manifest.id).await?
        } else {
            None
        };
        check_manifest(&manifest, expected.as_deref())?;
        if manifest.database.dialect != dialect.kind() {
            return Err(Error::new(
                ErrorKind::Usage,
                format!(
                    "`{}` is of {}, and this database is {}",
                    manifest.id,
                    manifest.database.product,
                    dialect.kind()
                ),
            ));
        }
        Ok(manifest)
    }

    /// Says that a point is missing, if that is the error: the journal knows that it was made.
    fn gone(&self, error: Error, point: &str, about: &str) -> Error {
        let Some(vault) = self
            .runner
            .vault()
            .filter(|_| error.kind() == ErrorKind::NotFound)
        else {
            return error;
        };
        Error::new(
            ErrorKind::Damaged,
            format!("the point `{point}`, made before {about}, is no longer in the vault at `{}`", vault.location()),
        )
        .hint("bring the vault back from a copy, or correct `path` of the store, and run the same command again")
    }

    fn newest_first(&self, ids: &BTreeSet<MigrationId>) -> Vec<MigrationId> {
        let known = self
            .state
            .graph
            .iter()
            .map(|migration| &migration.id)
            .filter(|id| ids.contains(*id));
        known.rev().cloned().collect()
    }

    fn no_point(&self, id: &MigrationId) -> Error {
        Error::not_found(format!("no point was made before migration `{}`", self.state.named(id).name))
            .hint("it changed nothing that needs one, or there was no vault; `walkback rollback --type down` runs its down script")
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
    let applied = state.applied_set();
    let heads = state.heads(&applied);
    Ok(RollbackPlan {
        kind: RollbackKind::Transaction,
        reason: format!(
            "run `{}` never ended; the database has taken back what it had not committed",
            run.id
        ),
        from: heads.clone(),
        to: heads,
        steps: Vec::new(),
        restore: None,
        warnings: Vec::new(),
        applied: applied.into_iter().collect(),
    })
}

/// Returns a table that a migration changes and that a point knows but does not hold.
fn unheld(manifest: &Manifest, migration: Option<&StoredMigration>) -> Option<TableName> {
    let known = |name: &TableName| crate::reach::find(&manifest.schema, name).map(|table| table.name.clone());
    let changed: Vec<TableName> = match migration {
        Some(StoredMigration {
            touched: Some(touched),
            delta,
            ..
        }) => touched
            .iter()
            .chain(delta.altered_tables())
            .chain(delta.created_tables())
            .filter_map(known)
            .collect(),
        _ => manifest
            .schema
            .tables
            .iter()
            .map(|table| table.name.clone())
            .collect(),
    };
    changed.into_iter().find(|table| manifest.table(table).is_none())
}

/// Returns what was applied when a point was made, as a target.
fn target_of(manifest: &Manifest) -> &str {
    manifest.ledger.heads.first().map_or("base", String::as_str)
}

/// Returns the tables as a point holds them.
fn held(manifest: &Manifest) -> BTreeMap<String, TableThen> {
    let then = |entry: &TableEntry| {
        let print = entry.fingerprint.clone()?;
        Some((
            entry.table.to_string(),
            TableThen {
                columns: entry.columns.clone(),
                print,
            },
        ))
    };
    manifest.tables.iter().filter_map(then).collect()
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

fn split(heads: &str) -> BTreeSet<MigrationId> {
    heads
        .split(", ")
        .filter(|id| !id.is_empty())
        .map(MigrationId::new)
        .collect()
}

impl PlannedStep {
    /// Returns the words for where its script comes from.
    #[must_use]
    pub fn origin_words(&self) -> &'static str {
        match self.origin {
            crate::plan::ScriptOrigin::File => "its down script",
            crate::plan::ScriptOrigin::Stored => "the down stored in the database",
            crate::plan::ScriptOrigin::Derived => "the derived down",
        }
    }
}
