//! Statements and queries.

use std::error::Error as _;

use futures::TryStreamExt as _;
use walkback_core::engine::SessionExt as _;
use walkback_core::{DialectKind, ErrorKind, Result, Value};

use super::EngineFixture;
use super::support::{MANY, count, cx, find, named, refused, rows, run, text};

/// Names that break whatever is spliced.
const NAMES: [&str; 14] = [
    "select", "Table", "a\"b", "a`b", "a'b", "a]b", "[a", "a b", "ü😀", "a;b", "-- a", "/* a", "%s $1 ?",
    "a\\b",
];

pub(super) async fn execute_returns_how_many_rows_it_changed(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.writer().await?;
    assert_eq!(run(&mut *session, &fixture.create_table("t")).await?, 0);
    let insert = "INSERT INTO t (id, note) VALUES (1, 'a'), (2, 'a'), (3, 'b')";
    assert_eq!(run(&mut *session, insert).await?, 3);
    assert_eq!(
        run(&mut *session, "UPDATE t SET note = 'c' WHERE note = 'a'").await?,
        2
    );
    assert_eq!(run(&mut *session, "DELETE FROM t WHERE id = 9").await?, 0);
    assert_eq!(run(&mut *session, &fixture.create_table("u")).await?, 0);
    assert_eq!(run(&mut *session, "DELETE FROM t").await?, 3);
    Ok(())
}

pub(super) async fn execute_runs_exactly_one_statement(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(0).await?;
    let two = "INSERT INTO t (id, note) VALUES (1, 'a'); INSERT INTO t (id, note) VALUES (2, 'b')";
    refused(run(&mut *session, two).await, "a text of two statements");
    let unlike = format!(
        "INSERT INTO t (id, note) VALUES (1, 'a'); {}",
        fixture.create_table("u")
    );
    refused(run(&mut *session, &unlike).await, "a text of two statements");
    assert_eq!(
        count(&mut *session, "t").await?,
        0,
        "one of two statements was run"
    );
    for empty in ["", "  \n", "-- nothing"] {
        refused(run(&mut *session, empty).await, "a text without a statement");
    }
    run(&mut *session, "INSERT INTO t (id, note) VALUES (1, 'a;b'); ").await?;
    assert_eq!(count(&mut *session, "t").await?, 1);
    Ok(())
}

pub(super) async fn parameters_are_bound_and_never_spliced(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(0).await?;
    let hostile = [
        "'; DROP TABLE t; --",
        "\\'; DROP TABLE t; --",
        "' OR '1'='1",
        "$1 ?1 ? :a @a %s {}",
        "\"`[]",
        "",
        "a\nb\tc\r\n",
        "😀 ü 漢",
    ];
    let insert = format!("INSERT INTO t (id, note) VALUES ({})", fixture.holes(2));
    for (id, note) in (0_i64..).zip(hostile) {
        let changed = session
            .execute(&cx(), &insert, &[Value::Integer(id), text(note)])
            .await?;
        assert_eq!(changed, 1);
    }
    let notes = rows(&mut *session, "SELECT note FROM t ORDER BY id").await?;
    assert_eq!(notes.concat(), hostile.map(text));
    let query = format!("SELECT COUNT(*) FROM t WHERE note = {}", fixture.holes(1));
    for note in hostile {
        let found: Vec<_> = session
            .query(&cx(), &query, &[text(note)])
            .await?
            .try_collect()
            .await?;
        assert_eq!(found[0][0].as_i64(), Some(1), "{note:?}");
    }
    Ok(())
}

pub(super) async fn a_wrong_number_of_parameters_is_an_error(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(0).await?;
    let insert = format!("INSERT INTO t (id, note) VALUES ({})", fixture.holes(2));
    for params in [
        vec![],
        vec![Value::Integer(1)],
        vec![Value::Integer(1), Value::Null, Value::Null],
    ] {
        refused(
            session.execute(&cx(), &insert, &params).await,
            "a wrong number of parameters",
        );
    }
    assert_eq!(count(&mut *session, "t").await?, 0);
    Ok(())
}

pub(super) async fn values_come_back_as_they_were_bound(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.writer().await?;
    let (integer, note, bytes, double) = (
        fixture.integer(),
        fixture.text(),
        fixture.bytes(),
        fixture.double(),
    );
    let create =
        format!("CREATE TABLE v (id {integer} NOT NULL, i {integer}, s {note}, b {bytes}, d {double})");
    run(&mut *session, &create).await?;
    let written = [
        vec![Value::Null, Value::Null, Value::Null, Value::Null],
        vec![
            Value::Integer(i64::MIN),
            text(""),
            Value::Bytes(Vec::new()),
            Value::Float(f64::MIN_POSITIVE),
        ],
        vec![
            Value::Integer(i64::MAX),
            text("😀\u{301} ü"),
            Value::Bytes((0..=u8::MAX).collect()),
            Value::Float(f64::MAX),
        ],
        vec![
            Value::Integer(-1),
            text(&"x".repeat(100_000)),
            Value::Bytes(vec![0; 300_000]),
            Value::Float(0.1),
        ],
    ];
    let insert = format!("INSERT INTO v (id, i, s, b, d) VALUES ({})", fixture.holes(5));
    for (id, row) in (0_i64..).zip(&written) {
        let params: Vec<_> = std::iter::once(Value::Integer(id))
            .chain(row.iter().cloned())
            .collect();
        session.execute(&cx(), &insert, &params).await?;
    }
    let read = rows(&mut *session, "SELECT i, s, b, d FROM v ORDER BY id").await?;
    for (read, written) in read.iter().zip(&written) {
        assert!(read == written, "a row came back changed");
    }
    assert_eq!(read.len(), written.len());
    Ok(())
}

pub(super) async fn any_name_stands_for_itself_when_it_is_quoted(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.writer().await?;
    let dialect = fixture.engine.dialect();
    for name in NAMES {
        // MySQL has no name with a letter beyond the basic plane.
        let name = match fixture.kind() {
            DialectKind::Mysql => &name.replace('😀', "漢"),
            _ => name,
        };
        let (table, column) = (dialect.quote_table(&named(name)), dialect.quote_identifier(name));
        let create = format!(
            "CREATE TABLE {table} ({column} {} NOT NULL, PRIMARY KEY ({column}))",
            fixture.integer()
        );
        run(&mut *session, &create).await?;
        run(
            &mut *session,
            &format!("INSERT INTO {table} ({column}) VALUES (7)"),
        )
        .await?;
        let read = rows(
            &mut *session,
            &format!("SELECT {column} FROM {table} WHERE {column} = 7"),
        )
        .await?;
        assert_eq!(read, [[Value::Integer(7)]], "{name}");
        assert!(session.has_table(&cx(), &named(name)).await?, "{name}");
        let schema = session.schema(&cx()).await?;
        let found = find(&schema, name);
        assert_eq!(found.columns[0].name, name);
        assert_eq!(found.primary_key, [name]);
        assert_eq!(session.fingerprint(&cx(), found).await?.rows, 1);
        run(&mut *session, &format!("DROP TABLE {table}")).await?;
    }
    assert!(session.schema(&cx()).await?.tables.is_empty());
    Ok(())
}

pub(super) async fn a_refused_statement_is_an_error_with_a_cause(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(1).await?;
    for sql in [
        "SELEC 1",
        "SELECT * FROM missing_table",
        "INSERT INTO t (id, note) VALUES (1, 'again')",
    ] {
        let error = refused(run(&mut *session, sql).await, sql);
        assert_eq!(error.kind(), ErrorKind::Database, "{sql}: {error:?}");
        let said = error
            .source()
            .is_some_and(|source| !source.to_string().is_empty());
        assert!(said, "{sql}: the server's own words are missing: {error:?}");
    }
    let outcome = session.fetch_all(&cx(), "SELECT * FROM missing_table", &[]).await;
    assert_eq!(
        refused(outcome, "a query of no table").kind(),
        ErrorKind::Database
    );
    assert_eq!(count(&mut *session, "t").await?, 1);
    Ok(())
}

pub(super) async fn a_query_gives_every_row_in_order(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(MANY).await?;
    let mut stream = session
        .query(&cx(), "SELECT id, note FROM t ORDER BY id", &[])
        .await?;
    let mut expected = 0;
    while let Some(row) = stream.try_next().await? {
        expected += 1;
        assert_eq!(
            row,
            [Value::Integer(expected), Value::Text(format!("note {expected}"))]
        );
    }
    assert_eq!(expected, MANY);
    Ok(())
}

pub(super) async fn a_query_can_be_left_in_the_middle(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(MANY).await?;
    for taken in [0, 1, 1000] {
        let mut stream = session.query(&cx(), "SELECT id FROM t ORDER BY id", &[]).await?;
        for _ in 0..taken {
            assert!(stream.try_next().await?.is_some());
        }
        drop(stream);
        assert_eq!(count(&mut *session, "t").await?, MANY, "after {taken} rows");
        run(&mut *session, "UPDATE t SET note = 'x' WHERE id = 1").await?;
    }
    Ok(())
}
