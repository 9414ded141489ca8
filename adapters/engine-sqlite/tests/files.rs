//! Database files as they are found: half-written, in WAL mode, unreadable, no database at all.

mod support;

use std::fs;

use support::*;
use walkback_core::engine::Begin;
use walkback_core::{Access, Cx, ErrorKind, Result, Value};

/// Leaves a database beside its journal as a killed writer leaves them.
async fn killed_writer(folder: &std::path::Path, extra: &str) {
    let (_engine, mut session) = writer(folder).await;
    run(
        &mut session,
        "CREATE TABLE t(a, b) ;; INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
         WHERE i < 20000) SELECT i, 'before' FROM n ;; PRAGMA cache_size = 10",
    )
    .await;
    session.begin(&Cx::background(), Begin::Write).await.unwrap();
    run(
        &mut session,
        "UPDATE t SET b = 'half done, and longer than it was'",
    )
    .await;
    for suffix in ["", "-journal"] {
        fs::copy(
            folder.join(format!("a.db{suffix}")),
            folder.join(format!("{extra}{suffix}")),
        )
        .unwrap();
    }
}

#[tokio::test]
async fn a_database_whose_writer_was_killed_can_be_read_and_stays_as_it_is() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    killed_writer(folder.path(), "k.db").await;
    let bytes = |suffix: &str| fs::read(folder.path().join(format!("k.db{suffix}"))).unwrap();
    let before = (bytes(""), bytes("-journal"));
    let text = String::from_utf8_lossy(&before.0);
    assert!(
        text.contains("half done"),
        "the journal is not needed to read this file"
    );
    let engine = engine(folder.path(), "sqlite:k.db");
    let cx = Cx::background();
    let mut reader = engine.connect(&cx, Access::Read).await?;
    assert_eq!(
        read(&mut reader, "SELECT count(*) FROM t WHERE b = 'before'").await,
        [[Value::Integer(20_000)]]
    );
    assert!(reader.execute(&cx, "DELETE FROM t", &[]).await.is_err());
    drop(reader);
    assert!(
        before == (bytes(""), bytes("-journal")),
        "reading has changed the files"
    );
    let mut writer = engine.connect(&cx, Access::Write).await?;
    assert_eq!(
        read(&mut writer, "SELECT count(*) FROM t WHERE b = 'before'").await,
        [[Value::Integer(20_000)]]
    );
    Ok(())
}

#[tokio::test]
async fn reading_a_database_in_wal_mode_does_not_check_it_point() -> Result<()> {
    let cx = Cx::background();
    let folder = tempfile::tempdir().unwrap();
    let (live, mut session) = writer(folder.path()).await;
    run(
        &mut session,
        "PRAGMA journal_mode = WAL ;; CREATE TABLE t(a) ;; INSERT INTO t VALUES (1), (2)",
    )
    .await;
    for suffix in ["", "-wal"] {
        fs::copy(
            folder.path().join(format!("a.db{suffix}")),
            folder.path().join(format!("w.db{suffix}")),
        )
        .unwrap();
    }
    let bytes = |name: &str| fs::read(folder.path().join(name)).unwrap();
    let before = (bytes("w.db"), bytes("w.db-wal"));
    let mut reader = engine(folder.path(), "sqlite:w.db")
        .connect(&cx, Access::Read)
        .await?;
    assert_eq!(
        read(&mut reader, "SELECT count(*) FROM t").await,
        [[Value::Integer(2)]]
    );
    drop(reader);
    assert!(
        before == (bytes("w.db"), bytes("w.db-wal")),
        "reading has changed the files"
    );
    // A reader beside the living writer sees what is committed, and no more.
    session.begin(&cx, Begin::Write).await?;
    run(&mut session, "INSERT INTO t VALUES (3)").await;
    let mut reader = live.connect(&cx, Access::Read).await?;
    reader.begin(&cx, Begin::Read).await?;
    assert_eq!(
        read(&mut reader, "SELECT count(*) FROM t").await,
        [[Value::Integer(2)]]
    );
    session.commit(&cx).await?;
    assert_eq!(
        read(&mut reader, "SELECT count(*) FROM t").await,
        [[Value::Integer(2)]]
    );
    reader.commit(&cx).await?;
    assert_eq!(
        read(&mut reader, "SELECT count(*) FROM t").await,
        [[Value::Integer(3)]]
    );
    // A copy of such a database is one file, which opens.
    let copy = folder.path().join("copy.db");
    live.physical().unwrap().copy_to(&cx, &copy).await?;
    assert!(!folder.path().join("copy.db-wal").exists());
    let mut copied = engine(folder.path(), "sqlite:copy.db")
        .connect(&cx, Access::Read)
        .await?;
    assert_eq!(
        read(&mut copied, "SELECT count(*) FROM t").await,
        [[Value::Integer(3)]]
    );
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_opened_is_named_with_its_cause() {
    let cx = Cx::background();
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("text.db"),
        "this is no database, but long enough to be read as one".repeat(50),
    )
    .unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    for (url, access, kind, said) in [
        (
            "sqlite:text.db",
            Access::Read,
            ErrorKind::Config,
            "`text.db` is not a SQLite database",
        ),
        (
            "sqlite:text.db",
            Access::Write,
            ErrorKind::Config,
            "`text.db` is not a SQLite database",
        ),
        (
            "sqlite:folder",
            Access::Read,
            ErrorKind::Config,
            "`folder` is a folder",
        ),
        (
            "sqlite:folder",
            Access::Write,
            ErrorKind::Config,
            "`folder` is a folder",
        ),
        (
            "sqlite:missing/a.db",
            Access::Write,
            ErrorKind::NotFound,
            "does not exist",
        ),
    ] {
        let error = engine(folder.path(), url).connect(&cx, access).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{url}: {error:?}");
        assert!(error.message().contains(said), "{url}: {error}");
        assert!(!error.hints().is_empty(), "{url}: {error}");
    }
    // A database that is not there reads as empty, whatever is missing of its path.
    let missing = engine(folder.path(), "sqlite:missing/a.db");
    let mut reader = missing.connect(&cx, Access::Read).await.unwrap();
    assert!(reader.schema(&cx).await.unwrap().tables.is_empty());
    let error = missing
        .physical()
        .unwrap()
        .copy_to(&cx, &folder.path().join("x"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_full_disk_loses_the_transaction_and_says_so() -> Result<()> {
    let cx = Cx::background();
    let folder = tempfile::tempdir().unwrap();
    let (_engine, mut session) = writer(folder.path()).await;
    run(
        &mut session,
        "CREATE TABLE t(a) ;; INSERT INTO t VALUES (1) ;; PRAGMA max_page_count = 10",
    )
    .await;
    session.begin(&cx, Begin::Write).await?;
    run(&mut session, "INSERT INTO t VALUES (2)").await;
    let error = session
        .execute(&cx, "INSERT INTO t VALUES (randomblob(1000000))", &[])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error:?}");
    assert!(error.message().contains("full"), "{error}");
    drop(session.execute(&cx, "INSERT INTO t VALUES (3)", &[]).await);
    session.rollback(&cx).await?;
    assert_eq!(read(&mut session, "SELECT a FROM t").await, [[Value::Integer(1)]]);
    session.begin(&cx, Begin::Write).await?;
    run(&mut session, "INSERT INTO t VALUES (2)").await;
    session.commit(&cx).await
}
