//! A database that somebody else holds.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::{begun, goes_on};

#[test]
fn a_database_locked_by_another_program_is_waited_for_and_then_left_alone() {
    let sandbox = begun();
    sandbox.migration("002_more", "CREATE TABLE b (a);\n", "");
    let before = sandbox.contents();
    let other = sandbox.database();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let url = "sqlite:app.db?busy_timeout=300ms";
    let began = Instant::now();
    let output = sandbox.run(&["-u", url, "up", "-y"]);
    assert!(began.elapsed() >= Duration::from_millis(300), "it did not wait");
    insta::assert_snapshot!(output.transcript(), @r"
    $ walkback -u sqlite:app.db?busy_timeout=<duration> up -y
    exit: 5
    --- stderr
    error: `app.db` is in use by another connection
    caused by: database is locked
    hint: let the other program finish, or wait longer for it: `sqlite:app.db?busy_timeout=<duration>`
    ");
    insta::assert_snapshot!(sandbox.run(&["-u", url, "status"]).transcript(), @r"
    $ walkback -u sqlite:app.db?busy_timeout=<duration> status
    exit: 5
    --- stderr
    error: `app.db` is in use by another connection
    caused by: database is locked
    hint: let the other program finish, or wait longer for it: `sqlite:app.db?busy_timeout=<duration>`
    ");
    insta::assert_snapshot!(sandbox.run(&["-u", url, "rollback", "-y"]).transcript(), @r"
    $ walkback -u sqlite:app.db?busy_timeout=<duration> rollback -y
    exit: 5
    --- stderr
    error: `app.db` is in use by another connection
    caused by: database is locked
    hint: let the other program finish, or wait longer for it: `sqlite:app.db?busy_timeout=<duration>`
    ");
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(sandbox.contents(), before);
    goes_on(&sandbox, 2);
}

#[test]
fn a_writer_that_does_not_end_is_waited_for_and_nothing_is_half_done() {
    let sandbox = begun();
    sandbox.migration("002_more", "CREATE TABLE b (a);\n", "");
    let other = sandbox.database();
    other
        .execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (3, 'by another program')")
        .unwrap();
    let output = sandbox.run(&["-u", "sqlite:app.db?busy_timeout=300ms", "up", "-y"]);
    insta::assert_snapshot!(output.transcript(), @r"
    $ walkback -u sqlite:app.db?busy_timeout=<duration> up -y
    exit: 5
    --- stdout
    up on app.db (environment `dev`): 1 migration, from `001` to `002`
      up    002_more  unknown: it has no down script; one is derived while it runs
    --- stderr
    error: `app.db` is in use by another connection
    caused by: database is locked
    hint: let the other program finish, or wait longer for it: `sqlite:app.db?busy_timeout=<duration>`
    ");
    other.execute_batch("ROLLBACK").unwrap();
    goes_on(&sandbox, 2);
}

#[test]
fn the_lock_of_another_run_says_who_holds_it_and_is_waited_for() {
    let sandbox = begun();
    sandbox.migration("002_more", "CREATE TABLE b (a);\n", "");
    let before = sandbox.contents();
    // The other run has walkback's lock and waits for this writer: as long as the test wants.
    let writer: Connection = sandbox.database();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let other = sandbox.spawn(&["-u", "sqlite:app.db?busy_timeout=60s", "up", "-y"]);
    let holder = sandbox.path("app.db-walkback-lock");
    let this_run = format!("(pid {})", other.id());
    let began = Instant::now();
    while !std::fs::read_to_string(&holder).is_ok_and(|text| text.contains(&this_run)) {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "the other run has not taken the lock"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = sandbox.run(&["up", "-y", "--lock-timeout", "1s"]);
    assert!(output.stderr.contains(&this_run), "{}", output.transcript());
    insta::assert_snapshot!(output.transcript(), @r"
    $ walkback up -y --lock-timeout <duration>
    exit: 5
    --- stdout
    up on app.db (environment `dev`): 1 migration, from `001` to `002`
      up    002_more  unknown: it has no down script; one is derived while it runs
    --- stderr
    waiting for the lock: held by walkback up by <user> since <time>
    error: the database is locked: held by walkback up by <user> since <time>
    hint: waited <duration>; wait longer with `--lock-timeout 5m`
    hint: `walkback abort` asks that run to stop; its lock goes away by itself when its process ends
    ");
    let rollback = sandbox.run(&["rollback", "-y", "--lock-timeout", "1s", "--json"]);
    assert_eq!(
        rollback.json()["error"]["kind"],
        "locked",
        "{}",
        rollback.transcript()
    );
    // Who only looks needs no lock.
    sandbox.ok(&["status"]);
    sandbox.ok(&["up", "--dry-run"]);
    assert_eq!(sandbox.contents(), before);
    writer.execute_batch("ROLLBACK").unwrap();
    let output = other.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    goes_on(&sandbox, 2);
}
