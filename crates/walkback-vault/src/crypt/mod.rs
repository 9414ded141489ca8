//! Encryption: `age` files, for chunks and manifests alike.
//!
//! Nothing that is found in a store decides to whom a backup is encrypted: that stands in the configuration of
//! whoever writes it. With a passphrase the one recipient is a key of the vault, kept in the vault in a file that
//! only the passphrase opens, and that nobody without it can forge.

mod cipher;
mod envelope;
mod keys;
mod ring;

use std::fmt;
use std::sync::Arc;

use age::x25519;

pub(crate) use cipher::{decrypt, encrypt};
pub(crate) use envelope::Envelope;
pub use keys::Keys;
pub(crate) use ring::Ring;

use crate::manifest::Encryption;
use crate::naming::{NameKey, Naming};

/// Secret keys that open an object.
#[derive(Clone)]
pub(crate) struct Opener(pub(super) Arc<[x25519::Identity]>);

/// Never a key.
impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opener({} keys)", self.0.len())
    }
}

/// What it takes to read the chunks of one point.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) naming: Naming,
    /// `None` where they are not encrypted.
    pub(crate) opener: Option<Opener>,
}

/// What it takes to encrypt a point.
#[derive(Debug, Clone)]
pub(crate) struct Sealing {
    pub(super) recipients: Arc<[x25519::Recipient]>,
    /// What the manifest says of it.
    pub(crate) encryption: Encryption,
    pub(crate) name_key: NameKey,
    /// What reads it again; `None` on a machine that can only write.
    pub(crate) opener: Option<Opener>,
}
