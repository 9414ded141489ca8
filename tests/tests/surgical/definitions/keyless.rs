//! Tables whose rows cannot be told apart, beside others.

use serde_json::Value;
use walkback_tests::{Backend, Sandbox};

use super::{project, rows};

const BEGIN: &str = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, a VARCHAR(10), b VARCHAR(10));\n\
    CREATE TABLE log (what VARCHAR(10), n INTEGER);\n\
    CREATE UNIQUE INDEX once ON log (n);\n\
    INSERT INTO t VALUES (1, 'a', 'b'), (2, 'c', 'd');\n\
    INSERT INTO log VALUES ('x', NULL), ('x', NULL), ('y', NULL), (NULL, NULL), ('z', 1);";

/// The rows of the table without a key.
fn log(sandbox: &Sandbox) -> String {
    let what = "concat(coalesce(what, '-'), coalesce(n, 0))";
    match sandbox.backend() {
        Backend::Sqlite => sandbox.value(&format!(
            "SELECT group_concat({what}, ' ' ORDER BY {what}) FROM log"
        )),
        Backend::Postgres | Backend::PostgresNewest => sandbox.value(&format!(
            "SELECT string_agg({what}, ' ' ORDER BY {what} COLLATE \"C\") FROM log"
        )),
        _ => sandbox.value(&format!(
            "SELECT group_concat({what} ORDER BY {what} SEPARATOR ' ') FROM log"
        )),
    }
}

const LOG: &str = "-0 x0 x0 y0 z1";

/// What the rollback says that it takes away, table by table.
fn losses(sandbox: &Sandbox) -> Vec<String> {
    let plan = sandbox.ok(&["rollback", "-n", "1", "--dry-run", "--json"]).json();
    let step = &plan["plan"]["steps"][0];
    assert_eq!(step["kind"], "surgical", "{plan}");
    let loss = step["loss"].as_array().expect("a list").iter();
    loss.map(|loss: &Value| {
        let what = loss["what"].as_str().expect("words");
        format!("{}: {what}", loss["table"]["name"].as_str().expect("a name"))
    })
    .collect()
}

/// Walks back, and checks that what is beside the table without a key has kept what was written since.
fn walk_back(sandbox: &Sandbox) {
    let now = sandbox.contents();
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    assert_eq!(rows(sandbox, "t", "id, a, coalesce(b, '-')"), "1|since|b 2|c|d");
    sandbox.assert_sound();
    let walked_back = log(sandbox);
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&now, "after a rollback of the rollback");
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    assert_eq!(log(sandbox), walked_back);
}

pub(crate) fn rows_without_a_key_stay_as_they_are_where_the_migration_changed_none(backend: Backend) {
    let sandbox = project(
        backend,
        BEGIN,
        "ALTER TABLE t DROP COLUMN b;\nALTER TABLE log ADD COLUMN more INTEGER DEFAULT 5;\nCREATE INDEX by_what ON log (what);",
    );
    sandbox.sql("UPDATE t SET a = 'since' WHERE id = 1");
    assert_eq!(losses(&sandbox), [""; 0]);
    sandbox.sql("DELETE FROM log WHERE what = 'y'; UPDATE log SET n = 7 WHERE n = 1");
    sandbox.sql("INSERT INTO log VALUES ('x', NULL, 1), ('new', 8, NULL)");
    let of_column = "log: 6 values of column `more`, what the migration itself wrote included";
    assert_eq!(losses(&sandbox), [of_column.replace('6', "5")]);
    walk_back(&sandbox);
    assert_eq!(log(&sandbox), "-0 new8 x0 x0 x0 z7");
}

pub(crate) fn what_was_written_to_rows_without_a_key_is_named_before_it_goes(backend: Backend) {
    let copies = backend.trigger(
        "copies",
        "AFTER UPDATE",
        "t",
        "INSERT INTO log VALUES ('by', NULL)",
    );
    for change in [
        "ALTER TABLE t DROP COLUMN b;\nUPDATE log SET n = 3 WHERE n = 1;".to_owned(),
        "ALTER TABLE t DROP COLUMN b;\nALTER TABLE log DROP COLUMN what;".to_owned(),
        // It is written to by what it does not name.
        format!("{copies}\nUPDATE t SET a = a, b = 'w';"),
        "UPDATE t SET b = 'w';\nINSERT INTO log VALUES ('w', 4);".to_owned(),
    ] {
        let sandbox = project(backend, BEGIN, &change);
        sandbox.sql("UPDATE t SET a = 'since' WHERE id = 1");
        if !change.contains("copies") {
            assert_eq!(losses(&sandbox), [""; 0], "{change}");
        }
        sandbox.sql("INSERT INTO log (n) VALUES (9)");
        let losses = losses(&sandbox);
        assert_eq!(losses.len(), 1, "{change}: {losses:?}");
        assert!(losses[0].starts_with("log: "), "{change}: {losses:?}");
        walk_back(&sandbox);
        assert_eq!(log(&sandbox), LOG, "{change}");
    }
}
