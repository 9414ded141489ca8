//! Contexts that end while something runs.

use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use walkback_core::engine::Begin;
use walkback_core::{Error, ErrorKind, Result, Session};

use super::EngineFixture;
use super::support::{MANY, count, cx, refused, run};

/// A statement that is stopped must be stopped in less than this.
const SOON: Duration = Duration::from_secs(20);

/// Ten thousand rows to the fifth power: no machine gets to the end of it.
const ENDLESS: &str =
    "SELECT COUNT(*) FROM t a, t b, t c, t d, t e WHERE a.id + b.id + c.id + d.id + e.id < 0";

pub(super) async fn a_cancelled_context_runs_nothing(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(1).await?;
    let ended = cx();
    ended.canceller().cancel();
    let outcome = session.execute(&ended, "DELETE FROM t", &[]).await;
    assert_eq!(
        refused(outcome, "a cancelled statement").kind(),
        ErrorKind::Interrupted
    );
    let outcome = session.begin(&ended, Begin::Write).await;
    assert_eq!(
        refused(outcome, "a cancelled transaction").kind(),
        ErrorKind::Interrupted
    );
    let outcome = session.query(&ended, "SELECT 1", &[]).await.map(drop);
    assert_eq!(
        refused(outcome, "a cancelled query").kind(),
        ErrorKind::Interrupted
    );
    assert_eq!(count(&mut *session, "t").await?, 1);
    // A transaction whose context has ended is rolled back by the commit that fails.
    session.begin(&cx(), Begin::Write).await?;
    run(&mut *session, "DELETE FROM t").await?;
    refused(session.commit(&ended).await, "a cancelled commit");
    assert_eq!(
        count(&mut *session, "t").await?,
        1,
        "a commit that failed has committed"
    );
    session.begin(&cx(), Begin::Write).await?;
    session.rollback(&cx()).await
}

pub(super) async fn cancelling_stops_a_statement_and_the_session_goes_on(
    fixture: EngineFixture,
) -> Result<()> {
    let mut session = fixture.with_table(10_000).await?;
    run(&mut *session, &fixture.create_table("u")).await?;
    session.begin(&cx(), Begin::Write).await?;
    run(&mut *session, "INSERT INTO u (id, note) VALUES (1, 'before')").await?;
    let context = cx();
    let canceller = context.canceller();
    let start = Instant::now();
    let insert = format!("INSERT INTO u (id, note) SELECT 2, 'x' FROM t WHERE id = ({ENDLESS})");
    let (outcome, ()) = tokio::join!(session.execute(&context, &insert, &[]), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        canceller.cancel();
    });
    let error = refused(outcome, "a statement that was cancelled");
    assert_eq!(error.kind(), ErrorKind::Interrupted, "{error:?}");
    assert!(start.elapsed() < SOON, "it took {:?} to stop", start.elapsed());
    session.rollback(&cx()).await?;
    assert_eq!(count(&mut *session, "u").await?, 0);
    works(&mut *session).await
}

pub(super) async fn a_deadline_stops_a_query(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(10_000).await?;
    let start = Instant::now();
    let short = cx().with_timeout(Duration::from_millis(100));
    let outcome = match session.query(&short, ENDLESS, &[]).await {
        Ok(stream) => stream.try_collect::<Vec<_>>().await.map(drop),
        Err(error) => Err(error),
    };
    let error = refused(outcome, "a query beyond its deadline");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(start.elapsed() < SOON, "it took {:?} to stop", start.elapsed());
    works(&mut *session).await
}

pub(super) async fn cancelling_ends_a_stream(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(MANY).await?;
    let context = cx();
    let mut stream = session.query(&context, "SELECT id, note FROM t", &[]).await?;
    assert!(stream.try_next().await?.is_some());
    context.canceller().cancel();
    let mut taken = 0;
    let error: Error = loop {
        match stream.try_next().await {
            Ok(Some(_)) => taken += 1,
            Ok(None) => panic!("a cancelled stream ended as if it were whole"),
            Err(error) => break error,
        }
        assert!(taken < MANY - 1, "a cancelled stream went on to the end");
    };
    assert_eq!(error.kind(), ErrorKind::Interrupted, "{error:?}");
    drop(stream);
    works(&mut *session).await
}

pub(super) async fn a_dropped_call_leaves_the_session_usable(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(10_000).await?;
    let start = Instant::now();
    let context = cx();
    let call = session.execute(&context, ENDLESS, &[]);
    assert!(
        tokio::time::timeout(Duration::from_millis(100), call)
            .await
            .is_err(),
        "the endless statement has ended"
    );
    works(&mut *session).await?;
    assert!(start.elapsed() < SOON, "it took {:?} to stop", start.elapsed());
    Ok(())
}

async fn works(session: &mut dyn Session) -> Result<()> {
    session.begin(&cx(), Begin::Write).await?;
    run(session, "UPDATE t SET note = 'it works' WHERE id = 1").await?;
    session.commit(&cx()).await?;
    assert_eq!(count(session, "t WHERE note = 'it works'").await?, 1);
    Ok(())
}
