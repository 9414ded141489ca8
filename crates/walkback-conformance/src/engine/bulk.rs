//! Rows in bulk.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use walkback_core::bulk::{Chunk, ChunkStream, Encoding, ImportTarget, KeyRange, TableSlice};
use walkback_core::engine::Begin;
use walkback_core::fingerprint::{Fingerprinter, TableFingerprint};
use walkback_core::{Error, ErrorKind, Result, Session, Value};

use super::EngineFixture;
use super::support::{MANY, count, cx, named, refused, rows, run, table, text};

/// Returns the slice of a table like `t`.
pub(super) fn slice(name: &str) -> TableSlice {
    TableSlice::new(
        named(name),
        vec!["id".to_owned(), "note".to_owned()],
        vec!["id".to_owned()],
    )
}

/// Returns the target of a table like `t`.
pub(super) fn target(name: &str) -> ImportTarget {
    ImportTarget {
        table: named(name),
        columns: slice(name).columns,
    }
}

/// Exports a table.
pub(super) async fn export(session: &mut dyn Session, slice: &TableSlice) -> Result<Vec<Chunk>> {
    session.export(&cx(), slice).await?.try_collect().await
}

/// Makes a stream of chunks.
pub(super) fn chunks(chunks: &[Chunk]) -> ChunkStream<'static> {
    let chunks: Vec<_> = chunks.iter().cloned().map(Ok).collect();
    stream::iter(chunks).boxed()
}

pub(super) async fn an_export_imports_to_the_same_rows(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.writer().await?;
    let (integer, note, bytes, double) = (
        fixture.integer(),
        fixture.text(),
        fixture.bytes(),
        fixture.double(),
    );
    let columns = ["id", "i", "s", "b", "d"].map(str::to_owned).to_vec();
    let shape =
        format!("(id {integer} NOT NULL, i {integer}, s {note}, b {bytes}, d {double}, PRIMARY KEY (id))");
    run(&mut *session, &format!("CREATE TABLE v {shape}")).await?;
    run(&mut *session, &format!("CREATE TABLE w {shape}")).await?;
    let values = [
        [Value::Null, Value::Null, Value::Null, Value::Null],
        [
            Value::Integer(i64::MIN),
            text(""),
            Value::Bytes(vec![]),
            Value::Float(-0.0),
        ],
        [
            Value::Integer(i64::MAX),
            text("😀'\"\\\t\n"),
            Value::Bytes((0..=255).collect()),
            Value::Float(f64::MAX),
        ],
        [
            Value::Integer(0),
            text("\\N"),
            Value::Bytes(vec![0; 70_000]),
            Value::Float(5e-324),
        ],
        [
            Value::Integer(-1),
            text(&"ü".repeat(70_000)),
            Value::Bytes(b"\xff".to_vec()),
            Value::Float(0.1),
        ],
    ];
    let insert = format!("INSERT INTO v (id, i, s, b, d) VALUES ({})", fixture.holes(5));
    for (id, row) in (1_i64..).zip(&values) {
        let params: Vec<_> = std::iter::once(Value::Integer(id))
            .chain(row.iter().cloned())
            .collect();
        session.execute(&cx(), &insert, &params).await?;
    }
    let exported = export(
        &mut *session,
        &TableSlice::new(named("v"), columns.clone(), vec!["id".into()]),
    )
    .await?;
    let total: u64 = exported.iter().map(|chunk| chunk.rows).sum();
    assert_eq!(total, values.len() as u64);
    let to = ImportTarget {
        table: named("w"),
        columns,
    };
    assert_eq!(session.import(&cx(), &to, chunks(&exported)).await?, total);
    let read = |name: &str| format!("SELECT id, i, s, b, d FROM {name} ORDER BY id");
    let (before, after) = (
        rows(&mut *session, &read("v")).await?,
        rows(&mut *session, &read("w")).await?,
    );
    assert!(before == after, "an imported row differs");
    assert_eq!(after.len(), values.len());
    let (mut v, mut w) = (table(&mut *session, "v").await?, table(&mut *session, "w").await?);
    (v.facts, w.facts) = Default::default();
    let (v, w) = (
        session.fingerprint(&cx(), &v).await?,
        session.fingerprint(&cx(), &w).await?,
    );
    assert_eq!(v, w);
    Ok(())
}

pub(super) async fn the_rows_of_a_chunk_are_told_apart(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(1000).await?;
    run(&mut *session, "UPDATE t SET note = NULL WHERE id = 1").await?;
    run(&mut *session, "UPDATE t SET note = '' WHERE id = 2").await?;
    let odd = format!("UPDATE t SET note = {} WHERE id = 3", fixture.holes(1));
    session.execute(&cx(), &odd, &[text("😀'\"\\\t\n\\N")]).await?;
    run(&mut *session, &fixture.create_table("u")).await?;
    let exported = export(&mut *session, &slice("t")).await?;
    let columns = slice("t").columns.len();
    // Each row is a chunk of its own, the last one first.
    let mut single = Vec::new();
    for chunk in &exported {
        let ends = fixture.engine.row_ends(chunk, columns)?;
        assert_eq!(ends.len() as u64, chunk.rows);
        assert_eq!(ends.last(), Some(&chunk.bytes.len()));
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let rows = starts
            .zip(&ends)
            .map(|(start, end)| chunk.bytes.slice(start..*end));
        single.extend(rows.map(|row| Chunk::new(chunk.encoding.clone(), 1, row)));
        let cut = chunk.bytes.slice(..chunk.bytes.len() - 1);
        let cut = Chunk::new(chunk.encoding.clone(), chunk.rows, cut);
        let error = refused(fixture.engine.row_ends(&cut, columns), "a chunk that is cut");
        assert_eq!(error.kind(), ErrorKind::Damaged);
    }
    single.reverse();
    assert_eq!(session.import(&cx(), &target("u"), chunks(&single)).await?, 1000);
    assert!(
        export(&mut *session, &slice("u")).await? == exported,
        "row by row they are not the same"
    );
    Ok(())
}

pub(super) async fn the_same_rows_give_the_same_chunks(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(MANY).await?;
    let first = export(&mut *session, &slice("t")).await?;
    assert!(first.len() > 5, "{} chunks cannot show anything", first.len());
    assert_eq!(export(&mut *session, &slice("t")).await?, first);
    // The same rows, written in the opposite order, with an index that tempts the planner.
    run(&mut *session, &fixture.create_table("u")).await?;
    run(&mut *session, "CREATE INDEX u_note ON u (note, id)").await?;
    run(
        &mut *session,
        "INSERT INTO u (id, note) SELECT id, note FROM t ORDER BY id DESC",
    )
    .await?;
    assert!(
        export(&mut *session, &slice("u")).await? == first,
        "the chunks depend on how rows were written"
    );
    Ok(())
}

pub(super) async fn one_changed_row_changes_at_most_two_chunks(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(MANY).await?;
    let mut before = export(&mut *session, &slice("t")).await?;
    for change in [
        "UPDATE t SET note = 'changed' WHERE id = 50000",
        "DELETE FROM t WHERE id = 20000",
        "INSERT INTO t (id, note) VALUES (0, 'first')",
    ] {
        run(&mut *session, change).await?;
        let after = export(&mut *session, &slice("t")).await?;
        let new = after.iter().filter(|chunk| !before.contains(chunk)).count();
        assert!(
            (1..=2).contains(&new),
            "`{change}` has changed {new} chunks of {}",
            after.len()
        );
        before = after;
    }
    Ok(())
}

pub(super) async fn an_export_says_what_its_rows_add_up_to(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(MANY).await?;
    let t = table(&mut *session, "t").await?;
    let expected = session.fingerprint(&cx(), &t).await?;
    let exported = export(&mut *session, &slice("t")).await?;
    assert_eq!(sum(&exported), expected);
    Ok(())
}

fn sum(chunks: &[Chunk]) -> TableFingerprint {
    let mut sum = Fingerprinter::new();
    for chunk in chunks {
        let more = chunk.fingerprint.as_ref().expect("an export looks at each row");
        assert_eq!(more.rows(), chunk.rows);
        sum.merge(more);
    }
    sum.finish()
}

pub(super) async fn the_parts_of_a_table_hold_each_row_once(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(MANY).await?;
    let whole = export(&mut *session, &slice("t")).await?;
    for part_bytes in [1 << 40, 256 << 10, 32 << 10] {
        let division = session.divide(&cx(), &slice("t"), part_bytes).await?;
        let again = session.divide(&cx(), &slice("t"), part_bytes).await?;
        assert_eq!(division.parts, again.parts, "the same table is divided alike");
        let mut parts = Vec::new();
        for part in &division.parts {
            parts.extend(export(&mut *session, part).await?);
        }
        let bytes = |chunks: &[Chunk]| {
            chunks
                .iter()
                .flat_map(|chunk| chunk.bytes.to_vec())
                .collect::<Vec<_>>()
        };
        assert!(bytes(&parts) == bytes(&whole), "{} parts", division.parts.len());
        assert_eq!(sum(&parts), sum(&whole));
    }
    // Any range is read, whoever has chosen it, also while rows are written outside of what was there.
    let range = |from, until| slice("t").within(KeyRange { from, until });
    run(&mut *session, "INSERT INTO t (id, note) VALUES (-5, 'before')").await?;
    let many = u64::try_from(MANY).expect("it is not negative");
    let rows = |chunks: &[Chunk]| chunks.iter().map(|chunk| chunk.rows).sum::<u64>();
    for (from, until, expected) in [
        (None, Some(1), 1),
        (Some(1), Some(11), 10),
        (Some(11), None, many - 10),
        (Some(i64::MIN), Some(-5), 0),
        (None, None, many + 1),
    ] {
        let found = export(&mut *session, &range(from, until)).await?;
        assert_eq!(rows(&found), expected, "{from:?} to {until:?}");
    }
    Ok(())
}

pub(super) async fn an_empty_table_has_no_chunks(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(0).await?;
    assert_eq!(export(&mut *session, &slice("t")).await?, []);
    assert_eq!(session.import(&cx(), &target("t"), chunks(&[])).await?, 0);
    let outcome = match session.export(&cx(), &slice("missing")).await {
        Ok(stream) => stream.try_collect::<Vec<_>>().await.map(drop),
        Err(error) => Err(error),
    };
    refused(outcome, "the export of a table that is not there");
    Ok(())
}

pub(super) async fn an_export_can_be_left_in_the_middle(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(MANY).await?;
    let mut stream = session.export(&cx(), &slice("t")).await?;
    assert!(stream.try_next().await?.is_some());
    drop(stream);
    assert_eq!(count(&mut *session, "t").await?, MANY);
    let context = cx();
    let mut stream = session.export(&context, &slice("t")).await?;
    assert!(stream.try_next().await?.is_some());
    context.canceller().cancel();
    let rest: Result<Vec<_>> = stream.try_collect().await;
    assert_eq!(refused(rest, "a cancelled export").kind(), ErrorKind::Interrupted);
    run(&mut *session, "DELETE FROM t WHERE id > 10").await?;
    assert_eq!(count(&mut *session, "t").await?, 10);
    Ok(())
}

pub(super) async fn an_import_belongs_to_the_transaction_around_it(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(100).await?;
    run(&mut *session, &fixture.create_table("u")).await?;
    let exported = export(&mut *session, &slice("t")).await?;
    session.begin(&cx(), Begin::Write).await?;
    assert_eq!(session.import(&cx(), &target("u"), chunks(&exported)).await?, 100);
    assert_eq!(count(&mut *session, "u").await?, 100);
    session.rollback(&cx()).await?;
    assert_eq!(
        count(&mut *session, "u").await?,
        0,
        "a rollback has left imported rows"
    );
    session.import(&cx(), &target("u"), chunks(&exported)).await?;
    assert_eq!(count(&mut *session, "u").await?, 100);
    Ok(())
}

pub(super) async fn an_import_that_fails_by_itself_leaves_nothing(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(MANY).await?;
    run(&mut *session, &fixture.create_table("u")).await?;
    let exported = export(&mut *session, &slice("t")).await?;
    assert!(exported.len() > 2);
    let broken = Error::new(ErrorKind::Damaged, "the backup ends here");
    let source = stream::iter(exported.into_iter().take(2).map(Ok).chain([Err(broken)])).boxed();
    let error = refused(
        session.import(&cx(), &target("u"), source).await,
        "an import from a broken backup",
    );
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error:?}");
    assert_eq!(count(&mut *session, "u").await?, 0, "half an import was kept");
    session.begin(&cx(), Begin::Write).await?;
    session.rollback(&cx()).await
}

pub(super) async fn a_chunk_that_is_not_right_is_refused(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(50).await?;
    run(&mut *session, &fixture.create_table("u")).await?;
    let exported = export(&mut *session, &slice("t")).await?;
    let good = &exported[0];
    let cut = good.bytes.slice(..good.bytes.len() - 3);
    let wrong = [
        (
            "an unknown encoding",
            Encoding("rows-v999".to_owned()),
            good.rows,
            good.bytes.clone(),
        ),
        (
            "more rows than there are",
            good.encoding.clone(),
            good.rows + 1,
            good.bytes.clone(),
        ),
        (
            "fewer rows than there are",
            good.encoding.clone(),
            good.rows - 1,
            good.bytes.clone(),
        ),
        ("a cut chunk", good.encoding.clone(), good.rows, cut),
        ("no bytes", good.encoding.clone(), good.rows, bytes::Bytes::new()),
    ];
    for (what, encoding, rows, bytes) in wrong {
        let chunk = Chunk::new(encoding, rows, bytes);
        let outcome = session.import(&cx(), &target("u"), chunks(&[chunk])).await;
        let error = refused(outcome, what);
        let kinds = [ErrorKind::Damaged, ErrorKind::Unsupported];
        assert!(kinds.contains(&error.kind()), "{what}: {error:?}");
        assert_eq!(count(&mut *session, "u").await?, 0, "{what}");
    }
    let few = ImportTarget {
        table: named("u"),
        columns: vec!["id".to_owned()],
    };
    refused(
        session.import(&cx(), &few, chunks(&exported)).await,
        "rows of another number of columns",
    );
    assert_eq!(session.import(&cx(), &target("u"), chunks(&exported)).await?, 50);
    Ok(())
}
