//! SQL as PostgreSQL speaks it: names, texts and statements as a session needs them.

use std::path::Path;

use walkback_core::dialect::DialectKind;
use walkback_core::{Result, Statement, TableName};

/// The family of SQL.
pub(crate) const KIND: DialectKind = DialectKind::Postgres;

/// Quotes an identifier.
pub(crate) fn quoted(name: &str) -> String {
    walkback_sql::quote_identifier(KIND, name)
}

/// Quotes the name of a table, with its schema if it has one.
pub(crate) fn quoted_table(table: &TableName) -> String {
    walkback_sql::quote_table(KIND, table)
}

/// Quotes names, separated by commas.
pub(crate) fn quoted_list<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let quoted: Vec<_> = names.into_iter().map(|name| quoted(name)).collect();
    quoted.join(", ")
}

/// Writes a text as a literal, whatever `standard_conforming_strings` says.
pub(crate) fn text_literal(text: &str) -> String {
    if text.contains('\\') {
        format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// Returns the statements of a text, as far as they can be told apart.
pub(crate) fn statements(sql: &str) -> Result<Vec<Statement>> {
    walkback_sql::split(KIND, sql, Path::new("statement"))
}

/// What a statement begins with, as far as a session must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lead {
    /// Begins a transaction.
    Begins,
    /// Ends a whole transaction, or gives it away.
    Ends,
    /// Reads, and does nothing else by itself: its count is not a count of changes.
    Reads,
    /// Copies to or from the client, which is not what `execute` is for.
    Copies,
    /// Runs code that may end transactions by itself.
    Calls,
    /// Anything else.
    Other,
}

impl Lead {
    /// Looks at the first words of a statement.
    pub(crate) fn of(sql: &str) -> Self {
        let words: Vec<String> = words(sql).take(64).map(str::to_ascii_uppercase).collect();
        let word = |index: usize| words.get(index).map_or("", String::as_str);
        match (word(0), word(1)) {
            ("BEGIN", _) | ("START", "TRANSACTION") => Self::Begins,
            ("ROLLBACK" | "ABORT", _) if words.iter().skip(1).take(2).any(|word| word == "TO") => Self::Other,
            ("COMMIT" | "END" | "ROLLBACK" | "ABORT", _) | ("PREPARE", "TRANSACTION") => Self::Ends,
            ("SELECT", _) if words.iter().any(|word| word == "INTO") => Self::Other,
            ("SELECT" | "VALUES" | "TABLE" | "SHOW" | "EXPLAIN" | "FETCH" | "MOVE", _) => Self::Reads,
            ("COPY", _) if words.iter().any(|word| word == "STDIN" || word == "STDOUT") => Self::Copies,
            ("CALL" | "DO", _) => Self::Calls,
            _ => Self::Other,
        }
    }
}

/// Returns the words of a statement, without comments. Text in quotes may come along: only the first words are
/// to be relied on.
fn words(mut sql: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        loop {
            sql = skip_blank(sql);
            let first = sql.chars().next()?;
            if first.is_alphanumeric() || first == '_' {
                break;
            }
            sql = &sql[first.len_utf8()..];
        }
        let end = sql
            .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .unwrap_or(sql.len());
        let (word, rest) = sql.split_at(end);
        sql = rest;
        Some(word)
    })
}

fn skip_blank(mut sql: &str) -> &str {
    loop {
        sql = sql.trim_start_matches(|letter: char| letter.is_whitespace() || letter == ';');
        sql = if let Some(comment) = sql.strip_prefix("--") {
            comment.split_once('\n').map_or("", |(_, rest)| rest)
        } else if sql.starts_with("/*") {
            after_comment(sql)
        } else {
            return sql;
        };
    }
}

/// Comments of PostgreSQL nest.
fn after_comment(sql: &str) -> &str {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(found) = sql[at..].find(['/', '*']) {
        at += found;
        if sql[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if sql[at..].starts_with("*/") {
            depth = depth.saturating_sub(1);
            at += 2;
            if depth == 0 {
                return &sql[at..];
            }
        } else {
            at += 1;
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_words_tell_what_a_session_must_know() {
        for (sql, lead) in [
            ("COMMIT", Lead::Ends),
            ("end work", Lead::Ends),
            ("-- done\n/* really /* nested */ */ Rollback;", Lead::Ends),
            ("PREPARE TRANSACTION 'x'", Lead::Ends),
            ("begin isolation level serializable", Lead::Begins),
            ("START TRANSACTION", Lead::Begins),
            ("ROLLBACK TO x", Lead::Other),
            ("rollback transaction to savepoint x", Lead::Other),
            ("SAVEPOINT x", Lead::Other),
            ("SELECT 'COMMIT'", Lead::Reads),
            ("SELECT 1 INTO x", Lead::Other),
            ("(SELECT 1)", Lead::Reads),
            ("COPY t FROM STDIN", Lead::Copies),
            ("COPY t FROM '/tmp/x'", Lead::Other),
            ("DO $$ BEGIN COMMIT; END $$", Lead::Calls),
            ("-- COMMIT\nDELETE FROM t", Lead::Other),
            ("", Lead::Other),
        ] {
            assert_eq!(Lead::of(sql), lead, "{sql}");
        }
    }

    #[test]
    fn a_literal_holds_any_text() {
        assert_eq!(text_literal("a'b"), "'a''b'");
        assert_eq!(text_literal("a\\'b"), "E'a\\\\''b'");
    }
}
