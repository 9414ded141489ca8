//! `irreversible`: no down was written, none can be derived, and nobody says so.

use walkback_core::Direction;
use walkback_core::statement::Severity;

use super::first_underivable;
use crate::lint::subject::{Subject, finding};
use crate::lint::{Finding, Level, Rule};

pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let migration = subject.migration;
    let is_meant = migration.irreversible.is_some();
    // A file for it that holds nothing is a matter of `empty-down`.
    if subject.down.is_some() || is_meant || migration.empty_down.is_some() {
        return Vec::new();
    }
    let changes = subject
        .up
        .statements
        .iter()
        .any(|statement| statement.severity > Severity::None);
    let Some((statement, why)) = first_underivable(subject.dialect, subject.up).filter(|_| changes) else {
        return Vec::new();
    };
    vec![finding(
        Rule::Irreversible,
        Level::Error,
        Direction::Up,
        &statement.at,
        format!(
            "`{}` has no down script, and none can be derived: {why}",
            migration.name()
        ),
        format!(
            "write one (`walkback new --down-from-up {}` begins it), or say at the head of the up script that there is \
             none: `-- walkback: irreversible=\"why\"`",
            migration.id
        ),
    )]
}
