//! What only SQLite does, or does in its own way.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use walkback_core::adapter::AdapterConfig;
use walkback_core::bulk::{ImportTarget, TableSlice};
use walkback_core::engine::{Begin, SessionExt as _, Swap};
use walkback_core::name::ObjectKind;
use walkback_core::registry::Registry;
use walkback_core::{Access, Cx, Engine, ErrorKind, Result, Session, TableName, Value};
use walkback_engine_sqlite as _;

fn engine(folder: &Path, url: &str) -> Arc<dyn Engine> {
    let config = AdapterConfig::new("--url", folder);
    Registry::linked().unwrap().open_engine(url, &config).unwrap()
}

async fn run(session: &mut Box<dyn Session>, script: &str) {
    for sql in script.split(";;").filter(|sql| !sql.trim().is_empty()) {
        session
            .execute(&Cx::background(), sql, &[])
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

async fn read(session: &mut Box<dyn Session>, sql: &str) -> Vec<Vec<Value>> {
    session.fetch_all(&Cx::background(), sql, &[]).await.unwrap()
}

async fn writer(folder: &Path) -> (Arc<dyn Engine>, Box<dyn Session>) {
    let engine = engine(folder, "sqlite:a.db?busy_timeout=200ms");
    let session = engine.connect(&Cx::background(), Access::Write).await.unwrap();
    (engine, session)
}

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
