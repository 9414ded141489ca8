//! What is captured, and what is done where it cannot be.

use walkback_tests::{Backend, Sandbox};

use super::rows::{USERS, bare, project, users};

/// Returns the ids of the points before the second migration.
fn points(sandbox: &Sandbox) -> Vec<String> {
    let list = sandbox.ok(&["point", "list", "--json"]).json();
    let points = list["points"].as_array().expect("a list").clone();
    points
        .iter()
        .map(|point| point["id"].as_str().expect("an id").to_owned())
        .filter(|id| id.contains("002_change"))
        .collect()
}

/// Applies `change` after `begin`, and returns what the plan said and what the run did.
fn applied(backend: Backend, begin: &str, change: &str) -> (Sandbox, String) {
    let sandbox = bare(backend);
    sandbox.migration("001_begin", begin, "");
    sandbox.ok(&["up", "-y"]);
    sandbox.migration("002_change", change, "");
    let output = sandbox.ok(&["up", "-y"]);
    let said = output.transcript();
    (sandbox, said)
}

pub(super) fn nothing_but_the_changed_rows_is_kept(backend: Backend) {
    let begin = format!(
        "CREATE TABLE m (id INTEGER NOT NULL PRIMARY KEY, a INTEGER);\n\
         INSERT INTO m SELECT n.i, n.i FROM {};",
        backend.numbers(5_000)
    );
    let change = "-- walkback: protect=capture\nUPDATE m SET a = 0 WHERE id <= 20;\nINSERT INTO m VALUES (-1, 1);\nDELETE FROM m WHERE id = 4000;";
    let (sandbox, said) = applied(backend, &begin, change);
    for expected in [
        "updates `m` (migrations/002_change/up.sql:2), what it changes is captured",
        "deletes from `m` (migrations/002_change/up.sql:4), what it changes is captured",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert_eq!(points(&sandbox), Vec::<String>::new());
    let vault = sandbox.path(".walkback/vault/points");
    let mut rows: Vec<u64> = std::fs::read_dir(vault)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("002_change"))
        .map(|path| std::fs::read(path).unwrap())
        .map(|text| serde_json::from_slice::<serde_json::Value>(&text).unwrap())
        .map(|manifest| manifest["totals"]["rows"].as_u64().unwrap())
        .collect();
    rows.sort_unstable();
    assert_eq!(
        rows,
        [21, 21],
        "20 updated and 1 deleted; 20 updated and 1 inserted"
    );
}

pub(super) fn rows_that_are_changed_again_and_again_go_back(backend: Backend) {
    let begin = "CREATE TABLE p (id INTEGER NOT NULL PRIMARY KEY, up INTEGER, a VARCHAR(20), FOREIGN KEY (up) REFERENCES p (id) ON UPDATE CASCADE ON DELETE CASCADE);\n\
        CREATE TABLE c (x INTEGER NOT NULL, y VARCHAR(10) NOT NULL, p INTEGER, PRIMARY KEY (x, y), FOREIGN KEY (p) REFERENCES p (id) ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED);\n\
        INSERT INTO p VALUES (1, NULL, 'one'), (2, 1, 'two'), (3, 2, 'three'), (4, NULL, 'four'), (5, 4, 'five');\n\
        INSERT INTO c VALUES (1, 'a', 1), (1, 'b', 2), (2, 'a', 3), (2, 'b', 4), (3, 'a', NULL);";
    let mut changes = vec![
        // The same cell twice, and back to what it was.
        "UPDATE p SET a = 'x';\nUPDATE p SET a = 'y' WHERE id > 2;\nUPDATE p SET a = 'one' WHERE id = 1;",
        // Deleted and there again; inserted and gone again.
        "DELETE FROM c WHERE x = 1;\nINSERT INTO c VALUES (1, 'a', 2);\nINSERT INTO c VALUES (9, 'z', 1);\nDELETE FROM c WHERE x = 9;",
        // Keys that move on to others.
        "UPDATE c SET x = x + 10;\nUPDATE c SET x = x - 9 WHERE x > 11;\nUPDATE c SET y = 'c' WHERE x = 11 AND y = 'a';",
        // What foreign keys do, in other tables and in the same.
        "UPDATE p SET id = 7 WHERE id = 2;\nDELETE FROM p WHERE id = 4;",
        "DELETE FROM p WHERE id = 1;\nINSERT INTO p VALUES (1, NULL, 'another'), (2, 1, 'another');",
        "UPDATE p SET up = NULL WHERE id = 3;\nUPDATE p SET id = id + 20 WHERE id IN (1, 3);\nDELETE FROM c;",
        "INSERT INTO p VALUES (1, NULL, 'in vain'), (6, 1, 'new') ON CONFLICT (id) DO UPDATE SET a = 'met';\nUPDATE p SET a = 'later' WHERE id = 6;",
        "WITH gone AS (SELECT id FROM p WHERE up IS NOT NULL) UPDATE p SET a = 'a child' WHERE id IN (SELECT id FROM gone);",
    ];
    changes.extend_from_slice(match backend {
        Backend::Sqlite => &[
            "REPLACE INTO p VALUES (3, 1, 'replaced'), (8, 3, 'new');\nINSERT OR REPLACE INTO c VALUES (1, 'a', 8);",
            "UPDATE OR REPLACE c SET x = 1, y = 'b' WHERE x = 2;",
        ][..],
        _ => &[
            "MERGE INTO c USING (VALUES (1, 'a', 5), (7, 'q', 5)) AS s (x, y, p) ON c.x = s.x AND c.y = s.y WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.x, s.y, s.p);",
            "WITH gone AS (DELETE FROM c WHERE x = 1 RETURNING *) INSERT INTO c SELECT x, y, NULL FROM gone;",
            "WITH gone AS (DELETE FROM c RETURNING *), new AS (INSERT INTO p VALUES (30, NULL, 'n') RETURNING id) UPDATE p SET a = (SELECT max(y) FROM gone) WHERE id = 5;",
        ],
    });
    for change in changes {
        let sandbox = bare(backend);
        sandbox.migration("001_begin", begin, "");
        sandbox.ok(&["up", "-y"]);
        let before = sandbox.contents();
        sandbox.migration("002_change", change, "");
        let up = sandbox.ok(&["up", "-y"]);
        let changed = sandbox.contents();
        assert_ne!(changed, before, "it changed nothing: {change}");
        let back = sandbox.ok(&["rollback", "-y"]);
        let said = format!("{change}\n{}\n{}", up.transcript(), back.transcript());
        sandbox.assert_contents(&before, &said);
        let again = sandbox.ok(&["rollback", "-y"]);
        sandbox.assert_contents(
            &changed,
            &format!("forward again: {said}\n{}", again.transcript()),
        );
        sandbox.ok(&["rollback", "-y"]);
        sandbox.assert_contents(&before, &format!("and back again: {said}"));
        sandbox.assert_sound();
    }
}

/// The plan of several migrations is made before the first of them has run.
pub(super) fn what_an_earlier_migration_of_the_run_made_is_captured(backend: Backend) {
    let sandbox = bare(backend);
    sandbox.migration("001_begin", USERS, "");
    sandbox.migration(
        "002_change",
        "UPDATE users SET plan = 'basic' WHERE plan = 'free';",
        "",
    );
    let plan = sandbox.ok(&["up", "--dry-run"]);
    assert!(
        plan.stdout.contains("what it changes is captured"),
        "{}",
        plan.transcript()
    );
    sandbox.ok(&["up", "-y"]);
    assert_eq!(points(&sandbox), Vec::<String>::new());
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    assert_eq!(
        users(&sandbox),
        "1|ann|free 2|bob|free 3|cid|free 4|dan|paid 5|eve|paid"
    );
}

/// Rows of what stands behind a view are those of a table.
pub(super) fn a_view_that_is_written_to_is_not_captured(backend: Backend) {
    let begin = format!("{USERS}\nCREATE VIEW free AS SELECT id, plan FROM users WHERE plan = 'free';");
    let begin = match backend {
        Backend::Sqlite => format!(
            "{begin}\nCREATE TRIGGER through INSTEAD OF UPDATE ON free BEGIN UPDATE users SET plan = new.plan WHERE id = new.id; END;"
        ),
        _ => begin,
    };
    let (sandbox, said) = applied(backend, &begin, "UPDATE free SET plan = 'basic' WHERE id < 3;");
    assert!(!said.contains("is captured"), "{said}");
    assert_eq!(points(&sandbox).len(), 1, "{said}");
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(
        users(&sandbox),
        "1|ann|free 2|bob|free 3|cid|free 4|dan|paid 5|eve|paid"
    );
}

pub(super) fn what_cannot_be_captured_is_kept_in_the_point(backend: Backend) {
    let trigger = backend.trigger("noted", "AFTER UPDATE", "watched", "INSERT INTO log VALUES ('x')");
    let begin = format!(
        "{USERS}\nCREATE TABLE log (line VARCHAR(20));\nCREATE TABLE watched (id INTEGER NOT NULL PRIMARY KEY);\n\
         {trigger}\nINSERT INTO log VALUES ('a');\nINSERT INTO watched VALUES (1);"
    );
    for (change, why) in [
        (
            "ALTER TABLE users ADD COLUMN mail VARCHAR(20);\nUPDATE users SET mail = 'none';",
            "not captured: the same script adds column `users.mail`",
        ),
        (
            "UPDATE log SET line = 'b';",
            "not captured: table `log` has no primary key",
        ),
        (
            "UPDATE watched SET id = 2;",
            match backend {
                Backend::Sqlite => "not captured: table `log` has no primary key",
                // What its function does is not read.
                _ => "not captured: which tables it changes cannot be told",
            },
        ),
        (
            "-- walkback: transaction=off\nUPDATE users SET plan = 'x';",
            "not captured: the script is no single transaction",
        ),
    ] {
        let (sandbox, said) = applied(backend, &begin, change);
        assert!(
            said.contains(&format!("kept in the point, {why}")),
            "{why}: {said}"
        );
        assert_eq!(points(&sandbox).len(), 1, "{said}");
        sandbox.ok(&["rollback", "-y"]);
        assert_eq!(
            users(&sandbox),
            "1|ann|free 2|bob|free 3|cid|free 4|dan|paid 5|eve|paid"
        );
        assert_eq!(sandbox.value("SELECT max(line) FROM log"), "a", "{said}");
    }
}

/// What was written to the new table comes back with the next up, and what the captured migration changed in it does not.
pub(super) fn an_older_migration_takes_away_what_a_captured_one_changed(backend: Backend) {
    for back in [["rollback", "-n", "2", "-y"], ["down", "-n", "2", "-y"]] {
        let sandbox = bare(backend);
        sandbox.migration("001_begin", USERS, "");
        sandbox.migration(
            "002_extra",
            "CREATE TABLE extra (id INTEGER NOT NULL PRIMARY KEY, n INTEGER);\nINSERT INTO extra VALUES (1, 0);",
            "DROP TABLE extra;",
        );
        sandbox.migration(
            "003_change",
            "UPDATE extra SET n = n + 1;",
            "UPDATE extra SET n = n - 1;",
        );
        sandbox.ok(&["up", "-y"]);
        sandbox.sql("INSERT INTO extra VALUES (2, 50)");
        let extra = || sandbox.value("SELECT concat_ws(' ', count(*), min(n), max(n)) FROM extra");
        assert_eq!(extra(), "2 1 50");
        let output = sandbox.ok(&back);
        assert_eq!(sandbox.status()["applied"], 1, "{}", output.transcript());
        let again = sandbox.ok(&["up", "-y"]);
        let after = if back[0] == "down" { "2 1 50" } else { "2 1 51" };
        assert_eq!(extra(), after, "{}{}", output.transcript(), again.transcript());
        sandbox.assert_sound();
    }
}

pub(super) fn tables_do_not_come_back_from_changed_rows(backend: Backend) {
    let sandbox = project(
        backend,
        USERS,
        "UPDATE users SET plan = 'basic' WHERE plan = 'free';",
    );
    let vault = sandbox.path(".walkback/vault/points");
    let before = sandbox.contents();
    let mut attempts: Vec<Vec<String>> = vec![vec!["rollback".into(), "--type".into(), "full".into()]];
    for file in std::fs::read_dir(vault).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let id = name.strip_suffix(".json").unwrap().to_owned();
        if !id.contains("002_change") {
            continue;
        }
        attempts.push(vec!["rollback".into(), id.clone()]);
        attempts.push(vec!["restore".into(), id]);
    }
    assert_eq!(attempts.len(), 5);
    for attempt in attempts {
        let mut arguments: Vec<&str> = attempt.iter().map(String::as_str).collect();
        arguments.push("-y");
        let refused = sandbox.run(&arguments);
        assert_ne!(refused.code, Some(0), "{}", refused.transcript());
        assert!(
            refused.stderr.contains("--type surgical"),
            "{}",
            refused.transcript()
        );
        sandbox.assert_contents(&before, &refused.transcript());
    }
}

pub(super) fn killed_at_any_step_of_the_way_there_it_is_as_before_or_as_after(backend: Backend) {
    let sandbox = bare(backend);
    sandbox.migration("001_begin", USERS, "");
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    sandbox.migration(
        "002_change",
        "UPDATE users SET plan = 'basic' WHERE plan = 'free';\nDELETE FROM users WHERE id = 5;",
        "",
    );
    let mut kills = 0;
    for step in 1.. {
        if sandbox.killed_at(step, &["up", "-y"]).is_none() {
            break;
        }
        kills += 1;
        sandbox.ok(&["recover", "-y"]);
        if sandbox.status()["applied"] == 2 {
            assert_eq!(users(&sandbox), "1|ann|basic 2|bob|basic 3|cid|basic 4|dan|paid");
            sandbox.ok(&["rollback", "-n", "1", "-y"]);
        }
        sandbox.assert_contents(&before, &format!("killed at step {step}"));
        sandbox.assert_sound();
    }
    assert!(kills > 3, "it has hardly any durable step");
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    sandbox.assert_contents(&before, "after all");
}

pub(super) fn rows_that_no_trigger_saw_are_kept_in_the_point(backend: Backend) {
    let hidden = "SELECT set_config('session_replication_role', 'replica', true);\nUPDATE users SET plan = 'x' WHERE id = 1;";
    let (sandbox, said) = applied(backend, USERS, hidden);
    assert!(
        said.contains("could not be captured, and is kept in its point") && said.contains("no trigger fired"),
        "{said}"
    );
    assert_eq!(points(&sandbox).len(), 1, "{said}");
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(
        users(&sandbox),
        "1|ann|free 2|bob|free 3|cid|free 4|dan|paid 5|eve|paid"
    );
}

pub(super) fn what_an_engine_cannot_capture_is_kept_in_the_point(backend: Backend) {
    let (sandbox, said) = applied(backend, USERS, "UPDATE users SET plan = 'x' WHERE id = 1;");
    assert!(
        said.contains("kept in the point, not captured: that is not there yet for this engine"),
        "{said}"
    );
    assert_eq!(points(&sandbox).len(), 1, "{said}");
}
