//! Walking back, through the binary: what was there before is there again, and nothing else is touched.

use std::collections::BTreeSet;
use std::process::ExitCode;

use walkback_tests::{Backend, ONE_OF_EACH, SERVERS, Sandbox, awkward, journeys};

fn main() -> ExitCode {
    walkback_tests::main(
        "rollback",
        &journeys! {
            ONE_OF_EACH => [
                a_dropped_column_and_a_dropped_table_come_back_without_a_down_script,
                a_rollback_can_itself_be_walked_back,
                rows_written_since_are_counted_before_a_full_rollback_and_kept_in_the_safety_point,
                a_broken_down_is_undone_and_another_way_is_taken,
                down_runs_the_authors_script_and_says_what_it_leaves_behind,
                an_older_checkout_walks_back_what_it_has_never_seen,
                a_stored_down_that_somebody_edited_in_the_database_is_refused,
                the_shop_goes_up_down_and_up_and_its_last_migration_comes_back_with_all_rows,
                a_backup_brings_back_the_whole_database_and_its_version,
                one_table_of_a_backup_comes_back_and_the_others_stay,
                a_child_table_that_still_refers_to_new_rows_stops_a_full_rollback_and_nothing_changes,
                a_script_outside_a_transaction_that_fails_is_undone_from_its_point,
                goto_redo_and_stamp_do_what_they_say,
                type_down_runs_the_script_and_nothing_else,
                a_loose_script_that_leaves_its_own_transaction_open_is_undone,
                what_a_new_table_is_filled_with_goes_with_it,
                what_was_applied_after_a_moment_is_walked_back_and_nothing_written_since_is_lost,
            ],
            SERVERS => [a_foreign_key_goes_with_the_index_that_the_server_made_for_it],
            &[Backend::Sqlite] => [a_table_rebuild_keeps_the_rows_of_children_that_would_cascade],
        },
    )
}

fn project(backend: Backend) -> Sandbox {
    Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"))
}

fn shop(backend: Backend) -> Sandbox {
    Sandbox::shop(backend, env!("CARGO_BIN_EXE_walkback-under-test"))
}

/// Creates a project with the awkward tables made by its first migration, and filled by an application.
fn awkward_project(backend: Backend) -> Sandbox {
    let sandbox = project(backend);
    sandbox.migration("001_begin", awkward::tables(backend), "");
    sandbox.ok(&["up", "-y"]);
    sandbox.sql(awkward::rows(backend));
    sandbox
}

fn a_dropped_column_and_a_dropped_table_come_back_without_a_down_script(backend: Backend) {
    let sandbox = awkward_project(backend);
    let before = sandbox.contents();
    sandbox.migration("002_drop", awkward::destruction(backend), "");
    sandbox.ok(&["up", "-y"]);
    assert_ne!(sandbox.contents(), before);
    let output = sandbox.ok(&["rollback", "-y"]);
    assert!(output.stdout.contains("surgical"), "{}", output.transcript());
    sandbox.assert_contents(&before, "");
    sandbox.assert_sound();
}

/// On MySQL and MariaDB the derived down leaves the index behind, and the index does not go before the foreign key.
fn a_foreign_key_goes_with_the_index_that_the_server_made_for_it(backend: Backend) {
    let sandbox = project(backend);
    let begin = "CREATE TABLE p (id INTEGER NOT NULL PRIMARY KEY);\n\
        CREATE TABLE c (id INTEGER NOT NULL PRIMARY KEY, p INTEGER);\nINSERT INTO p VALUES (1);\nINSERT INTO c VALUES (1, 1);";
    sandbox.migration("001_begin", begin, "");
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    let change = "ALTER TABLE c ADD CONSTRAINT c_of_p FOREIGN KEY (p) REFERENCES p (id);";
    sandbox.migration("002_refer", change, "");
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "after the rollback");
}

fn a_rollback_can_itself_be_walked_back(backend: Backend) {
    let sandbox = awkward_project(backend);
    sandbox.migration(
        "002_drop",
        "DROP TABLE keyless; UPDATE tag SET word = CONCAT(word, '!');",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO tag VALUES (3, 'written since')");
    let after_up = sandbox.contents();
    sandbox.ok(&["rollback", "-y"]);
    assert_ne!(sandbox.contents(), after_up);
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&after_up, "");
    let current = sandbox.ok(&["current", "--json"]).json();
    assert!(current.to_string().contains("002"), "{current}");
}

fn rows_written_since_are_counted_before_a_full_rollback_and_kept_in_the_safety_point(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(20)); INSERT INTO t VALUES (1, 'x');",
        "",
    );
    sandbox.migration("002_change", "UPDATE t SET a = upper(a);", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO t VALUES (2, 'new'), (3, 'new')");
    let plan = sandbox.ok(&["rollback", "--dry-run", "--json"]).json();
    assert!(plan.to_string().contains("\"rows\":2"), "{plan}");
    let refused = sandbox.run(&["rollback"]);
    assert_eq!(refused.code, Some(6), "{}", refused.transcript());
    sandbox.ok(&["rollback", "-n", "1", "--type", "full", "-y"]);
    assert_eq!(sandbox.value(&backend.joined("a", "t")), "x");
    sandbox.ok(&["rollback", "-y"]);
    // Which of them sorts first is the collation's business.
    let mut all: Vec<String> = sandbox
        .value(&backend.joined("a", "t"))
        .split(',')
        .map(str::to_owned)
        .collect();
    all.sort();
    assert_eq!(all, ["X", "new", "new"]);
}

fn a_broken_down_is_undone_and_another_way_is_taken(backend: Backend) {
    for (down, name) in [
        ("DROP TABLE nothing_of_that_name;", "it fails"),
        ("SELECT 1;", "it does nothing"),
        ("DROP TABLE t;", "it forgets the index of the other table"),
    ] {
        let sandbox = project(backend);
        sandbox.migration("001_begin", "CREATE TABLE s (a INTEGER);", "DROP TABLE s;");
        sandbox.ok(&["up"]);
        let before = sandbox.contents();
        sandbox.migration(
            "002_more",
            "CREATE TABLE t (id INTEGER PRIMARY KEY); CREATE INDEX s_a ON s (a);",
            down,
        );
        sandbox.ok(&["up"]);
        let output = sandbox.ok(&["rollback", "-y"]);
        sandbox.assert_contents(&before, &format!("{name}: {}", output.transcript()));
        assert!(
            output.stderr.contains("derived") || output.stdout.contains("derived"),
            "{name}: {}",
            output.transcript()
        );
    }
}

fn down_runs_the_authors_script_and_says_what_it_leaves_behind(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE s (a INTEGER); CREATE INDEX s_a ON s (a);",
        &format!("{};", backend.drop_index("s_a", "s")),
    );
    sandbox.ok(&["up"]);
    let output = sandbox.ok(&["down", "-y"]);
    assert!(
        output.stderr.contains("table `s` is left over"),
        "{}",
        output.transcript()
    );
}

fn an_older_checkout_walks_back_what_it_has_never_seen(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("001_begin", "CREATE TABLE a (x INTEGER);", "DROP TABLE a;");
    sandbox.ok(&["up"]);
    let before = sandbox.contents();
    sandbox.migration(
        "002_paired",
        "CREATE TABLE b (x INTEGER); INSERT INTO a VALUES (1);",
        "DROP TABLE b; DELETE FROM a;",
    );
    sandbox.migration(
        "003_derived",
        "CREATE TABLE c (x INTEGER); CREATE INDEX c_x ON c (x);",
        "",
    );
    sandbox.migration("004_destructive", "DROP TABLE b;", "");
    sandbox.ok(&["up", "-y"]);
    for name in ["002_paired", "003_derived", "004_destructive"] {
        sandbox.remove(&format!("migrations/{name}"));
    }
    let status = sandbox.run(&["status"]);
    assert!(
        status
            .stdout
            .contains("ahead of this checkout by 3 migrations; `walkback rollback -n 3`"),
        "{}",
        status.transcript()
    );
    sandbox.ok(&["rollback", "-n", "3", "-y"]);
    sandbox.assert_contents(&before, "");
    assert_eq!(sandbox.run(&["status", "--check"]).code, Some(0));
}

fn a_stored_down_that_somebody_edited_in_the_database_is_refused(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("001_begin", "CREATE TABLE a (x INTEGER);", "DROP TABLE a;");
    sandbox.ok(&["up"]);
    sandbox.remove("migrations/001_begin");
    sandbox.sql("UPDATE _walkback_migrations SET down_sql = 'DROP TABLE b;'");
    let output = sandbox.run(&["down", "-y"]);
    assert_eq!(output.code, Some(8), "{}", output.transcript());
    assert!(
        output.stderr.contains("does not match its hash"),
        "{}",
        output.transcript()
    );
}

fn the_shop_goes_up_down_and_up_and_its_last_migration_comes_back_with_all_rows(backend: Backend) {
    let sandbox = shop(backend);
    let listed = sandbox.ok(&["history", "--json"]).json();
    let all = listed.to_string().matches("\"pending\"").count();
    assert!(all >= 12, "{listed}");
    sandbox.ok(&["up", "-n", &(all - 1).to_string(), "-y"]);
    let before = sandbox.contents();
    assert!(before.rows["legacy_carts"].len() > 1000);
    sandbox.ok(&["up", "-y"]);
    assert!(!sandbox.contents().rows.contains_key("legacy_carts"));
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "");
    sandbox.ok(&["down", "--to", "base", "-y"]);
    assert!(
        sandbox.contents().definitions.is_empty(),
        "{:?}",
        sandbox.contents().definitions
    );
    sandbox.ok(&["up", "-n", &(all - 1).to_string(), "-y"]);
    sandbox.assert_contents(&before, "");
}

fn a_backup_brings_back_the_whole_database_and_its_version(backend: Backend) {
    let sandbox = shop(backend);
    sandbox.ok(&["up", "-n", "8", "-y"]);
    let before = sandbox.contents();
    let id = sandbox.backup();
    sandbox.ok(&["backup", "verify", &id]);
    sandbox.sql("DELETE FROM order_items; DELETE FROM orders; UPDATE reviews SET customer_id = NULL; CREATE TABLE made_by_hand (x INTEGER);");
    sandbox.ok(&["restore", &id, "-y"]);
    sandbox.assert_contents(&before, "");
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["rollback", "--backup-file", &id, "-y"]);
    sandbox.assert_contents(&before, "");
    let status = sandbox.status();
    assert_eq!(status["applied"], 8, "{status}");
}

fn one_table_of_a_backup_comes_back_and_the_others_stay(backend: Backend) {
    let sandbox = awkward_project(backend);
    let before = sandbox.contents();
    let id = sandbox.backup();
    sandbox.sql("DELETE FROM keyless; INSERT INTO log VALUES ('stays')");
    sandbox.ok(&["restore", &id, "--table", "keyless", "-y"]);
    let after = sandbox.contents();
    assert_eq!(after.rows["keyless"], before.rows["keyless"]);
    assert!(after.rows["log"].iter().any(|row| row.contains("stays")));
    // A backup is made of some tables as it is restored: by `--table`, or by their names alone.
    let made = sandbox.ok(&[
        "backup", "create", "--table", "keyless", "log", "--table", "tag", "--json",
    ]);
    let id = made.json()["backup"]["id"]
        .as_str()
        .expect("it has an id")
        .to_owned();
    let held = sandbox.ok(&["backup", "show", &id, "--json"]).json();
    let held: BTreeSet<_> = held["point"]["tables"]
        .as_array()
        .expect("it holds tables")
        .iter()
        .map(|table| table.to_string())
        .collect();
    assert_eq!(held.len(), 3, "{held:?}");
    for name in ["keyless", "log", "tag"] {
        assert!(held.iter().any(|table| table.contains(name)), "{held:?}");
    }
}

fn a_child_table_that_still_refers_to_new_rows_stops_a_full_rollback_and_nothing_changes(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE parent (id INTEGER PRIMARY KEY, a VARCHAR(20)); CREATE TABLE child (p INTEGER, FOREIGN KEY (p) REFERENCES parent (id));",
        "",
    );
    sandbox.migration("002_change", "UPDATE parent SET a = 'x';", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO parent VALUES (7, 'new'); INSERT INTO child VALUES (7);");
    let before = sandbox.contents();
    let output = sandbox.run(&["rollback", "-n", "1", "--type", "full", "-y"]);
    assert_eq!(output.code, Some(1), "{}", output.transcript());
    assert!(
        output.stderr.contains("child") && output.stderr.contains("parent"),
        "{}",
        output.transcript()
    );
    sandbox.assert_contents(&before, "");
}

fn a_table_rebuild_keeps_the_rows_of_children_that_would_cascade(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE p (id INTEGER PRIMARY KEY, a VARCHAR(20)); CREATE TABLE c (p INTEGER REFERENCES p (id) ON DELETE CASCADE);\n\
         INSERT INTO p VALUES (1, 'x'); INSERT INTO c VALUES (1);",
        "",
    );
    sandbox.migration(
        "002_rebuild",
        "CREATE TABLE new_p (id INTEGER PRIMARY KEY, a VARCHAR(20) NOT NULL);\nINSERT INTO new_p SELECT * FROM p;\n\
         DROP TABLE p;\nALTER TABLE new_p RENAME TO p;",
        "",
    );
    sandbox.ok(&["up", "-n", "1", "-y"]);
    let before = sandbox.contents();
    sandbox.ok(&["up", "-y"]);
    assert_eq!(sandbox.value("SELECT count(*) FROM c"), "1");
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "");
}

fn a_script_outside_a_transaction_that_fails_is_undone_from_its_point(backend: Backend) {
    let sandbox = awkward_project(backend);
    let before = sandbox.contents();
    sandbox.migration(
        "002_loose",
        "-- walkback: transaction=off\nDROP TABLE keyless;\nUPDATE tag SET word = 'lost' WHERE word = 'a';\nCREATE TABLE keyless (z INTEGER);\nDROP TABLE no_such_table;",
        "",
    );
    let output = sandbox.run(&["up", "-y"]);
    assert_eq!(output.code, Some(1), "{}", output.transcript());
    sandbox.assert_contents(&before, "");
    assert_eq!(sandbox.run(&["recover"]).code, Some(0));
    sandbox.remove("migrations/002_loose");
    sandbox.ok(&["up"]);
}

fn goto_redo_and_stamp_do_what_they_say(backend: Backend) {
    let sandbox = shop(backend);
    sandbox.ok(&["up", "-n", "10", "-y"]);
    let ten = sandbox.contents();
    sandbox.ok(&["goto", "20240219", "-y"]);
    assert_eq!(sandbox.status()["applied"], 5);
    sandbox.ok(&["goto", "20240603", "-y"]);
    sandbox.assert_contents(&ten, "");
    sandbox.ok(&["redo", "-y"]);
    sandbox.assert_contents(&ten, "");
    sandbox.ok(&["stamp", "base", "-y"]);
    assert_eq!(sandbox.status()["applied"], 0);
    sandbox.assert_contents(&ten, "");
    sandbox.ok(&["stamp", "20240603", "-y"]);
    assert_eq!(sandbox.status()["applied"], 10);
}

fn type_down_runs_the_script_and_nothing_else(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("001_begin", "CREATE TABLE s (a INTEGER);", "DROP TABLE s;");
    sandbox.migration(
        "002_fails",
        "CREATE TABLE t (a INTEGER);",
        "DROP TABLE nothing_of_that_name;",
    );
    sandbox.ok(&["up"]);
    let before = sandbox.contents();
    let output = sandbox.run(&["rollback", "-n", "1", "--type", "down", "-y"]);
    assert_eq!(output.code, Some(1), "{}", output.transcript());
    sandbox.assert_contents(&before, "");
    sandbox.migration("002_fails", "CREATE TABLE t (a INTEGER);", "SELECT 1;");
    let output = sandbox.ok(&["rollback", "-n", "1", "--type", "down", "-y"]);
    assert!(
        output.stderr.contains("table `t` is left over"),
        "{}",
        output.transcript()
    );
    assert_eq!(sandbox.status()["applied"], 1);
}

fn a_loose_script_that_leaves_its_own_transaction_open_is_undone(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("001_begin", "CREATE TABLE s (a INTEGER);", "DROP TABLE s;");
    sandbox.ok(&["up"]);
    let before = sandbox.contents();
    for script in [
        "CREATE TABLE t (a INTEGER);\nBEGIN;\nINSERT INTO s VALUES (1);",
        "CREATE TABLE t (a INTEGER);\nBEGIN;\nINSERT INTO s VALUES (1);\nINSERT INTO nowhere VALUES (1);\nCOMMIT;",
    ] {
        sandbox.migration(
            "002_loose",
            &format!("-- walkback: transaction=off\n{script}"),
            "",
        );
        let output = sandbox.run(&["up", "-y"]);
        assert_eq!(output.code, Some(1), "{}", output.transcript());
        sandbox.assert_contents(&before, &output.transcript());
    }
    let whole = "-- walkback: transaction=off\nCREATE TABLE t (a INTEGER);\nBEGIN;\nINSERT INTO s VALUES (1);\nCOMMIT;";
    sandbox.migration("002_loose", whole, "");
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "");
}

fn what_a_new_table_is_filled_with_goes_with_it(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("001_begin", "CREATE TABLE s (a INTEGER);", "");
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    sandbox.migration(
        "002_colors",
        "CREATE TABLE colors (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(20));\n\
         INSERT INTO colors VALUES (1, 'red'), (2, 'green');\nUPDATE colors SET name = 'blue' WHERE id = 2;",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let filled = sandbox.contents();
    let down = sandbox.ok(&["down", "-y", "--json"]).json();
    assert_eq!(down["plan"]["steps"][0]["origin"], "derived", "{down}");
    sandbox.assert_contents(&before, "after the derived way back");
    sandbox.ok(&["up", "-y"]);
    // Rows that were there before have no derived inverse, in the same script or not.
    sandbox.migration(
        "003_more",
        "CREATE TABLE shades (id INTEGER NOT NULL PRIMARY KEY);\nINSERT INTO colors VALUES (3, 'grey');",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    assert_eq!(
        sandbox.run(&["down", "-y"]).code,
        Some(2),
        "nobody knows what to run"
    );
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    sandbox.assert_contents(&filled, "after the rollback");
}

fn what_was_applied_after_a_moment_is_walked_back_and_nothing_written_since_is_lost(backend: Backend) {
    let sandbox = project(backend);
    let moment = || {
        std::thread::sleep(std::time::Duration::from_millis(5));
        let now = chrono::Utc::now().to_rfc3339();
        std::thread::sleep(std::time::Duration::from_millis(5));
        now
    };
    let before_all = moment();
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, a VARCHAR(40));\nINSERT INTO t VALUES (1, 'one'), (2, 'two');",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let between = moment();
    sandbox.migration("002_rows", "UPDATE t SET a = 'migrated' WHERE id = 1;", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.migration(
        "003_more",
        "CREATE TABLE more (id INTEGER NOT NULL PRIMARY KEY);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("UPDATE t SET a = 'since' WHERE id = 2");
    sandbox.sql("INSERT INTO t VALUES (3, 'new')");
    sandbox.write("new.csv", "id,a\n4,loaded\n");
    sandbox.ok(&["load", "t", "new.csv", "-y"]);
    let after = moment();
    let nothing = sandbox.run(&["rollback", "--to-time", &after, "-y"]);
    assert_eq!(nothing.code, Some(2), "{}", nothing.transcript());
    assert!(
        nothing.stderr.contains("no migration was applied after"),
        "{}",
        nothing.transcript()
    );
    let to_come = sandbox.run(&["rollback", "--to-time", "2999-01-01 00:00:00", "-y"]);
    assert_eq!(to_come.code, Some(2), "{}", to_come.transcript());
    assert!(
        to_come.stderr.contains("is still to come"),
        "{}",
        to_come.transcript()
    );
    let back = sandbox.ok(&["rollback", "--to-time", &between, "-y"]);
    assert_eq!(sandbox.status()["applied"], 1, "{}", back.transcript());
    assert!(
        back.stderr.contains("(load) did after that moment stays"),
        "{}",
        back.transcript()
    );
    for (id, a) in [(1, "one"), (2, "since"), (3, "new"), (4, "loaded")] {
        assert_eq!(sandbox.value(&format!("SELECT a FROM t WHERE id = {id}")), a);
    }
    // Brought back it was applied again, after that moment.
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.status()["applied"], 3);
    let plan = sandbox
        .ok(&["rollback", "--to-time", &between, "--dry-run", "--json"])
        .json();
    assert_eq!(plan["plan"]["steps"].as_array().map(Vec::len), Some(2), "{plan}");
    sandbox.ok(&["rollback", "--to-time", &before_all, "-y"]);
    assert_eq!(sandbox.status()["applied"], 0);
}
