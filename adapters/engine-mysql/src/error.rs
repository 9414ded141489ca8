//! What the server's error codes mean to the person who reads them.

use std::fmt;
use std::sync::Arc;

use mysql_async::Error as DriverError;
use walkback_core::{Error, ErrorKind};

use crate::config::Config;

/// How much of a statement is shown, in characters.
const EXCERPT: usize = 100;

/// A statement that the server cannot prepare.
pub(crate) const NOT_PREPARED: u16 = 1295;
/// There are too many prepared statements on the server.
pub(crate) const TOO_MANY_PREPARED: u16 = 1461;
/// The database is not there.
pub(crate) const NO_DATABASE: u16 = 1049;
/// A table of that name is there already.
pub(crate) const TABLE_EXISTS: u16 = 1050;
/// A deadlock, for which the server has rolled the transaction back.
pub(crate) const DEADLOCK: u16 = 1213;
/// The tables of a statement were flushed each time that the server prepared it.
pub(crate) const NEEDS_PREPARING: u16 = 1615;
/// Waiting for a lock has taken too long.
pub(crate) const LOCK_TIMEOUT: u16 = 1205;
/// `KILL QUERY` has ended the statement.
pub(crate) const KILLED: u16 = 1317;

/// Where a database is, so that every error can name it.
#[derive(Debug, Clone)]
pub(crate) struct Place(Arc<Config>);

/// The server's own words.
#[derive(Debug)]
struct Cause(String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

impl Place {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self(config)
    }

    /// Says what a failed statement means.
    pub(crate) fn statement_failed(&self, sql: &str, error: DriverError) -> Error {
        let message = format!("the server refused `{}`", excerpt(sql));
        self.failed(message, error)
            .with_context("statement", excerpt(sql))
    }

    /// Says what a failure means that is not about a statement of the user.
    pub(crate) fn failed(&self, message: impl Into<String>, error: DriverError) -> Error {
        let message = message.into();
        match &error {
            DriverError::Server(server) => self
                .of_code(server.code, message)
                .with_context("mysql_code", server.code)
                .with_context("sqlstate", &server.state)
                .with_source(Cause(server.message.clone())),
            DriverError::Io(_) | DriverError::Driver(mysql_async::DriverError::ConnectionClosed) => {
                Error::new(
                    ErrorKind::Unavailable,
                    format!("the connection to `{}` is lost", self.0.server()),
                )
                .retryable()
                .hint("see whether the server runs and can be reached, then run the same command again")
                .with_source(Cause(text(&error)))
            }
            _ => Error::new(ErrorKind::Database, message).with_source(Cause(text(&error))),
        }
    }

    fn of_code(&self, code: u16, message: String) -> Error {
        match code {
            LOCK_TIMEOUT | 3572 => Error::new(ErrorKind::Locked, message)
                .retryable()
                .hint("another session holds what this statement needs: see `SHOW FULL PROCESSLIST`, or wait longer"),
            DEADLOCK | 1020 => Error::new(ErrorKind::Database, message).retryable(),
            KILLED => Error::new(ErrorKind::Interrupted, message),
            1044 | 1142 | 1143 | 1227 | 1370 | 1419 | 1410 => Error::new(ErrorKind::PermissionDenied, message)
                .hint(format!("grant `{}` the right that the server names", self.0.user())),
            1290 | 1792 | 1836 => Error::new(ErrorKind::PermissionDenied, message),
            NO_DATABASE => Error::not_found(message),
            1021 | 1114 | 1041 => Error::new(ErrorKind::Io, message)
                .hint("free some space on the server's disk, then run the same command again"),
            1040 | 1053 | 1152 | 1154..=1161 | 1203 | 1226 | 1927 | 3032 => {
                Error::new(ErrorKind::Unavailable, message).retryable()
            }
            1153 => Error::new(ErrorKind::Database, message)
                .hint("raise `max_allowed_packet` of the server, or split the statement"),
            _ => Error::new(ErrorKind::Database, message),
        }
    }

    /// Says why no connection was made.
    pub(crate) fn cannot_connect(&self, error: DriverError) -> Error {
        let (config, server) = (&self.0, self.0.server());
        let message = format!("cannot connect to `{}`", config.location());
        match &error {
            DriverError::Server(found) => {
                let code = found.code;
                let said = match code {
                    NO_DATABASE => Error::not_found(format!(
                        "the database `{}` does not exist on `{server}`",
                        config.database
                    ))
                    .hint(format!(
                        "create it with `CREATE DATABASE {}`, or correct the URL",
                        crate::dialect::quoted(&config.database)
                    )),
                    1045 | 1698 => Error::new(ErrorKind::PermissionDenied, message)
                        .hint("check the user and the password in the URL"),
                    1044 | 1130 | 1820 | 3118 | 4151 => Error::new(ErrorKind::PermissionDenied, message),
                    3159 => Error::new(ErrorKind::PermissionDenied, message)
                        .hint("this server wants encryption: add `ssl-mode=required` to the URL"),
                    _ => self.of_code(code, message),
                };
                said.with_context("mysql_code", code)
                    .with_source(Cause(found.message.clone()))
            }
            DriverError::Io(mysql_async::IoError::Tls(_)) => Error::new(ErrorKind::Unavailable, message)
                .hint(
                    "the encryption failed: `ssl-ca=<file>` names whom to trust, `ssl-mode=required` trusts whoever \
                     answers",
                )
                .with_source(Cause(text(&error))),
            DriverError::Driver(mysql_async::DriverError::NoClientSslFlagFromServer) => {
                Error::new(ErrorKind::Unavailable, message)
                    .hint("the server offers no encryption, which `ssl-mode` in the URL asks for")
                    .with_source(Cause(text(&error)))
            }
            DriverError::Driver(mysql_async::DriverError::UnknownAuthPlugin { name }) => {
                let plugin = format!("the authentication plugin `{name}` of user `{}`", config.user());
                Error::unsupported(plugin, "the driver of walkback")
                    .hint("check the user: of one that does not exist, MySQL says any plugin")
                    .hint("use `caching_sha2_password`, `mysql_native_password` or `ed25519` for this user")
            }
            _ => Error::new(ErrorKind::Unavailable, message)
                .retryable()
                .hint(format!("see whether a server runs at `{server}`"))
                .with_source(Cause(text(&error))),
        }
    }

    /// Returns the settings of the database.
    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.0
    }
}

/// Returns the code of the server's error, if it is one.
pub(crate) fn code(error: &DriverError) -> Option<u16> {
    match error {
        DriverError::Server(server) => Some(server.code),
        _ => None,
    }
}

/// Returns the code that the server sent along with what became this error.
pub(crate) fn sent_code(error: &Error) -> Option<&str> {
    let mut context = error.context().iter();
    context
        .find(|(key, _)| *key == "mysql_code")
        .map(|(_, value)| value.as_str())
}

/// Returns the driver's words without the frames it puts around each other.
fn text(error: &DriverError) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
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
