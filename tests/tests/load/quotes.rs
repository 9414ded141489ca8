//! What a file says in a way that could be misread: quotes, documents, and texts that read as numbers.

use std::fs;

use walkback_tests::Backend;

use super::{how_many, people, project};

pub(super) fn quotes_that_nobody_can_have_meant_are_no_fields(backend: Backend) {
    let sandbox = people(backend);
    sandbox.write(
        "open.csv",
        "id,name,age,email\n1,a,1,\n2,\"b,1,\n3,c,1,\n4,d,1,\n",
    );
    let refused = sandbox.run(&["load", "people", "open.csv", "--max-failures", "100%"]);
    assert_eq!(refused.code, Some(2), "{}", refused.transcript());
    assert!(
        refused.stderr.contains("opened in line 3 is never closed"),
        "{}",
        refused.transcript()
    );
    assert_eq!(how_many(&sandbox, "people"), 1);
    let lines = "id,name,age,email\n1,\"a\"b,1,\\N\n2,c\"d,1,\\N\n3,\"e\" ,1,\\N\n4,\"f \"\"g\"\"\",1,\\N\n";
    sandbox.write("people.csv", lines);
    sandbox.ok(&["load", "people", "people.csv", "--max-failures", "75%"]);
    assert_eq!(sandbox.value("SELECT name FROM people WHERE id > 0"), "f \"g\"");
    let rejects = fs::read_to_string(sandbox.path("people.csv.rejects.jsonl")).expect("three were rejected");
    assert_eq!(rejects.lines().count(), 3, "{rejects}");
    assert!(rejects.contains(r#""raw":"2,c\"d,1,\\N""#), "{rejects}");
}

pub(super) fn a_document_that_looks_like_an_export_is_a_document(backend: Backend) {
    let sandbox = project(backend);
    sandbox.sql("CREATE TABLE t (id INTEGER PRIMARY KEY, big BIGINT, doc JSON)");
    sandbox.write(
        "t.jsonl",
        "{\"id\":1,\"big\":{\"number\":\"9007199254740993\"},\"doc\":{\"number\":\"42\"}}\n{\"id\":2,\"doc\":{\"hex\":\"00\"}}\n",
    );
    sandbox.ok(&["load", "t", "t.jsonl"]);
    assert_eq!(
        sandbox.value("SELECT big FROM t WHERE id = 1"),
        "9007199254740993"
    );
    let text = if backend.is_postgres() { "doc::text" } else { "doc" };
    let like = |what: &str| sandbox.value(&format!("SELECT count(*) FROM t WHERE {text} LIKE '{what}'"));
    assert_eq!(like("{\"number\":%\"42\"}"), "1");
    assert_eq!(like("{\"hex\":%\"00\"}"), "1");
}

/// SQLite made numbers of texts in columns of a type that it does not know.
pub(super) fn a_text_that_reads_as_a_number_is_not_changed(backend: Backend) {
    let sandbox = project(backend);
    sandbox.sql("CREATE TABLE t (id INTEGER PRIMARY KEY, word STRING)");
    sandbox.write(
        "t.csv",
        "id,word\n1,00501\n2,12345678901234567890\n3,1.50\n4,501\n5,a1\n6,1.5\n",
    );
    sandbox.ok(&["load", "t", "t.csv", "--max-failures", "50%"]);
    let words = "SELECT group_concat(CAST(word AS TEXT), ' ' ORDER BY id) FROM t";
    assert_eq!(sandbox.value(words), "501 a1 1.5");
    let rejects = fs::read_to_string(sandbox.path("t.csv.rejects.jsonl")).expect("three were rejected");
    assert_eq!(rejects.lines().count(), 3, "{rejects}");
}
