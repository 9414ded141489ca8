//! The way back of a migration, derived from its statements and the catalog before each of them.

use std::collections::BTreeSet;

use walkback_core::catalog::Schema;
use walkback_core::dialect::Inverse;
use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;
use walkback_core::{Statement, TableName};

use crate::derive::changes_rows;
use crate::plan::{PlannedStatement, creates};
use crate::protect::Move;

/// The way back as it is derived, statement by statement.
#[derive(Debug, Default)]
pub(crate) struct Derivation {
    /// Inverses, oldest statement first.
    inverses: Vec<Vec<String>>,
    loses: Vec<String>,
    /// Why there is none.
    broken: Option<String>,
    /// The tables that were there before the first statement.
    tables: Option<BTreeSet<TableName>>,
    /// What the statements up to here did.
    done: Vec<Action>,
}

impl Derivation {
    /// Takes up a derivation after the first statements of a script, whose ways back were noted before them.
    pub(super) fn of_done(
        ways: Vec<std::result::Result<Vec<String>, String>>,
        statements: &[PlannedStatement],
        before: &Schema,
    ) -> Self {
        let mut derivation = Self {
            tables: Some(before.tables.iter().map(|table| table.name.clone()).collect()),
            ..Self::default()
        };
        for (way, statement) in ways.into_iter().zip(statements) {
            match way {
                Ok(way) => derivation.inverses.push(way),
                Err(why) => {
                    derivation.broken.get_or_insert(why);
                }
            }
            derivation.done.extend(statement.effect.actions.iter().cloned());
        }
        derivation
    }

    /// Derives the inverse of a statement that is about to run, and returns it.
    pub(crate) fn add(
        &mut self,
        dialect: &dyn walkback_core::Dialect,
        statement: &PlannedStatement,
        before: &Schema,
    ) -> Inverse {
        let plain = Statement {
            sql: statement.sql.clone(),
            line: statement.at.line,
            touches: Vec::new(),
        };
        let tables = || before.tables.iter().map(|table| table.name.clone());
        let earlier = self.tables.get_or_insert_with(|| tables().collect());
        let inverse = if is_of_new_table(statement, &self.done, earlier, before) {
            // Its rows go with the table.
            Inverse::Nothing
        } else if statement.severity == walkback_core::statement::Severity::Unknown {
            let why = statement.effect.to_string();
            Inverse::NotDerivable { why }
        } else {
            dialect.inverse(&plain, before)
        };
        match &inverse {
            Inverse::Statements { statements, loses } if self.broken.is_none() => {
                self.inverses.push(statements.clone());
                self.loses.extend(loses.iter().cloned());
            }
            Inverse::NotDerivable { why } if self.broken.is_none() => self.broken = Some(why.clone()),
            _ => {}
        }
        self.done.extend(statement.effect.actions.iter().cloned());
        inverse
    }

    /// Adds what takes back the moves that stand for a statement.
    pub(crate) fn add_moves(&mut self, moves: &[Move]) {
        self.inverses.extend(moves.iter().map(|one| one.back.clone()));
    }

    /// Adds the inverse of a statement whose author has said that nobody needs back what it destroys.
    pub(crate) fn add_waived(
        &mut self,
        dialect: &dyn walkback_core::Dialect,
        statement: &PlannedStatement,
        before: &Schema,
    ) -> Inverse {
        let mut alone = Self {
            tables: self.tables.clone(),
            done: self.done.clone(),
            ..Self::default()
        };
        let inverse = alone.add(dialect, statement, before);
        self.inverses.append(&mut alone.inverses);
        self.tables = alone.tables;
        self.done = alone.done;
        inverse
    }

    /// Adds what takes back a statement that was kept beside what it destroys.
    pub(crate) fn add_way(&mut self, way: Vec<String>, statement: &PlannedStatement) {
        self.inverses.push(way);
        self.done.extend(statement.effect.actions.iter().cloned());
    }

    pub(super) fn finish(self) -> (Option<Vec<String>>, Vec<String>) {
        if self.broken.is_some() {
            return (None, Vec::new());
        }
        (
            Some(self.inverses.into_iter().rev().flatten().collect()),
            self.loses,
        )
    }
}

/// Returns whether a statement changes nothing but rows of tables that its own migration has made, and that nothing
/// hands on to others.
fn is_of_new_table(
    statement: &PlannedStatement,
    done: &[Action],
    earlier: &BTreeSet<TableName>,
    now: &Schema,
) -> bool {
    let done: Vec<&Action> = done.iter().collect();
    let is_new = |action: &Action| {
        let table = action.changed_table().filter(|_| changes_rows(action));
        let table = table.filter(|table| creates(&table.name, &done));
        let Some(table) = table.and_then(|table| crate::reach::find(now, table)) else {
            return false;
        };
        let is_fired = now
            .objects_on(&table.name)
            .any(|object| object.kind == ObjectKind::Trigger);
        let others = now.tables.iter().filter(|other| earlier.contains(&other.name));
        let is_referred_to = others
            .flat_map(|other| &other.foreign_keys)
            .any(|key| key.references == table.name);
        !earlier.contains(&table.name) && !is_fired && !is_referred_to
    };
    let actions = &statement.effect.actions;
    !actions.is_empty() && actions.iter().all(is_new)
}
