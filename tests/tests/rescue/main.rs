//! What a rollback takes away comes back with the next up of the same migration.

mod random;
mod rows;
mod several;

use std::process::ExitCode;

use random::random_writes_come_back;
use rows::{
    a_trigger_does_not_fire_on_what_comes_back, an_up_that_was_killed_puts_it_back_all_the_same,
    numbers_go_on_behind_what_came_back, what_cannot_come_back_waits_and_says_so,
    what_had_no_place_comes_back_when_there_is_one, what_rows_refer_to_decides_which_come_back,
};
use several::{
    a_table_that_two_migrations_changed_gets_each_change_once,
    walking_back_a_rollback_tells_what_was_written_since, walking_back_the_rollback_leaves_nothing_waiting,
    what_a_later_migration_has_left_in_a_table_comes_back,
    what_waited_waits_again_when_its_return_is_walked_back, what_waits_is_not_pruned,
};
use walkback_tests::{Backend, ONE_OF_EACH, Sandbox, journeys};

/// Those where definitions are part of a transaction.
const TRANSACTIONAL_ONES: &[Backend] = &[Backend::Sqlite, Backend::Postgres];

fn main() -> ExitCode {
    walkback_tests::main(
        "rescue",
        &journeys! {
            ONE_OF_EACH => [
                columns_and_tables_come_back_with_what_was_in_them,
                rows_that_a_full_rollback_took_come_back,
                nothing_waits_where_nothing_was_written,
                what_rows_refer_to_decides_which_come_back,
                what_cannot_come_back_waits_and_says_so,
                walking_back_the_rollback_leaves_nothing_waiting,
                walking_back_a_rollback_tells_what_was_written_since,
                what_waited_waits_again_when_its_return_is_walked_back,
                what_a_later_migration_has_left_in_a_table_comes_back,
                what_waits_is_not_pruned,
                an_up_that_was_killed_puts_it_back_all_the_same,
            ],
            TRANSACTIONAL_ONES => [
                what_a_migration_fills_again_is_not_taken_for_what_was_written,
                a_table_that_two_migrations_changed_gets_each_change_once,
                a_trigger_does_not_fire_on_what_comes_back,
                numbers_go_on_behind_what_came_back,
                what_had_no_place_comes_back_when_there_is_one,
                random_writes_come_back,
            ],
        },
    )
}

const CUSTOMERS: &str = "CREATE TABLE customers (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(40) NOT NULL, street VARCHAR(40));\n\
    INSERT INTO customers VALUES (1, 'ann', 'Elm 1'), (2, 'bob', 'Elm 2'), (3, 'cid', NULL), (4, 'dan', 'Elm 4');";

/// A project with a migration that begins, and one that is walked back and done again.
fn project(backend: Backend, begin: &str, change: &str) -> Sandbox {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration("001_begin", begin, "");
    sandbox.ok(&["up", "-y"]);
    sandbox.migration("002_change", change, "");
    sandbox.ok(&["up", "-y"]);
    sandbox
}

/// The rows of a table whose key is `id`, with these columns.
fn rows(sandbox: &Sandbox, table: &str, columns: &str) -> String {
    let row = |id: u32| {
        sandbox.value(&format!(
            "SELECT coalesce(max(concat_ws('|', {columns})), '-') FROM {table} WHERE id = {id}"
        ))
    };
    let all: Vec<_> = (1..=12).map(row).filter(|row| row != "-").collect();
    all.join(" ")
}

/// How many rollbacks have put something aside that waits.
fn waiting(sandbox: &Sandbox) -> usize {
    sandbox.status()["waiting"].as_array().expect("a list").len()
}

const NICKNAMES: &str = "ALTER TABLE customers ADD COLUMN nickname VARCHAR(40);\n\
    ALTER TABLE customers ADD COLUMN level INTEGER NOT NULL DEFAULT 1;\n\
    CREATE TABLE notes (id INTEGER NOT NULL PRIMARY KEY, customer INTEGER NOT NULL, what VARCHAR(40));";

fn columns_and_tables_come_back_with_what_was_in_them(backend: Backend) {
    let sandbox = project(backend, CUSTOMERS, NICKNAMES);
    for sql in [
        "UPDATE customers SET nickname = 'annie' WHERE id = 1",
        "UPDATE customers SET nickname = '😀''s', level = 7 WHERE id = 3",
        "UPDATE customers SET level = 9 WHERE id = 4",
        "INSERT INTO customers (id, name, nickname) VALUES (5, 'eve', 'evi')",
        "INSERT INTO notes VALUES (1, 1, 'calls back'), (2, 4, NULL)",
    ] {
        sandbox.sql(sql);
    }
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    let told = sandbox.ok(&["status"]).stdout;
    for said in [
        "put aside by rollbacks",
        "`nickname`",
        "`level`",
        "rows of `notes`",
    ] {
        assert!(told.contains(said), "{said}: {told}");
    }
    // The release before goes on writing.
    for sql in [
        "DELETE FROM customers WHERE id = 4",
        "UPDATE customers SET name = 'anna' WHERE id = 1",
        "INSERT INTO customers VALUES (6, 'fay', NULL)",
    ] {
        sandbox.sql(sql);
    }
    let back = sandbox.ok(&["rollback", "--dry-run"]).transcript();
    assert!(
        back.contains("`walkback up --to 002` instead keeps what is lost here"),
        "{back}"
    );
    let plan = sandbox.ok(&["up", "--dry-run"]).stdout;
    assert!(plan.contains("puts back  002_change"), "{plan}");
    let done = sandbox.ok(&["up", "-y", "--json"]).json();
    let rescued = &done["report"]["rescued"][0]["tables"];
    assert_eq!(rescued.as_array().map(Vec::len), Some(2), "{done}");
    assert_eq!(
        rows(&sandbox, "customers", "id, name, nickname, level"),
        "1|anna|annie|1 2|bob|1 3|cid|😀's|7 5|eve|evi|1 6|fay|1"
    );
    assert_eq!(
        rows(&sandbox, "notes", "id, customer, what"),
        "1|1|calls back 2|4"
    );
    assert_eq!(waiting(&sandbox), 0);
    assert!(!sandbox.ok(&["up"]).stdout.contains("put back"));
    // It counts as written since: another rollback puts it aside again.
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    sandbox.ok(&["up", "-y"]);
    assert_eq!(
        rows(&sandbox, "customers", "id, name, nickname, level"),
        "1|anna|annie|1 2|bob|1 3|cid|😀's|7 5|eve|evi|1 6|fay|1"
    );
    sandbox.assert_sound();
}

fn rows_that_a_full_rollback_took_come_back(backend: Backend) {
    let sandbox = project(
        backend,
        CUSTOMERS,
        "UPDATE customers SET street = 'moved' WHERE id IN (1, 2);",
    );
    for sql in [
        "UPDATE customers SET name = 'anna' WHERE id = 1",
        "UPDATE customers SET street = 'Oak 2' WHERE id = 2",
        "DELETE FROM customers WHERE id = 3",
        "INSERT INTO customers VALUES (5, 'eve', 'Oak 5')",
    ] {
        sandbox.sql(sql);
    }
    let before = sandbox.contents();
    sandbox.ok(&["rollback", "-n", "1", "--type", "full", "-y"]);
    assert_eq!(
        rows(&sandbox, "customers", "id, name, street"),
        "1|ann|Elm 1 2|bob|Elm 2 3|cid 4|dan|Elm 4"
    );
    assert_eq!(waiting(&sandbox), 1);
    let told = sandbox.ok(&["up", "-y"]).stdout;
    assert!(
        told.contains("table `customers`: put back what was written before `002_change` was walked back: 1 row inserted, 2 changed, 1 deleted"),
        "{told}"
    );
    sandbox.assert_contents(&before, "after it was done again");
    assert_eq!(waiting(&sandbox), 0);
}

fn nothing_waits_where_nothing_was_written(backend: Backend) {
    let sandbox = project(
        backend,
        CUSTOMERS,
        &format!("{NICKNAMES}\nINSERT INTO notes VALUES (1, 1, 'x');"),
    );
    for kind in ["auto", "full"] {
        sandbox.ok(&["rollback", "-n", "1", "--type", kind, "-y"]);
        assert_eq!(waiting(&sandbox), 0, "{kind}");
        let plan = sandbox.ok(&["up", "-y"]).stdout;
        assert!(!plan.contains("puts back"), "{plan}");
    }
}

fn what_a_migration_fills_again_is_not_taken_for_what_was_written(backend: Backend) {
    let sandbox = project(
        backend,
        CUSTOMERS,
        "ALTER TABLE customers ADD COLUMN label VARCHAR(40);\nUPDATE customers SET label = name;\n\
         CREATE TABLE addresses (id INTEGER NOT NULL PRIMARY KEY, street VARCHAR(40));\n\
         INSERT INTO addresses SELECT id, street FROM customers WHERE street IS NOT NULL;\n\
         ALTER TABLE customers DROP COLUMN street;",
    );
    for sql in [
        "UPDATE customers SET label = 'B.' WHERE id = 2",
        "UPDATE addresses SET street = 'Oak 1' WHERE id = 1",
        "DELETE FROM addresses WHERE id = 2",
        "INSERT INTO addresses VALUES (3, 'Oak 3')",
    ] {
        sandbox.sql(sql);
    }
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    for sql in [
        "UPDATE customers SET name = 'anna' WHERE id = 1",
        "UPDATE customers SET name = 'bobby' WHERE id = 2",
        "UPDATE customers SET street = 'Elm 40' WHERE id = 4",
        "INSERT INTO customers VALUES (5, 'eve', 'Elm 5')",
    ] {
        sandbox.sql(sql);
    }
    sandbox.ok(&["up", "-y"]);
    assert_eq!(
        rows(&sandbox, "customers", "id, name, label"),
        "1|anna|anna 2|bobby|B. 3|cid|cid 4|dan|dan 5|eve|eve"
    );
    assert_eq!(
        rows(&sandbox, "addresses", "id, street"),
        "1|Oak 1 3|Oak 3 4|Elm 40 5|Elm 5"
    );
    assert_eq!(waiting(&sandbox), 0);
    sandbox.assert_sound();
}
