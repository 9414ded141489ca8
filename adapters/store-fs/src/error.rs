//! The errors of the store, worded in one place.

use std::io;
use std::path::Path;

use walkback_core::{Error, ErrorKind, Result};

/// Adds what was being done to an error of the system.
pub(crate) trait Doing<T> {
    fn doing(self, what: &str, path: &Path) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: &str, path: &Path) -> Result<T> {
        self.map_err(|source| {
            let denied = source.kind() == io::ErrorKind::PermissionDenied;
            if source.kind() == io::ErrorKind::AlreadyExists && path.is_file() {
                return not_a_folder(path);
            }
            let error = Error::io(what, path, source);
            if denied {
                error.hint(format!(
                    "check who owns `{}` and its folders: walkback keeps backups private to one user",
                    path.display()
                ))
            } else {
                error
            }
        })
    }
}

/// Returns whether the system says that there is no such file.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    // A part of the path is a file: below it there is nothing.
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// A key that is not there.
pub(crate) fn missing(key: &str, root: &Path) -> Error {
    let error =
        Error::not_found(format!("there is no `{key}` in `{}`", root.display())).with_context("key", key);
    if root.exists() {
        error
    } else {
        error.hint(format!(
            "the folder `{}` does not exist yet: the first backup creates it; or correct `path` of the store",
            root.display()
        ))
    }
}

/// A file where the store, or a folder in it, has to be.
pub(crate) fn not_a_folder(path: &Path) -> Error {
    Error::config(format!(
        "`{}` is a file, and the vault needs a folder there",
        path.display()
    ))
    .hint("move the file away, or correct `path` of the store")
}

/// A key that would be a file and a folder at once.
pub(crate) fn nested(key: &str, source: io::Error) -> Error {
    Error::new(
        ErrorKind::Usage,
        format!("`{key}` lies above or below another key, which a folder cannot hold"),
    )
    .with_source(source)
}

/// A writer that has failed before.
pub(crate) fn torn(key: &str) -> Error {
    Error::internal(format!("`{key}` is committed although a write of it failed"))
}
