//! `empty-down`: a down that does nothing, to an up that does something.

use walkback_core::Direction;
use walkback_core::statement::{Location, Severity};

use super::first_underivable;
use crate::lint::subject::{Subject, finding};
use crate::lint::{Finding, Level, Rule};
use crate::plan::ReadScript;

pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(done) = first_change(subject.up).filter(|_| subject.migration.irreversible.is_none()) else {
        return Vec::new();
    };
    let found = match subject.down {
        Some(down) if first_change(down).is_none() => {
            let first = down.statements.first().map(|first| &first.at);
            first.or(subject.down_at).map(|at| does_nothing(at, &done))
        }
        Some(_) => None,
        None => no_statement(subject),
    };
    found.into_iter().collect()
}

/// Says what the first statement does that changes something that lasts.
fn first_change(script: &ReadScript) -> Option<String> {
    let statement = script
        .statements
        .iter()
        .find(|statement| statement.severity > Severity::None)?;
    Some(format!("{} ({})", statement.effect, statement.at))
}

fn does_nothing(at: &Location, done: &str) -> Finding {
    finding(
        Rule::EmptyDown,
        Level::Error,
        Direction::Down,
        at,
        format!("the down does nothing, and the up {done}"),
        "write what takes it back, or remove the script: without one the way back is derived",
    )
}

/// A file without a statement counts as not written. Where a way back is derived in its place nothing is amiss.
fn no_statement(subject: &Subject<'_>) -> Option<Finding> {
    let file = subject.migration.empty_down.clone()?;
    let (statement, why) = first_underivable(subject.dialect, subject.up)?;
    Some(finding(
        Rule::EmptyDown,
        Level::Error,
        Direction::Down,
        &Location { file, line: 1 },
        format!(
            "the down script holds no statement, and none can be derived: {why} ({})",
            statement.at
        ),
        format!(
            "write what takes it back (`walkback new --down-from-up {}` begins it), or say at the head of the up script \
             that nothing does: `-- walkback: irreversible=\"why\"`",
            subject.migration.id
        ),
    ))
}
