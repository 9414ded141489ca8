//! Keeping what a transaction changes that is not ours.

use std::collections::BTreeMap;
use std::time::Duration;

use walkback_core::engine::{Begin, SessionExt as _};
use walkback_core::witness::{COPY, WHOLE, WITNESSED};
use walkback_core::{Result, Session};

use super::EngineFixture;
use super::support::{cx, named, run};

pub(super) async fn what_another_transaction_changes_is_copied_before_it_ends(
    fixture: EngineFixture,
) -> Result<()> {
    let Some(witness) = fixture.engine.witness() else {
        return Ok(());
    };
    let mut session = fixture.with_table(5).await?;
    for sql in [
        "CREATE TABLE untouched (id INTEGER PRIMARY KEY)",
        "CREATE TABLE wider (id INTEGER PRIMARY KEY)",
        "CREATE TABLE older (id INTEGER PRIMARY KEY)",
        "CREATE TABLE \"it's\" (id INTEGER PRIMARY KEY)",
    ] {
        run(&mut *session, sql).await?;
    }
    let schema = session.schema(&cx()).await?;
    let names: Vec<_> = schema.tables.iter().map(|table| table.name.clone()).collect();
    session.begin(&cx(), Begin::Write).await?;
    for sql in witness.first(&names, Duration::from_secs(5)) {
        run(&mut *session, &sql).await?;
    }
    for change in [
        "UPDATE t SET note = 'changed' WHERE id = 1",
        "DELETE FROM t WHERE id = 2",
        "ALTER TABLE wider ADD COLUMN more INTEGER",
        "ALTER TABLE older RENAME TO newer",
        "CREATE TABLE made (id INTEGER PRIMARY KEY)",
        "INSERT INTO made VALUES (7)",
        "INSERT INTO \"it's\" VALUES (8)",
    ] {
        run(&mut *session, change).await?;
    }
    for sql in witness.last(None) {
        run(&mut *session, &sql).await?;
    }
    session.commit(&cx()).await?;
    let listed = listed(&mut *session).await?;
    assert!(
        listed.contains_key(""),
        "the list does not say that it is whole: {listed:?}"
    );
    let found: Vec<&str> = listed.keys().map(String::as_str).collect();
    assert_eq!(found, ["", "it's", "made", "newer", "t", "wider"]);
    assert!(listed["newer"].1.is_some(), "its name is another one: {listed:?}");
    let mut copies = Vec::new();
    for (name, count) in [("t", 4), ("wider", 0), ("made", 1), ("it's", 1)] {
        let (number, why) = &listed[name];
        assert_eq!(*why, None, "{name}");
        let copy = named(&format!("{COPY}{number}"));
        let sql = format!(
            "SELECT count(*) FROM {}",
            fixture.engine.dialect().quote_table(&copy)
        );
        let rows = session.fetch_all(&cx(), &sql, &[]).await?;
        assert_eq!(rows[0][0].as_i64(), Some(count), "{name}");
        copies.push(*number);
    }
    for sql in witness.forget(None, &copies) {
        run(&mut *session, &sql).await?;
    }
    assert!(!session.has_table(&cx(), &named(WITNESSED)).await?);
    // A transaction that is not the one of `first` says nothing.
    session.begin(&cx(), Begin::Write).await?;
    for sql in witness.last(None) {
        run(&mut *session, &sql).await?;
    }
    session.commit(&cx()).await?;
    assert!(!session.has_table(&cx(), &named(WITNESSED)).await?);
    Ok(())
}

/// Returns the number of each table that is listed, and why nothing can be told of it; the row that says the list is whole
/// has no name.
async fn listed(session: &mut dyn Session) -> Result<BTreeMap<String, (i64, Option<String>)>> {
    if !session.has_table(&cx(), &named(WITNESSED)).await? {
        return Ok(BTreeMap::new());
    }
    let sql = format!("SELECT number, table_name, why FROM {WITNESSED} WHERE number >= {WHOLE}");
    let rows = session.fetch_all(&cx(), &sql, &[]).await?;
    let row = |row: &walkback_core::value::Row| {
        let text = |index: usize| row[index].as_str().map(str::to_owned);
        (
            text(1).unwrap_or_default(),
            (row[0].as_i64().unwrap_or(-1), text(2)),
        )
    };
    Ok(rows.iter().map(row).collect())
}
