//! Killed at each durable step while columns are kept, filled, or taken back.

use walkback_tests::Backend;

use super::backup_table::{assert_back, copies, people, without_copies};
use super::kills::{is_applied, recovered};

/// More steps than any of these runs has.
const STEPS: u64 = 80;

const DROP: &str = "ALTER TABLE people DROP COLUMN age;\nALTER TABLE people DROP COLUMN note;";

pub(super) fn killed_while_columns_are_kept_it_is_recovered(backend: Backend) {
    let sandbox = people(backend);
    let before = without_copies(&sandbox);
    sandbox.migration("002_drop", DROP, "");
    let mut kills = 0;
    for step in 1..=STEPS {
        if sandbox.killed_at(step, &["up", "-y"]).is_none() {
            break;
        }
        kills += 1;
        recovered(&sandbox, step);
        if is_applied(&sandbox) {
            sandbox.ok(&["rollback", "-n", "1", "-y"]);
            sandbox.ok(&["purge", "--all", "-y"]);
        }
        assert_back(&sandbox, &before, &format!("killed at step {step}"));
        assert!(copies(&sandbox).is_empty(), "step {step}: {:?}", copies(&sandbox));
        let left = sandbox.contents();
        let mut left = left.rows.keys().filter(|name| name.contains("_backup_"));
        assert_eq!(left.next(), None, "step {step}");
    }
    assert!(kills > 3, "{kills} kills");
    if !is_applied(&sandbox) {
        sandbox.ok(&["up", "-y"]);
    }
    assert_eq!(copies(&sandbox).len(), 2);
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    assert_back(&sandbox, &before, "at the end");
}

pub(super) fn killed_while_columns_are_filled_nothing_is_lost(backend: Backend) {
    let sandbox = people(backend);
    let before = without_copies(&sandbox);
    sandbox.migration("002_drop", DROP, "");
    sandbox.ok(&["up", "-y"]);
    let dropped = without_copies(&sandbox);
    let mut kills = 0;
    for step in 1..=STEPS {
        if sandbox.killed_at(step, &["rollback", "-n", "1", "-y"]).is_none() {
            break;
        }
        kills += 1;
        recovered(&sandbox, step);
        if is_applied(&sandbox) {
            assert_back(&sandbox, &dropped, &format!("killed at step {step}"));
            assert!(copies(&sandbox).len() >= 2, "step {step}");
        } else {
            assert_back(&sandbox, &before, &format!("killed at step {step}"));
            sandbox.ok(&["up", "-y"]);
        }
    }
    assert!(kills > 3, "{kills} kills");
    if is_applied(&sandbox) {
        sandbox.ok(&["rollback", "-n", "1", "-y"]);
    }
    assert_back(&sandbox, &before, "at the end");
}

/// The last statement fails: where each is final at once, those before are taken back, and that may be killed as well.
pub(super) fn killed_while_a_half_done_script_is_taken_back_nothing_is_lost(backend: Backend) {
    let sandbox = people(backend);
    let before = without_copies(&sandbox);
    let script = format!("{DROP}\nCREATE TABLE other (id INTEGER PRIMARY KEY);");
    sandbox.migration("002_drop", &script, "");
    let failed = sandbox.run(&["up", "-y"]);
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    assert_back(&sandbox, &before, &failed.transcript());
    assert!(copies(&sandbox).is_empty());
    let mut kills = 0;
    for step in 1..=STEPS {
        if sandbox.killed_at(step, &["up", "-y"]).is_none() {
            break;
        }
        kills += 1;
        recovered(&sandbox, step);
        assert_back(&sandbox, &before, &format!("killed at step {step}"));
        assert!(copies(&sandbox).is_empty(), "step {step}: {:?}", copies(&sandbox));
    }
    assert!(kills > 3, "{kills} kills");
}
