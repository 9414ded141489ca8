//! Transactions that write.

use walkback_core::engine::Begin;
use walkback_core::{ErrorKind, Result, Session};

use super::EngineFixture;
use super::support::{count, cx, named, refused, run};

pub(super) async fn commit_keeps_and_shows_what_was_written(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(1).await?;
    session.begin(&cx(), Begin::Write).await?;
    run(&mut *session, "INSERT INTO t (id, note) VALUES (2, 'x')").await?;
    session.commit(&cx()).await?;
    drop(session);
    assert_eq!(count(&mut *fixture.reader().await?, "t").await?, 2);
    Ok(())
}

pub(super) async fn rollback_takes_rows_back(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(3).await?;
    session.begin(&cx(), Begin::Write).await?;
    run(&mut *session, "UPDATE t SET note = 'changed'").await?;
    run(&mut *session, "DELETE FROM t WHERE id = 1").await?;
    run(&mut *session, "INSERT INTO t (id, note) VALUES (9, 'x')").await?;
    session.rollback(&cx()).await?;
    let mut reader = fixture.reader().await?;
    for session in [&mut session, &mut reader] {
        assert_eq!(count(&mut **session, "t").await?, 3);
        assert_eq!(
            count(&mut **session, "t WHERE note LIKE 'note %' AND id < 9").await?,
            3
        );
    }
    Ok(())
}

pub(super) async fn rollback_takes_definitions_back_where_that_is_claimed(
    fixture: EngineFixture,
) -> Result<()> {
    let mut session = fixture.with_table(3).await?;
    let claimed = session.capability().transactional_ddl;
    let before = session.schema(&cx()).await?;
    session.begin(&cx(), Begin::Write).await?;
    run(&mut *session, &fixture.create_table("u")).await?;
    run(
        &mut *session,
        &format!("ALTER TABLE t ADD COLUMN more {}", fixture.integer()),
    )
    .await?;
    run(&mut *session, "CREATE INDEX t_more ON t (more)").await?;
    let outcome = session.rollback(&cx()).await;
    let after = session.schema(&cx()).await?;
    if claimed {
        outcome?;
        assert_eq!(
            before.differences(&after),
            [],
            "definitions are claimed to be transactional"
        );
        assert_eq!(count(&mut *session, "t").await?, 3);
    } else {
        assert_ne!(
            before.differences(&after),
            [],
            "definitions are transactional, which is not claimed"
        );
    }
    Ok(())
}

pub(super) async fn begin_inside_a_transaction_is_an_error(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(1).await?;
    session.begin(&cx(), Begin::Write).await?;
    run(&mut *session, "INSERT INTO t (id, note) VALUES (2, 'x')").await?;
    for mode in [Begin::Write, Begin::Read, Begin::Rebuild] {
        refused(
            session.begin(&cx(), mode).await,
            "a transaction inside a transaction",
        );
    }
    assert_eq!(count(&mut *session, "t").await?, 2);
    session.rollback(&cx()).await?;
    assert_eq!(
        count(&mut *session, "t").await?,
        1,
        "the inner begin has committed the outer transaction"
    );
    Ok(())
}

pub(super) async fn commit_and_rollback_outside_of_a_transaction_are_errors(
    fixture: EngineFixture,
) -> Result<()> {
    let mut session = fixture.with_table(1).await?;
    for _ in 0..2 {
        refused(session.commit(&cx()).await, "a commit outside of a transaction");
        refused(
            session.rollback(&cx()).await,
            "a rollback outside of a transaction",
        );
        session.begin(&cx(), Begin::Write).await?;
        session.commit(&cx()).await?;
    }
    Ok(())
}

pub(super) async fn a_dropped_session_rolls_back(fixture: EngineFixture) -> Result<()> {
    drop(fixture.with_table(1).await?);
    for mode in [Begin::Write, Begin::Rebuild] {
        let mut session = fixture.writer().await?;
        if mode == Begin::Rebuild && !session.capability().transactional_ddl {
            let error = refused(session.begin(&cx(), mode).await, "a rebuild that is not claimed");
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            continue;
        }
        session.begin(&cx(), mode).await?;
        run(&mut *session, "DELETE FROM t").await?;
        drop(session);
        let mut other = fixture.writer().await?;
        assert_eq!(count(&mut *other, "t").await?, 1);
        other.begin(&cx(), Begin::Write).await?;
        run(&mut *other, "UPDATE t SET note = 'free'").await?;
        other.commit(&cx()).await?;
    }
    Ok(())
}

pub(super) async fn a_failed_statement_leaves_a_transaction_that_rolls_back(
    fixture: EngineFixture,
) -> Result<()> {
    let mut session = fixture.with_table(1).await?;
    session.begin(&cx(), Begin::Write).await?;
    run(&mut *session, "INSERT INTO t (id, note) VALUES (2, 'x')").await?;
    refused(
        run(&mut *session, "INSERT INTO t (id, note) VALUES (1, 'x')").await,
        "a row of the same key",
    );
    session.rollback(&cx()).await?;
    assert_eq!(count(&mut *session, "t").await?, 1);
    run(&mut *session, "INSERT INTO t (id, note) VALUES (2, 'x')").await?;
    Ok(())
}

/// Makes a parent of three rows and a child of two, the second of which falls with its parent.
async fn family(fixture: &EngineFixture) -> Result<Box<dyn Session>> {
    let mut session = fixture.with_table(3).await?;
    let integer = fixture.integer();
    let child = format!(
        "CREATE TABLE child (id {integer} NOT NULL, parent {integer}, PRIMARY KEY (id),
         FOREIGN KEY (parent) REFERENCES t (id) ON DELETE CASCADE)"
    );
    run(&mut *session, &child).await?;
    run(
        &mut *session,
        "INSERT INTO child (id, parent) VALUES (1, 1), (2, 2)",
    )
    .await?;
    Ok(session)
}

pub(super) async fn a_rebuild_enforces_foreign_keys_at_its_end_only(fixture: EngineFixture) -> Result<()> {
    let mut session = family(&fixture).await?;
    if !session.capability().alters_by_rebuild {
        crate::runner::note("tables are not altered by rebuilding them here");
        return Ok(());
    }
    session.begin(&cx(), Begin::Rebuild).await?;
    run(&mut *session, "DELETE FROM t").await?;
    assert_eq!(
        count(&mut *session, "child").await?,
        2,
        "a cascade fired in a rebuild"
    );
    run(&mut *session, "INSERT INTO child (id, parent) VALUES (3, 3)").await?;
    run(
        &mut *session,
        "INSERT INTO t (id, note) VALUES (1, 'a'), (2, 'b'), (3, 'c')",
    )
    .await?;
    session.commit(&cx()).await?;
    assert_eq!(count(&mut *session, "child").await?, 3);
    assert_eq!(count(&mut *session, "t").await?, 3);
    Ok(())
}

pub(super) async fn a_rebuild_that_violates_a_foreign_key_rolls_back(fixture: EngineFixture) -> Result<()> {
    let mut session = family(&fixture).await?;
    if !session.capability().alters_by_rebuild {
        crate::runner::note("tables are not altered by rebuilding them here");
        return Ok(());
    }
    session.begin(&cx(), Begin::Rebuild).await?;
    run(&mut *session, "DELETE FROM t WHERE id = 2").await?;
    run(&mut *session, "DELETE FROM t WHERE id = 3").await?;
    let error = refused(
        session.commit(&cx()).await,
        "a rebuild that leaves a row without its parent",
    );
    assert_eq!(error.kind(), ErrorKind::Database, "{error:?}");
    assert!(
        error.message().contains("child"),
        "the table is not named: {error}"
    );
    assert_eq!(
        count(&mut *session, "t").await?,
        3,
        "a commit that failed has committed"
    );
    refused(session.rollback(&cx()).await, "a rollback after a failed commit");
    // A row that nothing refers to may go.
    session.begin(&cx(), Begin::Rebuild).await?;
    run(&mut *session, "DELETE FROM t WHERE id = 3").await?;
    session.commit(&cx()).await?;
    assert_eq!(count(&mut *session, "t").await?, 2);
    Ok(())
}

pub(super) async fn foreign_keys_are_enforced_again_after_a_rebuild(fixture: EngineFixture) -> Result<()> {
    let mut session = family(&fixture).await?;
    if !session.capability().alters_by_rebuild {
        crate::runner::note("tables are not altered by rebuilding them here");
        return Ok(());
    }
    for end in ["commit", "rollback", "failed commit"] {
        session.begin(&cx(), Begin::Rebuild).await?;
        match end {
            "commit" => session.commit(&cx()).await?,
            "rollback" => session.rollback(&cx()).await?,
            _ => {
                run(&mut *session, "DELETE FROM t WHERE id = 1").await?;
                refused(session.commit(&cx()).await, "a violation");
            }
        }
        let orphan = "INSERT INTO child (id, parent) VALUES (9, 99)";
        refused(
            run(&mut *session, orphan).await,
            &format!("an orphan after a {end}"),
        );
    }
    assert!(session.has_table(&cx(), &named("child")).await?);
    run(&mut *session, "DELETE FROM t WHERE id = 2").await?;
    assert_eq!(
        count(&mut *session, "child").await?,
        1,
        "the cascade does not fire any more"
    );
    Ok(())
}
