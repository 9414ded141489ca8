//! `walkback new --down-from-up` writes the way back that nobody wrote, and never over one that is there.

use std::process::ExitCode;

use walkback_tests::{Backend, ONE_OF_EACH, Sandbox, journeys};

fn main() -> ExitCode {
    walkback_tests::main(
        "derived",
        &journeys! {
            &[Backend::Sqlite] => [
                every_layout_has_its_place_for_a_way_back,
                a_way_back_that_is_there_is_never_overwritten,
                what_has_no_inverse_is_said_in_the_script_and_on_the_terminal,
                a_migration_of_which_nothing_can_be_derived_gets_no_file,
                definitions_come_from_the_earlier_migrations_where_the_database_has_gone_on,
                diesels_empty_way_back_is_filled,
            ],
            ONE_OF_EACH => [
                a_derived_way_back_leads_back,
                a_way_back_that_does_nothing_is_not_taken_for_one,
            ],
        },
    )
}

fn project(backend: Backend) -> Sandbox {
    Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"))
}

fn read(sandbox: &Sandbox, name: &str) -> String {
    std::fs::read_to_string(sandbox.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

const BEGIN: &str = "CREATE TABLE s (a INTEGER NOT NULL, b VARCHAR(20) DEFAULT 'x', c INTEGER);\n\
                     CREATE INDEX s_by_c ON s (c);\nCREATE VIEW v AS SELECT a FROM s;";
const DROPS: &str =
    "DROP VIEW v;\nALTER TABLE s DROP COLUMN b;\nCREATE TABLE n (i INTEGER);\nINSERT INTO n VALUES (1);";

fn a_derived_way_back_leads_back(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("001_begin", BEGIN, "DROP VIEW v;\nDROP TABLE s;");
    sandbox.migration("002_drops", DROPS, "");
    sandbox.migration("003_view", "CREATE VIEW w AS SELECT c FROM s;", "DROP VIEW w;");
    // Applied already: what was there before is known from the earlier migrations.
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    let output = sandbox.ok(&["new", "--down-from-up", "002_drops"]);
    assert!(
        output.stdout.contains("wrote migrations/002_drops/down.sql"),
        "{}",
        output.transcript()
    );
    assert!(
        output.stderr.contains("the values of column `s.b`"),
        "{}",
        output.transcript()
    );
    sandbox.assert_contents(&before, "after the way back was derived");
    let verified = sandbox.ok(&["verify", "002"]);
    assert!(verified.stdout.contains("ok"), "{}", verified.transcript());
    // The database was left alone, and what was derived can be run on it.
    sandbox.ok(&["down", "-n", "2", "-y", "--allow-lossy"]);
    sandbox.ok(&["up", "-y"]);
}

fn a_way_back_that_does_nothing_is_not_taken_for_one(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("001_begin", BEGIN, "DROP VIEW v;\nDROP TABLE s;");
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    sandbox.migration("002_add", "ALTER TABLE s ADD COLUMN d INTEGER;", "SELECT 1;");
    sandbox.ok(&["up", "-y"]);
    let back = sandbox.ok(&["rollback", "-n", "1", "-y", "--allow-lossy"]);
    // Where the journal keeps a point, the way back is tried first, and does not lead back.
    let said = format!("{}{}", back.stdout, back.stderr);
    assert!(
        said.contains("does nothing") || said.contains("by the derived down"),
        "{}",
        back.transcript()
    );
    sandbox.assert_contents(&before, &back.transcript());
    // Where nothing has to be taken back, nothing is right.
    sandbox.migration("002_add", "SELECT 2;", "SELECT 1;");
    sandbox.ok(&["up", "-y"]);
    let back = sandbox.ok(&["rollback", "-n", "1", "-y"]);
    assert!(!back.stdout.contains("does nothing"), "{}", back.transcript());
}

fn every_layout_has_its_place_for_a_way_back(backend: Backend) {
    let sandbox = project(backend);
    let table = |name: &str| format!("CREATE TABLE {name} (i INTEGER);\n");
    sandbox.write("migrations/1_folder/up.sql", &table("a"));
    sandbox.write("migrations/2_pair.up.sql", &table("b"));
    sandbox.write("migrations/3_single.sql", &table("c"));
    let sections = format!("-- walkback: up\n{}", table("d"));
    sandbox.write("migrations/4_sections.sql", &sections);
    let empty = format!("-- walkback: down\n-- to do\n-- walkback: up\n{}", table("e"));
    sandbox.write("migrations/5_empty.sql", &empty);
    sandbox.write("migrations/6_dialect/up.sqlite.sql", &table("f"));
    sandbox.ok_at("2024-06-01T00:00:00Z", &["new", "made"]);
    sandbox.write("migrations/20240601000000_made/up.sql", &table("g"));
    sandbox.write("migrations/20240602000000_noted/up.sql", &table("h"));
    sandbox.write("migrations/20240602000000_noted/down.sql", "-- Ask Ada first.\n");
    sandbox.ok(&["up", "-y"]);
    for (migration, file, drops) in [
        ("1", "1_folder/down.sql", "a"),
        ("2", "2_pair.down.sql", "b"),
        ("3", "3_single.down.sql", "c"),
        ("sections", "4_sections.sql", "d"),
        ("5", "5_empty.sql", "e"),
        ("6", "6_dialect/down.sqlite.sql", "f"),
        ("made", "20240601000000_made/down.sql", "g"),
        ("noted", "20240602000000_noted/down.sql", "h"),
    ] {
        let file = format!("migrations/{file}");
        let output = sandbox.ok(&["new", migration, "--down-from-up", "--json"]);
        assert_eq!(output.json()["file"], file.as_str(), "{}", output.transcript());
        assert_eq!(output.json()["complete"], true);
        assert!(
            read(&sandbox, &file).contains(&format!("DROP TABLE \"{drops}\";")),
            "{}",
            read(&sandbox, &file)
        );
    }
    assert!(read(&sandbox, "migrations/4_sections.sql").starts_with(&sections));
    assert!(read(&sandbox, "migrations/5_empty.sql").ends_with(&format!("-- walkback: up\n{}", table("e"))));
    assert!(!read(&sandbox, "migrations/20240601000000_made/down.sql").contains("the way back is derived"));
    assert!(read(&sandbox, "migrations/20240602000000_noted/down.sql").starts_with("-- Ask Ada first.\n"));
    // No up script has changed: none counts as edited, and all of them can be walked back.
    sandbox.ok(&["status", "--check"]);
    sandbox.ok(&["lint", "--strict"]);
    sandbox.ok(&["verify"]);
    sandbox.ok(&["down", "--to", "base", "-y"]);
}

fn a_way_back_that_is_there_is_never_overwritten(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (a INTEGER);",
        "DROP TABLE t; -- by hand",
    );
    let single = "-- walkback: up\nCREATE TABLE u (a INTEGER);\n-- walkback: down\nSELECT 1;\n";
    sandbox.write("migrations/002_single.sql", single);
    for (id, file) in [
        ("001", "migrations/001_begin/down.sql:1"),
        ("002", "migrations/002_single.sql:4"),
    ] {
        let output = sandbox.run(&["new", "--down-from-up", id]);
        assert_eq!(output.code, Some(2), "{}", output.transcript());
        assert!(output.stderr.contains(file), "{}", output.transcript());
        assert!(
            output.stderr.contains("never overwrites"),
            "{}",
            output.transcript()
        );
    }
    assert_eq!(
        read(&sandbox, "migrations/001_begin/down.sql"),
        "DROP TABLE t; -- by hand"
    );
    assert_eq!(read(&sandbox, "migrations/002_single.sql"), single);
    let output = sandbox.run(&["new", "--down-from-up", "nope"]);
    assert_eq!(output.code, Some(2), "{}", output.transcript());
}

fn what_has_no_inverse_is_said_in_the_script_and_on_the_terminal(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("001_begin", BEGIN, "");
    sandbox.migration(
        "002_mixed",
        "ALTER TABLE s ADD COLUMN d INTEGER;\nUPDATE s SET a = 2;",
        "",
    );
    let output = sandbox.ok(&["new", "--down-from-up", "002"]);
    assert!(
        output
            .stderr
            .contains("warning: the statement at migrations/002_mixed/up.sql:2 has no inverse"),
        "{}",
        output.transcript()
    );
    let down = read(&sandbox, "migrations/002_mixed/down.sql");
    assert!(down.contains("\n-- cannot be derived: it updates `s`"), "{down}");
    assert!(
        down.contains("\nALTER TABLE \"s\" DROP COLUMN \"d\";\n"),
        "{down}"
    );
    assert!(!sandbox.path("app.db").exists(), "the database was written");
}

fn a_migration_of_which_nothing_can_be_derived_gets_no_file(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("001_begin", BEGIN, "");
    sandbox.migration("002_rows", "UPDATE s SET a = 2;", "");
    let output = sandbox.run(&["new", "--down-from-up", "002"]);
    assert_eq!(output.code, Some(2), "{}", output.transcript());
    let why = "migrations/002_rows/up.sql:1 has no inverse: it updates `s`";
    assert!(output.stderr.contains(why), "{}", output.transcript());
    assert!(!sandbox.path("migrations/002_rows/down.sql").exists());
}

fn definitions_come_from_the_earlier_migrations_where_the_database_has_gone_on(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("001_begin", BEGIN, "");
    sandbox.migration("002_drop", "DROP VIEW v;", "");
    // Neither of them is applied: a scratch database is.
    let output = sandbox.ok(&["new", "--down-from-up", "002", "--json"]);
    assert_eq!(output.json()["catalog"], "scratch", "{}", output.transcript());
    assert!(!sandbox.path("app.db").exists(), "the database was written");
    sandbox.remove("migrations/002_drop/down.sql");
    // It is the next: the database has what it will drop.
    sandbox.ok(&["up", "-n", "1", "-y"]);
    let output = sandbox.ok(&["new", "--down-from-up", "002", "--json"]);
    assert_eq!(output.json()["catalog"], "database", "{}", output.transcript());
    let down = read(&sandbox, "migrations/002_drop/down.sql");
    assert!(down.contains("CREATE VIEW v AS SELECT a FROM s"), "{down}");
}

fn diesels_empty_way_back_is_filled(backend: Backend) {
    let sandbox = project(backend);
    sandbox.configure("[source]\nkind = \"diesel\"\npath = \"migrations\"");
    sandbox.write(
        "migrations/2024-01-01-000000_a/up.sql",
        "CREATE TABLE a (i INTEGER);",
    );
    sandbox.write("migrations/2024-01-01-000000_a/down.sql", "-- a: the way back\n");
    sandbox.write(
        "migrations/2024-01-02-000000_b/up.sql",
        "CREATE TABLE b (i INTEGER);",
    );
    let output = sandbox.run(&["lint"]);
    let empty = "migrations/2024-01-01-000000_a/down.sql:1: error: the down does nothing";
    assert!(output.stdout.contains(empty), "{}", output.transcript());
    for folder in ["2024-01-01-000000_a", "2024-01-02-000000_b"] {
        let (_, slug) = folder.split_once('_').expect("it has a slug");
        sandbox.ok(&["new", "--down-from-up", slug]);
        let down = read(&sandbox, &format!("migrations/{folder}/down.sql"));
        assert!(down.contains(&format!("DROP TABLE \"{slug}\";")), "{down}");
    }
    sandbox.ok(&["lint", "--strict"]);
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["down", "--to", "base", "-y"]);
}
