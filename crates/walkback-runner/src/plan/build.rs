//! Building a plan: which migrations, which statements, what each destroys, what the way back is.

use std::collections::BTreeSet;
use std::path::PathBuf;

use walkback_core::catalog::{Object, Schema};
use walkback_core::dialect::DialectKind;
use walkback_core::migration::SqlScript;
use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;
use walkback_core::{Cx, Direction, Error, ErrorKind, MigrationId, Result, TableName};

use super::script::ReadScript;
use super::{Plan, PlannedStatement, PlannedStep, PointScope, RunKind, ScriptOrigin, Verdict};
use crate::changes::Waiting;
use crate::journal::StoredMigration;
use crate::protect::{Protect, StatementProtection};
use crate::reach::Reach;
use crate::runner::Runner;
use crate::state::{State, journal_path};

/// How the names of walkback's own tables begin.
const OWN: &str = "_walkback_";

/// Builds plans from one state.
pub(crate) struct Planner<'a> {
    pub(super) runner: &'a Runner,
    pub(super) state: &'a State,
}

impl<'a> Planner<'a> {
    pub(crate) fn new(runner: &'a Runner, state: &'a State) -> Self {
        Self { runner, state }
    }

    /// Plans to walk back `downs`, then to apply `ups`, each in the given order.
    pub(crate) async fn plan(
        &self,
        cx: &Cx,
        kind: RunKind,
        downs: &[MigrationId],
        ups: &[MigrationId],
    ) -> Result<Plan> {
        let before = self.state.applied_set();
        let mut after: BTreeSet<_> = before.iter().filter(|id| !downs.contains(id)).cloned().collect();
        after.extend(ups.iter().cloned());
        if !ups.is_empty() {
            self.refuse_edited(cx, downs).await?;
        }
        let mut steps = Vec::with_capacity(downs.len() + ups.len());
        for id in downs {
            steps.push(self.down_step(cx, id).await?);
        }
        for id in ups {
            steps.push(self.up_step(cx, id).await?);
        }
        for step in &mut steps {
            step.look(self.runner, &self.state.schema, &[]);
        }
        let mut plan = Plan {
            kind,
            from: self.state.heads(&before),
            to: self.state.heads(&after),
            point: steps
                .iter()
                .map(PlannedStep::scope)
                .fold(PointScope::None, PointScope::and),
            loss: Vec::new(),
            rescues: self.rescues(kind, &before, downs, ups),
            warnings: Vec::new(),
            phase: None,
            left: Vec::new(),
            closes: self.state.unfinished.iter().map(|run| run.id.clone()).collect(),
            steps,
            applied: before.into_iter().collect(),
            schema: crate::approval::hash_of(&self.state.schema)?,
            history: crate::approval::History::of(self.state),
            approval: None,
        };
        plan.warnings = self.warnings(&plan, ups);
        if kind == RunKind::Up && ups.is_empty() {
            plan.warnings.extend(self.warnings_of_edits(cx).await?);
        }
        Ok(plan)
    }

    /// Returns what waits for these ups, or for one that was killed before it was put back.
    fn rescues(
        &self,
        kind: RunKind,
        applied: &BTreeSet<MigrationId>,
        downs: &[MigrationId],
        ups: &[MigrationId],
    ) -> Vec<Waiting> {
        let waits = |id: &MigrationId| {
            let is_late = kind == RunKind::Up && applied.contains(id) && !downs.contains(id);
            ups.contains(id) || is_late
        };
        let rescues = self.state.rescues.iter();
        rescues
            .filter(|rescue| waits(&rescue.migration))
            .map(|rescue| Waiting::of(self.state, rescue))
            .collect()
    }

    pub(crate) async fn up_step(&self, cx: &Cx, id: &MigrationId) -> Result<PlannedStep> {
        let migration = self.known(id)?;
        let script = self.file_script(cx, id, Direction::Up).await?.ok_or_else(|| {
            Error::config(format!(
                "migration `{}` has no up script for {} ({})",
                migration.name(),
                self.runner.dialect().kind(),
                migration.file.display()
            ))
        })?;
        self.refuse_own_tables(&script)?;
        let paired_down = self.file_script(cx, id, Direction::Down).await?;
        let verdict = Verdict::of_up(
            &script.statements,
            paired_down.is_some(),
            migration.irreversible.as_deref(),
        );
        Ok(PlannedStep {
            id: id.clone(),
            name: migration.name(),
            direction: Direction::Up,
            origin: script.origin,
            transaction: self.is_atomic(&script),
            keeps_everything: self.state.capability.alters_by_rebuild,
            statements: script.statements.clone(),
            verdict,
            phase: migration.phase,
            touched: named_tables(&script.statements),
            protect: script.protect.unwrap_or(self.runner.settings().protect),
            script,
            paired_down,
        })
    }

    /// Returns whether all of a script happens or none: its author wants a transaction, and the server keeps
    /// one around every statement of it.
    fn is_atomic(&self, script: &ReadScript) -> bool {
        let kept = self.state.capability.transactional_ddl
            || !script.statements.iter().any(|statement| statement.alone);
        script.transaction && kept
    }

    /// Refuses a script that changes the tables of walkback itself: what they say would no longer be true.
    fn refuse_own_tables(&self, script: &ReadScript) -> Result<()> {
        let format = self.runner.ledger();
        let shown = format.shown_in.filter(|_| self.state.shown.is_kept());
        let lock = format.lock.map(|lock| lock.table);
        let ledgers = [Some(format.table), lock, shown.map(|other| other.table)];
        let is_own_schema = |schema: &String| {
            schema
                .get(..OWN.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(OWN))
        };
        let own = |table: &TableName| {
            table.schema.as_ref().is_some_and(is_own_schema)
                || ledgers
                    .iter()
                    .flatten()
                    .any(|ledger| table.name.eq_ignore_ascii_case(&ledger.name))
                || table
                    .name
                    .get(..OWN.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(OWN))
        };
        for statement in &script.statements {
            let named = statement
                .effect
                .actions
                .iter()
                .filter_map(|action| match action {
                    Action::Create { name, on, .. } | Action::Drop { name, on, .. } => {
                        Some(on.as_ref().filter(|on| own(on)).unwrap_or(name))
                    }
                    Action::RenameTable { from, to } => Some(if own(to) { to } else { from }),
                    other => other.changed_table(),
                })
                .find(|name| own(name));
            if let Some(name) = named {
                return Err(Error::new(
                    ErrorKind::Config,
                    format!(
                        "the statement at {} changes `{name}`, which is walkback's own",
                        statement.at
                    ),
                )
                .hint(
                    "remove it; `walkback stamp` changes what counts as applied, without running scripts",
                ));
            }
        }
        Ok(())
    }

    /// Plans the way down of one migration: its file, else its stored down, else the derived one.
    pub(crate) async fn down_step(&self, cx: &Cx, id: &MigrationId) -> Result<PlannedStep> {
        let stored = self.state.stored.get(id);
        let script = match self.file_script(cx, id, Direction::Down).await? {
            Some(script) => Some(script),
            None => match stored {
                Some(stored) => self.stored_script(stored)?.or(self.derived_script(stored)?),
                None => None,
            },
        };
        let script = script.ok_or_else(|| self.no_down(id))?;
        Ok(self.down_step_of(id, script))
    }

    /// Makes a step of a script that walks a migration back.
    pub(crate) fn down_step_of(&self, id: &MigrationId, script: ReadScript) -> PlannedStep {
        PlannedStep {
            id: id.clone(),
            name: self.state.named(id).name,
            direction: Direction::Down,
            origin: script.origin,
            transaction: self.is_atomic(&script),
            keeps_everything: self.state.capability.alters_by_rebuild,
            statements: script.statements.clone(),
            verdict: self.verdict_of_down(id, script.origin),
            phase: self.state.phase_of(id),
            touched: named_tables(&script.statements),
            protect: script.protect.unwrap_or_default(),
            script,
            paired_down: None,
        }
    }

    /// Returns what a way down is worth: a derived one says itself what it cannot bring back.
    fn verdict_of_down(&self, id: &MigrationId, origin: ScriptOrigin) -> Verdict {
        match self.state.stored.get(id) {
            None => Verdict::Unknown {
                why: "walkback did not apply it".to_owned(),
            },
            Some(stored) if origin != ScriptOrigin::Derived => stored.verdict.clone(),
            Some(stored) if stored.derived_loses.is_empty() => Verdict::Lossless,
            Some(stored) => Verdict::Lossy {
                loses: stored.derived_loses.clone(),
            },
        }
    }

    pub(crate) fn stored_script(&self, stored: &StoredMigration) -> Result<Option<ReadScript>> {
        let Some(text) = stored.checked_down()? else {
            return Ok(None);
        };
        let mut sql = SqlScript::new(text, journal_path(&stored.name()));
        sql.transaction = stored.down_transaction;
        ReadScript::read_sql(&sql, &*self.runner.dialect(), ScriptOrigin::Stored).map(Some)
    }

    pub(crate) fn derived_script(&self, stored: &StoredMigration) -> Result<Option<ReadScript>> {
        let Some(statements) = &stored.derived_sql else {
            return Ok(None);
        };
        let text: String = statements
            .iter()
            .map(|statement| format!("{statement};\n"))
            .collect();
        let sql = SqlScript::new(text, journal_path(&stored.name()));
        ReadScript::read_sql(&sql, &*self.runner.dialect(), ScriptOrigin::Derived).map(Some)
    }

    pub(crate) async fn file_script(
        &self,
        cx: &Cx,
        id: &MigrationId,
        direction: Direction,
    ) -> Result<Option<ReadScript>> {
        if !self.state.in_checkout.contains(id) {
            return Ok(None);
        }
        let dialect = self.runner.dialect();
        let script = self
            .runner
            .source()
            .script(cx, dialect.kind(), id, direction)
            .await?;
        script
            .map(|script| ReadScript::read(&script, &*dialect, ScriptOrigin::File))
            .transpose()
    }

    /// Refuses to build on migrations whose files are no longer what was applied.
    async fn refuse_edited(&self, cx: &Cx, except: &[MigrationId]) -> Result<()> {
        let edited = self.edited(cx).await?;
        let Some((id, file)) = edited.into_iter().find(|(id, _)| !except.contains(id)) else {
            return Ok(());
        };
        let name = self.state.named(&id).name;
        Err(Error::new(
            ErrorKind::CheckFailed,
            format!(
                "migration `{name}` was edited after it was applied ({}:1)",
                file.display()
            ),
        )
        .hint("put the file back as it was, and write the change as a new migration: `walkback new <slug>`")
        .hint(format!(
            "or, if the database is as the file says now, accept the file with `walkback stamp {id}`"
        )))
    }

    /// Says which applied migrations were edited, where nothing is built on them: the next one would be refused.
    async fn warnings_of_edits(&self, cx: &Cx) -> Result<Vec<String>> {
        let edited = self.edited(cx).await?;
        Ok(edited
            .iter()
            .map(|(id, file)| {
                format!(
                    "migration `{}` was edited after it was applied ({}:1): `up` refuses the next one until the file is \
                     as it was, or is accepted with `walkback stamp {id}`",
                    self.state.named(id).name,
                    file.display()
                )
            })
            .collect())
    }

    /// Returns the applied migrations whose up script differs from the one that was run, with their files.
    pub(crate) async fn edited(&self, cx: &Cx) -> Result<Vec<(MigrationId, PathBuf)>> {
        let mut edited = Vec::new();
        let told = self.runner.ledger().told;
        for row in &self.state.applied {
            let stored = self
                .state
                .stored
                .get(&row.id)
                .map(|stored| stored.up_hash.clone());
            let Some(recorded) = stored.or_else(|| row.up_hash.clone()) else {
                continue;
            };
            let is_accepted = told
                .get(&row.id)
                .is_some_and(|told| told.accepts.contains(&recorded));
            if is_accepted || !self.state.in_checkout.contains(&row.id) {
                continue;
            }
            let migration = self.state.graph.get(&row.id);
            if let Some((known_as, file)) =
                migration.and_then(|one| Some((one.up_hash.clone()?, one.file.clone())))
            {
                if known_as != recorded {
                    edited.push((row.id.clone(), file));
                }
                continue;
            }
            let kind = self.runner.dialect().kind();
            if let Some(walkback_core::Script::Sql(sql)) = self
                .runner
                .source()
                .script(cx, kind, &row.id, Direction::Up)
                .await?
                && sql.hash() != recorded
            {
                edited.push((row.id.clone(), sql.location.file));
            }
        }
        Ok(edited)
    }

    fn warnings(&self, plan: &Plan, ups: &[MigrationId]) -> Vec<String> {
        let mut warnings: Vec<String> = self
            .state
            .unmatched
            .iter()
            .map(|(path, why)| format!("`{}` is not used: {why}", path.display()))
            .collect();
        if !ups.is_empty() {
            warnings.extend(self.state.lost_ledger());
        }
        let out_of_order = self.state.graph.out_of_order(&self.state.applied_set());
        for id in ups
            .iter()
            .filter(|id| out_of_order.iter().any(|late| late.id == **id))
        {
            let name = self.state.named(id).name;
            warnings.push(format!(
                "migration `{name}` is older than others that are applied already"
            ));
        }
        let is_off = |step: &PlannedStep, statement: &PlannedStatement| {
            step.protect == Protect::Off
                || statement.protect == Some(Protect::Off)
                    && matches!(statement.protection, Some(StatementProtection::Nothing { .. }))
        };
        for (step, statement) in plan.destructive().filter(|(step, one)| is_off(step, one)) {
            let warning = match (statement.protect, step.script.protect) {
                (Some(_), _) => format!(
                    "`{}` says `protect=off` of the statement at {}: what it destroys cannot be brought back",
                    step.name, statement.at
                ),
                (None, Some(_)) => format!(
                    "`{}` says `protect=off`: what it destroys cannot be brought back",
                    step.name
                ),
                (None, None) => format!(
                    "the environment says `protect = \"off\"`: what `{}` destroys cannot be brought back",
                    step.name
                ),
            };
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        warnings.extend(plan.steps.iter().filter_map(|step| {
            let at = step.script.unbound_by.as_ref()?;
            Some(format!(
                "`{}` runs statement by statement: the one at {at} cannot run inside a transaction",
                step.name
            ))
        }));
        warnings.extend(plan.steps.iter().flat_map(|step| self.not_kept(step)));
        warnings.extend(plan.steps.iter().filter_map(|step| self.lossy_down(step)));
        let ups = plan.steps.iter().filter(|step| step.direction == Direction::Up);
        warnings.extend(ups.filter_map(|step| self.state.known_to_fail(step)));
        warnings.extend(self.unreachable_point(plan));
        warnings
    }

    /// Says why the point of a plan would be of no use here.
    fn unreachable_point(&self, plan: &Plan) -> Option<String> {
        if plan.point == PointScope::None {
            return None;
        }
        match self.runner.vault() {
            None => Some("there is no vault: what these migrations destroy cannot be brought back".to_owned()),
            Some(vault) if !vault.can_read() => Some(
                "the point before these migrations can be written here but not read: a rollback that needs it \
                 must run where the identity is"
                    .to_owned(),
            ),
            Some(_) => None,
        }
    }

    /// Says that a down script does not bring back all, and what does.
    fn lossy_down(&self, step: &PlannedStep) -> Option<String> {
        let what = match &step.verdict {
            Verdict::Lossy { loses } if step.direction == Direction::Down => loses.join(", "),
            _ => return None,
        };
        let point = self
            .state
            .stored
            .get(&step.id)
            .and_then(|stored| stored.point.as_ref());
        let better = point.map_or(
            "",
            |_| "; `walkback rollback` restores that from the point made before it",
        );
        Some(format!(
            "the way down of `{}` cannot bring back {what}{better}",
            step.name
        ))
    }

    /// Names the virtual tables that a step changes: no point holds their rows.
    fn not_kept(&self, step: &PlannedStep) -> Vec<String> {
        let schema = &self.state.schema;
        let touched = step.touched().unwrap_or_default();
        let virtual_table = |table: &TableName| schema.object(ObjectKind::Other, table);
        touched
            .iter()
            .filter(|table| schema.table(table).is_none())
            .filter_map(virtual_table)
            .map(|object| {
                format!(
                    "`{}` changes the virtual table `{}`, whose rows no point holds: a rollback brings back its definition \
                     and not its rows",
                    step.name, object.name
                )
            })
            .collect()
    }

    fn known(&self, id: &MigrationId) -> Result<&walkback_core::Migration> {
        self.state
            .graph
            .get(id)
            .ok_or_else(|| Error::not_found(format!("there is no migration `{id}`")))
    }
}

impl PlannedStep {
    /// Returns the tables it changes, without repeats; `None` if that cannot be read.
    pub(crate) fn touched(&self) -> Option<Vec<TableName>> {
        self.touched.clone()
    }

    /// Looks where its statements reach in a schema: by foreign keys that cascade, by triggers, those of
    /// `extra` included.
    pub(crate) fn look(&mut self, runner: &Runner, schema: &Schema, extra: &[Object]) {
        let dialect = runner.dialect();
        let off = self.transaction && dialect.kind() == DialectKind::Sqlite && self.script.rebuilds();
        let mut reach = Reach::new(&*dialect, schema, !off);
        reach.add_triggers(&*dialect, extra);
        self.touched = reach.of(&*dialect, &self.statements);
        self.decide_protection(runner, schema);
        if !self.transaction {
            self.add_referring(schema);
        }
    }

    /// Adds the tables that refer to one that is dropped, renamed or altered: their own definition changes with
    /// it, and outside a transaction nobody can look and take it back.
    fn add_referring(&mut self, schema: &Schema) {
        let Some(touched) = &mut self.touched else { return };
        let actions = self
            .statements
            .iter()
            .flat_map(|statement| &statement.effect.actions);
        // A key or a check is part of its table, which is brought back as a whole.
        let constrained = actions.filter_map(|action| match action {
            Action::Drop {
                kind: ObjectKind::Constraint,
                on: Some(table),
                ..
            }
            | Action::Create {
                kind: ObjectKind::Constraint,
                on: Some(table),
                ..
            } => schema.table(table),
            _ => None,
        });
        for table in constrained {
            if !touched.contains(&table.name) {
                touched.push(table.name.clone());
            }
        }
        let swapped: Vec<&TableName> = self
            .statements
            .iter()
            .flat_map(|statement| &statement.effect.actions)
            .filter_map(|action| match action {
                Action::DropTable { table }
                | Action::RenameTable { from: table, .. }
                | Action::RenameColumn { table, .. } => Some(table),
                _ => None,
            })
            .collect();
        for table in &schema.tables {
            let refers = table.foreign_keys.iter().any(|key| {
                swapped.iter().any(|name| {
                    schema
                        .at_home(name)
                        .name
                        .eq_ignore_ascii_case(&key.references.name)
                })
            });
            if refers && !touched.contains(&table.name) {
                touched.push(table.name.clone());
            }
        }
    }
}

/// Returns the tables that statements name as changed, without repeats; `None` if that cannot be read.
fn named_tables(statements: &[PlannedStatement]) -> Option<Vec<TableName>> {
    let mut tables: Vec<TableName> = Vec::new();
    for statement in statements {
        for table in statement.effect.changed_tables()? {
            if !tables.contains(&table) {
                tables.push(table);
            }
        }
    }
    Some(tables)
}
