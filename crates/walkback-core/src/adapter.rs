//! What an adapter is given when it is opened.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

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
    /// The variables of the surroundings, for adapters whose users expect theirs to count (`PGHOST`). Empty
    /// unless whoever opens the adapter gives them: no adapter asks the system.
    pub environment: Environment,
}

/// Looks a variable up by its name.
type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Variables of the surroundings, by name.
#[derive(Clone, Default)]
pub struct Environment(Option<Arc<Lookup>>);

/// Nothing of them: values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}

impl Environment {
    /// Creates an environment from a way to look variables up.
    pub fn new(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(lookup)))
    }

    /// Returns the value of a variable; an empty one counts as not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        let lookup = self.0.as_ref()?;
        lookup(name).filter(|value| !value.is_empty())
    }
}

impl AdapterConfig {
    /// Creates the settings of an adapter.
    pub fn new(section: impl Into<String>, base: impl Into<PathBuf>) -> Self {
        Self {
            section: section.into(),
            settings: Map::new(),
            base: base.into(),
            environment: Environment::default(),
        }
    }

    /// Returns the same settings in these surroundings.
    #[must_use]
    pub fn in_environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
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
