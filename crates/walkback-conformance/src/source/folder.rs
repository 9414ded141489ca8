//! The harness of sources that read a folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use walkback_core::MigrationSource;

use super::Harness;

/// How a source names its files.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Opens the source of a folder.
    pub open: fn(&Path) -> Arc<dyn MigrationSource>,
    /// Makes the n-th identity; see [`Harness::id`].
    pub id: fn(u32) -> String,
    /// The path of the up script of an identity, in the folder.
    pub up: fn(&str) -> String,
    /// The path of its down script.
    pub down: fn(&str) -> String,
    /// The path of a file that is no migration.
    pub stray: &'static str,
}

/// A folder in a temporary folder, so that what leads out of it can be seen.
#[derive(Debug)]
pub struct Folder {
    layout: Layout,
    around: TempDir,
}

impl Folder {
    /// Creates an empty folder.
    ///
    /// # Panics
    /// If the system gives no temporary folder.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        let around = TempDir::new().expect("the system gives a temporary folder");
        let folder = Self { layout, around };
        fs::create_dir(folder.path()).expect("a new folder is empty");
        folder
    }

    /// Returns the folder the source reads.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.around.path().join("migrations")
    }

    fn write(&self, path: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(path);
        let parent = path.parent().expect("a path in a folder has a parent");
        fs::create_dir_all(parent).expect("a temporary folder can be written");
        fs::write(&path, bytes).expect("a temporary folder can be written");
        path
    }
}

impl Harness for Folder {
    fn open(&self) -> Arc<dyn MigrationSource> {
        (self.layout.open)(&self.path())
    }

    fn id(&self, n: u32) -> String {
        (self.layout.id)(n)
    }

    fn add(&self, id: &str, up: &[u8], down: Option<&[u8]>) {
        self.write(&(self.layout.up)(id), up);
        if let Some(down) = down {
            self.write(&(self.layout.down)(id), down);
        }
    }

    fn add_stray(&self) -> PathBuf {
        self.write(self.layout.stray, b"this is no migration")
    }

    fn remove_all(&self) {
        fs::remove_dir_all(self.path()).expect("a temporary folder can be removed");
    }

    fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut contents = BTreeMap::new();
        let mut open = vec![self.around.path().to_owned()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).expect("a temporary folder can be read") {
                let path = entry.expect("a temporary folder can be read").path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let bytes = fs::read(&path).expect("a temporary file can be read");
                    contents.insert(path, bytes);
                }
            }
        }
        contents
    }
}
