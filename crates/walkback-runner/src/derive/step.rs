//! What takes one statement back, or why nothing does.

use serde::Serialize;
use walkback_core::catalog::Schema;
use walkback_core::dialect::Inverse;
use walkback_core::statement::{Action, Location, Severity};
use walkback_core::{Dialect, Statement};

use super::catalog::Definitions;
use crate::plan::{PlannedStatement, ReadScript, creates};

/// What takes one statement of an up back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DerivedStep {
    /// The statement of the up.
    #[serde(flatten)]
    pub at: Location,
    /// What takes it back, in order.
    pub statements: Vec<String>,
    /// What that cannot bring back, in words.
    pub loses: Vec<String>,
    /// Why nothing takes it back: a person has to write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<String>,
    /// Why there is nothing to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Derives what takes the statements of a script back, in the order of the script. What changes nothing is left out.
pub(super) fn derive(dialect: &dyn Dialect, up: &ReadScript, known: &Definitions) -> Vec<DerivedStep> {
    let mut steps = Vec::new();
    let mut earlier: Vec<&Action> = Vec::new();
    for (index, statement) in up.statements.iter().enumerate() {
        if statement.severity > Severity::None {
            steps.push(one(dialect, statement, known.before(index), &known.why, &earlier));
        }
        earlier.extend(&statement.effect.actions);
    }
    steps
}

fn one(
    dialect: &dyn Dialect,
    statement: &PlannedStatement,
    before: Option<&Schema>,
    why_unknown: &str,
    earlier: &[&Action],
) -> DerivedStep {
    let mut step = DerivedStep {
        at: statement.at.clone(),
        statements: Vec::new(),
        loses: Vec::new(),
        gap: None,
        note: None,
    };
    let actions = &statement.effect.actions;
    if is_of_new_table(actions, earlier) {
        step.note = Some("Its rows go with the table, which is new.".to_owned());
        return step;
    }
    if statement.severity == Severity::Unknown {
        step.gap = Some(format!("it {}", statement.effect));
        return step;
    }
    let asks = actions.iter().find(|action| asks_catalog(action));
    if let (None, Some(action)) = (before, asks) {
        step.gap = Some(format!(
            "it {action}, and what was there before is not known: {why_unknown}"
        ));
        return step;
    }
    let plain = Statement {
        sql: statement.sql.clone(),
        line: statement.at.line,
        touches: Vec::new(),
    };
    let nothing = Schema::default();
    match dialect.inverse(&plain, before.unwrap_or(&nothing)) {
        Inverse::Nothing => step.note = Some("Nothing is to be done: it changed nothing.".to_owned()),
        Inverse::Statements { statements, loses } => {
            step.statements = statements;
            step.loses = loses;
        }
        Inverse::NotDerivable { why } => step.gap = Some(why),
    }
    step
}

/// Returns whether a statement changes nothing but rows of tables that its own script has created.
pub(crate) fn is_of_new_table(actions: &[Action], earlier: &[&Action]) -> bool {
    !actions.is_empty()
        && actions.iter().all(|action| {
            let table = action.changed_table().filter(|_| changes_rows(action));
            table.is_some_and(|table| creates(&table.name, earlier))
        })
}

/// Returns whether an action changes rows.
pub(crate) fn changes_rows(action: &Action) -> bool {
    matches!(
        action,
        Action::Insert { .. } | Action::Update { .. } | Action::Delete { .. } | Action::Truncate { .. }
    )
}

/// Returns whether the inverse of an action depends on what is there before it.
pub(crate) fn asks_catalog(action: &Action) -> bool {
    matches!(
        action,
        Action::Drop { .. }
            | Action::DropTable { .. }
            | Action::DropColumn { .. }
            | Action::AlterColumn { .. }
            | Action::Create { or_replace: true, .. }
            | Action::Create {
                if_not_exists: true,
                ..
            }
    )
}
