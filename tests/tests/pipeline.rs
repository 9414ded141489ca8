//! What pipelines do: the action of GitHub and the jobs of GitLab, run as their runners run them, and `sync`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use walkback_tests::{Backend, ONE_OF_EACH, Output, Sandbox, journeys};

fn main() -> ExitCode {
    walkback_tests::main(
        "pipeline",
        &journeys! {
            ONE_OF_EACH => [
                a_branch_without_the_newer_files_takes_the_database_back_to_what_it_has,
                a_migration_below_others_that_the_checkout_lacks_goes_alone,
                the_action_deploys_and_goes_back_by_itself,
            ],
            &[Backend::Sqlite] => [
                without_an_input_a_pipeline_loses_and_destroys_nothing,
                a_sync_that_stops_half_way_says_so,
                a_pipeline_gives_the_consent_that_a_person_would_give,
                the_checks_of_a_pipeline_leave_reports,
                the_jobs_of_gitlab_do_what_the_action_does,
                a_pipeline_says_what_is_missing,
            ],
        },
    )
}

fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_walkback-under-test")
}

fn project(backend: Backend) -> Sandbox {
    let sandbox = Sandbox::project(backend, binary());
    sandbox.migration(
        "001_begin",
        "CREATE TABLE a (id INTEGER PRIMARY KEY, note VARCHAR(20)); INSERT INTO a VALUES (1, 'first');",
        "DROP TABLE a;",
    );
    sandbox
}

fn integrations() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../integrations")
}

/// Runs the second step of the action as a runner does: with these inputs, and defaults for the others.
fn action(sandbox: &Sandbox, inputs: &[(&str, &str)]) -> Output {
    let text = fs::read_to_string(integrations().join("github/action.yml")).expect("there is an action");
    let mut given: BTreeMap<String, String> = defaults(&text);
    for (name, value) in inputs {
        assert!(
            given.contains_key(*name) || *name == "command",
            "there is no input `{name}`"
        );
        given.insert((*name).to_owned(), (*value).to_owned());
    }
    given.insert("walkback".to_owned(), binary().to_owned());
    let step = text
        .split("- name: Run walkback")
        .nth(1)
        .expect("the step that runs it");
    let (environment, run) = step.split_once("run: ").expect("what it runs");
    let mut command = shell(sandbox, run.trim());
    for line in environment.lines().map(str::trim) {
        let Some((name, value)) = line.split_once(": ${{ ") else {
            continue;
        };
        let value = match value.trim_end_matches(" }}") {
            "github.action_path" => integrations().join("github").display().to_string(),
            input => {
                let input = input.strip_prefix("inputs.").expect("an input");
                given.get(input).cloned().expect("an input that is declared")
            }
        };
        command.env(name, value);
    }
    command.env("GITHUB_STEP_SUMMARY", sandbox.path("summary.md"));
    command.env("GITHUB_OUTPUT", sandbox.path("output"));
    said(sandbox, &mut command)
}

/// Returns the inputs that have a default.
fn defaults(action: &str) -> BTreeMap<String, String> {
    let inputs = action
        .split("\ninputs:\n")
        .nth(1)
        .and_then(|rest| rest.split("\noutputs:\n").next());
    let mut name = "";
    let mut found = BTreeMap::new();
    for line in inputs.expect("there are inputs").lines() {
        if let Some(value) = line.trim().strip_prefix("default: ") {
            found.insert(name.to_owned(), value.trim_matches('"').to_owned());
        } else if let Some(input) = line.strip_prefix("  ").filter(|line| !line.starts_with(' ')) {
            name = input.trim_end_matches(':');
        }
    }
    found
}

fn shell(sandbox: &Sandbox, script: &str) -> Command {
    // As in the sandbox, nothing comes from the shell of a developer.
    let clean = sandbox.command(&[]);
    let mut command = Command::new("sh");
    command.args(["-e", "-c", script]).current_dir(sandbox.path("."));
    for (name, value) in clean.get_envs() {
        if value.is_none() {
            command.env_remove(name);
        }
    }
    command
}

fn said(sandbox: &Sandbox, command: &mut Command) -> Output {
    let output = command.output().expect("a shell starts");
    Output::new(&["pipeline"], &output, &sandbox.path("."))
}

fn summary(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.path("summary.md")).unwrap_or_default()
}

fn a_branch_without_the_newer_files_takes_the_database_back_to_what_it_has(backend: Backend) {
    let sandbox = project(backend);
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    sandbox.migration("002_more", "ALTER TABLE a ADD COLUMN more INTEGER;", "");
    sandbox.migration("003_table", "CREATE TABLE b (id INTEGER PRIMARY KEY);", "");
    sandbox.ok(&["sync", "-y"]);
    sandbox.sql("INSERT INTO a VALUES (2, 'second', 7)");
    let newer = sandbox.contents();
    for name in ["002_more", "003_table"] {
        sandbox.remove(&format!("migrations/{name}"));
    }
    let dry = sandbox.ok(&["sync", "--dry-run"]);
    assert!(dry.stdout.contains("003_table"), "{}", dry.transcript());
    sandbox.assert_contents(&newer, "after a dry run");
    let refused = sandbox.run(&["sync"]);
    assert_eq!(
        refused.code,
        Some(6),
        "nobody was asked: {}",
        refused.transcript()
    );
    sandbox.assert_contents(&newer, "after a refusal");
    let report = sandbox.ok(&["sync", "-y", "--json"]).json();
    assert_eq!(
        report["rolled_back"]["undone"].as_array().map(Vec::len),
        Some(2),
        "{report}"
    );
    sandbox.sql("DELETE FROM a WHERE id = 2");
    sandbox.assert_contents(&before, "the database is what the branch has");
    assert_eq!(sandbox.run(&["status", "--check"]).code, Some(0));
    let nothing = sandbox.ok(&["sync", "-y"]);
    assert!(
        nothing.stdout.contains("nothing to do"),
        "{}",
        nothing.transcript()
    );
}

fn a_migration_below_others_that_the_checkout_lacks_goes_alone(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("002_mine", "CREATE TABLE mine (id INTEGER PRIMARY KEY);", "");
    sandbox.migration("003_theirs", "CREATE TABLE theirs (id INTEGER PRIMARY KEY);", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO theirs VALUES (1)");
    sandbox.remove("migrations/002_mine");
    sandbox.migration("004_new", "CREATE TABLE newest (id INTEGER PRIMARY KEY);", "");
    let dry = sandbox.ok(&["sync", "--dry-run"]);
    assert!(
        dry.stdout.contains("then applied: 004_new"),
        "{}",
        dry.transcript()
    );
    sandbox.ok(&["sync", "-y"]);
    let contents = sandbox.contents();
    let tables: Vec<&str> = contents.rows.keys().map(String::as_str).collect();
    assert_eq!(tables, ["a", "newest", "theirs"]);
    assert_eq!(contents.rows["theirs"].len(), 1, "its row stays");
}

fn the_action_deploys_and_goes_back_by_itself(backend: Backend) {
    let sandbox = project(backend);
    let deploy = [
        ("command", "deploy"),
        ("environment", "dev"),
        ("reason", "it is time"),
    ];
    let output = action(&sandbox, &deploy);
    assert_eq!(output.code, Some(0), "{}", output.transcript());
    assert!(
        summary(&sandbox).contains("### `walkback deploy` on `dev`: done"),
        "{}",
        summary(&sandbox)
    );
    let audit = sandbox.ok(&["audit"]);
    assert!(audit.stdout.contains("it is time"), "{}", audit.transcript());
    let before = sandbox.contents();

    sandbox.migration("002_good", "CREATE TABLE good (id INTEGER PRIMARY KEY);", "");
    sandbox.migration("003_broken", "INSERT INTO good VALUES ('x', 'y', 'z');", "");
    let output = action(&sandbox, &deploy);
    assert_eq!(output.code, Some(1), "{}", output.transcript());
    sandbox.assert_contents(&before, "a deployment that fails goes back by itself");
    assert!(summary(&sandbox).contains("003_broken"), "{}", summary(&sandbox));
    let outputs = fs::read_to_string(sandbox.path("output")).expect("the outputs of the step");
    assert_eq!(outputs, "exit-code=0\nexit-code=1\n");

    sandbox.remove("migrations/003_broken");
    assert_eq!(action(&sandbox, &deploy).code, Some(0));
    let back = [
        ("command", "rollback"),
        ("environment", "dev"),
        ("rollback_to", "001"),
    ];
    let output = action(&sandbox, &back);
    assert_eq!(output.code, Some(0), "{}", output.transcript());
    sandbox.assert_contents(&before, "walked back");
}

fn without_an_input_a_pipeline_loses_and_destroys_nothing(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("002_more", "CREATE TABLE b (id INTEGER PRIMARY KEY);", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO b VALUES (1), (2)");
    let before = sandbox.contents();
    sandbox.remove("migrations/002_more");
    let sync = [("command", "sync"), ("environment", "dev")];
    let output = action(&sandbox, &sync);
    assert_eq!(output.code, Some(6), "{}", output.transcript());
    assert!(
        output.stderr.contains("take back 2 rows"),
        "{}",
        output.transcript()
    );
    sandbox.assert_contents(&before, "nothing was lost");
    let allowed = [sync[0], sync[1], ("allow_lossy", "true")];
    assert_eq!(action(&sandbox, &allowed).code, Some(0));
    // A folder without any migration is another folder than the one that was meant.
    sandbox.remove("migrations/001_begin");
    let output = action(&sandbox, &allowed);
    assert_eq!(output.code, Some(6), "{}", output.transcript());
    assert!(
        output.stderr.contains("no migration at all"),
        "{}",
        output.transcript()
    );
    assert!(sandbox.contents().rows.contains_key("a"));
}

fn a_sync_that_stops_half_way_says_so(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("002_more", "CREATE TABLE b (id INTEGER PRIMARY KEY);", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.remove("migrations/002_more");
    sandbox.migration("003_destroys", "DROP TABLE a;", "");
    let output = action(&sandbox, &[("command", "sync"), ("environment", "dev")]);
    assert_eq!(output.code, Some(6), "{}", output.transcript());
    let said = "what the checkout lacks was walked back, and what is pending was not applied";
    assert!(output.stderr.contains(said), "{}", output.transcript());
    let contents = sandbox.contents();
    let tables: Vec<&str> = contents.rows.keys().map(String::as_str).collect();
    assert_eq!(tables, ["a"]);
}

fn a_pipeline_gives_the_consent_that_a_person_would_give(backend: Backend) {
    let sandbox = project(backend);
    sandbox.ok(&["up", "-y"]);
    let policy = |destructive: &str| {
        sandbox.policy(&format!(
            "destructive = \"{destructive}\"\nrequire_ticket = true\nconfirm = \"type-name\""
        ));
    };
    sandbox.migration("002_destroys", "DROP TABLE a;", "");
    let before = sandbox.contents();
    let mut inputs = vec![("command", "deploy"), ("environment", "dev")];
    policy("ask");
    let steps = [
        ("change_ticket_id", "CHG-7", "needs a ticket"),
        ("allow_destructive", "true", "refuses what destroys"),
        ("approved", "true", "--confirm-name dev"),
    ];
    for (input, value, missing) in steps {
        let output = action(&sandbox, &inputs);
        assert_eq!(output.code, Some(6), "without {input}: {}", output.transcript());
        assert!(output.stderr.contains(missing), "{}", output.transcript());
        sandbox.assert_contents(&before, "refused");
        inputs.push((input, value));
    }
    let mut dry = inputs.clone();
    dry.push(("dry_run", "true"));
    assert_eq!(action(&sandbox, &dry).code, Some(0));
    sandbox.assert_contents(&before, "after a dry run");
    let output = action(&sandbox, &inputs);
    assert_eq!(output.code, Some(0), "{}", output.transcript());
    assert!(!sandbox.contents().rows.contains_key("a"));
    let mut back = vec![
        ("command", "rollback"),
        ("environment", "dev"),
        ("change_ticket_id", "CHG-8"),
    ];
    let output = action(&sandbox, &back);
    assert_eq!(output.code, Some(6), "nobody approved: {}", output.transcript());
    back.push(("approved", "true"));
    assert_eq!(action(&sandbox, &back).code, Some(0));
    sandbox.assert_contents(&before, "walked back");
    let audit = sandbox.ok(&["audit"]);
    assert!(audit.stdout.contains("CHG-7"), "{}", audit.transcript());
}

fn the_checks_of_a_pipeline_leave_reports(backend: Backend) {
    let sandbox = project(backend);
    let check = [
        ("command", "check"),
        ("environment", "dev"),
        ("reports", "reports"),
    ];
    let output = action(&sandbox, &check);
    assert_eq!(output.code, Some(0), "{}", output.transcript());
    sandbox.migration("002_lies", "ALTER TABLE a ADD COLUMN b INTEGER;", "SELECT 1;");
    let output = action(&sandbox, &check);
    assert_eq!(output.code, Some(3), "{}", output.transcript());
    let report = fs::read_to_string(sandbox.path("reports/walkback-verify.xml")).expect("a report");
    assert!(
        report.contains("<failure") && report.contains("002_lies"),
        "{report}"
    );
    assert!(sandbox.path("reports/walkback-lint.xml").is_file());
    let status = action(&sandbox, &[("command", "status"), ("environment", "dev")]);
    assert_eq!(status.code, Some(3), "what is pending: {}", status.transcript());
}

/// Runs what a job of the include runs, with what it sets and what a project adds to it.
fn job(sandbox: &Sandbox, name: &str, variables: &[(&str, &str)]) -> Output {
    let text = fs::read_to_string(integrations().join("gitlab/walkback.yml")).expect("there is an include");
    let of = |name: &str| {
        let job = text.split(&format!("\n{name}:\n")).nth(1).expect("the job");
        job.split("\n\n").next().unwrap_or_default().to_owned()
    };
    let (base, job) = (of(".walkback"), of(name));
    let script = base
        .split("script:\n    - ")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    let mut command = shell(sandbox, script.expect("a script"));
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", integrations().display()));
    let set = base
        .split("variables:\n")
        .nth(1)
        .and_then(|rest| rest.split("  script:").next());
    for line in set.expect("variables").lines().map(str::trim) {
        if let Some((name, value)) = line.split_once(": ") {
            command.env(name, value.trim_matches('"'));
        }
    }
    let command_name = job
        .split("COMMAND: ")
        .nth(1)
        .and_then(|rest| rest.split(" }").next());
    command.env("COMMAND", command_name.expect("the command of the job"));
    command.env("WALKBACK", binary());
    command.envs(variables.iter().copied());
    said(sandbox, &mut command)
}

fn the_jobs_of_gitlab_do_what_the_action_does(backend: Backend) {
    let sandbox = project(backend);
    let dev = [("ENVIRONMENT", "dev")];
    assert_eq!(job(&sandbox, ".walkback-check", &dev).code, Some(0));
    assert!(sandbox.path("walkback-reports/walkback-verify.xml").is_file());
    assert_eq!(job(&sandbox, ".walkback-status", &dev).code, Some(3));
    let output = job(&sandbox, ".walkback-deploy", &dev);
    assert_eq!(output.code, Some(0), "{}", output.transcript());
    assert_eq!(job(&sandbox, ".walkback-status", &dev).code, Some(0));
    assert_eq!(job(&sandbox, ".walkback-backup", &dev).code, Some(0));
    let output = job(&sandbox, ".walkback-sync", &dev);
    assert!(output.stdout.contains("nothing to do"), "{}", output.transcript());
    let lossy = job(
        &sandbox,
        ".walkback-rollback",
        &[("ENVIRONMENT", "dev"), ("ALLOW_LOSSY", "true")],
    );
    assert_eq!(lossy.code, Some(0), "{}", lossy.transcript());
    assert!(sandbox.contents().rows.is_empty());
    let summary = fs::read_to_string(sandbox.path("walkback-summary.md")).expect("a summary");
    assert_eq!(summary.matches("### ").count(), 8, "{summary}");
}

fn a_pipeline_says_what_is_missing(backend: Backend) {
    let sandbox = project(backend);
    let script = integrations().join("walkback-pipeline").display().to_string();
    for (arguments, variables, expected) in [
        ("deploy", vec![], "needs an environment"),
        ("deplyo", vec![("ENVIRONMENT", "dev")], "it is one of: check"),
        ("", vec![], "is no command of a pipeline"),
        (
            "deploy",
            vec![("ENVIRONMENT", "dev"), ("ALLOW_LOSSY", "maybe")],
            "neither `true` nor `false`",
        ),
        (
            "status",
            vec![("WALKBACK", "no-such-program")],
            "there is no `no-such-program`",
        ),
    ] {
        let mut command = shell(&sandbox, &format!("{script} {arguments}"));
        command.env("WALKBACK", binary()).envs(variables);
        let output = said(&sandbox, &mut command);
        assert_eq!(output.code, Some(2), "{}", output.transcript());
        assert!(output.stderr.contains(expected), "{}", output.transcript());
    }
    assert!(sandbox.contents().rows.is_empty(), "nothing was applied");
}
