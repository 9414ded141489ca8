//! What SQLite's error codes mean to the person who reads them.

use std::fmt;
use std::path::PathBuf;

use rusqlite::ErrorCode;
use walkback_core::{Error, ErrorKind};

/// How much of a statement is shown, in characters.
const EXCERPT: usize = 100;

/// Where a database is, so that every error can name it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The file.
    pub(crate) path: PathBuf,
    /// The file as the user named it.
    pub(crate) location: String,
}

/// The text of a failure, without the statement that SQLite's own wrapper adds.
#[derive(Debug)]
struct Cause(String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

impl Place {
    /// Says what a failed statement means.
    pub(crate) fn statement_failed(&self, sql: &str, error: rusqlite::Error) -> Error {
        let message = format!("SQLite refused `{}`", excerpt(sql));
        self.failed(message, error)
            .with_context("statement", excerpt(sql))
    }

    /// Says what a failure means that is not about a statement of the user.
    pub(crate) fn failed(&self, message: impl Into<String>, error: rusqlite::Error) -> Error {
        let message = message.into();
        let location = &self.location;
        let code = error.sqlite_error().copied();
        let translated = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => self.locked(),
            Some(ErrorCode::ReadOnly) => Error::new(
                ErrorKind::PermissionDenied,
                format!("`{location}` can only be read"),
            )
            .hint(format!(
                "make `{location}` and its folder writable: SQLite keeps its journal beside the file"
            )),
            Some(ErrorCode::CannotOpen) => self.cannot_open(),
            Some(ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => {
                Error::new(ErrorKind::PermissionDenied, message)
            }
            Some(ErrorCode::DiskFull) => {
                Error::new(ErrorKind::Io, format!("the file system of `{location}` is full"))
                    .hint("free some space on that file system, then run the same command again")
            }
            Some(ErrorCode::DatabaseCorrupt) => {
                Error::new(ErrorKind::Damaged, format!("`{location}` is damaged"))
                    .hint(format!(
                        "move `{location}` away, then restore a backup: `walkback backup list`, `walkback restore <id>`"
                    ))
            }
            Some(ErrorCode::NotADatabase) => Error::config(format!(
                "`{location}` is not a SQLite database, or it is encrypted"
            ))
            .hint("check that the URL names the right file"),
            Some(ErrorCode::SystemIoFailure) => {
                Error::new(ErrorKind::Io, format!("reading or writing `{location}` failed"))
            }
            Some(ErrorCode::OperationInterrupted) => Error::new(ErrorKind::Interrupted, "interrupted"),
            _ => Error::new(ErrorKind::Database, message),
        };
        let translated = match code {
            Some(code) => translated.with_context("sqlite_code", code.extended_code),
            None => translated,
        };
        translated.with_source(Cause(text(&error)))
    }

    fn locked(&self) -> Error {
        let location = &self.location;
        Error::new(
            ErrorKind::Locked,
            format!("`{location}` is in use by another connection"),
        )
        .retryable()
        .hint(format!(
            "let the other program finish, or wait longer for it: `sqlite:{location}?busy_timeout=60s`"
        ))
    }

    fn cannot_open(&self) -> Error {
        let location = &self.location;
        if self.path.exists() {
            return Error::new(
                ErrorKind::PermissionDenied,
                format!("`{location}` cannot be opened"),
            )
            .hint(format!("check the permissions of `{location}` and of its folder"));
        }
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => self.no_folder(),
            _ => Error::new(
                ErrorKind::PermissionDenied,
                format!("`{location}` cannot be created"),
            )
            .hint("check the permissions of its folder"),
        }
    }

    /// Says that the path of the database is a folder.
    pub(crate) fn is_folder(&self) -> Error {
        let location = &self.location;
        Error::config(format!("`{location}` is a folder, not a database"))
            .hint(format!("name a file in it, such as `sqlite:{location}/app.db`"))
    }

    /// Says that the folder of a database to be created is not there.
    pub(crate) fn no_folder(&self) -> Error {
        let folder = self.path.parent().unwrap_or(&self.path).display();
        Error::not_found(format!(
            "`{}` cannot be created: the folder `{folder}` does not exist",
            self.location
        ))
        .hint(format!("create it with `mkdir -p {folder}`, or correct the URL"))
    }
}

/// Returns the beginning of a statement on one line.
pub(crate) fn excerpt(sql: &str) -> String {
    let mut words = String::new();
    for word in sql.split_whitespace() {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
        if words.len() > 4 * EXCERPT {
            break;
        }
    }
    match words.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}..", &words[..end]),
        None => words,
    }
}

fn text(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, sql, offset, .. } => {
            let before = usize::try_from(*offset).ok().and_then(|offset| sql.get(..offset));
            let line = before.map_or(1, |before| before.matches('\n').count() + 1);
            if line > 1 {
                format!("{msg} (line {line} of the statement)")
            } else {
                msg.clone()
            }
        }
        // Without a message of its own, the wrapper puts its number for the code before SQLite's words for it.
        rusqlite::Error::SqliteFailure(code, None) => {
            let text = code.to_string();
            match text.split_once(": ") {
                Some((number, words)) if number.starts_with("Error code ") => words.to_owned(),
                _ => text,
            }
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_and_on_one_line_and_never_cuts_a_character() {
        assert_eq!(excerpt("SELECT\n\t 1"), "SELECT 1");
        let long = excerpt(&"😀 ".repeat(500));
        assert_eq!(long.chars().count(), EXCERPT + 2);
        assert!(long.ends_with(".."));
        assert_eq!(excerpt(&"x".repeat(1 << 20)).len(), EXCERPT + 2);
    }
}
