//! Deployments that fail and go back by themselves.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use walkback_tests::{Backend, Output, Sandbox};

use crate::forward::stop;
use crate::service::{Application, SERVICES, add_hooks, is_running, log, pending, project};

/// What applications see of the customers.
fn customers(sandbox: &Sandbox) -> String {
    sandbox
        .session()
        .column("SELECT concat(id, ' ', name, ' ', tier) FROM customers ORDER BY id")
        .join(", ")
}

pub(crate) fn a_migration_that_fails_takes_the_deployment_back(backend: Backend) {
    let sandbox = project(backend, SERVICES);
    pending(&sandbox);
    sandbox.migration("004_broken", "UPDATE customers SET no_such_column = 1;", "");
    let before = sandbox.contents();
    let failed = sandbox.run(&["deploy", "dev", "-y"]);
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    for said in [
        "failed at `up`",
        "the database is as it was",
        "no_such_column",
        "rollback: ",
    ] {
        assert!(failed.stderr.contains(said), "{said}: {}", failed.transcript());
    }
    // What had been applied before it is walked back as well.
    sandbox.assert_contents(&before, "it failed");
    assert_eq!(sandbox.status()["pending"].as_array().map(Vec::len), Some(3));
    // No new code was started, so there is none to take back.
    assert_eq!(log(&sandbox), ["deploy dev", "stop", "start", "after failed"]);
    assert!(is_running(&sandbox), "the service is not there");
    stop(&sandbox);
    let json = sandbox.run(&["deploy", "dev", "-y", "--json"]).json();
    assert_eq!(json["error"]["exit_code"], 1, "{json}");
    assert!(
        json["error"]["succeeded"]
            .as_array()
            .is_some_and(|stages| stages.len() >= 5),
        "{json}"
    );
    stop(&sandbox);
    // Nothing is left over: with the migration put right it goes through.
    sandbox.remove("migrations/004_broken");
    sandbox.ok(&["deploy", "dev", "-y"]);
    stop(&sandbox);
}

pub(crate) fn an_application_that_is_not_well_takes_the_deployment_back(backend: Backend) {
    let sandbox = project(backend, "");
    let writes = &[
        "UPDATE customers SET name = 'anna' WHERE id = 1",
        "INSERT INTO customers (id, name, tier) VALUES (4, 'dan', 3)",
    ];
    let application = Application::start(&sandbox, writes);
    // The new release is sick until its code is brought back.
    let hooks = SERVICES.replace("before_deploy = [", "before_deploy = [\"touch sick\", ");
    add_hooks(&sandbox, &format!("{hooks}\n{}", application.check()));
    pending(&sandbox);
    let failed = sandbox.run(&["deploy", "dev", "-y"]);
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    for said in [
        "failed at `health_check`",
        "503 Service Unavailable",
        "the database is as it was",
    ] {
        assert!(failed.stderr.contains(said), "{said}: {}", failed.transcript());
    }
    // As before, and what the application has written since is kept.
    assert_eq!(
        customers(&sandbox),
        "1 anna 1, 2 bob 1, 3 cid 2, 4 dan 3",
        "{}",
        failed.transcript()
    );
    assert_eq!(sandbox.status()["pending"].as_array().map(Vec::len), Some(2));
    assert!(sandbox.status()["drift"].as_array().is_some_and(Vec::is_empty));
    assert_eq!(
        log(&sandbox),
        [
            "deploy dev",
            "stop",
            "start",
            "stop",
            "start",
            "code back at failed",
            "after failed"
        ]
    );
    assert!(is_running(&sandbox), "the service is not there");
    // Three times for the release, three times with the database back, once with the code back.
    assert_eq!(application.asked(), 7, "{}", failed.transcript());
    let audit = sandbox.ok(&["audit"]).stdout;
    assert!(audit.contains("health_check failed"), "{audit}");
    stop(&sandbox);
    sandbox.assert_sound();
}

pub(crate) fn services_that_do_not_start_take_the_deployment_back(backend: Backend) {
    let sandbox = project(
        backend,
        &SERVICES.replace("start_services = [", "start_services = [\"test ! -f release\", "),
    );
    pending(&sandbox);
    sandbox.write("release", "new");
    let text = std::fs::read_to_string(sandbox.path("walkback.toml")).expect("a file");
    sandbox.write("walkback.toml", &text.replace("rm -f sick", "rm -f release"));
    let before = sandbox.contents();
    let failed = sandbox.run(&["deploy", "dev", "-y"]);
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    assert!(
        failed.stderr.contains("failed at `start_services`"),
        "{}",
        failed.transcript()
    );
    sandbox.assert_contents(&before, "the services did not start");
    // That they did not start with the old database either is told.
    assert!(failed.stderr.contains("and then: "), "{}", failed.transcript());
    assert!(!sandbox.path("release").exists(), "the code was not brought back");
    stop(&sandbox);
    // A hook after the migrations is part of the deployment.
    add_hooks(
        &sandbox,
        &format!("after_up = [\"echo cold cache; exit 1\"]\n{SERVICES}"),
    );
    let failed = sandbox.run(&["deploy", "dev", "-y"]);
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    assert!(failed.stderr.contains("cold cache"), "{}", failed.transcript());
    sandbox.assert_contents(&before, "after_up failed");
    stop(&sandbox);
    // One before the rollback does not keep it from going back.
    add_hooks(
        &sandbox,
        &format!("before_rollback = [\"exit 1\"]\nafter_up = [\"exit 1\"]\n{SERVICES}"),
    );
    let failed = sandbox.run(&["deploy", "dev", "-y"]);
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    sandbox.assert_contents(&before, "before_rollback failed");
    stop(&sandbox);
}

/// A project whose health check hangs until there is a file `well`, and answers at once afterwards.
fn hanging(backend: Backend) -> Sandbox {
    let check = "health_check = { command = \"test -f well && exit 0; touch asking; sleep 600\", timeout = \"600s\" }";
    let sandbox = project(
        backend,
        &format!("{}\n{check}", SERVICES.replace("rm -f sick", "touch well")),
    );
    pending(&sandbox);
    sandbox
}

fn wait_until_asked(sandbox: &Sandbox) {
    let began = Instant::now();
    while !sandbox.path("asking").exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "it never asked");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn an_interrupted_deployment_goes_back(backend: Backend) {
    for by_abort in [false, true] {
        interrupted(backend, by_abort);
    }
}

/// A dropped connection ended the program where it stood: nothing was undone, and nobody was left to read what it says.
pub(crate) fn a_deployment_whose_terminal_goes_away_goes_back(backend: Backend) {
    let sandbox = hanging(backend);
    let before = sandbox.contents();
    // Whoever runs the tests may do so with `nohup` himself.
    let mut child = started_by(
        &["env", "--default-signal=HUP"],
        &sandbox,
        &["deploy", "dev", "-y", "-v"],
    );
    wait_until_asked(&sandbox);
    drop((child.stdout.take(), child.stderr.take()));
    sandbox.write("well", "");
    kill_process(Pid::from_child(&child), Signal::HUP).expect("it is there");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(130), "{status}");
    sandbox.assert_contents(&before, "its terminal went away");
    assert!(is_running(&sandbox), "the service is not there");
    let log = log(&sandbox);
    assert!(log.contains(&"after undone".to_owned()), "{log:?}");
    let again = sandbox.ok(&["recover"]);
    assert!(
        again.stdout.contains("nothing to recover"),
        "{}",
        again.transcript()
    );
    stop(&sandbox);
}

/// Starts walkback by another program.
fn started_by(program: &[&str], sandbox: &Sandbox, arguments: &[&str]) -> Child {
    let direct = sandbox.command(arguments);
    let mut command = Command::new(program[0]);
    command.args(&program[1..]);
    command.arg(direct.get_program()).args(direct.get_args());
    command.current_dir(sandbox.path("")).stdin(Stdio::null());
    for (name, value) in direct.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts")
}

/// Who starts it with `nohup` wants it to outlive the terminal.
pub(crate) fn under_nohup_a_deployment_goes_on(backend: Backend) {
    let check = "health_check = { command = \"touch asking; test -f well || exit 1\", retries = 100, interval = \"100ms\" }";
    let sandbox = project(backend, &format!("{SERVICES}\n{check}"));
    pending(&sandbox);
    let child = started_by(&["nohup"], &sandbox, &["deploy", "dev", "-y"]);
    wait_until_asked(&sandbox);
    kill_process(Pid::from_child(&child), Signal::HUP).expect("it is there");
    std::thread::sleep(Duration::from_millis(300));
    sandbox.write("well", "");
    let output = child.wait_with_output().expect("it ends");
    let output = Output::new(&["deploy"], &output, &sandbox.path(""));
    assert_eq!(output.code, Some(0), "{}", output.transcript());
    assert_eq!(sandbox.status()["pending"].as_array().map(Vec::len), Some(0));
    stop(&sandbox);
}

fn interrupted(backend: Backend, by_abort: bool) {
    let sandbox = hanging(backend);
    let before = sandbox.contents();
    let child = sandbox.spawn(&["deploy", "dev", "-y"]);
    wait_until_asked(&sandbox);
    sandbox.write("well", "");
    if by_abort {
        sandbox.ok(&["abort"]);
    } else {
        kill_process(Pid::from_child(&child), Signal::TERM).expect("it is there");
    }
    let output = child.wait_with_output().expect("it ends");
    let output = Output::new(&["deploy"], &output, &sandbox.path(""));
    assert_eq!(output.code, Some(130), "{}", output.transcript());
    sandbox.assert_contents(&before, "it was interrupted");
    assert!(is_running(&sandbox), "the service is not there");
    assert!(
        log(&sandbox).contains(&"after undone".to_owned()),
        "{:?}",
        log(&sandbox)
    );
    stop(&sandbox);
}

pub(crate) fn a_deployment_that_cannot_be_taken_back_says_so_and_keeps_the_code(backend: Backend) {
    let sandbox = project(backend, "");
    let text = std::fs::read_to_string(sandbox.path("walkback.toml")).expect("a file");
    sandbox.write(
        "walkback.toml",
        &text.replace(
            "\n[env.dev.hooks]",
            "\n[env.dev.policy]\nlossy = \"refuse\"\n\n[env.dev.hooks]",
        ),
    );
    let application = Application::start(&sandbox, &["UPDATE customers SET note = 'vip' WHERE id = 2"]);
    let hooks = SERVICES.replace("before_deploy = [", "before_deploy = [\"touch sick\", ");
    add_hooks(&sandbox, &format!("{hooks}\n{}", application.check()));
    pending(&sandbox);
    let failed = sandbox.run(&["deploy", "dev", "-y"]);
    assert_eq!(failed.code, Some(6), "{}", failed.transcript());
    for said in ["could not be walked back", "lossy", "walkback rollback"] {
        assert!(failed.stderr.contains(said), "{said}: {}", failed.transcript());
    }
    // The database stays where the new code fits it, and the services run.
    assert_eq!(sandbox.value("SELECT note FROM customers WHERE id = 2"), "vip");
    assert!(is_running(&sandbox), "the service is not there");
    assert!(
        !log(&sandbox).iter().any(|line| line.starts_with("code")),
        "{:?}",
        log(&sandbox)
    );
    stop(&sandbox);
    // It has ended, and what it left is a database that is sound.
    assert!(sandbox.status()["unfinished"].is_null());
    // Said to be meant, it goes back.
    sandbox.remove("sick");
    sandbox.ok(&["rollback", "-y", "--allow-lossy", "-n", "2"]);
    assert_eq!(customers(&sandbox), "1 ann 1, 2 bob 1, 3 cid 2");
}

/// It ended with 4, and there was nothing to recover: nobody said that the services were not there.
pub(crate) fn a_deployment_that_was_not_taken_back_names_what_has_failed(backend: Backend) {
    let sandbox = project(backend, "");
    let text = std::fs::read_to_string(sandbox.path("walkback.toml")).expect("a file");
    let policy = "\n[env.dev.policy]\nlossy = \"refuse\"\n\n[env.dev.hooks]";
    sandbox.write("walkback.toml", &text.replace("\n[env.dev.hooks]", policy));
    let application = Application::start(&sandbox, &["UPDATE customers SET note = 'vip' WHERE id = 2"]);
    sandbox.write("sick", "");
    // They start once, and not again.
    let hooks = "stop_services = [\"true\"]\nstart_services = [\"mkdir started\"]";
    add_hooks(&sandbox, &format!("{hooks}\n{}", application.check()));
    pending(&sandbox);
    let failed = sandbox.run(&["deploy", "dev", "--unattended", "--allow-destructive"]);
    assert_eq!(failed.code, Some(6), "{}", failed.transcript());
    assert!(
        failed.stderr.contains("could not be walked back"),
        "{}",
        failed.transcript()
    );
    let left = "`start_services` has failed: run `mkdir started`";
    let recovered = sandbox.ok(&["recover", "-y"]);
    assert!(recovered.stderr.contains(left), "{}", recovered.transcript());
    let status = sandbox.ok(&["status"]).stdout;
    assert!(status.contains(left), "{status}");
    // A rollback after it is another matter.
    sandbox.remove("sick");
    sandbox.ok(&["rollback", "-y", "--allow-lossy", "-n", "2"]);
    let status = sandbox.ok(&["status"]).stdout;
    assert!(!status.contains("start_services"), "{status}");
}

pub(crate) fn killed_at_any_stage_a_deployment_is_explained_and_recovered(backend: Backend) {
    let sandbox = project(backend, &SERVICES.replace("sleep 600", "sleep 60"));
    pending(&sandbox);
    let before = sandbox.contents();
    let mut stages = Vec::new();
    for number in 1..20 {
        let kill_at = format!("procedure.stage {number}");
        let killed = sandbox.run_with(&["deploy", "dev", "-y"], &[("WALKBACK_TEST_KILL_AT", &kill_at)]);
        if killed.signal != Some(9) {
            assert_eq!(killed.code, Some(0), "{}", killed.transcript());
            break;
        }
        let status = sandbox.status();
        assert_eq!(status["unfinished"]["kind"], "deploy", "{status}");
        let found = sandbox.ok(&["recover", "--dry-run"]).stdout;
        let stage = found
            .split("it was at: ")
            .nth(1)
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default();
        assert!(stage.ends_with(" begun"), "{found}");
        stages.push(stage.rsplit(", ").next().unwrap_or_default().to_owned());
        if stage.contains("stop_services done") && !stage.contains("start_services done") {
            assert!(
                found.contains("`stop_services` has run and `start_services` has not"),
                "{found}"
            );
        }
        sandbox.ok(&["recover", "-y"]);
        assert!(sandbox.status()["unfinished"].is_null());
        if stage.contains(", up done") {
            sandbox.ok(&["rollback", "-y"]);
        }
        sandbox.assert_contents(&before, &format!("killed at {stage}"));
        stop(&sandbox);
    }
    assert_eq!(
        stages,
        [
            "before_deploy begun",
            "backup begun",
            "stop_services begun",
            "up begun",
            "start_services begun",
            "after_deploy begun"
        ]
    );
    stop(&sandbox);
}

pub(crate) fn killed_on_its_way_back_a_deployment_is_recovered(backend: Backend) {
    let check = "health_check = { command = \"exit 1\", retries = 0 }";
    let sandbox = project(
        backend,
        &format!("{}\n{check}", SERVICES.replace("sleep 600", "sleep 60")),
    );
    pending(&sandbox);
    let before = sandbox.contents();
    let mut stages = Vec::new();
    // The six stages before are those of a deployment that fails at the last of them.
    for number in 7..30 {
        let kill_at = format!("procedure.stage {number}");
        let killed = sandbox.run_with(&["deploy", "dev", "-y"], &[("WALKBACK_TEST_KILL_AT", &kill_at)]);
        if killed.signal != Some(9) {
            assert_eq!(killed.code, Some(1), "{}", killed.transcript());
            sandbox.assert_contents(&before, "it was taken back");
            break;
        }
        let found = sandbox.ok(&["recover", "--dry-run"]).stdout;
        let at = found.split("it was at: ").nth(1).unwrap_or_default();
        let stage = at.lines().next().and_then(|line| line.rsplit(", ").next());
        stages.push(stage.unwrap_or_default().replace(" begun", ""));
        sandbox.ok(&["recover", "-y"]);
        let is_back = stages.len() > 2;
        assert_eq!(
            sandbox.status()["pending"].as_array().map(Vec::len),
            Some(if is_back { 2 } else { 0 }),
            "{found}"
        );
        if !is_back {
            // That the application is not well does not keep the database from going back.
            assert_eq!(sandbox.run(&["rollback", "-y", "-n", "2"]).code, Some(3));
        }
        sandbox.assert_contents(&before, &found);
        stop(&sandbox);
    }
    assert_eq!(
        stages,
        [
            "stop_services",
            "rollback",
            "start_services",
            "health_check",
            "rollback_code",
            "health_check",
            "after_deploy"
        ]
    );
    stop(&sandbox);
}
