//! Hooks round `up`, `down`, `rollback` and `restore`: a test for each row of the table of failures in the book.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use walkback_tests::{Backend, Output, Sandbox};

use crate::service::{Application, SERVICES, add_hooks, log, pending, project, recorded};

/// Hooks that write what they are told into the log.
const TELLING: &str = r#"
before_up = ["echo before $WALKBACK_COMMAND of $WALKBACK_ENV to $WALKBACK_TO >> log", { run = "echo second >> log", timeout = "9s" }]
after_up = ["echo after: $WALKBACK_OUTCOME at $WALKBACK_TO >> log"]
before_down = ["echo before $WALKBACK_COMMAND >> log"]
after_down = ["echo after $WALKBACK_HOOK: $WALKBACK_OUTCOME >> log"]
"#;

fn note(sandbox: &Sandbox) {
    sandbox.migration("002_note", "UPDATE customers SET tier = 7 WHERE id = 1;", "");
}

pub(crate) fn hooks_run_in_order_and_know_what_goes_on(backend: Backend) {
    let sandbox = project(backend, TELLING);
    note(&sandbox);
    sandbox.ok(&["up", "--dry-run"]);
    assert!(
        log(&sandbox).is_empty(),
        "a dry run runs nothing: {:?}",
        log(&sandbox)
    );
    let up = sandbox.ok(&["up", "-y", "--json"]).json();
    assert_eq!(
        log(&sandbox),
        ["before up of dev to 002", "second", "after: done at 002"],
        "{up}"
    );
    assert_eq!(up["report"]["hooks"].as_array().map(Vec::len), Some(3), "{up}");
    assert_eq!(
        recorded(&sandbox, "up"),
        ["before_up done", "before_up done", "after_up done"]
    );
    // Where there is nothing to do nothing runs.
    sandbox.ok(&["up", "-y"]);
    assert_eq!(log(&sandbox).len(), 3);
    // A migration that fails: what comes after is told so.
    sandbox.migration("003_broken", "SELECT * FROM no_such_table;", "");
    let before = sandbox.contents();
    assert_eq!(sandbox.run(&["up", "-y"]).code, Some(1));
    assert_eq!(log(&sandbox)[5], "after: failed at 002");
    sandbox.assert_contents(&before, "it failed");
    sandbox.remove("migrations/003_broken");
    sandbox.migration("003_table", "CREATE TABLE t (x INTEGER);", "DROP TABLE t;");
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["down", "-y"]);
    assert_eq!(
        log(&sandbox)[9..],
        ["before down".to_owned(), "after after_down: done".to_owned()]
    );
}

pub(crate) fn a_before_hook_that_fails_leaves_everything_as_it_was(backend: Backend) {
    let sandbox = project(
        backend,
        r#"before_up = ["echo stopped >> log", "echo the disk is full; exit 3", "echo never >> log"]
after_up = ["echo started, $WALKBACK_OUTCOME >> log"]"#,
    );
    note(&sandbox);
    let before = sandbox.contents();
    let failed = sandbox.run(&["up", "-y"]);
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    for said in [
        "`before_up` failed",
        "ended with 3",
        "the disk is full",
        "nothing was changed",
    ] {
        assert!(failed.stderr.contains(said), "{said}: {}", failed.transcript());
    }
    assert_eq!(log(&sandbox), ["stopped", "started, failed"]);
    sandbox.assert_contents(&before, "the hook failed before anything was done");
    assert_eq!(sandbox.status()["pending"].as_array().map(Vec::len), Some(1));
    let json = sandbox.run(&["up", "-y", "--json"]).json();
    assert_eq!(json["error"]["kind"], "hook", "{json}");
    // With the hook put right the same command goes on.
    add_hooks(&sandbox, "");
    sandbox.ok(&["up", "-y"]);
}

pub(crate) fn an_after_hook_that_fails_is_told_and_undoes_nothing(backend: Backend) {
    let sandbox = project(
        backend,
        r#"after_up = ["echo no route to the cache >&2; exit 1", "echo still run >> log"]"#,
    );
    note(&sandbox);
    let done = sandbox.run(&["up", "-y"]);
    assert_eq!(done.code, Some(3), "{}", done.transcript());
    assert!(
        done.stdout.contains("applied 1 migration"),
        "{}",
        done.transcript()
    );
    assert!(
        done.stderr.contains("no route to the cache"),
        "{}",
        done.transcript()
    );
    assert_eq!(log(&sandbox), ["still run"]);
    assert_eq!(sandbox.value("SELECT tier FROM customers WHERE id = 1"), "7");
    assert_eq!(recorded(&sandbox, "up"), ["after_up failed", "after_up done"]);
    let audit = sandbox.ok(&["audit", "-v"]).stdout;
    assert!(audit.contains("no route to the cache"), "{audit}");
    assert!(sandbox.status()["unfinished"].is_null());
}

pub(crate) fn a_hook_over_its_time_is_stopped_with_all_it_started(backend: Backend) {
    let sandbox = project(
        backend,
        r#"before_up = [{ run = "sleep 300 & echo $! > child; echo waiting; wait", timeout = "700ms" }]"#,
    );
    note(&sandbox);
    let before = sandbox.contents();
    let began = Instant::now();
    let failed = sandbox.run(&["up", "-y"]);
    assert!(began.elapsed() < Duration::from_secs(60), "it was waited for");
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    assert!(
        failed.stderr.contains("took longer than 0.7 s"),
        "{}",
        failed.stderr
    );
    assert!(is_gone(&sandbox), "what the hook had started still runs");
    assert_eq!(recorded(&sandbox, "up"), ["before_up timed_out"]);
    sandbox.assert_contents(&before, "the hook took too long");
}

pub(crate) fn interrupted_hooks_are_stopped_and_services_started(backend: Backend) {
    let sandbox = project(
        backend,
        r#"before_up = ["echo stopped >> log; sleep 300 & echo $! > child; wait"]
after_up = ["echo started, $WALKBACK_OUTCOME >> log"]"#,
    );
    note(&sandbox);
    let before = sandbox.contents();
    let child = sandbox.spawn(&["up", "-y"]);
    wait_for(&sandbox, "child");
    kill_process(Pid::from_child(&child), Signal::INT).expect("it is there");
    let output = child.wait_with_output().expect("it ends");
    let output = Output::new(&["up"], &output, &sandbox.path(""));
    assert_eq!(output.code, Some(130), "{}", output.transcript());
    assert!(is_gone(&sandbox), "what the hook had started still runs");
    assert_eq!(log(&sandbox), ["stopped", "started, undone"]);
    assert_eq!(recorded(&sandbox, "up"), ["before_up stopped", "after_up done"]);
    sandbox.assert_contents(&before, "it was interrupted");
}

pub(crate) fn a_killed_run_tells_which_hook_it_was_at(backend: Backend) {
    let sandbox = project(
        backend,
        r#"before_up = ["echo stopped >> log"]
after_up = ["echo started >> log"]"#,
    );
    note(&sandbox);
    let before = sandbox.contents();
    let killed = sandbox.run_with(&["up", "-y"], &[("WALKBACK_TEST_KILL_AT", "hook.noted")]);
    assert_eq!(killed.signal, Some(9), "{}", killed.transcript());
    sandbox.assert_contents(&before, "killed before the first hook");
    assert_eq!(sandbox.status()["unfinished"]["kind"], "up");
    let told = sandbox.ok(&["recover", "--dry-run"]).stdout;
    assert!(told.contains("`before_up` was running"), "{told}");
    assert!(told.contains("`echo started >> log`"), "{told}");
    let recovered = sandbox.ok(&["recover", "-y"]);
    assert!(
        recovered.stderr.contains("`echo started >> log`"),
        "{}",
        recovered.transcript()
    );
    // Killed when all is done but the hooks after it: the work stays, and the next run says what was left.
    let killed = sandbox.run_with(&["up", "-y"], &[("WALKBACK_TEST_KILL_AT", "hook.noted 2")]);
    assert_eq!(killed.signal, Some(9), "{}", killed.transcript());
    assert_eq!(log(&sandbox), ["stopped"]);
    sandbox.migration("003_more", "UPDATE customers SET tier = 8 WHERE id = 2;", "");
    let next = sandbox.ok(&["up", "-y"]);
    assert!(
        next.stderr.contains("`after_up` was running"),
        "{}",
        next.transcript()
    );
    assert_eq!(sandbox.value("SELECT tier FROM customers WHERE id = 1"), "7");
}

pub(crate) fn restores_and_rollbacks_have_hooks_and_a_health_check(backend: Backend) {
    let sandbox = project(backend, "");
    let application = Application::start(&sandbox, &[]);
    let hooks = format!(
        r#"before_rollback = ["echo stop >> log"]
after_rollback = ["echo start, $WALKBACK_OUTCOME >> log"]
before_restore = ["echo stop for restore >> log"]
after_restore = ["echo start after restore >> log"]
{}"#,
        application.check()
    );
    add_hooks(&sandbox, &hooks);
    let backup = sandbox.backup();
    note(&sandbox);
    sandbox.ok(&["up", "-y"]);
    assert_eq!(application.asked(), 0, "an up asks nobody");
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(log(&sandbox), ["stop", "start, done"]);
    assert_eq!(application.asked(), 1);
    assert_eq!(
        recorded(&sandbox, "rollback"),
        ["before_rollback done", "after_rollback done", "health_check done"]
    );
    // An application that is not well is told, and what was done stays.
    sandbox.write("sick", "");
    let restored = sandbox.run(&["restore", &backup, "-y"]);
    assert_eq!(restored.code, Some(3), "{}", restored.transcript());
    assert!(
        restored.stderr.contains("503 Service Unavailable"),
        "{}",
        restored.transcript()
    );
    assert!(
        restored.stderr.contains("asked 3 times"),
        "{}",
        restored.transcript()
    );
    assert_eq!(application.asked(), 4);
    assert_eq!(
        log(&sandbox)[2..],
        ["stop for restore".to_owned(), "start after restore".to_owned()]
    );
    // So is one that nobody answers for, and a command that is asked instead.
    add_hooks(
        &sandbox,
        "health_check = { http = \"http://127.0.0.1:9/\", retries = 0 }",
    );
    let restored = sandbox.run(&["restore", &backup, "-y"]);
    assert_eq!(restored.code, Some(3), "{}", restored.transcript());
    assert!(restored.stderr.contains("no answer"), "{}", restored.transcript());
    add_hooks(
        &sandbox,
        "health_check = { command = \"echo x >> tries; test $(wc -l < tries) -gt 2\", retries = 5, interval = \"10ms\" }",
    );
    sandbox.ok(&["restore", &backup, "-y"]);
    assert_eq!(recorded(&sandbox, "restore"), ["health_check done"]);
}

pub(crate) fn the_password_is_in_no_output(backend: Backend) {
    let sandbox = project(
        backend,
        r#"before_up = ["env | grep ^WALKBACK_ | sort; grep ^url walkback.toml"]"#,
    );
    note(&sandbox);
    sandbox.ok(&["up", "-y"]);
    let audit = sandbox.ok(&["audit", "--json"]).json();
    let told = audit["runs"][0]["hooks"][0]["output"]
        .as_str()
        .expect("output")
        .to_owned();
    assert!(told.contains("WALKBACK_RUN_ID=run_"), "{told}");
    let url = sandbox.url();
    let password = url
        .split("://")
        .nth(1)
        .and_then(|rest| rest.split('@').next()?.split_once(':'));
    if let Some((_, password)) = password.filter(|(_, password)| !password.is_empty()) {
        assert!(
            url.contains('@') && !told.contains(password),
            "the password is shown: {told}"
        );
        assert!(told.contains("***"), "{told}");
    }
    let variables: Vec<_> = told
        .lines()
        .filter(|line| line.starts_with("WALKBACK_"))
        .collect();
    assert!(
        variables.iter().all(|line| !line.contains("***")),
        "a variable held it: {told}"
    );
}

pub(crate) fn a_hook_that_is_stopped_may_tidy_up(backend: Backend) {
    let sandbox = project(
        backend,
        r#"before_up = [{ run = "(trap 'sleep 0.5; touch tidy; exit' TERM; while :; do sleep 0.1; done) & wait", timeout = "700ms" }]"#,
    );
    note(&sandbox);
    let failed = sandbox.run(&["up", "-y"]);
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    assert!(sandbox.path("tidy").exists(), "it was killed at once");
}

pub(crate) fn a_health_check_is_shown_as_it_is_written(backend: Backend) {
    let sandbox = project(
        backend,
        "health_check = { http = \"http://127.0.0.1:9/?token=${HEALTH_TOKEN}\", retries = 0 }",
    );
    let done = sandbox.run_with(
        &["rollback", "-y"],
        &[("HEALTH_TOKEN", "t0psecret"), ("RUST_LOG", "trace")],
    );
    assert_eq!(done.code, Some(3), "{}", done.transcript());
    assert!(!done.transcript().contains("t0psecret"), "{}", done.transcript());
    let audit = sandbox
        .run_with(&["audit", "--json"], &[("HEALTH_TOKEN", "t0psecret")])
        .stdout;
    assert!(
        !audit.contains("t0psecret") && audit.contains("${HEALTH_TOKEN}"),
        "{audit}"
    );
}

/// The rows of the table for the other commands: what fails before the work stops it, what fails after it is told.
pub(crate) fn every_command_keeps_to_the_rule_for_its_hooks(backend: Backend) {
    let sandbox = project(backend, "");
    let backup = sandbox.backup();
    note(&sandbox);
    sandbox.migration("003_table", "CREATE TABLE t (x INTEGER);", "DROP TABLE t;");
    sandbox.ok(&["up", "-y"]);
    for (kind, line) in [
        ("down", &["down", "-y"][..]),
        ("rollback", &["rollback", "-y"]),
        ("restore", &["restore", &backup, "-y"]),
    ] {
        let before = sandbox.contents();
        let told = format!("after_{kind} = [\"echo $WALKBACK_OUTCOME > told\"]");
        add_hooks(&sandbox, &format!("before_{kind} = [\"exit 1\"]\n{told}"));
        let failed = sandbox.run(line);
        assert_eq!(failed.code, Some(1), "{}", failed.transcript());
        assert!(
            failed.stderr.contains("nothing was changed"),
            "{}",
            failed.transcript()
        );
        assert_eq!(
            std::fs::read_to_string(sandbox.path("told")).ok().as_deref(),
            Some("failed\n"),
            "{kind}"
        );
        sandbox.assert_contents(&before, kind);
        add_hooks(&sandbox, &format!("after_{kind} = [\"echo no cache; exit 1\"]"));
        let done = sandbox.run(line);
        assert_eq!(done.code, Some(3), "{}", done.transcript());
        assert!(done.stderr.contains("no cache"), "{}", done.transcript());
        assert!(sandbox.contents() != before, "{kind}: it stays done");
        assert_eq!(recorded(&sandbox, kind), [format!("after_{kind} failed")]);
    }
}

/// `restore` and `stamp` end the row of a killed deployment as well.
pub(crate) fn whoever_ends_a_killed_deployment_names_its_services(backend: Backend) {
    let sandbox = project(backend, SERVICES);
    let backup = sandbox.backup();
    pending(&sandbox);
    for line in [&["stamp", "002", "-y"][..], &["restore", &backup, "-y"]] {
        // At the stage of the migrations: services are stopped.
        let killed = sandbox.run_with(
            &["deploy", "dev", "-y"],
            &[("WALKBACK_TEST_KILL_AT", "procedure.stage 4")],
        );
        assert_eq!(killed.signal, Some(9), "{}", killed.transcript());
        let ended = sandbox.ok(line);
        assert!(
            ended
                .stderr
                .contains("`stop_services` has run and `start_services` has not"),
            "{}",
            ended.transcript()
        );
        assert!(sandbox.status()["unfinished"].is_null());
    }
}

/// Waits until a hook has written a file.
fn wait_for(sandbox: &Sandbox, file: &str) {
    let began = Instant::now();
    while std::fs::read_to_string(sandbox.path(file))
        .unwrap_or_default()
        .is_empty()
    {
        assert!(began.elapsed() < Duration::from_secs(60), "`{file}` never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether the process that a hook has started is gone, or will be at once.
fn is_gone(sandbox: &Sandbox) -> bool {
    let pid = std::fs::read_to_string(sandbox.path("child")).expect("the hook ran");
    let pid = Pid::from_raw(pid.trim().parse().expect("a number")).expect("a process");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        let state =
            std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
        // Nobody may have asked yet how it ended.
        if test_kill_process(pid).is_err() || state.contains(") Z ") {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}
