//! A disk that is full. It is a file system in memory of some hundred kilobytes, which needs the right to mount.

use walkback_tests::{Output, Sandbox, SmallDisk};

use crate::{WRITTEN_SINCE, goes_on, project, reconfigure, write_first};

/// A disk of some hundred kilobytes in a folder of the sandbox.
fn small_disk(sandbox: &Sandbox, name: &str) -> Option<SmallDisk> {
    sandbox.create_folder(name);
    SmallDisk::mount(sandbox.path(name), "512k")
}

/// Returns what a command said, without the names of unfinished files in the vault.
pub(crate) fn without_temporary_names(output: &Output) -> String {
    regex::Regex::new(r"tmp~/[0-9a-f-]+")
        .expect("the pattern is right")
        .replace_all(&output.transcript(), "tmp~/<name>")
        .into_owned()
}

/// Returns a script that writes so many kilobytes of what cannot be compressed to less than half.
fn fill(kilobytes: u32) -> String {
    format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {kilobytes})\n\
         INSERT INTO t SELECT i + 2, hex(randomblob(500)) FROM n;\n"
    )
}

#[test]
fn a_migration_that_fills_the_disk_of_the_database_is_undone() {
    let sandbox = project();
    let Some(_disk) = small_disk(&sandbox, "disk") else {
        return;
    };
    reconfigure(&sandbox, "sqlite:app.db", "sqlite:disk/app.db");
    write_first(&sandbox);
    sandbox.ok(&["up"]);
    let database = sandbox.path("disk/app.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection.execute_batch(WRITTEN_SINCE).unwrap();
    drop(connection);
    let before = walkback_tests::contents(&database);
    // More than the disk holds, and less than SQLite keeps in memory until the transaction commits.
    let script = fill(1_000);
    for head in ["", "-- walkback: transaction=off\n"] {
        sandbox.migration("002_fill", &format!("{head}{script}CREATE TABLE b (a);\n"), "");
        let output = sandbox.run(&["up", "-y"]);
        if head.is_empty() {
            insta::assert_snapshot!(output.transcript(), @r"
            $ walkback up -y
            exit: 1
            --- stdout
            up on disk/app.db (environment `dev`): 1 migration, from `001` to `002`
              up    002_fill  irreversible: it has no down script
              point first: the schema, and the rows of `t`
            --- stderr
            error: migration `002_fill` could not be committed
            caused by: the file system of `disk/app.db` is full
            caused by: database or disk is full
            hint: free some space on that file system, then run the same command again
            ");
        } else {
            insta::assert_snapshot!(output.transcript(), @r"
            $ walkback up -y
            exit: 1
            --- stdout
            up on disk/app.db (environment `dev`): 1 migration, from `001` to `002`
              up    002_fill  irreversible: it has no down script
                    runs outside a transaction, statement by statement
              point first: the schema, and the rows of all tables
            --- stderr
            error: statement 1 of `002_fill` failed (migrations/002_fill/up.sql:2): WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)…
            caused by: the file system of `disk/app.db` is full
            caused by: database or disk is full
            done before: undid `002_fill`, statement by statement
            hint: free some space on that file system, then run the same command again
            ");
        }
        assert_eq!(walkback_tests::contents(&database), before);
    }
    sandbox.migration("002_fill", "CREATE TABLE b (a);\n", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(walkback_tests::contents(&database), before);
}

#[test]
fn a_point_that_does_not_fit_into_the_vault_stops_an_up_before_its_first_change() {
    let sandbox = project();
    let Some(disk) = small_disk(&sandbox, "disk") else {
        return;
    };
    reconfigure(&sandbox, ".walkback/vault", "disk/vault");
    write_first(&sandbox);
    sandbox.ok(&["up"]);
    sandbox.sql(WRITTEN_SINCE);
    sandbox.sql(&fill(4_000));
    sandbox.migration("002_change", "UPDATE t SET a = NULL;\nCREATE TABLE b (a);\n", "");
    let before = sandbox.contents();
    let output = sandbox.run(&["up", "-y"]);
    insta::assert_snapshot!(without_temporary_names(&output), @r"
    $ walkback up -y
    exit: 1
    --- stdout
    up on app.db (environment `dev`): 1 migration, from `001` to `002`
      up    002_change  irreversible: it has no down script
            updates `t` (migrations/002_change/up.sql:1), kept in the point
      point first: the schema, and the rows of `t`
    --- stderr
    error: no point can be made before `002_change`, and without one it is not begun
    caused by: cannot write `disk/vault/tmp~/<name>`
    caused by: No space left on device (os error 28)
    hint: free some space on that file system, then run the same command again
    ");
    assert_eq!(sandbox.contents(), before);
    // No half of a point is left that somebody could take for a whole one.
    sandbox.ok(&["backup", "verify"]);
    let points = sandbox.ok(&["point", "list", "--json"]).json();
    assert!(!points.to_string().contains("002_change"), "{points}");
    drop(disk);
    sandbox.sql("DELETE FROM t WHERE id > 2");
    goes_on(&sandbox, 2);
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.value("SELECT group_concat(a) FROM t"), "x,written since");
}
