//! What changes definitions.

use walkback_core::DialectKind::{Mysql, Postgres, Sqlite};
use walkback_core::name::ObjectKind;
use walkback_core::statement::{Action, Severity};

use super::{all_do, does, effect, is_unknown};

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
