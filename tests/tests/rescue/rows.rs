//! Rows that come back into tables with foreign keys, triggers and numbers, and a kill on the way.

use walkback_tests::{Backend, Sandbox};

use super::{CUSTOMERS, project, rows, waiting};

/// A table that refers to one that was there before, and one that refers to itself and to the first.
const ORDERS: &str = "CREATE TABLE orders (id INTEGER NOT NULL PRIMARY KEY, customer INTEGER NOT NULL, FOREIGN KEY (customer) REFERENCES customers (id));\n\
    CREATE TABLE items (id INTEGER NOT NULL PRIMARY KEY, \"order\" INTEGER NOT NULL, FOREIGN KEY (\"order\") REFERENCES orders (id));";

fn quoted(backend: Backend, sql: &str) -> String {
    let is_mysql = matches!(backend, Backend::Mysql | Backend::Mariadb);
    if is_mysql {
        sql.replace('"', "`")
    } else {
        sql.to_owned()
    }
}

pub(crate) fn what_rows_refer_to_decides_which_come_back(backend: Backend) {
    let sandbox = project(backend, CUSTOMERS, &quoted(backend, ORDERS));
    sandbox.sql("INSERT INTO orders VALUES (1, 1), (2, 2), (3, 1)");
    sandbox.sql("INSERT INTO items VALUES (1, 1), (2, 2), (3, 3), (4, 3)");
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    sandbox.sql("DELETE FROM customers WHERE id = 2");
    let done = sandbox.ok(&["up", "-y", "--json"]).json();
    assert_eq!(rows(&sandbox, "orders", "id, customer"), "1|1 3|1");
    let columns = quoted(backend, "id, \"order\"");
    assert_eq!(rows(&sandbox, "items", &columns), "1|1 3|3 4|3");
    let tables = done["report"]["rescued"][0]["tables"].as_array().expect("a list");
    let conflicts: Vec<_> = tables.iter().map(|table| table["conflicts"].as_u64()).collect();
    assert_eq!(conflicts, [Some(1), Some(1)], "{done}");
    assert_eq!(waiting(&sandbox), 0);
    sandbox.assert_sound();
}

pub(crate) fn what_cannot_come_back_waits_and_says_so(backend: Backend) {
    let change = "ALTER TABLE customers ADD COLUMN mail VARCHAR(40);\nCREATE UNIQUE INDEX one_mail ON customers (mail);";
    let sandbox = project(backend, CUSTOMERS, change);
    sandbox.sql("UPDATE customers SET mail = 'a@b' WHERE id = 1");
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    assert_eq!(waiting(&sandbox), 1);
    // It is done again by a script that gives the same mail to somebody else.
    let edited = change.replace(
        ";\nCREATE",
        ";\nUPDATE customers SET mail = 'a@b' WHERE id = 2;\nCREATE",
    );
    sandbox.migration("002_change", &edited, "");
    let done = sandbox.ok(&["up", "-y"]);
    assert!(done.stderr.contains("is not put back"), "{}", done.transcript());
    assert!(done.stderr.contains("tries again"), "{}", done.transcript());
    assert_eq!(rows(&sandbox, "customers", "id, mail"), "1 2|a@b 3 4");
    assert_eq!(waiting(&sandbox), 1);
    let plan = sandbox.ok(&["up", "--dry-run"]).stdout;
    assert!(plan.contains("puts back  002_change"), "{plan}");
    sandbox.sql("UPDATE customers SET mail = NULL WHERE id = 2");
    sandbox.ok(&["up", "-y"]);
    assert_eq!(rows(&sandbox, "customers", "id, mail"), "1|a@b 2 3 4");
    assert_eq!(waiting(&sandbox), 0);
}

pub(crate) fn a_trigger_does_not_fire_on_what_comes_back(backend: Backend) {
    let trigger = backend.trigger(
        "noted",
        "AFTER UPDATE",
        "customers",
        "INSERT INTO log VALUES (new.id)",
    );
    let sandbox = project(
        backend,
        &format!("{CUSTOMERS}\nCREATE TABLE log (id INTEGER);"),
        &format!("ALTER TABLE customers ADD COLUMN nickname VARCHAR(40);\n{trigger}"),
    );
    sandbox.sql("UPDATE customers SET nickname = 'annie' WHERE id = 1");
    sandbox.sql("DELETE FROM log");
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    sandbox.ok(&["up", "-y"]);
    assert_eq!(rows(&sandbox, "customers", "id, nickname"), "1|annie 2 3 4");
    assert_eq!(sandbox.value("SELECT count(*) FROM log"), "0");
    sandbox.sql("UPDATE customers SET nickname = 'bo' WHERE id = 2");
    assert_eq!(sandbox.value("SELECT count(*) FROM log"), "1");
    assert_eq!(waiting(&sandbox), 0);
}

pub(crate) fn numbers_go_on_behind_what_came_back(backend: Backend) {
    let number = if backend == Backend::Sqlite {
        "id INTEGER PRIMARY KEY AUTOINCREMENT"
    } else {
        "id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    };
    let serial = if backend == Backend::Sqlite {
        "id INTEGER PRIMARY KEY"
    } else {
        "id serial PRIMARY KEY"
    };
    let sandbox = project(
        backend,
        CUSTOMERS,
        &format!(
            "CREATE TABLE notes ({number}, what VARCHAR(40));\nCREATE TABLE marks ({serial}, what VARCHAR(40));\n\
             INSERT INTO notes (what) VALUES ('first');"
        ),
    );
    sandbox.sql("INSERT INTO notes (what) VALUES ('second'), ('third')");
    sandbox.sql("INSERT INTO marks (what) VALUES ('a'), ('b')");
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO notes (what) VALUES ('fourth')");
    sandbox.sql("INSERT INTO marks (what) VALUES ('c')");
    assert_eq!(
        rows(&sandbox, "notes", "id, what"),
        "1|first 2|second 3|third 4|fourth"
    );
    assert_eq!(rows(&sandbox, "marks", "id, what"), "1|a 2|b 3|c");
}

/// Makes a project in which something waits.
fn waits(backend: Backend) -> Sandbox {
    let sandbox = project(backend, CUSTOMERS, super::NICKNAMES);
    sandbox.sql("UPDATE customers SET nickname = 'annie' WHERE id = 1");
    sandbox.sql("INSERT INTO notes VALUES (1, 1, 'calls back')");
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    sandbox
}

pub(crate) fn an_up_that_was_killed_puts_it_back_all_the_same(backend: Backend) {
    let sandbox = waits(backend);
    let mut kills = 0;
    for step in 1.. {
        if sandbox.killed_at(step, &["up", "-y"]).is_none() {
            break;
        }
        kills += 1;
        let recovered = sandbox.run(&["recover", "-y"]);
        assert_eq!(recovered.code, Some(0), "step {step}: {}", recovered.transcript());
        sandbox.ok(&["up", "-y"]);
        let at = format!("killed at step {step}");
        assert_eq!(
            rows(&sandbox, "customers", "id, nickname"),
            "1|annie 2 3 4",
            "{at}"
        );
        assert_eq!(rows(&sandbox, "notes", "id, what"), "1|calls back", "{at}");
        assert_eq!(waiting(&sandbox), 0, "{at}");
        sandbox.assert_sound();
        sandbox.ok(&["rollback", "-n", "1", "-y"]);
        assert_eq!(waiting(&sandbox), 1, "{at}");
    }
    assert!(kills > 3, "it has hardly any durable step");
}

pub(crate) fn what_had_no_place_comes_back_when_there_is_one(backend: Backend) {
    let change = if backend == Backend::Sqlite {
        "CREATE TABLE wider (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(40), size TEXT);\n\
         INSERT INTO wider SELECT id, name, size FROM parts;\nDROP TABLE parts;\nALTER TABLE wider RENAME TO parts;\n\
         INSERT INTO parts VALUES (9, 'nine', '9');"
    } else {
        "ALTER TABLE parts ALTER COLUMN name DROP NOT NULL;\nALTER TABLE parts ALTER COLUMN size TYPE varchar(20);\n\
         INSERT INTO parts VALUES (9, 'nine', '9');"
    };
    let sandbox = project(
        backend,
        "CREATE TABLE parts (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(40) NOT NULL, size INTEGER);\n\
         INSERT INTO parts VALUES (1, 'nut', 10), (2, 'bolt', 20), (3, 'cog', 30), (4, 'rod', 40);",
        change,
    );
    for sql in [
        // A row that could not be there before, and cells that could not.
        "INSERT INTO parts VALUES (5, NULL, '50')",
        "INSERT INTO parts VALUES (6, 'six', '60')",
        "UPDATE parts SET name = NULL WHERE id IN (1, 2)",
        "UPDATE parts SET size = '21' WHERE id = 2",
        "UPDATE parts SET name = 'NINE' WHERE id = 9",
    ] {
        sandbox.sql(sql);
    }
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    let places = "1|nut|10 2|bolt|21 3|cog|30 4|rod|40 6|six|60 9|NINE|9";
    assert_eq!(rows(&sandbox, "parts", "id, name, size"), places);
    assert_eq!(waiting(&sandbox), 1);
    // What the release before has written meanwhile stays.
    for sql in [
        "UPDATE parts SET name = 'screw' WHERE id = 2",
        "UPDATE parts SET size = 31 WHERE id = 3",
        "DELETE FROM parts WHERE id IN (6, 9)",
    ] {
        sandbox.sql(sql);
    }
    sandbox.ok(&["up", "-y"]);
    assert_eq!(
        rows(&sandbox, "parts", "id, name, size"),
        "1|10 2|screw|21 3|cog|31 4|rod|40 5|50 9|nine|9"
    );
    assert_eq!(waiting(&sandbox), 0);
    sandbox.assert_sound();
}
