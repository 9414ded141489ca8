//! Alembic's version table, as `env.py` calls it.

use std::path::Path;

use walkback_core::ledger::LedgerFormat;
use walkback_core::{Result, TableName};

use crate::config::Config;
use crate::error;
use crate::syntax::{Constant, Source, children, line_of};

/// Where the versions are, and what the table is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VersionTable {
    pub(crate) table: TableName,
    pub(crate) has_key: bool,
}

impl VersionTable {
    /// Finds out what a project calls its table: `walkback.toml` says it, or `env.py` by a constant.
    ///
    /// # Errors
    /// `Config` by `file:line` where `env.py` computes it, and nobody else says it.
    pub(crate) fn of(config: &Config, scripts: &Path) -> Result<Self> {
        let file = scripts.join("env.py");
        let configured = if file.is_file() {
            Configured::read(&file)?
        } else {
            Configured::default()
        };
        let name = config.version_table.clone();
        let name = match name {
            Some(name) => Some(name),
            None => text(&file, "version_table", configured.table)?,
        };
        let schema = match &config.version_table_schema {
            Some(schema) => Some(schema.clone()),
            None => text(&file, "version_table_schema", configured.schema)?,
        };
        let has_key = config.version_table_pk.or(match configured.key {
            Some(Constant::Flag(flag)) => Some(flag),
            _ => None,
        });
        let mut table = TableName::new(name.unwrap_or_else(|| "alembic_version".to_owned()));
        table.schema = schema;
        Ok(Self {
            table,
            has_key: has_key.unwrap_or(true),
        })
    }

    /// Returns the format of the ledger.
    pub(crate) fn format(&self) -> LedgerFormat {
        let mut format = LedgerFormat::alembic(self.table.clone(), self.has_key);
        format.walks_back = Some("alembic downgrade -1");
        format
    }
}

fn text(file: &Path, name: &str, value: Option<Constant>) -> Result<Option<String>> {
    match value {
        None | Some(Constant::None) => Ok(None),
        Some(Constant::Text(text)) => Ok(Some(text)),
        Some(other) => {
            let line = match other {
                Constant::Computed { line } => line,
                _ => 1,
            };
            Err(
                error::at(file, line, format!("`{name}` is not a text that stands there")).hint(format!(
                    "say it in walkback.toml: `{name} = \"..\"` in the section `[source]`"
                )),
            )
        }
    }
}

/// What `env.py` gives to `context.configure`.
#[derive(Debug, Default)]
struct Configured {
    table: Option<Constant>,
    schema: Option<Constant>,
    key: Option<Constant>,
}

impl Configured {
    fn read(file: &Path) -> Result<Self> {
        let source = Source::read(file)?;
        let constants = source.constants();
        let mut configured = Self::default();
        let mut calls = source.calls("configure");
        calls.sort_by_key(|call| line_of(*call));
        for call in calls {
            let arguments = call
                .child_by_field_name("arguments")
                .map(children)
                .unwrap_or_default();
            for argument in arguments {
                let (Some(name), Some(value)) = (
                    argument.child_by_field_name("name"),
                    argument.child_by_field_name("value"),
                ) else {
                    continue;
                };
                let place = match source.slice(name) {
                    "version_table" => &mut configured.table,
                    "version_table_schema" => &mut configured.schema,
                    "version_table_pk" => &mut configured.key,
                    _ => continue,
                };
                place.get_or_insert_with(|| source.value(value, &constants));
            }
        }
        Ok(configured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        serde_json::from_str("{}").unwrap()
    }

    #[test]
    fn the_table_is_called_what_env_says() {
        let folder = tempfile::tempdir().unwrap();
        let of = |env: &str| {
            std::fs::write(folder.path().join("env.py"), env).unwrap();
            VersionTable::of(&config(), folder.path())
        };
        let plain = of("context.configure(url=url)\n").unwrap();
        assert_eq!(plain.table, TableName::new("alembic_version"));
        assert!(plain.has_key);
        let named = of(
            "TABLE = 'v' + \"ersions\"\ncontext.configure(\n    version_table=TABLE, version_table_schema='Own',\n    version_table_pk=False)\n",
        )
        .unwrap();
        assert_eq!(named.table.to_string(), "Own.versions");
        assert_eq!(
            named.format().create[&walkback_core::DialectKind::Postgres],
            "CREATE TABLE \"Own\".versions (\n\tversion_num VARCHAR(32) NOT NULL\n)"
        );
        let error = of("x = 1\ncontext.configure(version_table=name())\n").unwrap_err();
        assert!(error.to_string().contains("env.py:2"), "{error}");
    }
}
