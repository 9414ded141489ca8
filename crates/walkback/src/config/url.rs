//! The database of an environment: who names it, and opening its engine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use walkback_core::{AdapterConfig, Engine, Environment, Error, Registry, Result};

use super::environment::VariableOrigin;
use super::place::{Place, redact_urls};
use super::project::Project;

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
    /// Returns the URL of the database: that of `--url`, of `WALKBACK_URL`, of `DATABASE_URL`, or of the environment. Of an
    /// environment that was named, its own goes before `DATABASE_URL`, which is often there for other programs.
    ///
    /// # Errors
    /// `Config` if nobody names one, or a variable in it is not defined.
    pub fn database_url(&self) -> Result<DatabaseUrl> {
        if let Some(url) = &self.overrides.url {
            return Ok(self.url_from_outside(url, "--url", &self.working_directory));
        }
        let own = self.section().and_then(|section| section.url.as_ref());
        let stays = own.is_some() && self.is_named;
        for name in ["WALKBACK_URL", "DATABASE_URL"] {
            if stays && name == "DATABASE_URL" {
                continue;
            }
            if let Some(url) = self.variables.setting(name) {
                let base = match self.variables.find(name) {
                    Some((_, VariableOrigin::File(_))) => &self.base,
                    _ => &self.working_directory,
                };
                return Ok(self.url_from_outside(url, name, base));
            }
        }
        match own {
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
    pub(super) fn url_warnings(&self) -> Result<Vec<String>> {
        let chosen = self.database_url()?;
        let by_variable = ["WALKBACK_URL", "DATABASE_URL"].contains(&chosen.section.as_str());
        let Some(in_file) = self.section().and_then(|section| section.url.as_ref()) else {
            return Ok(Vec::new());
        };
        if let Some(unused) = self.unused_variable(&chosen) {
            return Ok(vec![format!(
                "`{unused}` is not used: the environment `{}` was named, and has a `url` of its own ({}:{})",
                self.environment,
                in_file.at.file.display(),
                in_file.at.line
            )]);
        }
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

    /// Returns the variable that names another database than the one that was named with its environment.
    fn unused_variable(&self, chosen: &DatabaseUrl) -> Option<&'static str> {
        let is_own = chosen.at.is_some() && self.is_named;
        let other = self.variables.setting("DATABASE_URL").filter(|_| is_own)?;
        (other != chosen.url).then_some("DATABASE_URL")
    }

    /// Opens the engine. Does not connect.
    ///
    /// # Errors
    /// As [`Project::database_url`] and [`Registry::open_engine`].
    pub fn open_engine(&self, registry: &Registry) -> Result<Arc<dyn Engine>> {
        let url = self.database_url()?;
        let variables = self.variables.clone();
        let config =
            AdapterConfig::new(&url.section, &url.base).in_environment(Environment::new(move |name| {
                variables.get(name).map(str::to_owned)
            }));
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
}
