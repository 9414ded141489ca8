//! One spelling for all spellings of a definition.

use walkback_core::DialectKind;

use crate::keywords;
use crate::lexer::{Token, TokenKind, significant_tokens};
use crate::names;
use crate::quote::quote_identifier;

/// Returns a text with comments stripped, blanks folded, keywords in upper case, and identifiers without the
/// quotes they do not need, so that two spellings of one definition are equal. A `;` at the end is left out.
///
/// The result means the same as the text. Literals stay as they are written.
#[must_use]
pub fn normalise(kind: DialectKind, sql: &str) -> String {
    let mut tokens = significant_tokens(kind, sql);
    while tokens
        .last()
        .is_some_and(|token| token.kind == TokenKind::Terminator)
    {
        tokens.pop();
    }
    let mut text = String::with_capacity(sql.len());
    let mut before: Option<&Token<'_>> = None;
    let mut sign = false;
    for token in &tokens {
        if let Some(previous) = before
            && !(sign && token.kind != TokenKind::Symbol)
            && needs_blank(previous, token)
        {
            text.push(' ');
        }
        sign = matches!(token.text, "-" | "+") && before.is_none_or(takes_operand);
        text.push_str(&spelling(kind, token));
        before = Some(token);
    }
    text
}

fn spelling(kind: DialectKind, token: &Token<'_>) -> String {
    match token.kind {
        TokenKind::Word => word(kind, token.text),
        TokenKind::QuotedName => {
            let name = names::unquote(token.text);
            let is_folded = kind != DialectKind::Postgres || name == name.to_lowercase();
            if is_plain(&name) && is_folded && !keywords::is_reserved(&name) {
                word(kind, &name)
            } else {
                quote_identifier(kind, &name)
            }
        }
        _ => token.text.to_owned(),
    }
}

fn word(kind: DialectKind, text: &str) -> String {
    if keywords::is_keyword(text) {
        text.to_ascii_uppercase()
    } else if kind == DialectKind::Postgres {
        text.to_lowercase()
    } else {
        text.to_owned()
    }
}

fn is_plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn needs_blank(before: &Token<'_>, token: &Token<'_>) -> bool {
    let glued_before = matches!(before.text, "(" | "." | "::") && before.kind == TokenKind::Symbol;
    let glued_after = matches!(token.text, ")" | "," | "." | "(" | "::") && token.kind == TokenKind::Symbol;
    // `1 .5` glued would be another number, and `@a .b` another variable.
    let swallows = |token: &Token<'_>| matches!(token.kind, TokenKind::Number | TokenKind::Parameter);
    let is_number = swallows(before) || swallows(token);
    let is_point = before.text == "." || token.text == ".";
    !(glued_before || glued_after) || (is_number && is_point)
}

/// Returns whether a sign behind this token belongs to the number that follows it.
fn takes_operand(before: &Token<'_>) -> bool {
    match before.kind {
        TokenKind::Symbol => before.text != ")",
        TokenKind::Word => keywords::is_keyword(before.text),
        _ => false,
    }
}
