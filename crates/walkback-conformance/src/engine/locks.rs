//! Advisory locks.

use walkback_core::engine::{Begin, LockAttempt, LockHolder};
use walkback_core::{Result, Session};

use super::EngineFixture;
use super::support::{cx, refused, run};

fn holder(who: &str) -> LockHolder {
    LockHolder {
        who: who.to_owned(),
        since: Some(cx().now()),
    }
}

async fn take(session: &mut dyn Session, name: &str) -> Result<bool> {
    let attempt = session.try_lock(&cx(), name, &holder("somebody")).await?;
    Ok(attempt == LockAttempt::Taken)
}

pub(super) async fn a_lock_excludes_other_sessions(fixture: EngineFixture) -> Result<()> {
    let (mut one, mut other) = (fixture.writer().await?, fixture.writer().await?);
    assert!(take(&mut *one, "walkback").await?);
    assert!(
        !take(&mut *other, "walkback").await?,
        "two sessions hold one lock"
    );
    assert!(
        !take(&mut *other, "walkback").await?,
        "two sessions hold one lock"
    );
    refused(
        other.unlock(&cx(), "walkback").await,
        "freeing the lock of another session",
    );
    assert!(!take(&mut *other, "walkback").await?);
    Ok(())
}

/// Returns whether an answer names the holder: by what it said of itself, or by its connection at the server.
fn names(attempt: &LockAttempt, holder: &LockHolder) -> bool {
    match attempt {
        LockAttempt::Held(Some(found)) => found == holder || found.who.contains("connection"),
        _ => false,
    }
}

pub(super) async fn the_holder_of_a_lock_is_named_where_that_is_claimed(
    fixture: EngineFixture,
) -> Result<()> {
    let (mut one, mut other) = (fixture.writer().await?, fixture.writer().await?);
    let first = holder("\"anna\" 😀 (pid 1) on host: walkback up");
    let second = holder("ben");
    assert_eq!(one.try_lock(&cx(), "walkback", &first).await?, LockAttempt::Taken);
    let attempt = other.try_lock(&cx(), "walkback", &second).await?;
    if other.capability().names_lock_holder {
        assert!(names(&attempt, &first), "{attempt:?} does not name {first:?}");
    } else {
        assert_eq!(
            attempt,
            LockAttempt::Held(None),
            "a holder is named, which is not claimed"
        );
    }
    one.unlock(&cx(), "walkback").await?;
    assert_eq!(
        other.try_lock(&cx(), "walkback", &second).await?,
        LockAttempt::Taken
    );
    if one.capability().names_lock_holder {
        let attempt = one.try_lock(&cx(), "walkback", &second).await?;
        assert!(names(&attempt, &second), "{attempt:?} names the holder before");
    }
    Ok(())
}

pub(super) async fn the_session_that_holds_a_lock_is_found_and_can_be_ended(
    fixture: EngineFixture,
) -> Result<()> {
    let Some(control) = fixture.engine.control() else {
        crate::runner::note("no server keeps the locks of this engine");
        return Ok(());
    };
    assert_eq!(control.lock_session(&cx(), "walkback").await?, None);
    let (mut one, mut other) = (fixture.writer().await?, fixture.writer().await?);
    assert!(take(&mut *one, "walkback").await?);
    assert_eq!(control.lock_session(&cx(), "another").await?, None);
    let found = control.lock_session(&cx(), "walkback").await?;
    let Some(found) = found else {
        panic!("the session that holds the lock is not found");
    };
    assert!(found.silent_for.as_secs() < 5, "{found:?}");
    control.end_session(&cx(), &found.id).await?;
    assert_eq!(control.lock_session(&cx(), "walkback").await?, None);
    assert!(take(&mut *other, "walkback").await?, "its lock is not free");
    refused(
        one.execute(&cx(), "SELECT 1", &[]).await,
        "a session that was ended",
    );
    // Twice is no error.
    control.end_session(&cx(), &found.id).await?;
    Ok(())
}

pub(super) async fn a_freed_lock_can_be_taken(fixture: EngineFixture) -> Result<()> {
    let (mut one, mut other) = (fixture.writer().await?, fixture.writer().await?);
    for _ in 0..3 {
        assert!(take(&mut *one, "walkback").await?);
        one.unlock(&cx(), "walkback").await?;
        assert!(take(&mut *other, "walkback").await?, "a freed lock is still held");
        other.unlock(&cx(), "walkback").await?;
    }
    Ok(())
}

pub(super) async fn a_dropped_session_frees_its_locks(fixture: EngineFixture) -> Result<()> {
    let (mut one, mut other) = (fixture.writer().await?, fixture.writer().await?);
    assert!(take(&mut *one, "walkback").await?);
    drop(one);
    // A server may need a moment to notice that the connection is gone.
    for _ in 0..100 {
        if take(&mut *other, "walkback").await? {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("a dropped session still holds its lock");
}

pub(super) async fn transactions_do_not_matter_to_a_lock(fixture: EngineFixture) -> Result<()> {
    let mut one = fixture.with_table(1).await?;
    let mut other = fixture.writer().await?;
    one.begin(&cx(), Begin::Write).await?;
    assert!(take(&mut *one, "in").await?);
    one.rollback(&cx()).await?;
    assert!(!take(&mut *other, "in").await?, "a rollback has freed the lock");
    assert!(take(&mut *one, "out").await?);
    one.begin(&cx(), Begin::Write).await?;
    run(&mut *one, "DELETE FROM t").await?;
    one.commit(&cx()).await?;
    assert!(!take(&mut *other, "out").await?, "a commit has freed the lock");
    one.begin(&cx(), Begin::Write).await?;
    one.unlock(&cx(), "out").await?;
    assert!(
        take(&mut *other, "out").await?,
        "the lock is free only when the transaction ends"
    );
    one.rollback(&cx()).await
}

pub(super) async fn locks_of_different_names_are_different_locks(fixture: EngineFixture) -> Result<()> {
    let (mut one, mut other) = (fixture.writer().await?, fixture.writer().await?);
    let names = [
        "walkback",
        "Walkback",
        "a/b",
        "a_b",
        "..",
        "ü😀",
        "'; --",
        "walkback ",
    ];
    for name in names {
        assert!(take(&mut *one, name).await?, "{name}");
    }
    for name in names {
        assert!(!take(&mut *other, name).await?, "{name}");
    }
    one.unlock(&cx(), "a/b").await?;
    assert!(take(&mut *other, "a/b").await?);
    assert!(!take(&mut *other, "a_b").await?);
    Ok(())
}

pub(super) async fn a_lock_that_is_not_held_cannot_be_freed(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.writer().await?;
    refused(
        session.unlock(&cx(), "walkback").await,
        "freeing a lock that is not held",
    );
    assert!(take(&mut *session, "walkback").await?);
    session.unlock(&cx(), "walkback").await?;
    refused(session.unlock(&cx(), "walkback").await, "freeing a lock twice");
    Ok(())
}
