//! What only looks leaves the database as it is, byte for byte.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use walkback_tests::{Backend, ONE_OF_EACH, SERVERS, Sandbox, journeys};

fn main() -> ExitCode {
    walkback_tests::main(
        "reading",
        &journeys! {
            &[Backend::Sqlite] => [
                reading_commands_and_dry_runs_leave_every_byte_of_the_database,
                reading_commands_do_not_create_the_database,
            ],
            SERVERS => [reading_commands_and_dry_runs_leave_every_row_and_definition],
            ONE_OF_EACH => [reading_commands_leave_an_empty_database_empty],
        },
    )
}

const READING: &[&[&str]] = &[
    &["status"],
    &["status", "--check"],
    &["status", "--json"],
    &["history"],
    &["current"],
    &["heads"],
    &["graph"],
    &["graph", "--format", "mermaid"],
    &["graph", "--format", "dot"],
    &["show", "20240108"],
    &["doctor"],
    &["audit"],
    &["backup", "list"],
    &["point", "list"],
    &["up", "--dry-run"],
    &["up", "--sql"],
    &["down", "--dry-run"],
    &["down", "--sql"],
    &["goto", "base", "--dry-run"],
    &["goto", "base", "--sql"],
    &["redo", "--dry-run"],
    &["stamp", "base", "--dry-run"],
    &["rollback", "--dry-run"],
    &["rollback", "-n", "2", "--dry-run"],
    &["rollback", "--to", "base", "--type", "full", "--dry-run"],
    &["recover", "--dry-run"],
    &["lint"],
    &["backup", "create"],
];

fn bytes(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder can be read")
        .map(|entry| entry.expect("the folder can be read"))
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter(|entry| !matches!(entry.file_name().to_str(), Some("app.db-shm" | "app.db-wal")))
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(entry.path()).expect("the file can be read"))
        })
        .collect();
    files.sort();
    files
}

fn reading_commands_and_dry_runs_leave_every_byte_of_the_database(backend: Backend) {
    for journal_mode in ["delete", "wal"] {
        let sandbox = Sandbox::shop(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
        sandbox.ok(&["up", "-n", "7", "-y"]);
        sandbox.sql(&format!("PRAGMA journal_mode = {journal_mode}"));
        let folder = sandbox.path(".");
        // In WAL mode SQLite itself keeps two files beside the database while anybody has it open, and a
        // reader cannot take them away again. The database is the other file.
        let before = bytes(&folder);
        for arguments in READING {
            let output = sandbox.run(arguments);
            assert!(matches!(output.code, Some(0 | 3)), "{}", output.transcript());
            let after = bytes(&folder);
            let names =
                |files: &[(String, Vec<u8>)]| files.iter().map(|file| file.0.clone()).collect::<Vec<_>>();
            assert_eq!(names(&after), names(&before), "{}", output.transcript());
            assert!(
                after == before,
                "{journal_mode}: `walkback {}` changed a file",
                arguments.join(" ")
            );
        }
    }
}

fn reading_commands_and_dry_runs_leave_every_row_and_definition(backend: Backend) {
    let sandbox = Sandbox::shop(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.ok(&["up", "-n", "7", "-y"]);
    let before = sandbox.contents();
    let own = sandbox.session().own_tables();
    assert!(own.len() > 3, "walkback's own tables are not seen: {own:?}");
    for arguments in READING {
        let output = sandbox.run(arguments);
        assert!(matches!(output.code, Some(0 | 3)), "{}", output.transcript());
        assert_eq!(sandbox.session().own_tables(), own, "{}", output.transcript());
    }
    // The journal keeps what it has seen, and nothing else of it is left.
    let output = sandbox.run(&["verify", "20240108"]);
    assert!(matches!(output.code, Some(0 | 3)), "{}", output.transcript());
    let without_verdicts = |tables: &BTreeMap<String, String>| {
        let mut tables = tables.clone();
        tables.remove("_walkback_verdicts");
        tables
    };
    let now = sandbox.session().own_tables();
    assert_eq!(without_verdicts(&now), without_verdicts(&own));
    assert_ne!(now, own, "the verdict is kept");
    sandbox.assert_contents(&before, "after reading");
}

fn reading_commands_do_not_create_the_database(backend: Backend) {
    let sandbox = Sandbox::shop(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    for arguments in [
        &["status"][..],
        &["history"],
        &["current"],
        &["up", "--dry-run"],
        &["audit"],
        &["doctor"],
    ] {
        let output = sandbox.run(arguments);
        assert_eq!(output.code, Some(0), "{}", output.transcript());
    }
    assert!(!sandbox.path("app.db").exists());
    assert!(!sandbox.path(".walkback").exists());
}

fn reading_commands_leave_an_empty_database_empty(backend: Backend) {
    let sandbox = Sandbox::shop(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    for arguments in [
        &["status"][..],
        &["history"],
        &["current"],
        &["up", "--dry-run"],
        &["up", "--sql"],
        &["audit"],
        &["doctor"],
        &["point", "list"],
    ] {
        let output = sandbox.run(arguments);
        assert_eq!(output.code, Some(0), "{}", output.transcript());
    }
    assert!(sandbox.contents().definitions.is_empty());
    if backend != Backend::Sqlite {
        assert!(sandbox.session().own_tables().is_empty());
    }
}
