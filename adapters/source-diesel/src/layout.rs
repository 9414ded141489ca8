//! Which folder is which migration, by its name and the names in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use walkback_core::{Cx, Direction, Error, Result};

use crate::error::unreadable_root;
use crate::ledger::LONGEST_VERSION;

/// Every migration of a folder, in the order of versions.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) migrations: Vec<Folder>,
    /// What is no part of a migration, with the reason.
    pub(crate) unmatched: Vec<(PathBuf, String)>,
}

/// The folder of one migration. It holds an `up.sql`.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) version: String,
    pub(crate) slug: String,
    pub(crate) path: PathBuf,
    pub(crate) has_down: bool,
    pub(crate) has_empty_down: bool,
    pub(crate) has_metadata: bool,
}

impl Layout {
    /// Returns the folder of a version.
    pub(crate) fn find(&self, version: &str) -> Option<&Folder> {
        self.migrations
            .binary_search_by(|folder| folder.version.as_str().cmp(version))
            .ok()
            .map(|place| &self.migrations[place])
    }
}

impl Folder {
    /// Returns the path of a script, there or not.
    pub(crate) fn script(&self, direction: Direction) -> PathBuf {
        self.path.join(format!("{direction}.sql"))
    }

    /// Returns the path of the metadata, there or not.
    pub(crate) fn metadata(&self) -> PathBuf {
        self.path.join("metadata.toml")
    }
}

/// Splits the name of a folder as diesel does: the version is what stands before the first `_`, without dashes.
pub(crate) fn split_name(name: &str) -> (String, &str) {
    let (version, slug) = name.split_once('_').unwrap_or((name, ""));
    (version.replace('-', ""), slug)
}

/// Reads the names of a folder and of the folders in it.
pub(crate) fn scan(cx: &Cx, root: &Path) -> Result<Layout> {
    let mut layout = Layout {
        migrations: Vec::new(),
        unmatched: Vec::new(),
    };
    for path in entries(root).map_err(|error| unreadable_root(root, error))? {
        cx.check()?;
        layout.add(path)?;
    }
    layout
        .migrations
        .sort_by(|a, b| a.version.cmp(&b.version).then_with(|| a.path.cmp(&b.path)));
    layout.unmatched.sort();
    Ok(layout)
}

impl Layout {
    fn add(&mut self, path: PathBuf) -> Result<()> {
        let metadata = fs::metadata(&path).map_err(|error| Error::io("read", &path, error))?;
        let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let Some(name) = name else {
            self.report(path, "its name is not UTF-8");
            return Ok(());
        };
        if !metadata.is_dir() {
            self.report(path, "a migration of diesel is a folder with an `up.sql`");
            return Ok(());
        }
        if name.starts_with('.') {
            self.report(path, "diesel ignores folders whose name begins with a dot");
            return Ok(());
        }
        self.folder(&name, path)
    }

    fn folder(&mut self, name: &str, path: PathBuf) -> Result<()> {
        let (mut has_up, mut has_down, mut has_metadata) = (false, false, false);
        let mut has_empty_down = false;
        let mut strangers = Vec::new();
        for file in entries(&path).map_err(|error| Error::io("read the folder", &path, error))? {
            match file.file_name().and_then(|name| name.to_str()) {
                Some("up.sql") => has_up = true,
                Some("down.sql") if is_empty(&file)? => {
                    has_empty_down = true;
                    self.report(
                        file,
                        "the file is empty, which diesel refuses to run, so it counts as not written",
                    );
                }
                Some("down.sql") => has_down = true,
                Some("metadata.toml") => has_metadata = true,
                _ => strangers.push(file),
            }
        }
        if !has_up {
            self.report(
                path,
                "the folder holds no `up.sql`, which diesel takes for an error",
            );
            return Ok(());
        }
        for file in strangers {
            self.report(
                file,
                "the folder of a migration holds `up.sql`, `down.sql` and `metadata.toml`",
            );
        }
        let (version, slug) = split_name(name);
        if version.chars().count() > LONGEST_VERSION {
            return Err(Error::config(format!(
                "the version `{version}` is longer than the {LONGEST_VERSION} characters diesel's ledger holds ({})",
                path.display()
            ))
            .hint("rename the folder"));
        }
        self.migrations.push(Folder {
            version,
            slug: slug.to_owned(),
            path,
            has_down,
            has_empty_down,
            has_metadata,
        });
        Ok(())
    }

    fn report(&mut self, path: PathBuf, why: &str) {
        self.unmatched.push((path, why.to_owned()));
    }
}

fn is_empty(file: &Path) -> Result<bool> {
    let metadata = fs::metadata(file).map_err(|error| Error::io("read", file, error))?;
    Ok(metadata.is_file() && metadata.len() == 0)
}

/// Returns the paths in a folder, sorted, so that the same files always give the same messages.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort_unstable();
    Ok(paths)
}
