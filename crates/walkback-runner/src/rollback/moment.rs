//! What was applied after a moment, and is walked back to it.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use walkback_core::{Error, ErrorKind, MigrationId, Result};

use super::plan::Planning;
use super::{RollbackKind, RollbackPlan};
use crate::identity;
use crate::journal::{Journal, RunStatus};
use crate::plan::RunKind;
use crate::state::State;

/// How far a clock may be ahead of another before a moment is in the future.
const AHEAD: TimeDelta = TimeDelta::seconds(1);

impl Planning<'_> {
    /// Plans to walk back all migrations that were applied after a moment.
    pub(super) async fn back_to_moment(
        &mut self,
        moment: DateTime<Utc>,
        kind: RollbackKind,
    ) -> Result<RollbackPlan> {
        let words = identity::moment(moment);
        if moment > self.cx.now() + AHEAD {
            return Err(Error::new(ErrorKind::Usage, format!("{words} is still to come"))
                .hint("name a moment that has passed; one without an offset is in UTC"));
        }
        let mut since = BTreeSet::new();
        for id in self.state.applied_set() {
            if self.applied_at(&id)? > moment {
                since.insert(id);
            }
        }
        if since.is_empty() {
            return Err(
                Error::not_found(format!("no migration was applied after {words}"))
                    .hint("`walkback status` shows when each was applied"),
            );
        }
        let ids = self.newest_first(&since);
        self.state.refuse_needed(&ids)?;
        let mut plan = self.migrations(&ids, kind).await?;
        plan.warnings.extend(self.other_work_since(moment).await?);
        Ok(plan)
    }

    /// Returns when a migration was applied. What other tools write into their ledgers does not say in which zone it is.
    fn applied_at(&self, id: &MigrationId) -> Result<DateTime<Utc>> {
        let row = self.state.applied.iter().find(|row| row.id == *id);
        let in_ledger = row.and_then(|row| row.applied_at.as_deref());
        let in_journal = self.state.stored.get(id).map(|stored| stored.stored_at.as_str());
        let said = in_ledger.into_iter().chain(in_journal);
        let moment = said
            .filter_map(|said| DateTime::parse_from_rfc3339(said).ok())
            .next();
        moment.map(|moment| moment.to_utc()).ok_or_else(|| {
            Error::new(
                ErrorKind::Refused,
                format!(
                    "nobody knows when `{}` was applied: another tool did it",
                    self.state.named(id).name
                ),
            )
            .hint("`walkback rollback --to <TARGET>` walks back all that was applied after a target")
        })
    }

    /// Says which loads and scopes were done after a moment: no migration goes back with them.
    async fn other_work_since(&mut self, moment: DateTime<Utc>) -> Result<Vec<String>> {
        let dialect = self.runner.dialect();
        let runs = Journal::new(self.session, &*dialect).runs(self.cx, None).await?;
        let moment = identity::moment(moment);
        let own = [RunKind::Load.name(), RunKind::Scope.name()];
        let work = runs.iter().filter(|run| {
            own.contains(&run.kind.as_str()) && run.status == RunStatus::Done && run.started_at > moment
        });
        Ok(work
            .map(|run| {
                format!(
                    "what run `{0}` ({1}) did after that moment stays: `walkback rollback {0}` takes it back, unless that was done",
                    run.id, run.kind
                )
            })
            .collect())
    }
}

impl State {
    /// Refuses to walk back what a migration needs that stays.
    pub(super) fn refuse_needed(&self, ids: &[MigrationId]) -> Result<()> {
        let needs_one = |other: &&MigrationId| {
            let ancestors = self.graph.ancestors(&BTreeSet::from([(*other).clone()]));
            ids.iter().any(|id| ancestors.contains(id))
        };
        let applied = self.applied_set();
        let mut staying = applied.iter().filter(|other| !ids.contains(other));
        match staying.find(needs_one) {
            None => Ok(()),
            Some(other) => Err(Error::new(
                ErrorKind::Refused,
                format!(
                    "`{}` would stay applied, and it needs what would be walked back",
                    self.named(other).name
                ),
            )
            .hint("`walkback rollback --to <TARGET>` walks back all that was applied after a target")),
        }
    }
}
