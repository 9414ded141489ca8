//! Migrations that only go up, with Liquibase's table, on MySQL and MariaDB: undone by restoring a backup.

use walkback_tests::{Backend, Sandbox, mysqldump};

use crate::project::{Project, pipeline};

const CHANGELOG: &str = "\
--liquibase formatted sql

--changeset ops:1
CREATE TABLE orders (id INT PRIMARY KEY, total INT);
INSERT INTO orders VALUES (1, 10), (2, 20);

--changeset ops:2 splitStatements:false
CREATE PROCEDURE add_order(IN number INT) INSERT INTO orders VALUES (number, 0);

--changeset ops:3 splitStatements:false
CREATE TRIGGER no_debts BEFORE INSERT ON orders FOR EACH ROW SET NEW.total = GREATEST(NEW.total, 0);

--changeset ops:4 splitStatements:false
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DO DELETE FROM orders WHERE total = 0;
";

/// What goes wrong in production.
const NEWER: &str = "
--changeset ops:5
UPDATE orders SET total = 0;

--changeset ops:6
DROP PROCEDURE add_order;
";

const POLICY: &str = "\n[env.production.policy]\ndestructive = \"refuse\"\nrequire_ticket = true\n\
    confirm = \"type-name\"\nread_only_during_run = true\n";

pub(crate) fn migrations_without_a_way_down_are_undone_by_their_backup(backend: Backend) {
    let project = Project::new(
        backend,
        "[source]\nkind = \"liquibase\"\npath = \"db/changelog.sql\"",
    );
    let sandbox = &project.sandbox;
    project.configure(POLICY);
    sandbox.write("db/changelog.sql", CHANGELOG);

    deployed_by_the_pipeline(&project);
    let (then, ledger) = (sandbox.contents(), history(sandbox));
    let dump = "before.sql";
    mysqldump(sandbox, dump);

    // In CI a backup is made before each test.
    let of_ci = pipeline(sandbox, "backup", &[("ENVIRONMENT", "ci")]);
    assert_eq!(of_ci.code, Some(0), "{}", of_ci.transcript());

    wrong_in_production(&project);
    refused_with_the_reason(&project, dump);
    restored_from_the_dump(&project, dump);
    sandbox.assert_contents(&then, "after the dump was restored");
    assert_eq!(history(sandbox), ledger, "the newer rows of the history are gone");
    recorded(&project);
    back_to_a_moment(&project);
    sandbox.assert_contents(&then, "as it was a moment before");
    sandbox.sql("CALL add_order(3)");
    assert_eq!(sandbox.value("SELECT total FROM orders WHERE id = 3"), "0");
    sandbox.sql("DELETE FROM orders WHERE id = 3");

    restored_from_the_bucket(&project);
    sandbox.assert_contents(
        &then,
        "after the backup of the deployment was restored from the bucket",
    );
    assert_eq!(history(sandbox), ledger);

    // A branch without the newer files: the database goes to what it has.
    sandbox.ok(&["up", "-e", "dev", "-y"]);
    sandbox.write("db/changelog.sql", CHANGELOG);
    let synced = pipeline(
        sandbox,
        "sync",
        &[("ENVIRONMENT", "dev"), ("ALLOW_LOSSY", "true")],
    );
    assert_eq!(synced.code, Some(0), "{}", synced.transcript());
    sandbox.assert_contents(&then, "what the branch has");
    assert_eq!(history(sandbox), ledger);
    // The verification steps.
    sandbox.ok(&["status", "--check", "-e", "production"]);
    sandbox.ok(&["verify", "-e", "production"]);
    sandbox.ok(&["audit", "--verify", "-e", "production"]);
    sandbox.assert_sound();
}

/// `status`, and a deployment that asks for its ticket, and makes its backup in two places.
fn deployed_by_the_pipeline(project: &Project) {
    let sandbox = &project.sandbox;
    let status = project.production(&["status"]);
    assert!(status.stdout.contains("::4::ops"), "{}", status.transcript());
    let mut inputs = vec![("ENVIRONMENT", "production"), ("APPROVED", "true")];
    let refused = pipeline(sandbox, "deploy", &inputs);
    assert_eq!(refused.code, Some(6), "{}", refused.transcript());
    assert!(
        refused.stderr.contains("needs a ticket"),
        "{}",
        refused.transcript()
    );
    inputs.push(("CHANGE_TICKET_ID", "CHG-1"));
    let deployed = pipeline(sandbox, "deploy", &inputs);
    assert_eq!(deployed.code, Some(0), "{}", deployed.transcript());
    assert_eq!(history(sandbox).len(), 4);
    let kept = project.in_bucket();
    assert!(kept.iter().any(|id| id.starts_with("bk_")), "{kept:?}");
}

/// The newer migrations are destructive, which has to be said, and wrong, which nobody saw.
fn wrong_in_production(project: &Project) {
    let sandbox = &project.sandbox;
    sandbox.write("db/changelog.sql", &format!("{CHANGELOG}{NEWER}"));
    let mut inputs = vec![
        ("ENVIRONMENT", "production"),
        ("CHANGE_TICKET_ID", "CHG-2"),
        ("APPROVED", "true"),
    ];
    let refused = pipeline(sandbox, "deploy", &inputs);
    assert_eq!(refused.code, Some(6), "{}", refused.transcript());
    assert!(
        refused.stderr.contains("--allow-destructive"),
        "{}",
        refused.transcript()
    );
    inputs.push(("ALLOW_DESTRUCTIVE", "true"));
    let deployed = pipeline(sandbox, "deploy", &inputs);
    assert_eq!(deployed.code, Some(0), "{}", deployed.transcript());
    assert_eq!(history(sandbox).len(), 6);
    assert_eq!(sandbox.value("SELECT SUM(total) FROM orders"), "0");
}

/// A file and a version that are not there, a dump that is cut off, and a user without rights: nothing changes.
fn refused_with_the_reason(project: &Project, dump: &str) {
    let sandbox = &project.sandbox;
    let before = sandbox.contents();
    let back = [
        "rollback",
        "-e",
        "production",
        "--ticket",
        "CHG-3",
        "-y",
        "--confirm-name",
        "production",
    ];
    let with = |more: &[&str]| {
        let all: Vec<String> = back.iter().chain(more).map(|&word| word.to_owned()).collect();
        let words: Vec<&str> = all.iter().map(String::as_str).collect();
        sandbox.run(&words)
    };
    let text = std::fs::read_to_string(sandbox.path(dump)).expect("the dump can be read");
    sandbox.write("half.sql", &text[..text.len() / 2]);
    let cases = [
        (with(&["--backup-file", "nowhere.sql"]), "nowhere.sql"),
        (with(&["--backup-file", dump, "--to", "ops:9"]), "ops:9"),
        (with(&["--backup-file", "half.sql", "--to", "ops:4"]), "half.sql"),
    ];
    for (output, says) in cases {
        assert_ne!(output.code, Some(0), "{}", output.transcript());
        assert!(output.stderr.contains(says), "{}", output.transcript());
        assert!(output.stderr.contains("hint: "), "{}", output.transcript());
    }
    let (user, password) = ("wb_reader", "only reading 1");
    let server = sandbox.server();
    let name = server.name();
    server.administrate(&format!("DROP USER IF EXISTS '{user}'@'%'"));
    server.administrate(&format!("CREATE USER '{user}'@'%' IDENTIFIED BY '{password}'"));
    server.administrate(&format!("GRANT SELECT ON `{name}`.* TO '{user}'@'%'"));
    let denied = sandbox.run_with(
        &[
            "rollback",
            "-e",
            "production",
            "--backup-file",
            dump,
            "--to",
            "ops:4",
            "--ticket",
            "CHG-3",
            "-y",
            "--confirm-name",
            "production",
        ],
        &[("SHOP_URL", &server.url_as(user, password))],
    );
    server.administrate(&format!("DROP USER '{user}'@'%'"));
    assert_ne!(denied.code, Some(0), "{}", denied.transcript());
    assert!(
        denied.stderr.to_lowercase().contains("denied") || denied.stderr.contains("GRANT"),
        "{}",
        denied.transcript()
    );
    assert!(!denied.transcript().contains(password), "{}", denied.transcript());
    sandbox.assert_contents(&before, "what was refused has changed nothing");
}

/// The backup's details are shown, its integrity is checked, somebody is asked, and it is restored.
fn restored_from_the_dump(project: &Project, dump: &str) {
    let shown = project.production(&["backup", "show", dump]);
    assert!(
        shown.stdout.contains("mysqldump") || shown.stdout.contains("MySQL"),
        "{}",
        shown.transcript()
    );
    project.production(&["backup", "verify", dump]);
    let back = ["rollback", "--backup-file", dump, "--to", "ops:4"];
    let dry: Vec<&str> = back.iter().copied().chain(["--dry-run"]).collect();
    let dry = project.production(&dry);
    assert!(dry.stdout.contains("orders"), "{}", dry.transcript());
    let asked: Vec<&str> = back
        .iter()
        .copied()
        .chain(["-e", "production", "--ticket", "CHG-3"])
        .collect();
    project.refused(&asked, 6, &["--confirm-name"]);
    let done: Vec<&str> = back
        .iter()
        .copied()
        .chain([
            "--ticket",
            "CHG-3",
            "--reason",
            "totals are wrong",
            "-y",
            "--confirm-name",
            "production",
        ])
        .chain(["--log-format", "json"])
        .collect();
    let output = project.production(&done);
    let lines = output.stderr.lines().filter(|line| line.starts_with('{'));
    let lines: Vec<serde_json::Value> = lines
        .map(|line| serde_json::from_str(line).expect("a line of the log is JSON"))
        .collect();
    let begun = lines.iter().find(|line| line["message"] == "a run begins");
    assert!(
        begun.is_some_and(|line| line["kind"] == "rollback" && line["timestamp"].is_string()),
        "{}",
        output.transcript()
    );
}

/// The run is in the audit, newest first, with its ticket and its reason.
fn recorded(project: &Project) {
    let audit = project.production(&["audit", "-n", "1", "--json"]).json();
    let newest = &audit["runs"][0];
    assert_eq!(newest["kind"], "rollback", "{audit}");
    assert_eq!(newest["ticket"], "CHG-3", "{audit}");
    assert_eq!(newest["reason"], "totals are wrong", "{audit}");
    assert_eq!(newest["environment"], "production", "{audit}");
    assert_eq!(audit["runs"].as_array().map(Vec::len), Some(1));
}

/// A mistake of a person, hours after the newest backup: the database as it was just before.
fn back_to_a_moment(project: &Project) {
    let sandbox = &project.sandbox;
    project.production(&["backup", "create"]);
    let mut application = sandbox.session();
    if sandbox.backend() == Backend::Mariadb {
        application.sql("SET SESSION binlog_format = 'ROW'");
    }
    application.sql("INSERT INTO orders VALUES (7, 70)");
    application.sql("DELETE FROM orders WHERE id = 7");
    // The log of MariaDB knows seconds.
    let second = std::time::Duration::from_millis(1100);
    std::thread::sleep(second);
    let moment = sandbox.value("SELECT DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%d %H:%i:%s')");
    std::thread::sleep(second);
    application.sql("DELETE FROM orders");
    project.production(&[
        "restore",
        "--to-time",
        &moment,
        "--table",
        "orders",
        "--ticket",
        "CHG-5",
        "-y",
        "--confirm-name",
        "production",
        "--allow-lossy",
    ]);
}

/// The second place is enough: the folder is lost, and the newest backup before the wrong deployment is in the bucket.
fn restored_from_the_bucket(project: &Project) {
    let sandbox = &project.sandbox;
    let kept = project.production(&["backup", "list", "--json"]).json();
    let backups = kept["backups"].as_array().expect("backups").clone();
    let of_deployment = backups
        .iter()
        .filter_map(|backup| backup["id"].as_str())
        .find(|id| project.in_bucket().iter().any(|there| there == id) && id.starts_with("bk_"))
        .expect("a deployment has made a backup in both places")
        .to_owned();
    sandbox.remove(".walkback");
    sandbox.sql("DELETE FROM orders");
    project.production(&["backup", "verify", &of_deployment]);
    project.production(&[
        "rollback",
        "--backup-file",
        &of_deployment,
        "--ticket",
        "CHG-4",
        "-y",
        "--confirm-name",
        "production",
        "--allow-lossy",
    ]);
}

/// What is in Liquibase's table, oldest first.
fn history(sandbox: &Sandbox) -> Vec<String> {
    sandbox
        .session()
        .column("SELECT CONCAT(AUTHOR, ':', ID) FROM DATABASECHANGELOG ORDER BY ORDEREXECUTED")
}
