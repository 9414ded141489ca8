//! Taking back a scope that was committed: what it changed in rows, or its tables as a whole.

use walkback_core::{Error, ErrorKind, Result};

use super::plan::Planning;
use super::{RollbackKind, RollbackPlan};
use crate::changes::{Changed, ChangesPlan};
use crate::journal::{Journal, PointRow, RunRecord, RunStatus};
use crate::plan::RunKind;

/// A scope that was committed, with the points before and after it.
#[derive(Debug)]
pub(super) struct DoneScope {
    run: RunRecord,
    before: String,
    after: Option<String>,
}

impl Planning<'_> {
    /// Returns the committed scope that a point was made before.
    pub(super) async fn scope_before(&mut self, id: &str) -> Result<Option<DoneScope>> {
        let dialect = self.runner.dialect();
        if !Journal::new(self.session, &*dialect).exists(self.cx).await? {
            return Ok(None);
        }
        let mut runs = Journal::new(self.session, &*dialect).runs(self.cx, None).await?;
        runs.retain(is_scope);
        if runs.is_empty() {
            return Ok(None);
        }
        // It may be the beginning of an id. What the vault has to say of one that is none is said where it is opened.
        let Ok(point) = self.manifest(id).await else {
            return Ok(None);
        };
        for run in &runs {
            let scope = self.scope_of_run(run).await?;
            if let Some(scope) = scope.filter(|scope| scope.before == point.id) {
                return Ok(Some(scope));
            }
        }
        Ok(None)
    }

    async fn scope_of_run(&mut self, run: &RunRecord) -> Result<Option<DoneScope>> {
        let dialect = self.runner.dialect();
        let points = Journal::new(self.session, &*dialect)
            .points_of(self.cx, &run.id)
            .await?;
        let last = |kind: &str| {
            let found = points.iter().rfind(|point: &&PointRow| point.kind == kind);
            found.map(|point| point.id.clone())
        };
        Ok(last("before_up").map(|before| DoneScope {
            run: run.clone(),
            before,
            after: last("after_up"),
        }))
    }

    /// Plans to take back the scope of a run. `None`: it was not committed.
    pub(super) async fn back_before_scope(
        &mut self,
        run: &RunRecord,
        kind: RollbackKind,
    ) -> Result<Option<RollbackPlan>> {
        if !is_scope(run) {
            return Ok(None);
        }
        match self.scope_of_run(run).await? {
            Some(scope) => self.back_to_scope(&scope, kind).await.map(Some),
            None => Err(Error::not_found(format!(
                "no point was made before run `{}` (scope), and there is no way back from it",
                run.id
            ))
            .hint("name a store in `stores` of the environment, so that the next one has a point")),
        }
    }

    /// Plans to take back a scope: what it changed, if that is known and nothing else was asked for, else its tables.
    pub(super) async fn back_to_scope(
        &mut self,
        scope: &DoneScope,
        kind: RollbackKind,
    ) -> Result<RollbackPlan> {
        let by_rows = match kind {
            RollbackKind::Auto | RollbackKind::Surgical | RollbackKind::Partial => {
                self.scope_by_rows(scope, kind).await
            }
            RollbackKind::Full => return self.scope_as_a_whole(scope, "it was asked for").await,
            RollbackKind::Down | RollbackKind::Transaction | RollbackKind::Backup => {
                return Err(Error::new(
                    ErrorKind::Usage,
                    format!(
                        "`--type {}` does not go with a scope: it has no script",
                        kind.word()
                    ),
                )
                .hint("leave `--type` away, or take `surgical`, `partial` or `full`"));
            }
        };
        match by_rows {
            Err(error) if kind == RollbackKind::Auto && is_of_the_rows(&error) => {
                let why = format!("it goes back as a whole: {}", error.message());
                self.scope_as_a_whole(scope, &why).await
            }
            planned => planned,
        }
    }

    async fn scope_as_a_whole(&mut self, scope: &DoneScope, why: &str) -> Result<RollbackPlan> {
        self.refuse_unheld(&scope.before).await?;
        self.back_to_point(&scope.before, why).await
    }

    async fn scope_by_rows(&mut self, scope: &DoneScope, kind: RollbackKind) -> Result<RollbackPlan> {
        let run = &scope.run.id;
        let Some(after) = &scope.after else {
            return Err(Error::not_found(format!(
                "what run `{run}` (scope) changed is not kept row by row: it changed definitions, or rows without a key, or the server cannot keep others from writing meanwhile"
            ))
            .hint(format!("`walkback rollback {} --type full` brings its tables back as a whole", scope.before)));
        };
        let about = format!("the scope of run `{run}`");
        let was = self.manifest(&scope.before).await;
        let was = was.map_err(|error| self.gone(error, &scope.before, &about))?;
        let left = self.manifest(after).await;
        let left = left.map_err(|error| self.gone(error, after, &about))?;
        let changed = Changed::all(&was, &left, &self.schema)?;
        let kind = match kind {
            RollbackKind::Partial => RollbackKind::Partial,
            _ => RollbackKind::Surgical,
        };
        let reason = format!("what run `{run}` (scope) changed in rows was kept");
        Ok(RollbackPlan {
            changes: Some(ChangesPlan {
                before: was.id,
                after: left.id,
                tables: changed.into_iter().map(|changed| changed.table.name).collect(),
                beside: Vec::new(),
            }),
            of_scope: true,
            ..RollbackPlan::staying(self.state, kind, reason)
        })
    }
}

fn is_scope(run: &RunRecord) -> bool {
    run.kind == RunKind::Scope.name() && run.status == RunStatus::Done
}

/// Returns whether rows cannot go back one by one, and their tables can.
fn is_of_the_rows(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported)
}
