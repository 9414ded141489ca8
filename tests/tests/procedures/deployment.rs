//! A deployment that is rolled back: services, safety backup, database, health, code, and what is written down of it.

use std::process::Command;

use walkback_tests::{Backend, Sandbox};

use crate::project::Project;

/// Services that note what is asked of them; the application is well while there is no file `sick`.
const HOOKS: &str = r#"
[env.production.hooks]
stop_services = ["echo stop >> log"]
start_services = ["echo start >> log"]
health_check = { command = "echo health >> log; test ! -f sick", retries = 1, interval = "20ms" }
rollback_code = ["echo code >> log; rm -f sick"]
"#;

pub(crate) fn a_deployment_is_rolled_back_with_its_services_and_its_code(backend: Backend) {
    let project = Project::new(backend, "[source]\nkind = \"sql\"\npath = \"migrations\"");
    let sandbox = &project.sandbox;
    sandbox.migration(
        "001_orders",
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, total INTEGER);\nINSERT INTO orders VALUES (1, 10), (2, 20);",
        "DROP TABLE orders;",
    );
    project.configure(&format!(
        "\n[env.production.policy]\nconfirm = \"type-name\"\nlossy = \"refuse\"\nallowed_users = [\"{}\"]\n{HOOKS}",
        user()
    ));
    // The environments are apart: what the other one has is no concern of this.
    project.refused(&["status", "-e", "staging"], 2, &["staging", "production"]);
    deploy(&project);
    assert_eq!(take_log(sandbox), ["stop", "start", "health"]);
    let released = sandbox.contents();

    back_by_itself(&project);
    sandbox.assert_contents(&released, "it went back by itself");
    back_with_the_code(&project);
    sandbox.assert_contents(&released, "the database first, then the code");
    back_to_a_backup(&project);
    written_down(&project);
    approved_by_somebody_else(&project);
}

fn deploy(project: &Project) {
    project
        .sandbox
        .ok(&["deploy", "production", "-y", "--confirm-name", "production"]);
}

/// What the services were asked for since the last time.
fn take_log(sandbox: &Sandbox) -> Vec<String> {
    let text = std::fs::read_to_string(sandbox.path("log")).unwrap_or_default();
    std::fs::remove_file(sandbox.path("log")).ok();
    text.lines().map(str::to_owned).collect()
}

/// The health check fails after a deployment, which takes itself back.
fn back_by_itself(project: &Project) {
    let sandbox = &project.sandbox;
    sandbox.migration("002_wrong", "UPDATE orders SET total = 0;", "");
    sandbox.write("sick", "");
    let failed = sandbox.run(&["deploy", "production", "-y", "--confirm-name", "production"]);
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    let log = take_log(sandbox);
    assert_eq!(
        log,
        [
            "stop", "start", "health", "health", "stop", "start", "health", "health", "code", "health"
        ],
        "{}",
        failed.transcript()
    );
}

/// It was well at first, and is not any more: somebody decides to go back, with the code.
fn back_with_the_code(project: &Project) {
    let sandbox = &project.sandbox;
    sandbox.migration("002_wrong", "CREATE TABLE refunds (id INTEGER PRIMARY KEY);", "");
    deploy(project);
    sandbox.sql("INSERT INTO refunds VALUES (1)");
    sandbox.write("sick", "");
    take_log(sandbox);
    let back = [
        "rollback",
        "-e",
        "production",
        "--full",
        "-y",
        "--confirm-name",
        "production",
    ];
    // What was written to the new table has no place: counted, and refused until somebody says so.
    project.refused(&back, 6, &["1 row", "--allow-lossy"]);
    let before = project.in_bucket().len();
    let done = sandbox.ok(&[&back[..], &["--allow-lossy", "--reason", "refunds are wrong"]].concat());
    assert_eq!(
        take_log(sandbox),
        ["stop", "start", "health", "health", "code", "health"],
        "{}",
        done.transcript()
    );
    assert!(
        project.in_bucket().len() > before,
        "a safety backup is in both places"
    );
}

/// `rollback <environment> [backup]`: the newest where none is named.
fn back_to_a_backup(project: &Project) {
    let sandbox = &project.sandbox;
    let then = sandbox.contents();
    let made = project.production(&["backup", "create", "--json"]).json();
    let id = made["backup"]["id"].as_str().expect("an id").to_owned();
    sandbox.sql("DELETE FROM orders");
    take_log(sandbox);
    let back = [
        "rollback",
        "--backup-file",
        &id,
        "--full",
        "-y",
        "--confirm-name",
        "production",
    ];
    project.production(&[&back[..], &["--allow-lossy"]].concat());
    sandbox.assert_contents(&then, "as it was in the backup");
    let log = take_log(sandbox);
    assert_eq!(log, ["stop", "start", "health", "code", "health"]);
    project.production(&["backup", "verify", &id]);
    sandbox.assert_sound();
}

/// Who, when, why, what was run and how it ended; and what was lost.
fn written_down(project: &Project) {
    let audit = project.production(&["audit", "--json"]).json();
    let runs = audit["runs"].as_array().expect("runs");
    let run = runs
        .iter()
        .find(|run| run["kind"] == "full-rollback" && run["reason"] == "refunds are wrong")
        .unwrap_or_else(|| panic!("no such run: {audit}"));
    assert!(
        run["actor"].as_str().is_some_and(|actor| actor.contains(&user())),
        "{run}"
    );
    let hooks = run["hooks"].as_array().expect("hooks");
    let codes = hooks.iter().filter(|hook| hook["hook"] == "rollback_code");
    assert_eq!(codes.count(), 1, "{run}");
}

/// In production somebody else has to have read what is applied, and signs it; going back needs nobody.
fn approved_by_somebody_else(project: &Project) {
    let sandbox = &project.sandbox;
    let made = Command::new("ssh-keygen")
        .args([
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            "ann@example.com",
            "-f",
            "ann",
        ])
        .current_dir(sandbox.path("."))
        .status();
    assert!(made.expect("`ssh-keygen` starts").success());
    let key = std::fs::read_to_string(sandbox.path("ann.pub")).expect("a public key");
    project.configure(&format!(
        "\n[env.production.policy]\nconfirm = \"type-name\"\napprovals = 1\napprovers = [\"{}\"]\n{HOOKS}",
        key.trim()
    ));
    let before = sandbox.contents();
    sandbox.migration("002_wrong", "CREATE TABLE refunds (id INTEGER PRIMARY KEY);", "");
    let deploy = ["deploy", "production", "-y", "--confirm-name", "production"];
    project.refused(&deploy, 6, &["approve plan.json --key"]);
    project.production(&["plan", "--out", "plan.json"]);
    let approved = [&deploy[..], &["--plan", "plan.json"]].concat();
    project.refused(&approved, 6, &["this one has 0"]);
    project.production(&["approve", "plan.json", "--key", "ann"]);
    sandbox.ok(&approved);
    project.production(&["rollback", "-y", "--confirm-name", "production"]);
    sandbox.assert_contents(&before, "it was walked back");
    sandbox.ok(&["audit", "--verify", "-e", "production"]);
}

/// Who runs this.
fn user() -> String {
    let output = Command::new("id").arg("-un").output().expect("`id` starts");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
