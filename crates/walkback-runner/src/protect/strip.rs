//! Takes the foreign keys out of the text of a table of SQLite.
//!
//! A table that was moved aside must not keep anybody from deleting the rows it referred to, and no key of it may
//! delete its own rows. SQLite has no statement that drops a foreign key: its text is what there is.

use std::ops::Range;

use walkback_core::DialectKind;
use walkback_sql::lexer::{Token, significant_tokens};

/// Returns a `CREATE TABLE` without its foreign keys. `None` if it cannot be read.
pub(super) fn without_foreign_keys(sql: &str) -> Option<String> {
    let tokens = significant_tokens(DialectKind::Sqlite, sql);
    let open = tokens.iter().position(|token| token.is_symbol("("))?;
    let mut depth = 0_usize;
    let mut cut: Vec<Range<usize>> = Vec::new();
    let mut index = open;
    while let Some(token) = tokens.get(index) {
        if token.is_symbol("(") {
            depth += 1;
        } else if token.is_symbol(")") {
            depth = depth.checked_sub(1)?;
        } else if depth == 1 && token.is_word("REFERENCES") {
            let clause = clause(&tokens, index)?;
            index = clause.end;
            cut.push(tokens[clause.start].offset..tokens[clause.end - 1].end());
            continue;
        }
        index += 1;
    }
    let mut text = String::with_capacity(sql.len());
    let mut position = 0;
    for range in cut {
        text.push_str(&sql[position..range.start]);
        position = range.end;
    }
    text.push_str(&sql[position..]);
    Some(text)
}

/// Returns the tokens of the foreign key that has its `REFERENCES` here, with the comma before it where it is a
/// member of the list by itself.
fn clause(tokens: &[Token<'_>], references: usize) -> Option<Range<usize>> {
    let mut start = references;
    if tokens.get(references.checked_sub(1)?)?.is_symbol(")")
        && let Some(foreign) = foreign(tokens, references - 1)
    {
        start = foreign;
    }
    if start >= 2 && tokens[start - 2].is_word("CONSTRAINT") {
        start -= 2;
    }
    let end = end(tokens, references);
    let is_member = start < references
        && tokens[start - 1].is_symbol(",")
        && tokens
            .get(end)
            .is_some_and(|next| next.is_symbol(",") || next.is_symbol(")"));
    Some(if is_member { start - 1..end } else { start..end })
}

/// Returns where `FOREIGN KEY (..)` begins that ends with this parenthesis, if that is what it is.
fn foreign(tokens: &[Token<'_>], close: usize) -> Option<usize> {
    let mut index = close;
    while !tokens[index].is_symbol("(") {
        index = index.checked_sub(1)?;
    }
    let start = index.checked_sub(2)?;
    (tokens[start].is_word("FOREIGN") && tokens[start + 1].is_word("KEY")).then_some(start)
}

/// Returns the token behind a foreign key that has its `REFERENCES` here.
fn end(tokens: &[Token<'_>], references: usize) -> usize {
    let is = |index: usize, word: &str| tokens.get(index).is_some_and(|token| token.is_word(word));
    // The word itself, and the table.
    let mut index = references + 2;
    if tokens.get(index).is_some_and(|token| token.is_symbol("(")) {
        while tokens.get(index).is_some_and(|token| !token.is_symbol(")")) {
            index += 1;
        }
        index += 1;
    }
    loop {
        if is(index, "ON") {
            let words = if is(index + 2, "SET") || is(index + 2, "NO") {
                4
            } else {
                3
            };
            index += words;
        } else if is(index, "MATCH")
            || is(index, "INITIALLY")
            || is(index, "NOT") && is(index + 1, "DEFERRABLE")
        {
            index += 2;
        } else if is(index, "DEFERRABLE") {
            index += 1;
        } else {
            return index.min(tokens.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_loses_its_foreign_keys_and_nothing_else() {
        for (before, after) in [
            ("CREATE TABLE t (a)", "CREATE TABLE t (a)"),
            (
                "CREATE TABLE t (a REFERENCES p(x) ON DELETE SET NULL ON UPDATE CASCADE NOT NULL, b)",
                "CREATE TABLE t (a  NOT NULL, b)",
            ),
            (
                "CREATE TABLE t (a INTEGER CONSTRAINT f REFERENCES \"p q\" NOT DEFERRABLE INITIALLY IMMEDIATE, b)",
                "CREATE TABLE t (a INTEGER , b)",
            ),
            (
                "CREATE TABLE t (a, b, FOREIGN KEY (a, b) REFERENCES p (x, y) MATCH FULL)",
                "CREATE TABLE t (a, b)",
            ),
            (
                "CREATE TABLE t (a, CONSTRAINT f FOREIGN KEY (a) REFERENCES p ON DELETE NO ACTION, CHECK (a > 0)) STRICT",
                "CREATE TABLE t (a, CHECK (a > 0)) STRICT",
            ),
            (
                "CREATE TABLE t (a, FOREIGN KEY (a) REFERENCES p DEFERRABLE UNIQUE (a))",
                "CREATE TABLE t (a,  UNIQUE (a))",
            ),
            (
                "CREATE TABLE t (\"references\" TEXT DEFAULT ('references p'), b)",
                "CREATE TABLE t (\"references\" TEXT DEFAULT ('references p'), b)",
            ),
        ] {
            assert_eq!(without_foreign_keys(before).as_deref(), Some(after), "{before}");
        }
        assert_eq!(without_foreign_keys("CREATE TABLE t AS SELECT 1"), None);
    }
}
