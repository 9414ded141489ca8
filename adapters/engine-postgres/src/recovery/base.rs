//! Base backups: where they are, in which form, and when they were made.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Deserialize;
use walkback_core::recovery::RecoveryFiles;
use walkback_core::{Error, Result};

use super::programs::{Programs, version_of_data};

/// How `pg_basebackup` has written one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// As the files of the server.
    Plain,
    /// As archives, by what is in them: `base`, `pg_wal`, and the number of each tablespace.
    Tar(BTreeMap<String, PathBuf>),
}

/// A base backup.
#[derive(Debug, Clone)]
pub(super) struct Base {
    pub(super) folder: PathBuf,
    pub(super) form: Form,
    /// A moment at which it was still being made, as late as can be known: what it holds is of then or later.
    pub(super) made: DateTime<Utc>,
    /// How much it holds, in bytes, if its manifest says so.
    pub(super) bytes: Option<u64>,
    pub(super) has_manifest: bool,
}

/// The base backups that there are, and what is no base backup.
#[derive(Debug, Default)]
pub(super) struct Bases {
    /// The newest first.
    pub(super) found: Vec<Base>,
    /// What was passed over, and why.
    pub(super) unusable: Vec<String>,
}

/// Endings of archives, with what `tar` is told of each.
pub(super) const TARS: [(&str, &[&str]); 6] = [
    (".tar", &[]),
    (".tar.gz", &["--gzip"]),
    (".tar.zst", &["--use-compress-program=zstd"]),
    (".tar.lz4", &["--use-compress-program=lz4"]),
    (".tar.bz2", &["--bzip2"]),
    (".tar.xz", &["--xz"]),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    files: Vec<ManifestFile>,
}

#[derive(Deserialize)]
struct ManifestFile {
    /// `None` where it is no UTF-8, and written otherwise.
    #[serde(rename = "Path")]
    path: Option<String>,
    #[serde(rename = "Size")]
    size: u64,
    #[serde(rename = "Last-Modified")]
    modified: String,
}

impl ManifestFile {
    /// Returns whether only a part of it is there, as in incremental base backups (PostgreSQL 17 and later).
    fn is_part(&self) -> bool {
        let name = self.path.as_deref().and_then(|path| path.rsplit('/').next());
        name.is_some_and(|name| name.starts_with("INCREMENTAL."))
    }
}

impl Bases {
    /// Looks for base backups: the folder itself, or those in it.
    pub(super) fn look(files: &RecoveryFiles) -> Result<Self> {
        let folder = &files.base_backup;
        let mut bases = Self::default();
        if let Some(form) = form(folder)? {
            bases.add(folder, form, files);
            return Ok(bases);
        }
        for entry in entries(folder)? {
            match form(&entry) {
                Ok(Some(form)) => bases.add(&entry, form, files),
                Ok(None) => {}
                Err(error) => bases.unusable.push(error.to_string()),
            }
        }
        bases.found.sort_by_key(|base| std::cmp::Reverse(base.made));
        Ok(bases)
    }

    fn add(&mut self, folder: &Path, form: Form, files: &RecoveryFiles) {
        match Base::read(folder, form, files) {
            Ok(base) => self.found.push(base),
            Err(error) => self.unusable.push(error.to_string()),
        }
    }

    /// Returns those that may hold what was there before a moment, the newest first.
    pub(super) fn before(&self, files: &RecoveryFiles, until: DateTime<Utc>) -> Result<Vec<&Base>> {
        let early: Vec<_> = self.found.iter().filter(|base| base.made <= until).collect();
        if !early.is_empty() {
            return Ok(early);
        }
        let folder = files.base_backup.display();
        Err(match (self.found.last(), self.unusable.first()) {
            (Some(oldest), _) => Error::not_found(format!(
                "no base backup in `{folder}` is from before {}: the oldest was still being made at {}",
                shown(until),
                shown(oldest.made)
            ))
            .hint("a server is only ever taken forward from a base backup; name a later moment, or an older one's folder"),
            (None, Some(why)) => Error::not_found(format!("there is no base backup in `{folder}`: {why}"))
                .hint("make one with `pg_basebackup -D <folder>`"),
            (None, None) => Error::not_found(format!("there is no base backup in `{folder}`"))
                .hint("make one with `pg_basebackup -D <folder>`, and name its folder or the one above it"),
        })
    }
}

impl Base {
    fn read(folder: &Path, form: Form, files: &RecoveryFiles) -> Result<Self> {
        let manifest = folder.join("backup_manifest");
        let mut base = Self {
            folder: folder.to_owned(),
            form,
            made: DateTime::UNIX_EPOCH,
            bytes: None,
            has_manifest: manifest.is_file(),
        };
        if base.has_manifest {
            let (made, bytes) = read_manifest(&manifest)?;
            base.made = made;
            base.bytes = Some(bytes);
            return Ok(base);
        }
        let shown = folder.display();
        if base.form != Form::Plain {
            return Err(Error::not_found(format!(
                "`{shown}` has no `backup_manifest`, and nothing else tells when it was made"
            )));
        }
        let programs = Programs::find(version_of_data(folder)?, files.programs.as_deref(), None)?;
        base.made = programs.checkpoint(folder).ok_or_else(|| {
            Error::not_found(format!(
                "nothing tells when `{shown}` was made: is it still being made?"
            ))
        })?;
        Ok(base)
    }

    /// Returns the major version of the server, where that can be read without unpacking.
    pub(super) fn version(&self) -> Result<Option<u32>> {
        match self.form {
            Form::Plain => version_of_data(&self.folder).map(Some),
            Form::Tar(_) => Ok(None),
        }
    }

    /// Returns the first file of the log that it needs, where that can be read without unpacking.
    pub(super) fn first_segment(&self) -> Option<String> {
        let label = fs::read_to_string(self.folder.join("backup_label")).ok()?;
        let (_, rest) = label.lines().next()?.split_once("(file ")?;
        Some(rest.trim_end_matches(')').to_owned())
    }
}

/// Writes a moment for people.
pub(super) fn shown(moment: DateTime<Utc>) -> String {
    moment.format("%Y-%m-%d %H:%M:%S%.f UTC").to_string()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| unreadable(folder, error);
    let mut entries: Vec<_> = fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()
        .map_err(failed)?;
    entries.retain(|path| path.is_dir());
    entries.sort();
    Ok(entries)
}

fn unreadable(folder: &Path, error: std::io::Error) -> Error {
    Error::io("read", folder, error)
        .hint("`base_backup` in `[env.<name>.recovery]` is a base backup, or a folder with several")
}

/// Returns the form of a base backup, if a folder is one.
fn form(folder: &Path) -> Result<Option<Form>> {
    if folder.join("PG_VERSION").is_file() {
        if folder.join("backup_label").is_file() {
            return Ok(Some(Form::Plain));
        }
        return Err(Error::not_found(format!(
            "`{}` is the folder of a server and no base backup: it has no `backup_label`",
            folder.display()
        ))
        .hint("make one with `pg_basebackup -D <folder>`"));
    }
    let read = fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
    let mut tars = BTreeMap::new();
    for entry in read.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let stem = TARS.iter().find_map(|(ending, _)| name.strip_suffix(ending));
        if let Some(stem) = stem
            && (matches!(stem, "base" | "pg_wal") || stem.parse::<u32>().is_ok())
        {
            tars.insert(stem.to_owned(), entry.path());
        }
    }
    Ok(tars.contains_key("base").then_some(Form::Tar(tars)))
}

fn read_manifest(path: &Path) -> Result<(DateTime<Utc>, u64)> {
    let bytes = fs::read(path).map_err(|error| Error::io("read", path, error))?;
    let unreadable = || Error::not_found(format!("`{}` cannot be read as a manifest", path.display()));
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|_| unreadable())?;
    if manifest.files.iter().any(ManifestFile::is_part) {
        let folder = path.parent().unwrap_or(path).display();
        return Err(Error::not_found(format!(
            "`{folder}` is an incremental base backup, which holds only what changed since another: \
             `pg_combinebackup` makes a whole one of it and those before it"
        )));
    }
    let moment = |file: &ManifestFile| {
        NaiveDateTime::parse_from_str(&file.modified, "%Y-%m-%d %H:%M:%S GMT")
            .map(|time| time.and_utc())
            .ok()
    };
    let made = manifest
        .files
        .iter()
        .filter_map(moment)
        .max()
        .ok_or_else(unreadable)?;
    Ok((made, manifest.files.iter().map(|file| file.size).sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_tells_when_it_was_made_and_how_much_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup_manifest");
        fs::write(
            &path,
            r#"{"PostgreSQL-Backup-Manifest-Version": 1, "Files": [
                {"Path": "a", "Size": 3, "Last-Modified": "2026-11-23 01:20:43 GMT", "Checksum": "x"},
                {"Encoded-Path": "ff", "Size": 4, "Last-Modified": "2026-11-23 01:20:44 GMT"}], "WAL-Ranges": []}"#,
        )
        .unwrap();
        let (made, bytes) = read_manifest(&path).unwrap();
        assert_eq!((shown(made).as_str(), bytes), ("2026-11-23 01:20:44 UTC", 7));
        fs::write(&path, "{").unwrap();
        assert!(read_manifest(&path).is_err());
    }

    #[test]
    fn an_incremental_base_backup_is_no_whole_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup_manifest");
        let manifest = r#"{"Files": [{"Path": "base/5/INCREMENTAL.1259", "Size": 3, "Last-Modified": "2026-11-23 01:20:43 GMT"}]}"#;
        fs::write(&path, manifest).unwrap();
        let error = read_manifest(&path).unwrap_err();
        assert!(error.to_string().contains("pg_combinebackup"), "{error}");
        fs::write(&path, manifest.replace("INCREMENTAL.", "")).unwrap();
        assert!(read_manifest(&path).is_ok());
    }

    #[test]
    fn a_folder_of_a_server_is_no_base_backup() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(form(folder.path()).unwrap(), None);
        fs::write(folder.path().join("PG_VERSION"), "15\n").unwrap();
        assert!(form(folder.path()).is_err());
        fs::write(folder.path().join("backup_label"), "").unwrap();
        assert_eq!(form(folder.path()).unwrap(), Some(Form::Plain));
    }

    #[test]
    fn archives_are_known_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["base.tar.gz", "pg_wal.tar", "16384.tar.zst", "notes.tar"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let Some(Form::Tar(tars)) = form(folder.path()).unwrap() else {
            panic!("it is one");
        };
        let names: Vec<_> = tars.keys().map(String::as_str).collect();
        assert_eq!(names, ["16384", "base", "pg_wal"]);
    }
}
