//! Trying again what was stopped by another session: a lock that was held for too long, a deadlock, a serialization failure.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use walkback_core::statement::Severity;
use walkback_core::{Capability, Cx, Error, ErrorKind, Result};

use crate::plan::{PlannedStatement, PlannedStep};

/// How long the first pause is; each is twice as long as the one before, and a little more by chance, so that two that met
/// do not meet again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How often something may still be tried again.
#[derive(Debug)]
pub(crate) struct Tries {
    pauses: ExponentialBackoff,
    made: usize,
}

impl Tries {
    /// So many tries after the first.
    pub(crate) fn new(more: usize) -> Self {
        Self::with_pauses(more, FIRST_PAUSE)
    }

    fn with_pauses(more: usize, first: Duration) -> Self {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(first)
            .with_max_delay(LONGEST_PAUSE)
            .with_factor(2.0)
            .with_max_times(more)
            .with_jitter();
        Self {
            pauses: pauses.build(),
            made: 1,
        }
    }

    /// Waits until it can be tried again. What failed must have been taken back.
    ///
    /// # Errors
    /// The error it failed with, if another session is not to blame, or it was tried often enough.
    pub(crate) async fn again(&mut self, cx: &Cx, what: &str, error: Error) -> Result<()> {
        if !is_of_another_session(&error) || cx.check().is_err() {
            return Err(error);
        }
        let Some(pause) = self.pauses.next() else {
            return Err(match self.made {
                1 => error,
                made => error.hint(format!(
                    "tried {made} times; `lock_retries` of the environment says how often"
                )),
            });
        };
        self.made += 1;
        cx.progress().warn(&format!(
            "{what} was stopped by another session, and is tried again in {:.1} s: {}",
            pause.as_secs_f64(),
            root_of(&error)
        ));
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            ended = cx.ended() => Err(ended),
        }
    }
}

impl PlannedStep {
    /// Returns whether all of it happens again, or nothing, if it is run again after a failure.
    pub(crate) fn may_be_repeated(&self, capability: &Capability) -> bool {
        // A routine may commit in its middle where definitions do.
        let is_read = |statement: &PlannedStatement| statement.severity != Severity::Unknown;
        self.transaction && (capability.transactional_ddl || self.statements.iter().all(is_read))
    }
}

/// Returns whether what failed may well succeed once another session has gone on.
pub(crate) fn is_of_another_session(error: &Error) -> bool {
    error.is_retryable() && matches!(error.kind(), ErrorKind::Locked | ErrorKind::Database)
}

/// Returns what is at the bottom of an error, in words.
fn root_of(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> Error {
        Error::new(ErrorKind::Locked, "held by session 7").retryable()
    }

    #[tokio::test]
    async fn it_is_tried_so_often_and_not_more() {
        let mut tries = Tries::with_pauses(3, Duration::from_millis(1));
        for _ in 0..3 {
            tries.again(&Cx::background(), "it", held()).await.unwrap();
        }
        let error = tries.again(&Cx::background(), "it", held()).await.unwrap_err();
        assert!(format!("{error:?}").contains("tried 4 times"), "{error:?}");
        let none = Tries::new(0).again(&Cx::background(), "it", held()).await;
        assert_eq!(none.unwrap_err().kind(), ErrorKind::Locked);
    }

    #[tokio::test]
    async fn what_nobody_else_is_to_blame_for_is_not_tried_again() {
        for error in [
            Error::new(ErrorKind::Database, "syntax error"),
            Error::new(ErrorKind::Locked, "the tables are written to"),
            Error::new(ErrorKind::Unavailable, "the connection is gone").retryable(),
            Error::new(ErrorKind::NeedsRecovery, "half-done").retryable(),
        ] {
            let kind = error.kind();
            let outcome = Tries::new(3).again(&Cx::background(), "it", error).await;
            assert_eq!(outcome.unwrap_err().kind(), kind);
        }
    }

    #[tokio::test]
    async fn who_interrupts_is_not_kept_waiting() {
        let cx = Cx::background();
        cx.canceller().cancel();
        let outcome = Tries::new(3).again(&cx, "it", held()).await;
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Locked);
    }
}
