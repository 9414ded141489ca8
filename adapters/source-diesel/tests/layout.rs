//! Diesel's layout as diesel reads it, and what is said about a folder that is wrong.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use walkback_core::source::NewMigration;
use walkback_core::{
    AdapterConfig, Cx, DialectKind, Direction, ErrorKind, MigrationId, MigrationSource as _, Result, Script,
};
use walkback_source_diesel::DieselSource;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

async fn ids(folder: &Path) -> Vec<String> {
    let source = DieselSource::new(folder);
    let loaded = source.load(&Cx::background(), DialectKind::Sqlite).await.unwrap();
    loaded
        .graph
        .iter()
        .map(|migration| migration.id.0.clone())
        .collect()
}

async fn transaction(folder: &Path, id: &str, direction: Direction) -> Result<Option<bool>> {
    let script = DieselSource::new(folder)
        .script(
            &Cx::background(),
            DialectKind::Sqlite,
            &MigrationId::new(id),
            direction,
        )
        .await?;
    Ok(script.map(|script| match script {
        Script::Sql(script) => script.transaction,
        other => panic!("{other:?}"),
    }))
}

/// crates.io mixes two styles of names; a sort by name would apply its migrations in the wrong order.
#[tokio::test]
async fn versions_have_no_dashes_and_are_in_text_order() {
    let folder = folder(&[
        ("2018-05-03-150523_b/up.sql", "SELECT 1;"),
        ("20140924113530_a/up.sql", "SELECT 1;"),
        ("20180601000000_c/up.sql", "SELECT 1;"),
        ("2018-04-24-145128_create/up.sql", "SELECT 1;"),
        ("00000000000000_diesel_initial_setup/up.sql", "SELECT 1;"),
        ("2024-03-13_170000_sso/up.sql", "SELECT 1;"),
    ]);
    assert_eq!(
        ids(folder.path()).await,
        [
            "00000000000000",
            "20140924113530",
            "20180424145128",
            "20180503150523",
            "20180601000000",
            "20240313"
        ]
    );
}

#[tokio::test]
async fn two_folders_of_one_version_are_an_error_that_names_both() {
    let folder = folder(&[
        ("2024-01-01-000000_a/up.sql", "x"),
        ("20240101000000_b/up.sql", "x"),
    ]);
    let error = DieselSource::new(folder.path())
        .load(&Cx::background(), DialectKind::Sqlite)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.message().contains("_a/up.sql") && error.message().contains("_b/up.sql"),
        "{error:?}"
    );
}

#[tokio::test]
async fn metadata_says_whether_a_transaction_is_used() {
    let folder = folder(&[
        ("1_a/up.sql", "SELECT 1;"),
        ("1_a/down.sql", "SELECT 1;"),
        ("2_b/up.sql", "SELECT 1;"),
        ("2_b/down.sql", "SELECT 1;"),
        ("2_b/metadata.toml", "run_in_transaction = false\n"),
        ("3_c/up.sql", "SELECT 1;"),
        (
            "3_c/metadata.toml",
            "run_in_transaction = true\n[other]\ntool = 1\n",
        ),
        ("4_d/up.sql", "SELECT 1;"),
        ("4_d/metadata.toml", ""),
    ]);
    let of = async |id, direction| transaction(folder.path(), id, direction).await.unwrap();
    assert_eq!(of("1", Direction::Up).await, Some(true));
    assert_eq!(of("1", Direction::Down).await, Some(true));
    assert_eq!(of("2", Direction::Up).await, Some(false));
    assert_eq!(of("2", Direction::Down).await, Some(false));
    assert_eq!(of("3", Direction::Up).await, Some(true));
    // Diesel reads a file that does not say it as `false`.
    assert_eq!(of("4", Direction::Up).await, Some(false));
}

#[tokio::test]
async fn metadata_that_cannot_be_read_is_an_error_with_its_line() {
    let folder = folder(&[
        ("1_a/up.sql", "SELECT 1;"),
        ("1_a/metadata.toml", "# about it\nrun_in_transaction = \"no\"\n"),
    ]);
    let error = transaction(folder.path(), "1", Direction::Up).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("1_a/metadata.toml:2`"), "{error:?}");
}

/// Diesel refuses to run a script of no bytes: nobody can have meant it as a way back.
#[tokio::test]
async fn an_empty_down_script_counts_as_not_written() {
    let folder = folder(&[
        ("1_a/up.sql", "SELECT 1;"),
        ("1_a/down.sql", ""),
        ("2_b/up.sql", "SELECT 1;"),
        ("2_b/down.sql", "\n"),
    ]);
    let loaded = DieselSource::new(folder.path())
        .load(&Cx::background(), DialectKind::Sqlite)
        .await
        .unwrap();
    let has_down: Vec<_> = loaded.graph.iter().map(|migration| migration.has_down).collect();
    assert_eq!(has_down, [false, true]);
    assert_eq!(loaded.unmatched.len(), 1);
    assert!(loaded.unmatched[0].0.ends_with("1_a/down.sql"));
    assert_eq!(
        transaction(folder.path(), "1", Direction::Down).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn everything_that_is_no_migration_is_reported() {
    let folder = folder(&[
        ("1_a/up.sql", "x"),
        ("1_a/notes.md", "x"),
        ("2_b/down.sql", "x"),
        (".hidden/up.sql", "x"),
        ("diesel.toml", "x"),
        (".diesel_lock", "x"),
    ]);
    let loaded = DieselSource::new(folder.path())
        .load(&Cx::background(), DialectKind::Sqlite)
        .await
        .unwrap();
    let named: Vec<_> = loaded
        .unmatched
        .iter()
        .map(|(path, _)| path.strip_prefix(folder.path()).unwrap().display().to_string())
        .collect();
    assert_eq!(
        named,
        [".diesel_lock", ".hidden", "1_a/notes.md", "2_b", "diesel.toml"]
    );
}

#[tokio::test]
async fn a_version_that_the_ledger_cannot_hold_is_refused() {
    let folder = folder(&[(&format!("{}_a/up.sql", "1".repeat(51)), "x")]);
    let error = DieselSource::new(folder.path())
        .load(&Cx::background(), DialectKind::Sqlite)
        .await
        .unwrap_err();
    assert!(
        error.message().contains("longer than the 50 characters"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_new_migration_is_named_as_diesel_names_it() {
    let folder = folder(&[("2024-01-01-000000_a/up.sql", "x")]);
    let source = DieselSource::new(folder.path());
    let create = async |id: &str, parents: &[&str]| {
        let parents = parents.iter().map(|id| MigrationId::new(*id)).collect();
        let files = source
            .create(&Cx::background(), &NewMigration::new(id, "add_users", parents))
            .await?;
        let file = files[0].strip_prefix(folder.path()).unwrap();
        Ok::<_, walkback_core::Error>(file.display().to_string())
    };
    assert_eq!(
        create("20240229101112", &[]).await.unwrap(),
        "2024-02-29-101112_add_users/up.sql"
    );
    assert_eq!(
        create("2024-03-01-000000", &["20240229101112"]).await.unwrap(),
        "2024-03-01-000000_add_users/up.sql"
    );
    assert_eq!(
        ids(folder.path()).await,
        ["20240101000000", "20240229101112", "20240301000000"]
    );

    let error = create("20250101000000", &["20240101000000"]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let error = create("2023-01-01-000000", &[]).await.unwrap_err();
    assert!(
        error
            .message()
            .starts_with("migration `20230101000000` would stand before"),
        "{error:?}"
    );
    let error = create("20240101000000", &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
}

#[test]
fn the_ledger_is_created_word_for_word_as_diesel_does() {
    let ledger = DieselSource::new("x").ledger(DialectKind::Postgres);
    let expected = "CREATE TABLE IF NOT EXISTS __diesel_schema_migrations (\n       version VARCHAR(50) PRIMARY KEY \
                    NOT NULL,\n       run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP\n)";
    for dialect in DialectKind::ALL {
        assert_eq!(ledger.create.get(&dialect).map(String::as_str), Some(expected));
    }
    assert_eq!(ledger.id_column(), "version");
}

#[test]
fn an_unknown_setting_is_refused() {
    let error = DieselSource::open(&AdapterConfig::new("source", "").with("folder", "x")).unwrap_err();
    assert!(error.message().contains("`folder`"), "{error:?}");
}
