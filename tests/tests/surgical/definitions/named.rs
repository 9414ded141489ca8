//! Tables and columns that a migration gives other names.

use serde_json::{Value, json};
use walkback_tests::Backend;

use super::{name_of, project, rows, walk_back, walk_back_with_loss};

const BEGIN: &str = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, a VARCHAR(10), b VARCHAR(10), \"c d\" VARCHAR(10) NOT NULL DEFAULT 'nil');\n\
    CREATE TABLE child (id INTEGER NOT NULL PRIMARY KEY, t INTEGER, FOREIGN KEY (t) REFERENCES t (id));\n\
    CREATE INDEX by_a ON t (a);\n\
    INSERT INTO t VALUES (1, 'a', 'b', 'c'), (2, 'd', 'e', 'f'), (3, 'g', 'h', 'i'), (4, 'j', 'k', 'l');\n\
    INSERT INTO child VALUES (1, 1), (2, 2), (3, NULL);";

/// What a plan says that it takes away.
fn losses_of(plan: &Value) -> Vec<String> {
    let steps = plan["plan"]["steps"].as_array().expect("the steps");
    let losses = steps
        .iter()
        .flat_map(|step| step["loss"].as_array().expect("a list"));
    let said = losses.map(|loss| format!("{}: {}", name_of(loss), loss["what"].as_str().expect("words")));
    said.collect()
}

pub(crate) fn what_is_written_under_another_name_stays(backend: Backend) {
    let quoted = |text: &str| text.replace("\"c d\"", &backend.quoted("c d"));
    let change = "ALTER TABLE t RENAME COLUMN a TO x;\nALTER TABLE t RENAME TO u;\nALTER TABLE u RENAME COLUMN x TO \"c d e\";\n\
        ALTER TABLE u RENAME COLUMN \"c d\" TO a1;\nALTER TABLE u DROP COLUMN b;\nALTER TABLE u ADD COLUMN more INTEGER DEFAULT 5;\n\
        UPDATE u SET \"c d e\" = 'm' WHERE id < 3;\nDELETE FROM u WHERE id = 4;\nALTER TABLE child RENAME COLUMN t TO parent;"
        .replace("\"c d e\"", &backend.quoted("c d e"));
    let sandbox = project(backend, &quoted(BEGIN), &quoted(&change));
    let now_a = backend.quoted("c d e");
    sandbox.sql(&format!(
        "UPDATE u SET {now_a} = 'since' WHERE id IN (1, 3); UPDATE u SET a1 = 'since', more = 6 WHERE id = 2"
    ));
    sandbox.sql(&format!(
        "INSERT INTO u (id, {now_a}, a1) VALUES (7, 'new', 'new'); INSERT INTO child VALUES (4, 7), (5, 3)"
    ));
    sandbox.sql("UPDATE child SET parent = 3 WHERE id = 1; DELETE FROM child WHERE id = 3");
    let now = sandbox.contents();
    let changes = walk_back_with_loss(&sandbox, &[]);
    let row = quoted("id, coalesce(a, '-'), coalesce(b, '-'), \"c d\"");
    assert_eq!(
        rows(&sandbox, "t", &row),
        "1|since|b|c 2|d|e|since 3|since|h|i 4|j|k|l 7|new|-|new",
        "{changes}"
    );
    assert_eq!(rows(&sandbox, "child", "id, t"), "1|3 2|2 4|7 5|3");
    sandbox.assert_sound();
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&now, "after a rollback of the rollback");
    let plan = sandbox.ok(&["rollback", "-n", "1", "--dry-run", "--json"]).json();
    let losses = plan["plan"]["steps"][0]["loss"].as_array().expect("a list");
    let losses: Vec<_> = losses
        .iter()
        .map(|loss| loss["what"].as_str().expect("words"))
        .collect();
    assert_eq!(
        losses,
        ["4 values of column `more`, what the migration itself wrote included"],
        "{plan}"
    );
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    sandbox.ok(&["up", "-y"]);
    assert_eq!(
        rows(&sandbox, "u", &format!("id, {now_a}, a1, more")),
        "1|m|c|5 2|m|since|6 3|since|i|5 7|new|new|5"
    );
}

pub(crate) fn numbers_go_on_under_another_name(backend: Backend) {
    let id = match backend {
        Backend::Sqlite => "id INTEGER PRIMARY KEY AUTOINCREMENT",
        Backend::Postgres | Backend::PostgresNewest => "id SERIAL PRIMARY KEY",
        _ => "id INTEGER AUTO_INCREMENT PRIMARY KEY",
    };
    let begin = format!(
        "CREATE TABLE t ({id}, a VARCHAR(10), b VARCHAR(10));\nINSERT INTO t (a, b) VALUES ('a', 'b'), ('c', 'd');"
    );
    for change in [
        "ALTER TABLE t RENAME TO u;\nALTER TABLE u DROP COLUMN b;",
        "ALTER TABLE t RENAME COLUMN id TO number;\nALTER TABLE t DROP COLUMN b;",
    ] {
        let sandbox = project(backend, &begin, change);
        let (table, id) = if change.contains("TO u") {
            ("u", "id")
        } else {
            ("t", "number")
        };
        sandbox.sql(&format!("INSERT INTO {table} (a) VALUES ('e'), ('f'), ('g')"));
        sandbox.sql(&format!("DELETE FROM {table} WHERE {id} = 5"));
        walk_back_with_loss(&sandbox, &[]);
        sandbox.sql("INSERT INTO t (a) VALUES ('h')");
        assert_eq!(
            rows(&sandbox, "t", "id, a, coalesce(b, '-')"),
            "1|a|b 2|c|d 3|e|- 4|f|- 6|h|-",
            "{change}"
        );
    }
}

pub(crate) fn a_name_that_leads_to_two_things_is_told(backend: Backend) {
    let begin = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, a VARCHAR(10), b VARCHAR(10));\nINSERT INTO t VALUES (1, 'a', 'b');";
    for change in [
        "ALTER TABLE t RENAME TO old;\nCREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, a VARCHAR(10));\nINSERT INTO t SELECT id, a FROM old;",
        "ALTER TABLE t DROP COLUMN b;\nALTER TABLE t RENAME COLUMN a TO b;",
        "ALTER TABLE t RENAME COLUMN a TO c;\nALTER TABLE t RENAME COLUMN b TO a;\nALTER TABLE t RENAME COLUMN c TO b;\nUPDATE t SET a = 'm';",
    ] {
        let sandbox = project(backend, begin, change);
        let column = if change.contains("old") { "a" } else { "b" };
        sandbox.sql(&format!("UPDATE t SET {column} = 'since'"));
        let refused = sandbox.run(&["rollback", "-n", "1", "-y", "--type", "surgical"]);
        assert_eq!(refused.code, Some(2), "{}", refused.transcript());
        assert!(
            refused.stderr.contains("no name leads to two things"),
            "{}",
            refused.transcript()
        );
        let plan = sandbox.ok(&["rollback", "--dry-run", "--json"]).json();
        assert_eq!(plan["plan"]["kind"], "full", "{plan}");
        assert_ne!(plan["plan"]["steps"][0]["loss"], json!([]), "{plan}");
    }
}

pub(crate) fn a_table_whose_name_differs_in_case_only_is_another(backend: Backend) {
    let other = backend.quoted("T");
    let begin = format!(
        "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, a VARCHAR(10), b VARCHAR(10));\nCREATE TABLE {other} (id INTEGER NOT NULL PRIMARY KEY, q VARCHAR(10));\n\
         INSERT INTO t VALUES (1, 'a', 'b');\nINSERT INTO {other} VALUES (7, 'q');"
    );
    let sandbox = project(
        backend,
        &begin,
        "ALTER TABLE t RENAME TO u;\nALTER TABLE u DROP COLUMN b;",
    );
    sandbox.sql(&format!(
        "INSERT INTO u VALUES (2, 'new'); INSERT INTO {other} VALUES (8, 'new')"
    ));
    let changes = walk_back(&sandbox, &[]);
    assert_eq!(
        rows(&sandbox, "t", "id, a, coalesce(b, '-')"),
        "1|a|b 2|new|-",
        "{changes}"
    );
    assert_eq!(rows(&sandbox, &other, "id, q"), "7|q 8|new", "{changes}");
}

pub(crate) fn several_columns_renamed_at_once_keep_their_values(backend: Backend) {
    let begin = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, a VARCHAR(10), b VARCHAR(10), d VARCHAR(10));\nINSERT INTO t VALUES (1, 'a', 'b', 'd');";
    let change = "ALTER TABLE t RENAME COLUMN a TO x, RENAME COLUMN b TO y, DROP COLUMN d, RENAME TO u;";
    let sandbox = project(backend, begin, change);
    sandbox.sql("INSERT INTO u VALUES (2, 'isA', 'isB'); UPDATE u SET y = 'since' WHERE id = 1");
    walk_back(&sandbox, &[]);
    assert_eq!(
        rows(&sandbox, "t", "id, a, b, coalesce(d, '-')"),
        "1|a|since|d 2|isA|isB|-"
    );
    let begin = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, a VARCHAR(10), b VARCHAR(10), d VARCHAR(10));\nINSERT INTO t VALUES (1, 'a', 'b', 'd');";
    let change = "ALTER TABLE t RENAME COLUMN a TO b, RENAME COLUMN b TO c, DROP COLUMN d;";
    let sandbox = project(backend, begin, change);
    sandbox.sql("INSERT INTO t (id, b, c) VALUES (2, 'isA', 'isB')");
    let plan = sandbox.ok(&["rollback", "--dry-run", "--json"]).json();
    assert_eq!(plan["plan"]["kind"], "full", "{plan}");
    assert_eq!(
        losses_of(&plan),
        ["t: 1 row more than then, and perhaps others changed"]
    );
}

pub(crate) fn names_are_followed_over_several_migrations(backend: Backend) {
    let begin = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, a VARCHAR(10), b VARCHAR(10), d VARCHAR(10));\n\
        INSERT INTO t VALUES (1, 'a', 'b', 'd'), (2, 'e', 'f', 'g'), (3, 'h', 'i', 'j');";
    let first =
        "ALTER TABLE t DROP COLUMN b;\nALTER TABLE t ADD COLUMN c INTEGER DEFAULT 1;\nUPDATE t SET a = 'm';";
    for (second, third) in [
        (
            "ALTER TABLE t RENAME TO u;\nALTER TABLE u RENAME COLUMN a TO z;\nALTER TABLE u RENAME COLUMN c TO c2;\nUPDATE u SET z = 'n' WHERE id = 1;\nALTER TABLE u DROP COLUMN d;",
            "",
        ),
        (
            "ALTER TABLE t RENAME TO u;",
            "ALTER TABLE u RENAME COLUMN a TO z;\nALTER TABLE u RENAME COLUMN c TO c2;",
        ),
    ] {
        let sandbox = project(backend, begin, first);
        sandbox.migration("003_named", second, "");
        let mut count = 2;
        if !third.is_empty() {
            sandbox.migration("004_named", third, "");
            count = 3;
        }
        sandbox.ok(&["up", "-y"]);
        sandbox.sql("UPDATE u SET z = 'since' WHERE id = 2; UPDATE u SET c2 = 9 WHERE id = 3; INSERT INTO u (id, z) VALUES (4, 'new')");
        let now = sandbox.contents();
        let done = sandbox
            .ok(&["rollback", "-n", &count.to_string(), "-y", "--json"])
            .json();
        let kinds: Vec<_> = done["plan"]["steps"]
            .as_array()
            .expect("the steps")
            .iter()
            .map(|step| step["kind"].as_str())
            .collect();
        assert_eq!(kinds.last(), Some(&Some("surgical")), "{done}");
        let losses: Vec<_> = losses_of(&done);
        assert_eq!(
            losses,
            ["t: 4 values of column `c`, what the migration itself wrote included"],
            "{done}"
        );
        let row = "id, coalesce(a, '-'), coalesce(b, '-')";
        assert_eq!(
            rows(&sandbox, "t", row),
            "1|a|b 2|since|f 3|h|i 4|new|-",
            "{done}"
        );
        sandbox.ok(&["rollback", "-y"]);
        sandbox.assert_contents(&now, "after a rollback of the rollback");
        let again = sandbox.ok(&["rollback", "-n", &count.to_string(), "-y"]);
        assert_eq!(
            rows(&sandbox, "t", row),
            "1|a|b 2|since|f 3|h|i 4|new|-",
            "{done}"
        );
        let warning =
            "what was written under another name to what `002_change` had brought of `t` stays in the point";
        assert!(again.stderr.contains(warning), "{}", again.transcript());
        sandbox.ok(&["up", "-y"]);
        assert_eq!(rows(&sandbox, "u", "id, c2"), "1|1 2|1 3|1 4|1", "{second}");
    }
}

pub(crate) fn what_was_written_in_between_stays_when_names_are_given_again(backend: Backend) {
    let begin = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, a VARCHAR(10), b VARCHAR(10));\n\
        INSERT INTO t VALUES (1, 'a', 'b'), (2, 'c', 'd'), (3, 'e', 'f'), (4, 'g', 'h');";
    let renames = "ALTER TABLE t RENAME TO u;\nALTER TABLE u RENAME COLUMN a TO z;";
    for more in ["", "\nALTER TABLE u DROP COLUMN b;"] {
        let sandbox = project(backend, begin, &format!("{renames}{more}"));
        sandbox.sql("UPDATE u SET z = 'since' WHERE id IN (1, 2); DELETE FROM u WHERE id = 3; INSERT INTO u (id, z) VALUES (9, 'new')");
        sandbox.ok(&["rollback", "-n", "1", "-y"]);
        sandbox.sql("UPDATE t SET a = NULL WHERE id = 1; UPDATE t SET a = 'newer' WHERE id = 2");
        sandbox.sql("DELETE FROM t WHERE id = 9; INSERT INTO t (id, a) VALUES (3, 'again')");
        sandbox.ok(&["up", "-y"]);
        assert_eq!(
            rows(&sandbox, "u", "id, coalesce(z, '-')"),
            "1|- 2|newer 3|again 4|g",
            "{more}"
        );
    }
}
