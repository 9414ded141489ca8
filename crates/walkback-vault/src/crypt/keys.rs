//! What a person has set: to whom backups are encrypted, and what opens them.

use std::fmt;

use age::secrecy::{ExposeSecret as _, SecretString};
use age::x25519;
use walkback_core::{Error, ErrorKind, Result};

/// To whom the backups of a vault are encrypted, and what opens them. Empty: they are not encrypted.
#[derive(Clone, Default)]
pub struct Keys {
    /// Sorted by their text, each once.
    pub(super) recipients: Vec<x25519::Recipient>,
    pub(super) identities: Vec<x25519::Identity>,
    pub(super) passphrase: Option<SecretString>,
    pub(super) old_passphrases: Vec<SecretString>,
    pub(super) naming_secret: Option<SecretString>,
}

/// Public keys only.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("recipients", &texts(&self.recipients))
            .field("identities_of", &self.publics())
            .field("passphrase", &self.passphrase.is_some())
            .finish_non_exhaustive()
    }
}

impl Keys {
    /// Returns the same keys, with backups encrypted to these `age` recipients: `age1..`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if one is not a recipient, or is a secret key: which is then not shown.
    pub fn encrypt_to(mut self, recipients: &[String]) -> Result<Self> {
        for text in recipients {
            self.recipients.push(recipient(text.trim())?);
        }
        self.recipients.sort_by_key(ToString::to_string);
        self.recipients.dedup();
        Ok(self)
    }

    /// Returns the same keys, with backups encrypted with a passphrase.
    #[must_use]
    pub fn with_passphrase(mut self, passphrase: String) -> Self {
        self.passphrase = Some(passphrase.into());
        self
    }

    /// Returns the same keys, with one more passphrase that older backups were encrypted with.
    #[must_use]
    pub fn with_old_passphrase(mut self, passphrase: String) -> Self {
        self.old_passphrases.push(passphrase.into());
        self
    }

    /// Returns the same keys, with those of an identity file as `age-keygen` writes it: a secret key per line,
    /// empty lines and comments. `place` is what messages call it.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with the number of the line that is not a secret key, never with its text.
    pub fn with_identities(mut self, text: &str, place: &str) -> Result<Self> {
        let before = self.identities.len();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let identity = line.parse().map_err(|_| not_an_identity(line, number, place))?;
            self.identities.push(identity);
        }
        if self.identities.len() == before {
            return Err(Error::config(format!("{place} holds no secret key"))
                .hint("make one with `age-keygen`: its line begins with `AGE-SECRET-KEY-1`"));
        }
        Ok(self)
    }

    /// Returns the same keys, with a secret that the names of chunks are made with, in place of the identity.
    /// Whoever has it can tell whether the vault holds a chunk they guess, and nothing more.
    #[must_use]
    pub fn with_naming_secret(mut self, secret: String) -> Self {
        self.naming_secret = Some(secret.into());
        self
    }

    /// Returns whether what is written is encrypted.
    #[must_use]
    pub fn encrypts(&self) -> bool {
        !self.recipients.is_empty() || self.passphrase.is_some()
    }

    /// Returns whether what is written can be read here again: always, unless it is encrypted to others.
    #[must_use]
    pub fn can_read(&self) -> bool {
        !self.encrypts() || self.passphrase.is_some() || self.reading_identity().is_some()
    }

    /// Returns the public keys of the identities.
    pub(super) fn publics(&self) -> Vec<String> {
        self.identities
            .iter()
            .map(|identity| identity.to_public().to_string())
            .collect()
    }

    /// Returns the first identity, in the order of the recipients, that opens what is written.
    pub(super) fn reading_identity(&self) -> Option<&x25519::Identity> {
        self.recipients.iter().find_map(|recipient| {
            self.identities
                .iter()
                .find(|identity| identity.to_public() == *recipient)
        })
    }
}

/// Returns recipients as text.
pub(super) fn texts(recipients: &[x25519::Recipient]) -> Vec<String> {
    recipients.iter().map(ToString::to_string).collect()
}

/// Returns a secret key as text.
pub(super) fn secret_text(identity: &x25519::Identity) -> SecretString {
    identity.to_string()
}

/// Returns the text of a secret.
pub(super) fn exposed(secret: &SecretString) -> &str {
    secret.expose_secret()
}

fn recipient(text: &str) -> Result<x25519::Recipient> {
    let wrong = |what: String| {
        Error::new(ErrorKind::Config, what)
            .hint("a recipient is the public key that `age-keygen` prints: it begins with `age1`")
    };
    if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
        return Err(
            wrong("`encrypt_to` holds a secret key where a public one belongs".to_owned())
                .hint("treat that key as known to others if the configuration is shared, and make another"),
        );
    }
    text.parse()
        .map_err(|_| wrong(format!("`{text}` in `encrypt_to` is not an `age` recipient")))
}

fn not_an_identity(line: &str, number: usize, place: &str) -> Error {
    let error = Error::config(format!("line {number} of {place} is not a secret key of `age`"));
    if line.starts_with("age1") {
        return error.hint("it is a public key: the secret key begins with `AGE-SECRET-KEY-1`");
    }
    if line.starts_with("AGE-PLUGIN") || line.starts_with("-----BEGIN") {
        return error.hint("identities of plugins, SSH keys and encrypted identity files are not supported");
    }
    error.hint("a secret key begins with `AGE-SECRET-KEY-1`; `age-keygen` makes one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_keys_are_never_shown() {
        let identity = x25519::Identity::generate();
        let secret = identity.to_string();
        let secret = secret.expose_secret();
        let keys = Keys::default()
            .with_identities(&format!("# made today\n\n{secret}\n"), "the test")
            .unwrap()
            .with_passphrase("open sesame".to_owned())
            .with_old_passphrase("older".to_owned())
            .with_naming_secret("nobody knows".to_owned());
        let shown = format!("{keys:?}");
        for hidden in [&secret[16..], "sesame", "older", "nobody"] {
            assert!(!shown.contains(hidden), "{shown}");
        }
        let error = Keys::default().encrypt_to(&[secret.to_owned()]).unwrap_err();
        assert!(!format!("{error:?}").contains(&secret[16..]), "{error:?}");
        let broken = format!("{secret}x");
        let error = Keys::default().with_identities(&broken, "`key.txt`").unwrap_err();
        assert_eq!(
            error.message(),
            "line 1 of `key.txt` is not a secret key of `age`"
        );
        assert!(!format!("{error:?}").contains(&secret[16..]), "{error:?}");
    }

    #[test]
    fn what_is_written_can_be_read_with_one_of_the_keys() {
        let (one, two) = (x25519::Identity::generate(), x25519::Identity::generate());
        let to: Vec<_> = [&one, &two].map(|key| key.to_public().to_string()).into();
        let keys = Keys::default().encrypt_to(&to).unwrap();
        assert!(keys.encrypts() && !keys.can_read());
        let mine = keys
            .clone()
            .with_identities(two.to_string().expose_secret(), "it")
            .unwrap();
        assert!(mine.can_read());
        let other = x25519::Identity::generate();
        let others = keys
            .with_identities(other.to_string().expose_secret(), "it")
            .unwrap();
        assert!(!others.can_read());
        assert!(Keys::default().can_read());
        assert!(Keys::default().encrypt_to(&["age1nonsense".into()]).is_err());
        assert!(Keys::default().with_identities("# nothing", "it").is_err());
    }
}
