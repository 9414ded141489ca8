//! Rollbacks that were killed once the database was walked back, before the commands after that had run.

use std::process::Stdio;

use walkback_tests::{Backend, Output, Sandbox};

/// Two migrations that are applied, and these hooks.
fn applied(backend: Backend, hooks: &str) -> Sandbox {
    let sandbox = super::project(backend);
    sandbox.migration(
        "1_a",
        "CREATE TABLE t(id INTEGER PRIMARY KEY, name VARCHAR(20));",
        "DROP TABLE t;",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.migration("2_b", "CREATE TABLE u(id INTEGER PRIMARY KEY);", "DROP TABLE u;");
    sandbox.ok(&["up", "-y"]);
    let path = sandbox.path("walkback.toml");
    let text = std::fs::read_to_string(path).expect("a file");
    sandbox.write("walkback.toml", &format!("{text}\n[env.dev.hooks]\n{hooks}\n"));
    sandbox
}

#[track_caller]
fn killed(sandbox: &Sandbox, line: &[&str], at: &str) {
    let killed = sandbox.run_with(line, &[("WALKBACK_TEST_KILL_AT", at)]);
    assert_eq!(killed.signal, Some(9), "{}", killed.transcript());
}

/// What is refused is told, and changes nothing.
#[track_caller]
fn refused(sandbox: &Sandbox, line: &[&str], says: &[&str]) -> Output {
    let before = sandbox.status()["applied"].clone();
    let refused = sandbox.run(line);
    assert_eq!(refused.code, Some(6), "{}", refused.transcript());
    for said in says {
        assert!(refused.stderr.contains(said), "{said}: {}", refused.transcript());
    }
    assert_eq!(sandbox.status()["applied"], before, "{}", refused.transcript());
    refused
}

#[track_caller]
fn no_drift(sandbox: &Sandbox) {
    let status = sandbox.status();
    assert!(status["drift"].as_array().is_some_and(Vec::is_empty), "{status}");
}

#[track_caller]
fn advised(sandbox: &Sandbox, says: &[&str]) {
    let advice = sandbox.ok(&["advise", "application"]);
    for said in says {
        assert!(advice.stdout.contains(said), "{said}: {}", advice.transcript());
    }
    assert!(
        !advice.stdout.contains("rollback --full"),
        "{}",
        advice.transcript()
    );
}

/// The same command again brought back what the rollback had taken away, and said that it was done.
pub(super) fn a_killed_rollback_is_not_taken_back_by_the_same_command(backend: Backend) {
    let sandbox = applied(backend, "after_rollback = [\"true\", \"clear the cache\"]");
    killed(&sandbox, &["rollback", "-y"], "hook.noted");
    assert_eq!(sandbox.status()["applied"], 1);
    no_drift(&sandbox);
    let run = sandbox.status()["unfinished"]["id"]
        .as_str()
        .expect("a run")
        .to_owned();
    let undo = format!("`walkback rollback {run}` brings `2_b` up again");
    let says = [
        "had taken back `2_b` already",
        "`after_rollback` has not run: run `clear the cache`",
        &undo,
    ];
    advised(&sandbox, &["has walked back already", "clear the cache"]);
    refused(&sandbox, &["rollback", "--dry-run"], &says);
    assert!(
        sandbox.status()["unfinished"].is_object(),
        "a dry run writes nothing"
    );
    refused(&sandbox, &["rollback", "-y"], &says);
    assert!(sandbox.status()["unfinished"].is_null(), "it is closed");
    no_drift(&sandbox);
    refused(&sandbox, &["rollback", "-y"], &says);
    advised(&sandbox, &["has walked back already", "clear the cache"]);
    // What is named is done.
    sandbox.run(&["rollback", &run, "-y"]);
    assert_eq!(sandbox.status()["applied"], 2);
    no_drift(&sandbox);
}

pub(super) fn a_killed_rollback_by_number_is_not_done_twice_unasked(backend: Backend) {
    for (line, dry) in [
        (
            &["rollback", "-n", "1", "-y"][..],
            &["rollback", "-n", "1", "--dry-run"][..],
        ),
        (&["down", "-y"], &["down", "--dry-run"]),
    ] {
        let hooks = "after_rollback = [\"true\"]\nafter_down = [\"true\"]";
        let sandbox = applied(backend, hooks);
        killed(&sandbox, line, "hook.noted");
        let says = ["had taken back `2_b` already", "type the command again"];
        refused(&sandbox, dry, &says);
        refused(&sandbox, dry, &says);
        refused(&sandbox, line, &says);
        assert!(sandbox.status()["unfinished"].is_null(), "it is closed");
        sandbox.ok(line);
        assert_eq!(sandbox.status()["applied"], 0);
    }
}

/// Old code was brought back onto the new database.
pub(super) fn a_killed_full_rollback_names_the_code_and_brings_no_migration_back(backend: Backend) {
    let hooks = "stop_services = [\"echo stop >> log\"]\nstart_services = [\"echo start >> log\"]\n\
                 rollback_code = [\"echo code >> log\"]";
    let sandbox = applied(backend, hooks);
    let line = ["rollback", "--full", "-y"];
    killed(&sandbox, &line, "procedure.stage 4");
    assert_eq!(sandbox.status()["applied"], 1);
    no_drift(&sandbox);
    let left = [
        "`stop_services` has run and `start_services` has not: run `echo start >> log`",
        "`rollback_code` has not run: run `echo code >> log`",
    ];
    advised(&sandbox, &["has walked back already", left[0], left[1]]);
    let found = sandbox.ok(&["recover", "--dry-run"]).stdout;
    assert!(left.iter().all(|left| found.contains(left)), "{found}");
    refused(&sandbox, &["rollback", "--full", "--dry-run"], &left);
    let recovered = sandbox.ok(&["recover", "-y"]);
    assert!(
        left.iter().all(|left| recovered.stderr.contains(left)),
        "{}",
        recovered.transcript()
    );
    refused(&sandbox, &line, &left);
    advised(&sandbox, &["has walked back already", left[0], left[1]]);
    let status = sandbox.ok(&["status"]).stdout;
    assert!(left.iter().all(|left| status.contains(left)), "{status}");
    let log = std::fs::read_to_string(sandbox.path("log")).expect("a log");
    assert_eq!(log, "stop\n");
    // The next one has its own commands, and those before are history.
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&line);
    assert_eq!(sandbox.status()["applied"], 1);
    assert!(sandbox.status()["left_out"].is_null());
}

pub(super) fn a_rollback_that_was_killed_before_its_work_is_just_done_again(backend: Backend) {
    let sandbox = applied(backend, "before_rollback = [\"true\"]");
    killed(&sandbox, &["rollback", "-y"], "hook.noted");
    assert_eq!(sandbox.status()["applied"], 2);
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.status()["applied"], 1);
    // As is one that has come to its end: it is walked back.
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.status()["applied"], 2);
}

/// 1 says that the database is as it was.
pub(super) fn a_full_disk_under_the_output_is_not_told_as_work_that_failed(_: Backend) {
    let sandbox = super::project(Backend::Sqlite);
    sandbox.migration("1_a", "CREATE TABLE t(id INTEGER PRIMARY KEY);", "DROP TABLE t;");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let mut command = sandbox.command(&["up", "-y"]);
    command.stdout(Stdio::from(full.expect("the device is there")));
    let output = command.output().expect("the binary starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("what the command did is done"), "{told}");
    assert_eq!(sandbox.status()["applied"], 1);
}
