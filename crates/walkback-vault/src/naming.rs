//! How chunks are named after their content, with a key where names must tell nothing about it.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use walkback_core::{Error, ErrorKind, Result};

/// The hash that chunks are named by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum HashKind {
    /// BLAKE3, the faster one.
    #[default]
    Blake3,
    /// SHA-256, where rules ask for it.
    Sha256,
}

impl std::str::FromStr for HashKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "blake3" => Ok(Self::Blake3),
            "sha256" => Ok(Self::Sha256),
            _ => Err(Error::new(
                ErrorKind::Config,
                format!("`{name}` is not a hash that chunks can be named by"),
            )
            .hint("`hash` takes `blake3` or `sha256`")),
        }
    }
}

/// What a name is computed with. Without it nobody can tell whether a vault holds a chunk they guess.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct NameKey(pub(crate) [u8; 32]);

/// Never the key.
impl fmt::Debug for NameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NameKey(..)")
    }
}

impl NameKey {
    /// Makes one that nobody else will ever have.
    pub(crate) fn random() -> Self {
        Self(rand::random())
    }

    /// Returns the key that everybody with this secret gets for these recipients. Other recipients give another
    /// key, so that a backup never builds on chunks that one of its recipients cannot open.
    pub(crate) fn derived(secret: &str, recipients: &[String]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("walkback vault names v1");
        hasher.update(secret.as_bytes());
        hasher.update(&[0]);
        for recipient in recipients {
            hasher.update(recipient.as_bytes());
            hasher.update(b"\n");
        }
        Self(*hasher.finalize().as_bytes())
    }

    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let mut key = [0; 32];
        hex::decode_to_slice(text, &mut key).ok()?;
        Some(Self(key))
    }

    pub(crate) fn to_hex(&self) -> String {
        hex::encode(self.0)
    }
}

/// How the chunks of one point are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Naming {
    Plain(HashKind),
    Keyed(HashKind, NameKey),
}

impl Naming {
    /// Returns what the manifest calls it.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Plain(HashKind::Blake3) => "blake3",
            Self::Plain(HashKind::Sha256) => "sha256",
            Self::Keyed(HashKind::Blake3, _) => "blake3-keyed",
            Self::Keyed(HashKind::Sha256, _) => "hmac-sha256",
        }
    }

    /// Returns the naming without a key that a manifest calls so.
    pub(crate) fn plain(word: &str) -> Option<Self> {
        [HashKind::Blake3, HashKind::Sha256]
            .map(Self::Plain)
            .into_iter()
            .find(|naming| naming.word() == word)
    }

    /// Returns the naming with a key that a manifest calls so.
    pub(crate) fn keyed(word: &str, key: &NameKey) -> Option<Self> {
        [HashKind::Blake3, HashKind::Sha256]
            .map(|kind| Self::Keyed(kind, key.clone()))
            .into_iter()
            .find(|naming| naming.word() == word)
    }

    /// Returns the name of these bytes: 64 hexadecimal digits.
    pub(crate) fn name(&self, bytes: &[u8]) -> String {
        match self {
            Self::Plain(HashKind::Blake3) => blake3::hash(bytes).to_hex().to_string(),
            Self::Plain(HashKind::Sha256) => hex::encode(Sha256::digest(bytes)),
            Self::Keyed(HashKind::Blake3, key) => blake3::keyed_hash(&key.0, bytes).to_hex().to_string(),
            Self::Keyed(HashKind::Sha256, key) => {
                let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes a key of any length");
                mac.update(bytes);
                hex::encode(mac.finalize().into_bytes())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors are those of the hashes' own specifications, so that another program can read a vault.
    #[test]
    fn names_are_the_hashes_that_the_manifest_says() {
        let plain = |word| Naming::plain(word).unwrap().name(b"abc");
        assert_eq!(
            plain("sha256"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            plain("blake3"),
            "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
        );
        let key = NameKey([0x0b; 32]);
        let keyed = |word| Naming::keyed(word, &key).unwrap().name(b"abc");
        assert_ne!(keyed("blake3-keyed"), plain("blake3"));
        assert_ne!(keyed("hmac-sha256"), plain("sha256"));
        assert!(Naming::plain("blake3-keyed").is_none());
        assert!(Naming::keyed("sha256", &key).is_none());
    }

    #[test]
    fn other_secrets_and_other_recipients_give_other_keys() {
        let to = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let key = NameKey::derived("one", &to(&["a", "b"]));
        assert_eq!(key, NameKey::derived("one", &to(&["a", "b"])));
        assert_ne!(key, NameKey::derived("two", &to(&["a", "b"])));
        assert_ne!(key, NameKey::derived("one", &to(&["a"])));
        assert_ne!(key, NameKey::derived("one", &to(&["ab"])));
        assert_ne!(NameKey::random(), NameKey::random());
        assert_eq!(NameKey::from_hex(&key.to_hex()), Some(key.clone()));
        assert_eq!(format!("{key:?}"), "NameKey(..)");
    }
}
