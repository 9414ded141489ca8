//! Pruning: which points and backups may go, why the others stay, and giving their space back.

mod needs;

use serde::Serialize;
use walkback_core::{Access, Cx, Error, ErrorKind, Result};
use walkback_vault::{Candidate, Collected, PointKind, Rules, SurveyedPoint, Vault};

use crate::identity;
use crate::lock::Lock;
use crate::runner::Runner;
use crate::settings::Consent;
use crate::state::State;
use needs::Needs;

/// What pruning would remove. Nothing in it has happened.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PrunePlan {
    /// What is kept.
    pub rules: Rules,
    /// Each store of the environment.
    pub stores: Vec<StorePrune>,
}

/// What pruning would remove from one store.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct StorePrune {
    /// Where it is.
    pub location: String,
    /// What goes, newest first.
    pub remove: Vec<PrunePoint>,
    /// What stays, newest first.
    pub keep: Vec<PrunePoint>,
    /// How many bytes only those hold that go. They are given back once the grace period is over.
    pub gives_back: u64,
}

/// A point or backup, and what becomes of it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PrunePoint {
    /// Its id.
    pub id: String,
    /// What it was made for; `None` if it cannot be read.
    pub kind: Option<PointKind>,
    /// When it was made, RFC 3339 in UTC.
    pub created_at: String,
    /// Why it stays, or goes.
    pub why: Vec<String>,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// What pruning has done.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PruneReport {
    /// Each store of the environment.
    pub stores: Vec<StoreSwept>,
}

/// What was removed from one store.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct StoreSwept {
    /// Where it is.
    pub location: String,
    /// Points and backups that were removed.
    pub removed: Vec<String>,
    /// Files that killed writers had left unfinished.
    pub unfinished: u64,
    /// Bytes they had.
    pub unfinished_bytes: u64,
    /// Chunks that no point names any more, and what they had.
    #[serde(flatten)]
    pub collected: Collected,
}

impl PrunePlan {
    /// Returns whether nothing goes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stores.iter().all(|store| store.remove.is_empty())
    }
}

impl Runner {
    /// Plans which points and backups of this database go. Nothing is written.
    ///
    /// # Errors
    /// `Usage` if there is no rule; otherwise fails if the database or the vault cannot be read.
    pub async fn plan_prune(&self, cx: &Cx, rules: &Rules) -> Result<PrunePlan> {
        if rules.is_empty() {
            return Err(no_rule(&self.settings().environment));
        }
        let mut session = self.connect(cx, Access::Read).await?;
        let state = self.load(cx, &mut *session).await?;
        let needs = Needs::read(self, cx, &mut *session, &state).await?;
        drop(session);
        let mut stores = Vec::new();
        for vault in self.pruned_vaults()? {
            stores.push(plan_one(cx, vault, rules, &needs).await?);
        }
        let rules = *rules;
        Ok(PrunePlan { rules, stores })
    }

    /// Removes what a plan says goes, unless it is needed by now, and gives space back.
    ///
    /// # Errors
    /// `Damaged` if a manifest cannot be read: no chunk is removed then. What was removed is in the error.
    pub async fn run_prune(&self, cx: &Cx, plan: &PrunePlan) -> Result<PruneReport> {
        // No run may begin to need a point between the last look at the journal and its removal.
        let lock = Lock::take(self, cx, "backup prune").await?;
        let mut session = self.connect(cx, Access::Read).await?;
        let state = State::load(self, cx, &mut *session).await?;
        let needs = Needs::read(self, cx, &mut *session, &state).await?;
        drop(session);
        let going: usize = plan.stores.iter().map(|store| store.remove.len()).sum();
        if going > 0 {
            let detail = format!("removes {going} backups and points that the rules do not keep");
            self.note_in_audit(cx, "backup prune", &Consent::default(), &detail)
                .await;
        }
        let mut all_removed = Vec::new();
        for (vault, planned) in self.pruned_vaults()?.into_iter().zip(&plan.stores) {
            let outcome = remove_from(cx, vault, plan, planned, &needs, &mut all_removed).await;
            outcome.map_err(|error| with_removed(error, &all_removed))?;
        }
        drop(lock);
        let mut swept = self
            .vault_sweep(cx)
            .await
            .map_err(|error| with_removed(error, &all_removed))?;
        for store in &mut swept {
            let here = all_removed
                .iter()
                .filter(|(location, _)| *location == store.location);
            store.removed = here.map(|(_, id)| id.clone()).collect();
        }
        Ok(PruneReport { stores: swept })
    }

    /// Removes what killed writers have left, and the chunks that no point names and that are older than the
    /// grace period. No point is removed, and the database is not asked.
    ///
    /// # Errors
    /// `Damaged` if a manifest cannot be read: no chunk is removed then.
    pub async fn vault_sweep(&self, cx: &Cx) -> Result<Vec<StoreSwept>> {
        let mut swept = Vec::new();
        for vault in self.pruned_vaults()? {
            let unfinished = vault.sweep(cx).await?;
            swept.push(StoreSwept {
                location: vault.location(),
                removed: Vec::new(),
                unfinished: unfinished.blobs,
                unfinished_bytes: unfinished.bytes,
                collected: vault.collect_garbage(cx).await?,
            });
        }
        Ok(swept)
    }

    /// Returns the vaults that are pruned: each on its own, by the same rules.
    fn pruned_vaults(&self) -> Result<Vec<&Vault>> {
        Ok(self.needed_vault()?.vaults().iter().collect())
    }
}

async fn plan_one(cx: &Cx, vault: &Vault, rules: &Rules, needs: &Needs) -> Result<StorePrune> {
    let survey = vault.survey(cx).await?;
    let mut reasons = needs.reasons(cx, &survey.points);
    let groups: Vec<String> = survey.points.iter().map(group_of).collect();
    // What belongs to somebody else, or cannot be relied on, takes nobody's place.
    let ours: Vec<usize> = (0..survey.points.len())
        .filter(|&index| survey.points[index].is_whole() && !reasons[index].is_foreign)
        .collect();
    let candidates: Vec<_> = ours
        .iter()
        .map(|&index| Candidate {
            id: &survey.points[index].id,
            made: survey.points[index].created_at(),
            group: &groups[index],
        })
        .collect();
    for (&index, kept) in ours.iter().zip(rules.judge(cx.now(), &candidates)) {
        reasons[index].why.extend(kept.iter().map(ToString::to_string));
    }
    needs.for_the_way_forward(rules, cx.now(), &survey.points, &mut reasons);
    let (mut remove, mut keep) = (Vec::new(), Vec::new());
    for (point, reason) in survey.points.iter().zip(&reasons) {
        let (list, why) = if reason.why.is_empty() {
            (&mut remove, vec!["no rule keeps it".to_owned()])
        } else {
            (&mut keep, reason.why.clone())
        };
        list.push(PrunePoint {
            id: point.id.clone(),
            kind: point.info.as_ref().ok().map(|info| info.kind),
            created_at: identity::moment(point.created_at()),
            why,
            problem: problem_of(point),
        });
    }
    let goes = |point: &SurveyedPoint| remove.iter().any(|removed| removed.id == point.id);
    Ok(StorePrune {
        location: vault.location(),
        gives_back: survey.given_back_without(goes),
        remove,
        keep,
    })
}

/// Removes from one store what the plan says and a fresh look says too.
async fn remove_from(
    cx: &Cx,
    vault: &Vault,
    plan: &PrunePlan,
    planned: &StorePrune,
    needs: &Needs,
    removed: &mut Vec<(String, String)>,
) -> Result<()> {
    if planned.remove.is_empty() {
        return Ok(());
    }
    let now = plan_one(cx, vault, &plan.rules, needs).await?;
    for point in &planned.remove {
        if !now.remove.iter().any(|other| other.id == point.id) {
            continue;
        }
        match vault.remove(cx, &point.id).await {
            Ok(()) => removed.push((planned.location.clone(), point.id.clone())),
            // Somebody else was faster.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns what a point is compared with: backups with those of the same tables, points with points.
fn group_of(point: &SurveyedPoint) -> String {
    let Ok(info) = &point.info else {
        return String::new();
    };
    match info.kind {
        PointKind::Backup if !point.is_complete => {
            let mut tables: Vec<_> = info.tables.iter().map(ToString::to_string).collect();
            tables.sort();
            format!("backup of {}", tables.join(","))
        }
        kind => kind.words().to_owned(),
    }
}

fn problem_of(point: &SurveyedPoint) -> Option<String> {
    match (&point.info, point.missing) {
        (Err(error), _) => Some(error.to_string()),
        (Ok(_), 0) => None,
        (Ok(_), 1) => Some("one of its chunks is missing".to_owned()),
        (Ok(_), missing) => Some(format!("{missing} of its chunks are missing")),
    }
}

fn with_removed(error: Error, removed: &[(String, String)]) -> Error {
    removed
        .iter()
        .fold(error, |error, (_, id)| error.succeeded(format!("removed `{id}`")))
}

fn no_rule(environment: &str) -> Error {
    Error::new(
        ErrorKind::Usage,
        format!("nothing says which points and backups of `{environment}` are to be kept"),
    )
    .hint("give a rule: `walkback backup prune --retention 30d --keep daily=7,weekly=4,monthly=12`")
    .hint(format!(
        "or write one into the configuration: `retention = \"30d\"` or `keep = {{ daily = 7, weekly = 4 }}` in `[env.{environment}]`"
    ))
}
