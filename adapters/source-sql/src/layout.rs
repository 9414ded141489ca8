//! Which file is what, by its name alone.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use walkback_core::{Cx, DialectKind, Direction, Error, Result};

use crate::error::{not_a_file, twice, unreadable};

/// Every file of a folder of migrations, sorted out.
#[derive(Debug)]
pub(crate) struct Layout {
    /// In natural order of their identities.
    pub(crate) migrations: Vec<Files>,
    /// What is no part of a migration, with the reason.
    pub(crate) unmatched: Vec<(PathBuf, String)>,
}

/// The files of one migration.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) id: String,
    pub(crate) slug: String,
    pub(crate) parts: Vec<Part>,
}

/// One file of a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) path: PathBuf,
    pub(crate) holds: Holds,
    /// The dialect it is for; `None` is all that have no file of their own.
    pub(crate) dialect: Option<DialectKind>,
}

/// What a file holds, as its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    Only(Direction),
    /// A single file: an up script and perhaps a down script.
    Both,
}

impl Layout {
    /// Returns the files of a migration.
    pub(crate) fn find(&self, id: &str) -> Option<&Files> {
        self.migrations
            .binary_search_by(|files| natural(&files.id, id))
            .ok()
            .map(|place| &self.migrations[place])
    }
}

impl Files {
    /// Returns the file of the up script for a dialect.
    pub(crate) fn up(&self, dialect: DialectKind) -> Option<&Part> {
        most_specific(dialect, |wanted| {
            self.parts
                .iter()
                .find(|part| part.dialect == wanted && part.holds != Holds::Only(Direction::Down))
        })
    }

    /// Returns the files that could hold the down script for a dialect, the most specific first.
    pub(crate) fn downs(&self, dialect: DialectKind) -> Vec<&Part> {
        [Some(dialect), None]
            .into_iter()
            .flat_map(|wanted| {
                self.parts
                    .iter()
                    .filter(move |part| part.dialect == wanted && part.holds != Holds::Only(Direction::Up))
            })
            .collect()
    }

    fn has_up(&self) -> bool {
        self.parts
            .iter()
            .any(|part| part.holds != Holds::Only(Direction::Down))
    }
}

fn most_specific<'a>(
    dialect: DialectKind,
    find: impl Fn(Option<DialectKind>) -> Option<&'a Part>,
) -> Option<&'a Part> {
    find(Some(dialect)).or_else(|| find(None))
}

/// Reads the names of a folder and of the folders in it.
pub(crate) fn scan(cx: &Cx, root: &Path) -> Result<Layout> {
    let mut scan = Scan::default();
    for path in entries(root).map_err(|error| unreadable_root(root, error))? {
        cx.check()?;
        scan.top_level(path)?;
    }
    scan.finish()
}

#[derive(Default)]
struct Scan {
    found: BTreeMap<(String, String), Vec<Part>>,
    unmatched: Vec<(PathBuf, String)>,
}

impl Scan {
    fn top_level(&mut self, path: PathBuf) -> Result<()> {
        let Some(name) = utf8_name(&path) else {
            self.report(path, "its name is not UTF-8");
            return Ok(());
        };
        let metadata = fs::metadata(&path).map_err(|error| unreadable(&path, error))?;
        if metadata.is_dir() {
            return self.folder(&name, path);
        }
        match parse_file(&name) {
            Ok((id, slug, holds, dialect)) => self.add(id, slug, Part { path, holds, dialect }),
            Err(why) => {
                self.report(path, why);
                Ok(())
            }
        }
    }

    fn folder(&mut self, name: &str, path: PathBuf) -> Result<()> {
        let (id, slug) = match parse_stem(name) {
            Ok(stem) => stem,
            Err(why) => {
                self.report(
                    path,
                    format!("a folder of migrations holds folders `<id>_<slug>`; {why}"),
                );
                return Ok(());
            }
        };
        let mut empty = true;
        for file in entries(&path).map_err(|error| Error::io("read the folder", &path, error))? {
            empty = false;
            let name = utf8_name(&file);
            let metadata = fs::metadata(&file).map_err(|error| unreadable(&file, error))?;
            match name.as_deref().and_then(parse_role) {
                // Half of a migration must not be left out because something else has its name.
                Some(_) if !metadata.is_file() => return Err(not_a_file(&file)),
                Some((direction, dialect)) => self.add(
                    id.clone(),
                    slug.clone(),
                    Part {
                        path: file,
                        holds: Holds::Only(direction),
                        dialect,
                    },
                )?,
                None => self.report(
                    file,
                    "the folder of a migration holds `up.sql`, `down.sql` and variants such as `up.postgres.sql`",
                ),
            }
        }
        if empty {
            self.report(path, "the folder is empty");
        }
        Ok(())
    }

    fn add(&mut self, id: String, slug: String, part: Part) -> Result<()> {
        let parts = self.found.entry((id.clone(), slug)).or_default();
        if let Some(other) = parts.iter().find(|other| other.collides(&part)) {
            let what = match part.holds {
                Holds::Only(Direction::Down) => "down",
                _ => "up",
            };
            return Err(twice(what, &id, &other.path, &part.path));
        }
        parts.push(part);
        Ok(())
    }

    fn report(&mut self, path: PathBuf, why: impl Into<String>) {
        self.unmatched.push((path, why.into()));
    }

    fn finish(mut self) -> Result<Layout> {
        let mut migrations = Vec::with_capacity(self.found.len());
        for ((id, slug), parts) in std::mem::take(&mut self.found) {
            let files = Files { id, slug, parts };
            if files.has_up() {
                migrations.push(files);
                continue;
            }
            for part in files.parts {
                self.report(
                    part.path,
                    "it is a down script, and there is no up script of the same name",
                );
            }
        }
        migrations.sort_by(|a, b| natural(&a.id, &b.id).then_with(|| a.slug.cmp(&b.slug)));
        for pair in migrations.windows(2) {
            if pair[0].id != pair[1].id && same_number(&pair[0].id, &pair[1].id) {
                return Err(Error::config(format!(
                    "the identities `{}` and `{}` differ in leading zeros only ({} and {})",
                    pair[0].id,
                    pair[1].id,
                    pair[0].parts[0].path.display(),
                    pair[1].parts[0].path.display(),
                ))
                .hint("give one of them another identity"));
            }
        }
        self.unmatched.sort();
        Ok(Layout {
            migrations,
            unmatched: self.unmatched,
        })
    }
}

impl Part {
    /// Returns whether both are a script of the same direction for the same dialect.
    fn collides(&self, other: &Self) -> bool {
        let down = |part: &Self| part.holds == Holds::Only(Direction::Down);
        self.dialect == other.dialect && down(self) == down(other)
    }
}

/// Returns the paths in a folder, sorted, so that the same files always give the same messages.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort_unstable();
    Ok(paths)
}

fn unreadable_root(root: &Path, error: io::Error) -> Error {
    let missing = error.kind() == io::ErrorKind::NotFound;
    let error = Error::io("read the folder of migrations", root, error);
    if missing {
        error.hint("`walkback init` creates it; or set `path` in the section `[source]` of walkback.toml")
    } else {
        error
    }
}

fn utf8_name(path: &Path) -> Option<String> {
    path.file_name()?.to_str().map(str::to_owned)
}

/// Reads `up.sql` or `down.postgres.sql`.
fn parse_role(name: &str) -> Option<(Direction, Option<DialectKind>)> {
    let (role, dialect) = match name.strip_suffix(".sql")?.split_once('.') {
        None => (name.strip_suffix(".sql")?, None),
        Some((role, dialect)) => (role, Some(DialectKind::from_name(dialect)?)),
    };
    Some((direction(role)?, dialect))
}

type Parsed = (String, String, Holds, Option<DialectKind>);

/// Reads `<id>_<slug>.sql`, with `.up` or `.down` and a dialect before the `.sql`.
fn parse_file(name: &str) -> Result<Parsed, String> {
    let Some(mut stem) = name.strip_suffix(".sql") else {
        return Err("its name does not end in `.sql`".to_owned());
    };
    let (mut holds, mut dialect) = (Holds::Both, None);
    while let Some((rest, word)) = stem.rsplit_once('.') {
        if let (Holds::Both, Some(direction)) = (holds, direction(word)) {
            holds = Holds::Only(direction);
        } else if let (None, Some(kind)) = (dialect, DialectKind::from_name(word)) {
            dialect = Some(kind);
        } else {
            break;
        }
        stem = rest;
    }
    let (id, slug) = parse_stem(stem)?;
    Ok((id, slug, holds, dialect))
}

fn direction(word: &str) -> Option<Direction> {
    match word {
        "up" => Some(Direction::Up),
        "down" => Some(Direction::Down),
        _ => None,
    }
}

/// Reads `<id>_<slug>`, or says why it is none.
pub(crate) fn parse_stem(stem: &str) -> Result<(String, String), String> {
    let (id, slug) = stem.split_once('_').unwrap_or((stem, ""));
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '.';
    if id.is_empty() || !id.chars().all(plain) || !id.contains(|c: char| c.is_ascii_digit()) {
        return Err(format!(
            "`{id}` before the first `_` is no identity: letters, digits and `.`, with a digit among them"
        ));
    }
    if let Some((_, word)) = slug.rsplit_once('.') {
        return Err(format!(
            "`.{word}` is neither a direction (`.up`, `.down`) nor a dialect (`.sqlite`, `.postgres`, `.mysql`)"
        ));
    }
    Ok((id.to_owned(), slug.to_owned()))
}

/// Compares identities as a person would: runs of digits by their number, everything else as text.
pub(crate) fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let (x, y) = (take_run(&mut left), take_run(&mut right));
        let ordering = match (x, y) {
            ("", "") => return a.cmp(b),
            (x, y) if is_number(x) && is_number(y) => number_key(x).cmp(&number_key(y)),
            (x, y) => x.cmp(y),
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
}

/// Returns whether two identities are the same but for leading zeros.
fn same_number(a: &str, b: &str) -> bool {
    let (mut left, mut right) = (a, b);
    loop {
        let (x, y) = (take_run(&mut left), take_run(&mut right));
        let same = match (is_number(x), is_number(y)) {
            (true, true) => number_key(x) == number_key(y),
            _ => x == y,
        };
        if !same || x.is_empty() {
            return same;
        }
    }
}

fn take_run<'a>(text: &mut &'a str) -> &'a str {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text
        .find(|c: char| c.is_ascii_digit() != digits)
        .unwrap_or(text.len());
    let (run, rest) = text.split_at(end);
    *text = rest;
    run
}

fn is_number(run: &str) -> bool {
    run.starts_with(|c: char| c.is_ascii_digit())
}

/// Numbers of any length: the longer one is the larger, once leading zeros are gone.
fn number_key(run: &str) -> (usize, &str) {
    let digits = run.trim_start_matches('0');
    (digits.len(), digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_file_holds() {
        let parsed = |name: &str| {
            parse_file(name).map(|(id, slug, holds, dialect)| {
                let holds = match holds {
                    Holds::Both => "both".to_owned(),
                    Holds::Only(direction) => direction.to_string(),
                };
                format!("{id}|{slug}|{holds}|{}", dialect.map_or("any", DialectKind::name))
            })
        };
        assert_eq!(parsed("1_a.sql").unwrap(), "1|a|both|any");
        assert_eq!(parsed("1_a_b.up.sql").unwrap(), "1|a_b|up|any");
        assert_eq!(parsed("1_a.down.pg.sql").unwrap(), "1|a|down|postgres");
        assert_eq!(parsed("1_a.mysql.down.sql").unwrap(), "1|a|down|mysql");
        assert_eq!(parsed("1_a.sqlite.sql").unwrap(), "1|a|both|sqlite");
        assert_eq!(parsed("1.10_a.sql").unwrap(), "1.10|a|both|any");
        assert_eq!(parsed("0001.up.sql").unwrap(), "0001||up|any");
        assert_eq!(parsed("ae10_x.sql").unwrap(), "ae10|x|both|any");
        for name in [
            "README.md",
            ".sql",
            "_a.sql",
            "seed.sql",
            "seed_users.sql",
            "up.sql",
            "1-a.sql",
            "1_a.SQL",
            "1_a.sql~",
            "1_a.postgress.sql",
            "1_a.up.up.sql",
            "1_a.up.down.sql",
            "1_a.up.sqlite.pg.sql",
            "ä1_a.sql",
        ] {
            assert!(parsed(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_folder_holds_one_role_a_file() {
        assert_eq!(parse_role("up.sql"), Some((Direction::Up, None)));
        assert_eq!(
            parse_role("down.mysql.sql"),
            Some((Direction::Down, Some(DialectKind::Mysql)))
        );
        for name in [
            "up",
            "UP.sql",
            "up.oracle.sql",
            "up.sql.bak",
            "1_a.up.sql",
            ".sql",
            "up..sql",
            "up.pg.x.sql",
        ] {
            assert_eq!(parse_role(name), None, "{name}");
        }
    }

    #[test]
    fn identities_are_in_natural_order() {
        let mut ids = [
            "10",
            "2",
            "1.10",
            "1.9",
            "1",
            "b2",
            "a10",
            "a9",
            "99999999999999999999999",
            "3",
        ];
        ids.sort_by(|a, b| natural(a, b));
        assert_eq!(
            ids,
            [
                "1",
                "1.9",
                "1.10",
                "2",
                "3",
                "10",
                "99999999999999999999999",
                "a9",
                "a10",
                "b2"
            ]
        );
        assert!(same_number("01", "1") && same_number("a01", "a1") && same_number("0", "00"));
        assert!(!same_number("1", "10") && !same_number("1", "1a") && !same_number("a1", "b1"));
    }
}
