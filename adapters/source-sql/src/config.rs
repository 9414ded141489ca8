//! The settings of this source.

use serde::Deserialize;

/// `[source]` with `kind = "sql"`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The folder of the migrations, from the folder of the configuration.
    #[serde(default = "default_path")]
    pub(crate) path: String,
}

fn default_path() -> String {
    "migrations".to_owned()
}
