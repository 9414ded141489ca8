//! Moving tables aside that a statement would drop.

use std::collections::BTreeMap;

use walkback_core::catalog::Schema;
use walkback_core::dialect::DialectKind;
use walkback_core::engine::SessionExt as _;
use walkback_core::name::ObjectKind;
use walkback_core::value::Value;
use walkback_core::{Cx, Error, Result, Statement, TableName};
use walkback_vault::PointKind;

use super::moves::{self, Leaving, Move, Sort};
use super::{decide, mysql, postgres, sqlite};
use crate::execute::{Derivation, Execution};
use crate::identity;
use crate::journal::{DeprecatedRow, UndoRow};
use crate::plan::{PlannedStatement, PlannedStep, PointScope};
use crate::purge::deadline_after;

const PROBE: &str = "walkback_probe";

/// The schema once tables are aside, or why they cannot be.
type Aside = std::result::Result<Schema, String>;

impl Execution<'_> {
    /// Moves the tables aside that a statement drops, inside the current transaction, and returns the schema after it.
    ///
    /// # Errors
    /// What the server answers to the real statement, where it refuses it. If it is only that they cannot be moved, the
    /// reason is in [`Execution::needs_point`], and the transaction has to be rolled back.
    pub(crate) async fn move_aside(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        index: usize,
        before: &Schema,
        derivation: &mut Derivation,
    ) -> Result<Schema> {
        let names = decide::leaving(&step.statements[index], before).unwrap_or_default();
        if names.is_empty() {
            derivation.add(&*self.dialect, &step.statements[index], before);
            self.send(cx, step, index).await?;
            return self.runner.schema(cx, &mut *self.session).await;
        }
        let rows = self.deprecated_rows(cx, step, &names, before).await?;
        let leaving = leaving(before, &rows);
        let tried = if self.dialect.kind() == DialectKind::Postgres {
            self.try_into_schemas(cx, (step, index), (before, &leaving), derivation)
                .await?
        } else {
            self.try_renames(cx, step, &rows, (before, &leaving), derivation)
                .await?
        };
        match tried {
            Ok(schema) => {
                if self.dialect.kind() == DialectKind::Postgres {
                    self.note_rows(cx, step, &rows).await?;
                }
                self.aside.extend(rows);
                Ok(schema)
            }
            Err(why) => {
                let message = format!("`{}` cannot be moved aside: {why}", names[0]);
                self.needs_point = Some(why);
                Err(Error::unsupported(message, "this statement"))
            }
        }
    }

    /// Runs the real statement and takes it back: what it refuses is refused, and what it takes along is known.
    async fn try_into_schemas(
        &mut self,
        cx: &Cx,
        (step, index): (&PlannedStep, usize),
        (before, leaving): (&Schema, &[Leaving<'_>]),
        derivation: &mut Derivation,
    ) -> Result<Aside> {
        self.session
            .execute(cx, &format!("SAVEPOINT {PROBE}"), &[])
            .await?;
        self.send(cx, step, index).await?;
        let after = self.runner.schema(cx, &mut *self.session).await?;
        for end in ["ROLLBACK TO SAVEPOINT", "RELEASE SAVEPOINT"] {
            self.session.execute(cx, &format!("{end} {PROBE}"), &[]).await?;
        }
        let owners = self.owners_of_views(cx, before, &after).await?;
        let moves = match postgres::moves(&*self.dialect, (before, &after), leaving, &owners) {
            Ok(moves) => moves,
            Err(why) => return Ok(Err(why)),
        };
        self.run_moves(cx, &moves, &after, derivation).await
    }

    async fn try_renames(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        rows: &[DeprecatedRow],
        (before, leaving): (&Schema, &[Leaving<'_>]),
        derivation: &mut Derivation,
    ) -> Result<Aside> {
        let moves = match sqlite::moves(&*self.dialect, before, leaving) {
            Ok(moves) => moves,
            Err(why) => return Ok(Err(why)),
        };
        // With its row the table is known not to be the application's.
        self.note_rows(cx, step, rows).await?;
        let after = moves::without(before, leaving);
        self.run_moves(cx, &moves, &after, derivation).await
    }

    /// Runs what moves tables aside, and checks that it leaves the schema as the real statement would.
    async fn run_moves(
        &mut self,
        cx: &Cx,
        moves: &[Move],
        expected: &Schema,
        derivation: &mut Derivation,
    ) -> Result<Aside> {
        for sql in moves.iter().flat_map(|one| &one.forward) {
            let sent = self.session.fetch_all(cx, sql, &[]).await;
            if let Err(error) = sent {
                cx.check()?;
                return Ok(Err(with_causes(&error)));
            }
        }
        let after = self.runner.schema(cx, &mut *self.session).await?;
        if after.hash() != expected.hash() {
            let left = expected.differences(&after);
            let first = left.first().map(ToString::to_string).unwrap_or_default();
            return Ok(Err(format!("it would not be gone: {first}")));
        }
        derivation.add_moves(moves);
        Ok(Ok(after))
    }

    /// Returns whose the views are that a statement takes along, where they are somebody else's.
    async fn owners_of_views(
        &mut self,
        cx: &Cx,
        before: &Schema,
        after: &Schema,
    ) -> Result<BTreeMap<TableName, String>> {
        let mut owners = BTreeMap::new();
        let views = before
            .objects
            .iter()
            .filter(|object| object.kind == ObjectKind::View);
        for view in views.filter(|view| after.counterpart(view).is_none()) {
            let schema = view.name.schema.clone().or_else(|| before.home.clone());
            let sql = "SELECT pg_catalog.pg_get_userbyid(c.relowner)::text FROM pg_catalog.pg_class c \
                       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                       WHERE n.nspname = $1 AND c.relname = $2 AND c.relowner <> \
                       (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)";
            let params = [schema.into(), view.name.name.clone().into()];
            let row = self.session.fetch_optional(cx, sql, &params).await?;
            let owner = row.and_then(|row| row.first().and_then(Value::as_str).map(str::to_owned));
            owners.extend(owner.map(|owner| (view.name.clone(), owner)));
        }
        Ok(owners)
    }

    /// Moves tables aside where each statement is final at once: every one with its way back noted before it is sent.
    pub(crate) async fn move_aside_one_by_one(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        index: usize,
        before: &Schema,
        derivation: &mut Derivation,
    ) -> Result<Schema> {
        let statement = &step.statements[index];
        let names = decide::leaving(statement, before).unwrap_or_default();
        let rows = self.deprecated_rows(cx, step, &names, before).await?;
        let leaving = leaving(before, &rows);
        let frees_checks = self.session.capability().product == "MySQL";
        let moves = mysql::moves(&*self.dialect, before, &leaving, frees_checks);
        self.note_rows(cx, step, &rows).await?;
        cx.step("protect.noted");
        let mut current = before.clone();
        for one in &moves {
            let undo = UndoRow {
                way: Ok(one.back.clone()),
                schema_before: current.hash(),
                with_outcome: false,
            };
            let small = self.step_of(step, statement, &one.forward);
            derivation.add_moves(std::slice::from_ref(one));
            self.send_with_intent(cx, &small, 0, &undo)
                .await
                .map_err(|error| error.hint(hint()))?;
            current = self.runner.schema(cx, &mut *self.session).await?;
        }
        self.aside.extend(rows);
        Ok(current)
    }

    /// Returns a step of these statements, which stand where another one stands.
    fn step_of(&self, step: &PlannedStep, statement: &PlannedStatement, sqls: &[String]) -> PlannedStep {
        let planned = |sql: &String| {
            let plain = Statement {
                sql: sql.clone(),
                line: statement.at.line,
                touches: Vec::new(),
            };
            let effect = self.dialect.effect(&plain);
            PlannedStatement {
                severity: effect.severity(),
                sql: plain.sql,
                at: statement.at.clone(),
                alone: true,
                external: None,
                protection: None,
                protect: None,
                effect,
            }
        };
        PlannedStep {
            statements: sqls.iter().map(planned).collect(),
            ..step.clone()
        }
    }

    /// Chooses where tables go.
    async fn deprecated_rows(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        names: &[TableName],
        schema: &Schema,
    ) -> Result<Vec<DeprecatedRow>> {
        let mut rows: Vec<DeprecatedRow> = Vec::new();
        let mut taken = self.still_aside(cx).await?;
        for original in names {
            let row = self.row_beside(cx, step, (original, Sort::MovedAside), schema, &taken)?;
            taken.push(row.clone());
            rows.push(row);
        }
        Ok(rows)
    }

    /// Chooses where a table goes, or a copy of it.
    pub(super) fn row_beside(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        (original, sort): (&TableName, Sort),
        schema: &Schema,
        taken: &[DeprecatedRow],
    ) -> Result<DeprecatedRow> {
        let at = cx.now();
        let deadline = deadline_after(at, self.runner.settings().soft_delete)?;
        self.aside_number += 1;
        let (run, number) = (self.run.id.clone(), self.aside_number);
        let table = if self.dialect.kind() == DialectKind::Postgres {
            TableName::in_schema(sort.schema_for(&run, number), &original.name)
        } else {
            let is_taken = |name: &str| {
                let same = |other: &TableName| other.name.eq_ignore_ascii_case(name);
                schema.tables.iter().any(|table| same(&table.name))
                    || schema.objects.iter().any(|object| same(&object.name))
                    || taken.iter().any(|row| same(&row.table))
            };
            TableName::new(sort.name_beside(&original.name, (&run, number), is_taken))
        };
        Ok(DeprecatedRow {
            run_id: run,
            seq: number,
            migration: step.id.clone(),
            table,
            original: original.clone(),
            noted_at: identity::moment(at),
            deadline: identity::moment(deadline),
            gone: None,
        })
    }

    /// Notices that a statement is refused for the sake of a table that the same migration has moved aside: a type that one
    /// of its columns has, say. Dropped, it would not have stood in the way.
    pub(crate) fn notice_what_holds(&mut self, sent: Result<()>) -> Result<()> {
        let Err(error) = sent else { return Ok(()) };
        if !self.aside.is_empty() && names_aside(&error) {
            self.needs_point = Some("a later statement of the script drops what it uses".to_owned());
        }
        Err(error)
    }

    /// Returns what is aside. A run that was killed may have noted a table that it never moved.
    pub(super) async fn still_aside(&mut self, cx: &Cx) -> Result<Vec<DeprecatedRow>> {
        let mut there = Vec::new();
        for row in self.journal().deprecated(cx).await? {
            if row.gone.is_some() {
                continue;
            }
            if self.session.has_table(cx, &row.table).await? {
                there.push(row);
            } else {
                let how = format!("run `{}` found it gone", self.run.id);
                self.journal().deprecated_is_gone(cx, &row, &how).await?;
            }
        }
        Ok(there)
    }

    pub(super) async fn note_rows(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        rows: &[DeprecatedRow],
    ) -> Result<()> {
        self.journal().forget_gone(cx, &step.id).await?;
        for row in rows {
            self.journal().note_deprecated(cx, row).await?;
        }
        Ok(())
    }

    /// Notes which of the tables that a migration had moved aside are no longer there: its way back has moved them.
    pub(crate) async fn note_moved_back(
        &mut self,
        cx: &Cx,
        migration: &walkback_core::MigrationId,
    ) -> Result<()> {
        let Some(run) = self
            .state
            .stored
            .get(migration)
            .map(|stored| stored.run_id.clone())
        else {
            return Ok(());
        };
        let how = format!("run `{}` moved it back", self.run.id);
        for row in self.journal().deprecated(cx).await? {
            let is_its_own = row.run_id == run && row.migration == *migration && row.gone.is_none();
            if is_its_own && !self.session.has_table(cx, &row.table).await? {
                self.journal().deprecated_is_gone(cx, &row, &how).await?;
                self.moved_back.push(row.original);
            }
        }
        Ok(())
    }

    /// Keeps tables that were moved back before an older migration of the same run is walked back, which may take them
    /// away for good: the safety point was made while nobody saw them.
    pub(crate) async fn keep_moved_back(&mut self, cx: &Cx) -> Result<()> {
        let moved = std::mem::take(&mut self.moved_back);
        if moved.is_empty() {
            return Ok(());
        }
        let scope = PointScope::Tables(moved.clone());
        let description = format!("moved back by run {}", self.run.id);
        let kind = PointKind::AfterRollback;
        let made = self
            .point(cx, kind, "re", "rollback", &scope, description)
            .await?;
        for table in moved {
            self.kept_moved
                .extend(made.iter().map(|point| (table.clone(), point.id.clone())));
        }
        Ok(())
    }
}

fn leaving<'a>(schema: &'a Schema, rows: &[DeprecatedRow]) -> Vec<Leaving<'a>> {
    let one = |row: &DeprecatedRow| {
        Some(Leaving {
            table: schema.table(&row.original)?,
            aside: row.table.clone(),
        })
    };
    rows.iter().filter_map(one).collect()
}

/// Returns whether an error is about a table that was moved aside into a schema of its own.
pub(crate) fn names_aside(error: &Error) -> bool {
    moves::is_aside_in(&with_causes(error))
}

pub(super) fn with_causes(error: &Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let causes: Vec<_> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}

/// What to do where a table cannot be moved aside.
fn hint() -> &'static str {
    "it was to be moved aside; `-- walkback: protect=vault` at the head of the script keeps its rows in a point instead"
}
