//! One run after another, some of which fail or are killed.

use walkback_tests::Backend;

use super::project;

pub(super) fn a_down_that_proves_unsound_after_other_steps_gives_way_to_a_sounder_one(backend: Backend) {
    let sandbox = project(backend);
    let table = "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(20)); INSERT INTO t VALUES (1, 'x');";
    sandbox.migration("001_begin", table, "DROP TABLE t;");
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    sandbox.migration("002_index", "CREATE INDEX t_a ON t (a);", "DROP TABLE t;");
    sandbox.migration("003_table", "CREATE TABLE u (a INTEGER);", "DROP TABLE t;");
    sandbox.migration("004_delete", "DELETE FROM t;", "");
    sandbox.ok(&["up", "-y"]);
    let output = sandbox.ok(&["rollback", "-n", "3", "-y"]);
    sandbox.assert_contents(&before, &output.transcript());
    assert!(
        output.stderr.contains("does not lead back"),
        "{}",
        output.transcript()
    );
    assert_eq!(sandbox.status()["applied"], 1);
    sandbox.assert_sound();
}

pub(super) fn a_migration_that_changes_walkbacks_own_tables_is_refused(backend: Backend) {
    let trigger = backend.trigger("mine", "AFTER INSERT", "_walkback_ledger", "DELETE FROM t");
    let quoted = format!(
        "UPDATE {} SET down_sql = NULL;",
        backend.quoted("_walkback_migrations")
    );
    let mut changes = vec![
        "DELETE FROM _walkback_ledger;",
        "DROP TABLE _walkback_runs;",
        &quoted,
    ];
    if !backend.is_postgres() {
        // Its function comes first there, in a statement of its own.
        changes.push(&trigger);
    }
    if backend == Backend::Sqlite {
        changes.push("UPDATE \"_WALKBACK_migrations\" SET down_sql = NULL;");
    }
    for change in changes {
        let sandbox = project(backend);
        sandbox.migration("001_begin", "CREATE TABLE t (a INTEGER);", "");
        sandbox.ok(&["up"]);
        sandbox.migration("002_change", change, "");
        let output = sandbox.run(&["up", "-y"]);
        assert_eq!(output.code, Some(2), "{}", output.transcript());
        assert!(output.stderr.contains("up.sql:1"), "{}", output.transcript());
    }
}

pub(super) fn a_goto_that_goes_down_and_up_is_walked_back_with_what_its_ups_changed(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (a INTEGER); CREATE TABLE s (a VARCHAR(20)); INSERT INTO t VALUES (1);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.write(
        "migrations/002_left/up.sql",
        "-- walkback: parents=001\nINSERT INTO s VALUES ('left');",
    );
    sandbox.write("migrations/002_left/down.sql", "DELETE FROM s WHERE a = 'left';");
    sandbox.write(
        "migrations/003_right/up.sql",
        "-- walkback: parents=001\nUPDATE t SET a = a + 1;",
    );
    sandbox.ok(&["up", "--to", "002", "-y"]);
    let before = sandbox.contents();
    let output = sandbox.ok(&["goto", "003", "-y"]);
    assert_eq!(sandbox.value("SELECT a FROM t"), "2", "{}", output.transcript());
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "");
    assert!(sandbox.ok(&["current"]).stdout.contains("002"));
}

pub(super) fn a_stamp_is_not_walked_back_by_scripts_and_forgets_the_point_of_another_time(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1);",
        "DROP TABLE t;",
    );
    sandbox.migration("002_change", "UPDATE t SET a = a + 1;", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    sandbox.sql("UPDATE t SET a = 50");
    sandbox.ok(&["stamp", "002", "-y"]);
    let before = sandbox.contents();
    let output = sandbox.run(&["rollback", "-y"]);
    assert_ne!(output.code, Some(0), "{}", output.transcript());
    assert!(
        output.stderr.contains("walkback stamp"),
        "{}",
        output.transcript()
    );
    let output = sandbox.run(&["rollback", "-n", "1", "-y"]);
    assert_eq!(output.code, Some(6), "{}", output.transcript());
    sandbox.assert_contents(&before, "");
}

pub(super) fn a_rollback_after_a_killed_run_walks_back_that_run_and_no_other(backend: Backend) {
    let setup = || {
        let sandbox = project(backend);
        sandbox.migration("001_begin", "CREATE TABLE a (x INTEGER);", "DROP TABLE a;");
        sandbox.ok(&["up"]);
        sandbox.migration("002_more", "CREATE TABLE b (x INTEGER);", "DROP TABLE b;");
        sandbox.migration("003_more", "CREATE TABLE c (x INTEGER);", "DROP TABLE c;");
        sandbox
    };
    for step in 1.. {
        let sandbox = setup();
        if sandbox.killed_at(step, &["up", "-y"]).is_none() {
            assert!(step > 3);
            return;
        }
        if backend.is_mysql() {
            // A script is not one transaction there, and may be half done.
            sandbox.ok(&["recover", "-y"]);
        }
        let applied = sandbox.status()["applied"].as_u64().expect("a count");
        if applied == 1 {
            continue;
        }
        sandbox.ok(&["rollback", "-y"]);
        assert_eq!(sandbox.status()["applied"], 1, "killed at step {step}");
    }
}

pub(super) fn going_back_to_a_point_that_does_not_hold_what_later_migrations_changed_is_refused(
    backend: Backend,
) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE a (x INTEGER); CREATE TABLE b (x INTEGER); INSERT INTO a VALUES (1); INSERT INTO b VALUES (1);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.migration("002_a", "UPDATE a SET x = 2;", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.migration("003_b", "UPDATE b SET x = 2;", "");
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    let points = sandbox.ok(&["point", "list", "--json"]).json();
    let id = points["points"]
        .as_array()
        .expect("points")
        .iter()
        .filter_map(|point| point["id"].as_str())
        .find(|id| id.starts_with("rb_002"))
        .expect("the point before 002")
        .to_owned();
    let output = sandbox.run(&["rollback", &id, "-y"]);
    assert_ne!(output.code, Some(0), "{}", output.transcript());
    sandbox.assert_contents(&before, "");
    sandbox.ok(&["rollback", "--to", "001", "-y"]);
    assert_eq!(sandbox.value("SELECT a.x + b.x FROM a, b"), "2");
}

pub(super) fn a_loose_addition_that_fails_half_way_is_undone_and_earlier_migrations_of_the_run_stay(
    backend: Backend,
) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.migration("002_change", "UPDATE t SET a = 2;", "");
    sandbox.migration(
        "003_loose",
        "-- walkback: transaction=off\nCREATE TABLE one (x INTEGER);\nALTER TABLE t ADD COLUMN b INTEGER;\nCREATE TABLE one (x INTEGER);",
        "",
    );
    let output = sandbox.run(&["up", "-y"]);
    assert_eq!(output.code, Some(1), "{}", output.transcript());
    assert_eq!(sandbox.value("SELECT a FROM t"), "2");
    assert_eq!(sandbox.status()["applied"], 2);
    let contents = sandbox.contents();
    assert!(!contents.rows.contains_key("one"), "{contents:?}");
    assert!(
        contents.rows["t"].iter().all(|row| !row.contains("b=")),
        "{contents:?}"
    );
}

pub(super) fn rows_changed_under_another_name_come_back_when_a_loose_script_fails(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(20)); INSERT INTO t VALUES (1, 'x'), (2, 'y');",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    sandbox.migration(
        "002_rename",
        "-- walkback: transaction=off\nALTER TABLE t RENAME TO q;\nUPDATE q SET a = 'lost' WHERE id = 1;\n\
         INSERT INTO nowhere VALUES (1);",
        "",
    );
    let output = sandbox.run(&["up", "-y"]);
    assert_eq!(output.code, Some(1), "{}", output.transcript());
    sandbox.assert_contents(&before, &output.transcript());
    sandbox.assert_sound();
}

pub(super) fn a_killed_loose_addition_after_another_migration_is_recovered_to_between_them(backend: Backend) {
    for step in 1.. {
        let sandbox = project(backend);
        sandbox.migration(
            "001_begin",
            "CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1);",
            "",
        );
        sandbox.ok(&["up", "-y"]);
        sandbox.migration("002_change", "UPDATE t SET a = 2;", "");
        sandbox.migration(
            "003_loose",
            "-- walkback: transaction=off\nCREATE TABLE one (x INTEGER);\nCREATE TABLE two (x INTEGER);",
            "",
        );
        if sandbox.killed_at(step, &["up", "-y"]).is_none() {
            assert!(step > 5);
            return;
        }
        let output = sandbox.run(&["recover", "-y"]);
        assert_eq!(output.code, Some(0), "step {step}: {}", output.transcript());
        let applied = sandbox.status()["applied"].as_u64().expect("a count");
        let a = sandbox.value("SELECT a FROM t");
        assert_eq!(a, if applied >= 2 { "2" } else { "1" }, "step {step}");
        let tables = sandbox.contents().rows.len();
        assert_eq!(tables, if applied == 3 { 3 } else { 1 }, "step {step}");
    }
}

pub(super) fn a_down_that_takes_rows_the_application_wrote_is_not_taken_for_lossless(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (a VARCHAR(20)); INSERT INTO t VALUES ('old');",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.migration("002_fill", "INSERT INTO t VALUES ('filled');", "DELETE FROM t;");
    sandbox.ok(&["up", "-y"]);
    let output = sandbox.ok(&["rollback", "-y"]);
    assert_eq!(
        sandbox.value(&backend.joined("a", "t")),
        "old",
        "{}",
        output.transcript()
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO t VALUES ('since')");
    let output = sandbox.run(&["rollback"]);
    assert_eq!(output.code, Some(6), "{}", output.transcript());
}

pub(super) fn a_down_that_drops_what_the_up_found_there_already_is_undone(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (a VARCHAR(20)); INSERT INTO t VALUES ('old'); CREATE INDEX t_a ON t (a);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    sandbox.migration(
        "002_again",
        "CREATE TABLE IF NOT EXISTS t (a VARCHAR(20)); CREATE TABLE s (a VARCHAR(20));",
        "DROP TABLE s; DROP TABLE t;",
    );
    sandbox.ok(&["up", "-y"]);
    let output = sandbox.run(&["rollback", "-y"]);
    assert_eq!(
        sandbox.contents().rows.get("t"),
        before.rows.get("t"),
        "{}",
        output.transcript()
    );
}

pub(super) fn a_full_rollback_of_a_loose_script_leaves_tables_it_never_touched_alone(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (a INTEGER); CREATE TABLE s (a VARCHAR(20)); INSERT INTO t VALUES (1);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.migration(
        "002_loose",
        "-- walkback: transaction=off\nUPDATE t SET a = 2;",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO s VALUES ('since'); INSERT INTO t VALUES (3)");
    let before = sandbox.contents();
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.value(&backend.joined("a", "t")), "1");
    assert_eq!(sandbox.value(&backend.joined("a", "s")), "since");
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "");
}

pub(super) fn a_write_between_the_point_and_the_migration_is_not_lost(_: Backend) {
    let sandbox = project(Backend::Sqlite);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (a); WITH RECURSIVE n (a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n WHERE a < 200000) INSERT INTO t SELECT a FROM n;",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("PRAGMA journal_mode = wal");
    sandbox.migration("002_change", "UPDATE t SET a = -a WHERE a > 0;", "");
    let mut child = sandbox.spawn(&["up", "-y"]);
    let application = sandbox.database();
    application
        .busy_timeout(std::time::Duration::from_secs(20))
        .expect("a timeout");
    application
        .execute_batch("CREATE TABLE written (a)")
        .expect("a table");
    // Rows of 0 are those of the application; what it had written before the migration has to come back.
    let mut before = 0;
    while child.try_wait().expect("a child").is_none() {
        let rolled: i64 = application
            .query_row(
                "SELECT count(*) FROM (SELECT 1 FROM t WHERE a < 0 LIMIT 1)",
                [],
                |row| row.get(0),
            )
            .expect("a count");
        if rolled > 0 {
            break;
        }
        application
            .execute_batch("INSERT INTO t SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM t WHERE a < 0)")
            .expect("a row");
        before = application
            .query_row("SELECT count(*) FROM t WHERE a = 0", [], |row| {
                row.get::<_, i64>(0)
            })
            .expect("a count");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(child.wait().expect("it ends").success());
    assert!(before > 0);
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    assert_eq!(
        sandbox.value("SELECT count(*) FROM t WHERE a = 0"),
        before.to_string()
    );
}

pub(super) fn restoring_one_branch_does_not_undo_the_other(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1);",
        "",
    );
    sandbox.migration(
        "002_left",
        "-- walkback: parents=001\nUPDATE t SET a = a + 10;",
        "",
    );
    sandbox.migration(
        "003_right",
        "-- walkback: parents=001\nUPDATE t SET a = a + 100;",
        "",
    );
    sandbox.ok(&["up", "--to", "003", "-y"]);
    sandbox.ok(&["up", "--to", "heads", "-y"]);
    let before = sandbox.contents();
    assert_eq!(sandbox.value("SELECT a FROM t"), "111");
    let output = sandbox.run(&["rollback", "-n", "1", "-y"]);
    assert_ne!(output.code, Some(0), "{}", output.transcript());
    sandbox.assert_contents(&before, &output.transcript());
    sandbox.ok(&["rollback", "--to", "001", "-y"]);
    assert_eq!(sandbox.value("SELECT a FROM t"), "1");
}

pub(super) fn restoring_a_backup_of_the_same_version_is_what_the_next_rollback_walks_back(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1);",
        "DROP TABLE t;",
    );
    sandbox.ok(&["up", "-y"]);
    let id = sandbox.backup();
    sandbox.sql("INSERT INTO t VALUES (2)");
    let before = sandbox.contents();
    sandbox.ok(&["rollback", "--backup-file", &id, "-y"]);
    assert_eq!(sandbox.value("SELECT count(*) FROM t"), "1");
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "");
}

/// The plan says that nothing is lost, then the down fails, and the next means would be the point.
pub(super) fn a_down_that_fails_gives_way_to_nothing_that_loses_what_was_not_shown(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(20)); INSERT INTO t VALUES (1, 'old');\n\
         CREATE TABLE other (n INTEGER);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let begun = sandbox.contents();
    sandbox.migration(
        "002_change",
        "CREATE VIEW v AS SELECT * FROM t; INSERT INTO t VALUES (2, 'migration');\n\
         ALTER TABLE other RENAME COLUMN n TO m;",
        "DROP TABLE no_such_table;",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO t VALUES (3, 'application')");
    let before = sandbox.contents();
    let output = sandbox.run(&["rollback", "-y"]);
    let rows = "SELECT count(*) FROM t WHERE id = 3";
    assert_eq!(sandbox.value(rows), "1", "{}", output.transcript());
    if output.code == Some(0) {
        assert_eq!(
            sandbox.value("SELECT count(*) FROM t"),
            "2",
            "the migration's own row is there"
        );
        return;
    }
    sandbox.assert_contents(&before, &format!("refused: {}", output.transcript()));
    assert_eq!(output.code, Some(6), "{}", output.transcript());
    assert!(
        output
            .stderr
            .contains("written since, and nobody was asked: from `t`"),
        "{}",
        output.transcript()
    );
    assert!(
        output.stderr.contains("rollback --type full"),
        "{}",
        output.transcript()
    );
    sandbox.ok(&["rollback", "-y", "--allow-lossy"]);
    sandbox.assert_contents(&begun, "after what is lost was allowed");
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "and walked back");
}
