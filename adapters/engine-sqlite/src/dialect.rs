//! SQL as SQLite speaks it: names, texts and statements as a session needs them.

use std::path::Path;

use walkback_core::TableName;
use walkback_core::dialect::DialectKind;

/// The family of SQL.
pub(crate) const KIND: DialectKind = DialectKind::Sqlite;

/// Quotes an identifier. Double quotes are an identifier to SQLite wherever one can stand.
pub(crate) fn quoted(name: &str) -> String {
    walkback_sql::quote_identifier(KIND, name)
}

/// Quotes the name of a table, with its schema if it has one.
pub(crate) fn quoted_table(table: &TableName) -> String {
    walkback_sql::quote_table(KIND, table)
}

/// Returns whether a text is certainly more than one statement.
pub(crate) fn holds_several(sql: &str) -> bool {
    walkback_sql::split(KIND, sql, Path::new("statement")).is_ok_and(|statements| statements.len() > 1)
}

/// Returns whether a statement begins or ends a whole transaction.
pub(crate) fn ends_transaction(sql: &str) -> bool {
    let mut words = words(sql).map(str::to_ascii_uppercase);
    match words.next().as_deref() {
        Some("BEGIN" | "COMMIT" | "END") => true,
        Some("ROLLBACK") => !words.take(2).any(|word| word == "TO"),
        _ => false,
    }
}

/// Returns the words at the beginning of a statement, without comments.
fn words(mut sql: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        sql = skip_blank(sql);
        let end = sql
            .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .unwrap_or(sql.len());
        let (word, rest) = sql.split_at(end);
        sql = rest;
        (!word.is_empty()).then_some(word)
    })
}

fn skip_blank(mut sql: &str) -> &str {
    loop {
        sql = sql.trim_start_matches(|letter: char| {
            letter.is_whitespace() || letter == ';' || letter == '\u{feff}'
        });
        sql = if let Some(comment) = sql.strip_prefix("--") {
            comment.split_once('\n').map_or("", |(_, rest)| rest)
        } else if let Some(comment) = sql.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, rest)| rest)
        } else {
            return sql;
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_end_a_transaction_are_told_from_those_inside_one() {
        for sql in [
            "COMMIT",
            "end transaction",
            "begin immediate",
            "-- done\n/* really */ Rollback;",
            "ROLLBACK TRANSACTION",
            ";;COMMIT",
        ] {
            assert!(ends_transaction(sql), "{sql}");
        }
        for sql in [
            "ROLLBACK TO x",
            "rollback transaction to savepoint x",
            "SAVEPOINT x",
            "RELEASE x",
            "SELECT 'COMMIT'",
            "-- COMMIT\nSELECT 1",
            "",
            "EXPLAIN COMMIT",
        ] {
            assert!(!ends_transaction(sql), "{sql}");
        }
    }

    #[test]
    fn every_name_is_quoted_so_that_it_stands_for_itself() {
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
        assert_eq!(
            quoted_table(&TableName::in_schema("main", "select")),
            "\"main\".\"select\""
        );
    }
}
