//! The runner: everything walkback does to a database, behind one type.

use std::sync::{Arc, Mutex, PoisonError};

use walkback_core::catalog::Schema;
use walkback_core::ledger::LedgerFormat;
use walkback_core::{
    Access, Cx, Dialect, Engine, Error, ErrorKind, MigrationSource, Phase, Result, Session, TableName,
};
use walkback_vault::VaultSet;

use crate::gate;
use crate::lock::Lock;
use crate::plan::{Plan, Planner, RunKind};
use crate::protect::Hidden;
use crate::restore::RestorePlan;
use crate::rollback::RollbackPlan;
use crate::settings::{Consent, Decision, Settings};
use crate::state::State;

/// How far to go up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpTarget {
    /// To all heads.
    Heads,
    /// To a target of the target grammar.
    To(String),
    /// So many migrations.
    Count(usize),
    /// As far as one part of a change in two parts: to the first migration that contracts, or from there on.
    Phase(Phase),
}

/// How far to go down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DownTarget {
    /// To a target of the target grammar, which stays applied.
    To(String),
    /// So many migrations.
    Count(usize),
}

/// Everything walkback does to one database with one source of migrations.
///
/// What changes something is first a plan, made without writing a byte; the caller shows and confirms it, and
/// hands it back to be run. A run checks under the lock that the plan is still good.
#[derive(Debug, Clone)]
pub struct Runner {
    engine: Arc<dyn Engine>,
    source: Arc<dyn MigrationSource>,
    vault: Option<VaultSet>,
    settings: Settings,
    outer: Option<Outer>,
}

/// The run that others are part of: a deployment.
#[derive(Debug, Clone)]
pub(crate) struct Outer {
    /// Its lock, which is that of its parts.
    pub(crate) lock: Arc<Lock>,
    /// Its name in the journal.
    pub(crate) run: String,
    /// Whether its parts only go back, and a failing hook does not stop them.
    pub(crate) goes_back: bool,
    /// The runs that were begun under it, also those that failed.
    pub(crate) begun: Begun,
}

/// The runs that were begun under another, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Begun(Arc<Mutex<Vec<(String, String)>>>);

impl Begun {
    /// Notes that a run has a row in the journal.
    pub(crate) fn note(&self, kind: &str, run: &str) {
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        runs.push((kind.to_owned(), run.to_owned()));
    }

    /// Returns the last run of a kind.
    pub(crate) fn last(&self, kind: &str) -> Option<String> {
        let runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = runs.iter().rev().find(|(of, _)| of == kind);
        found.map(|(_, run)| run.clone())
    }
}

impl Runner {
    /// Creates a runner. Without a vault no point is made, and what a migration destroys is gone.
    #[must_use]
    pub fn new(
        engine: Arc<dyn Engine>,
        source: Arc<dyn MigrationSource>,
        vault: Option<VaultSet>,
        settings: Settings,
    ) -> Self {
        Self {
            engine,
            source,
            vault,
            settings,
            outer: None,
        }
    }

    /// Returns a runner that refuses what its policy would ask about: nobody is there to answer, and flags say what is allowed.
    #[must_use]
    pub fn unattended(mut self) -> Self {
        let policy = &mut self.settings.policy;
        for decision in [&mut policy.destructive, &mut policy.lossy] {
            if *decision == Decision::Ask {
                *decision = Decision::Refuse;
            }
        }
        self
    }

    /// Returns a runner whose runs are part of another, under its lock.
    pub(crate) fn inside(&self, outer: Outer) -> Self {
        Self {
            outer: Some(outer),
            ..self.clone()
        }
    }

    /// Returns the run that the runs of this one are part of.
    pub(crate) fn outer(&self) -> Option<&Outer> {
        self.outer.as_ref()
    }

    /// Returns the name of the run that the runs of this one are part of.
    pub(crate) fn outer_run(&self) -> Option<&str> {
        self.outer().map(|outer| outer.run.as_str())
    }

    /// Returns whether a rollback goes on although a hook before it fails.
    pub(crate) fn goes_back_anyway(&self) -> bool {
        self.outer().is_some_and(|outer| outer.goes_back)
    }

    /// Returns the engine.
    #[must_use]
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    /// Returns the source.
    #[must_use]
    pub fn source(&self) -> &Arc<dyn MigrationSource> {
        &self.source
    }

    /// Returns the vaults of the environment, if it has any.
    #[must_use]
    pub fn vault(&self) -> Option<&VaultSet> {
        self.vault.as_ref()
    }

    /// Returns the settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Plans to apply migrations. Nothing is written.
    ///
    /// # Errors
    /// Fails on a target that does not exist, on a script that cannot be read (by `file:line`), on applied
    /// migrations whose files were edited, and while a run is unfinished.
    pub async fn plan_up(&self, cx: &Cx, target: UpTarget) -> Result<Plan> {
        let state = self.settled_state(cx).await?;
        let ids = state.ups(&target)?;
        let plan = Planner::new(self, &state)
            .plan(cx, RunKind::Up, &[], &ids)
            .await?;
        Ok(match target {
            UpTarget::Phase(phase) => plan.of_phase(&state, phase),
            UpTarget::Heads | UpTarget::To(_) | UpTarget::Count(_) => plan,
        })
    }

    /// Plans to run downs, newest first. Nothing is written.
    ///
    /// # Errors
    /// As [`Runner::plan_up`], and on a migration that has no down of any kind.
    pub async fn plan_down(&self, cx: &Cx, target: DownTarget) -> Result<Plan> {
        let mut session = self.connect(cx, Access::Read).await?;
        self.wait_for_rollback(cx, &mut *session).await?;
        let state = self.load(cx, &mut *session).await?;
        state.refuse_half_done()?;
        self.refuse_after_killed(cx, &mut *session, &state, false).await?;
        drop(session);
        let ids = state.downs(&target)?;
        let plan = Planner::new(self, &state)
            .plan(cx, RunKind::Down, &ids, &[])
            .await?;
        self.with_loss(cx, &state, plan).await
    }

    /// Plans to go to a target, down and up as needed. Nothing is written.
    ///
    /// # Errors
    /// As [`Runner::plan_up`] and [`Runner::plan_down`].
    pub async fn plan_goto(&self, cx: &Cx, target: &str) -> Result<Plan> {
        let state = self.settled_state(cx).await?;
        let (downs, ups) = state.moves(target)?;
        let plan = Planner::new(self, &state)
            .plan(cx, RunKind::Goto, &downs, &ups)
            .await?;
        self.with_loss(cx, &state, plan).await
    }

    /// Plans to run the down and then the up of the newest migration. Nothing is written.
    ///
    /// # Errors
    /// As [`Runner::plan_up`] and [`Runner::plan_down`].
    pub async fn plan_redo(&self, cx: &Cx) -> Result<Plan> {
        let state = self.settled_state(cx).await?;
        let ids = state.downs(&DownTarget::Count(1))?;
        let plan = Planner::new(self, &state)
            .plan(cx, RunKind::Redo, &ids, &ids)
            .await?;
        self.with_loss(cx, &state, plan).await
    }

    /// Says whether the policy lets a plan through, so that nobody confirms what is refused afterwards. A refusal is in the
    /// audit.
    ///
    /// # Errors
    /// `Refused`, with what is missing.
    pub async fn check(&self, cx: &Cx, plan: &Plan, consent: &Consent) -> Result<()> {
        let admitted = gate::plan(self, cx, plan, consent);
        self.noting_refusal(cx, plan.kind.name(), consent, admitted).await
    }

    /// Says whether the policy lets a rollback through.
    ///
    /// # Errors
    /// `Refused`, with what is missing.
    pub async fn check_rollback(&self, cx: &Cx, plan: &RollbackPlan, consent: &Consent) -> Result<()> {
        let admitted = gate::rollback(&self.settings, plan, consent);
        self.noting_refusal(cx, "rollback", consent, admitted).await
    }

    /// Says whether the policy lets a restore through, with what it loses.
    ///
    /// # Errors
    /// `Refused`, with what is missing.
    pub async fn check_restore(&self, cx: &Cx, plan: &RestorePlan, consent: &Consent) -> Result<()> {
        let admitted = gate::restore(&self.settings, plan, consent);
        self.noting_refusal(cx, "restore", consent, admitted).await
    }

    /// Says whether the policy lets anything else that changes the database through: `kind` is the name of the command.
    ///
    /// # Errors
    /// `Refused`, with what is missing.
    pub async fn check_change(&self, cx: &Cx, kind: &str, consent: &Consent) -> Result<()> {
        let admitted = gate::change(&self.settings, consent);
        self.noting_refusal(cx, kind, consent, admitted).await
    }

    /// Returns the vault, or says how to get one.
    pub(crate) fn needed_vault(&self) -> Result<&VaultSet> {
        self.vault.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("the environment `{}` has no store", self.settings.environment))
                .hint("add a `[store.local]` with `kind = \"fs\"` and a `path`, and name it in `stores` of the environment")
        })
    }

    pub(crate) fn dialect(&self) -> Arc<dyn Dialect> {
        self.engine.dialect()
    }

    /// Returns the format of the ledger.
    #[must_use]
    pub fn ledger(&self) -> LedgerFormat {
        self.source.ledger(self.dialect().kind())
    }

    pub(crate) async fn connect(&self, cx: &Cx, access: Access) -> Result<Box<dyn Session>> {
        self.engine.connect(cx, access).await
    }

    /// Reads the schema without the ledger: it belongs to the tool, not to the application.
    pub(crate) async fn schema(&self, cx: &Cx, session: &mut dyn Session) -> Result<Schema> {
        let mut schema = session.schema(cx).await?;
        let format = self.ledger();
        crate::shown::leave_out(cx, session, &*self.dialect(), &format, &mut schema).await?;
        // MySQL may keep names in small letters only. Where a name is there as it is written, it alone is meant.
        let has_exact = |own: &TableName| schema.tables.iter().any(|table| table.name == *own);
        let own: Vec<(TableName, bool)> = format.tables().map(|own| (own.clone(), has_exact(own))).collect();
        let is_of_the_tool = |table: &TableName| {
            own.iter().any(|(own, is_exact)| {
                let is_alike = !is_exact && own.schema == table.schema;
                table == own || (is_alike && table.name.eq_ignore_ascii_case(&own.name))
            })
        };
        schema.tables.retain(|table| !is_of_the_tool(&table.name));
        schema
            .objects
            .retain(|object| !object.on.as_ref().is_some_and(is_of_the_tool));
        Hidden::leave_out(cx, session, &*self.dialect(), &mut schema).await?;
        Ok(schema)
    }

    /// Reads graph, ledger and journal without writing.
    pub(crate) async fn state(&self, cx: &Cx) -> Result<State> {
        let mut session = self.connect(cx, Access::Read).await?;
        self.load(cx, &mut *session).await
    }

    /// Reads graph, ledger and journal. Where another run is in the middle of something, waits for it by its
    /// lock, which names it: what looks half-done may only be under way.
    pub(crate) async fn load(&self, cx: &Cx, session: &mut dyn Session) -> Result<State> {
        match State::load(self, cx, session).await {
            Ok(state) if !state.needs_recovery() => return Ok(state),
            Err(error) if error.kind() != ErrorKind::Locked => return Err(error),
            _ => {}
        }
        drop(Lock::take(self, cx, "plan").await?);
        State::load(self, cx, session).await
    }

    /// Reads the state, and refuses to go on over a run that left something half-done.
    async fn settled_state(&self, cx: &Cx) -> Result<State> {
        let state = self.state(cx).await?;
        state.refuse_half_done()?;
        Ok(state)
    }
}
