//! Fingerprints of rows.

use walkback_core::{Result, Value};

use super::EngineFixture;
use super::support::{cx, run, table, text};

pub(super) async fn the_order_of_rows_does_not_matter(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(500).await?;
    let t = table(&mut *session, "t").await?;
    let print = session.fingerprint(&cx(), &t).await?;
    assert_eq!(print.rows, 500);
    run(&mut *session, &fixture.create_table("kept")).await?;
    run(
        &mut *session,
        "INSERT INTO kept (id, note) SELECT id, note FROM t",
    )
    .await?;
    run(&mut *session, "DELETE FROM t").await?;
    let empty = session.fingerprint(&cx(), &t).await?;
    assert_eq!(empty.rows, 0);
    assert_ne!(empty.hash, print.hash);
    run(
        &mut *session,
        "INSERT INTO t (id, note) SELECT id, note FROM kept ORDER BY id DESC",
    )
    .await?;
    run(&mut *session, "CREATE INDEX t_note ON t (note)").await?;
    assert_eq!(session.fingerprint(&cx(), &t).await?, print);
    Ok(())
}

pub(super) async fn every_cell_matters(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(100).await?;
    let t = table(&mut *session, "t").await?;
    let first = session.fingerprint(&cx(), &t).await?;
    for (change, back) in [
        (
            "UPDATE t SET note = 'x' WHERE id = 50",
            "UPDATE t SET note = 'note 50' WHERE id = 50",
        ),
        (
            "UPDATE t SET note = NULL WHERE id = 50",
            "UPDATE t SET note = 'note 50' WHERE id = 50",
        ),
        (
            "UPDATE t SET id = 1000 WHERE id = 50",
            "UPDATE t SET id = 50 WHERE id = 1000",
        ),
        (
            "DELETE FROM t WHERE id = 100",
            "INSERT INTO t (id, note) VALUES (100, 'note 100')",
        ),
        (
            "INSERT INTO t (id, note) VALUES (0, NULL)",
            "DELETE FROM t WHERE id = 0",
        ),
    ] {
        run(&mut *session, change).await?;
        let changed = session.fingerprint(&cx(), &t).await?;
        assert_ne!(changed.hash, first.hash, "{change}");
        run(&mut *session, back).await?;
        assert_eq!(session.fingerprint(&cx(), &t).await?, first, "{back}");
    }
    // Two cells that change places make another table.
    run(&mut *session, "UPDATE t SET note = 'note 1' WHERE id = 2").await?;
    run(&mut *session, "UPDATE t SET note = 'note 2' WHERE id = 1").await?;
    assert_ne!(session.fingerprint(&cx(), &t).await?, first);
    Ok(())
}

pub(super) async fn values_that_only_look_alike_differ(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.writer().await?;
    let (integer, note, bytes) = (fixture.integer(), fixture.text(), fixture.bytes());
    let create =
        format!("CREATE TABLE v (id {integer} NOT NULL, s {note}, z {note}, b {bytes}, PRIMARY KEY (id))");
    run(&mut *session, &create).await?;
    let v = table(&mut *session, "v").await?;
    let alike: [[Value; 3]; 8] = [
        [Value::Null, Value::Null, Value::Null],
        [text(""), Value::Null, Value::Null],
        [Value::Null, text(""), Value::Null],
        [Value::Null, Value::Null, Value::Bytes(Vec::new())],
        [text("NULL"), Value::Null, Value::Null],
        [text("ab"), text("c"), Value::Null],
        [text("a"), text("bc"), Value::Null],
        [text("a"), text("b"), Value::Bytes(b"c".to_vec())],
    ];
    let insert = format!("INSERT INTO v (id, s, z, b) VALUES (1, {})", fixture.holes(3));
    let mut prints = Vec::new();
    for row in &alike {
        session.execute(&cx(), &insert, row).await?;
        prints.push(session.fingerprint(&cx(), &v).await?.hash);
        run(&mut *session, "DELETE FROM v").await?;
    }
    let count = prints.len();
    prints.sort();
    prints.dedup();
    assert_eq!(prints.len(), count, "two rows that differ have one fingerprint");
    Ok(())
}
