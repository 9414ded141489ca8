//! How this source words what is wrong with its files.

use std::fmt::Display;
use std::path::Path;
use std::{fs, io};

use walkback_core::Error;

/// Creates the error for something at a line of a file.
pub(crate) fn at(file: &Path, line: usize, what: impl Display) -> Error {
    Error::config(format!("{what} ({}:{line})", file.display()))
}

/// Creates the error for a file that is not text.
pub(crate) fn not_utf8(file: &Path, line: usize) -> Error {
    at(file, line, "the file is not UTF-8").hint(format!(
        "convert it, for example with `iconv -t utf-8 {}`",
        file.display()
    ))
}

/// Creates the error for a file that cannot be looked at: above all, a link that leads nowhere.
pub(crate) fn unreadable(file: &Path, source: io::Error) -> Error {
    let missing = source.kind() == io::ErrorKind::NotFound;
    let error = Error::io("read", file, source);
    match fs::read_link(file) {
        Ok(target) if missing => error.hint(format!(
            "it is a link to `{}`, which does not exist: correct the link, or remove it",
            target.display()
        )),
        _ => error,
    }
}

/// Creates the error for something that has the name of a script and is none.
pub(crate) fn not_a_file(path: &Path) -> Error {
    Error::config(format!("`{}` is not a file", path.display()))
        .hint("a script is a file of SQL: put one in its place, or remove it")
}

/// Creates the error for two files that claim to be the same script.
pub(crate) fn twice(what: &str, id: &str, first: &Path, second: &Path) -> Error {
    Error::config(format!(
        "migration `{id}` has two {what} scripts ({} and {})",
        first.display(),
        second.display()
    ))
    .hint("remove one of them, or name the engine it is for, such as `up.postgres.sql`")
}
