//! Walks over the tokens of a definition.

use walkback_core::DialectKind;
use walkback_sql::lexer::{Token, TokenKind};
use walkback_sql::normalise;

use crate::definition::{ForeignKeyDefinition, bare, name_of, own_qualifiers, spelled, tokens};

const KIND: DialectKind = DialectKind::Sqlite;

/// Returns a normalised expression with its words in lower case: SQLite does not tell names apart by case.
fn folded(sql: &str) -> String {
    let mut text = sql.to_owned();
    for token in tokens(sql) {
        if token.kind == TokenKind::Word {
            text.replace_range(token.offset..token.end(), &token.text.to_ascii_lowercase());
        }
    }
    text
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

    /// Returns a cursor in a part of the same text.
    pub(crate) fn within(&self, tokens: &'t [Token<'a>]) -> Self {
        Self {
            tokens,
            at: 0,
            ..self.clone()
        }
    }

    /// Returns how many tokens were taken.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Returns the next token and stays before it.
    pub(crate) fn peek(&self) -> Option<&'t Token<'a>> {
        self.tokens.get(self.at)
    }

    /// Returns whether one of these words comes next.
    pub(crate) fn at_any(&self, words: &[&str]) -> bool {
        self.peek()
            .is_some_and(|token| words.iter().any(|word| token.is_word(word)))
    }

    /// Takes this word if it comes next.
    pub(crate) fn word(&mut self, word: &str) -> bool {
        let found = self.at_any(&[word]);
        self.at += usize::from(found);
        found
    }

    /// Takes this word, which must come next.
    pub(crate) fn must(&mut self, word: &str) -> Option<()> {
        self.word(word).then_some(())
    }

    /// Takes this sign if it comes next.
    pub(crate) fn symbol(&mut self, symbol: &str) -> bool {
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
        Some(folded(&normalise(KIND, bare(&text))))
    }

    /// Takes an expression in parentheses.
    pub(crate) fn expression(&mut self) -> Option<String> {
        let tokens = self.parenthesised()?;
        self.normalised(tokens)
    }

    /// Takes a default: an expression in parentheses, a literal, or a number with its sign.
    pub(crate) fn default(&mut self) -> Option<String> {
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
    pub(crate) fn direction(&mut self) -> bool {
        let descending = self.word("DESC");
        if !descending {
            self.word("ASC");
        }
        descending
    }

    /// Takes `ON CONFLICT ..`. `Some(None)` is the default, `None` is not readable.
    pub(crate) fn conflict(&mut self) -> Option<Option<String>> {
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

    /// Takes a list of names in parentheses, in lower case.
    pub(crate) fn names_in_parentheses(&mut self) -> Option<Vec<String>> {
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
    pub(crate) fn key_columns(&mut self) -> Option<(Vec<String>, bool)> {
        let tokens = self.parenthesised()?;
        let mut autoincrement = false;
        let mut columns = Vec::new();
        for item in split_commas(tokens) {
            let mut item = self.within(item);
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

    /// Takes what follows `REFERENCES`.
    pub(crate) fn references(&mut self, columns: Vec<String>) -> Option<ForeignKeyDefinition> {
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
    pub(crate) fn deferred(&mut self) -> Option<Option<String>> {
        let deferred = self.initially()?;
        Some(deferred.then(|| "DEFERRABLE INITIALLY DEFERRED".to_owned()))
    }

    /// Takes `INITIALLY ..` if it comes next, and returns whether it is `DEFERRED`.
    pub(crate) fn initially(&mut self) -> Option<bool> {
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
