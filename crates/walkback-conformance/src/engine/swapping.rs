//! Shadows, and the exchange of tables.

use walkback_core::bulk::TableSlice;
use walkback_core::catalog::Object;
use walkback_core::engine::{Begin, Swap};
use walkback_core::name::ObjectKind;
use walkback_core::{ErrorKind, Result, Session};

use super::EngineFixture;
use super::bulk::{chunks, export, slice, target};
use super::support::{count, cx, differences, named, refused, rows, run, table};

const SHADOW: &str = "_walkback_shadow_t";

pub(super) async fn a_shadow_is_an_empty_table_of_the_same_shape(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.writer().await?;
    let (integer, note) = (fixture.integer(), fixture.text());
    let create = format!(
        "CREATE TABLE t (id {integer} NOT NULL, note {note} NOT NULL, size {integer} DEFAULT 7, PRIMARY KEY (id), \
         CHECK (size < 100), UNIQUE (size))"
    );
    run(&mut *session, &create).await?;
    run(&mut *session, "CREATE INDEX t_size ON t (size, id)").await?;
    run(&mut *session, "INSERT INTO t (id, note) VALUES (1, 'a')").await?;
    let t = table(&mut *session, "t").await?;
    for name in ["shadow", "a \"quoted\" name"] {
        let shadow = named(name);
        let quoted = fixture.engine.dialect().quote_table(&shadow);
        session.create_shadow(&cx(), &t, &shadow).await?;
        assert_eq!(count(&mut *session, &quoted).await?, 0);
        let made = table(&mut *session, name).await?;
        assert_eq!(made.columns, t.columns);
        let schema = session.schema(&cx()).await?;
        let indexes = schema
            .objects_on(&shadow)
            .filter(|object| object.kind == ObjectKind::Index);
        assert_eq!(indexes.count(), 0, "a shadow has no index of its own");
        for wrong in ["1, NULL, 1", "1, 'a', 100"] {
            let insert = format!("INSERT INTO {quoted} (id, note, size) VALUES ({wrong})");
            refused(run(&mut *session, &insert).await, &insert);
        }
        run(
            &mut *session,
            &format!("INSERT INTO {quoted} (id, note) VALUES (1, 'a')"),
        )
        .await?;
        assert_eq!(
            count(&mut *session, &format!("{quoted} WHERE size = 7")).await?,
            1
        );
    }
    Ok(())
}

pub(super) async fn a_shadow_gets_its_keys_once_it_is_loaded(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.writer().await?;
    let (integer, note) = (fixture.integer(), fixture.indexable_text());
    let create = format!(
        "CREATE TABLE t (id {integer} NOT NULL, note {note}, size {integer}, PRIMARY KEY (id), UNIQUE (size))"
    );
    run(&mut *session, &create).await?;
    for index in [
        "CREATE INDEX by_note ON t (note, size)",
        "CREATE UNIQUE INDEX by_both ON t (size, note)",
    ] {
        run(&mut *session, index).await?;
    }
    run(&mut *session, "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', NULL)").await?;
    let before = session.schema(&cx()).await?;
    let t = table(&mut *session, "t").await?;
    let indexes: Vec<Object> = before.objects_on(&t.name).cloned().collect();
    let shadow = named(SHADOW);
    session.create_shadow(&cx(), &t, &shadow).await?;
    let fill = format!("INSERT INTO {shadow} (id, note, size) SELECT id, note, size FROM t");
    run(&mut *session, &fill).await?;
    session.index_shadow(&cx(), &t, &shadow, &indexes).await?;
    let quoted = fixture.engine.dialect().quote_table(&shadow);
    for wrong in ["1, 'c', 3", "3, 'c', 1"] {
        let insert = format!("INSERT INTO {quoted} VALUES ({wrong})");
        refused(run(&mut *session, &insert).await, &insert);
    }
    // One that was made since is not among those that were made ahead, and one of those is not wanted any more.
    let wanted: Vec<Object> = indexes
        .iter()
        .filter(|index| index.name != named("by_note"))
        .cloned()
        .collect();
    let swap = Swap {
        drop_tables: vec![t.name.clone()],
        drop_objects: indexes,
        shadows: vec![(shadow, t.name.clone())],
        create_objects: wanted,
    };
    fixture.begin_exchange(&mut *session).await?;
    session.swap(&cx(), &swap).await?;
    fixture.end_exchange(&mut *session).await?;
    let after = session.schema(&cx()).await?;
    let mut expected = before;
    expected.objects.retain(|object| object.name != named("by_note"));
    assert_eq!(differences(&expected, &after), [""; 0]);
    assert_eq!(count(&mut *session, "t").await?, 2);
    Ok(())
}

pub(super) async fn a_shadow_takes_no_name_that_is_taken(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(3).await?;
    run(&mut *session, &fixture.create_table("taken")).await?;
    let t = table(&mut *session, "t").await?;
    for name in ["taken", "t"] {
        let outcome = session.create_shadow(&cx(), &t, &named(name)).await;
        assert_eq!(
            refused(outcome, "a shadow over a table").kind(),
            ErrorKind::AlreadyExists
        );
    }
    assert_eq!(count(&mut *session, "t").await?, 3);
    Ok(())
}

pub(super) async fn rows_set_aside_stand_in_nobodys_way(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(3).await?;
    let (integer, note) = (fixture.integer(), fixture.indexable_text());
    let create = format!(
        "CREATE TABLE c (id {integer} NOT NULL, note {note}, size {integer} DEFAULT 7, PRIMARY KEY (id), UNIQUE (note), \
         CHECK (size < 100), FOREIGN KEY (size) REFERENCES t (id))"
    );
    run(&mut *session, &create).await?;
    run(&mut *session, "CREATE INDEX c_size ON c (size, id)").await?;
    run(
        &mut *session,
        "INSERT INTO c VALUES (1, 'it''s 😀', 3), (2, NULL, NULL)",
    )
    .await?;
    let c = table(&mut *session, "c").await?;
    let columns = c.columns.iter().map(|column| column.name.clone()).collect();
    let slice = TableSlice::new(named("c"), columns, c.primary_key.clone());
    let aside = named("what \"was\" there");
    let count_aside = session.set_aside(&cx(), &slice, &aside).await?;
    assert_eq!(count_aside, 2);
    let quoted = fixture.engine.dialect().quote_table(&aside);
    let of = |name: &str| format!("SELECT id, note, size FROM {name} ORDER BY id");
    let (live, kept) = (
        rows(&mut *session, &of("c")).await?,
        rows(&mut *session, &of(&quoted)).await?,
    );
    assert_eq!(live, kept);
    let schema = session.schema(&cx()).await?;
    let made = schema.table(&aside).expect("it is a table");
    assert!(
        made.primary_key.is_empty() && made.foreign_keys.is_empty(),
        "{}",
        made.definition
    );
    let indexes = schema
        .objects_on(&aside)
        .filter(|object| object.kind == ObjectKind::Index);
    assert_eq!(indexes.count(), 0);
    run(&mut *session, "DROP TABLE c").await?;
    run(&mut *session, "DELETE FROM t").await?;
    run(
        &mut *session,
        &format!("INSERT INTO {quoted} VALUES (1, 'it''s 😀', 100)"),
    )
    .await?;
    assert_eq!(count(&mut *session, &quoted).await?, 3);
    Ok(())
}

pub(super) async fn nothing_is_set_aside_under_a_name_that_is_taken(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(3).await?;
    run(&mut *session, &fixture.create_table("taken")).await?;
    let outcome = session.set_aside(&cx(), &slice("t"), &named("taken")).await;
    assert_eq!(
        refused(outcome, "rows set aside over a table").kind(),
        ErrorKind::AlreadyExists
    );
    assert_eq!(count(&mut *session, "taken").await?, 0);
    Ok(())
}

/// Loads the rows of `t` into a shadow, changes `t`, and returns what puts the shadow in its place.
async fn prepare(fixture: &EngineFixture) -> Result<(Box<dyn Session>, Swap)> {
    let mut session = fixture.with_table(100).await?;
    for sql in [
        "CREATE INDEX t_note ON t (note)",
        "CREATE VIEW t_view AS SELECT note FROM t",
        &fixture.create_table("late"),
    ] {
        run(&mut *session, sql).await?;
    }
    let before = session.schema(&cx()).await?;
    let t = table(&mut *session, "t").await?;
    let exported = export(&mut *session, &slice("t")).await?;
    run(&mut *session, "DELETE FROM t WHERE id > 10").await?;
    run(&mut *session, "CREATE INDEX t_extra ON t (note, id)").await?;
    let now = session.schema(&cx()).await?;
    session.create_shadow(&cx(), &t, &named(SHADOW)).await?;
    let shadow = target(SHADOW);
    session.import(&cx(), &shadow, chunks(&exported)).await?;
    let extra = now
        .object(ObjectKind::Index, &named("t_extra"))
        .expect("the index is there")
        .clone();
    let on_t: Vec<Object> = before.objects_on(&t.name).cloned().collect();
    let swap = Swap {
        drop_tables: vec![named("t"), named("late")],
        drop_objects: vec![extra],
        shadows: vec![(named(SHADOW), named("t"))],
        create_objects: on_t,
    };
    Ok((session, swap))
}

pub(super) async fn a_swap_puts_rows_and_objects_in_place(fixture: EngineFixture) -> Result<()> {
    let (mut session, swap) = prepare(&fixture).await?;
    fixture.begin_exchange(&mut *session).await?;
    session.swap(&cx(), &swap).await?;
    fixture.end_exchange(&mut *session).await?;
    let mut reader = fixture.reader().await?;
    assert_eq!(count(&mut *reader, "t").await?, 100);
    assert_eq!(count(&mut *reader, "t_view").await?, 100, "a view lost its table");
    let schema = reader.schema(&cx()).await?;
    assert!(
        schema.object(ObjectKind::Index, &named("t_note")).is_some(),
        "an index is missing"
    );
    assert!(
        schema.object(ObjectKind::Index, &named("t_extra")).is_none(),
        "an index is left over"
    );
    assert!(!reader.has_table(&cx(), &named("late")).await?);
    assert!(!reader.has_table(&cx(), &named(SHADOW)).await?);
    let first = rows(&mut *reader, "SELECT note FROM t WHERE id = 100").await?;
    assert_eq!(first[0][0].as_str(), Some("note 100"));
    Ok(())
}

pub(super) async fn a_swap_is_taken_back_by_a_rollback(fixture: EngineFixture) -> Result<()> {
    let (mut session, swap) = prepare(&fixture).await?;
    if !session.capability().transactional_ddl {
        crate::runner::note("definitions are not transactional here: a swap is atomic by other means");
        return Ok(());
    }
    let before = session.schema(&cx()).await?;
    session.begin(&cx(), Begin::Rebuild).await?;
    session.swap(&cx(), &swap).await?;
    assert_eq!(count(&mut *session, "t").await?, 100);
    session.rollback(&cx()).await?;
    let after = session.schema(&cx()).await?;
    assert_eq!(differences(&before, &after), [""; 0]);
    assert_eq!(count(&mut *session, "t").await?, 10);
    assert_eq!(count(&mut *session, SHADOW).await?, 100);
    // A swap that fails half-way is taken back as well.
    let mut broken = swap.clone();
    broken.shadows.push((named("missing"), named("u")));
    session.begin(&cx(), Begin::Rebuild).await?;
    refused(
        session.swap(&cx(), &broken).await,
        "a swap of a shadow that is not there",
    );
    session.rollback(&cx()).await?;
    assert_eq!(differences(&before, &session.schema(&cx()).await?), [""; 0]);
    session.begin(&cx(), Begin::Rebuild).await?;
    session.swap(&cx(), &swap).await?;
    session.commit(&cx()).await?;
    assert_eq!(count(&mut *session, "t").await?, 100);
    Ok(())
}

pub(super) async fn foreign_keys_mean_the_live_tables_after_a_swap(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.writer().await?;
    let integer = fixture.integer();
    for sql in [
        format!(
            "CREATE TABLE tree (id {integer} NOT NULL, up {integer}, PRIMARY KEY (id), \
             FOREIGN KEY (up) REFERENCES tree (id))"
        ),
        format!(
            "CREATE TABLE leaf (id {integer} NOT NULL, tree {integer}, PRIMARY KEY (id), \
             FOREIGN KEY (tree) REFERENCES tree (id) ON DELETE CASCADE)"
        ),
        "INSERT INTO tree (id, up) VALUES (1, NULL), (2, 1)".to_owned(),
        "INSERT INTO leaf (id, tree) VALUES (1, 1), (2, 2)".to_owned(),
    ] {
        run(&mut *session, &sql).await?;
    }
    let before = session.schema(&cx()).await?;
    let mut swap = Swap::default();
    fixture.begin_exchange(&mut *session).await?;
    for (name, columns) in [("tree", "id, up"), ("leaf", "id, tree")] {
        let live = table(&mut *session, name).await?;
        let shadow = named(&format!("_walkback_{name}"));
        session.create_shadow(&cx(), &live, &shadow).await?;
        let fill = format!("INSERT INTO {shadow} ({columns}) SELECT {columns} FROM {name}");
        run(&mut *session, &fill).await?;
        swap.drop_tables.push(named(name));
        swap.shadows.push((shadow, named(name)));
    }
    swap.drop_tables.reverse();
    // What an engine does not count to the constraints of a table, but to the objects on it, comes back as such.
    let on_them = before.objects.iter().filter(|object| object.on.is_some());
    swap.create_objects.extend(on_them.cloned());
    session.swap(&cx(), &swap).await?;
    fixture.end_exchange(&mut *session).await?;
    let after = session.schema(&cx()).await?;
    assert_eq!(differences(&before, &after), [""; 0]);
    for sql in [
        "INSERT INTO tree (id, up) VALUES (3, 99)",
        "INSERT INTO leaf (id, tree) VALUES (3, 99)",
    ] {
        refused(run(&mut *session, sql).await, sql);
    }
    run(&mut *session, "INSERT INTO tree (id, up) VALUES (3, 1)").await?;
    run(&mut *session, "INSERT INTO leaf (id, tree) VALUES (3, 3)").await?;
    run(&mut *session, "DELETE FROM tree WHERE id = 3").await?;
    assert_eq!(
        count(&mut *session, "leaf").await?,
        2,
        "the cascade does not fire any more"
    );
    Ok(())
}
