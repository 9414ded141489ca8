//! Reading `walkback.toml`: every key is known, refused or pointed at.

mod hooks;
mod keys;
mod policy;

pub(crate) use policy::enough;
mod protect;
mod recovery;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use walkback_core::{Error, Result};
use walkback_runner::vault::{HashKind, Keep, Rules};
use walkback_runner::{Policy, Protect};

use super::place::{Place, suggest};

pub(super) use hooks::HooksSection;
pub(super) use recovery::RecoverySection;

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub at: Place,
}

/// The settings of an adapter: `[source]` or `[store.<name>]`, variables not yet filled in.
#[derive(Debug, Clone)]
pub struct Section {
    /// Its name: `source`, `store.local`.
    pub name: String,
    /// Where it begins.
    pub at: Place,
    /// Which adapter.
    pub kind: Located<String>,
    /// What a store says of the vault in it.
    pub vault: VaultSection,
    /// Everything else; the adapter knows what it may be.
    pub settings: BTreeMap<String, Located<Value>>,
}

/// What a `[store.<name>]` says of the vault in it, variables not yet filled in.
#[derive(Clone, Default)]
pub struct VaultSection {
    /// To whom backups are encrypted.
    pub encrypt_to: Option<Located<Vec<Located<String>>>>,
    /// What backups are encrypted with instead.
    pub passphrase: Option<Located<String>>,
    /// What older backups were encrypted with.
    pub old_passphrases: Vec<Located<String>>,
    /// The secret key that reads backups.
    pub identity: Option<Located<String>>,
    /// The file it is in.
    pub identity_file: Option<Located<String>>,
    /// What names of chunks are made with, where there is no secret key.
    pub naming_secret: Option<Located<String>>,
    /// The hash that chunks are named by.
    pub hash: HashKind,
}

/// Nothing that may be a secret.
impl std::fmt::Debug for VaultSection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VaultSection")
            .field("encrypt_to", &self.encrypt_to)
            .field("identity_file", &self.identity_file)
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}

/// The keys of a `[store.<name>]` that are for the vault, and that no store knows of.
const VAULT_KEYS: &[&str] = &[
    "encrypt_to",
    "passphrase",
    "old_passphrases",
    "identity",
    "identity_file",
    "naming_secret",
    "hash",
];

/// One `[env.<name>]`, variables not yet filled in.
#[derive(Debug, Clone)]
pub struct EnvironmentSection {
    /// Where it begins.
    pub at: Place,
    /// Its database.
    pub url: Option<Located<String>>,
    /// Its stores; `None` where the key is missing.
    pub stores: Option<Vec<Located<String>>>,
    /// How many of them must take a backup; `None` is all.
    pub stores_required: Option<Located<usize>>,
    /// Its rules.
    pub policy: Policy,
    /// The file that says who may approve plans.
    pub approvers: Option<Located<String>>,
    /// How many of those in that file have to approve.
    pub(crate) approvals: Option<Located<usize>>,
    /// How long to wait for the lock.
    pub lock_timeout: Option<Duration>,
    /// How often to try again what another session has stopped.
    pub lock_retries: Option<usize>,
    /// How many sessions a backup or a restore works with.
    pub jobs: Option<usize>,
    /// How long what a restore replaces stays in tables of its own.
    pub soft_delete: Option<Duration>,
    /// How what a migration destroys is protected.
    pub protect: Option<Protect>,
    /// Which points and backups are kept when the vault is pruned.
    pub retention: Rules,
    /// Whether it is pruned after every `up` and `backup create`.
    pub prunes_itself: bool,
    /// Commands that run round a run, and the check whether the application is well.
    pub hooks: HooksSection,
    /// What the server's own recovery needs.
    pub recovery: Option<RecoverySection>,
}

/// What a `walkback.toml` says.
#[derive(Debug, Clone, Default)]
pub struct FileConfig {
    /// Where migrations come from.
    pub source: Option<Section>,
    /// Where backups go, by name.
    pub stores: BTreeMap<String, Section>,
    /// The environments, by name.
    pub environments: BTreeMap<String, EnvironmentSection>,
}

/// Kinds that walkback is going to have.
const FUTURE_SOURCES: &[&str] = &["flyway", "sqlx", "golang-migrate", "dbmate", "goose"];

impl FileConfig {
    /// Reads the text of a configuration file.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](walkback_core::ErrorKind::Config) with file, line and column: a syntax error, an
    /// unknown key (with what was probably meant), a key of a later version, a value of the wrong type.
    pub fn parse(file: &Path, text: &str) -> Result<Self> {
        let document = DeTable::parse(text).map_err(|error| {
            let place = Place::of(file, text, &error.span().unwrap_or(0..0));
            place.error(error.message().lines().next().unwrap_or("not valid TOML"))
        })?;
        let root = Table {
            file,
            text,
            name: String::new(),
            at: 0..0,
            entries: document.get_ref(),
        };
        root.allow(&["source", "store", "env"], &[])?;
        let source = root
            .table("source")?
            .map(|table| table.section("sql", FUTURE_SOURCES))
            .transpose()?;
        let mut config = Self {
            source,
            ..Self::default()
        };
        for (name, table) in root.tables_in("store")? {
            config.stores.insert(name, table.section("fs", &[])?);
        }
        for (name, table) in root.tables_in("env")? {
            config.environments.insert(name, table.environment()?);
        }
        Ok(config)
    }
}

/// A table of the file that is being read.
struct Table<'a> {
    file: &'a Path,
    text: &'a str,
    /// Its name, dotted; empty for the root.
    name: String,
    at: Range<usize>,
    entries: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    fn place(&self, span: &Range<usize>) -> Place {
        Place::of(self.file, self.text, span)
    }

    /// Refuses keys that are not known, or that only a later version will obey.
    fn allow(&self, known: &[&str], future: &[&str]) -> Result<()> {
        let mut keys: Vec<_> = self.entries.keys().collect();
        keys.sort_by_key(|key| key.span().start);
        for key in keys {
            let name: &str = key.get_ref();
            if future.contains(&name) {
                return Err(self
                    .place(&key.span())
                    .error(format!("`{name}` in `[{}]` is not built yet", self.name))
                    .hint(format!(
                        "remove `{name}`: this version of walkback would not obey it"
                    )));
            }
            if !known.contains(&name) {
                return Err(self.unknown(key, name, known));
            }
        }
        Ok(())
    }

    fn unknown(&self, key: &Spanned<std::borrow::Cow<'_, str>>, name: &str, known: &[&str]) -> Error {
        let inside = match self.name.as_str() {
            "" => "at the top of the file".to_owned(),
            table => format!("in `[{table}]`"),
        };
        let error = self
            .place(&key.span())
            .error(format!("unknown key `{name}` {inside}"));
        match (
            keys::home_of(name, &self.name),
            suggest(name, known.iter().copied()),
        ) {
            (Some(home), _) => error.hint(format!("`{name}` belongs in `[{home}]`")),
            (None, Some(close)) => error.hint(format!("did you mean `{close}`?")),
            (None, None) => error.hint(format!("known keys: `{}`", known.join("`, `"))),
        }
    }

    fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.entries.get(key)
    }

    fn key_span(&self, key: &str) -> Range<usize> {
        self.entries
            .keys()
            .find(|entry| entry.get_ref() == key)
            .map_or(self.at.clone(), Spanned::span)
    }

    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) -> Error {
        self.place(&value.span()).error(format!(
            "`{key}` in `[{}]` is to be {expected}, not {} {}",
            self.name,
            article(value.get_ref().type_str()),
            value.get_ref().type_str()
        ))
    }

    fn table(&self, key: &str) -> Result<Option<Table<'a>>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let name = match self.name.as_str() {
            "" => key.to_owned(),
            parent => format!("{parent}.{key}"),
        };
        let Some(entries) = value.get_ref().as_table() else {
            return Err(self
                .place(&self.key_span(key))
                .error(format!("`{name}` is to be a table"))
                .hint(format!(
                    "write `[{name}]` on a line of its own, and its keys below"
                )));
        };
        Ok(Some(Table {
            name,
            at: self.key_span(key),
            entries,
            ..*self
        }))
    }

    /// Returns the tables inside a table, by name: `[store.a]`, `[store.b]`.
    fn tables_in(&self, key: &str) -> Result<Vec<(String, Table<'a>)>> {
        let Some(outer) = self.table(key)? else {
            return Ok(Vec::new());
        };
        let mut tables = Vec::new();
        for name in outer.entries.keys() {
            let name = name.get_ref().to_string();
            if let Some(table) = outer.table(&name)? {
                tables.push((name, table));
            }
        }
        Ok(tables)
    }

    fn string(&self, key: &str) -> Result<Option<Located<String>>> {
        self.get(key).map(|value| self.string_of(key, value)).transpose()
    }

    fn string_of(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Located<String>> {
        match value.get_ref().as_str() {
            Some(text) => Ok(Located {
                value: text.to_owned(),
                at: self.place(&value.span()),
            }),
            None => Err(self.wrong(key, value, "a string")),
        }
    }

    fn boolean(&self, key: &str) -> Result<Option<bool>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match value.get_ref().as_bool() {
            Some(value) => Ok(Some(value)),
            None => Err(self.wrong(key, value, "true or false")),
        }
    }

    fn duration(&self, key: &str) -> Result<Option<Duration>> {
        let Some(text) = self.string(key)? else {
            return Ok(None);
        };
        let duration = humantime::parse_duration(&text.value).map_err(|error| {
            text.at
                .error(format!("`{key}` in `[{}]` is not a duration", self.name))
                .with_source(error)
                .hint(match key {
                    "retention" => "write it as `retention = \"90d\"`".to_owned(),
                    _ => format!("write it as `{key} = \"30s\"` or `{key} = \"500ms\"`"),
                })
        })?;
        Ok(Some(duration))
    }

    /// Reads one of a few words.
    fn choice<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Result<Option<T>> {
        let Some(text) = self.string(key)? else {
            return Ok(None);
        };
        if let Some((_, choice)) = words.iter().find(|(word, _)| *word == text.value) {
            return Ok(Some(*choice));
        }
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        Err(text
            .at
            .error(format!(
                "`{}` is not a value of `{key}` in `[{}]`",
                text.value, self.name
            ))
            .hint(format!("it takes `{}`", known.join("`, `"))))
    }

    fn section(&self, default_kind: &str, future: &[&str]) -> Result<Section> {
        let is_store = self.name.starts_with("store.");
        let at = self.place(&self.at);
        let kind = match self.string("kind")? {
            Some(kind) => kind,
            None if self.name == "source" => Located {
                value: default_kind.to_owned(),
                at: at.clone(),
            },
            None => {
                return Err(at
                    .error(format!("`[{}]` has no `kind`", self.name))
                    .hint(format!("add `kind = \"{default_kind}\"`")));
            }
        };
        if future.contains(&kind.value.as_str()) {
            return Err(kind
                .at
                .error(format!(
                    "`kind = \"{}\"` in `[{}]` is not built yet",
                    kind.value, self.name
                ))
                .hint(format!(
                    "this version has others, such as `kind = \"{default_kind}\"`"
                )));
        }
        let settings = self
            .entries
            .iter()
            .filter(|(key, _)| key.get_ref() != "kind")
            .filter(|(key, _)| !is_store || !VAULT_KEYS.contains(&key.get_ref().as_ref()))
            .map(|(key, value)| {
                let located = Located {
                    value: to_json(value.get_ref()),
                    at: self.place(&key.span()),
                };
                (key.get_ref().to_string(), located)
            });
        Ok(Section {
            name: self.name.clone(),
            at,
            kind,
            vault: if is_store {
                self.vault()?
            } else {
                VaultSection::default()
            },
            settings: settings.collect(),
        })
    }

    fn vault(&self) -> Result<VaultSection> {
        const HASHES: [(&str, HashKind); 2] = [("blake3", HashKind::Blake3), ("sha256", HashKind::Sha256)];
        let old_passphrases = self.strings("old_passphrases")?.unwrap_or_default();
        let encrypt_to = self.strings("encrypt_to")?.map(|value| Located {
            value,
            at: self.place(&self.key_span("encrypt_to")),
        });
        Ok(VaultSection {
            encrypt_to,
            passphrase: self.string("passphrase")?.map(without_text),
            old_passphrases: old_passphrases.into_iter().map(without_text).collect(),
            identity: self.string("identity")?.map(without_text),
            identity_file: self.string("identity_file")?,
            naming_secret: self.string("naming_secret")?.map(without_text),
            hash: self.choice("hash", &HASHES)?.unwrap_or_default(),
        })
    }

    fn count(&self, key: &str) -> Result<Option<Located<usize>>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let number = match to_json(value.get_ref()) {
            Value::Number(number) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
            _ => None,
        };
        match number {
            Some(number) => Ok(Some(Located {
                value: number,
                at: self.place(&value.span()),
            })),
            None => Err(self.wrong(key, value, "a whole number")),
        }
    }

    fn environment(&self) -> Result<EnvironmentSection> {
        self.allow(keys::ENVIRONMENT, &[])?;
        Ok(EnvironmentSection {
            at: self.place(&self.at),
            url: self.string("url")?,
            stores: self.strings("stores")?,
            stores_required: self.count("stores_required")?,
            policy: self
                .table("policy")?
                .map(|table| table.policy())
                .transpose()?
                .unwrap_or_default(),
            approvers: match self.table("policy")? {
                Some(policy) => policy.approvers_file()?,
                None => None,
            },
            approvals: match self.table("policy")? {
                Some(policy) => policy.count("approvals")?,
                None => None,
            },
            lock_timeout: self.duration("lock_timeout")?,
            lock_retries: self.count("lock_retries")?.map(|count| count.value),
            jobs: self.jobs("jobs")?,
            soft_delete: self.duration("soft_delete")?,
            protect: self.protect()?,
            retention: self.retention()?,
            prunes_itself: self.prunes_itself()?,
            hooks: self.hooks()?,
            recovery: self.recovery()?,
        })
    }

    fn jobs(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let number = value.get_ref().as_integer();
        match number.and_then(|number| jobs(&number.as_str().replace('_', ""))) {
            Some(jobs) => Ok(Some(jobs)),
            None => Err(self.wrong(key, value, "a number from 1 to 8")),
        }
    }

    fn retention(&self) -> Result<Rules> {
        let mut rules = Rules {
            age: self.duration("retention")?,
            keep: Keep::default(),
        };
        let Some(table) = self.table("keep")? else {
            return Ok(rules);
        };
        table.allow(&Keep::NAMES, &[])?;
        for name in Keep::NAMES {
            let Some(value) = table.get(name) else { continue };
            let Some(number) = value.get_ref().as_integer() else {
                return Err(table.wrong(name, value, "a number"));
            };
            let count = number.as_str().parse().map_err(|_| {
                let place = table.place(&value.span());
                place.error(format!("`{number}` is no number of points to keep"))
            })?;
            rules
                .keep
                .set(name, count)
                .ok_or_else(|| Error::internal(format!("`{name}` is no rule")))?;
        }
        if rules.keep.is_empty() {
            return Err(table
                .place(&table.at)
                .error(format!("`{}` keeps nothing", table.name))
                .hint("write it as `keep = { daily = 7, weekly = 4 }`, or leave it out"));
        }
        Ok(rules)
    }

    fn prunes_itself(&self) -> Result<bool> {
        let chosen = self
            .choice("prune", &[("auto", true), ("manual", false)])?
            .unwrap_or(false);
        let has_rule = self.get("retention").or_else(|| self.get("keep")).is_some();
        if chosen && !has_rule {
            return Err(self
                .place(&self.key_span("prune"))
                .error(format!(
                    "`prune = \"auto\"` in `[{}]`, and nothing says what is kept",
                    self.name
                ))
                .hint("add a rule: `retention = \"90d\"`, or `keep = { daily = 7, weekly = 4 }`"));
        }
        Ok(chosen)
    }

    fn strings(&self, key: &str) -> Result<Option<Vec<Located<String>>>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let Some(array) = value.get_ref().as_array() else {
            return Err(self.wrong(key, value, "a list of strings"));
        };
        array
            .iter()
            .map(|item| self.string_of(key, item))
            .collect::<Result<_>>()
            .map(Some)
    }
}

/// Reads a number of sessions: a snapshot is shared by no more than eight, and each takes memory.
pub(super) fn jobs(text: &str) -> Option<usize> {
    text.parse().ok().filter(|jobs| (1..=MOST_JOBS).contains(jobs))
}

/// How many sessions work side by side at most.
pub(super) const MOST_JOBS: usize = 8;

/// Leaves the line out of what a place shows: it may be nothing but a secret.
fn without_text(mut located: Located<String>) -> Located<String> {
    "***".clone_into(&mut located.at.text);
    located
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}

fn to_json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(&number.as_str().replace('_', ""), number.radix())
            .map_or_else(|_| Value::String(number.as_str().to_owned()), Value::from),
        DeValue::Float(number) => number
            .as_str()
            .replace('_', "")
            .parse::<f64>()
            .map_or_else(|_| Value::String(number.as_str().to_owned()), Value::from),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(moment) => Value::String(moment.to_string()),
        DeValue::Array(items) => items.iter().map(|item| to_json(item.get_ref())).collect(),
        DeValue::Table(entries) => entries
            .iter()
            .map(|(key, value)| (key.get_ref().to_string(), to_json(value.get_ref())))
            .collect(),
    }
}
