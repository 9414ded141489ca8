//! A run named in the place of a point: `walkback rollback run_..`.

use walkback_core::{Cx, Error, ErrorKind, Result, Session};

use super::RollbackWhat;
use crate::journal::{Journal, RunRecord};
use crate::killed::{is_walked_back, part_of};
use crate::plan::RunKind;
use crate::runner::{DownTarget, Runner};
use crate::state::State;

impl Runner {
    /// Returns the run that is meant, where the name of one stands for a point: the last that changed something, or the
    /// procedure that it is part of. Loads and scopes are found by names of their own.
    pub(super) async fn named_run(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        what: &RollbackWhat,
    ) -> Result<Option<RollbackWhat>> {
        let id = match what {
            RollbackWhat::Run(_) => return Ok(Some(what.clone())),
            RollbackWhat::Point(id) => id,
            _ => return Ok(None),
        };
        let dialect = self.dialect();
        let mut journal = Journal::new(session, &*dialect);
        if !journal.exists(cx).await? {
            return Ok(None);
        }
        let runs = journal.runs(cx, None).await?;
        let own = [RunKind::Load.name(), RunKind::Scope.name()];
        let named = runs.iter().find(|run| run.id == *id);
        match named.filter(|run| !own.contains(&run.kind.as_str())) {
            Some(_) => last_of(&runs, id).map(Some),
            None => Ok(None),
        }
    }
}

/// Says how to walk back to a migration that was named where a point is meant, if it is one.
pub(super) fn meant_as_target(state: &State, what: &RollbackWhat, error: Error) -> Error {
    let RollbackWhat::Point(id) = what else {
        return error;
    };
    let target = DownTarget::To(id.clone());
    match state.downs(&target) {
        Ok(_) if error.kind() == ErrorKind::NotFound => error.hint(format!(
            "`{id}` is a migration: `walkback rollback --to {id}` walks back what was applied after it"
        )),
        _ => error,
    }
}

/// Returns the last run that changed something, if that is the one of this name. To take an earlier one back would take back
/// what was done since.
fn last_of(runs: &[RunRecord], id: &str) -> Result<RollbackWhat> {
    let mut works = runs.iter().filter(|run| is_walked_back(run));
    let last = works.next();
    let outer = last.and_then(|last| part_of(runs, last));
    match last {
        Some(last) if last.id == id || outer.is_some_and(|outer| outer.id == id) => {
            Ok(RollbackWhat::Run(last.id.clone()))
        }
        _ => Err(Error::new(
            ErrorKind::Refused,
            format!("run `{id}` is not the last that changed something: more was done since"),
        )
        .hint("`walkback rollback --to <TARGET>` walks back all that was applied after a target; `walkback history` shows them")),
    }
}
