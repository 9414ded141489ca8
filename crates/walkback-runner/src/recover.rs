//! Recovering: a run was killed in the middle of a migration that could not be one transaction.

use std::collections::BTreeSet;

use serde::Serialize;
use walkback_core::Access;
use walkback_core::{Cx, Error, ErrorKind, MigrationId, Result};

use crate::execute::{ByJournal, Execution, has_ways_back};
use crate::gate;
use crate::journal::{Journal, StatementState};
use crate::plan::RunKind;
use crate::report::RunReport;
use crate::runner::Runner;
use crate::settings::Consent;

/// Which way a half-done migration goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RecoverDirection {
    /// To what was there before it.
    Back,
}

/// What was found, and what would be done.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RecoverPlan {
    /// The run that never ended.
    pub run: String,
    /// What was found, a line each.
    pub found: Vec<String>,
    /// Which way.
    pub direction: RecoverDirection,
    /// Why.
    pub reason: String,
    /// Whether a migration is half-done; otherwise only the row of the run is closed.
    pub half_done: bool,
    /// The point that is restored, if the journal alone cannot put it right.
    pub point: Option<String>,
    #[serde(skip)]
    migration: Option<MigrationId>,
}

impl Runner {
    /// Looks for a run that never ended, and plans to put it right. `None`: there is none. Nothing is written.
    ///
    /// # Errors
    /// `NeedsRecovery` if a migration is half-done and no point was made before it.
    pub async fn plan_recover(&self, cx: &Cx) -> Result<Option<RecoverPlan>> {
        let mut session = self.connect(cx, Access::Read).await?;
        let state = self.load(cx, &mut *session).await?;
        let Some(run) = state.unfinished.last() else {
            return Ok(None);
        };
        let mut found = vec![format!(
            "run `{}` ({}) by {} never ended",
            run.id, run.kind, run.actor
        )];
        let Some(first) = state.half_done.first() else {
            found.push("every migration it ran is complete, and nothing is half-done".to_owned());
            let reason = "only its row in the journal is open".to_owned();
            let (run, direction) = (run.id.clone(), RecoverDirection::Back);
            return Ok(Some(RecoverPlan {
                run,
                found,
                direction,
                reason,
                half_done: false,
                point: None,
                migration: None,
            }));
        };
        found.push(format!(
            "it was in the middle of `{}` ({}), outside a transaction",
            first.migration, first.direction
        ));
        for statement in &state.half_done {
            let how = match statement.state {
                StatementState::Done => "done",
                StatementState::Intent => "begun; it may have happened",
            };
            found.push(format!(
                "{}: {} ({how})",
                statement.place,
                crate::execute::excerpt(&statement.statement)
            ));
        }
        let dialect = self.dialect();
        let mut journal = Journal::new(&mut *session, &*dialect);
        let undo = journal.undo_of(cx, &first.run_id).await?;
        let by_journal = has_ways_back(&state.half_done, &undo);
        let points = journal.points_of(cx, &first.run_id).await?;
        let mut right = None;
        for point in points.iter().rev() {
            // The point before an earlier migration of the run holds a state that is no longer the right one.
            let is_right = point.kind == "safety" || {
                let manifest = self.needed_vault()?.open(cx, &point.id).await?;
                let applied: BTreeSet<_> = manifest.ledger.applied.iter().map(MigrationId::new).collect();
                applied == state.applied_set()
            };
            if is_right && (point.kind == "safety") == (first.direction != "up") {
                right = Some(point);
                break;
            }
        }
        if by_journal {
            return Ok(Some(RecoverPlan {
                run: first.run_id.clone(),
                found,
                direction: RecoverDirection::Back,
                reason: "the journal knows what takes each of its statements back without losing anything"
                    .to_owned(),
                half_done: true,
                point: right.map(|point| point.id.clone()),
                migration: Some(MigrationId::new(first.migration.clone())),
            }));
        }
        let Some(point) = right else {
            return Err(Error::new(
                ErrorKind::NeedsRecovery,
                format!("migration `{}` is half-done, and no point was made before it: {}", first.migration, found.join("; ")),
            )
            .hint("restore a backup with `walkback restore <BACKUP>`; `walkback backup list` shows what there is")
            .hint("or put the database right by hand, then `walkback stamp <TARGET>`"));
        };
        Ok(Some(RecoverPlan {
            run: first.run_id.clone(),
            found,
            direction: RecoverDirection::Back,
            reason: format!("point `{}` holds what was there before", point.id),
            half_done: true,
            point: Some(point.id.clone()),
            migration: Some(MigrationId::new(first.migration.clone())),
        }))
    }

    /// Puts an unfinished run right as planned.
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub async fn run_recover(&self, cx: &Cx, plan: &RecoverPlan, consent: &Consent) -> Result<RunReport> {
        gate::ticket(self.settings(), consent)?;
        let mut execution = Execution::begin(self, cx, RunKind::Recover, consent, &[]).await?;
        let heads = execution.state.heads(&execution.state.applied_set());
        execution.record(cx, &heads, &heads).await?;
        let outcome = execution.recover(cx, plan).await;
        execution.conclude(cx, outcome).await
    }
}

impl Execution<'_> {
    async fn recover(&mut self, cx: &Cx, plan: &RecoverPlan) -> Result<()> {
        let half_done = self
            .state
            .half_done
            .first()
            .map(|statement| MigrationId::new(&statement.migration));
        if half_done != plan.migration {
            return Err(Error::new(
                ErrorKind::CheckFailed,
                "the database is no longer what this plan was made for",
            )
            .hint("the run has gone on meanwhile; run the command again to look anew"));
        }
        if let Some(migration) = &plan.migration {
            let how = self
                .undo_or_restore(cx, plan.point.as_deref(), &plan.run, migration)
                .await?;
            cx.step("recover.restored");
            self.report
                .warnings
                .push(format!("`{migration}` is undone {how}"));
        }
        self.clear_after_kill(cx).await;
        let unfinished = std::mem::take(&mut self.state.unfinished);
        for run in &unfinished {
            self.close_run(cx, run).await?;
        }
        Ok(())
    }

    /// Takes a half-done script back by the journal, else from its point, and says how.
    async fn undo_or_restore(
        &mut self,
        cx: &Cx,
        point: Option<&str>,
        run: &str,
        migration: &MigrationId,
    ) -> Result<String> {
        let (only, why) = match self.undo_by_journal(cx, run, migration, point.is_some()).await? {
            ByJournal::Undone => return Ok("statement by statement".to_owned()),
            ByJournal::Rows(tables) => (Some(tables), String::new()),
            ByJournal::Impossible(why) => (None, why),
        };
        let Some(point) = point else {
            return Err(Error::new(
                ErrorKind::NeedsRecovery,
                format!("migration `{migration}` cannot be taken back by the journal: {why}"),
            )
            .hint("restore a backup with `walkback restore <BACKUP>`; `walkback backup list` shows what there is")
            .hint("or put the database right by hand, then `walkback stamp <TARGET>`"));
        };
        self.restore_half_done(cx, point, run, migration, only).await?;
        Ok(format!("from point `{point}`"))
    }
}
