//! The contract of a source of migrations.
//!
//! # How to write one
//! A crate `adapters/source-<name>` with `config.rs`, `source.rs` and `error.rs`; `register_source!` in its
//! `lib.rs`; its name in `walkback-adapters`; and a test `tests/conformance.rs` of ten lines that hands a
//! folder of its layout to `walkback_conformance::source`.

use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use futures::channel::{mpsc, oneshot};

use crate::cx::Cx;
use crate::dialect::DialectKind;
use crate::engine::Login;
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

/// One run of a script that only the tool of its layout can run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExternalRun {
    /// The migration.
    pub id: MigrationId,
    /// Which way.
    pub direction: Direction,
    /// The dialect of the database.
    pub dialect: DialectKind,
    /// How the database is connected to.
    pub login: Login,
    /// A statement that changes exactly one row, to be run last, on the same connection and in the same transaction: it
    /// notes in the journal that the script has ended. Where it changes no row, the script runs on another database, and
    /// all of it has to be taken back.
    pub proof: String,
    /// What else is to be run in that transaction, if something is to be kept of it.
    pub watched: Option<Watched>,
}

/// What is run in a transaction of another tool, so that what it changes is kept: see [`crate::witness`].
#[derive(Debug, Clone)]
pub struct Watched {
    /// What is run first. Then the tool waits for [`Pause::wait`], and goes on or rolls everything back.
    pub first: Vec<String>,
    /// What is run last, before the proof.
    pub last: Vec<String>,
    /// How it is asked whether to go on.
    pub pause: Pause,
}

/// A question whether to go on, put to whoever has asked for a run.
#[derive(Debug, Clone)]
pub struct Pause(mpsc::UnboundedSender<oneshot::Sender<bool>>);

impl Pause {
    /// Creates a question, and what it arrives at: each with the way back for its answer.
    #[must_use]
    pub fn new() -> (Self, mpsc::UnboundedReceiver<oneshot::Sender<bool>>) {
        let (sender, receiver) = mpsc::unbounded();
        (Self(sender), receiver)
    }

    /// Returns whether to go on, once that is known. Where nobody is left to ask, the answer is no.
    pub async fn wait(&self) -> bool {
        let (sender, answer) = oneshot::channel();
        self.0.unbounded_send(sender).is_ok() && answer.await.unwrap_or(false)
    }
}

impl ExternalRun {
    /// Creates the description of a run.
    #[must_use]
    pub fn new(
        id: MigrationId,
        direction: Direction,
        dialect: DialectKind,
        login: Login,
        proof: String,
    ) -> Self {
        Self {
            id,
            direction,
            dialect,
            login,
            proof,
            watched: None,
        }
    }

    /// Adds what keeps what it changes.
    #[must_use]
    pub fn watched(mut self, watched: Watched) -> Self {
        self.watched = Some(watched);
        self
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
/// - `run` runs what `script` gave as external, and is `Unsupported` for anything else. The ledger is left alone.
/// - Nothing but `create` and `write_down` writes files.
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

    /// Returns the format of the ledger these migrations are recorded in, in a database of a dialect.
    fn ledger(&self, dialect: DialectKind) -> LedgerFormat;

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

    /// Runs a script that only the tool of this layout can run.
    async fn run(&self, cx: &Cx, run: &ExternalRun) -> Result<()>;
}
