//! Walking back in part, and from a point.

use walkback_tests::Backend;

use super::{USERS, project, users};

pub(crate) fn only_rows_that_were_added_go_where_that_is_asked_for(backend: Backend) {
    let begin = format!(
        "{USERS}\nCREATE TABLE notes (id INTEGER NOT NULL PRIMARY KEY, author INTEGER, FOREIGN KEY (author) REFERENCES users (id));"
    );
    let change = "INSERT INTO users VALUES (6, 'fay', 'free'), (7, 'gus', 'free'), (8, 'hal', 'free');\n\
        UPDATE users SET plan = 'basic' WHERE id = 1;\nDELETE FROM users WHERE id = 5;";
    let sandbox = project(backend, &begin, change);
    sandbox.sql("UPDATE users SET name = 'gustav' WHERE id = 7");
    sandbox.sql("INSERT INTO notes VALUES (1, 8)");
    sandbox.sql("INSERT INTO users VALUES (9, 'ida', 'free')");
    let now = sandbox.contents();
    let done = sandbox
        .ok(&["rollback", "-n", "1", "--type", "partial", "-y", "--json"])
        .json();
    assert_eq!(done["plan"]["kind"], "partial", "{done}");
    let table = &done["report"]["changes"][0];
    assert_eq!(
        (&table["removed"], &table["conflicts"]),
        (&1.into(), &2.into()),
        "{done}"
    );
    assert_eq!(
        users(&sandbox),
        "1|ann|basic 2|bob|free 3|cid|free 4|dan|paid 7|gustav|free 8|hal|free 9|ida|free"
    );
    assert_eq!(sandbox.status()["applied"], 1);
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&now, "after a rollback of the rollback");
    let sandbox = project(
        backend,
        USERS,
        "DELETE FROM users;\nALTER TABLE users DROP COLUMN plan;",
    );
    let refused = sandbox.run(&["rollback", "-n", "1", "--type", "partial", "-y"]);
    assert_ne!(refused.code, Some(0), "{}", refused.transcript());
    assert_eq!(sandbox.status()["applied"], 2);
}
