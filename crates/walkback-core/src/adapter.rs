//! What an adapter is given when it is opened.

use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The settings of one adapter, as they stand in the configuration or on the command line.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AdapterConfig {
    /// What the settings are called in messages: `store.local`, `source`, `--url`.
    pub section: String,
    /// The settings, without `kind`.
    pub settings: Map<String, Value>,
    /// The folder relative paths are meant from.
    pub base: PathBuf,
}

impl AdapterConfig {
    /// Creates the settings of an adapter.
    pub fn new(section: impl Into<String>, base: impl Into<PathBuf>) -> Self {
        Self {
            section: section.into(),
            settings: Map::new(),
            base: base.into(),
        }
    }

    /// Returns the same settings with one more.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.settings.insert(key.to_owned(), value.into());
        self
    }

    /// Reads the settings into the adapter's own type, which should refuse unknown fields.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) that names the section and the field.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_value(Value::Object(self.settings.clone()))
            .map_err(|error| Error::config(format!("`[{}]` in the configuration: {error}", self.section)))
    }

    /// Returns a path of the settings, made absolute from [`AdapterConfig::base`].
    #[must_use]
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }
}
