//! Queries, which may write after all: through a common table expression, through `INTO`, through a function.

use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;
use walkback_core::{DialectKind, TableName};

use super::{Reading, functions, tokens};
use crate::cursor::{Cursor, is_any_word};
use crate::lexer::{Token, TokenKind};
use crate::names;

/// Reads `SELECT`, `VALUES`, `TABLE` and queries in parentheses.
pub(super) fn select(statement: &Cursor<'_, '_>) -> Reading {
    let mut reading = functions_of(statement);
    let mut into = statement.clone();
    if into.skip_to(&["INTO"]) && statement.kind() == DialectKind::Postgres {
        into.next();
        let temporary = into.any(&["TEMP", "TEMPORARY"]);
        into.word("UNLOGGED");
        into.word("TABLE");
        match into.table() {
            Some(_) if temporary => reading.add(Action::Session),
            Some(name) => reading.add(Action::Create {
                kind: ObjectKind::Table,
                name,
                on: None,
                or_replace: false,
                if_not_exists: false,
            }),
            None => reading.unread = Some("`SELECT .. INTO` names no table".to_owned()),
        }
    }
    reading.add(Action::Read);
    reading
}

/// Reads what follows `WITH`: each common table expression, then the statement they belong to.
pub(super) fn with(behind: &Cursor<'_, '_>) -> Reading {
    let mut cursor = behind.clone();
    cursor.word("RECURSIVE");
    let mut reading = Reading::default();
    loop {
        let Some(body) = expression(&mut cursor) else {
            return Reading::unread("the `WITH` clause cannot be read");
        };
        reading = reading.and(tokens::read(&Cursor::new(cursor.kind(), body)));
        skip_search_and_cycle(&mut cursor);
        if !cursor.symbol(",") {
            break;
        }
    }
    if cursor.is_done() {
        return reading.and(Reading::unread("the `WITH` clause has no statement"));
    }
    reading.and(tokens::read(&cursor))
}

/// Reads `name (columns) AS MATERIALIZED (` and returns what stands inside.
fn expression<'t, 'a>(cursor: &mut Cursor<'t, 'a>) -> Option<&'t [Token<'a>]> {
    cursor.name()?;
    cursor.parenthesised();
    if !cursor.word("AS") {
        return None;
    }
    cursor.word("NOT");
    cursor.word("MATERIALIZED");
    cursor.parenthesised()
}

fn skip_search_and_cycle(cursor: &mut Cursor<'_, '_>) {
    while cursor.at_any(&["SEARCH", "CYCLE"]) {
        while !cursor.is_done()
            && !cursor.at_symbol(",")
            && !cursor.at_any(&["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES", "TABLE"])
        {
            // `SEARCH DEPTH FIRST BY a, b SET c` has commas of its own before `SET`.
            if cursor.word("BY") {
                cursor.skip_to(&["SET"]);
            }
            cursor.next();
        }
    }
}

/// Says what the functions that are called may do: nothing, if all of them are known to write nothing.
pub(super) fn functions_of(statement: &Cursor<'_, '_>) -> Reading {
    let kind = statement.kind();
    let mut reading = Reading::default();
    for (index, _) in statement
        .rest()
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[1].is_symbol("("))
    {
        let Some((schema, name)) = called(kind, statement.rest(), index) else {
            continue;
        };
        if functions::writes_nothing(kind, schema.as_deref(), &name) {
            continue;
        }
        let argument = statement.rest().get(index + 2);
        match argument.filter(|_| functions::moves_a_sequence(&name)) {
            Some(text) if text.kind == TokenKind::Text => reading.add(Action::Alter {
                kind: ObjectKind::Sequence,
                name: sequence(kind, text),
            }),
            _ => reading.add(Action::Unknown {
                why: format!("the function `{name}` can do anything"),
            }),
        }
    }
    reading
}

/// Returns the function called at this place, if the name before a parenthesis is one.
fn called(kind: DialectKind, tokens: &[Token<'_>], index: usize) -> Option<(Option<String>, String)> {
    let token = &tokens[index];
    let name = match token.kind {
        TokenKind::Word | TokenKind::QuotedName => names::identifier(kind, token)?,
        _ => return None,
    };
    let before = index.checked_sub(1).map(|at| &tokens[at]);
    let is_part = before.is_some_and(|before| before.is_symbol("."));
    if !is_part && is_any_word(token) && functions::is_syntax(&name) {
        return None;
    }
    // `AS alias (a, b)`, `INTO t (a, b)`, `REFERENCES t (a)`: a name with columns.
    let names_columns = [
        "AS",
        "INTO",
        "TABLE",
        "REFERENCES",
        "UPDATE",
        "WITH",
        "RECURSIVE",
        "WINDOW",
        "INDEX",
    ];
    let mut start = index;
    while start >= 2 && tokens[start - 1].is_symbol(".") {
        start -= 2;
    }
    let opener = start.checked_sub(1).map(|at| &tokens[at]);
    if opener.is_some_and(|opener| names_columns.iter().any(|word| opener.is_word(word))) {
        return None;
    }
    // `FROM f(x) alias (a, b)`: the alias has its columns behind a parenthesis or a name.
    let is_alias = before.is_some_and(|before| before.is_symbol(")") || before.kind == TokenKind::QuotedName);
    if is_alias {
        return None;
    }
    let schema = (start < index)
        .then(|| names::identifier(kind, &tokens[index - 2]))
        .flatten();
    Some((schema, name))
}

fn sequence(kind: DialectKind, text: &Token<'_>) -> TableName {
    let written = names::unquote(text.text);
    let parts = names::list(kind, &written).and_then(|mut names| names.pop());
    parts.unwrap_or_else(|| TableName::new(written))
}
