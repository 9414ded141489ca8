//! Taking the lock: one code path, on a session of its own, freed when that session is dropped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use walkback_core::engine::{LockAttempt, LockHolder};
use walkback_core::{Access, Cx, Error, ErrorKind, Result, Session};

use crate::journal::Journal;
use crate::runner::Runner;
use crate::watch::Watch;

/// The name of walkback's lock in a database.
pub(crate) const NAME: &str = "walkback";

/// The name of the lock of the session that runs the statements.
pub(crate) const WORK: &str = "walkback-work";

/// The lock, held as long as this lives.
#[derive(Debug)]
pub(crate) struct Lock {
    // The engine frees the lock with its session, however the process ends.
    watch: Watch,
}

impl Lock {
    /// Takes the lock, waiting up to the timeout of the settings and saying once whom it waits for.
    ///
    /// A run that is part of another has its lock.
    pub(crate) async fn take(runner: &Runner, cx: &Cx, purpose: &str) -> Result<Arc<Self>> {
        if let Some(outer) = runner.outer() {
            return Ok(Arc::clone(&outer.lock));
        }
        let mut session = runner.connect(cx, Access::Write).await?;
        let waiting = Waiting {
            name: NAME,
            purpose,
            since: Instant::now(),
        };
        waiting.take_on(runner, cx, &mut *session).await?;
        let watch = Watch::begin(cx, session, runner.holder(cx, purpose));
        Ok(Arc::new(Self { watch }))
    }

    /// Says that a run was stopped because somebody asked for that.
    pub(crate) fn explain(&self, error: Error) -> Error {
        match self.watch.asked_by() {
            Some(who) if error.kind() == ErrorKind::Interrupted => {
                error.wrap(format!("stopped, as {who} has asked for"))
            }
            _ => error,
        }
    }
}

/// Makes sure that no statement of a run that was killed is still at work: a server goes on with what it has
/// begun, and only then notices that nobody is there any more. The lock is held by the working session itself.
pub(crate) async fn take_work(
    runner: &Runner,
    cx: &Cx,
    purpose: &str,
    session: &mut dyn Session,
) -> Result<()> {
    if !session.capability().statements_outlive_client {
        return Ok(());
    }
    let waiting = Waiting {
        name: WORK,
        purpose,
        since: Instant::now(),
    };
    waiting.take_on(runner, cx, session).await.map_err(|error| match error.kind() {
        ErrorKind::Locked => error.hint(
            "a run was killed, and the server still works on its last statement: wait for it, or let `walkback unlock` end its session",
        ),
        _ => error,
    })
}

impl Runner {
    /// Says who holds a lock of this process.
    pub(crate) fn holder(&self, cx: &Cx, purpose: &str) -> LockHolder {
        LockHolder {
            who: format!("walkback {purpose} by {}", self.settings().actor.phrase()),
            since: Some(cx.now()),
        }
    }
}

/// An attempt to take a lock.
struct Waiting<'a> {
    name: &'static str,
    purpose: &'a str,
    since: Instant,
}

impl Waiting<'_> {
    async fn take_on(&self, runner: &Runner, cx: &Cx, session: &mut dyn Session) -> Result<()> {
        let settings = runner.settings();
        let holder = runner.holder(cx, self.purpose);
        let mut said = false;
        loop {
            let held_by = match session.try_lock(cx, self.name, &holder).await? {
                LockAttempt::Taken => return Ok(()),
                LockAttempt::Held(held_by) => held_by,
            };
            let late = self.since.elapsed() >= settings.lock_timeout;
            if late || !said {
                let held_by = described(runner, cx, session, held_by).await;
                if late {
                    return Err(busy(held_by.as_ref(), settings.lock_timeout));
                }
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

/// Adds what the journal knows of the run under way to what the server knows of the holder's connection.
pub(crate) async fn described(
    runner: &Runner,
    cx: &Cx,
    session: &mut dyn Session,
    held_by: Option<LockHolder>,
) -> Option<LockHolder> {
    if held_by
        .as_ref()
        .is_some_and(|holder| holder.who.starts_with("walkback"))
    {
        return held_by;
    }
    let dialect = runner.dialect();
    let mut journal = Journal::new(session, &*dialect);
    let running = async {
        if journal.exists(cx).await? {
            journal.unfinished_runs(cx).await
        } else {
            Ok(Vec::new())
        }
    };
    let Some(run) = running.await.ok().and_then(|mut runs| runs.pop()) else {
        return held_by;
    };
    let run_by = format!("walkback {} by {}", run.kind, run.actor);
    Some(match held_by {
        Some(holder) => LockHolder {
            who: format!("{run_by}, {}", holder.who),
            since: holder.since,
        },
        None => LockHolder {
            who: run_by,
            since: None,
        },
    })
}

pub(crate) fn phrase(holder: Option<&LockHolder>) -> String {
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
    .hint("`walkback abort` asks that run to stop; its lock goes away by itself when its process ends")
}
