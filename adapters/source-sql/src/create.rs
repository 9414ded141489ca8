//! A new migration: a folder with an up and a down script to be filled in.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind as Io, Write as _};
use std::path::{Path, PathBuf};

use walkback_core::source::NewMigration;
use walkback_core::{Cx, Error, ErrorKind, MigrationId, Result};

use crate::layout::{Layout, natural, parse_stem, scan};

/// Writes the files of a new migration.
pub(crate) fn create(cx: &Cx, root: &Path, new: &NewMigration) -> Result<Vec<PathBuf>> {
    let stem = stem(new)?;
    fs::create_dir_all(root).map_err(|error| Error::io("create the folder", root, error))?;
    let layout = scan(cx, root)?;
    refuse_known(&layout, new)?;
    let parents = parents(&layout, new)?;
    let folder = root.join(stem);
    fs::create_dir(&folder).map_err(|error| Error::io("create the folder", &folder, error))?;
    let files = [("up.sql", up_text(new, &parents)), ("down.sql", down_text(new))];
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

fn stem(new: &NewMigration) -> Result<String> {
    let usage = |message: String| Error::new(ErrorKind::Usage, message);
    let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    if new.slug.is_empty() || !new.slug.chars().all(plain) {
        return Err(usage(format!(
            "`{}` cannot be part of a file name here",
            new.slug.escape_debug()
        ))
        .hint("use letters, digits, `_` and `-`: `walkback new add_users`"));
    }
    let stem = format!("{}_{}", new.id, new.slug);
    match parse_stem(&stem) {
        Ok((id, _)) if id == new.id => Ok(stem),
        Ok((id, _)) => Err(usage(format!("`{}` would be read as `{id}`", new.id))
            .hint("an identity holds letters, digits and `.`, with a digit among them")),
        Err(why) => Err(usage(why)),
    }
}

fn refuse_known(layout: &Layout, new: &NewMigration) -> Result<()> {
    match layout.find(&new.id) {
        None => Ok(()),
        Some(files) => Err(Error::new(
            ErrorKind::AlreadyExists,
            format!(
                "migration `{}` exists ({})",
                new.id,
                files.parts[0].path.display()
            ),
        )),
    }
}

/// Returns the parents that a directive must name: none where the order of the files says it already.
fn parents(layout: &Layout, new: &NewMigration) -> Result<Vec<MigrationId>> {
    let known = |id: &MigrationId| layout.find(id.as_str()).is_some();
    if let Some(unknown) = new.parents.iter().find(|id| !known(id)) {
        return Err(
            Error::not_found(format!("there is no migration `{unknown}` to follow"))
                .hint("`walkback history` lists all migrations"),
        );
    }
    let follows = layout
        .migrations
        .iter()
        .find(|files| natural(&files.id, &new.id).is_ge());
    if let Some(follows) = follows {
        return Err(Error::new(
            ErrorKind::Usage,
            format!(
                "migration `{}` would stand before `{}` ({}), which would then follow it",
                new.id,
                follows.id,
                follows.parts[0].path.display()
            ),
        )
        .hint("choose an identity that comes last; `walkback new` makes one from the time"));
    }
    let previous = layout.migrations.last().map(|files| files.id.as_str());
    let as_ordered = matches!(&new.parents[..], [only] if Some(only.as_str()) == previous);
    Ok(if as_ordered {
        Vec::new()
    } else {
        new.parents.clone()
    })
}

fn up_text(new: &NewMigration, parents: &[MigrationId]) -> String {
    let directive = if parents.is_empty() {
        String::new()
    } else {
        let ids: Vec<&str> = parents.iter().map(MigrationId::as_str).collect();
        format!("-- walkback: parents={}\n", ids.join(","))
    };
    format!(
        "{directive}-- {}: the way up.\n\
         -- Runs in one transaction where the engine can; `walkback: transaction=off` in a comment up here\n\
         -- says otherwise.\n\n",
        title(&new.slug)
    )
}

/// Returns what is written for a way down that nobody has thought of yet.
pub(crate) fn down_text(new: &NewMigration) -> String {
    format!(
        "-- {}: the way back. `walkback verify {}` shows whether it brings everything back.\n\
         -- As long as there is no statement in this file, the way back is derived. If there is nothing\n\
         -- to be done, say so with `SELECT 1;`.\n\n",
        title(&new.slug),
        new.id
    )
}

fn title(slug: &str) -> String {
    slug.replace(['_', '-'], " ")
}

/// Writes a file that must not be there yet.
fn write_new(path: &Path, text: &str) -> Result<()> {
    let failed = |error: std::io::Error| match error.kind() {
        Io::AlreadyExists => Error::io("create", path, error).hint("walkback never overwrites a migration"),
        _ => Error::io("write", path, error),
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
