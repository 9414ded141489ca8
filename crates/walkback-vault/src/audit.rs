//! The audit's copy: lines that are only ever added, a file for each day of each database.
//!
//! `<prefix>/audit/<chain>/<date>.jsonl`. A store cannot append, and few can write only if nobody else has: so each
//! database has a folder of its own, named by its chain, and who adds to it holds the lock of that database. A file is
//! read, added to and put in its place as a whole; what it held stays, whatever it is.

use bytes::Bytes;
use futures::TryStreamExt as _;
use walkback_core::store::StoreExt as _;
use walkback_core::{Cx, Error, ErrorKind, Result};

use crate::chunk::read_at_most;
use crate::vault::Vault;

/// A day with more than this is damaged, or somebody else's.
const LARGEST: u64 = 256 << 20;

impl Vault {
    /// Returns the name of a file of the audit, for messages.
    #[must_use]
    pub fn audit_file(&self, chain: &str, date: &str) -> String {
        self.key(&format!("audit/{chain}/{date}.jsonl"))
    }

    /// Returns the days on which a chain has a file, sorted.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn audit_dates(&self, cx: &Cx, chain: &str) -> Result<Vec<String>> {
        let prefix = self.key(&format!("audit/{chain}/"));
        let blobs = self.store.list(cx, &prefix).await?;
        let keys: Vec<String> = blobs.map_ok(|blob| blob.key).try_collect().await?;
        let dates = keys
            .iter()
            .filter_map(|key| key.strip_prefix(&prefix)?.strip_suffix(".jsonl"));
        Ok(dates.map(str::to_owned).collect())
    }

    /// Returns the chains that the vault has something of, sorted.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn audit_chains(&self, cx: &Cx) -> Result<Vec<String>> {
        let prefix = self.key("audit/");
        let blobs = self.store.list(cx, &prefix).await?;
        let keys: Vec<String> = blobs.map_ok(|blob| blob.key).try_collect().await?;
        let mut chains: Vec<String> = keys
            .iter()
            .filter_map(|key| Some(key.strip_prefix(&prefix)?.split_once('/')?.0.to_owned()))
            .collect();
        chains.dedup();
        Ok(chains)
    }

    /// Returns what the file of a day holds, a line each; nothing where there is none.
    ///
    /// # Errors
    /// `Damaged` if it is no text, and fails if the store does.
    pub async fn audit_day(&self, cx: &Cx, chain: &str, date: &str) -> Result<String> {
        let bytes = self.audit_bytes(cx, chain, date).await?;
        let text =
            std::str::from_utf8(&bytes).map_err(|error| self.no_audit(chain, date).with_source(error))?;
        Ok(text.to_owned())
    }

    /// Adds lines to what the file of a day holds, as [`Vault::audit_day`] has just said. Whoever calls this holds the lock
    /// of the database whose chain it is.
    ///
    /// # Errors
    /// Fails if the store does; the file is then as it was.
    pub async fn audit_append(
        &self,
        cx: &Cx,
        (chain, date): (&str, &str),
        mut whole: String,
        lines: &[String],
    ) -> Result<()> {
        if !whole.is_empty() && !whole.ends_with('\n') {
            whole.push('\n');
        }
        for line in lines {
            whole.push_str(line);
            whole.push('\n');
        }
        self.store
            .put(cx, &self.audit_file(chain, date), Bytes::from(whole))
            .await?;
        cx.step("vault.audit");
        Ok(())
    }

    async fn audit_bytes(&self, cx: &Cx, chain: &str, date: &str) -> Result<Bytes> {
        match read_at_most(&*self.store, cx, &self.audit_file(chain, date), LARGEST).await {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(self.no_audit(chain, date)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Bytes::new()),
            Err(error) => Err(error),
        }
    }

    fn no_audit(&self, chain: &str, date: &str) -> Error {
        Error::new(
            ErrorKind::Damaged,
            format!(
                "`{}` in `{}` is no file of an audit",
                self.audit_file(chain, date),
                self.name()
            ),
        )
        .hint("move it aside: the next run writes the file of the newest day anew")
        .hint("the file of an earlier day stays away, and `walkback audit --verify` says so: put back what the store keeps of it")
    }
}
