//! Tables after a restore: keys, counters, triggers, computed columns and indexes do what they did before.

use std::process::ExitCode;

use serde_json::Value;
use walkback_tests::{Backend, ONE_OF_EACH, Sandbox, journeys};

fn main() -> ExitCode {
    walkback_tests::main(
        "restored",
        &journeys! {
            ONE_OF_EACH => [
                a_restored_database_works_as_it_did,
                a_database_restored_elsewhere_is_equal_by_fingerprint,
                a_restore_says_how_the_schema_differs,
                of_a_killed_restore_it_is_said_what_is_there,
                a_point_that_was_made_by_hand_is_called_so,
            ],
        },
    )
}

fn project(backend: Backend) -> Sandbox {
    Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"))
}

/// Customers and their orders, with all that a table may have on it.
fn shop(backend: Backend) -> Sandbox {
    let sandbox = project(backend);
    let key = backend.counted_key();
    let noted = backend.trigger(
        "noted",
        "AFTER INSERT",
        "purchase",
        "INSERT INTO log (line) VALUES (new.what)",
    );
    sandbox.migration(
        "001_begin",
        &format!(
            "CREATE TABLE customer (id {key}, name VARCHAR(40) NOT NULL UNIQUE);\n\
             CREATE TABLE purchase (id {key}, customer_id INTEGER NOT NULL, what VARCHAR(40), pieces INTEGER NOT NULL, \
             twice INTEGER GENERATED ALWAYS AS (pieces * 2) STORED, \
             CONSTRAINT of_customer FOREIGN KEY (customer_id) REFERENCES customer (id) ON DELETE CASCADE, \
             CONSTRAINT some_pieces CHECK (pieces > 0));\n\
             CREATE INDEX purchase_what ON purchase (what, pieces);\n\
             CREATE TABLE log (id {key}, line VARCHAR(40));\n{noted}"
        ),
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO customer (name) VALUES ('Ada'), ('Bob'), ('Cem')");
    sandbox.sql("INSERT INTO purchase (customer_id, what, pieces) VALUES (1, 'tea', 2), (1, 'salt', 1), (3, 'tea', 5)");
    // The counters stand beyond the rows.
    sandbox.sql("DELETE FROM customer WHERE id = 3");
    sandbox
}

fn assert_works(sandbox: &Sandbox, backend: Backend) {
    let mut session = sandbox.session();
    if backend == Backend::Sqlite {
        session.sql("PRAGMA foreign_keys = on");
    }
    assert_eq!(
        session.value("SELECT count(*) FROM log"),
        "3",
        "the restore has set no trigger off"
    );
    assert_eq!(session.value("SELECT sum(twice) FROM purchase"), "6");
    for (statement, why) in [
        (
            "INSERT INTO purchase (customer_id, what, pieces) VALUES (99, 'x', 1)",
            "the foreign key holds",
        ),
        (
            "INSERT INTO purchase (customer_id, what, pieces) VALUES (1, 'x', 0)",
            "the check holds",
        ),
        (
            "INSERT INTO customer (name) VALUES ('Ada')",
            "the names are unique",
        ),
    ] {
        assert!(session.try_sql(statement).is_err(), "{why}");
    }
    session.sql("INSERT INTO customer (name) VALUES ('Dan')");
    let id: u32 = session
        .value("SELECT id FROM customer WHERE name = 'Dan'")
        .parse()
        .expect("a number");
    assert!(id > 3, "a number that was given out is not given out again: {id}");
    session.sql("INSERT INTO purchase (customer_id, what, pieces) VALUES (1, 'oil', 4)");
    let id: u32 = session
        .value("SELECT id FROM purchase WHERE what = 'oil'")
        .parse()
        .expect("a number");
    assert!(id > 3, "{id}");
    assert_eq!(
        session.value("SELECT twice FROM purchase WHERE what = 'oil'"),
        "8"
    );
    assert_eq!(
        session.value("SELECT count(*) FROM log WHERE line = 'oil'"),
        "1",
        "the trigger is there"
    );
    session.sql("DELETE FROM customer WHERE id = 1");
    assert_eq!(
        session.value("SELECT count(*) FROM purchase"),
        "0",
        "the key cascades"
    );
}

fn a_restored_database_works_as_it_did(backend: Backend) {
    let sandbox = shop(backend);
    let (before, id) = (sandbox.contents(), sandbox.backup());
    sandbox
        .sql("INSERT INTO customer (name) VALUES ('Eve'); UPDATE purchase SET pieces = 9; DELETE FROM log");
    sandbox.sql(&backend.drop_index("purchase_what", "purchase"));
    sandbox.sql(&backend.drop_trigger("noted", "purchase"));
    sandbox.ok(&["restore", &id, "-y"]);
    sandbox.assert_contents(&before, "restored");
    sandbox.assert_sound();
    assert_works(&sandbox, backend);
}

/// Returns what the tables of a backup add up to, and what was defined.
fn everything(sandbox: &Sandbox, id: &str) -> (Vec<(Value, Value, Value)>, Value) {
    let point = sandbox.ok(&["backup", "show", id, "--json"]).json()["point"].clone();
    let tables = point["tables"].as_array().expect("a list");
    let print = |table: &Value| {
        (
            table["table"].clone(),
            table["rows"].clone(),
            table["fingerprint"].clone(),
        )
    };
    let facts = |list: &str| {
        let objects = point["schema"][list].as_array().expect("a list").iter();
        objects
            .map(|object| serde_json::json!([object["name"], object["facts"]]))
            .collect::<Vec<_>>()
    };
    let schema = serde_json::json!([facts("tables"), facts("objects")]);
    (tables.iter().map(print).collect(), schema)
}

fn a_database_restored_elsewhere_is_equal_by_fingerprint(backend: Backend) {
    let sandbox = shop(backend);
    let id = sandbox.backup();
    let elsewhere = project(backend);
    std::fs::remove_dir_all(elsewhere.path("migrations")).expect("it can be removed");
    for name in ["migrations", ".walkback"] {
        std::os::unix::fs::symlink(sandbox.path(name), elsewhere.path(name)).expect("a link can be made");
    }
    elsewhere.ok(&["restore", &id, "-y"]);
    elsewhere.assert_contents(&sandbox.contents(), "elsewhere");
    let again = elsewhere.backup();
    assert_eq!(everything(&elsewhere, &again), everything(&sandbox, &id));
    assert_eq!(elsewhere.status()["applied"], 1);
    assert_works(&elsewhere, backend);
}

fn a_restore_says_how_the_schema_differs(backend: Backend) {
    let sandbox = shop(backend);
    let id = sandbox.backup();
    sandbox.migration(
        "002_change",
        "ALTER TABLE customer ADD COLUMN mail VARCHAR(80);\nALTER TABLE log DROP COLUMN line;\n\
         CREATE TABLE extra (id INTEGER PRIMARY KEY);\n",
        "",
    );
    sandbox.sql(&backend.drop_trigger("noted", "purchase"));
    sandbox.ok(&["up", "-y"]);
    let output = sandbox.ok(&["restore", &id, "--dry-run"]);
    for line in [
        "column `mail` goes: it was added since",
        "column `line` comes back: it was removed since",
        "table `extra` goes: it was not there then",
        "trigger `noted` comes back",
    ] {
        assert!(output.stdout.contains(line), "{line}\n{}", output.transcript());
    }
    let plan = sandbox.ok(&["restore", &id, "--dry-run", "--json"]).json()["plan"].clone();
    let changes = plan["changed_since"].as_array().expect("a list").clone();
    let said: Vec<_> = changes
        .iter()
        .map(|change| {
            format!(
                "{} {} {}",
                change["table"]["name"], change["what"], change["change"]
            )
        })
        .collect();
    assert!(
        said.contains(&"\"customer\" \"column `mail`\" \"added\"".to_owned()),
        "{said:?}"
    );
    assert!(
        said.contains(&"\"log\" \"column `line`\" \"removed\"".to_owned()),
        "{said:?}"
    );
    sandbox.ok(&["restore", &id, "-y"]);
    assert_works(&sandbox, backend);
}

/// It ran no migrations, and is not described by them.
fn of_a_killed_restore_it_is_said_what_is_there(backend: Backend) {
    let sandbox = shop(backend);
    let backup = sandbox.backup();
    let mut seen = 0;
    for step in 1..60 {
        sandbox.sql("INSERT INTO customer (name) VALUES ('Dora')");
        if sandbox.killed_at(step, &["restore", &backup, "-y"]).is_none() {
            break;
        }
        let found = sandbox.ok(&["recover", "--dry-run"]).transcript();
        if !found.contains("no run is unfinished") {
            assert!(
                found.contains("exchanges its tables at once")
                    || found.contains("in the middle of exchanging tables"),
                "step {step}: {found}"
            );
            assert!(!found.contains("every migration"), "step {step}: {found}");
            seen += 1;
        }
        sandbox.ok(&["recover", "-y"]);
        sandbox.sql("DELETE FROM customer WHERE name = 'Dora'");
    }
    assert!(seen > 1, "{seen} kills left a run behind");
}

fn a_point_that_was_made_by_hand_is_called_so(backend: Backend) {
    let sandbox = shop(backend);
    sandbox.migration("002_less", "DELETE FROM log;", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["point", "create", "--description", "by hand"]);
    let listed = sandbox.ok(&["point", "list"]).stdout;
    let line = |part: &str| {
        listed
            .lines()
            .find(|line| line.contains(part))
            .unwrap_or_default()
    };
    assert!(line("by hand").contains("  point  "), "{listed}");
    assert!(line("002_less").contains("point before up"), "{listed}");
}
