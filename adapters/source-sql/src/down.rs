//! A way down that is written after its up: the place where it belongs, and never over one that is there.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use walkback_core::source::NewMigration;
use walkback_core::{DialectKind, Direction, Error, ErrorKind, Result};

use crate::create::down_text;
use crate::layout::{Files, Holds, Part};
use crate::source::{find_downs, read_text, sections, up_part};

/// Writes the way down of a migration, and returns the file it is in.
pub(crate) fn write(files: &Files, dialect: DialectKind, text: &str) -> Result<PathBuf> {
    let downs = find_downs(files, dialect)?;
    if let Some(part) = downs.written {
        return Err(written(files, &part.path));
    }
    let Some(empty) = downs.empty.first() else {
        return write_beside(files, dialect, text);
    };
    let before = read_text(empty)?;
    let after = match empty.holds {
        Holds::Both => within(empty, &before, text)?,
        Holds::Only(_) if before == template(files) => text.to_owned(),
        Holds::Only(_) => joined(&before, text),
    };
    replace(&empty.path, &after)?;
    Ok(empty.path.clone())
}

fn written(files: &Files, path: &Path) -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        format!("migration `{}` has a way down ({})", files.id, path.display()),
    )
    .hint("walkback never overwrites one; take its statements out first, if it is to be written anew")
}

/// Returns what `create` writes as a way down: nobody has written anything into it.
fn template(files: &Files) -> String {
    down_text(&NewMigration::new(&files.id, &files.slug, Vec::new()))
}

fn joined(before: &str, text: &str) -> String {
    let end = if before.is_empty() || before.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{before}{end}{text}")
}

/// Puts the text at the end of the section for the way down.
fn within(part: &Part, before: &str, text: &str) -> Result<String> {
    let sections = sections(part, before)?;
    let own = sections
        .iter()
        .find(|section| section.direction == Direction::Down)
        .map_or(0, |section| section.first_line);
    let next = sections
        .iter()
        .map(|section| section.first_line)
        .filter(|first| *first > own)
        .min();
    // A section begins behind the line that announces it.
    let end = next.map_or(before.len(), |first| {
        let lines = before.split_inclusive('\n').take(first.saturating_sub(2));
        lines.map(str::len).sum()
    });
    Ok(format!("{}{}", joined(&before[..end], text), &before[end..]))
}

/// Writes a way down of which there is nothing yet: a section where the up script is one and stays as it is to the
/// byte, else a file beside it.
fn write_beside(files: &Files, dialect: DialectKind, text: &str) -> Result<PathBuf> {
    let up = up_part(files, dialect)?;
    if up.holds == Holds::Both {
        let before = read_text(up)?;
        let announces = before
            .lines()
            .any(|line| line.trim_start().starts_with("-- walkback: up"));
        if announces && before.ends_with('\n') {
            replace(&up.path, &format!("{before}-- walkback: down\n{text}"))?;
            return Ok(up.path.clone());
        }
    }
    let path = up.path.with_file_name(down_name(&up.path, up.holds));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .map_err(|error| Error::io("write", &path, error))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|error| Error::io("write", &path, error))?;
    Ok(path)
}

/// Returns the name of the down script that belongs to an up script, for the same dialect.
fn down_name(up: &Path, holds: Holds) -> String {
    let name = up
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let mut words: Vec<&str> = name.split('.').collect();
    match words
        .iter()
        .rposition(|word| *word == "up")
        .filter(|_| holds != Holds::Both)
    {
        Some(at) => words[at] = "down",
        None => words.insert(words.len() - 1, "down"),
    }
    words.join(".")
}

/// Puts a text in the place of a file, whole or not at all.
fn replace(path: &Path, text: &str) -> Result<()> {
    let failed = |error| Error::io("write", path, error);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".walkback-new");
    let beside = path.with_file_name(name);
    let written = fs::File::create(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        fs::remove_file(&beside).ok();
        failed(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_down_is_named_after_its_up() {
        use Holds::{Both, Only};
        for (up, holds, down) in [
            ("up.sql", Only(Direction::Up), "down.sql"),
            ("up.postgres.sql", Only(Direction::Up), "down.postgres.sql"),
            ("1.up_x.up.sql", Only(Direction::Up), "1.up_x.down.sql"),
            ("1_a.mysql.up.sql", Only(Direction::Up), "1_a.mysql.down.sql"),
            ("1_a.sql", Both, "1_a.down.sql"),
            ("1_a.sqlite.sql", Both, "1_a.sqlite.down.sql"),
        ] {
            assert_eq!(down_name(Path::new(up), holds), down);
        }
    }
}
