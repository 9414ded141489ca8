//! A session whose process is killed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use walkback_core::engine::{Begin, LockAttempt, LockHolder};
use walkback_core::{Access, Cx, Engine, Result};

use super::EngineFixture;
use super::support::{MANY, count, cx, run};
use crate::crash::{End, Scenario};

/// The steps of the scenario, in order; each is reached with what is said here done.
const STEPS: [&str; 5] = ["prepared", "begun", "written", "committed", "begun again"];

/// Returns a scenario of transactions under a lock. `open` opens the database below a folder.
///
/// After each kill: nothing of a transaction that was not committed is there and all of one that was, a reader
/// can read at once, the lock is free, and a writer can write.
pub fn crash_scenario(
    name: impl Into<String>,
    open: impl Fn(&Path) -> Arc<dyn Engine> + Clone + Send + Sync + 'static,
) -> Scenario {
    let for_run = open.clone();
    Scenario::new(
        name,
        move |folder, cx| change(for_run(&folder), cx),
        move |folder, end| check(open(&folder), end, folder),
    )
}

fn holder() -> LockHolder {
    LockHolder {
        who: "the crash scenario".to_owned(),
        since: None,
    }
}

async fn change(engine: Arc<dyn Engine>, cx: Cx) -> Result<()> {
    let fixture = EngineFixture::new(engine);
    let mut session = fixture.with_table(MANY).await?;
    session.try_lock(&cx, "walkback", &holder()).await?;
    cx.step(STEPS[0]);
    session.begin(&cx, Begin::Rebuild).await?;
    run(&mut *session, "UPDATE t SET note = 'changed'").await?;
    cx.step(STEPS[1]);
    run(&mut *session, &fixture.create_table("u")).await?;
    run(&mut *session, "INSERT INTO u (id, note) SELECT id, note FROM t").await?;
    cx.step(STEPS[2]);
    session.commit(&cx).await?;
    cx.step(STEPS[3]);
    session.begin(&cx, Begin::Write).await?;
    run(&mut *session, "DELETE FROM u").await?;
    cx.step(STEPS[4]);
    Ok(())
}

async fn check(engine: Arc<dyn Engine>, end: End, folder: PathBuf) -> Result<()> {
    let committed = match &end {
        End::Finished => true,
        End::Killed { step, .. } => STEPS.iter().position(|name| name == step) >= Some(3),
    };
    let expected = if committed { MANY } else { 0 };
    let mut reader = engine.connect(&cx(), Access::Read).await?;
    assert_eq!(
        count(&mut *reader, "t").await?,
        MANY,
        "{end:?} in {}",
        folder.display()
    );
    assert_eq!(
        count(&mut *reader, "t WHERE note = 'changed'").await?,
        expected,
        "{end:?}"
    );
    let made = reader
        .has_table(&cx(), &walkback_core::TableName::new("u"))
        .await?;
    assert_eq!(made, committed, "{end:?}");
    drop(reader);
    let mut writer = engine.connect(&cx(), Access::Write).await?;
    let attempt = writer.try_lock(&cx(), "walkback", &holder()).await?;
    assert_eq!(
        attempt,
        LockAttempt::Taken,
        "the lock of a killed process is still held"
    );
    writer.begin(&cx(), Begin::Write).await?;
    assert_eq!(
        count(&mut *writer, "t WHERE note = 'changed'").await?,
        expected,
        "{end:?}"
    );
    run(&mut *writer, "UPDATE t SET note = 'after'").await?;
    writer.commit(&cx()).await?;
    assert_eq!(count(&mut *writer, "t WHERE note = 'after'").await?, MANY);
    Ok(())
}
