//! Liquibase's lock, which is a row.

use walkback_tests::{Backend, Sandbox};

use crate::project::{CHANGELOG, lock_holder, project, rows, table};

pub(crate) fn the_lock_of_liquibase_is_respected(backend: Backend) {
    let sandbox = project(backend, CHANGELOG);
    sandbox.ok(&["up", "-y", "-n", "1"]);
    let table = table(&sandbox, "DATABASECHANGELOGLOCK");
    sandbox.sql(&format!(
        "UPDATE {table} SET LOCKED = TRUE, LOCKEDBY = 'build-7 (10.0.0.7)', LOCKGRANTED = '2026-01-02 03:04:05'"
    ));
    let output = sandbox.run(&["up", "-y", "--lock-timeout", "0s"]);
    assert_eq!(output.code, Some(5), "{}", output.transcript());
    for said in ["build-7 (10.0.0.7)", "2026-01-02", "liquibase release-locks"] {
        assert!(output.stderr.contains(said), "{said}: {}", output.transcript());
    }
    assert_eq!(lock_holder(&sandbox), "build-7 (10.0.0.7)");
    assert_eq!(rows(&sandbox).len(), 1);
    // What only reads does not wait.
    sandbox.ok(&["status"]);
    sandbox.sql(&format!(
        "UPDATE {table} SET LOCKED = FALSE, LOCKEDBY = NULL, LOCKGRANTED = NULL"
    ));
    sandbox.ok(&["up", "-y"]);
    assert_eq!(rows(&sandbox).len(), 5);
}

pub(crate) fn what_fails_leaves_the_lock_of_liquibase_free(backend: Backend) {
    let sandbox = project(
        backend,
        &CHANGELOG.replace(
            "INSERT INTO people VALUES (3, 'c')",
            "INSERT INTO nowhere VALUES (3)",
        ),
    );
    let output = sandbox.run(&["up", "-y"]);
    assert_eq!(output.code, Some(1), "{}", output.transcript());
    assert_eq!(lock_holder(&sandbox), "");
    assert_eq!(rows(&sandbox).len(), 2);
    // Before the run has begun.
    assert_ne!(sandbox.run(&["down", "-y", "-n", "9"]).code, Some(0));
    assert_eq!(lock_holder(&sandbox), "");
}

pub(crate) fn the_lock_that_a_kill_left_is_taken_over(backend: Backend) {
    let sandbox = project(backend, CHANGELOG);
    let mut left = 0;
    // Every step is tried by the crash matrix; here are some, until the lock was left at three of them.
    for step in (1..).step_by(4) {
        if left == 3 {
            break;
        }
        if sandbox.killed_at(step, &["up", "-y", "-n", "1"]).is_none() {
            break;
        }
        let held = has_lock_table(&sandbox) && !lock_holder(&sandbox).is_empty();
        if held {
            left += 1;
            let holder = lock_holder(&sandbox);
            assert!(holder.starts_with("walkback run_"), "{holder}");
        }
        let recovered = sandbox.run(&["recover", "-y", "--back"]);
        assert_eq!(recovered.code, Some(0), "{}", recovered.transcript());
        let output = sandbox.ok(&["up", "-y"]);
        let said = format!("{}{}{}", recovered.transcript(), output.stdout, output.stderr);
        assert!(!held || said.contains("is taken over"), "step {step}: {said}");
        assert_eq!(lock_holder(&sandbox), "", "step {step}");
        assert_eq!(rows(&sandbox).len(), 5, "step {step}");
        sandbox.ok(&["down", "-y", "--to", "base", "--allow-lossy"]);
    }
    assert!(left > 0, "a kill left it at no step");
}

fn has_lock_table(sandbox: &Sandbox) -> bool {
    let table = table(sandbox, "DATABASECHANGELOGLOCK");
    sandbox
        .session()
        .try_sql(&format!("UPDATE {table} SET ID = 1 WHERE 1 = 0"))
        .is_ok()
        && sandbox.value(&format!("SELECT COUNT(*) FROM {table}")) == "1"
}
