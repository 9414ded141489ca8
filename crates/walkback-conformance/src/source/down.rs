//! Checks of `write_down`.

use std::path::PathBuf;

use walkback_core::source::NewMigration;
use walkback_core::{Cx, DialectKind, Direction, ErrorKind, MigrationSource, Result, Script};

use super::Subject;
use super::load::{add_some, id, loaded};

const TEXT: &str = "-- the way back\nDROP TABLE t;\n";

async fn write_down(source: &dyn MigrationSource, name: &str) -> Result<PathBuf> {
    source
        .write_down(&Cx::background(), DialectKind::Sqlite, &id(name), TEXT)
        .await
}

async fn text_of(source: &dyn MigrationSource, name: &str, direction: Direction) -> Result<Option<String>> {
    let script = source
        .script(&Cx::background(), DialectKind::Sqlite, &id(name), direction)
        .await?;
    Ok(script.map(|script| match script {
        Script::Sql(sql) => sql.text,
        other => panic!("a script of SQL was written, not {other:?}"),
    }))
}

pub(super) async fn write_down_gives_a_migration_the_way_down_it_had_not(subject: Subject) -> Result<()> {
    let name = subject.id(1);
    subject.add(&name, b"CREATE TABLE t (a INT);\n", None);
    let source = subject.open();
    loaded(&*source).await?;
    let file = write_down(&*source, &name).await?;
    assert!(subject.contents().contains_key(&file), "{file:?}");
    let migration = loaded(&*source).await?.graph.get(&id(&name)).cloned();
    assert!(migration.is_some_and(|migration| migration.has_down));
    let down = text_of(&*source, &name, Direction::Down).await?;
    assert_eq!(down.as_deref(), Some(TEXT));
    Ok(())
}

pub(super) async fn write_down_fills_the_empty_one_of_a_new_migration(subject: Subject) -> Result<()> {
    let source = subject.open();
    let name = subject.id(1);
    source
        .create(&Cx::background(), &NewMigration::new(&name, "start", Vec::new()))
        .await?;
    write_down(&*source, &name).await?;
    let down = text_of(&*source, &name, Direction::Down)
        .await?
        .unwrap_or_default();
    assert!(down.contains("DROP TABLE t;"), "{down}");
    Ok(())
}

pub(super) async fn write_down_leaves_everything_else_as_it_is(subject: Subject) -> Result<()> {
    add_some(&*subject, 2);
    let name = subject.id(3);
    subject.add(&name, b"CREATE TABLE t (a INT);", None);
    let before = subject.contents();
    let source = subject.open();
    let up = text_of(&*source, &name, Direction::Up).await?;
    let file = write_down(&*source, &name).await?;
    assert_eq!(text_of(&*source, &name, Direction::Up).await?, up);
    let mut after = subject.contents();
    after.remove(&file);
    assert!(after.iter().all(|(path, bytes)| before.get(path) == Some(bytes)));
    Ok(())
}

pub(super) async fn write_down_never_overwrites(subject: Subject) -> Result<()> {
    let name = subject.id(1);
    subject.add(
        &name,
        b"CREATE TABLE t (a INT);",
        Some(b"DROP TABLE t; -- by hand"),
    );
    let before = subject.contents();
    let error = write_down(&*subject.open(), &name)
        .await
        .expect_err("it has a way down");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error:?}");
    assert_eq!(subject.contents(), before);
    Ok(())
}

pub(super) async fn write_down_of_an_unknown_migration_is_not_found(subject: Subject) -> Result<()> {
    add_some(&*subject, 1);
    let before = subject.contents();
    let error = write_down(&*subject.open(), &subject.id(7))
        .await
        .expect_err("there is no such migration");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    assert_eq!(subject.contents(), before);
    Ok(())
}
