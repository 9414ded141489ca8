//! Reads the definition of a column in the statement that creates its table.

use walkback_core::DialectKind;

use crate::cursor::{Cursor, position_outside, split_commas};
use crate::lexer::{Token, TokenKind, significant_tokens};
use crate::names;
use crate::normalise::normalise;

/// Returns the type at the beginning of a definition: words and sizes up to the first option.
pub(super) fn type_text(cursor: &Cursor<'_, '_>) -> String {
    const OPTIONS: [&str; 21] = [
        "AFTER",
        "AS",
        "AUTO_INCREMENT",
        "CHARACTER",
        "CHARSET",
        "CHECK",
        "COLLATE",
        "COMMENT",
        "CONSTRAINT",
        "DEFAULT",
        "FIRST",
        "GENERATED",
        "INVISIBLE",
        "KEY",
        "NOT",
        "NULL",
        "ON",
        "PRIMARY",
        "REFERENCES",
        "UNIQUE",
        "USING",
    ];
    let end = position_outside(cursor.rest(), |token| {
        OPTIONS.iter().any(|word| token.is_word(word))
    });
    let tokens = &cursor.rest()[..end.unwrap_or(cursor.rest().len())];
    let words: Vec<&str> = tokens.iter().map(|token| token.text).collect();
    normalise(cursor.kind(), &words.join(" "))
}

/// Finds the definition of a column in the statement that creates its table.
pub(super) fn written_definition<'t, 'a>(
    kind: DialectKind,
    tokens: &'t [Token<'a>],
    column: &str,
) -> Option<&'t [Token<'a>]> {
    const NOT_COLUMNS: [&str; 10] = [
        "CONSTRAINT",
        "PRIMARY",
        "UNIQUE",
        "CHECK",
        "FOREIGN",
        "KEY",
        "INDEX",
        "FULLTEXT",
        "SPATIAL",
        "EXCLUDE",
    ];
    let mut cursor = Cursor::new(kind, tokens);
    while !cursor.is_done() && !cursor.at_symbol("(") {
        cursor.next();
    }
    let list = cursor.parenthesised()?;
    split_commas(list).into_iter().find(|piece| {
        let Some(first) = piece.first() else {
            return false;
        };
        let is_constraint = NOT_COLUMNS.iter().any(|word| first.is_word(word));
        let name = names::identifier(kind, first);
        !is_constraint && name.is_some_and(|name| name.eq_ignore_ascii_case(column))
    })
}

/// Writes tokens with one blank wherever there was anything between them.
pub(super) fn joined(tokens: &[Token<'_>]) -> String {
    let mut whole = String::new();
    let mut end = None;
    for token in tokens {
        if end.is_some_and(|end| token.offset > end) {
            whole.push(' ');
        }
        whole.push_str(token.text);
        end = Some(token.end());
    }
    whole
}

pub(super) fn not_null(tokens: &[Token<'_>]) -> Option<usize> {
    let at = position_outside(tokens, |token| token.is_word("NOT"))?;
    tokens
        .get(at + 1)
        .filter(|token| token.is_word("NULL"))
        .map(|_| at)
}

pub(super) fn is_null_default(cursor: &Cursor<'_, '_>) -> bool {
    cursor.has_row(&["DEFAULT", "NULL"])
}

/// SQLite adds a column only with a default that is a literal.
pub(super) fn has_constant_default(cursor: &Cursor<'_, '_>) -> bool {
    let mut cursor = cursor.clone();
    cursor.skip_to(&["DEFAULT"]);
    cursor.next();
    let first = cursor.peek().copied();
    match cursor.parenthesised() {
        Some(inside) => is_literal(inside),
        None => first.is_some_and(|token| {
            !["CURRENT_TIME", "CURRENT_DATE", "CURRENT_TIMESTAMP"]
                .iter()
                .any(|word| token.is_word(word))
        }),
    }
}

fn is_literal(tokens: &[Token<'_>]) -> bool {
    let unsigned = match tokens {
        [sign, rest @ ..] if sign.is_symbol("-") || sign.is_symbol("+") => rest,
        all => all,
    };
    let is_plain = |token: &Token<'_>| {
        matches!(token.kind, TokenKind::Text | TokenKind::Number)
            || ["NULL", "TRUE", "FALSE"].iter().any(|word| token.is_word(word))
    };
    matches!(unsigned, [token] if is_plain(token))
}

/// Takes `DEFAULT value` out.
pub(super) fn cut_default(tokens: &mut Vec<Token<'_>>) {
    let Some(at) = position_outside(tokens, |token| token.is_word("DEFAULT")) else {
        return;
    };
    let mut end = at + 1;
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(end) {
        end += 1;
        if token.is_symbol("(") {
            depth += 1;
        } else if token.is_symbol(")") {
            depth = depth.saturating_sub(1);
        }
        if depth == 0 {
            break;
        }
    }
    tokens.drain(at..end);
}

/// Returns whether a word or a name stands in a text, outside of literals and comments.
pub(in crate::inverse) fn mentions(kind: DialectKind, text: &str, column: &str) -> bool {
    significant_tokens(kind, text)
        .iter()
        .filter_map(|token| names::identifier(kind, token))
        .any(|name| name.eq_ignore_ascii_case(column))
}
