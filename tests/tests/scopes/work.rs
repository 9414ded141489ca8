//! The work of the scopes, and this program as the one that is killed in the middle of it.

use std::path::Path;
use std::process::{Command, ExitCode, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use walkback::config::{Overrides, Project, Variables};
use walkback::core::Value;
use walkback::core::cx::Steps;
use walkback::{Actor, Cx, MigrationTransaction, Result, RollbackManager, ScopeSession};
use walkback_tests::{Backend, Sandbox};

use crate::TABLE;

const WORK: &str = "SCOPE_TEST_WORK";
const KILL_AT: &str = "SCOPE_TEST_KILL_AT";

/// Returns a manager of the database of a sandbox.
pub(crate) fn manager(sandbox: &Sandbox) -> RollbackManager {
    manager_in(&sandbox.path("."))
}

fn manager_in(folder: &Path) -> RollbackManager {
    let none: [(String, String); 0] = [];
    let overrides = Overrides {
        lock_timeout: Some(std::time::Duration::from_secs(2)),
        ..Overrides::default()
    };
    let project = Project::load(folder, Variables::new(none), overrides).expect("the project is sound");
    let actor = Actor {
        user: "service".into(),
        host: "web-1".into(),
        pid: std::process::id(),
    };
    let registry = walkback::registry().expect("the adapters are there");
    RollbackManager::new(project.runner(&registry, actor).expect("the project is complete"))
}

pub(crate) fn scope(manager: &RollbackManager) -> MigrationTransaction {
    manager
        .transaction("tidy or\"ders")
        .tables([TABLE])
        .reason("names in capitals")
        .ticket("OPS-7")
}

/// Changes, removes and adds a row, with bound values.
pub(crate) async fn change_rows(tx: &ScopeSession) -> Result<()> {
    let (table, column) = (tx.quote(TABLE), tx.quote("select"));
    let (first, second) = (tx.placeholder(1), tx.placeholder(2));
    let update = format!("UPDATE {table} SET {column} = {first} WHERE {column} = {second}");
    assert_eq!(tx.execute(&update, &["ANN".into(), "ann".into()]).await?, 1);
    tx.execute(&format!("DELETE FROM {table} WHERE id = 2"), &[])
        .await?;
    let insert = format!("INSERT INTO {table} (id, {column}) VALUES (4, {first})");
    tx.execute(&insert, &["dan".into()]).await?;
    let count = tx.query(&format!("SELECT count(*) FROM {table}"), &[]).await?;
    assert_eq!(count[0].first().and_then(Value::as_i64), Some(3));
    Ok(())
}

/// Changes definitions in between: a table and a column are added.
pub(crate) async fn change_definitions(tx: &ScopeSession) -> Result<()> {
    let table = tx.quote(TABLE);
    let made = tx.quote("new \"table");
    tx.execute(
        &format!("CREATE TABLE {made} (id INTEGER NOT NULL PRIMARY KEY)"),
        &[],
    )
    .await?;
    change_rows(tx).await?;
    tx.execute(&format!("INSERT INTO {made} SELECT id FROM {table}"), &[])
        .await?;
    tx.execute(&format!("ALTER TABLE {table} ADD COLUMN size INTEGER"), &[])
        .await?;
    tx.execute(&format!("UPDATE {table} SET size = id"), &[]).await?;
    Ok(())
}

/// Runs a scope of this sort in a process of its own, which kills itself at a step.
pub(crate) fn run_killed(sandbox: &Sandbox, work: &str, step: u64) -> Output {
    Command::new(std::env::current_exe().expect("this program has a path"))
        .current_dir(sandbox.path("."))
        .env(WORK, work)
        .env(KILL_AT, step.to_string())
        .output()
        .expect("this program starts")
}

/// Does the work that the parent wants, if this is the child.
pub(crate) fn of_child() -> Option<ExitCode> {
    let work = std::env::var(WORK).ok()?;
    let kill_at = std::env::var(KILL_AT).ok()?.parse().ok()?;
    let steps = Arc::new(KillAt(kill_at, AtomicU64::new(0)));
    let done = block_on(async move {
        let manager = manager_in(Path::new(".")).with_cx(Cx::background().with_steps(steps));
        let scope = scope(&manager);
        match work.as_str() {
            "rows" => scope.run(|tx| async move { change_rows(&tx).await }).await,
            "definitions" => scope.run(|tx| async move { change_definitions(&tx).await }).await,
            other => panic!("there is no work `{other}`"),
        }
    });
    Some(match done {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            walkback_tests::report(&format!("{error:?}"));
            ExitCode::FAILURE
        }
    })
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime starts");
    runtime.block_on(future)
}

struct KillAt(u64, AtomicU64);

impl Steps for KillAt {
    fn reached(&self, _: &'static str) {
        if self.1.fetch_add(1, Ordering::SeqCst) + 1 == self.0 {
            let this = rustix::process::getpid();
            rustix::process::kill_process(this, rustix::process::Signal::KILL).ok();
            loop {
                std::thread::park();
            }
        }
    }
}

/// Waits until the journal says that no run is under way.
pub(crate) fn wait_until_ended(sandbox: &Sandbox, backend: Backend) {
    for _ in 0..100 {
        if sandbox.status()["unfinished"].is_null() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("the scope on {backend} never ended in the journal");
}
