//! What each statement is said to do, in each dialect.

use walkback_core::DialectKind::{self, Mysql, Postgres, Sqlite};
use walkback_core::name::ObjectKind;
use walkback_core::statement::{Action, Severity};
use walkback_core::{Effect, Statement, TableName};

fn statement(sql: &str) -> Statement {
    Statement {
        sql: sql.to_owned(),
        line: 1,
        touches: Vec::new(),
    }
}

fn effect(kind: DialectKind, sql: &str) -> Effect {
    walkback_sql::effect(kind, &statement(sql))
}

/// Checks what a statement is said to do, in the words of the plan.
#[track_caller]
fn does(kind: DialectKind, sql: &str, wanted: &str) {
    assert_eq!(effect(kind, sql).to_string(), wanted, "{kind}: {sql}");
}

#[track_caller]
fn all_do(sql: &str, wanted: &str) {
    for kind in DialectKind::ALL {
        does(kind, sql, wanted);
    }
}

#[track_caller]
fn is_unknown(kind: DialectKind, sql: &str) {
    assert_eq!(
        effect(kind, sql).severity(),
        Severity::Unknown,
        "{kind}: {sql}: {}",
        effect(kind, sql)
    );
}

#[test]
fn reading_is_reading() {
    for sql in [
        "SELECT 1",
        "select count(*), max(a) from t where lower(b) like 'x'",
        "VALUES (1, 2)",
        "(SELECT 1) UNION (SELECT 2)",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "EXPLAIN SELECT 1",
        "SELECT coalesce(a, replace(b, 'c', 'd')) FROM t WHERE a IN (1, 2) AND EXISTS (SELECT 1)",
        "SELECT 'delete from t; drop table t'",
    ] {
        all_do(sql, "reads");
    }
    does(Mysql, "SHOW CREATE TABLE t", "reads");
    does(
        Mysql,
        "SELECT IF(a, 1, 2), GET_LOCK('a', 1), DATE_FORMAT(NOW(), '%Y') FROM t",
        "reads",
    );
    does(
        Postgres,
        "SELECT a::numeric(10, 2), now(), date_trunc('day', b) FROM t AS x (a, b)",
        "reads",
    );
    does(Postgres, "COPY t TO STDOUT", "reads");
    does(Postgres, "EXPLAIN (FORMAT json) DELETE FROM t", "reads");
    does(Sqlite, "SELECT my_own_function(1) FROM t", "reads");
    does(Sqlite, "PRAGMA table_info(t)", "sets the session");
    does(Sqlite, "EXPLAIN QUERY PLAN DELETE FROM t", "reads");
}

#[test]
fn a_query_that_writes_is_seen() {
    does(
        Postgres,
        "WITH gone AS (DELETE FROM a RETURNING *) SELECT * FROM gone",
        "deletes from `a`",
    );
    does(
        Postgres,
        "WITH gone AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM gone",
        "deletes from `a`, inserts into `b`",
    );
    for kind in DialectKind::ALL {
        does(
            kind,
            "WITH x AS (SELECT 1) UPDATE t SET a = 1 WHERE b IN (SELECT * FROM x)",
            "updates `t`",
        );
        does(
            kind,
            "WITH x (a, b) AS (SELECT 1, 2), y AS (SELECT 3) DELETE FROM t WHERE a IN (SELECT a FROM x)",
            "deletes from `t`",
        );
    }
    does(Postgres, "SELECT * INTO copy FROM t", "creates table `copy`");
    does(Postgres, "EXPLAIN ANALYZE DELETE FROM t", "deletes from `t`");
    does(
        Postgres,
        "EXPLAIN (ANALYZE, BUFFERS) UPDATE t SET a = 1",
        "updates `t`",
    );
    does(
        Postgres,
        "SELECT setval('public.t_id_seq', 5)",
        "changes sequence `public.t_id_seq`",
    );
    does(
        Postgres,
        "SELECT pg_catalog.setval('t_id_seq', (SELECT max(id) FROM t))",
        "changes sequence `t_id_seq`",
    );
}

#[test]
fn what_nobody_can_read_is_unknown() {
    for sql in [
        "DO $$ BEGIN DROP TABLE a; END $$",
        "CALL p()",
        "EXECUTE plan",
        "SELECT my_own_function(1)",
        "SELECT app.cleanup()",
        "INSERT INTO t SELECT spooky(a) FROM b",
        "DROP OWNED BY me",
        "TRUNCATE a CASCADE",
        "DROP SCHEMA s CASCADE",
        "DROP TYPE t CASCADE",
        "COPY t TO PROGRAM 'rm'",
        "FROBNICATE t",
        "CREATE FROB x",
        "UPDATE t SET a = spooky(a)",
        "IMPORT FOREIGN SCHEMA a FROM SERVER b INTO c",
        "SELECT \"Weird\"(1)",
        "CREATE TABLE a AS SELECT spooky(1) AS x",
    ] {
        is_unknown(Postgres, sql);
    }
    for sql in [
        "CALL p()",
        "EXECUTE s",
        "SELECT db.f(1)",
        "BEGIN NOT ATOMIC DROP TABLE a; END",
        "DROP DATABASE shop",
        "ALTER IGNORE TABLE t ADD UNIQUE (a)",
        "LOAD something",
    ] {
        is_unknown(Mysql, sql);
    }
    for sql in [
        "SELECT load_extension('x')",
        "FROBNICATE",
        "'",
        "ALTER TABLE t FROB",
    ] {
        is_unknown(Sqlite, sql);
    }
    for kind in DialectKind::ALL {
        assert!(effect(kind, "").actions.is_empty());
        assert!(effect(kind, "-- nothing").actions.is_empty());
    }
}

#[test]
fn a_write_to_the_catalog_is_unknown() {
    is_unknown(Sqlite, "UPDATE sqlite_master SET sql = 'x'");
    is_unknown(Postgres, "DELETE FROM pg_catalog.pg_class");
    is_unknown(Postgres, "UPDATE pg_enum SET enumlabel = 'x'");
    is_unknown(Mysql, "DELETE FROM mysql.user");
}

#[test]
fn no_nesting_is_too_deep_to_answer() {
    for kind in DialectKind::ALL {
        for (open, close) in [
            ("(", ")"),
            ("EXPLAIN ANALYZE ", ""),
            ("WITH a AS (", ")"),
            ("UPDATE (", ")"),
            ("CASE WHEN ", " END"),
        ] {
            let sql = format!("{}SELECT 1{}", open.repeat(50_000), close.repeat(50_000));
            assert!(!effect(kind, &sql).actions.is_empty());
        }
    }
    is_unknown(
        Postgres,
        &format!("SELECT {}1{}", "(".repeat(300), ")".repeat(300)),
    );
}

#[test]
fn an_annotation_answers_for_the_unknown() {
    let mut call = statement("CALL p()");
    call.touches = vec![TableName::new("a"), TableName::in_schema("s", "b")];
    for kind in [Postgres, Mysql] {
        assert_eq!(
            walkback_sql::effect(kind, &call).to_string(),
            "updates `a`, updates `s.b`"
        );
    }
    // What can be read is not softened by it.
    let mut drop = statement("DROP TABLE x");
    drop.touches = vec![TableName::new("a")];
    assert_eq!(
        walkback_sql::effect(Postgres, &drop).to_string(),
        "drops table `x`"
    );
}

#[test]
fn several_statements_in_one_all_count() {
    all_do("SELECT 1; DROP TABLE t", "drops table `t`");
}

#[test]
fn rows_are_written() {
    all_do("INSERT INTO t (a, b) VALUES (1, 2)", "inserts into `t`");
    all_do("insert into s.t select * from u", "inserts into `s.t`");
    all_do("UPDATE t SET a = 1 WHERE b = 2", "updates `t`");
    all_do("DELETE FROM t", "deletes from `t`");
    for sql in [
        "REPLACE INTO t VALUES (1)",
        "INSERT OR REPLACE INTO t VALUES (1)",
        "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1",
    ] {
        does(Sqlite, sql, "inserts into or overwrites `t`");
    }
    does(Sqlite, "INSERT OR IGNORE INTO t VALUES (1)", "inserts into `t`");
    does(
        Sqlite,
        "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
        "inserts into `t`",
    );
    does(
        Sqlite,
        "UPDATE OR REPLACE t SET a = 1",
        "updates `t`, deletes from `t`",
    );
    does(Sqlite, "UPDATE [my t] SET a = 1", "updates `my t`");
    does(
        Postgres,
        "INSERT INTO t AS x (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = excluded.a",
        "inserts into or overwrites `t`",
    );
    does(
        Postgres,
        "UPDATE ONLY \"T\" AS x SET a = y.a FROM y",
        "updates `T`",
    );
    does(
        Postgres,
        "DELETE FROM ONLY a USING b WHERE a.x = b.x",
        "deletes from `a`",
    );
    does(
        Postgres,
        "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1)",
        "deletes from `t`, inserts into `t`",
    );
    does(
        Postgres,
        "TRUNCATE TABLE ONLY a, s.b RESTART IDENTITY",
        "empties `a`, empties `s.b`",
    );
    does(
        Postgres,
        "COPY t (a, b) FROM stdin;\n1\t2\n\\.",
        "inserts into `t`",
    );
    does(
        Mysql,
        "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = VALUES(a)",
        "inserts into or overwrites `t`",
    );
    does(Mysql, "INSERT IGNORE t SET a = 1", "inserts into `t`");
    does(Mysql, "REPLACE t VALUES (1)", "inserts into or overwrites `t`");
    does(
        Mysql,
        "LOAD DATA LOCAL INFILE 'x' REPLACE INTO TABLE t",
        "inserts into or overwrites `t`",
    );
    does(Mysql, "TRUNCATE t", "empties `t`");
    does(Mysql, "/*!40000 DELETE FROM t */", "deletes from `t`");
}

#[test]
fn a_join_of_mysql_changes_what_it_names() {
    does(Mysql, "UPDATE a JOIN b ON a.x = b.x SET a.y = b.y", "updates `a`");
    does(
        Mysql,
        "UPDATE a AS p INNER JOIN shop.b q ON p.x = q.x SET q.y = 1, p.z = 2",
        "updates `shop.b`, updates `a`",
    );
    does(Mysql, "UPDATE a, b SET y = 1", "updates `a`, updates `b`");
    does(
        Mysql,
        "DELETE p, q FROM a AS p JOIN b AS q ON p.x = q.x",
        "deletes from `a`, deletes from `b`",
    );
    does(
        Mysql,
        "DELETE FROM p USING a AS p JOIN b AS q ON p.x = q.x",
        "deletes from `a`",
    );
    does(Mysql, "DELETE a.* FROM a WHERE b = 1", "deletes from `a`");
}

#[test]
fn creations_are_named() {
    all_do(
        "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, a TEXT DEFAULT (lower('x')))",
        "creates table `t`",
    );
    all_do("CREATE TABLE copy AS SELECT * FROM t", "creates table `copy`");
    all_do("CREATE UNIQUE INDEX i ON t (a, lower(b))", "creates index `i`");
    all_do("CREATE VIEW v AS SELECT * FROM t", "creates view `v`");
    does(
        Postgres,
        "CREATE OR REPLACE VIEW v AS SELECT 1",
        "replaces view `v`",
    );
    does(
        Sqlite,
        "CREATE TRIGGER tr AFTER DELETE ON t BEGIN DELETE FROM u; END",
        "creates trigger `tr`",
    );
    does(
        Sqlite,
        "CREATE VIRTUAL TABLE f USING fts5(a)",
        "creates table `f`",
    );
    does(Sqlite, "CREATE TEMP TABLE x (a)", "sets the session");
    does(
        Postgres,
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON ONLY s.t USING gin (a)",
        "creates index `i`",
    );
    does(Postgres, "CREATE INDEX ON t (a)", "creates index ``");
    does(
        Postgres,
        "CREATE MATERIALIZED VIEW m AS SELECT 1",
        "creates materialized view `m`",
    );
    does(Postgres, "CREATE TYPE mood AS ENUM ('a')", "creates type `mood`");
    does(
        Postgres,
        "CREATE OR REPLACE FUNCTION s.f(a int) RETURNS void AS $$ DROP TABLE t $$ LANGUAGE sql",
        "replaces routine `s.f`",
    );
    does(Postgres, "CREATE SEQUENCE s INCREMENT 5", "creates sequence `s`");
    does(
        Postgres,
        "CREATE EXTENSION IF NOT EXISTS \"uuid-ossp\"",
        "creates extension `uuid-ossp`",
    );
    does(
        Postgres,
        "CREATE POLICY p ON t USING (true)",
        "creates policy `p`",
    );
    does(
        Postgres,
        "CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING",
        "creates policy `r`",
    );
    does(
        Postgres,
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1) WITH (fillfactor = 70)",
        "creates table `p1`",
    );
    does(Postgres, "CREATE SCHEMA IF NOT EXISTS s", "creates schema `s`");
    does(
        Mysql,
        "CREATE TABLE `t` (`id` int, KEY `k` (`id`)) ENGINE=InnoDB",
        "creates table `t`",
    );
    does(
        Mysql,
        "CREATE OR REPLACE TABLE t (a int)",
        "drops table `t`, replaces table `t`",
    );
    does(
        Mysql,
        "CREATE DEFINER=`root`@`%` TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.a = f()",
        "creates trigger `tr`",
    );
    does(
        Mysql,
        "CREATE DEFINER=root@localhost PROCEDURE p() BEGIN DROP TABLE t; END",
        "creates routine `p`",
    );
    does(
        Mysql,
        "CREATE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW v AS SELECT 1",
        "creates view `v`",
    );
    does(Mysql, "CREATE FULLTEXT INDEX i ON t (a)", "creates index `i`");
}

#[test]
fn a_new_index_and_trigger_know_their_table() {
    let on = |kind, sql: &str| match effect(kind, sql).actions.as_slice() {
        [Action::Create { on: Some(on), .. }] => on.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(on(Postgres, "CREATE INDEX CONCURRENTLY i ON ONLY s.t (a)"), "s.t");
    assert_eq!(on(Mysql, "CREATE INDEX i USING BTREE ON t (a)"), "t");
    assert_eq!(
        on(
            Sqlite,
            "CREATE TRIGGER x AFTER UPDATE OF a, b ON t BEGIN SELECT 1; END"
        ),
        "t"
    );
    assert_eq!(
        on(
            Postgres,
            "CREATE TRIGGER x BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()"
        ),
        "t"
    );
}

#[test]
fn drops_are_named_one_by_one() {
    all_do("DROP TABLE IF EXISTS a, b", "drops table `a`, drops table `b`");
    all_do("DROP VIEW v", "drops view `v`");
    does(Sqlite, "DROP INDEX IF EXISTS i", "drops index `i`");
    does(
        Postgres,
        "DROP INDEX CONCURRENTLY IF EXISTS s.i, j",
        "drops index `s.i`, drops index `j`",
    );
    does(
        Postgres,
        "DROP TABLE Public.\"Users\" CASCADE",
        "drops table `public.Users`, drops object `whatever depends on it (CASCADE)`",
    );
    does(
        Postgres,
        "DROP FUNCTION IF EXISTS f(int, text), g()",
        "drops routine `f`, drops routine `g`",
    );
    does(Postgres, "DROP TRIGGER tr ON t", "drops trigger `tr`");
    does(Postgres, "DROP TYPE mood", "drops type `mood`");
    does(Mysql, "DROP INDEX i ON t", "drops index `i`");
    does(Mysql, "DROP TEMPORARY TABLE t", "sets the session");
    does(Mysql, "DROP TABLE `a`.`b` CASCADE", "drops table `a.b`");
    let severe = effect(Postgres, "DROP DATABASE shop").severity();
    assert!(severe >= Severity::Destructive);
    match effect(Mysql, "DROP INDEX i ON t").actions.as_slice() {
        [
            Action::Drop {
                kind: ObjectKind::Index,
                on: Some(on),
                ..
            },
        ] => assert_eq!(on.name, "t"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_operation_of_alter_table_is_an_action() {
    all_do(
        "ALTER TABLE t ADD COLUMN a INTEGER NOT NULL DEFAULT 0",
        "adds column `t.a`",
    );
    all_do("ALTER TABLE t ADD a INTEGER", "adds column `t.a`");
    all_do("ALTER TABLE t DROP COLUMN a", "drops column `t.a`");
    all_do("ALTER TABLE t RENAME TO u", "renames table `t` to `u`");
    all_do(
        "ALTER TABLE t RENAME COLUMN a TO b",
        "renames column `t.a` to `b`",
    );
    does(
        Postgres,
        "ALTER TABLE IF EXISTS ONLY S.T ADD COLUMN IF NOT EXISTS A int, DROP b CASCADE, ALTER COLUMN c TYPE text",
        "adds column `s.t.a`, drops column `s.t.b`, drops object `whatever depends on it (CASCADE)`, changes column `s.t.c`",
    );
    does(
        Postgres,
        "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0), DROP CONSTRAINT d",
        "creates constraint `c`, drops constraint `d`",
    );
    does(
        Postgres,
        "ALTER TABLE s.t RENAME TO u",
        "renames table `s.t` to `s.u`",
    );
    does(
        Postgres,
        "ALTER TABLE t SET SCHEMA trash",
        "renames table `t` to `trash.t`",
    );
    does(
        Postgres,
        "ALTER TABLE t RENAME a TO b",
        "renames column `t.a` to `b`",
    );
    does(
        Postgres,
        "ALTER TABLE t ALTER CONSTRAINT c DEFERRABLE",
        "changes constraint `c`",
    );
    does(Postgres, "ALTER TABLE t OWNER TO me", "changes table `t`");
    does(
        Postgres,
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        "changes table `t`",
    );
    does(
        Mysql,
        "ALTER TABLE t ENGINE=InnoDB, CONVERT TO CHARACTER SET utf8mb4",
        "changes table `t`",
    );
    does(
        Mysql,
        "ALTER TABLE t MODIFY a varchar(10), CHANGE COLUMN b c int",
        "changes column `t.a`, changes column `t.b`, renames column `t.b` to `c`",
    );
    does(
        Mysql,
        "ALTER TABLE t CHANGE `key` `key` text",
        "changes column `t.key`",
    );
    does(
        Mysql,
        "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (a, b)",
        "drops constraint `PRIMARY`, creates constraint ``",
    );
    does(
        Mysql,
        "ALTER TABLE t DROP FOREIGN KEY f, DROP INDEX i, DROP KEY k, ADD INDEX j (a), ADD UNIQUE u (b)",
        "drops constraint `f`, drops index `i`, drops index `k`, creates index `j`, creates index `u`",
    );
    does(
        Mysql,
        "ALTER TABLE t ADD (a int, b varchar(10)), ALGORITHM=INPLACE, LOCK=NONE",
        "adds column `t.a`, adds column `t.b`, maintains storage",
    );
    does(
        Mysql,
        "ALTER TABLE t DROP PARTITION p",
        "deletes from `t`, changes table `t`",
    );
    does(Mysql, "ALTER TABLE t TRUNCATE PARTITION p", "empties `t`");
    does(Mysql, "ALTER TABLE a RENAME b", "renames table `a` to `b`");
    does(
        Mysql,
        "RENAME TABLE a TO x, b TO a",
        "renames table `a` to `x`, renames table `b` to `a`",
    );
    does(
        Sqlite,
        "ALTER TABLE \"my t\" RENAME [a b] TO `c`",
        "renames column `my t.a b` to `c`",
    );
    is_unknown(Postgres, "ALTER TABLE t ADD COLUMN a int DEFAULT spooky()");
}

#[test]
fn other_changes_are_named() {
    does(Postgres, "ALTER TYPE mood ADD VALUE 'x'", "changes type `mood`");
    does(
        Postgres,
        "ALTER SEQUENCE IF EXISTS s RESTART WITH 5",
        "changes sequence `s`",
    );
    does(Postgres, "ALTER INDEX i RENAME TO j", "changes index `i`");
    does(Postgres, "COMMENT ON COLUMN t.a IS 'x'", "changes comment `t.a`");
    does(Postgres, "GRANT SELECT ON t TO me", "changes grant `me`");
    does(
        Postgres,
        "ALTER SYSTEM SET x = 1",
        "changes object `server settings`",
    );
    does(Mysql, "ALTER VIEW v AS SELECT 1", "replaces view `v`");
    does(
        Mysql,
        "ALTER DATABASE shop CHARACTER SET utf8mb4",
        "changes schema `shop`",
    );
    does(
        Mysql,
        "SET GLOBAL max_connections = 5",
        "changes object `setting max_connections`",
    );
    does(
        Sqlite,
        "PRAGMA user_version = 5",
        "changes object `pragma user_version`",
    );
}

#[test]
fn sessions_transactions_and_maintenance_change_nothing() {
    for (kind, sql, wanted) in [
        (Sqlite, "PRAGMA foreign_keys = OFF", "sets the session"),
        (Sqlite, "PRAGMA foreign_keys=off", "sets the session"),
        (Sqlite, "ATTACH 'x' AS y", "sets the session"),
        (Sqlite, "VACUUM", "maintains storage"),
        (Postgres, "SET search_path = a, b", "sets the session"),
        (Postgres, "SET LOCAL lock_timeout = '1s'", "sets the session"),
        (Postgres, "VACUUM FULL t", "maintains storage"),
        (
            Postgres,
            "REFRESH MATERIALIZED VIEW CONCURRENTLY m",
            "maintains storage",
        ),
        (
            Postgres,
            "LOCK TABLE t IN EXCLUSIVE MODE",
            "controls the transaction",
        ),
        (Postgres, "PREPARE TRANSACTION 'x'", "controls the transaction"),
        (Mysql, "SET foreign_key_checks = 0, @a = 1", "sets the session"),
        (Mysql, "SET NAMES utf8mb4", "sets the session"),
        (Mysql, "USE shop", "sets the session"),
        (Mysql, "OPTIMIZE TABLE t", "maintains storage"),
        (Mysql, "PREPARE s FROM @sql", "sets the session"),
        (Postgres, "PREPARE plan AS DELETE FROM t", "sets the session"),
        (Mysql, "START TRANSACTION", "controls the transaction"),
    ] {
        does(kind, sql, wanted);
        assert_eq!(effect(kind, sql).severity(), Severity::None, "{sql}");
    }
    for sql in ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a"] {
        all_do(sql, "controls the transaction");
    }
}

#[test]
fn statements_that_refuse_a_transaction_are_known() {
    for sql in [
        "CREATE INDEX CONCURRENTLY i ON t (a)",
        "CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)",
        "DROP INDEX CONCURRENTLY i",
        "REINDEX TABLE CONCURRENTLY t",
        "REINDEX (CONCURRENTLY) TABLE t",
        "REINDEX DATABASE d",
        "REINDEX SYSTEM d",
        "VACUUM",
        "VACUUM (FULL) t",
        "CLUSTER",
        "CREATE DATABASE d",
        "DROP DATABASE d",
        "ALTER DATABASE d SET TABLESPACE t",
        "CREATE TABLESPACE t LOCATION 'x'",
        "DROP TABLESPACE t",
        "ALTER SYSTEM SET a = 1",
        "ALTER TABLE t DETACH PARTITION p CONCURRENTLY",
        "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p",
        "DISCARD ALL",
        "COMMIT PREPARED 'x'",
    ] {
        assert!(
            walkback_sql::refuses_transaction(Postgres, &statement(sql)),
            "{sql}"
        );
    }
    for sql in [
        "CREATE INDEX i ON t (a)",
        "CREATE INDEX i ON concurrently (a)",
        "CLUSTER t",
        "REINDEX TABLE t",
        "ALTER DATABASE d SET a = 1",
        "DISCARD PLANS",
        "ALTER TYPE t ADD VALUE 'x'",
        "DROP TABLE t",
        "SELECT 'VACUUM'",
        "ALTER TABLE t DETACH PARTITION p",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY m",
        "",
    ] {
        assert!(
            !walkback_sql::refuses_transaction(Postgres, &statement(sql)),
            "{sql}"
        );
    }
    for sql in [
        "VACUUM",
        "PRAGMA foreign_keys = ON",
        "PRAGMA journal_mode=WAL",
        "pragma synchronous(1)",
        "DETACH x",
        "PRAGMA main.foreign_keys=0",
    ] {
        assert!(
            walkback_sql::refuses_transaction(Sqlite, &statement(sql)),
            "{sql}"
        );
    }
    for sql in [
        "PRAGMA foreign_keys",
        "PRAGMA foreign_key_check",
        "PRAGMA user_version = 1",
        "PRAGMA defer_foreign_keys = ON",
        "DROP TABLE t",
    ] {
        assert!(
            !walkback_sql::refuses_transaction(Sqlite, &statement(sql)),
            "{sql}"
        );
    }
    assert!(!walkback_sql::refuses_transaction(
        Mysql,
        &statement("ALTER TABLE t ADD a int")
    ));
}

#[test]
fn statements_that_commit_by_themselves_are_known() {
    for sql in [
        "CREATE TABLE t (a int)",
        "CREATE TABLE t LIKE u",
        "ALTER TABLE t ADD a int",
        "DROP VIEW v",
        "RENAME TABLE a TO b",
        "TRUNCATE t",
        "GRANT ALL ON a TO b",
        "SET PASSWORD = 'x'",
        "ANALYZE TABLE t",
        "FLUSH TABLES",
        "LOCK TABLES t READ",
        "BEGIN",
        "START TRANSACTION",
        "CREATE OR REPLACE VIEW v AS SELECT 1",
        "LOAD INDEX INTO CACHE t",
        "CREATE SEQUENCE s",
        "/*!50001 CREATE TABLE t (a int) */",
        "SET autocommit = 1",
    ] {
        assert!(walkback_sql::is_implicit_commit(Mysql, &statement(sql)), "{sql}");
        assert!(
            !walkback_sql::is_implicit_commit(Postgres, &statement(sql)),
            "{sql}"
        );
        assert!(
            !walkback_sql::is_implicit_commit(Sqlite, &statement(sql)),
            "{sql}"
        );
    }
    for sql in [
        "CREATE TEMPORARY TABLE t (a int)",
        "DROP TEMPORARY TABLE t",
        "UNLOCK TABLES",
        "SET @a = 1",
        "USE d",
        "SAVEPOINT a",
        "SELECT GET_LOCK('a', 1)",
        "INSERT INTO t VALUES (1)",
        "LOAD DATA INFILE 'x' INTO TABLE t",
        "DROP PREPARE s",
        "",
    ] {
        assert!(!walkback_sql::is_implicit_commit(Mysql, &statement(sql)), "{sql}");
    }
}
