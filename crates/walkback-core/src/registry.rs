//! How a binary finds the adapters it was built with.
//!
//! An adapter registers constant data with `register_engine!`, `register_store!` or `register_source!`; no
//! code runs before `main`. Only a crate that names the adapter (`use adapter as _;`) links it, which is why
//! `walkback-adapters` alone does so and checks the outcome against what it expects.

use std::sync::Arc;

use crate::adapter::AdapterConfig;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::source::MigrationSource;
use crate::store::BackupStore;

/// An engine a binary may hold.
#[derive(Debug, Clone, Copy)]
pub struct EngineEntry {
    /// Schemes of the URLs it answers to, the first being its name.
    pub schemes: &'static [&'static str],
    /// Opens the engine at a URL. Does not connect.
    pub open: fn(url: &str, config: &AdapterConfig) -> Result<Arc<dyn Engine>>,
    /// A URL, for messages and the reference.
    pub example: &'static str,
    /// One line for the reference.
    pub doc: &'static str,
}

/// A store a binary may hold.
#[derive(Debug, Clone, Copy)]
pub struct StoreEntry {
    /// Its `kind` in the configuration.
    pub kind: &'static str,
    /// Opens the store.
    pub open: fn(config: &AdapterConfig) -> Result<Arc<dyn BackupStore>>,
    /// A section of the configuration, for messages and the reference.
    pub example: &'static str,
    /// One line for the reference.
    pub doc: &'static str,
}

/// A source a binary may hold.
#[derive(Debug, Clone, Copy)]
pub struct SourceEntry {
    /// Its `kind` in the configuration.
    pub kind: &'static str,
    /// Opens the source.
    pub open: fn(config: &AdapterConfig) -> Result<Arc<dyn MigrationSource>>,
    /// A section of the configuration, for messages and the reference.
    pub example: &'static str,
    /// One line for the reference.
    pub doc: &'static str,
}

inventory::collect!(EngineEntry);
inventory::collect!(StoreEntry);
inventory::collect!(SourceEntry);

/// Registers an engine: `register_engine!(EngineEntry { .. });`
#[macro_export]
macro_rules! register_engine {
    ($entry:expr) => {
        $crate::inventory::submit! { $entry }
    };
}

/// Registers a store: `register_store!(StoreEntry { .. });`
#[macro_export]
macro_rules! register_store {
    ($entry:expr) => {
        $crate::inventory::submit! { $entry }
    };
}

/// Registers a source: `register_source!(SourceEntry { .. });`
#[macro_export]
macro_rules! register_source {
    ($entry:expr) => {
        $crate::inventory::submit! { $entry }
    };
}

/// Features that a build of walkback can have, by the scheme or kind they add: what an unknown scheme is
/// answered with. Kept here so that the answer does not depend on what was linked.
const FEATURES: &[(&str, &str)] = &[
    ("sqlite", "sqlite"),
    ("postgres", "postgres"),
    ("postgresql", "postgres"),
    ("mysql", "mysql"),
    ("mariadb", "mysql"),
    ("fs", "fs"),
    ("sql", "sql"),
    ("diesel", "diesel"),
    ("alembic", "alembic"),
    ("liquibase", "liquibase"),
];

/// The adapters a program can open, sorted, without duplicates.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    engines: Vec<EngineEntry>,
    stores: Vec<StoreEntry>,
    sources: Vec<SourceEntry>,
}

impl Registry {
    /// Creates a registry without adapters.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Creates a registry of every adapter linked into this program.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if two adapters claim the same name.
    pub fn linked() -> Result<Self> {
        let mut registry = Self::empty();
        for entry in inventory::iter::<EngineEntry> {
            registry.add_engine(*entry)?;
        }
        for entry in inventory::iter::<StoreEntry> {
            registry.add_store(*entry)?;
        }
        for entry in inventory::iter::<SourceEntry> {
            registry.add_source(*entry)?;
        }
        Ok(registry)
    }

    /// Adds an engine.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if one of its schemes is taken.
    pub fn add_engine(&mut self, entry: EngineEntry) -> Result<()> {
        let taken = entry
            .schemes
            .iter()
            .find(|scheme| self.engine_entry(scheme).is_some());
        if let Some(scheme) = taken {
            return Err(twice("engine", scheme));
        }
        self.engines.push(entry);
        self.engines.sort_by_key(|entry| entry.schemes);
        Ok(())
    }

    /// Adds a store.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if its kind is taken.
    pub fn add_store(&mut self, entry: StoreEntry) -> Result<()> {
        if self.stores.iter().any(|other| other.kind == entry.kind) {
            return Err(twice("store", entry.kind));
        }
        self.stores.push(entry);
        self.stores.sort_by_key(|entry| entry.kind);
        Ok(())
    }

    /// Adds a source.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if its kind is taken.
    pub fn add_source(&mut self, entry: SourceEntry) -> Result<()> {
        if self.sources.iter().any(|other| other.kind == entry.kind) {
            return Err(twice("source", entry.kind));
        }
        self.sources.push(entry);
        self.sources.sort_by_key(|entry| entry.kind);
        Ok(())
    }

    /// Returns the engines, by their first scheme.
    #[must_use]
    pub fn engines(&self) -> &[EngineEntry] {
        &self.engines
    }

    /// Returns the stores, by kind.
    #[must_use]
    pub fn stores(&self) -> &[StoreEntry] {
        &self.stores
    }

    /// Returns the sources, by kind.
    #[must_use]
    pub fn sources(&self) -> &[SourceEntry] {
        &self.sources
    }

    /// Opens the engine a URL asks for.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if no adapter of this build answers to the scheme.
    pub fn open_engine(&self, url: &str, config: &AdapterConfig) -> Result<Arc<dyn Engine>> {
        let Some((scheme, _)) = url.split_once(':') else {
            return Err(
                Error::new(ErrorKind::Config, format!("`{url}` is not a database URL"))
                    .hint("a URL begins with a scheme, such as `sqlite:app.db`"),
            );
        };
        let known = self.engines.iter().flat_map(|entry| entry.schemes).copied();
        match self.engine_entry(scheme) {
            Some(entry) => (entry.open)(url, config),
            None => Err(unknown("engine", "URL scheme", scheme, known.collect())),
        }
    }

    /// Opens a store.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if this build has no such kind, or the settings are wrong.
    pub fn open_store(&self, kind: &str, config: &AdapterConfig) -> Result<Arc<dyn BackupStore>> {
        match self.stores.iter().find(|entry| entry.kind == kind) {
            Some(entry) => (entry.open)(config),
            None => Err(unknown(
                "store",
                "kind",
                kind,
                self.stores.iter().map(|entry| entry.kind).collect(),
            )),
        }
    }

    /// Opens a source.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if this build has no such kind, or the settings are wrong.
    pub fn open_source(&self, kind: &str, config: &AdapterConfig) -> Result<Arc<dyn MigrationSource>> {
        match self.sources.iter().find(|entry| entry.kind == kind) {
            Some(entry) => (entry.open)(config),
            None => Err(unknown(
                "source",
                "kind",
                kind,
                self.sources.iter().map(|entry| entry.kind).collect(),
            )),
        }
    }

    fn engine_entry(&self, scheme: &str) -> Option<&EngineEntry> {
        self.engines.iter().find(|entry| entry.schemes.contains(&scheme))
    }
}

fn twice(what: &str, name: &str) -> Error {
    Error::internal(format!("two adapters register the {what} `{name}`"))
}

fn unknown(what: &str, by: &str, name: &str, known: Vec<&'static str>) -> Error {
    let error = Error::new(
        ErrorKind::Config,
        format!("this build has no {what} for the {by} `{name}`"),
    )
    .hint(format!(
        "it has: {}",
        if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        }
    ));
    if let Some((_, feature)) = FEATURES.iter().find(|(scheme, _)| *scheme == name) {
        return error.hint(format!("build walkback with `--features {feature}` to add it"));
    }
    let close = known
        .iter()
        .filter(|other| strsim::damerau_levenshtein(other, name) <= 2)
        .min();
    match close {
        Some(close) => error.hint(format!("did you mean `{close}`?")),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: &'static str) -> StoreEntry {
        StoreEntry {
            kind,
            open: |_| Err(Error::internal("not opened")),
            example: "",
            doc: "",
        }
    }

    #[test]
    fn a_registry_is_sorted_and_refuses_duplicates() {
        let mut registry = Registry::empty();
        registry.add_store(entry("s3")).unwrap();
        registry.add_store(entry("fs")).unwrap();
        assert_eq!(
            registry
                .stores()
                .iter()
                .map(|entry| entry.kind)
                .collect::<Vec<_>>(),
            ["fs", "s3"]
        );
        assert_eq!(
            registry.add_store(entry("s3")).unwrap_err().kind(),
            ErrorKind::Internal
        );
    }

    #[test]
    fn an_unknown_scheme_is_answered_with_what_there_is() {
        let mut registry = Registry::empty();
        registry.add_store(entry("gcs")).unwrap();
        let config = AdapterConfig::default();
        let error = registry.open_store("fs", &config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(
            error.hints(),
            ["it has: gcs", "build walkback with `--features fs` to add it"]
        );
        let error = registry.open_store("gsc", &config).unwrap_err();
        assert_eq!(error.hints()[1], "did you mean `gcs`?");
    }
}
