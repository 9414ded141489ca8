//! What PostgreSQL's error codes mean to the person who reads them.

use std::error::Error as _;
use std::fmt;

use tokio_postgres::error::{DbError, ErrorPosition, SqlState};
use walkback_core::{Error, ErrorKind};

/// How much of a statement is shown, in characters.
const EXCERPT: usize = 100;

/// A statement has waited too long for a lock.
pub(crate) const LOCK_TIMEOUT: &str = "55P03";

/// The server's own words: message, detail and where in the statement.
#[derive(Debug)]
struct Cause(String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

/// Says what a failed statement means.
pub(crate) fn statement_failed(sql: &str, error: &tokio_postgres::Error) -> Error {
    let message = format!("PostgreSQL refused `{}`", excerpt(sql));
    failed(message, sql, error).with_context("statement", excerpt(sql))
}

/// Says what a failure means that is not about a statement of the user.
pub(crate) fn failed(message: impl Into<String>, sql: &str, error: &tokio_postgres::Error) -> Error {
    let message = message.into();
    match error.as_db_error() {
        Some(db) => of_code(message, db)
            .with_context("sqlstate", db.code().code())
            .with_source(Cause(words(db, sql))),
        None if error.is_closed() || is_io(error) => lost().with_source(Cause(chain(error))),
        None => Error::new(ErrorKind::Database, message).with_source(Cause(chain(error))),
    }
}

/// Says that the connection is gone.
pub(crate) fn lost() -> Error {
    Error::new(ErrorKind::Unavailable, "the connection to PostgreSQL is lost")
        .retryable()
        .hint("check that the server runs, then run `walkback status` to see what was done")
}

fn of_code(message: String, db: &DbError) -> Error {
    let code = db.code();
    let with = |kind: ErrorKind| Error::new(kind, message.clone());
    match code.code() {
        LOCK_TIMEOUT => with(ErrorKind::Locked)
            .retryable()
            .hint("wait until the other session is done, or allow more time with `--lock-timeout`"),
        "40P01" | "40001" => with(ErrorKind::Database).retryable(),
        "42501" => with(ErrorKind::PermissionDenied),
        "25006" => with(ErrorKind::PermissionDenied)
            .hint("this session or this database is read-only: `SHOW transaction_read_only`"),
        "57014" if db.message().contains("timeout") => with(ErrorKind::Unavailable)
            .hint("the server's `statement_timeout` ended it; set a longer one for this migration"),
        "57014" => with(ErrorKind::Interrupted),
        "57P01" | "57P02" | "57P03" | "57P05" => with(ErrorKind::Unavailable).retryable(),
        "53300" => with(ErrorKind::Unavailable)
            .retryable()
            .hint("the server has no connection left: close some, or raise `max_connections`"),
        "53100" => with(ErrorKind::Database).hint("the disk of the server is full"),
        _ if *code == SqlState::INVALID_PASSWORD
            || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION =>
        {
            with(ErrorKind::PermissionDenied)
                .hint("check the user and the password: in the URL, in `PGPASSWORD` or in the password file")
        }
        _ if *code == SqlState::INVALID_CATALOG_NAME => with(ErrorKind::NotFound),
        other if other.starts_with("08") => with(ErrorKind::Unavailable).retryable(),
        _ => with(ErrorKind::Database),
    }
}

fn words(db: &DbError, sql: &str) -> String {
    let mut text = db.message().to_owned();
    if let Some(ErrorPosition::Original(position)) = db.position() {
        let before = sql.chars().take((*position as usize).saturating_sub(1));
        let line = before.filter(|letter| *letter == '\n').count() + 1;
        if line > 1 {
            text.push_str(&format!(" (line {line} of the statement)"));
        }
    }
    for more in [db.detail(), db.hint()].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(more);
    }
    text
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    error
        .source()
        .is_some_and(|source| source.downcast_ref::<std::io::Error>().is_some())
}

fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = cause.source();
    }
    text
}

/// Returns the SQLSTATE of an error, if the server has spoken.
pub(crate) fn code(error: &tokio_postgres::Error) -> &str {
    error.code().map_or("", SqlState::code)
}

/// Returns the beginning of a statement, on one line.
pub(crate) fn excerpt(sql: &str) -> String {
    let mut text = String::new();
    for word in sql.split_whitespace() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.extend(word.chars().take(EXCERPT));
        if text.chars().count() > EXCERPT {
            text = text.chars().take(EXCERPT).collect();
            text.push_str("..");
            return text;
        }
    }
    text
}

/// Returns an error about how a session is used.
pub(crate) fn misused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Usage, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_and_on_one_line_and_never_cuts_a_character() {
        assert_eq!(excerpt("SELECT\n\t 1"), "SELECT 1");
        let long = excerpt(&"😀 ".repeat(500));
        assert_eq!(long.chars().count(), EXCERPT + 2);
        assert_eq!(excerpt(&"x".repeat(1 << 20)).len(), EXCERPT);
    }
}
