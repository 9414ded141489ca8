//! Deadlines, and what is said when they have passed.

use walkback_tests::{Backend, Sandbox};

use super::{aside, assert_says, project};

pub(super) fn a_purge_drops_only_what_has_passed_its_deadline_and_says_so_to_a_rollback(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("002_drop", "DROP TABLE t;", "");
    sandbox.ok_at("2027-01-01T00:00:00Z", &["up", "-y"]);
    let (name, original) = aside(&sandbox)[0].clone();
    assert_eq!(original, "t");
    let early = sandbox.ok_at("2027-01-30T00:00:00Z", &["purge", "-y"]);
    assert_says(&early, "nothing to purge");
    assert_says(&early, &name);
    assert_says(&early, "2027-01-31");
    assert_says(&early, "`t`, dropped by 002");
    assert_eq!(aside(&sandbox).len(), 1);
    let late = sandbox.ok_at("2027-02-02T00:00:00Z", &["purge", "-y"]);
    assert_says(&late, "dropped 1 table for good");
    assert!(aside(&sandbox).is_empty());
    let contents = sandbox.contents();
    let tables: Vec<_> = contents.rows.keys().collect();
    assert_eq!(tables, ["log", "parent"]);
    if backend.is_postgres() {
        let left = "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^_walkback_dropped_'";
        assert_eq!(sandbox.value(left), "0");
    }
    let refused = sandbox.run(&["rollback", "-n", "1", "-y"]);
    assert_eq!(refused.code, Some(6), "{}", refused.transcript());
    assert_says(
        &refused,
        "`t` was moved aside, and `walkback purge` dropped it on 2027-02-02",
    );
    assert_says(&refused, "walkback rollback --backup-file");
    sandbox.assert_contents(&contents, "");
    let audit = sandbox.ok(&["audit", "--json"]).json();
    assert!(audit.to_string().contains(&name), "{audit}");
}

pub(super) fn what_was_moved_back_and_is_dropped_in_the_same_run_is_counted_and_kept(backend: Backend) {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration(
        "001_begin",
        "CREATE TABLE people (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(40));",
        "",
    );
    sandbox.migration(
        "002_drop",
        "-- walkback: protect=soft-delete\nDROP TABLE people;",
        "",
    );
    sandbox.ok(&["up", "-n", "1", "-y"]);
    sandbox.sql("INSERT INTO people VALUES (1, 'ann'), (2, 'bob')");
    sandbox.ok(&["up", "-y"]);
    let plan = sandbox.ok(&["rollback", "--to", "base", "--dry-run"]);
    assert_says(&plan, "2 rows that were moved aside");
    let done = sandbox.ok(&["rollback", "--to", "base", "-y", "--json"]).json();
    let points = done["report"]["points"].as_array().expect("a list of points");
    let last = points.last().and_then(|point| point.as_str()).expect("a point");
    let shown = sandbox.ok(&["point", "show", last]);
    assert_says(&shown, "2 rows of 1 table");
    // They come back with the next up of the migration that makes the table.
    sandbox.ok(&["up", "-n", "1", "-y"]);
    assert_eq!(sandbox.value("SELECT count(*) FROM people"), "2");
}
