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

/// The ledger after a dump is restored says no more than the one inside of the dump.
pub(crate) fn a_version_that_the_dump_contradicts_is_refused_or_said(backend: Backend) {
    let sandbox = project(backend, CHANGELOG);
    sandbox.ok(&["up", "-y", "--to", "ops:3"]);
    let before = sandbox.contents();
    mysqldump(&sandbox, "before.sql");
    sandbox.ok(&["up", "-y"]);
    let (all, ledger) = (sandbox.contents(), rows(&sandbox));
    for arguments in [
        &["rollback", "--backup-file", "before.sql", "--to", "ops:4", "-y"][..],
        &["restore", "before.sql", "--set-version", "ops:4", "-y"],
    ] {
        let refused = sandbox.run(arguments);
        assert_eq!(refused.code, Some(3), "{}", refused.transcript());
        assert!(
            refused
                .stderr
                .contains("its own ledger does not say that `db/changelog.sql::4::ops`"),
            "{}",
            refused.transcript()
        );
        sandbox.assert_contents(&all, "what was refused changed nothing");
        assert_eq!(rows(&sandbox), ledger);
    }
    let backups = sandbox.ok(&["backup", "list", "--json"]).json();
    assert!(
        !backups.to_string().contains("before.sql"),
        "what was refused is not kept: {backups}"
    );
    for arguments in [
        &["restore", "before.sql", "--set-version", "ops:2", "-y"][..],
        &["rollback", "--backup-file", "before.sql", "--to", "ops:2", "-y"],
    ] {
        let older = sandbox.ok(arguments);
        assert!(
            older
                .stderr
                .contains("`db/changelog.sql::3::ops` did is in `before.sql`"),
            "{}",
            older.transcript()
        );
        assert_eq!(rows(&sandbox).len(), 2);
    }
    let same = sandbox.ok(&["rollback", "--backup-file", "before.sql", "--to", "ops:3", "-y"]);
    assert!(!same.stderr.contains("warning"), "{}", same.transcript());
    sandbox.assert_contents(&before, "after the dump was restored");
}

pub(crate) fn a_backup_that_is_nowhere_is_said_before_anything_else(backend: Backend) {
    let sandbox = project(backend, CHANGELOG);
    sandbox.ok(&["up", "-y"]);
    for name in ["nope.sql", "./nope.sql"] {
        for more in [&["--to", "ops:2"][..], &[]] {
            let output = sandbox.run(&[&["rollback", "--backup-file", name, "-y"][..], more].concat());
            assert_eq!(output.code, Some(2), "{}", output.transcript());
            assert!(output.stderr.contains(name), "{}", output.transcript());
            assert!(!output.stderr.contains("says itself"), "{}", output.transcript());
        }
    }
    let output = sandbox.run(&["rollback", "--backup-file", "nope.sql", "--to", "ops:2", "-y"]);
    let expected = "there is no file `nope.sql` here, and no backup of that name in the vault";
    assert!(output.stderr.contains(expected), "{}", output.transcript());
    let own = sandbox.backup();
    let output = sandbox.run(&["rollback", "--backup-file", &own, "--to", "ops:2", "-y"]);
    assert_eq!(output.code, Some(2), "{}", output.transcript());
    assert!(output.stderr.contains("says itself"), "{}", output.transcript());
}
