//! Asks SQLite itself: literals read back as they were, and a derived inverse takes a statement back.

use std::collections::BTreeMap;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use walkback_core::catalog::{Column, ForeignKey, Object, Schema, Table};
use walkback_core::dialect::Inverse;
use walkback_core::name::ObjectKind;
use walkback_core::{DialectKind, Statement, TableName, Value};

const SQLITE: DialectKind = DialectKind::Sqlite;

fn memory() -> Connection {
    Connection::open_in_memory().expect("SQLite opens")
}

fn read_back(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Float(value),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::BrokenText(bytes.to_vec()),
        },
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
    }
}

#[test]
fn literals_read_back_as_the_same_value() {
    let connection = memory();
    let values = [
        Value::Null,
        Value::Integer(0),
        Value::Integer(i64::MIN),
        Value::Integer(i64::MAX),
        Value::Float(0.1),
        Value::Float(-0.0),
        Value::Float(1e300),
        Value::Float(f64::MAX),
        Value::Float(f64::MIN_POSITIVE),
        Value::Float(f64::INFINITY),
        Value::Float(f64::NEG_INFINITY),
        Value::Float(3.0),
        Value::from("it's; -- /* \"x\" \\ \n 🦀"),
        Value::from(""),
        Value::from("nul \0 inside"),
        Value::BrokenText(vec![0xff, 0x00, b'\'']),
        Value::Bytes(vec![]),
        Value::Bytes(vec![0, 255, 39]),
    ];
    for value in values {
        let sql = format!("SELECT {}", walkback_sql::literal(SQLITE, &value));
        let got = connection
            .query_row(&sql, [], |row| Ok(read_back(row.get_ref(0)?)))
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        match (&value, &got) {
            (Value::Float(wanted), Value::Float(got)) => assert_eq!(wanted.to_bits(), got.to_bits(), "{sql}"),
            _ => assert_eq!(got, value, "{sql}"),
        }
    }
    assert_eq!(walkback_sql::literal(SQLITE, &Value::Float(f64::NAN)), "NULL");
}

#[test]
fn quoted_names_stand_for_themselves() {
    let connection = memory();
    for name in ["select", "a\"b", "a b", "ü🦀", "a;b", "[x]", "`", "'", "A", "1"] {
        let quoted = walkback_sql::quote_identifier(SQLITE, name);
        connection
            .execute_batch(&format!("CREATE TABLE {quoted} (a)"))
            .expect("it is a name");
        let found: i64 = connection
            .query_row(
                "SELECT count(*) FROM sqlite_schema WHERE name = ?1",
                [name],
                |row| row.get(0),
            )
            .expect("the schema can be read");
        assert_eq!(found, 1, "{name}");
        connection
            .execute_batch(&format!("DROP TABLE {quoted}"))
            .expect("it is a name");
    }
}

#[test]
fn a_normalised_definition_means_the_same() {
    for sql in [
        "create table \"T\" ( \"id\" integer primary key , [b c] text default 'X''y' , `select` int check ( \"select\" > - 1 ) )",
        "CREATE TABLE t(a INT DEFAULT -1, b REAL DEFAULT - .5, c TEXT COLLATE nocase, CHECK (a - -1 > 0 AND b || 'x' <> c))",
    ] {
        let connection = memory();
        let normal = walkback_sql::normalise(SQLITE, sql);
        connection
            .execute_batch(&normal)
            .unwrap_or_else(|error| panic!("{normal}: {error}"));
    }
    let same = |left: &str, right: &str| {
        assert_eq!(
            walkback_sql::normalise(SQLITE, left),
            walkback_sql::normalise(SQLITE, right)
        );
    };
    same(
        "CREATE TABLE \"t\" (\"a\"  int)",
        "create table t(a /* why */ INT);",
    );
    same("CREATE TABLE [t] (`key` TEXT)", "CREATE TABLE t (key TEXT)");
    let differ = |left: &str, right: &str| {
        assert_ne!(
            walkback_sql::normalise(SQLITE, left),
            walkback_sql::normalise(SQLITE, right)
        );
    };
    differ("SELECT 'a'", "SELECT 'A'");
    differ("SELECT \"null\"", "SELECT null");
    differ("SELECT \"a b\"", "SELECT a b");
}

/// Reads as much of a catalog as the inverse asks for.
fn schema(connection: &Connection) -> Schema {
    let mut schema = Schema::default();
    let mut rows = connection
        .prepare(
            "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name",
        )
        .expect("the schema can be read");
    let rows = rows.query_map([], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, String>(2)?,
            row.get::<_, String>(3)?,
        ))
    });
    for row in rows.expect("the schema can be read") {
        let (sort, name, on, definition) = row.expect("the schema can be read");
        let kind = match sort.as_str() {
            "table" => {
                schema.tables.push(table(connection, &name, definition));
                continue;
            }
            "index" => ObjectKind::Index,
            "view" => ObjectKind::View,
            _ => ObjectKind::Trigger,
        };
        schema.objects.push(Object {
            kind,
            name: TableName::new(name),
            on: (kind != ObjectKind::View).then(|| TableName::new(on)),
            definition,
            facts: BTreeMap::new(),
        });
    }
    schema
}

fn table(connection: &Connection, name: &str, definition: String) -> Table {
    let mut columns = connection
        .prepare("SELECT name, type, \"notnull\", dflt_value, hidden FROM pragma_table_xinfo(?1)")
        .expect("columns");
    let columns = columns.query_map([name], |row| {
        Ok(Column {
            name: row.get(0)?,
            data_type: row.get(1)?,
            nullable: !row.get::<_, bool>(2)?,
            default: row.get(3)?,
            generated: row.get::<_, i64>(4)? > 1,
        })
    });
    let mut keys = connection
        .prepare("SELECT \"from\", \"table\" FROM pragma_foreign_key_list(?1)")
        .expect("keys");
    let keys = keys.query_map([name], |row| {
        Ok(ForeignKey {
            columns: vec![row.get(0)?],
            references: TableName::new(row.get::<_, String>(1)?),
            referenced_columns: Vec::new(),
            cascades: false,
        })
    });
    Table {
        name: TableName::new(name),
        columns: columns
            .expect("columns")
            .map(|column| column.expect("a column"))
            .collect(),
        primary_key: Vec::new(),
        foreign_keys: keys.expect("keys").map(|key| key.expect("a key")).collect(),
        parents: Vec::new(),
        definition,
        facts: BTreeMap::new(),
    }
}

/// Returns what there is, apart from spelling and the order of columns.
fn comparable(connection: &Connection) -> BTreeMap<String, String> {
    let schema = schema(connection);
    let mut all = BTreeMap::new();
    for table in schema.tables {
        let mut columns: Vec<_> = table.columns.iter().map(|column| format!("{column:?}")).collect();
        columns.sort();
        all.insert(
            format!("table {}", table.name),
            format!("{columns:?} {:?}", table.foreign_keys),
        );
    }
    for object in schema.objects {
        all.insert(
            format!("{} {}", object.kind.word(), object.name),
            format!(
                "{:?} {}",
                object.on,
                walkback_sql::normalise(SQLITE, &object.definition)
            ),
        );
    }
    all
}

const SHOP: &str = "
    CREATE TABLE parent (id INTEGER PRIMARY KEY);
    CREATE TABLE \"my orders\" (id INTEGER PRIMARY KEY, note TEXT DEFAULT 'a,b' COLLATE NOCASE, total REAL NOT NULL DEFAULT 1.5,
        parent INT REFERENCES parent (id) ON DELETE CASCADE, \"select\" TEXT, twice INT GENERATED ALWAYS AS (total * 2) VIRTUAL);
    CREATE INDEX by_note ON \"my orders\" (note) WHERE note IS NOT NULL;
    CREATE TABLE log (what TEXT, at TEXT DEFAULT CURRENT_TIMESTAMP, must TEXT NOT NULL);
    CREATE TRIGGER logged AFTER INSERT ON \"my orders\" BEGIN INSERT INTO log VALUES (CASE WHEN new.id > 1 THEN 'a' END, 'x', 'y'); END;
    CREATE VIEW big AS SELECT id FROM \"my orders\" WHERE total > 10;
    INSERT INTO parent VALUES (1);
    INSERT INTO log VALUES ('a', 'b', 'c');
";

fn statement(sql: &str) -> Statement {
    Statement {
        sql: sql.to_owned(),
        line: 1,
        touches: Vec::new(),
    }
}

/// Runs a statement and its inverse, and returns what the inverse says it loses.
fn there_and_back(sql: &str) -> Vec<String> {
    let connection = memory();
    connection.execute_batch(SHOP).expect("the shop opens");
    let before = comparable(&connection);
    let inverse = walkback_sql::inverse(SQLITE, &statement(sql), &schema(&connection));
    connection
        .execute_batch(sql)
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    let (statements, loses) = match inverse {
        Inverse::Statements { statements, loses } => (statements, loses),
        Inverse::Nothing => (Vec::new(), Vec::new()),
        Inverse::NotDerivable { why } => panic!("{sql}: {why}"),
    };
    for undo in &statements {
        connection
            .execute_batch(undo)
            .unwrap_or_else(|error| panic!("{sql}: {undo}: {error}"));
    }
    assert_eq!(comparable(&connection), before, "{sql}: {statements:?}");
    loses
}

#[test]
fn the_inverse_takes_back_what_loses_nothing() {
    for sql in [
        "CREATE TABLE t (a INT)",
        "CREATE TABLE IF NOT EXISTS \"t \"\"x\" AS SELECT * FROM log",
        "CREATE TABLE IF NOT EXISTS parent (other TEXT)",
        "CREATE UNIQUE INDEX i ON \"my orders\" (total)",
        "CREATE INDEX IF NOT EXISTS by_note ON log (what)",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TRIGGER t AFTER DELETE ON log BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE f USING fts5(a)",
        "ALTER TABLE \"my orders\" RENAME TO orders",
        "ALTER TABLE \"my orders\" RENAME COLUMN \"select\" TO chosen",
        "ALTER TABLE \"my orders\" RENAME note TO \"the note\"",
        "ALTER TABLE log ADD COLUMN extra TEXT NOT NULL DEFAULT 'x'",
        "ALTER TABLE log ADD extra INT REFERENCES parent (id)",
        "DROP INDEX by_note",
        "DROP INDEX IF EXISTS missing",
        "DROP TABLE IF EXISTS missing",
        "DROP VIEW big",
        "DROP TRIGGER logged",
        "ALTER TABLE \"my orders\" DROP COLUMN twice",
        "PRAGMA foreign_keys = OFF",
        "SELECT 1",
        "CREATE VIEW IF NOT EXISTS log AS SELECT 1",
        "CREATE TABLE IF NOT EXISTS big (a)",
        "CREATE TRIGGER IF NOT EXISTS logged AFTER DELETE ON log BEGIN SELECT 1; END",
    ] {
        assert_eq!(there_and_back(sql), Vec::<String>::new(), "{sql}");
    }
}

#[test]
fn the_inverse_names_what_it_cannot_bring_back() {
    for (sql, wanted) in [
        ("DROP TABLE \"my orders\"", vec!["the rows of table `my orders`"]),
        (
            "DROP TABLE parent",
            vec![
                "the rows of table `parent`",
                "what the foreign key of table `my orders` has deleted or emptied along with table `parent`",
            ],
        ),
        (
            "ALTER TABLE \"my orders\" DROP COLUMN \"select\"",
            vec!["the values of column `my orders.select`"],
        ),
        (
            "ALTER TABLE \"my orders\" DROP COLUMN parent",
            vec!["the values of column `my orders.parent`"],
        ),
    ] {
        assert_eq!(there_and_back(sql), wanted, "{sql}");
    }
}

#[test]
fn what_a_new_column_cannot_have_is_named() {
    let connection = memory();
    connection.execute_batch(SHOP).expect("the shop opens");
    for (column, gone) in [
        ("at", "the default of column `log.at`"),
        ("must", "`NOT NULL` of column `log.must`"),
    ] {
        let drop = format!("ALTER TABLE log DROP COLUMN {column}");
        let Inverse::Statements { statements, loses } =
            walkback_sql::inverse(SQLITE, &statement(&drop), &schema(&connection))
        else {
            panic!("{drop} can be taken back");
        };
        assert_eq!(
            loses,
            [format!("the values of column `log.{column}`"), gone.to_owned()]
        );
        connection
            .execute_batch("DROP TRIGGER IF EXISTS logged")
            .expect("it is in the way of the drop");
        connection.execute_batch(&drop).expect("SQLite drops it");
        for undo in statements {
            connection
                .execute_batch(&undo)
                .unwrap_or_else(|error| panic!("{undo}: {error}"));
        }
    }
}

#[test]
fn what_does_not_follow_is_refused_with_the_reason() {
    let connection = memory();
    connection.execute_batch(SHOP).expect("the shop opens");
    for (sql, wanted) in [
        (
            "DELETE FROM log",
            "it deletes from `log`: rows are undone by captured changes or a point",
        ),
        ("INSERT INTO log VALUES (1, 2, 3)", "rows are undone"),
        (
            "DROP TABLE missing",
            "it drops table `missing`: it is not in the catalog",
        ),
        ("DROP VIEW missing", "not in the catalog"),
        ("DROP TABLE log; DELETE FROM parent", "it deletes from `parent`"),
        ("FROBNICATE", "begins no statement"),
        ("PRAGMA user_version = 3", "pragma user_version"),
    ] {
        match walkback_sql::inverse(SQLITE, &statement(sql), &schema(&connection)) {
            Inverse::NotDerivable { why } => assert!(why.contains(wanted), "{sql}: {why}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[test]
fn sqlite_agrees_on_what_refuses_a_transaction() {
    let refuses = |sql: &str| walkback_sql::refuses_transaction(SQLITE, &statement(sql));
    for sql in [
        "VACUUM",
        "PRAGMA synchronous = OFF",
        "DETACH other",
        "PRAGMA journal_mode = WAL",
        "PRAGMA foreign_keys = OFF",
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let connection = Connection::open(folder.path().join("a.db")).expect("SQLite opens");
        connection
            .execute_batch("ATTACH ':memory:' AS other; CREATE TABLE t (a); BEGIN; INSERT INTO t VALUES (1)")
            .expect("a transaction begins");
        let state = |connection: &Connection| {
            let one = |pragma: &str| {
                connection
                    .query_row(pragma, [], |row| row.get::<_, String>(0))
                    .unwrap_or_default()
            };
            let number = |pragma: &str| {
                connection
                    .query_row(pragma, [], |row| row.get::<_, i64>(0))
                    .unwrap_or_default()
            };
            (
                one("PRAGMA journal_mode"),
                number("PRAGMA foreign_keys"),
                number("PRAGMA synchronous"),
            )
        };
        let before = state(&connection);
        let failed = connection.execute_batch(sql).is_err();
        assert!(
            failed || state(&connection) == before,
            "SQLite obeys `{sql}` inside a transaction"
        );
        assert!(refuses(sql), "{sql}");
    }
    for sql in [
        "ATTACH ':memory:' AS more",
        "DROP TABLE t",
        "PRAGMA user_version = 5",
        "REINDEX",
        "ANALYZE",
    ] {
        let connection = memory();
        connection
            .execute_batch("CREATE TABLE t (a); BEGIN; INSERT INTO t VALUES (1)")
            .expect("a transaction begins");
        connection
            .execute_batch(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert!(!refuses(sql), "{sql}");
    }
}
