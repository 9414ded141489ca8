//! Dumps that other tools have made: what they are, whether they are whole, and bringing them into the vault.
//!
//! A dump is never loaded into the database itself. It is loaded into a scratch database, read from there into the
//! vault, as a backup like any other, and brought back from it: by the one exchange that there is.

mod archive;
mod filter;
mod inspect;
mod load;
mod read;
mod tool;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;
use walkback_core::dump::DumpFormat;
use walkback_core::{Access, Cx, Error, ErrorKind, MigrationId, Result};
use walkback_vault::{Manifest, PointKind};

use crate::ledger::Applied;
use crate::plan::PointScope;
use crate::point::{self, PointRequest};
use crate::runner::Runner;
use crate::shown::Shown;
use crate::state::State;

pub use inspect::DumpInfo;
pub use read::DumpCompression;

/// What a dump was found to be when all of it was read.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct DumpReport {
    /// What it says about itself.
    pub dump: DumpInfo,
    /// How it was read, in words.
    pub checked: String,
}

/// A dump in the vault.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Imported {
    /// What it says about itself.
    pub dump: DumpInfo,
    /// The backup that holds what it held.
    pub manifest: Manifest,
    /// What a person should know.
    pub warnings: Vec<String>,
}

impl Runner {
    /// Looks at a dump and returns what it says about itself. With `whole` all of a text is read.
    ///
    /// # Errors
    /// `NotFound` if there is no such file, `Usage` if it is no dump that is known, `Damaged` if it cannot be read.
    pub async fn dump_show(&self, cx: &Cx, path: &Path, whole: bool) -> Result<DumpInfo> {
        let (context, path) = (cx.clone(), path.to_owned());
        tokio::task::spawn_blocking(move || inspect::inspect(&context, &path, whole))
            .await
            .map_err(|error| Error::internal("reading a dump came to no end").with_source(error))?
    }

    /// Returns the dumps in a folder, by name. A file that is none is left out.
    ///
    /// # Errors
    /// Fails if the folder cannot be read.
    pub async fn dump_list(&self, cx: &Cx, folder: &Path) -> Result<Vec<DumpInfo>> {
        let failed = |error| Error::io("read", folder, error);
        let mut paths: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            paths.push(entry.map_err(failed)?.path());
        }
        paths.sort();
        let mut dumps = Vec::new();
        for path in paths {
            match self.dump_show(cx, &path, false).await {
                Ok(info) => dumps.push(info),
                Err(error) if matches!(error.kind(), ErrorKind::Usage | ErrorKind::Unsupported) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
                Err(error) => cx.progress().warn(&error.to_string()),
            }
        }
        Ok(dumps)
    }

    /// Reads all of a dump, and sees whether it is whole, as far as its form tells.
    ///
    /// # Errors
    /// `Damaged` if it is not; `NotFound` if the program that reads its form is not installed.
    pub async fn dump_verify(&self, cx: &Cx, path: &Path) -> Result<DumpReport> {
        let mut info = self.dump_show(cx, path, true).await?;
        info.check(info.format.dialect())?;
        let checked = match info.format {
            DumpFormat::SqliteFile | DumpFormat::SqliteSql => {
                info.check(self.dialect().kind())?;
                let loaded = load::load(self, cx, path, &info).await?;
                let mut session = loaded.database.engine().connect(cx, Access::Read).await?;
                let tables = session.schema(cx).await?.tables;
                info.tables = Some(tables.iter().map(|table| table.name.to_string()).collect());
                info.complete = Some(true);
                "loaded into a scratch database, whose pages and indexes are sound"
            }
            DumpFormat::PostgresSql | DumpFormat::MysqlSql => {
                "read to its end, which says that it is complete"
            }
            _ => {
                info.tables = Some(load::read_archive(cx, path, &info).await?);
                info.complete = Some(true);
                "all of its rows were read by pg_restore"
            }
        };
        Ok(DumpReport {
            dump: info,
            checked: checked.to_owned(),
        })
    }

    /// Brings what a dump holds into the vault, by way of a scratch database; the database itself is not touched.
    /// `set_version` says which migrations are applied in it, where it does not say so itself or says it wrongly.
    ///
    /// # Errors
    /// `Damaged` if the dump is not whole, `Usage` if it is of another engine, `NotFound` if the program that loads
    /// it is not installed, `CheckFailed` if nobody says which migrations are applied in it, or if it was made before one of those that
    /// `set_version` says.
    pub async fn dump_import(
        &self,
        cx: &Cx,
        path: &Path,
        set_version: Option<&str>,
        needs_ledger: bool,
    ) -> Result<Imported> {
        self.needed_vault()?;
        let info = self.dump_show(cx, path, true).await?;
        info.check(self.dialect().kind())?;
        let loaded = load::load(self, cx, path, &info).await?;
        let inside = Self::new(
            loaded.database.engine(),
            self.source().clone(),
            self.vault().cloned(),
            self.settings().clone(),
        );
        let (state, contradicted) = inside.state_of_dump(cx, &info, set_version, needs_ledger).await?;
        let stem = path.file_name().unwrap_or_default().to_string_lossy();
        let stem = stem.split('.').next().unwrap_or_default();
        let request = PointRequest {
            kind: PointKind::Backup,
            prefix: "dump",
            about: stem,
            scope: &PointScope::Everything,
            description: Some(describe(&info)),
            run_id: None,
            // It is pruned with the other backups of this database.
            of: Some(point::database_name(self)),
            grants: None,
            before: None,
        };
        let written = point::make(&inside, cx, &state, request).await?;
        cx.step("dump.imported");
        Ok(Imported {
            dump: info,
            manifest: written.manifest,
            warnings: loaded.warnings.into_iter().chain(contradicted).collect(),
        })
    }

    /// Takes a dump out of the vault again that was imported and then not restored.
    ///
    /// # Errors
    /// Fails if the vault cannot be written.
    pub async fn dump_discard(&self, cx: &Cx, imported: &Imported) -> Result<()> {
        self.needed_vault()?.remove(cx, &imported.manifest.id).await
    }

    /// Reads which migrations are applied in a dump that was loaded, of which this is the runner. With it comes what a
    /// person should know of a version that is not the one of the dump.
    async fn state_of_dump(
        &self,
        cx: &Cx,
        info: &DumpInfo,
        set_version: Option<&str>,
        needs_ledger: bool,
    ) -> Result<(State, Option<String>)> {
        let mut session = self.connect(cx, Access::Read).await?;
        let mut state = State::load(self, cx, &mut *session).await?;
        let ledger = self.ledger().table;
        let says_it =
            matches!(state.shown, Shown::Same | Shown::Moved(_)) || session.has_table(cx, &ledger).await?;
        let mut contradicted = None;
        if let Some(target) = set_version {
            let ids = state.graph.state_at(&state.applied_set(), &target.parse()?)?;
            // Of some of its tables the ledger of the dump says nothing.
            if says_it && needs_ledger {
                contradicted = older(&state, info, target, &ids)?;
            }
            state.applied = ids.iter().map(Applied::only).collect();
        } else if needs_ledger && !says_it {
            return Err(Error::new(
                ErrorKind::CheckFailed,
                format!(
                    "`{}` does not say which migrations are applied in it: it has no table `{ledger}`",
                    info.path
                ),
            )
            .hint("say it: `--set-version <TARGET>`, or `--set-version base` if none is"));
        }
        Ok((state, contradicted))
    }
}

/// Refuses a version that is newer than the ledger inside of a dump, and says of an older one what of the dump it leaves out.
fn older(
    state: &State,
    info: &DumpInfo,
    target: &str,
    ids: &BTreeSet<MigrationId>,
) -> Result<Option<String>> {
    let inside = state.applied_set();
    let names = |ids: Vec<&MigrationId>| {
        let names = ids.iter().map(|id| format!("`{}`", state.named(id).name));
        names.collect::<Vec<_>>().join(", ")
    };
    let missing: Vec<_> = ids.difference(&inside).collect();
    if !missing.is_empty() {
        return Err(Error::new(
            ErrorKind::CheckFailed,
            format!(
                "`{}` is older than `{target}`: its own ledger does not say that {} was applied when it was made",
                info.path,
                names(missing)
            ),
        )
        .hint("leave the version out: the ledger of the dump is restored with it, and `walkback up` goes on from there")
        .hint("if the ledger of the dump is wrong, restore it so, then put it right with `walkback stamp <TARGET>`"));
    }
    let beyond: Vec<_> = inside.difference(ids).collect();
    Ok((!beyond.is_empty()).then(|| {
        format!(
            "what {} did is in `{}`, and will not count as applied: `up` runs it again, on tables that have it already",
            names(beyond),
            info.path
        )
    }))
}

fn describe(info: &DumpInfo) -> String {
    let name = Path::new(&info.path)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    let tool = info.tool.as_deref().unwrap_or(info.format.words());
    match &info.made_at {
        Some(moment) => format!("from the dump `{name}` ({tool}, {moment})"),
        None => format!("from the dump `{name}` ({tool})"),
    }
}
