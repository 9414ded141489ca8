//! Ways back from what Liquibase has applied itself, and changesets that only Liquibase can follow.

use walkback_tests::Backend;

use crate::project::project;

const CHANGELOG: &str = "\
--liquibase formatted sql

--changeset ops:1
CREATE TABLE orders (id INT PRIMARY KEY);

--changeset ops:2
INSERT INTO orders VALUES (1);
";

/// The hints that are given lead somewhere, and name where the changeset stands.
pub(crate) fn what_liquibase_alone_can_take_back_is_said(backend: Backend) {
    let sandbox = project(backend, CHANGELOG);
    sandbox.ok(&["up", "-y", "--to", "ops:1"]);
    // It is in the ledger, and walkback has seen nothing of it.
    sandbox.sql("INSERT INTO orders VALUES (1)");
    sandbox.ok(&["stamp", "-y", "ops:2"]);
    let before = sandbox.contents();
    let down = sandbox.run(&["down", "-n", "1", "-y"]);
    assert_ne!(down.code, Some(0), "{}", down.transcript());
    assert!(down.stderr.contains("changelog.sql:6)"), "{}", down.transcript());
    let rollback = sandbox.run(&["rollback", "-n", "1", "-y"]);
    assert_ne!(rollback.code, Some(0), "{}", rollback.transcript());
    for output in [&down, &rollback] {
        for way in ["liquibase rollback-count 1", "walkback rollback --backup-file"] {
            assert!(output.stderr.contains(way), "{way}: {}", output.transcript());
        }
        assert!(
            !output
                .stderr
                .contains("run `walkback rollback`: it restores from the point"),
            "{}",
            output.transcript()
        );
    }
    sandbox.assert_contents(&before, "nothing was changed");
}

const MASTER: &str = "\
databaseChangeLog:
- changeSet:
    id: 1
    author: y
    changes:
    - sql:
        sql: CREATE TABLE a (id INT PRIMARY KEY)
- changeSet:
    id: 2
    author: y
    changes:
    - createView:
        viewName: v
        selectQuery: SELECT id FROM a
- changeSet:
    id: 3
    author: y
    changes:
    - sql:
        sql: INSERT INTO a VALUES (1)
";

pub(crate) fn a_changeset_that_cannot_be_followed_stops_only_what_runs_it(backend: Backend) {
    let sandbox = project(backend, "--liquibase formatted sql\n");
    sandbox.write("db/master.yaml", MASTER);
    sandbox.configure("[source]\nkind = \"liquibase\"\npath = \"db/master.yaml\"");
    let up = sandbox.run(&["up", "-y"]);
    assert_eq!(up.code, Some(2), "{}", up.transcript());
    for said in [
        "the change `createView` of the changeset `y:2` cannot be followed (",
        "master.yaml:12)",
        "liquibase update",
        "`walkback up db/master.yaml::1::y`",
    ] {
        assert!(up.stderr.contains(said), "{said}: {}", up.transcript());
    }
    assert!(!up.stderr.contains("is not supported by"), "{}", up.transcript());
    sandbox.ok(&["up", "-y", "db/master.yaml::1::y"]);
    let pending = sandbox.ok(&["show", "y:2"]);
    assert!(
        pending.stdout.contains("pending") && pending.stdout.contains("master.yaml:8"),
        "{}",
        pending.transcript()
    );

    // As if Liquibase had applied it.
    sandbox.sql("CREATE VIEW v AS SELECT id FROM a");
    sandbox.ok(&["stamp", "-y", "y:2"]);
    let shown = sandbox.ok(&["show", "y:2", "--json"]).json();
    assert_eq!(shown["migration"]["state"], "applied", "{shown}");
    assert_eq!(shown["migration"]["line"], 8, "{shown}");
    let why = shown["migration"]["unread"].as_str().unwrap_or_default();
    assert!(why.contains("createView"), "{shown}");
    let before = sandbox.contents();
    let refused = sandbox.run(&["rollback", "-n", "1", "-y"]);
    assert_eq!(refused.code, Some(6), "{}", refused.transcript());
    for said in [
        "y:2",
        "liquibase rollback-count 1",
        "walkback rollback --backup-file",
    ] {
        assert!(refused.stderr.contains(said), "{said}: {}", refused.transcript());
    }
    assert!(
        !refused.stderr.contains("liquibase update"),
        "{}",
        refused.transcript()
    );
    sandbox.assert_contents(&before, "nothing was changed");
    // What stands before and after it goes on as ever.
    sandbox.ok(&["verify", "y:1"]);
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    sandbox.assert_contents(&before, "after the third was walked back");
}

/// `lint` and `verify` ended with the first such changeset, and said nothing of all others.
pub(crate) fn a_changeset_that_cannot_be_followed_is_named_and_the_others_are_looked_at(backend: Backend) {
    let sandbox = project(backend, "--liquibase formatted sql\n");
    let second = MASTER
        .replace("id: 2", "id: 4")
        .replace("viewName: v", "viewName: w");
    let (_, second) = second.split_once("id: 4").expect("it is there");
    let second = second.replace("id: 3", "id: 5");
    sandbox.write(
        "db/master.yaml",
        &format!("{MASTER}- changeSet:\n    id: 4{second}"),
    );
    sandbox.configure("[source]\nkind = \"liquibase\"\npath = \"db/master.yaml\"");
    let lint = sandbox.run(&["lint"]);
    assert_eq!(lint.code, Some(3), "{}", lint.transcript());
    for said in [
        "`y:2` cannot be followed",
        "`y:4` cannot be followed",
        "liquibase update",
        "read 5 migrations",
    ] {
        assert!(lint.stdout.contains(said), "{said}: {}", lint.transcript());
    }
    assert_eq!(
        lint.stdout.matches("`y:2` cannot").count(),
        1,
        "{}",
        lint.transcript()
    );
    let verify = sandbox.run(&["verify"]);
    assert_eq!(verify.code, Some(3), "{}", verify.transcript());
    for said in [
        "ok    db/master.yaml::1::y",
        "fail  db/master.yaml::2::y: unknown",
        "`y:2` cannot be followed",
        "it comes after `db/master.yaml::2::y`, which walkback cannot apply",
        "4 of 5 migrations did not pass",
    ] {
        assert!(verify.stdout.contains(said), "{said}: {}", verify.transcript());
    }
    let first = sandbox.ok(&["verify", "y:1"]);
    assert!(
        first.stdout.contains("verified 1 migration"),
        "{}",
        first.transcript()
    );
}
