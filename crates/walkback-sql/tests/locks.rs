//! Which statements keep others from a table for long.

use walkback_core::{DialectKind, Statement};
use walkback_sql::table_locks;

/// Returns the tables that a statement locks for long.
fn locked(kind: DialectKind, sql: &str) -> Vec<String> {
    let statement = Statement {
        sql: sql.to_owned(),
        line: 1,
        touches: Vec::new(),
    };
    let locks = table_locks(kind, &statement);
    for lock in &locks {
        assert!(!lock.why.is_empty() && !lock.instead.is_empty(), "{lock:?}");
        assert!(
            !lock.why.contains("  ") && !lock.instead.contains("  "),
            "{lock:?}"
        );
    }
    locks.into_iter().map(|lock| lock.table.to_string()).collect()
}

#[test]
fn what_reads_or_writes_a_whole_table_of_postgresql_under_a_lock_is_named() {
    for sql in [
        "CREATE INDEX i ON t (a)",
        "CREATE UNIQUE INDEX IF NOT EXISTS i ON t USING btree (a)",
        "CREATE INDEX ON t (a)",
        "ALTER TABLE t ALTER COLUMN a TYPE bigint",
        "ALTER TABLE IF EXISTS ONLY t ALTER a SET DATA TYPE bigint USING a::bigint",
        "ALTER TABLE t ALTER COLUMN a SET NOT NULL",
        "ALTER TABLE t ADD COLUMN b uuid DEFAULT gen_random_uuid()",
        "ALTER TABLE t ADD b int DEFAULT own_function(1) NOT NULL",
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS b bigserial",
        "ALTER TABLE t ADD COLUMN b int GENERATED ALWAYS AS IDENTITY",
        "ALTER TABLE t ADD COLUMN b int GENERATED ALWAYS AS (a * 2) STORED",
        "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES o (id)",
        "ALTER TABLE t ADD CHECK (a > 0)",
        "ALTER TABLE t ADD CONSTRAINT u UNIQUE (a)",
        "ALTER TABLE t ADD PRIMARY KEY (a)",
        "ALTER TABLE t ADD CONSTRAINT x EXCLUDE USING gist (a WITH &&)",
        "ALTER TABLE t SET UNLOGGED",
        "REFRESH MATERIALIZED VIEW t",
        "REINDEX TABLE t",
        "CLUSTER t USING i",
        "VACUUM (FULL, ANALYZE) t",
        "UPDATE t SET a = 1",
        "DELETE FROM ONLY t",
    ] {
        assert_eq!(locked(DialectKind::Postgres, sql), ["t"], "{sql}");
    }
    let two = "ALTER TABLE s.t ALTER a SET NOT NULL, ADD CHECK (a > 0), DROP COLUMN b";
    assert_eq!(locked(DialectKind::Postgres, two), ["s.t", "s.t"]);
}

#[test]
fn what_takes_a_lock_for_a_moment_on_postgresql_is_not_named() {
    for sql in [
        "CREATE INDEX CONCURRENTLY i ON t (a)",
        "CREATE INDEX i ON ONLY t (a)",
        "CREATE TABLE t (a int PRIMARY KEY, b uuid DEFAULT gen_random_uuid())",
        "ALTER TABLE t ADD COLUMN b int",
        "ALTER TABLE t ADD COLUMN b timestamptz NOT NULL DEFAULT now()",
        "ALTER TABLE t ADD COLUMN b varchar(20) DEFAULT 'random()' CHECK (length(b) > random())",
        "ALTER TABLE t ADD COLUMN b numeric(8, 2) DEFAULT (0)::numeric(8, 2)",
        "ALTER TABLE t ALTER COLUMN a SET DEFAULT random()",
        "ALTER TABLE t ALTER COLUMN a DROP NOT NULL",
        "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES o (id) NOT VALID",
        "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID",
        "ALTER TABLE t VALIDATE CONSTRAINT c",
        "ALTER TABLE t ADD CONSTRAINT u UNIQUE USING INDEX i",
        "ALTER TABLE t RENAME COLUMN a TO b",
        "ALTER TABLE t DROP COLUMN a",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY t",
        "REINDEX (CONCURRENTLY) TABLE t",
        "VACUUM t",
        "UPDATE t SET a = 1 WHERE id < 100",
        "UPDATE t SET a = o.a FROM o",
        "DROP TABLE t",
        "SELECT 1",
    ] {
        assert!(locked(DialectKind::Postgres, sql).is_empty(), "{sql}");
    }
}

#[test]
fn what_mysql_does_by_a_copy_is_named() {
    for sql in [
        "ALTER TABLE t MODIFY COLUMN a BIGINT",
        "ALTER TABLE t CHANGE a b BIGINT NOT NULL",
        "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4",
        "ALTER TABLE t DROP PRIMARY KEY",
        "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES o (id)",
        "ALTER TABLE t ADD CHECK (a > 0)",
        "ALTER TABLE t ADD FULLTEXT INDEX i (a)",
        "ALTER TABLE t ADD COLUMN b INT AS (a * 2) STORED",
        "ALTER TABLE t ADD COLUMN b BIGINT AUTO_INCREMENT UNIQUE",
        "ALTER TABLE t PARTITION BY HASH (a)",
        "CREATE FULLTEXT INDEX i ON t (a)",
        "UPDATE LOW_PRIORITY t SET a = 1",
        "DELETE FROM t",
    ] {
        assert_eq!(locked(DialectKind::Mysql, sql), ["t"], "{sql}");
    }
}

#[test]
fn what_mysql_does_beside_writers_or_refuses_is_not_named() {
    for sql in [
        "CREATE INDEX i ON t (a)",
        "ALTER TABLE t ADD COLUMN b INT",
        "ALTER TABLE t ADD INDEX i (a)",
        "ALTER TABLE t ADD CONSTRAINT u UNIQUE (a)",
        "ALTER TABLE t ALTER COLUMN a SET DEFAULT 1",
        "ALTER TABLE t RENAME COLUMN a TO b",
        "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (b)",
        "ALTER TABLE t MODIFY COLUMN a VARCHAR(200), ALGORITHM=INPLACE, LOCK=NONE",
        "ALTER TABLE t CHANGE a b INT, ALGORITHM = INSTANT",
        "UPDATE t SET a = 1 WHERE id = 1",
        "DELETE FROM t LIMIT 100",
        "UPDATE a JOIN b ON a.id = b.id SET a.x = b.x",
        "TRUNCATE TABLE t",
    ] {
        assert!(locked(DialectKind::Mysql, sql).is_empty(), "{sql}");
    }
}

#[test]
fn sqlite_has_one_lock_for_all_and_none_is_named() {
    for sql in [
        "CREATE INDEX i ON t (a)",
        "UPDATE t SET a = 1",
        "ALTER TABLE t DROP COLUMN a",
    ] {
        assert!(locked(DialectKind::Sqlite, sql).is_empty(), "{sql}");
    }
}
