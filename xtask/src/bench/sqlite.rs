//! SQLite: the copies that its own shell makes.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Case, Group, data, newest_backup, project, remove, walkback};
use crate::process::is_installed;

/// Fills a database and returns what is measured on it.
pub(crate) fn groups(binary: &Path, folder: &Path, rows: u64) -> Result<Vec<Group>> {
    project(folder)?;
    let full = folder.join("full.db");
    let database = rusqlite::Connection::open(&full)?;
    database
        .execute_batch(&data::sqlite(rows))
        .context("the database cannot be filled")?;
    drop(database);
    Ok(vec![backup(binary, folder, &full), restore(binary, folder)])
}

fn backup(binary: &Path, folder: &Path, full: &Path) -> Group {
    let vault = folder.join("vault");
    let ours = {
        let (binary, folder, url) = (binary.to_owned(), folder.to_owned(), url(full));
        let old = vault.clone();
        Case {
            name: "walkback backup create".to_owned(),
            prepare: Box::new(move || remove(&old)),
            command: Box::new(move || Ok(walkback(&binary, &folder, &url, &["backup", "create"]))),
            output: Some(vault),
        }
    };
    let copy = folder.join("copy.db");
    let is_there = is_installed("sqlite3");
    let ways = [
        ("sqlite3 VACUUM INTO", format!("VACUUM INTO '{}'", copy.display())),
        ("sqlite3 .backup", format!(".backup '{}'", copy.display())),
    ];
    let others = ways.into_iter().filter(|_| is_there).map(|(name, script)| {
        let (old, full) = (copy.clone(), full.to_owned());
        Case {
            name: name.to_owned(),
            prepare: Box::new(move || remove(&old)),
            command: Box::new(move || {
                let mut command = Command::new("sqlite3");
                command.arg(&full).arg(&script);
                Ok(command)
            }),
            output: Some(copy.clone()),
        }
    });
    Group {
        engine: "sqlite".to_owned(),
        what: "backup",
        cases: std::iter::once(ours).chain(others).collect(),
        missing: if is_there { Vec::new() } else { vec!["sqlite3"] },
    }
}

fn restore(binary: &Path, folder: &Path) -> Group {
    let restored = folder.join("restored.db");
    let (binary, project, url, old) = (
        binary.to_owned(),
        folder.to_owned(),
        url(&restored),
        restored.clone(),
    );
    let ours = Case {
        name: "walkback restore".to_owned(),
        prepare: Box::new(move || {
            for end in ["", "-wal", "-shm"] {
                remove(Path::new(&format!("{}{end}", old.display())))?;
            }
            Ok(())
        }),
        command: Box::new(move || {
            let backup = newest_backup(&project)?;
            Ok(walkback(&binary, &project, &url, &["--yes", "restore", &backup]))
        }),
        output: Some(restored),
    };
    Group {
        engine: "sqlite".to_owned(),
        what: "restore",
        cases: vec![ours],
        missing: Vec::new(),
    }
}

fn url(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}
