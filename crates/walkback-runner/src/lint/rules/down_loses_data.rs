//! `down-loses-data`: the way back brings back a column, a table or rows in name only.
//!
//! What the down does to fill them is not judged, only whether it does anything: whether the values are the old ones
//! is for `walkback verify` to find out.

use walkback_core::name::ObjectKind;
use walkback_core::statement::{Action, Location};
use walkback_core::{DialectKind, Direction, TableName};
use walkback_sql::lexer::significant_tokens;

use super::first_underivable;
use crate::lint::subject::{Step, Subject, finding, same_table, steps};
use crate::lint::{Finding, Level, Rule};
use crate::plan::{ReadScript, creates};
use crate::protect::Protect;

const FILL: &str = "keep what is dropped in a table of its own and fill from there, or drop nothing until nobody needs it; \
                    `walkback rollback` brings it back from the point, `walkback down` does not";

pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    match subject.down {
        _ if subject.migration.irreversible.is_some() => Vec::new(),
        Some(down) => written(subject, down),
        None if first_underivable(subject.dialect, subject.up).is_none() => derived(subject),
        None => Vec::new(),
    }
}

/// Judges the down of an author.
fn written(subject: &Subject<'_>, down: &ReadScript) -> Vec<Finding> {
    let downs = steps(down);
    let is_read = |step: &Step<'_>| !matches!(step.action, Action::Unknown { .. });
    if !downs.iter().all(is_read) {
        return Vec::new();
    }
    let kind = subject.dialect.kind();
    let ups = steps(subject.up);
    ups.iter()
        .filter_map(|step| match lost(step)? {
            Lost::Column(table, column) => column_back(&downs, table, column, &step.statement.at),
            Lost::Table(table) => table_back(kind, &downs, table, &step.statement.at),
            Lost::Rows(table) => rows_back(&downs, table, step),
        })
        .collect()
}

/// Names what the derived way back re-creates empty.
fn derived(subject: &Subject<'_>) -> Vec<Finding> {
    let nothing_kept = subject.up.protect == Some(Protect::Off);
    let level = if nothing_kept {
        Level::Error
    } else {
        Level::Warning
    };
    let kept = if nothing_kept {
        "`protect=off` keeps them nowhere: leave it out, or keep them in a table of its own"
    } else {
        "`walkback rollback` brings them back from the point; write a down that does, if `walkback down` is to"
    };
    let ups = steps(subject.up);
    ups.iter()
        .filter_map(|step| {
            let what = match lost(step)? {
                Lost::Column(table, column) => {
                    format!("column `{table}.{column}` comes back without its values")
                }
                Lost::Table(table) => format!("table `{table}` comes back without its rows"),
                Lost::Rows(_) => return None,
            };
            Some(finding(
                Rule::DownLosesData,
                level,
                Direction::Up,
                &step.statement.at,
                format!("there is no down script, and by the derived one {what}"),
                kept,
            ))
        })
        .collect()
}

/// What an action of an up takes away.
enum Lost<'s> {
    Column(&'s TableName, &'s str),
    Table(&'s TableName),
    Rows(&'s TableName),
}

/// Returns what an action takes away that was there before its script.
fn lost<'s>(step: &Step<'s>) -> Option<Lost<'s>> {
    let table = match step.action {
        Action::DropColumn { table, .. }
        | Action::DropTable { table }
        | Action::Delete { table }
        | Action::Truncate { table }
        | Action::Update { table } => table,
        _ => return None,
    };
    if creates(&table.name, &step.earlier) {
        return None;
    }
    Some(match step.action {
        Action::DropColumn { table, column } => Lost::Column(table, column),
        // Rebuilt: its rows went into the table that takes its name. Or dropped to begin afresh.
        Action::DropTable { table } if takes_its_place(table, &step.later) => return None,
        Action::DropTable { table } => Lost::Table(table),
        // A column that is new is filled: nothing of that was there before.
        Action::Update { table } if adds_column(table, &step.earlier) => return None,
        _ => Lost::Rows(table),
    })
}

fn takes_its_place(table: &TableName, later: &[&Action]) -> bool {
    later.iter().any(|action| match action {
        Action::RenameTable { to, .. } => same_table(to, table),
        Action::Create {
            kind: ObjectKind::Table,
            name,
            ..
        } => same_table(name, table),
        _ => false,
    })
}

fn adds_column(table: &TableName, earlier: &[&Action]) -> bool {
    earlier
        .iter()
        .any(|action| matches!(action, Action::AddColumn { table: to, .. } if same_table(to, table)))
}

/// Returns whether one of these actions writes rows of a table, or puts another table in its place.
fn writes<'s>(table: &TableName, mut actions: impl Iterator<Item = &'s Action>) -> bool {
    actions.any(|action| match action {
        Action::Insert { table: to, .. } | Action::Update { table: to } | Action::RenameTable { to, .. } => {
            same_table(to, table)
        }
        _ => false,
    })
}

fn column_back(downs: &[Step<'_>], table: &TableName, column: &str, dropped: &Location) -> Option<Finding> {
    let again = downs.iter().find(|step| match step.action {
        Action::AddColumn {
            table: to,
            column: name,
        } => same_table(to, table) && name.eq_ignore_ascii_case(column),
        _ => false,
    });
    let Some(again) = again else {
        let comes_back = downs.iter().any(|step| match step.action {
            Action::RenameTable { to, .. } => same_table(to, table),
            Action::RenameColumn { table: of, to, .. } => {
                same_table(of, table) && to.eq_ignore_ascii_case(column)
            }
            _ => false,
        });
        return (!comes_back).then(|| {
            error(
                Direction::Up,
                dropped,
                format!("the down brings back neither column `{table}.{column}` nor its values"),
            )
        });
    };
    let is_filled = writes(table, again.later.iter().copied());
    (!is_filled).then(|| {
        error(
            Direction::Down,
            &again.statement.at,
            format!("the down adds column `{table}.{column}` again, without the values it had ({dropped})"),
        )
    })
}

fn table_back(
    kind: DialectKind,
    downs: &[Step<'_>],
    table: &TableName,
    dropped: &Location,
) -> Option<Finding> {
    let again = downs.iter().find(|step| match step.action {
        Action::Create {
            kind: ObjectKind::Table,
            name,
            ..
        } => same_table(name, table),
        Action::RenameTable { to, .. } => same_table(to, table),
        _ => false,
    });
    let Some(again) = again else {
        return Some(error(
            Direction::Up,
            dropped,
            format!("the down brings back neither table `{table}` nor its rows"),
        ));
    };
    let is_renamed = matches!(again.action, Action::RenameTable { .. });
    let is_selected = significant_tokens(kind, &again.statement.sql)
        .iter()
        .any(|token| token.is_word("SELECT"));
    let is_filled = is_renamed || is_selected || writes(table, again.later.iter().copied());
    (!is_filled).then(|| {
        error(
            Direction::Down,
            &again.statement.at,
            format!("the down creates table `{table}` again, without the rows it had ({dropped})"),
        )
    })
}

/// A down that does not touch the table leaves its rows as the up has left them.
fn rows_back(downs: &[Step<'_>], table: &TableName, step: &Step<'_>) -> Option<Finding> {
    let touches = writes(table, downs.iter().map(|step| step.action));
    (!touches).then(|| {
        finding(
            Rule::DownLosesData,
            Level::Warning,
            Direction::Up,
            &step.statement.at,
            format!("the down does not bring back the rows as they were before the up {}", step.action),
            "write what brings them back; `walkback rollback` does so from the point, `walkback down` does not",
        )
    })
}

fn error(direction: Direction, at: &Location, message: String) -> Finding {
    finding(Rule::DownLosesData, Level::Error, direction, at, message, FILL)
}
