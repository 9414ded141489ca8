//! Checks of `create`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use walkback_core::source::NewMigration;
use walkback_core::{Cx, ErrorKind, MigrationSource, Result};

use super::Subject;
use super::load::{add_some, id, ids, loaded};

async fn create(source: &dyn MigrationSource, new: &NewMigration) -> Result<Vec<PathBuf>> {
    source.create(&Cx::background(), new).await
}

pub(super) async fn create_writes_a_migration_that_load_finds(subject: Subject) -> Result<()> {
    let mut expected = add_some(&*subject, 2);
    let source = subject.open();
    loaded(&*source).await?;
    let new = NewMigration::new(subject.id(3), "add_users", Vec::new());
    create(&*source, &new).await?;
    expected.push(subject.id(3));
    let loaded = loaded(&*source).await?;
    assert_eq!(ids(&loaded), expected);
    let migration = loaded.graph.get(&id(&subject.id(3))).expect("it was just found");
    assert_eq!(migration.slug, "add_users");
    Ok(())
}

pub(super) async fn create_returns_exactly_the_files_it_wrote(subject: Subject) -> Result<()> {
    add_some(&*subject, 2);
    let before = subject.contents();
    let new = NewMigration::new(subject.id(3), "add_users", Vec::new());
    let returned: BTreeSet<PathBuf> = create(&*subject.open(), &new).await?.into_iter().collect();
    let mut after = subject.contents();
    after.retain(|path, bytes| before.get(path) != Some(bytes));
    assert!(!returned.is_empty());
    assert_eq!(after.into_keys().collect::<BTreeSet<_>>(), returned);
    Ok(())
}

pub(super) async fn create_begins_where_there_is_nothing(subject: Subject) -> Result<()> {
    subject.remove_all();
    let source = subject.open();
    create(&*source, &NewMigration::new(subject.id(1), "start", Vec::new())).await?;
    assert_eq!(ids(&loaded(&*source).await?), [subject.id(1)]);
    Ok(())
}

pub(super) async fn create_follows_the_last_migration(subject: Subject) -> Result<()> {
    add_some(&*subject, 3);
    let source = subject.open();
    let last = id(&subject.id(3));
    // Said or not said: what follows the last migration follows it.
    create(&*source, &NewMigration::new(subject.id(4), "said", vec![last])).await?;
    create(
        &*source,
        &NewMigration::new(subject.id(5), "not_said", Vec::new()),
    )
    .await?;
    let loaded = loaded(&*source).await?;
    assert!(loaded.graph.is_linear());
    assert_eq!(ids(&loaded).len(), 5);
    Ok(())
}

pub(super) async fn create_never_overwrites(subject: Subject) -> Result<()> {
    let source = subject.open();
    let new = NewMigration::new(subject.id(1), "start", Vec::new());
    create(&*source, &new).await?;
    let before = subject.contents();
    let error = create(&*source, &new).await.expect_err("the files exist");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error:?}");
    assert_eq!(subject.contents(), before);
    Ok(())
}

pub(super) async fn create_of_a_known_identity_writes_nothing(subject: Subject) -> Result<()> {
    add_some(&*subject, 2);
    let before = subject.contents();
    let new = NewMigration::new(subject.id(2), "something_else", Vec::new());
    let error = create(&*subject.open(), &new)
        .await
        .expect_err("the identity is taken");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error:?}");
    assert_eq!(subject.contents(), before);
    Ok(())
}

pub(super) async fn create_refuses_what_leads_out_of_the_folder(subject: Subject) -> Result<()> {
    add_some(&*subject, 1);
    let before = subject.contents();
    let source = subject.open();
    for slug in ["../../escaped", "a/b", "a\\b", "a\0b", "..", ""] {
        let new = NewMigration::new(subject.id(2), slug, Vec::new());
        let error = create(&*source, &new).await.expect_err(slug);
        assert_eq!(error.kind(), ErrorKind::Usage, "{slug:?}: {error:?}");
    }
    for name in ["../1", "1/2", "", "/1"] {
        let new = NewMigration::new(name, "fine", Vec::new());
        let error = create(&*source, &new).await.expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Usage, "{name:?}: {error:?}");
    }
    assert_eq!(subject.contents(), before);
    Ok(())
}
