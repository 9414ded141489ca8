//! Choosing the means for one migration: its script, or the point made before it.

use walkback_core::catalog::Schema;
use walkback_core::statement::{Action, Severity};
use walkback_core::{Error, ErrorKind, MigrationId, Result, TableName};
use walkback_vault::Manifest;

use super::plan::Planning;
use super::{RollbackKind, RollbackStep};
use crate::changes::{Carried, Changed, ChangesPlan, Merged, Names};
use crate::journal::{Journal, StoredMigration};
use crate::plan::{PlannedStep, Planner, ScriptOrigin, Verdict, ways_elsewhere};
use crate::restore::Exchange;

impl Planning<'_> {
    pub(super) async fn step(&mut self, id: &MigrationId, kind: RollbackKind) -> Result<RollbackStep> {
        let stored = self.state.stored.get(id);
        match kind {
            RollbackKind::Down => self.by_down(id, "it was asked for".to_owned()).await,
            RollbackKind::Surgical => self.by_changes(id).await,
            RollbackKind::Partial => self.by_rows_added(id).await,
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

    /// Chooses as DESIGN section 5 says: a sound and lossless down, else what it changed cell by cell, else the point,
    /// else nothing.
    pub(super) async fn by_the_cheapest(&mut self, id: &MigrationId) -> Result<RollbackStep> {
        if let Some(step) = self.by_moving_back(id).await? {
            return Ok(step);
        }
        if let Some(step) = self.by_rows_beside(id).await? {
            return Ok(step);
        }
        let stored = self.state.stored.get(id);
        let verdict = self.verdict(id).await?;
        if let Some(step) = self.by_derived_instead(id).await? {
            return Ok(step);
        }
        if verdict == Verdict::Lossless {
            return self.by_down(id, "its way down is lossless".to_owned()).await;
        }
        let mut why_not = String::new();
        if stored.is_some_and(|stored| stored.changes.is_some()) {
            match self.by_changes(id).await {
                Ok(step) => return Ok(step),
                Err(error) if is_of_the_moment(&error) => return Err(error),
                Err(error) => why_not = format!("; {}", error.message()),
            }
        }
        match stored {
            Some(stored) if stored.point.is_some() && self.runner.vault().is_some() => {
                let reason = format!("a point was made before it, and its way down is {verdict}{why_not}");
                self.by_point(stored, reason).await
            }
            _ => {
                let text = format!(
                    "no sound way back from `{}` is known: its way down is {verdict}, and no point was made before it{why_not}",
                    self.state.named(id).name
                );
                let error = Error::new(ErrorKind::Refused, text)
                    .hint("`walkback rollback --type down` runs its down script all the same, if it has one");
                Err(ways_elsewhere(self.runner, self.state, id, error))
            }
        }
    }

    /// Returns what the way down of a migration is worth, also of one that another tool has applied.
    pub(super) async fn verdict(&self, id: &MigrationId) -> Result<Verdict> {
        if let Some(stored) = self.state.stored.get(id) {
            return Ok(stored.verdict.clone());
        }
        if !self.state.in_checkout.contains(id) {
            return Ok(Verdict::Unknown {
                why: "nobody knows what it did".to_owned(),
            });
        }
        match Planner::new(self.runner, self.state).up_step(self.cx, id).await {
            Ok(step) => Ok(step.verdict),
            // Another tool has applied it, and nobody runs it now.
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(Verdict::Unknown {
                why: error.message().to_owned(),
            }),
            Err(error) => Err(error),
        }
    }

    /// Takes the derived way down of a migration that has changed definitions, and whose own does nothing, where nothing else
    /// was kept, or was seen not to lead back.
    async fn by_derived_instead(&mut self, id: &MigrationId) -> Result<Option<RollbackStep>> {
        let Some(stored) = self.state.stored.get(id) else {
            return Ok(None);
        };
        let planner = Planner::new(self.runner, self.state);
        let failed = self.state.seen_to_fail(stored);
        let is_kept = stored.point.is_some() || stored.changes.is_some();
        if stored.delta.is_empty() || !stored.derived_loses.is_empty() || (is_kept && failed.is_none()) {
            return Ok(None);
        }
        let Some(derived) = planner.derived_script(stored)? else {
            return Ok(None);
        };
        let own = planner.down_step(self.cx, id).await?;
        let does_nothing = own.statements.iter().all(|one| one.severity == Severity::None);
        if own.origin == ScriptOrigin::Derived || !(does_nothing || failed.is_some()) {
            return Ok(None);
        }
        let down = planner.down_step_of(id, derived);
        let reason = match failed {
            Some(at) if !does_nothing => {
                format!(
                    "its own way down did not lead back when `walkback verify` tried it ({at}); this one was derived"
                )
            }
            _ => "its own way down does nothing; this one was derived".to_owned(),
        };
        self.by_script(id, down, reason).await.map(Some)
    }

    pub(super) async fn by_down(&mut self, id: &MigrationId, reason: String) -> Result<RollbackStep> {
        let down = Planner::new(self.runner, self.state)
            .down_step(self.cx, id)
            .await?;
        self.by_script(id, down, reason).await
    }

    async fn by_script(
        &mut self,
        id: &MigrationId,
        down: PlannedStep,
        reason: String,
    ) -> Result<RollbackStep> {
        let loss = self.loss_of_down(id, &down.script).await?;
        if let Some(stored) = self.state.stored.get(id) {
            let altered = stored.delta.altered_tables().map(|table| (table.clone(), None));
            self.replaced.extend(altered);
        }
        Ok(RollbackStep {
            id: id.clone(),
            name: down.name.clone(),
            kind: RollbackKind::Down,
            reason,
            down: Some(down),
            changes: None,
            restore: None,
            loss,
        })
    }

    /// Takes back what a migration changed, and keeps what was written since: in place if it changed rows only, else by
    /// bringing its tables back and writing into them what was written since.
    async fn by_changes(&mut self, id: &MigrationId) -> Result<RollbackStep> {
        if let Some(step) = self.by_rows_beside(id).await? {
            return Ok(step);
        }
        let stored = self.state.stored.get(id).ok_or_else(|| self.no_point(id))?;
        let Some((before, after)) = self.pair(stored).await? else {
            return Err(Error::not_found(format!(
                "the tables as `{}` left them were not kept",
                stored.name()
            ))
            .hint("that is done where each of its statements can be read, a table that it changes has a primary key, no name leads to two things, and there is a vault")
            .hint("`walkback rollback --type full` restores its tables from the point, and shows first what that loses"));
        };
        let about = format!("migration `{}`", stored.name());
        let mut manifests = Vec::new();
        for point in [&before, &after] {
            let manifest = self.manifest(point).await;
            manifests.push(manifest.map_err(|error| self.gone(error, point, &about))?);
        }
        if !stored.delta.is_of_rows_only() {
            if !self.merges() {
                return Err(Error::unsupported(
                    "taking back definitions and keeping what was written since",
                    &self.session.capability().product,
                ));
            }
            return self.by_merging(stored, &manifests[0], &manifests[1]).await;
        }
        let changed = match Changed::all(&manifests[0], &manifests[1], &self.schema) {
            Ok(changed) => changed,
            // In tables that are made anew no trigger fires.
            Err(error) if self.merges() => {
                let merged = self.by_merging(stored, &manifests[0], &manifests[1]).await;
                return merged.map_err(|_| error);
            }
            Err(error) => return Err(error),
        };
        let tables: Vec<_> = changed.into_iter().map(|changed| changed.table.name).collect();
        Ok(RollbackStep {
            id: stored.id.clone(),
            name: stored.name(),
            kind: RollbackKind::Surgical,
            reason: "what it changed in rows was kept, and goes back cell by cell".to_owned(),
            down: None,
            changes: Some(ChangesPlan {
                before,
                after,
                tables,
                beside: Vec::new(),
            }),
            restore: None,
            loss: Vec::new(),
        })
    }

    /// Returns whether what was written since can be written into tables that are made anew, with nobody writing meanwhile.
    fn merges(&self) -> bool {
        let capability = self.session.capability();
        capability.transactional_ddl || capability.holds_until_swap
    }

    /// Returns the points before a migration and after it, of its tables or of the rows that it changed.
    async fn pair(&mut self, stored: &StoredMigration) -> Result<Option<(String, String)>> {
        let Some(after) = stored.changes.clone() else {
            return Ok(None);
        };
        if let Some(before) = stored.point.clone() {
            return Ok(Some((before, after)));
        }
        let about = format!("migration `{}`", stored.name());
        let manifest = self.manifest(&after).await;
        let manifest = manifest.map_err(|error| self.gone(error, &after, &about))?;
        Ok(manifest.before.map(|before| (before, after)))
    }

    /// Removes the rows that a migration added, if it changed rows only.
    async fn by_rows_added(&mut self, id: &MigrationId) -> Result<RollbackStep> {
        let step = self.by_changes(id).await?;
        if step.restore.is_some() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "`{}` did more than to change rows that can go one by one: that cannot be taken back in part",
                    step.name
                ),
            )
            .hint("`walkback rollback --type surgical` takes all of it back, and keeps what was written since"));
        }
        Ok(RollbackStep {
            kind: RollbackKind::Partial,
            reason: "it was asked for: what it changed and deleted stays so".to_owned(),
            ..step
        })
    }

    async fn by_merging(
        &mut self,
        stored: &StoredMigration,
        before: &Manifest,
        after: &Manifest,
    ) -> Result<RollbackStep> {
        let now = self.projected(after);
        let exchange = Exchange::undoing(&stored.delta, stored.touched.as_deref(), before, &now)?;
        let left = self.after(&stored.id).await?;
        let dialect = self.runner.dialect();
        let effects = Journal::new(self.session, &*dialect)
            .effects_of(self.cx, stored)
            .await?;
        let names = Names::between((before, after), effects.as_deref())?;
        let merged = Merged::all((before, after), (&left, &names), &exchange, &now)?;
        let carried = Carried::all(&*dialect, (before, after), effects.as_deref(), (&exchange, &now));
        let mut restore = self.restore_plan(before, &exchange, left).await?;
        restore.applied_after.retain(|id| *id != stored.id);
        let mut loss = std::mem::take(&mut restore.loss);
        let is_written_to: Vec<_> = loss.iter().map(|loss| loss.table.clone()).collect();
        let named = merged
            .iter()
            .map(|one| (one.now.name.clone(), one.then.name.clone()));
        let named: Vec<_> = named.collect();
        let merged = merged.iter().map(|one| (&one.now.name, one.going().collect()));
        let carried = carried.iter().map(|one| (one.name(), one.going().collect()));
        let staying: Vec<(&TableName, Vec<&str>)> = merged.chain(carried).collect();
        loss.retain(|loss| {
            let is_it = |table: &TableName| *table == loss.table || self.renamed.table(table) == loss.table;
            !staying.iter().any(|(table, _)| is_it(table))
        });
        for (table, going) in &staying {
            if !is_written_to.contains(table) && !self.renamed.knows(table) {
                continue;
            }
            for column in going {
                let (now, of) = (self.renamed.table(table), self.renamed.column(table, column));
                if self.has_column(&now, &of) {
                    loss.extend(self.loss_of_column((table, column), (&now, &of)).await?);
                }
            }
            self.losses.forget(table);
        }
        for (now, then) in named.iter().filter(|(now, then)| now != then) {
            self.losses.forget(then);
            self.renamed.note(&Action::RenameTable {
                from: now.clone(),
                to: then.clone(),
            });
        }
        for (table, from, to) in names.columns() {
            self.renamed.note(&Action::RenameColumn {
                table: table.clone(),
                from: from.clone(),
                to: to.clone(),
            });
        }
        self.project(&exchange, before);
        Ok(RollbackStep {
            id: stored.id.clone(),
            name: stored.name(),
            kind: RollbackKind::Surgical,
            reason: "its tables were kept before and after it: what was written since stays".to_owned(),
            down: None,
            changes: Some(ChangesPlan {
                before: before.id.clone(),
                after: after.id.clone(),
                tables: staying.into_iter().map(|(table, _)| table.clone()).collect(),
                beside: Vec::new(),
            }),
            restore: Some(restore),
            loss,
        })
    }

    /// Returns the schema as it will be once the steps planned so far have been taken, as far as that is known: of a
    /// table of which it is not, as the migration had left it.
    fn projected(&self, after: &Manifest) -> Schema {
        let mut schema = self.schema.clone();
        for (name, table) in &self.replaced {
            schema.tables.retain(|other| other.name != *name);
            let then = table.as_ref().or_else(|| after.schema.table(name));
            schema.tables.extend(then.cloned());
        }
        schema
    }

    /// Notes what a step brings back.
    fn project(&mut self, exchange: &Exchange, manifest: &Manifest) {
        for entry in &exchange.replace {
            let table = manifest.schema.table(&entry.table).cloned();
            self.replaced.insert(entry.table.clone(), table);
        }
    }

    pub(super) async fn by_point(
        &mut self,
        stored: &StoredMigration,
        reason: String,
    ) -> Result<RollbackStep> {
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
        let left = self.after(&stored.id).await?;
        let mut restore = self.restore_plan(&manifest, &exchange, left).await?;
        restore.applied_after.retain(|id| *id != stored.id);
        let loss = std::mem::take(&mut restore.loss);
        self.project(&exchange, &manifest);
        Ok(RollbackStep {
            id: stored.id.clone(),
            name: stored.name(),
            kind: RollbackKind::Full,
            reason,
            down: None,
            changes: None,
            restore: Some(restore),
            loss,
        })
    }

    pub(super) fn no_point(&self, id: &MigrationId) -> Error {
        if self
            .state
            .stored
            .get(id)
            .is_some_and(|stored| stored.changes.is_some())
        {
            return Error::not_found(format!(
                "what migration `{}` changed in rows was captured, and no point was made before it",
                self.state.named(id).name
            ))
            .hint("`walkback rollback --type surgical` takes back what it changed, and keeps what was written since");
        }
        Error::not_found(format!("no point was made before migration `{}`", self.state.named(id).name))
            .hint("it changed nothing that needs one, or there was no vault; `walkback rollback --type down` runs its down script")
    }
}

/// Returns whether an error says nothing about the migration, and the same may work at another time.
fn is_of_the_moment(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Interrupted | ErrorKind::Unavailable | ErrorKind::Locked
    )
}
