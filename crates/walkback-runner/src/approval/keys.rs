//! Keys of those who approve: Ed25519, in OpenSSH's own formats.

use std::collections::BTreeSet;

use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey, SshSig};
use walkback_core::{Error, ErrorKind, Result};

use super::{NAMESPACE, PlanContent, PlanFile};

/// Somebody who may approve plans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approver {
    name: String,
    key: PublicKey,
}

impl Approver {
    /// Reads a line: a public key with a name behind it, or a line of an `allowed_signers` file of OpenSSH, with the name
    /// before it.
    ///
    /// # Errors
    /// `Config` if it is neither, or no Ed25519 key.
    pub fn parse(line: &str) -> Result<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| {
            word.starts_with("ssh-") || word.starts_with("ecdsa-") || word.starts_with("sk-")
        });
        let Some(at) = at else {
            return Err(not_understood(line));
        };
        if at > 1 {
            return Err(not_understood(line).hint(
                "options of `allowed_signers` (`cert-authority`, `namespaces=`, `valid-before=`) are not followed: leave them out",
            ));
        }
        let key = PublicKey::from_openssh(&words[at..].join(" "))
            .map_err(|error| not_understood(line).with_source(error))?;
        if key.algorithm() != Algorithm::Ed25519 {
            return Err(Error::config(format!(
                "`{}` is a key of the kind `{}`, and plans are approved with `ssh-ed25519`",
                line.trim(),
                key.algorithm()
            ))
            .hint("make one with `ssh-keygen -t ed25519`"));
        }
        let name = match at {
            0 => key.comment().to_owned(),
            _ => words[0].to_owned(),
        };
        if name.trim().is_empty() {
            return Err(not_understood(line).hint("without a name nobody can tell who has approved"));
        }
        Ok(Self { name, key })
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the fingerprint of the key, as `ssh-keygen -l` shows it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Returns by which names this person goes: `Ann@example.com` is `ann`, on whatever host.
    fn identities(&self) -> BTreeSet<String> {
        self.name.split(',').map(identity).collect()
    }

    pub(super) fn has_key_of(&self, signature: &SshSig) -> bool {
        self.key.key_data() == signature.public_key()
    }

    /// Fails unless the signature is of this key over this plan.
    pub(super) fn verify(&self, plan: &PlanContent, signature: &SshSig) -> Result<()> {
        self.key
            .verify(NAMESPACE, &plan.bytes()?, signature)
            .map_err(|error| {
                Error::new(
                    ErrorKind::Refused,
                    format!(
                        "the signature of `{}` is not one of this plan: the plan or the signature was changed",
                        self.name
                    ),
                )
                .with_source(error)
                .hint("make a new plan with `walkback plan --out plan.json`, and have that approved")
            })
    }
}

/// Returns who somebody is: the user before the `@`, written small.
fn identity(name: &str) -> String {
    let name = name.trim();
    let user = name.split('@').next().filter(|user| !user.is_empty());
    user.unwrap_or(name).to_lowercase()
}

/// Who of several approvers is the same person: a person may have a key on each machine.
#[derive(Debug)]
pub(super) struct People {
    /// By which names each person goes.
    names: Vec<BTreeSet<String>>,
    /// The person of each approver.
    of: Vec<usize>,
}

impl People {
    pub(super) fn of(approvers: &[Approver]) -> Self {
        let mut names: Vec<BTreeSet<String>> = Vec::new();
        for approver in approvers {
            let mut person = approver.identities();
            for same in names.extract_if(.., |other| !other.is_disjoint(&approver.identities())) {
                person.extend(same);
            }
            names.push(person);
        }
        let person = |approver: &Approver| {
            let own = approver.identities();
            names
                .iter()
                .position(|person| !person.is_disjoint(&own))
                .unwrap_or_default()
        };
        let of = approvers.iter().map(person).collect();
        Self { names, of }
    }

    pub(super) fn of_approver(&self, at: usize) -> usize {
        self.of.get(at).copied().unwrap_or_default()
    }

    /// Returns who a user is, if they are among the approvers.
    pub(super) fn of_user(&self, user: &str) -> Option<usize> {
        let user = identity(user);
        self.names.iter().position(|person| person.contains(&user))
    }
}

impl Approver {
    /// Counts the people among approvers: keys of one person are one, whatever follows the `@` of their names.
    #[must_use]
    pub fn people(approvers: &[Self]) -> usize {
        People::of(approvers).names.len()
    }
}

fn not_understood(line: &str) -> Error {
    Error::config(format!("`{}` is not understood as an approver", line.trim()))
        .hint("write it as in a `.pub` file: `ssh-ed25519 AAAA.. ann@example.com`")
}

/// A key that approves.
#[derive(Debug)]
pub struct SigningKey(PrivateKey);

impl SigningKey {
    /// Reads a private key of OpenSSH.
    ///
    /// # Errors
    /// `Config` if it is none.
    pub fn parse(text: &str) -> Result<Self> {
        let key = PrivateKey::from_openssh(text).map_err(|error| {
            Error::config("the file is no private key of OpenSSH")
                .with_source(error)
                .hint("make one with `ssh-keygen -t ed25519`, and give the file without `.pub`")
        })?;
        if key.algorithm() != Algorithm::Ed25519 {
            return Err(Error::config(format!(
                "it is a key of the kind `{}`, and plans are approved with `ssh-ed25519`",
                key.algorithm()
            ))
            .hint("make one with `ssh-keygen -t ed25519`"));
        }
        Ok(Self(key))
    }

    /// Returns whether it needs a passphrase.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.0.is_encrypted()
    }

    /// Opens it with its passphrase.
    ///
    /// # Errors
    /// `Config` if that is another.
    pub fn unlock(self, passphrase: &str) -> Result<Self> {
        let opened = self.0.decrypt(passphrase);
        opened
            .map(Self)
            .map_err(|error| Error::config("the passphrase does not open the key").with_source(error))
    }

    /// Returns the fingerprint of the key, as `ssh-keygen -l` shows it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }
}

impl PlanFile {
    /// Adds the signature of a key; one of the same key is replaced.
    ///
    /// # Errors
    /// `Config` if the key is locked, `Refused` if a signature that is there cannot be read.
    pub fn sign(&mut self, key: &SigningKey) -> Result<()> {
        let signature = key
            .0
            .sign(NAMESPACE, HashAlg::Sha512, &self.plan.bytes()?)
            .and_then(|signature| signature.to_pem(LineEnding::LF))
            .map_err(|error| Error::config("the plan cannot be signed with this key").with_source(error))?;
        self.add_signature(&signature).map(drop)
    }

    /// Adds a signature that another program has made, and returns the fingerprint of its key; one of the same key is
    /// replaced.
    ///
    /// # Errors
    /// `Refused` if it cannot be read, or is not one of this plan.
    pub fn add_signature(&mut self, text: &str) -> Result<String> {
        let signature = read(text)?;
        let key = PublicKey::from(signature.public_key().clone());
        let maker = Approver {
            name: "who has made it".to_owned(),
            key: key.clone(),
        };
        maker.verify(&self.plan, &signature)?;
        let mut others = Vec::new();
        for text in std::mem::take(&mut self.signatures) {
            if read(&text)?.public_key() != signature.public_key() {
                others.push(text);
            }
        }
        others.push(text.to_owned());
        self.signatures = others;
        Ok(key.fingerprint(HashAlg::Sha256).to_string())
    }
}

/// Reads a signature.
pub(super) fn read(text: &str) -> Result<SshSig> {
    SshSig::from_pem(text).map_err(|error| {
        Error::new(ErrorKind::Refused, "a signature in the plan cannot be read")
            .with_source(error)
            .hint("make a new plan with `walkback plan --out plan.json`, and have that approved")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn an_approver_is_written_as_a_public_key_or_as_an_allowed_signer() {
        for line in [
            format!("ssh-ed25519 {KEY} ann@example.com"),
            format!("ann@example.com ssh-ed25519 {KEY}"),
        ] {
            let approver = Approver::parse(&line).unwrap();
            assert_eq!(approver.name(), "ann@example.com");
            let people = People::of(&[approver]);
            assert_eq!(
                (people.of_user("Ann"), people.of_user("an")),
                (Some(0), None),
                "{line}"
            );
        }
    }

    #[test]
    fn a_person_is_one_whatever_the_machine() {
        let of = |names: &[&str]| {
            let lines = names
                .iter()
                .map(|name| Approver::parse(&format!("{name} ssh-ed25519 {KEY}")).unwrap());
            let approvers: Vec<_> = lines.collect();
            Approver::people(&approvers)
        };
        assert_eq!(of(&["ann@laptop", "Ann@desktop"]), 1);
        assert_eq!(of(&["ann", "bob@laptop"]), 2);
        assert_eq!(of(&["ann", "bob", "ann@laptop,bob@laptop"]), 1);
        assert_eq!(of(&[]), 0);
    }

    #[test]
    fn what_is_no_approver_says_how_to_write_one() {
        for line in [
            "",
            "ann",
            &format!("ssh-ed25519 {KEY}"),
            "ssh-ed25519 AAAA ann",
            &format!("ann cert-authority ssh-ed25519 {KEY}"),
        ] {
            let error = Approver::parse(line).unwrap_err();
            assert!(error.hints()[0].contains("ssh-ed25519"), "{line}");
        }
    }
}
