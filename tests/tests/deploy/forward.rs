//! Deployments that succeed, and those that fail before anything was touched.

use walkback_tests::{Backend, Sandbox};

use crate::service::{Application, SERVICES, add_hooks, is_running, log, pending, project, recorded};

pub(crate) fn a_deployment_does_all_of_it(backend: Backend) {
    let sandbox = project(backend, "");
    let application = Application::start(&sandbox, &[]);
    add_hooks(&sandbox, &format!("{SERVICES}\n{}", application.check()));
    pending(&sandbox);
    sandbox.ok(&["up", "-n", "1", "-y"]);
    let done = sandbox
        .ok(&["deploy", "dev", "-y", "--ticket", "OPS-1", "--json"])
        .json();
    assert_eq!(
        log(&sandbox),
        ["deploy dev", "stop", "start", "after done"],
        "{done}"
    );
    assert!(is_running(&sandbox), "the service is not there");
    assert_eq!(application.asked(), 1);
    let stages: Vec<_> = done["report"]["stages"]
        .as_array()
        .expect("stages")
        .iter()
        .map(|stage| stage["stage"].clone())
        .collect();
    assert_eq!(
        stages,
        [
            "before_deploy",
            "backup",
            "stop_services",
            "up",
            "start_services",
            "health_check",
            "after_deploy"
        ],
        "{done}"
    );
    assert!(sandbox.status()["pending"].as_array().is_some_and(Vec::is_empty));
    assert!(sandbox.status()["unfinished"].is_null());
    let audit = sandbox.ok(&["audit", "--json"]).json();
    let deploy = audit["runs"]
        .as_array()
        .expect("runs")
        .iter()
        .find(|run| run["kind"] == "deploy")
        .expect("it is there")
        .clone();
    assert_eq!(
        (&deploy["status"], &deploy["ticket"]),
        (&"done".into(), &"OPS-1".into()),
        "{deploy}"
    );
    assert_eq!(recorded(&sandbox, "deploy").len(), 5);
    // The backup holds what was there before.
    let backup = done["report"]["backup"].as_str().expect("a backup");
    sandbox.ok(&["backup", "verify", backup]);
    // What is walked back then is what the deployment has applied, and nothing of the deployment itself.
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.status()["pending"].as_array().map(Vec::len), Some(1));
    // Without migrations it is the services that are deployed.
    sandbox.ok(&["up", "-y"]);
    let done = sandbox.ok(&["deploy", "dev", "-y"]);
    assert!(done.stdout.contains("deployed in"), "{}", done.transcript());
    assert_eq!(log(&sandbox).len(), 8);
    stop(&sandbox);
}

pub(crate) fn a_dry_run_shows_all_of_it_and_runs_nothing(backend: Backend) {
    let sandbox = project(
        backend,
        &format!("{SERVICES}\nhealth_check = {{ command = \"echo asked >> log\" }}"),
    );
    pending(&sandbox);
    let (before, runs) = (sandbox.contents(), sandbox.ok(&["audit", "--json"]).stdout);
    let shown = sandbox.ok(&["deploy", "dev", "--dry-run"]).stdout;
    for said in [
        "before_deploy",
        "backup",
        "stop_services",
        "2 migrations",
        "002_tier",
        "start_services",
        "echo asked",
        "rollback_code",
        "nothing was changed",
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    sandbox.ok(&["rollback", "--full", "--dry-run", "-n", "1"]);
    assert!(log(&sandbox).is_empty(), "{:?}", log(&sandbox));
    sandbox.assert_contents(&before, "a dry run");
    assert_eq!(sandbox.ok(&["audit", "--json"]).stdout, runs);
    assert!(!sandbox.path("pid").exists());
    // The name of another environment, and of none.
    assert_eq!(sandbox.run(&["-e", "prod", "deploy", "dev"]).code, Some(2));
    assert_eq!(sandbox.run(&["deploy", "prod"]).code, Some(2));
}

pub(crate) fn hooks_after_a_deployment_change_nothing(backend: Backend) {
    let sandbox = project(backend, "after_deploy = [\"echo nobody listens; exit 1\"]");
    pending(&sandbox);
    let done = sandbox.run(&["deploy", "dev", "-y"]);
    assert_eq!(done.code, Some(3), "{}", done.transcript());
    assert!(
        done.stderr.contains("`after_deploy` failed"),
        "{}",
        done.transcript()
    );
    assert!(sandbox.status()["pending"].as_array().is_some_and(Vec::is_empty));
}

pub(crate) fn what_fails_before_the_services_stop_changes_nothing(backend: Backend) {
    let sandbox = project(
        backend,
        &format!(
            "before_deploy = [\"exit 5\"]\n{}",
            SERVICES.replace("before_deploy", "before_up")
        ),
    );
    pending(&sandbox);
    let before = sandbox.contents();
    let failed = sandbox.run(&["deploy", "dev", "-y"]);
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    assert!(
        failed.stderr.contains("nothing was changed"),
        "{}",
        failed.transcript()
    );
    assert_eq!(log(&sandbox), ["after failed"]);
    sandbox.assert_contents(&before, "before_deploy failed");
    assert_eq!(
        sandbox.ok(&["backup", "list", "--json"]).json()["backups"]
            .as_array()
            .map(Vec::len),
        Some(0)
    );
    // Services that do not stop are started again, and nothing is migrated.
    sandbox.remove("log");
    add_hooks(
        &sandbox,
        &SERVICES.replace("stop_services = [", "stop_services = [\"exit 4\", "),
    );
    let failed = sandbox.run(&["deploy", "dev", "-y"]);
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    assert!(failed.stderr.contains("stop_services"), "{}", failed.transcript());
    assert_eq!(
        log(&sandbox),
        ["deploy dev", "start", "after failed"],
        "no code was started that could be taken back"
    );
    sandbox.assert_contents(&before, "stop_services failed");
    assert!(is_running(&sandbox));
    stop(&sandbox);
    // Without a store there is no backup, and no deployment.
    let text = std::fs::read_to_string(sandbox.path("walkback.toml")).expect("a file");
    sandbox.write(
        "walkback.toml",
        &text.replace("stores = [\"local\"]", "stores = []"),
    );
    assert_eq!(sandbox.run(&["deploy", "dev", "-y"]).code, Some(2));
}

/// Stops the service that a test has started.
pub(crate) fn stop(sandbox: &Sandbox) {
    std::process::Command::new("sh")
        .args(["-c", "kill $(cat pid)"])
        .current_dir(sandbox.path(""))
        .status()
        .expect("a shell starts");
}
