//! A rollback that goes back cell by cell, walked back.

use walkback_tests::Backend;

use super::rows::{USERS, project, users};

pub(super) fn a_rollback_makes_no_point_and_can_itself_be_walked_back(backend: Backend) {
    let change = "UPDATE users SET plan = 'basic' WHERE plan = 'free';\nDELETE FROM users WHERE id = 5;\n\
        INSERT INTO users VALUES (6, 'fay', 'new');";
    let sandbox = project(backend, USERS, change);
    let changed = "1|ann|basic 2|bob|basic 3|cid|basic 4|dan|paid 6|fay|new";
    assert_eq!(users(&sandbox), changed);
    let back = sandbox.ok(&["rollback", "-y"]);
    assert!(
        back.stdout.contains("take it back with `walkback rollback`"),
        "{}",
        back.transcript()
    );
    assert_eq!(
        users(&sandbox),
        "1|ann|free 2|bob|free 3|cid|free 4|dan|paid 5|eve|paid"
    );
    let list = sandbox.ok(&["point", "list", "--json"]).json();
    assert!(!list.to_string().contains("safety_rollback"), "{list}");
    // What is written after it stays when it is walked back.
    sandbox.sql("UPDATE users SET name = 'anna' WHERE id = 1");
    sandbox.sql("INSERT INTO users VALUES (7, 'gus', 'free')");
    let plan = sandbox.ok(&["rollback", "--dry-run"]);
    assert!(
        plan.stdout.contains("go back cell by cell"),
        "{}",
        plan.transcript()
    );
    let forward = sandbox.ok(&["rollback", "-y"]);
    assert_eq!(
        users(&sandbox),
        "1|anna|basic 2|bob|basic 3|cid|basic 4|dan|paid 6|fay|new 7|gus|free",
        "{}",
        forward.transcript()
    );
    assert_eq!(sandbox.status()["applied"], 2);
    // What was written to a row that the rollback had brought back is not lost with it.
    sandbox.ok(&["rollback", "-y"]);
    sandbox.sql("UPDATE users SET name = 'evelyn' WHERE id = 5");
    let kept = sandbox.ok(&["rollback", "-y"]);
    assert!(
        kept.stdout
            .contains("row id = 5: brought back by the rollback, changed since"),
        "{}",
        kept.transcript()
    );
    sandbox.sql("DELETE FROM users WHERE id = 5");
    // Nothing that is needed for the way back is pruned.
    sandbox.ok(&["backup", "prune", "--keep", "last=1", "-y"]);
    sandbox.ok(&["rollback", "-y"]);
    sandbox.ok(&["backup", "prune", "--keep", "last=1", "-y"]);
    sandbox.ok(&["rollback", "-y"]);
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    assert_eq!(
        users(&sandbox),
        "1|anna|free 2|bob|free 3|cid|free 4|dan|paid 5|eve|paid 7|gus|free"
    );
    assert_eq!(sandbox.status()["applied"], 1);
    sandbox.assert_sound();
}
