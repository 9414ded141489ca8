//! Migrations that another tool can apply and walkback cannot: they are named, and so is what builds on them; all others are verified.

use std::collections::BTreeMap;

use walkback_core::graph::MigrationGraph;
use walkback_core::{Cx, Direction, ErrorKind, Migration, MigrationId, Result};

use super::{Verdict, VerifyOutcome, chain};
use crate::runner::Runner;

impl Runner {
    /// Returns the migrations that cannot be applied to a scratch database, with the reason.
    pub(super) async fn beyond(
        &self,
        cx: &Cx,
        graph: &MigrationGraph,
    ) -> Result<BTreeMap<MigrationId, String>> {
        let kind = self.dialect().kind();
        let mut found: BTreeMap<MigrationId, String> = BTreeMap::new();
        let mut roots: BTreeMap<MigrationId, MigrationId> = BTreeMap::new();
        for migration in graph.iter() {
            cx.check()?;
            let mut below = migration.parents.iter().chain(&migration.depends_on);
            if let Some(root) = below.find_map(|id| roots.get(id)).cloned() {
                found.insert(
                    migration.id.clone(),
                    format!("it comes after `{root}`, which walkback cannot apply"),
                );
                roots.insert(migration.id.clone(), root);
                continue;
            }
            match self.source().script(cx, kind, &migration.id, Direction::Up).await {
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    found.insert(migration.id.clone(), chain(&error));
                    roots.insert(migration.id.clone(), migration.id.clone());
                }
                // Whatever else is wrong with it is told when its turn comes.
                _ => {}
            }
        }
        Ok(found)
    }
}

impl VerifyOutcome {
    /// Returns what is said of a migration that was not run: nothing is known of its way back.
    pub(super) fn beyond(migration: &Migration, why: &str) -> Self {
        Self {
            id: migration.id.clone(),
            name: migration.name(),
            verdict: Verdict::Unknown { why: why.to_owned() },
            origin: None,
            passed: false,
            differences: Vec::new(),
            error: None,
            without_rows: Vec::new(),
            scripts: None,
        }
    }
}
