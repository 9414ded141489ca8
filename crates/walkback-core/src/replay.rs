//! Going forward from a backup by the server's own log: to the database as it was at any moment since.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::cx::Cx;
use crate::engine::Engine;
use crate::error::Result;

/// A place in the log of a server. What it says is the engine's own, in words and numbers that a person can use too.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogPosition {
    /// Which log it is: `binlog`.
    pub log: String,
    /// Where in it.
    pub at: String,
}

impl LogPosition {
    /// Creates a place in a log.
    #[must_use]
    pub fn new(log: impl Into<String>, at: impl Into<String>) -> Self {
        Self {
            log: log.into(),
            at: at.into(),
        }
    }
}

/// The place alone, without what else is known of it.
impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.at.split_whitespace().next().unwrap_or_default())
    }
}

/// Something that is not as going forward needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lack {
    /// What it is.
    pub what: String,
    /// What to do: the setting to change, or the right to grant.
    pub remedy: String,
    /// Whether nothing at all can be gone forward to as long as it is so.
    pub is_fatal: bool,
}

impl Lack {
    /// Creates something without which nothing can be gone forward to.
    #[must_use]
    pub fn fatal(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: remedy.into(),
            is_fatal: true,
        }
    }

    /// Creates something that is worth a word.
    #[must_use]
    pub fn minor(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            is_fatal: false,
            ..Self::fatal(what, remedy)
        }
    }
}

/// What is to be gone forward over, and where it is to be done again.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReplayRequest {
    /// Where the log stood when what is in the scratch database was read.
    pub from: LogPosition,
    /// The moment: what was committed at it or before is done again, and nothing else.
    pub until: DateTime<Utc>,
    /// Tables that are left as they are: somebody else keeps them.
    pub leave: Vec<String>,
    /// The scratch database, on the same server.
    pub into: Arc<dyn Engine>,
}

impl ReplayRequest {
    /// Creates a request.
    #[must_use]
    pub fn new(from: LogPosition, until: DateTime<Utc>, leave: Vec<String>, into: Arc<dyn Engine>) -> Self {
        Self {
            from,
            until,
            leave,
            into,
        }
    }
}

/// What was gone forward over.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Replayed {
    /// Transactions and definitions of this database that were done again.
    pub transactions: u64,
    /// Where the log stands behind the last one.
    pub end: LogPosition,
    /// When the last one was committed, by the clock of the server.
    pub last: Option<DateTime<Utc>>,
}

impl Replayed {
    /// Creates a report.
    #[must_use]
    pub fn new(transactions: u64, end: LogPosition, last: Option<DateTime<Utc>>) -> Self {
        Self {
            transactions,
            end,
            last,
        }
    }
}

/// The log of a server, as what to go forward by.
///
/// - The database itself is never written to.
/// - `replay` does again what this database's sessions have committed, in its order, and nothing of other databases. What it
///   cannot do again exactly is an error that names the place in the log and the statement.
/// - A log that is gone is `NotFound`, before anything is done.
#[async_trait]
pub trait Replay: Send + Sync {
    /// Returns what is not as going forward needs it; empty: all is.
    async fn check(&self, cx: &Cx) -> Result<Vec<Lack>>;

    /// Returns when the log stood at a place, by the clock of the server.
    fn moment(&self, at: &LogPosition) -> Result<DateTime<Utc>>;

    /// Returns how many bytes of log there are behind a place.
    async fn reach(&self, cx: &Cx, from: &LogPosition) -> Result<u64>;

    /// Does again in a scratch database what was committed since.
    async fn replay(&self, cx: &Cx, request: &ReplayRequest) -> Result<Replayed>;
}
