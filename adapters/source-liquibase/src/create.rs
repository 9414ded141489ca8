//! A new changeset at the end of a changelog of formatted SQL, and the way back of one that has none.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use walkback_core::source::NewMigration;
use walkback_core::{Cx, DialectKind, Error, ErrorKind, MigrationId, Result};

use crate::changelog::Changelog;
use crate::changeset::{Changeset, Rollback};
use crate::config::Config;
use crate::error;
use crate::formatted::is_formatted;
use crate::identity::plain;

/// Who writes a changeset where nobody says it.
const AUTHOR: &str = "walkback";

/// Adds a changeset to the root changelog, and returns that.
pub(crate) fn create(
    cx: &Cx,
    (config, root): (&Config, &Path),
    file: &Path,
    new: &NewMigration,
    author: Option<&str>,
) -> Result<PathBuf> {
    let (author, id) = wanted(&config.path, &new.id, author)?;
    refuse_strange(author)?;
    refuse_strange(id)?;
    refuse_strange(&new.slug.replace('.', "/"))?;
    let is_there = file.is_file();
    if is_there && !is_formatted(file) {
        return Err(Error::unsupported(
            format!("to write a changeset into `{}`", file.display()),
            "walkback",
        )
        .hint("add it there yourself; a root changelog of formatted SQL is written to"));
    }
    if is_there {
        check(cx, (config, root), new, (author, id))?;
    }
    let title = new.slug.replace(['_', '-'], " ");
    let mut text = if is_there {
        error::read(file)?
    } else {
        "--liquibase formatted sql\n".to_owned()
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&format!(
        "\n--changeset {author}:{id}\n--comment: {title}\n-- {title}: the way up.\nSELECT 1;\n"
    ));
    replace(file, &text)?;
    Ok(file.to_owned())
}

/// Returns the author and the id of a new changeset, which may be said as `file::id::author`, as `author:id`, or without an author.
fn wanted<'n>(path: &str, id: &'n str, author: Option<&'n str>) -> Result<(&'n str, &'n str)> {
    if let [file, id, author] = id.split("::").collect::<Vec<_>>()[..] {
        if file == plain(path) {
            return Ok((author, id));
        }
        return Err(Error::new(
            ErrorKind::Usage,
            format!("a new changeset is written into the root changelog, and `{file}` is another file"),
        )
        .hint(format!("write `{path}::{id}::{author}`, or `{author}:{id}`")));
    }
    Ok(match id.split_once(':') {
        Some((author, id)) => (author, id),
        None => (author.unwrap_or(AUTHOR), id),
    })
}

fn check(
    cx: &Cx,
    (config, root): (&Config, &Path),
    new: &NewMigration,
    (author, id): (&str, &str),
) -> Result<()> {
    for dialect in DialectKind::ALL {
        let known = Changelog::read(cx, config, root, dialect)?;
        let mut all = known.changesets.iter();
        if let Some((name, one)) = all.find(|(_, one)| one.id == id && one.author == author) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!(
                    "there is a changeset `{name}` ({}:{})",
                    one.file.display(),
                    one.line
                ),
            ));
        }
        let last = known.changesets.last().map(|(name, _)| name);
        let follows_last = match &new.parents[..] {
            [] => true,
            [only] => Some(only) == last,
            _ => false,
        };
        if !follows_last {
            return Err(
                Error::unsupported("a choice of parents", "Liquibase's changelogs")
                    .hint("changesets form one line; leave the parents out"),
            );
        }
    }
    Ok(())
}

fn refuse_strange(text: &str) -> Result<()> {
    let is_plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.');
    if !text.is_empty() && text.chars().all(is_plain) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Usage,
        format!("`{}` cannot be part of a changeset here", text.escape_debug()),
    )
    .hint("use letters, digits, `_`, `-` and `.`: `walkback new add_users`"))
}

/// Writes the way back of a changeset that has none behind its statements.
pub(crate) fn write_down(id: &MigrationId, changeset: &Changeset, text: &str) -> Result<PathBuf> {
    let place = format!("{}:{}", changeset.file.display(), changeset.line);
    let is_empty = matches!(&changeset.rollback, Some(Rollback::Sql(texts)) if texts.is_empty());
    if changeset.rollback.is_some() && !is_empty {
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            format!("changeset `{id}` has a way down ({place})"),
        ));
    }
    let is_sql = changeset
        .file
        .extension()
        .is_some_and(|extension| extension == "sql");
    let statements: Vec<&str> = text.lines().collect();
    if is_empty || !is_sql || !is_formatted(&changeset.file) {
        return Err(
            Error::unsupported(format!("to write a way down there ({place})"), "walkback").hint(format!(
                "put these statements into the rollback of the changeset:\n{}",
                text.trim_end()
            )),
        );
    }
    let written = error::read(&changeset.file)?;
    let mut lines: Vec<String> = written.lines().map(str::to_owned).collect();
    let begins = |line: &String| {
        let said = line.trim_start().strip_prefix("--").map(str::trim_start);
        said.is_some_and(|said| said.to_lowercase().starts_with("changeset"))
    };
    let next = lines.iter().skip(changeset.line).position(begins);
    let mut end = next.map_or(lines.len(), |next| changeset.line + next);
    while end > changeset.line && lines[end - 1].trim().is_empty() {
        end -= 1;
    }
    let rollback: Vec<String> = statements
        .iter()
        .map(|line| format!("--rollback {line}"))
        .collect();
    lines.splice(end..end, rollback);
    replace(&changeset.file, &(lines.join("\n") + "\n"))?;
    Ok(changeset.file.clone())
}

/// Replaces a file at once.
fn replace(file: &Path, text: &str) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(|error| Error::io("create the folder", folder, error))?;
    }
    let mut beside = file.as_os_str().to_owned();
    beside.push(".walkback-new");
    let beside = PathBuf::from(beside);
    let written = fs::File::create(&beside)
        .and_then(|mut new| new.write_all(text.as_bytes()).and_then(|()| new.sync_all()))
        .and_then(|()| fs::rename(&beside, file));
    written.map_err(|error| {
        fs::remove_file(&beside).ok();
        Error::io("write", file, error)
    })
}
