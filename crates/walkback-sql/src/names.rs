//! Names as they stand in SQL, and as the catalog has them.

use walkback_core::{DialectKind, TableName};

use crate::cursor::Cursor;
use crate::lexer::{Token, TokenKind, significant_tokens};

/// Reads a list of names, quoted or with a schema, as a person would write it. `None` if it is none.
pub(crate) fn list(kind: DialectKind, text: &str) -> Option<Vec<TableName>> {
    let tokens = significant_tokens(kind, text);
    let mut cursor = Cursor::new(kind, &tokens);
    let mut names = vec![cursor.table()?];
    while cursor.symbol(",") {
        names.push(cursor.table()?);
    }
    cursor.is_done().then_some(names)
}

/// Returns the name a token stands for: without quotes, and folded as the dialect folds it.
pub(crate) fn identifier(kind: DialectKind, token: &Token<'_>) -> Option<String> {
    match token.kind {
        TokenKind::Word if kind == DialectKind::Postgres => Some(token.text.to_lowercase()),
        TokenKind::Word => Some(token.text.to_owned()),
        TokenKind::QuotedName => Some(unquote(token.text)),
        // SQLite takes a literal for a name where only a name can stand, and MySQL does under `ANSI_QUOTES`.
        TokenKind::Text if kind == DialectKind::Sqlite && token.text.starts_with('\'') => {
            Some(unquote(token.text))
        }
        TokenKind::Text if kind == DialectKind::Mysql && token.text.starts_with('"') => {
            Some(unquote(token.text))
        }
        _ => None,
    }
}

/// Takes the quotes off a name or a plain literal.
pub(crate) fn unquote(text: &str) -> String {
    let unicode = text.starts_with(['u', 'U']);
    let quoted = text.trim_start_matches(|c: char| c != '"' && c != '\'' && c != '`' && c != '[');
    let mut characters = quoted.chars();
    let open = characters.next();
    characters.next_back();
    let inner = characters.as_str();
    match open {
        Some('[') => inner.to_owned(),
        Some(quote) => {
            let doubled: String = [quote, quote].iter().collect();
            let plain = inner.replace(&doubled, &quote.to_string());
            if unicode { unicode_escapes(&plain) } else { plain }
        }
        None => String::new(),
    }
}

/// Reads the escapes of PostgreSQL's `U&"d\0061ta"`. What is no escape stays as it is.
fn unicode_escapes(text: &str) -> String {
    let mut read = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        read.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix('\\') {
            read.push('\\');
            rest = behind;
            continue;
        }
        let (skip, digits) = if rest.starts_with('+') { (1, 6) } else { (0, 4) };
        let code = rest.get(skip..skip + digits);
        match code
            .and_then(|hex| u32::from_str_radix(hex, 16).ok())
            .and_then(char::from_u32)
        {
            Some(character) => {
                read.push(character);
                rest = &rest[skip + digits..];
            }
            None => read.push('\\'),
        }
    }
    read.push_str(rest);
    read
}
