//! Real histories, found through `WALKBACK_CORPORA`; without it, visibly ignored.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use walkback_conformance::checks;
use walkback_conformance::runner::{Check, Fixture, run, trials};
use walkback_core::{Cx, DialectKind, Direction, MigrationSource as _, Result};
use walkback_source_diesel::DieselSource;

const VAULTWARDEN: &str = "dani-garcia/vaultwarden/migrations";

const CHECKS: &[Check<PathBuf>] = checks![every_migration_is_loaded_in_the_right_order, every_script_is_read];

async fn every_migration_is_loaded_in_the_right_order(folder: PathBuf) -> Result<()> {
    for (engine, dialect) in engines() {
        let folder = folder.join(engine);
        let loaded = DieselSource::new(&folder)
            .load(&Cx::background(), dialect)
            .await?;
        let folders = sorted_names(&folder);
        assert!(loaded.graph.is_linear());
        let versions: Vec<_> = loaded
            .graph
            .iter()
            .map(|migration| migration.id.0.clone())
            .collect();
        let mut expected: Vec<_> = folders
            .iter()
            .map(|name| name.split('_').next().unwrap_or_default().replace('-', ""))
            .collect();
        expected.sort();
        assert_eq!(versions, expected, "{engine}");
        assert!(versions.len() > 40, "{engine} has {} migrations", versions.len());
        assert_eq!(
            loaded.graph.iter().next().map(|migration| &*migration.slug),
            Some("create_tables")
        );
    }
    Ok(())
}

async fn every_script_is_read(folder: PathBuf) -> Result<()> {
    for (engine, dialect) in engines() {
        let source = DieselSource::new(folder.join(engine));
        let cx = Cx::background();
        let loaded = source.load(&cx, dialect).await?;
        let mut downs = 0;
        for migration in &loaded.graph {
            assert!(
                source
                    .script(&cx, dialect, &migration.id, Direction::Up)
                    .await?
                    .is_some()
            );
            let down = source
                .script(&cx, dialect, &migration.id, Direction::Down)
                .await?;
            assert_eq!(down.is_some(), migration.has_down);
            downs += usize::from(down.is_some());
        }
        assert!(
            downs > 0 && downs + loaded.unmatched.len() >= loaded.graph.len(),
            "{engine}"
        );
    }
    Ok(())
}

fn engines() -> [(&'static str, DialectKind); 3] {
    [
        ("sqlite", DialectKind::Sqlite),
        ("postgresql", DialectKind::Postgres),
        ("mysql", DialectKind::Mysql),
    ]
}

fn sorted_names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the corpus can be read");
    let names = entries.map(|entry| entry.expect("the corpus can be read").file_name());
    let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn main() -> ExitCode {
    run(trials("vaultwarden", CHECKS, || {
        match std::env::var_os("WALKBACK_CORPORA") {
            None => Fixture::Absent("WALKBACK_CORPORA names no folder".to_owned()),
            Some(corpora) => {
                let folder = Path::new(&corpora).join(VAULTWARDEN);
                if folder.is_dir() {
                    Fixture::Ready(folder)
                } else {
                    Fixture::Absent(format!("`{}` is not there", folder.display()))
                }
            }
        }
    }))
}
