//! `unknown-statement`: nobody can read what a statement does, so a rollback point of everything is made before it.

use walkback_core::statement::Action;

use crate::lint::subject::{Subject, finding};
use crate::lint::{Finding, Level, Rule};

pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (direction, script) in subject.scripts() {
        for statement in &script.statements {
            let unknown = statement.effect.actions.iter().find_map(|action| match action {
                Action::Unknown { why } => Some(why),
                _ => None,
            });
            if let Some(why) = unknown {
                findings.push(finding(
                    Rule::UnknownStatement,
                    Level::Warning,
                    direction,
                    &statement.at,
                    format!("what this does cannot be read: {why}; all tables are kept before it"),
                    "name the tables it changes before it: `-- walkback: touches orders, items`",
                ));
            }
        }
    }
    findings
}
