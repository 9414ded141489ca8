//! The graph of migrations: what follows what. Pure; reads no file and no database.

use std::collections::HashMap;

use crate::error::Result;
use crate::migration::{Migration, MigrationId};

/// All migrations of a source, as a directed acyclic graph by parents and dependencies.
#[derive(Debug, Clone, Default)]
pub struct MigrationGraph {
    migrations: Vec<Migration>,
    index: HashMap<MigrationId, usize>,
}

impl MigrationGraph {
    /// Builds the graph.
    pub fn build(migrations: Vec<Migration>) -> Result<Self> {
        let index = migrations
            .iter()
            .enumerate()
            .map(|(n, m)| (m.id.clone(), n))
            .collect();
        Ok(Self { migrations, index })
    }

    /// Returns the migration with this identity.
    #[must_use]
    pub fn get(&self, id: &MigrationId) -> Option<&Migration> {
        self.index.get(id).map(|index| &self.migrations[*index])
    }
}
