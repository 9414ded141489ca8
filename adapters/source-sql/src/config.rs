//! The settings of this source.

use serde::Deserialize;

/// `[source]` with `kind = "sql"`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The folder of the migrations, from the folder of the configuration.
    #[serde(default = "default_path")]
    pub(crate) path: String,
    /// The table that says what is applied; `alembic` on PostgreSQL, else `walkback`.
    pub(crate) ledger: Option<Ledger>,
}

/// Whose table says what is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ledger {
    /// `_walkback_ledger`: a row for each migration.
    Walkback,
    /// That, and `alembic_version` with a row for each head, for tools that look there.
    Alembic,
}

fn default_path() -> String {
    "migrations".to_owned()
}
