//! What is said of a migration that has no way down: the ways that there are.

use walkback_core::{Error, ErrorKind, MigrationId};

use super::build::Planner;
use crate::runner::Runner;
use crate::state::State;

impl Planner<'_> {
    pub(super) fn no_down(&self, id: &MigrationId) -> Error {
        let name = self.state.named(id).name;
        let migration = self.state.graph.get(id);
        let place = migration
            .map(|migration| format!(" ({})", migration.place()))
            .unwrap_or_default();
        let why = migration.and_then(|migration| migration.irreversible.clone());
        let error = match why {
            Some(why) => Error::new(
                ErrorKind::Refused,
                format!("migration `{name}` is irreversible: {why}{place}"),
            ),
            None => Error::new(
                ErrorKind::NotFound,
                format!("migration `{name}` has no down script{place}"),
            ),
        };
        let error = match is_kept(self.state, id) {
            true => {
                error.hint("run `walkback rollback`: it restores from the point made before the migration")
            }
            false => ways_elsewhere(self.runner, self.state, id, error),
        };
        error.hint(match migration.filter(|one| one.up_hash.is_some()) {
            Some(_) => "or write its way down into its file",
            None => "or write a `down.sql` beside its up script",
        })
    }
}

/// Returns whether something was kept when a migration was applied that leads back from it.
fn is_kept(state: &State, id: &MigrationId) -> bool {
    let stored = state.stored.get(id);
    stored.is_some_and(|stored| stored.point.is_some() || stored.changes.is_some())
}

/// Names the ways back from a migration of which nothing was kept.
pub(crate) fn ways_elsewhere(runner: &Runner, state: &State, id: &MigrationId, error: Error) -> Error {
    let error = error.hint(
        "`walkback rollback --backup-file <BACKUP>` goes back to a whole backup, or to a dump; `walkback backup list` shows them",
    );
    // What it has applied itself it may know a way back from.
    match runner.ledger().walks_back {
        Some(command) if !state.stored.contains_key(id) => error.hint(format!(
            "`{command}` walks back the newest: both work on the same ledger, in turn"
        )),
        _ => error,
    }
}
