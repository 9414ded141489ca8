//! What reads, and what changes rows.

use walkback_core::DialectKind::{self, Mysql, Postgres, Sqlite};

use super::{all_do, does};

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
