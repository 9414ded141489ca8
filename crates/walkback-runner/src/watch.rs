//! What a run does beside its work: it gives a sign of life, and asks whether somebody wants it to stop.
//!
//! Both are one statement a second on the session that holds the lock. Who wants the run to stop holds a second lock as
//! long as it waits for that; the server says when the session of the lock was last heard of.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use walkback_core::engine::{LockAttempt, LockHolder};
use walkback_core::{Cx, Result, Session};

/// The name of the lock that asks a run to stop.
pub(crate) const ABORT: &str = "walkback-abort";

/// How often a run gives a sign of life.
const SIGN: Duration = Duration::from_secs(1);

/// How often it is asked again who wants the run to stop, where that is not said, and after how long.
const NAMELESS: u32 = 5;
const MOMENT: Duration = Duration::from_millis(100);

/// A session that holds a lock, and is heard of until this is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    session: Arc<Mutex<Option<Box<dyn Session>>>>,
    task: JoinHandle<()>,
    asked_by: Arc<OnceLock<String>>,
}

impl Watch {
    /// Watches for the end of `cx`'s run: it is cancelled if somebody asks for that.
    pub(crate) fn begin(cx: &Cx, session: Box<dyn Session>, holder: LockHolder) -> Self {
        let session = Arc::new(Mutex::new(Some(session)));
        let asked_by = Arc::new(OnceLock::new());
        let task = tokio::spawn({
            let (cx, session, asked_by) = (cx.clone(), Arc::clone(&session), Arc::clone(&asked_by));
            async move {
                loop {
                    tokio::time::sleep(SIGN).await;
                    match asks(&cx, &session, &holder).await {
                        Ok(Some(who)) => {
                            if asked_by.set(who.clone()).is_ok() {
                                cx.progress()
                                    .warn(&format!("{who} asks this run to stop; what was begun is undone"));
                            }
                            cx.canceller().cancel();
                        }
                        Ok(None) => {}
                        Err(error) => tracing::warn!(%error, "the session of the lock does not answer"),
                    }
                }
            }
        });
        Self {
            session,
            task,
            asked_by,
        }
    }

    /// Returns who has asked the run to stop.
    pub(crate) fn asked_by(&self) -> Option<&str> {
        self.asked_by.get().map(String::as_str)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
        // The lock is free with its session. If that is in the middle of a question, it ends with the task.
        if let Ok(mut session) = self.session.try_lock() {
            session.take();
        }
    }
}

/// Returns who wants the run to stop.
async fn asks(
    cx: &Cx,
    session: &Mutex<Option<Box<dyn Session>>>,
    holder: &LockHolder,
) -> Result<Option<String>> {
    // A run that is being undone still lives.
    let cx = &cx.shielded();
    let mut session = session.lock().await;
    let Some(session) = session.as_mut() else {
        return Ok(None);
    };
    for _ in 0..NAMELESS {
        match session.try_lock(cx, ABORT, holder).await? {
            LockAttempt::Taken => {
                session.unlock(cx, ABORT).await?;
                return Ok(None);
            }
            LockAttempt::Held(Some(by)) => return Ok(Some(by.who)),
            // Whoever has taken it at this moment writes next to it who that is.
            LockAttempt::Held(None) => tokio::time::sleep(MOMENT).await,
        }
    }
    Ok(Some("somebody".to_owned()))
}
