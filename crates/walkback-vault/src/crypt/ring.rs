//! The keys of one vault: those that were set, and those that a passphrase has opened.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use age::secrecy::SecretString;
use age::x25519;
use futures::TryStreamExt as _;
use walkback_core::store::StoreExt as _;
use walkback_core::{Cx, Error, ErrorKind, Result};

use super::keys::{Keys, exposed, secret_text, texts};
use super::{Opener, Sealing, cipher};
use crate::chunk::{blocking, read_at_most};
use crate::manifest::Encryption;
use crate::naming::NameKey;
use crate::vault::Vault;

/// Larger than any file with one secret key in it.
const LARGEST_KEY_FILE: u64 = 1 << 16;

/// The keys of one vault.
#[derive(Default)]
pub(crate) struct Ring {
    pub(crate) keys: Keys,
    /// Keys of the vault that a passphrase has opened, by their public key: each takes half a second.
    opened: Mutex<BTreeMap<String, x25519::Identity>>,
}

/// Public keys only.
impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.keys.fmt(f)
    }
}

impl Ring {
    pub(crate) fn new(keys: Keys) -> Self {
        Self {
            keys,
            opened: Mutex::default(),
        }
    }

    fn known(&self, public: &str) -> Option<x25519::Identity> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.get(public).cloned()
    }

    fn remember(&self, identity: &x25519::Identity) {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.insert(identity.to_public().to_string(), identity.clone());
    }

    /// Opens the key file of a vault with one of the passphrases.
    async fn unlock(
        &self,
        public: &str,
        file: &[u8],
        passphrases: &[SecretString],
    ) -> Result<Option<x25519::Identity>> {
        if let Some(known) = self.known(public) {
            return Ok(Some(known));
        }
        for passphrase in passphrases {
            let (passphrase, file) = (passphrase.clone(), file.to_vec());
            let found = blocking(move || cipher::unlock(&passphrase, &file)).await??;
            if let Some(identity) = found
                && identity.to_public().to_string() == public
            {
                self.remember(&identity);
                return Ok(Some(identity));
            }
        }
        Ok(None)
    }

    /// Returns what opens a point that is encrypted so.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if nothing that is set does, with what to set.
    pub(crate) async fn opener(&self, id: &str, encryption: &Encryption) -> Result<Opener> {
        let keys = &self.keys;
        if let (Some(key), Some(public)) = (&encryption.key, encryption.recipients.first()) {
            let file = cipher::unarmored(key)
                .map_err(|error| crate::error::manifest(id, format_args!("its key is broken ({error})")))?;
            let passphrases: Vec<_> = keys
                .passphrase
                .iter()
                .chain(&keys.old_passphrases)
                .cloned()
                .collect();
            if let Some(identity) = self.unlock(public, &file, &passphrases).await? {
                return Ok(Opener(Arc::new([identity])));
            }
        }
        let fitting: Vec<_> = keys
            .identities
            .iter()
            .filter(|identity| encryption.recipients.contains(&identity.to_public().to_string()))
            .cloned()
            .collect();
        if fitting.is_empty() {
            return Err(closed(id, encryption, keys));
        }
        Ok(Opener(fitting.into()))
    }
}

/// What is said of a point that nothing that is set opens.
fn closed(id: &str, encryption: &Encryption, keys: &Keys) -> Error {
    let to = listed(&encryption.recipients);
    let with_passphrase = encryption.key.is_some();
    let what = if with_passphrase {
        let state = match keys.passphrase {
            Some(_) => "and the one that is set does not open it",
            None => "and none is set",
        };
        format!("point `{id}` is encrypted with a passphrase, {state}")
    } else {
        let set = keys.publics();
        let state = if set.is_empty() {
            "and no identity is set".to_owned()
        } else {
            format!("and the identity that is set is that of {}", listed(&set))
        };
        format!("point `{id}` is encrypted to {to}, {state}")
    };
    let error = Error::new(ErrorKind::Config, what)
        .with_context("point", id)
        .with_context("encrypted_to", encryption.recipients.join(" "));
    if with_passphrase {
        return error
            .hint("set `passphrase = \"${NAME}\"` in the section of the store, and `NAME` in the environment")
            .hint("an older passphrase belongs into `old_passphrases = [\"${OTHER}\"]`");
    }
    error
        .hint("set `WALKBACK_IDENTITY_FILE` to the file with the secret key of one of them, or `identity_file` in the section of the store")
        .hint("or set `WALKBACK_IDENTITY` to the secret key itself")
}

fn listed(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

impl Vault {
    /// Returns how a new point is encrypted; `None` if it is not.
    pub(crate) async fn sealing(&self, cx: &Cx) -> Result<Option<Sealing>> {
        let keys = &self.ring.keys;
        if let Some(passphrase) = &keys.passphrase {
            let (identity, file) = self.own_key(cx, passphrase).await?;
            let recipients = vec![identity.to_public()];
            let encryption = Encryption::age(texts(&recipients), Some(cipher::armored(&file)?));
            return Ok(Some(self.seal_to(recipients, encryption, Some(identity))));
        }
        if keys.recipients.is_empty() {
            return Ok(None);
        }
        let recipients = keys.recipients.clone();
        let encryption = Encryption::age(texts(&recipients), None);
        let identity = keys.reading_identity().cloned();
        Ok(Some(self.seal_to(recipients, encryption, identity)))
    }

    /// Without a secret that it shares with later writers, a point gets names of its own and shares no chunk.
    fn seal_to(
        &self,
        recipients: Vec<x25519::Recipient>,
        encryption: Encryption,
        identity: Option<x25519::Identity>,
    ) -> Sealing {
        let to = &encryption.recipients;
        let name_key = match (&self.ring.keys.naming_secret, &identity) {
            (Some(secret), _) => NameKey::derived(exposed(secret), to),
            (None, Some(identity)) => NameKey::derived(exposed(&secret_text(identity)), to),
            (None, None) => NameKey::random(),
        };
        Sealing {
            recipients: recipients.into(),
            name_key,
            encryption,
            opener: identity.map(|identity| Opener(Arc::new([identity]))),
        }
    }

    /// Returns the key of the vault that the passphrase opens, and its file. Makes one where there is none yet,
    /// or where an older passphrase shows that the new one is meant.
    async fn own_key(&self, cx: &Cx, passphrase: &SecretString) -> Result<(x25519::Identity, Vec<u8>)> {
        let keys = &self.ring.keys;
        let files = self.key_files(cx).await?;
        for (public, file) in &files {
            let with = std::slice::from_ref(passphrase);
            if let Some(identity) = self.ring.unlock(public, file, with).await? {
                return Ok((identity, file.clone()));
            }
        }
        let mut is_meant = files.is_empty();
        for (public, file) in &files {
            is_meant = is_meant
                || self
                    .ring
                    .unlock(public, file, &keys.old_passphrases)
                    .await?
                    .is_some();
        }
        if !is_meant {
            return Err(Error::new(
                ErrorKind::Config,
                format!("the passphrase that is set does not open the vault at `{}`", self.location()),
            )
            .hint("nothing was written: what is written with a mistyped passphrase nobody can read")
            .hint("to change the passphrase, name the one before in `old_passphrases = [\"${NAME}\"]` of the store"));
        }
        self.make_key(cx, passphrase).await
    }

    async fn make_key(&self, cx: &Cx, passphrase: &SecretString) -> Result<(x25519::Identity, Vec<u8>)> {
        let identity = x25519::Identity::generate();
        let public = identity.to_public().to_string();
        let text = format!(
            "# the key of a vault of walkback\n# public key: {public}\n{}\n",
            exposed(&secret_text(&identity))
        );
        let passphrase = passphrase.clone();
        let file = blocking(move || cipher::lock(&passphrase, text.as_bytes())).await??;
        self.store
            .put(cx, &self.key(&format!("keys/{public}.age")), file.clone().into())
            .await?;
        cx.step("vault.key-durable");
        self.ring.remember(&identity);
        Ok((identity, file))
    }

    /// Returns the key files of the vault, each with the public key that it is called by.
    async fn key_files(&self, cx: &Cx) -> Result<Vec<(String, Vec<u8>)>> {
        let prefix = self.key("keys/");
        let blobs: Vec<_> = self.store.list(cx, &prefix).await?.try_collect().await?;
        let mut files = Vec::new();
        for blob in blobs {
            let name = blob.key.strip_prefix(&prefix).unwrap_or_default();
            let Some(public) = name.strip_suffix(".age") else {
                continue;
            };
            if let Some(bytes) = read_at_most(&*self.store, cx, &blob.key, LARGEST_KEY_FILE).await? {
                files.push((public.to_owned(), bytes.to_vec()));
            }
        }
        Ok(files)
    }
}
