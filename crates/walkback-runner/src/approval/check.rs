//! Whether a plan is what was approved, by enough of those who may, and still what would be done.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use walkback_core::{Cx, Direction, Error, ErrorKind, Result};

use super::keys::{People, read};
use super::{Approver, History, PlanContent, PlanFile, hash_of, mark_of};
use crate::deploy::{DEPLOY, DeployPlan};
use crate::execute::Execution;
use crate::journal::Journal;
use crate::plan::{Plan, PlannedStep};
use crate::runner::{Runner, UpTarget};
use crate::settings::{Consent, Policy, Settings};

/// How long an approved plan is good where nothing is said: a day.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a plan that has run, or that is one of another database, runs no more.
const AGAIN: &str = "it was made before the last run in this database, or for another one";

/// Who has approved a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Approval {
    /// Name and fingerprint of the key of each, one for each person.
    pub by: Vec<(String, String)>,
    /// Until when it is good.
    pub until: DateTime<Utc>,
}

impl Approval {
    /// Fails if the plan has become too old meanwhile.
    pub(crate) fn still_good(&self, cx: &Cx) -> Result<()> {
        good_until(cx, self.until)
    }

    /// Says it in words, for the audit.
    pub(crate) fn words(&self) -> Option<String> {
        let by = self.by.iter().map(|(name, key)| format!("{name} ({key})"));
        let by: Vec<_> = by.collect();
        (!by.is_empty()).then(|| by.join(", "))
    }
}

impl Policy {
    /// Returns how long an approved plan is good.
    #[must_use]
    pub fn lifetime_of_plans(&self) -> Duration {
        self.approval_lifetime.unwrap_or(LIFETIME)
    }
}

impl Runner {
    /// Plans what a file says, if the file is approved as the policy wants and the database and the scripts are still those it
    /// was made for. With a consent it is about to be run, and a refusal is in the audit.
    ///
    /// # Errors
    /// `Refused` with what is missing or has changed; as [`Runner::plan_up`].
    pub async fn plan_approved(&self, cx: &Cx, file: &PlanFile, consent: Option<&Consent>) -> Result<Plan> {
        let outcome = Box::pin(self.try_approved(cx, file)).await;
        match consent {
            Some(consent) => self.noting_refusal(cx, "up", consent, outcome).await,
            None => outcome,
        }
    }

    async fn try_approved(&self, cx: &Cx, file: &PlanFile) -> Result<Plan> {
        let approval = self.approval(cx, file)?;
        let target = UpTarget::from(file.plan.target.clone());
        let mut plan = self.plan_up(cx, target).await?;
        self.same(cx, &file.plan, &plan)?;
        plan.approval = Some(approval);
        Ok(plan)
    }

    /// Plans a deployment of what a file says; see [`Runner::plan_approved`].
    ///
    /// # Errors
    /// As [`Runner::plan_approved`] and [`Runner::plan_deploy`].
    pub async fn plan_deploy_approved(
        &self,
        cx: &Cx,
        file: &PlanFile,
        consent: Option<&Consent>,
    ) -> Result<DeployPlan> {
        let outcome = Box::pin(async {
            let approval = self.approval(cx, file)?;
            let target = UpTarget::from(file.plan.target.clone());
            let mut plan = Box::pin(self.plan_deploy(cx, target)).await?;
            self.same(cx, &file.plan, &plan.up)?;
            plan.up.approval = Some(approval);
            Ok(plan)
        })
        .await;
        match consent {
            Some(consent) => self.noting_refusal(cx, DEPLOY, consent, outcome).await,
            None => outcome,
        }
    }

    /// Refuses to apply anything without a plan, before something else is done that this would leave half-way, where the
    /// environment asks for approvals. The refusal is in the audit.
    ///
    /// # Errors
    /// `Refused` if it does.
    pub async fn check_needs_no_plan(&self, cx: &Cx, kind: &str, consent: &Consent) -> Result<()> {
        let admitted = needed_later(self.settings());
        self.noting_refusal(cx, kind, consent, admitted).await
    }

    /// Checks the signatures of a file.
    fn approval(&self, cx: &Cx, file: &PlanFile) -> Result<Approval> {
        let policy = &self.settings().policy;
        let approvers = policy.approvers.iter().map(|line| Approver::parse(line));
        let approvers = approvers.collect::<Result<Vec<_>>>()?;
        let until = self.young_enough(cx, &file.plan)?;
        let people = People::of(&approvers);
        let maker = people.of_user(&file.plan.made_by);
        let (mut by, mut counted) = (Vec::new(), BTreeSet::new());
        let mut own = None;
        for text in &file.signatures {
            let signature = read(text)?;
            let Some(at) = approvers
                .iter()
                .position(|approver| approver.has_key_of(&signature))
            else {
                // Where nobody has to approve, nobody is listed either.
                if policy.approvals == 0 {
                    continue;
                }
                return Err(self.unknown(&signature));
            };
            let (approver, person) = (&approvers[at], people.of_approver(at));
            approver.verify(&file.plan, &signature)?;
            if maker == Some(person) && !policy.self_approval {
                own = Some(approver.name());
            } else if counted.insert(person) {
                by.push((approver.name().to_owned(), approver.fingerprint()));
            }
        }
        if by.len() < policy.approvals {
            return Err(self.too_few(by.len(), own));
        }
        Ok(Approval { by, until })
    }

    fn unknown(&self, signature: &ssh_key::SshSig) -> Error {
        let key = signature.public_key().fingerprint(ssh_key::HashAlg::Sha256);
        Error::new(
            ErrorKind::Refused,
            format!(
                "the plan is signed with a key that approves nothing in `{}`: {key}",
                self.settings().environment
            ),
        )
        .hint("`approvers` of the environment lists the keys that do")
    }

    fn too_few(&self, found: usize, own: Option<&str>) -> Error {
        let policy = &self.settings().policy;
        let error = Error::new(
            ErrorKind::Refused,
            format!(
                "`{}` wants {} of a plan, and this one has {found}",
                self.settings().environment,
                approvals(policy.approvals)
            ),
        );
        let error = match own {
            Some(own) => error.hint(format!(
                "`{own}` has made the plan, and approves none of their own; `self_approval = true` would let them"
            )),
            None => error,
        };
        error.hint("`walkback approve plan.json --key ~/.ssh/id_ed25519` adds one")
    }

    /// Returns until when a plan is good.
    fn young_enough(&self, cx: &Cx, plan: &PlanContent) -> Result<DateTime<Utc>> {
        let made = plan.made()?;
        // Machines differ by a little.
        if cx.now() - made < chrono::TimeDelta::minutes(-5) {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("the plan is of a moment that is still to come: {}", plan.made_at),
            )
            .hint("the clock of this machine, or of the one that made it, is wrong"));
        }
        let lifetime = chrono::TimeDelta::from_std(self.settings().policy.lifetime_of_plans());
        let until = lifetime
            .ok()
            .and_then(|lifetime| made.checked_add_signed(lifetime));
        let until = until.unwrap_or(DateTime::<Utc>::MAX_UTC);
        good_until(cx, until).map(|()| until)
    }

    /// Fails unless this is what the file says, down to the last byte of each script.
    fn same(&self, cx: &Cx, said: &PlanContent, plan: &Plan) -> Result<()> {
        let target = UpTarget::from(said.target.clone());
        let now = self.content(cx, plan, &target);
        let what = if (&said.environment, &said.database) != (&now.environment, &now.database) {
            format!(
                "it was made for {} (environment `{}`), and this is {} (environment `{}`)",
                said.database, said.environment, now.database, now.environment
            )
        } else if said.applied != now.applied {
            "other migrations are applied in the database than when it was made".to_owned()
        } else if said.schema != now.schema {
            "the schema of the database is another than when it was made".to_owned()
        } else if !said.history.goes_on_as(&now.history) {
            AGAIN.to_owned()
        } else if let Some(step) = said.steps.iter().find(|step| !now.steps.contains(step)) {
            format!("migration `{}` is another than when it was made", step.name)
        } else if let Some(step) = now.steps.iter().find(|step| !said.steps.contains(step)) {
            format!("migration `{}` has come since it was made", step.name)
        } else if said.steps != now.steps || said.kind != now.kind {
            "its steps are in another order".to_owned()
        } else {
            return Ok(());
        };
        Err(no_longer_good(&what))
    }
}

impl Execution<'_> {
    /// Fails unless the database is what an approved plan was made for, down to the schema: nobody has approved anything
    /// else.
    pub(crate) fn still_as_approved(&self, cx: &Cx, plan: &Plan) -> Result<()> {
        let Some(approval) = &plan.approval else {
            return Ok(());
        };
        approval.still_good(cx)?;
        let is_same = self.state.applied_set() == plan.applied.iter().cloned().collect()
            && hash_of(&self.state.schema)? == plan.schema;
        let why = if !is_same {
            "the database has changed since it was approved"
        } else if !plan.history.goes_on_as(&History::of(&self.state)) {
            AGAIN
        } else {
            return Ok(());
        };
        Err(no_longer_good(why))
    }
}

fn good_until(cx: &Cx, until: DateTime<Utc>) -> Result<()> {
    if cx.now() <= until {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Refused,
        format!("the plan is too old: it was good until {}", crate::identity::moment(until)),
    )
    .hint("make a new one with `walkback plan --out plan.json`, and have that approved; `approval_lifetime` says how long one is good"))
}

fn no_longer_good(why: &str) -> Error {
    Error::new(ErrorKind::Refused, format!("the plan is no longer good: {why}"))
        .hint("make a new one with `walkback plan --out plan.json`, and have that approved")
}

/// Refuses to go up without the approvals that the policy wants.
pub(crate) fn needed(runner: &Runner, cx: &Cx, plan: &Plan) -> Result<()> {
    let settings = runner.settings();
    let wanted = settings.policy.approvals;
    if let Some(approval) = &plan.approval {
        approval.still_good(cx)?;
        if approval.by.len() >= wanted {
            return Ok(());
        }
    }
    needed_later(settings)
}

/// Refuses where the policy wants approvals, and there is no plan that could have them.
fn needed_later(settings: &Settings) -> Result<()> {
    if settings.policy.approvals == 0 {
        return Ok(());
    }
    let environment = &settings.environment;
    Err(wanting(settings)
    .hint(format!("write one with `walkback -e {environment} plan --out plan.json`"))
    .hint("others approve it with `walkback approve plan.json --key ~/.ssh/id_ed25519`")
    .hint(format!(
        "then run `walkback -e {environment} up --plan plan.json`, or `walkback deploy {environment} --plan plan.json`"
    ))
    .hint("walking back needs no approval"))
}

/// Why a half-done script does not go forward.
pub(crate) const NOT_APPROVED: &str =
    "its files are no longer those that were begun, and nobody has approved these";

/// Returns whether the rest of a half-done script may be run. Where the policy wants approvals it is the script that a run
/// has begun, byte for byte; the way back is asked nothing.
pub(crate) async fn may_go_on(
    runner: &Runner,
    cx: &Cx,
    journal: &mut Journal<'_>,
    (run, step): (&str, &PlannedStep),
) -> Result<bool> {
    if runner.settings().policy.approvals == 0 || step.direction == Direction::Down {
        return Ok(true);
    }
    journal.has_begun_script(cx, run, &mark_of(step)).await
}

/// Refuses a scope in code where the policy wants approvals: nobody can read what it will do.
pub(crate) fn needed_by_code(settings: &Settings) -> Result<()> {
    if settings.policy.approvals == 0 {
        return Ok(());
    }
    Err(wanting(settings)
        .with_context("scope", "its work is code, which no plan shows")
        .hint("write what it does as a migration, and have its plan approved"))
}

fn wanting(settings: &Settings) -> Error {
    Error::new(
        ErrorKind::Refused,
        format!(
            "`{}` applies only plans with {}",
            settings.environment,
            approvals(settings.policy.approvals)
        ),
    )
}

fn approvals(count: usize) -> String {
    match count {
        1 => "1 approval".to_owned(),
        count => format!("{count} approvals"),
    }
}
