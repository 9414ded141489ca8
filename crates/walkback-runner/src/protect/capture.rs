//! Capturing what a migration changes in rows, instead of keeping all rows of its tables.

use walkback_core::capture::Capture;
use walkback_core::catalog::{Schema, Table};
use walkback_core::name::ObjectKind;
use walkback_core::statement::{Action, Severity};
use walkback_core::{Cx, Error, ErrorKind, Result, TableName};

use super::{Protect, StatementProtection};
use crate::execute::{Execution, Outcome};
use crate::plan::{PlannedStatement, PlannedStep};
use crate::runner::Runner;

impl PlannedStep {
    /// Returns whether what it changes in rows is captured, and needs no point.
    pub(crate) fn is_captured(&self) -> bool {
        self.statements.iter().any(PlannedStatement::is_captured)
    }

    /// Returns whether what is captured goes into backup tables, and not into the vault.
    pub(crate) fn is_captured_beside(&self) -> bool {
        self.protect == Protect::BackupTable && self.is_captured()
    }

    /// Returns whether it changes nothing but rows.
    pub(super) fn changes_rows_only(&self) -> bool {
        self.statements.iter().all(changes_rows_only)
    }

    /// Leaves what it changes to a point after all, for a reason that was found while it ran.
    pub(crate) fn give_up_capture(&mut self, why: &str) {
        let not = match self.protect {
            Protect::BackupTable => "not in a backup table",
            _ => "not captured",
        };
        self.protect = Protect::Vault;
        for statement in self
            .statements
            .iter_mut()
            .filter(|statement| statement.is_captured())
        {
            statement.protection =
                (statement.severity >= Severity::Destructive).then(|| StatementProtection::Vault {
                    why: Some(format!("{not}: {why}")),
                });
        }
    }

    /// Says why what it changes cannot be captured: all of it is, or nothing.
    pub(super) fn refuse_capture(&self, runner: &Runner, schema: &Schema) -> Result<(), String> {
        if self.protect == Protect::Capture && runner.engine().capture().is_none() {
            return Err("that is not there yet for this engine".to_owned());
        }
        if self.protect == Protect::Capture && runner.vault().is_none() {
            return Err("there is no vault".to_owned());
        }
        if !self.transaction {
            return Err("the script is no single transaction".to_owned());
        }
        if let Some(other) = self
            .statements
            .iter()
            .find(|statement| !changes_rows_only(statement))
        {
            return Err(format!("the same script {}", other.effect));
        }
        let Some(tables) = self.touched() else {
            return Err("which tables it changes cannot be told".to_owned());
        };
        if let Some(view) = tables.iter().find(|name| is_other(schema, name)) {
            return Err(format!("`{view}` is no table"));
        }
        // What is not there yet an earlier migration makes; it is looked at again then.
        let mut found = tables.iter().filter_map(|name| crate::reach::find(schema, name));
        found.try_for_each(|table| refuse_table(schema, table))
    }

    /// Says just before the script runs why what it changes cannot be captured after all: rows of what is no table that was
    /// found would be captured by nothing.
    pub(crate) fn capture_only_tables(&self, schema: &Schema) -> Option<String> {
        let mut touched = self.touched.iter().flatten();
        let strange = touched.find(|name| crate::reach::find(schema, name).is_none());
        let strange = strange.filter(|_| self.is_captured());
        strange.map(|name| format!("`{name}` is not there"))
    }

    /// Returns the tables whose rows it changes.
    pub(super) fn captured_tables(&self, schema: &Schema) -> Vec<Table> {
        let mut tables: Vec<Table> = Vec::new();
        for name in self.touched.iter().flatten() {
            let found = crate::reach::find(schema, name);
            tables.extend(
                found
                    .filter(|table| !tables.iter().any(|other| other.name == table.name))
                    .cloned(),
            );
        }
        tables
    }
}

impl PlannedStatement {
    pub(super) fn is_captured(&self) -> bool {
        match &self.protection {
            Some(StatementProtection::Capture) => true,
            Some(StatementProtection::BackupTable { .. }) => changes_rows_only(self),
            _ => false,
        }
    }
}

impl Execution<'_> {
    /// Runs the statements of a migration, and captures what they change. If not all of that could be captured, the reason
    /// is in [`Execution::needs_point`], and the transaction has to be rolled back.
    pub(crate) async fn statements_captured(&mut self, cx: &Cx, step: &PlannedStep) -> Result<Outcome> {
        let schema = self.runner.schema(cx, &mut *self.session).await?;
        let tables = step.captured_tables(&schema);
        if self.runner.engine().capture().is_none() {
            return Box::pin(self.statements_copied(cx, step, &tables)).await;
        }
        self.start_capture(cx, &tables).await?;
        let outcome = self.statements_inside(cx, step).await?;
        self.finish_capture(cx, &tables).await?;
        Ok(outcome)
    }

    /// Begins to capture what this session changes in these tables. If the server refuses that, the reason is in
    /// [`Execution::needs_point`].
    pub(crate) async fn start_capture(&mut self, cx: &Cx, tables: &[Table]) -> Result<()> {
        let started = capture_of(self.runner)?
            .start(cx, &mut *self.session, tables)
            .await;
        if let Err(error) = &started
            && matches!(error.kind(), ErrorKind::Database | ErrorKind::PermissionDenied)
        {
            self.needs_point = Some(error.to_string());
        }
        started
    }

    /// Ends the capture. If not everything could be captured, the reason is in [`Execution::needs_point`].
    pub(crate) async fn finish_capture(&mut self, cx: &Cx, tables: &[Table]) -> Result<()> {
        let captured = capture_of(self.runner)?
            .finish(cx, &mut *self.session, tables)
            .await;
        if let Err(error) = &captured
            && error.kind() == ErrorKind::Unsupported
        {
            self.needs_point = Some(error.to_string());
        }
        self.captured = captured?;
        Ok(())
    }

    /// Gives back what the capture had set for the session, once its transaction was rolled back.
    pub(crate) async fn abandon_capture(&mut self, cx: &Cx) -> Result<()> {
        self.captured.clear();
        match self.runner.engine().capture() {
            Some(capture) => capture.abandon(cx, &mut *self.session).await,
            None => Ok(()),
        }
    }
}

fn capture_of(runner: &Runner) -> Result<&dyn Capture> {
    let capture = runner.engine().capture();
    capture.ok_or_else(|| Error::internal("an engine that captures nothing was to"))
}

/// Returns whether there is something of that name that is no table.
fn is_other(schema: &Schema, name: &TableName) -> bool {
    let mut views = schema
        .objects
        .iter()
        .filter(|object| matches!(object.kind, ObjectKind::View | ObjectKind::MaterializedView));
    crate::reach::find(schema, name).is_none()
        && views.any(|view| view.name.name.eq_ignore_ascii_case(&name.name))
}

/// Returns whether what is changed in the rows of all of these tables can be captured.
pub(crate) fn may_be_captured(schema: &Schema, tables: &[TableName]) -> bool {
    let mut found = tables.iter().map(|name| crate::reach::find(schema, name));
    found.all(|table| table.is_some_and(|table| refuse_table(schema, table).is_ok()))
}

fn changes_rows_only(statement: &PlannedStatement) -> bool {
    let is_of_rows = |action: &Action| {
        matches!(
            action,
            Action::Read | Action::Insert { .. } | Action::Update { .. } | Action::Delete { .. }
        )
    };
    !statement.alone
        && statement.severity < Severity::Unknown
        && statement.effect.actions.iter().all(is_of_rows)
}

fn refuse_table(schema: &Schema, table: &Table) -> Result<(), String> {
    let name = &table.name;
    if table.primary_key.is_empty() {
        return Err(format!("table `{name}` has no primary key"));
    }
    if !table.parents.is_empty() || schema.tables.iter().any(|other| other.parents.contains(name)) {
        return Err(format!("`{name}` is a partition or has some"));
    }
    let trigger = schema
        .objects_on(name)
        .find(|object| object.kind == ObjectKind::Trigger);
    match trigger {
        Some(trigger) => Err(format!("table `{name}` has the trigger `{}`", trigger.name)),
        None => Ok(()),
    }
}
