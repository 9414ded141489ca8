//! Migrations that go up only, on MySQL and MariaDB, undone by restoring a dump.

use walkback_tests::{Backend, mysqldump};

use crate::project::{lock_holder, project, rows};

const CHANGELOG: &str = "\
--liquibase formatted sql

--changeset ops:1
CREATE TABLE orders (id INT PRIMARY KEY, total INT);
INSERT INTO orders VALUES (1, 10), (2, 20);

--changeset ops:2
ALTER TABLE orders ADD COLUMN note VARCHAR(20);

--changeset ops:3
UPDATE orders SET total = 0;

--changeset ops:4
CREATE TABLE refunds (id INT PRIMARY KEY);
";

pub(crate) fn migrations_without_a_down_are_undone_by_a_dump(backend: Backend) {
    let sandbox = project(backend, CHANGELOG);
    let status = sandbox.ok(&["status"]);
    assert!(
        status.stdout.contains("db/changelog.sql::1::ops"),
        "{}",
        status.transcript()
    );
    sandbox.ok(&["up", "-y", "--to", "ops:2"]);
    let (before, then) = (sandbox.contents(), rows(&sandbox));
    mysqldump(&sandbox, "before.sql");
    sandbox.ok(&["up", "-y"]);
    assert_eq!(rows(&sandbox).len(), 4);

    let missing = sandbox.run(&["rollback", "--backup-file", "nowhere.sql", "-y"]);
    assert_ne!(missing.code, Some(0));
    assert!(missing.stderr.contains("nowhere.sql"), "{}", missing.transcript());
    let unknown = sandbox.run(&["rollback", "--backup-file", "before.sql", "--to", "ops:9", "-y"]);
    assert_ne!(unknown.code, Some(0));
    assert!(unknown.stderr.contains("ops:9"), "{}", unknown.transcript());
    assert_eq!(rows(&sandbox).len(), 4, "what was refused changed nothing");

    let output = sandbox.ok(&[
        "rollback",
        "--backup-file",
        "before.sql",
        "--to",
        "ops:2",
        "-y",
        "--reason",
        "wrong totals",
    ]);
    sandbox.assert_contents(&before, "after the dump was restored");
    assert_eq!(rows(&sandbox), then, "{}", output.transcript());
    assert_eq!(lock_holder(&sandbox), "");
    let audit = sandbox.ok(&["audit", "--json"]).json();
    let newest = audit["runs"][0].to_string();
    assert!(newest.contains("wrong totals"), "{audit}");
    let status = sandbox.status();
    assert_eq!(status["pending"].as_array().map(Vec::len), Some(2), "{status}");

    // What was rolled back goes up again, and back by what walkback has kept itself.
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["rollback", "--to", "ops:2", "-y"]);
    sandbox.assert_contents(&before, "after the points were restored");
    assert_eq!(rows(&sandbox), then);
}
