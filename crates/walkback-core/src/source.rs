//! The contract of a source of migrations.
//!
//! # How to write one
//! A crate `adapters/source-<name>` with `config.rs`, `source.rs` and `error.rs`; `register_source!` in its
//! `lib.rs`; its name in `walkback-adapters`; and a test `tests/conformance.rs` of ten lines that hands a
//! folder of its layout to `walkback_conformance::source`.

use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;

use crate::cx::Cx;
use crate::dialect::DialectKind;
use crate::error::Result;
use crate::graph::MigrationGraph;
use crate::ledger::LedgerFormat;
use crate::migration::{Direction, MigrationId, Script};

/// The migrations of a source, and what it could not use.
#[derive(Debug)]
pub struct Loaded {
    /// The migrations.
    pub graph: MigrationGraph,
    /// Files that match nothing the layout knows, each with the reason. Never silently dropped.
    pub unmatched: Vec<(PathBuf, String)>,
}

/// What a new migration is to be.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct NewMigration {
    /// Its identity.
    pub id: String,
    /// What it is about.
    pub slug: String,
    /// What it follows, where the order of the files does not say so already.
    pub parents: Vec<MigrationId>,
}

impl NewMigration {
    /// Creates the description of a new migration.
    #[must_use]
    pub fn new(id: impl Into<String>, slug: impl Into<String>, parents: Vec<MigrationId>) -> Self {
        Self {
            id: id.into(),
            slug: slug.into(),
            parents,
        }
    }
}

/// Where migrations come from.
///
/// - `load` reads metadata only, in time linear in the number of files, and names every file it cannot use.
/// - `load` of a folder that does not exist is `NotFound`, and names it; an empty folder is an empty graph.
/// - `script` reads one script; `None` means the author wrote none for this direction.
/// - `script` of an unknown migration is `NotFound`.
/// - Two loads of the same files give the same graph.
/// - `write_down` writes a way down for a migration that has none, where its layout has it: `load` and `script` find it, the
///   up script stays the same to the byte, and the file is returned. A way down that holds a statement is never
///   overwritten; that is `AlreadyExists`.
/// - Nothing but `create` and `write_down` writes.
#[async_trait]
pub trait MigrationSource: fmt::Debug + Send + Sync {
    /// Returns where the migrations are, for messages.
    fn location(&self) -> String;

    /// Reads the metadata of all migrations for one dialect.
    async fn load(&self, cx: &Cx, dialect: DialectKind) -> Result<Loaded>;

    /// Reads one script.
    async fn script(
        &self,
        cx: &Cx,
        dialect: DialectKind,
        id: &MigrationId,
        direction: Direction,
    ) -> Result<Option<Script>>;

    /// Returns the format of the ledger these migrations are recorded in.
    fn ledger(&self) -> LedgerFormat;

    /// Writes the files of a new migration and returns them. Existing files are never overwritten.
    async fn create(&self, cx: &Cx, migration: &NewMigration) -> Result<Vec<PathBuf>>;

    /// Writes the way down of a migration that has none, for one dialect, and returns its file.
    async fn write_down(
        &self,
        cx: &Cx,
        dialect: DialectKind,
        id: &MigrationId,
        text: &str,
    ) -> Result<PathBuf>;
}
