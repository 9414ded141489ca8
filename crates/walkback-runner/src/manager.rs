//! Rollback points and scopes, for services that embed walkback.

use walkback_core::{Cx, Error, ErrorKind, Result};
use walkback_vault::{Manifest, PointKind, PointSummary, StoreReport};

use crate::changes::OnConflict;
use crate::journal::RunRecord;
use crate::loss::Loss;
use crate::point::PointRequest;
use crate::report::RunReport;
use crate::restore::RestorePlan;
use crate::rollback::{RollbackKind, RollbackPlan, RollbackRequest, RollbackWhat};
use crate::runner::Runner;
use crate::scope::MigrationTransaction;
use crate::settings::Consent;

/// Rollback points, the ways back to them, and scopes in code, for a service that embeds walkback.
///
/// It is a [`Runner`] with a context and a consent, and no second machinery: what it makes and does the command line
/// shows and can take back, and the other way round.
#[derive(Debug, Clone)]
pub struct RollbackManager {
    runner: Runner,
    cx: Cx,
    consent: Consent,
    on_conflict: OnConflict,
}

/// What [`RollbackManager::execute`] would do. Nothing in it has happened.
#[derive(Debug)]
enum Way {
    Rollback(Box<RollbackPlan>),
    Restore(Box<RestorePlan>),
}

impl RollbackManager {
    /// Creates a manager of a database.
    #[must_use]
    pub fn new(runner: Runner) -> Self {
        Self {
            runner,
            cx: Cx::background(),
            consent: Consent::default(),
            on_conflict: OnConflict::default(),
        }
    }

    /// Returns the same manager with a context: its deadline, its cancellation and its progress.
    #[must_use]
    pub fn with_cx(mut self, cx: Cx) -> Self {
        self.cx = cx;
        self
    }

    /// Returns the same manager with what is allowed, and with a ticket and a reason for the audit.
    #[must_use]
    pub fn with_consent(mut self, consent: Consent) -> Self {
        self.consent = consent;
        self
    }

    /// Returns the same manager with what becomes of cells and rows that were changed again since: see
    /// [`execute`](Self::execute) by `Surgical` or `Partial`.
    #[must_use]
    pub fn with_on_conflict(mut self, on_conflict: OnConflict) -> Self {
        self.on_conflict = on_conflict;
        self
    }

    /// Returns what it works with.
    #[must_use]
    pub fn runner(&self) -> &Runner {
        &self.runner
    }

    /// Makes a rollback point of these tables, or of all if none is named. Its id is `rb_<name>_<yyyymmdd_hhmmss>`; where
    /// the vault is encrypted, it tells no name.
    ///
    /// # Errors
    /// `NotFound` if a table does not exist, `Config` if the environment has no store.
    pub async fn create(&self, name: &str, tables: &[&str], description: Option<&str>) -> Result<Manifest> {
        let tables: Vec<_> = tables.iter().map(ToString::to_string).collect();
        let scope = self.runner.scope_of(&self.cx, &tables).await?;
        let request = PointRequest {
            kind: PointKind::BeforeUp,
            prefix: "rb",
            about: name,
            scope: &scope,
            description: description.map(str::to_owned),
            run_id: None,
            of: None,
            grants: None,
            before: None,
        };
        self.runner.keep(&self.cx, request).await
    }

    /// Returns what [`execute`](Self::execute) would take away that was written since the point was made.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub async fn losses(&self, id: &str, kind: RollbackKind) -> Result<Vec<Loss>> {
        Ok(match self.plan(id, kind).await? {
            Way::Rollback(plan) => plan.loss().cloned().collect(),
            Way::Restore(plan) => plan.loss,
        })
    }

    /// Goes back to a point, or takes back the migration or the scope that it was made before. A safety point keeps what
    /// is there now.
    ///
    /// | kind | what goes back |
    /// |---|---|
    /// | `Auto` | of a scope or a migration what it changed, if that is known; else as `Full` |
    /// | `Surgical` | what it changed in rows, cell by cell; what was written since stays |
    /// | `Partial` | only the rows that it added go |
    /// | `Full` | everything that the point holds, with definitions and what is applied, as it was then |
    /// | `Backup` | the rows of the tables that the point holds, and nothing else |
    /// | `Transaction` | nothing that was committed: the run that was killed is closed |
    ///
    /// # Errors
    /// `NotFound` if there is no such point, `Usage` if the kind does not go with it, `Refused` by the policy:
    /// [`Consent::lossy`] allows what takes away rows that were written since.
    pub async fn execute(&self, id: &str, kind: RollbackKind) -> Result<RunReport> {
        let plan = Box::pin(self.plan(id, kind)).await?;
        match plan {
            Way::Rollback(plan) => Box::pin(self.runner.run_rollback(&self.cx, &plan, &self.consent)).await,
            Way::Restore(plan) => Box::pin(self.runner.run_restore(&self.cx, &plan, &self.consent)).await,
        }
    }

    async fn plan(&self, id: &str, kind: RollbackKind) -> Result<Way> {
        if kind == RollbackKind::Backup {
            let manifest = self.runner.point(&self.cx, id).await?;
            let held: Vec<_> = manifest
                .tables
                .iter()
                .map(|entry| entry.table.to_string())
                .collect();
            if held.is_empty() {
                return Err(Error::new(
                    ErrorKind::Usage,
                    format!("the point `{}` holds no rows of any table", manifest.id),
                ));
            }
            let plan = self.runner.plan_restore(&self.cx, &manifest.id, &held, None);
            return Ok(Way::Restore(Box::new(Box::pin(plan).await?)));
        }
        let request = RollbackRequest {
            what: RollbackWhat::Point(id.to_owned()),
            kind,
            on_conflict: self.on_conflict,
        };
        let plan = Box::pin(self.runner.plan_rollback(&self.cx, &request)).await?;
        Ok(Way::Rollback(Box::new(plan)))
    }

    /// Reads all of a point in every store that has it, and compares it with its checksums.
    ///
    /// # Errors
    /// `NotFound` if there is none. What is damaged is in the reports.
    pub async fn verify(&self, id: &str) -> Result<Vec<StoreReport>> {
        self.runner.point_verify(&self.cx, id).await
    }

    /// Returns the points there are, newest first.
    ///
    /// # Errors
    /// Fails if the vault cannot be read.
    pub async fn points(&self) -> Result<Vec<PointSummary>> {
        self.runner.points(&self.cx).await
    }

    /// Returns the runs of the journal, newest first: who, when, why, and what came of it.
    ///
    /// # Errors
    /// Fails if the database cannot be read.
    pub async fn history(&self, limit: Option<usize>) -> Result<Vec<RunRecord>> {
        self.runner.audit(&self.cx, limit).await
    }

    /// Begins to describe a data migration as a scope in code: see [`MigrationTransaction`].
    #[must_use]
    pub fn transaction(&self, name: impl Into<String>) -> MigrationTransaction {
        MigrationTransaction::new(
            self.runner.clone(),
            self.cx.clone(),
            self.consent.clone(),
            name.into(),
        )
    }
}
