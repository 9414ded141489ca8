//! What walkback says when something is wrong, and before it can go wrong: `advise` and `doctor --production`.

use std::process::ExitCode;

use serde_json::Value;
use walkback_tests::{Backend, ONE_OF_EACH, Sandbox, journeys};

fn main() -> ExitCode {
    walkback_tests::main(
        "advise",
        &journeys! {
            ONE_OF_EACH => [
                wrong_data_goes_back_cell_by_cell,
                what_is_slow_loses_its_new_indexes,
                an_incomplete_change_goes_down,
                what_failed_goes_forward,
                a_half_done_run_comes_first,
                a_production_environment_is_looked_over,
            ],
            &[Backend::Sqlite] => [
                an_application_that_fails_goes_first,
                where_nothing_is_applied_there_is_nothing_to_walk_back,
                without_anybody_to_ask_the_symptom_is_said,
            ],
        },
    )
}

fn project(backend: Backend) -> Sandbox {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration(
        "001_begin",
        "CREATE TABLE a (id INTEGER NOT NULL PRIMARY KEY, n INTEGER); INSERT INTO a VALUES (1, 10), (2, 20);",
        "DROP TABLE a;",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox
}

fn advice(sandbox: &Sandbox, symptom: &str) -> Value {
    sandbox.ok(&["advise", symptom, "--json"]).json()["advice"].clone()
}

/// Types the commands of an advice, and confirms them.
fn follow(sandbox: &Sandbox, advice: &Value) {
    for command in advice["commands"].as_array().expect("commands") {
        let words: Vec<&str> = command.as_str().expect("a command").split(' ').collect();
        assert_eq!(words[0], "walkback", "{advice}");
        let mut arguments = words[1..].to_vec();
        arguments.push("-y");
        sandbox.ok(&arguments);
    }
}

fn wrong_data_goes_back_cell_by_cell(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("002_wrong", "UPDATE a SET n = n * 100;", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO a VALUES (3, 30)");
    let said = advice(&sandbox, "corrupt");
    assert_eq!(said["kind"], "surgical", "{said}");
    follow(&sandbox, &said);
    assert_eq!(
        sandbox.value("SELECT sum(n) FROM a"),
        "60",
        "what was written since stays"
    );
    for symptom in ["corrupt", "slow", "incomplete", "application"] {
        let said = advice(&sandbox, symptom);
        assert_eq!(said["kind"], "nothing", "a rollback would bring it back: {said}");
    }
}

fn what_is_slow_loses_its_new_indexes(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "002_indexes",
        "CREATE INDEX slow_one ON a (n); CREATE UNIQUE INDEX keeps_out ON a (id, n); CREATE TABLE b (id INTEGER PRIMARY KEY, n INTEGER); CREATE INDEX own ON b (n);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let said = advice(&sandbox, "slow");
    assert_eq!(said["kind"], "indexes", "{said}");
    let sql = said["sql"].as_array().expect("statements");
    assert_eq!(sql.len(), 1, "the index of a new table is not it: {said}");
    sandbox.migration("003_drop", sql[0].as_str().expect("a statement"), "");
    sandbox.ok(&["up", "-y"]);
    let definitions = format!("{:?}", sandbox.contents().definitions);
    assert!(
        !definitions.contains("slow_one") && definitions.contains("own"),
        "{definitions}"
    );
    let said = advice(&sandbox, "slow");
    assert_ne!(said["kind"], "indexes", "the last run made none: {said}");
}

fn an_incomplete_change_goes_down(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    sandbox.migration(
        "002_half",
        "CREATE TABLE b (id INTEGER PRIMARY KEY);",
        "DROP TABLE b;",
    );
    sandbox.ok(&["up", "-y"]);
    let said = advice(&sandbox, "incomplete");
    assert_eq!(said["kind"], "down", "{said}");
    follow(&sandbox, &said);
    sandbox.assert_contents(&before, "the down was run");

    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO b VALUES (1), (2)");
    let said = advice(&sandbox, "incomplete");
    assert_eq!(
        said["loses"][0]["rows"], 2,
        "what was written since is counted: {said}"
    );
    assert_ne!(said["commands"][0], "walkback rollback --type down", "{said}");
}

fn what_failed_goes_forward(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "002_fails",
        "UPDATE a SET n = 0; INSERT INTO a VALUES (1, 1);",
        "",
    );
    let failed = sandbox.run(&["up", "-y"]);
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    let said = advice(&sandbox, "partial");
    assert_eq!(said["kind"], "forward", "{said}");
    sandbox.migration("002_fails", "UPDATE a SET n = 0;", "");
    follow(&sandbox, &said);
    assert_eq!(sandbox.value("SELECT sum(n) FROM a"), "0");
}

fn a_half_done_run_comes_first(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    sandbox.migration(
        "002_loose",
        "-- walkback: transaction=off\nCREATE TABLE b (id INTEGER PRIMARY KEY);\nCREATE TABLE c (id INTEGER PRIMARY KEY);",
        "",
    );
    let mut command = sandbox.command(&["up", "-y"]);
    command.env("WALKBACK_TEST_KILL_AT", "statement.done");
    command.output().expect("the binary starts");
    for (symptom, kind) in [("slow", "back"), ("partial", "forward")] {
        let said = advice(&sandbox, symptom);
        assert_eq!(said["kind"], kind, "{said}");
        assert!(
            said["found"][0]
                .as_str()
                .is_some_and(|found| found.contains("half-done")),
            "{said}"
        );
    }
    follow(&sandbox, &advice(&sandbox, "slow"));
    sandbox.assert_contents(&before, "recovered");
}

fn an_application_that_fails_goes_first(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("002_more", "CREATE TABLE b (id INTEGER PRIMARY KEY);", "");
    sandbox.ok(&["up", "-y"]);
    let said = advice(&sandbox, "application");
    assert!(said["found"].to_string().contains("rollback_code"), "{said}");
    let configuration = std::fs::read_to_string(sandbox.path("walkback.toml")).expect("there is one");
    let hooks = "\n[env.dev.hooks]\nrollback_code = [\"echo back >> log\"]\n";
    sandbox.write("walkback.toml", &format!("{configuration}{hooks}"));
    follow(&sandbox, &advice(&sandbox, "application"));
    assert!(!sandbox.contents().rows.contains_key("b"));
    assert!(sandbox.path("log").is_file(), "the code went back too");
}

fn where_nothing_is_applied_there_is_nothing_to_walk_back(backend: Backend) {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    for symptom in ["incomplete", "corrupt", "slow", "application", "partial"] {
        let said = advice(&sandbox, symptom);
        assert_eq!(said["kind"], "nothing", "{symptom}: {said}");
    }
}

fn without_anybody_to_ask_the_symptom_is_said(backend: Backend) {
    let sandbox = project(backend);
    let output = sandbox.run(&["advise"]);
    assert_eq!(output.code, Some(2), "{}", output.transcript());
    assert!(
        output.stderr.contains("walkback advise partial|incomplete"),
        "{}",
        output.transcript()
    );
}

fn a_production_environment_is_looked_over(backend: Backend) {
    let sandbox = project(backend);
    let state = |of: &str| {
        let output = sandbox.run(&["doctor", "--production", "--json"]);
        let report = output.json();
        let checks = report["checks"].as_array().expect("checks").clone();
        let checks = checks.into_iter().filter(|check| check["name"] == of);
        let states: Vec<String> = checks
            .map(|check| check["state"].as_str().unwrap_or_default().to_owned())
            .collect();
        (output.code, states)
    };
    assert_eq!(state("backup"), (Some(3), vec!["fail".to_owned()]));
    if backend == Backend::Sqlite {
        // One store may hold the backups of several databases.
        sandbox.ok(&["-u", "sqlite:other.db", "up", "-y"]);
        sandbox.ok(&["-u", "sqlite:other.db", "backup", "create"]);
        assert_eq!(state("backup"), (Some(3), vec!["fail".to_owned()]));
    }
    sandbox.ok(&["backup", "create"]);
    assert_eq!(state("backup"), (Some(0), vec!["ok".to_owned()]));

    let before = sandbox.contents();
    sandbox.migration(
        "002_good",
        "CREATE TABLE b (id INTEGER PRIMARY KEY);",
        "DROP TABLE b;",
    );
    assert_eq!(state("ways back"), (Some(0), vec!["ok".to_owned()]));
    sandbox.migration(
        "003_broken",
        "CREATE TABLE c (id INTEGER PRIMARY KEY);",
        "DROP TABLE nowhere;",
    );
    assert_eq!(state("ways back"), (Some(3), vec!["fail".to_owned()]));
    sandbox.assert_contents(&before, "it was tried elsewhere");
    sandbox.remove("migrations/003_broken");

    assert!(state("policy").1.iter().all(|state| state == "warn"));
    sandbox.policy("destructive = \"ask\"\nlossy = \"ask\"\nconfirm = \"type-name\"\nrequire_ticket = true");
    assert_eq!(state("policy"), (Some(0), vec!["ok".to_owned()]));

    let manifests = sandbox.vault_files("points");
    let chunks = sandbox
        .vault_files("")
        .into_iter()
        .filter(|file| !manifests.contains(file));
    for file in chunks {
        std::fs::write(file, b"not what it was").expect("a chunk can be damaged");
    }
    assert_eq!(state("backup"), (Some(3), vec!["fail".to_owned()]));
}
