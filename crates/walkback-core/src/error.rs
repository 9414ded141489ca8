//! The one error of walkback: a kind to branch on, a cause, and guidance for the person who reads it.

use std::error::Error as StdError;
use std::fmt;
use std::path::Path;

/// The result of every fallible call in walkback.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as far as a caller needs to branch on it. Each kind has one exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The command line or an argument of the library makes no sense.
    Usage,
    /// The configuration or a migration file is wrong: it must be edited.
    Config,
    /// A named thing (migration, point, table, file, adapter) does not exist.
    NotFound,
    /// The thing to be created is there already.
    AlreadyExists,
    /// The operating system or the server denies access.
    PermissionDenied,
    /// The adapter never claimed this capability. Nothing was done.
    Unsupported,
    /// The database refused or failed a statement.
    Database,
    /// The database, the store or the network cannot be reached.
    Unavailable,
    /// Somebody else holds the lock.
    Locked,
    /// A check says no: pending migrations, drift, not verified.
    CheckFailed,
    /// The policy of the environment forbids it, or a person did not confirm.
    Refused,
    /// Writes of an application collide with the rollback; they were kept, and a person must decide.
    Conflict,
    /// A backup, a chunk or a manifest is missing or damaged.
    Damaged,
    /// A command or a health check that the configuration names has failed.
    Hook,
    /// The run left the database between two states. `walkback recover` is needed.
    NeedsRecovery,
    /// The person or the system asked to stop, and what was begun has been undone.
    Interrupted,
    /// Reading or writing a file failed.
    Io,
    /// A promise of the program itself is broken: a bug.
    Internal,
}

impl ErrorKind {
    /// Returns the name used in `--json` output: lower case, words joined by `_`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Config => "config",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::PermissionDenied => "permission_denied",
            Self::Unsupported => "unsupported",
            Self::Database => "database",
            Self::Unavailable => "unavailable",
            Self::Locked => "locked",
            Self::CheckFailed => "check_failed",
            Self::Refused => "refused",
            Self::Conflict => "conflict",
            Self::Damaged => "damaged",
            Self::Hook => "hook",
            Self::NeedsRecovery => "needs_recovery",
            Self::Interrupted => "interrupted",
            Self::Io => "io",
            Self::Internal => "internal",
        }
    }
}

/// The error of every fallible call: kind, operation, context, cause, hints, and what did succeed.
///
/// `Display` is the message alone and never repeats the source; walk [`StdError::source`] for the cause.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    operation: Option<&'static str>,
    context: Vec<(&'static str, String)>,
    retryable: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
    hints: Vec<String>,
    succeeded: Vec<String>,
}

impl Error {
    /// Creates an error. The message is a lower-case fragment with backticks round names.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            operation: None,
            context: Vec::new(),
            retryable: false,
            source: None,
            hints: Vec::new(),
            succeeded: Vec::new(),
        }))
    }

    /// Creates an error of kind [`ErrorKind::Config`].
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// Creates an error of kind [`ErrorKind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// Creates an error of kind [`ErrorKind::Internal`]: a broken promise of the program itself.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
            .hint("this is a bug in walkback; please report it with the command and this text")
    }

    /// Creates an error of kind [`ErrorKind::Unsupported`] for a capability that was never claimed.
    pub fn unsupported(what: impl fmt::Display, by: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Unsupported, format!("{what} is not supported by {by}"))
    }

    /// Creates an error for a failed file operation, with the kind that fits the cause.
    pub fn io(doing: &str, path: &Path, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match source.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
            Io::AlreadyExists => ErrorKind::AlreadyExists,
            _ => ErrorKind::Io,
        };
        let full = matches!(
            source.kind(),
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge
        );
        let error = Self::new(kind, format!("cannot {doing} `{}`", path.display())).with_source(source);
        if full {
            error.hint("free some space on that file system, then run the same command again")
        } else {
            error
        }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Names the operation that failed, for logs.
    #[must_use]
    pub fn with_operation(mut self, operation: &'static str) -> Self {
        self.0.operation = Some(operation);
        self
    }

    /// Adds a pair of context, for logs and `--json`.
    #[must_use]
    pub fn with_context(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// Adds a hint: what to do, ideally the command to type, with the user's own values in it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(hint.into());
        self
    }

    /// Marks the error as worth a retry without a change.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.0.retryable = true;
        self
    }

    /// Adds something that did succeed before the failure, so that nobody has to guess.
    #[must_use]
    pub fn succeeded(mut self, what: impl Into<String>) -> Self {
        self.0.succeeded.push(what.into());
        self
    }

    /// Replaces the kind, where an outer layer knows better what the failure means.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Wraps this error in one that says what was being done; kind, context, hints and successes carry over.
    #[must_use]
    pub fn wrap(mut self, message: impl Into<String>) -> Self {
        let mut outer = Self::new(self.kind(), message);
        outer.0.retryable = self.0.retryable;
        outer.0.context = std::mem::take(&mut self.0.context);
        outer.0.hints = std::mem::take(&mut self.0.hints);
        outer.0.succeeded = std::mem::take(&mut self.0.succeeded);
        outer.0.source = Some(Box::new(self));
        outer
    }

    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the message, without the cause.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the name of the operation that failed.
    #[must_use]
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    /// Returns the pairs of context.
    #[must_use]
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.0.context
    }

    /// Returns whether the same call may succeed if it is simply made again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// Returns the hints, most useful first.
    #[must_use]
    pub fn hints(&self) -> &[String] {
        &self.0.hints
    }

    /// Returns what did succeed before the failure.
    #[must_use]
    pub fn successes(&self) -> &[String] {
        &self.0.succeeded
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind.name(), self.0.message)?;
        if let Some(operation) = self.0.operation {
            write!(f, " (in {operation})")?;
        }
        for (key, value) in &self.0.context {
            write!(f, "\n  {key}: {value}")?;
        }
        if let Some(source) = &self.0.source {
            write!(f, "\ncaused by: {source:?}")?;
        }
        for hint in &self.0.hints {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// Adds guidance to an error on its way up.
pub trait ResultExt<T> {
    /// Says what was being done; see [`Error::wrap`].
    fn wrap<M: Into<String>>(self, message: impl FnOnce() -> M) -> Result<T>;
    /// Adds a hint; see [`Error::hint`].
    fn hint<M: Into<String>>(self, hint: impl FnOnce() -> M) -> Result<T>;
}

impl<T> ResultExt<T> for Result<T> {
    fn wrap<M: Into<String>>(self, message: impl FnOnce() -> M) -> Result<T> {
        self.map_err(|error| error.wrap(message()))
    }

    fn hint<M: Into<String>>(self, hint: impl FnOnce() -> M) -> Result<T> {
        self.map_err(|error| error.hint(hint()))
    }
}
