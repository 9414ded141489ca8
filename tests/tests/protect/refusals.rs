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
