//! The settings of this source.

use serde::Deserialize;

/// `[source]` with `kind = "alembic"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// `alembic.ini` or `pyproject.toml`, from the folder of the configuration.
    pub(crate) path: Option<String>,
    /// The section of `alembic.ini`, as `alembic --name` takes it.
    #[serde(default = "default_section")]
    pub(crate) section: String,
    /// The Python that has the project's Alembic, from the folder of the configuration.
    pub(crate) python: Option<String>,
    /// The version table, where `env.py` does not say it in a way that can be read.
    pub(crate) version_table: Option<String>,
    /// Its schema.
    pub(crate) version_table_schema: Option<String>,
    /// Whether it has a primary key.
    pub(crate) version_table_pk: Option<bool>,
}

fn default_section() -> String {
    "alembic".to_owned()
}
