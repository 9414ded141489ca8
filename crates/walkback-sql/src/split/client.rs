//! Commands that only a client understands: `DELIMITER` is obeyed, all others are refused by name.

use std::path::Path;

use walkback_core::{DialectKind, Result};

use super::error_at;
use crate::lexer::{Lexer, Token, TokenKind};

/// Words that begin a command of the `mysql` client and no statement.
const MYSQL_COMMANDS: [&str; 23] = [
    "charset",
    "clear",
    "connect",
    "edit",
    "ego",
    "exit",
    "go",
    "nopager",
    "notee",
    "nowarning",
    "pager",
    "print",
    "prompt",
    "query_attributes",
    "quit",
    "rehash",
    "resetconnection",
    "source",
    "ssl_session_data_print",
    "status",
    "system",
    "tee",
    "warnings",
];

/// Obeys or refuses a command at the beginning of a statement. Returns whether it was one.
pub(super) fn obey<'a>(
    kind: DialectKind,
    lexer: &mut Lexer<'a>,
    token: &Token<'a>,
    file: &Path,
) -> Result<bool> {
    match kind {
        DialectKind::Mysql if token.is_word("delimiter") => {
            let argument = lexer.take_line().split_whitespace().next();
            let Some(delimiter) = argument.filter(|text| !text.contains('\\')) else {
                return Err(error_at(file, token.line, "`DELIMITER` names no delimiter")
                    .hint("write `DELIMITER //` before a routine and `DELIMITER ;` behind it"));
            };
            lexer.set_terminator(delimiter);
            Ok(true)
        }
        DialectKind::Mysql if is_mysql_command(token) => {
            let name = token.text.to_ascii_lowercase();
            Err(error_at(
                file,
                token.line,
                format!("`{name}` is a command of the `mysql` client, which no server understands"),
            )
            .hint(hint(&name)))
        }
        DialectKind::Sqlite if token.is_symbol(".") => {
            let name = format!(".{}", first_word(lexer.rest()));
            Err(error_at(
                file,
                token.line,
                format!("`{name}` is a command of the `sqlite3` shell, which SQLite does not understand"),
            )
            .hint(hint(&name)))
        }
        _ => Ok(false),
    }
}

/// Refuses a backslash command, which `psql` and `mysql` understand anywhere outside of quotes.
pub(super) fn refuse_inside(
    kind: DialectKind,
    lexer: &Lexer<'_>,
    token: &Token<'_>,
    file: &Path,
) -> Result<()> {
    if !token.is_symbol("\\") || kind == DialectKind::Sqlite {
        return Ok(());
    }
    let word = first_word(lexer.rest());
    let (client, name) = match kind {
        DialectKind::Mysql => (
            "`mysql` client",
            word.chars().next().map_or_else(String::new, String::from),
        ),
        _ => ("`psql`", word.to_owned()),
    };
    let name = format!("\\{name}");
    Err(error_at(
        file,
        token.line,
        format!("`{name}` is a command of {client}, which no server understands"),
    )
    .hint(hint(&name)))
}

fn is_mysql_command(token: &Token<'_>) -> bool {
    token.kind == TokenKind::Word
        && MYSQL_COMMANDS
            .iter()
            .any(|command| token.text.eq_ignore_ascii_case(command))
}

fn first_word(rest: &str) -> &str {
    let is_end = |c: char| c.is_whitespace() || c == ';';
    rest.split(is_end).next().unwrap_or_default()
}

fn hint(name: &str) -> &'static str {
    match name {
        "source" | "\\." | "\\i" | "\\ir" | "\\include" | "\\include_relative" | ".read" => {
            "put the statements of that file here, or make it a migration of its own"
        }
        "system" | "\\!" | ".shell" | ".system" => {
            "remove the line; a command of the operating system belongs into a hook in `walkback.toml`"
        }
        "connect" | "\\connect" | "\\c" | "\\r" | "\\u" | ".open" => {
            "remove the line; the database is the one of `--url` or of the environment in `walkback.toml`"
        }
        "\\copy" => "use `COPY .. FROM stdin` with the rows in the script",
        "\\g" | "\\G" | "go" | "ego" => "end the statement with `;`",
        "\\restrict" | "\\unrestrict" => {
            "remove the line; `pg_dump` writes it for `psql` and the statements need it not"
        }
        _ => "remove the line, or write what it does in SQL",
    }
}
