//! Migrations that change rows only, and what applications write after them.

use walkback_tests::{Backend, Sandbox};

pub(super) const USERS: &str = "CREATE TABLE users (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(40), plan VARCHAR(40));\n\
    INSERT INTO users VALUES (1, 'ann', 'free'), (2, 'bob', 'free'), (3, 'cid', 'free'), (4, 'dan', 'paid'), (5, 'eve', 'paid');";

/// A project whose environment says what the suite's do.
pub(super) fn bare(backend: Backend) -> Sandbox {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    let configuration = std::fs::read_to_string(sandbox.path("walkback.toml")).unwrap();
    let environment = format!("[env.dev]\n{}", super::ENVIRONMENT);
    sandbox.write(
        "walkback.toml",
        &configuration.replacen("[env.dev]\n", &environment, 1),
    );
    sandbox
}

pub(super) fn project(backend: Backend, begin: &str, change: &str) -> Sandbox {
    let sandbox = bare(backend);
    sandbox.migration("001_begin", begin, "");
    sandbox.ok(&["up", "-y"]);
    sandbox.migration("002_change", change, "");
    sandbox.ok(&["up", "-y"]);
    sandbox
}

pub(super) fn users(sandbox: &Sandbox) -> String {
    let row = |id: u32| {
        sandbox.value(&format!(
            "SELECT coalesce(max(concat_ws('|', id, name, plan)), '-') FROM users WHERE id = {id}"
        ))
    };
    (1..=9)
        .map(row)
        .filter(|row| row != "-")
        .collect::<Vec<_>>()
        .join(" ")
}

/// Rolls the last migration back, which has to be done cell by cell, and returns what became of each table.
pub(super) fn walk_back(sandbox: &Sandbox, more: &[&str]) -> serde_json::Value {
    let arguments = [&["rollback", "-n", "1", "-y", "--json"], more].concat();
    let done = sandbox.ok(&arguments).json();
    assert_eq!(done["plan"]["steps"][0]["kind"], "surgical", "{done}");
    let loss = done["plan"]["steps"][0]["loss"].as_array().expect("a list");
    assert_eq!(loss.is_empty(), !more.contains(&"revert"), "{done}");
    done["report"]["changes"].clone()
}

pub(super) fn what_was_written_since_stays_and_the_rest_goes_back(backend: Backend) {
    let sandbox = project(
        backend,
        USERS,
        "UPDATE users SET plan = 'basic' WHERE plan = 'free';",
    );
    sandbox.sql("UPDATE users SET plan = 'gold' WHERE id = 1");
    sandbox.sql("UPDATE users SET name = 'bobby' WHERE id = 2");
    sandbox.sql("DELETE FROM users WHERE id = 3");
    let plan = sandbox.ok(&["rollback", "--dry-run"]);
    assert!(
        plan.stdout.contains("surgical  002_change"),
        "{}",
        plan.transcript()
    );
    assert!(plan.stdout.contains("loses nothing"), "{}", plan.transcript());
    let output = sandbox.ok(&["rollback", "-y"]);
    for said in [
        "1 row changed back, 0 brought back, 0 removed",
        "row id = 1, column `plan`: changed since (before 'free', the migration wrote 'basic', now 'gold')",
        "row id = 3: changed by the migration, deleted since",
    ] {
        assert!(output.stdout.contains(said), "{said}: {}", output.transcript());
    }
    assert_eq!(users(&sandbox), "1|ann|gold 2|bobby|free 4|dan|paid 5|eve|paid");
    assert_eq!(sandbox.status()["applied"], 1);
    // It can itself be walked back: everything is as it was before it.
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(users(&sandbox), "1|ann|gold 2|bobby|basic 4|dan|paid 5|eve|paid");
    sandbox.assert_sound();
}

pub(super) fn rows_come_and_go_only_where_nobody_needs_them(backend: Backend) {
    let begin = "CREATE TABLE teams (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(20));\n\
        CREATE TABLE users (id INTEGER NOT NULL PRIMARY KEY, team INTEGER, name VARCHAR(20), FOREIGN KEY (team) REFERENCES teams (id));\n\
        INSERT INTO teams VALUES (1, 'red'), (2, 'blue'), (3, 'green');\n\
        INSERT INTO users VALUES (1, 1, 'ann'), (2, 2, 'bob'), (3, 3, 'cid');";
    // A new team, users moved to it, two users and then their teams deleted.
    let change = "INSERT INTO teams VALUES (4, 'new'), (5, 'newer'), (6, 'newest');\n\
        UPDATE users SET team = 4 WHERE id = 1;\n\
        DELETE FROM users WHERE id IN (2, 3);\nDELETE FROM teams WHERE id IN (2, 3);";
    let sandbox = project(backend, begin, change);
    sandbox.sql("INSERT INTO users VALUES (9, 5, 'of the application')");
    sandbox.sql("INSERT INTO users VALUES (3, NULL, 'another')");
    let changes = walk_back(&sandbox, &[]);
    let conflicts: Vec<_> = changes
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|table| table["listed"].as_array().unwrap().clone())
        .map(|conflict| format!("{} {}", conflict["key"], conflict["what"]).replace('"', ""))
        .collect();
    assert_eq!(
        conflicts,
        [
            "id = 5 inserted by the migration, and other rows refer to it",
            "id = 3 deleted by the migration, and its key was used again since",
        ]
    );
    let teams = sandbox.value("SELECT count(*) FROM teams WHERE id IN (1, 2, 3, 5)");
    assert_eq!(
        (teams.as_str(), &*sandbox.value("SELECT count(*) FROM teams")),
        ("4", "4")
    );
    assert_eq!(
        sandbox.value("SELECT count(*) FROM users WHERE id = 1 AND team = 1"),
        "1"
    );
    assert_eq!(
        sandbox.value("SELECT count(*) FROM users WHERE id = 2 AND team = 2"),
        "1"
    );
    assert_eq!(sandbox.value("SELECT name FROM users WHERE id = 3"), "another");
    assert_eq!(
        sandbox.value("SELECT name FROM users WHERE id = 9"),
        "of the application"
    );
    sandbox.assert_sound();
}

pub(super) fn rows_that_refer_to_each_other_go_together(backend: Backend) {
    let begin = "CREATE TABLE tree (id INTEGER NOT NULL PRIMARY KEY, up INTEGER, FOREIGN KEY (up) REFERENCES tree (id));\n\
        INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2), (4, NULL);";
    let change = "DELETE FROM tree WHERE id = 3;\nDELETE FROM tree WHERE id = 2;\n\
        INSERT INTO tree VALUES (7, 1);\nINSERT INTO tree VALUES (8, 7);\nINSERT INTO tree VALUES (9, 4);";
    let sandbox = project(backend, begin, change);
    sandbox.sql("INSERT INTO tree VALUES (10, 9)");
    let output = sandbox.run(&["rollback", "-n", "1", "-y", "--json"]);
    let ids = |condition: &str| sandbox.value(&format!("SELECT count(*) FROM tree WHERE {condition}"));
    if matches!(backend, Backend::Mysql | Backend::Mariadb) && output.code == Some(1) {
        // These check each row as it goes, and refuse the whole.
        assert!(
            output.stdout.contains("nothing was changed"),
            "{}",
            output.transcript()
        );
        assert_eq!(ids("id IN (1, 4, 7, 8, 9, 10)"), "6");
        return;
    }
    assert_eq!(output.code, Some(0), "{}", output.transcript());
    assert_eq!(ids("id IN (1, 2, 3, 4, 9, 10)"), "6", "{}", output.transcript());
    assert_eq!(ids("1 = 1"), "6", "{}", output.transcript());
    sandbox.assert_sound();
}

pub(super) fn a_conflict_stops_it_or_is_reverted_where_that_is_asked_for(backend: Backend) {
    let change = "UPDATE users SET plan = 'basic' WHERE plan = 'free';\nDELETE FROM users WHERE id = 5;\n\
        INSERT INTO users VALUES (6, 'fay', 'basic');";
    let sandbox = project(backend, USERS, change);
    sandbox.sql("UPDATE users SET plan = 'gold' WHERE id = 1");
    sandbox.sql("INSERT INTO users VALUES (5, 'new', 'new')");
    sandbox.sql("UPDATE users SET name = 'faye' WHERE id = 6");
    let before = sandbox.contents();
    let stopped = sandbox.run(&["rollback", "-y", "--on-conflict", "stop"]);
    assert_eq!(stopped.code, Some(7), "{}", stopped.transcript());
    assert!(
        stopped.stderr.contains("3 of the cells and rows"),
        "{}",
        stopped.transcript()
    );
    assert!(
        stopped.stderr.contains("row id = 1, column `plan`"),
        "{}",
        stopped.transcript()
    );
    sandbox.assert_contents(&before, "stopped by a conflict");
    let told = sandbox.ok(&["rollback", "--dry-run"]).stdout;
    assert!(told.contains("loses nothing that was written since"), "{told}");
    let told = sandbox
        .ok(&["rollback", "--dry-run", "--on-conflict", "revert"])
        .stdout;
    let line = told.lines().find(|line| line.contains("loses from `users`"));
    assert!(
        line.is_some_and(|line| line.contains("in conflict (`--on-conflict revert`)")),
        "{told}"
    );
    sandbox.policy("lossy = \"refuse\"");
    let refused = sandbox.run(&["rollback", "-y", "--on-conflict", "revert"]);
    assert_eq!(refused.code, Some(6), "{}", refused.transcript());
    sandbox.assert_contents(&before, "refused");
    let changes = walk_back(&sandbox, &["--on-conflict", "revert", "--allow-lossy"]);
    assert_eq!(changes[0]["conflicts"], 3, "{changes}");
    assert_eq!(
        users(&sandbox),
        "1|ann|free 2|bob|free 3|cid|free 4|dan|paid 5|eve|paid"
    );
}

pub(super) fn every_value_goes_back_bit_for_bit(backend: Backend) {
    let (types, rows) = match backend {
        Backend::Sqlite => (
            "a, b REAL, c BLOB, d TEXT, e NUMERIC",
            "(1, x'00ff27', -0.0, x'', 'it''s', 0.1), (2, 9223372036854775807, 1e300, NULL, '😀', '12345678901234567890.5'),
             (3, NULL, NULL, NULL, NULL, NULL), (4, '', 5e-324, x'0a', '', 1)",
        ),
        Backend::Postgres | Backend::PostgresNewest => (
            "a bytea, b double precision, c jsonb, d text, e numeric, f timestamptz, g int[], h uuid, i interval, j bit varying(5)",
            "(1, '\\x00ff27', '-0', '{\"a\": [1, 2.50]}', 'it''s \\ ', 0.10, '2026-01-02 03:04:05.000006+02', '{1,NULL}',
              '00000000-0000-0000-0000-000000000001', '1 mon 2 days', B'101'),
             (2, '', 'NaN', 'null', '😀', 'NaN', 'infinity', '{}', NULL, NULL, NULL),
             (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
             (4, '\\x0a', 5e-324, '[]', '', 123456789012345678901234567890.5, '-infinity', NULL, NULL, NULL, B'')",
        ),
        Backend::Mysql | Backend::Mariadb => (
            "a VARBINARY(20), b DOUBLE, c JSON, d VARCHAR(40) CHARACTER SET utf8mb4, e DECIMAL(40,10), f DATETIME(6), g BIT(5),
             h ENUM('x','y'), i SET('p','q'), j TIME(3), k YEAR, l VARCHAR(10) CHARACTER SET latin1",
            "(1, x'00ff27', -1.5, '{\"a\": [1, 2.5]}', 'it''s ', 0.10, '2026-01-02 03:04:05.000006', b'101', 'y', 'p,q', '-20:00:00.5', 2026, x'e9'),
             (2, x'', 1e300, 'null', '😀', NULL, NULL, b'0', 'x', '', NULL, 0, ''),
             (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
             (4, x'0a', 2.5e-300, '[]', '', 123456789012345678901234567890.5, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
        ),
    };
    // The last column is that of the application.
    let rows = rows.replace("),", ", NULL),").trim_end_matches(')').to_owned() + ", NULL)";
    let begin = format!(
        "CREATE TABLE v (id INTEGER NOT NULL PRIMARY KEY, {types}, seen INTEGER);\nINSERT INTO v VALUES {rows};"
    );
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration("001_begin", &begin, "");
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    let columns: Vec<&str> = types
        .split(',')
        .map(|column| column.trim().split(' ').next().unwrap())
        .filter(|name| name.len() == 1)
        .collect();
    let sets: Vec<_> = columns.iter().map(|column| format!("{column} = NULL")).collect();
    let change = format!(
        "UPDATE v SET {} WHERE id <> 3;\nDELETE FROM v WHERE id = 2;\nINSERT INTO v (id) VALUES (7);\nDELETE FROM v WHERE id = 3;",
        sets.join(", ")
    );
    sandbox.migration("002_change", &change, "");
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("UPDATE v SET seen = 1 WHERE id = 1");
    let changes = walk_back(&sandbox, &[]);
    assert_eq!(changes[0]["conflicts"], 0, "{changes}");
    sandbox.sql("UPDATE v SET seen = NULL WHERE id = 1");
    sandbox.assert_contents(&before, "after the rollback");
}

pub(super) fn what_only_looks_alike_is_not_taken_for_the_same(backend: Backend) {
    let of_text = match backend {
        Backend::Sqlite => "TEXT COLLATE NOCASE",
        _ => "VARCHAR(20)",
    };
    let begin = format!(
        "CREATE TABLE w (id INTEGER NOT NULL PRIMARY KEY, word {of_text}, other {of_text});\n\
         INSERT INTO w VALUES (1, 'a', 'x'), (2, 'b', 'x'), (3, NULL, '');"
    );
    let change = "UPDATE w SET word = 'A' WHERE id = 1;\nUPDATE w SET word = 'c' WHERE id = 2;\n\
        UPDATE w SET word = '', other = NULL WHERE id = 3;";
    let sandbox = project(backend, &begin, change);
    sandbox.sql("UPDATE w SET word = 'C' WHERE id = 2");
    let changes = walk_back(&sandbox, &[]);
    assert_eq!(changes[0]["conflicts"], 1, "{changes}");
    let word = |id: u32| {
        sandbox.value(&format!(
            "SELECT concat(coalesce(word, 'NULL'), '/', coalesce(other, 'NULL')) FROM w WHERE id = {id}"
        ))
    };
    assert_eq!([word(1), word(2), word(3)], ["a/x", "C/x", "NULL/"]);
}

pub(super) fn keys_of_several_columns_and_awkward_names_do_not_matter(backend: Backend) {
    let quoted = |name: &str| backend.quoted(name);
    let (table, first, second, cell) = (
        quoted("or\"der `select`"),
        quoted("group"),
        quoted("größe FROM €"),
        quoted("va\"lue"),
    );
    let begin = format!(
        "CREATE TABLE {table} ({first} VARCHAR(10) NOT NULL, {second} INTEGER NOT NULL, {cell} VARCHAR(10), PRIMARY KEY ({second}, {first}));\n\
         INSERT INTO {table} VALUES ('a', 1, 'old'), ('a', 2, 'old'), ('b', 1, 'old'), ('it''s', 3, 'old');"
    );
    let change = format!(
        "UPDATE {table} SET {cell} = 'new' WHERE {second} <> 2;\nUPDATE {table} SET {second} = 5 WHERE {second} = 2;"
    );
    let sandbox = project(backend, &begin, &change);
    sandbox.sql(&format!(
        "UPDATE {table} SET {cell} = 'since' WHERE {first} = 'b'"
    ));
    let changes = walk_back(&sandbox, &[]);
    assert_eq!(changes[0]["conflicts"], 1, "{changes}");
    let count = |condition: &str| sandbox.value(&format!("SELECT count(*) FROM {table} WHERE {condition}"));
    assert_eq!(count("1 = 1"), "4");
    assert_eq!(count(&format!("{cell} = 'old'")), "3");
    assert_eq!(count(&format!("{first} = 'a' AND {second} = 2")), "1");
    assert_eq!(count(&format!("{first} = 'b' AND {cell} = 'since'")), "1");
}

pub(super) fn rows_that_cannot_be_told_apart_go_back_from_the_point(backend: Backend) {
    let sandbox = project(
        backend,
        "CREATE TABLE k (a INTEGER);\nINSERT INTO k VALUES (1), (1), (2);",
        "UPDATE k SET a = 7 WHERE a = 1;",
    );
    let refused = sandbox.run(&["rollback", "-n", "1", "-y", "--type", "surgical"]);
    assert_eq!(refused.code, Some(2), "{}", refused.transcript());
    assert!(
        refused.stderr.contains("has a primary key"),
        "{}",
        refused.transcript()
    );
    let done = sandbox.ok(&["rollback", "-n", "1", "-y", "--json"]).json();
    assert_eq!(done["plan"]["kind"], "full", "{done}");
    assert_eq!(sandbox.value("SELECT count(*) FROM k WHERE a = 1"), "2");
}

pub(super) fn a_trigger_is_not_fired_again(backend: Backend) {
    let begin = format!(
        "{USERS}\nCREATE TABLE log (id INTEGER NOT NULL PRIMARY KEY, n INTEGER);\nINSERT INTO log VALUES (1, 0);\n{}",
        backend.trigger("counted", "AFTER UPDATE", "users", "UPDATE log SET n = n + 1")
    );
    let sandbox = project(
        backend,
        &begin,
        "UPDATE users SET plan = 'basic' WHERE plan = 'free';",
    );
    assert_eq!(sandbox.value("SELECT n FROM log"), "3");
    // In tables that are made anew no trigger fires, and what was written since stays.
    sandbox.sql("UPDATE users SET name = 'bobby' WHERE id = 2");
    assert_eq!(sandbox.value("SELECT n FROM log"), "4");
    let done = sandbox.ok(&["rollback", "-n", "1", "-y", "--json"]).json();
    assert_eq!(done["plan"]["kind"], "surgical", "{done}");
    // The one cell that the migration and the application both wrote is a conflict.
    assert_eq!(sandbox.value("SELECT n FROM log"), "4");
    assert_eq!(
        sandbox.value("SELECT count(*) FROM users WHERE plan = 'free'"),
        "3"
    );
    assert_eq!(sandbox.value("SELECT name FROM users WHERE id = 2"), "bobby");
    sandbox.sql("UPDATE users SET plan = 'gold' WHERE id = 1");
    assert_eq!(sandbox.value("SELECT n FROM log"), "5", "the trigger is there");
}

pub(super) fn a_few_of_many_rows_go_back(backend: Backend) {
    let begin = format!(
        "CREATE TABLE m (id INTEGER NOT NULL PRIMARY KEY, a INTEGER, b VARCHAR(40));\n\
         INSERT INTO m SELECT n.i, n.i * 7, 'row' FROM {};",
        backend.numbers(50_000)
    );
    let sandbox = project(
        backend,
        &begin,
        "UPDATE m SET a = -1 WHERE id BETWEEN 20000 AND 20499;",
    );
    sandbox.sql("UPDATE m SET b = 'since' WHERE id % 100 = 0");
    let changes = walk_back(&sandbox, &[]);
    assert_eq!(
        (&changes[0]["changed_back"], &changes[0]["conflicts"]),
        (&500.into(), &0.into())
    );
    assert_eq!(
        sandbox.value("SELECT count(*) FROM m WHERE a = id * 7"),
        sandbox.value("SELECT count(*) FROM m")
    );
    assert_eq!(sandbox.value("SELECT count(*) FROM m WHERE b = 'since'"), "500");
}

pub(super) fn killed_at_any_step_it_is_as_before_or_as_after(backend: Backend) {
    let change = "UPDATE users SET plan = 'basic' WHERE plan = 'free';\nDELETE FROM users WHERE id = 5;";
    let sandbox = project(backend, USERS, change);
    sandbox.sql("UPDATE users SET plan = 'gold' WHERE id = 1");
    let before = sandbox.contents();
    let undo = ["rollback", "-n", "1", "--type", "surgical", "-y"];
    sandbox.ok(&undo);
    let after = sandbox.contents();
    let mut kills = 0;
    for step in 1.. {
        if sandbox.status()["applied"] == 1 {
            sandbox.sql("UPDATE users SET plan = 'free' WHERE id = 1");
            sandbox.ok(&["up", "-y"]);
            sandbox.sql("UPDATE users SET plan = 'gold' WHERE id = 1");
            sandbox.assert_contents(&before, "before the next kill");
        }
        if sandbox.killed_at(step, &undo).is_none() {
            break;
        }
        kills += 1;
        let recovered = sandbox.run(&["recover", "-y"]);
        assert_eq!(recovered.code, Some(0), "step {step}: {}", recovered.transcript());
        let expected = if sandbox.status()["applied"] == 1 {
            &after
        } else {
            &before
        };
        sandbox.assert_contents(expected, &format!("killed at step {step}"));
        sandbox.assert_sound();
    }
    assert!(kills > 3, "it has hardly any durable step");
}
