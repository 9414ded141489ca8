//! Tables that are divided into partitions.

use serde_json::json;
use walkback_tests::{Backend, Sandbox};

use super::{name_of, project, rows, walk_back, walk_back_with_loss};

/// A table in partitions, one of which is divided again on PostgreSQL, and has its columns in another order.
fn begin(backend: Backend, more: &str) -> String {
    let columns =
        "id INTEGER NOT NULL, day INTEGER NOT NULL, a VARCHAR(10), b VARCHAR(10), PRIMARY KEY (id, day)";
    let made = if backend.is_mysql() {
        format!(
            "CREATE TABLE days ({columns}) PARTITION BY RANGE (day) (PARTITION low VALUES LESS THAN (100), PARTITION mid VALUES LESS THAN (200), PARTITION high VALUES LESS THAN MAXVALUE);"
        )
    } else {
        format!(
            "CREATE TABLE days ({columns}) PARTITION BY RANGE (day);\n\
             CREATE TABLE days_low PARTITION OF days FOR VALUES FROM (0) TO (100);\n\
             CREATE TABLE days_mid PARTITION OF days FOR VALUES FROM (100) TO (200) PARTITION BY LIST (id);\n\
             CREATE TABLE days_mid_low (b VARCHAR(10), gone TEXT, day INTEGER NOT NULL, a VARCHAR(10), id INTEGER NOT NULL);\n\
             ALTER TABLE days_mid_low DROP COLUMN gone;\n\
             ALTER TABLE days_mid ATTACH PARTITION days_mid_low FOR VALUES IN (1, 2, 3, 4);\n\
             CREATE TABLE days_mid_rest PARTITION OF days_mid DEFAULT;"
        )
    };
    let days = [10, 110, 210].map(|day| {
        if day == 210 && !backend.is_mysql() {
            return String::new();
        }
        format!(
            "INSERT INTO days VALUES (1, {day}, 'a', 'b'), (2, {day}, 'c', 'd'), (3, {day}, 'e', 'f'), (4, {day}, 'g', 'h'), (5, {day}, 'i', 'j');\n"
        )
    });
    format!(
        "{made}\nCREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, a VARCHAR(10));\nINSERT INTO t VALUES (1, 'a');\n{more}\n{}",
        days.concat()
    )
}

/// The rows of one day.
fn days(sandbox: &Sandbox, day: u32) -> String {
    let of_day = format!("(SELECT * FROM days WHERE day = {day}) AS of_day");
    rows(sandbox, &of_day, "id, coalesce(a, '-'), coalesce(b, '-')")
}

pub(crate) fn rows_of_partitions_go_back_where_they_are(backend: Backend) {
    // On MySQL no foreign key may lead to a table that is divided.
    let notes = if backend.is_mysql() {
        ""
    } else {
        "CREATE TABLE notes (id INTEGER NOT NULL PRIMARY KEY, of_id INTEGER, of_day INTEGER, FOREIGN KEY (of_id, of_day) REFERENCES days ON DELETE CASCADE);"
    };
    let change = "UPDATE days SET a = 'm' WHERE id <= 3;\nDELETE FROM days WHERE id = 4;\nINSERT INTO days VALUES (8, 10, 'n', 'n'), (9, 10, 'n', 'n'), (9, 110, 'n', 'n');\n\
        UPDATE days SET day = 111 WHERE day = 10 AND id = 5;\nUPDATE t SET a = 'm';";
    let sandbox = project(backend, &begin(backend, notes), change);
    sandbox.sql("UPDATE days SET a = 'since' WHERE id = 1; UPDATE days SET b = 'since' WHERE id = 2");
    sandbox.sql("DELETE FROM days WHERE id = 3 AND day = 110; INSERT INTO days VALUES (7, 10, 'new', 'new'), (4, 110, 'again', 'new')");
    sandbox.sql("UPDATE days SET b = 'since' WHERE day = 111");
    if !backend.is_mysql() {
        sandbox.sql("CREATE TABLE days_high PARTITION OF days FOR VALUES FROM (200) TO (300)");
        sandbox.sql("INSERT INTO notes VALUES (1, 9, 110)");
        sandbox.sql("INSERT INTO days VALUES (1, 210, 'new', 'new')");
    }
    let now = sandbox.contents();
    let changes = walk_back(&sandbox, &[]);
    let names: Vec<_> = changes.as_array().expect("a list").iter().map(name_of).collect();
    let kept = if backend.is_mysql() { "" } else { " 9|n|n" };
    assert_eq!(
        days(&sandbox, 10),
        "1|since|b 2|c|since 3|e|f 4|g|h 5|i|j 7|new|new",
        "{names:?}"
    );
    assert_eq!(
        days(&sandbox, 110),
        format!("1|since|b 2|c|since 4|again|new 5|i|j{kept}")
    );
    assert_eq!(days(&sandbox, 111), "5|i|since");
    if !backend.is_mysql() {
        assert_eq!(days(&sandbox, 210), "1|new|new");
        assert_eq!(sandbox.value("SELECT count(*) FROM notes"), "1");
    }
    sandbox.assert_sound();
    sandbox.ok(&["rollback", "-y"]);
    if backend == Backend::PostgresNewest {
        // What says there that a column of a partition must not be `NULL` has a name of its own afterwards.
        assert_eq!(days(&sandbox, 110), "1|since|b 2|m|since 4|again|new 5|i|j 9|n|n");
    } else {
        sandbox.assert_contents(&now, "after a rollback of the rollback");
    }
}

/// All rows behind the migration that changes definitions, those of each partition as far as it has a name.
fn all(sandbox: &Sandbox) -> Vec<String> {
    let mut tables = vec!["days"];
    if !sandbox.backend().is_mysql() {
        tables.extend(["days_low", "days_mid", "days_mid_low", "days_mid_rest"]);
    }
    let all = tables.into_iter().map(|table| {
        let of_table = format!("(SELECT id * 1000 + day AS id, a, c FROM {table}) AS of_table");
        rows(sandbox, &of_table, "id, coalesce(a, '-'), coalesce(c, 0)")
    });
    all.collect()
}

pub(crate) fn partitions_keep_what_was_written_since_a_definition_was_changed(backend: Backend) {
    let change = "ALTER TABLE days ADD COLUMN c INTEGER;\nUPDATE days SET c = id, a = 'm' WHERE id <= 3;\nDELETE FROM days WHERE id = 4;\nALTER TABLE days DROP COLUMN b;\nUPDATE t SET a = 'm';";
    // Elsewhere a trigger keeps from being put back what a rollback has taken away.
    let trigger = match backend.is_mysql() {
        true => String::new(),
        false => backend.trigger("noted", "AFTER UPDATE", "days", "UPDATE t SET a = 'fired'"),
    };
    let sandbox = project(backend, &begin(backend, &trigger), change);
    sandbox.sql("UPDATE days SET a = 'since' WHERE id = 1; UPDATE days SET c = 77 WHERE id = 2");
    sandbox.sql("DELETE FROM days WHERE id = 3 AND day = 110; INSERT INTO days VALUES (7, 10, 'new', 7), (6, 110, 'new', 6)");
    let now = all(&sandbox);
    let changes = walk_back_with_loss(&sandbox, &[]);
    assert_eq!(
        days(&sandbox, 10),
        "1|since|b 2|c|d 3|e|f 4|g|h 5|i|j 7|new|-",
        "{changes}"
    );
    assert_eq!(
        days(&sandbox, 110),
        "1|since|b 2|c|d 4|g|h 5|i|j 6|new|-",
        "{changes}"
    );
    sandbox.assert_sound();
    // It has fired since as well.
    let in_t = if backend.is_mysql() { "a" } else { "fired" };
    assert_eq!(sandbox.value("SELECT a FROM t"), in_t);
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(all(&sandbox), now, "after a rollback of the rollback");
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    sandbox.ok(&["up", "-y"]);
    assert_eq!(
        sandbox.value("SELECT c FROM days WHERE id = 2 AND day = 10"),
        "77",
        "what the rollback took away comes back with the migration"
    );
}

pub(crate) fn a_partition_that_was_made_since_is_not_lost(backend: Backend) {
    let change = "ALTER TABLE days DROP COLUMN b;\nALTER TABLE days ADD COLUMN c INTEGER DEFAULT 5 CHECK (c < 100);\n\
        CREATE INDEX days_c ON days (c);\nALTER TABLE days ALTER COLUMN a TYPE TEXT;\nUPDATE days SET a = 'm' WHERE id = 2;\nUPDATE t SET a = 'm';";
    let sandbox = project(backend, &begin(backend, ""), change);
    sandbox.sql("CREATE TABLE days_high PARTITION OF days FOR VALUES FROM (200) TO (300)");
    // One below a partition, too.
    sandbox.sql("ALTER TABLE days_mid DETACH PARTITION days_mid_rest; CREATE TABLE days_mid_five PARTITION OF days_mid FOR VALUES IN (5, 6, 7)");
    sandbox.sql("INSERT INTO days SELECT * FROM days_mid_rest; DROP TABLE days_mid_rest; CREATE TABLE days_mid_rest PARTITION OF days_mid DEFAULT");
    sandbox.sql("INSERT INTO days VALUES (1, 210, 'new', 77), (2, 210, 'new', DEFAULT), (6, 110, 'new', 8)");
    sandbox.sql("UPDATE days SET a = 'since' WHERE id = 1 AND day = 10");
    let now = all(&sandbox);
    let changes = walk_back_with_loss(&sandbox, &[]);
    assert_eq!(
        days(&sandbox, 10),
        "1|since|b 2|c|d 3|e|f 4|g|h 5|i|j",
        "{changes}"
    );
    assert_eq!(days(&sandbox, 210), "1|new|- 2|new|-", "{changes}");
    let columns = |table: &str| {
        sandbox.value(&format!(
            "SELECT string_agg(concat_ws(' ', column_name, data_type, is_nullable, column_default), ', ' ORDER BY column_name) \
             FROM information_schema.columns WHERE table_name = '{table}'"
        ))
    };
    assert_eq!(
        columns("days_high"),
        columns("days_low"),
        "a partition made since is like the others"
    );
    let left = "SELECT count(*) FROM pg_constraint WHERE conrelid = 'days_high'::regclass AND contype <> 'n'";
    assert_eq!(sandbox.value(left), "1", "a constraint of the migration is left");
    sandbox.assert_sound();
    // What goes from it comes back with the next up, and with a rollback of the rollback.
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(all(&sandbox), now, "after a rollback of the rollback");
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    sandbox.ok(&["up", "-y"]);
    assert_eq!(
        sandbox.value("SELECT c FROM days WHERE id = 1 AND day = 210"),
        "77"
    );
}

pub(crate) fn a_partition_made_since_whose_columns_may_have_another_name_is_not_guessed_at(backend: Backend) {
    let change = "ALTER TABLE days RENAME COLUMN a TO x;\nUPDATE days SET x = 'm' WHERE id = 2;";
    let sandbox = project(backend, &begin(backend, ""), change);
    sandbox.sql("CREATE TABLE days_high PARTITION OF days FOR VALUES FROM (200) TO (300)");
    sandbox.sql("INSERT INTO days VALUES (1, 210, 'new', 'new')");
    let now = sandbox.contents();
    let refused = sandbox.run(&["rollback", "-n", "1", "-y"]);
    assert_ne!(refused.code, Some(0), "{}", refused.transcript());
    assert!(
        refused.stderr.contains("DETACH PARTITION"),
        "{}",
        refused.transcript()
    );
    sandbox.assert_contents(&now, "after a refusal");
}

pub(crate) fn partitions_that_were_added_and_dropped_since_stay_so(backend: Backend) {
    let begin = "CREATE TABLE days (id INTEGER NOT NULL, day INTEGER NOT NULL, a VARCHAR(40) COMMENT 'PARTITION BY x', b VARCHAR(10), PRIMARY KEY (id, day)) \
        PARTITION BY RANGE (day) (PARTITION old VALUES LESS THAN (100), PARTITION mid VALUES LESS THAN (200));\n\
        INSERT INTO days VALUES (1, 10, 'a', 'b'), (1, 110, 'a', 'b'), (2, 110, 'c', 'd');";
    let change = "UPDATE days SET a = 'm' WHERE id = 2;\nALTER TABLE days DROP COLUMN b;";
    let sandbox = project(backend, begin, change);
    sandbox.sql("ALTER TABLE days DROP PARTITION old; ALTER TABLE days ADD PARTITION (PARTITION high VALUES LESS THAN (300))");
    sandbox.sql(
        "INSERT INTO days VALUES (3, 210, 'new'), (3, 110, 'new'); UPDATE days SET a = 'since' WHERE id = 1",
    );
    let changes = walk_back(&sandbox, &[]);
    assert_eq!(days(&sandbox, 10), "NULL", "{changes}");
    assert_eq!(days(&sandbox, 110), "1|since|b 2|c|d 3|new|-", "{changes}");
    assert_eq!(days(&sandbox, 210), "3|new|-", "{changes}");
    let partitions = "SELECT group_concat(partition_name ORDER BY partition_ordinal_position) FROM information_schema.partitions \
        WHERE table_schema = DATABASE() AND table_name = 'days'";
    assert_eq!(sandbox.value(partitions), "mid,high");
    sandbox.assert_sound();
    sandbox.ok(&["up", "-y"]);
    assert_eq!(sandbox.value(partitions), "mid,high");
}

pub(crate) fn what_is_written_to_partitions_under_another_name_stays(backend: Backend) {
    let change = "ALTER TABLE days RENAME COLUMN a TO x;\nALTER TABLE days RENAME TO dates;\nALTER TABLE dates DROP COLUMN b;\nUPDATE dates SET x = 'm' WHERE id = 2;";
    let sandbox = project(backend, &begin(backend, ""), change);
    sandbox.sql("UPDATE dates SET x = 'since' WHERE id IN (1, 2); DELETE FROM dates WHERE id = 3; INSERT INTO dates (id, day, x) VALUES (7, 110, 'new')");
    let changes = walk_back_with_loss(&sandbox, &[]);
    assert_eq!(days(&sandbox, 10), "1|since|b 2|since|d 4|g|h 5|i|j", "{changes}");
    assert_eq!(
        days(&sandbox, 110),
        "1|since|b 2|since|d 4|g|h 5|i|j 7|new|-",
        "{changes}"
    );
    sandbox.assert_sound();
}

pub(crate) fn a_partition_whose_table_goes_is_not_left_alone(backend: Backend) {
    let change = "ALTER TABLE days RENAME TO dates;\nUPDATE dates SET a = 'm' WHERE id = 2;";
    let sandbox = project(backend, &begin(backend, ""), change);
    sandbox.sql("CREATE TABLE days_high PARTITION OF dates FOR VALUES FROM (200) TO (300)");
    sandbox.sql("INSERT INTO dates VALUES (1, 210, 'new', 'new')");
    let now = sandbox.contents();
    let refused = sandbox.run(&["rollback", "-n", "1", "-y"]);
    assert_eq!(refused.code, Some(6), "{}", refused.transcript());
    assert!(
        refused.stderr.contains("DETACH PARTITION"),
        "{}",
        refused.transcript()
    );
    sandbox.assert_contents(&now, "after a refusal");
}

pub(crate) fn tables_that_inherit_go_back_from_the_point(backend: Backend) {
    let begin = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, a VARCHAR(10));\nCREATE TABLE u (PRIMARY KEY (id)) INHERITS (t);\n\
        INSERT INTO t VALUES (1, 'a');\nINSERT INTO u VALUES (2, 'b');";
    let sandbox = project(backend, begin, "UPDATE t SET a = 'm';");
    sandbox.sql("UPDATE u SET a = 'since'");
    let plan = sandbox.ok(&["rollback", "--dry-run", "--json"]).json();
    let step = &plan["plan"]["steps"][0];
    assert_eq!(step["kind"], "full", "{plan}");
    assert!(
        step["reason"]
            .as_str()
            .is_some_and(|why| why.contains("inherits")),
        "{plan}"
    );
    assert_ne!(step["loss"], json!([]), "{plan}");
}

pub(crate) fn indexes_of_partitions_keep_their_names(backend: Backend) {
    // Two alike: which of those of a partition is whose is told by nothing but its name.
    let more =
        "CREATE INDEX z_by_b ON days (b);\nCREATE INDEX by_b ON days (b);\nCREATE INDEX m_by_b ON days (b);";
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration("001_begin", &begin(backend, more), "");
    sandbox.ok(&["up", "-y"]);
    let whose = || {
        sandbox.value(
            "SELECT string_agg(inhrelid::regclass || ' of ' || inhparent::regclass, ', ' ORDER BY inhrelid::regclass::text) \
             FROM pg_inherits WHERE inhrelid::regclass::text LIKE '%idx%'",
        )
    };
    let before = whose();
    assert!(before.contains("days_low_b_idx of z_by_b"), "{before}");
    sandbox.migration("002_change", "ALTER TABLE days DROP COLUMN a;", "");
    sandbox.ok(&["up", "-y"]);
    walk_back(&sandbox, &[]);
    assert_eq!(whose(), before);
}
