//! What the schema of a SQLite database says, and what it does not.

mod support;

use support::*;
use walkback_core::name::ObjectKind;
use walkback_core::{Cx, TableName};

const NOTHING: [&str; 0] = [];

#[tokio::test]
async fn two_spellings_of_one_meaning_are_equal() {
    for (one, other) in [
        ("CREATE TABLE t(a INT)", "create table [t] ( -- x\n \"a\"   int )"),
        ("CREATE TABLE t(a VARCHAR(10))", "CREATE TABLE t(a varchar ( 10 ))"),
        ("CREATE TABLE t(a INTEGER PRIMARY KEY)", "CREATE TABLE t(a INTEGER, PRIMARY KEY(a))"),
        ("CREATE TABLE t(a, UNIQUE(a))", "CREATE TABLE t(a UNIQUE ON CONFLICT ABORT)"),
        ("CREATE TABLE t(a CHECK(a > 0))", "CREATE TABLE t(a, CONSTRAINT positive CHECK (((A>0))))"),
        ("CREATE TABLE t(a, CHECK(t.a > 0))", "CREATE TABLE t(a, CHECK(a > 0))"),
        ("CREATE TABLE t(a DEFAULT 1)", "CREATE TABLE t(a DEFAULT (1))"),
        ("CREATE TABLE t(a DEFAULT current_timestamp)", "CREATE TABLE t(a DEFAULT CURRENT_TIMESTAMP)"),
        ("CREATE TABLE t(a COLLATE BINARY)", "CREATE TABLE t(a)"),
        ("CREATE TABLE t(a TEXT COLLATE nocase)", "CREATE TABLE t(a TEXT COLLATE \"NOCASE\")"),
        ("CREATE TABLE t(b, a AS (1))", "CREATE TABLE t(b, a GENERATED ALWAYS AS (1) VIRTUAL)"),
        (
            "CREATE TABLE p(id INTEGER PRIMARY KEY) ;; CREATE TABLE t(a REFERENCES p)",
            "CREATE TABLE p(id INTEGER PRIMARY KEY) ;; CREATE TABLE t(a, FOREIGN KEY(A) REFERENCES \"P\"(ID)
             ON DELETE NO ACTION NOT DEFERRABLE)",
        ),
        (
            "CREATE TABLE p(id PRIMARY KEY) ;; CREATE TABLE t(a REFERENCES p ON DELETE SET NULL ON UPDATE CASCADE)",
            "CREATE TABLE p(id PRIMARY KEY) ;; CREATE TABLE t(a REFERENCES p ON UPDATE CASCADE ON DELETE SET NULL
             DEFERRABLE INITIALLY IMMEDIATE)",
        ),
        (
            "CREATE TABLE t(a, b) ;; CREATE INDEX i ON t(a, lower(b)) WHERE a IS NOT NULL",
            "CREATE TABLE t(a, b) ;; create index \"i\" on t ( a ASC, LOWER( \"b\" ) asc ) where (a is not null)",
        ),
        ("CREATE TABLE t(a, UNIQUE(a) CHECK(a > 0))", "CREATE TABLE t(a, UNIQUE(a), CHECK(a > 0))"),
        ("CREATE TABLE t(a INT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID", "CREATE TABLE t(a INT NOT NULL PRIMARY KEY) without rowid, strict"),
    ] {
        assert_eq!(difference(one, other).await, NOTHING, "{one} and {other}");
    }
}

#[tokio::test]
async fn every_difference_of_meaning_is_told() {
    let base = "CREATE TABLE p(id INTEGER PRIMARY KEY, k UNIQUE) ;; ";
    for (one, other) in [
        ("a INT", "a TEXT"),
        ("a", "a NOT NULL"),
        ("a NOT NULL", "a NOT NULL ON CONFLICT IGNORE"),
        ("a DEFAULT 'x'", "a DEFAULT 'X'"),
        ("a DEFAULT 1", "a DEFAULT '1'"),
        ("a DEFAULT -1", "a DEFAULT 1"),
        ("a TEXT", "a TEXT COLLATE NOCASE"),
        ("a INTEGER PRIMARY KEY", "a INT PRIMARY KEY"),
        ("a INTEGER PRIMARY KEY", "a INTEGER PRIMARY KEY DESC"),
        ("a INTEGER PRIMARY KEY", "a INTEGER PRIMARY KEY AUTOINCREMENT"),
        ("a, b, PRIMARY KEY(a, b)", "a, b, PRIMARY KEY(b, a)"),
        ("a UNIQUE", "a UNIQUE ON CONFLICT REPLACE"),
        ("a, b, UNIQUE(a, b)", "a UNIQUE, b UNIQUE"),
        ("a CHECK(a > 0)", "a CHECK(a > 1)"),
        ("a CHECK(a = 'x')", "a CHECK(a = 'X')"),
        ("a, b AS (a)", "a, b AS (a) STORED"),
        ("a, b AS (a + 1)", "a, b AS (a + 2)"),
        ("a REFERENCES p", "a REFERENCES p(k)"),
        ("a REFERENCES p", "a REFERENCES p ON DELETE CASCADE"),
        ("a REFERENCES p", "a REFERENCES p DEFERRABLE INITIALLY DEFERRED"),
        ("a REFERENCES p", "a"),
    ] {
        let (one, other) = (
            format!("{base} CREATE TABLE t({one})"),
            format!("{base} CREATE TABLE t({other})"),
        );
        assert_ne!(difference(&one, &other).await, NOTHING, "{one} and {other}");
    }
    let table = "CREATE TABLE t(a, b)";
    for (one, other) in [
        ("CREATE INDEX i ON t(a)", "CREATE UNIQUE INDEX i ON t(a)"),
        ("CREATE INDEX i ON t(a)", "CREATE INDEX i ON t(a DESC)"),
        ("CREATE INDEX i ON t(a)", "CREATE INDEX i ON t(a COLLATE NOCASE)"),
        ("CREATE INDEX i ON t(a)", "CREATE INDEX i ON t(a) WHERE b > 0"),
        ("CREATE INDEX i ON t(a + 1)", "CREATE INDEX i ON t(a + 2)"),
        (
            "CREATE VIEW v AS SELECT a FROM t",
            "CREATE VIEW v AS SELECT b FROM t",
        ),
    ] {
        let (one, other) = (format!("{table} ;; {one}"), format!("{table} ;; {other}"));
        assert_ne!(difference(&one, &other).await, NOTHING, "{one} and {other}");
    }
}

#[tokio::test]
async fn renaming_a_table_there_and_back_is_no_difference() {
    let made = "CREATE TABLE p(id INTEGER PRIMARY KEY, self REFERENCES p(id), CHECK (p.id > 0))
        ;; CREATE TABLE c(p REFERENCES p ON DELETE CASCADE)
        ;; CREATE INDEX p_self ON p(self) WHERE p.self > 1
        ;; CREATE VIEW v AS SELECT p.id FROM p
        ;; CREATE TRIGGER r AFTER INSERT ON p BEGIN DELETE FROM c WHERE c.p = new.id; END";
    let renamed = format!(
        "{made} ;; ALTER TABLE p RENAME TO \"other name\" ;; ALTER TABLE \"other name\" RENAME TO p
         ;; ALTER TABLE c RENAME COLUMN p TO q ;; ALTER TABLE c RENAME COLUMN q TO p"
    );
    assert_eq!(difference(made, &renamed).await, NOTHING);
    let added = format!("{made} ;; ALTER TABLE c ADD COLUMN x DEFAULT 1 ;; ALTER TABLE c DROP COLUMN x");
    assert_eq!(difference(made, &added).await, NOTHING);
}

#[tokio::test]
async fn the_tables_behind_a_virtual_table_are_not_shown() {
    let schema = schema_of(
        "CREATE VIRTUAL TABLE search USING fts5(title, body)
        ;; INSERT INTO search VALUES ('a', 'b')
        ;; CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1)
        ;; CREATE TABLE plain(a)",
    )
    .await;
    let tables: Vec<_> = schema
        .tables
        .iter()
        .map(|table| table.name.name.as_str())
        .collect();
    assert_eq!(tables, ["plain"]);
    let search = schema
        .object(ObjectKind::Other, &TableName::new("search"))
        .unwrap();
    assert!(search.definition.contains("fts5"));
    assert_eq!(schema.objects.len(), 2);
}

#[tokio::test]
async fn a_view_of_nothing_and_an_unknown_module_do_not_hide_the_rest() {
    let schema = schema_of(
        "CREATE TABLE t(a)
        ;; CREATE VIEW broken AS SELECT * FROM missing
        ;; PRAGMA writable_schema = ON
        ;; INSERT INTO sqlite_schema VALUES ('table', 'strange', 'strange', 0, 'CREATE VIRTUAL TABLE strange USING nowhere(a)')
        ;; PRAGMA writable_schema = RESET",
    )
    .await;
    assert_eq!(schema.tables.len(), 1);
    assert!(
        schema
            .object(ObjectKind::View, &TableName::new("broken"))
            .is_some()
    );
    assert!(
        schema
            .object(ObjectKind::Other, &TableName::new("strange"))
            .is_some()
    );
}

#[tokio::test]
async fn generated_columns_are_shown_and_neither_hashed_nor_exported() {
    let folder = tempfile::tempdir().unwrap();
    let (_engine, mut session) = writer(folder.path()).await;
    run(
        &mut session,
        "CREATE TABLE t(a INTEGER, b AS (a * 2), c AS (a * 3) STORED) ;; INSERT INTO t VALUES (1)",
    )
    .await;
    let cx = Cx::background();
    let schema = session.schema(&cx).await.unwrap();
    let generated: Vec<_> = schema.tables[0]
        .columns
        .iter()
        .map(|column| column.generated)
        .collect();
    assert_eq!(generated, [false, true, true]);
    let print = session.fingerprint(&cx, &schema.tables[0]).await.unwrap();
    run(
        &mut session,
        "DROP TABLE t ;; CREATE TABLE t(a INTEGER) ;; INSERT INTO t VALUES (1)",
    )
    .await;
    let plain = session.schema(&cx).await.unwrap();
    assert_eq!(session.fingerprint(&cx, &plain.tables[0]).await.unwrap(), print);
}
