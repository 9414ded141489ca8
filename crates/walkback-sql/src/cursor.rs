//! Reads tokens from left to right.

use walkback_core::{DialectKind, TableName};

use crate::lexer::{Token, TokenKind};
use crate::names;

/// A place in a list of tokens without comments.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'t, 'a> {
    kind: DialectKind,
    tokens: &'t [Token<'a>],
}

impl<'t, 'a> Cursor<'t, 'a> {
    pub(crate) fn new(kind: DialectKind, tokens: &'t [Token<'a>]) -> Self {
        Self { kind, tokens }
    }

    pub(crate) fn kind(&self) -> DialectKind {
        self.kind
    }

    /// Returns the tokens that are not read yet.
    pub(crate) fn rest(&self) -> &'t [Token<'a>] {
        self.tokens
    }

    pub(crate) fn is_done(&self) -> bool {
        self.tokens.is_empty()
    }

    pub(crate) fn peek(&self) -> Option<&'t Token<'a>> {
        self.tokens.first()
    }

    pub(crate) fn next(&mut self) -> Option<&'t Token<'a>> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    /// Returns whether the next token is this unquoted word.
    pub(crate) fn at(&self, word: &str) -> bool {
        self.peek().is_some_and(|token| token.is_word(word))
    }

    /// Returns whether the next token is one of these unquoted words.
    pub(crate) fn at_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.at(word))
    }

    pub(crate) fn at_symbol(&self, symbol: &str) -> bool {
        self.peek().is_some_and(|token| token.is_symbol(symbol))
    }

    /// Reads this word, if it is next.
    pub(crate) fn word(&mut self, word: &str) -> bool {
        let is_next = self.at(word);
        if is_next {
            self.next();
        }
        is_next
    }

    /// Reads one of these words, if one is next.
    pub(crate) fn any(&mut self, words: &[&str]) -> bool {
        let is_next = self.at_any(words);
        if is_next {
            self.next();
        }
        is_next
    }

    /// Reads these words, if all of them are next.
    pub(crate) fn words(&mut self, words: &[&str]) -> bool {
        let mut ahead = self.clone();
        let all = words.iter().all(|word| ahead.word(word));
        if all {
            *self = ahead;
        }
        all
    }

    pub(crate) fn symbol(&mut self, symbol: &str) -> bool {
        let is_next = self.at_symbol(symbol);
        if is_next {
            self.next();
        }
        is_next
    }

    pub(crate) fn if_exists(&mut self) -> bool {
        self.words(&["IF", "EXISTS"])
    }

    pub(crate) fn if_not_exists(&mut self) -> bool {
        self.words(&["IF", "NOT", "EXISTS"])
    }

    /// Reads one name.
    pub(crate) fn name(&mut self) -> Option<String> {
        let name = names::identifier(self.kind, self.peek()?)?;
        self.next();
        Some(name)
    }

    /// Reads a name with or without a schema. Of three parts the first, the database, is left out.
    pub(crate) fn table(&mut self) -> Option<TableName> {
        let mut ahead = self.clone();
        let mut parts = vec![ahead.name()?];
        loop {
            let mut behind = ahead.clone();
            let part = behind.symbol(".").then(|| behind.name()).flatten();
            let Some(part) = part else { break };
            parts.push(part);
            ahead = behind;
        }
        *self = ahead;
        let name = parts.pop()?;
        Some(match parts.pop() {
            Some(schema) => TableName::in_schema(schema, name),
            None => TableName::new(name),
        })
    }

    /// Reads what stands in parentheses, if they are next, and returns the tokens inside.
    pub(crate) fn parenthesised(&mut self) -> Option<&'t [Token<'a>]> {
        if !self.at_symbol("(") {
            return None;
        }
        let mut depth = 0_usize;
        for (index, token) in self.tokens.iter().enumerate() {
            if token.is_symbol("(") {
                depth += 1;
            } else if token.is_symbol(")") {
                depth -= 1;
            }
            if depth == 0 {
                let inside = &self.tokens[1..index];
                self.tokens = &self.tokens[index + 1..];
                return Some(inside);
            }
        }
        None
    }

    /// Skips to one of these words outside of parentheses, and returns whether there was one.
    pub(crate) fn skip_to(&mut self, words: &[&str]) -> bool {
        match position_outside(self.tokens, |token| words.iter().any(|word| token.is_word(word))) {
            Some(at) => {
                self.tokens = &self.tokens[at..];
                true
            }
            None => false,
        }
    }

    /// Cuts the rest at the commas outside of parentheses.
    pub(crate) fn split_commas(&self) -> Vec<Self> {
        split_commas(self.tokens)
            .into_iter()
            .map(|tokens| Self::new(self.kind, tokens))
            .collect()
    }

    /// Returns whether this word stands outside of parentheses in the rest.
    pub(crate) fn has(&self, word: &str) -> bool {
        position_outside(self.tokens, |token| token.is_word(word)).is_some()
    }

    /// Returns whether these words stand side by side anywhere in the rest.
    pub(crate) fn has_row(&self, words: &[&str]) -> bool {
        self.tokens
            .windows(words.len())
            .any(|row| row.iter().zip(words).all(|(token, word)| token.is_word(word)))
    }
}

/// Finds a token outside of parentheses.
pub(crate) fn position_outside(tokens: &[Token<'_>], wanted: impl Fn(&Token<'_>) -> bool) -> Option<usize> {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        if token.is_symbol("(") {
            depth += 1;
        } else if token.is_symbol(")") {
            depth = depth.saturating_sub(1);
        } else if depth == 0 && wanted(token) {
            return Some(index);
        }
    }
    None
}

/// Cuts tokens at the commas outside of parentheses.
pub(crate) fn split_commas<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let mut pieces = Vec::new();
    let mut rest = tokens;
    while let Some(at) = position_outside(rest, |token| token.is_symbol(",")) {
        pieces.push(&rest[..at]);
        rest = &rest[at + 1..];
    }
    pieces.push(rest);
    pieces
}

/// Returns the text between the first and the last of these tokens, exactly as it was written.
pub(crate) fn text_of<'a>(sql: &'a str, tokens: &[Token<'_>]) -> &'a str {
    match (tokens.first(), tokens.last()) {
        (Some(first), Some(last)) => &sql[first.offset..last.end()],
        _ => "",
    }
}

/// Returns whether a token is a plain word at all.
pub(crate) fn is_any_word(token: &Token<'_>) -> bool {
    token.kind == TokenKind::Word
}
