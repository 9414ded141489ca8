//! Plans that are approved before they run: a file that says what is to be done, and signatures of those who have read it.
//!
//! | file | idea |
//! |---|---|
//! | `mod.rs` | the file, and what of it is signed |
//! | `keys.rs` | keys: who may approve, signing, checking a signature |
//! | `check.rs` | whether a plan is still good, and approved by enough |
//!
//! # What is signed
//! The bytes of the field `plan` as JSON in UTF-8 without white space between its tokens, its fields in the order of
//! [`PlanContent`], in the format of `ssh-keygen -Y sign` under the name [`NAMESPACE`].

mod check;
mod keys;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use walkback_core::catalog::Schema;
use walkback_core::{Cx, Direction, Error, ErrorKind, MigrationId, Phase, Result};

use crate::identity;
use crate::plan::{Plan, PlannedStep};
use crate::runner::{Runner, UpTarget};
use crate::state::State;

pub use check::Approval;
pub(crate) use check::{NOT_APPROVED, may_go_on, needed, needed_by_code};
pub use keys::{Approver, SigningKey};

/// What keeps a signature for a plan from being one for anything else.
pub const NAMESPACE: &str = "walkback-plan";

/// The version of the file.
const VERSION: u32 = 1;

/// A plan in a file, with the signatures of those who approve it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    walkback_plan: u32,
    /// What is signed.
    pub plan: PlanContent,
    /// Signatures of it, as `ssh-keygen -Y sign` writes them.
    pub signatures: Vec<String>,
}

/// What a plan says, and what it was made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PlanContent {
    /// The command that runs it.
    pub kind: String,
    /// The environment.
    pub environment: String,
    /// Where the database is, without a password.
    pub database: String,
    /// How far to go, as it was asked for.
    pub target: PlanTarget,
    /// Who made it.
    pub made_by: String,
    /// On which host.
    pub made_on: String,
    /// When, RFC 3339 in UTC.
    pub made_at: String,
    /// What is applied.
    pub applied: Vec<MigrationId>,
    /// The hash of the schema.
    pub schema: String,
    /// What has been done to the database so far.
    pub history: History,
    /// What is to be done, in order.
    pub steps: Vec<StepContent>,
}

/// Which database it is, and what was done to it last: an approved plan runs once, and only there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct History {
    /// The chain of its audit; none before its first run.
    pub chain: Option<String>,
    /// Its last run, whatever became of that.
    pub last_run: Option<String>,
}

impl History {
    pub(crate) fn of(state: &State) -> Self {
        Self {
            chain: state.chain.clone(),
            last_run: state.last_run.clone(),
        }
    }

    /// Returns whether nothing was done since this was noted, to this database.
    pub(crate) fn goes_on_as(&self, now: &Self) -> bool {
        // A run that is about to be the first begins the chain.
        (self.chain.is_none() || self.chain == now.chain) && self.last_run == now.last_run
    }
}

/// How far to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanTarget {
    /// To all heads.
    Heads,
    /// To a target.
    To(String),
    /// So many migrations.
    Count(usize),
    /// One part of changes in two parts.
    Phase(Phase),
}

/// One migration in one direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StepContent {
    /// The migration.
    pub id: MigrationId,
    /// Its name for a person.
    pub name: String,
    /// Which way.
    pub direction: Direction,
    /// The hash of its script.
    pub script: String,
    /// The hash of the down that is stored with it.
    pub down: Option<String>,
    /// Its statements.
    pub statements: Vec<String>,
}

impl From<&UpTarget> for PlanTarget {
    fn from(target: &UpTarget) -> Self {
        match target {
            UpTarget::Heads => Self::Heads,
            UpTarget::To(target) => Self::To(target.clone()),
            UpTarget::Count(count) => Self::Count(*count),
            UpTarget::Phase(phase) => Self::Phase(*phase),
        }
    }
}

impl From<PlanTarget> for UpTarget {
    fn from(target: PlanTarget) -> Self {
        match target {
            PlanTarget::Heads => Self::Heads,
            PlanTarget::To(target) => Self::To(target),
            PlanTarget::Count(count) => Self::Count(count),
            PlanTarget::Phase(phase) => Self::Phase(phase),
        }
    }
}

impl StepContent {
    fn of(step: &PlannedStep) -> Self {
        let statements = step.statements.iter().map(|statement| statement.sql.clone());
        Self {
            id: step.id.clone(),
            name: step.name.clone(),
            direction: step.direction,
            script: hash(step.script.text.as_bytes()),
            down: step.paired_down.as_ref().map(|down| hash(down.text.as_bytes())),
            statements: statements.collect(),
        }
    }
}

impl PlanContent {
    /// Returns what is signed.
    ///
    /// # Errors
    /// Only if a plan cannot be written as JSON, which each can.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|error| Error::internal("a plan cannot be written as JSON").with_source(error))
    }

    /// Returns when it was made.
    fn made(&self) -> Result<DateTime<Utc>> {
        self.made_at
            .parse()
            .map_err(|_| no_plan("its `made_at` is no moment"))
    }
}

impl PlanFile {
    /// Reads a file.
    ///
    /// # Errors
    /// `Damaged` if it is no plan.
    pub fn parse(text: &str) -> Result<Self> {
        let file: Self = serde_json::from_str(text).map_err(|error| no_plan(&error.to_string()))?;
        if file.walkback_plan != VERSION {
            return Err(no_plan("it is of another version of walkback"));
        }
        Ok(file)
    }

    /// Returns the text of the file.
    ///
    /// # Errors
    /// Only if a plan cannot be written as JSON, which each can.
    pub fn text(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::internal("a plan cannot be written as JSON").with_source(error))?;
        Ok(text + "\n")
    }
}

fn no_plan(why: &str) -> Error {
    Error::new(ErrorKind::Damaged, format!("the file is no plan: {why}"))
        .hint("`walkback plan --out plan.json` writes one")
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Returns what of a step was approved, in one word: the script, and the down that is stored with it.
pub(crate) fn mark_of(step: &PlannedStep) -> String {
    let down = step.paired_down.as_ref();
    let down = down.map_or_else(|| "-".to_owned(), |down| hash(down.text.as_bytes()));
    hash(format!("{}\n{down}", hash(step.script.text.as_bytes())).as_bytes())
}

/// Returns the hash of a schema.
pub(crate) fn hash_of(schema: &Schema) -> Result<String> {
    let bytes = serde_json::to_vec(schema)
        .map_err(|error| Error::internal("a schema cannot be written as JSON").with_source(error))?;
    Ok(hash(&bytes))
}

impl Runner {
    /// Plans to apply migrations, for others to approve. Nothing is written.
    ///
    /// # Errors
    /// As [`Runner::plan_up`].
    pub async fn plan_to_approve(&self, cx: &Cx, target: UpTarget) -> Result<(Plan, PlanFile)> {
        let plan = self.plan_up(cx, target.clone()).await?;
        let file = PlanFile {
            walkback_plan: VERSION,
            plan: self.content(cx, &plan, &target),
            signatures: Vec::new(),
        };
        Ok((plan, file))
    }

    fn content(&self, cx: &Cx, plan: &Plan, target: &UpTarget) -> PlanContent {
        let settings = self.settings();
        PlanContent {
            kind: plan.kind.name().to_owned(),
            environment: settings.environment.clone(),
            database: self.engine().info().location,
            target: target.into(),
            made_by: settings.actor.user.clone(),
            made_on: settings.actor.host.clone(),
            made_at: identity::moment(cx.now()),
            applied: plan.applied.clone(),
            schema: plan.schema.clone(),
            history: plan.history.clone(),
            steps: plan.steps.iter().map(StepContent::of).collect(),
        }
    }
}
