//! Ten thousand migrations in a folder: the figure, and that only heads are read.

#![expect(clippy::print_stderr, reason = "the figure is what this test is for")]

use std::fs;
use std::time::Instant;

use walkback_core::{Cx, DialectKind, Direction, MigrationId, MigrationSource as _};
use walkback_source_sql::SqlSource;

#[tokio::test]
async fn ten_thousand_migrations_are_loaded_and_each_script_is_found() {
    const COUNT: usize = 10_000;
    let folder = tempfile::TempDir::new().unwrap();
    for n in 0..COUNT {
        let stem = folder.path().join(format!("{n:08}_change"));
        fs::write(stem.with_extension("up.sql"), "-- a comment\nSELECT 1;\n").unwrap();
        fs::write(stem.with_extension("down.sql"), "SELECT 2;\n").unwrap();
    }
    let (source, cx) = (SqlSource::new(folder.path()), Cx::background());
    let begun = Instant::now();
    let loaded = source.load(&cx, DialectKind::Sqlite).await.unwrap();
    let took = begun.elapsed();
    assert_eq!(loaded.graph.len(), COUNT);
    assert!(loaded.graph.is_linear());
    let begun = Instant::now();
    for n in (0..COUNT).step_by(10) {
        let id = MigrationId::new(format!("{n:08}"));
        let script = source
            .script(&cx, DialectKind::Sqlite, &id, Direction::Up)
            .await
            .unwrap();
        assert!(script.is_some());
    }
    eprintln!(
        "{COUNT} migrations loaded in {took:?}; 1,000 scripts read in {:?}",
        begun.elapsed()
    );
}
