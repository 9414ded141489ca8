//! What a runner is told about its environment: who acts, and what the rules are.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use walkback_core::recovery::RecoveryFiles;
use walkback_vault::Rules;

use crate::hooks::Hooks;
use crate::hours::Hours;
use crate::protect::Protect;

/// Who runs, for the journal, the lock and the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// User name.
    pub user: String,
    /// Host name.
    pub host: String,
    /// Process id.
    pub pid: u32,
}

impl Actor {
    /// Says it in one phrase: `alice@db1 (pid 4711)`.
    #[must_use]
    pub fn phrase(&self) -> String {
        format!("{}@{} (pid {})", self.user, self.host, self.pid)
    }
}

/// What an environment does about something risky.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Goes ahead.
    Allow,
    /// Goes ahead when a person confirms, or a flag says so.
    #[default]
    Ask,
    /// Goes ahead only with the flag that allows it.
    Refuse,
}

/// How a person confirms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confirmation {
    /// By answering yes.
    #[default]
    Yes,
    /// By typing the name of the environment.
    TypeName,
}

/// The rules of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// What to do about migrations that destroy something.
    pub destructive: Decision,
    /// What to do about rollbacks that lose something.
    pub lossy: Decision,
    /// Whether a change needs a ticket.
    pub require_ticket: bool,
    /// How a person confirms.
    pub confirm: Confirmation,
    /// Who may change the database: `alice`, `alice@host`. Nobody named: everybody.
    pub allowed_users: Vec<String>,
    /// When migrations may be applied. Nothing named: always. Walking back is always allowed.
    pub allowed_hours: Vec<Hours>,
    /// Whether applications are kept from writing while a run works.
    pub read_only_during_run: bool,
    /// How many others have to approve a plan that goes up.
    pub approvals: usize,
    /// Who they are: a public key with a name each, as in a `.pub` file or in `allowed_signers`.
    pub approvers: Vec<String>,
    /// Whether who has made a plan may approve it.
    pub self_approval: bool,
    /// How long a plan can be approved and run; a day where nothing is said.
    pub approval_lifetime: Option<Duration>,
}

/// What a person or a pipeline allows for one run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// `--allow-destructive`.
    pub destructive: bool,
    /// `--allow-lossy`.
    pub lossy: bool,
    /// `--ticket`.
    pub ticket: Option<String>,
    /// Why, in words, for the audit.
    pub reason: Option<String>,
}

/// What a runner is told about its environment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Name of the environment, for messages and the audit.
    pub environment: String,
    /// Who runs.
    pub actor: Actor,
    /// The rules.
    pub policy: Policy,
    /// How long to wait for the lock.
    pub lock_timeout: Duration,
    /// How often a migration or a statement is tried again that another session has stopped: by a lock it holds for longer, a
    /// deadlock, a serialization failure.
    pub lock_retries: usize,
    /// How many sessions a backup reads with, and a restore writes with, where the engine lets them see the same.
    pub jobs: usize,
    /// How long the rows that a restore replaces stay in tables beside those that take their place, and the tables that
    /// are moved aside instead of dropped. Zero: the rows are in the safety point only, and no table is moved aside.
    pub soft_delete: Duration,
    /// How what a migration destroys is protected, unless its script says something else.
    pub protect: Protect,
    /// Which points and backups are kept when the vault is pruned.
    pub retention: Rules,
    /// Whether the vault is pruned after each run that adds to it.
    pub prunes_itself: bool,
    /// Whether the stores get a copy of the audit. A scratch database has nothing that is worth one.
    pub copies_audit: bool,
    /// Commands that run round a run, and the check whether the application is well.
    pub hooks: Hooks,
    /// Where the server's base backups and its archived log are, for engines that go back to a moment by them.
    pub recovery: Option<RecoveryFiles>,
}

impl Settings {
    /// Creates the settings of an environment with the default rules.
    #[must_use]
    pub fn new(environment: impl Into<String>, actor: Actor) -> Self {
        Self {
            environment: environment.into(),
            actor,
            policy: Policy::default(),
            lock_timeout: Duration::from_secs(60),
            lock_retries: 3,
            jobs: 1,
            soft_delete: Duration::from_secs(30 * 24 * 60 * 60),
            protect: Protect::default(),
            retention: Rules::default(),
            prunes_itself: false,
            copies_audit: true,
            hooks: Hooks::default(),
            recovery: None,
        }
    }
}
