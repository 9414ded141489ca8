//! Statements that write rows.

use walkback_core::statement::Action;
use walkback_core::{DialectKind, TableName};

use super::{Reading, query, tokens};
use crate::cursor::{Cursor, position_outside, split_commas};
use crate::lexer::Token;

/// Reads `INSERT` and `REPLACE`, from their first word.
pub(super) fn insert(statement: &Cursor<'_, '_>) -> Reading {
    let mut cursor = statement.clone();
    let mut may_overwrite = cursor.at("REPLACE");
    cursor.next();
    while cursor.any(&["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE"]) {}
    if cursor.word("OR") {
        may_overwrite |= cursor.at("REPLACE");
        cursor.next();
    }
    cursor.word("INTO");
    cursor.word("TABLE");
    let Some(table) = cursor.table() else {
        return Reading::unread("`INSERT` names no table");
    };
    may_overwrite |= cursor.has_row(&["DUPLICATE", "KEY"]) || cursor.has_row(&["DO", "UPDATE"]);
    let mut reading = Reading::of(Action::Insert { table, may_overwrite });
    // A list of columns looks like the arguments of a function.
    cursor.parenthesised();
    if cursor.word("AS") {
        cursor.name();
        cursor.parenthesised();
    }
    if cursor.at("WITH") {
        cursor.next();
        let source = query::with(&cursor);
        return reading.and(without_reads(source));
    }
    reading = reading.and(query::functions_of(&cursor));
    reading
}

/// Reads what follows `UPDATE`.
pub(super) fn update(behind: &Cursor<'_, '_>) -> Reading {
    let mut cursor = behind.clone();
    while cursor.any(&["LOW_PRIORITY", "IGNORE", "ONLY"]) {}
    let replaces = cursor.words(&["OR", "REPLACE"]);
    if cursor.word("OR") {
        cursor.next();
    }
    let Some(set) = position_outside(cursor.rest(), |token| token.is_word("SET")) else {
        return Reading::unread("`UPDATE` has no `SET`");
    };
    let sources = sources(&cursor, &cursor.rest()[..set]);
    let Some(written) = updated(&cursor, &sources, &cursor.rest()[set + 1..]) else {
        return Reading::unread("`UPDATE` names no table that can be read");
    };
    let mut reading = Reading::default();
    for table in written {
        reading.add(Action::Update { table: table.clone() });
        if replaces {
            reading.add(Action::Delete { table });
        }
    }
    reading.and(query::functions_of(&Cursor::new(
        cursor.kind(),
        &cursor.rest()[set + 1..],
    )))
}

/// Says which tables of a join are written: those the assignments name, and all of them where one names none.
fn updated(cursor: &Cursor<'_, '_>, sources: &[Source], set: &[Token<'_>]) -> Option<Vec<TableName>> {
    let all = || {
        sources
            .iter()
            .map(|source| source.table.clone())
            .collect::<Vec<_>>()
    };
    if sources.len() <= 1 || cursor.kind() != DialectKind::Mysql {
        let first = sources.first().map(|source| vec![source.table.clone()]);
        return first;
    }
    let end = position_outside(set, |token| {
        ["WHERE", "ORDER", "LIMIT"].iter().any(|word| token.is_word(word))
    });
    let mut written = Vec::new();
    for assignment in split_commas(&set[..end.unwrap_or(set.len())]) {
        let target = Cursor::new(cursor.kind(), assignment).table();
        let source = target
            .and_then(|target| target.schema)
            .and_then(|qualifier| named(sources, &qualifier));
        match source {
            Some(table) if !written.contains(table) => written.push(table.clone()),
            Some(_) => {}
            None => return Some(all()),
        }
    }
    Some(written)
}

/// Reads what follows `DELETE`.
pub(super) fn delete(behind: &Cursor<'_, '_>) -> Reading {
    let mut cursor = behind.clone();
    while cursor.any(&["LOW_PRIORITY", "QUICK", "IGNORE"]) {}
    let targets_first = !cursor.at("FROM");
    let tables = if cursor.kind() == DialectKind::Mysql {
        deleted_from_join(&mut cursor, targets_first)
    } else {
        cursor.word("FROM");
        cursor.word("ONLY");
        cursor.table().map(|table| vec![table])
    };
    let Some(tables) = tables.filter(|tables| !tables.is_empty()) else {
        return Reading::unread("`DELETE` names no table that can be read");
    };
    let mut reading = Reading::default();
    for table in tables {
        reading.add(Action::Delete { table });
    }
    reading.and(query::functions_of(&cursor))
}

/// `DELETE a, b FROM a JOIN b ..` and `DELETE FROM a, b USING a JOIN b ..`.
fn deleted_from_join(cursor: &mut Cursor<'_, '_>, targets_first: bool) -> Option<Vec<TableName>> {
    cursor.word("FROM");
    let mut targets = Vec::new();
    loop {
        targets.push(cursor.table()?);
        // `t.*` stands for `t`.
        if cursor.symbol(".") {
            cursor.symbol("*");
        }
        if !cursor.symbol(",") {
            break;
        }
    }
    let joined = if targets_first {
        cursor.word("FROM")
    } else {
        cursor.word("USING")
    };
    if !joined {
        return Some(targets);
    }
    let end = position_outside(cursor.rest(), |token| {
        ["WHERE", "ORDER", "LIMIT"].iter().any(|word| token.is_word(word))
    });
    let joined = &cursor.rest()[..end.unwrap_or(cursor.rest().len())];
    let sources = sources(cursor, joined);
    let resolve = |target: TableName| match &target.schema {
        None => named(&sources, &target.name).cloned().unwrap_or(target),
        Some(_) => target,
    };
    Some(targets.into_iter().map(resolve).collect())
}

/// A table of a `FROM` or a join, with the name it goes by.
struct Source {
    alias: String,
    table: TableName,
}

fn named<'s>(sources: &'s [Source], alias: &str) -> Option<&'s TableName> {
    let source = sources
        .iter()
        .find(|source| source.alias.eq_ignore_ascii_case(alias));
    source.map(|source| &source.table)
}

/// Reads `a JOIN b AS x ON .., c`.
fn sources(cursor: &Cursor<'_, '_>, tokens: &[Token<'_>]) -> Vec<Source> {
    let mut found = Vec::new();
    for piece in split_commas(tokens) {
        let mut piece = Cursor::new(cursor.kind(), piece);
        loop {
            if let Some(inside) = piece.parenthesised() {
                found.extend(sources(cursor, inside));
            } else if let Some(table) = piece.table() {
                piece.word("AS");
                let is_alias = !piece.at_any(&[
                    "JOIN",
                    "INNER",
                    "LEFT",
                    "RIGHT",
                    "CROSS",
                    "NATURAL",
                    "STRAIGHT_JOIN",
                    "ON",
                    "USING",
                    "SET",
                    "USE",
                    "FORCE",
                    "IGNORE",
                    "PARTITION",
                    "WHERE",
                    "INDEXED",
                    "NOT",
                    "FULL",
                ]);
                let alias = if is_alias { piece.name() } else { None };
                found.push(Source {
                    alias: alias.unwrap_or_else(|| table.name.clone()),
                    table,
                });
            }
            if !piece.skip_to(&["JOIN", "STRAIGHT_JOIN"]) {
                break;
            }
            piece.next();
            piece.word("LATERAL");
        }
    }
    found
}

/// Reads what follows `MERGE`.
pub(super) fn merge(behind: &Cursor<'_, '_>) -> Reading {
    let mut cursor = behind.clone();
    cursor.word("INTO");
    cursor.word("ONLY");
    let Some(table) = cursor.table() else {
        return Reading::unread("`MERGE` names no table");
    };
    let mut reading = Reading::default();
    if cursor.has_row(&["THEN", "UPDATE"]) {
        reading.add(Action::Update { table: table.clone() });
    }
    if cursor.has_row(&["THEN", "DELETE"]) {
        reading.add(Action::Delete { table: table.clone() });
    }
    if cursor.has_row(&["THEN", "INSERT"]) {
        reading.add(Action::Insert {
            table: table.clone(),
            may_overwrite: false,
        });
    }
    if reading.actions.is_empty() {
        reading.add(Action::Update { table });
    }
    cursor.skip_to(&["USING"]);
    reading.and(query::functions_of(&cursor))
}

/// Reads what follows `TRUNCATE`.
pub(super) fn truncate(behind: &Cursor<'_, '_>) -> Reading {
    let mut cursor = behind.clone();
    cursor.word("TABLE");
    let mut reading = Reading::default();
    loop {
        cursor.word("ONLY");
        let Some(table) = cursor.table() else {
            return reading.and(Reading::unread("`TRUNCATE` names no table"));
        };
        reading.add(Action::Truncate { table });
        cursor.symbol("*");
        if !cursor.symbol(",") {
            break;
        }
    }
    if cursor.has("CASCADE") {
        return reading.and(Reading::unknown(
            "`CASCADE` also empties the tables that refer to it",
        ));
    }
    reading
}

/// Reads what follows `COPY`.
pub(super) fn copy(behind: &Cursor<'_, '_>) -> Reading {
    let mut cursor = behind.clone();
    if let Some(query) = cursor.parenthesised() {
        let reading = tokens::read(&Cursor::new(cursor.kind(), query));
        return reading.and(to_program(&cursor));
    }
    let Some(table) = cursor.table() else {
        return Reading::unread("`COPY` names no table");
    };
    cursor.parenthesised();
    if cursor.word("FROM") {
        return Reading::of(Action::Insert {
            table,
            may_overwrite: false,
        })
        .and(if cursor.at("PROGRAM") {
            to_program(&cursor)
        } else {
            Reading::default()
        });
    }
    Reading::of(Action::Read).and(to_program(&cursor))
}

fn to_program(cursor: &Cursor<'_, '_>) -> Reading {
    if cursor.has("PROGRAM") {
        Reading::unknown("`COPY` runs a program of the server")
    } else {
        Reading::default()
    }
}

/// Reads what follows `LOAD`.
pub(super) fn load(behind: &Cursor<'_, '_>) -> Reading {
    let mut cursor = behind.clone();
    if cursor.at("INDEX") {
        return Reading::of(Action::Maintain);
    }
    if !cursor.at_any(&["DATA", "XML"]) {
        return Reading::unknown("`LOAD` brings code into the server");
    }
    let into = position_outside(cursor.rest(), |token| token.is_word("INTO")).unwrap_or(0);
    let may_overwrite = cursor.rest()[..into].iter().any(|token| token.is_word("REPLACE"));
    cursor.skip_to(&["INTO"]);
    let table = cursor.words(&["INTO", "TABLE"]).then(|| cursor.table()).flatten();
    match table {
        Some(table) => Reading::of(Action::Insert { table, may_overwrite }),
        None => Reading::unread("`LOAD DATA` names no table"),
    }
}

fn without_reads(mut reading: Reading) -> Reading {
    reading.actions.retain(|action| *action != Action::Read);
    reading
}
