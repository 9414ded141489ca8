//! What the journeys compare by: it must see every difference, on each engine, or they prove nothing.

use std::process::ExitCode;

use walkback_tests::{Backend, EVERYWHERE, MYSQL, POSTGRES, SERVERS, Sandbox, journeys};

fn main() -> ExitCode {
    walkback_tests::main(
        "contents",
        &journeys! {
            EVERYWHERE => [values_of_different_types_and_null_differ, every_change_of_a_definition_is_seen],
            SERVERS => [positions_of_counters_and_the_order_of_rows_are_no_difference],
            POSTGRES => [what_only_postgres_has_is_seen],
            MYSQL => [what_only_mysql_has_is_seen],
        },
    )
}

fn empty(backend: Backend) -> Sandbox {
    Sandbox::on(backend, env!("CARGO_BIN_EXE_walkback-under-test"))
}

fn values_of_different_types_and_null_differ(backend: Backend) {
    let mut seen = Vec::new();
    let float = backend.float_type();
    for (kind, value) in [
        ("INTEGER", "1"),
        (float, "1.0"),
        (float, "1.0000000000000002"),
        (float, "NULL"),
        ("VARCHAR(9)", "'1'"),
        ("VARCHAR(9)", "'NULL'"),
        ("VARCHAR(9)", "'1 '"),
        ("VARCHAR(9)", "'🐘'"),
        ("VARCHAR(9)", "'é'"),
        ("VARCHAR(9)", "NULL"),
        (backend.bytes_type(), &backend.bytes("31")),
    ] {
        let sandbox = empty(backend);
        sandbox.sql(&format!(
            "CREATE TABLE t (a {kind}); INSERT INTO t VALUES ({value})"
        ));
        let rows = sandbox.contents().rows["t"].clone();
        assert_eq!(rows.len(), 1);
        if value != "NULL" {
            assert!(
                !seen.contains(&rows),
                "{kind} {value} is taken for another: {rows:?}"
            );
        }
        seen.push(rows);
    }
}

/// Runs each change upon the same beginning, and expects it to be seen.
fn seen(backend: Backend, begin: &str, changes: &[&str]) {
    for change in changes {
        let sandbox = empty(backend);
        sandbox.sql(begin);
        let before = sandbox.contents();
        assert_eq!(sandbox.contents(), before);
        sandbox.sql(change);
        assert_ne!(sandbox.contents(), before, "not seen: {change}");
    }
}

const BEGIN: &str = "CREATE TABLE p (id INTEGER PRIMARY KEY, a VARCHAR(20) NOT NULL DEFAULT 'x', b INTEGER CHECK (b > 0));\n\
    CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER, FOREIGN KEY (p) REFERENCES p (id));\n\
    CREATE INDEX p_a ON p (a); CREATE VIEW v AS SELECT a FROM p; INSERT INTO p VALUES (1, 'one', 1), (2, 'two', 2);";

fn every_change_of_a_definition_is_seen(backend: Backend) {
    let drop_index = backend.drop_index("p_a", "p");
    let trigger = backend.trigger("noted", "AFTER UPDATE", "p", "INSERT INTO c (id) VALUES (7)");
    seen(
        backend,
        BEGIN,
        &[
            &drop_index,
            &trigger,
            "CREATE UNIQUE INDEX p_b ON p (b)",
            "DROP VIEW v",
            "DROP VIEW v; CREATE VIEW v AS SELECT b FROM p",
            "ALTER TABLE c ADD COLUMN z INTEGER",
            "DROP TABLE c",
            "DROP TABLE c; CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER)",
            "DROP TABLE c; CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)",
            "DROP TABLE c; CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER NOT NULL, FOREIGN KEY (p) REFERENCES p (id))",
            "CREATE TABLE z (a INTEGER)",
            "UPDATE p SET a = NULLIF('', 'x') WHERE id = 1",
            "DELETE FROM p WHERE id = 2",
            "INSERT INTO c VALUES (1, NULL)",
        ],
    );
}

fn positions_of_counters_and_the_order_of_rows_are_no_difference(backend: Backend) {
    let begin = format!(
        "CREATE TABLE t (id {}, a INTEGER); INSERT INTO t (a) VALUES (1);",
        backend.counted_key()
    );
    let (one, other) = (empty(backend), empty(backend));
    one.sql(&format!("{begin} INSERT INTO t (id, a) VALUES (7, 7), (6, 6)"));
    other.sql(&format!(
        "{begin} INSERT INTO t (a) VALUES (2); DELETE FROM t WHERE a = 2; INSERT INTO t (id, a) VALUES (6, 6), (7, 7)"
    ));
    assert_eq!(one.contents(), other.contents());
}

fn what_only_postgres_has_is_seen(backend: Backend) {
    let begin = "CREATE TYPE mood AS ENUM ('low', 'high'); CREATE DOMAIN short AS text CHECK (length(value) < 5);\n\
        CREATE SCHEMA other; CREATE TABLE other.t (id integer PRIMARY KEY, m mood, s short); CREATE SEQUENCE q;\n\
        CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1'; CREATE MATERIALIZED VIEW mv AS SELECT 1 AS a;\n\
        CREATE TABLE part (id integer) PARTITION BY RANGE (id); CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (1) TO (9);";
    seen(
        backend,
        begin,
        &[
            "ALTER TYPE mood ADD VALUE 'higher'",
            "ALTER DOMAIN short SET DEFAULT 'x'",
            "ALTER DOMAIN short ADD CONSTRAINT more CHECK (value <> '')",
            "ALTER TABLE other.t SET SCHEMA public",
            "INSERT INTO other.t VALUES (1, 'low', 'x')",
            "CREATE SCHEMA third",
            "ALTER SEQUENCE q INCREMENT 2",
            "CREATE OR REPLACE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 2'",
            "GRANT SELECT ON other.t TO pg_monitor",
            "GRANT SELECT (id) ON other.t TO pg_monitor",
            "COMMENT ON TABLE other.t IS 'said'",
            "COMMENT ON COLUMN other.t.id IS 'said'",
            "ALTER TABLE other.t ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY p ON other.t USING (id > 0)",
            "ALTER TABLE other.t REPLICA IDENTITY FULL",
            "ALTER TABLE other.t ALTER id ADD GENERATED ALWAYS AS IDENTITY",
            "ALTER TABLE other.t SET (fillfactor = 50)",
            "ALTER TABLE other.t ADD CONSTRAINT c CHECK (id > 0) NOT VALID",
            "ALTER TABLE other.t OWNER TO pg_monitor",
            "ALTER TABLE part DETACH PARTITION part1",
            "DROP MATERIALIZED VIEW mv",
            "CREATE RULE r AS ON DELETE TO other.t DO INSTEAD NOTHING",
            "CREATE STATISTICS st ON id, m FROM other.t",
        ],
    );
}

fn what_only_mysql_has_is_seen(backend: Backend) {
    let begin = "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(20), n INTEGER UNSIGNED DEFAULT 1, KEY t_a (a(5)));\n\
        CREATE PROCEDURE p() SELECT 1; CREATE FUNCTION f() RETURNS INTEGER DETERMINISTIC RETURN 1;\n\
        CREATE EVENT e ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01' DO DELETE FROM t;\n\
        CREATE TABLE part (id INTEGER) PARTITION BY HASH (id) PARTITIONS 2;";
    seen(
        backend,
        begin,
        &[
            "ALTER TABLE t MODIFY n INTEGER DEFAULT 1",
            "ALTER TABLE t MODIFY n INTEGER UNSIGNED DEFAULT 2",
            "ALTER TABLE t MODIFY a VARCHAR(20) CHARACTER SET latin1",
            "ALTER TABLE t MODIFY a VARCHAR(20) COLLATE utf8mb4_bin",
            "ALTER TABLE t MODIFY a VARCHAR(20) COMMENT 'said'",
            "ALTER TABLE t MODIFY a VARCHAR(20) AFTER n",
            "ALTER TABLE t ADD CONSTRAINT positive CHECK (n > 0)",
            "ALTER TABLE t DROP KEY t_a, ADD KEY t_a (a(6))",
            "ALTER TABLE t DROP KEY t_a, ADD UNIQUE KEY t_a (a(5))",
            "ALTER TABLE t ADD g INTEGER AS (n + 1) STORED",
            "ALTER TABLE t COMMENT 'said'",
            "ALTER TABLE t ENGINE = MyISAM",
            "ALTER TABLE t ROW_FORMAT = COMPRESSED",
            "DROP PROCEDURE p",
            "DROP FUNCTION f; CREATE FUNCTION f() RETURNS INTEGER DETERMINISTIC RETURN 2",
            "ALTER EVENT e DISABLE",
            "ALTER TABLE part ADD PARTITION PARTITIONS 1",
        ],
    );
}
