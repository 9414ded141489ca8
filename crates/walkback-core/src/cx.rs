//! The context of every call that may do I/O: deadline, cancellation, progress, clock and durable steps.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Result};

/// Tells the time. A test sets it; nothing in walkback asks the system directly.
pub trait Clock: Send + Sync {
    /// Returns the present moment.
    fn now(&self) -> DateTime<Utc>;
}

/// Is told of each durable step: a boundary after which something is safe on disk or in the database.
///
/// A test counts the steps, and kills the process at the k-th to see what is left.
pub trait Steps: Send + Sync {
    /// Notes that the step of this name has been reached.
    fn reached(&self, name: &'static str);
}

/// What a task counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Rows.
    Rows,
    /// Things: migrations, statements, chunks.
    Items,
}

/// Shows what is going on. The library never prints; the command line draws bars from this.
pub trait Progress: Send + Sync {
    /// Begins a task of a known or unknown size. It ends when the returned handle is dropped.
    fn begin(&self, title: &str, unit: Unit, total: Option<u64>) -> Box<dyn Task>;
    /// Says something worth a line, such as who holds the lock that is waited for.
    fn note(&self, text: &str);
    /// Warns of something that does not stop the run.
    fn warn(&self, text: &str);
}

/// A task in progress.
pub trait Task: Send + Sync {
    /// Adds to what has been done.
    fn advance(&self, amount: u64);
}

/// The context of a call: cheap to clone, passed first to everything that may do I/O.
#[derive(Clone)]
pub struct Cx {
    cancel: CancellationToken,
    deadline: Option<Instant>,
    clock: Arc<dyn Clock>,
    progress: Arc<dyn Progress>,
    steps: Arc<dyn Steps>,
}

impl fmt::Debug for Cx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cx")
            .field("cancelled", &self.cancel.is_cancelled())
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl Default for Cx {
    fn default() -> Self {
        Self::background()
    }
}

impl Cx {
    /// Creates a context that is never cancelled, shows nothing and uses the system's clock.
    #[must_use]
    pub fn background() -> Self {
        Self {
            cancel: CancellationToken::new(),
            deadline: None,
            clock: Arc::new(SystemClock),
            progress: Arc::new(Silent),
            steps: Arc::new(Silent),
        }
    }

    /// Returns the same context with another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Returns the same context with another way to show progress.
    #[must_use]
    pub fn with_progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// Returns the same context with somebody who is told of each durable step.
    #[must_use]
    pub fn with_steps(mut self, steps: Arc<dyn Steps>) -> Self {
        self.steps = steps;
        self
    }

    /// Returns a context that also ends after this time.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        let deadline = Instant::now() + timeout;
        self.deadline = Some(self.deadline.map_or(deadline, |earlier| earlier.min(deadline)));
        self
    }

    /// Returns a context that can no longer be cancelled and has no deadline: what undoes a failed run
    /// must not be stopped by what made it fail.
    #[must_use]
    pub fn shielded(&self) -> Self {
        Self {
            cancel: CancellationToken::new(),
            deadline: None,
            ..self.clone()
        }
    }

    /// Returns the handle that cancels this context and all its clones.
    #[must_use]
    pub fn canceller(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Fails if the context was cancelled or its deadline has passed.
    ///
    /// # Errors
    /// [`ErrorKind::Interrupted`] when cancelled, [`ErrorKind::Unavailable`] past the deadline.
    pub fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(
                Error::new(ErrorKind::Unavailable, "the time allowed for this has passed").retryable(),
            );
        }
        Ok(())
    }

    /// Waits until the context is cancelled or its deadline has passed, and returns that error.
    pub async fn ended(&self) -> Error {
        match self.deadline {
            Some(deadline) => tokio::select! {
                () = self.cancel.cancelled() => {}
                () = tokio::time::sleep_until(deadline.into()) => {}
            },
            None => self.cancel.cancelled().await,
        }
        self.check()
            .err()
            .unwrap_or_else(|| Error::new(ErrorKind::Interrupted, "interrupted"))
    }

    /// Returns the time left until the deadline.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Returns the present moment.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Returns the way to show progress.
    #[must_use]
    pub fn progress(&self) -> &dyn Progress {
        &*self.progress
    }

    /// Marks a durable step: what came before this call is safe, what comes after has not begun.
    pub fn step(&self, name: &'static str) {
        self.steps.reached(name);
    }
}

#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

#[derive(Debug)]
struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: Unit, _: Option<u64>) -> Box<dyn Task> {
        Box::new(Self)
    }
    fn note(&self, _: &str) {}
    fn warn(&self, _: &str) {}
}

impl Task for Silent {
    fn advance(&self, _: u64) {}
}

impl Steps for Silent {
    fn reached(&self, _: &'static str) {}
}
