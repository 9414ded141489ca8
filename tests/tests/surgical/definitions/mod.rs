//! Migrations that change definitions, and what was written after them.

mod constraints;
mod enums;
mod keyless;
mod model;
mod named;
mod online;
mod partitions;
mod types;

pub(crate) use constraints::{
    what_could_not_be_there_before_waits_for_the_next_up,
    who_has_a_value_now_keeps_it_whatever_else_the_migration_did,
};
pub(crate) use enums::{
    a_value_that_an_enum_got_goes_again, an_enum_goes_back_together_with_what_is_lossy,
    types_under_another_name_go_back_together_with_what_is_lossy,
};
pub(crate) use keyless::{
    rows_without_a_key_stay_as_they_are_where_the_migration_changed_none,
    what_was_written_to_rows_without_a_key_is_named_before_it_goes,
};
pub(crate) use model::random_writes_outlive_definitions;
pub(crate) use named::{
    a_name_that_leads_to_two_things_is_told, a_table_whose_name_differs_in_case_only_is_another,
    names_are_followed_over_several_migrations, numbers_go_on_under_another_name,
    several_columns_renamed_at_once_keep_their_values, what_is_written_under_another_name_stays,
    what_was_written_in_between_stays_when_names_are_given_again,
};
pub(crate) use online::{
    no_write_is_lost_while_it_goes_back, what_goes_from_a_table_beside_those_that_are_held_goes,
    who_cannot_exchange_a_table_leaves_all_as_it_is,
};
pub(crate) use partitions::{
    a_partition_made_since_whose_columns_may_have_another_name_is_not_guessed_at,
    a_partition_that_was_made_since_is_not_lost, a_partition_whose_table_goes_is_not_left_alone,
    indexes_of_partitions_keep_their_names, partitions_keep_what_was_written_since_a_definition_was_changed,
    partitions_that_were_added_and_dropped_since_stay_so, rows_of_partitions_go_back_where_they_are,
    tables_that_inherit_go_back_from_the_point, what_is_written_to_partitions_under_another_name_stays,
};
use serde_json::Value;
pub(crate) use types::{
    a_default_that_is_an_expression_fills_what_has_no_value, values_of_another_type_fit_or_are_told,
    values_of_another_type_fit_or_are_told_on_mysql,
};
use walkback_tests::{Backend, Sandbox};

use super::{project, walk_back};

const SHOP: &str = "CREATE TABLE customers (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(40) NOT NULL, street VARCHAR(40), points INTEGER NOT NULL DEFAULT 0);\n\
    CREATE TABLE orders (id INTEGER NOT NULL PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers (id), total INTEGER);\n\
    CREATE TABLE log (id INTEGER NOT NULL PRIMARY KEY, what VARCHAR(40));\n\
    INSERT INTO customers VALUES (1, 'ann', 'Elm 1', 10), (2, 'bob', 'Elm 2', 20), (3, 'cid', NULL, 30), (4, 'dan', 'Elm 4', 40);\n\
    INSERT INTO orders VALUES (10, 1, 100), (11, 1, 110), (12, 2, 120), (13, 3, 130), (14, 4, 140);";

/// A column more and filled, a table split in two, a column with data dropped, rows deleted, a type changed, a trigger.
fn split(backend: Backend) -> String {
    let other_type = if backend.is_mysql() {
        "ALTER TABLE orders MODIFY total varchar(20);"
    } else if backend == Backend::Sqlite {
        "CREATE TABLE orders_new (id INTEGER NOT NULL PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers (id), total TEXT);\n\
         INSERT INTO orders_new SELECT id, customer, total FROM orders;\nDROP TABLE orders;\nALTER TABLE orders_new RENAME TO orders;"
    } else {
        "ALTER TABLE orders ALTER COLUMN total TYPE varchar(20);"
    };
    let trigger = backend.trigger(
        "noted",
        "AFTER INSERT",
        "orders",
        "INSERT INTO log VALUES (new.id, 'ordered')",
    );
    format!(
        "ALTER TABLE customers ADD COLUMN level INTEGER;\nUPDATE customers SET level = id * 2;\n\
         CREATE TABLE addresses (customer INTEGER NOT NULL PRIMARY KEY, street VARCHAR(40));\n\
         INSERT INTO addresses SELECT id, street FROM customers;\n\
         ALTER TABLE customers DROP COLUMN street;\nDELETE FROM orders WHERE id IN (11, 14);\n{other_type}\n{trigger}"
    )
}

fn rows(sandbox: &Sandbox, table: &str, columns: &str) -> String {
    let text = if sandbox.backend() == Backend::Sqlite {
        format!("SELECT group_concat(concat_ws('|', {columns}), ' ' ORDER BY id) FROM {table}")
    } else if sandbox.backend().is_mysql() {
        format!("SELECT group_concat(concat_ws('|', {columns}) ORDER BY id SEPARATOR ' ') FROM {table}")
    } else {
        format!("SELECT string_agg(concat_ws('|', {columns}), ' ' ORDER BY id) FROM {table}")
    };
    sandbox.value(&text)
}

fn name_of(table: &Value) -> &str {
    table["table"]["name"].as_str().expect("a table has a name")
}

/// What is told of conflicts, a line each.
fn conflicts(changes: &Value) -> Vec<String> {
    let tables = changes.as_array().expect("a list of tables");
    let mut told = Vec::new();
    for table in tables {
        for conflict in table["listed"].as_array().expect("a list of conflicts") {
            let text = |name: &str| conflict[name].as_str().unwrap_or("-").to_owned();
            told.push(format!(
                "{} {} {}: {}",
                name_of(table),
                text("key"),
                text("column"),
                text("what")
            ));
        }
    }
    told.sort();
    told
}

pub(crate) fn what_was_written_since_stays_whatever_the_migration_did(backend: Backend) {
    let sandbox = project(backend, SHOP, &split(backend));
    for sql in [
        "UPDATE customers SET name = 'anna' WHERE id = 1",
        "UPDATE customers SET points = 21, level = 99 WHERE id = 2",
        "DELETE FROM orders WHERE customer = 3",
        "DELETE FROM addresses WHERE customer = 3",
        "DELETE FROM customers WHERE id = 3",
        "INSERT INTO customers (id, name, points, level) VALUES (5, 'eve', 50, 1)",
        "INSERT INTO addresses VALUES (5, 'Oak 5')",
        "UPDATE addresses SET street = 'Oak 4' WHERE customer = 4",
        "INSERT INTO orders VALUES (20, 5, '200')",
        "UPDATE orders SET total = '121' WHERE id = 12",
        "INSERT INTO orders VALUES (11, 5, '111')",
    ] {
        sandbox.sql(sql);
    }
    let now = sandbox.contents();
    let plan = sandbox.ok(&["rollback", "--dry-run"]);
    for said in [
        "surgical  002_change",
        "what was written to `customers` since stays",
        "column `level`",
        "`addresses`",
    ] {
        assert!(plan.stdout.contains(said), "{said}: {}", plan.transcript());
    }
    sandbox.assert_contents(&now, "after looking");
    let done = sandbox.ok(&["rollback", "-y", "--json"]).json();
    assert_eq!(done["plan"]["steps"][0]["kind"], "surgical", "{done}");
    assert_eq!(
        rows(&sandbox, "customers", "id, name, street, points"),
        "1|anna|Elm 1|10 2|bob|Elm 2|21 4|dan|Elm 4|40 5|eve|50"
    );
    assert_eq!(
        rows(&sandbox, "orders", "id, customer, total"),
        "10|1|100 11|5|111 12|2|121 14|4|140 20|5|200"
    );
    let changes = &done["report"]["changes"];
    assert_eq!(
        conflicts(changes),
        ["orders id = 11 -: deleted by the migration, and its key was used again since"]
    );
    let kept = |table: &str| {
        let tables = changes.as_array().expect("a list of tables");
        let found = tables
            .iter()
            .find(|one| name_of(one) == table)
            .expect("it is there");
        found["kept"].clone()
    };
    assert_eq!(
        kept("customers"),
        serde_json::json!({"inserted": 1, "changed": 2, "deleted": 1})
    );
    assert_eq!(
        kept("orders"),
        serde_json::json!({"inserted": 1, "changed": 2, "deleted": 1})
    );
    // What the trigger wrote for the application is the application's.
    assert_eq!(rows(&sandbox, "log", "id, what"), "11|ordered 20|ordered");
    sandbox.sql("INSERT INTO orders VALUES (21, 1, 210)");
    assert_eq!(
        sandbox.value("SELECT count(*) FROM log"),
        "2",
        "its trigger is gone"
    );
    sandbox.assert_sound();
    sandbox.sql("DELETE FROM orders WHERE id = 21");
    // It can itself be walked back: everything is as it was before it.
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&now, "after a rollback of the rollback");
}

pub(crate) fn nothing_is_counted_as_written_that_was_not(backend: Backend) {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration("001_begin", SHOP, "");
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    sandbox.migration("002_change", &split(backend), "");
    sandbox.ok(&["up", "-y"]);
    let changes = walk_back(&sandbox, &["--type", "surgical"]);
    assert_eq!(changes, Value::Null);
    sandbox.assert_contents(&before, "after a rollback of which nothing was kept");
}

pub(crate) fn what_rows_refer_to_is_there(backend: Backend) {
    let begin = "CREATE TABLE teams (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(20), boss INTEGER REFERENCES teams (id));\n\
        CREATE TABLE users (id INTEGER NOT NULL PRIMARY KEY, team INTEGER REFERENCES teams (id), name VARCHAR(20), old VARCHAR(20));\n\
        CREATE TABLE notes (id INTEGER NOT NULL PRIMARY KEY, team INTEGER REFERENCES teams (id));\n\
        INSERT INTO teams VALUES (1, 'red', NULL), (2, 'blue', 1), (3, 'green', 1), (4, 'grey', 2);\n\
        INSERT INTO users VALUES (1, 1, 'ann', 'a'), (2, 2, 'bob', 'b'), (3, 3, 'cid', 'c'), (4, 4, 'dan', 'd');";
    let change = "ALTER TABLE teams ADD COLUMN size INTEGER;\nALTER TABLE users DROP COLUMN old;\n\
        INSERT INTO teams VALUES (5, 'new', 1, 1), (6, 'newer', 5, 1), (7, 'newest', 6, 1), (8, 'alone', NULL, 1);\n\
        UPDATE users SET team = 7 WHERE id = 1;\nDELETE FROM users WHERE id IN (2, 3);\nUPDATE users SET team = 5 WHERE id = 4;";
    let sandbox = project(backend, begin, change);
    // Teams that rows come back to are gone, one that the migration inserted is used, and what that refers to.
    sandbox.sql("DELETE FROM teams WHERE id = 3");
    sandbox.sql("DELETE FROM teams WHERE id = 4");
    sandbox.sql("INSERT INTO notes VALUES (1, 6)");
    let changes = walk_back_with_loss(&sandbox, &[]);
    assert_eq!(
        conflicts(&changes),
        [
            "teams id = 5 -: inserted by the migration, and other rows refer to it",
            "teams id = 6 -: inserted by the migration, and other rows refer to it",
            "users id = 3 -: deleted by the migration, and it refers to a row that is gone",
            "users id = 4 -: what it was refers to a row that is gone",
        ]
    );
    assert_eq!(
        rows(&sandbox, "teams", "id, name, boss"),
        "1|red 2|blue|1 5|new|1 6|newer|5"
    );
    assert_eq!(
        rows(&sandbox, "users", "id, team, name, old"),
        "1|1|ann|a 2|2|bob|b 4|5|dan|d"
    );
    sandbox.assert_sound();
}

fn walk_back_with_loss(sandbox: &Sandbox, more: &[&str]) -> Value {
    let arguments = [&["rollback", "-n", "1", "-y", "--json"], more].concat();
    let done = sandbox.ok(&arguments).json();
    assert_eq!(done["plan"]["steps"][0]["kind"], "surgical", "{done}");
    done["report"]["changes"].clone()
}

pub(crate) fn a_row_that_has_no_place_is_told_and_not_lost(backend: Backend) {
    let begin = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, must VARCHAR(10) NOT NULL, may VARCHAR(10), said VARCHAR(10) DEFAULT 'nil');\n\
        CREATE TABLE u (id INTEGER NOT NULL PRIMARY KEY, said VARCHAR(10) NOT NULL DEFAULT 'it''s');\n\
        CREATE TABLE w (id INTEGER NOT NULL PRIMARY KEY, t INTEGER REFERENCES t (id));\n\
        INSERT INTO t VALUES (1, 'a', 'b', 'c');\nINSERT INTO u VALUES (1, 'x');";
    let change = "ALTER TABLE t DROP COLUMN must;\nALTER TABLE u DROP COLUMN said;\nALTER TABLE u ADD COLUMN more INTEGER;\nALTER TABLE w ADD COLUMN more INTEGER;\nDELETE FROM w;";
    let sandbox = project(backend, begin, change);
    sandbox.sql("UPDATE t SET may = 'since' WHERE id = 1");
    sandbox.sql("INSERT INTO t VALUES (2, 'q', 'r')");
    sandbox.sql("INSERT INTO u VALUES (2, 5)");
    sandbox.sql("INSERT INTO w (id, t) VALUES (1, 1), (2, 2)");
    let now = sandbox.contents();
    let stopped = sandbox.run(&["rollback", "-n", "1", "-y", "--on-conflict", "stop"]);
    assert_eq!(stopped.code, Some(7), "{}", stopped.transcript());
    assert!(stopped.stderr.contains("id = 2"), "{}", stopped.transcript());
    sandbox.assert_contents(&now, "after a rollback that was stopped");
    let changes = walk_back_with_loss(&sandbox, &[]);
    assert_eq!(
        conflicts(&changes),
        [
            "t id = 2 -: written since, and the table could not hold it before",
            "w id = 2 -: written since, and it refers to a row that has no place",
        ]
    );
    assert_eq!(rows(&sandbox, "t", "id, must, may, said"), "1|a|since|c");
    assert_eq!(rows(&sandbox, "u", "id, said"), "1|x 2|it's");
    assert_eq!(rows(&sandbox, "w", "id, t"), "1|1");
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&now, "after a rollback of the rollback");
}

pub(crate) fn a_conflict_with_a_new_definition_is_decided_as_asked(backend: Backend) {
    let begin = "CREATE TABLE p (id INTEGER NOT NULL PRIMARY KEY, price INTEGER, old INTEGER);\n\
        INSERT INTO p VALUES (1, 10, 1), (2, 20, 2), (3, 30, 3), (4, 40, 4);";
    let change = "UPDATE p SET price = price * 100 WHERE id < 4;\nINSERT INTO p VALUES (9, 900, 9);\nDELETE FROM p WHERE id = 4;\n\
        ALTER TABLE p DROP COLUMN old;";
    for (policy, expected) in [
        ("keep", "1|11|1 3|30|3 4|44 9|901"),
        ("revert", "1|10|1 2|20|2 3|30|3 4|40|4"),
    ] {
        let sandbox = project(backend, begin, change);
        sandbox.sql("UPDATE p SET price = 11 WHERE id = 1");
        sandbox.sql("DELETE FROM p WHERE id = 2");
        sandbox.sql("INSERT INTO p VALUES (4, 44)");
        sandbox.sql("UPDATE p SET price = 901 WHERE id = 9");
        let changes = walk_back_with_loss(&sandbox, &["--on-conflict", policy]);
        assert_eq!(
            conflicts(&changes),
            [
                "p id = 1 price: changed since",
                "p id = 2 -: changed by the migration, deleted since",
                "p id = 4 -: deleted by the migration, and its key was used again since",
                "p id = 9 -: inserted by the migration, changed since",
            ],
            "{policy}"
        );
        assert_eq!(rows(&sandbox, "p", "id, price, old"), expected, "{policy}");
        let cell = &changes[0]["listed"][0];
        assert_eq!(
            (&cell["before"], &cell["written"], &cell["now"]),
            (&"10".into(), &"1000".into(), &"11".into())
        );
    }
}

pub(crate) fn numbers_go_on_where_they_are(backend: Backend) {
    let begin = if backend.is_mysql() {
        "CREATE TABLE s (id INTEGER PRIMARY KEY AUTO_INCREMENT, a VARCHAR(10), b VARCHAR(10));\nCREATE TABLE i (id BIGINT UNSIGNED NOT NULL PRIMARY KEY AUTO_INCREMENT, a VARCHAR(10), b VARCHAR(10));"
    } else if backend == Backend::Sqlite {
        "CREATE TABLE s (id INTEGER PRIMARY KEY AUTOINCREMENT, a VARCHAR(10), b VARCHAR(10));\nCREATE TABLE i (id INTEGER PRIMARY KEY AUTOINCREMENT, a VARCHAR(10), b VARCHAR(10));"
    } else {
        "CREATE TABLE s (id SERIAL PRIMARY KEY, a VARCHAR(10), b VARCHAR(10));\nCREATE TABLE i (id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a VARCHAR(10), b VARCHAR(10));"
    };
    let begin =
        format!("{begin}\nINSERT INTO s (a) VALUES ('x'), ('y');\nINSERT INTO i (a) VALUES ('x'), ('y');");
    let sandbox = project(
        backend,
        &begin,
        "ALTER TABLE s DROP COLUMN b;\nALTER TABLE i DROP COLUMN b;",
    );
    for table in ["s", "i"] {
        sandbox.sql(&format!("INSERT INTO {table} (a) VALUES ('p'), ('q'), ('r')"));
        sandbox.sql(&format!("DELETE FROM {table} WHERE a = 'r'"));
    }
    walk_back_with_loss(&sandbox, &[]);
    for table in ["s", "i"] {
        sandbox.sql(&format!("INSERT INTO {table} (a) VALUES ('new')"));
        assert_eq!(rows(&sandbox, table, "id, a"), "1|x 2|y 3|p 4|q 6|new", "{table}");
    }
}

pub(crate) fn several_migrations_go_back_one_after_the_other(backend: Backend) {
    let sandbox = project(
        backend,
        "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, a VARCHAR(10), b VARCHAR(10), c VARCHAR(10));\nINSERT INTO t VALUES (1, 'a', 'b', 'c'), (2, 'd', 'e', 'f');",
        "ALTER TABLE t DROP COLUMN b;",
    );
    sandbox.sql("UPDATE t SET a = 'one' WHERE id = 1");
    sandbox.sql("INSERT INTO t VALUES (3, 'three', 'c3')");
    sandbox.migration(
        "003_more",
        "ALTER TABLE t DROP COLUMN c;\nDELETE FROM t WHERE id = 2;",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("UPDATE t SET a = 'uno' WHERE id = 1");
    sandbox.sql("INSERT INTO t VALUES (4, 'four')");
    let done = sandbox.ok(&["rollback", "-n", "2", "-y", "--json"]).json();
    assert_eq!(done["plan"]["kind"], "surgical", "{done}");
    assert_eq!(
        rows(&sandbox, "t", "id, a, coalesce(b, '-'), coalesce(c, '-')"),
        "1|uno|b|c 2|d|e|f 3|three|-|c3 4|four|-|-"
    );
    assert_eq!(sandbox.status()["applied"], 1);
}

pub(crate) fn names_and_keys_of_any_kind_are_merged(backend: Backend) {
    let quoted = |name: &str| backend.quoted(name);
    let (table, first, second, cell, more) = (
        quoted("or\"der `select`"),
        quoted("group"),
        quoted("größe FROM €"),
        quoted("va\"lue"),
        quoted("_walkback_h'ere"),
    );
    // Where upper and lower case are not told apart otherwise, nor blanks at the end.
    let exact = match backend {
        Backend::Mysql => " COLLATE utf8mb4_0900_bin",
        Backend::Mariadb => " COLLATE utf8mb4_nopad_bin",
        _ => "",
    };
    let begin = format!(
        "CREATE TABLE {table} ({cell} VARCHAR(20), {first} VARCHAR(20){exact} NOT NULL, {second} INTEGER NOT NULL, {more} VARCHAR(20) DEFAULT 'it''s', \
         PRIMARY KEY ({second}, {first}));\n\
         INSERT INTO {table} VALUES ('old', 'a', 1, 'x'), ('old', 'A', 1, 'x'), ('old', 'a ', 1, 'x'), ('old', 'b', 2, 'x');"
    );
    let change = format!(
        "UPDATE {table} SET {cell} = 'new';\nALTER TABLE {table} DROP COLUMN {more};\nDELETE FROM {table} WHERE {first} = 'b';"
    );
    let sandbox = project(backend, &begin, &change);
    sandbox.sql(&format!(
        "UPDATE {table} SET {cell} = 'since' WHERE {first} = 'A'"
    ));
    sandbox.sql(&format!("DELETE FROM {table} WHERE {first} = 'a '"));
    sandbox.sql(&format!(
        "INSERT INTO {table} ({cell}, {first}, {second}) VALUES (NULL, 'e''€', -1)"
    ));
    let changes = walk_back_with_loss(&sandbox, &[]);
    assert_eq!(changes[0]["conflicts"], 2, "{changes}");
    let of = |key: &str| {
        sandbox.value(&format!(
            "SELECT coalesce(max(concat({second}, coalesce({cell}, '-'), {more})), 'none') FROM {table} WHERE {first} = '{key}'"
        ))
    };
    let found = ["a", "A", "a ", "b", "e''€"].map(of);
    assert_eq!(found, ["1oldx", "1sincex", "none", "2oldx", "-1-it's"]);
}

pub(crate) fn killed_at_any_step_definitions_are_as_before_or_as_after(backend: Backend) {
    let sandbox = project(backend, SHOP, &split(backend));
    sandbox.sql("UPDATE customers SET name = 'anna' WHERE id = 1");
    sandbox.sql("INSERT INTO orders VALUES (20, 1, '200')");
    killed_at_any_step(&sandbox);
}

pub(crate) fn killed_at_any_step_names_are_as_before_or_as_after(backend: Backend) {
    let renames = "ALTER TABLE customers RENAME TO clients;\nALTER TABLE clients RENAME COLUMN name TO called;\nALTER TABLE clients DROP COLUMN street;";
    let change = split(backend).replace("ALTER TABLE customers DROP COLUMN street;", renames);
    let change = change.replace("REFERENCES customers", "REFERENCES clients");
    let sandbox = project(backend, SHOP, &change);
    sandbox.sql("UPDATE clients SET called = 'anna' WHERE id = 1");
    sandbox.sql("INSERT INTO orders VALUES (20, 1, '200')");
    killed_at_any_step(&sandbox);
}

fn killed_at_any_step(sandbox: &Sandbox) {
    let before = sandbox.contents();
    let undo = ["rollback", "-n", "1", "--type", "surgical", "-y"];
    let mut kills = 0;
    for step in 1.. {
        if sandbox.killed_at(step, &undo).is_none() {
            break;
        }
        kills += 1;
        let recovered = sandbox.run(&["recover", "-y"]);
        assert_eq!(recovered.code, Some(0), "step {step}: {}", recovered.transcript());
        if sandbox.status()["applied"] == 1 {
            assert_eq!(
                rows(sandbox, "customers", "id, name, street"),
                "1|anna|Elm 1 2|bob|Elm 2 3|cid 4|dan|Elm 4",
                "killed at step {step}"
            );
            sandbox.assert_sound();
            // Without its name nobody knows whether it is to be finished or taken back.
            let audit = sandbox.ok(&["audit", "--json"]).json();
            let runs = audit["runs"].as_array().expect("runs");
            let killed = runs
                .iter()
                .find(|run| run["kind"] == "rollback")
                .expect("it is there");
            let id = killed["id"].as_str().expect("a name");
            sandbox.ok(&["rollback", id, "-y"]);
        }
        sandbox.assert_contents(&before, &format!("killed at step {step}"));
        sandbox.assert_sound();
    }
    assert!(kills > 5, "it has hardly any durable step");
}
