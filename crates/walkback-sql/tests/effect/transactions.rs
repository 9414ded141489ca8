//! What a transaction does not hold, and what changes nothing.

use walkback_core::DialectKind::{Mysql, Postgres, Sqlite};
use walkback_core::statement::Severity;

use super::{all_do, does, effect, statement};

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
