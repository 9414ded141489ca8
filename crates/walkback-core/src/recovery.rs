//! The past of a database, by the server's own means: a copy of its files of some time ago, and all that it has
//! written into its log since.

use std::path::PathBuf;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::cx::Cx;
use crate::engine::ScratchDatabase;
use crate::error::Result;

/// What a server's own recovery needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveryFiles {
    /// A base backup, or a folder with several of them.
    pub base_backup: PathBuf,
    /// The folder into which the server archives its log.
    pub wal_archive: PathBuf,
    /// The folder of the server's programs, where they are not found by themselves.
    pub programs: Option<PathBuf>,
    /// The folder in which the copy of the base backup is made, for as long as it is needed. `None`: that of the
    /// system for temporary files.
    pub folder: Option<PathBuf>,
}

/// A server's own recovery, into a server of its own that nobody else sees.
///
/// - `check` changes nothing, on the server and in the files.
/// - `recover_to` never changes what the files hold, nor a row or a definition of the database itself. What it makes
///   is gone when the scratch database is dropped, and also when this program ends without dropping it.
#[async_trait]
pub trait Recovery: Send + Sync {
    /// Returns what is not set up for it, in words with what to set. Empty: it is ready.
    async fn check(&self, cx: &Cx, files: Option<&RecoveryFiles>) -> Result<Vec<String>>;

    /// Returns the database as it was at a moment: with all that was committed until then, that moment included, and
    /// nothing else. Fails where the files do not reach that far, on either side: never with another moment.
    async fn recover_to(
        &self,
        cx: &Cx,
        until: DateTime<Utc>,
        files: &RecoveryFiles,
    ) -> Result<Box<dyn ScratchDatabase>>;
}
