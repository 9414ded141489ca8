//! Bytes to `age` files and back.

use std::io::{Read as _, Write as _};

use age::secrecy::SecretString;
use age::{DecryptError, scrypt, x25519};
use walkback_core::{Error, ErrorKind, Result};

use super::{Opener, Sealing};

/// How hard a passphrase is to guess: scrypt with 2^17 rounds of 1 KiB, which takes 128 MiB and about half a
/// second. Fixed, because what `age` would choose depends on how busy the machine is at that moment.
const WORK_FACTOR: u8 = 17;

/// More than this nobody asks of a reader: it would take more than a gigabyte.
const LARGEST_WORK_FACTOR: u8 = 20;

/// Why something does not open.
#[derive(Debug)]
pub(crate) enum Closed {
    /// It is for other keys.
    OtherKey,
    /// It is not what was written, in this way.
    Damaged(String),
}

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OtherKey => f.write_str("it does not open with the key of its point"),
            Self::Damaged(why) => write!(f, "its encrypted form is broken ({why})"),
        }
    }
}

/// Encrypts to the recipients of a vault.
pub(crate) fn encrypt(sealing: &Sealing, bytes: &[u8]) -> Result<Vec<u8>> {
    let recipients = sealing
        .recipients
        .iter()
        .map(|recipient| recipient as &dyn age::Recipient);
    encrypt_to(recipients, bytes)
}

fn encrypt_to<'a>(recipients: impl Iterator<Item = &'a dyn age::Recipient>, bytes: &[u8]) -> Result<Vec<u8>> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::internal("cannot encrypt").with_source(error)
    };
    let encryptor = age::Encryptor::with_recipients(recipients).map_err(|error| failed(Box::new(error)))?;
    let mut sealed = Vec::with_capacity(bytes.len() + bytes.len() / 4096 + 1024);
    let write = || {
        let mut writer = encryptor.wrap_output(&mut sealed)?;
        writer.write_all(bytes)?;
        writer.finish().map(|_| ())
    };
    write().map_err(|error| failed(Box::new(error)))?;
    Ok(sealed)
}

/// Decrypts all of an object: what is broken at its end is found as well.
pub(crate) fn decrypt(opener: &Opener, sealed: &[u8]) -> Result<Vec<u8>, Closed> {
    let identities = opener.0.iter().map(|identity| identity as &dyn age::Identity);
    decrypt_with(identities, sealed)
}

fn decrypt_with<'a>(
    identities: impl Iterator<Item = &'a dyn age::Identity>,
    sealed: &[u8],
) -> Result<Vec<u8>, Closed> {
    let damaged = |error: &dyn std::fmt::Display| Closed::Damaged(error.to_string());
    let decryptor = age::Decryptor::new_buffered(sealed).map_err(|error| damaged(&error))?;
    let mut reader = decryptor.decrypt(identities).map_err(|error| match error {
        DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed => Closed::OtherKey,
        other => damaged(&other),
    })?;
    let mut bytes = Vec::with_capacity(sealed.len());
    reader.read_to_end(&mut bytes).map_err(|error| damaged(&error))?;
    Ok(bytes)
}

/// Puts a secret key into a file that a passphrase opens.
pub(super) fn lock(passphrase: &SecretString, text: &[u8]) -> Result<Vec<u8>> {
    let mut recipient = scrypt::Recipient::new(passphrase.clone());
    recipient.set_work_factor(WORK_FACTOR);
    encrypt_to(std::iter::once(&recipient as &dyn age::Recipient), text)
}

/// Takes a secret key out of a file that a passphrase opens. `None` if this one does not.
pub(super) fn unlock(passphrase: &SecretString, file: &[u8]) -> Result<Option<x25519::Identity>> {
    let mut identity = scrypt::Identity::new(passphrase.clone());
    identity.set_max_work_factor(LARGEST_WORK_FACTOR);
    let text = match decrypt_with(std::iter::once(&identity as &dyn age::Identity), file) {
        Ok(bytes) => String::from_utf8(bytes).unwrap_or_default(),
        // The file does not tell a wrong passphrase from damage. In a manifest its hash does.
        Err(Closed::OtherKey | Closed::Damaged(_)) => return Ok(None),
    };
    let key = text.lines().find_map(|line| line.trim().parse().ok());
    key.map(Some).ok_or_else(|| {
        Error::new(
            ErrorKind::Damaged,
            "a key of the vault opens with its passphrase, but holds no secret key",
        )
    })
}

/// Writes bytes as text, as `age --armor` does.
pub(super) fn armored(bytes: &[u8]) -> Result<String> {
    let failed = |error| Error::internal("cannot write encrypted bytes as text").with_source(error);
    let mut writer =
        age::armor::ArmoredWriter::wrap_output(Vec::new(), age::armor::Format::AsciiArmor).map_err(failed)?;
    writer.write_all(bytes).map_err(failed)?;
    let text = writer.finish().map_err(failed)?;
    String::from_utf8(text).map_err(|error| Error::internal("armor is no text").with_source(error))
}

/// Reads what [`armored`] wrote.
pub(super) fn unarmored(text: &str) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    age::armor::ArmoredReader::new(text.as_bytes()).read_to_end(&mut bytes)?;
    Ok(bytes)
}
