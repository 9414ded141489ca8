//! How this source words what is wrong with a project of Alembic.

use std::path::Path;

use walkback_core::Error;

/// Creates the error for a project without its settings.
pub(crate) fn no_settings(path: &Path) -> Error {
    Error::not_found(format!(
        "there is no configuration of Alembic at `{}`",
        path.display()
    ))
    .hint("set `path` in the section `[source]` of walkback.toml to the `alembic.ini` or `pyproject.toml` of the project")
}

/// Creates the error for something at a place of a file.
pub(crate) fn at(file: &Path, line: usize, what: impl std::fmt::Display) -> Error {
    Error::config(format!("{what} ({}:{line})", file.display()))
}
