//! The stores of an environment, the vaults in them, and their keys.

use std::path::{Path, PathBuf};

use walkback_core::{AdapterConfig, Error, ErrorKind, Registry, Result};
use walkback_runner::vault::{Keys, Vault, VaultSet};

use super::adapters::located;
use super::file::{Located, Section, VaultSection};
use super::place::{Place, listed, suggest};
use super::project::Project;

/// Where backups go if nothing says otherwise, beside the configuration.
const DEFAULT_VAULT: &str = ".walkback/vault";

impl Project {
    /// Opens the vaults that backups go to, in the order in which the environment names their stores. `None` if it
    /// says `stores = []`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the environment names a store that is not there, none where one has to be chosen,
    /// or the same one twice, if keys are not keys; and as [`Registry::open_store`].
    pub fn open_vaults(&self, registry: &Registry) -> Result<Option<VaultSet>> {
        let sections = self.store_sections()?;
        if sections.is_empty() {
            if self.section().is_some_and(|section| section.stores.is_some()) {
                return Ok(None);
            }
            return self.default_vault(registry).map(VaultSet::from).map(Some);
        }
        let mut vaults: Vec<Vault> = Vec::new();
        for section in sections {
            let vault = self.open_vault(registry, section)?;
            if let Some(same) = vaults.iter().find(|other| other.location() == vault.location()) {
                return Err(section
                    .at
                    .error(format!(
                        "`{}` is the same place as `store.{}`",
                        section.name,
                        same.name()
                    ))
                    .hint("two copies in one place are one: give each store a place of its own"));
            }
            vaults.push(vault);
        }
        let required = self.stores_required(vaults.len())?;
        VaultSet::new(vaults, required).map(Some)
    }

    fn default_vault(&self, registry: &Registry) -> Result<Vault> {
        let config = AdapterConfig::new("store.local", &self.base).with("path", DEFAULT_VAULT);
        let store = registry.open_store("fs", &config).map_err(|error| {
            error.hint(format!(
                "or say `stores = []` in `[env.{}]` to keep no backups",
                self.environment
            ))
        })?;
        let keys = self.identities_of_variables(Keys::default())?;
        Ok(Vault::new(store, "")?.named("local").with_keys(keys))
    }

    fn open_vault(&self, registry: &Registry, section: &Section) -> Result<Vault> {
        let config = self.adapter_config(section)?;
        let kind = self.expand(&section.kind)?;
        let keys = self.keys(&section.vault)?;
        let store = registry
            .open_store(&kind, &config)
            .map_err(|error| located(section, error))?;
        let name = section.name.strip_prefix("store.").unwrap_or(&section.name);
        Ok(Vault::new(store, "")?
            .named(name)
            .with_hash(section.vault.hash)
            .with_keys(keys))
    }

    fn stores_required(&self, stores: usize) -> Result<Option<usize>> {
        let Some(required) = self
            .section()
            .and_then(|section| section.stores_required.as_ref())
        else {
            return Ok(None);
        };
        if (1..=stores).contains(&required.value) {
            return Ok(Some(required.value));
        }
        Err(required
            .at
            .error(format!(
                "`stores_required` cannot be {} where the environment `{}` has {stores} stores",
                required.value, self.environment
            ))
            .hint(format!(
                "it takes 1 to {stores}; left out, a backup must reach all of them"
            )))
    }

    /// Returns the sections of the stores that the environment uses.
    fn store_sections(&self) -> Result<Vec<&Section>> {
        let Some(names) = self.section().and_then(|section| section.stores.as_ref()) else {
            return Ok(self.only_store()?.into_iter().collect());
        };
        let mut sections: Vec<&Section> = Vec::new();
        for name in names {
            let section = self.store_called(name)?;
            if sections.iter().any(|other| other.name == section.name) {
                return Err(name
                    .at
                    .error(format!("the store `{}` is named twice", name.value)));
            }
            sections.push(section);
        }
        Ok(sections)
    }

    fn store_called(&self, name: &Located<String>) -> Result<&Section> {
        let wanted = self.expand(name)?;
        self.config.stores.get(&wanted).ok_or_else(|| {
            let error = name.at.error(format!("there is no store `{wanted}`"));
            match suggest(&wanted, self.config.stores.keys().map(String::as_str)) {
                Some(close) => error.hint(format!("did you mean `{close}`?")),
                None => error.hint(format!(
                    "add a section `[store.{wanted}]` with `kind = \"fs\"` and a `path`"
                )),
            }
        })
    }

    /// Returns the store to use where the environment names none: the only one there is.
    fn only_store(&self) -> Result<Option<&Section>> {
        if self.config.stores.len() <= 1 {
            return Ok(self.config.stores.values().next());
        }
        let names = listed(self.config.stores.keys());
        let message = format!(
            "the environment `{}` names no store, and there are several",
            self.environment
        );
        let hint = format!(
            "say which: `stores = [..]` in `[env.{}]`; there are {names}",
            self.environment
        );
        Err(match self.section() {
            Some(section) => section.at.error(message),
            None => Error::config(message),
        }
        .hint(hint))
    }

    /// Returns to whom a store is encrypted, and what opens it.
    fn keys(&self, section: &VaultSection) -> Result<Keys> {
        let mut keys = self.identities_of_variables(Keys::default())?;
        if let (Some(to), Some(_)) = (&section.encrypt_to, &section.passphrase) {
            return Err(to
                .at
                .error("a store is encrypted to recipients or with a passphrase, not both")
                .hint("keep `encrypt_to` or `passphrase`; the other backups are still read with the keys they have"));
        }
        if let Some(to) = &section.encrypt_to {
            keys = self.encrypt_to(keys, to)?;
        }
        if let Some(passphrase) = &section.passphrase {
            let text = self.secret(passphrase)?;
            if text.is_empty() {
                return Err(passphrase.at.error("the passphrase is empty"));
            }
            keys = keys.with_passphrase(text);
        }
        for old in &section.old_passphrases {
            keys = keys.with_old_passphrase(self.secret(old)?);
        }
        if let Some(naming) = &section.naming_secret {
            keys = keys.with_naming_secret(self.secret(naming)?);
        }
        if let Some(identity) = &section.identity {
            let text = self.secret(identity)?;
            if !text.is_empty() {
                let added = keys.with_identities(&text, "`identity`");
                keys = added.map_err(|error| placed(&identity.at, &error))?;
            }
        }
        if let Some((path, at)) = self.identity_file(section)? {
            let added = keys.with_identities(&read_identities(&path)?, &format!("`{}`", path.display()));
            keys = added.map_err(|error| placed(at, &error))?;
        }
        Ok(keys)
    }

    fn encrypt_to(&self, keys: Keys, to: &Located<Vec<Located<String>>>) -> Result<Keys> {
        if to.value.is_empty() {
            return Err(to.at.error("`encrypt_to` names nobody").hint(
                "name the public keys of those who may read the backups, or leave it out not to encrypt them",
            ));
        }
        to.value.iter().try_fold(keys, |keys, recipient| {
            let text = self.expand(recipient)?;
            keys.encrypt_to(&[text])
                .map_err(|error| placed(&without_text(&recipient.at), &error))
        })
    }

    /// Adds what the variables of the surroundings open backups with.
    fn identities_of_variables(&self, mut keys: Keys) -> Result<Keys> {
        if let Some(identity) = self.variables.setting("WALKBACK_IDENTITY") {
            keys = keys.with_identities(identity, "`WALKBACK_IDENTITY`")?;
        }
        if let Some(path) = self.variables.setting("WALKBACK_IDENTITY_FILE") {
            let path = self.working_directory.join(path);
            keys = keys.with_identities(&read_identities(&path)?, &format!("`{}`", path.display()))?;
        }
        Ok(keys)
    }

    fn identity_file<'a>(&self, section: &'a VaultSection) -> Result<Option<(PathBuf, &'a Place)>> {
        let Some(file) = &section.identity_file else {
            return Ok(None);
        };
        let path = self.expand(file)?;
        // `${NAME:-}` is how a machine that only writes says that it has none.
        Ok((!path.is_empty()).then(|| (self.base.join(path), &file.at)))
    }

    /// Warns of files with secret keys that others on this machine may read.
    pub(super) fn identity_warnings(&self) -> Result<Vec<String>> {
        let mut files: Vec<PathBuf> = Vec::new();
        for section in self.store_sections().unwrap_or_default() {
            files.extend(self.identity_file(&section.vault)?.map(|(path, _)| path));
        }
        let named = self.variables.setting("WALKBACK_IDENTITY_FILE");
        files.extend(named.map(|path| self.working_directory.join(path)));
        files.sort();
        files.dedup();
        Ok(files
            .into_iter()
            .filter(|path| is_open_to_others(path))
            .map(|path| {
                format!(
                    "others on this machine can read the secret key in `{0}`: `chmod 600 {0}` keeps it to you",
                    path.display()
                )
            })
            .collect())
    }

    /// Fills in the variables of a secret, of which no error shows anything.
    fn secret(&self, text: &Located<String>) -> Result<String> {
        self.expand(text).map_err(|error| {
            if error.message().contains("is not defined") {
                return error;
            }
            text.at
                .error("the value is not a variable")
                .hint("write `${NAME}` or `${NAME:-default}`, and `$${` for a literal `${`")
        })
    }
}

/// Leaves the line out of what a place shows: somebody may have put a secret key there.
fn without_text(at: &Place) -> Place {
    Place {
        text: "***".to_owned(),
        ..at.clone()
    }
}

/// Points an error about keys at the line they stand in.
fn placed(at: &Place, error: &Error) -> Error {
    error
        .hints()
        .iter()
        .fold(at.error(error.message()), |outer, hint| outer.hint(hint))
}

fn read_identities(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let error = Error::io("read the identity", path, error).with_kind(ErrorKind::Config);
        if missing {
            return error.hint(
                "a machine that only writes backups needs none: `identity_file = \"${NAME:-}\"` leaves it out where `NAME` is not set",
            );
        }
        error
    })
}

#[cfg(unix)]
fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> bool {
    false
}
