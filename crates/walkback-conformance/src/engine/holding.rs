//! Waiting for others, and keeping others from writing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use walkback_core::engine::{Begin, Swap};
use walkback_core::grants::{Account, Grant, GrantKeeping, GrantScope, Obstacles, Right};
use walkback_core::statement::Action;
use walkback_core::{Error, ErrorKind, Result, Session};

use super::EngineFixture;
use super::support::{count, cx, named, refused, rows, run};

/// How long the checks wait for a lock they will not get.
const SHORT: Duration = Duration::from_millis(1100);

pub(super) async fn a_statement_waits_for_a_lock_only_so_long(fixture: EngineFixture) -> Result<()> {
    let mut one = fixture.with_table(3).await?;
    let mut other = fixture.writer().await?;
    one.begin(&cx(), Begin::Write).await?;
    run(&mut *one, "UPDATE t SET note = 'held' WHERE id = 1").await?;
    other.set_lock_timeout(&cx(), SHORT).await?;
    let blocked = async {
        other.begin(&cx(), Begin::Write).await?;
        run(&mut *other, "UPDATE t SET note = 'blocked' WHERE id = 1").await
    };
    // The guard of this check, not a figure: without a limit of its own the statement would wait for ever.
    let outcome = tokio::time::timeout(Duration::from_secs(30), blocked).await;
    let outcome = outcome.unwrap_or_else(|_| panic!("the statement still waits after its lock timeout"));
    let error = refused(outcome, "a row that another session holds");
    assert_eq!(error.kind(), ErrorKind::Locked, "{error:?}");
    one.rollback(&cx()).await?;
    other.rollback(&cx()).await.ok();
    run(&mut *other, "UPDATE t SET note = 'free' WHERE id = 1").await?;
    Ok(())
}

pub(super) async fn held_tables_are_written_by_nobody_else_where_that_is_claimed(
    fixture: EngineFixture,
) -> Result<()> {
    let mut one = fixture.with_table(3).await?;
    one.begin(&cx(), Begin::Write).await?;
    let held = one.hold_tables(&cx(), &[named("t")]).await;
    if !one.capability().holds_tables {
        let error = refused(held, "holding tables, which is not claimed");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        return Ok(());
    }
    held?;
    let mut other = fixture.writer().await?;
    other.set_lock_timeout(&cx(), SHORT).await?;
    let error = refused(
        run(&mut *other, "UPDATE t SET note = 'mine' WHERE id = 2").await,
        "writing to a table that another session holds",
    );
    assert_eq!(error.kind(), ErrorKind::Locked, "{error:?}");
    let mut reader = fixture.reader().await?;
    assert_eq!(count(&mut *reader, "t").await?, 3, "readers may go on");
    run(&mut *one, "UPDATE t SET note = 'own' WHERE id = 2").await?;
    one.commit(&cx()).await?;
    run(&mut *other, "UPDATE t SET note = 'mine' WHERE id = 2").await?;
    Ok(())
}

pub(super) async fn no_write_gets_between_a_hold_and_its_swap_where_that_is_claimed(
    fixture: EngineFixture,
) -> Result<()> {
    let mut session = fixture.with_table(1).await?;
    if !session.capability().holds_until_swap {
        let held = session.hold_until_swap(&cx(), &[named("t")]).await;
        let error = refused(held, "holding tables, which is not claimed");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        return Ok(());
    }
    let tables = ["t", "b", "a", "Z"];
    for table in &tables[1..] {
        run(&mut *session, &fixture.create_table(table)).await?;
        fixture.fill(&mut *session, table, 1).await?;
    }
    let is_over = AtomicBool::new(false);
    let writers = tables.map(|table| write_until(&fixture, table, &is_over));
    let exchange = async {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            exchange_held(&mut *session, &tables).await?;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        // One that was not exchanged after all can be written to again.
        session.hold_until_swap(&cx(), &[named("t")]).await?;
        session.let_go(&cx()).await?;
        run(&mut *session, "UPDATE t SET id = id + 1").await?;
        is_over.store(true, Ordering::SeqCst);
        Ok::<(), Error>(())
    };
    let (written, exchanged) = tokio::join!(futures::future::join_all(writers), exchange);
    exchanged?;
    for (table, written) in tables.iter().zip(written) {
        let there = rows(&mut *session, &format!("SELECT id FROM {table}")).await?;
        let own = i64::from(*table == "t");
        assert_eq!(
            there[0][0].as_i64(),
            Some(1 + own + written?),
            "a write to `{table}` was lost"
        );
    }
    Ok(())
}

/// Adds one to the only row of a table, again and again; returns how often.
async fn write_until(fixture: &EngineFixture, table: &str, is_over: &AtomicBool) -> Result<i64> {
    let mut session = fixture.writer().await?;
    let mut written = 0;
    while !is_over.load(Ordering::SeqCst) {
        run(&mut *session, &format!("UPDATE {table} SET id = id + 1")).await?;
        written += 1;
    }
    Ok(written)
}

/// Puts tables with the same rows in the place of these, while others write to them.
async fn exchange_held(session: &mut dyn Session, tables: &[&str]) -> Result<()> {
    let held: Vec<_> = tables.iter().map(|table| named(table)).collect();
    session.hold_until_swap(&cx(), &held).await?;
    let schema = session.schema(&cx()).await?;
    let mut swap = Swap {
        drop_tables: held,
        ..Swap::default()
    };
    for (index, table) in tables.iter().enumerate() {
        let (live, shadow) = (named(table), named(&format!("_walkback_shadow_{index}")));
        let definition = schema.table(&live).expect("it is there");
        session.create_shadow(&cx(), definition, &shadow).await?;
        let fill = format!("INSERT INTO {} SELECT * FROM {table}", shadow.name);
        run(session, &fill).await?;
        swap.shadows.push((shadow, live));
    }
    session.swap(&cx(), &swap).await
}

pub(super) async fn an_owner_lacks_no_right(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(1).await?;
    let table = named("t");
    let column = "note".to_owned();
    let actions = [
        Action::Insert {
            table: table.clone(),
            may_overwrite: true,
        },
        Action::Update { table: table.clone() },
        Action::Delete { table: table.clone() },
        Action::Truncate { table: table.clone() },
        Action::AddColumn {
            table: table.clone(),
            column: column.clone(),
        },
        Action::DropColumn {
            table: table.clone(),
            column,
        },
        Action::DropTable { table },
        Action::DropTable {
            table: named("not there"),
        },
    ];
    assert_eq!(
        session.missing_rights(&cx(), &actions).await?,
        Vec::<String>::new()
    );
    assert_eq!(
        count(&mut *session, "t").await?,
        1,
        "asking for rights changed something"
    );
    Ok(())
}

pub(super) async fn rights_are_read_and_can_be_given_again(fixture: EngineFixture) -> Result<()> {
    drop(fixture.with_table(1).await?);
    let GrantKeeping::Apart(server) = fixture.engine.grants() else {
        crate::runner::note("this engine keeps no rights apart from the schema");
        return Ok(());
    };
    let held = server.held(&cx()).await?;
    assert_eq!(server.obstacles(&cx(), &held).await?, Obstacles::default());
    assert_eq!(server.give(&cx(), &held).await?, Vec::<String>::new());
    assert_eq!(server.held(&cx()).await?, held, "giving what is there changes it");
    let nobody = Grant {
        account: Account {
            name: "walkback_nobody".to_owned(),
            host: Some("nowhere.invalid".to_owned()),
        },
        on: GrantScope::Table("t".to_owned()),
        rights: vec![Right {
            right: "SELECT".to_owned(),
            columns: Vec::new(),
        }],
        with_grant_option: false,
    };
    let nobody = [nobody];
    let obstacles = server.obstacles(&cx(), &nobody).await?;
    assert_eq!(obstacles.absent, [nobody[0].account.clone()]);
    assert_eq!(
        server.give(&cx(), &nobody).await?.len(),
        1,
        "an account was created"
    );
    assert_eq!(server.held(&cx()).await?, held);
    Ok(())
}

/// How long to wait for what others have under way.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

pub(super) async fn a_database_that_is_read_only_keeps_applications_from_writing(
    fixture: EngineFixture,
) -> Result<()> {
    drop(fixture.with_table(1).await?);
    let Some(control) = fixture.engine.control() else {
        crate::runner::note("this engine cannot be made read-only as a whole");
        return Ok(());
    };
    assert!(!control.read_only(&cx()).await?);
    control.check_read_only(&cx()).await?;
    let claim = control.claim_read_only(&cx()).await?;
    assert!(claim.is_some(), "somebody else keeps applications from writing");
    let before = control.before_read_only(&cx()).await?;
    assert!(!before.contains('\n'), "{before}");
    control.begin_read_only(&cx(), PATIENCE).await?;
    let now = control.read_only(&cx()).await;
    let own = async {
        let mut session = fixture.writer().await?;
        run(&mut *session, "UPDATE t SET note = 'by walkback'").await
    };
    let own = own.await;
    control.end_read_only(&cx(), Some(&before), PATIENCE).await?;
    assert!(now?, "it does not say that it is read-only");
    assert_eq!(own?, 1, "walkback itself cannot write any more");
    assert!(!control.read_only(&cx()).await?);
    // It can be done twice, and without knowing what was before.
    control.end_read_only(&cx(), None, PATIENCE).await?;
    assert!(!control.read_only(&cx()).await?);
    drop(claim);
    let mut session = fixture.writer().await?;
    run(&mut *session, "UPDATE t SET note = 'again'").await?;
    Ok(())
}
