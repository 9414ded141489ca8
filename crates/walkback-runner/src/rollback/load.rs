//! Taking a load back: which one, and how.

use walkback_core::{Cx, Error, ErrorKind, Result};

use super::plan::Planning;
use super::{RollbackKind, RollbackPlan};
use crate::changes::OnConflict;
use crate::execute::Execution;
use crate::journal::{Journal, LoadRow, LoadState};
use crate::plan::PointScope;
use crate::records::LoadUndo;

impl Planning<'_> {
    /// Returns the load whose way back, or whose run, is called so.
    pub(super) async fn load_named(&mut self, id: &str) -> Result<Option<LoadRow>> {
        let dialect = self.runner.dialect();
        let mut journal = Journal::new(self.session, &*dialect);
        match journal.load_named(self.cx, id).await? {
            Some(load) => Ok(Some(load)),
            None => journal.load_of(self.cx, id).await,
        }
    }

    /// Plans to take back the load of a run. `None`: nothing of it is there.
    pub(super) async fn back_before_load(
        &mut self,
        run: &str,
        kind: RollbackKind,
    ) -> Result<Option<RollbackPlan>> {
        let dialect = self.runner.dialect();
        let load = Journal::new(self.session, &*dialect)
            .load_of(self.cx, run)
            .await?;
        let load = load.filter(|load| load.state == LoadState::Loaded && load.loaded > 0);
        load.map(|load| self.back_to_load(Some(&load), kind)).transpose()
    }

    /// Plans to take back a load.
    pub(super) fn back_to_load(&self, load: Option<&LoadRow>, kind: RollbackKind) -> Result<RollbackPlan> {
        let Some(load) = load else {
            return Err(Error::internal("no load was found to be taken back"));
        };
        if !matches!(
            kind,
            RollbackKind::Auto | RollbackKind::Partial | RollbackKind::Surgical
        ) {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("`--type {}` does not go with a load: its rows are taken back one by one", kind.word()),
            )
            .hint("leave `--type` away, or restore a backup of the table: `walkback restore <BACKUP> --table <TABLE>`"));
        }
        if load.state == LoadState::Undone {
            return Err(Error::not_found(format!(
                "the load `{}` has been taken back already",
                load.point
            )));
        }
        let reason = format!(
            "run `{}` loaded these rows, and the journal knows each of them",
            load.run_id
        );
        Ok(RollbackPlan {
            load: Some(LoadUndo::of(load)),
            ..RollbackPlan::staying(self.state, RollbackKind::Partial, reason)
        })
    }
}

/// Looks at what became of the rows of the load that a plan takes back, and at what an application would lose.
pub(super) async fn look(planning: &mut Planning<'_>, plan: &mut RollbackPlan) -> Result<()> {
    let Some(undo) = &mut plan.load else {
        return Ok(());
    };
    let dialect = planning.runner.dialect();
    Box::pin(undo.look(
        planning.cx,
        &*dialect,
        &mut *planning.session,
        (&planning.schema, plan.on_conflict),
    ))
    .await
}

impl Execution<'_> {
    /// Takes a load back, with a safety point first.
    pub(super) async fn roll_back_load(
        &mut self,
        cx: &Cx,
        undo: &LoadUndo,
        on_conflict: OnConflict,
    ) -> Result<()> {
        let load = self.journal().load_of(cx, &undo.run).await?;
        let Some(load) = load.filter(|load| load.state == LoadState::Loaded) else {
            return Err(Error::new(
                ErrorKind::CheckFailed,
                format!("the load `{}` has been taken back meanwhile", undo.point),
            ));
        };
        self.safety_point(cx, "rollback", &PointScope::Tables(vec![load.table.clone()]))
            .await?;
        let mut tries = self.tries();
        let found = loop {
            match self.undo_load(cx, &load, (on_conflict, undo.overridden)).await {
                Ok(found) => break found,
                Err(error) => tries.again(cx, "the rollback of the load", error).await?,
            }
        };
        self.report.outcome = Some(format!(
            "took back the load `{}`: {} rows of `{}` removed",
            load.point, found.removed, load.table
        ));
        self.report.changes.push(found);
        Ok(())
    }
}
