//! What plans say, and what decides.

use walkback_tests::Backend;

use super::{aside, assert_says, bare, configure, project};

pub(super) fn the_plan_says_how_each_statement_is_protected(backend: Backend) {
    let sandbox = project(backend);
    let script = format!("{};\nDROP TABLE t;", backend.drop_index("t_b", "t"));
    sandbox.migration("002_drop", &script, "");
    let before = sandbox.contents();
    let text = sandbox.ok(&["up", "--dry-run"]);
    assert_says(&text, "drops table `t`");
    assert_says(&text, "moved aside for 30 days");
    assert!(
        !text.stdout.contains("the rows of"),
        "no row is read: {}",
        text.transcript()
    );
    let plan = sandbox.ok(&["up", "--dry-run", "--json"]).json();
    let statements = &plan["plan"]["steps"][0]["statements"];
    assert_eq!(statements[1]["protection"]["by"], "soft_delete", "{statements}");
    assert_eq!(statements[0]["protection"]["by"], "definition", "{statements}");
    assert_eq!(statements[1]["protection"]["keep"], "30 days", "{statements}");
    assert_eq!(plan["plan"]["point"]["scope"], "none", "{plan}");
    sandbox.assert_contents(&before, "a plan changes nothing");
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "with the index that was dropped by itself");
}

pub(super) fn what_needs_a_point_besides_keeps_everything_in_it(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    sandbox.migration(
        "002_mixed",
        "UPDATE parent SET name = 'changed';\nDROP TABLE t;",
        "",
    );
    let text = sandbox.ok(&["up", "--dry-run"]);
    assert_says(
        &text,
        "kept in the point, not moved aside: the same script updates `parent`",
    );
    let plan = sandbox.ok(&["up", "--dry-run", "--json"]).json();
    let protection = &plan["plan"]["steps"][0]["statements"][1]["protection"];
    assert_eq!(protection["by"], "vault", "{plan}");
    sandbox.ok(&["up", "-y"]);
    assert!(aside(&sandbox).is_empty());
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "");
}

pub(super) fn a_table_may_be_split_before_it_is_dropped(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    sandbox.migration(
        "002_split",
        "CREATE TABLE names (id INTEGER PRIMARY KEY, name VARCHAR(20));\n\
         INSERT INTO names SELECT id, a FROM t;\nDROP TABLE t;",
        "",
    );
    let plan = sandbox.ok(&["up", "--dry-run"]);
    assert_says(&plan, "moved aside for 30 days");
    sandbox.ok(&["up", "-y"]);
    assert_eq!(sandbox.value("SELECT count(*) FROM names"), "3");
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "");
    // What takes the place of the table may be written to: its point lets that stay.
    sandbox.migration(
        "002_split",
        "CREATE TABLE n (id INTEGER PRIMARY KEY);\nINSERT INTO n SELECT id FROM t;\nDROP TABLE t;\n\
         ALTER TABLE n RENAME TO t;",
        "",
    );
    let plan = sandbox.ok(&["up", "--dry-run"]);
    assert_says(&plan, "not moved aside: the same script inserts into `n`");
}

pub(super) fn a_script_may_say_otherwise_and_what_nobody_knows_is_refused(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    sandbox.migration("002_drop", "-- walkback: protect=vault\nDROP TABLE t;", "");
    let up = sandbox.ok(&["up", "-y"]);
    assert_says(&up, "kept what was there in");
    assert!(aside(&sandbox).is_empty());
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "");
    sandbox.migration("002_drop", "-- walkback: protect=backup-table\nDROP TABLE t;", "");
    sandbox.ok(&["up", "-y"]);
    assert_eq!(aside(&sandbox).len(), 1);
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "");
    let other = bare(backend);
    let path = other.path("walkback.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    for (protect, more, says) in [
        ("softly", "", "`softly` is no protection"),
        (
            "backup-table",
            "soft_delete = \"0s\"\n",
            "keeps backup tables for `soft_delete`, and that is",
        ),
        (
            "soft-delete",
            "soft_delete = \"0s\"\n",
            "keeps dropped tables for `soft_delete`, and that is",
        ),
    ] {
        let changed = text.replace(
            "protect = \"soft-delete\"\n",
            &format!("protect = \"{protect}\"\n{more}"),
        );
        std::fs::write(&path, changed).unwrap();
        let refused = other.run(&["up", "-y"]);
        assert_eq!(refused.code, Some(2), "{}", refused.transcript());
        assert_says(&refused, says);
    }
    // A script of its own may be protected where the environment does not say so.
    std::fs::write(&path, text.replace("protect = \"soft-delete\"\n", "")).unwrap();
    other.migration("001_begin", "CREATE TABLE t (id INTEGER PRIMARY KEY);", "");
    other.migration("002_drop", "-- walkback: protect=soft-delete\nDROP TABLE t;", "");
    other.ok(&["up", "-y"]);
    assert_eq!(aside(&other).len(), 1);
}

pub(super) fn no_vault_is_needed(backend: Backend) {
    let sandbox = bare(backend);
    configure(&sandbox, "soft_delete = \"2h\"\n");
    let path = sandbox.path("walkback.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("stores = [\"local\"]", "stores = []")).unwrap();
    sandbox.migration("001_begin", "CREATE TABLE t (id INTEGER PRIMARY KEY);", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO t VALUES (1), (2)");
    let before = sandbox.contents();
    sandbox.migration("002_drop", "DROP TABLE t;", "");
    let plan = sandbox.ok(&["up", "--dry-run"]);
    assert_says(&plan, "moved aside for 2 hours");
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "");
}
