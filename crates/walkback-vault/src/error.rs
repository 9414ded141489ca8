//! The errors of the vault, worded in one place.

use walkback_core::{Error, ErrorKind, TableName};

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
