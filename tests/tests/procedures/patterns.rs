//! The three patterns of a safe migration, and what is done in an emergency.

use std::time::{Duration, Instant};

use walkback_tests::{Backend, Sandbox};

use crate::project::Project;

pub(crate) fn what_the_three_patterns_and_the_emergencies_ask_for(backend: Backend) {
    let project = Project::new(backend, "[source]\nkind = \"sql\"\npath = \"migrations\"");
    let sandbox = &project.sandbox;
    sandbox.migration(
        "001_shop",
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name VARCHAR(20), legacy VARCHAR(20));\n\
         CREATE TABLE old_carts (id INTEGER PRIMARY KEY);\n\
         INSERT INTO users VALUES (1, 'ann', 'a'), (2, 'bob', 'b');\nINSERT INTO old_carts VALUES (7);",
        "DROP TABLE old_carts;\nDROP TABLE users;",
    );
    sandbox.ok(&["up", "-e", "dev", "-y"]);
    paired(sandbox);
    kept_before_it_is_destroyed(sandbox);
    deleted_softly_and_purged(&project);
    stopped_while_it_runs(sandbox);
    decided_by_the_tree(sandbox);
    expanded_and_not_contracted(sandbox);
    checked_for_production(&project);
}

/// Up, check, down, check: `verify` does it, and a down that does not lead back is found.
fn paired(sandbox: &Sandbox) {
    sandbox.migration(
        "002_email",
        "ALTER TABLE users ADD COLUMN email VARCHAR(40);",
        "ALTER TABLE users DROP COLUMN email;",
    );
    sandbox.ok(&["verify", "002", "-e", "dev"]);
    let before = sandbox.contents();
    sandbox.ok(&["up", "-e", "dev", "-y"]);
    sandbox.ok(&["status", "--check", "-e", "dev"]);
    sandbox.ok(&["down", "-e", "dev", "-y"]);
    sandbox.assert_contents(&before, "up and down");
    sandbox.migration(
        "002_email",
        "ALTER TABLE users ADD COLUMN email VARCHAR(40);",
        "SELECT 1;",
    );
    let lies = sandbox.run(&["verify", "002", "-e", "dev"]);
    assert_eq!(lies.code, Some(3), "{}", lies.transcript());
    assert!(lies.transcript().contains("email"), "{}", lies.transcript());
    sandbox.remove("migrations/002_email");
}

/// A column goes, and comes back filled; what was written since to the others stays.
fn kept_before_it_is_destroyed(sandbox: &Sandbox) {
    let before = sandbox.contents();
    sandbox.migration("002_no_legacy", "ALTER TABLE users DROP COLUMN legacy;", "");
    let up = sandbox.ok(&["up", "-e", "dev", "-y"]);
    assert!(
        up.stdout.contains("rb_002_no_legacy"),
        "what keeps it is named: {}",
        up.transcript()
    );
    sandbox.ok(&["rollback", "-e", "dev", "-y"]);
    sandbox.assert_contents(&before, "the column is back, with what was in it");
    sandbox.remove("migrations/002_no_legacy");
}

/// A drop is a rename; after 30 days the purge does the real drop, and not before.
fn deleted_softly_and_purged(project: &Project) {
    let sandbox = &project.sandbox;
    let before = sandbox.contents();
    sandbox.migration(
        "002_drop",
        "-- walkback: protect=soft-delete\nDROP TABLE old_carts;",
        "",
    );
    let (first, later, past) = (
        "2031-03-01T10:00:00Z",
        "2031-03-20T10:00:00Z",
        "2031-04-02T10:00:00Z",
    );
    sandbox.ok_at(first, &["up", "-e", "dev", "-y"]);
    assert!(sandbox.session().try_sql("SELECT * FROM old_carts").is_err());
    sandbox.ok_at(first, &["rollback", "-e", "dev", "-y"]);
    sandbox.assert_contents(&before, "the table is back");
    sandbox.ok_at(first, &["up", "-e", "dev", "-y"]);
    let dry = sandbox
        .ok_at(later, &["purge", "--dry-run", "-e", "dev", "--json"])
        .json();
    let due = dry["plan"]["drop"].as_array().expect("a list");
    assert!(due.iter().all(|table| table["replaced"] != "old_carts"), "{dry}");
    assert!(dry["plan"]["stays"].to_string().contains("old_carts"), "{dry}");
    sandbox.ok_at(past, &["purge", "-e", "dev", "-y"]);
    let gone = sandbox.at(past, &["rollback", "-e", "dev", "-y"]);
    assert_ne!(gone.code, Some(0), "{}", gone.transcript());
    assert!(gone.stderr.contains("hint: "), "{}", gone.transcript());
}

/// A migration that does not end is stopped from another terminal, and undoes itself.
fn stopped_while_it_runs(sandbox: &Sandbox) {
    let before = sandbox.contents();
    let long = match sandbox.backend() {
        Backend::Sqlite => {
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000000000) \
             UPDATE users SET name = (SELECT count(*) FROM n);"
        }
        Backend::Postgres | Backend::PostgresNewest => "UPDATE users SET name = pg_sleep(600)::text;",
        Backend::Mysql | Backend::Mariadb => "UPDATE users SET name = SLEEP(600);",
    };
    sandbox.migration(
        "003_endless",
        &format!("CREATE TABLE begun (i INTEGER);\n{long}"),
        "",
    );
    let running = sandbox.spawn(&["up", "-e", "dev", "-y", "003"]);
    let began = Instant::now();
    while !sandbox
        .run(&["status", "-e", "dev"])
        .transcript()
        .contains("unfinished")
    {
        assert!(began.elapsed() < Duration::from_secs(60), "it never began");
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_millis(500));
    sandbox.ok(&["abort", "-e", "dev"]);
    let stopped = running.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&stopped.stderr);
    assert_eq!(stopped.status.code(), Some(130), "{said}");
    sandbox.assert_contents(&before, &said);
    sandbox.remove("migrations/003_endless");
}

/// Each question of the tree has its command, which is then run as it is printed.
fn decided_by_the_tree(sandbox: &Sandbox) {
    let before = sandbox.contents();
    // Incomplete schema change: its down.
    sandbox.migration(
        "003_half",
        "CREATE TABLE half (i INTEGER PRIMARY KEY);",
        "DROP TABLE half;",
    );
    sandbox.ok(&["up", "-e", "dev", "-y"]);
    follow(sandbox, "incomplete", "down");
    sandbox.assert_contents(&before, "its down was run");
    sandbox.remove("migrations/003_half");
    // Corrupt data: what was there before, and what was written since stays.
    sandbox.migration("003_wrong", "UPDATE users SET name = 'x';", "");
    sandbox.ok(&["up", "-e", "dev", "-y"]);
    sandbox.sql("INSERT INTO users VALUES (3, 'cid', 'c')");
    follow(sandbox, "corrupt", "surgical");
    assert_eq!(
        sandbox
            .session()
            .column("SELECT name FROM users ORDER BY id")
            .join(","),
        "ann,bob,cid"
    );
    sandbox.sql("DELETE FROM users WHERE id = 3");
    sandbox.remove("migrations/003_wrong");
    // Slow: the new indexes go, by the statements that are named.
    sandbox.migration("003_index", "CREATE INDEX slow ON users (name);", "");
    sandbox.ok(&["up", "-e", "dev", "-y"]);
    let advice = advice(sandbox, "slow");
    let sql = advice["sql"][0]
        .as_str()
        .unwrap_or_else(|| panic!("no statement: {advice}"));
    sandbox.migration("004_no_index", sql, "");
    sandbox.ok(&["up", "-e", "dev", "-y"]);
    sandbox.assert_contents(&before, "the index is gone");
    // Partial failure: forward, once what failed is mended.
    sandbox.migration(
        "005_fails",
        "UPDATE users SET legacy = 'y';\nINSERT INTO users (id) VALUES (1);",
        "",
    );
    let failed = sandbox.run(&["up", "-e", "dev", "-y"]);
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    sandbox.assert_contents(&before, "what failed has left nothing");
    sandbox.migration("005_fails", "UPDATE users SET legacy = 'y';", "");
    follow(sandbox, "partial", "forward");
    assert_eq!(sandbox.value("SELECT max(legacy) FROM users"), "y");
}

fn advice(sandbox: &Sandbox, symptom: &str) -> serde_json::Value {
    let output = sandbox.ok(&["advise", symptom, "-e", "dev", "--json"]);
    output.json()["advice"].clone()
}

/// Asks, and runs the commands of the answer.
fn follow(sandbox: &Sandbox, symptom: &str, kind: &str) {
    let advice = advice(sandbox, symptom);
    assert_eq!(advice["kind"], kind, "{symptom}: {advice}");
    for command in advice["commands"].as_array().expect("commands") {
        let command = command.as_str().expect("a command");
        let words = command.strip_prefix("walkback ").expect("one of ours").split(' ');
        let words: Vec<&str> = words.chain(["-y"]).collect();
        assert!(words.contains(&"--env"), "it would be run elsewhere: {advice}");
        sandbox.ok(&words);
    }
}

/// The contract phase fails: what is expanded stays in use, and nothing needs to go back.
fn expanded_and_not_contracted(sandbox: &Sandbox) {
    sandbox.migration(
        "006_expand",
        "-- walkback: phase=expand\nALTER TABLE users ADD COLUMN full_name VARCHAR(40);\n\
         UPDATE users SET full_name = name;",
        "",
    );
    sandbox.migration(
        "007_contract",
        "-- walkback: phase=contract\nALTER TABLE users DROP COLUMN legacy;\nINSERT INTO users (id) VALUES (1);",
        "",
    );
    sandbox.ok(&["up", "--phase", "expand", "-e", "dev", "-y"]);
    let expanded = sandbox.contents();
    let failed = sandbox.run(&["up", "--phase", "contract", "-e", "dev", "-y"]);
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    assert!(
        failed.stderr.contains("nothing needs to be walked back"),
        "{}",
        failed.transcript()
    );
    sandbox.assert_contents(&expanded, "the expanded state is as it was");
    sandbox.sql("UPDATE users SET full_name = 'Ann', legacy = 'still there' WHERE id = 1");
    sandbox.remove("migrations/007_contract");
}

/// The list before production: a backup in both places, rules, ways back that were tried.
fn checked_for_production(project: &Project) {
    project.configure(
        "\n[env.production.policy]\ndestructive = \"ask\"\nlossy = \"ask\"\nconfirm = \"type-name\"\nrequire_ticket = true\n",
    );
    let checks = || {
        let output = project
            .sandbox
            .run(&["doctor", "--production", "-e", "production", "--json"]);
        let report = output.json();
        let failed = report["checks"].as_array().expect("checks").iter();
        let failed = failed.filter(|check| check["state"] == "fail");
        let names: Vec<String> = failed
            .map(|check| check["name"].as_str().unwrap_or_default().to_owned())
            .collect();
        (output.code, names)
    };
    assert_eq!(checks(), (Some(3), vec!["backup".to_owned()]));
    project.production(&["backup", "create"]);
    assert_eq!(checks(), (Some(0), Vec::new()));
    project.sandbox.migration(
        "008_lies",
        "CREATE TABLE more (i INTEGER PRIMARY KEY);",
        "DROP TABLE nowhere;",
    );
    assert_eq!(checks(), (Some(3), vec!["ways back".to_owned()]));
}
