//! Exchanges of tables with everything that hangs on them, also when they are killed in the middle.

mod support;

use futures::TryStreamExt as _;
use futures::stream::{self, StreamExt as _};
use support::{Kind, Place};
use walkback_core::bulk::{Chunk, ImportTarget, TableSlice};
use walkback_core::catalog::{Object, Schema};
use walkback_core::engine::{SessionExt as _, Swap};
use walkback_core::{Access, Cx, ErrorKind, Result, Session, TableName};

fn cx() -> Cx {
    Cx::background()
}

async fn run(session: &mut dyn Session, sql: &str) -> Result<u64> {
    session.execute(&cx(), sql, &[]).await
}

async fn number(session: &mut dyn Session, sql: &str) -> Result<i64> {
    let rows = session.fetch_all(&cx(), sql, &[]).await?;
    Ok(rows[0][0].as_i64().expect("a number"))
}

/// Two tables that refer to each other, one that refers to both and stays, a view, a trigger, checks.
const FAMILY: [&str; 9] = [
    "CREATE TABLE a (id INT PRIMARY KEY AUTO_INCREMENT, b INT, n INT, g INT AS (n * 2) STORED, \
     CONSTRAINT a_positive CHECK (n > 0), CHECK (n < 100), UNIQUE KEY by_n (n))",
    "CREATE TABLE b (id INT PRIMARY KEY, a INT, CONSTRAINT b_a FOREIGN KEY (a) REFERENCES a (id) ON DELETE CASCADE)",
    "ALTER TABLE a ADD CONSTRAINT a_b FOREIGN KEY (b) REFERENCES b (id)",
    "CREATE TABLE stays (id INT PRIMARY KEY, a INT, CONSTRAINT stays_a FOREIGN KEY (a) REFERENCES a (id) ON DELETE SET NULL)",
    "CREATE VIEW of_a AS SELECT id, n FROM a",
    "CREATE TRIGGER on_a BEFORE UPDATE ON a FOR EACH ROW SET NEW.b = NEW.b",
    "INSERT INTO a (id, n) VALUES (1, 1), (2, 2)",
    "INSERT INTO b VALUES (1, 1), (2, 2)",
    "INSERT INTO stays VALUES (1, 2)",
];

async fn family(place: &Place) -> Result<(Box<dyn Session>, Schema)> {
    let mut session = place.engine().connect(&cx(), Access::Write).await?;
    for sql in FAMILY {
        run(&mut *session, sql).await?;
    }
    let schema = session.schema(&cx()).await?;
    Ok((session, schema))
}

/// Loads shadows of `a` and `b` with what these hold now.
async fn shadows(session: &mut dyn Session, schema: &Schema) -> Result<Swap> {
    let mut swap = Swap::default();
    for (index, name) in ["a", "b"].into_iter().enumerate() {
        let table = schema.table(&TableName::new(name)).expect("the table is there");
        let shadow = TableName::new(format!("_walkback_shadow_{index}"));
        session.create_shadow(&cx(), table, &shadow).await?;
        let columns = table.columns.iter().filter(|column| !column.generated);
        let columns: Vec<_> = columns.map(|column| column.name.clone()).collect();
        let slice = TableSlice::new(table.name.clone(), columns.clone(), table.primary_key.clone());
        let chunks: Vec<Chunk> = session.export(&cx(), &slice).await?.try_collect().await?;
        let target = ImportTarget {
            table: shadow.clone(),
            columns,
        };
        let source = stream::iter(chunks.into_iter().map(Ok)).boxed();
        session.import(&cx(), &target, source).await?;
        swap.shadows.push((shadow, table.name.clone()));
        swap.drop_tables.push(table.name.clone());
    }
    let is_on = |object: &&Object| {
        let on = object.on.as_ref().map(|on| on.name.as_str());
        matches!(on, Some("a" | "b"))
    };
    swap.create_objects = schema.objects.iter().filter(is_on).cloned().collect();
    swap.drop_objects = swap.create_objects.clone();
    Ok(swap)
}

async fn is_whole(session: &mut dyn Session, before: &Schema) -> Result<()> {
    let after = session.schema(&cx()).await?;
    let found: Vec<_> = before
        .differences(&after)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(found, [""; 0]);
    let own = number(
        session,
        "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME LIKE '\\_walkback%'",
    )
    .await?;
    assert_eq!(own, 0, "something is left behind");
    assert_eq!(number(session, "SELECT SUM(g) FROM a").await?, 6);
    assert_eq!(number(session, "SELECT COUNT(*) FROM of_a").await?, 2);
    for wrong in [
        "INSERT INTO stays VALUES (9, 99)",
        "INSERT INTO b VALUES (9, 99)",
        "UPDATE a SET b = 99 WHERE id = 1",
        "INSERT INTO a (id, n) VALUES (9, -1)",
        "INSERT INTO a (id, n) VALUES (9, 100)",
        "INSERT INTO a (id, n) VALUES (9, 1)",
    ] {
        assert!(run(session, wrong).await.is_err(), "`{wrong}` was accepted");
    }
    Ok(())
}

async fn each(check: impl AsyncFn(Place) -> Result<()>) -> Result<()> {
    for kind in Kind::ALL {
        match Place::new(kind) {
            Ok(place) => check(place).await?,
            Err(why) => support::absent(kind, &why)?,
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_refer_to_each_other_are_exchanged_with_all_that_hangs_on_them() -> Result<()> {
    each(async |place| {
        let (mut session, before) = family(&place).await?;
        let swap = shadows(&mut *session, &before).await?;
        run(&mut *session, "DELETE FROM stays").await?;
        run(&mut *session, "INSERT INTO stays VALUES (1, 2)").await?;
        session.swap(&cx(), &swap).await?;
        is_whole(&mut *session, &before).await
    })
    .await
}

/// The states a killed exchange leaves, made by hand; each is finished by doing the exchange again.
#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_was_killed_is_done_again_from_any_state() -> Result<()> {
    let todo = "CREATE TABLE _walkback_swap (child VARCHAR(64) NOT NULL, name VARCHAR(64) NOT NULL, creation LONGTEXT \
                NOT NULL, PRIMARY KEY (child, name))";
    let repair = "INSERT INTO _walkback_swap VALUES ('stays', 'stays_a', 'ALTER TABLE stays ADD CONSTRAINT stays_a \
                  FOREIGN KEY (a) REFERENCES a (id) ON DELETE SET NULL')";
    let old = "_walkback_old_0cc175b9c0f1b6a831c399e269772661";
    let exchanged = format!("RENAME TABLE a TO {old}, _walkback_shadow_0 TO a");
    let states: [Vec<&str>; 4] = [
        vec![todo, repair],
        vec![todo, repair, &exchanged],
        vec![
            todo,
            repair,
            &exchanged,
            "ALTER TABLE stays DROP FOREIGN KEY stays_a",
        ],
        vec![
            &exchanged,
            todo,
            repair,
            "ALTER TABLE stays DROP FOREIGN KEY stays_a",
        ],
    ];
    each(async |place| {
        let (mut session, before) = family(&place).await?;
        for state in &states {
            shadows(&mut *session, &before).await?;
            for sql in state {
                run(&mut *session, sql).await?;
            }
            run(&mut *session, "SET foreign_key_checks = 0").await?;
            run(
                &mut *session,
                "DROP TABLE IF EXISTS _walkback_shadow_0, _walkback_shadow_1",
            )
            .await?;
            run(&mut *session, "SET foreign_key_checks = 1").await?;
            let swap = shadows(&mut *session, &before).await?;
            session.swap(&cx(), &swap).await?;
            is_whole(&mut *session, &before).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_would_break_a_foreign_key_changes_nothing() -> Result<()> {
    each(async |place| {
        let (mut session, before) = family(&place).await?;
        let swap = shadows(&mut *session, &before).await?;
        run(&mut *session, "DELETE FROM _walkback_shadow_0 WHERE id = 2").await?;
        run(&mut *session, "DELETE FROM _walkback_shadow_1 WHERE id = 2").await?;
        let error = session
            .swap(&cx(), &swap)
            .await
            .expect_err("a row of `stays` refers to it");
        assert_eq!(error.kind(), ErrorKind::Database);
        assert!(error.message().contains("`stays`"), "{error}");
        run(&mut *session, "DROP TABLE _walkback_shadow_0, _walkback_shadow_1").await?;
        is_whole(&mut *session, &before).await
    })
    .await
}
