//! Opening and connecting: who may do what, and that readers leave no trace.

use walkback_core::Result;
use walkback_core::engine::Begin;

use super::EngineFixture;
use super::support::{count, cx, names, rows, run};

pub(super) async fn opening_an_engine_and_asking_about_it_touches_nothing(
    fixture: EngineFixture,
) -> Result<()> {
    let info = fixture.engine.info();
    assert!(!info.scheme.is_empty() && !info.location.is_empty());
    assert_eq!(info, fixture.engine.info());
    assert_eq!(fixture.engine.dialect().kind(), fixture.kind());
    assert_eq!(fixture.file_bytes(), None);
    Ok(())
}

pub(super) async fn a_database_that_was_never_written_reads_as_empty_and_is_not_created(
    fixture: EngineFixture,
) -> Result<()> {
    let mut reader = fixture.reader().await?;
    let schema = reader.schema(&cx()).await?;
    assert!(schema.tables.is_empty(), "{:?}", names(&schema));
    assert!(schema.objects.is_empty(), "{:?}", schema.objects);
    assert_eq!(rows(&mut *reader, "SELECT 1").await?.len(), 1);
    drop(reader);
    assert_eq!(fixture.file_bytes(), None, "reading has created the database");
    Ok(())
}

pub(super) async fn a_read_session_changes_nothing(fixture: EngineFixture) -> Result<()> {
    drop(fixture.with_table(3).await?);
    let before = fixture.file_bytes();
    let mut reader = fixture.reader().await?;
    assert_eq!(count(&mut *reader, "t").await?, 3);
    for sql in [
        "INSERT INTO t (id, note) VALUES (4, 'x')",
        "UPDATE t SET note = 'x'",
        "DELETE FROM t",
        "DROP TABLE t",
        &fixture.create_table("other"),
    ] {
        assert!(
            run(&mut *reader, sql).await.is_err(),
            "a read session ran `{sql}`"
        );
    }
    if reader.begin(&cx(), Begin::Write).await.is_ok() {
        assert!(
            run(&mut *reader, "DELETE FROM t").await.is_err(),
            "a read session wrote in a transaction"
        );
        reader.rollback(&cx()).await?;
    }
    assert_eq!(count(&mut *reader, "t").await?, 3);
    drop(reader);
    assert!(
        before == fixture.file_bytes(),
        "a read session has changed the file"
    );
    Ok(())
}

pub(super) async fn a_reader_leaves_every_byte_of_the_database_as_it_is(
    fixture: EngineFixture,
) -> Result<()> {
    drop(fixture.with_table(1000).await?);
    let before = fixture.file_bytes();
    let mut reader = fixture.reader().await?;
    reader.begin(&cx(), Begin::Read).await?;
    let schema = reader.schema(&cx()).await?;
    reader.fingerprint(&cx(), &schema.tables[0]).await?;
    reader.commit(&cx()).await?;
    drop(reader);
    assert!(before == fixture.file_bytes(), "reading has changed the file");
    assert_eq!(before.is_some(), fixture.is_file());
    Ok(())
}

pub(super) async fn sessions_are_independent_of_each_other(fixture: EngineFixture) -> Result<()> {
    let mut one = fixture.with_table(1).await?;
    let mut other = fixture.writer().await?;
    one.begin(&cx(), Begin::Write).await?;
    run(&mut *one, "INSERT INTO t (id, note) VALUES (2, 'x')").await?;
    assert_eq!(count(&mut *one, "t").await?, 2);
    assert_eq!(
        count(&mut *other, "t").await?,
        1,
        "another session sees what is not committed"
    );
    one.rollback(&cx()).await?;
    other.begin(&cx(), Begin::Write).await?;
    run(&mut *other, "INSERT INTO t (id, note) VALUES (3, 'x')").await?;
    other.commit(&cx()).await?;
    assert_eq!(count(&mut *one, "t").await?, 2);
    Ok(())
}
