//! Killed at each durable step of the way there and of the way back.

use walkback_tests::{Backend, Sandbox};

use super::{aside, project, visible};

/// More steps than any of these runs has.
const STEPS: u64 = 60;

pub(super) fn recovered(sandbox: &Sandbox, step: u64) {
    let recover = sandbox.run(&["recover", "-y"]);
    assert_eq!(recover.code, Some(0), "step {step}: {}", recover.transcript());
}

pub(super) fn killed_at_any_step_it_is_recovered_and_walked_back(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    sandbox.migration(
        "002_drop",
        "DROP TABLE t;\nCREATE TABLE t (id INTEGER PRIMARY KEY);",
        "",
    );
    let mut kills = 0;
    for step in 1..=STEPS {
        if sandbox.killed_at(step, &["up", "-y"]).is_none() {
            break;
        }
        kills += 1;
        recovered(&sandbox, step);
        if is_applied(&sandbox) {
            sandbox.ok(&["rollback", "-n", "1", "-y"]);
        }
        sandbox.assert_contents(&before, &format!("killed at step {step}"));
        assert!(aside(&sandbox).is_empty(), "step {step}");
    }
    assert!(kills > 3, "{kills} kills");
    if !is_applied(&sandbox) {
        sandbox.ok(&["up", "-y"]);
    }
    assert_eq!(aside(&sandbox).len(), 1);
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    sandbox.assert_contents(&before, "at the end");
}

pub(super) fn is_applied(sandbox: &Sandbox) -> bool {
    let current = sandbox.ok(&["current"]);
    current.stdout.contains("002")
}

pub(super) fn killed_at_any_step_of_the_way_back_nothing_is_lost(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    sandbox.migration("002_drop", "DROP TABLE t;", "");
    sandbox.ok(&["up", "-y"]);
    let dropped = visible(&sandbox);
    let mut kills = 0;
    for step in 1..=STEPS {
        if sandbox.killed_at(step, &["rollback", "-n", "1", "-y"]).is_none() {
            break;
        }
        kills += 1;
        recovered(&sandbox, step);
        if is_applied(&sandbox) {
            assert_eq!(visible(&sandbox).rows, dropped.rows, "step {step}");
            assert_eq!(aside(&sandbox).len(), 1, "step {step}");
        } else {
            sandbox.assert_contents(&before, &format!("killed at step {step}"));
            sandbox.ok(&["up", "-y"]);
        }
    }
    assert!(kills > 3, "{kills} kills");
    if is_applied(&sandbox) {
        sandbox.ok(&["rollback", "-n", "1", "-y"]);
    }
    sandbox.assert_contents(&before, "at the end");
}
