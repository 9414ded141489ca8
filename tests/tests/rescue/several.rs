//! Several migrations walked back in one run, what is pruned meanwhile, and the rollback of a rollback.

use walkback_tests::Backend;

use super::{CUSTOMERS, NICKNAMES, project, rows, waiting};

pub(crate) fn a_table_that_two_migrations_changed_gets_each_change_once(backend: Backend) {
    let sandbox = project(
        backend,
        "CREATE TABLE prices (id INTEGER NOT NULL PRIMARY KEY, price INTEGER NOT NULL);\n\
         INSERT INTO prices VALUES (1, 10), (2, 20), (3, 30);",
        "ALTER TABLE prices ADD COLUMN net INTEGER;\nUPDATE prices SET net = price;",
    );
    sandbox.sql("UPDATE prices SET net = 21 WHERE id = 2");
    sandbox.migration("003_double", "UPDATE prices SET net = net * 2;", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("UPDATE prices SET net = 66 WHERE id = 3");
    sandbox.sql("INSERT INTO prices VALUES (4, 40, 4)");
    let before = sandbox.contents();
    sandbox.ok(&["rollback", "-n", "2", "--type", "full", "-y"]);
    assert_eq!(rows(&sandbox, "prices", "id, price"), "1|10 2|20 3|30");
    assert_eq!(waiting(&sandbox), 2);
    sandbox.ok(&["up", "-y"]);
    sandbox.assert_contents(&before, "after both were done again");
    assert_eq!(rows(&sandbox, "prices", "id, net"), "1|20 2|42 3|66 4|4");
    assert_eq!(waiting(&sandbox), 0);
}

/// The later one gives its cells back, and leaves what was written since where it is: it goes with the earlier one's.
pub(crate) fn what_a_later_migration_has_left_in_a_table_comes_back(backend: Backend) {
    let sandbox = project(backend, CUSTOMERS, NICKNAMES);
    sandbox.migration(
        "003_extra",
        "CREATE TABLE extra (id INTEGER NOT NULL PRIMARY KEY, n INTEGER);",
        "",
    );
    sandbox.migration(
        "004_names",
        "UPDATE customers SET name = 'ann b.', nickname = 'a.' WHERE id = 1;\nUPDATE customers SET nickname = 'd.' WHERE id = 4;\n\
         INSERT INTO extra VALUES (1, 1);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("UPDATE customers SET nickname = 'bobby' WHERE id = 2");
    sandbox.sql("INSERT INTO customers (id, name, nickname) VALUES (5, 'eve', 'evie')");
    sandbox.sql("INSERT INTO extra VALUES (2, 2)");
    let before = sandbox.contents();
    let back = sandbox.ok(&["rollback", "-n", "3", "-y"]);
    assert_eq!(
        rows(&sandbox, "customers", "id, name"),
        "1|ann 2|bob 3|cid 4|dan 5|eve",
        "{}",
        back.transcript()
    );
    assert_eq!(waiting(&sandbox), 2);
    let up = sandbox.ok(&["up", "-y"]);
    sandbox.assert_contents(&before, &up.transcript());
    assert_eq!(waiting(&sandbox), 0);
}

pub(crate) fn walking_back_the_rollback_leaves_nothing_waiting(backend: Backend) {
    let sandbox = project(backend, CUSTOMERS, NICKNAMES);
    sandbox.sql("UPDATE customers SET nickname = 'annie' WHERE id = 1");
    sandbox.sql("INSERT INTO notes VALUES (1, 1, 'calls back')");
    let before = sandbox.contents();
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    assert_eq!(waiting(&sandbox), 1);
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "after the rollback was walked back");
    assert_eq!(waiting(&sandbox), 0);
    assert!(sandbox.ok(&["up"]).stdout.contains("nothing to apply"));
}

pub(crate) fn what_waited_waits_again_when_its_return_is_walked_back(backend: Backend) {
    let sandbox = project(backend, CUSTOMERS, NICKNAMES);
    sandbox.sql("UPDATE customers SET nickname = 'annie' WHERE id = 1");
    sandbox.sql("INSERT INTO customers (id, name, nickname) VALUES (5, 'eve', 'evie')");
    sandbox.sql("INSERT INTO notes VALUES (1, 1, 'calls back')");
    let before = sandbox.contents();
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    let walked_back = sandbox.contents();
    for _ in 0..2 {
        sandbox.ok(&["rollback", "-y"]);
        sandbox.assert_contents(&before, "after the rollback was walked back");
        assert_eq!(waiting(&sandbox), 0);
        let plan = sandbox.ok(&["rollback", "--dry-run"]).stdout;
        assert!(plan.contains("loses nothing that was written since"), "{plan}");
        sandbox.ok(&["rollback", "-y"]);
        sandbox.assert_contents(&walked_back, "after that was walked back too");
        assert_eq!(waiting(&sandbox), 1);
    }
    let up = sandbox.ok(&["up", "-y"]);
    sandbox.assert_contents(&before, &up.transcript());
    assert_eq!(waiting(&sandbox), 0);
    // Gone by another way meanwhile, it is noted anew, and nothing waits twice.
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    sandbox.ok(&["rollback", "-y"]);
    sandbox.sql("UPDATE customers SET nickname = 'anna' WHERE id = 1");
    let before = sandbox.contents();
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    assert_eq!(waiting(&sandbox), 1);
    sandbox.ok(&["up", "-y"]);
    sandbox.assert_contents(&before, "after the next up");
}

pub(crate) fn walking_back_a_rollback_tells_what_was_written_since(backend: Backend) {
    let sandbox = project(backend, CUSTOMERS, NICKNAMES);
    sandbox.sql("UPDATE customers SET nickname = 'annie' WHERE id = 1");
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    let lost = || sandbox.ok(&["rollback", "--dry-run"]).transcript();
    assert!(
        lost().contains("loses nothing that was written since"),
        "{}",
        lost()
    );
    // As many rows as then, and in columns that the table had not then.
    sandbox.sql("UPDATE customers SET name = 'anna' WHERE id = 1");
    let told = lost();
    for said in [
        "loses from `customers`: rows changed since",
        "`walkback up --to 002` instead keeps what is lost here",
    ] {
        assert!(told.contains(said), "{said}: {told}");
    }
    sandbox.sql("INSERT INTO customers VALUES (6, 'fay', NULL)");
    let told = lost();
    assert!(
        told.contains("loses from `customers`: 1 row more than then"),
        "{told}"
    );
    sandbox.ok(&["up", "--to", "002", "-y"]);
    assert_eq!(
        rows(&sandbox, "customers", "id, name, nickname"),
        "1|anna|annie 2|bob 3|cid 4|dan 6|fay"
    );
}

pub(crate) fn what_waits_is_not_pruned(backend: Backend) {
    let sandbox = project(backend, CUSTOMERS, NICKNAMES);
    sandbox.sql("UPDATE customers SET nickname = 'annie' WHERE id = 1");
    sandbox.sql("INSERT INTO notes VALUES (1, 1, 'calls back')");
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    let point = sandbox.status()["waiting"][0]["tables"][0]["point"]
        .as_str()
        .expect("a point")
        .to_owned();
    let shown = sandbox.ok(&["point", "show", &point]).stdout;
    assert!(shown.contains("waits for"), "{shown}");
    let later = "2031-01-01T00:00:00Z";
    sandbox.ok_at(later, &["backup", "prune", "--keep", "daily=1", "-y"]);
    sandbox.ok(&["up", "-y"]);
    assert_eq!(rows(&sandbox, "customers", "id, nickname"), "1|annie 2 3 4");
    assert_eq!(rows(&sandbox, "notes", "id, what"), "1|calls back");
}
