//! What holds for any text at all.

use std::path::Path;

use proptest::prelude::*;
use walkback_core::catalog::Schema;
use walkback_core::dialect::Inverse;
use walkback_core::{DialectKind, Statement, Value};
use walkback_sql::lexer::Lexer;

fn statement(sql: &str) -> Statement {
    Statement {
        sql: sql.to_owned(),
        line: 1,
        touches: Vec::new(),
    }
}

fn dialect() -> impl Strategy<Value = DialectKind> {
    prop::sample::select(DialectKind::ALL.to_vec())
}

/// Words and signs in any order: most of it is nearly SQL.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "CREATE",
        "ALTER",
        "DROP",
        "TABLE",
        "INDEX",
        "TRIGGER",
        "PROCEDURE",
        "FUNCTION",
        "VIEW",
        "BEGIN",
        "END",
        "ATOMIC",
        "IF",
        "THEN",
        "ELSE",
        "CASE",
        "WHEN",
        "LOOP",
        "REPEAT",
        "UNTIL",
        "DO",
        "FOR",
        "EACH",
        "ROW",
        "ON",
        "WITH",
        "AS",
        "SELECT",
        "INSERT",
        "INTO",
        "UPDATE",
        "SET",
        "DELETE",
        "FROM",
        "COPY",
        "stdin",
        "DELIMITER",
        "RENAME",
        "TO",
        "ADD",
        "COLUMN",
        "CONSTRAINT",
        "EXISTS",
        "NOT",
        "OR",
        "REPLACE",
        "CASCADE",
        "DEFAULT",
        "CHANGE",
        "MODIFY",
        "EXPLAIN",
        "PRAGMA",
        "a",
        "b",
        "\"c d\"",
        "`e`",
        "[f]",
        "'g'",
        "E'h\\''",
        "$$",
        "$x$",
        "(",
        ")",
        ",",
        ";",
        ";",
        ".",
        "=",
        "*",
        "--",
        "-- walkback: touches a",
        "/*",
        "*/",
        "/*!50001",
        "#",
        "\\",
        "\n",
        "\r\n",
        "//",
        "@a",
        "1.5e3",
        "ü",
        "🦀",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #[test]
    fn splitting_loses_no_order_and_never_panics(kind in dialect(), script in prop_oneof![soup(), any::<String>()]) {
        let Ok(statements) = walkback_sql::split(kind, &script, Path::new("up.sql")) else { return Ok(()) };
        let mut from = 0;
        for statement in statements {
            let at = script[from..].find(&statement.sql);
            prop_assert!(at.is_some(), "{:?} is not in {:?} behind {from}", statement.sql, script);
            let start = from + at.unwrap_or_default();
            // Only blanks in ASCII are blanks to a server.
            prop_assert_eq!(statement.sql.trim_ascii(), &statement.sql);
            prop_assert!(!statement.sql.is_empty());
            prop_assert!(statement.line <= script.matches('\n').count() + 1);
            from = start + statement.sql.len();
        }
    }

    #[test]
    fn a_statement_that_was_split_off_splits_into_itself(kind in dialect(), script in soup()) {
        let Ok(statements) = walkback_sql::split(kind, &script, Path::new("up.sql")) else { return Ok(()) };
        for statement in statements {
            // A routine that only another `DELIMITER` has ended may be open at its end.
            if let Ok(again) = walkback_sql::split(kind, &statement.sql, Path::new("up.sql"))
                && !script.contains("DELIMITER")
            {
                prop_assert_eq!(again.len(), 1, "{:?}", statement.sql);
            }
        }
    }

    #[test]
    fn tokens_cover_everything_but_blanks(kind in dialect(), script in prop_oneof![soup(), any::<String>()]) {
        let mut end = if script.starts_with('\u{feff}') { 3 } else { 0 };
        for token in Lexer::new(kind, &script) {
            prop_assert!(!token.text.is_empty());
            prop_assert!(script[end..token.offset].bytes().all(|byte| byte.is_ascii_whitespace() || byte == 0x0b));
            prop_assert_eq!(&script[token.offset..token.end()], token.text);
            end = token.end();
        }
        prop_assert!(script[end..].bytes().all(|byte| byte.is_ascii_whitespace() || byte == 0x0b));
    }

    #[test]
    fn classifying_and_inverting_never_panic(kind in dialect(), sql in prop_oneof![soup(), any::<String>()]) {
        let statement = statement(&sql);
        let effect = walkback_sql::effect(kind, &statement);
        let split = walkback_sql::split(kind, &sql, Path::new("up.sql"));
        let is_empty = split.is_ok_and(|statements| statements.is_empty());
        prop_assert!(is_empty || !effect.actions.is_empty(), "no effect of {:?}", sql);
        if let Inverse::NotDerivable { why } = walkback_sql::inverse(kind, &statement, &Schema::default()) {
            prop_assert!(!why.is_empty());
        }
        let commits = walkback_sql::is_implicit_commit(kind, &statement);
        prop_assert!(!commits || kind == DialectKind::Mysql);
        let refuses = walkback_sql::refuses_transaction(kind, &statement);
        prop_assert!(!(refuses && is_empty), "{:?}", sql);
    }

    #[test]
    fn normalising_twice_changes_nothing_more(kind in dialect(), sql in soup()) {
        let once = walkback_sql::normalise(kind, &sql);
        prop_assert_eq!(walkback_sql::normalise(kind, &once), once);
    }

    #[test]
    fn a_quoted_name_is_one_token(kind in dialect(), name in "[^\0]{1,20}") {
        let quoted = walkback_sql::quote_identifier(kind, &name);
        let tokens: Vec<_> = Lexer::new(kind, &quoted).collect();
        prop_assert_eq!(tokens.len(), 1, "{}", quoted);
    }

    #[test]
    fn a_literal_is_one_value(kind in dialect(), text in any::<String>()) {
        let sql = format!("SELECT {} AS a; SELECT 2", walkback_sql::literal(kind, &Value::Text(text)));
        let statements = walkback_sql::split(kind, &sql, Path::new("up.sql"));
        prop_assert_eq!(statements.map(|statements| statements.len()).ok(), Some(2), "{}", sql);
    }
}
