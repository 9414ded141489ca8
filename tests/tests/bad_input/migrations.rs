//! Migrations that cannot be read, do not fit together, or fail.

use std::fs;
use std::os::unix::fs::symlink;

use crate::{begun, goes_on, project, unchanged, write_first};

/// Its third statement, in line 4, is misspelt.
const MISSPELT: &str =
    "CREATE TABLE b (a);\nINSERT INTO b VALUES (1);\n\nCREATE TABEL c (a);\nDROP TABLE t;\n";

#[test]
fn a_folder_in_the_place_of_a_script_is_named() {
    let sandbox = begun();
    sandbox.create_folder("migrations/002_more/up.sql");
    insta::assert_snapshot!(unchanged(&sandbox, &["up", "-y"]), @r"
    $ walkback up -y
    exit: 2
    --- stderr
    error: `migrations/002_more/up.sql` is not a file
    hint: a script is a file of SQL: put one in its place, or remove it
    ");
    sandbox.remove("migrations/002_more/up.sql");
    sandbox.write("migrations/002_more/up.sql", "CREATE TABLE b (a);\n");
    goes_on(&sandbox, 2);
}

#[test]
fn a_script_that_is_not_utf8_is_named_with_the_line() {
    let sandbox = begun();
    sandbox.create_folder("migrations/002_more");
    fs::write(
        sandbox.path("migrations/002_more/up.sql"),
        b"CREATE TABLE b (a);\n-- caf\xe9\n",
    )
    .unwrap();
    insta::assert_snapshot!(unchanged(&sandbox, &["up", "-y"]), @r"
    $ walkback up -y
    exit: 2
    --- stderr
    error: the file is not UTF-8 (migrations/002_more/up.sql:2)
    hint: convert it, for example with `iconv -t utf-8 migrations/002_more/up.sql`
    ");
    sandbox.write("migrations/002_more/up.sql", "CREATE TABLE b (a);\n-- café\n");
    goes_on(&sandbox, 2);
}

#[test]
fn a_link_that_leads_nowhere_is_named_with_its_target() {
    let sandbox = begun();
    sandbox.create_folder("migrations/002_more");
    symlink("elsewhere.sql", sandbox.path("migrations/002_more/up.sql")).unwrap();
    insta::assert_snapshot!(unchanged(&sandbox, &["up", "-y"]), @r"
    $ walkback up -y
    exit: 2
    --- stderr
    error: cannot read `migrations/002_more/up.sql`
    caused by: No such file or directory (os error 2)
    hint: it is a link to `elsewhere.sql`, which does not exist: correct the link, or remove it
    ");
    sandbox.write("migrations/002_more/elsewhere.sql", "CREATE TABLE b (a);\n");
    goes_on(&sandbox, 2);
}

#[test]
fn a_misspelt_statement_is_named_with_its_line_and_its_migration_is_rolled_back() {
    let sandbox = begun();
    sandbox.migration("002_more", MISSPELT, "");
    insta::assert_snapshot!(unchanged(&sandbox, &["up", "-y"]), @r#"
    $ walkback up -y
    exit: 1
    --- stdout
    up on app.db (environment `dev`): 1 migration, from `001` to `002`
      up    002_more  irreversible: it has no down script
            does something that cannot be read (`CREATE` names no sort of object that is known here) (migrations/002_more/up.sql:4), kept in the point
            drops table `t` (migrations/002_more/up.sql:5), kept in the point
      point first: the schema, and the rows of all tables
    --- stderr
    error: statement 3 of `002_more` failed (migrations/002_more/up.sql:4): CREATE TABEL c (a)
    caused by: SQLite refused `CREATE TABEL c (a)`
    caused by: near "TABEL": syntax error
    done before: rolled back the transaction of `002_more`
    hint: correct the script, then run the same command again
    "#);
    insta::assert_snapshot!(unchanged(&sandbox, &["up", "-y", "--json"]), @r#"
    $ walkback up -y --json
    exit: 1
    --- stdout
    {
      "error": {
        "kind": "database",
        "message": "statement 3 of `002_more` failed (migrations/002_more/up.sql:4): CREATE TABEL c (a)",
        "causes": [
          "SQLite refused `CREATE TABEL c (a)`",
          "near \"TABEL\": syntax error"
        ],
        "hints": [
          "correct the script, then run the same command again"
        ],
        "context": {
          "statement": "CREATE TABEL c (a)"
        },
        "succeeded": [
          "rolled back the transaction of `002_more`"
        ],
        "exit_code": 1
      }
    }
    "#);
    assert_eq!(sandbox.status()["pending"].as_array().map(Vec::len), Some(1));
    sandbox.migration("002_more", "CREATE TABLE b (a);\n", "");
    goes_on(&sandbox, 2);
}

#[test]
fn the_migrations_before_one_that_fails_stay_and_are_named() {
    let sandbox = begun();
    sandbox.migration("002_more", "CREATE TABLE b (a);\n", "");
    sandbox.migration("003_misspelt", MISSPELT.replace(" b ", " d ").as_str(), "");
    let output = sandbox.run(&["up", "-y"]);
    insta::assert_snapshot!(output.transcript(), @r#"
    $ walkback up -y
    exit: 1
    --- stdout
    up on app.db (environment `dev`): 2 migrations, from `001` to `003`
      up    002_more      unknown: it has no down script; one is derived while it runs
      up    003_misspelt  irreversible: it has no down script
            does something that cannot be read (`CREATE` names no sort of object that is known here) (migrations/003_misspelt/up.sql:4), kept in the point
            drops table `t` (migrations/003_misspelt/up.sql:5), kept in the point
      point first: the schema, and the rows of all tables
    --- stderr
    error: statement 3 of `003_misspelt` failed (migrations/003_misspelt/up.sql:4): CREATE TABEL c (a)
    caused by: SQLite refused `CREATE TABEL c (a)`
    caused by: near "TABEL": syntax error
    done before: applied `002_more`
    done before: rolled back the transaction of `003_misspelt`
    hint: correct the script, then run the same command again
    "#);
    assert_eq!(
        sandbox.value("SELECT count(*) FROM sqlite_schema WHERE name IN ('b', 'c', 'd')"),
        "1"
    );
    sandbox.remove("migrations/003_misspelt");
    goes_on(&sandbox, 2);
}

#[test]
fn a_script_outside_a_transaction_that_fails_is_undone_from_its_point() {
    let sandbox = begun();
    let script = format!("-- walkback: transaction=off\nUPDATE t SET a = 'overwritten';\n{MISSPELT}");
    sandbox.migration("002_more", &script, "");
    insta::assert_snapshot!(unchanged(&sandbox, &["up", "-y"]), @r#"
    $ walkback up -y
    exit: 1
    --- stdout
    up on app.db (environment `dev`): 1 migration, from `001` to `002`
      up    002_more  irreversible: it has no down script
            updates `t` (migrations/002_more/up.sql:2), kept in the point
            does something that cannot be read (`CREATE` names no sort of object that is known here) (migrations/002_more/up.sql:6), kept in the point
            drops table `t` (migrations/002_more/up.sql:7), kept in the point
            runs outside a transaction, statement by statement
      point first: the schema, and the rows of all tables
    --- stderr
    error: statement 4 of `002_more` failed (migrations/002_more/up.sql:6): CREATE TABEL c (a)
    caused by: SQLite refused `CREATE TABEL c (a)`
    caused by: near "TABEL": syntax error
    done before: undid `002_more` from the point `rb_002_more_<time>`; what was there until then, also what applications wrote meanwhile, is kept in the point `safety_undo_<time>`
    hint: correct the script, then run the same command again
    "#);
    sandbox.migration("002_more", "CREATE TABLE b (a);\n", "");
    goes_on(&sandbox, 2);
}

#[test]
fn a_down_that_fails_leaves_its_migration_applied() {
    let sandbox = begun();
    sandbox.migration(
        "002_more",
        "CREATE TABLE b (a);\n",
        "DROP TABLE b;\nDROP TABEL t;\n",
    );
    sandbox.ok(&["up"]);
    insta::assert_snapshot!(unchanged(&sandbox, &["down", "-y"]), @r#"
    $ walkback down -y
    exit: 1
    --- stdout
    down on app.db (environment `dev`): 1 migration, from `002` to `001`
      down  002_more  script of the checkout
            drops table `b` (migrations/002_more/down.sql:1)
            does something that cannot be read (`DROP` names no sort of object that is known here) (migrations/002_more/down.sql:2)
      point first: the schema, and the rows of all tables
      loses nothing that was written since
    --- stderr
    error: statement 2 of `002_more` failed (migrations/002_more/down.sql:2): DROP TABEL t
    caused by: SQLite refused `DROP TABEL t`
    caused by: near "TABEL": syntax error
    done before: rolled back the transaction of the down of `002_more`
    hint: correct the script, then run the same command again
    hint: `walkback rollback -n 1` walks it back without its down, by a derived one
    "#);
    assert_eq!(sandbox.status()["applied"], 2);
    sandbox.ok(&["rollback", "-y"]);
    goes_on(&sandbox, 2);
}

#[test]
fn a_cycle_names_every_file_in_it() {
    let sandbox = begun();
    sandbox.migration("002_two", "-- walkback: parents=003\nCREATE TABLE b (a);\n", "");
    sandbox.migration("003_three", "-- walkback: parents=002\nCREATE TABLE c (a);\n", "");
    insta::assert_snapshot!(unchanged(&sandbox, &["up", "-y"]), @r"
    $ walkback up -y
    exit: 2
    --- stderr
    error: migrations follow each other in a cycle: `002 -> 003 -> 002` (migrations/002_two/up.sql, migrations/003_three/up.sql)
    hint: remove one of these from the parents or dependencies of the next
    ");
    sandbox.migration("002_two", "-- walkback: parents=001\nCREATE TABLE b (a);\n", "");
    goes_on(&sandbox, 3);
}

#[test]
fn an_identity_given_twice_names_both_files() {
    let sandbox = begun();
    sandbox.migration("002_two", "CREATE TABLE b (a);\n", "");
    sandbox.migration("002_too", "CREATE TABLE c (a);\n", "");
    insta::assert_snapshot!(unchanged(&sandbox, &["up", "-y"]), @r"
    $ walkback up -y
    exit: 2
    --- stderr
    error: two migrations have the identity `002` (migrations/002_too/up.sql and migrations/002_two/up.sql)
    hint: give one of them another identity; `walkback new` makes one from the time
    ");
    sandbox.remove("migrations/002_too");
    goes_on(&sandbox, 2);
}

#[test]
fn a_parent_that_is_not_there_is_named_with_the_closest() {
    let sandbox = begun();
    sandbox.migration("002_two", "-- walkback: parents=0011\nCREATE TABLE b (a);\n", "");
    insta::assert_snapshot!(unchanged(&sandbox, &["up", "-y"]), @r"
    $ walkback up -y
    exit: 2
    --- stderr
    error: migration `002` follows `0011`, which does not exist (migrations/002_two/up.sql)
    hint: did you mean `001`?
    ");
    sandbox.migration("002_two", "-- walkback: parents=001\nCREATE TABLE b (a);\n", "");
    goes_on(&sandbox, 2);
}

#[test]
fn a_directive_that_nobody_knows_is_named_with_its_line() {
    let sandbox = begun();
    sandbox.migration("002_two", "CREATE TABLE b (a);\n", "");
    sandbox.write(
        "migrations/002_two/up.sql",
        "-- two\n-- walkback: transactoin=off\nCREATE TABLE b (a);\n",
    );
    insta::assert_snapshot!(unchanged(&sandbox, &["up", "-y"]), @r"
    $ walkback up -y
    exit: 2
    --- stderr
    error: `transactoin` is not a directive (migrations/002_two/up.sql:2)
    hint: did you mean `transaction`?
    ");
    sandbox.migration("002_two", "CREATE TABLE b (a);\n", "");
    goes_on(&sandbox, 2);
}

#[test]
fn an_edited_migration_is_refused_as_the_ground_of_others_and_never_passed_over() {
    let sandbox = begun();
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT);\n",
        "",
    );
    insta::assert_snapshot!(unchanged(&sandbox, &["up"]), @r"
    $ walkback up
    exit: 0
    --- stdout
    nothing to apply: the database is at `001`
    --- stderr
    warning: migration `001_begin` was edited after it was applied (migrations/001_begin/up.sql:1): `up` refuses the next one until the file is as it was, or is accepted with `walkback stamp 001`
    ");
    sandbox.migration("002_more", "CREATE TABLE b (a);\n", "");
    insta::assert_snapshot!(unchanged(&sandbox, &["up", "-y"]), @r"
    $ walkback up -y
    exit: 3
    --- stderr
    error: migration `001_begin` was edited after it was applied (migrations/001_begin/up.sql:1)
    hint: put the file back as it was, and write the change as a new migration: `walkback new <slug>`
    hint: or, if the database is as the file says now, accept the file with `walkback stamp 001`
    ");
    assert_eq!(sandbox.run(&["status", "--check"]).code, Some(3));
    write_first(&sandbox);
    goes_on(&sandbox, 2);
}

#[test]
fn a_folder_of_migrations_that_is_not_there_is_named() {
    let sandbox = begun();
    fs::rename(sandbox.path("migrations"), sandbox.path("elsewhere")).unwrap();
    insta::assert_snapshot!(unchanged(&sandbox, &["up", "-y"]), @r"
    $ walkback up -y
    exit: 2
    --- stderr
    error: cannot read the folder of migrations `migrations`
    caused by: No such file or directory (os error 2)
    hint: `walkback init` creates it; or set `path` in the section `[source]` of walkback.toml
    ");
    fs::rename(sandbox.path("elsewhere"), sandbox.path("migrations")).unwrap();
    goes_on(&sandbox, 1);
}

#[test]
fn an_error_in_the_first_migration_of_all_leaves_an_empty_database() {
    let sandbox = project();
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (a);\nINSERT INTO missing VALUES (1);\n",
        "",
    );
    insta::assert_snapshot!(unchanged(&sandbox, &["up"]), @r"
    $ walkback up
    exit: 1
    --- stdout
    up on app.db (environment `dev`): 1 migration, from base to `001`
      up    001_begin  irreversible: it has no down script
      point first: the schema, and the rows of `missing`
    --- stderr
    error: statement 2 of `001_begin` failed (migrations/001_begin/up.sql:2): INSERT INTO missing VALUES (1)
    caused by: SQLite refused `INSERT INTO missing VALUES (1)`
    caused by: no such table: missing
    done before: rolled back the transaction of `001_begin`
    hint: correct the script, then run the same command again
    ");
    write_first(&sandbox);
    sandbox.ok(&["up"]);
}
