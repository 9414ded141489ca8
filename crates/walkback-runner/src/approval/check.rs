//! Whether a plan is what was approved, by enough of those who may, and still what would be done.

use std::collections::BTreeSet;
use std::time::Duration;

use walkback_core::{Cx, Error, ErrorKind, Result};

use super::keys::read;
use super::{Approver, PlanContent, PlanFile, hash_of};
use crate::deploy::{DEPLOY, DeployPlan};
use crate::execute::Execution;
use crate::plan::Plan;
use crate::runner::{Runner, UpTarget};
use crate::settings::{Consent, Policy};

/// How long an approved plan is good where nothing is said: a day.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Who has approved a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Name and fingerprint of the key of each.
    pub by: Vec<(String, String)>,
}

impl Approval {
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

    /// Checks the signatures of a file.
    fn approval(&self, cx: &Cx, file: &PlanFile) -> Result<Approval> {
        let policy = &self.settings().policy;
        let approvers = policy.approvers.iter().map(|line| Approver::parse(line));
        let approvers = approvers.collect::<Result<Vec<_>>>()?;
        self.young_enough(cx, &file.plan)?;
        let (mut by, mut names) = (Vec::new(), BTreeSet::new());
        let mut own = None;
        for text in &file.signatures {
            let signature = read(text)?;
            let Some(approver) = approvers.iter().find(|approver| approver.has_key_of(&signature)) else {
                // Where nobody has to approve, nobody is listed either.
                if policy.approvals == 0 {
                    continue;
                }
                return Err(self.unknown(&signature));
            };
            approver.verify(&file.plan, &signature)?;
            if approver.is(&file.plan.made_by) && !policy.self_approval {
                own = Some(approver.name());
            } else if names.insert(approver.name().to_owned()) {
                by.push((approver.name().to_owned(), approver.fingerprint()));
            }
        }
        if by.len() < policy.approvals {
            return Err(self.too_few(by.len(), own));
        }
        Ok(Approval { by })
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

    fn young_enough(&self, cx: &Cx, plan: &PlanContent) -> Result<()> {
        let lifetime = self.settings().policy.lifetime_of_plans();
        let age = cx.now() - plan.made()?;
        // Machines differ by a little.
        if age < chrono::TimeDelta::minutes(-5) {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("the plan is of a moment that is still to come: {}", plan.made_at),
            )
            .hint("the clock of this machine, or of the one that made it, is wrong"));
        }
        let age = age.to_std().unwrap_or_default();
        if age <= lifetime {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Refused,
            format!("the plan was made at {}, and is too old", plan.made_at),
        )
        .hint("make a new one with `walkback plan --out plan.json`, and have that approved; `approval_lifetime` says how long one is good"))
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
        } else if let Some(step) = said.steps.iter().find(|step| !now.steps.contains(step)) {
            format!("migration `{}` is another than when it was made", step.name)
        } else if let Some(step) = now.steps.iter().find(|step| !said.steps.contains(step)) {
            format!("migration `{}` has come since it was made", step.name)
        } else if said.steps != now.steps || said.kind != now.kind {
            "its steps are in another order".to_owned()
        } else {
            return Ok(());
        };
        Err(
            Error::new(ErrorKind::Refused, format!("the plan is no longer good: {what}"))
                .hint("make a new one with `walkback plan --out plan.json`, and have that approved"),
        )
    }
}

impl Execution<'_> {
    /// Fails unless the database is what an approved plan was made for, down to the schema: nobody has approved anything
    /// else.
    pub(crate) fn still_as_approved(&self, plan: &Plan) -> Result<()> {
        let is_same = self.state.applied_set() == plan.applied.iter().cloned().collect()
            && hash_of(&self.state.schema)? == plan.schema;
        if is_same {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Refused,
            "the plan is no longer good: the database has changed since it was approved",
        )
        .hint("make a new one with `walkback plan --out plan.json`, and have that approved"))
    }
}

/// Refuses to go up without the approvals that the policy wants.
pub(crate) fn needed(runner: &Runner, plan: &Plan) -> Result<()> {
    let settings = runner.settings();
    let wanted = settings.policy.approvals;
    if wanted == 0
        || plan
            .approval
            .as_ref()
            .is_some_and(|approval| approval.by.len() >= wanted)
    {
        return Ok(());
    }
    let environment = &settings.environment;
    Err(Error::new(
        ErrorKind::Refused,
        format!("`{environment}` applies only plans with {}", approvals(wanted)),
    )
    .hint(format!("write one with `walkback -e {environment} plan --out plan.json`"))
    .hint("others approve it with `walkback approve plan.json --key ~/.ssh/id_ed25519`")
    .hint(format!(
        "then run `walkback -e {environment} up --plan plan.json`, or `walkback deploy {environment} --plan plan.json`"
    ))
    .hint("walking back needs no approval"))
}

fn approvals(count: usize) -> String {
    match count {
        1 => "1 approval".to_owned(),
        count => format!("{count} approvals"),
    }
}
