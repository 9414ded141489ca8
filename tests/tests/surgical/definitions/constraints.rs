//! What the table as it was does not let in: values that have to be unique there, and what its checks refuse.

use walkback_tests::Backend;

use crate::rows::{bare, walk_back};

fn begin() -> &'static str {
    "CREATE TABLE parts (id INTEGER NOT NULL PRIMARY KEY, code VARCHAR(20), low INTEGER, high INTEGER, old INTEGER, CONSTRAINT in_order CHECK (low <= high));\n\
     CREATE UNIQUE INDEX codes ON parts (code);\n\
     CREATE TABLE uses (id INTEGER NOT NULL PRIMARY KEY, part INTEGER, FOREIGN KEY (part) REFERENCES parts (id));\n\
     INSERT INTO parts VALUES (1, 'a', 1, 10, 1), (2, 'b', 2, 20, 2), (3, 'c', 3, 30, 3), (4, 'd', 4, 40, 4), (5, 'e', 5, 50, 5);"
}

fn listed(changes: &serde_json::Value) -> Vec<String> {
    let tables = changes.as_array().unwrap().iter();
    let mut listed: Vec<_> = tables
        .flat_map(|table| table["listed"].as_array().unwrap())
        .map(|one| format!("{} {}: {}", one["key"], one["column"], one["what"]).replace('"', ""))
        .collect();
    listed.sort();
    listed
}

/// What is as it was in the project's own words.
fn parts(sandbox: &walkback_tests::Sandbox, columns: &str) -> Vec<String> {
    let row = |id: u32| {
        sandbox.value(&format!(
            "SELECT coalesce(max(concat_ws(' ', {columns})), '-') FROM parts WHERE id = {id}"
        ))
    };
    (1..=9).map(row).filter(|row| row != "-").collect()
}

pub(crate) fn who_has_a_value_now_keeps_it_whatever_else_the_migration_did(backend: Backend) {
    let sandbox = bare(backend);
    sandbox.migration("001_begin", begin(), "");
    sandbox.ok(&["up", "-y"]);
    let change = "UPDATE parts SET code = 'aa', high = 90 WHERE id = 1;\nDELETE FROM parts WHERE id = 2;\n\
        UPDATE parts SET low = 1 WHERE id = 3;\nUPDATE parts SET code = 'dd' WHERE id = 4;\nALTER TABLE parts DROP COLUMN old;";
    sandbox.migration("002_change", change, "");
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO parts VALUES (7, 'a', 1, 2), (8, 'b', 1, 2)");
    sandbox.sql("UPDATE parts SET high = 2 WHERE id = 3");
    sandbox.sql("INSERT INTO uses VALUES (1, 7), (2, 8)");
    let changed = sandbox.contents();
    let changes = walk_back(&sandbox, &[]);
    assert_eq!(
        listed(&changes),
        [
            "id = 1 code: what it was has to be unique, and another row has it now",
            "id = 2 null: what it was has to be unique, and another row has it now",
            "id = 3 low: what it was does not go with what was written since",
        ],
        "{changes}"
    );
    assert_eq!(
        parts(&sandbox, "id, code, low, high, old"),
        [
            "1 aa 1 10 1",
            "3 c 1 2 3",
            "4 d 4 40 4",
            "5 e 5 50 5",
            "7 a 1 2",
            "8 b 1 2"
        ]
    );
    sandbox.assert_sound();
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&changed, "forward again");
}

pub(crate) fn what_could_not_be_there_before_waits_for_the_next_up(backend: Backend) {
    let sandbox = bare(backend);
    sandbox.migration("001_begin", begin(), "");
    sandbox.ok(&["up", "-y"]);
    let drop_index = backend.drop_index("codes", "parts");
    // SQLite takes a table's check away with the table only.
    let drop_check = match backend {
        Backend::Sqlite => {
            "CREATE TABLE fresh (id INTEGER NOT NULL PRIMARY KEY, code VARCHAR(20), low INTEGER, high INTEGER, old INTEGER);\n\
             INSERT INTO fresh SELECT * FROM parts;\nDROP TABLE parts;\nALTER TABLE fresh RENAME TO parts"
        }
        _ => "ALTER TABLE parts DROP CONSTRAINT in_order",
    };
    let drop_index = if backend == Backend::Sqlite {
        String::new()
    } else {
        format!("{drop_index};\n")
    };
    sandbox.migration("002_change", &format!("{drop_index}{drop_check};"), "");
    sandbox.ok(&["up", "-y"]);
    sandbox.sql(
        "INSERT INTO parts VALUES (6, 'f', 9, 1, 6), (7, 'e', 1, 2, 7), (8, 'x', 1, 2, 8), (9, 'x', 1, 2, 9)",
    );
    sandbox.sql("UPDATE parts SET low = 99, old = 77 WHERE id = 1");
    sandbox.sql("UPDATE parts SET code = 'c', high = 21 WHERE id = 2");
    sandbox.sql("UPDATE parts SET low = 98, high = 99 WHERE id = 4");
    sandbox.sql("INSERT INTO uses VALUES (2, 8)");
    let written = sandbox.contents().rows;
    let changes = walk_back(&sandbox, &[]);
    assert_eq!(
        listed(&changes),
        [
            "id = 1 low: changed since to what the column could not hold before",
            "id = 2 code: changed since to what the column could not hold before",
            "id = 6 null: written since, and the table could not hold it before",
            "id = 7 null: written since, and the table could not hold it before",
            "id = 9 null: written since, and the table could not hold it before",
        ],
        "{changes}"
    );
    assert_eq!(
        parts(&sandbox, "id, code, low, high, old"),
        [
            "1 a 1 10 77",
            "2 b 2 21 2",
            "3 c 3 30 3",
            "4 d 98 99 4",
            "5 e 5 50 5",
            "8 x 1 2 8"
        ]
    );
    sandbox.assert_sound();
    let again = sandbox.ok(&["up", "-y"]);
    assert_eq!(sandbox.contents().rows, written, "{}", again.transcript());
    sandbox.assert_sound();
}
