//! What only SQLite does, or does in its own way.

use std::time::{Duration, Instant};

use walkback_core::bulk::{ImportTarget, TableSlice};
use walkback_core::engine::{Begin, Swap};
use walkback_core::name::ObjectKind;
use walkback_core::{Access, Cx, ErrorKind, Result, TableName, Value};

mod support;

use support::*;

#[tokio::test]
async fn a_restore_by_swap_brings_rows_objects_and_sequence_back() -> Result<()> {
    let cx = Cx::background();
    let folder = tempfile::tempdir().unwrap();
    let (_engine, mut session) = writer(folder.path()).await;
    run(
        &mut session,
        "CREATE TABLE users(id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT COLLATE NOCASE UNIQUE,
            boss INTEGER REFERENCES users(id), big INTEGER GENERATED ALWAYS AS (id * 2) STORED,
            CHECK (users.id > 0)) -- the users
        ;; CREATE TABLE orders(id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE)
        ;; CREATE TABLE log(what)
        ;; CREATE INDEX users_boss ON users(boss) WHERE boss IS NOT NULL
        ;; CREATE VIEW bosses AS SELECT * FROM users WHERE id IN (SELECT boss FROM users)
        ;; CREATE TRIGGER users_log AFTER INSERT ON users BEGIN INSERT INTO log VALUES (new.email); END
        ;; INSERT INTO users(id, email, boss) VALUES (1, 'a', NULL), (2, 'b', 1), (9, 'c', 1)
        ;; DELETE FROM users WHERE id = 9
        ;; INSERT INTO orders VALUES (1, 2)",
    )
    .await;
    let before = session.schema(&cx).await?;
    let users = before.table(&TableName::new("users")).unwrap().clone();
    let slice = TableSlice::new(
        users.name.clone(),
        vec!["id".into(), "email".into(), "boss".into()],
        vec!["id".into()],
    );
    let chunks: Vec<_> = {
        use futures::TryStreamExt as _;
        session.export(&cx, &slice).await?.try_collect().await?
    };
    let print = session.fingerprint(&cx, &users).await?;
    run(
        &mut session,
        "INSERT INTO users(email) VALUES ('d') ;; DROP INDEX users_boss",
    )
    .await;
    run(&mut session, "DELETE FROM log").await;

    session.begin(&cx, Begin::Rebuild).await?;
    let shadow = TableName::new("_walkback_shadow");
    session.create_shadow(&cx, &users, &shadow).await?;
    let target = ImportTarget {
        table: shadow.clone(),
        columns: slice.columns.clone(),
    };
    use futures::StreamExt as _;
    let stream = futures::stream::iter(chunks.clone().into_iter().map(Ok)).boxed();
    assert_eq!(session.import(&cx, &target, stream).await?, 2);
    let objects: Vec<_> = before.objects_on(&users.name).cloned().collect();
    let swap = Swap {
        drop_tables: vec![users.name.clone()],
        drop_objects: Vec::new(),
        shadows: vec![(shadow, users.name.clone())],
        create_objects: objects,
    };
    session.swap(&cx, &swap).await?;
    session.commit(&cx).await?;

    let after = session.schema(&cx).await?;
    assert_eq!(before.differences(&after), []);
    assert_eq!(session.fingerprint(&cx, &users).await?, print);
    assert!(
        read(&mut session, "SELECT * FROM log").await.is_empty(),
        "no trigger fired"
    );
    let sequence = |schema: &walkback_core::catalog::Schema| {
        schema
            .object(ObjectKind::Sequence, &users.name)
            .unwrap()
            .definition
            .clone()
    };
    assert_eq!(sequence(&after), sequence(&before));
    assert!(sequence(&after).ends_with("9)"), "{}", sequence(&after));
    run(&mut session, "INSERT INTO users(email) VALUES ('e')").await;
    let id = read(&mut session, "SELECT id FROM users WHERE email = 'E'").await;
    assert_eq!(id, [[Value::Integer(10)]]);
    // The foreign keys of both tables mean the live table, and are enforced again.
    let error = session
        .execute(&cx, "INSERT INTO orders VALUES (2, 77)", &[])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Database);
    let error = session
        .execute(&cx, "INSERT INTO users(email, boss) VALUES ('x', 77)", &[])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Database);
    run(&mut session, "DELETE FROM users WHERE id = 2").await;
    assert!(
        read(&mut session, "SELECT * FROM orders").await.is_empty(),
        "the cascade works"
    );
    Ok(())
}

#[tokio::test]
async fn a_rebuild_that_leaves_a_row_without_its_parent_is_rolled_back() -> Result<()> {
    let cx = Cx::background();
    let folder = tempfile::tempdir().unwrap();
    let (_engine, mut session) = writer(folder.path()).await;
    run(
        &mut session,
        "CREATE TABLE p(id INTEGER PRIMARY KEY) ;; CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p(id))
        ;; INSERT INTO p VALUES (1), (2) ;; INSERT INTO c VALUES (1, 1), (2, 2)
        ;; PRAGMA foreign_keys = OFF ;; INSERT INTO c VALUES (3, 77) ;; PRAGMA foreign_keys = ON",
    )
    .await;
    // What was violated before may stay so.
    session.begin(&cx, Begin::Rebuild).await?;
    run(
        &mut session,
        "CREATE TABLE new_p(id INTEGER PRIMARY KEY, x) ;; INSERT INTO new_p(id) SELECT id FROM p
        ;; DROP TABLE p ;; ALTER TABLE new_p RENAME TO p",
    )
    .await;
    session.commit(&cx).await?;
    assert_eq!(
        read(&mut session, "SELECT count(*) FROM c").await,
        [[Value::Integer(3)]]
    );

    session.begin(&cx, Begin::Rebuild).await?;
    run(&mut session, "DELETE FROM p WHERE id = 2").await;
    let error = session.commit(&cx).await.unwrap_err();
    assert!(
        error
            .message()
            .contains("`c` with (p) = (2), which `p` does not have"),
        "{error}"
    );
    assert!(!error.message().contains("77"), "{error}");
    assert_eq!(
        read(&mut session, "SELECT count(*) FROM p").await,
        [[Value::Integer(2)]]
    );
    assert_eq!(
        read(&mut session, "PRAGMA foreign_keys").await,
        [[Value::Integer(1)]]
    );
    session.begin(&cx, Begin::Write).await?;
    session.rollback(&cx).await
}

#[tokio::test]
async fn a_statement_is_stopped_by_a_deadline_and_the_session_goes_on() -> Result<()> {
    let cx = Cx::background();
    let folder = tempfile::tempdir().unwrap();
    let (_engine, mut session) = writer(folder.path()).await;
    run(&mut session, "CREATE TABLE t(a)").await;
    session.begin(&cx, Begin::Write).await?;
    let endless =
        "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    let start = Instant::now();
    let short = cx.clone().with_timeout(Duration::from_millis(100));
    let error = session.execute(&short, endless, &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(start.elapsed() < Duration::from_secs(5));
    let error = session
        .execute(&cx, "INSERT INTO t VALUES (1)", &[])
        .await
        .unwrap_err();
    assert!(error.message().contains("the transaction is gone"), "{error}");
    session.rollback(&cx).await?;
    assert!(read(&mut session, "SELECT * FROM t").await.is_empty());
    run(&mut session, "INSERT INTO t VALUES (1)").await;
    Ok(())
}

#[tokio::test]
async fn waiting_for_a_writer_ends_after_the_busy_timeout_and_when_cancelled() -> Result<()> {
    let cx = Cx::background();
    let folder = tempfile::tempdir().unwrap();
    let (_engine, mut one) = writer(folder.path()).await;
    one.begin(&cx, Begin::Write).await?;
    let patient = engine(folder.path(), "sqlite:a.db?busy_timeout=1m");
    let mut two = patient.connect(&cx, Access::Write).await?;
    let start = Instant::now();
    let short = cx.clone().with_timeout(Duration::from_millis(50));
    let error = two.begin(&short, Begin::Write).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let (_engine, mut three) = writer(folder.path()).await;
    let error = three.begin(&cx, Begin::Write).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Locked, true));
    assert!(start.elapsed() < Duration::from_secs(10));
    drop(one);
    two.begin(&cx, Begin::Write).await?;
    two.rollback(&cx).await
}

#[tokio::test]
async fn cells_of_every_storage_class_survive_a_round_trip() -> Result<()> {
    let cx = Cx::background();
    let folder = tempfile::tempdir().unwrap();
    let (_engine, mut session) = writer(folder.path()).await;
    run(
        &mut session,
        "CREATE TABLE t(x) ;; CREATE TABLE u(x)
        ;; INSERT INTO t VALUES (1), (1.0), ('1'), (x'31'), (-0.0), (0.0), (9e999), (-9e999), (NULL), (''), (x'')
        ;; INSERT INTO t VALUES (CAST(x'fffe41' AS TEXT)), (x'fffe41'), (9223372036854775807), (-9223372036854775808)",
    )
    .await;
    let cells = "SELECT typeof(x), quote(x), x FROM t ORDER BY rowid";
    let before = read(&mut session, cells).await;
    assert!(
        before
            .iter()
            .any(|row| row[2] == Value::BrokenText(b"\xff\xfeA".to_vec()))
    );
    let slice = TableSlice::new(TableName::new("t"), vec!["x".into()], vec![]);
    let chunks: Vec<_> = {
        use futures::TryStreamExt as _;
        session.export(&cx, &slice).await?.try_collect().await?
    };
    let schema = session.schema(&cx).await?;
    let print = session
        .fingerprint(&cx, schema.table(&TableName::new("t")).unwrap())
        .await?;
    let target = ImportTarget {
        table: TableName::new("u"),
        columns: vec!["x".into()],
    };
    use futures::StreamExt as _;
    session
        .import(
            &cx,
            &target,
            futures::stream::iter(chunks.into_iter().map(Ok)).boxed(),
        )
        .await?;
    let after = read(&mut session, &cells.replace("FROM t", "FROM u")).await;
    let debug = |rows: &[Vec<Value>]| rows.iter().map(|row| format!("{row:?}")).collect::<Vec<_>>();
    assert_eq!(debug(&after), debug(&before));
    assert_eq!(
        session
            .fingerprint(&cx, schema.table(&TableName::new("u")).unwrap())
            .await?,
        print
    );
    // Each of them is told from each other one.
    let mut prints = std::collections::BTreeSet::new();
    for rowid in 1..=15 {
        run(
            &mut session,
            &format!("DELETE FROM u ;; INSERT INTO u SELECT x FROM t WHERE rowid = {rowid}"),
        )
        .await;
        prints.insert(
            session
                .fingerprint(&cx, schema.table(&TableName::new("u")).unwrap())
                .await?
                .hash,
        );
    }
    assert_eq!(prints.len(), 15);
    // What SQLite would change without a word is refused.
    for value in [Value::Float(f64::NAN), Value::Unsigned(u64::MAX)] {
        let error = session
            .execute(&cx, "INSERT INTO u VALUES (?1)", &[value])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
    let broken = Value::BrokenText(b"\xff".to_vec());
    session.execute(&cx, "DELETE FROM u", &[]).await?;
    session
        .execute(&cx, "INSERT INTO u VALUES (?1)", std::slice::from_ref(&broken))
        .await?;
    assert_eq!(read(&mut session, "SELECT x FROM u").await, [[broken]]);
    Ok(())
}

#[tokio::test]
async fn a_script_cannot_end_the_transaction_it_runs_in() -> Result<()> {
    let cx = Cx::background();
    let folder = tempfile::tempdir().unwrap();
    let (_engine, mut session) = writer(folder.path()).await;
    run(&mut session, "CREATE TABLE t(a)").await;
    session.begin(&cx, Begin::Write).await?;
    run(
        &mut session,
        "INSERT INTO t VALUES (1) ;; SAVEPOINT s ;; INSERT INTO t VALUES (2) ;; ROLLBACK TO s",
    )
    .await;
    for sql in ["COMMIT", "/* x */ end", "ROLLBACK", "BEGIN"] {
        let error = session.execute(&cx, sql, &[]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{sql}");
    }
    session.rollback(&cx).await?;
    assert!(read(&mut session, "SELECT * FROM t").await.is_empty());
    // Outside, it may have its own, and a failure in the middle can be rolled back.
    run(&mut session, "BEGIN ;; INSERT INTO t VALUES (1)").await;
    assert_eq!(
        session.begin(&cx, Begin::Write).await.unwrap_err().kind(),
        ErrorKind::Usage
    );
    session.rollback(&cx).await?;
    run(&mut session, "BEGIN ;; INSERT INTO t VALUES (1) ;; COMMIT").await;
    assert_eq!(read(&mut session, "SELECT a FROM t").await, [[Value::Integer(1)]]);
    let error = session
        .execute(&cx, "INSERT INTO t VALUES (1)\0; DROP TABLE t", &[])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    Ok(())
}

#[tokio::test]
async fn a_table_without_rowid_and_a_column_called_rowid_are_exported_in_order() -> Result<()> {
    let cx = Cx::background();
    let folder = tempfile::tempdir().unwrap();
    let (_engine, mut session) = writer(folder.path()).await;
    run(
        &mut session,
        "CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID ;; INSERT INTO w VALUES ('b', 1), ('a', 2)
        ;; CREATE TABLE r(rowid TEXT, _rowid_ TEXT, oid TEXT) ;; INSERT INTO r VALUES ('b', 'x', 'y'), ('a', 'x', 'y')
        ;; CREATE TABLE \"my \"\"table\"(\"select\" PRIMARY KEY, rowid) ;; INSERT INTO \"my \"\"table\" VALUES (2, 1), (1, 2)",
    )
    .await;
    let schema = session.schema(&cx).await?;
    for table in &schema.tables {
        let columns: Vec<_> = table.columns.iter().map(|column| column.name.clone()).collect();
        let slice = TableSlice::new(table.name.clone(), columns.clone(), table.primary_key.clone());
        use futures::{StreamExt as _, TryStreamExt as _};
        let chunks: Vec<_> = session.export(&cx, &slice).await?.try_collect().await?;
        let shadow = TableName::new(format!("_walkback_{}", table.name));
        session.begin(&cx, Begin::Rebuild).await?;
        session.create_shadow(&cx, table, &shadow).await?;
        let target = ImportTarget {
            table: shadow.clone(),
            columns,
        };
        let stream = futures::stream::iter(chunks.into_iter().map(Ok)).boxed();
        assert_eq!(session.import(&cx, &target, stream).await?, 2, "{}", table.name);
        let print = session.fingerprint(&cx, table).await?;
        let swap = Swap {
            drop_tables: vec![table.name.clone()],
            shadows: vec![(shadow, table.name.clone())],
            ..Swap::default()
        };
        session.swap(&cx, &swap).await?;
        session.commit(&cx).await?;
        assert_eq!(session.fingerprint(&cx, table).await?, print);
    }
    assert_eq!(schema.differences(&session.schema(&cx).await?), []);
    let plain = session.swap(&cx, &Swap::default()).await.unwrap_err();
    assert_eq!(plain.kind(), ErrorKind::Usage);
    Ok(())
}

#[tokio::test]
async fn sessions_end_with_their_threads_and_never_wait_for_a_reader_of_nothing() -> Result<()> {
    let cx = Cx::background();
    let folder = tempfile::tempdir().unwrap();
    let (engine, mut session) = writer(folder.path()).await;
    run(&mut session, "CREATE TABLE t(a)").await;
    for round in 0..50 {
        let mut other = engine.connect(&cx, Access::Write).await?;
        other.begin(&cx, Begin::Write).await?;
        run(&mut other, &format!("INSERT INTO t VALUES ({round})")).await;
        if round % 2 == 0 {
            other.commit(&cx).await?;
        }
        drop(other);
        let expected = Value::Integer(round / 2 + 1);
        assert_eq!(read(&mut session, "SELECT count(*) FROM t").await, [[expected]]);
    }
    Ok(())
}
