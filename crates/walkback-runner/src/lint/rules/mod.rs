//! The rules, one file each.

mod contract_alone;
mod down_loses_data;
mod empty_down;
mod expand_narrows;
mod irreversible;
mod locks_table;
mod not_rerunnable;
mod unknown_statement;

use walkback_core::catalog::Schema;
use walkback_core::dialect::Inverse;
use walkback_core::statement::Action;
use walkback_core::{Dialect, Statement};

use super::Finding;
use super::subject::Subject;
use crate::derive::{asks_catalog, changes_rows, is_of_new_table};
use crate::plan::{PlannedStatement, ReadScript};

/// Looks at a migration by all rules.
pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    [
        empty_down::check,
        irreversible::check,
        down_loses_data::check,
        locks_table::check,
        not_rerunnable::check,
        unknown_statement::check,
        expand_narrows::check,
        contract_alone::check,
    ]
    .iter()
    .flat_map(|rule| rule(subject))
    .collect()
}

/// Returns the first statement of a script that has no derived inverse, with the reason.
fn first_underivable<'s>(
    dialect: &dyn Dialect,
    script: &'s ReadScript,
) -> Option<(&'s PlannedStatement, String)> {
    let mut earlier: Vec<&Action> = Vec::new();
    script.statements.iter().find_map(|statement| {
        let is_of_new_table = is_of_new_table(&statement.effect.actions, &earlier);
        earlier.extend(&statement.effect.actions);
        let why = (!is_of_new_table).then(|| underivable(dialect, statement));
        Some((statement, why??))
    })
}

/// Says why a statement has no derived inverse, whatever the catalog holds when it runs. What would be read from
/// the catalog then is taken to be there.
fn underivable(dialect: &dyn Dialect, statement: &PlannedStatement) -> Option<String> {
    let actions = &statement.effect.actions;
    if let Some(Action::Unknown { why }) = actions
        .iter()
        .find(|action| matches!(action, Action::Unknown { .. }))
    {
        return Some(format!("a statement cannot be read: {why}"));
    }
    if let Some(action) = actions.iter().find(|action| changes_rows(action)) {
        return Some(format!("it {action}, and rows have no derived inverse"));
    }
    if actions.iter().any(asks_catalog) {
        return None;
    }
    let plain = Statement {
        sql: statement.sql.clone(),
        line: statement.at.line,
        touches: Vec::new(),
    };
    match dialect.inverse(&plain, &Schema::default()) {
        Inverse::NotDerivable { why } => Some(why),
        _ => None,
    }
}
