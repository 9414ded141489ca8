//! `--sql`: the statements a run would execute, as a script that can be read and kept.

use std::fmt::Write as _;

use walkback_core::Direction;
use walkback_core::ledger::LedgerFormat;
use walkback_runner::{PlannedStep, ScriptOrigin};

/// Renders the statements of steps, with what the ledger gets: as statements where there are some for each step, else as comments.
pub(crate) fn script(steps: &[&PlannedStep], ledger: &LedgerFormat, moves: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (index, step) in steps.iter().enumerate() {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&self::step(step));
        match moves.get(index) {
            Some(moves) => {
                writeln!(text, "-- ledger").ok();
                for sql in moves {
                    writeln!(text, "{}", terminated(sql)).ok();
                }
            }
            None => text.push_str(&told(step, ledger)),
        }
    }
    text.trim_end().to_owned()
}

fn step(step: &PlannedStep) -> String {
    let mut text = String::new();
    let from = match (step.origin, step.statements.first()) {
        (ScriptOrigin::File, Some(first)) => format!(" ({})", first.at.file.display()),
        (ScriptOrigin::File, None) => " (empty)".to_owned(),
        (ScriptOrigin::Stored, _) => " (stored in the database)".to_owned(),
        (ScriptOrigin::Derived, _) => " (derived from the up script)".to_owned(),
    };
    writeln!(text, "-- {} {}{from}", step.name, step.direction).ok();
    let how = if step.transaction {
        "in one transaction"
    } else {
        "outside a transaction"
    };
    writeln!(text, "-- {how}").ok();
    for statement in &step.statements {
        match &statement.external {
            None => writeln!(text, "{}", terminated(&statement.sql)).ok(),
            Some(external) => writeln!(text, "-- {}: {}", statement.sql, external.why).ok(),
        };
    }
    text
}

/// Says what a run writes into the ledger for a step.
fn told(step: &PlannedStep, ledger: &LedgerFormat) -> String {
    let (table, column) = (&ledger.table, ledger.id_column());
    let shown = ledger.shown_in.as_ref();
    let shown = shown.map(|other| format!("; the heads into `{}`", other.table));
    let shown = shown.unwrap_or_default();
    match step.direction {
        Direction::Up => format!(
            "-- ledger: insert the row of `{}` into `{table}`{shown}\n",
            step.id
        ),
        Direction::Down => format!(
            "-- ledger: delete from `{table}` where `{column}` is `{}`{shown}\n",
            step.id
        ),
    }
}

/// Ends a statement. A comment on its last line would swallow a semicolon behind it.
fn terminated(sql: &str) -> String {
    let sql = sql.trim_end();
    let last = sql.lines().last().unwrap_or_default();
    if last.contains("--") || last.contains('#') {
        format!("{sql}\n;")
    } else {
        format!("{sql};")
    }
}

#[cfg(test)]
mod tests {
    use super::terminated;

    #[test]
    fn a_comment_at_the_end_does_not_swallow_the_semicolon() {
        assert_eq!(
            terminated("DROP TABLE a -- really\n"),
            "DROP TABLE a -- really\n;"
        );
        assert_eq!(terminated("DROP TABLE a"), "DROP TABLE a;");
        assert_eq!(terminated("-- why\nDROP TABLE a"), "-- why\nDROP TABLE a;");
    }
}
