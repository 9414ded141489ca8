//! Which file is what, by its name, and new files.

use std::fs;
use std::path::Path;

use walkback_core::source::NewMigration;
use walkback_core::{
    AdapterConfig, Cx, DialectKind, Direction, Error, ErrorKind, MigrationId, MigrationSource as _,
};
use walkback_source_sql::SqlSource;

use crate::folder::{DOWN, Folder, UP, get, parents, unmatched};

#[tokio::test]
async fn the_three_layouts_may_be_mixed() {
    let folder = Folder::of(&[
        ("1_a/up.sql", UP),
        ("1_a/down.sql", DOWN),
        ("2_b.up.sql", UP),
        ("2_b.down.sql", DOWN),
        (
            "10_c.sql",
            "-- walkback: up\nCREATE TABLE c (x);\n-- walkback: down\nDROP TABLE c;\n",
        ),
        ("11_d.sql", UP),
    ]);
    let loaded = folder.load().await;
    let names: Vec<_> = loaded.graph.iter().map(|m| (m.name(), m.has_down)).collect();
    assert_eq!(
        names,
        [
            ("1_a".into(), true),
            ("2_b".into(), true),
            ("10_c".into(), true),
            ("11_d".into(), false)
        ]
    );
    assert!(loaded.graph.is_linear());
    assert!(loaded.unmatched.is_empty());
}

#[tokio::test]
async fn the_file_for_the_dialect_takes_the_place_of_the_one_for_all() {
    let folder = Folder::of(&[
        ("1_a/up.sql", "SELECT 'all';"),
        ("1_a/up.postgres.sql", "-- walkback: label=pg\nSELECT 'pg';"),
        ("1_a/down.sql", "SELECT 'all down';"),
        ("2_b.up.sqlite.sql", "SELECT 'sqlite';"),
        ("2_b.up.sql", "SELECT 'all';"),
        ("2_b.down.mysql.sql", "SELECT 'mysql down';"),
    ]);
    let text = async |dialect, id, direction| {
        folder
            .script_for(dialect, id, direction)
            .await
            .unwrap()
            .map(|script| script.text)
    };
    let (sqlite, postgres, mysql) = (DialectKind::Sqlite, DialectKind::Postgres, DialectKind::Mysql);
    assert_eq!(text(sqlite, "1", Direction::Up).await.unwrap(), "SELECT 'all';");
    assert!(
        text(postgres, "1", Direction::Up)
            .await
            .unwrap()
            .ends_with("SELECT 'pg';")
    );
    assert_eq!(
        text(postgres, "1", Direction::Down).await.unwrap(),
        "SELECT 'all down';"
    );
    assert_eq!(
        text(sqlite, "2", Direction::Up).await.unwrap(),
        "SELECT 'sqlite';"
    );
    assert_eq!(text(mysql, "2", Direction::Up).await.unwrap(), "SELECT 'all';");
    assert_eq!(
        text(mysql, "2", Direction::Down).await.unwrap(),
        "SELECT 'mysql down';"
    );
    assert_eq!(text(sqlite, "2", Direction::Down).await, None);

    let loaded = folder.load_for(postgres).await.unwrap();
    assert_eq!(get(&loaded, "1").labels, ["pg"]);
    assert_eq!(
        unmatched(&folder, &loaded),
        ["2_b.down.mysql.sql: it is for another engine, and there is no down script for postgres"]
    );
    assert!(folder.load_for(mysql).await.unwrap().unmatched.is_empty());
}

#[tokio::test]
async fn an_up_script_for_other_engines_only_is_an_error() {
    let folder = Folder::of(&[("1_a/up.postgres.sql", UP), ("1_a/down.sql", DOWN)]);
    assert_eq!(
        folder.refuse().await,
        (
            "migration `1` has no up script for sqlite, only for other engines (1_a/up.postgres.sql)".into(),
            "add `1_a/up.sqlite.sql`, empty if there is nothing to do".into()
        )
    );
    let folder = Folder::of(&[("1_a.up.mysql.sql", UP)]);
    assert_eq!(
        folder.refuse().await.1,
        "add `1_a.up.sqlite.sql`, empty if there is nothing to do"
    );
    folder.write("1_a.up.sqlite.sql", b"");
    assert_eq!(folder.load().await.graph.len(), 1);
    assert_eq!(folder.up("1").await.text, "");
}

#[tokio::test]
async fn everything_that_is_no_migration_is_reported_with_the_reason() {
    let folder = Folder::of(&[
        ("1_a/up.sql", UP),
        ("1_a/up.sql.orig", UP),
        ("1_a/data/seed.csv", "x"),
        ("2_b.down.sql", DOWN),
        (".gitkeep", ""),
        ("README.md", "x"),
        ("archive/up.sql", UP),
        ("3_c.postgress.sql", UP),
        ("4_d/down.sql", DOWN),
        ("seed_users.sql", UP),
    ]);
    fs::create_dir(folder.path().join("5_e")).unwrap();
    let loaded = folder.load().await;
    assert_eq!(loaded.graph.len(), 1);
    let holds = "the folder of a migration holds `up.sql`, `down.sql` and variants such as `up.postgres.sql`";
    let no_id = "before the first `_` is no identity: letters, digits and `.`, with a digit among them";
    assert_eq!(
        unmatched(&folder, &loaded),
        [
            ".gitkeep: its name does not end in `.sql`".to_owned(),
            format!("1_a/data: {holds}"),
            format!("1_a/up.sql.orig: {holds}"),
            "2_b.down.sql: it is a down script, and there is no up script of the same name".to_owned(),
            "3_c.postgress.sql: `.postgress` is neither a direction (`.up`, `.down`) nor a dialect (`.sqlite`, \
             `.postgres`, `.mysql`)"
                .to_owned(),
            "4_d/down.sql: it is a down script, and there is no up script of the same name".to_owned(),
            "5_e: the folder is empty".to_owned(),
            "README.md: its name does not end in `.sql`".to_owned(),
            format!("archive: a folder of migrations holds folders `<id>_<slug>`; `archive` {no_id}"),
            format!("seed_users.sql: `seed` {no_id}"),
        ]
    );
}

#[tokio::test]
async fn two_files_for_one_direction_are_an_error_that_names_both() {
    let told = async |files: &[(&str, &str)]| Folder::of(files).refuse().await.0;
    assert_eq!(
        told(&[("1_a/up.sql", UP), ("1_a.up.sql", UP)]).await,
        "migration `1` has two up scripts (1_a/up.sql and 1_a.up.sql)"
    );
    assert_eq!(
        told(&[("1_a.sql", UP), ("1_a.up.sql", UP)]).await,
        "migration `1` has two up scripts (1_a.sql and 1_a.up.sql)"
    );
    assert_eq!(
        told(&[("1_a/up.pg.sql", UP), ("1_a/up.postgres.sql", UP)]).await,
        "migration `1` has two up scripts (1_a/up.pg.sql and 1_a/up.postgres.sql)"
    );
    let both = "-- walkback: up\nSELECT 1;\n-- walkback: down\nSELECT 2;\n";
    assert_eq!(
        told(&[("1_a.sql", both), ("1_a.down.sql", DOWN)]).await,
        "migration `1` has two down scripts (1_a.down.sql and 1_a.sql)"
    );
    assert_eq!(
        told(&[("1_a/up.sql", UP), ("1_b/up.sql", UP)]).await,
        "two migrations have the identity `1` (1_a/up.sql and 1_b/up.sql)"
    );
    assert_eq!(
        told(&[("01_a/up.sql", UP), ("1_b/up.sql", UP)]).await,
        "the identities `01` and `1` differ in leading zeros only (01_a/up.sql and 1_b/up.sql)"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_that_leads_nowhere_is_an_error_that_names_it() {
    let folder = Folder::of(&[("1_a/up.sql", UP)]);
    std::os::unix::fs::symlink("gone.sql", folder.path().join("2_b.sql")).unwrap();
    let error = folder.load_for(DialectKind::Sqlite).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().ends_with("/2_b.sql`"), "{error:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_name_that_is_not_text_is_reported() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = Folder::of(&[]);
    let name = std::ffi::OsStr::from_bytes(b"1_\xff.sql");
    fs::write(folder.path().join(name), UP).unwrap();
    assert_eq!(folder.load().await.unmatched[0].1, "its name is not UTF-8");
}

#[tokio::test]
async fn a_file_where_the_folder_should_be_is_an_error() {
    let folder = Folder::of(&[("x", "")]);
    let error = SqlSource::new(folder.path().join("x"))
        .load(&Cx::background(), DialectKind::Sqlite)
        .await
        .unwrap_err();
    assert!(
        error
            .message()
            .starts_with("cannot read the folder of migrations"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_new_migration_names_parents_only_where_the_order_does_not() {
    let folder = Folder::of(&[
        ("1_a/up.sql", UP),
        ("2_b/up.sql", "-- walkback: parents=1"),
        ("3_c/up.sql", "-- walkback: parents=1"),
    ]);
    let source = folder.source();
    let create = async |id: &str, parents: &[&str]| {
        let parents = parents.iter().map(|id| MigrationId::new(*id)).collect();
        let files = source
            .create(&Cx::background(), &NewMigration::new(id, "next_one", parents))
            .await?;
        Ok::<_, Error>(fs::read_to_string(&files[0]).unwrap())
    };
    assert!(!create("4", &["3"]).await.unwrap().contains("parents="));
    assert!(
        create("5", &["2", "4"])
            .await
            .unwrap()
            .starts_with("-- walkback: parents=2,4\n-- next one: ")
    );
    assert!(
        create("6", &["1"])
            .await
            .unwrap()
            .starts_with("-- walkback: parents=1\n")
    );
    let loaded = folder.load().await;
    assert_eq!(parents(&loaded, "4"), "3");
    assert_eq!(parents(&loaded, "5"), "2 4");
    assert!(!get(&loaded, "5").has_down, "the template is no way back");

    let error = create("7", &["nope"]).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no migration `nope` to follow");
    let error = create("1.5", &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(
        error
            .message()
            .starts_with("migration `1.5` would stand before `2`"),
        "{error:?}"
    );
    let error = create("2024_01", &[]).await.unwrap_err();
    assert_eq!(error.to_string(), "`2024_01` would be read as `2024`");
}

#[test]
fn an_unknown_setting_is_refused() {
    let config = AdapterConfig::new("source", "/base").with("pth", "x");
    let error = SqlSource::open(&config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.message().contains("`[source]`") && error.message().contains("`pth`"),
        "{error:?}"
    );
    let source = SqlSource::open(&AdapterConfig::new("source", "/base")).unwrap();
    assert_eq!(source.location(), "/base/migrations");
    let source = SqlSource::open(&AdapterConfig::new("source", "/base").with("path", "db")).unwrap();
    assert_eq!(source.location(), "/base/db");
}

#[tokio::test]
async fn the_example_shop_is_a_merge_of_two_branches() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/shop/sqlite");
    let loaded = SqlSource::new(path)
        .load(&Cx::background(), DialectKind::Sqlite)
        .await
        .unwrap();
    assert!(loaded.unmatched.is_empty(), "{:?}", loaded.unmatched);
    assert_eq!(loaded.graph.heads().len(), 1);
    assert_eq!(parents(&loaded, "20240617"), "20240603 20240610");
    assert!(
        loaded
            .graph
            .labels_of(&MigrationId::new("20240902"))
            .unwrap()
            .contains("coupons")
    );
}
