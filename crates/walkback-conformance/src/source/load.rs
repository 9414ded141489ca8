//! Checks of `load`, `location` and `ledger`.

use std::time::{Duration, Instant};

use walkback_core::ledger::{LedgerFormat, LedgerRows, LedgerValue};
use walkback_core::source::Loaded;
use walkback_core::{Cx, DialectKind, ErrorKind, Migration, MigrationId, MigrationSource, Result};

use super::{Harness, Subject};

pub(super) const DIALECT: DialectKind = DialectKind::Sqlite;

pub(super) async fn loaded(source: &dyn MigrationSource) -> Result<Loaded> {
    source.load(&Cx::background(), DIALECT).await
}

fn migrations(loaded: &Loaded) -> Vec<Migration> {
    loaded.graph.iter().cloned().collect()
}

pub(super) fn ids(loaded: &Loaded) -> Vec<String> {
    loaded
        .graph
        .iter()
        .map(|migration| migration.id.0.clone())
        .collect()
}

pub(super) async fn an_empty_folder_is_an_empty_graph(subject: Subject) -> Result<()> {
    let loaded = loaded(&*subject.open()).await?;
    assert!(loaded.graph.is_empty());
    assert!(loaded.unmatched.is_empty(), "{:?}", loaded.unmatched);
    Ok(())
}

pub(super) async fn a_folder_that_does_not_exist_is_not_found_and_named(subject: Subject) -> Result<()> {
    subject.remove_all();
    let source = subject.open();
    let error = loaded(&*source).await.expect_err("there is nothing to load");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    assert!(error.to_string().contains(&source.location()), "{error:?}");
    Ok(())
}

/// Adds migrations in an order that is not theirs, and returns their identities in order.
pub(super) fn add_some(subject: &dyn Harness, count: u32) -> Vec<String> {
    let ids: Vec<String> = (1..=count).map(|n| subject.id(n)).collect();
    let (first, second): (Vec<_>, Vec<_>) = ids.iter().enumerate().partition(|(n, _)| n % 2 == 1);
    for (n, id) in first.into_iter().rev().chain(second) {
        let up = format!("CREATE TABLE t{n} (x);\n");
        let down = format!("DROP TABLE t{n};\n");
        subject.add(id, up.as_bytes(), (n % 3 != 0).then_some(down.as_bytes()));
    }
    ids
}

pub(super) async fn load_finds_every_migration_in_order(subject: Subject) -> Result<()> {
    let expected = add_some(&*subject, 12);
    let loaded = loaded(&*subject.open()).await?;
    assert_eq!(ids(&loaded), expected);
    assert!(loaded.graph.is_linear(), "each follows the one before it");
    assert!(loaded.unmatched.is_empty(), "{:?}", loaded.unmatched);
    Ok(())
}

pub(super) async fn load_names_the_file_of_each_migration(subject: Subject) -> Result<()> {
    add_some(&*subject, 3);
    let contents = subject.contents();
    for (n, migration) in loaded(&*subject.open()).await?.graph.iter().enumerate() {
        let bytes = contents
            .get(&migration.file)
            .map(|bytes| String::from_utf8_lossy(bytes));
        let created = format!("CREATE TABLE t{n} ");
        assert!(
            bytes.is_some_and(|text| text.contains(&created)),
            "`{}` is not the file of `{}`",
            migration.file.display(),
            migration.id
        );
    }
    Ok(())
}

pub(super) async fn load_says_which_migrations_have_a_way_back(subject: Subject) -> Result<()> {
    add_some(&*subject, 6);
    let has_down: Vec<bool> = loaded(&*subject.open())
        .await?
        .graph
        .iter()
        .map(|migration| migration.has_down)
        .collect();
    assert_eq!(has_down, [false, true, true, false, true, true]);
    Ok(())
}

pub(super) async fn load_names_every_file_it_cannot_use(subject: Subject) -> Result<()> {
    let expected = add_some(&*subject, 2);
    let stray = subject.add_stray();
    let loaded = loaded(&*subject.open()).await?;
    assert_eq!(ids(&loaded), expected);
    let [(path, reason)] = &loaded.unmatched[..] else {
        panic!(
            "one file is no migration, and these were named: {:?}",
            loaded.unmatched
        );
    };
    assert_eq!(*path, stray);
    assert!(!reason.trim().is_empty(), "no reason is given");
    Ok(())
}

pub(super) async fn two_loads_of_the_same_files_give_the_same_graph(subject: Subject) -> Result<()> {
    add_some(&*subject, 25);
    subject.add_stray();
    let source = subject.open();
    let first = loaded(&*source).await?;
    for second in [loaded(&*source).await?, loaded(&*subject.open()).await?] {
        assert_eq!(migrations(&first), migrations(&second));
        assert_eq!(first.unmatched, second.unmatched);
    }
    Ok(())
}

pub(super) async fn load_sees_what_was_added_since(subject: Subject) -> Result<()> {
    let source = subject.open();
    let before = add_some(&*subject, 2);
    assert_eq!(ids(&loaded(&*source).await?), before);
    subject.add(&subject.id(3), b"SELECT 3;\n", None);
    assert_eq!(ids(&loaded(&*source).await?).last(), Some(&subject.id(3)));
    Ok(())
}

pub(super) async fn load_sees_what_was_removed_since(subject: Subject) -> Result<()> {
    let source = subject.open();
    add_some(&*subject, 2);
    loaded(&*source).await?;
    subject.remove_all();
    assert!(loaded(&*source).await.is_err());
    Ok(())
}

pub(super) async fn load_takes_time_linear_in_the_number_of_files(subject: Subject) -> Result<()> {
    const FEW: u32 = 50;
    const TIMES: u32 = 20;
    let add = |range: std::ops::RangeInclusive<u32>| {
        for n in range {
            subject.add(&subject.id(n), b"SELECT 1;\n", Some(b"SELECT 2;\n"));
        }
    };
    let source = subject.open();
    let best = async || {
        let mut best = Duration::MAX;
        for _ in 0..3 {
            let begun = Instant::now();
            loaded(&*source).await?;
            best = best.min(begun.elapsed());
        }
        Ok::<_, walkback_core::Error>(best)
    };
    add(1..=FEW);
    let few = best().await?;
    add(FEW + 1..=FEW * TIMES);
    let many = best().await?;
    // Linear is a factor of 20, quadratic one of 400; the floor keeps noise on tiny times out of it.
    let allowed = few.max(Duration::from_millis(2)) * TIMES * 5;
    assert!(
        many < allowed,
        "{FEW} migrations took {few:?}, {TIMES} times as many took {many:?}"
    );
    Ok(())
}

pub(super) async fn load_ends_when_it_is_cancelled(subject: Subject) -> Result<()> {
    add_some(&*subject, 2);
    let cx = Cx::background();
    cx.canceller().cancel();
    let error = subject
        .open()
        .load(&cx, DIALECT)
        .await
        .expect_err("the context was cancelled");
    assert_eq!(error.kind(), ErrorKind::Interrupted, "{error:?}");
    Ok(())
}

pub(super) async fn a_source_says_where_it_is(subject: Subject) -> Result<()> {
    let location = subject.open().location();
    assert!(!location.trim().is_empty());
    assert_eq!(location, subject.open().location());
    Ok(())
}

pub(super) async fn the_ledger_has_one_column_for_the_identity(subject: Subject) -> Result<()> {
    for dialect in DialectKind::ALL {
        let ledger = subject.open().ledger(dialect);
        check_ledger(&ledger);
        if let Some(other) = &ledger.shown_in {
            assert_eq!(other.rows, LedgerRows::Heads);
            assert_ne!(other.table, ledger.table);
            check_ledger(other);
        }
    }
    Ok(())
}

fn check_ledger(ledger: &LedgerFormat) {
    let ids = ledger
        .columns
        .iter()
        .filter(|column| column.value == LedgerValue::Id);
    assert_eq!(ids.count(), 1, "{:?}", ledger.columns);
    assert!(!ledger.tool.is_empty() && !ledger.table.name.is_empty());
    let mut names: Vec<_> = ledger
        .columns
        .iter()
        .map(|column| column.name.to_lowercase())
        .collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), ledger.columns.len(), "two columns have one name");
    for dialect in DialectKind::ALL {
        let Some(create) = ledger.create.get(&dialect) else {
            continue;
        };
        let named = ledger.columns.iter().all(|column| create.contains(column.name));
        assert!(named && create.contains(&ledger.table.name), "{create}");
    }
}

pub(super) fn id(id: &str) -> MigrationId {
    MigrationId::new(id)
}
