//! What revisions say of themselves only when they are run.

use serde::Deserialize;

/// A revision as Alembic knows it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Known {
    pub(crate) file: std::path::PathBuf,
    pub(crate) id: String,
    pub(crate) down: Vec<String>,
    pub(crate) labels: Vec<String>,
    pub(crate) depends_on: Vec<String>,
}

/// All of them.
#[derive(Debug, Deserialize)]
pub(crate) struct Graph {
    pub(crate) revisions: Vec<Known>,
}
