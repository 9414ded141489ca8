//! What a load did, for the caller.

use std::path::PathBuf;

use serde::Serialize;
use walkback_core::TableName;

/// How many records were rejected for one kind of reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Reason {
    /// The kind of reason, without the values of a single record.
    pub reason: String,
    /// How many records.
    pub records: u64,
}

/// A record that was not loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RejectedRecord {
    /// Its number in the file, from 1.
    pub record: u64,
    /// The line it begins in, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
}

/// What a load did.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LoadReport {
    /// The run, as the journal knows it.
    pub run: String,
    /// The name of its way back.
    pub point: String,
    /// The table.
    pub table: TableName,
    /// How many records the file has.
    pub records: u64,
    /// How many of them are in the table.
    pub loaded: u64,
    /// How many are not.
    pub rejected: u64,
    /// Why, by kind of reason, the most frequent first.
    pub reasons: Vec<Reason>,
    /// The file with the rejected records, if there are any.
    pub rejects: Option<PathBuf>,
    /// How long it took.
    pub duration_ms: u64,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// The command that takes it back, if it loaded something.
    pub undo_with: Option<String>,
}
