//! Backups written for other programs, and loaded by them.

use std::fs;
use std::process::{Command, Stdio};

use walkback_tests::{Backend, Sandbox};

use crate::tools::{client_options, run};
use crate::{begun, changed, refused};

/// Loads an export with the database's own client into another, empty database.
fn loaded(sandbox: &Sandbox, file: &str) -> Sandbox {
    let other = Sandbox::on(sandbox.backend(), env!("CARGO_BIN_EXE_walkback-under-test"));
    let path = sandbox.path(file);
    let input = || Stdio::from(fs::File::open(&path).expect("an export"));
    match sandbox.backend() {
        Backend::Sqlite => run(Command::new("sqlite3")
            .args(["-bail", "-batch"])
            .arg(other.path("app.db"))
            .stdin(input())),
        Backend::Postgres | Backend::PostgresNewest => run(Command::new("psql")
            .args([
                "--no-psqlrc",
                "--quiet",
                "--set=ON_ERROR_STOP=1",
                "--dbname",
                &other.url(),
            ])
            .stdin(input())),
        Backend::Mysql | Backend::Mariadb => run(Command::new("mysql")
            .arg(format!("--defaults-file={}", client_options(&other).display()))
            .arg(other.server().name())
            .stdin(input())),
    };
    other
}

pub(crate) fn an_export_is_loaded_by_the_databases_own_client(backend: Backend) {
    let sandbox = begun(backend);
    let before = sandbox.contents();
    let id = sandbox.backup();
    changed(&sandbox);
    let after = sandbox.contents();
    let output = sandbox.ok(&["backup", "export", &id, "--out", "out"]);
    assert!(output.stdout.contains("exported"), "{}", output.transcript());
    let other = loaded(&sandbox, "out/export.sql");
    other.assert_contents(&before, "what was exported and loaded");
    other.assert_sound();
    sandbox.assert_contents(&after, "nothing was done");
    refused(
        &sandbox,
        &["backup", "export", &id, "--out", "out"],
        2,
        "is there already",
    );
}

pub(crate) fn chosen_tables_are_exported_on_their_own(backend: Backend) {
    let sandbox = begun(backend);
    let id = sandbox.backup();
    sandbox.ok(&[
        "backup", "export", &id, "--out", "out", "--table", "log", "--table", "begun",
    ]);
    let other = loaded(&sandbox, "out/export.sql");
    let names: Vec<_> = other.contents().rows.keys().cloned().collect();
    assert_eq!(names, ["begun", "log"]);
    refused(
        &sandbox,
        &["backup", "export", &id, "--out", "more", "--table", "nope"],
        2,
        "does not hold table `nope`",
    );
    assert!(!sandbox.path("more").exists(), "a failure leaves no folder");
}

pub(crate) fn json_lines_tell_every_value_apart(backend: Backend) {
    let sandbox = begun(backend);
    let id = sandbox.backup();
    sandbox.ok(&["backup", "export", &id, "--out", "out", "--format", "jsonl"]);
    let about = fs::read_to_string(sandbox.path("out/export.json")).expect("a description");
    let about: serde_json::Value = serde_json::from_str(&about).expect("JSON");
    let tables = about["tables"].as_array().expect("tables");
    let name = |table: &serde_json::Value| table["table"]["name"].as_str().unwrap_or_default().to_owned();
    let order = tables
        .iter()
        .find(|table| name(table).starts_with("or\""))
        .expect("the awkward table");
    let lines = fs::read_to_string(sandbox.path("out").join(order["file"].as_str().expect("a file")));
    let lines = lines.expect("rows");
    assert_eq!(order["rows"], 5);
    let rows: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("a row"))
        .collect();
    assert_eq!(rows.len(), 5);
    let of = |select: &str| rows.iter().find(|row| row["select"] == select).expect("a row");
    assert_eq!(of("plain")["data"]["hex"], "00ff");
    assert_eq!(of("plain")["größe €"], 1.5);
    assert_eq!(
        of("line\nbreak\ttab".trim_end_matches(if backend == Backend::Sqlite { "\ttab" } else { "" }))["id"]
            ["number"],
        "9007199254740993"
    );
    assert!(rows.iter().any(|row| row["data"].is_null()));
    assert!(
        rows.iter().all(|row| row.get("doubled").is_none()),
        "what is computed is not written"
    );
}
