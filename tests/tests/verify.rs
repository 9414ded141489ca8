//! `walkback verify` finds the downs that do not lead back, and says which.

use serde_json::Value;
use walkback_tests::Sandbox;

const BEGIN: &str = "CREATE TABLE s (a TEXT NOT NULL DEFAULT 'x', b INTEGER CHECK (b >= 0));";

/// Verifies a migration upon `s`, and returns the exit code and what is said of it.
fn verify(up: &str, down: &str) -> (Option<i32>, Value, String) {
    let sandbox = Sandbox::with_project(env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration("001_begin", BEGIN, "DROP TABLE s;");
    sandbox.migration("002_change", up, down);
    let output = sandbox.run(&["verify", "--json"]);
    let text = output.transcript();
    let json = output.json();
    let outcomes = json["outcomes"]
        .as_array()
        .or_else(|| json["migrations"].as_array());
    let outcomes = outcomes.unwrap_or_else(|| panic!("no outcomes: {text}"));
    assert_eq!(outcomes.len(), 2, "{text}");
    assert!(
        !sandbox.path("app.db").exists(),
        "verify has written the database"
    );
    (output.code, outcomes[1].clone(), text)
}

fn word(outcome: &Value) -> String {
    let verdict = &outcome["verdict"];
    verdict["verdict"]
        .as_str()
        .or(verdict.as_str())
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn a_down_that_does_not_lead_back_is_found_and_named() {
    for (up, down, named) in [
        ("CREATE TABLE t (a);", "DROP TABLE no_such;", "fails"),
        (
            "CREATE TABLE t (a); CREATE INDEX s_a ON s (a);",
            "DROP TABLE t;",
            "s_a",
        ),
        ("CREATE TABLE t (a);", "SELECT 1;", "`t` is left over"),
        (
            "ALTER TABLE s ADD COLUMN c;",
            "DROP TABLE s; CREATE TABLE s (a TEXT DEFAULT 'x', b INTEGER CHECK (b >= 0));",
            "column a",
        ),
        (
            "ALTER TABLE s ADD COLUMN c;",
            "CREATE TABLE n (a TEXT NOT NULL, b INTEGER CHECK (b >= 0)); INSERT INTO n SELECT a, b FROM s; DROP TABLE s; ALTER TABLE n RENAME TO s;",
            "DEFAULT",
        ),
        (
            "ALTER TABLE s ADD COLUMN c;",
            "CREATE TABLE n (a TEXT NOT NULL DEFAULT 'x', b INTEGER); INSERT INTO n SELECT a, b FROM s; DROP TABLE s; ALTER TABLE n RENAME TO s;",
            "check",
        ),
    ] {
        let (code, outcome, text) = verify(up, down);
        assert_eq!(code, Some(3), "{down}: {text}");
        assert_eq!(outcome["passed"], false, "{down}: {text}");
        assert!(
            outcome.to_string().contains(named),
            "{down} does not name {named}: {text}"
        );
    }
}

#[test]
fn a_down_that_brings_back_the_schema_and_not_the_data_is_lossy() {
    for (up, down) in [
        ("DELETE FROM s;", "SELECT 1;"),
        ("UPDATE s SET a = 'gone';", "SELECT 1;"),
        ("DROP TABLE s;", BEGIN),
        (
            "ALTER TABLE s DROP COLUMN a;",
            "ALTER TABLE s ADD COLUMN a TEXT NOT NULL DEFAULT 'x';",
        ),
    ] {
        let (code, outcome, text) = verify(up, down);
        assert_eq!(word(&outcome), "lossy", "{up}: {text}");
        assert_eq!(code, Some(0), "{up}: {text}");
    }
}

#[test]
fn a_way_back_that_leads_back_is_lossless_also_where_it_is_derived() {
    for (up, down) in [
        ("CREATE TABLE t (a);", "DROP TABLE t;"),
        ("CREATE TABLE t (a); CREATE INDEX t_a ON t (a);", ""),
        ("ALTER TABLE s RENAME TO q;", "ALTER TABLE q RENAME TO s;"),
        (
            "INSERT INTO s VALUES ('mine', 77);",
            "DELETE FROM s WHERE b = 77;",
        ),
        ("ALTER TABLE s ADD COLUMN c;", "ALTER TABLE s DROP COLUMN c;"),
    ] {
        let (code, outcome, text) = verify(up, down);
        assert_eq!(
            (code, word(&outcome).as_str()),
            (Some(0), "lossless"),
            "{up}: {text}"
        );
    }
}

#[test]
fn a_migration_without_any_way_back_is_irreversible() {
    let (_, outcome, text) = verify("INSERT INTO s VALUES ('x', 1);", "");
    assert_eq!(word(&outcome), "irreversible", "{text}");
}

#[test]
fn usual_tables_are_given_rows() {
    let sandbox = Sandbox::with_project(env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration(
        "001_begin",
        "CREATE TABLE child (a INTEGER, b TEXT, note TEXT NOT NULL, PRIMARY KEY (a, b), FOREIGN KEY (a, b) REFERENCES parent (x, y));\n\
         CREATE TABLE parent (x INTEGER, y TEXT, PRIMARY KEY (x, y));\n\
         CREATE TABLE self (id INTEGER PRIMARY KEY, up INTEGER NOT NULL REFERENCES self (id));\n\
         CREATE TABLE r (id INTEGER PRIMARY KEY, p INTEGER NOT NULL REFERENCES self);\n\
         CREATE TABLE checked (id INTEGER PRIMARY KEY, age INTEGER CHECK (age > 0), price REAL CHECK (price >= 0), at TEXT NOT NULL);\n\
         CREATE TABLE made (a INTEGER, b INTEGER AS (a * 2) STORED); CREATE TABLE keyed (k TEXT PRIMARY KEY) WITHOUT ROWID;\n\
         CREATE TABLE \"or\"\"der?\" (\"se?lect\" TEXT UNIQUE);",
        "",
    );
    sandbox.migration("002_more", "CREATE TABLE z (a);", "DROP TABLE z;");
    let output = sandbox.ok(&["verify", "--json"]);
    let json = output.json();
    let outcomes = json["outcomes"]
        .as_array()
        .or_else(|| json["migrations"].as_array());
    let second = &outcomes.expect("outcomes")[1];
    assert_eq!(
        second["without_rows"],
        serde_json::json!([]),
        "{}",
        output.transcript()
    );
}
