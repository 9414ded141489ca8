//! What the policy of an environment refuses, and that applications may write again however a run ends.

use std::time::{Duration, Instant};

use walkback_tests::{Backend, Sandbox};

use crate::forward::stop;
use crate::service::{SERVICES, pending, project};

pub(crate) fn only_those_who_may_change_the_database(backend: Backend) {
    let sandbox = project(backend, "");
    let backup = sandbox.backup();
    pending(&sandbox);
    sandbox.policy("allowed_users = [\"somebody-else\", \"nobody@nowhere\"]");
    let before = sandbox.contents();
    for line in [
        &["up", "-y"][..],
        &["down", "-y"],
        &["rollback", "-y"],
        &["restore", &backup, "-y"],
        &["stamp", "base"],
        &["deploy", "dev", "-y"],
        &["rollback", "--full", "-y"],
    ] {
        let refused = sandbox.run(line);
        assert_eq!(refused.code, Some(6), "{}", refused.transcript());
        for said in ["is not changed by", "somebody-else", "allowed_users"] {
            assert!(refused.stderr.contains(said), "{said}: {}", refused.transcript());
        }
    }
    sandbox.assert_contents(&before, "it was refused");
    sandbox.ok(&["up", "--dry-run"]);
    let audit = sandbox.ok(&["audit", "--json"]).json();
    let actor = audit["runs"][0]["actor"].as_str().expect("an actor").to_owned();
    let user = actor.split(" (pid").next().unwrap_or_default();
    sandbox.policy(&format!("allowed_users = [\"{user}\"]"));
    sandbox.ok(&["up", "-y", "-n", "1"]);
    let user = user.split('@').next().unwrap_or_default();
    sandbox.policy(&format!("allowed_users = [\"{user}\"]"));
    sandbox.ok(&["up", "-y"]);
}

pub(crate) fn migrations_wait_for_their_hours_and_rollbacks_do_not(backend: Backend) {
    // A Saturday and a Monday, in the years to come: the journal holds moments of now.
    const SATURDAY: &str = "2040-01-07T12:00:00Z";
    const MONDAY: &str = "2040-01-09T07:30:00Z";
    let sandbox = project(backend, "");
    pending(&sandbox);
    sandbox.policy("allowed_hours = \"Mon-Fri 08:00-18:00 Europe/Berlin\"");
    for line in [&["up", "-y"][..], &["deploy", "dev", "-y"], &["redo", "-y"]] {
        let refused = sandbox.at(SATURDAY, line);
        assert_eq!(refused.code, Some(6), "{}", refused.transcript());
        for said in [
            "takes no migrations now",
            "Mon-Fri 08:00-18:00 Europe/Berlin",
            "walking back is allowed",
        ] {
            assert!(refused.stderr.contains(said), "{said}: {}", refused.transcript());
        }
    }
    assert_eq!(sandbox.status()["pending"].as_array().map(Vec::len), Some(2));
    // Half past eight in Berlin, half past seven in UTC.
    sandbox.ok_at(MONDAY, &["up", "-y"]);
    sandbox.ok_at("2040-01-14T12:00:00Z", &["rollback", "-y"]);
    assert_eq!(sandbox.status()["pending"].as_array().map(Vec::len), Some(2));
}

pub(crate) fn a_policy_that_cannot_be_kept_is_refused(backend: Backend) {
    let sandbox = project(backend, "");
    pending(&sandbox);
    sandbox.policy("read_only_during_run = true");
    for line in [&["up", "-y"][..], &["deploy", "dev", "-y"]] {
        let refused = sandbox.run(line);
        assert_eq!(refused.code, Some(2), "{}", refused.transcript());
        assert!(
            refused.stderr.contains("stop_services"),
            "{}",
            refused.transcript()
        );
    }
    assert_eq!(sandbox.status()["pending"].as_array().map(Vec::len), Some(2));
}

fn is_read_only(sandbox: &Sandbox) -> bool {
    sandbox.ok(&["maintenance", "status", "--json"]).json()["read_only"] == true
}

pub(crate) fn what_is_refused_is_refused_of_every_command(backend: Backend) {
    let sandbox = project(backend, "");
    sandbox.migration(
        "002_drop",
        "ALTER TABLE customers DROP COLUMN tier;",
        "ALTER TABLE customers ADD COLUMN tier INTEGER;",
    );
    sandbox.migration(
        "003_note",
        "CREATE TABLE notes (note VARCHAR(40));",
        "DROP TABLE notes;",
    );
    sandbox.policy("destructive = \"refuse\"\nlossy = \"refuse\"");
    let refused = sandbox.run(&["goto", "002", "-y"]);
    assert_eq!(refused.code, Some(6), "{}", refused.transcript());
    sandbox.ok(&["goto", "002", "-y", "--allow-destructive"]);
    let refused = sandbox.run(&["redo", "-y"]);
    assert_eq!(refused.code, Some(6), "{}", refused.transcript());
    assert!(
        refused.stderr.contains("refuses what destroys"),
        "{}",
        refused.transcript()
    );
    sandbox.ok(&["up", "-y"]);
    // A down destroys nothing that was written since, unless it was.
    sandbox.ok(&["down", "-y"]);
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO notes VALUES ('written since')");
    for line in [&["down", "-y"][..], &["goto", "002", "-y"], &["redo", "-y"]] {
        let refused = sandbox.run(line);
        assert_eq!(refused.code, Some(6), "{}", refused.transcript());
        assert!(
            refused.stderr.contains("written since"),
            "{}",
            refused.transcript()
        );
    }
    assert_eq!(sandbox.value("SELECT note FROM notes"), "written since");
    sandbox.ok(&["down", "-y", "--allow-lossy"]);
}

/// Only what destroys was asked about, and not even that with `--allow-destructive`.
pub(crate) fn where_the_name_is_to_be_typed_every_change_needs_it(backend: Backend) {
    let sandbox = project(backend, "");
    let backup = sandbox.backup();
    pending(&sandbox);
    sandbox.policy("confirm = \"type-name\"");
    sandbox.write("rows.csv", "id,name,tier\n9,ida,1\n");
    let before = sandbox.contents();
    let lines = [
        &["up"][..],
        &["up", "-n", "1"],
        &["down"],
        &["goto", "base"],
        &["redo"],
        &["sync"],
        &["deploy", "dev"],
        &["stamp", "base"],
        &["load", "customers", "rows.csv"],
        &["rollback"],
        &["rollback", "--full"],
        &["restore", &backup],
    ];
    for line in lines {
        for sure in [&["-y"][..], &["--unattended"], &["-y", "--confirm-name", "prod"]] {
            let allowed = match line[0] {
                "stamp" | "load" => &[][..],
                _ => &["--allow-destructive", "--allow-lossy"],
            };
            let line = [line, sure, allowed].concat();
            let refused = sandbox.run(&line);
            assert_eq!(refused.code, Some(6), "{}", refused.transcript());
            let said = match sure.len() {
                1 => "add `--confirm-name dev`; `--yes` is not enough here",
                _ => "`--confirm-name prod` does not name the environment `dev`",
            };
            assert!(refused.stderr.contains(said), "{}", refused.transcript());
        }
    }
    sandbox.assert_contents(&before, "no name was typed");
    // What changes nothing needs none.
    sandbox.ok(&["up", "--dry-run"]);
    sandbox.ok(&["stamp", "base", "--dry-run"]);
    sandbox.ok(&["up", "--sql"]);
    let named = ["--unattended", "--confirm-name", "dev"];
    sandbox.ok(&[&["up", "--allow-destructive"][..], &named].concat());
    sandbox.ok(&["up"]);
    sandbox.ok(&["sync"]);
    sandbox.ok(&[&["redo", "--allow-destructive"][..], &named].concat());
    sandbox.ok(&[&["rollback", "-n", "2", "--allow-lossy"][..], &named].concat());
    sandbox.ok(&[&["deploy", "dev", "--allow-destructive"][..], &named].concat());
    assert_eq!(sandbox.status()["pending"].as_array().map(Vec::len), Some(0));
}

/// The hours end while the services stop.
pub(crate) fn a_deployment_that_began_within_its_hours_goes_on(backend: Backend) {
    let sandbox = project(backend, SERVICES);
    pending(&sandbox);
    let text = std::fs::read_to_string(sandbox.path("walkback.toml")).expect("a file");
    let text = text.replace(
        "\n[env.dev.hooks]",
        "\n[env.dev.policy]\nallowed_hours = \"daily 00:00-12:00\"\n\n[env.dev.hooks]",
    );
    let text = text.replace("stop_services = [", "stop_services = [\"sleep 4\", ");
    sandbox.write("walkback.toml", &text);
    let clock = [("WALKBACK_TEST_CLOCK_FROM", "2040-01-09T11:59:57Z")];
    let done = sandbox.run_with(&["deploy", "dev", "-y"], &clock);
    assert_eq!(done.code, Some(0), "{}", done.transcript());
    stop(&sandbox);
}

/// The mode of MySQL is that of the whole server: who has it keeps everybody else from switching it.
fn the_mode_of_a_server_is_one_programs(backend: Backend) {
    let sandbox = project(backend, "");
    sandbox.policy("read_only_during_run = true");
    pending(&sandbox);
    let mut other = sandbox.session();
    assert_eq!(other.value("SELECT GET_LOCK('walkback-read-only', 60)"), "1");
    for line in [
        &["up", "-y", "--lock-timeout", "1s"][..],
        &["maintenance", "on", "-y", "--lock-timeout", "1s"],
    ] {
        let refused = sandbox.run(line);
        assert!(
            refused.code != Some(0) && refused.stderr.contains("another run on this server"),
            "{}",
            refused.transcript()
        );
    }
    assert!(!is_read_only(&sandbox));
    drop(other);
    sandbox.ok(&["up", "-y"]);
    assert!(!is_read_only(&sandbox));
}

/// What a database says of itself is set again, and who was connected meanwhile is told of.
fn what_was_set_before_is_set_again(backend: Backend) {
    let setting = "SELECT coalesce(array_to_string(setconfig, ','), '') FROM pg_db_role_setting s \
                   JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database()";
    let sandbox = project(backend, "");
    sandbox.policy("read_only_during_run = true");
    let name = sandbox.value("SELECT current_database()");
    sandbox.sql(&format!(
        "ALTER DATABASE \"{name}\" SET default_transaction_read_only = 'false'"
    ));
    sandbox.migration("002_slow", "SELECT pg_sleep(4);", "");
    let child = sandbox.spawn(&["up", "-y"]);
    let began = Instant::now();
    while !is_read_only(&sandbox) {
        assert!(began.elapsed() < Duration::from_secs(30), "never read-only");
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut late = sandbox.session();
    assert_eq!(late.value("SHOW transaction_read_only"), "on");
    let output = child.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("pg_terminate_backend"), "{told}");
    assert_eq!(sandbox.value(setting), "default_transaction_read_only=false");
    // Yes in another word is recognised, and is a person's.
    sandbox.sql(&format!(
        "ALTER DATABASE \"{name}\" SET default_transaction_read_only = 'yes'"
    ));
    assert!(is_read_only(&sandbox));
    sandbox.ok(&["rollback", "-y"]);
    assert!(is_read_only(&sandbox));
}

/// One after the other: on MySQL and MariaDB the mode is that of the whole server.
pub(crate) fn applications_do_not_write_while_a_run_works_however_it_ends(backend: Backend) {
    match backend.is_postgres() {
        true => what_was_set_before_is_set_again(backend),
        false => the_mode_of_a_server_is_one_programs(backend),
    }
    applications_do_not_write_while_a_run_works(backend);
    a_killed_run_does_not_keep_applications_from_writing(backend);
}

/// A pool that opens a connection at the wrong moment is told of, and takes no good deployment back.
pub(crate) fn a_session_that_opens_meanwhile_is_only_told_of(backend: Backend) {
    let sandbox = project(backend, "after_up = [\"touch released\"]");
    sandbox.policy("read_only_during_run = true");
    sandbox.migration(
        "002_more",
        "CREATE TABLE more (id INTEGER);\nSELECT pg_sleep(3);",
        "",
    );
    let child = sandbox.spawn(&["deploy", "dev", "-y"]);
    let began = Instant::now();
    while !is_read_only(&sandbox) {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "it was never read-only"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut pooled = sandbox.session();
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("cannot write until opened anew"), "{said}");
    assert!(
        sandbox.contents().rows.contains_key("more"),
        "it was taken back: {said}"
    );
    assert!(pooled.try_sql("INSERT INTO more VALUES (1)").is_err());
    sandbox.sql("INSERT INTO more VALUES (1)");
}

fn applications_do_not_write_while_a_run_works(backend: Backend) {
    let sandbox = project(backend, "after_up = [\"touch released\"]");
    sandbox.policy("read_only_during_run = true");
    let sleep = if backend.is_postgres() {
        "SELECT pg_sleep(3);"
    } else {
        "SELECT sleep(3);"
    };
    sandbox.migration(
        "002_tier",
        &format!("UPDATE customers SET tier = 7 WHERE id = 1;\n{sleep}"),
        "",
    );
    let child = sandbox.spawn(&["up", "-y"]);
    let began = Instant::now();
    while !is_read_only(&sandbox) {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "it was never read-only"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    if backend.is_postgres() {
        // The tests' user of MySQL is one of those who write all the same.
        let refused = sandbox
            .session()
            .try_sql("INSERT INTO customers VALUES (9, 'late', 1)");
        assert!(refused.is_err_and(|error| error.contains("read-only")));
    }
    let output = child.wait_with_output().expect("it ends");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        !is_read_only(&sandbox),
        "applications are still kept from writing"
    );
    sandbox.sql("INSERT INTO customers VALUES (9, 'late', 1)");
    // A run that fails lets them write again as well.
    sandbox.migration("003_broken", "UPDATE customers SET no_such_column = 1;", "");
    assert_eq!(sandbox.run(&["up", "-y"]).code, Some(1));
    assert!(
        !is_read_only(&sandbox),
        "applications are still kept from writing"
    );
    // What a person has switched on stays on.
    sandbox.remove("migrations/003_broken");
    sandbox.ok(&["maintenance", "on", "-y"]);
    sandbox.ok(&["rollback", "-y"]);
    assert!(
        is_read_only(&sandbox),
        "what a person has switched on was switched off"
    );
    sandbox.ok(&["maintenance", "off"]);
    assert!(!is_read_only(&sandbox));
}

fn a_killed_run_does_not_keep_applications_from_writing(backend: Backend) {
    let sandbox = project(backend, "");
    sandbox.policy("read_only_during_run = true");
    pending(&sandbox);
    for (step, next) in [
        ("read_only.marked", &["recover", "-y"][..]),
        ("read_only.on", &["recover", "-y"]),
        ("read_only.on", &["maintenance", "off"]),
        ("read_only.on", &["up", "-n", "1", "-y"]),
        ("read_only.off", &["up", "-y"]),
    ] {
        let killed = sandbox.run_with(&["up", "-y"], &[("WALKBACK_TEST_KILL_AT", step)]);
        assert_eq!(killed.signal, Some(9), "{step}: {}", killed.transcript());
        assert_eq!(is_read_only(&sandbox), step == "read_only.on", "killed at {step}");
        sandbox.ok(next);
        assert!(!is_read_only(&sandbox), "killed at {step}, then {next:?}");
    }
    assert!(sandbox.status()["pending"].as_array().is_some_and(Vec::is_empty));
}
