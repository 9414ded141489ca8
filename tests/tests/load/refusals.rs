//! What cannot be loaded is refused, and nothing is written.

use walkback_tests::{Backend, Sandbox};

use super::{csv, how_many, people, project};

/// Runs a load that is refused with this exit code and these words.
fn refused(sandbox: &Sandbox, arguments: &[&str], code: i32, words: &[&str]) {
    let arguments = [&["load"], arguments].concat();
    let output = sandbox.run(&arguments);
    assert_eq!(output.code, Some(code), "{}", output.transcript());
    for word in words {
        assert!(output.stderr.contains(word), "{word}: {}", output.transcript());
    }
}

pub(super) fn what_cannot_be_loaded_is_refused_before_anything_is_written(backend: Backend) {
    let sandbox = people(backend);
    sandbox.sql("CREATE TABLE keyless (a INTEGER)");
    sandbox.sql("CREATE TABLE counted (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER GENERATED ALWAYS AS (a * 2) STORED)");
    let before = sandbox.contents();
    sandbox.write("people.csv", &csv(3, |_| None));
    sandbox.write("other.csv", "id,nickname\n1,x\n");
    sandbox.write("b.csv", "id,b\n1,2\n");
    sandbox.write("few.csv", "id,age\n1,2\n");
    sandbox.write("empty.csv", "");
    refused(
        &sandbox,
        &["nobody", "people.csv"],
        2,
        &["no table `nobody`", "`people`"],
    );
    refused(&sandbox, &["keyless", "people.csv"], 2, &["no primary key"]);
    refused(&sandbox, &["people", "missing.csv"], 2, &["missing.csv"]);
    refused(
        &sandbox,
        &["people", "other.csv"],
        2,
        &["no column `nickname`", "--map nickname=COLUMN", "--skip nickname"],
    );
    refused(
        &sandbox,
        &["counted", "b.csv"],
        2,
        &["`b` cannot be written: the server computes it"],
    );
    refused(
        &sandbox,
        &["people", "few.csv"],
        2,
        &["column `name` must have a value"],
    );
    refused(&sandbox, &["people", "empty.csv"], 2, &["it is empty"]);
    refused(&sandbox, &["people", "-"], 2, &["from a file"]);
    refused(
        &sandbox,
        &["people", "people.csv", "--map", "nick=name"],
        2,
        &["it has no field `nick`"],
    );
    refused(
        &sandbox,
        &["people", "people.csv", "--map", "nick=age"],
        2,
        &["it has no field `nick`", "`--map age=nick`"],
    );
    refused(
        &sandbox,
        &["people", "people.csv", "--map", "age=name"],
        2,
        &["both go into column `name`"],
    );
    refused(
        &sandbox,
        &["people", "people.csv", "--batch", "0"],
        2,
        &["a batch has from 1"],
    );
    refused(
        &sandbox,
        &["people", "people.csv", "--rejects", "few.csv"],
        2,
        &["is there already"],
    );
    sandbox.assert_contents(&before, "all was refused");
    let runs = sandbox.ok(&["audit", "--json"]).json();
    assert!(!runs.to_string().contains("\"load\""), "{runs}");
}

/// A constraint that is checked at the end of a transaction would not say which record it was.
pub(super) fn a_deferred_constraint_names_the_record(backend: Backend) {
    let sandbox = people(backend);
    sandbox.sql(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, person INTEGER REFERENCES people (id) DEFERRABLE INITIALLY DEFERRED)",
    );
    let lines: String = (1..=30)
        .map(|id| format!("{id},{}\n", if id == 17 { 99 } else { 0 }))
        .collect();
    sandbox.write("orders.csv", &format!("id,person\n{lines}"));
    sandbox.ok(&["load", "orders", "orders.csv"]);
    assert_eq!(how_many(&sandbox, "orders"), 29);
    let rejects =
        std::fs::read_to_string(sandbox.path("orders.csv.rejects.jsonl")).expect("one was rejected");
    assert!(
        rejects.contains("\"record\":17") && rejects.lines().count() == 1,
        "{rejects}"
    );
}

pub(super) fn a_column_that_the_server_always_counts_is_refused(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_t",
        "CREATE TABLE t (id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY, word TEXT);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.write("t.csv", "id,word\n1,a\n");
    refused(
        &sandbox,
        &["t", "t.csv"],
        2,
        &["the server always counts it itself", "--skip id"],
    );
    sandbox.ok(&["load", "t", "t.csv", "--skip", "id"]);
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(how_many(&sandbox, "t"), 0);
}
