//! A new migration: a folder with an up and a down script to be filled in.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use walkback_core::source::NewMigration;
use walkback_core::{Cx, Direction, Error, ErrorKind, Result};

use crate::layout::{Folder, Layout, scan, split_name};
use crate::ledger::LONGEST_VERSION;
use crate::source::read_text;

/// Writes the files of a new migration.
pub(crate) fn create(cx: &Cx, root: &Path, new: &NewMigration) -> Result<Vec<PathBuf>> {
    let name = folder_name(new)?;
    let (version, _) = split_name(&name);
    fs::create_dir_all(root).map_err(|error| Error::io("create the folder", root, error))?;
    let layout = scan(cx, root)?;
    refuse_known(&layout, &version)?;
    refuse_another_order(&layout, new, &version)?;
    let folder = root.join(name);
    fs::create_dir(&folder).map_err(|error| Error::io("create the folder", &folder, error))?;
    let title = new.slug.replace(['_', '-'], " ");
    let files = [
        ("up.sql", format!("-- {title}: the way up.\n\n")),
        (
            "down.sql",
            format!("-- {title}: the way back, which undoes all of `up.sql`.\n\n"),
        ),
    ];
    let mut written: Vec<PathBuf> = Vec::new();
    for (name, text) in files {
        let path = folder.join(name);
        write_new(&path, &text).map_err(|error| {
            written.iter().fold(error, |error, path| {
                error.succeeded(format!("wrote `{}`", path.display()))
            })
        })?;
        written.push(path);
    }
    Ok(written)
}

/// Writes the way down of a migration whose own holds nothing but comments, as a new one does.
pub(crate) fn write_down(folder: &Folder, text: &str) -> Result<PathBuf> {
    let path = folder.script(Direction::Down);
    if folder.has_down {
        let before = read_text(&path)?;
        let is_nothing = |line: &str| line.trim().is_empty() || line.trim_start().starts_with("--");
        if !before.lines().all(is_nothing) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!(
                    "migration `{}` has a way down ({})",
                    folder.version,
                    path.display()
                ),
            )
            .hint(
                "walkback never overwrites one; take its statements out first, if it is to be written anew",
            ));
        }
    }
    let beside = path.with_file_name("down.sql.walkback-new");
    let written = fs::File::create(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, &path));
    match written {
        Ok(()) => Ok(path),
        Err(error) => {
            fs::remove_file(&beside).ok();
            Err(Error::io("write", &path, error))
        }
    }
}

/// Returns the name of the folder. A version of 14 digits is a time, and written as diesel writes it.
fn folder_name(new: &NewMigration) -> Result<String> {
    let usage = |what: &str| {
        Error::new(
            ErrorKind::Usage,
            format!("`{}` cannot be part of a file name here", what.escape_debug()),
        )
    };
    let plain = |c: char| c.is_alphanumeric() || c == '-';
    if new.slug.is_empty() || !new.slug.chars().all(|c| plain(c) || c == '_') {
        return Err(usage(&new.slug).hint("use letters, digits, `_` and `-`: `walkback new add_users`"));
    }
    let version = new.id.replace('-', "");
    let usable = !version.is_empty() && new.id.chars().all(plain);
    if !usable || version.chars().count() > LONGEST_VERSION {
        return Err(usage(&new.id).hint("a version of diesel is a time, such as `2024-02-01-090000`"));
    }
    let is_time =
        version == new.id && version.len() == 14 && version.bytes().all(|byte| byte.is_ascii_digit());
    let written = if is_time {
        let (date, time) = version.split_at(8);
        format!("{}-{}-{}-{time}", &date[..4], &date[4..6], &date[6..])
    } else {
        new.id.clone()
    };
    Ok(format!("{written}_{}", new.slug))
}

fn refuse_known(layout: &Layout, version: &str) -> Result<()> {
    match layout.find(version) {
        None => Ok(()),
        Some(folder) => Err(Error::new(
            ErrorKind::AlreadyExists,
            format!("migration `{version}` exists ({})", folder.path.display()),
        )),
    }
}

/// The order of versions is the only order diesel knows.
fn refuse_another_order(layout: &Layout, new: &NewMigration, version: &str) -> Result<()> {
    let last = layout.migrations.last();
    if let Some(last) = last.filter(|last| last.version.as_str() > version) {
        return Err(Error::new(
            ErrorKind::Usage,
            format!(
                "migration `{version}` would stand before `{}` ({})",
                last.version,
                last.path.display()
            ),
        )
        .hint("choose a version that comes last; `walkback new` makes one from the time"));
    }
    let last = last.map(|last| last.version.as_str());
    match &new.parents[..] {
        [] => Ok(()),
        [only] if Some(only.as_str()) == last => Ok(()),
        _ => Err(Error::unsupported("a choice of parents", "diesel's layout")
            .hint("migrations of diesel form one line; leave the parents out")),
    }
}

/// Writes a file that must not be there yet.
fn write_new(path: &Path, text: &str) -> Result<()> {
    let failed = |error| Error::io("write", path, error);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
