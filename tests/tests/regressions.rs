//! Promises that were broken once: each test is named for what must hold.

use walkback_tests::Sandbox;

fn project() -> Sandbox {
    Sandbox::with_project(env!("CARGO_BIN_EXE_walkback-under-test"))
}

/// Applies `begin`, then `change` without a down, walks it back, and expects all as it was.
fn comes_back(begin: &str, change: &str) -> Sandbox {
    let sandbox = project();
    sandbox.migration("001_begin", begin, "");
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    sandbox.migration("002_change", change, "");
    sandbox.ok(&["up", "-y"]);
    let changed = sandbox.contents();
    assert_ne!(changed, before, "it changed nothing: {change}");
    let output = sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.contents(), before, "{}", output.transcript());
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.contents(), changed, "walked forward again: {change}");
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.contents(), before, "and back again: {change}");
    sandbox
}

const FAMILY: &str = "CREATE TABLE p (id INTEGER PRIMARY KEY, n INTEGER UNIQUE);\n\
    CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p (id) ON DELETE CASCADE);\n\
    CREATE TABLE g (c INTEGER REFERENCES c (id) ON DELETE SET NULL, note TEXT);\n\
    CREATE TABLE u (n INTEGER REFERENCES p (n) ON UPDATE CASCADE);\n\
    INSERT INTO p VALUES (1, 10), (2, 20); INSERT INTO c VALUES (1, 1), (2, 2);\n\
    INSERT INTO g VALUES (1, 'a'), (2, 'b'); INSERT INTO u VALUES (20);";

#[test]
fn rows_that_a_cascade_took_come_back() {
    for change in [
        "DELETE FROM p WHERE id = 1;",
        "UPDATE p SET n = 21 WHERE id = 2;",
        "REPLACE INTO p VALUES (1, 11);",
        "INSERT INTO p VALUES (1, 12) ON CONFLICT (id) DO UPDATE SET n = 13;\nDELETE FROM P WHERE id = 1;",
        "DELETE FROM main.p WHERE id = 1;",
        "-- walkback: transaction=off\nPRAGMA foreign_keys = on;\nDELETE FROM p WHERE id = 1;",
    ] {
        comes_back(FAMILY, change);
    }
}

#[test]
fn rows_that_a_trigger_wrote_go_and_those_it_took_come_back() {
    let begin = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); CREATE TABLE log (line TEXT); CREATE TABLE stock (n INTEGER);\n\
        CREATE TABLE far (x);\nINSERT INTO t VALUES (1, 'x'), (2, 'y'); INSERT INTO stock VALUES (5); INSERT INTO far VALUES (1);\n\
        CREATE VIEW shown AS SELECT id, a FROM t;\n\
        CREATE TRIGGER changed AFTER UPDATE OF a ON t WHEN new.a <> 'CASE' BEGIN INSERT INTO log VALUES (CASE old.a WHEN 'x' THEN 'one' ELSE 'END' END); END;\n\
        CREATE TRIGGER logged AFTER INSERT ON log BEGIN UPDATE stock SET n = n - 1; DELETE FROM far; END;\n\
        CREATE TRIGGER through INSTEAD OF UPDATE ON shown BEGIN UPDATE t SET a = new.a WHERE id = old.id; END;";
    for change in [
        "UPDATE t SET a = 'z' WHERE id = 1;",
        "UPDATE shown SET a = 'z' WHERE id = 1;",
        "INSERT INTO log VALUES ('by hand');",
        "CREATE TRIGGER late BEFORE DELETE ON t BEGIN UPDATE stock SET n = 0; END;\nDELETE FROM t WHERE id = 2;",
        "ALTER TABLE t RENAME TO tt;\nUPDATE tt SET a = 'z';",
        "CREATE TABLE fresh (a);\nCREATE TRIGGER of_fresh AFTER INSERT ON fresh BEGIN DELETE FROM far; END;\nINSERT INTO fresh VALUES (1);",
        "INSERT INTO log SELECT a FROM t;\nDROP TRIGGER through;\nALTER TABLE t RENAME COLUMN a TO b;",
        "-- walkback: transaction=off\nUPDATE t SET a = 'z' WHERE id = 1;",
    ] {
        comes_back(begin, change);
    }
}

#[test]
fn tables_that_change_their_names_come_back_under_the_old_ones() {
    let begin = "CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT); CREATE TABLE b (id INTEGER PRIMARY KEY, y TEXT, a INTEGER REFERENCES a (id));\n\
        CREATE INDEX a_x ON a (x); CREATE VIEW v AS SELECT x FROM a;\nCREATE TABLE lone (x); INSERT INTO lone VALUES ('low');\nINSERT INTO a VALUES (1, 'in a'); INSERT INTO b VALUES (2, 'in b', 1);";
    for change in [
        "ALTER TABLE a RENAME TO c;\nUPDATE c SET x = 'later';",
        "ALTER TABLE a RENAME TO t;\nALTER TABLE b RENAME TO a;\nALTER TABLE t RENAME TO b;\nDELETE FROM a;\nDELETE FROM b;",
        "ALTER TABLE lone RENAME TO t;\nALTER TABLE t RENAME TO LONE;\nUPDATE LONE SET x = 'upper';",
        "CREATE TABLE tmp (x);\nINSERT INTO tmp SELECT x FROM a;\nUPDATE a SET x = 'z';\nDROP TABLE tmp;",
        "UPDATE a SET x = 1;\nUPDATE A SET x = 2;\nUPDATE \"a\" SET x = 3;\nUPDATE main.a SET x = 4;",
        "DROP VIEW v;\nDROP INDEX a_x;\nDROP TABLE b;\nALTER TABLE a DROP COLUMN x;",
    ] {
        comes_back(begin, change);
    }
}

#[test]
fn awkward_tables_come_back() {
    let begin = "CREATE TABLE self (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES self (id) ON DELETE CASCADE);\n\
        CREATE TABLE x (id INTEGER PRIMARY KEY, y INTEGER REFERENCES y (id) DEFERRABLE INITIALLY DEFERRED);\n\
        CREATE TABLE y (id INTEGER PRIMARY KEY, x INTEGER REFERENCES x (id) DEFERRABLE INITIALLY DEFERRED);\n\
        CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, a);\n\
        CREATE TABLE made (a INTEGER, b INTEGER AS (a + 1) STORED, c INTEGER AS (a * 2), CHECK (a < 100));\n\
        CREATE TABLE wr (k TEXT PRIMARY KEY, v) WITHOUT ROWID; CREATE TABLE empty (a);\n\
        INSERT INTO self VALUES (1, NULL), (2, 1), (3, 2); INSERT INTO x VALUES (1, 1); INSERT INTO y VALUES (1, 1);\n\
        INSERT INTO counted VALUES (7, 'a'), (99, 'gone'); DELETE FROM counted WHERE id = 99;\n\
        INSERT INTO made VALUES (1), (2); INSERT INTO wr VALUES ('k', 'v');";
    for change in [
        "DELETE FROM self WHERE id = 1;",
        "DELETE FROM x; DELETE FROM y;",
        "DROP TABLE x; DROP TABLE y;",
        "DROP TABLE counted;",
        "INSERT INTO counted (a) VALUES ('next');",
        "DROP TABLE made;",
        "UPDATE made SET a = a + 10;",
        "DROP TABLE wr; DROP TABLE empty;",
        "ALTER TABLE empty ADD COLUMN b; INSERT INTO empty VALUES (1, 2);",
    ] {
        let sandbox = comes_back(begin, change);
        sandbox.sql("INSERT INTO counted (a) VALUES ('after')");
        assert_eq!(sandbox.value("SELECT max(id) FROM counted"), "100", "{change}");
        assert_eq!(
            sandbox.value("SELECT count(*) FROM pragma_foreign_key_check"),
            "0"
        );
    }
}

#[test]
fn a_migration_that_changes_walkbacks_own_tables_is_refused() {
    for change in [
        "DELETE FROM _walkback_ledger;",
        "DROP TABLE _walkback_runs;",
        "CREATE TRIGGER mine AFTER INSERT ON _walkback_ledger BEGIN SELECT 1; END;",
        "UPDATE \"_WALKBACK_migrations\" SET down_sql = NULL;",
    ] {
        let sandbox = project();
        sandbox.migration("001_begin", "CREATE TABLE t (a);", "");
        sandbox.ok(&["up"]);
        sandbox.migration("002_change", change, "");
        let output = sandbox.run(&["up", "-y"]);
        assert_eq!(output.code, Some(2), "{}", output.transcript());
        assert!(output.stderr.contains("up.sql:1"), "{}", output.transcript());
    }
}

#[test]
fn a_virtual_table_that_goes_is_named_before() {
    let sandbox = project();
    sandbox.migration(
        "001_begin",
        "CREATE VIRTUAL TABLE words USING fts5(body); INSERT INTO words VALUES ('hello');",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.migration("002_drop", "DROP TABLE words;", "");
    let output = sandbox.ok(&["up", "--dry-run"]);
    assert!(
        output.transcript().contains("virtual table `words`"),
        "{}",
        output.transcript()
    );
    sandbox.ok(&["up", "-y"]);
    let output = sandbox.ok(&["rollback", "-y"]);
    assert!(
        output.transcript().contains("virtual table `words`"),
        "{}",
        output.transcript()
    );
}

#[test]
fn a_goto_that_goes_down_and_up_is_walked_back_with_what_its_ups_changed() {
    let sandbox = project();
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (a); CREATE TABLE s (a); INSERT INTO t VALUES (1);",
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
    assert_eq!(sandbox.contents(), before);
    assert!(sandbox.ok(&["current"]).stdout.contains("002"));
}

#[test]
fn a_stamp_is_not_walked_back_by_scripts_and_forgets_the_point_of_another_time() {
    let sandbox = project();
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (a); INSERT INTO t VALUES (1);",
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
    assert_eq!(sandbox.contents(), before);
}

#[test]
fn a_rollback_after_a_killed_run_walks_back_that_run_and_no_other() {
    let setup = || {
        let sandbox = project();
        sandbox.migration("001_begin", "CREATE TABLE a (x);", "DROP TABLE a;");
        sandbox.ok(&["up"]);
        sandbox.migration("002_more", "CREATE TABLE b (x);", "DROP TABLE b;");
        sandbox.migration("003_more", "CREATE TABLE c (x);", "DROP TABLE c;");
        sandbox
    };
    for step in 1.. {
        let sandbox = setup();
        if sandbox.killed_at(step, &["up", "-y"]).is_none() {
            assert!(step > 3);
            return;
        }
        let applied = sandbox.status()["applied"].as_u64().expect("a count");
        if applied == 1 {
            continue;
        }
        sandbox.ok(&["rollback", "-y"]);
        assert_eq!(sandbox.status()["applied"], 1, "killed at step {step}");
    }
}

#[test]
fn going_back_to_a_point_that_does_not_hold_what_later_migrations_changed_is_refused() {
    let sandbox = project();
    sandbox.migration(
        "001_begin",
        "CREATE TABLE a (x); CREATE TABLE b (x); INSERT INTO a VALUES (1); INSERT INTO b VALUES (1);",
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
    assert_eq!(sandbox.contents(), before);
    sandbox.ok(&["rollback", "--to", "001", "-y"]);
    assert_eq!(sandbox.value("SELECT a.x + b.x FROM a, b"), "2");
}

#[test]
fn a_loose_addition_that_fails_half_way_is_undone_and_earlier_migrations_of_the_run_stay() {
    let sandbox = project();
    sandbox.migration("001_begin", "CREATE TABLE t (a); INSERT INTO t VALUES (1);", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.migration("002_change", "UPDATE t SET a = 2;", "");
    sandbox.migration(
        "003_loose",
        "-- walkback: transaction=off\nCREATE TABLE one (x);\nALTER TABLE t ADD COLUMN b;\nCREATE TABLE one (x);",
        "",
    );
    let output = sandbox.run(&["up", "-y"]);
    assert_eq!(output.code, Some(1), "{}", output.transcript());
    assert_eq!(sandbox.value("SELECT a FROM t"), "2");
    assert_eq!(sandbox.status()["applied"], 2);
    let contents = sandbox.contents();
    assert!(!contents.rows.contains_key("one"), "{contents:?}");
    assert!(!contents.definitions["table t"].contains('b'), "{contents:?}");
}

#[test]
fn a_killed_loose_addition_after_another_migration_is_recovered_to_between_them() {
    for step in 1.. {
        let sandbox = project();
        sandbox.migration("001_begin", "CREATE TABLE t (a); INSERT INTO t VALUES (1);", "");
        sandbox.ok(&["up", "-y"]);
        sandbox.migration("002_change", "UPDATE t SET a = 2;", "");
        sandbox.migration(
            "003_loose",
            "-- walkback: transaction=off\nCREATE TABLE one (x);\nCREATE TABLE two (x);",
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

#[test]
fn a_down_that_takes_rows_the_application_wrote_is_not_taken_for_lossless() {
    let sandbox = project();
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (a); INSERT INTO t VALUES ('old');",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.migration("002_fill", "INSERT INTO t VALUES ('filled');", "DELETE FROM t;");
    sandbox.ok(&["up", "-y"]);
    let output = sandbox.ok(&["rollback", "-y"]);
    assert_eq!(
        sandbox.value("SELECT group_concat(a) FROM t"),
        "old",
        "{}",
        output.transcript()
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO t VALUES ('since')");
    let output = sandbox.run(&["rollback"]);
    assert_eq!(output.code, Some(6), "{}", output.transcript());
}

#[test]
fn a_down_that_drops_what_the_up_found_there_already_is_undone() {
    let sandbox = project();
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (a); INSERT INTO t VALUES ('old'); CREATE INDEX t_a ON t (a);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    sandbox.migration(
        "002_again",
        "CREATE TABLE IF NOT EXISTS t (a); CREATE TABLE s (a);",
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

#[test]
fn a_full_rollback_of_a_loose_script_leaves_tables_it_never_touched_alone() {
    let sandbox = project();
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (a); CREATE TABLE s (a); INSERT INTO t VALUES (1);",
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
    assert_eq!(sandbox.value("SELECT group_concat(a) FROM t"), "1");
    assert_eq!(sandbox.value("SELECT group_concat(a) FROM s"), "since");
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.contents(), before);
}

#[test]
fn a_write_between_the_point_and_the_migration_is_not_lost() {
    let sandbox = project();
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

#[test]
fn restoring_one_branch_does_not_undo_the_other() {
    let sandbox = project();
    sandbox.migration("001_begin", "CREATE TABLE t (a); INSERT INTO t VALUES (1);", "");
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
    assert_eq!(sandbox.contents(), before, "{}", output.transcript());
    sandbox.ok(&["rollback", "--to", "001", "-y"]);
    assert_eq!(sandbox.value("SELECT a FROM t"), "1");
}

#[test]
fn restoring_a_backup_of_the_same_version_is_what_the_next_rollback_walks_back() {
    let sandbox = project();
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (a); INSERT INTO t VALUES (1);",
        "DROP TABLE t;",
    );
    sandbox.ok(&["up", "-y"]);
    let id = sandbox.backup();
    sandbox.sql("INSERT INTO t VALUES (2)");
    let before = sandbox.contents();
    sandbox.ok(&["rollback", "--backup-file", &id, "-y"]);
    assert_eq!(sandbox.value("SELECT count(*) FROM t"), "1");
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.contents(), before);
}
