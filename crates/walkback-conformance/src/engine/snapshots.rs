//! Transactions that read.

use walkback_core::engine::{Begin, SnapshotId};
use walkback_core::{ErrorKind, Result};

use super::EngineFixture;
use super::support::{count, cx, refused, run};

pub(super) async fn a_read_transaction_sees_one_moment(fixture: EngineFixture) -> Result<()> {
    let mut reader = fixture.with_table(1).await?;
    let mut writer = fixture.writer().await?;
    reader.begin(&cx(), Begin::Read).await?;
    // An engine may make the writer wait for the reader instead, and then refuse.
    let written = run(&mut *writer, "INSERT INTO t (id, note) VALUES (2, 'x')").await;
    assert_eq!(count(&mut *reader, "t").await?, 1, "the snapshot has moved");
    if let Err(error) = &written {
        assert_eq!(error.kind(), ErrorKind::Locked, "{error:?}");
        assert!(error.is_retryable());
    }
    reader.commit(&cx()).await?;
    if written.is_err() {
        run(&mut *writer, "INSERT INTO t (id, note) VALUES (2, 'x')").await?;
    }
    assert_eq!(count(&mut *reader, "t").await?, 2);
    Ok(())
}

pub(super) async fn a_read_transaction_changes_nothing(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(1).await?;
    session.begin(&cx(), Begin::Read).await?;
    refused(
        run(&mut *session, "DELETE FROM t").await,
        "a write in a read transaction",
    );
    session.rollback(&cx()).await?;
    assert_eq!(count(&mut *session, "t").await?, 1);
    run(&mut *session, "INSERT INTO t (id, note) VALUES (2, 'x')").await?;
    Ok(())
}

pub(super) async fn a_snapshot_is_shared_where_that_is_claimed(fixture: EngineFixture) -> Result<()> {
    let mut one = fixture.with_table(1).await?;
    let mut other = fixture.reader().await?;
    if !one.capability().shared_snapshot {
        let error = refused(one.export_snapshot(&cx()).await, "a snapshot that is not claimed");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        let unknown = Begin::Snapshot(SnapshotId("00000003-0000001B-1".to_owned()));
        let error = refused(
            other.begin(&cx(), unknown).await,
            "a snapshot that is not claimed",
        );
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        // It had no effect: there is no transaction.
        other.begin(&cx(), Begin::Read).await?;
        return other.rollback(&cx()).await;
    }
    one.begin(&cx(), Begin::Read).await?;
    let id = one.export_snapshot(&cx()).await?;
    run(
        &mut *fixture.writer().await?,
        "INSERT INTO t (id, note) VALUES (2, 'x')",
    )
    .await?;
    other.begin(&cx(), Begin::Snapshot(id)).await?;
    assert_eq!(count(&mut *other, "t").await?, 1);
    assert_eq!(
        count(&mut *one, "t").await?,
        1,
        "the one that shares it has moved on"
    );
    other.rollback(&cx()).await?;
    one.rollback(&cx()).await?;
    assert_eq!(count(&mut *other, "t").await?, 2);
    Ok(())
}
