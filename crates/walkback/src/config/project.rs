//! The configuration of one environment, ready to open its adapters.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use walkback_core::{
    AdapterConfig, BackupStore, Engine, Error, ErrorKind, MigrationSource, Registry, Result,
};
use walkback_runner::vault::Vault;
use walkback_runner::{Actor, Policy, Runner, Settings};

use super::FILE_NAME;
use super::environment::{Overrides, VariableOrigin, Variables};
use super::expand::{ExpandError, expand};
use super::file::{EnvironmentSection, FileConfig, Located, Section};
use super::place::{Place, redact_urls, suggest};

/// The environment of a run without a configuration file.
const NO_FILE_ENVIRONMENT: &str = "default";
/// Where backups go if nothing says otherwise, beside the configuration.
const DEFAULT_VAULT: &str = ".walkback/vault";

/// A configuration with one environment chosen.
#[derive(Debug, Clone)]
pub struct Project {
    file: Option<PathBuf>,
    base: PathBuf,
    working_directory: PathBuf,
    config: FileConfig,
    variables: Variables,
    overrides: Overrides,
    environment: String,
}

/// The URL of a database, and who named it.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    url: String,
    base: PathBuf,
    section: String,
    at: Option<Place>,
}

/// Without the password.
impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatabaseUrl")
            .field("url", &redact_urls(&self.url))
            .field("section", &self.section)
            .finish_non_exhaustive()
    }
}

impl DatabaseUrl {
    /// Returns the URL as it was given, with its password.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.url
    }
}

impl Project {
    /// Loads the configuration for a working directory: the file that a flag or `WALKBACK_CONFIG` names, or
    /// the first `walkback.toml` upwards, or none.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if a file that was named does not exist, [`ErrorKind::Config`] if a file cannot
    /// be read or the environment is not in it.
    pub fn load(working_directory: &Path, mut variables: Variables, overrides: Overrides) -> Result<Self> {
        let named = overrides
            .file
            .clone()
            .or_else(|| variables.setting("WALKBACK_CONFIG").map(PathBuf::from));
        let file = match named {
            Some(file) => Some(working_directory.join(file)),
            None => working_directory
                .ancestors()
                .map(|folder| folder.join(FILE_NAME))
                .find(|file| file.is_file()),
        };
        let base = file
            .as_deref()
            .and_then(Path::parent)
            .map_or_else(|| working_directory.to_owned(), Path::to_owned);
        variables.read_file(&base)?;
        let config = match &file {
            Some(file) => {
                let shown = file.strip_prefix(working_directory).unwrap_or(file);
                let text = read(file, shown)?;
                FileConfig::parse(shown, &text)?
            }
            None => FileConfig::default(),
        };
        let environment = choose_environment(file.as_deref(), &config, &variables, &overrides)?;
        Ok(Self {
            file,
            base,
            working_directory: working_directory.to_owned(),
            config,
            variables,
            overrides,
            environment,
        })
    }

    /// Returns the same project with paths as a person in the working directory would type them:
    /// `migrations/1_a/up.sql`, `../walkback.toml`. The working directory must be that of the process.
    #[must_use]
    pub fn with_short_paths(mut self) -> Self {
        self.base = shortened(&self.base, &self.working_directory);
        self.working_directory = PathBuf::new();
        self
    }

    /// Returns the name of the chosen environment.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// Returns the configuration file, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Returns the folder that paths in the configuration are meant from.
    #[must_use]
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Returns the variables the configuration was loaded with.
    #[must_use]
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// Returns the rules of the environment.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.section()
            .map(|section| section.policy.clone())
            .unwrap_or_default()
    }

    /// Returns the URL of the database.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if nobody names one, or a variable in it is not defined.
    pub fn database_url(&self) -> Result<DatabaseUrl> {
        if let Some(url) = &self.overrides.url {
            return Ok(self.url_from_outside(url, "--url", &self.working_directory));
        }
        for name in ["WALKBACK_URL", "DATABASE_URL"] {
            if let Some(url) = self.variables.setting(name) {
                let base = match self.variables.find(name) {
                    Some((_, VariableOrigin::File(_))) => &self.base,
                    _ => &self.working_directory,
                };
                return Ok(self.url_from_outside(url, name, base));
            }
        }
        match self.section().and_then(|section| section.url.as_ref()) {
            Some(url) => Ok(DatabaseUrl {
                url: self.expand(url)?,
                base: self.base.clone(),
                section: format!("env.{}", self.environment),
                at: Some(url.at.clone()),
            }),
            None => Err(self.no_url()),
        }
    }

    /// Returns what a person should know about how the configuration was put together.
    ///
    /// # Errors
    /// As [`Project::database_url`].
    pub fn warnings(&self) -> Result<Vec<String>> {
        let chosen = self.database_url()?;
        let by_variable = ["WALKBACK_URL", "DATABASE_URL"].contains(&chosen.section.as_str());
        let Some(in_file) = self.section().and_then(|section| section.url.as_ref()) else {
            return Ok(Vec::new());
        };
        // An undefined variable in the file is no concern here: that URL is not the one that is used.
        if !by_variable || self.expand(in_file).is_ok_and(|url| url == chosen.url) {
            return Ok(Vec::new());
        }
        Ok(vec![format!(
            "`{}` takes the place of the `url` of `[env.{}]` ({}:{})",
            chosen.section,
            self.environment,
            in_file.at.file.display(),
            in_file.at.line
        )])
    }

    /// Opens the engine. Does not connect.
    ///
    /// # Errors
    /// As [`Project::database_url`] and [`Registry::open_engine`].
    pub fn open_engine(&self, registry: &Registry) -> Result<Arc<dyn Engine>> {
        let url = self.database_url()?;
        let config = AdapterConfig::new(&url.section, &url.base);
        registry
            .open_engine(&url.url, &config)
            .map_err(|error| match &url.at {
                Some(at) => error.wrap(format!(
                    "the database of `[{}]` cannot be opened ({}:{})",
                    url.section,
                    at.file.display(),
                    at.line
                )),
                None => error,
            })
    }

    /// Opens the source of migrations.
    ///
    /// # Errors
    /// As [`Registry::open_source`], with the line of the configuration.
    pub fn open_source(&self, registry: &Registry) -> Result<Arc<dyn MigrationSource>> {
        let Some(section) = &self.config.source else {
            let config = AdapterConfig::new("source", &self.base).with("path", "migrations");
            return registry.open_source("sql", &config);
        };
        let mut config = self.adapter_config(section)?;
        config
            .settings
            .entry("path")
            .or_insert_with(|| Value::from("migrations"));
        let kind = self.expand(&section.kind)?;
        registry
            .open_source(&kind, &config)
            .map_err(|error| located(section, error))
    }

    /// Opens the store backups go to. `None` if the environment says `stores = []`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the environment names a store that is not there, several where one has to be
    /// chosen, or more than one; and as [`Registry::open_store`].
    pub fn open_store(&self, registry: &Registry) -> Result<Option<Arc<dyn BackupStore>>> {
        let Some(section) = self.store_section()? else {
            if self.section().is_some_and(|section| section.stores.is_some()) {
                return Ok(None);
            }
            let config = AdapterConfig::new("store.local", &self.base).with("path", DEFAULT_VAULT);
            return registry.open_store("fs", &config).map(Some).map_err(|error| {
                error.hint(format!(
                    "or say `stores = []` in `[env.{}]` to keep no backups",
                    self.environment
                ))
            });
        };
        let config = self.adapter_config(section)?;
        let kind = self.expand(&section.kind)?;
        let store = registry
            .open_store(&kind, &config)
            .map_err(|error| located(section, error))?;
        Ok(Some(store))
    }

    /// Returns how long to wait for the lock.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if `WALKBACK_LOCK_TIMEOUT` is not a duration.
    pub fn lock_timeout(&self) -> Result<Option<Duration>> {
        if let Some(timeout) = self.overrides.lock_timeout {
            return Ok(Some(timeout));
        }
        if let Some(text) = self.variables.setting("WALKBACK_LOCK_TIMEOUT") {
            return humantime::parse_duration(text).map(Some).map_err(|error| {
                Error::config(format!("`WALKBACK_LOCK_TIMEOUT={text}` is not a duration"))
                    .with_source(error)
                    .hint("write it as `30s` or `500ms`")
            });
        }
        Ok(self.section().and_then(|section| section.lock_timeout))
    }

    /// Returns what a runner is told about the environment.
    ///
    /// # Errors
    /// As [`Project::lock_timeout`].
    pub fn settings(&self, actor: Actor) -> Result<Settings> {
        let mut settings = Settings::new(&self.environment, actor);
        settings.policy = self.policy();
        if let Some(timeout) = self.lock_timeout()? {
            settings.lock_timeout = timeout;
        }
        Ok(settings)
    }

    /// Opens everything and puts it together. Does not connect.
    ///
    /// # Errors
    /// As the methods that open the parts.
    pub fn runner(&self, registry: &Registry, actor: Actor) -> Result<Runner> {
        let engine = self.open_engine(registry)?;
        let source = self.open_source(registry)?;
        let vault = self
            .open_store(registry)?
            .map(|store| Vault::new(store, ""))
            .transpose()?;
        Ok(Runner::new(engine, source, vault, self.settings(actor)?))
    }

    fn section(&self) -> Option<&EnvironmentSection> {
        self.config.environments.get(&self.environment)
    }

    fn url_from_outside(&self, url: &str, from: &str, base: &Path) -> DatabaseUrl {
        DatabaseUrl {
            url: url.to_owned(),
            base: base.to_owned(),
            section: from.to_owned(),
            at: None,
        }
    }

    fn no_url(&self) -> Error {
        let error = Error::config(format!(
            "no database is named for the environment `{}`",
            self.environment
        ));
        match self.section() {
            Some(section) => error.hint(format!(
                "add `url = \"sqlite:app.db\"` to `[env.{}]` ({}:{}), or pass `--url sqlite:app.db`",
                self.environment,
                section.at.file.display(),
                section.at.line
            )),
            None => error.hint(
                "pass `--url sqlite:app.db`, set `DATABASE_URL`, or write a `walkback.toml` with `walkback init`",
            ),
        }
    }

    fn store_section(&self) -> Result<Option<&Section>> {
        let Some(section) = self.section() else {
            return self.only_store();
        };
        let Some(names) = &section.stores else {
            return self.only_store();
        };
        if let [_, second, ..] = names.as_slice() {
            return Err(second
                .at
                .error(format!(
                    "more than one store in `[env.{}]` is not built yet",
                    self.environment
                ))
                .hint(format!("keep one: `stores = [\"{}\"]`", names[0].value)));
        }
        let Some(name) = names.first() else {
            return Ok(None);
        };
        let wanted = self.expand(name)?;
        self.config.stores.get(&wanted).map(Some).ok_or_else(|| {
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
            "say which one: `stores = [..]` in `[env.{}]`; there are {names}",
            self.environment
        );
        Err(match self.section() {
            Some(section) => section.at.error(message),
            None => Error::config(message),
        }
        .hint(hint))
    }

    fn adapter_config(&self, section: &Section) -> Result<AdapterConfig> {
        let mut config = AdapterConfig::new(&section.name, &self.base);
        for (key, setting) in &section.settings {
            config
                .settings
                .insert(key.clone(), self.expand_value(&setting.value, &setting.at)?);
        }
        Ok(config)
    }

    fn expand_value(&self, value: &Value, at: &Place) -> Result<Value> {
        Ok(match value {
            Value::String(text) => Value::String(self.expand_at(text, at)?),
            Value::Array(items) => Value::Array(
                items
                    .iter()
                    .map(|item| self.expand_value(item, at))
                    .collect::<Result<_>>()?,
            ),
            Value::Object(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), self.expand_value(value, at)?)))
                    .collect::<Result<_>>()?,
            ),
            other => other.clone(),
        })
    }

    fn expand(&self, text: &Located<String>) -> Result<String> {
        self.expand_at(&text.value, &text.at)
    }

    fn expand_at(&self, text: &str, at: &Place) -> Result<String> {
        expand(text, &|name| self.variables.get(name).map(str::to_owned)).map_err(|error| match error {
            ExpandError::Undefined(name) => at.error(format!("the variable `{name}` is not defined")).hint(format!(
                "set `{name}` in the environment or in `.env` beside the configuration, or give a default: \
                 `${{{name}:-..}}`"
            )),
            ExpandError::Malformed(text) => at
                .error(format!("`{text}` is not a variable"))
                .hint("write `${NAME}` or `${NAME:-default}`, and `$${` for a literal `${`"),
        })
    }
}

fn choose_environment(
    file: Option<&Path>,
    config: &FileConfig,
    variables: &Variables,
    overrides: &Overrides,
) -> Result<String> {
    let environments: &BTreeMap<_, _> = &config.environments;
    let wanted = overrides
        .environment
        .as_deref()
        .or_else(|| variables.setting("WALKBACK_ENV"));
    if let Some(wanted) = wanted {
        if environments.contains_key(wanted) {
            return Ok(wanted.to_owned());
        }
        let error = Error::new(ErrorKind::Config, format!("there is no environment `{wanted}`"));
        return Err(match (suggest(wanted, environments.keys().map(String::as_str)), file) {
            (Some(close), _) => error.hint(format!("did you mean `{close}`?")),
            (None, Some(file)) if !environments.is_empty() => {
                error.hint(format!("`{}` has {}", file.display(), listed(environments.keys())))
            }
            (None, Some(file)) => {
                error.hint(format!("add a section `[env.{wanted}]` with a `url` to `{}`", file.display()))
            }
            (None, None) => error.hint(
                "there is no `walkback.toml` here or above: write one with `walkback init`, or leave out `--env`",
            ),
        });
    }
    match environments.len() {
        0 => Ok(NO_FILE_ENVIRONMENT.to_owned()),
        1 => Ok(environments.keys().next().cloned().unwrap_or_default()),
        _ if environments.contains_key("dev") => Ok("dev".to_owned()),
        _ => Err(
            Error::config("several environments are configured, and none was named").hint(format!(
                "pass `--env` with one of {}, or set `WALKBACK_ENV`",
                listed(environments.keys())
            )),
        ),
    }
}

fn read(file: &Path, shown: &Path) -> Result<String> {
    let bytes = std::fs::read(file).map_err(|error| {
        Error::io("read the configuration", shown, error)
            .hint("name one with `--config`, or write one with `walkback init`")
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Error::config(format!(
            "the configuration is not UTF-8 ({}:{line})",
            shown.display()
        ))
        .with_source(error)
    })
}

/// Returns how a folder above or below the working directory is called from there; any other one as it is.
fn shortened(folder: &Path, working_directory: &Path) -> PathBuf {
    if let Ok(below) = folder.strip_prefix(working_directory) {
        return below.to_owned();
    }
    match working_directory.strip_prefix(folder) {
        Ok(below) => below.components().map(|_| "..").collect(),
        Err(_) => folder.to_owned(),
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Points an adapter's complaint about its settings at the key it names, or at the section.
fn located(section: &Section, error: Error) -> Error {
    if error.kind() != ErrorKind::Config {
        return error;
    }
    let message = error.message().to_owned();
    let named: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let place = named
        .iter()
        .find_map(|name| section.settings.get(*name))
        .map_or(&section.kind.at, |setting| &setting.at);
    let place = if message.contains("missing field") {
        &section.at
    } else {
        place
    };
    let unknown = named.iter().find(|name| section.settings.contains_key(**name));
    let known = named
        .iter()
        .skip_while(|name| unknown.is_none_or(|unknown| *name != unknown))
        .skip(1);
    let close = unknown
        .filter(|_| message.contains("unknown field"))
        .and_then(|unknown| suggest(unknown, known.copied()));
    let mut outer = place.error(&message);
    for hint in error.hints() {
        outer = outer.hint(hint);
    }
    match close {
        Some(close) => outer.hint(format!("did you mean `{close}`?")),
        None => outer,
    }
}
