//! Reads the parts of a `CREATE TABLE` that no pragma gives: checks, generated columns, collations, conflict
//! clauses.
//!
//! SQLite keeps the text of a table as it was written. What this module cannot read is answered with `None`,
//! and the table is then compared by its normalised text.

use std::ops::Range;

use walkback_core::DialectKind;
use walkback_sql::lexer::{Token, TokenKind, significant_tokens};
use walkback_sql::normalise;

use crate::cursor::{Cursor, split_commas};

const KIND: DialectKind = DialectKind::Sqlite;

/// What a `CREATE TABLE` says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Definition {
    /// Its columns, in order.
    pub(crate) columns: Vec<ColumnDefinition>,
    /// The primary key.
    pub(crate) primary_key: Option<KeyDefinition>,
    /// Unique constraints.
    pub(crate) uniques: Vec<KeyDefinition>,
    /// Expressions of checks, normalised.
    pub(crate) checks: Vec<String>,
    /// Foreign keys.
    pub(crate) foreign_keys: Vec<ForeignKeyDefinition>,
    /// Whether the primary key never gives a number twice.
    pub(crate) autoincrement: bool,
    /// Whether rows have no rowid.
    pub(crate) without_rowid: bool,
    /// Whether types are enforced.
    pub(crate) strict: bool,
}

/// What a column says beyond its pragmas.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ColumnDefinition {
    pub(crate) name: String,
    pub(crate) collation: Option<String>,
    /// The expression, normalised, and whether it is stored.
    pub(crate) generated: Option<(String, bool)>,
    pub(crate) default: Option<String>,
    /// What happens when `NULL` is written, if that is not to fail.
    pub(crate) not_null_conflict: Option<String>,
}

/// A primary key or unique constraint.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyDefinition {
    /// The columns with their collation and direction, normalised.
    pub(crate) columns: Vec<String>,
    /// What happens on a conflict, if that is not to fail.
    pub(crate) conflict: Option<String>,
}

/// A foreign key. Names are in lower case, because SQLite does not tell them apart by case.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ForeignKeyDefinition {
    pub(crate) columns: Vec<String>,
    pub(crate) parent: String,
    pub(crate) parent_columns: Vec<String>,
    /// `ON DELETE CASCADE`, `DEFERRABLE INITIALLY DEFERRED`: what is not the default, in a fixed order.
    pub(crate) rules: Vec<String>,
}

/// The beginning of a `CREATE TABLE`.
pub(crate) struct Head {
    /// Byte offset behind the name.
    pub(crate) name_end: usize,
    /// Index of the first token behind the name.
    pub(crate) body: usize,
}

/// Returns the tokens of a text without comments.
pub(crate) fn tokens(sql: &str) -> Vec<Token<'_>> {
    significant_tokens(KIND, sql)
}

/// Returns the name a token stands for, where it can stand for one.
pub(crate) fn name_of(token: &Token<'_>) -> Option<String> {
    let text = token.text;
    match token.kind {
        TokenKind::Word => Some(text.to_owned()),
        TokenKind::QuotedName | TokenKind::Text => {
            let quote = text
                .chars()
                .next()
                .filter(|quote| matches!(quote, '"' | '`' | '[' | '\''))?;
            let inner = text.get(1..text.len().checked_sub(1)?)?;
            Some(match quote {
                '[' => inner.to_owned(),
                quote => inner.replace(&format!("{quote}{quote}"), &quote.to_string()),
            })
        }
        _ => None,
    }
}

/// Reads `CREATE TABLE [IF NOT EXISTS] [schema.]name`. A virtual or temporary table is not read.
pub(crate) fn head(tokens: &[Token<'_>]) -> Option<Head> {
    let mut cursor = Cursor::new("", tokens);
    if !(cursor.word("CREATE") && cursor.word("TABLE")) {
        return None;
    }
    if cursor.word("IF") && !(cursor.word("NOT") && cursor.word("EXISTS")) {
        return None;
    }
    cursor.name()?;
    if cursor.symbol(".") {
        cursor.name()?;
    }
    let name_end = tokens.get(cursor.position().checked_sub(1)?)?.end();
    cursor.peek()?;
    Some(Head {
        name_end,
        body: cursor.position(),
    })
}

/// Finds where a table puts its own name before one of its columns, as byte ranges to leave out.
pub(crate) fn own_qualifiers(tokens: &[Token<'_>], table: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (index, window) in tokens.windows(3).enumerate() {
        let is_own = name_of(&window[0]).is_some_and(|name| name.eq_ignore_ascii_case(table));
        if !(is_own && window[0].kind != TokenKind::Text && window[1].is_symbol(".")) {
            continue;
        }
        let schema = index
            .checked_sub(2)
            .filter(|start| tokens[start + 1].is_symbol("."))
            .map(|start| tokens[start].offset);
        let after_dot = index > 0 && tokens[index - 1].is_symbol(".");
        if after_dot && schema.is_none() {
            continue;
        }
        found.push(schema.unwrap_or(window[0].offset)..window[2].offset);
    }
    found
}

/// Reads a `CREATE TABLE`.
pub(crate) fn read(sql: &str) -> Option<Definition> {
    let tokens = tokens(sql);
    let head = head(&tokens)?;
    let name = name_of(&tokens[head.body - 1])?;
    let mut cursor = Cursor::new(sql, &tokens[head.body..]).of_table(&name);
    let body = cursor.parenthesised()?;
    let mut definition = Definition::default();
    let mut in_columns = true;
    for item in split_commas(body) {
        let mut item = cursor.within(item);
        in_columns &= !item.at_any(&["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"]);
        if in_columns {
            column(&mut item, &mut definition)?;
        } else {
            constraints(&mut item, &mut definition)?;
        }
    }
    while cursor.peek().is_some() {
        if cursor.word("WITHOUT") && cursor.word("ROWID") {
            definition.without_rowid = true;
        } else if cursor.word("STRICT") {
            definition.strict = true;
        } else if !cursor.symbol(",") {
            return None;
        }
    }
    Some(definition)
}

const COLUMN_CONSTRAINTS: [&str; 11] = [
    "CONSTRAINT",
    "PRIMARY",
    "NOT",
    "NULL",
    "UNIQUE",
    "CHECK",
    "DEFAULT",
    "COLLATE",
    "REFERENCES",
    "GENERATED",
    "AS",
];

fn column(cursor: &mut Cursor<'_, '_>, definition: &mut Definition) -> Option<()> {
    let mut column = ColumnDefinition {
        name: cursor.name()?,
        ..ColumnDefinition::default()
    };
    while cursor.peek().is_some() && !cursor.at_any(&COLUMN_CONSTRAINTS) {
        // The type, which the catalog has.
        if cursor.parenthesised().is_none() {
            cursor.name()?;
        }
    }
    while cursor.peek().is_some() {
        if !(key_of_column(cursor, &column.name, definition)? || rule_of_column(cursor, &mut column)?) {
            return None;
        }
    }
    definition.columns.push(column);
    Some(())
}

/// Takes a constraint of a column that is one of the table as well. `Some(false)` means that none comes next.
fn key_of_column(cursor: &mut Cursor<'_, '_>, name: &str, definition: &mut Definition) -> Option<bool> {
    if cursor.word("PRIMARY") {
        cursor.must("KEY")?;
        // `INTEGER PRIMARY KEY DESC` at a column is no rowid, at the table it is.
        let quirk = if cursor.direction() {
            " DESC (at the column)"
        } else {
            ""
        };
        definition.primary_key = Some(KeyDefinition {
            columns: vec![format!("{}{quirk}", spelled(name))],
            conflict: cursor.conflict()?,
        });
        definition.autoincrement |= cursor.word("AUTOINCREMENT");
    } else if cursor.word("UNIQUE") {
        definition.uniques.push(KeyDefinition {
            columns: vec![spelled(name)],
            conflict: cursor.conflict()?,
        });
    } else if cursor.word("CHECK") {
        definition.checks.push(cursor.expression()?);
        cursor.conflict()?;
    } else if cursor.word("REFERENCES") {
        let key = cursor.references(vec![name.to_lowercase()])?;
        definition.foreign_keys.push(key);
    } else if cursor.word("DEFERRABLE") {
        // Belongs to the foreign key before it, which other constraints may follow first.
        let rule = cursor.deferred()?;
        definition.foreign_keys.last_mut()?.rules.extend(rule);
    } else {
        return Some(false);
    }
    Some(true)
}

/// Takes a rule about the values of a column. `Some(false)` means that none comes next.
fn rule_of_column(cursor: &mut Cursor<'_, '_>, column: &mut ColumnDefinition) -> Option<bool> {
    if cursor.word("CONSTRAINT") {
        cursor.name()?;
    } else if cursor.word("NOT") {
        if cursor.word("DEFERRABLE") {
            cursor.initially()?;
        } else {
            cursor.must("NULL")?;
            column.not_null_conflict = cursor.conflict()?;
        }
    } else if cursor.word("NULL") {
        cursor.conflict()?;
    } else if cursor.word("DEFAULT") {
        column.default = Some(cursor.default()?);
    } else if cursor.word("COLLATE") {
        column.collation = Some(cursor.name()?.to_uppercase());
    } else {
        if cursor.word("GENERATED") {
            cursor.must("ALWAYS")?;
        }
        if !cursor.word("AS") {
            return Some(false);
        }
        let expression = cursor.expression()?;
        let stored = cursor.word("STORED");
        if !stored {
            cursor.word("VIRTUAL");
        }
        column.generated = Some((expression, stored));
    }
    Some(true)
}

/// Reads table constraints; SQLite does not ask for commas between them.
fn constraints(cursor: &mut Cursor<'_, '_>, definition: &mut Definition) -> Option<()> {
    while cursor.peek().is_some() {
        if cursor.word("CONSTRAINT") {
            cursor.name()?;
        } else if cursor.word("PRIMARY") {
            cursor.must("KEY")?;
            let (columns, autoincrement) = cursor.key_columns()?;
            definition.autoincrement |= autoincrement;
            definition.primary_key = Some(KeyDefinition {
                columns,
                conflict: cursor.conflict()?,
            });
        } else if cursor.word("UNIQUE") {
            let (columns, _) = cursor.key_columns()?;
            definition.uniques.push(KeyDefinition {
                columns,
                conflict: cursor.conflict()?,
            });
        } else if cursor.word("CHECK") {
            definition.checks.push(cursor.expression()?);
            cursor.conflict()?;
        } else if cursor.word("FOREIGN") {
            cursor.must("KEY")?;
            let columns = cursor.names_in_parentheses()?;
            cursor.must("REFERENCES")?;
            let key = cursor.references(columns)?;
            definition.foreign_keys.push(key);
        } else {
            return None;
        }
    }
    Some(())
}

/// A name as it is spelled in facts: in lower case, and quoted where it has to be.
pub(crate) fn spelled(name: &str) -> String {
    normalise(KIND, &crate::dialect::quoted(&name.to_lowercase()))
}

/// Returns a text without the parentheses around all of it.
pub(crate) fn bare(sql: &str) -> &str {
    let mut sql = sql.trim();
    loop {
        let tokens = tokens(sql);
        let mut cursor = Cursor::new(sql, &tokens);
        let is_wrapped = cursor.parenthesised().is_some() && cursor.peek().is_none();
        match (tokens.first(), tokens.last()) {
            (Some(first), Some(last)) if is_wrapped => sql = sql[first.end()..last.offset].trim(),
            _ => return sql,
        }
    }
}
