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
//! A data migration in a service's own code is a scope: it makes a rollback point, and is rolled back by itself.
//!
//! ```
//! # use walkback::config::{Overrides, Project, Variables};
//! # use walkback::{Actor, UpTarget, Consent, Cx};
//! use walkback::{Error, ErrorKind, RollbackKind, RollbackManager};
//!
//! # #[tokio::main] async fn main() -> walkback::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let app = folder.path();
//! # std::fs::create_dir_all(app.join("migrations/1_users")).unwrap();
//! # let up = "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT); INSERT INTO users VALUES (1, 'Ann@X.org');";
//! # std::fs::write(app.join("migrations/1_users/up.sql"), up).unwrap();
//! # std::fs::write(app.join("walkback.toml"), "[store.local]\nkind = \"fs\"\npath = \"vault\"\n[env.dev]\nurl = \"sqlite:app.db\"\nstores = [\"local\"]\n").unwrap();
//! # let none: [(&str, &str); 0] = [];
//! # let project = Project::load(app, Variables::new(none), Overrides::default())?;
//! # let actor = Actor { user: "app".into(), host: "web-1".into(), pid: std::process::id() };
//! # let runner = project.runner(&walkback::registry()?, actor)?;
//! # let cx = Cx::background();
//! # runner.run(&cx, &runner.plan_up(&cx, UpTarget::Heads).await?, &Consent::default()).await?;
//! let manager = RollbackManager::new(runner);
//! let scope = manager.transaction("small letters").tables(["users"]).reason("OPS-7");
//! let done = scope
//!     .run(async |tx| {
//!         let sql = format!("UPDATE users SET email = lower(email) WHERE id < {}", tx.placeholder(1));
//!         tx.execute(&sql, &[1000.into()]).await
//!     })
//!     .await?;
//! assert!(scope.is_finished());
//! assert_eq!(done.value, 1);
//!
//! // It is committed, and can be taken back: what was written since stays.
//! let point = done.point.ok_or_else(|| Error::new(ErrorKind::Config, "there is no store"))?;
//! manager.execute(&point, RollbackKind::Auto).await?;
//! # Ok(())
//! # }
//! ```
//!
//! - [`Runner`] is the whole interface: every change is first a plan, which is shown, confirmed and then run.
//! - [`RollbackManager`] makes rollback points and goes back to them; [`MigrationTransaction`] is a scope in code.
//! - [`config`] reads `walkback.toml`, variables and flags into a [`config::Project`].
//! - [`registry`] knows the adapters of this build; each is a feature of this crate (`sqlite`, `fs`, `sql`,
//!   `diesel`), and all of them are on by default.

#![deny(missing_docs)]

pub mod cli;
pub mod config;

pub use walkback_adapters::registry;
pub use walkback_core as core;
pub use walkback_core::{
    AdapterConfig, BackupStore, Cx, Engine, Error, ErrorKind, MigrationId, MigrationSource, Phase, Registry,
    Result, TableName,
};
pub use walkback_runner::vault;
pub use walkback_runner::{
    Actor, Committed, Confirmation, Consent, Decision, DownTarget, LoadFormat, LoadOptions, LoadPlan,
    LoadReport, Loss, MaxFailures, MigrationTransaction, OnConflict, Plan, Policy, RestorePlan, RollbackKind,
    RollbackManager, RollbackPlan, RollbackRequest, RollbackWhat, RunRecord, RunReport, RunStatus, Runner,
    ScopeSession, Settings, Status, UpTarget, Verdict,
};
