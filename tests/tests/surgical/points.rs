//! What the point before a migration says.

use walkback_tests::Backend;

use super::{USERS, project, users};

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
