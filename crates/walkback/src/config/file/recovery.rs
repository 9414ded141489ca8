//! What the server's own recovery needs: `[env.<name>.recovery]`.

use walkback_core::Result;

use super::{Located, Table};

/// A `[env.<name>.recovery]`, variables not yet filled in.
#[derive(Debug, Clone)]
pub struct RecoverySection {
    /// A base backup, or a folder with several of them.
    pub base_backup: Located<String>,
    /// The folder into which the server archives its log.
    pub wal_archive: Located<String>,
    /// The folder of the server's programs.
    pub programs: Option<Located<String>>,
    /// The folder in which a base backup is copied.
    pub folder: Option<Located<String>>,
}

impl Table<'_> {
    pub(super) fn recovery(&self) -> Result<Option<RecoverySection>> {
        let Some(table) = self.table("recovery")? else {
            return Ok(None);
        };
        table.allow(&["base_backup", "wal_archive", "programs", "folder"], &[])?;
        Ok(Some(RecoverySection {
            base_backup: table.path("base_backup", "/srv/backup/base")?,
            wal_archive: table.path("wal_archive", "/srv/backup/wal")?,
            programs: table.string("programs")?,
            folder: table.string("folder")?,
        }))
    }

    /// Reads a path without which the rest makes no sense.
    fn path(&self, key: &str, example: &str) -> Result<Located<String>> {
        match self.string(key)? {
            Some(path) if path.value.is_empty() => {
                Err(path.at.error(format!("`{key}` in `[{}]` is empty", self.name)))
            }
            Some(path) => Ok(path),
            None => Err(self
                .place(&self.at)
                .error(format!("`[{}]` has no `{key}`", self.name))
                .hint(format!("add `{key} = \"{example}\"`"))),
        }
    }
}
