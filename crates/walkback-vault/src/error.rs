//! The errors of the vault, worded in one place.

use walkback_core::{Error, ErrorKind, TableName};

/// Returns whether an error says something about one point, and nothing about the store: it is damaged, or this
/// program cannot read it, or nothing that is set opens it.
pub(crate) fn is_about_a_point(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Unsupported) || is_closed(error)
}

/// Returns whether an error says that nothing that is set opens a point.
pub(crate) fn is_closed(error: &Error) -> bool {
    error.kind() == ErrorKind::Config && error.context().iter().any(|(key, _)| *key == "encrypted_to")
}

/// A manifest that cannot be used.
pub(crate) fn manifest(id: &str, why: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!("the manifest of point `{id}` is damaged: {why}"),
    )
    .with_context("point", id)
    .hint("run `walkback backup list` to see which points are whole")
    .hint(format!(
        "run `walkback backup show {id}` after restoring the file from a copy of the store"
    ))
}

/// A point that was just written, on a machine that only knows the public keys.
pub(crate) fn written_only(id: &str) -> Error {
    Error::new(
        ErrorKind::Config,
        format!("point `{id}` was written to keys of others, and no identity that reads it is set here"),
    )
    .with_context("point", id)
    .hint("set `WALKBACK_IDENTITY_FILE` to the file with the secret key, and run the same command again")
}

/// A manifest this version cannot read, though nothing is wrong with it.
pub(crate) fn too_new(id: &str, what: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("point `{id}` needs {what}, which this walkback does not know"),
    )
    .with_context("point", id)
    .hint("read it with a walkback at least as new as the one that wrote it")
}

/// A chunk that is missing or damaged.
pub(crate) fn chunk(id: &str, table: &TableName, hash: &str, why: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!("chunk `{hash}` of table `{table}` in point `{id}` {why}"),
    )
    .with_context("point", id)
    .with_context("table", table)
    .with_context("chunk", hash)
    .hint(format!(
        "run `walkback backup verify {id}` to see all damage, and which other point still has the table"
    ))
}
