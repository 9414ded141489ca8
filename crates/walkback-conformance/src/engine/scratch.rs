//! Scratch databases and copies as files. An engine that has neither says so, and passes.

use walkback_core::engine::Begin;
use walkback_core::{Access, ErrorKind, Result};

use super::EngineFixture;
use super::support::{count, cx, differences, refused, run};

fn absent(what: &str) -> Result<()> {
    crate::runner::note(&format!("this engine claims no {what}"));
    Ok(())
}

pub(super) async fn a_scratch_database_is_empty_and_private(fixture: EngineFixture) -> Result<()> {
    let mut real = fixture.with_table(1).await?;
    let Some(scratch) = fixture.engine.scratch() else {
        return absent("scratch databases");
    };
    let (one, other) = (scratch.create(&cx()).await?, scratch.create(&cx()).await?);
    let mut first = one.engine().connect(&cx(), Access::Write).await?;
    let mut second = other.engine().connect(&cx(), Access::Write).await?;
    assert!(
        first.schema(&cx()).await?.tables.is_empty(),
        "a scratch database is not empty"
    );
    run(&mut *first, &fixture.create_table("t")).await?;
    run(&mut *first, &fixture.create_table("made_in_scratch")).await?;
    assert_eq!(count(&mut *first, "t").await?, 0);
    assert!(
        second.schema(&cx()).await?.tables.is_empty(),
        "two scratch databases are one"
    );
    assert_eq!(count(&mut *real, "t").await?, 1);
    assert_eq!(
        real.schema(&cx()).await?.tables.len(),
        1,
        "scratch has reached the real database"
    );
    let mut again = one.engine().connect(&cx(), Access::Write).await?;
    assert_eq!(
        again.schema(&cx()).await?.tables.len(),
        2,
        "a second session sees another database"
    );
    Ok(())
}

pub(super) async fn a_scratch_database_is_gone_when_it_is_dropped(fixture: EngineFixture) -> Result<()> {
    let Some(scratch) = fixture.engine.scratch() else {
        return absent("scratch databases");
    };
    let database = scratch.create(&cx()).await?;
    let engine = database.engine();
    let mut session = engine.connect(&cx(), Access::Write).await?;
    run(&mut *session, &fixture.create_table("t")).await?;
    drop(session);
    drop(database);
    match engine.connect(&cx(), Access::Read).await {
        Err(_) => {}
        Ok(mut session) => {
            assert!(
                session.schema(&cx()).await?.tables.is_empty(),
                "a dropped scratch database is still there"
            );
        }
    }
    Ok(())
}

pub(super) async fn a_copy_holds_the_database_in_one_state(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(10_000).await?;
    let Some(physical) = fixture.engine.physical() else {
        return absent("copies as files");
    };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let before = session.schema(&cx()).await?;
    let file = folder.path().join("copy");
    let mut other = fixture.writer().await?;
    let context = cx();
    let (copied, written) = tokio::join!(physical.copy_to(&context, &file), async {
        for id in 10_001..10_051 {
            // Both rows or none: a copy between them would be a state that never was.
            other.begin(&cx(), Begin::Write).await?;
            run(
                &mut *other,
                &format!("INSERT INTO t (id, note) VALUES ({id}, 'one')"),
            )
            .await?;
            run(
                &mut *other,
                &format!("INSERT INTO t (id, note) VALUES (-{id}, 'other')"),
            )
            .await?;
            other.commit(&cx()).await?;
        }
        Ok::<_, walkback_core::Error>(())
    });
    copied?;
    written?;
    let around = std::fs::read_dir(folder.path())
        .expect("the folder can be read")
        .count();
    assert_eq!(around, 1, "the copy has left something beside it");
    let size = std::fs::metadata(&file).expect("the copy is there").len();
    assert!(size > 10_000, "the copy has {size} bytes");
    assert_eq!(count(&mut *session, "t").await?, 10_100);
    let Some(open) = fixture.open_copy else {
        return absent("way to open a copy, which is only measured");
    };
    let mut copy = open(&file).connect(&cx(), Access::Read).await?;
    assert_eq!(differences(&before, &copy.schema(&cx()).await?), [""; 0]);
    assert_eq!(count(&mut *copy, "t WHERE note LIKE 'note %'").await?, 10_000);
    let (one, other) = (
        count(&mut *copy, "t WHERE note = 'one'").await?,
        count(&mut *copy, "t WHERE id < 0").await?,
    );
    assert_eq!(one, other, "the copy holds half a transaction");
    Ok(())
}

pub(super) async fn a_copy_never_replaces_a_file(fixture: EngineFixture) -> Result<()> {
    drop(fixture.with_table(1).await?);
    let Some(physical) = fixture.engine.physical() else {
        return absent("copies as files");
    };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("precious");
    std::fs::write(&file, "precious").expect("a file can be written");
    let error = refused(physical.copy_to(&cx(), &file).await, "a copy over a file");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error:?}");
    assert_eq!(std::fs::read(&file).expect("the file is there"), b"precious");
    Ok(())
}

pub(super) async fn a_copy_that_is_stopped_leaves_nothing(fixture: EngineFixture) -> Result<()> {
    drop(fixture.with_table(1000).await?);
    let Some(physical) = fixture.engine.physical() else {
        return absent("copies as files");
    };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let ended = cx();
    ended.canceller().cancel();
    let outcome = physical.copy_to(&ended, &folder.path().join("copy")).await;
    assert_eq!(
        refused(outcome, "a cancelled copy").kind(),
        ErrorKind::Interrupted
    );
    let missing = folder.path().join("no folder").join("copy");
    refused(
        physical.copy_to(&cx(), &missing).await,
        "a copy into a folder that is not there",
    );
    let left = std::fs::read_dir(folder.path())
        .expect("the folder can be read")
        .count();
    assert_eq!(left, 0, "a copy that failed has left something behind");
    Ok(())
}
