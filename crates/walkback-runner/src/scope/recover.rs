//! A scope that was killed after it had committed a part: back to its point, or left as it is.

use walkback_core::engine::Begin;
use walkback_core::{Cx, Error, ErrorKind, Result};

use super::SCOPE;
use crate::execute::Execution;
use crate::identity;
use crate::journal::{PointRow, RunEnd, RunStatus, StatementRow};
use crate::recover::RecoverDirection;

/// A scope that was killed half-way, and what can be done about it.
#[derive(Debug, Clone)]
pub(crate) struct ScopeRecovery {
    run: String,
    name: String,
    point: Option<String>,
}

impl ScopeRecovery {
    /// Looks whether what is half-done is a scope.
    pub(crate) fn of(half_done: &[StatementRow]) -> Option<Self> {
        let mark = half_done.first().filter(|row| row.direction == SCOPE)?;
        Some(Self {
            run: mark.run_id.clone(),
            name: mark.migration.clone(),
            point: None,
        })
    }

    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    pub(crate) fn point(&self) -> Option<&str> {
        self.point.as_deref()
    }

    /// Takes the point before it, of those that its run has made.
    pub(crate) fn with_points(mut self, points: &[PointRow]) -> Self {
        let before = points.iter().rfind(|point| point.kind == "before_up");
        self.point = before.map(|point| point.id.clone());
        self
    }

    /// Says what was found.
    pub(crate) fn found(&self) -> String {
        format!(
            "it was in the middle of the scope `{}`, and a part of that is committed",
            self.name
        )
    }

    /// Refuses to go on while this is half-done.
    pub(crate) fn refusal(&self) -> Error {
        Error::new(
            ErrorKind::NeedsRecovery,
            format!("run `{}` was stopped in the middle of the scope `{}`", self.run, self.name),
        )
        .hint("`walkback recover` takes it back to its point, `walkback recover --forward` leaves what it has committed")
    }

    /// Chooses a way: back, unless it is to go forward. Returns why, and what the other way would be.
    pub(crate) fn choose(
        &self,
        wanted: Option<RecoverDirection>,
    ) -> Result<(RecoverDirection, String, String)> {
        let forward = "what it has committed stays, and its program has to do the rest".to_owned();
        match (wanted, &self.point) {
            (Some(RecoverDirection::Forward), Some(point)) => Ok((
                RecoverDirection::Forward,
                forward,
                format!("`walkback recover --back`: its tables go back to the point `{point}`"),
            )),
            (Some(RecoverDirection::Forward), None) => {
                let other = "it cannot go back: no point was made before it".to_owned();
                Ok((RecoverDirection::Forward, forward, other))
            }
            (_, Some(point)) => Ok((
                RecoverDirection::Back,
                format!("the point `{point}` holds what was there before"),
                format!("`walkback recover --forward`: {forward}"),
            )),
            (_, None) => Err(Error::new(
                ErrorKind::NeedsRecovery,
                format!("no point was made before the scope `{}`", self.name),
            )
            .hint("`walkback recover --forward` leaves what it has committed")),
        }
    }
}

impl Execution<'_> {
    /// Puts a scope right that was killed half-way.
    pub(crate) async fn recover_scope(
        &mut self,
        cx: &Cx,
        scope: &ScopeRecovery,
        direction: RecoverDirection,
    ) -> Result<()> {
        match (direction, scope.point()) {
            (RecoverDirection::Back, Some(point)) => {
                self.scope_to_point(cx, &scope.run, point, &scope.name).await?;
                self.report.warnings.push(format!(
                    "the scope `{}` is undone from the point `{point}`",
                    scope.name
                ));
                Ok(())
            }
            (RecoverDirection::Back, None) => Err(scope.refusal()),
            (RecoverDirection::Forward, _) => self.leave_scope(cx, scope).await,
        }
    }

    /// Ends a scope as it is.
    async fn leave_scope(&mut self, cx: &Cx, scope: &ScopeRecovery) -> Result<()> {
        let at = identity::moment(cx.now());
        let heads = self.run.to.clone();
        let detail = format!(
            "scope `{}`: it was killed; run `{}` left what it had committed",
            scope.name, self.run.id
        );
        let by = self.runner.author();
        self.session.begin(cx, Begin::Write).await?;
        let written = async {
            let mut journal = self.journal();
            journal.forget_statements(cx, &scope.run, &scope.name).await?;
            let end = RunEnd {
                id: &scope.run,
                status: RunStatus::Interrupted,
                to: &heads,
                detail: &detail,
                lost: None,
                at: &at,
            };
            Box::pin(journal.finish_run(cx, &by, end)).await
        };
        let written = written.await;
        self.end_transaction(cx, written).await?;
        cx.step("scope.left");
        self.state.unfinished.retain(|run| run.id != scope.run);
        self.report.warnings.push(format!(
            "what the scope `{}` had committed stays as it is",
            scope.name
        ));
        Ok(())
    }
}
