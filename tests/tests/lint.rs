//! `walkback lint` finds what a migration will hurt with, from its scripts, and runs none of them.

use std::process::ExitCode;

use walkback_tests::{Backend, ONE_OF_EACH, Sandbox, journeys};

fn main() -> ExitCode {
    walkback_tests::main(
        "lint",
        &journeys! {
            &[Backend::Sqlite] => [
                both_directions_are_read_and_every_finding_has_its_place,
                what_a_script_allows_is_not_named,
                scripts_are_read_without_a_database_where_the_dialect_is_named,
                a_database_that_cannot_be_reached_changes_no_finding,
                warnings_fail_only_where_they_are_asked_to,
                only_the_migrations_that_are_named_are_read,
                a_script_that_cannot_be_run_is_a_finding_and_the_others_are_read,
                the_findings_are_written_for_programs,
            ],
            ONE_OF_EACH => [
                the_shop_has_no_errors,
                what_locks_a_table_says_how_large_it_is,
            ],
        },
    )
}

fn project(backend: Backend) -> Sandbox {
    Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"))
}

/// A migration with something wrong in each direction.
fn with_findings(sandbox: &Sandbox) {
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (a INTEGER, b INTEGER);",
        "DROP TABLE t;",
    );
    sandbox.migration(
        "002_drop",
        "-- The old number.\nALTER TABLE t DROP COLUMN b;\n",
        "ALTER TABLE t ADD COLUMN b INTEGER;",
    );
    sandbox.migration("003_seed", "INSERT INTO t VALUES (1);", "");
    sandbox.migration("004_view", "CREATE VIEW v AS SELECT a FROM t;", "SELECT 1;");
}

fn both_directions_are_read_and_every_finding_has_its_place(backend: Backend) {
    let sandbox = project(backend);
    with_findings(&sandbox);
    let output = sandbox.run(&["lint"]);
    assert_eq!(output.code, Some(3), "{}", output.transcript());
    for part in [
        "migrations/002_drop/down.sql:1: error: the down adds column `t.b` again, without the values it had \
         (migrations/002_drop/up.sql:2) [down-loses-data]",
        "migrations/003_seed/up.sql:1: error: `003_seed` has no down script, and none can be derived",
        "migrations/004_view/down.sql:1: error: the down does nothing, and the up creates view `v`",
        "read 4 migrations: 3 errors, 0 warnings",
    ] {
        assert!(output.stdout.contains(part), "{part}: {}", output.transcript());
    }
    assert!(!sandbox.path("app.db").exists(), "lint has written the database");
}

fn what_a_script_allows_is_not_named(backend: Backend) {
    let sandbox = project(backend);
    with_findings(&sandbox);
    sandbox.write(
        "migrations/002_drop/down.sql",
        "SELECT 1;\n-- walkback: allow=down-loses-data\nALTER TABLE t ADD COLUMN b INTEGER;",
    );
    sandbox.write(
        "migrations/003_seed/up.sql",
        "-- walkback: allow=irreversible\nINSERT INTO t VALUES (1);",
    );
    sandbox.write(
        "migrations/004_view/down.sql",
        "-- walkback: allow=empty-down\nSELECT 1;",
    );
    sandbox.ok(&["lint", "--strict"]);
    // It is a comment to everything else.
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["down", "-y", "--allow-lossy"]);

    sandbox.write(
        "migrations/004_view/down.sql",
        "-- walkback: allow=emty-down\nSELECT 1;",
    );
    let output = sandbox.run(&["lint", "004"]);
    assert_eq!(output.code, Some(3), "{}", output.transcript());
    let useless = "migrations/004_view/down.sql:1: error: `allow=emty-down` names no rule";
    assert!(output.stdout.contains(useless), "{}", output.transcript());
    assert!(output.stdout.contains("[empty-down]"), "{}", output.transcript());
}

fn scripts_are_read_without_a_database_where_the_dialect_is_named(backend: Backend) {
    let sandbox = Sandbox::on(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration(
        "001_index",
        "CREATE INDEX i ON t (a);\nALTER TABLE t ALTER COLUMN a SET NOT NULL;",
        "DROP INDEX i; ALTER TABLE t ALTER COLUMN a DROP NOT NULL;",
    );
    let output = sandbox.run(&["lint"]);
    assert_eq!(output.code, Some(2), "{}", output.transcript());
    assert!(output.stderr.contains("--dialect"), "{}", output.transcript());
    let output = sandbox.ok(&["lint", "--dialect", "postgres"]);
    for part in [
        "up.sql:1: warning:",
        "`SHARE` lock",
        "up.sql:2: warning:",
        "NOT VALID",
        "[locks-table]",
    ] {
        assert!(output.stdout.contains(part), "{part}: {}", output.transcript());
    }
    let output = sandbox.ok(&["lint", "--dialect", "sqlite"]);
    assert!(!output.stdout.contains("locks-table"), "{}", output.transcript());
}

fn a_database_that_cannot_be_reached_changes_no_finding(backend: Backend) {
    let sandbox = Sandbox::on(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration("001_index", "CREATE INDEX i ON t (a);", "DROP INDEX i;");
    let output = sandbox.ok(&["lint", "--url", "postgres://nobody@127.0.0.1:1/none"]);
    assert!(output.stdout.contains("[locks-table]"), "{}", output.transcript());
    assert!(
        output.stderr.contains("how large the tables are is not known"),
        "{}",
        output.transcript()
    );
}

fn warnings_fail_only_where_they_are_asked_to(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("001_begin", "CREATE TABLE t (a INTEGER);", "DROP TABLE t;");
    sandbox.migration("002_drop", "DROP TABLE t;", "");
    let output = sandbox.ok(&["lint"]);
    assert!(
        output
            .stdout
            .contains("by the derived one table `t` comes back without its rows"),
        "{}",
        output.transcript()
    );
    let output = sandbox.run(&["lint", "--strict"]);
    assert_eq!(output.code, Some(3), "{}", output.transcript());
    assert!(
        output.stdout.contains("0 errors, 1 warning"),
        "{}",
        output.transcript()
    );
}

fn only_the_migrations_that_are_named_are_read(backend: Backend) {
    let sandbox = project(backend);
    with_findings(&sandbox);
    let output = sandbox.ok(&["lint", "001"]);
    assert!(
        output.stdout.contains("read 1 migration: nothing to say"),
        "{}",
        output.transcript()
    );
    let output = sandbox.run(&["lint", "001", "003_seed"]);
    assert!(
        output.stdout.contains("read 2 migrations: 1 error"),
        "{}",
        output.transcript()
    );
    let output = sandbox.run(&["lint", "nope"]);
    assert_eq!(output.code, Some(2), "{}", output.transcript());
}

fn a_script_that_cannot_be_run_is_a_finding_and_the_others_are_read(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (a INTEGER);\nSELECT 'never ends;",
        "DROP TABLE t;",
    );
    sandbox.migration(
        "002_commit",
        "CREATE TABLE u (a INTEGER);",
        "DROP TABLE u;\nCOMMIT;",
    );
    sandbox.migration("003_seed", "INSERT INTO t VALUES (1);", "");
    let output = sandbox.run(&["lint"]);
    assert_eq!(output.code, Some(3), "{}", output.transcript());
    for part in [
        "migrations/001_begin/up.sql:2: error: a quoted text is not terminated",
        "migrations/002_commit/down.sql:2: error: `COMMIT` at",
        "[unreadable-script]",
        "migrations/003_seed/up.sql:1: error",
    ] {
        assert!(output.stdout.contains(part), "{part}: {}", output.transcript());
    }
}

fn the_findings_are_written_for_programs(backend: Backend) {
    let sandbox = project(backend);
    with_findings(&sandbox);
    let output = sandbox.run(&["lint", "--json", "--junit", "lint.xml"]);
    assert_eq!(output.code, Some(3), "{}", output.transcript());
    let json = output.json();
    assert_eq!(json["dialect"], "sqlite");
    assert_eq!((&json["errors"], &json["warnings"]), (&3.into(), &0.into()));
    assert_eq!(json["passed"], false);
    assert_eq!(json["migrations"][0]["findings"], serde_json::json!([]));
    let found = &json["migrations"][1]["findings"][0];
    assert_eq!(found["rule"], "down-loses-data", "{found}");
    assert_eq!(found["level"], "error");
    assert_eq!(found["direction"], "down");
    assert_eq!(found["file"], "migrations/002_drop/down.sql");
    assert_eq!(found["line"], 1);
    assert!(found["message"].is_string() && found["advice"].is_string());
    let written = std::fs::read_to_string(sandbox.path("lint.xml")).expect("the file is there");
    for part in [
        "tests=\"4\"",
        "failures=\"3\"",
        "<testcase name=\"001_begin\" classname=\"walkback lint\"",
        "type=\"irreversible\"",
    ] {
        assert!(written.contains(part), "{part}: {written}");
    }
    assert!(!written.contains('\u{1b}'), "it is not for a terminal: {written}");
}

fn the_shop_has_no_errors(backend: Backend) {
    let sandbox = Sandbox::shop(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    let before = sandbox.contents();
    let output = sandbox.run(&["lint"]);
    assert_eq!(output.code, Some(0), "{}", output.transcript());
    sandbox.assert_contents(&before, "after lint");
}

fn what_locks_a_table_says_how_large_it_is(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1);",
        "DROP TABLE t;",
    );
    sandbox.ok(&["up", "-y"]);
    let change = match backend {
        Backend::Mysql | Backend::Mariadb => "ALTER TABLE t MODIFY a BIGINT NOT NULL;",
        Backend::Postgres | Backend::PostgresNewest => "ALTER TABLE t ALTER COLUMN a SET NOT NULL;",
        // One lock for all: none is named.
        Backend::Sqlite => "CREATE INDEX i ON t (a);",
    };
    sandbox.migration("002_change", change, "");
    let output = sandbox.ok(&["lint", "002"]);
    let is_named = backend != Backend::Sqlite;
    assert_eq!(
        output.stdout.contains("[locks-table]"),
        is_named,
        "{}",
        output.transcript()
    );
    assert_eq!(
        output.stdout.contains("KiB in this database"),
        is_named,
        "{}",
        output.transcript()
    );
}
