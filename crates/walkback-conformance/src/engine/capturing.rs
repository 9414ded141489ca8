//! Capturing what a session changes in rows.

use walkback_core::Result;
use walkback_core::engine::{Begin, SessionExt as _};

use super::EngineFixture;
use super::support::{cx, named, run};

pub(super) async fn changed_rows_are_captured_as_they_were_and_as_they_are_left(
    fixture: EngineFixture,
) -> Result<()> {
    let Some(capture) = fixture.engine.capture() else {
        return Ok(());
    };
    let mut session = fixture.with_table(5).await?;
    let schema = session.schema(&cx()).await?;
    let tables = [schema.table(&named("t")).expect("the table").clone()];
    let dialect = fixture.engine.dialect();
    for attempt in 1..=2 {
        session.begin(&cx(), Begin::Write).await?;
        run(&mut *session, "UPDATE t SET note = 'before' WHERE id = 5").await?;
        capture.start(&cx(), &mut *session, &tables).await?;
        for change in [
            "UPDATE t SET note = 'first' WHERE id < 3",
            "UPDATE t SET note = 'second' WHERE id = 1",
            "DELETE FROM t WHERE id = 2 OR id = 3",
            "INSERT INTO t (id, note) VALUES (3, 'again'), (8, 'in vain'), (9, 'new')",
            "DELETE FROM t WHERE id = 8",
            "UPDATE t SET id = 7 WHERE id = 4",
        ] {
            run(&mut *session, change).await?;
        }
        let captured = capture.finish(&cx(), &mut *session, &tables).await?;
        assert_eq!(captured.len(), 1);
        assert_eq!(captured[0].table, named("t"));
        let mut sides = Vec::new();
        for side in [&captured[0].was, &captured[0].left] {
            let sql = format!("SELECT id, note FROM {} ORDER BY id", dialect.quote_table(side));
            let rows = session.fetch_all(&cx(), &sql, &[]).await?;
            let told = rows.iter().map(|row| {
                let (id, note) = (
                    row[0].as_i64().unwrap_or_default(),
                    row[1].as_str().unwrap_or("-"),
                );
                format!("{id} {note}")
            });
            sides.push(told.collect::<Vec<_>>().join(", "));
        }
        assert_eq!(
            sides,
            [
                "1 note 1, 2 note 2, 3 note 3, 4 note 4",
                "1 second, 3 again, 7 note 4, 9 new",
            ],
            "attempt {attempt}"
        );
        // What it made is gone with the transaction, and triggers too: the second attempt finds nothing of the first.
        session.rollback(&cx()).await?;
        capture.abandon(&cx(), &mut *session).await?;
    }
    let after = session.schema(&cx()).await?;
    assert_eq!(
        after.objects_on(&named("t")).count(),
        schema.objects_on(&named("t")).count()
    );
    Ok(())
}
