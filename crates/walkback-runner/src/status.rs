//! The status of a database: what is applied, what is pending, what is not as it should be.

use std::path::PathBuf;

use serde::Serialize;
use walkback_core::catalog::Schema;
use walkback_core::{Access, Cx, MigrationId, Result};

use crate::changes::Waiting;
use crate::execute::join;
use crate::journal::{Journal, RunRecord};
use crate::killed::{KilledRollback, remembered};
use crate::plan::Planner;
use crate::report::Named;
use crate::runner::Runner;
use crate::state::State;

/// The status of a database.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// Name of the environment.
    pub environment: String,
    /// Where the database is.
    pub location: String,
    /// Its product.
    pub product: String,
    /// Its version.
    pub version: String,
    /// The tool whose ledger is used.
    pub ledger: String,
    /// Where what it says is kept for another tool too, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
    /// Heads of what is applied.
    pub current: Vec<MigrationId>,
    /// Heads of the checkout.
    pub heads: Vec<MigrationId>,
    /// How many migrations are applied.
    pub applied: usize,
    /// Migrations that are not applied yet, in the order in which `up` applies them.
    pub pending: Vec<Named>,
    /// Applied migrations that this checkout does not have, oldest first.
    pub ahead: Vec<Named>,
    /// Pending migrations that are older than applied ones.
    pub out_of_order: Vec<Named>,
    /// Applied migrations whose up script was edited since.
    pub edited: Vec<Named>,
    /// What rollbacks took away and the next up of the same migration puts back, oldest first.
    pub waiting: Vec<Waiting>,
    /// What differs from the schema that the last run left; nothing if another tool has moved the ledger since.
    pub drift: Vec<String>,
    /// The heads that the last run left, if another tool has moved the ledger since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<Vec<MigrationId>>,
    /// What to do about a database with tables and without a ledger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_ledger: Option<String>,
    /// Files that are no migrations, each with the reason.
    pub unmatched: Vec<(PathBuf, String)>,
    /// A run that never ended.
    pub unfinished: Option<RunRecord>,
    /// Whether that run left a migration half-done, so that `recover` is needed.
    pub needs_recovery: bool,
    /// The last run.
    pub last_run: Option<RunRecord>,
    /// A rollback that was killed once the database was walked back, if nothing was changed since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub killed_rollback: Option<KilledRollback>,
    /// Commands of the last deployment or rollback that have not done their work, a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

impl Status {
    /// Returns whether everything is applied and as it should be.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.pending.is_empty()
            && self.ahead.is_empty()
            && self.edited.is_empty()
            && self.drift.is_empty()
            && self.unfinished.is_none()
    }
}

impl Runner {
    /// Returns the status. Nothing is written.
    ///
    /// # Errors
    /// Fails if the database or the migrations cannot be read.
    pub async fn status(&self, cx: &Cx) -> Result<Status> {
        let mut session = self.connect(cx, Access::Read).await?;
        let state = State::load(self, cx, &mut *session).await?;
        let dialect = self.dialect();
        let mut journal = Journal::new(&mut *session, &*dialect);
        let (mut recorded, mut last_run) = (None, None);
        if journal.exists(cx).await? {
            let runs = journal.runs(cx, None).await?;
            // What a run has changed that did not come to its end is not what somebody has changed by hand.
            if remembered(&runs, &join(&state.heads(&state.applied_set()))) {
                recorded = journal.meta(cx, "schema").await?;
            }
            last_run = runs.into_iter().next();
        }
        let drift = match recorded.and_then(|json| serde_json::from_str::<Schema>(&json).ok()) {
            Some(then) if state.moved_from().is_none() => {
                let now = self.schema(cx, &mut *session).await?;
                then.differences(&now).iter().map(ToString::to_string).collect()
            }
            _ => Vec::new(),
        };
        let killed_rollback = self.killed_rollback(cx, &mut *session, &state).await?;
        let left_out = self.left_out_of(cx, &mut *session, &state).await?;
        let applied = state.applied_set();
        let capability = session.capability().clone();
        let edited = Planner::new(self, &state).edited(cx).await?;
        let named = |migrations: Vec<&walkback_core::Migration>| {
            migrations
                .into_iter()
                .map(|one| Named {
                    id: one.id.clone(),
                    name: one.name(),
                    phase: one.phase,
                })
                .collect::<Vec<_>>()
        };
        Ok(Status {
            environment: self.settings().environment.clone(),
            location: self.engine().info().location,
            product: capability.product,
            version: capability.version,
            ledger: self.ledger().tool.to_owned(),
            shown: state.shown.words(&self.ledger()),
            current: state.heads(&applied),
            heads: state
                .graph
                .heads_of(&state.in_checkout)
                .into_iter()
                .map(|migration| migration.id.clone())
                .collect(),
            applied: applied.len(),
            pending: named(state.graph.pending(&applied)),
            ahead: state.ahead(),
            out_of_order: named(state.graph.out_of_order(&applied)),
            edited: edited.iter().map(|(id, _)| state.named(id)).collect(),
            waiting: state
                .rescues
                .iter()
                .map(|rescue| Waiting::of(&state, rescue))
                .collect(),
            drift,
            moved_from: state.moved_from().map(|heads| heads.iter().cloned().collect()),
            lost_ledger: state.lost_ledger(),
            needs_recovery: state.needs_recovery(),
            unfinished: state.unfinished.into_iter().next_back(),
            unmatched: state.unmatched,
            last_run,
            killed_rollback,
            left_out,
        })
    }

    /// Returns the runs of the journal, newest first.
    ///
    /// # Errors
    /// Fails if the database cannot be read.
    pub async fn audit(&self, cx: &Cx, limit: Option<usize>) -> Result<Vec<RunRecord>> {
        let mut session = self.connect(cx, Access::Read).await?;
        let dialect = self.dialect();
        let mut journal = Journal::new(&mut *session, &*dialect);
        if journal.exists(cx).await? {
            let mut runs = journal.runs(cx, limit).await?;
            for run in &mut runs {
                run.hooks = journal.hooks_of(cx, &run.id).await?;
            }
            Ok(runs)
        } else {
            Ok(Vec::new())
        }
    }
}
