//! What is refused, and what is left to a point.

use walkback_tests::Backend;

use super::{aside, assert_says, bare, project, visible};

pub(super) fn a_new_table_of_that_name_is_refused_and_nothing_is_changed(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    sandbox.migration("002_drop", "DROP TABLE t;", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("CREATE TABLE t (id INTEGER PRIMARY KEY)");
    let with_new = sandbox.contents();
    let refused = sandbox.run(&["rollback", "-y"]);
    assert_eq!(refused.code, Some(6), "{}", refused.transcript());
    assert_says(&refused, "there is another table `t` now");
    assert_says(&refused, "rename the new table or drop it");
    sandbox.assert_contents(&with_new, "");
    sandbox.sql("DROP TABLE t");
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "");
}

pub(super) fn a_table_that_cannot_come_back_stays_aside(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("002_drop", "DROP TABLE t;", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("DELETE FROM parent WHERE id = 2");
    let before = visible(&sandbox);
    let failed = sandbox.run(&["rollback", "-y"]);
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    assert_eq!(visible(&sandbox).rows, before.rows, "{}", failed.transcript());
    assert_eq!(aside(&sandbox).len(), 1, "{}", failed.transcript());
    sandbox.sql("INSERT INTO parent VALUES (2, 'again')");
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.value("SELECT count(*) FROM t"), "3");
    sandbox.assert_sound();
}

pub(super) fn what_the_server_refuses_to_drop_is_refused(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    sandbox.migration("002_drop", "DROP TABLE nowhere;", "");
    let refused = sandbox.run(&["up", "-y"]);
    assert_eq!(refused.code, Some(1), "{}", refused.transcript());
    assert_says(&refused, "nowhere");
    sandbox.assert_contents(&before, "");
    sandbox.migration(
        "002_drop",
        "DROP TABLE IF EXISTS nowhere;\nDROP TABLE parent;",
        "",
    );
    let refused = sandbox.run(&["up", "-y"]);
    assert_eq!(refused.code, Some(1), "{}", refused.transcript());
    sandbox.assert_contents(&before, "a table that another one refers to");
    assert!(aside(&sandbox).is_empty());
    sandbox.ok(&["status"]);
}

/// `--unattended` dropped the only way back of a table for good.
pub(super) fn nothing_goes_before_its_deadline_unless_it_may_be_destroyed(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    sandbox.migration("002_drop", "DROP TABLE t;", "");
    sandbox.ok_at("2027-01-01T00:00:00Z", &["up", "-y"]);
    let early = ("2027-01-02T00:00:00Z", ["purge", "--all", "--unattended"]);
    let refused = sandbox.at(early.0, &early.1);
    assert_eq!(refused.code, Some(6), "{}", refused.transcript());
    assert_says(&refused, "drop 1 table for good before the deadline");
    assert_says(&refused, "2027-01-31");
    assert_says(&refused, "--allow-destructive");
    // Without `--all` there is nothing to refuse yet.
    let nothing = sandbox.ok_at(early.0, &["purge", "--unattended"]);
    assert_says(&nothing, "nothing to purge");
    assert_eq!(aside(&sandbox).len(), 1);
    sandbox.ok_at(early.0, &["rollback", "-y"]);
    sandbox.assert_contents(&before, "it could be walked back");
    sandbox.ok_at("2027-01-03T00:00:00Z", &["up", "-y"]);
    sandbox.policy("destructive = \"refuse\"");
    let refused = sandbox.at("2027-01-04T00:00:00Z", &["purge", "--all", "-y"]);
    assert_eq!(refused.code, Some(6), "{}", refused.transcript());
    assert_eq!(aside(&sandbox).len(), 1);
    // What has passed its deadline is what a purge is for, in a job at night too.
    let late = sandbox.ok_at("2027-03-01T00:00:00Z", &["purge", "--all", "--unattended"]);
    assert_says(&late, "dropped 1 table for good");
    assert!(aside(&sandbox).is_empty());
}

/// `restore --unattended` took away what was written since, without a word.
pub(super) fn unattended_a_restore_loses_nothing(backend: Backend) {
    let sandbox = project(backend);
    let backup = sandbox.backup();
    // Nothing was written since, so nothing is lost.
    sandbox.ok(&["restore", &backup, "--unattended"]);
    sandbox.sql("INSERT INTO parent VALUES (6, 'written since')");
    let before = visible(&sandbox);
    let refused = sandbox.run(&["restore", &backup, "--unattended"]);
    assert_eq!(refused.code, Some(6), "{}", refused.transcript());
    assert_says(&refused, "loses from `parent`: 1 row more than then");
    assert_says(&refused, "this would take back 1 rows written since");
    assert_says(&refused, "--allow-lossy");
    assert_eq!(visible(&sandbox).rows, before.rows, "{}", refused.transcript());
    sandbox.ok(&["restore", &backup, "--table", "t", "--unattended"]);
    sandbox.ok(&["restore", &backup, "--unattended", "--allow-lossy"]);
    assert_eq!(sandbox.value("SELECT count(*) FROM parent"), "2");
}

pub(super) fn a_child_whose_rows_would_lead_nowhere_is_refused(backend: Backend) {
    let sandbox = project(backend);
    sandbox.sql("CREATE VIEW v AS SELECT * FROM parent");
    sandbox.sql("DELETE FROM t");
    let before = sandbox.contents();
    // Without rows that refer to it, SQLite drops it, and leaves the view and the key behind.
    sandbox.migration("002_drop", "DROP TABLE parent;", "");
    sandbox.ok(&["up", "-y"]);
    assert_eq!(aside(&sandbox).len(), 1);
    let sql = sandbox.value("SELECT sql FROM sqlite_schema WHERE name = 't'");
    assert!(sql.contains("REFERENCES parent"), "{sql}");
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "");
}

pub(super) fn a_virtual_table_is_not_moved(backend: Backend) {
    let sandbox = bare(backend);
    sandbox.migration("001_begin", "CREATE VIRTUAL TABLE words USING fts5(word);", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.migration("002_drop", "DROP TABLE words;", "");
    let plan = sandbox.ok(&["up", "--dry-run"]);
    assert_says(&plan, "not moved aside: `words` is a virtual table");
    sandbox.ok(&["up", "-y"]);
    assert!(aside(&sandbox).is_empty());
}
