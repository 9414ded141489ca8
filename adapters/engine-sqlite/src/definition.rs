//! Reads the parts of a `CREATE TABLE` that no pragma gives: checks, generated columns, collations, conflict
//! clauses.
//!
//! SQLite keeps the text of a table as it was written. What this module cannot read is answered with `None`,
//! and the table is then compared by its normalised text.

use std::ops::Range;

use walkback_core::DialectKind;
use walkback_sql::lexer::{Token, TokenKind, significant_tokens};
use walkback_sql::normalise;

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
    let name_end = tokens.get(cursor.at.checked_sub(1)?)?.end();
    cursor.peek()?;
    Some(Head {
        name_end,
        body: cursor.at,
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
    let mut cursor = Cursor::new(sql, &tokens[head.body..]);
    cursor.table = name;
    let body = cursor.parenthesised()?;
    let mut definition = Definition::default();
    let mut in_columns = true;
    for item in split_commas(body) {
        let mut item = Cursor {
            tokens: item,
            at: 0,
            ..cursor.clone()
        };
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
    let own = vec![column.name.to_lowercase()];
    while cursor.peek().is_some() && !cursor.at_any(&COLUMN_CONSTRAINTS) {
        // The type, which the catalog has.
        if cursor.parenthesised().is_none() {
            cursor.name()?;
        }
    }
    while cursor.peek().is_some() {
        if cursor.word("CONSTRAINT") {
            cursor.name()?;
        } else if cursor.word("PRIMARY") {
            if !cursor.word("KEY") {
                return None;
            }
            let descending = cursor.direction();
            let key = KeyDefinition {
                // `INTEGER PRIMARY KEY DESC` at a column is no rowid, at the table it is.
                columns: vec![format!(
                    "{}{}",
                    spelled(&column.name),
                    if descending { " DESC (at the column)" } else { "" }
                )],
                conflict: cursor.conflict()?,
            };
            definition.primary_key = Some(key);
            definition.autoincrement |= cursor.word("AUTOINCREMENT");
        } else if cursor.word("NOT") {
            if cursor.word("DEFERRABLE") {
                cursor.initially()?;
                continue;
            }
            if !cursor.word("NULL") {
                return None;
            }
            column.not_null_conflict = cursor.conflict()?;
        } else if cursor.word("NULL") {
            cursor.conflict()?;
        } else if cursor.word("UNIQUE") {
            definition.uniques.push(KeyDefinition {
                columns: vec![spelled(&column.name)],
                conflict: cursor.conflict()?,
            });
        } else if cursor.word("CHECK") {
            definition.checks.push(cursor.expression()?);
            cursor.conflict()?;
        } else if cursor.word("DEFAULT") {
            column.default = Some(cursor.default()?);
        } else if cursor.word("COLLATE") {
            column.collation = Some(cursor.name()?.to_uppercase());
        } else if cursor.word("REFERENCES") {
            let key = cursor.references(own.clone())?;
            definition.foreign_keys.push(key);
        } else if cursor.word("DEFERRABLE") {
            // Belongs to the foreign key before it, which may be followed by other constraints first.
            let rule = cursor.deferred()?;
            definition.foreign_keys.last_mut()?.rules.extend(rule);
        } else {
            if cursor.word("GENERATED") && !cursor.word("ALWAYS") {
                return None;
            }
            if !cursor.word("AS") {
                return None;
            }
            let expression = cursor.expression()?;
            let stored = cursor.word("STORED");
            if !stored {
                cursor.word("VIRTUAL");
            }
            column.generated = Some((expression, stored));
        }
    }
    definition.columns.push(column);
    Some(())
}

/// Reads table constraints; SQLite does not ask for commas between them.
fn constraints(cursor: &mut Cursor<'_, '_>, definition: &mut Definition) -> Option<()> {
    while cursor.peek().is_some() {
        if cursor.word("CONSTRAINT") {
            cursor.name()?;
        } else if cursor.word("PRIMARY") {
            if !cursor.word("KEY") {
                return None;
            }
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
            if !cursor.word("KEY") {
                return None;
            }
            let columns = cursor.names_in_parentheses()?;
            if !cursor.word("REFERENCES") {
                return None;
            }
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

/// Splits tokens at the commas that are in no parentheses.
pub(crate) fn split_commas<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (index, token) in tokens.iter().enumerate() {
        if token.is_symbol("(") {
            depth += 1;
        } else if token.is_symbol(")") {
            depth = depth.saturating_sub(1);
        } else if depth == 0 && token.is_symbol(",") {
            items.push(&tokens[start..index]);
            start = index + 1;
        }
    }
    items.push(&tokens[start..]);
    items
}

/// A place in a list of tokens.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'t, 'a> {
    sql: &'a str,
    tokens: &'t [Token<'a>],
    at: usize,
    table: String,
}

impl<'t, 'a> Cursor<'t, 'a> {
    /// Creates a cursor at the beginning.
    pub(crate) fn new(sql: &'a str, tokens: &'t [Token<'a>]) -> Self {
        Self {
            sql,
            tokens,
            at: 0,
            table: String::new(),
        }
    }

    /// Returns the same cursor in the definition of something on a table.
    pub(crate) fn of_table(mut self, table: &str) -> Self {
        table.clone_into(&mut self.table);
        self
    }

    /// Returns the next token and stays before it.
    pub(crate) fn peek(&self) -> Option<&'t Token<'a>> {
        self.tokens.get(self.at)
    }

    fn at_any(&self, words: &[&str]) -> bool {
        self.peek()
            .is_some_and(|token| words.iter().any(|word| token.is_word(word)))
    }

    /// Takes this word if it comes next.
    pub(crate) fn word(&mut self, word: &str) -> bool {
        let found = self.at_any(&[word]);
        self.at += usize::from(found);
        found
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is_symbol(symbol));
        self.at += usize::from(found);
        found
    }

    /// Takes a name.
    pub(crate) fn name(&mut self) -> Option<String> {
        let name = name_of(self.peek()?)?;
        self.at += 1;
        Some(name)
    }

    /// Takes what stands in parentheses, without them.
    pub(crate) fn parenthesised(&mut self) -> Option<&'t [Token<'a>]> {
        let start = self.at;
        let mut depth = 0_usize;
        for (index, token) in self.tokens.iter().enumerate().skip(start) {
            if token.is_symbol("(") {
                depth += 1;
            } else if token.is_symbol(")") {
                depth = depth.checked_sub(1)?;
            }
            if depth == 0 {
                if index == start {
                    return None;
                }
                self.at = index + 1;
                return Some(&self.tokens[start + 1..index]);
            }
        }
        None
    }

    /// Takes all tokens that are left.
    pub(crate) fn rest(&mut self) -> &'t [Token<'a>] {
        let rest = &self.tokens[self.at..];
        self.at = self.tokens.len();
        rest
    }

    /// Returns the text of some tokens, normalised, without the table's own name before its columns and
    /// without parentheses around all of it.
    pub(crate) fn normalised(&self, tokens: &[Token<'_>]) -> Option<String> {
        let (first, last) = (tokens.first()?, tokens.last()?);
        let mut text = String::new();
        let mut position = first.offset;
        for dropped in own_qualifiers(tokens, &self.table) {
            text.push_str(&self.sql[position..dropped.start]);
            position = dropped.end;
        }
        text.push_str(&self.sql[position..last.end()]);
        Some(normalise(KIND, bare(&text)))
    }

    fn expression(&mut self) -> Option<String> {
        let tokens = self.parenthesised()?;
        self.normalised(tokens)
    }

    /// Takes a default: an expression in parentheses, a literal, or a number with its sign.
    fn default(&mut self) -> Option<String> {
        if let Some(tokens) = self.parenthesised() {
            return self.normalised(tokens);
        }
        let start = self.at;
        while self.symbol("-") || self.symbol("+") {}
        self.peek()?;
        self.at += 1;
        self.normalised(&self.tokens[start..self.at])
    }

    /// Takes `ASC` or `DESC` and returns whether it was the latter.
    fn direction(&mut self) -> bool {
        let descending = self.word("DESC");
        if !descending {
            self.word("ASC");
        }
        descending
    }

    /// Takes `ON CONFLICT ..`. `Some(None)` is the default, `None` is not readable.
    fn conflict(&mut self) -> Option<Option<String>> {
        if !self.at_any(&["ON"]) {
            return Some(None);
        }
        self.at += 1;
        if !self.word("CONFLICT") {
            return None;
        }
        let action = self.name()?.to_uppercase();
        Some((action != "ABORT").then_some(action))
    }

    fn names_in_parentheses(&mut self) -> Option<Vec<String>> {
        let tokens = self.parenthesised()?;
        split_commas(tokens)
            .into_iter()
            .map(|item| match item {
                [token] => Some(name_of(token)?.to_lowercase()),
                _ => None,
            })
            .collect()
    }

    /// Takes the columns of a key, and says whether `AUTOINCREMENT` was among them.
    fn key_columns(&mut self) -> Option<(Vec<String>, bool)> {
        let tokens = self.parenthesised()?;
        let mut autoincrement = false;
        let mut columns = Vec::new();
        for item in split_commas(tokens) {
            let mut item = Cursor {
                tokens: item,
                at: 0,
                ..self.clone()
            };
            let mut text = spelled(&item.name()?);
            if item.word("COLLATE") {
                text.push_str(" COLLATE ");
                text.push_str(&item.name()?.to_uppercase());
            }
            if item.direction() {
                text.push_str(" DESC");
            }
            autoincrement |= item.word("AUTOINCREMENT");
            if item.peek().is_some() {
                return None;
            }
            columns.push(text);
        }
        Some((columns, autoincrement))
    }

    fn references(&mut self, columns: Vec<String>) -> Option<ForeignKeyDefinition> {
        let parent = self.name()?.to_lowercase();
        let parent_columns = if self.peek().is_some_and(|token| token.is_symbol("(")) {
            self.names_in_parentheses()?
        } else {
            Vec::new()
        };
        let mut rules = Vec::new();
        loop {
            if self.word("ON") {
                let event = self.name()?.to_uppercase();
                let mut action = self.name()?.to_uppercase();
                if matches!(action.as_str(), "SET" | "NO") {
                    action = format!("{action} {}", self.name()?.to_uppercase());
                }
                if action != "NO ACTION" {
                    rules.push(format!("ON {event} {action}"));
                }
            } else if self.word("MATCH") {
                // SQLite reads the word and does nothing with it.
                self.name()?;
            } else if self.word("DEFERRABLE") {
                rules.extend(self.deferred()?);
            } else if self.at_not_deferrable() {
                self.at += 2;
                self.initially()?;
            } else {
                rules.sort();
                return Some(ForeignKeyDefinition {
                    columns,
                    parent,
                    parent_columns,
                    rules,
                });
            }
        }
    }

    fn at_not_deferrable(&self) -> bool {
        matches!(&self.tokens[self.at..], [not, deferrable, ..]
            if not.is_word("NOT") && deferrable.is_word("DEFERRABLE"))
    }

    /// Takes what follows `DEFERRABLE`, and returns the rule if it is not what goes without saying.
    fn deferred(&mut self) -> Option<Option<String>> {
        let deferred = self.initially()?;
        Some(deferred.then(|| "DEFERRABLE INITIALLY DEFERRED".to_owned()))
    }

    fn initially(&mut self) -> Option<bool> {
        if !self.word("INITIALLY") {
            return Some(false);
        }
        match self.name()?.to_uppercase().as_str() {
            "DEFERRED" => Some(true),
            "IMMEDIATE" => Some(false),
            _ => None,
        }
    }
}
