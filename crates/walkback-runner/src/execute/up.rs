//! Applying one migration.

use walkback_core::catalog::Schema;
use walkback_core::engine::Begin;
use walkback_core::statement::Action;
use walkback_core::{Cx, Error, ErrorKind, Result, ResultExt as _, TableName};
use walkback_vault::{Manifest, PointKind};

use super::Execution;
use super::derivation::Derivation;
use crate::delta::SchemaDelta;
use crate::identity;
use crate::journal::{StatementState, StoredMigration, TableThen};
use crate::ledger::{Applied, NewRow};
use crate::plan::{PlannedStatement, PlannedStep, PointScope, ReadScript};
use crate::point;
use crate::protect::Protect;
use crate::purge::KeptTable;

/// What applying a migration found out about it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) before: Schema,
    pub(crate) after: Schema,
    pub(super) derivation: Derivation,
}

/// How an attempt to apply a migration came out.
#[derive(Debug)]
enum Attempt {
    /// It is applied.
    Applied,
    /// It was rolled back: it changed these tables too, and the point does not hold them.
    NeedsMore(Vec<TableName>),
    /// It was rolled back: what it drops cannot be moved aside, or what it changes not be captured, for this reason, and
    /// the point has to hold it.
    NeedsPoint(String),
}

impl Execution<'_> {
    /// Applies a migration: the point first, then all of it or nothing.
    pub(super) async fn up(&mut self, cx: &Cx, step: &PlannedStep) -> Result<()> {
        let mut step = step.clone();
        if step.touched().is_none_or(|tables| !tables.is_empty()) {
            let schema = self.runner.schema(cx, &mut *self.session).await?;
            step.look(self.runner, &schema, &[]);
            if let Some(why) = step.capture_only_tables(&schema) {
                self.must_have_vault(&step, &why)?;
                step.give_up_capture(&why);
            }
        }
        let mut scope = step.scope();
        let mut tries = self.tries();
        // The point of a try that another session has stopped is good for the next, or else made anew under the lock.
        let mut made: Option<Option<Manifest>> = None;
        loop {
            self.aside.clear();
            let point = match made.take() {
                Some(point) => point,
                None => self.point_before(cx, &step, &scope).await?,
            };
            if !step.transaction {
                return self.up_statement_by_statement(cx, &step, &scope, point).await;
            }
            let attempt = if step.is_captured_beside() {
                Box::pin(self.up_beside(cx, &step, &scope)).await
            } else {
                Box::pin(self.up_in_transaction(cx, &step, &scope, point.clone())).await
            };
            if step.is_captured() && !matches!(attempt, Ok(Attempt::Applied)) {
                self.abandon_capture(&cx.shielded()).await?;
            }
            let attempt = match attempt {
                Ok(attempt) => attempt,
                Err(error) if !step.may_be_repeated(&self.state.capability) => return Err(error),
                Err(error) => {
                    tries.again(cx, &format!("`{}`", step.name), error).await?;
                    self.taken_back = None;
                    made = Some(point);
                    continue;
                }
            };
            match attempt {
                Attempt::Applied => return Ok(()),
                // A rename reaches into tables that no statement names. The second point holds them.
                Attempt::NeedsMore(tables) => scope = scope.and(PointScope::Tables(tables)),
                Attempt::NeedsPoint(why) => {
                    self.must_have_vault(&step, &why)?;
                    step.give_up_soft(&why);
                    step.give_up_capture(&why);
                    scope = step.scope();
                }
            }
        }
    }

    /// Applies it with backup tables of the rows that it changes. Where these were made before the transaction, they go with
    /// an attempt that was rolled back.
    async fn up_beside(&mut self, cx: &Cx, step: &PlannedStep, scope: &PointScope) -> Result<Attempt> {
        let attempt = match self.make_beside(cx, step).await {
            Ok(()) => Box::pin(self.up_in_transaction(cx, step, scope, None)).await,
            Err(error) => Err(error),
        };
        let attempt = match self.needs_point.take() {
            Some(why) => Ok(Attempt::NeedsPoint(why)),
            None => attempt,
        };
        if !matches!(attempt, Ok(Attempt::Applied)) && !self.session.capability().transactional_ddl {
            let run = self.run.id.clone();
            self.drop_unneeded_backups(&cx.shielded(), &run).await?;
        }
        attempt
    }

    /// Says that a table could not be moved aside, and refuses to drop it where no point can hold it.
    fn must_have_vault(&mut self, step: &PlannedStep, why: &str) -> Result<()> {
        if step.is_captured() && self.runner.vault().is_some() {
            self.report.warnings.push(format!(
                "what `{}` changes could not be captured, and is kept in its point: {why}",
                step.name
            ));
            return Ok(());
        }
        let (does, how) = match step.protect {
            Protect::BackupTable => ("destroys", "kept in a backup table"),
            _ => ("drops", "moved aside"),
        };
        if self.runner.vault().is_some() {
            self.report.warnings.push(format!(
                "what `{}` {does} could not be {how}, and is kept in its point: {why}",
                step.name
            ));
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Refused,
            format!(
                "what `{}` {does} cannot be {how}, and there is no vault to keep it in: {why}",
                step.name
            ),
        )
        .hint("nothing was changed; name a store in `stores` of the environment")
        .hint("or write `-- walkback: protect=off` at the head of the script, if nobody needs it back"))
    }

    async fn point_before(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        scope: &PointScope,
    ) -> Result<Option<Manifest>> {
        if *scope == PointScope::None {
            return Ok(None);
        }
        let description = format!("before migration {}", step.name);
        self.point(cx, PointKind::BeforeUp, "rb", &step.name, scope, description)
            .await
    }

    /// Makes the point anew where the application has written to its tables since: what came between the point
    /// and the lock would be lost by a restore, and nobody would count it. Here nobody can write any more.
    pub(super) async fn point_still_true(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        scope: &PointScope,
        point: Option<Manifest>,
    ) -> Result<Option<Manifest>> {
        let Some(point) = point else { return Ok(None) };
        if self.is_true(cx, &point).await? {
            return Ok(Some(point));
        }
        let Some(again) = self.point_before(cx, step, scope).await? else {
            return Ok(None);
        };
        if self.is_true(cx, &again).await? {
            return Ok(Some(again));
        }
        Err(Error::new(
            ErrorKind::Locked,
            format!(
                "the tables that `{}` changes are written to while its point is made",
                step.name
            ),
        )
        .hint("nothing was changed; stop the application for the time of the run, or run it again"))
    }

    /// Keeps everybody else from writing to the tables of a point until the transaction ends, where the server
    /// can do that.
    pub(crate) async fn hold(&mut self, cx: &Cx, point: Option<&Manifest>) -> Result<()> {
        let Some(point) = point.filter(|_| self.session.capability().holds_tables) else {
            return Ok(());
        };
        let tables: Vec<_> = point.tables.iter().map(|entry| entry.table.clone()).collect();
        self.session.hold_tables(cx, &tables).await
    }

    /// Returns whether the tables of a point are still as it holds them.
    pub(crate) async fn is_true(&mut self, cx: &Cx, point: &Manifest) -> Result<bool> {
        let schema = self.runner.schema(cx, &mut *self.session).await?;
        for entry in &point.tables {
            let now = self.print(cx, &schema, &entry.table, &entry.columns).await?;
            if entry.fingerprint.is_some() && now != entry.fingerprint {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn up_in_transaction(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        scope: &PointScope,
        point: Option<Manifest>,
    ) -> Result<Attempt> {
        self.session.begin(cx, self.mode(&step.script)).await?;
        let kept = async {
            self.hold(cx, point.as_ref()).await?;
            self.point_still_true(cx, step, scope, point).await
        };
        let point = match kept.await {
            Ok(point) => point,
            Err(error) => {
                return self
                    .end_transaction(cx, Err(error))
                    .await
                    .map(|()| Attempt::Applied);
            }
        };
        let ran = if step.is_captured() {
            Box::pin(self.statements_captured(cx, step)).await
        } else {
            self.statements_inside(cx, step).await
        };
        let outcome = match ran {
            Ok(outcome) => outcome,
            Err(_) if self.needs_point.is_some() => {
                self.session.rollback(cx).await?;
                return Ok(Attempt::NeedsPoint(self.needs_point.take().unwrap_or_default()));
            }
            Err(error) => {
                self.taken_back = Some(format!("rolled back the transaction of `{}`", step.name));
                return self
                    .end_transaction(cx, Err(error))
                    .await
                    .map(|()| Attempt::Applied);
            }
        };
        let missing = missing(&outcome, scope);
        if point.is_some() && !missing.is_empty() {
            self.session.rollback(cx).await?;
            return Ok(Attempt::NeedsMore(missing));
        }
        let recorded = async {
            let after = if step.is_captured_beside() {
                self.keep_beside(cx, step, &outcome.after).await?;
                None
            } else if step.is_captured() {
                let whose = format!("migration {}", step.name);
                let kept = self.keep_captured(cx, &step.name, &whose, &outcome.after);
                Some(Box::pin(kept).await?)
            } else {
                Box::pin(self.keep_changes(cx, step, point.as_ref(), &outcome)).await?
            };
            let points = (point.map(|point| point.id), after);
            self.record_applied(cx, step, points, outcome).await?;
            if self.puts_back_inside() {
                self.put_back(cx, &step.id, true).await?;
            }
            Ok(())
        }
        .await;
        self.end_transaction(cx, recorded)
            .await
            .wrap(|| format!("migration `{}` could not be committed", step.name))?;
        cx.step("migration.committed");
        self.note_applied(step);
        if !self.puts_back_inside() {
            self.put_back(cx, &step.id, false).await?;
        }
        Ok(Attempt::Applied)
    }

    pub(crate) async fn statements_inside(&mut self, cx: &Cx, step: &PlannedStep) -> Result<Outcome> {
        let before = self.runner.schema(cx, &mut *self.session).await?;
        let mut derivation = Derivation::default();
        let mut current = before.clone();
        for (index, statement) in step.statements.iter().enumerate() {
            if statement.is_soft() {
                current = self
                    .move_aside(cx, step, index, &current, &mut derivation)
                    .await?;
            } else if statement.is_backed_up() {
                let kept = Box::pin(self.back_up(cx, step, index, &current, &mut derivation));
                current = kept.await?;
            } else {
                if step.is_soft() && statement.protect == Some(Protect::Off) {
                    derivation.add_waived(&*self.dialect, statement, &current);
                } else if !(step.is_soft() && step.fills_its_own(statement, &before)) {
                    derivation.add(&*self.dialect, statement, &current);
                }
                let sent = self.send(cx, step, index).await;
                self.notice_what_holds(sent)?;
            }
            let row = self.statement_row(cx, step, index, StatementState::Done)?;
            self.journal().note_statement(cx, &row).await?;
            if changes_schema(statement) && !statement.is_soft() && !statement.is_backed_up() {
                current = self.runner.schema(cx, &mut *self.session).await?;
            }
        }
        Ok(Outcome {
            before,
            after: current,
            derivation,
        })
    }

    /// Returns how the transaction of a script begins.
    pub(super) fn mode(&self, script: &ReadScript) -> Begin {
        if self.session.capability().alters_by_rebuild && script.rebuilds() {
            Begin::Rebuild
        } else {
            Begin::Write
        }
    }

    /// Commits what went well; rolls back what did not, whatever else happens.
    pub(crate) async fn end_transaction(&mut self, cx: &Cx, outcome: Result<()>) -> Result<()> {
        match outcome {
            Ok(()) => {
                cx.step("migration.before_commit");
                self.session.commit(cx).await
            }
            Err(error) => {
                if let Err(second) = self.session.rollback(&cx.shielded()).await {
                    tracing::warn!(error = ?second, "the rollback answered with an error; the session is dropped");
                }
                Err(error)
            }
        }
    }

    /// Writes the ledger and all that the journal keeps of an applied migration, in the current transaction.
    pub(super) async fn record_applied(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        (point, after): (Option<String>, Option<Manifest>),
        outcome: Outcome,
    ) -> Result<()> {
        let at = identity::moment(cx.now());
        let (slug, parents) = self
            .state
            .graph
            .get(&step.id)
            .map_or_else(Default::default, |migration| {
                let before = migration.parents.iter().chain(&migration.depends_on);
                (migration.slug.clone(), before.cloned().collect::<Vec<_>>())
            });
        let (run, began) = (self.run.id.clone(), self.run.started_at.clone());
        let row = NewRow {
            id: &step.id,
            slug: &slug,
            up_hash: &step.script.hash,
            applied_at: &at,
            run_id: &run,
            run_began: &began,
            was_run: true,
        };
        self.insert_row(cx, &row).await?;
        let delta = SchemaDelta::between(&outcome.before, &outcome.after);
        self.note_tables(cx, step, &delta, &outcome.after, after.as_ref())
            .await?;
        let (derived_sql, derived_loses) = outcome.derivation.finish();
        // What only the tool of its layout can run, an older checkout cannot run without the files.
        let stored_down = step.paired_down.as_ref().filter(|down| !down.is_external());
        let down = step.paired_down.as_ref();
        let declared = self
            .state
            .graph
            .get(&step.id)
            .is_some_and(|migration| migration.irreversible.is_some());
        let verdict = match &step.verdict {
            // What its author says stands, and what a down of its author's is worth was judged before.
            judged if declared || down.is_some() => judged.clone(),
            judged => judged.clone().derived(derived_sql.is_some(), &derived_loses),
        };
        let stored = StoredMigration {
            id: step.id.clone(),
            slug,
            parents,
            up_hash: step.script.hash.clone(),
            down_sql: stored_down.map(|down| down.text.clone()),
            down_hash: stored_down.map(|down| down.hash.clone()),
            down_transaction: stored_down.is_none_or(|down| down.transaction),
            verdict,
            derived_sql,
            derived_loses,
            delta,
            touched: self.told.clone().or_else(|| step.touched()),
            point,
            changes: after.map(|after| after.id),
            run_id: run,
            stored_at: at,
        };
        self.journal().store_migration(cx, &stored).await?;
        self.state.stored.insert(step.id.clone(), stored);
        Ok(())
    }

    /// Notes the tables it touched or created as it left them: what differs later was written since.
    async fn note_tables(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        delta: &SchemaDelta,
        after: &Schema,
        kept: Option<&Manifest>,
    ) -> Result<()> {
        self.journal().forget_after(cx, &step.id).await?;
        let mut written = self.written_meanwhile(cx, step, after).await?;
        let mut names: Vec<TableName> = delta.created_tables().cloned().collect();
        match (step.scope(), self.told.clone().or_else(|| step.touched())) {
            (PointScope::None, _) => {}
            (_, Some(tables)) => names.extend(tables.iter().chain(delta.altered_tables()).cloned()),
            (_, None) => names.extend(after.tables.iter().map(|table| table.name.clone())),
        }
        let mut tables: Vec<_> = names
            .iter()
            .filter_map(|name| crate::reach::find(after, name))
            .collect();
        tables.sort_by(|left, right| left.name.cmp(&right.name));
        tables.dedup_by(|left, right| left.name == right.name);
        for table in tables {
            if let Some(then) = written.remove(&table.name) {
                self.journal()
                    .note_after(cx, &step.id, &table.name.to_string(), &then)
                    .await?;
                continue;
            }
            let known = kept.and_then(|kept| kept.table(&table.name)?.fingerprint.clone());
            let print = match known {
                Some(print) => print,
                None => self.session.fingerprint(cx, &point::kept(table)).await?,
            };
            let then = TableThen {
                columns: point::slice_of(table).columns,
                print,
            };
            self.journal()
                .note_after(cx, &step.id, &table.name.to_string(), &then)
                .await?;
        }
        Ok(())
    }

    pub(super) fn note_applied(&mut self, step: &PlannedStep) {
        self.state.applied.push(Applied {
            id: step.id.clone(),
            slug: None,
            up_hash: Some(step.script.hash.clone()),
            applied_at: None,
            run_id: Some(self.run.id.clone()),
        });
        let named = self.named(&step.id);
        self.report.applied.push(named);
        let aside = std::mem::take(&mut self.aside);
        self.report.kept.extend(aside.into_iter().map(KeptTable::from));
    }
}

/// Returns the tables that a migration has altered and its point does not hold.
fn missing(outcome: &Outcome, scope: &PointScope) -> Vec<TableName> {
    let PointScope::Tables(held) = scope else {
        return Vec::new();
    };
    let delta = SchemaDelta::between(&outcome.before, &outcome.after);
    let is_held = |table: &TableName| {
        held.iter()
            .any(|name| crate::reach::find(&outcome.before, name).is_some_and(|found| found.name == *table))
    };
    delta
        .altered_tables()
        .filter(|table| !is_held(table))
        .cloned()
        .collect()
}

/// Returns whether the schema has to be read again after a statement.
pub(crate) fn changes_schema(statement: &PlannedStatement) -> bool {
    !statement.effect.actions.iter().all(|action| {
        matches!(
            action,
            Action::Read
                | Action::Session
                | Action::Maintain
                | Action::Transaction
                | Action::Insert { .. }
                | Action::Update { .. }
                | Action::Delete { .. }
        )
    })
}
