//! Taking the lock: one code path, on a session of its own, freed when that session is dropped.

use std::time::{Duration, Instant};

use walkback_core::engine::{LockAttempt, LockHolder};
use walkback_core::{Access, Cx, Error, ErrorKind, Result, Session};

use crate::runner::Runner;

/// The name of walkback's lock in a database.
const NAME: &str = "walkback";

/// The lock, held as long as this lives.
#[derive(Debug)]
pub(crate) struct Lock {
    // Held for its drop: the engine frees the lock with the session, however the process ends.
    _session: Box<dyn Session>,
}

impl Lock {
    /// Takes the lock, waiting up to the timeout of the settings and saying once whom it waits for.
    pub(crate) async fn take(runner: &Runner, cx: &Cx, purpose: &str) -> Result<Self> {
        let settings = runner.settings();
        let mut session = runner.connect(cx, Access::Write).await?;
        let holder = LockHolder {
            who: format!("walkback {purpose} by {}", settings.actor.phrase()),
            since: Some(cx.now()),
        };
        let until = Instant::now() + settings.lock_timeout;
        let mut said = false;
        loop {
            let held_by = match session.try_lock(cx, NAME, &holder).await? {
                LockAttempt::Taken => return Ok(Self { _session: session }),
                LockAttempt::Held(held_by) => held_by,
            };
            if Instant::now() >= until {
                return Err(busy(held_by.as_ref(), settings.lock_timeout));
            }
            if !said {
                cx.progress()
                    .note(&format!("waiting for the lock: {}", phrase(held_by.as_ref())));
                said = true;
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
                ended = cx.ended() => return Err(ended),
            }
        }
    }
}

fn phrase(holder: Option<&LockHolder>) -> String {
    match holder {
        Some(LockHolder {
            who,
            since: Some(since),
        }) => {
            format!("held by {who} since {}", since.format("%Y-%m-%d %H:%M:%S UTC"))
        }
        Some(LockHolder { who, since: None }) => format!("held by {who}"),
        None => "held by somebody this engine cannot name".to_owned(),
    }
}

fn busy(holder: Option<&LockHolder>, waited: Duration) -> Error {
    Error::new(
        ErrorKind::Locked,
        format!("the database is locked: {}", phrase(holder)),
    )
    .retryable()
    .hint(format!(
        "waited {} s; wait longer with `--lock-timeout 5m`",
        waited.as_secs()
    ))
    .hint("the lock goes away by itself when that process ends")
}
