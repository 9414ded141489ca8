//! Plans, runs, records and walks back migrations over any engine, source and store.
//!
//! [`Runner`] is the whole interface: every change is first a plan (plain data, made without writing a
//! byte), which a caller shows, confirms and hands back to be run. What a run did is in the journal, in the
//! target database itself; what was there before it is in the vault.
//!
//! Nothing here prints, reads the environment or names an engine.

mod abort;
mod advise;
mod approval;
mod audit;
mod backup;
mod changes;
mod checklist;
mod delta;
mod deploy;
mod derive;
mod detail;
mod doctor;
mod dump;
mod execute;
mod export;
mod gate;
mod grants;
mod hall;
mod hooks;
mod hours;
mod identity;
mod incumbent;
mod journal;
mod killed;
mod ledger;
mod lint;
mod load;
mod lock;
mod loss;
mod maintenance;
mod manager;
mod offline;
mod others;
mod past;
mod plan;
mod point;
mod protect;
mod prune;
mod purge;
mod quiet;
mod reach;
mod records;
mod recover;
mod report;
mod restore;
mod rights;
mod rollback;
mod runner;
mod scope;
mod settings;
mod shown;
mod since;
mod snapshot;
mod stamp;
mod state;
mod status;
mod steady;
mod verify;
mod watch;

pub use abort::{AbortReport, SilentSession, UnlockPlan};
pub use advise::{Advice, Symptom};
pub use approval::{
    Approval, Approver, History, NAMESPACE, PlanContent, PlanFile, PlanTarget, SigningKey, StepContent,
};
pub use audit::{AuditFinding, AuditVerification, AuditedStore};
pub use changes::{
    Beside, ChangesPlan, Conflict, KeptWrites, OnConflict, PutAside, Rescued, TableChanges, Waiting,
};
pub use deploy::{DeployPlan, PlannedStage, ProcedureReport, Stage};
pub use derive::{CatalogOrigin, DerivedDown, DerivedStep};
pub use detail::{GraphNode, GraphView, HistoryEntry, MigrationDetail, MigrationState, ScriptView};
pub use doctor::{Check, CheckState};
pub use dump::{DumpCompression, DumpInfo, DumpReport, Imported};
pub use export::{ExportFormat, ExportReport};
pub use hooks::{HealthCheck, Hook, Hooks, Moment, Probe};
pub use hours::Hours;
pub use journal::{AuditEntry, HookRecord, RunRecord, RunStatus};
pub use killed::KilledRollback;
pub use lint::{Finding, Level, LintReport, LintedMigration, Linter, Rule};
pub use loss::Loss;
pub use manager::RollbackManager;
pub use past::{Past, PastPlan, PastRequest, PastRoad};
pub use plan::{Plan, PlannedStatement, PlannedStep, PointScope, RunKind, ScriptOrigin, Verdict, Verified};
pub use protect::{Protect, StatementProtection};
pub use prune::{PrunePlan, PrunePoint, PruneReport, StorePrune, StoreSwept};
pub use purge::{KeptTable, PurgePlan};
pub use records::{
    LoadColumn, LoadFormat, LoadOptions, LoadPlan, LoadReport, LoadUndo, MaxFailures, Reason, RejectedRecord,
};
pub use recover::{RecoverDirection, RecoverPlan};
pub use report::{Named, RunReport};
pub use restore::RestorePlan;
pub use rollback::{RollbackKind, RollbackPlan, RollbackRequest, RollbackStep, RollbackWhat};
pub use runner::{DownTarget, Runner, UpTarget};
pub use scope::{Committed, MigrationTransaction, ScopeSession};
pub use settings::{Actor, Confirmation, Consent, Decision, Policy, Settings};
pub use since::{SinceThen, TableChange};
pub use stamp::StampPlan;
pub use status::Status;
pub use verify::{RestoreReport, VerifyOutcome};
pub use walkback_vault as vault;
