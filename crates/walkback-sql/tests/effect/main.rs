//! What each statement is said to do, in each dialect.

mod definitions;
mod rows;
mod transactions;
mod unknown;

use walkback_core::statement::Severity;
use walkback_core::{DialectKind, Effect, Statement};

fn statement(sql: &str) -> Statement {
    Statement {
        sql: sql.to_owned(),
        line: 1,
        touches: Vec::new(),
    }
}

fn effect(kind: DialectKind, sql: &str) -> Effect {
    walkback_sql::effect(kind, &statement(sql))
}

/// Checks what a statement is said to do, in the words of the plan.
#[track_caller]
fn does(kind: DialectKind, sql: &str, wanted: &str) {
    assert_eq!(effect(kind, sql).to_string(), wanted, "{kind}: {sql}");
}

#[track_caller]
fn all_do(sql: &str, wanted: &str) {
    for kind in DialectKind::ALL {
        does(kind, sql, wanted);
    }
}

#[track_caller]
fn is_unknown(kind: DialectKind, sql: &str) {
    assert_eq!(
        effect(kind, sql).severity(),
        Severity::Unknown,
        "{kind}: {sql}: {}",
        effect(kind, sql)
    );
}
