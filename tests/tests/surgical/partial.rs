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

pub(crate) fn the_point_before_a_migration_says_which_are_walked_back(backend: Backend) {
    let sandbox = project(backend, USERS, "UPDATE users SET plan = 'basic' WHERE id = 1;");
    let points = sandbox.ok(&["point", "list", "--json"]).json();
    let points = points["points"].as_array().expect("a list").clone();
    let point = points
        .iter()
        .filter_map(|point| point["id"].as_str())
        .find(|id| id.starts_with("rb_") && id.contains("002"))
        .expect("the point before it")
        .to_owned();
    sandbox.migration("003_more", "UPDATE users SET plan = 'gold' WHERE id = 2;", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("UPDATE users SET name = 'since' WHERE id = 3");
    let done = sandbox
        .ok(&["rollback", &point, "--type", "surgical", "-y", "--json"])
        .json();
    assert_eq!(done["plan"]["steps"].as_array().map(Vec::len), Some(2), "{done}");
    assert_eq!(
        users(&sandbox),
        "1|ann|free 2|bob|free 3|since|free 4|dan|paid 5|eve|paid"
    );
    let refused = sandbox.run(&["rollback", &point, "--type", "surgical", "-y"]);
    assert_eq!(refused.code, Some(2), "{}", refused.transcript());
    assert!(
        refused.stderr.contains("not the point before one"),
        "{}",
        refused.transcript()
    );
}
