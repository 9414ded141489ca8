//! What ends the row of a scope whose future was dropped.

use std::sync::{Mutex, PoisonError};

use walkback_core::{Access, Cx, Error, Result};

use super::Stage;
use super::session::ScopeSession;
use crate::identity;
use crate::journal::{Journal, RunEnd, RunRecord, RunStatus};
use crate::runner::Runner;

/// Ends the row of a run, unless it is disarmed before it is dropped.
///
/// Nothing may be awaited in a drop, and nothing waited for: the session that is dropped with the future may need the
/// thread it is dropped on. So a thread and a connection of their own do it. If the program ends before they have,
/// the next command does it, as after a kill.
#[derive(Debug)]
pub(super) struct Guard {
    end: Option<End>,
    handle: Mutex<Option<ScopeSession>>,
}

#[derive(Debug)]
struct End {
    runner: Runner,
    cx: Cx,
    run: String,
    /// What was applied when it began, and is now.
    heads: String,
    stage: Stage,
}

impl Guard {
    pub(super) fn new(runner: &Runner, cx: &Cx, run: &RunRecord, stage: Stage) -> Self {
        Self {
            end: Some(End {
                runner: runner.clone(),
                cx: cx.shielded(),
                run: run.id.clone(),
                heads: run.from.clone(),
                stage,
            }),
            handle: Mutex::new(None),
        }
    }

    /// Looks at a session: if it may have committed something, the row stays as it is, and `recover` ends it.
    pub(super) fn watch(&self, handle: &ScopeSession) {
        *self.handle.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle.clone());
    }

    pub(super) fn disarm(mut self) {
        self.end = None;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let handle = self
            .handle
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(end) = self.end.take() else { return };
        if let Some(handle) = &handle {
            // Before it is looked at: whoever still has a clone of it goes on otherwise.
            handle.abandon();
        }
        if handle.is_some_and(|handle| handle.may_have_committed()) {
            tracing::warn!(
                run = end.run,
                "a scope was dropped half-way; `walkback recover` puts it right"
            );
            return;
        }
        let ended = std::thread::Builder::new()
            .name("walkback-scope".to_owned())
            .spawn(move || {
                if let Err(error) = end.write() {
                    tracing::warn!(%error, run = end.run, "the next command ends the row of a scope that was dropped");
                }
            });
        if let Err(error) = ended {
            tracing::warn!(%error, "the next command ends the row of a scope that was dropped");
        }
    }
}

impl End {
    fn write(&self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::internal("no runtime").with_source(error))?;
        runtime.block_on(async {
            let mut session = self.runner.connect(&self.cx, Access::Write).await?;
            let dialect = self.runner.dialect();
            let at = identity::moment(self.cx.now());
            let end = RunEnd {
                id: &self.run,
                status: RunStatus::Undone,
                to: &self.heads,
                detail: "its future was dropped; the database has rolled back what it did",
                lost: None,
                at: &at,
            };
            Journal::new(&mut *session, &*dialect)
                .finish_run_alone(&self.cx, &self.runner.author(), end)
                .await
        })?;
        self.stage.finish();
        Ok(())
    }
}
