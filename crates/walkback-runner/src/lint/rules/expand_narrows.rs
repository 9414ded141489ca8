//! `expand-narrows`: a migration that expands takes away or narrows what the old code still needs.

use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;
use walkback_core::{Dialect, Direction, Phase, TableName};
use walkback_sql::lexer::{self, Token};

use crate::lint::subject::{Step, Subject, finding, same_table, steps};
use crate::lint::{Finding, Level, Rule};

pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    if subject.migration.phase != Some(Phase::Expand) {
        return Vec::new();
    }
    let steps = steps(subject.up);
    let narrowing = steps.iter().filter_map(|step| {
        let (level, why) = narrows(subject.dialect, step)?;
        Some(finding(
            Rule::ExpandNarrows,
            level,
            Direction::Up,
            &step.statement.at,
            format!("`{}` expands, and this {}: {why}", subject.migration.name(), step.action),
            "the old code runs on after an expand: move this into a migration with `-- walkback: phase=contract`",
        ))
    });
    narrowing.collect()
}

/// Says how a step narrows what there is. What the script itself has made no old code knows.
fn narrows(dialect: &dyn Dialect, step: &Step<'_>) -> Option<(Level, &'static str)> {
    let is_new = |table: &TableName| {
        step.earlier.iter().any(|earlier| match earlier {
            Action::Create {
                kind: ObjectKind::Table,
                name,
                ..
            } => same_table(name, table),
            _ => false,
        })
    };
    match step.action {
        Action::DropTable { table } if !is_new(table) => {
            Some((Level::Error, "old code still reads the table"))
        }
        Action::DropColumn { table, .. } if !is_new(table) => {
            Some((Level::Error, "old code still reads the column"))
        }
        Action::RenameTable { from: table, .. } | Action::RenameColumn { table, .. } if !is_new(table) => {
            Some((Level::Error, "old code still uses the old name"))
        }
        Action::Truncate { table } | Action::Delete { table } if !is_new(table) => {
            Some((Level::Error, "old code still reads these rows"))
        }
        Action::Drop { kind, name, .. } if is_read(*kind) && !is_made(step, *kind, name) => {
            Some((Level::Error, "old code may still use it"))
        }
        Action::AddColumn { table, .. } if !is_new(table) && demands(dialect, &step.statement.sql) => Some((
            Level::Error,
            "it is `NOT NULL` without a default, and old code does not fill it",
        )),
        Action::AlterColumn { table, .. } if !is_new(table) => alters(dialect, &step.statement.sql),
        _ => None,
    }
}

/// Returns whether the same script makes such an object: before, so that no old code knows it, or afterwards, in the place of
/// the old one.
fn is_made(step: &Step<'_>, kind: ObjectKind, dropped: &TableName) -> bool {
    let mut actions = step.earlier.iter().chain(&step.later);
    actions.any(|action| match action {
        Action::Create { kind: made, name, .. } => *made == kind && same_table(name, dropped),
        _ => false,
    })
}

/// Returns whether applications use such an object by its name.
const fn is_read(kind: ObjectKind) -> bool {
    !matches!(
        kind,
        ObjectKind::Index | ObjectKind::Constraint | ObjectKind::Trigger
    )
}

/// Returns whether a column that is added has to be filled by whoever inserts a row.
fn demands(dialect: &dyn Dialect, sql: &str) -> bool {
    let tokens = lexer::significant_tokens(dialect.kind(), sql);
    let filled = [
        "DEFAULT",
        "GENERATED",
        "AS",
        "AUTO_INCREMENT",
        "SERIAL",
        "BIGSERIAL",
        "SMALLSERIAL",
    ];
    let is_filled = tokens
        .iter()
        .any(|token| filled.iter().any(|word| token.is_word(word)));
    follow(&tokens, &["NOT", "NULL"]) && !is_filled
}

/// Says how an altered column is narrower than it was, as far as the statement tells.
fn alters(dialect: &dyn Dialect, sql: &str) -> Option<(Level, &'static str)> {
    let tokens = lexer::significant_tokens(dialect.kind(), sql);
    let has = |word: &str| tokens.iter().any(|token| token.is_word(word));
    if follow(&tokens, &["SET", "NOT", "NULL"]) {
        return Some((Level::Error, "old code may still write `NULL` into it"));
    }
    if has("CHANGE") {
        return Some((Level::Error, "old code still uses the old name, and the old type"));
    }
    if has("MODIFY") || has("TYPE") {
        return Some((
            Level::Warning,
            "the new type or the new rules may not take what old code writes",
        ));
    }
    None
}

/// Returns whether words stand one behind the other.
fn follow(tokens: &[Token<'_>], words: &[&str]) -> bool {
    tokens
        .windows(words.len())
        .any(|window| window.iter().zip(words).all(|(token, word)| token.is_word(word)))
}
