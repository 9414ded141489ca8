//! What only PostgreSQL has: schemas, cascades, owners, rights.

use walkback_tests::Backend;

use super::{aside, assert_says, bare, project};

pub(super) fn what_cascades_goes_and_comes_back(backend: Backend) {
    let sandbox = project(backend);
    sandbox.sql(
        "CREATE VIEW v AS SELECT id, name FROM parent; \
         CREATE VIEW \"v of v\" AS SELECT id FROM v; \
         COMMENT ON VIEW v IS 'a view'; GRANT SELECT ON v TO PUBLIC; \
         COMMENT ON CONSTRAINT t_parent ON t IS 'why'",
    );
    let before = sandbox.contents();
    sandbox.migration("002_drop", "DROP TABLE parent CASCADE;", "");
    let plan = sandbox.ok(&["up", "--dry-run"]);
    assert_says(&plan, "moved aside for 30 days");
    sandbox.ok(&["up", "-y"]);
    assert_eq!(aside(&sandbox).len(), 1);
    assert_eq!(
        sandbox.value("SELECT count(*) FROM pg_views WHERE schemaname = 'public'"),
        "0"
    );
    sandbox.sql("INSERT INTO t (a, parent_id) VALUES ('no key holds it', 2)");
    sandbox.sql("DELETE FROM t WHERE a = 'no key holds it'");
    sandbox.sql("DELETE FROM log WHERE ctid = (SELECT max(ctid) FROM log); SELECT setval('t_id_seq', 3)");
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "");
    sandbox.migration("002_drop", "DROP TABLE parent;", "");
    let refused = sandbox.run(&["up", "-y"]);
    assert_eq!(refused.code, Some(1), "{}", refused.transcript());
    assert_says(&refused, "other objects depend on it");
    sandbox.assert_contents(&before, "");
}

pub(super) fn comments_grants_owners_and_settings_come_back(backend: Backend) {
    let sandbox = project(backend);
    sandbox.sql(
        "COMMENT ON TABLE t IS 'it''s'; COMMENT ON COLUMN t.a IS 'a'; COMMENT ON INDEX t_b IS 'i'; \
         COMMENT ON TRIGGER t_noted ON t IS 'tr'; COMMENT ON CONSTRAINT t_parent ON t IS 'fk'; \
         GRANT SELECT, UPDATE (a) ON t TO PUBLIC; ALTER TABLE t ENABLE ROW LEVEL SECURITY; \
         CREATE POLICY p ON t USING (b > 0); CREATE STATISTICS s ON a, b FROM t; \
         ALTER TABLE t DISABLE TRIGGER t_noted; ALTER TABLE t ALTER a SET STATISTICS 7; \
         CREATE TABLE i (id BIGINT GENERATED ALWAYS AS IDENTITY (START WITH 50)); INSERT INTO i DEFAULT VALUES",
    );
    let before = sandbox.contents();
    let owner = |name: &str| {
        sandbox.value(&format!(
            "SELECT relowner::regrole::text FROM pg_class WHERE relname = '{name}'"
        ))
    };
    let owned = owner("t");
    sandbox.migration("002_drop", "DROP TABLE t, i;", "");
    sandbox.ok(&["up", "-y"]);
    assert_eq!(aside(&sandbox).len(), 2);
    assert_eq!(sandbox.value("SELECT count(*) FROM pg_statistic_ext"), "0");
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "");
    assert_eq!(owner("t"), owned);
    sandbox.sql("INSERT INTO i DEFAULT VALUES");
    assert_eq!(sandbox.value("SELECT max(id) FROM i"), "51");
}

pub(super) fn what_cannot_be_moved_is_kept_in_the_point_and_said(backend: Backend) {
    let sandbox = bare(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE p (id INTEGER) PARTITION BY RANGE (id);\n\
         CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);\nINSERT INTO p VALUES (1);\n\
         CREATE TABLE m (id INTEGER PRIMARY KEY);\nINSERT INTO m VALUES (1);\n\
         CREATE MATERIALIZED VIEW mv AS SELECT id FROM m;",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    sandbox.migration("002_drop", "DROP TABLE p;", "");
    let plan = sandbox.ok(&["up", "--dry-run"]);
    assert_says(&plan, "kept in the point, not moved aside: `p` has partitions");
    sandbox.ok(&["up", "-y"]);
    assert!(aside(&sandbox).is_empty());
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "");
    // What the real statement takes along is seen when it is tried.
    sandbox.migration("002_drop", "DROP TABLE m CASCADE;", "");
    let up = sandbox.ok(&["up", "-y"]);
    assert_says(&up, "could not be moved aside, and is kept in its point");
    assert_says(&up, "materialized view `mv` goes along");
    assert!(aside(&sandbox).is_empty());
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "");
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^_walkback_dropped_'";
    assert_eq!(sandbox.value(left), "0");
}

pub(super) fn types_and_functions_that_only_the_table_used_can_be_dropped_by_the_same_script(
    backend: Backend,
) {
    let sandbox = bare(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TYPE mood AS ENUM ('ok', 'bad');\n\
         CREATE TABLE m (id INTEGER PRIMARY KEY, mood mood);\nINSERT INTO m VALUES (1, 'ok');\n\
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;\n\
         CREATE TRIGGER tr BEFORE INSERT ON m FOR EACH ROW EXECUTE FUNCTION f();",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    sandbox.migration("002_drop", "DROP TABLE m;\nDROP FUNCTION f();", "");
    sandbox.ok(&["up", "-y"]);
    assert_eq!(aside(&sandbox).len(), 1);
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "a function of a trigger");
    sandbox.migration(
        "002_drop",
        "DROP TABLE m;\nDROP FUNCTION f();\nDROP TYPE mood;",
        "",
    );
    let up = sandbox.ok(&["up", "-y"]);
    assert_says(&up, "a later statement of the script drops what it uses");
    assert!(aside(&sandbox).is_empty());
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "a type");
    // By a later migration, the type is held as long as the table is there.
    sandbox.migration("002_drop", "DROP TABLE m;", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.migration("003_type", "DROP TYPE mood;", "");
    let refused = sandbox.run(&["up", "-y"]);
    assert_eq!(refused.code, Some(1), "{}", refused.transcript());
    assert_says(&refused, "walkback purge --all");
    sandbox.ok(&["purge", "--all", "-y"]);
    sandbox.ok(&["up", "-y"]);
}
