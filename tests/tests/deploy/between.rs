//! What others do while a deployment or a full rollback is under way: another deployment, applications that write until they
//! are stopped, and deployments before it that were killed.

use std::io::{BufRead as _, BufReader};

use walkback_tests::{Backend, Output, Sandbox};

use crate::forward::stop;
use crate::service::{ASKING, SERVICES, add_hooks, is_running, log, pending, project, when_asked};

/// Writes the policy before the hooks, which come last.
fn refuse_losses(sandbox: &Sandbox) {
    let text = std::fs::read_to_string(sandbox.path("walkback.toml")).expect("a file");
    sandbox.write(
        "walkback.toml",
        &text.replace(
            "\n[env.dev.hooks]",
            "\n[env.dev.policy]\nlossy = \"refuse\"\n\n[env.dev.hooks]",
        ),
    );
}

/// Two deployments begin together: the second was planned for what was there before the first, and has nothing to take back.
pub(crate) fn a_deployment_takes_nothing_of_another_back(backend: Backend) {
    let hooks = SERVICES.replace("before_deploy = [", &format!("before_deploy = [\"{ASKING}\", "));
    let sandbox = project(backend, &hooks);
    pending(&sandbox);
    let first = sandbox.spawn(&["deploy", "dev", "-y"]);
    crate::service::wait_for(&sandbox, "asking");
    // The services of the second do not stop: it would go back if it had begun.
    add_hooks(
        &sandbox,
        &SERVICES.replace("stop_services = [", "stop_services = [\"exit 1\", "),
    );
    let mut second = sandbox.spawn(&["deploy", "dev", "-y"]);
    let mut lines = BufReader::new(second.stderr.take().expect("a pipe")).lines();
    let waits = lines.any(|line| line.is_ok_and(|line| line.contains("waiting for the lock")));
    assert!(waits, "the second does not wait for the first");
    sandbox.write("answered", "");
    let rest: Vec<_> = lines.map_while(Result::ok).collect();
    let second = second.wait_with_output().expect("it ends");
    let first = first.wait_with_output().expect("it ends");
    let first = Output::new(&["deploy"], &first, &sandbox.path(""));
    assert_eq!(first.code, Some(0), "{}", first.transcript());
    let rest = rest.join("\n");
    assert_eq!(second.status.code(), Some(3), "{rest}");
    assert!(rest.contains("no longer what this plan was made for"), "{rest}");
    assert_eq!(
        log(&sandbox),
        ["deploy dev", "stop", "start", "after done"],
        "{rest}"
    );
    assert!(sandbox.status()["pending"].as_array().is_some_and(Vec::is_empty));
    assert!(sandbox.status()["unfinished"].is_null());
    assert!(is_running(&sandbox), "the service is not there");
    stop(&sandbox);
}

pub(crate) fn what_is_written_until_services_stop_is_counted(backend: Backend) {
    // On the way back of a deployment: services are stopped once before, and once more then.
    let asks = format!("test ! -f again || {{ {ASKING}; }}; touch again");
    let hooks = SERVICES.replace("stop_services = [", &format!("stop_services = [\"{asks}\", "));
    let sick = "health_check = { command = \"exit 1\", retries = 0 }";
    let sandbox = project(backend, &format!("{hooks}\n{sick}"));
    refuse_losses(&sandbox);
    pending(&sandbox);
    let writer = when_asked(&sandbox, "UPDATE customers SET note = 'vip' WHERE id = 2");
    let failed = sandbox.run(&["deploy", "dev", "-y"]);
    writer.join().expect("it wrote");
    assert_eq!(failed.code, Some(6), "{}", failed.transcript());
    for said in ["could not be walked back", "1 rows", "services run"] {
        assert!(failed.stderr.contains(said), "{said}: {}", failed.transcript());
    }
    assert_eq!(sandbox.value("SELECT note FROM customers WHERE id = 2"), "vip");
    assert!(is_running(&sandbox), "the service is not there");
    stop(&sandbox);
}

pub(crate) fn a_full_rollback_loses_no_more_than_was_confirmed(backend: Backend) {
    let sandbox = project(backend, SERVICES);
    pending(&sandbox);
    sandbox.ok(&["up", "-y"]);
    let hooks = SERVICES.replace("stop_services = [", &format!("stop_services = [\"{ASKING}\", "));
    add_hooks(&sandbox, &hooks);
    let writer = when_asked(&sandbox, "UPDATE customers SET note = 'vip' WHERE id = 2");
    let refused = sandbox.run(&["rollback", "--full", "-y"]);
    writer.join().expect("it wrote");
    assert_eq!(refused.code, Some(6), "{}", refused.transcript());
    for said in [
        "more was written",
        "services were started again",
        "nothing was changed",
    ] {
        assert!(refused.stderr.contains(said), "{said}: {}", refused.transcript());
    }
    assert_eq!(sandbox.value("SELECT note FROM customers WHERE id = 2"), "vip");
    assert_eq!(log(&sandbox), ["stop", "start"]);
    stop(&sandbox);
    // Shown and confirmed it is taken back, and the report says what was lost.
    let done = sandbox.ok(&["rollback", "--full", "-y", "--json"]).json();
    assert!(
        done["report"]["lost"]
            .as_array()
            .is_some_and(|lost| !lost.is_empty()),
        "{done}"
    );
    assert_eq!(sandbox.status()["pending"].as_array().map(Vec::len), Some(2));
    stop(&sandbox);
}

pub(crate) fn after_a_killed_deployment_no_old_code_meets_its_migrations(backend: Backend) {
    let sandbox = project(backend, SERVICES);
    pending(&sandbox);
    let before = sandbox.contents();
    // Killed once the migrations are there, before the services are started: the fifth stage.
    let killed = sandbox.run_with(
        &["deploy", "dev", "-y"],
        &[("WALKBACK_TEST_KILL_AT", "procedure.stage 5")],
    );
    assert_eq!(killed.signal, Some(9), "{}", killed.transcript());
    sandbox.ok(&["recover", "-y"]);
    sandbox.remove("log");
    let check = "health_check = { command = \"exit 1\", retries = 0 }";
    add_hooks(&sandbox, &format!("{SERVICES}\n{check}"));
    let failed = sandbox.run(&["deploy", "dev", "-y"]);
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    for said in ["did not end well", "was not brought back", "rollback --full"] {
        assert!(failed.stderr.contains(said), "{said}: {}", failed.transcript());
    }
    assert!(
        !failed.stderr.contains("database is as it was"),
        "{}",
        failed.transcript()
    );
    assert!(
        !log(&sandbox).iter().any(|line| line.starts_with("code")),
        "{:?}",
        log(&sandbox)
    );
    stop(&sandbox);
    // That takes back both.
    add_hooks(&sandbox, SERVICES);
    sandbox.ok(&["rollback", "--full", "-y"]);
    sandbox.assert_contents(&before, "walked back");
    assert!(log(&sandbox).contains(&"code back at done".to_owned()));
    stop(&sandbox);
}
