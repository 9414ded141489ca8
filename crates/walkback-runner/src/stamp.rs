//! Stamping: the ledger says something else, and no script runs.

use std::collections::BTreeSet;

use serde::Serialize;
use walkback_core::engine::Begin;
use walkback_core::graph::Target;
use walkback_core::{Cx, MigrationId, Result};

use crate::execute::Execution;
use crate::ledger::{Applied, NewRow};
use crate::plan::{Planner, RunKind};
use crate::report::{Named, RunReport};
use crate::runner::Runner;
use crate::settings::Consent;
use crate::{gate, identity};

/// What a stamp would write into the ledger.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct StampPlan {
    /// Heads now.
    pub from: Vec<MigrationId>,
    /// Heads afterwards.
    pub to: Vec<MigrationId>,
    /// Migrations that will count as applied.
    pub add: Vec<Named>,
    /// Migrations that will no longer count as applied.
    pub remove: Vec<Named>,
    /// Applied migrations whose files were edited, and will count as they are now.
    pub accept: Vec<Named>,
    /// Whether every row of the ledger goes first, whatever it says.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub purge: bool,
}

impl Runner {
    /// Plans to write the ledger so that it says a target is applied. No script runs.
    ///
    /// With `purge` every row of the ledger goes first, also those that nobody knows.
    ///
    /// # Errors
    /// Fails on a target that does not exist.
    pub async fn plan_stamp(&self, cx: &Cx, target: &str, purge: bool) -> Result<StampPlan> {
        let state = self.state(cx).await?;
        let before = state.applied_set();
        let kept = if purge { BTreeSet::new() } else { before.clone() };
        let after: BTreeSet<MigrationId> = state.graph.stamped(&kept, &target.parse::<Target>()?)?;
        let edited = Planner::new(self, &state).edited(cx).await?;
        let order = |ids: &BTreeSet<MigrationId>| {
            let mut known: Vec<_> = state
                .graph
                .iter()
                .map(|one| one.id.clone())
                .filter(|id| ids.contains(id))
                .collect();
            known.extend(ids.iter().filter(|id| state.graph.get(id).is_none()).cloned());
            known.iter().map(|id| state.named(id)).collect::<Vec<_>>()
        };
        Ok(StampPlan {
            from: state.heads(&before),
            to: state.heads(&after),
            add: order(&after.difference(&before).cloned().collect()),
            remove: order(&before.difference(&after).cloned().collect()),
            accept: edited
                .iter()
                .filter(|(id, _)| after.contains(id))
                .map(|(id, _)| state.named(id))
                .collect(),
            purge,
        })
    }

    /// Writes the ledger as planned.
    ///
    /// # Errors
    /// `Refused` by the policy, `Locked` if somebody else runs.
    pub async fn run_stamp(&self, cx: &Cx, plan: &StampPlan, consent: &Consent) -> Result<RunReport> {
        let admitted = gate::change(self.settings(), consent);
        self.noting_refusal(cx, "stamp", consent, admitted).await?;
        let (mut execution, steady) = Execution::begin(self, cx, RunKind::Stamp, consent, &[]).await?;
        let cx = &steady;
        // What the ledger says has nothing to do with the rows of a load.
        execution.state.refuse_half_loaded()?;
        execution.record(cx, &plan.from, &plan.to).await?;
        let outcome = execution.stamp(cx, plan).await;
        execution.conclude(cx, outcome).await
    }
}

impl Execution<'_> {
    async fn stamp(&mut self, cx: &Cx, plan: &StampPlan) -> Result<()> {
        if !self.state.unfinished.is_empty() {
            self.clear_after_kill(cx).await;
        }
        self.session.begin(cx, Begin::Write).await?;
        let outcome = self.stamp_inside(cx, plan).await;
        self.end_transaction(cx, outcome).await
    }

    async fn stamp_inside(&mut self, cx: &Cx, plan: &StampPlan) -> Result<()> {
        self.settle_unfinished(cx).await?;
        if plan.purge {
            self.purge_rows(cx, plan).await?;
        }
        for named in plan.remove.iter().filter(|_| !plan.purge) {
            self.remove_row(cx, &named.id).await?;
            self.note_undone(&named.id);
        }
        for named in &plan.add {
            self.insert_unrun(cx, &named.id).await?;
            // What the journal knows is of an earlier time: its point is not what was there before this stamp.
            self.journal().forget_migration(cx, &named.id).await?;
            self.journal().forget_after(cx, &named.id).await?;
        }
        for named in &plan.accept {
            self.remove_row(cx, &named.id).await?;
            self.state.applied.retain(|row| row.id != named.id);
            self.insert_unrun(cx, &named.id).await?;
            self.journal().forget_migration(cx, &named.id).await?;
            self.report
                .warnings
                .push(format!("`{}` counts as its file is now", named.name));
        }
        Ok(())
    }

    /// Empties the ledger, and writes what stays into it anew.
    async fn purge_rows(&mut self, cx: &Cx, plan: &StampPlan) -> Result<()> {
        self.empty_ledger(cx).await?;
        for named in &plan.remove {
            self.note_undone(&named.id);
        }
        let staying: Vec<_> = self.state.applied.drain(..).map(|row| row.id).collect();
        for id in &staying {
            self.insert_unrun(cx, id).await?;
            self.report.applied.pop();
        }
        Ok(())
    }

    /// Writes a row into the ledger for a migration that this run does not run.
    pub(crate) async fn insert_unrun(&mut self, cx: &Cx, id: &MigrationId) -> Result<()> {
        let row = self.unrun(cx, id).await?;
        let began = self.run.started_at.clone();
        self.insert_row(cx, &new_row(&row, &began)).await?;
        self.state.applied.push(row);
        let named = self.named(id);
        self.report.applied.push(named);
        Ok(())
    }

    /// Writes a row for a migration whose script need not run, where the ledger tells that apart.
    pub(crate) async fn insert_marked(&mut self, cx: &Cx, id: &MigrationId) -> Result<()> {
        let row = self.unrun(cx, id).await?;
        let began = self.run.started_at.clone();
        let marked = NewRow {
            was_run: false,
            ..new_row(&row, &began)
        };
        self.insert_row(cx, &marked).await?;
        self.state.applied.push(row);
        let named = self.named(id);
        self.report.applied.push(named);
        Ok(())
    }

    /// Writes the row into the ledger alone, for what already counts as applied.
    pub(crate) async fn write_unrun(&mut self, cx: &Cx, id: &MigrationId) -> Result<()> {
        let row = self.unrun(cx, id).await?;
        let began = self.run.started_at.clone();
        self.ledger().insert(cx, &new_row(&row, &began)).await
    }

    /// Returns the row of a migration that this run does not run.
    async fn unrun(&mut self, cx: &Cx, id: &MigrationId) -> Result<Applied> {
        let planner = Planner::new(self.runner, &self.state);
        let told = self
            .state
            .graph
            .get(id)
            .and_then(|migration| migration.up_hash.clone());
        let up_hash = match told {
            Some(hash) => hash,
            None => {
                let script = planner.file_script(cx, id, walkback_core::Direction::Up).await?;
                let known = self.state.stored.get(id).map(|stored| stored.up_hash.clone());
                script.map(|script| script.hash).or(known).unwrap_or_default()
            }
        };
        let slug = self
            .state
            .graph
            .get(id)
            .map(|migration| migration.slug.clone())
            .unwrap_or_default();
        Ok(Applied {
            id: id.clone(),
            slug: Some(slug),
            up_hash: Some(up_hash),
            applied_at: Some(identity::moment(cx.now())),
            run_id: Some(self.run.id.clone()),
        })
    }
}

fn new_row<'r>(row: &'r Applied, began: &'r str) -> NewRow<'r> {
    NewRow {
        id: &row.id,
        slug: row.slug.as_deref().unwrap_or_default(),
        up_hash: row.up_hash.as_deref().unwrap_or_default(),
        applied_at: row.applied_at.as_deref().unwrap_or_default(),
        run_id: row.run_id.as_deref().unwrap_or_default(),
        run_began: began,
        was_run: true,
    }
}
