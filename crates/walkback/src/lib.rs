//! Rollback-first database migrations.
//!
//! walkback applies schema and data migrations, and can always walk them back. This crate is the library
//! facade and the program `walkback`; the program does nothing that the library cannot.
//!
//! ```
//! use walkback::config::{Overrides, Project, Variables};
//! use walkback::{Actor, Consent, Cx, UpTarget};
//!
//! # #[tokio::main] async fn main() -> walkback::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let app = folder.path();
//! # std::fs::create_dir_all(app.join("migrations/1_users")).unwrap();
//! # std::fs::write(app.join("migrations/1_users/up.sql"), "CREATE TABLE users (id INTEGER);").unwrap();
//! // `app` is a folder with `migrations/1_users/up.sql` in it.
//! let variables = Variables::new([("DATABASE_URL", format!("sqlite:{}", app.join("app.db").display()))]);
//! let project = Project::load(app, variables, Overrides::default())?;
//! let actor = Actor { user: "app".into(), host: "web-1".into(), pid: std::process::id() };
//! let runner = project.runner(&walkback::registry()?, actor)?;
//!
//! let cx = Cx::background();
//! let plan = runner.plan_up(&cx, UpTarget::Heads).await?;
//! let report = runner.run(&cx, &plan, &Consent::default()).await?;
//! assert_eq!(report.applied.len(), 1);
//! assert!(runner.status(&cx).await?.is_clean());
//! # Ok(())
//! # }
//! ```
//!
//! - [`Runner`] is the whole interface: every change is first a plan, which is shown, confirmed and then run.
//! - [`config`] reads `walkback.toml`, variables and flags into a [`config::Project`].
//! - [`registry`] knows the adapters of this build; each is a feature of this crate (`sqlite`, `fs`, `sql`,
//!   `diesel`), and all of them are on by default.

#![deny(missing_docs)]

pub mod cli;
pub mod config;

pub use walkback_adapters::registry;
pub use walkback_core as core;
pub use walkback_core::{
    AdapterConfig, BackupStore, Cx, Engine, Error, ErrorKind, MigrationId, MigrationSource, Registry, Result,
    TableName,
};
pub use walkback_runner::vault;
pub use walkback_runner::{
    Actor, Committed, Confirmation, Consent, Decision, DownTarget, LoadFormat, LoadOptions, LoadPlan,
    LoadReport, MaxFailures, MigrationTransaction, Plan, Policy, RestorePlan, RollbackKind, RollbackManager,
    RollbackPlan, RollbackRequest, RollbackWhat, RunRecord, RunReport, RunStatus, Runner, ScopeSession,
    Settings, Status, UpTarget, Verdict,
};
