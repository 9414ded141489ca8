//! The inverses of PostgreSQL and MySQL, as text: their servers are asked in the tests of their engines.

use std::collections::BTreeMap;

use walkback_core::DialectKind::{self, Mysql, Postgres, Sqlite};
use walkback_core::catalog::{Column, ForeignKey, Object, Schema, Table};
use walkback_core::dialect::Inverse;
use walkback_core::name::ObjectKind;
use walkback_core::{Statement, TableName, Value};

fn column(name: &str, data_type: &str, nullable: bool, default: Option<&str>) -> Column {
    Column {
        name: name.to_owned(),
        data_type: data_type.to_owned(),
        nullable,
        default: default.map(str::to_owned),
        generated: false,
    }
}

fn object(kind: ObjectKind, name: &str, on: Option<&str>, definition: &str) -> Object {
    Object {
        kind,
        name: TableName::new(name),
        on: on.map(TableName::new),
        definition: definition.to_owned(),
        facts: BTreeMap::new(),
    }
}

/// A small schema; the definition of the table is as MySQL shows it, or as PostgreSQL's engine writes it.
fn shop() -> Schema {
    let orders = Table {
        name: TableName::new("orders"),
        columns: vec![
            column("id", "integer", false, None),
            column("note", "varchar(20)", true, Some("'x'")),
            column("must", "integer", false, None),
            column("parent", "integer", true, None),
        ],
        primary_key: vec!["id".to_owned()],
        parents: Vec::new(),
        foreign_keys: vec![ForeignKey {
            columns: vec!["parent".to_owned()],
            references: TableName::new("parents"),
            referenced_columns: Vec::new(),
            cascades: false,
        }],
        definition: "CREATE TABLE orders (\n  id integer NOT NULL,\n  note varchar(20) DEFAULT 'x',\n  \
                     must integer NOT NULL,\n  parent integer,\n  PRIMARY KEY (id),\n  CHECK (must > 0)\n)"
            .to_owned(),
        facts: BTreeMap::from([("check must > 0".to_owned(), "must > 0".to_owned())]),
    };
    Schema {
        home: None,
        tables: vec![orders],
        objects: vec![
            object(
                ObjectKind::Sequence,
                "orders_id_seq",
                Some("orders"),
                "CREATE SEQUENCE orders_id_seq",
            ),
            object(
                ObjectKind::Index,
                "by_note",
                Some("orders"),
                "CREATE INDEX by_note ON orders (note)",
            ),
            object(
                ObjectKind::Trigger,
                "logged",
                Some("orders"),
                "CREATE TRIGGER logged ..",
            ),
            object(ObjectKind::View, "big", None, "CREATE VIEW big AS SELECT 1"),
            object(
                ObjectKind::Routine,
                "f",
                None,
                "CREATE OR REPLACE FUNCTION f() ..",
            ),
        ],
    }
}

fn inverse(kind: DialectKind, sql: &str) -> Inverse {
    let statement = Statement {
        sql: sql.to_owned(),
        line: 1,
        touches: Vec::new(),
    };
    walkback_sql::inverse(kind, &statement, &shop())
}

#[track_caller]
fn undone(kind: DialectKind, sql: &str, wanted: &[&str], lost: &[&str]) {
    match inverse(kind, sql) {
        Inverse::Statements { statements, loses } => {
            assert_eq!(statements, wanted, "{kind}: {sql}");
            assert_eq!(loses, lost, "{kind}: {sql}");
        }
        other => panic!("{kind}: {sql}: {other:?}"),
    }
}

#[track_caller]
fn refused(kind: DialectKind, sql: &str, wanted: &str) {
    match inverse(kind, sql) {
        Inverse::NotDerivable { why } => assert!(why.contains(wanted), "{kind}: {sql}: {why}"),
        other => panic!("{kind}: {sql}: {other:?}"),
    }
}

#[test]
fn what_was_created_is_dropped() {
    undone(
        Postgres,
        "CREATE TABLE S.New (a int)",
        &["DROP TABLE \"s\".\"new\""],
        &[],
    );
    undone(
        Postgres,
        "CREATE INDEX CONCURRENTLY i ON s.t (a)",
        &["DROP INDEX \"s\".\"i\""],
        &[],
    );
    undone(
        Postgres,
        "CREATE TRIGGER t AFTER INSERT ON orders EXECUTE FUNCTION f()",
        &["DROP TRIGGER \"t\" ON \"orders\""],
        &[],
    );
    undone(
        Postgres,
        "CREATE FUNCTION g(a int DEFAULT 5, b numeric(10, 2) = 1) RETURNS int AS $$ $$ LANGUAGE sql",
        &["DROP FUNCTION \"g\"(a int, b numeric(10, 2))"],
        &[],
    );
    undone(Postgres, "CREATE DOMAIN d AS int", &["DROP DOMAIN \"d\""], &[]);
    undone(Postgres, "CREATE TYPE d AS ENUM ('a')", &["DROP TYPE \"d\""], &[]);
    undone(Postgres, "CREATE SCHEMA s", &["DROP SCHEMA \"s\""], &[]);
    undone(Postgres, "CREATE ROLE me", &["DROP ROLE \"me\""], &[]);
    undone(
        Postgres,
        "CREATE POLICY p ON orders USING (true)",
        &["DROP POLICY \"p\" ON \"orders\""],
        &[],
    );
    undone(
        Postgres,
        "ALTER TABLE orders ADD CONSTRAINT c CHECK (id > 0)",
        &["ALTER TABLE \"orders\" DROP CONSTRAINT \"c\""],
        &[],
    );
    undone(
        Postgres,
        "ALTER TABLE t ADD PRIMARY KEY (a)",
        &["ALTER TABLE \"t\" DROP CONSTRAINT \"t_pkey\""],
        &[],
    );
    undone(
        Mysql,
        "CREATE INDEX i ON orders (note)",
        &["DROP INDEX `i` ON `orders`"],
        &[],
    );
    undone(
        Mysql,
        "CREATE PROCEDURE p() BEGIN SELECT 1; END",
        &["DROP PROCEDURE `p`"],
        &[],
    );
    undone(
        Mysql,
        "ALTER TABLE t ADD PRIMARY KEY (a), ADD INDEX `i` (b)",
        &["DROP INDEX `i` ON `t`", "ALTER TABLE `t` DROP PRIMARY KEY"],
        &[],
    );
    refused(
        Postgres,
        "CREATE INDEX ON orders (note)",
        "the server makes up its name",
    );
    refused(
        Postgres,
        "ALTER TABLE orders ADD CHECK (id > 0)",
        "the server makes up its name",
    );
    refused(
        Mysql,
        "ALTER TABLE orders ADD FOREIGN KEY (parent) REFERENCES parents (id)",
        "the server makes up its name",
    );
}

#[test]
fn what_was_there_before_is_left_or_restored() {
    for sql in [
        "CREATE TABLE IF NOT EXISTS orders (a int)",
        "CREATE TABLE IF NOT EXISTS big (a int)",
        "ALTER TABLE orders ADD COLUMN IF NOT EXISTS note text",
        "DROP TABLE IF EXISTS missing",
        "DROP INDEX IF EXISTS missing",
        "ALTER TABLE IF EXISTS missing RENAME TO m",
        "ALTER TABLE orders DROP COLUMN IF EXISTS missing",
    ] {
        assert_eq!(inverse(Postgres, sql), Inverse::Nothing, "{sql}");
    }
    undone(
        Postgres,
        "CREATE OR REPLACE VIEW big AS SELECT 2",
        &["DROP VIEW \"big\"", "CREATE VIEW big AS SELECT 1"],
        &[],
    );
    undone(
        Postgres,
        "CREATE OR REPLACE VIEW fresh AS SELECT 2",
        &["DROP VIEW \"fresh\""],
        &[],
    );
    undone(
        Postgres,
        "CREATE OR REPLACE FUNCTION f() RETURNS int AS $$ $$ LANGUAGE sql",
        &["CREATE OR REPLACE FUNCTION f() .."],
        &[],
    );
    undone(
        Mysql,
        "ALTER VIEW big AS SELECT 2",
        &["DROP VIEW `big`", "CREATE VIEW big AS SELECT 1"],
        &[],
    );
}

#[test]
fn a_dropped_table_comes_back_without_its_rows() {
    undone(
        Postgres,
        "DROP TABLE orders",
        &[
            "CREATE SEQUENCE orders_id_seq",
            &shop().tables[0].definition,
            "CREATE INDEX by_note ON orders (note)",
            "CREATE TRIGGER logged ..",
        ],
        &["the rows of table `orders`"],
    );
    refused(Postgres, "DROP TABLE orders CASCADE", "whatever depends on it");
    refused(
        Postgres,
        "DROP TABLE orders, missing",
        "drops table `missing`: it is not in the catalog",
    );
    refused(Mysql, "DROP DATABASE shop", "everything inside");
}

#[test]
fn a_dropped_column_comes_back_without_its_values() {
    undone(
        Postgres,
        "ALTER TABLE orders DROP COLUMN note",
        &[
            "ALTER TABLE \"orders\" ADD COLUMN note varchar(20) DEFAULT 'x'",
            "CREATE INDEX by_note ON orders (note)",
        ],
        &["the values of column `orders.note`"],
    );
    undone(
        Postgres,
        "ALTER TABLE orders DROP COLUMN must, DROP COLUMN parent",
        &[
            "ALTER TABLE \"orders\" ADD COLUMN parent integer",
            "ALTER TABLE \"orders\" ADD COLUMN must integer",
        ],
        &[
            "the values of column `orders.parent`",
            "the foreign key of column `parent` to table `parents`",
            "the values of column `orders.must`",
            "`NOT NULL` of column `orders.must`",
            "the constraint `check must > 0` of table `orders`",
        ],
    );
    undone(
        Mysql,
        "ALTER TABLE orders DROP note",
        &["ALTER TABLE `orders` ADD COLUMN note varchar(20) DEFAULT 'x'"],
        &[
            "the values of column `orders.note`",
            "the column in index `by_note`",
        ],
    );
}

#[test]
fn a_changed_column_gets_its_facts_back() {
    let altered = "ALTER TABLE \"orders\" ALTER COLUMN \"note\"";
    let taken = "what the change of type has taken from the values of column `orders.note`";
    undone(
        Postgres,
        "ALTER TABLE orders ALTER note TYPE text",
        &[&format!("{altered} TYPE varchar(20) USING \"note\"::varchar(20)")],
        &[],
    );
    undone(
        Postgres,
        "ALTER TABLE orders ALTER note SET DATA TYPE varchar(5)",
        &[&format!("{altered} TYPE varchar(20) USING \"note\"::varchar(20)")],
        &[taken],
    );
    undone(
        Postgres,
        "ALTER TABLE orders ALTER note TYPE text USING lower(note)",
        &[&format!("{altered} TYPE varchar(20) USING \"note\"::varchar(20)")],
        &[taken],
    );
    undone(
        Postgres,
        "ALTER TABLE orders ALTER note DROP DEFAULT, ALTER COLUMN note SET NOT NULL",
        &[
            &format!("{altered} DROP NOT NULL"),
            &format!("{altered} SET DEFAULT 'x'"),
        ],
        &[],
    );
    undone(
        Postgres,
        "ALTER TABLE orders ALTER must SET DEFAULT 5",
        &["ALTER TABLE \"orders\" ALTER COLUMN \"must\" DROP DEFAULT"],
        &[],
    );
    refused(
        Postgres,
        "ALTER TABLE orders ALTER note SET STATISTICS 5",
        "not in the catalog",
    );
    refused(
        Postgres,
        "ALTER TABLE orders ALTER missing TYPE text",
        "not in the catalog",
    );
    undone(
        Mysql,
        "ALTER TABLE orders MODIFY note varchar(50) NOT NULL",
        &["ALTER TABLE `orders` MODIFY COLUMN note varchar(20) DEFAULT 'x'"],
        &[],
    );
    undone(
        Mysql,
        "ALTER TABLE orders MODIFY COLUMN note varchar(5)",
        &["ALTER TABLE `orders` MODIFY COLUMN note varchar(20) DEFAULT 'x'"],
        &[taken],
    );
    undone(
        Mysql,
        "ALTER TABLE orders CHANGE note remark text",
        &[
            "ALTER TABLE `orders` RENAME COLUMN `remark` TO `note`",
            "ALTER TABLE `orders` MODIFY COLUMN note varchar(20) DEFAULT 'x'",
        ],
        &[],
    );
    refused(
        Sqlite,
        "ALTER TABLE orders ALTER COLUMN note TYPE text",
        "SQLite has no statement",
    );
}

#[test]
fn new_names_become_old_names() {
    undone(
        Postgres,
        "ALTER TABLE s.a RENAME TO b",
        &["ALTER TABLE \"s\".\"b\" RENAME TO \"a\""],
        &[],
    );
    undone(
        Postgres,
        "ALTER TABLE s.a SET SCHEMA u",
        &["ALTER TABLE \"u\".\"a\" SET SCHEMA \"s\""],
        &[],
    );
    refused(Postgres, "ALTER TABLE a SET SCHEMA u", "the schema it was in");
    undone(
        Mysql,
        "RENAME TABLE a TO x, b TO a",
        &["RENAME TABLE `a` TO `b`", "RENAME TABLE `x` TO `a`"],
        &[],
    );
    undone(
        Mysql,
        "ALTER TABLE a RENAME TO b, ADD c int",
        &["RENAME TABLE `b` TO `a`", "ALTER TABLE `a` DROP COLUMN `c`"],
        &[],
    );
    undone(
        Mysql,
        "ALTER TABLE a RENAME INDEX i TO j",
        &["ALTER TABLE `a` RENAME INDEX `j` TO `i`"],
        &[],
    );
    undone(
        Postgres,
        "ALTER TABLE a RENAME CONSTRAINT i TO j",
        &["ALTER TABLE \"a\" RENAME CONSTRAINT \"j\" TO \"i\""],
        &[],
    );
    undone(
        Postgres,
        "ALTER INDEX IF EXISTS s.i RENAME TO j",
        &["ALTER INDEX \"s\".\"j\" RENAME TO \"i\""],
        &[],
    );
    undone(
        Postgres,
        "ALTER MATERIALIZED VIEW v RENAME TO w",
        &["ALTER MATERIALIZED VIEW \"w\" RENAME TO \"v\""],
        &[],
    );
    undone(
        Postgres,
        "ALTER FUNCTION g(int) RENAME TO h",
        &["ALTER FUNCTION \"h\"(int) RENAME TO \"g\""],
        &[],
    );
    refused(Postgres, "ALTER TYPE mood ADD VALUE 'x'", "does not follow");
    refused(
        Postgres,
        "ALTER TYPE mood RENAME VALUE 'x' TO 'y'",
        "does not follow",
    );
    refused(Postgres, "COMMENT ON TABLE orders IS 'x'", "the comment before");
}

#[test]
fn several_actions_are_undone_newest_first_or_not_at_all() {
    undone(
        Postgres,
        "ALTER TABLE orders ADD COLUMN a int, RENAME COLUMN note TO remark",
        &[
            "ALTER TABLE \"orders\" RENAME COLUMN \"remark\" TO \"note\"",
            "ALTER TABLE \"orders\" DROP COLUMN \"a\"",
        ],
        &[],
    );
    refused(
        Postgres,
        "CREATE TABLE x (a int); CALL p()",
        "it does something that cannot be read",
    );
    refused(Postgres, "DO $$ BEGIN END $$", "a `DO` block can do anything");
    assert_eq!(inverse(Postgres, "SELECT 1"), Inverse::Nothing);
    assert_eq!(inverse(Mysql, "OPTIMIZE TABLE orders"), Inverse::Nothing);
    assert_eq!(inverse(Mysql, ""), Inverse::Nothing);
}

#[test]
fn literals_of_the_servers_say_what_they_mean() {
    let text = |kind, value: Value| walkback_sql::literal(kind, &value);
    assert_eq!(text(Postgres, Value::Bool(true)), "TRUE");
    assert_eq!(text(Mysql, Value::Bool(true)), "1");
    assert_eq!(text(Postgres, Value::Float(f64::NAN)), "'NaN'::float8");
    assert_eq!(
        text(Postgres, Value::Float(f64::NEG_INFINITY)),
        "'-Infinity'::float8"
    );
    assert_eq!(text(Postgres, Value::Float(-0.0)), "'-0.0'::float8");
    assert_eq!(text(Mysql, Value::Float(0.1)), "1e-1");
    assert_eq!(text(Postgres, Value::from("it's \\ x")), "'it''s \\ x'");
    assert_eq!(text(Mysql, Value::from("it's")), "'it''s'");
    assert_eq!(text(Mysql, Value::from("a\\")), "_utf8mb4 X'615c'");
    assert_eq!(text(Postgres, Value::Bytes(vec![0, 255])), "'\\x00ff'::bytea");
    assert_eq!(text(Mysql, Value::BrokenText(vec![255])), "_binary X'ff'");
    assert_eq!(
        text(Postgres, Value::Decimal("-12345678901234567890.10".into())),
        "-12345678901234567890.10"
    );
    assert_eq!(text(Postgres, Value::Decimal("NaN".into())), "'NaN'::numeric");
    assert_eq!(
        text(Sqlite, Value::Decimal("12345678901234567890.10".into())),
        "'12345678901234567890.10'"
    );
    assert_eq!(text(Mysql, Value::Unsigned(u64::MAX)), "18446744073709551615");
    let name = TableName::in_schema("a`\"", "b");
    assert_eq!(walkback_sql::quote_table(Mysql, &name), "`a``\"`.`b`");
    assert_eq!(walkback_sql::quote_table(Postgres, &name), "\"a`\"\"\".\"b\"");
}
