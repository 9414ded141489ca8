//! What the rules look at: one migration with its scripts.

use walkback_core::statement::{Action, Location};
use walkback_core::{Dialect, Direction, Migration, TableName};

use super::{Finding, Level, Rule};
use crate::plan::{PlannedStatement, ReadScript};

/// A migration with its scripts.
pub(super) struct Subject<'s> {
    pub(super) migration: &'s Migration,
    pub(super) dialect: &'s dyn Dialect,
    pub(super) up: &'s ReadScript,
    /// Whether a migration that it follows, however many are between, expands.
    pub(super) has_expanded: bool,
    /// The down its author wrote.
    pub(super) down: Option<&'s ReadScript>,
    /// Where that begins, for what is to be said of all of it.
    pub(super) down_at: Option<&'s Location>,
}

impl<'s> Subject<'s> {
    /// Returns the scripts, the up first.
    pub(super) fn scripts(&self) -> impl Iterator<Item = (Direction, &'s ReadScript)> + use<'s> {
        let up = std::iter::once((Direction::Up, self.up));
        up.chain(self.down.map(|down| (Direction::Down, down)))
    }
}

/// An action, the statement it is part of, and what the script did before.
pub(super) struct Step<'s> {
    pub(super) statement: &'s PlannedStatement,
    pub(super) action: &'s Action,
    pub(super) earlier: Vec<&'s Action>,
    pub(super) later: Vec<&'s Action>,
}

/// Returns the actions of a script, in order.
pub(super) fn steps(script: &ReadScript) -> Vec<Step<'_>> {
    let all: Vec<(&PlannedStatement, &Action)> = script
        .statements
        .iter()
        .flat_map(|statement| {
            statement
                .effect
                .actions
                .iter()
                .map(move |action| (statement, action))
        })
        .collect();
    all.iter()
        .enumerate()
        .map(|(index, (statement, action))| Step {
            statement,
            action,
            earlier: all[..index].iter().map(|(_, action)| *action).collect(),
            later: all[index + 1..].iter().map(|(_, action)| *action).collect(),
        })
        .collect()
}

/// Returns whether two names mean the same table, as far as that can be told without a catalog.
pub(super) fn same_table(left: &TableName, right: &TableName) -> bool {
    let same_schema = left.schema.is_none() || right.schema.is_none() || left.schema == right.schema;
    same_schema && left.name.eq_ignore_ascii_case(&right.name)
}

/// Makes a finding.
pub(super) fn finding(
    rule: Rule,
    level: Level,
    direction: Direction,
    at: &Location,
    message: impl Into<String>,
    advice: impl Into<String>,
) -> Finding {
    Finding {
        rule,
        level,
        direction,
        at: at.clone(),
        message: message.into(),
        advice: advice.into(),
        table: None,
        table_bytes: None,
    }
}
