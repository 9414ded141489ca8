//! Dumps that the real tools have made: recognised, verified, restored as they were made, refused when they are not
//! whole; and backups of our own restored for proof.

mod exports;
mod tools;

use std::fs;
use std::process::ExitCode;

use exports::{
    an_export_is_loaded_by_the_databases_own_client, chosen_tables_are_exported_on_their_own,
    json_lines_tell_every_value_apart,
};
use tools::{dump, kinds};
use walkback_tests::{Backend, Output, Sandbox, awkward, journeys};

/// The newest PostgreSQL is dumped by a `pg_dump` of its own age only.
const DUMPED: &[Backend] = &[
    Backend::Sqlite,
    Backend::Postgres,
    Backend::Mysql,
    Backend::Mariadb,
];

fn main() -> ExitCode {
    walkback_tests::main(
        "dumps",
        &journeys! {
            DUMPED => [
                a_dump_of_every_kind_comes_back_as_it_was_made,
                a_dump_is_shown_listed_and_verified,
                a_dump_that_is_cut_off_is_refused_and_nothing_has_changed,
                a_dump_of_another_engine_is_refused,
                what_is_no_dump_is_refused,
                a_dump_that_names_no_version_needs_one,
                a_dry_run_leaves_the_database_and_the_vault_as_they_are,
                a_backup_is_restored_for_proof,
                a_backup_that_cannot_be_restored_is_found,
                an_export_is_loaded_by_the_databases_own_client,
                chosen_tables_are_exported_on_their_own,
                json_lines_tell_every_value_apart,
            ],
            &[Backend::Postgres, Backend::Mysql, Backend::Mariadb] => [
                a_tool_that_is_not_installed_is_named,
                no_scratch_database_is_left_behind,
            ],
            &[Backend::PostgresNewest] => [a_dump_of_an_older_server_comes_back],
            &[Backend::Postgres] => [a_dump_that_names_unknown_roles_comes_back_without_them],
            &[Backend::Sqlite] => [killed_anywhere_the_database_is_old_or_new],
        },
    )
}

const CIRCLE: &str = "CREATE TABLE left_one (id INTEGER PRIMARY KEY, r INTEGER);\n\
    CREATE TABLE right_one (id INTEGER PRIMARY KEY, l INTEGER, FOREIGN KEY (l) REFERENCES left_one (id));\n\
    INSERT INTO left_one VALUES (1, 1); INSERT INTO right_one VALUES (1, 1);\n";

/// A project with everything awkward in its database, and a migration applied.
fn begun(backend: Backend) -> Sandbox {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration(
        "001_begin",
        "CREATE TABLE begun (id INTEGER PRIMARY KEY, a VARCHAR(20));",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.sql(awkward::tables(backend));
    sandbox.sql(awkward::rows(backend));
    sandbox.sql(CIRCLE);
    if backend == Backend::Sqlite {
        // The shell writes such text as it is, and what it then writes is no text at all.
        sandbox.sql("DELETE FROM keyless WHERE typeof(b) = 'blob'");
    } else {
        sandbox.sql("ALTER TABLE left_one ADD CONSTRAINT back FOREIGN KEY (r) REFERENCES right_one (id)");
    }
    if backend.is_mysql() {
        // Their tools write six digits of a FLOAT; and MariaDB's, which Debian has, does not know the generated
        // columns of MySQL.
        sandbox.sql("UPDATE keyless SET a = 0.5 WHERE a > 1e38");
        if backend == Backend::Mysql {
            // Nor does the sign of a zero survive in its text.
            sandbox.sql("UPDATE `or\"``der` SET `größe €` = 0.25 WHERE id = 2");
            sandbox.sql("DROP TRIGGER noted; ALTER TABLE `or\"``der` DROP COLUMN shouted");
            sandbox.sql("CREATE OR REPLACE VIEW big AS SELECT * FROM `or\"``der` WHERE `größe €` > 1");
            // Made among other statements it keeps the semicolon behind it, and no tool's dump of that can be loaded.
            sandbox.sql(
                "CREATE TRIGGER noted AFTER UPDATE ON `or\"``der` FOR EACH ROW INSERT INTO log VALUES (OLD.`select`)",
            );
        }
        sandbox.sql("CREATE FUNCTION one_more(a INTEGER) RETURNS INTEGER DETERMINISTIC RETURN a + 1");
    }
    sandbox.migration(
        "002_change",
        "ALTER TABLE begun ADD COLUMN b INTEGER; CREATE TABLE later (id INTEGER);",
        "",
    );
    sandbox
}

/// A migration, and what applications write after it.
fn changed(sandbox: &Sandbox) {
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO begun VALUES (1, 'x', 2); INSERT INTO later VALUES (7); DELETE FROM tag WHERE word = 'a'");
    sandbox.sql("DROP VIEW big; INSERT INTO log VALUES ('late')");
}

fn applied(sandbox: &Sandbox) -> String {
    sandbox.ok(&["current"]).stdout
}

fn a_dump_of_every_kind_comes_back_as_it_was_made(backend: Backend) {
    let sandbox = begun(backend);
    let (before, then) = (sandbox.contents(), applied(&sandbox));
    let names: Vec<_> = kinds(backend).iter().map(|kind| dump(&sandbox, kind)).collect();
    changed(&sandbox);
    let after = sandbox.contents();
    for (index, name) in names.iter().enumerate() {
        let output = if index % 2 == 0 {
            sandbox.ok(&["restore", name, "-y"])
        } else {
            sandbox.ok(&["rollback", "--backup-file", name, "-y"])
        };
        sandbox.assert_contents(&before, &format!("after the restore of {name}"));
        assert_eq!(applied(&sandbox), then, "{}", output.transcript());
        sandbox.assert_sound();
        sandbox.ok(&["rollback", "-y"]);
        sandbox.assert_contents(&after, &format!("after the restore of {name} was walked back"));
    }
    let runs = sandbox.ok(&["audit", "--json"]).json();
    let runs = runs["runs"].as_array().expect("runs").len();
    assert_eq!(runs, 2 + 2 * names.len(), "no run is forgotten");
}

fn a_dump_is_shown_listed_and_verified(backend: Backend) {
    let sandbox = begun(backend);
    let names: Vec<_> = kinds(backend).iter().map(|kind| dump(&sandbox, kind)).collect();
    sandbox.write("dumps/notes.txt", "nothing that is a dump\n");
    for name in &names {
        let shown = sandbox.ok(&["backup", "show", name, "--json"]).json();
        let is_whole = &shown["dump"]["complete"];
        assert!(is_whole.is_null() || *is_whole == true, "{shown}");
        let report = sandbox.ok(&["backup", "verify", name, "--json"]).json();
        assert_eq!(report["intact"], true);
        let tables = report["reports"][0]["dump"]["tables"].to_string();
        assert!(
            tables.contains("keyless") && tables.contains("begun"),
            "{name}: {tables}"
        );
    }
    let list = sandbox
        .ok(&["backup", "list", "--dumps", "dumps", "--json"])
        .json();
    assert_eq!(
        list["dumps"].as_array().map(Vec::len),
        Some(names.len()),
        "{list}"
    );
}

fn refused(sandbox: &Sandbox, arguments: &[&str], code: i32, words: &str) -> Output {
    let output = sandbox.run(arguments);
    assert_eq!(output.code, Some(code), "{}", output.transcript());
    assert!(output.stderr.contains(words), "{}", output.transcript());
    output
}

fn a_dump_that_is_cut_off_is_refused_and_nothing_has_changed(backend: Backend) {
    let sandbox = begun(backend);
    let before = sandbox.contents();
    for kind in kinds(backend).iter().filter(|kind| **kind != "directory") {
        let name = dump(&sandbox, kind);
        let bytes = fs::read(sandbox.path(&name)).expect("a dump");
        // A tar archive ends with a script for people, which is not needed.
        let end = if *kind == "tar" { bytes.len() / 2 } else { 150 };
        for length in [bytes.len() / 3, bytes.len() - end] {
            fs::write(sandbox.path(&name), &bytes[..length]).expect("a file can be written");
            let restored = sandbox.run(&["restore", &name, "-y"]);
            assert!(matches!(restored.code, Some(1 | 8)), "{}", restored.transcript());
            assert!(restored.stderr.contains(&name), "{}", restored.transcript());
            let verified = sandbox.run(&["backup", "verify", &name]);
            assert_eq!(verified.code, Some(8), "{}", verified.transcript());
            sandbox.assert_contents(&before, &format!("{kind} cut off after {length} bytes"));
        }
    }
    let runs = sandbox.ok(&["audit", "--json"]).json();
    assert_eq!(runs["runs"].as_array().map(Vec::len), Some(1), "no run was begun");
}

fn a_dump_of_another_engine_is_refused(backend: Backend) {
    let sandbox = begun(backend);
    let before = sandbox.contents();
    let texts = [
        (
            "postgres",
            "--\n-- PostgreSQL database dump\n--\n\nSELECT 1;\n--\n-- PostgreSQL database dump complete\n--\n",
        ),
        (
            "mysql",
            "-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)\n-- Dump completed on 2026-01-01  1:01:01\n",
        ),
        (
            "sqlite",
            "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCOMMIT;\n",
        ),
    ];
    for (engine, text) in texts {
        let is_own = backend.name().starts_with(engine) || backend.is_mysql() && engine == "mysql";
        if !is_own {
            sandbox.write("other.sql", text);
            refused(
                &sandbox,
                &["restore", "other.sql", "-y"],
                2,
                "and this database is",
            );
        }
    }
    sandbox.assert_contents(&before, "nothing was done");
}

fn what_is_no_dump_is_refused(backend: Backend) {
    let sandbox = begun(backend);
    sandbox.write("notes.txt", "SELECT 1;\n");
    sandbox.write("empty", "");
    sandbox.create_folder("folder");
    for name in ["notes.txt", "empty", "./folder"] {
        refused(
            &sandbox,
            &["restore", name, "-y"],
            2,
            "is no backup that can be restored",
        );
    }
    refused(
        &sandbox,
        &["restore", "no/such.sql", "-y"],
        2,
        "there is no backup file `no/such.sql`",
    );
    sandbox.write("all.sql", "--\n-- PostgreSQL database cluster dump\n--\n");
    refused(&sandbox, &["restore", "all.sql", "-y"], 2, "pg_dumpall");
}

fn a_dump_that_names_no_version_needs_one(backend: Backend) {
    let other = Sandbox::on(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    other.sql(
        "CREATE TABLE begun (id INTEGER PRIMARY KEY, a VARCHAR(20)); INSERT INTO begun VALUES (5, 'old');",
    );
    let name = dump(&other, kinds(backend)[0]);
    let sandbox = begun(backend);
    sandbox.ok(&["up", "-y"]);
    fs::copy(other.path(&name), sandbox.path("plain.dump")).expect("a dump can be copied");
    refused(&sandbox, &["restore", "plain.dump", "-y"], 3, "--set-version");
    sandbox.ok(&["restore", "plain.dump", "-y", "--set-version", "001"]);
    assert!(applied(&sandbox).contains("001_begin"));
    assert_eq!(sandbox.value("SELECT a FROM begun"), "old");
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["rollback", "--backup-file", "plain.dump", "--to", "base", "-y"]);
    assert!(!applied(&sandbox).contains("001"), "{}", applied(&sandbox));
}

fn a_dry_run_leaves_the_database_and_the_vault_as_they_are(backend: Backend) {
    let sandbox = begun(backend);
    let name = dump(&sandbox, kinds(backend)[1]);
    changed(&sandbox);
    let (before, points) = (sandbox.contents(), sandbox.ok(&["backup", "list"]).stdout);
    let output = sandbox.ok(&["restore", &name, "--dry-run"]);
    assert!(
        output.stdout.contains("nothing was changed"),
        "{}",
        output.transcript()
    );
    sandbox.assert_contents(&before, "after a dry run");
    assert_eq!(sandbox.ok(&["backup", "list"]).stdout, points);
    // Nobody confirms: the same.
    let output = sandbox.run(&["restore", &name]);
    assert_eq!(output.code, Some(6), "{}", output.transcript());
    sandbox.assert_contents(&before, "after a restore that nobody confirmed");
    assert_eq!(sandbox.ok(&["backup", "list"]).stdout, points);
}

fn a_tool_that_is_not_installed_is_named(backend: Backend) {
    let sandbox = begun(backend);
    let name = dump(&sandbox, "sql");
    let before = sandbox.contents();
    sandbox.create_folder("nothing");
    let output = sandbox
        .command(&["restore", &name, "-y"])
        .env("PATH", sandbox.path("nothing"))
        .output()
        .expect("the binary starts");
    let said = String::from_utf8_lossy(&output.stderr);
    let tool = if backend.is_postgres() {
        "`psql`"
    } else {
        "`mysql` or `mariadb`"
    };
    assert!(
        said.contains(tool) || said.contains("`mariadb` or `mysql`"),
        "{said}"
    );
    assert!(
        said.contains("apt install") && said.contains("brew install"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(2), "{said}");
    sandbox.assert_contents(&before, "nothing was done");
}

fn no_scratch_database_is_left_behind(backend: Backend) {
    let sandbox = begun(backend);
    let name = dump(&sandbox, "sql");
    let text = fs::read_to_string(sandbox.path(&name)).expect("a dump");
    // It fails in the middle: a statement that no server takes.
    let broken = text.replacen("CREATE TABLE", "CREATE TABEL", 1);
    fs::write(sandbox.path("broken.sql"), broken).expect("a file can be written");
    let output = refused(&sandbox, &["restore", "broken.sql", "-y"], 1, "cannot be loaded");
    assert!(output.stderr.contains("TABEL"), "{}", output.transcript());
}

fn a_dump_of_an_older_server_comes_back(backend: Backend) {
    if walkback_tests::absence(Backend::Postgres).is_some() {
        return;
    }
    let old = begun(Backend::Postgres);
    let name = dump(&old, "custom");
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration(
        "001_begin",
        "CREATE TABLE begun (id INTEGER PRIMARY KEY, a VARCHAR(20));",
        "",
    );
    fs::copy(old.path(&name), sandbox.path("old.dump")).expect("a dump can be copied");
    sandbox.ok(&["restore", "old.dump", "-y"]);
    assert_eq!(sandbox.contents().rows, old.contents().rows);
}

fn a_dump_that_names_unknown_roles_comes_back_without_them(backend: Backend) {
    let sandbox = begun(backend);
    let before = sandbox.contents();
    for kind in ["sql", "custom", "custom.gz"] {
        let role = format!("gone_{}", sandbox.server().name());
        sandbox.server().administrate(&format!("CREATE ROLE \"{role}\""));
        sandbox.sql(&format!(
            "GRANT SELECT ON log TO \"{role}\"; ALTER TABLE keyless OWNER TO \"{role}\""
        ));
        let name = dump(&sandbox, kind);
        sandbox.sql(&format!(
            "ALTER TABLE keyless OWNER TO CURRENT_USER; REVOKE ALL ON log FROM \"{role}\"; REVOKE SELECT ON tag FROM pg_monitor"
        ));
        sandbox.server().administrate(&format!("DROP ROLE \"{role}\""));
        let output = sandbox.ok(&["restore", &name, "-y"]);
        assert!(
            output.stderr.contains("names roles that are not there"),
            "{}",
            output.transcript()
        );
        assert_eq!(sandbox.contents().rows, before.rows);
    }
}

fn killed_anywhere_the_database_is_old_or_new(backend: Backend) {
    let sandbox = begun(backend);
    let before = sandbox.contents();
    let name = dump(&sandbox, "database");
    changed(&sandbox);
    let after = sandbox.contents();
    let mut kills = 0;
    for step in 1..200 {
        let Some(output) = sandbox.killed_at(step, &["restore", &name, "-y"]) else {
            break;
        };
        kills += 1;
        let now = sandbox.contents();
        assert!(now == before || now == after, "{}", output.transcript());
        if now == before {
            sandbox.ok(&["rollback", "-y"]);
        }
    }
    assert!(kills > 5, "{kills} steps");
}

fn a_backup_is_restored_for_proof(backend: Backend) {
    let sandbox = begun(backend);
    let id = sandbox.backup();
    changed(&sandbox);
    let before = sandbox.contents();
    let report = sandbox
        .ok(&["backup", "verify", &id, "--restore", "--json"])
        .json();
    let restored = &report["reports"][0]["restored"];
    assert_eq!(
        restored["differences"].as_array().map(Vec::len),
        Some(0),
        "{report}"
    );
    assert!(restored["rows"].as_u64() > Some(10), "{report}");
    // A point before a migration holds what that touches, and is not restored on its own.
    let output = sandbox.ok(&["backup", "verify", "--restore"]);
    assert!(output.stdout.contains("restored"), "{}", output.transcript());
    sandbox.assert_contents(&before, "nothing was done");
}

fn a_backup_that_cannot_be_restored_is_found(backend: Backend) {
    let sandbox = begun(backend);
    let id = sandbox.backup();
    let objects = sandbox.path(".walkback/vault/objects");
    let folder = fs::read_dir(objects)
        .expect("chunks")
        .next()
        .expect("a folder")
        .expect("a folder");
    let chunk = fs::read_dir(folder.path())
        .expect("chunks")
        .next()
        .expect("a chunk")
        .expect("a chunk");
    fs::remove_file(chunk.path()).expect("a chunk can be removed");
    let output = refused(&sandbox, &["backup", "verify", &id, "--restore"], 8, "error: ");
    assert!(output.stdout.contains("damaged"), "{}", output.transcript());
}
