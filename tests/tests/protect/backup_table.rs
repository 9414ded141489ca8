//! What is destroyed is copied into backup tables under `protect = "backup-table"`, and comes back from there.

use walkback_tests::{Backend, Contents, Sandbox};

use super::{assert_says, configure};

/// A table whose last columns go, of which one must not be `NULL`.
pub(super) fn people(backend: Backend) -> Sandbox {
    let sandbox = bare(backend);
    let tables = "CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(20), note VARCHAR(20), age INTEGER NOT NULL);\n\
                  CREATE TABLE other (id INTEGER PRIMARY KEY, name VARCHAR(20));\n\
                  INSERT INTO people VALUES (1, 'ann', 'it''s \"x\"', 31), (2, 'bob', NULL, 32), (3, 'cid', '', 33);\n\
                  INSERT INTO other VALUES (1, 'one'), (2, 'two');";
    sandbox.migration("001_begin", tables, "");
    sandbox.ok(&["up", "-y"]);
    sandbox
}

pub(super) fn bare(backend: Backend) -> Sandbox {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    configure(&sandbox, "protect = \"backup-table\"\n");
    sandbox
}

const DROP: &str = "ALTER TABLE people DROP COLUMN age;\nALTER TABLE people DROP COLUMN note;";

/// Returns what there is without the backup tables.
pub(super) fn without_copies(sandbox: &Sandbox) -> Contents {
    let mut contents = sandbox.contents();
    contents.rows.retain(|name, _| !name.contains("_backup_"));
    contents.definitions.retain(|name, _| !name.contains("_backup_"));
    contents
}

pub(super) fn assert_back(sandbox: &Sandbox, before: &Contents, when: &str) {
    let now = without_copies(sandbox);
    assert!(now == *before, "{when}: {}", now.difference(before));
}

/// Returns the backup tables as `purge` lists them: what each is called, and of which table it is.
pub(super) fn copies(sandbox: &Sandbox) -> Vec<(String, String)> {
    let plan = sandbox.ok(&["purge", "--dry-run", "--json"]).json();
    let groups = [&plan["plan"]["drop"], &plan["plan"]["stays"]];
    let tables = groups
        .iter()
        .flat_map(|group| group.as_array().expect("a list").clone());
    let copies = tables.filter(|table| table["backup"] == true);
    copies
        .map(|table| {
            let name = table["table"]["name"].as_str().expect("a name").to_owned();
            (name, table["replaced"].as_str().expect("a name").to_owned())
        })
        .collect()
}

pub(super) fn dropped_columns_come_back_with_their_values(backend: Backend) {
    let sandbox = people(backend);
    let before = without_copies(&sandbox);
    sandbox.migration("002_drop", DROP, "");
    let plan = sandbox.ok(&["up", "--dry-run"]);
    assert_says(
        &plan,
        "drops column `people.age` (migrations/002_drop/up.sql:1), kept in a backup table for 30 days",
    );
    let plan = sandbox.ok(&["up", "--dry-run", "--json"]).json();
    let statements = &plan["plan"]["steps"][0]["statements"];
    assert_eq!(statements[0]["protection"]["by"], "backup_table", "{statements}");
    assert_eq!(statements[0]["protection"]["keep"], "30 days", "{statements}");
    assert_eq!(plan["plan"]["point"]["scope"], "none", "{plan}");
    let up = sandbox.ok(&["up", "-y"]);
    assert_says(&up, "copied from `people` into");
    assert!(
        !up.stdout.contains("kept what was there"),
        "no point: {}",
        up.transcript()
    );
    assert_eq!(copies(&sandbox).len(), 2);
    assert!(without_copies(&sandbox).rows["people"][0].contains("ann"));
    assert!(!without_copies(&sandbox).rows["people"][0].contains("31"));
    let status = sandbox.run(&["status", "--check"]);
    assert_eq!(status.code, Some(0), "{}", status.transcript());
    let shown = sandbox.backup();
    let shown = sandbox.ok(&["backup", "show", &shown]);
    assert!(!shown.stdout.contains("_backup_"), "{}", shown.transcript());
    let shown = sandbox.ok(&["show", "002"]);
    assert_says(&shown, "of `people`, until");
    let plan = sandbox.ok(&["rollback", "--dry-run"]);
    assert_says(&plan, "what it took from `people` was kept in");
    let back = sandbox.ok(&["rollback", "-y"]);
    assert_back(&sandbox, &before, &back.transcript());
    sandbox.assert_sound();
    assert!(
        sandbox
            .session()
            .try_sql("INSERT INTO people VALUES (4, 'dan', 'n', NULL)")
            .is_err(),
        "it must not be null again"
    );
}

pub(super) fn what_was_written_since_stays(backend: Backend) {
    let sandbox = people(backend);
    sandbox.migration("002_drop", "ALTER TABLE people DROP COLUMN note;", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("UPDATE people SET name = 'changed' WHERE id = 1");
    sandbox.sql("DELETE FROM people WHERE id = 2");
    sandbox.sql("INSERT INTO people (id, name, age) VALUES (9, 'new', 1)");
    let plan = sandbox.ok(&["rollback", "--dry-run"]);
    assert_says(&plan, "1 row inserted since has the default there");
    let back = sandbox.ok(&["rollback", "--unattended"]);
    assert_says(&back, "loses nothing that was written since");
    assert_eq!(sandbox.value("SELECT name FROM people WHERE id = 1"), "changed");
    assert_eq!(
        sandbox.value("SELECT note FROM people WHERE id = 1"),
        "it's \"x\""
    );
    assert_eq!(sandbox.value("SELECT count(*) FROM people WHERE id = 2"), "0");
    assert_eq!(
        sandbox.value("SELECT count(*) FROM people WHERE id = 9 AND note IS NULL"),
        "1"
    );
    assert_eq!(sandbox.value("SELECT count(*) FROM people"), "3");
}

pub(super) fn a_row_without_a_value_that_must_be_there_is_refused_before_anything(backend: Backend) {
    let sandbox = people(backend);
    sandbox.migration("002_drop", "ALTER TABLE people DROP COLUMN age;", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO people (id, name) VALUES (9, 'new')");
    if backend.is_mysql() {
        // The server fills such a column by itself.
        sandbox.ok(&["rollback", "-y"]);
        assert_eq!(sandbox.value("SELECT age FROM people WHERE id = 9"), "0");
        return;
    }
    let before = sandbox.contents();
    let refused = sandbox.run(&["rollback", "-y"]);
    assert_eq!(refused.code, Some(6), "{}", refused.transcript());
    assert_says(&refused, "1 row inserted since has no value for it");
    sandbox.assert_contents(&before, "nothing was changed");
    sandbox.sql("DELETE FROM people WHERE id = 9");
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.value("SELECT age FROM people WHERE id = 3"), "33");
}

pub(super) fn a_dropped_table_is_its_own_backup_table(backend: Backend) {
    let sandbox = people(backend);
    let before = without_copies(&sandbox);
    sandbox.migration(
        "002_drop",
        "ALTER TABLE people DROP COLUMN age;\nDROP TABLE other;",
        "",
    );
    let plan = sandbox.ok(&["up", "--dry-run"]);
    assert_says(&plan, "kept in a backup table for 30 days");
    assert_says(&plan, "moved aside for 30 days");
    sandbox.ok(&["up", "-y"]);
    assert_eq!(copies(&sandbox).len(), 1);
    let back = sandbox.ok(&["rollback", "-y"]);
    assert_back(&sandbox, &before, &back.transcript());
}

pub(super) fn quotes_long_names_and_keys_of_many_columns_are_no_obstacle(backend: Backend) {
    let sandbox = bare(backend);
    let long = "l".repeat(if backend.is_mysql() { 64 } else { 63 });
    let names = ["select", "two words", "it's \"so\" `x`", "größe", &long];
    let quoted = |name: &str| backend.quoted(name);
    let make = names.iter().map(|name| {
        format!(
            "CREATE TABLE {table} ({order} VARCHAR(9) NOT NULL, {key} INTEGER NOT NULL, b INTEGER, {table} VARCHAR(20), \
             PRIMARY KEY ({key}, {order}));\n\
             INSERT INTO {table} VALUES ('a', 1, 0, 'one'), ('b', 1, 0, NULL), ('a', 2, 0, '');\n",
            table = quoted(name),
            order = quoted("order"),
            key = quoted("k \"e' y")
        )
    });
    sandbox.migration("001_begin", &make.collect::<String>(), "");
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    let drop = names
        .iter()
        .map(|name| format!("ALTER TABLE {0} DROP COLUMN {0};\n", quoted(name)));
    sandbox.migration("002_drop", &drop.collect::<String>(), "");
    let up = sandbox.ok(&["up", "-y"]);
    assert_eq!(copies(&sandbox).len(), names.len(), "{}", up.transcript());
    let back = sandbox.ok(&["rollback", "-y"]);
    assert_back(&sandbox, &before, &back.transcript());
}

pub(super) fn a_table_of_people_that_is_called_like_a_backup_table_is_left_alone(backend: Backend) {
    let sandbox = people(backend);
    sandbox.sql("CREATE TABLE _backup_people (id INTEGER PRIMARY KEY, name VARCHAR(20))");
    sandbox.sql("INSERT INTO _backup_people VALUES (1, 'mine')");
    sandbox.migration("002_drop", DROP, "");
    sandbox.ok(&["up", "-y"]);
    assert_eq!(sandbox.value("SELECT name FROM _backup_people"), "mine");
    let made = copies(&sandbox);
    assert_eq!(made.len(), 2);
    assert!(made.iter().all(|(name, _)| name != "_backup_people"), "{made:?}");
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.value("SELECT age FROM people WHERE id = 2"), "32");
    sandbox.ok(&["purge", "--all", "-y"]);
    assert_eq!(sandbox.value("SELECT name FROM _backup_people"), "mine");
}

pub(super) fn it_goes_up_and_back_again_and_a_rollback_is_walked_back(backend: Backend) {
    let sandbox = people(backend);
    let before = without_copies(&sandbox);
    sandbox.migration("002_drop", DROP, "");
    for _ in 0..2 {
        sandbox.ok(&["up", "-y"]);
        sandbox.ok(&["rollback", "-n", "1", "-y"]);
        assert_back(&sandbox, &before, "again");
    }
    sandbox.ok(&["up", "-y"]);
    let dropped = without_copies(&sandbox);
    sandbox.ok(&["redo", "-y"]);
    assert_back(&sandbox, &dropped, "after `redo`");
    sandbox.ok(&["down", "-y"]);
    assert_back(&sandbox, &before, "after `down`");
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["rollback", "-y"]);
    let walked = sandbox.ok(&["rollback", "-y"]);
    assert_back(&sandbox, &dropped, &walked.transcript());
    // The copies are there until their deadline, and so the way back is too.
    let back = sandbox.ok(&["rollback", "-n", "1", "-y"]);
    assert_back(&sandbox, &before, &back.transcript());
}

pub(super) fn a_purge_drops_copies_after_their_deadline_only(backend: Backend) {
    let sandbox = people(backend);
    sandbox.migration("002_drop", DROP, "");
    sandbox.ok_at("2027-01-01T00:00:00Z", &["up", "-y"]);
    let early = sandbox.ok_at("2027-01-30T00:00:00Z", &["purge", "-y"]);
    assert_says(&early, "nothing to purge");
    assert_says(&early, "took from `people`");
    assert_says(&early, "2027-01-31");
    assert_eq!(copies(&sandbox).len(), 2);
    let late = sandbox.ok_at("2027-02-02T00:00:00Z", &["purge", "-y"]);
    assert_says(&late, "dropped 2 tables for good");
    assert!(copies(&sandbox).is_empty());
    let contents = sandbox.contents();
    assert!(
        contents.rows.keys().all(|name| !name.contains("_backup_")),
        "{:?}",
        contents.rows.keys()
    );
    if backend.is_postgres() {
        let left = "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^_walkback_backup_'";
        assert_eq!(sandbox.value(left), "0");
    }
    let refused = sandbox.run(&["rollback", "-n", "1", "-y"]);
    assert_eq!(refused.code, Some(6), "{}", refused.transcript());
    assert_says(
        &refused,
        "`people` was kept in a backup table, and `walkback purge` dropped it on 2027-02-02",
    );
    sandbox.assert_contents(&contents, "");
}

pub(super) fn what_cannot_be_kept_so_is_kept_in_a_point_and_the_plan_says_why(backend: Backend) {
    let sandbox = people(backend);
    sandbox.migration(
        "002_more",
        "CREATE TABLE bare (a INTEGER, b INTEGER);\nINSERT INTO bare VALUES (1, 2);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    for (script, why) in [
        (
            "ALTER TABLE bare DROP COLUMN b;".to_owned(),
            "not in a backup table: table `bare` has no primary key",
        ),
        (
            format!("{DROP}\nDROP TABLE IF EXISTS nowhere;\nALTER TABLE bare DROP COLUMN b;"),
            "not in a backup table: table `bare` has no primary key",
        ),
    ] {
        sandbox.migration("003_drop", &script, "");
        let plan = sandbox.ok(&["up", "--dry-run"]);
        assert_says(&plan, why);
        let up = sandbox.ok(&["up", "-y"]);
        assert_says(&up, "kept what was there in");
        assert!(copies(&sandbox).is_empty());
        let back = sandbox.ok(&["rollback", "-y"]);
        sandbox.assert_contents(&before, &back.transcript());
    }
    let line = backend.trigger("noted", "AFTER UPDATE", "people", "DELETE FROM bare");
    sandbox.sql(line.trim_end_matches(';'));
    sandbox.migration("003_drop", "ALTER TABLE people DROP COLUMN note;", "");
    let plan = sandbox.ok(&["up", "--dry-run"]);
    assert_says(&plan, "table `people` has the trigger `noted`");
}

pub(super) fn a_migration_before_may_make_the_table(backend: Backend) {
    let sandbox = bare(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9));\nINSERT INTO t VALUES (1, 'x');",
        "",
    );
    sandbox.migration("002_drop", "ALTER TABLE t DROP COLUMN a;", "");
    sandbox.ok(&["up", "-y"]);
    assert_eq!(copies(&sandbox).len(), 1);
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    assert_eq!(sandbox.value("SELECT a FROM t"), "x");
}
