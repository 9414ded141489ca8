//! The schema.

use walkback_core::catalog::{COLUMN_ORDER, Change, Schema};
use walkback_core::engine::Begin;
use walkback_core::name::ObjectKind;
use walkback_core::{Result, Session};

use super::EngineFixture;
use super::support::{cx, differences, find, named, names, run};

pub(super) async fn a_table_is_found_by_its_name(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(0).await?;
    run(&mut *session, &fixture.create_table("_walkback_probe")).await?;
    run(&mut *session, "CREATE VIEW v AS SELECT id FROM t").await?;
    assert!(session.has_table(&cx(), &named("t")).await?);
    assert!(
        session.has_table(&cx(), &named("_walkback_probe")).await?,
        "walkback's own tables count"
    );
    assert!(!session.has_table(&cx(), &named("missing")).await?);
    assert!(
        !session.has_table(&cx(), &named("v")).await?,
        "a view is not a table"
    );
    assert!(!session.has_table(&cx(), &named("t'; --")).await?);
    assert!(!session.has_table(&cx(), &named("%")).await?);
    run(&mut *session, "DROP VIEW v").await?;
    session.begin(&cx(), Begin::Write).await?;
    run(&mut *session, "DROP TABLE t").await?;
    assert!(!session.has_table(&cx(), &named("t")).await?);
    session.rollback(&cx()).await?;
    Ok(())
}

/// A schema with something of everything all engines have.
fn everything(fixture: &EngineFixture) -> Vec<String> {
    let (integer, note) = (fixture.integer(), fixture.text());
    let key = fixture
        .engine
        .dialect()
        .column_type(walkback_core::dialect::ColumnType::Key(64));
    vec![
        format!(
            "CREATE TABLE parent (a {integer} NOT NULL, b {key} NOT NULL, c {integer} DEFAULT 7, d {note}, \
             PRIMARY KEY (b, a), UNIQUE (c), CHECK (a > 0))"
        ),
        format!(
            "CREATE TABLE child (id {integer} NOT NULL, parent_b {key}, parent_a {integer}, PRIMARY KEY (id), \
             FOREIGN KEY (parent_b, parent_a) REFERENCES parent (b, a) ON DELETE CASCADE)"
        ),
        "CREATE INDEX parent_c_a ON parent (c, a)".to_owned(),
        "CREATE UNIQUE INDEX child_b ON child (parent_b, id)".to_owned(),
        "CREATE VIEW both_of_them AS SELECT p.d, k.id FROM parent p JOIN child k ON k.parent_a = p.a"
            .to_owned(),
    ]
}

async fn make(session: &mut dyn Session, statements: &[String]) -> Result<Schema> {
    for sql in statements {
        run(session, sql).await?;
    }
    session.schema(&cx()).await
}

pub(super) async fn a_schema_describes_tables_as_they_were_made(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.writer().await?;
    let schema = make(&mut *session, &everything(&fixture)).await?;
    let (parent, child) = (find(&schema, "parent"), find(&schema, "child"));
    let columns: Vec<_> = parent.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(columns, ["a", "b", "c", "d"]);
    let nullable: Vec<_> = parent.columns.iter().map(|column| column.nullable).collect();
    assert_eq!(nullable, [false, false, true, true]);
    assert!(
        parent.columns[2]
            .default
            .as_deref()
            .is_some_and(|default| default.contains('7'))
    );
    assert!(parent.columns[3].default.is_none());
    assert_eq!(
        parent.primary_key,
        ["b", "a"],
        "the order of the key is not that of the columns"
    );
    assert_eq!(child.foreign_keys.len(), 1);
    let key = &child.foreign_keys[0];
    assert_eq!(key.columns, ["parent_b", "parent_a"]);
    assert_eq!(key.references.name, "parent");
    assert_eq!(key.referenced_columns, ["b", "a"]);
    let index = schema
        .object(ObjectKind::Index, &named("parent_c_a"))
        .expect("the index is in the schema");
    assert_eq!(index.on.as_ref().map(|on| on.name.as_str()), Some("parent"));
    assert!(schema.object(ObjectKind::View, &named("both_of_them")).is_some());
    let own: Vec<_> = schema
        .objects_on(&parent.name)
        .map(|object| object.name.name.clone())
        .collect();
    assert!(own.contains(&"parent_c_a".to_owned()), "{own:?}");
    Ok(())
}

pub(super) async fn a_schema_shows_what_its_own_transaction_changed(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(0).await?;
    session.begin(&cx(), Begin::Write).await?;
    run(&mut *session, &fixture.create_table("u")).await?;
    let schema = session.schema(&cx()).await?;
    assert_eq!(names(&schema).into_iter().collect::<Vec<_>>(), ["t", "u"]);
    session.rollback(&cx()).await
}

pub(super) async fn a_schema_never_shows_the_tables_of_walkback(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.with_table(0).await?;
    let before = session.schema(&cx()).await?;
    run(&mut *session, &fixture.create_table("_walkback_probe")).await?;
    run(
        &mut *session,
        "CREATE INDEX _walkback_probe_id ON _walkback_probe (id)",
    )
    .await?;
    run(
        &mut *session,
        "CREATE INDEX innocent_name ON _walkback_probe (id)",
    )
    .await?;
    let after = session.schema(&cx()).await?;
    assert_eq!(differences(&before, &after), [""; 0]);
    assert_eq!(before.hash(), after.hash());
    run(&mut *session, &fixture.create_table("walkback_users")).await?;
    let schema = session.schema(&cx()).await?;
    assert!(
        names(&schema).contains("walkback_users"),
        "a table of the user is taken for one of ours"
    );
    Ok(())
}

pub(super) async fn definitions_create_what_they_define(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.writer().await?;
    let before = make(&mut *session, &everything(&fixture)).await?;
    run(&mut *session, "DROP VIEW both_of_them").await?;
    run(&mut *session, "DROP TABLE child").await?;
    run(&mut *session, "DROP TABLE parent").await?;
    for name in ["parent", "child"] {
        run(&mut *session, &find(&before, name).definition).await?;
    }
    let with_tables = session.schema(&cx()).await?;
    for object in &before.objects {
        if with_tables.object(object.kind, &object.name).is_none() {
            run(&mut *session, &object.definition).await?;
        }
    }
    let after = session.schema(&cx()).await?;
    assert_eq!(differences(&before, &after), [""; 0]);
    assert_eq!(before.hash(), after.hash());
    Ok(())
}

pub(super) async fn two_spellings_of_one_table_have_equal_facts(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.writer().await?;
    let plain = make(&mut *session, &everything(&fixture)).await?;
    for object in ["VIEW both_of_them", "TABLE child", "TABLE parent"] {
        run(&mut *session, &format!("DROP {object}")).await?;
    }
    // Other blanks, other comments, quotes where none are needed, keywords in lower case.
    let quoted = |name: &str| fixture.engine.dialect().quote_identifier(name);
    let others: Vec<_> = everything(&fixture)
        .into_iter()
        .map(|sql| {
            let sql = sql.replacen(
                " parent (",
                &format!(" /* a table */ {}\n (", quoted("parent")),
                1,
            );
            let sql = sql.replace(
                "PRIMARY KEY (b, a)",
                &format!("primary  key({} , a)", quoted("b")),
            );
            sql.replace("CHECK (a > 0)", &format!("check( {}\t>0 )", quoted("a")))
                .replace("DEFAULT 7", "default   7")
                .replace("CREATE INDEX", "create -- an index\n index")
        })
        .collect();
    assert_ne!(others, everything(&fixture));
    let other = make(&mut *session, &others).await?;
    assert_eq!(differences(&plain, &other), [""; 0]);
    Ok(())
}

pub(super) async fn every_change_of_meaning_is_a_difference(fixture: EngineFixture) -> Result<()> {
    let mut session = fixture.writer().await?;
    let before = make(&mut *session, &everything(&fixture)).await?;
    let variants: [(usize, &str, &str); 9] = [
        (0, "DEFAULT 7", "DEFAULT 8"),
        (0, "c INTEGER", "c INTEGER NOT NULL"),
        (0, "PRIMARY KEY (b, a)", "PRIMARY KEY (a, b)"),
        (0, ", UNIQUE (c)", ""),
        (0, "a > 0", "a > 1"),
        (1, " ON DELETE CASCADE", ""),
        (2, "(c, a)", "(a, c)"),
        (3, "UNIQUE ", ""),
        (4, "p.d, k.id", "k.id, p.d"),
    ];
    for (index, from, to) in variants {
        for object in ["VIEW both_of_them", "TABLE child", "TABLE parent"] {
            run(&mut *session, &format!("DROP {object}")).await?;
        }
        let mut statements = everything(&fixture);
        let integer = fixture.integer();
        let (from, to) = (from.replace("INTEGER", &integer), to.replace("INTEGER", &integer));
        let changed = statements[index].replacen(&from, &to, 1);
        assert_ne!(changed, statements[index], "{from}");
        statements[index] = changed;
        if from.contains("PRIMARY") {
            // The other table must go on referring to a key.
            statements[1] = statements[1]
                .replace("(parent_b, parent_a)", "(parent_a, parent_b)")
                .replace("(b, a)", "(a, b)");
        }
        let after = make(&mut *session, &statements).await?;
        let found = differences(&before, &after);
        assert!(
            !found.is_empty(),
            "`{to}` in the place of `{from}` makes no difference"
        );
        assert_ne!(before.hash(), after.hash());
    }
    Ok(())
}

pub(super) async fn another_order_of_columns_is_residue_and_no_other_difference(
    fixture: EngineFixture,
) -> Result<()> {
    let mut session = fixture.writer().await?;
    let (integer, note) = (fixture.integer(), fixture.text());
    run(&mut *session, &format!("CREATE TABLE t (a {integer}, b {note})")).await?;
    let before = session.schema(&cx()).await?;
    run(&mut *session, "DROP TABLE t").await?;
    run(&mut *session, &format!("CREATE TABLE t (b {note}, a {integer})")).await?;
    let after = session.schema(&cx()).await?;
    let found = before.differences(&after);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].is_residue());
    assert!(matches!(&found[0].change, Change::Fact { fact, .. } if fact == COLUMN_ORDER));
    Ok(())
}
