//! Deciding how each statement of a plan is protected, from the schema as it is.

use std::time::Duration;

use walkback_core::catalog::Schema;
use walkback_core::dialect::{DialectKind, Inverse};
use walkback_core::name::ObjectKind;
use walkback_core::statement::{Action, Severity};
use walkback_core::{Dialect, Direction, Statement, TableName};

use super::backup_sql::Cut;
use super::{Protect, StatementProtection};
use crate::plan::{PlannedStatement, PlannedStep, Verdict};
use crate::runner::Runner;

impl PlannedStep {
    /// Returns whether what it destroys is moved aside, or copied into backup tables: then its way back is derived, and needs
    /// no point.
    pub(crate) fn is_soft(&self) -> bool {
        let mut statements = self.statements.iter();
        statements.any(|statement| statement.is_soft() || statement.is_backed_up())
    }

    /// Decides how each statement that destroys something is protected.
    pub(crate) fn decide_protection(&mut self, runner: &Runner, schema: &Schema) {
        if self.direction == Direction::Down {
            return;
        }
        self.protect = match self.asked(runner) {
            Ok(protect) => protect,
            Err(why) => return self.keep_in_point(runner, &why),
        };
        let of_rows = self.protect == Protect::BackupTable && self.changes_rows_only();
        let is_beside = matches!(self.protect, Protect::SoftDelete | Protect::BackupTable) && !of_rows;
        let soft = is_beside.then(|| self.refuse_soft(runner, schema));
        let is_captured = self.protect == Protect::Capture || of_rows;
        let capture = is_captured.then(|| self.refuse_capture(runner, schema));
        let dialect = runner.dialect();
        let decision = Decision {
            protect: self.protect,
            of_rows,
            soft,
            capture,
            keep: phrase(runner.settings().soft_delete),
            has_vault: runner.vault().is_some(),
        };
        let least = match decision.capture {
            Some(Ok(())) => Severity::AddsRows,
            _ => Severity::Destructive,
        };
        for statement in &mut self.statements {
            statement.protection =
                (statement.severity >= least).then(|| decision.of(&*dialect, statement, schema));
        }
        self.derive_own_way();
    }

    /// Leaves the tables to a point after all, for a reason that was found while they were moved aside.
    pub(crate) fn give_up_soft(&mut self, why: &str) {
        let not = match self.protect {
            Protect::BackupTable => "not in a backup table",
            _ => "not moved aside",
        };
        self.protect = Protect::Vault;
        let kept = |statement: &&mut PlannedStatement| statement.is_soft() || statement.is_backed_up();
        for statement in self.statements.iter_mut().filter(kept) {
            statement.protection = Some(StatementProtection::Vault {
                why: Some(format!("{not}: {why}")),
            });
        }
    }

    /// What is judged by its text alone has no way back; this one's is derived while it runs.
    fn derive_own_way(&mut self) {
        if self.is_soft()
            && self.paired_down.is_none()
            && self.verdict == Verdict::irreversible_without_down()
        {
            self.verdict = Verdict::derived_while_it_runs();
        }
    }

    /// Says why the tables of this script cannot be moved aside: all of them are, or none. A script of which something
    /// else needs a point is walked back by the point, and that has to hold everything.
    fn refuse_soft(&self, runner: &Runner, schema: &Schema) -> Result<(), String> {
        let dialect = runner.dialect();
        let settings = runner.settings();
        if settings.soft_delete.is_zero() {
            return Err("`soft_delete` is 0s".to_owned());
        }
        let is_mysql = dialect.kind() == DialectKind::Mysql;
        let own = |action: &Action| matches!(action, Action::Transaction);
        let controls = self
            .statements
            .iter()
            .any(|statement| statement.effect.actions.iter().any(own));
        if controls || !is_mysql && !self.transaction {
            return Err("the script is no single transaction".to_owned());
        }
        let mut gone: Vec<TableName> = Vec::new();
        for statement in &self.statements {
            if statement.protect == Some(Protect::Off) {
                continue;
            }
            if statement.drops_tables().next().is_none() {
                let is_own = self.fills_its_own(statement, schema);
                let comes_back = comes_back(&*dialect, statement, schema);
                if comes_back.is_err() && !is_own {
                    let asked = statement.protect.unwrap_or(self.protect);
                    if asked != Protect::BackupTable || statement.severity < Severity::Destructive {
                        return comes_back;
                    }
                    Cut::of(&*dialect, statement, schema)?;
                }
                continue;
            }
            let tables = leaving(statement, schema)?;
            self.refuse_absent(statement, &*dialect, schema)?;
            for table in &tables {
                refuse_table(schema, table, is_mysql)?;
                if is_mysql {
                    refuse_referred(schema, table, &gone, &tables)?;
                }
            }
            gone.extend(tables);
        }
        Ok(())
    }
}

impl PlannedStep {
    /// Returns whether a statement only inserts rows into tables that the same script makes: they go with these. Not where
    /// one of them takes the place of a table that was there: what is written to it since is worth more than its rows then.
    pub(crate) fn fills_its_own(&self, statement: &PlannedStatement, before: &Schema) -> bool {
        let actions = || self.statements.iter().flat_map(|other| &other.effect.actions);
        let is_made = |table: &TableName| {
            actions().any(|action| match action {
                Action::Create {
                    kind: ObjectKind::Table,
                    name,
                    if_not_exists: false,
                    ..
                } => name.name.eq_ignore_ascii_case(&table.name),
                _ => false,
            })
        };
        let is_renamed = |table: &TableName| {
            actions().any(|action| match action {
                Action::RenameTable { from, to } => [from, to]
                    .iter()
                    .any(|name| name.name.eq_ignore_ascii_case(&table.name)),
                _ => false,
            })
        };
        let fills = |action: &Action| match action {
            Action::Insert { table, .. } => {
                before.table(table).is_none() && is_made(table) && !is_renamed(table)
            }
            Action::Read => true,
            _ => false,
        };
        statement.effect.actions.iter().all(fills)
    }

    /// A table that is not there is the server's to refuse, unless the statement allows for it; one that the script makes
    /// itself is there only then.
    fn refuse_absent(
        &self,
        statement: &PlannedStatement,
        dialect: &dyn Dialect,
        schema: &Schema,
    ) -> Result<(), String> {
        let tokens = walkback_sql::lexer::significant_tokens(dialect.kind(), &statement.sql);
        let is_conditional = tokens
            .windows(2)
            .any(|two| two[0].is_word("IF") && two[1].is_word("EXISTS"));
        let is_made_here = |name: &TableName| {
            let mut actions = self.statements.iter().flat_map(|other| &other.effect.actions);
            actions.any(|action| match action {
                Action::Create { name: made, .. } | Action::RenameTable { to: made, .. } => {
                    made.name.eq_ignore_ascii_case(&name.name)
                }
                _ => false,
            })
        };
        let mut absent = statement
            .drops_tables()
            .filter(|name| schema.table(name).is_none());
        match absent.find(|name| !is_conditional || is_made_here(name)) {
            Some(name) => Err(format!("`{name}` is not there yet, and it is decided when it is")),
            None => Ok(()),
        }
    }
}

impl PlannedStatement {
    /// Returns whether the tables it drops are moved aside.
    pub(crate) fn is_soft(&self) -> bool {
        matches!(self.protection, Some(StatementProtection::SoftDelete { .. }))
    }

    /// Returns whether what it destroys is copied into a backup table.
    pub(crate) fn is_backed_up(&self) -> bool {
        matches!(self.protection, Some(StatementProtection::BackupTable { .. })) && !self.is_captured()
    }

    /// Returns the tables it drops, as it names them.
    pub(crate) fn drops_tables(&self) -> impl Iterator<Item = &TableName> {
        self.effect.actions.iter().filter_map(|action| match action {
            Action::DropTable { table } => Some(table),
            _ => None,
        })
    }
}

/// What was decided of a script as a whole.
struct Decision {
    protect: Protect,
    /// Whether it is rows that are kept in backup tables.
    of_rows: bool,
    /// Whether tables are moved aside and columns kept in backup tables, if that was asked for.
    soft: Option<Result<(), String>>,
    /// Whether rows are captured, if that was asked for.
    capture: Option<Result<(), String>>,
    keep: String,
    has_vault: bool,
}

impl Decision {
    /// Says how one statement is protected.
    fn of(
        &self,
        dialect: &dyn Dialect,
        statement: &PlannedStatement,
        schema: &Schema,
    ) -> StatementProtection {
        let drops = leaving(statement, schema).is_ok_and(|tables| !tables.is_empty());
        let keep = || self.keep.clone();
        match &self.soft {
            // A point or a capture holds also what is `off`; what only looks at single statements leaves it alone.
            Some(Ok(())) if statement.protect == Some(Protect::Off) => StatementProtection::Nothing {
                why: "its line says `protect=off`".to_owned(),
            },
            _ if self.capture == Some(Ok(())) && self.of_rows => {
                StatementProtection::BackupTable { keep: keep() }
            }
            _ if self.capture == Some(Ok(())) => StatementProtection::Capture,
            Some(Ok(())) if drops => StatementProtection::SoftDelete { keep: keep() },
            Some(Ok(())) if cuts(dialect, statement, schema) => {
                StatementProtection::BackupTable { keep: keep() }
            }
            Some(Ok(())) => StatementProtection::Definition,
            _ if self.protect == Protect::Off => StatementProtection::Nothing {
                why: "`protect` is `off`".to_owned(),
            },
            _ if !self.has_vault => StatementProtection::Nothing {
                why: "there is no vault".to_owned(),
            },
            _ => StatementProtection::Vault {
                why: self.why_not(statement),
            },
        }
    }

    /// Says why a statement is left to the point, where something else was asked for.
    fn why_not(&self, statement: &PlannedStatement) -> Option<String> {
        match (&self.soft, &self.capture) {
            (Some(Err(why)), _) if self.protect == Protect::BackupTable => {
                Some(format!("not in a backup table: {why}"))
            }
            (Some(Err(why)), _) if statement.drops_tables().next().is_some() => {
                Some(format!("not moved aside: {why}"))
            }
            (_, Some(Err(why))) if self.of_rows => Some(format!("not in a backup table: {why}")),
            (_, Some(Err(why))) => Some(format!("not captured: {why}")),
            _ => None,
        }
    }
}

/// Says how long something is, as a person would: in the largest unit that says it in whole numbers.
fn phrase(time: Duration) -> String {
    let seconds = time.as_secs();
    let (count, unit) = match seconds {
        0 => return format!("{} ms", time.as_millis()),
        _ if seconds.is_multiple_of(86_400) => (seconds / 86_400, "day"),
        _ if seconds.is_multiple_of(3600) => (seconds / 3600, "hour"),
        _ if seconds.is_multiple_of(60) => (seconds / 60, "minute"),
        _ => (seconds, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// Returns the tables that a statement drops and that are there, by their names in the catalog.
pub(super) fn leaving(statement: &PlannedStatement, schema: &Schema) -> Result<Vec<TableName>, String> {
    let is_other = |action: &&Action| {
        let along = matches!(
            action,
            Action::Drop {
                kind: ObjectKind::Other,
                on: None,
                ..
            }
        );
        !along && !matches!(action, Action::DropTable { .. })
    };
    if let Some(other) = statement.effect.actions.iter().find(is_other) {
        return Err(format!("the statement also {other}"));
    }
    let mut found = Vec::new();
    for name in statement.drops_tables() {
        match schema.table(name) {
            Some(table) => found.push(table.name.clone()),
            None if schema.object(ObjectKind::Other, name).is_some() => {
                return Err(format!("`{name}` is a virtual table"));
            }
            None => {}
        }
    }
    Ok(found)
}

/// Says why a statement that drops no table is not taken back by its inverse.
fn comes_back(dialect: &dyn Dialect, statement: &PlannedStatement, schema: &Schema) -> Result<(), String> {
    let plain = Statement {
        sql: statement.sql.clone(),
        line: statement.at.line,
        touches: Vec::new(),
    };
    let has_way = statement.severity < Severity::Unknown
        && match dialect.inverse(&plain, schema) {
            Inverse::Nothing => true,
            Inverse::Statements { loses, .. } => loses.is_empty(),
            Inverse::NotDerivable { .. } => false,
        };
    if has_way {
        return Ok(());
    }
    Err(format!(
        "the same script {} (line {}), and that needs a point",
        statement.effect, statement.at.line
    ))
}

/// Returns whether a statement drops columns whose values its inverse does not bring back.
fn cuts(dialect: &dyn Dialect, statement: &PlannedStatement, schema: &Schema) -> bool {
    comes_back(dialect, statement, schema).is_err() && Cut::of(dialect, statement, schema).is_ok()
}

fn refuse_table(schema: &Schema, name: &TableName, is_mysql: bool) -> Result<(), String> {
    let is_parent = schema.tables.iter().any(|other| other.parents.contains(name));
    let has_parts = schema.table(name).is_some_and(|table| {
        !table.parents.is_empty()
            || table.facts.contains_key("partition by")
            || table.facts.contains_key("of type")
    });
    if is_parent || has_parts {
        return Err(format!("`{name}` has partitions, inherits, or is of a type"));
    }
    if is_mysql {
        let hidden = |object: &&walkback_core::catalog::Object| object.definition.is_empty();
        if let Some(object) = schema.objects_on(name).find(hidden) {
            return Err(format!(
                "the definition of {} `{}` is not shown to this user",
                object.kind.word(),
                object.name
            ));
        }
    }
    Ok(())
}

/// A table that others refer to is not dropped, unless these are gone before. The server says so itself, to the real
/// statement.
fn refuse_referred(
    schema: &Schema,
    name: &TableName,
    gone: &[TableName],
    along: &[TableName],
) -> Result<(), String> {
    let refers = schema.tables.iter().find(|other| {
        let stays = other.name != *name && !gone.contains(&other.name) && !along.contains(&other.name);
        let mut keys = other.foreign_keys.iter();
        stays
            && keys.any(|key| {
                let referred = schema.at_home(&key.references);
                referred.schema == name.schema && referred.name.eq_ignore_ascii_case(&name.name)
            })
    });
    match refers {
        Some(other) => Err(format!("table `{}` refers to `{name}`", other.name)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_in_the_largest_unit_that_fits() {
        for (seconds, said) in [
            (2_592_000, "30 days"),
            (86_400, "1 day"),
            (5400, "90 minutes"),
            (7, "7 seconds"),
        ] {
            assert_eq!(phrase(Duration::from_secs(seconds)), said);
        }
        assert_eq!(phrase(Duration::from_millis(5)), "5 ms");
    }
}
