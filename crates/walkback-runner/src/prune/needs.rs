//! What is never pruned, whatever the rules say, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use walkback_core::{Cx, DialectKind, MigrationId, Result, Session};
use walkback_vault::{PointInfo, PointKind, Rules, SurveyedPoint};

use crate::identity;
use crate::journal::{Journal, RescueRow, StoredMigration};
use crate::point;
use crate::runner::Runner;
use crate::state::State;

/// How long a rollback can be walked back at least, where no rule by age says otherwise.
const SAFETY: Duration = Duration::from_secs(30 * 86_400);

/// What the database knows of its points.
#[derive(Debug)]
pub(super) struct Needs {
    database: String,
    dialect: DialectKind,
    applied: BTreeSet<MigrationId>,
    /// Also those that are walked back: walking that back brings them back with their points.
    stored: BTreeMap<MigrationId, StoredMigration>,
    unfinished: BTreeSet<String>,
    runs: BTreeSet<String>,
    points: BTreeSet<String>,
    rescues: Vec<RescueRow>,
}

/// Why a point stays; nothing, if no one needs it.
#[derive(Debug, Clone, Default)]
pub(super) struct Reasons {
    pub(super) why: Vec<String>,
    /// It is, or may be, of another database: not ours to judge.
    pub(super) is_foreign: bool,
}

impl Needs {
    pub(super) async fn read(
        runner: &Runner,
        cx: &Cx,
        session: &mut dyn Session,
        state: &State,
    ) -> Result<Self> {
        let dialect = runner.dialect();
        let mut journal = Journal::new(session, &*dialect);
        let mut needs = Self {
            database: point::database_name(runner),
            dialect: dialect.kind(),
            applied: state.applied_set(),
            stored: BTreeMap::new(),
            unfinished: state.unfinished.iter().map(|run| run.id.clone()).collect(),
            runs: BTreeSet::new(),
            points: BTreeSet::new(),
            rescues: state.rescues.clone(),
        };
        if journal.exists(cx).await? {
            needs.stored = journal.stored_migrations(cx).await?;
            needs.runs = journal
                .runs(cx, None)
                .await?
                .into_iter()
                .map(|run| run.id)
                .collect();
            needs.points = journal.point_ids(cx).await?;
        }
        Ok(needs)
    }

    /// Returns for each point, newest first, what needs it.
    pub(super) fn reasons(&self, cx: &Cx, points: &[SurveyedPoint]) -> Vec<Reasons> {
        let mut reasons = vec![Reasons::default(); points.len()];
        let shared = points.iter().find(|point| self.is_of_a_stranger(point));
        for (point, reason) in points.iter().zip(&mut reasons) {
            self.judge(point, shared, reason);
        }
        for stored in self
            .stored
            .values()
            .filter(|stored| self.applied.contains(&stored.id))
        {
            let why = format!("`{}` is applied, and walked back with it", stored.name());
            self.keep_point_of(cx, stored, &why, points, &mut reasons);
        }
        for (point, reason) in points.iter().zip(&mut reasons) {
            for rescue in self.rescues.iter().filter(|rescue| rescue.needs(&point.id)) {
                let why = format!(
                    "the next `up` of `{}` puts back what was written to it from there",
                    rescue.migration
                );
                reason.why.push(why);
            }
        }
        let complete = points.iter().zip(&mut reasons).find(|(point, reason)| {
            point.is_whole() && point.is_complete && !reason.is_foreign && is_for_restores(point)
        });
        if let Some((_, reason)) = complete {
            reason.why.push("the newest backup of everything".to_owned());
        }
        self.keep_last_rollback(points, &mut reasons);
        reasons
    }

    /// Returns whether a rollback or a restore is walked back with a point: it is from before it, or holds what it changed.
    fn is_of_rollback(&self, point: &SurveyedPoint) -> bool {
        let run = point.info.as_ref().ok().and_then(|info| info.run_id.as_ref());
        let is_of_migration = || self.stored.values().any(|stored| Some(&stored.run_id) == run);
        is_safety(point) || is_of_changes(point) && !is_of_migration()
    }

    /// Keeps what the last rollback or restore is walked back with.
    fn keep_last_rollback(&self, points: &[SurveyedPoint], reasons: &mut [Reasons]) {
        let last = (0..points.len()).find(|at| self.is_of_rollback(&points[*at]) && !reasons[*at].is_foreign);
        let Some((point, info)) = last.and_then(|at| Some((&points[at], points[at].info.as_ref().ok()?)))
        else {
            return;
        };
        for (other, reason) in points.iter().zip(reasons.iter_mut()) {
            let is_beside =
                is_of_changes(other) && other.info.as_ref().is_ok_and(|other| other.run_id == info.run_id);
            if other.id == point.id || is_beside {
                reason
                    .why
                    .push("the last rollback or restore is walked back with it".to_owned());
            }
        }
    }

    fn judge(&self, point: &SurveyedPoint, shared: Option<&SurveyedPoint>, reason: &mut Reasons) {
        let Ok(info) = &point.info else {
            reason.is_foreign = true;
            reason.why.push("it cannot be read".to_owned());
            return;
        };
        if !self.is_called_so(info) {
            reason.is_foreign = true;
            reason
                .why
                .push(format!("it is of another database, `{}`", info.database.name));
        } else if self.is_of_a_stranger(point) {
            reason.is_foreign = true;
            reason
                .why
                .push("it was made by a run that this database does not know".to_owned());
        } else if let (None, Some(other)) = (&info.run_id, shared) {
            reason.is_foreign = true;
            reason.why.push(format!(
                "it may be of another database of that name, as `{}` is",
                other.id
            ));
        }
        if point.missing > 0 {
            reason.why.push("it has lost chunks".to_owned());
        }
        if let Some(run) = info.run_id.as_ref().filter(|run| self.unfinished.contains(*run)) {
            reason.why.push(format!("run `{run}` is unfinished"));
        }
    }

    fn is_called_so(&self, info: &PointInfo) -> bool {
        info.database.name == self.database && info.database.dialect == self.dialect
    }

    /// Returns whether a point has the name of this database, and was made by a run of another one.
    fn is_of_a_stranger(&self, point: &SurveyedPoint) -> bool {
        let Ok(info) = &point.info else { return false };
        let Some(run) = &info.run_id else { return false };
        self.is_called_so(info) && !self.runs.contains(run) && !self.points.contains(&point.id)
    }

    /// Keeps the point before a migration; if that is not whole, also the newest whole one made before it.
    fn keep_point_of(
        &self,
        cx: &Cx,
        stored: &StoredMigration,
        why: &str,
        points: &[SurveyedPoint],
        reasons: &mut [Reasons],
    ) {
        if let Some(changes) = &stored.changes
            && let Some(at) = points.iter().position(|point| point.id == *changes)
        {
            reasons[at].why.push(why.to_owned());
        }
        for (point, reason) in points.iter().zip(reasons.iter_mut()) {
            if is_captured_of(stored, point) {
                reason.why.push(why.to_owned());
            }
        }
        let Some(id) = &stored.point else { return };
        let at = points.iter().position(|point| point.id == *id);
        if let Some(at) = at {
            reasons[at].why.push(why.to_owned());
        }
        if at.is_some_and(|at| points[at].is_whole()) {
            return;
        }
        let prefix = identity::point_prefix(cx, "rb", &stored.name());
        let other = points
            .iter()
            .position(|point| point.is_whole() && point.id.starts_with(&prefix));
        if let Some(other) = other {
            reasons[other].why.push(format!("{why}, as `{id}` is lost"));
        }
    }

    /// Keeps the safety points of rollbacks that can still be walked back, and the points of the migrations
    /// that would be applied again then.
    pub(super) fn for_the_way_forward(
        &self,
        rules: &Rules,
        now: DateTime<Utc>,
        points: &[SurveyedPoint],
        reasons: &mut [Reasons],
    ) {
        let mut needed: BTreeMap<&str, String> = BTreeMap::new();
        for (point, reason) in points.iter().zip(&mut *reasons) {
            let Ok(info) = &point.info else { continue };
            if !self.is_of_rollback(point) || reason.is_foreign {
                continue;
            }
            let is_young = (now - info.created_at).to_std().map_or(true, |age| age < SAFETY);
            if rules.age.is_none() && is_young {
                reason
                    .why
                    .push("the rollback after it can still be walked back".to_owned());
            }
            if reason.why.is_empty() {
                continue;
            }
            for id in info.ledger.applied.iter().map(MigrationId::new) {
                let Some(stored) = self.stored.get(&id).filter(|_| !self.applied.contains(&id)) else {
                    continue;
                };
                let captured = points.iter().filter(|point| is_captured_of(stored, point));
                let its = stored.point.iter().chain(&stored.changes);
                for its in its.chain(captured.map(|point| &point.id)) {
                    let why = format!(
                        "`{}` brings `{}` back, which needs it then",
                        point.id,
                        stored.name()
                    );
                    needed.insert(its, why);
                }
            }
        }
        for (point, reason) in points.iter().zip(reasons) {
            reason.why.extend(needed.remove(&*point.id));
        }
    }
}

/// Returns whether it holds rows that a run changed, and no others.
fn is_of_changes(point: &SurveyedPoint) -> bool {
    kind_of(point) == Some(PointKind::Changes)
}

/// Returns whether it holds rows that a migration changed, and no others.
fn is_captured_of(stored: &StoredMigration, point: &SurveyedPoint) -> bool {
    let is_of_run = |info: &PointInfo| info.run_id.as_deref() == Some(&stored.run_id);
    is_of_changes(point) && point.info.as_ref().is_ok_and(is_of_run)
}

fn is_safety(point: &SurveyedPoint) -> bool {
    kind_of(point) == Some(PointKind::BeforeRollback)
}

/// Returns whether a person or a schedule made it: what runs make belongs to their runs.
fn is_for_restores(point: &SurveyedPoint) -> bool {
    let is_of_past = crate::point::is_of_past(&point.id);
    point.info.as_ref().is_ok_and(|info| info.run_id.is_none()) && !is_safety(point) && !is_of_past
}

fn kind_of(point: &SurveyedPoint) -> Option<PointKind> {
    point.info.as_ref().ok().map(|info| info.kind)
}
