//! The settings of this source.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `[source]` with `kind = "liquibase"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The root changelog, from the search path. Liquibase writes it into the column `FILENAME` as it is written here.
    pub(crate) path: String,
    /// The folder that paths are from, as Liquibase's `searchPath`; the folder of the configuration by default.
    #[serde(default)]
    pub(crate) search_path: Option<String>,
    /// The contexts that are applied, as `--contexts`. Without any, all are.
    #[serde(default)]
    pub(crate) contexts: Vec<String>,
    /// Which labels are applied, as `--label-filter`.
    #[serde(default)]
    pub(crate) labels: Option<String>,
    /// Values of `${..}`, as `-D`. They win over properties of the changelog.
    #[serde(default)]
    pub(crate) parameters: BTreeMap<String, String>,
    /// What `dbms` is compared with: to be said where a changelog tells MySQL and MariaDB apart.
    #[serde(default)]
    pub(crate) dbms: Option<String>,
    /// Who writes new changesets.
    #[serde(default)]
    pub(crate) author: Option<String>,
}
