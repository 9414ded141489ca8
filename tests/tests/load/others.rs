//! Rows of applications that are in the way of a load, or look like its own: they stay.

use std::fs;

use walkback_tests::{Backend, Sandbox};

use super::{csv, how_many, people, project};

fn rejects(sandbox: &Sandbox, name: &str) -> String {
    fs::read_to_string(sandbox.path(name)).expect("there are rejected records")
}

/// Returns the name of the way back that a command has said.
fn point_in(text: &str) -> String {
    let from = text.find("rb_load_").expect("it names the way back");
    let name = text[from..].split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    name.into_iter().next().expect("a name").to_owned()
}

/// The table's own words replaced a row of an application, which nothing brought back.
pub(super) fn a_table_that_replaces_rows_does_not_replace_those_of_others(backend: Backend) {
    let sandbox = project(backend);
    for (table, words) in [("r", "REPLACE"), ("i", "IGNORE"), ("b", "ROLLBACK")] {
        sandbox.sql(&format!(
            "CREATE TABLE {table} (id INTEGER PRIMARY KEY, email TEXT UNIQUE ON CONFLICT {words});\n\
             INSERT INTO {table} VALUES (100, 'a@example.org');"
        ));
        sandbox.write("t.csv", "id,email\n1,a@example.org\n2,b@example.org\n");
        sandbox.ok(&[
            "load",
            table,
            "t.csv",
            "--max-failures",
            "50%",
            "--rejects",
            &format!("{table}.jsonl"),
        ]);
        assert_eq!(sandbox.value(&backend.joined("id", table)), "2,100", "{words}");
        assert!(
            rejects(&sandbox, &format!("{table}.jsonl")).contains("UNIQUE"),
            "{words}"
        );
        sandbox.ok(&["rollback", "-y"]);
        assert_eq!(sandbox.value(&backend.joined("id", table)), "100", "{words}");
    }
}

/// A key that the server makes, and does not tell, was taken for zero; and that is equal to any text.
pub(super) fn a_key_that_the_server_does_not_tell_is_no_key(backend: Backend) {
    let sandbox = project(backend);
    sandbox.sql(
        "CREATE TABLE t (id CHAR(36) NOT NULL DEFAULT (UUID()) PRIMARY KEY, word VARCHAR(9));\n\
         INSERT INTO t VALUES ('theirs', 'theirs');",
    );
    sandbox.write("t.csv", "word\nours\n");
    sandbox.ok(&["load", "t", "t.csv", "--max-failures", "100%"]);
    assert!(rejects(&sandbox, "t.csv.rejects.jsonl").contains("leaves out the key"));
    sandbox.run(&["rollback", "-y"]);
    assert_eq!(sandbox.value(&backend.joined("word", "t")), "theirs");
}

pub(super) fn a_key_that_a_trigger_changes_is_no_row_of_others(backend: Backend) {
    let sandbox = project(backend);
    sandbox.sql("CREATE TABLE t (id INTEGER PRIMARY KEY, word VARCHAR(9))");
    sandbox.sql("INSERT INTO t VALUES (1, 'theirs')");
    sandbox.sql("CREATE TRIGGER moves BEFORE INSERT ON t FOR EACH ROW SET NEW.id = NEW.id + 1000");
    sandbox.write("t.csv", "id,word\n1,ours\n");
    sandbox.ok(&["load", "t", "t.csv", "--max-failures", "100%"]);
    assert!(rejects(&sandbox, "t.csv.rejects.jsonl").contains("there already"));
    sandbox.run(&["rollback", "-y"]);
    assert_eq!(sandbox.value(&backend.joined("word", "t")), "theirs");
    // A trigger that gives a key which the server would have counted.
    sandbox.sql("CREATE TABLE c (id INTEGER AUTO_INCREMENT PRIMARY KEY, word VARCHAR(9))");
    sandbox.sql("INSERT INTO c VALUES (7, 'theirs')");
    sandbox.sql("CREATE TRIGGER gives BEFORE INSERT ON c FOR EACH ROW SET NEW.id = 500");
    sandbox.write("c.csv", "word\nours\n");
    sandbox.ok(&["load", "c", "c.csv", "--max-failures", "100%"]);
    assert!(rejects(&sandbox, "c.csv.rejects.jsonl").contains("a trigger gives the row its key"));
    sandbox.run(&["rollback", "-y"]);
    assert_eq!(sandbox.value(&backend.joined("word", "c")), "theirs");
}

/// The catalog of a database does not have the foreign keys of others.
pub(super) fn rows_of_another_database_are_not_cascaded_away(backend: Backend) {
    let sandbox = people(backend);
    let other = format!("{}_o", sandbox.server().name());
    let people_there = format!("{}.people", sandbox.server().name());
    sandbox.sql(&format!("CREATE DATABASE {other}"));
    sandbox.sql(&format!(
        "CREATE TABLE {other}.orders (id INTEGER PRIMARY KEY, person INTEGER, \
         FOREIGN KEY (person) REFERENCES {people_there} (id) ON DELETE CASCADE)"
    ));
    sandbox.write("people.csv", &csv(5, |_| None));
    sandbox.ok(&["load", "people", "people.csv"]);
    sandbox.sql(&format!("INSERT INTO {other}.orders VALUES (1, 3)"));
    let output = sandbox.run(&["rollback", "-y"]);
    let (left, orders) = (
        sandbox.value(&backend.joined("id", "people")),
        how_many(&sandbox, &format!("{other}.orders")),
    );
    sandbox.sql(&format!("DROP DATABASE {other}"));
    assert_eq!(output.code, Some(0), "{}", output.transcript());
    assert!(
        output
            .stdout
            .contains("row id = 3: loaded, and other rows refer to it"),
        "{}",
        output.transcript()
    );
    assert_eq!((&*left, orders), ("0,3", 1), "{}", output.transcript());
}

/// Makes a row of an application refer to the third person as soon as it is there.
fn ordered_at_once(sandbox: &Sandbox) {
    let backend = sandbox.backend();
    sandbox.sql("CREATE TABLE orders (id INTEGER PRIMARY KEY, person INTEGER, FOREIGN KEY (person) REFERENCES people (id))");
    let from = if backend.is_mysql() { " FROM DUAL" } else { "" };
    let does = format!("INSERT INTO orders SELECT NEW.id, NEW.id{from} WHERE NEW.id = 3");
    sandbox.sql(&backend.trigger("orders_it", "AFTER INSERT", "people", &does));
}

pub(super) fn what_a_self_rollback_cannot_take_is_listed_and_not_forgotten(backend: Backend) {
    let sandbox = people(backend);
    ordered_at_once(&sandbox);
    let bad = |number: u32| (number > 10).then(|| format!("{number},name,x,p{number}@example.org"));
    sandbox.write("people.csv", &csv(20, bad));
    let output = sandbox.run(&["load", "people", "people.csv", "--batch", "10"]);
    assert_eq!(output.code, Some(7), "{}", output.transcript());
    for part in ["1 rows stay", "row id = 3: loaded, and other rows refer to it"] {
        assert!(output.stderr.contains(part), "{part}: {}", output.transcript());
    }
    assert_eq!(sandbox.value(&backend.joined("id", "people")), "0,3");
    assert_eq!(sandbox.status()["needs_recovery"], false);
    let point = point_in(&output.stderr);
    sandbox.sql("DELETE FROM orders");
    sandbox.ok(&["rollback", &point, "-y"]);
    assert_eq!(sandbox.value(&backend.joined("id", "people")), "0");
    let again = sandbox.run(&["rollback", &point, "-y"]);
    assert_eq!(again.code, Some(2), "{}", again.transcript());
}

pub(super) fn rows_that_were_kept_can_be_taken_back_later(backend: Backend) {
    let sandbox = people(backend);
    ordered_at_once(&sandbox);
    sandbox.write("people.csv", &csv(10, |_| None));
    let loaded = sandbox.ok(&["load", "people", "people.csv"]);
    let point = point_in(&loaded.stdout);
    let kept = sandbox.ok(&["rollback", "-y", "--on-conflict", "keep"]);
    assert!(kept.stdout.contains("9 removed"), "{}", kept.transcript());
    assert_eq!(sandbox.value(&backend.joined("id", "people")), "0,3");
    sandbox.sql("DELETE FROM orders");
    sandbox.ok(&["rollback", &point, "-y"]);
    assert_eq!(sandbox.value(&backend.joined("id", "people")), "0");
}

/// Where upper and lower case are one, a row is found under a key that is not the one it has.
pub(super) fn a_key_that_is_written_otherwise_since_is_a_change(backend: Backend) {
    let sandbox = project(backend);
    let nocase = if backend == Backend::Sqlite {
        "COLLATE NOCASE"
    } else {
        ""
    };
    sandbox.sql(&format!(
        "CREATE TABLE t (code VARCHAR(10) {nocase} PRIMARY KEY, word VARCHAR(10))"
    ));
    sandbox.write("t.csv", "code,word\nabc,x\ndef,y\nghi,z\n");
    sandbox.ok(&["load", "t", "t.csv"]);
    sandbox.sql("UPDATE t SET code = 'ABC' WHERE code = 'abc'");
    sandbox.sql("DELETE FROM t WHERE code = 'ghi'");
    let output = sandbox.ok(&["rollback", "-y"]);
    assert!(
        output.stdout.contains("1 conflicts") || output.stdout.contains("1 conflict"),
        "{}",
        output.transcript()
    );
    assert!(
        output.stdout.contains("written otherwise"),
        "{}",
        output.transcript()
    );
    assert_eq!(sandbox.value(&backend.joined("code", "t")), "ABC");
}

/// The hash of a row is of what is read, and that depended on settings of whoever was connected.
pub(super) fn a_setting_that_was_changed_since_changes_no_row(backend: Backend) {
    let sandbox = project(backend);
    sandbox.sql("CREATE TABLE t (at TIMESTAMP WITH TIME ZONE PRIMARY KEY, day DATE, spent INTERVAL)");
    let set = |name: &str, value: &str| {
        sandbox.sql(&format!(
            "ALTER DATABASE {} SET {name} = '{value}'",
            sandbox.server().name()
        ));
    };
    set("TimeZone", "America/New_York");
    sandbox.write(
        "t.csv",
        "at,day,spent\n2026-02-03 10:00:00,2026-02-03,1 day 02:00:00\n",
    );
    sandbox.ok(&["load", "t", "t.csv"]);
    assert_eq!(
        sandbox.value("SELECT CAST(extract(epoch FROM at) AS BIGINT) FROM t"),
        "1770112800",
        "a moment without a zone is UTC"
    );
    set("TimeZone", "Asia/Tokyo");
    set("DateStyle", "German");
    set("IntervalStyle", "iso_8601");
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(how_many(&sandbox, "t"), 0);
}
