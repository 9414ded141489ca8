//! Says what a statement does, never less than it does.
//!
//! Two readers look at every statement: tokens, which are always there, and the parsed statement, where the
//! parser reads the dialect. The most severe answer counts. What neither can read is unknown.

mod alter;
mod create;
mod drop;
pub(crate) mod functions;
mod parsed;
mod query;
mod rows;
mod tokens;

use std::path::Path;

use walkback_core::statement::{Action, Severity};
use walkback_core::{DialectKind, Effect, Statement, TableName};

use crate::cursor::Cursor;
use crate::lexer::{Token, TokenKind, significant_tokens};
use crate::split::split;

/// Returns whether the parser reads a statement in its dialect. [`effect`] does not depend on it.
#[must_use]
pub fn parses(kind: DialectKind, statement: &Statement) -> bool {
    parsed::parses(kind, &statement.sql)
}

/// What one reader makes of a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) actions: Vec<Action>,
    /// Why a part could not be read. Another reader may know better, unlike with [`Action::Unknown`].
    pub(crate) unread: Option<String>,
}

impl Reading {
    pub(crate) fn of(action: Action) -> Self {
        Self {
            actions: vec![action],
            unread: None,
        }
    }

    pub(crate) fn unknown(why: impl Into<String>) -> Self {
        Self::of(Action::Unknown { why: why.into() })
    }

    pub(crate) fn unread(why: impl Into<String>) -> Self {
        Self {
            actions: Vec::new(),
            unread: Some(why.into()),
        }
    }

    pub(crate) fn and(mut self, other: Self) -> Self {
        for action in other.actions {
            self.add(action);
        }
        self.unread = self.unread.or(other.unread);
        self
    }

    /// Adds an action that is not in it yet.
    pub(crate) fn add(&mut self, action: Action) {
        if !self.actions.contains(&action) {
            self.actions.push(action);
        }
    }
}

/// Says what a statement does: the most severe of what its tokens and its parsed form say.
///
/// An annotation (`-- walkback: touches a, b`) turns what cannot be read into updates of those tables.
/// The tables it names are otherwise taken as they are written: no catalog is asked.
#[must_use]
pub fn effect(kind: DialectKind, statement: &Statement) -> Effect {
    let mut actions = Vec::new();
    // A statement may come from elsewhere than `split` and hold several; each of them counts.
    match split(kind, &statement.sql, Path::new("statement")) {
        Ok(statements) => {
            for one in statements {
                actions.extend(read(kind, &one.sql));
            }
        }
        Err(error) => actions.push(Action::Unknown {
            why: error.message().to_owned(),
        }),
    }
    Effect {
        actions: settle(annotate(actions, statement)),
    }
}

/// Longest statement that is parsed, in bytes: a longer one is a load of rows, and its tree would take many
/// times its size. Its tokens are read like those of any other.
const LONGEST_PARSED: usize = 1 << 20;

/// Deepest nesting of parentheses that is followed.
const DEEPEST: usize = 200;

fn read(kind: DialectKind, sql: &str) -> Vec<Action> {
    let mut tokens = significant_tokens(kind, sql);
    let is_copy = kind == DialectKind::Postgres && tokens.first().is_some_and(|token| token.is_word("COPY"));
    if is_copy
        && let Some(end) = tokens
            .iter()
            .position(|token| token.kind == TokenKind::Terminator)
    {
        // The rows behind `COPY .. FROM stdin;` are no SQL.
        tokens.truncate(end);
    }
    if depth(&tokens) > DEEPEST {
        return vec![Action::Unknown {
            why: format!("its parentheses are nested deeper than {DEEPEST}"),
        }];
    }
    let by_tokens = tokens::read(&Cursor::new(kind, &tokens));
    let is_parsed = !is_copy && sql.len() <= LONGEST_PARSED;
    let parsed = if is_parsed { parsed::read(kind, sql) } else { None };
    let mut actions = merge(by_tokens, parsed);
    if actions.is_empty() && !tokens.is_empty() {
        actions.push(Action::Unknown {
            why: "nothing in it could be read".to_owned(),
        });
    }
    if actions
        .iter()
        .filter_map(Action::changed_table)
        .any(|table| is_catalog(kind, table))
    {
        actions.push(Action::Unknown {
            why: "it writes to the catalog itself".to_owned(),
        });
    }
    actions
}

fn depth(tokens: &[Token<'_>]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for token in tokens {
        if token.is_symbol("(") {
            depth += 1;
            deepest = deepest.max(depth);
        } else if token.is_symbol(")") {
            depth = depth.saturating_sub(1);
        }
    }
    deepest
}

fn is_catalog(kind: DialectKind, table: &TableName) -> bool {
    let name = table.name.to_ascii_lowercase();
    let schema = table.schema.as_ref().map(|schema| schema.to_ascii_lowercase());
    match kind {
        DialectKind::Sqlite => matches!(
            name.as_str(),
            "sqlite_schema" | "sqlite_master" | "sqlite_temp_schema" | "sqlite_temp_master"
        ),
        DialectKind::Postgres => {
            schema.as_deref() == Some("pg_catalog") || (schema.is_none() && name.starts_with("pg_"))
        }
        DialectKind::Mysql => matches!(schema.as_deref(), Some("mysql" | "performance_schema" | "sys")),
    }
}

/// Joins both answers: everything either of them has seen.
fn merge(by_tokens: Reading, parsed: Option<Vec<Action>>) -> Vec<Action> {
    let Reading { mut actions, unread } = by_tokens;
    match (parsed, unread) {
        (Some(parsed), _) => {
            for action in parsed {
                if !actions.contains(&action) && action.severity() > Severity::None {
                    actions.push(action);
                }
            }
        }
        (None, Some(why)) => actions.push(Action::Unknown { why }),
        (None, None) => {}
    }
    actions
}

/// Puts updates of the annotated tables in the place of what cannot be read.
fn annotate(actions: Vec<Action>, statement: &Statement) -> Vec<Action> {
    let is_unknown = |action: &Action| matches!(action, Action::Unknown { .. });
    if statement.touches.is_empty() || !actions.iter().any(is_unknown) {
        return actions;
    }
    let mut settled: Vec<Action> = actions.into_iter().filter(|action| !is_unknown(action)).collect();
    for table in &statement.touches {
        settled.push(Action::Update { table: table.clone() });
    }
    settled
}

/// Leaves out repeats, and reads beside something that matters more.
fn settle(actions: Vec<Action>) -> Vec<Action> {
    let more_than_reads = actions.iter().any(|action| *action != Action::Read);
    let mut settled: Vec<Action> = Vec::new();
    for action in actions {
        let adds_nothing = settled.contains(&action) || (more_than_reads && action == Action::Read);
        if !adds_nothing {
            settled.push(action);
        }
    }
    settled
}
