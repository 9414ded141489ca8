//! Values of which no two rows have the same: they go from row to row in a migration, and are taken by applications after it.

use std::collections::{BTreeMap, BTreeSet};

use walkback_tests::{Backend, Sandbox};

use super::rows::{bare, project, walk_back};

/// Names no row has twice, places in two lists, and orders that refer to users.
fn begin(backend: Backend) -> String {
    format!(
        "CREATE TABLE users (id INTEGER NOT NULL PRIMARY KEY, mail VARCHAR(40) NOT NULL UNIQUE, note VARCHAR(20));\n\
         CREATE TABLE orders (id INTEGER NOT NULL PRIMARY KEY, owner INTEGER, FOREIGN KEY (owner) REFERENCES users (id));\n\
         CREATE TABLE places (list INTEGER NOT NULL, id INTEGER NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (list, id));\n\
         CREATE UNIQUE INDEX places_of_list ON places (list, place);\n\
         INSERT INTO users VALUES (1, 'ann@x', 'a'), (2, 'bob@x', 'b'), (3, 'cid@x', 'c');\n\
         INSERT INTO orders VALUES (1, 1), (2, 1), (3, 2);\n\
         INSERT INTO places SELECT n.i % 2, n.i, n.i FROM {};",
        backend.numbers(300)
    )
}

const GO_ROUND: &[&str] = &[
    // Two that change places.
    "UPDATE users SET mail = 'nobody' WHERE id = 1;\nUPDATE users SET mail = 'ann@x' WHERE id = 2;\nUPDATE users SET mail = 'bob@x' WHERE id = 1;",
    // Another row has it, with those that referred to the one before.
    "UPDATE users SET mail = 'old' WHERE id = 1;\nINSERT INTO users VALUES (9, 'ann@x', 'new');\nUPDATE orders SET owner = 9 WHERE owner = 1;\nDELETE FROM users WHERE id = 1;",
    // Each moves to where the next one was.
    "UPDATE places SET place = place + 10001;\nUPDATE places SET place = place - 10000;",
    // The order is turned.
    "UPDATE places SET place = 10001 - place;\nUPDATE places SET place = place - 9700;",
    // All at once.
    "UPDATE users SET mail = 'q' WHERE id = 1;\nUPDATE users SET mail = 'ann@x', note = NULL WHERE id = 3;\nUPDATE users SET mail = 'cid@x' WHERE id = 1;\nDELETE FROM users WHERE id = 99;\n\
     DELETE FROM places WHERE id = 7;\nINSERT INTO places VALUES (1, 5000, 7);",
];

/// Returns the rows of the tables: backup tables are there besides.
fn rows(sandbox: &Sandbox) -> BTreeMap<String, Vec<String>> {
    let mut rows = sandbox.contents().rows;
    rows.retain(|table, _| ["users", "orders", "places"].contains(&table.as_str()));
    assert_eq!(rows.len(), 3, "{:?}", rows.keys());
    rows
}

pub(super) fn what_has_to_be_unique_goes_from_row_to_row_and_back(backend: Backend) {
    for protect in ["", "-- walkback: protect=backup-table\n"] {
        for change in GO_ROUND {
            let sandbox = bare(backend);
            sandbox.migration("001_begin", &begin(backend), "");
            sandbox.ok(&["up", "-y"]);
            let before = rows(&sandbox);
            sandbox.migration("002_change", &format!("{protect}{change}"), "");
            sandbox.ok(&["up", "-y"]);
            let changed = rows(&sandbox);
            assert_ne!(changed, before, "it changed nothing: {change}");
            let changes = walk_back(&sandbox, &[]);
            assert_eq!(rows(&sandbox), before, "back: {protect}{change}\n{changes}");
            sandbox.ok(&["rollback", "-y"]);
            assert_eq!(rows(&sandbox), changed, "forward again: {protect}{change}");
            sandbox.ok(&["rollback", "-y"]);
            assert_eq!(rows(&sandbox), before, "and back again: {protect}{change}");
            sandbox.assert_sound();
        }
    }
}

const CHANGE: &str = "UPDATE users SET mail = 'ann@y', note = 'moved' WHERE id = 1;\nDELETE FROM users WHERE id = 3;\n\
    UPDATE places SET place = place + 1000 WHERE list = 0 AND id <= 20;";

/// Takes what a migration has freed, as an application may.
fn take(sandbox: &Sandbox) {
    sandbox.sql("INSERT INTO users VALUES (7, 'ann@x', 'since'), (8, 'cid@x', 'since')");
    sandbox.sql("INSERT INTO places VALUES (0, 900, 2)");
}

fn users(sandbox: &Sandbox) -> String {
    let row = |id: u32| {
        sandbox.value(&format!(
            "SELECT coalesce(max(concat_ws(' ', id, mail, note)), '-') FROM users WHERE id = {id}"
        ))
    };
    let rows = (1..=9).map(row).filter(|row| row != "-");
    rows.collect::<Vec<_>>().join(", ")
}

pub(super) fn what_has_to_be_unique_and_is_taken_is_a_conflict(backend: Backend) {
    for protect in ["", "-- walkback: protect=backup-table\n"] {
        for policy in ["keep", "revert"] {
            let sandbox = project(backend, &begin(backend), &format!("{protect}{CHANGE}"));
            take(&sandbox);
            let taken = rows(&sandbox);
            let changes = walk_back(&sandbox, &["--on-conflict", policy]);
            let listed: Vec<_> = changes
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|table| table["listed"].as_array().unwrap())
                .map(|conflict| {
                    assert_eq!(
                        conflict["what"], "what it was has to be unique, and another row has it now",
                        "{changes}"
                    );
                    format!("{} {}", conflict["key"], conflict["column"]).replace('"', "")
                })
                .collect();
            assert_eq!(
                listed.iter().map(String::as_str).collect::<BTreeSet<_>>(),
                ["id = 1 mail", "id = 3 null", "list = 0, id = 2 place"].into(),
                "{changes}"
            );
            // The cell beside it went back, and so did every row that nobody was in the way of.
            assert_eq!(
                users(&sandbox),
                "1 ann@y a, 2 bob@x b, 7 ann@x since, 8 cid@x since"
            );
            assert_eq!(
                sandbox.value("SELECT count(*) FROM places WHERE place = id"),
                "299"
            );
            assert_eq!(sandbox.value("SELECT place FROM places WHERE id = 2"), "1002");
            sandbox.ok(&["rollback", "-y"]);
            assert_eq!(rows(&sandbox), taken, "forward again");
            sandbox.assert_sound();
        }
    }
}

pub(super) fn what_is_taken_stops_it_where_that_is_asked_for(backend: Backend) {
    let sandbox = project(backend, &begin(backend), CHANGE);
    take(&sandbox);
    let before = sandbox.contents();
    let stopped = sandbox.run(&["rollback", "-n", "1", "-y", "--on-conflict", "stop"]);
    assert_eq!(stopped.code, Some(7), "{}", stopped.transcript());
    assert!(
        stopped.stderr.contains("another row has it now"),
        "{}",
        stopped.transcript()
    );
    sandbox.assert_contents(&before, "after a rollback that was stopped");
    // Whoever makes room has all of it back.
    sandbox.sql("DELETE FROM users WHERE id IN (7, 8)");
    sandbox.sql("DELETE FROM places WHERE id = 900");
    let changes = walk_back(&sandbox, &["--on-conflict", "stop"]);
    assert_eq!(users(&sandbox), "1 ann@x a, 2 bob@x b, 3 cid@x c", "{changes}");
}

/// A row that another one needs stays with what it has; one that has gone on has made room.
pub(super) fn who_stays_keeps_it_and_who_went_on_has_made_room(backend: Backend) {
    let change = "UPDATE users SET mail = 'old' WHERE id = 1;\nINSERT INTO users VALUES (9, 'ann@x', 'new');\n\
        UPDATE users SET mail = 'bob@y' WHERE id = 2;\nUPDATE users SET mail = 'bob@x' WHERE id = 3;";
    let sandbox = project(backend, &begin(backend), change);
    // The row that the migration inserted was changed, and stays; the third is somewhere else by now.
    sandbox.sql("UPDATE users SET note = 'used' WHERE id = 9");
    sandbox.sql("UPDATE users SET mail = 'cid@z' WHERE id = 3");
    walk_back(&sandbox, &[]);
    assert_eq!(users(&sandbox), "1 old a, 2 bob@x b, 3 cid@z c, 9 ann@x used");
    sandbox.assert_sound();
}

/// Where two rows are the same is not always that a column is.
pub(super) fn what_is_unique_of_some_rows_or_in_part_goes_back_too(backend: Backend) {
    let is_postgres = matches!(backend, Backend::Postgres | Backend::PostgresNewest);
    let begin = if is_postgres {
        "CREATE TABLE t (id INTEGER PRIMARY KEY, mail TEXT, gone BOOLEAN NOT NULL DEFAULT false, token UUID UNIQUE);\n\
         CREATE UNIQUE INDEX \"mail here\" ON t (lower(mail)) WHERE NOT gone;\n\
         INSERT INTO t VALUES (1, 'ann@x', false, '00000000-0000-0000-0001-000000000001'), (2, 'ANN@x', true, '00000000-0000-0000-0001-000000000002'), \
         (3, 'bob@x', false, NULL), (4, NULL, false, NULL);"
    } else {
        "CREATE TABLE t (id INTEGER PRIMARY KEY, mail VARCHAR(40), gone INTEGER NOT NULL DEFAULT 0, token VARCHAR(40) UNIQUE, UNIQUE KEY `mail here` (mail(3), gone));\n\
         INSERT INTO t VALUES (1, 'ann@x', 0, 'one'), (2, 'ANN@x', 1, 'two'), (3, 'bob@x', 0, NULL), (4, NULL, 0, NULL);"
    };
    let (no, yes, token) = if is_postgres {
        ("false", "true", "'00000000-0000-0000-0001-000000000002'")
    } else {
        ("0", "1", "'two'")
    };
    let change = format!(
        "UPDATE t SET mail = 'q' WHERE id = 1;\nUPDATE t SET gone = {no} WHERE id = 2;\nUPDATE t SET gone = {yes}, mail = 'ann@x' WHERE id = 1;\n\
         UPDATE t SET mail = 'z', token = NULL WHERE id = 2;\nUPDATE t SET token = {token} WHERE id = 3;"
    );
    let sandbox = bare(backend);
    sandbox.migration("001_begin", begin, "");
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    sandbox.migration("002_change", &change, "");
    sandbox.ok(&["up", "-y"]);
    let changed = sandbox.contents();
    walk_back(&sandbox, &[]);
    sandbox.assert_contents(&before, "back");
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&changed, "forward again");
    // Of the rows that are gone two may have it.
    let other = if is_postgres { "ann@x" } else { "amy@y" };
    sandbox.sql(&format!(
        "INSERT INTO t VALUES (5, 'ann@x', {no}, NULL), (6, '{other}', {yes}, NULL)"
    ));
    let changes = walk_back(&sandbox, &[]);
    assert!(
        changes.to_string().contains("another row has it now"),
        "{changes}"
    );
    assert_eq!(
        sandbox.value("SELECT mail FROM t WHERE id = 5"),
        "ann@x",
        "{changes}"
    );
    sandbox.assert_sound();
}

/// A check is asked of a row as it would be, not of each cell.
pub(super) fn what_does_not_go_with_what_was_written_since_stays(backend: Backend) {
    for protect in ["", "-- walkback: protect=backup-table\n"] {
        let begin = "CREATE TABLE spans (id INTEGER NOT NULL PRIMARY KEY, low INTEGER CHECK (low > 0), high INTEGER, CONSTRAINT in_order CHECK (low <= high));\n\
            INSERT INTO spans VALUES (1, 1, 10), (2, 2, 20), (3, 3, 30);";
        let change = format!("{protect}UPDATE spans SET low = 1, high = 90;");
        let sandbox = project(backend, begin, &change);
        sandbox.sql("UPDATE spans SET low = 50 WHERE id = 2");
        sandbox.sql("UPDATE spans SET high = 95 WHERE id = 3");
        let changes = walk_back(&sandbox, &[]);
        let listed = changes[0]["listed"].as_array().unwrap().iter();
        let listed: BTreeSet<_> = listed
            .map(|one| format!("{} {}: {}", one["key"], one["column"], one["what"]).replace('"', ""))
            .collect();
        assert_eq!(
            listed.iter().map(String::as_str).collect::<Vec<_>>(),
            [
                "id = 2 high: what it was does not go with what was written since",
                "id = 2 low: changed since",
                "id = 3 high: changed since",
            ],
            "{changes}"
        );
        let spans =
            sandbox.value("SELECT concat_ws(' ', min(low), max(low), min(high), max(high)) FROM spans");
        assert_eq!(spans, "1 50 10 95");
        assert_eq!(sandbox.value("SELECT low FROM spans WHERE id = 3"), "3");
        sandbox.assert_sound();
    }
}
