//! A scope in code: a point, a service's own work in a transaction, and the way back by itself if that fails.
//!
//! The end of the run is written in the transaction of the work. So a scope whose process was killed has either happened
//! with its record, or nothing of it has. Where definitions end a transaction, a mark in the same transaction tells: it is
//! in the journal exactly if something of the scope was committed before its end.

mod allow;
mod guard;
mod recover;
mod session;
mod work;

use std::any::Any;
use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use futures::FutureExt as _;
use serde::Serialize;
use walkback_core::{Cx, Error, ErrorKind, Result};

use crate::execute::Execution;
use crate::gate;
use crate::plan::RunKind;
use crate::runner::Runner;
use crate::settings::{Consent, Decision};
use guard::Guard;

pub(crate) use recover::ScopeRecovery;
pub use session::ScopeSession;
pub(crate) use work::SCOPE;

/// How far a scope is.
#[derive(Debug, Clone, Default)]
struct Stage(Arc<AtomicU8>);

impl Stage {
    const NEW: u8 = 0;
    const BEGUN: u8 = 1;
    const FINISHED: u8 = 2;

    fn finish(&self) {
        self.0.store(Self::FINISHED, Ordering::SeqCst);
    }

    fn begin(&self) -> Result<()> {
        let begun = self
            .0
            .compare_exchange(Self::NEW, Self::BEGUN, Ordering::SeqCst, Ordering::SeqCst);
        begun.map(drop).map_err(|_| {
            Error::new(ErrorKind::Usage, "this scope has been run already")
                .hint("each run is a scope of its own: make another with `manager.transaction(..)`")
        })
    }
}

/// A data migration as a scope in code.
///
/// [`run`](Self::run) makes a rollback point in the vault, notes in the journal that the scope is under way, and hands a
/// [`ScopeSession`] within one database transaction to the work. What becomes of it:
///
/// | the work | the database | the journal |
/// |---|---|---|
/// | returns `Ok` | the transaction is committed | the run is `done`, in the same transaction |
/// | returns `Err`, panics, or is cancelled | as it was before | the run is `undone` |
/// | its future is dropped | the transaction is rolled back | the run is `undone`, a moment later |
/// | its process is killed | the transaction is rolled back | the next command ends the run |
///
/// On MySQL and MariaDB a definition commits what came before it. A scope that fails after one goes back to its point,
/// with what is there then kept in another; one that was killed or dropped after one makes every other command stop with
/// exit code 4, until `walkback recover` has taken it back to the point, or with `--forward` has left what is committed.
#[derive(Debug)]
pub struct MigrationTransaction {
    runner: Runner,
    cx: Cx,
    consent: Consent,
    name: String,
    tables: Vec<String>,
    stage: Stage,
}

/// What a scope that was committed has done.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Committed<T> {
    /// What the work returned.
    pub value: T,
    /// The run, as the journal knows it.
    pub run: String,
    /// The point before it, by which it can be walked back. `None`: the environment has no store.
    pub point: Option<String>,
    /// Whether walking it back takes back what it changed and keeps what was written since. Otherwise its tables go back
    /// to the point as a whole, and what that loses is counted first.
    pub is_surgical: bool,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// How the work came out.
enum Ended<T, E> {
    Value(T),
    Failed(E),
    Panicked(Box<dyn Any + Send>),
    Stopped(Error),
}

impl MigrationTransaction {
    pub(crate) fn new(runner: Runner, cx: Cx, consent: Consent, name: String) -> Self {
        Self {
            runner,
            cx,
            consent,
            name,
            tables: Vec::new(),
            stage: Stage::default(),
        }
    }

    /// Names the tables whose rows it changes. Without this its point holds all of them. What it changes elsewhere is refused.
    #[must_use]
    pub fn tables<S: Into<String>>(mut self, tables: impl IntoIterator<Item = S>) -> Self {
        self.tables = tables.into_iter().map(Into::into).collect();
        self
    }

    /// Says why, for the audit.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.consent.reason = Some(reason.into());
        self
    }

    /// Names the ticket, for the audit and for an environment that wants one.
    #[must_use]
    pub fn ticket(mut self, ticket: impl Into<String>) -> Self {
        self.consent.ticket = Some(ticket.into());
        self
    }

    /// Returns whether it is at its end: committed or taken back, and the journal says so.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.stage.0.load(Ordering::SeqCst) == Stage::FINISHED
    }

    /// Runs the work in the scope. It must use the session it is given: what it does by other connections is no part of
    /// the scope, and may have to wait for it.
    ///
    /// # Errors
    /// The error of the work, after everything is as it was before. `Locked` if a run or another scope is under way,
    /// `NeedsRecovery` if one was left half-done, or if this one could not be taken back. `Refused` by the policy.
    ///
    /// # Panics
    /// Goes on with a panic of the work, after everything is as it was before.
    pub async fn run<T, F, Fut>(&self, work: F) -> Result<Committed<T>>
    where
        F: FnOnce(ScopeSession) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        self.run_as(work).await
    }

    /// As [`run`](Self::run), for work with errors of its own.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub async fn run_as<T, E, F, Fut>(&self, work: F) -> Result<Committed<T>, E>
    where
        E: From<Error> + Display,
        F: FnOnce(ScopeSession) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.stage.begin()?;
        let begun = Box::pin(self.begin()).await;
        let (mut execution, cx, handle, guard) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                self.stage.finish();
                return Err(error.into());
            }
        };
        let ended = self.work(&cx, work, &handle).await;
        execution.take_session_back(&cx, &handle).await;
        let settled = Box::pin(self.settle(execution, &cx, &handle, ended)).await;
        if !matches!(&settled, Err(Unsettled::HalfDone(_) | Unsettled::Panic(_, true))) {
            self.stage.finish();
        }
        guard.disarm();
        match settled {
            Ok(committed) => Ok(committed),
            Err(Unsettled::HalfDone(error) | Unsettled::Back(error)) => Err(error.into()),
            Err(Unsettled::Own(error)) => Err(error),
            Err(Unsettled::Panic(payload, _)) => std::panic::resume_unwind(payload),
        }
    }

    /// Takes the lock, makes the point, and begins the transaction. An error has ended the run.
    async fn begin(&self) -> Result<(Execution<'_>, Cx, ScopeSession, Guard)> {
        let admitted = gate::scope(self.runner.settings(), &self.cx, &self.consent);
        let kind = RunKind::Scope.name();
        Box::pin(
            self.runner
                .noting_refusal(&self.cx, kind, &self.consent, admitted),
        )
        .await?;
        let begun = Execution::begin(&self.runner, &self.cx, RunKind::Scope, &self.consent, &[]).await;
        let (mut execution, cx) = begun?;
        let scope = self.runner.scope_of(&self.cx, &self.tables).await?;
        execution.record_scope(&cx).await?;
        let guard = Guard::new(&self.runner, &cx, &execution.run, self.stage.clone());
        let settings = self.runner.settings();
        let is_refused = settings.policy.destructive == Decision::Refuse && !self.consent.destructive;
        let spared = is_refused.then(|| settings.environment.clone());
        match execution.open_scope(&cx, &self.name, &scope, spared).await {
            Ok(handle) => {
                guard.watch(&handle);
                Ok((execution, cx, handle, guard))
            }
            Err(error) => {
                // Its transaction may have begun, and the end of the run must not be written in that.
                execution.session.rollback(&cx.shielded()).await.ok();
                let ended = Box::pin(execution.conclude(&cx, Err(error))).await;
                guard.disarm();
                ended.and(Err(Error::internal("a scope that has not begun ended well")))
            }
        }
    }

    async fn work<T, E, F, Fut>(&self, cx: &Cx, work: F, handle: &ScopeSession) -> Ended<T, E>
    where
        F: FnOnce(ScopeSession) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let own = handle.clone();
        let work = AssertUnwindSafe(async move { work(own).await }).catch_unwind();
        let stopped = async {
            let error = cx.ended().await;
            // A statement under way is interrupted, and answers; the work then ends by itself or here.
            handle.idle().await;
            error
        };
        let ended = tokio::select! {
            biased;
            ended = work => match ended {
                Ok(Ok(value)) => Ended::Value(value),
                Ok(Err(error)) => Ended::Failed(error),
                Err(payload) => Ended::Panicked(payload),
            },
            error = stopped => Ended::Stopped(error),
        };
        match (ended, handle.fault()) {
            (Ended::Value(_), Some(error)) => Ended::Stopped(error),
            (ended, _) => ended,
        }
    }

    /// Commits, or takes back, and ends the run.
    async fn settle<T, E: Display>(
        &self,
        mut execution: Execution<'_>,
        cx: &Cx,
        handle: &ScopeSession,
        ended: Ended<T, E>,
    ) -> Result<Committed<T>, Unsettled<E>> {
        let mut done = None;
        let (error, own) = match ended {
            Ended::Value(value) => {
                let is_surgical = execution.keep_scope(cx, handle).await;
                let kept = is_surgical.as_ref().is_ok_and(|kept| *kept);
                let ended = match is_surgical {
                    Ok(_) => execution.commit_scope(cx, handle).await,
                    Err(error) => Err(error),
                };
                match ended {
                    Ok(()) => return Ok(committed(execution, cx, handle, value, kept).await),
                    Err(error) => {
                        done = Some((value, kept));
                        (error, None)
                    }
                }
            }
            Ended::Stopped(error) => (error, None),
            Ended::Failed(own) => (Error::new(ErrorKind::Database, own.to_string()), Some(Ok(own))),
            Ended::Panicked(payload) => {
                let words = format!("the work of the scope panicked: {}", words_of(&*payload));
                (Error::new(ErrorKind::Database, words), Some(Err(payload)))
            }
        };
        let error = match (execution.take_scope_back(cx, handle, error).await, done) {
            (None, Some((value, kept))) => return Ok(committed(execution, cx, handle, value, kept).await),
            (error, _) => {
                error.unwrap_or_else(|| Error::internal("the journal says that the scope is committed"))
            }
        };
        let error = match execution.conclude(cx, Err(error)).await {
            Err(error) => error,
            Ok(_) => Error::internal("a scope that was taken back ended well"),
        };
        Err(Unsettled::of(error, own))
    }
}

/// Why a scope was not committed.
enum Unsettled<E> {
    /// It could not be taken back.
    HalfDone(Error),
    /// It is taken back, for an error of ours.
    Back(Error),
    /// It is taken back, for an error of the work.
    Own(E),
    /// For a panic of the work. With `true` it could not be taken back.
    Panic(Box<dyn Any + Send>, bool),
}

impl<E> Unsettled<E> {
    fn of(error: Error, own: Option<Result<E, Box<dyn Any + Send>>>) -> Self {
        let is_half_done = error.kind() == ErrorKind::NeedsRecovery;
        match (is_half_done, own) {
            (_, Some(Err(payload))) => {
                tracing::error!(%error, "a scope ended with a panic");
                Self::Panic(payload, is_half_done)
            }
            (true, _) => Self::HalfDone(error),
            (false, Some(Ok(own))) => Self::Own(own),
            (false, None) => Self::Back(error),
        }
    }
}

/// Ends the run of a scope that is committed: nothing that fails now takes it back.
async fn committed<T>(
    execution: Execution<'_>,
    cx: &Cx,
    handle: &ScopeSession,
    value: T,
    is_surgical: bool,
) -> Committed<T> {
    let run = execution.run.id.clone();
    let point = handle.point().map(str::to_owned);
    let warnings = match execution.conclude(cx, Ok(())).await {
        Ok(report) => [report.warnings, report.failed_after].concat(),
        Err(error) => vec![format!(
            "it is committed, and what comes after that failed: {error}"
        )],
    };
    Committed {
        value,
        run,
        point,
        is_surgical,
        warnings,
    }
}

/// Returns what a panic says.
fn words_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no words")
}
