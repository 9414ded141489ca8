//! Names that are taken, long, or need quotes.

use walkback_tests::Backend;

use super::{aside, bare, project, visible};

pub(super) fn names_that_need_quotes_and_names_of_full_length_come_back(backend: Backend) {
    let sandbox = bare(backend);
    let long = if backend.is_mysql() {
        "l".repeat(64)
    } else {
        "l".repeat(63)
    };
    let names = ["select", "two words", "it's \"so\" `x`", "größe", &long];
    let quoted = |name: &str| backend.quoted(name);
    let make = names.iter().enumerate().map(|(number, name)| {
        format!(
            "CREATE TABLE {table} (id INTEGER PRIMARY KEY, {table} VARCHAR(9));\n\
             CREATE INDEX {index} ON {table} ({table});\nINSERT INTO {table} VALUES ({number}, 'a');\n",
            table = quoted(name),
            index = quoted(&format!("i {number} 'of' \"it\""))
        )
    });
    sandbox.migration("001_begin", &make.collect::<String>(), "");
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    let drop: String = names
        .iter()
        .map(|name| format!("DROP TABLE {};\n", quoted(name)))
        .collect();
    sandbox.migration("002_drop", &drop, "");
    sandbox.ok(&["up", "-y"]);
    assert_eq!(aside(&sandbox).len(), names.len());
    assert!(visible(&sandbox).rows.is_empty());
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "");
}

pub(super) fn a_table_that_is_made_anew_by_the_same_migration_goes_when_the_old_one_comes_back(
    backend: Backend,
) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    sandbox.migration(
        "002_anew",
        "DROP TABLE t;\nCREATE TABLE t (id INTEGER PRIMARY KEY, c VARCHAR(5), \
         parent_id INTEGER, CONSTRAINT t_parent FOREIGN KEY (parent_id) REFERENCES parent (id));\n\
         CREATE INDEX t_b ON t (c);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO t (id, c) VALUES (1, 'since')");
    let plan = sandbox.ok(&["rollback", "--dry-run"]);
    assert!(
        plan.stdout.contains("1 row"),
        "what is lost is counted: {}",
        plan.transcript()
    );
    sandbox.migration("003_again", "DROP TABLE t;", "");
    sandbox.ok(&["up", "-y"]);
    assert_eq!(aside(&sandbox).len(), 2);
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    assert_eq!(sandbox.value("SELECT c FROM t"), "since");
    sandbox.ok(&["rollback", "-n", "1", "-y", "--allow-lossy"]);
    sandbox.assert_contents(&before, "");
    sandbox.assert_sound();
}

pub(super) fn a_table_of_people_that_is_called_like_one_moved_aside_is_left_alone(backend: Backend) {
    let sandbox = project(backend);
    sandbox.sql("CREATE TABLE _deprecated_t (id INTEGER PRIMARY KEY)");
    sandbox.sql("INSERT INTO _deprecated_t VALUES (42)");
    let before = sandbox.contents();
    sandbox.migration("002_drop", "DROP TABLE t;", "");
    sandbox.ok(&["up", "-y"]);
    assert_ne!(aside(&sandbox)[0].0, "_deprecated_t");
    let backup = sandbox.backup();
    let shown = sandbox.ok(&["backup", "show", &backup]);
    assert!(
        shown.stdout.contains("_deprecated_t"),
        "it is the application's: {}",
        shown.transcript()
    );
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "");
    assert_eq!(sandbox.value("SELECT id FROM _deprecated_t"), "42");
}

pub(super) fn a_constraint_of_the_same_name_can_be_made_anew(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    sandbox.migration("002_drop", "DROP TABLE t;", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.sql(
        "CREATE TABLE other (id INTEGER PRIMARY KEY, b INTEGER, parent_id INTEGER, \
         CONSTRAINT positive CHECK (b > 1), \
         CONSTRAINT t_parent FOREIGN KEY (parent_id) REFERENCES parent (id))",
    );
    sandbox.sql(&backend.trigger(
        "t_noted",
        "AFTER INSERT",
        "other",
        "INSERT INTO log VALUES ('other')",
    ));
    sandbox.sql("DROP TABLE other");
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "");
}
