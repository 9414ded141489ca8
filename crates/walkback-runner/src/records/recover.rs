//! A load that was killed: forward from its last batch, or back.

use walkback_core::{Cx, Error, ErrorKind, Result};

use super::read::Seal;
use super::rejects::{self, Rejects};
use crate::changes::OnConflict;
use crate::execute::{Execution, join};
use crate::identity;
use crate::journal::{LoadRow, RunEnd, RunStatus};
use crate::recover::RecoverDirection;

/// A load that was killed, and what can be done about it.
#[derive(Debug, Clone)]
pub(crate) struct LoadRecovery {
    pub(crate) load: LoadRow,
    /// Why it cannot go on, if it cannot.
    forward: std::result::Result<(), String>,
}

impl LoadRecovery {
    /// Looks whether the file is still what the load began with.
    pub(crate) fn of(load: LoadRow) -> Self {
        let seal = Seal {
            bytes: load.file_bytes,
            hash: load.file_hash.clone(),
        };
        let forward = seal
            .check(&load.options.file)
            .and_then(|()| rejects::check_length(&load.options.rejects, load.rejects_bytes))
            .map_err(|error| error.to_string());
        Self { load, forward }
    }

    /// Says what was found.
    pub(crate) fn found(&self) -> String {
        format!(
            "it was loading `{}` into `{}`: {} records are done, {} of them loaded and {} rejected",
            self.load.options.file.display(),
            self.load.table,
            self.load.records,
            self.load.loaded,
            self.load.rejected
        )
    }

    /// Chooses a way: back, unless it is to go forward. Returns why, and what the other way would be.
    pub(crate) fn choose(
        &self,
        wanted: Option<RecoverDirection>,
    ) -> Result<(RecoverDirection, String, String)> {
        let back = "the loaded rows are removed, unless they were changed since".to_owned();
        let forward = format!("the load goes on behind record {}", self.load.records);
        match (wanted, &self.forward) {
            (Some(RecoverDirection::Forward), Ok(())) => Ok((
                RecoverDirection::Forward,
                forward,
                format!("`walkback recover --back`: {back}"),
            )),
            (Some(RecoverDirection::Forward), Err(why)) => Err(Error::new(
                ErrorKind::NeedsRecovery,
                format!("the load into `{}` cannot go on: {why}", self.load.table),
            )
            .hint("put the file back as it was, and run the command again")
            .hint("`walkback recover --back` takes the loaded rows back")),
            (_, Ok(())) => Ok((
                RecoverDirection::Back,
                back,
                format!("`walkback recover --forward`: {forward}"),
            )),
            (_, Err(why)) => Ok((
                RecoverDirection::Back,
                back,
                format!("it cannot go forward: {why}"),
            )),
        }
    }
}

impl Execution<'_> {
    /// Puts a load right that was killed.
    pub(crate) async fn recover_load(
        &mut self,
        cx: &Cx,
        recovery: &LoadRecovery,
        direction: RecoverDirection,
    ) -> Result<()> {
        // It may have gone on since the plan was made.
        let Some(mut load) = self
            .state
            .load
            .take()
            .filter(|load| load.run_id == recovery.load.run_id)
        else {
            return Err(Error::new(
                ErrorKind::CheckFailed,
                "the database is no longer what this plan was made for",
            )
            .hint("run the command again to look anew"));
        };
        let cut = Rejects::cut(&load.options.rejects, load.rejects_bytes);
        match (cut, direction) {
            (Ok(()), _) => {}
            (Err(error), RecoverDirection::Forward) => return Err(error),
            // The rows are what matters.
            (Err(error), RecoverDirection::Back) => self
                .report
                .warnings
                .push(format!("the file of rejected records stays as it is: {error}")),
        }
        let outcome = match direction {
            RecoverDirection::Forward => self.load_on(cx, &mut load).await,
            RecoverDirection::Back => self.load_back(cx, &load).await,
        };
        let status = match (&outcome, direction) {
            (Ok(()), RecoverDirection::Forward) => RunStatus::Done,
            (Err(error), _) if error.kind() == ErrorKind::NeedsRecovery => return outcome,
            (Err(_), RecoverDirection::Back) => return outcome,
            _ => RunStatus::Undone,
        };
        let to = join(&self.state.heads(&self.state.applied_set()));
        let detail = format!("it was killed; run `{}` put it right", self.run.id);
        let at = identity::moment(cx.now());
        let by = self.runner.author();
        let end = RunEnd {
            id: &load.run_id,
            status,
            to: &to,
            detail: &detail,
            lost: None,
            at: &at,
        };
        self.journal().finish_run_alone(&cx.shielded(), &by, end).await?;
        cx.step("run.closed");
        self.state.unfinished.retain(|run| run.id != load.run_id);
        outcome
    }

    async fn load_on(&mut self, cx: &Cx, load: &mut LoadRow) -> Result<()> {
        let outcome = Box::pin(self.load_records(cx, load, None)).await;
        if let Err(error) = outcome {
            return Err(Box::pin(self.give_up(cx, load, error)).await);
        }
        self.report.notes.push(format!(
            "the load into `{}` has gone on, and is complete: {} records loaded, {} rejected; take it back with `walkback rollback {}`",
            load.table, load.loaded, load.rejected, load.point
        ));
        Ok(())
    }

    async fn load_back(&mut self, cx: &Cx, load: &LoadRow) -> Result<()> {
        let found = self
            .undo_load(cx, load, (OnConflict::Keep, 0))
            .await
            .map_err(|error| error.with_kind(ErrorKind::NeedsRecovery))?;
        self.report.notes.push(format!(
            "the load into `{}` is undone: {} rows removed",
            load.table, found.removed
        ));
        Rejects::remove_empty(&load.options.rejects);
        if found.conflicts > 0 {
            self.report.warnings.push(format!(
                "{} rows of it stay; decide what becomes of them, then `walkback rollback {}`",
                found.conflicts, load.point
            ));
            self.report.changes.push(found);
        }
        Ok(())
    }
}
