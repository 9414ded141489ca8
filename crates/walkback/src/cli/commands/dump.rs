//! Backups that are named on a line: by the id of one of ours, or by the path of a dump of another tool.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use walkback_core::{Error, ErrorKind, Result};
use walkback_runner::{DumpInfo, Imported, Runner};

use crate::cli::context::Context;
use crate::cli::render::style;
use crate::cli::render::table::{bytes, count, table};

/// What a person names as a backup.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// A point or backup in the vault, by its id.
    Point(String),
    /// A dump of another tool, by its path.
    File(PathBuf),
}

impl Named {
    /// A path that is there, or that has a `/` in it, is a file; the manifest of a point stands for the point.
    pub(super) fn of(given: &str) -> Self {
        let path = Path::new(given);
        let is_manifest = path.extension().is_some_and(|extension| extension == "json");
        match path.file_stem().and_then(|stem| stem.to_str()) {
            Some(stem) if is_manifest => Self::Point(stem.to_owned()),
            _ if given.contains('/') || path.exists() => Self::File(path.to_owned()),
            _ => Self::Point(given.to_owned()),
        }
    }
}

/// What is gone back to. A dump is in the vault by now.
pub(super) struct Chosen {
    /// The point or backup.
    pub(super) id: String,
    imported: Option<Imported>,
}

impl Chosen {
    /// Finds a backup. A dump is shown, and brought into the vault; nothing else has happened then.
    pub(super) async fn find(
        context: &Context,
        runner: &Runner,
        given: &str,
        set_version: Option<&str>,
        needs_ledger: bool,
    ) -> Result<Self> {
        let path = match Named::of(given) {
            Named::Point(id) => {
                known(context, runner, given, &id).await?;
                return Ok(Self { id, imported: None });
            }
            Named::File(path) => path,
        };
        let imported = runner
            .dump_import(&context.cx, &path, set_version, needs_ledger)
            .await?;
        context.out.detail(text(&imported.dump));
        for warning in &imported.warnings {
            context.out.warn(warning);
        }
        Ok(Self {
            id: imported.manifest.id.clone(),
            imported: Some(imported),
        })
    }

    /// Returns whether it is a dump of another tool.
    pub(super) fn is_dump(&self) -> bool {
        self.imported.is_some()
    }

    /// Takes a dump out of the vault again if nothing came of it, and says where it is otherwise: `recover` needs
    /// it, and a second restore from it needs no program.
    pub(super) async fn settle(self, context: &Context, runner: &Runner, outcome: &Result<u8>, is_dry: bool) {
        let Some(imported) = self.imported else { return };
        let is_needed = match outcome {
            Ok(_) => !is_dry,
            Err(error) => error.kind() == ErrorKind::NeedsRecovery,
        };
        if is_needed {
            let id = &imported.manifest.id;
            context.out.text(format!("the dump is kept as the backup `{id}`"));
            return;
        }
        if let Err(error) = runner.dump_discard(&context.cx.shielded(), &imported).await {
            context
                .out
                .warn(format!("`{}` stays in the vault: {error}", imported.manifest.id));
        }
    }
}

/// Says that a name is neither that of a file nor that of a backup. What else is wrong with one is said where it is read.
async fn known(context: &Context, runner: &Runner, given: &str, id: &str) -> Result<()> {
    let Some(vault) = runner.vault() else {
        return Ok(());
    };
    match vault.open(&context.cx, id).await {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let place = if id == given { "here" } else { "that is a dump" };
            let text = format!("there is no file `{given}` {place}, and no backup of that name in the vault");
            let known = error.hints().to_vec();
            let error = Error::not_found(text).with_source(error);
            let error = known.into_iter().fold(error, Error::hint);
            Err(error.hint(
                "`walkback backup list` shows the backups, and with `--dumps <FOLDER>` the dumps of a folder",
            ))
        }
        _ => Ok(()),
    }
}

/// Renders what a dump says about itself.
pub(super) fn text(dump: &DumpInfo) -> String {
    let mut text = format!("{} ({})\n", style::bold(&dump.path), dump.format.words());
    let mut field = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            writeln!(text, "  {name:<11} {value}").ok();
        }
    };
    field("made at", dump.made_at.clone());
    field("by", dump.tool.clone());
    let of = dump.databases.join(", ");
    let of = match &dump.server {
        Some(server) if of.is_empty() => server.clone(),
        Some(server) => format!("{of} ({server})"),
        None => of,
    };
    field("of", Some(of).filter(|of| !of.is_empty()));
    let packed = match dump.compression {
        Some(compression) => format!(", {compression:?}").to_lowercase(),
        None => String::new(),
    };
    field("size", Some(format!("{}{packed}", bytes(dump.bytes))));
    let complete = dump.complete.map(|complete| {
        if complete {
            "yes".to_owned()
        } else {
            style::error("no")
        }
    });
    field("complete", complete);
    if let Some(tables) = &dump.tables {
        let names = if tables.is_empty() {
            String::new()
        } else {
            format!(": {}", tables.join(", "))
        };
        field("holds", Some(format!("{}{names}", count(tables.len(), "table"))));
    }
    text.trim_end().to_owned()
}

/// Renders the dumps of a folder.
pub(super) fn listed(dumps: &[DumpInfo]) -> String {
    let rows = dumps.iter().map(|dump| {
        [
            dump.path.clone(),
            dump.made_at.clone().unwrap_or_default(),
            dump.format.words().to_owned(),
            dump.databases.join(", "),
            dump.tool.clone().unwrap_or_default(),
            bytes(dump.bytes),
        ]
    });
    table(["dump", "made at", "kind", "of", "by", "size"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_never_taken_for_an_id() {
        let point = |id: &str| Named::Point(id.to_owned());
        assert_eq!(Named::of("bk_20260101_000000"), point("bk_20260101_000000"));
        assert_eq!(Named::of("vault/points/bk_1.json"), point("bk_1"));
        assert_eq!(Named::of("./dump"), Named::File("./dump".into()));
        assert_eq!(Named::of("no/such.sql"), Named::File("no/such.sql".into()));
        assert_eq!(Named::of("Cargo.toml"), Named::File("Cargo.toml".into()));
    }
}
