//! Stopping a run from somewhere else: asking it to stop, and ending its sessions where it cannot hear.

use std::time::{Duration, Instant};

use serde::Serialize;
use walkback_core::engine::{HolderSession, LockAttempt, LockHolder};
use walkback_core::{Access, Cx, Error, ErrorKind, Result, Session};

use crate::gate;
use crate::journal::{Journal, RunRecord, RunStatus};
use crate::lock::{Lock, NAME, WORK, described, phrase};
use crate::runner::Runner;
use crate::settings::Consent;
use crate::state::State;
use crate::watch::ABORT;

/// How often it is asked whether the run has stopped.
const AGAIN: Duration = Duration::from_millis(100);

/// A run that was not heard of for so long is gone, or as good as that: it gives a sign of life each second.
const SILENCE: Duration = Duration::from_secs(10);

/// A run that was asked to stop, and has.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct AbortReport {
    /// Who ran it, in words.
    pub holder: String,
    /// The run, if it had changed something or was about to.
    pub run: Option<String>,
    /// How it ended; nothing if it left no trace, or still needs to be recovered.
    pub outcome: Option<RunStatus>,
    /// What the journal says of its end.
    pub detail: Option<String>,
    /// Whether it left something half-done.
    pub needs_recovery: bool,
}

/// A lock whose holder was not heard of, and what it held.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct UnlockPlan {
    /// The sessions at the server that hold the lock of the run, and that of its work.
    pub sessions: Vec<SilentSession>,
}

/// A session of a run at the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SilentSession {
    /// Which lock it holds.
    pub lock: &'static str,
    /// The number the server has for it.
    pub session: String,
    /// Who it is, in words.
    pub who: String,
    /// For how many seconds nothing was heard of it.
    pub silent_for_s: u64,
    /// The statement that it runs.
    pub runs: Option<String>,
}

impl Runner {
    /// Asks the run that holds the lock to stop, and waits until it has: it cancels its statement at the server, undoes what
    /// was begun, and ends. `None`: no run holds the lock.
    ///
    /// # Errors
    /// `Locked` if it has not stopped within `patience`.
    pub async fn abort(&self, cx: &Cx, patience: Duration) -> Result<Option<AbortReport>> {
        let mut session = self.connect(cx, Access::Write).await?;
        let me = self.holder(cx, "abort");
        let Some(held_by) = self.try_name(cx, &mut *session, &me).await? else {
            return Ok(None);
        };
        let identity = self.identity(cx, held_by.clone()).await?;
        let held_by = described(self, cx, &mut *session, held_by).await;
        let run = self.running(cx, &mut *session).await?;
        let until = Instant::now() + patience;
        // Held as long as this waits: the run looks for it each second.
        while session.try_lock(cx, ABORT, &me).await? != LockAttempt::Taken {
            pause(cx, until, held_by.as_ref()).await?;
        }
        cx.progress().note(&format!(
            "asked it to stop; the lock is {}",
            phrase(held_by.as_ref())
        ));
        while let Some(holder) = self.try_name(cx, &mut *session, &me).await? {
            // Another run that has waited for the lock may have it by now, and nobody asks that to stop.
            if self.identity(cx, holder).await? != identity {
                break;
            }
            pause(cx, until, held_by.as_ref()).await?;
        }
        let ended = self.end_of(cx, &mut *session, run.as_ref()).await?;
        drop(session);
        let whom = run
            .as_ref()
            .map_or("a run that had changed nothing".to_owned(), |run| {
                format!("run `{}`", run.id)
            });
        let how = ended.as_ref().map_or("it has no end yet".to_owned(), |run| {
            format!("it ended as `{}`", run.status.word())
        });
        let detail = format!("asked {whom} to stop; {how}");
        self.note_in_audit(cx, "abort", &Consent::default(), &detail)
            .await;
        // The next run may have the lock already; the one that was asked has stopped all the same.
        let needs_recovery = self.state(cx).await.is_ok_and(|state| state.needs_recovery());
        Ok(Some(AbortReport {
            holder: held_by.map_or_else(|| "somebody".to_owned(), |holder| holder.who),
            run: run.map(|run| run.id),
            outcome: ended.as_ref().map(|run| run.status),
            detail: ended.and_then(|run| run.detail),
            needs_recovery,
        }))
    }

    /// Looks for a run that holds the lock and was not heard of. `None`: nobody holds the lock. Nothing is changed.
    ///
    /// # Errors
    /// `Locked` if the run that holds it gave a sign of life, `Unsupported` where the operating system keeps the lock.
    pub async fn plan_unlock(&self, cx: &Cx) -> Result<Option<UnlockPlan>> {
        let mut sessions = Vec::new();
        for lock in [NAME, WORK] {
            sessions.extend(self.silent(cx, lock).await?);
        }
        match sessions.iter().find(|held| held.silent_for_s < SILENCE.as_secs()) {
            // The session of the work is silent while its statement runs.
            Some(alive) if alive.lock == NAME => Err(Error::new(
                ErrorKind::Locked,
                format!(
                    "the run that holds the lock is alive: it gave a sign of life {} s ago ({})",
                    alive.silent_for_s, alive.who
                ),
            )
            .hint("`walkback abort` asks it to stop, and waits until what it has begun is undone")
            .hint(format!(
                "a run that is gone can be unlocked {} s after its last sign of life",
                SILENCE.as_secs()
            ))),
            _ if sessions.is_empty() => Ok(None),
            _ => Ok(Some(UnlockPlan { sessions })),
        }
    }

    /// Ends the sessions of a run that is gone, so that its lock is free. What they had not committed is rolled back.
    ///
    /// # Errors
    /// As [`Runner::plan_unlock`], if the run has been heard of meanwhile; `Refused` by the policy; `PermissionDenied` if the user of the connection may
    /// not end them.
    pub async fn unlock(&self, cx: &Cx, plan: &UnlockPlan, consent: &Consent) -> Result<UnlockPlan> {
        let admitted = gate::change(self.settings(), consent);
        self.noting_refusal(cx, "unlock", consent, admitted).await?;
        let named: Vec<_> = plan.sessions.iter().map(|held| held.who.clone()).collect();
        let detail = format!("ends the sessions of a run that is gone: {}", named.join("; "));
        self.note_in_audit(cx, "unlock", consent, &detail).await;
        let mut ended = Vec::new();
        for planned in plan.sessions.iter().filter(|planned| planned.lock == NAME) {
            // Whoever holds it now has to be the same, and silent still.
            let now = self.plan_unlock(cx).await?.map(|plan| plan.sessions);
            let is_same = |found: &&SilentSession| found.lock == NAME && found.session == planned.session;
            if let Some(found) = now.iter().flatten().find(is_same) {
                self.control_of_locks()?.end_session(cx, &found.session).await?;
                ended.push(found.clone());
            }
        }
        // Who holds the lock from here on is this process, and what works without it has lost its run.
        let _lock = Lock::take(self, cx, "unlock").await?;
        if let Some(working) = self.silent(cx, WORK).await? {
            self.control_of_locks()?.end_session(cx, &working.session).await?;
            ended.push(working);
        }
        // While something is half-done applications stay kept from writing: `recover` lets them, once it is right.
        let mut session = self.connect(cx, Access::Read).await?;
        let state = State::load(self, cx, &mut *session).await;
        drop(session);
        let is_half_done = state.as_ref().map_or(true, State::needs_recovery);
        if let Err(error) = &state {
            cx.progress().warn(&format!(
                "whether something is half-done cannot be read: {error}; if applications are kept from writing, \
                 `walkback maintenance off` lets them"
            ));
        }
        if !is_half_done
            && let Some(notice) = self.release_after_kill(cx, None).await?.and_then(|it| it.notice)
        {
            cx.progress().warn(&notice);
        }
        Ok(UnlockPlan { sessions: ended })
    }

    async fn silent(&self, cx: &Cx, lock: &'static str) -> Result<Option<SilentSession>> {
        let found = self.control_of_locks()?.lock_session(cx, lock).await?;
        Ok(found.map(|found| {
            let HolderSession {
                id,
                who,
                silent_for,
                runs,
                ..
            } = found;
            SilentSession {
                lock,
                session: id,
                who,
                silent_for_s: silent_for.as_secs(),
                runs,
            }
        }))
    }

    fn control_of_locks(&self) -> Result<&dyn walkback_core::engine::Control> {
        self.engine().control().ok_or_else(|| {
            Error::unsupported("to free a lock of somebody else", self.engine().info().scheme)
                .hint("the operating system frees it when the process that holds it ends: `walkback abort` asks it to")
                .hint("if it does not stop, `kill` that process, then `walkback recover`")
        })
    }

    /// Tries the lock of runs and frees it at once. Returns who holds it, if somebody does.
    async fn try_name(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        me: &LockHolder,
    ) -> Result<Option<Option<LockHolder>>> {
        match session.try_lock(cx, NAME, me).await? {
            LockAttempt::Held(by) => Ok(Some(by)),
            LockAttempt::Taken => {
                session.unlock(cx, NAME).await?;
                Ok(None)
            }
        }
    }

    /// Returns what tells one holder of the lock from the next: the number of its session, or what it says of itself.
    async fn identity(&self, cx: &Cx, holder: Option<LockHolder>) -> Result<Option<String>> {
        match self.engine().control() {
            Some(control) => Ok(control.lock_session(cx, NAME).await?.map(|session| session.id)),
            None => Ok(holder.map(|holder| format!("{} {:?}", holder.who, holder.since))),
        }
    }

    /// Returns the run under way, as far as the journal knows it.
    async fn running(&self, cx: &Cx, session: &mut dyn Session) -> Result<Option<RunRecord>> {
        let dialect = self.dialect();
        let mut journal = Journal::new(session, &*dialect);
        let unfinished = async {
            match journal.exists(cx).await? {
                true => journal.unfinished_runs(cx).await,
                false => Ok(Vec::new()),
            }
        };
        match unfinished.await {
            // It writes to the file at this moment.
            Err(error) if error.kind() == ErrorKind::Locked => Ok(None),
            runs => Ok(runs?.pop()),
        }
    }

    /// Returns the row of a run, once it has ended.
    async fn end_of(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        run: Option<&RunRecord>,
    ) -> Result<Option<RunRecord>> {
        let Some(run) = run else { return Ok(None) };
        let dialect = self.dialect();
        let runs = Journal::new(session, &*dialect).runs(cx, None).await?;
        let mut ended = runs.into_iter().filter(|row| row.status != RunStatus::Running);
        Ok(ended.find(|row| row.id == run.id))
    }
}

/// Waits a moment, or says that the run has not stopped in time.
async fn pause(cx: &Cx, until: Instant, held_by: Option<&LockHolder>) -> Result<()> {
    if Instant::now() >= until {
        return Err(Error::new(
            ErrorKind::Locked,
            format!("the run has not stopped in time; the lock is {}", phrase(held_by)),
        )
        .hint("it may still be undoing what it had begun: wait longer with `--wait 10m`")
        .hint("if its process is gone or hangs, `walkback unlock` ends its sessions at the server"));
    }
    tokio::select! {
        () = tokio::time::sleep(AGAIN) => Ok(()),
        ended = cx.ended() => Err(ended),
    }
}
