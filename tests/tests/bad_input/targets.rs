//! What is asked for and cannot be done, or may not be done.

use std::fs;

use crate::{begun, goes_on, project, reconfigure, twice, unchanged, write_first};

#[test]
fn a_rollback_with_nothing_applied_says_so() {
    let sandbox = project();
    write_first(&sandbox);
    insta::assert_snapshot!(unchanged(&sandbox, &["rollback", "-y"]), @r"
    $ walkback rollback -y
    exit: 2
    --- stderr
    error: there is no run to walk back
    hint: no migration is applied; `walkback status` shows what is there
    ");
    insta::assert_snapshot!(unchanged(&sandbox, &["down", "-y"]), @r"
    $ walkback down -y
    exit: 2
    --- stderr
    error: there is nothing to walk back: no migration is applied
    hint: `walkback status` shows what is there
    ");
    assert!(!sandbox.path("app.db").exists());
    sandbox.ok(&["up"]);
}

#[test]
fn an_unknown_target_is_named_with_the_closest() {
    let sandbox = begun();
    insta::assert_snapshot!(unchanged(&sandbox, &["up", "--to", "0001"]), @r"
    $ walkback up --to 0001
    exit: 2
    --- stderr
    error: no migration is called `0001`
    hint: did you mean `001`?
    ");
    insta::assert_snapshot!(unchanged(&sandbox, &["rollback", "--to", "0O1", "-y"]), @r"
    $ walkback rollback --to 0O1 -y
    exit: 2
    --- stderr
    error: no migration is called `0O1`
    hint: did you mean `001`?
    ");
    insta::assert_snapshot!(unchanged(&sandbox, &["rollback", "rb_no_such_point", "-y"]), @r"
    $ walkback rollback rb_no_such_point -y
    exit: 2
    --- stderr
    error: there is no point `rb_no_such_point` in the vault at `.walkback/vault`
    hint: the newest point is `rb_001_begin_<time>`
    hint: run `walkback point list` to see all points
    ");
    insta::assert_snapshot!(unchanged(&sandbox, &["rollback", "001", "-y"]), @r"
    $ walkback rollback 001 -y
    exit: 2
    --- stderr
    error: there is no point `001` in the vault at `.walkback/vault`
    hint: the newest point is `rb_001_begin_<time>`
    hint: run `walkback point list` to see all points
    hint: `001` is a migration: `walkback rollback --to 001` walks back what was applied after it
    ");
    goes_on(&sandbox, 1);
}

#[test]
fn the_beginning_of_two_identities_names_both() {
    let sandbox = begun();
    sandbox.migration("20240101_one", "CREATE TABLE b (a);\n", "");
    sandbox.migration("20240102_two", "CREATE TABLE c (a);\n", "");
    insta::assert_snapshot!(unchanged(&sandbox, &["up", "--to", "2024"]), @r"
    $ walkback up --to 2024
    exit: 2
    --- stderr
    error: `2024` is the beginning of 2 migrations: `20240101_one`, `20240102_two`
    hint: write as much of the identity as makes it the only one
    ");
    goes_on(&sandbox, 3);
}

#[test]
fn a_command_that_does_not_exist_is_named_with_the_closest() {
    let sandbox = begun();
    insta::assert_snapshot!(unchanged(&sandbox, &["rolback"]), @r"
    $ walkback rolback
    exit: 2
    --- stderr
    error: unrecognized subcommand 'rolback'

      tip: a similar subcommand exists: 'rollback'

    Usage: walkback [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(unchanged(&sandbox, &["rollback", "--type", "ful"]), @r"
    $ walkback rollback --type ful
    exit: 2
    --- stderr
    error: invalid value 'ful' for '--type <KIND>'
      [possible values: auto, down, surgical, partial, full, transaction, backup]

      tip: a similar value exists: 'full'

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(unchanged(&sandbox, &["up", "--lock-timeout", "1 fortnight"]), @r#"
    $ walkback up --lock-timeout 1 fortnight
    exit: 2
    --- stderr
    error: invalid value '1 fortnight' for '--lock-timeout <TIME>': unknown time unit "fortnight", supported units: ns, us/µs, ms, sec, min, hours, days, weeks, months, years (and few variations)

    For more information, try '--help'.
    "#);
    goes_on(&sandbox, 1);
}

#[test]
fn a_policy_that_refuses_what_destroys_names_the_statement() {
    let sandbox = begun();
    reconfigure(
        &sandbox,
        "stores =",
        "policy = { destructive = \"refuse\" }\nstores =",
    );
    sandbox.migration("002_drop", "CREATE TABLE b (a);\nUPDATE t SET a = NULL;\n", "");
    insta::assert_snapshot!(unchanged(&sandbox, &["up", "-y"]), @r"
    $ walkback up -y
    exit: 6
    --- stdout
    up on app.db (environment `dev`): 1 migration, from `001` to `002`
      up    002_drop  irreversible: it has no down script
            updates `t` (migrations/002_drop/up.sql:2), kept in the point
      point first: the schema, and the rows of `t`
    --- stderr
    error: migration `002_drop` updates `t` (migrations/002_drop/up.sql:2), and `dev` refuses what destroys
    hint: run it with `--allow-destructive` if that is meant
    ");
    sandbox.ok(&["up", "-y", "--allow-destructive"]);
    goes_on(&sandbox, 2);
}

#[test]
fn a_ticket_that_is_required_and_missing_is_asked_for() {
    let sandbox = begun();
    reconfigure(
        &sandbox,
        "stores =",
        "policy = { require_ticket = true }\nstores =",
    );
    sandbox.migration("002_more", "CREATE TABLE b (a);\n", "");
    insta::assert_snapshot!(unchanged(&sandbox, &["up", "-y"]), @r"
    $ walkback up -y
    exit: 6
    --- stdout
    up on app.db (environment `dev`): 1 migration, from `001` to `002`
      up    002_more  unknown: it has no down script; one is derived while it runs
    --- stderr
    error: a change in `dev` needs a ticket
    hint: name it with `--ticket <ID>`
    ");
    for empty in ["", " "] {
        assert!(unchanged(&sandbox, &["rollback", "-y", "--ticket", empty]).contains("exit: 6"));
    }
    sandbox.ok(&["up", "-y", "--ticket", "OPS-1"]);
    assert_eq!(sandbox.status()["applied"], 2);
}

#[test]
fn nobody_is_asked_where_there_is_no_terminal() {
    let sandbox = twice();
    sandbox.migration("003_drop", "DROP TABLE t;\n", "");
    insta::assert_snapshot!(unchanged(&sandbox, &["up"]), @r"
    $ walkback up
    exit: 6
    --- stdout
    up on app.db (environment `dev`): 1 migration, from `002` to `003`
      up    003_drop  irreversible: it has no down script
            drops table `t` (migrations/003_drop/up.sql:1), kept in the point
      point first: the schema, and the rows of `t`
    --- stderr
    error: nobody is there to confirm: apply 1 migration, with 1 statement that destroys something
    hint: add `--yes` to confirm without being asked
    ");
    insta::assert_snapshot!(unchanged(&sandbox, &["rollback"]), @r"
    $ walkback rollback
    exit: 6
    --- stdout
    rollback (full) on app.db (environment `dev`): from `002` to `001`
      full  002_change: a point was made before it, and its way down is irreversible: it has no down script
            table `t` comes back as it was, with 2 rows
      loses nothing that was written since
    --- stderr
    error: nobody is there to confirm: walk back 1 migration
    hint: add `--yes` to confirm without being asked
    ");
    sandbox.remove("migrations/003_drop");
    goes_on(&sandbox, 2);
}

#[test]
fn a_file_that_is_no_database_is_not_touched() {
    let sandbox = begun();
    let database = fs::read(sandbox.path("app.db")).unwrap();
    let garbage = "these are not the rows you are looking for\n".repeat(200);
    sandbox.write("app.db", &garbage);
    for (arguments, expected) in [
        (&["status"][..], 2),
        (&["up", "-y"], 2),
        (&["rollback", "-y"], 2),
        (&["backup", "create"], 2),
    ] {
        let output = sandbox.run(arguments);
        assert_eq!(output.code, Some(expected), "{}", output.transcript());
        assert_eq!(fs::read_to_string(sandbox.path("app.db")).unwrap(), garbage);
    }
    insta::assert_snapshot!(sandbox.run(&["up", "-y"]).transcript(), @r"
    $ walkback up -y
    exit: 2
    --- stderr
    error: `app.db` is not a SQLite database, or it is encrypted
    caused by: file is not a database
    hint: check that the URL names the right file
    ");
    fs::write(sandbox.path("app.db"), database).unwrap();
    goes_on(&sandbox, 1);
}

#[test]
fn a_database_with_a_torn_page_is_not_made_worse() {
    let sandbox = begun();
    let database = fs::read(sandbox.path("app.db")).unwrap();
    fs::write(sandbox.path("app.db"), &database[..database.len() / 2]).unwrap();
    let torn = fs::read(sandbox.path("app.db")).unwrap();
    let output = sandbox.run(&["up", "-y"]);
    insta::assert_snapshot!(output.transcript(), @r"
    $ walkback up -y
    exit: 8
    --- stderr
    error: `app.db` is damaged
    caused by: database disk image is malformed
    hint: move `app.db` away, then restore a backup: `walkback backup list`, `walkback restore <id>`
    ");
    assert_eq!(fs::read(sandbox.path("app.db")).unwrap(), torn);
    fs::write(sandbox.path("app.db"), database).unwrap();
    goes_on(&sandbox, 1);
}
