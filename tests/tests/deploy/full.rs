//! `rollback --full`: services, database, services, health, code.

use walkback_tests::Backend;

use crate::forward::stop;
use crate::service::{Application, SERVICES, add_hooks, is_running, log, pending, project};

pub(crate) fn a_full_rollback_brings_the_code_back_too(backend: Backend) {
    let sandbox = project(backend, "");
    let application = Application::start(&sandbox, &[]);
    add_hooks(&sandbox, &format!("{SERVICES}\n{}", application.check()));
    let before = sandbox.contents();
    let backup = sandbox.backup();
    pending(&sandbox);
    sandbox.ok(&["deploy", "dev", "-y"]);
    sandbox.remove("log");
    // The release is sick, and so it is until its code is back.
    sandbox.write("sick", "");
    let done = sandbox
        .ok(&["rollback", "-e", "dev", "--full", "-y", "--json"])
        .json();
    assert_eq!(log(&sandbox), ["stop", "start", "code back at done"]);
    sandbox.assert_contents(&before, "it was walked back");
    assert!(is_running(&sandbox), "the service is not there");
    assert!(done["report"]["backup"].is_string(), "{done}");
    // Once for the deployment, three times before the code is back, once after.
    assert_eq!(application.asked(), 5);
    // It can itself be walked back, and a backup can be what is gone back to.
    sandbox.ok(&["rollback", "-y"]);
    assert!(sandbox.status()["pending"].as_array().is_some_and(Vec::is_empty));
    sandbox.ok(&["rollback", "-e", "dev", "--backup-file", &backup, "--full", "-y"]);
    sandbox.assert_contents(&before, "it was restored");
    stop(&sandbox);
}

pub(crate) fn what_fails_in_a_full_rollback_starts_the_services(backend: Backend) {
    let sandbox = project(backend, SERVICES);
    pending(&sandbox);
    sandbox.ok(&["up", "-y"]);
    let after = sandbox.contents();
    add_hooks(
        &sandbox,
        &SERVICES.replace("stop_services = [", "stop_services = [\"exit 4\", "),
    );
    let failed = sandbox.run(&["rollback", "--full", "-y"]);
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    assert_eq!(log(&sandbox), ["start"]);
    sandbox.assert_contents(&after, "the services did not stop");
    stop(&sandbox);
    sandbox.remove("log");
    add_hooks(&sandbox, &format!("before_rollback = [\"exit 1\"]\n{SERVICES}"));
    let failed = sandbox.run(&["rollback", "--full", "-y"]);
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    assert_eq!(log(&sandbox), ["stop", "start"]);
    sandbox.assert_contents(&after, "the hook before it failed");
    stop(&sandbox);
    // What fails once the database is back is told, and all else is done.
    sandbox.remove("log");
    let check = "health_check = { command = \"echo still sick; exit 1\", retries = 0 }";
    add_hooks(&sandbox, &format!("{SERVICES}\n{check}"));
    let done = sandbox.run(&["rollback", "--full", "-y"]);
    assert_eq!(done.code, Some(3), "{}", done.transcript());
    assert!(
        done.stderr.contains("still sick") || done.stderr.contains("`health_check` failed"),
        "{}",
        done.transcript()
    );
    assert_eq!(log(&sandbox), ["stop", "start", "code back at done"]);
    assert_eq!(sandbox.status()["pending"].as_array().map(Vec::len), Some(2));
    stop(&sandbox);
}
