//! How this source words what is wrong with a changelog.

use std::path::Path;

use walkback_core::{Error, ErrorKind, Result};

/// Creates the error for something at a place of a file.
pub(crate) fn at(file: &Path, line: usize, what: impl std::fmt::Display) -> Error {
    Error::config(format!("{what} ({}:{line})", file.display()))
}

/// Creates the error for something that Liquibase can do and walkback cannot, with what helps.
pub(crate) fn unsupported(file: &Path, line: usize, what: impl std::fmt::Display) -> Error {
    beyond(file, line, what).hint(
        "let `liquibase update` apply this changeset: both work on the same ledger, in turn; or write it as SQL",
    )
}

/// Creates the error for something that Liquibase can do and walkback cannot: what helps depends on where it is met.
pub(crate) fn beyond(file: &Path, line: usize, what: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("{what} ({}:{line})", file.display()),
    )
}

/// Reads a file of a changelog as text.
pub(crate) fn read(file: &Path) -> Result<String> {
    let bytes = std::fs::read(file).map_err(|error| {
        let is_missing = error.kind() == std::io::ErrorKind::NotFound;
        let error = Error::io("read the changelog", file, error);
        if is_missing {
            error.hint("`path` in the section `[source]` of walkback.toml is from `search_path`, or from its own folder")
        } else {
            error
        }
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        at(file, line, "the file is not UTF-8").hint(format!(
            "convert it, for example with `iconv -t utf-8 {}`",
            file.display()
        ))
    })
}

/// Creates the error for a changeset that is there twice.
pub(crate) fn twice(name: &str, first: (&Path, usize), second: (&Path, usize)) -> Error {
    Error::new(
        ErrorKind::Config,
        format!(
            "the changeset `{name}` is there twice: {}:{} and {}:{}",
            first.0.display(),
            first.1,
            second.0.display(),
            second.1
        ),
    )
    .hint("its id, author and file are its identity: give one of them another id")
}
