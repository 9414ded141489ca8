//! The source of an environment, and the settings of its adapters with variables filled in.

use std::sync::Arc;

use serde_json::Value;
use walkback_core::{AdapterConfig, Environment, Error, ErrorKind, MigrationSource, Registry, Result};

use super::expand::{ExpandError, expand};
use super::file::{Located, Section};
use super::place::{Place, suggest};
use super::project::Project;

impl Project {
    /// Opens the source of migrations.
    ///
    /// # Errors
    /// As [`Registry::open_source`], with the line of the configuration.
    pub fn open_source(&self, registry: &Registry) -> Result<Arc<dyn MigrationSource>> {
        let Some(section) = &self.config.source else {
            let config = AdapterConfig::new("source", &self.base).with("path", "migrations");
            return registry.open_source("sql", &config);
        };
        let config = self.adapter_config(section)?;
        let kind = self.expand(&section.kind)?;
        registry
            .open_source(&kind, &config)
            .map_err(|error| located(section, error))
    }

    pub(super) fn adapter_config(&self, section: &Section) -> Result<AdapterConfig> {
        let variables = self.variables.clone();
        let mut config =
            AdapterConfig::new(&section.name, &self.base).in_environment(Environment::new(move |name| {
                variables.get(name).map(str::to_owned)
            }));
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

    pub(super) fn expand(&self, text: &Located<String>) -> Result<String> {
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

/// Points an adapter's complaint about its settings at the key it names, or at the section.
pub(super) fn located(section: &Section, error: Error) -> Error {
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
