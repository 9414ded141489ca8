//! The vault: a store, a prefix, and where things are under it.

use std::sync::Arc;

use bytes::Bytes;
use chrono::TimeDelta;
use walkback_core::store::check_key;
use walkback_core::{BackupStore, Cx, Error, ErrorKind, Result};

use crate::chunk::read_at_most;
use crate::crypt::{Keys, Ring};
use crate::garbage::GRACE;
use crate::manifest::{LARGEST_MANIFEST, PointFileContent};
use crate::{HashKind, Manifest, error};

/// What is done about a chunk that the vault already has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reuse {
    /// It is read and checked first, and written anew if it is damaged: a point never builds on a chunk that
    /// nobody has looked at.
    #[default]
    Verified,
    /// Its existence is enough. For stores where reading costs money; `backup verify` finds damage later.
    Trusted,
}

/// Points in a store, below a prefix.
#[derive(Debug, Clone)]
pub struct Vault {
    pub(crate) store: Arc<dyn BackupStore>,
    prefix: String,
    pub(crate) grace: TimeDelta,
    pub(crate) reuse: Reuse,
    pub(crate) hash: HashKind,
    pub(crate) ring: Arc<Ring>,
    label: Option<String>,
}

impl Vault {
    /// Creates a vault. `prefix` is empty, or the beginning of a key, without a `/` at its end.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if the prefix is not one.
    pub fn new(store: Arc<dyn BackupStore>, prefix: &str) -> Result<Self> {
        if !prefix.is_empty() {
            check_key(prefix)?;
        }
        Ok(Self {
            store,
            prefix: prefix.to_owned(),
            grace: GRACE,
            reuse: Reuse::default(),
            hash: HashKind::default(),
            ring: Arc::default(),
            label: None,
        })
    }

    /// Returns the same vault under the name that a person gave it.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.label = Some(name.into());
        self
    }

    /// Returns the same vault, encrypted and read with these keys.
    #[must_use]
    pub fn with_keys(mut self, keys: Keys) -> Self {
        self.ring = Arc::new(Ring::new(keys));
        self
    }

    /// Returns the same vault, in which the chunks of new points are named by this hash.
    #[must_use]
    pub fn with_hash(mut self, hash: HashKind) -> Self {
        self.hash = hash;
        self
    }

    /// Returns whether new points are encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.ring.keys.encrypts()
    }

    /// Returns whether what is written can be read here again: not on a machine that only knows the public keys.
    #[must_use]
    pub fn can_read(&self) -> bool {
        self.ring.keys.can_read()
    }

    /// Returns the name that a person gave it, or where it is.
    #[must_use]
    pub fn name(&self) -> String {
        self.label.clone().unwrap_or_else(|| self.location())
    }

    /// Returns the same vault with another rule for chunks it already has.
    #[must_use]
    pub fn with_reuse(mut self, reuse: Reuse) -> Self {
        self.reuse = reuse;
        self
    }

    /// Returns the same vault with another grace period; see [`GRACE`]. It must be the same for everybody
    /// who writes to the vault or collects its garbage.
    #[must_use]
    pub fn with_grace(mut self, grace: TimeDelta) -> Self {
        self.grace = grace;
        self
    }

    /// Returns where it is, for messages.
    #[must_use]
    pub fn location(&self) -> String {
        match self.prefix.as_str() {
            "" => self.store.location(),
            prefix => format!("{}/{prefix}", self.store.location()),
        }
    }

    pub(crate) fn key(&self, below: &str) -> String {
        match self.prefix.as_str() {
            "" => below.to_owned(),
            prefix => format!("{prefix}/{below}"),
        }
    }

    pub(crate) fn object_key(&self, hash: &str) -> String {
        self.key(&format!("objects/{}/{hash}", &hash[..2]))
    }

    pub(crate) fn point_key(&self, id: &str) -> String {
        self.key(&format!("points/{id}.json"))
    }

    pub(crate) fn removed_key(&self, id: &str) -> String {
        self.key(&format!("removed/{id}.json"))
    }

    /// Reads and checks the manifest of a point whose id is known.
    pub(crate) async fn manifest(&self, cx: &Cx, id: &str) -> Result<Manifest> {
        let bytes = self.manifest_bytes(cx, id, &self.point_key(id)).await?;
        // Canonical form and schema make this long for a large database; it is still only text.
        self.unseal(id, PointFileContent::parse(id, &bytes)?).await
    }

    /// Opens a manifest if it is encrypted.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if nothing that is set opens it.
    pub(crate) async fn unseal(&self, id: &str, content: PointFileContent) -> Result<Manifest> {
        let mut manifest = match content {
            PointFileContent::Open(manifest) => *manifest,
            PointFileContent::Sealed(envelope) => {
                let opener = self.ring.opener(id, &envelope.encryption).await?;
                envelope.open(id, &opener)?
            }
        };
        manifest.origin.location = self.location();
        Ok(manifest)
    }

    pub(crate) async fn manifest_bytes(&self, cx: &Cx, id: &str, key: &str) -> Result<Bytes> {
        match read_at_most(&*self.store, cx, key, LARGEST_MANIFEST).await? {
            Some(bytes) => Ok(bytes),
            None => Err(error::manifest(
                id,
                format_args!("it is larger than {LARGEST_MANIFEST} bytes"),
            )),
        }
    }
}

/// Checks the id of a point: 1 to 150 characters of `a-z A-Z 0-9 . _ -`, the first a letter or digit.
///
/// # Errors
/// [`ErrorKind::Usage`] with the id in the message.
pub fn check_id(id: &str) -> Result<()> {
    let first_is_fine = id.starts_with(|first: char| first.is_ascii_alphanumeric());
    if first_is_fine && id.len() <= 150 && !id.contains('/') && check_key(id).is_ok() {
        return Ok(());
    }
    Err(
        Error::new(ErrorKind::Usage, format!("`{id}` cannot be the id of a point"))
            .hint("an id is 1 to 150 letters, digits, `.`, `_` and `-`, and begins with a letter or digit"),
    )
}
