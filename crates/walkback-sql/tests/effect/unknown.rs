//! What is not known, and how that is said.

use walkback_core::DialectKind::{self, Mysql, Postgres, Sqlite};
use walkback_core::TableName;

use super::{all_do, effect, is_unknown, statement};

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
