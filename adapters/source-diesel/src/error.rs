//! How this source words what is wrong with its files.

use std::io;
use std::path::Path;

use walkback_core::Error;

/// Creates the error for a folder of migrations that cannot be read.
pub(crate) fn unreadable_root(root: &Path, error: io::Error) -> Error {
    let missing = error.kind() == io::ErrorKind::NotFound;
    let error = Error::io("read the folder of migrations", root, error);
    if missing {
        error.hint("`diesel setup` creates it; or set `path` in the section `[source]` of walkback.toml")
    } else {
        error
    }
}

/// Creates the error for a file that is not text.
pub(crate) fn not_utf8(file: &Path, line: usize) -> Error {
    Error::config(format!("the file is not UTF-8 ({}:{line})", file.display())).hint(format!(
        "convert it, for example with `iconv -t utf-8 {}`",
        file.display()
    ))
}

/// Creates the error for a `metadata.toml` that cannot be read. Diesel ignores such a file.
pub(crate) fn metadata(file: &Path, text: &str, error: toml::de::Error) -> Error {
    let line = error
        .span()
        .and_then(|span| text.get(..span.start))
        .map_or(1, |before| 1 + before.matches('\n').count());
    Error::config(format!(
        "`{}:{line}` cannot be read as metadata of a migration",
        file.display()
    ))
    .with_source(error)
    .hint("it may hold `run_in_transaction = false` and settings of other tools")
}
