//! Beginning, committing and taking back a scope.

use std::sync::Arc;

use walkback_core::engine::Begin;
use walkback_core::{Access, Cx, Effect, Error, ErrorKind, MigrationId, Result, ResultExt as _};
use walkback_vault::{Manifest, PointKind};

use super::session::{Held, ScopeSession};
use crate::changes::Kept;
use crate::delta::SchemaDelta;
use crate::execute::{Execution, join};
use crate::identity;
use crate::journal::{RunEnd, RunStatus, StatementRow, StatementState};
use crate::lock;
use crate::plan::{PointScope, RunKind};
use crate::point;

/// The direction of the row that marks a scope.
pub(crate) const SCOPE: &str = "scope";

/// How many characters the journal keeps of a name.
const LONGEST_NAME: usize = 200;

impl Execution<'_> {
    /// Writes the row of the run.
    pub(super) async fn record_scope(&mut self, cx: &Cx) -> Result<()> {
        let heads = self.state.heads(&self.state.applied_set());
        self.record(cx, &heads, &heads).await?;
        cx.step("scope.recorded");
        Ok(())
    }

    /// Makes the point, begins the transaction, marks the scope in it, and gives the session of the run to the work.
    pub(super) async fn open_scope(
        &mut self,
        cx: &Cx,
        name: &str,
        scope: &PointScope,
        spared: Option<String>,
    ) -> Result<ScopeSession> {
        let point = self.begin_with_point(cx, name, scope).await?;
        if !self.session.capability().transactional_ddl {
            let mark = self.mark(cx, name)?;
            self.journal().note_statement(cx, &mark).await?;
        }
        let held = point.map(|point| Held {
            point: point.id,
            tables: match scope {
                PointScope::Tables(tables) => Some(tables.clone()),
                PointScope::None | PointScope::Everything => None,
            },
        });
        self.held = None;
        let schema = self.runner.schema(cx, &mut *self.session).await?;
        cx.step("scope.begun");
        let spare = self.runner.connect(cx, Access::Write).await?;
        let session = std::mem::replace(&mut self.session, spare);
        let dialect = Arc::clone(&self.dialect);
        Ok(ScopeSession::new(
            cx,
            dialect,
            name,
            (held, schema, spared),
            session,
        ))
    }

    /// Makes the point of a scope and begins its transaction, in which nobody else writes to the tables of the point: what
    /// came between the two would be taken for the work of the scope.
    async fn begin_with_point(
        &mut self,
        cx: &Cx,
        name: &str,
        scope: &PointScope,
    ) -> Result<Option<Manifest>> {
        for _ in 0..2 {
            let description = format!("before scope {name}");
            let point = self
                .point(cx, PointKind::BeforeUp, "rb", name, scope, description)
                .await?;
            self.session.begin(cx, Begin::Write).await?;
            let Some(point) = point else { return Ok(None) };
            self.hold(cx, Some(&point)).await?;
            if self.is_true(cx, &point).await? {
                return Ok(Some(point));
            }
            self.session.rollback(cx).await?;
        }
        Err(Error::new(
            ErrorKind::Locked,
            format!("the tables of the scope `{name}` are written to while its point is made"),
        )
        .hint("nothing was changed; run it again, or stop what writes to them for that time"))
    }

    fn mark(&mut self, cx: &Cx, name: &str) -> Result<StatementRow> {
        let effect = serde_json::to_string(&Effect::unknown("it is the work of a program"))
            .map_err(|error| Error::internal("an effect cannot be written as JSON").with_source(error))?;
        Ok(StatementRow {
            run_id: self.run.id.clone(),
            seq: self.next_seq(),
            migration: short(name),
            direction: SCOPE.to_owned(),
            place: "<scope>".to_owned(),
            statement: format!("scope `{name}`"),
            effect,
            state: StatementState::Intent,
            noted_at: identity::moment(cx.now()),
        })
    }

    /// Goes on with the session that the work had. If that cannot be used, it is dropped, which rolls it back, and what
    /// the server still does of it is waited for when the scope is taken back.
    pub(super) async fn take_session_back(&mut self, cx: &Cx, handle: &ScopeSession) {
        if let Some(session) = handle.close().await {
            self.session = session;
            return;
        }
        let cx = cx.shielded();
        if let Err(error) = lock::take_work(self.runner, &cx, SCOPE, &mut *self.session).await {
            tracing::warn!(%error, "the server is still at work on a statement that was given up");
        }
    }

    /// Keeps what the work has changed, where that can be told row by row. Returns whether it is kept.
    pub(super) async fn keep_scope(&mut self, cx: &Cx, handle: &ScopeSession) -> Result<bool> {
        match handle.point() {
            Some(point) if !handle.may_have_committed() => self.keep_work(cx, handle.name(), point).await,
            _ => Ok(false),
        }
    }

    /// Commits the work with the end of its run.
    pub(super) async fn commit_scope(&mut self, cx: &Cx, handle: &ScopeSession) -> Result<()> {
        let (run, name) = (self.run.id.clone(), short(handle.name()));
        if !self.session.capability().transactional_ddl {
            self.journal().forget_statements(cx, &run, &name).await?;
        }
        let heads = join(&self.state.heads(&self.state.applied_set()));
        let detail = format!("scope `{}`", handle.name());
        let at = identity::moment(cx.now());
        let by = self.runner.author();
        let end = RunEnd {
            id: &run,
            status: RunStatus::Done,
            to: &heads,
            detail: &detail,
            lost: None,
            at: &at,
        };
        Box::pin(self.journal().finish_run(cx, &by, end)).await?;
        cx.step("scope.before-commit");
        let committed = self.session.commit(cx).await;
        committed.wrap(|| format!("the scope `{}` could not be committed", handle.name()))?;
        cx.step("scope.committed");
        self.report.outcome = Some(detail);
        Ok(())
    }

    /// Keeps the tables of the point as the work leaves them, so that it can be taken back without what others write
    /// afterwards. It cannot be where definitions were changed, or rows cannot be told apart; and where the server keeps
    /// nobody else from writing meanwhile, what others wrote would be taken for the work of the scope.
    async fn keep_work(&mut self, cx: &Cx, name: &str, point: &str) -> Result<bool> {
        if !self.session.capability().holds_tables {
            return Ok(false);
        }
        let before = self.open_point(cx, point).await?;
        let now = self.runner.schema(cx, &mut *self.session).await?;
        if !SchemaDelta::between(&before.schema, &now).is_of_rows_only() {
            return Ok(false);
        }
        let held = before.tables.iter().filter_map(|entry| now.table(&entry.table));
        let tables: Vec<_> = held.collect();
        if tables.is_empty() || tables.iter().any(|table| table.primary_key.is_empty()) {
            return Ok(false);
        }
        let slices = tables.into_iter().map(point::slice_of);
        let kept = Kept {
            kind: PointKind::AfterUp,
            prefix: "ch",
            about: name,
            description: format!("after scope {name}"),
            schema: &now,
            before: Some(&before.id),
            slices: slices.map(|slice| (slice.clone(), slice)).collect(),
        };
        let kept = Box::pin(self.keep(cx, kept)).await;
        kept.wrap(|| format!("what the scope `{name}` changed cannot be kept"))?;
        cx.step("changes.kept");
        Ok(true)
    }

    /// Takes back what a scope has done: by its transaction, and by its point what was committed before. Returns the error
    /// that is to be reported, or nothing if all of it is committed: the answer to its commit was lost.
    pub(super) async fn take_scope_back(
        &mut self,
        cx: &Cx,
        handle: &ScopeSession,
        error: Error,
    ) -> Option<Error> {
        let cx = &cx.shielded();
        let rolled_back = self.session.rollback(cx).await;
        cx.step("scope.rolled-back");
        let name = handle.name();
        let standing = match rolled_back {
            Ok(()) => self.standing(cx).await,
            // Its session is lost or was given up, or a failed commit has ended its transaction: what is committed, another
            // session knows for certain.
            Err(_) => match self.connect_again(cx).await {
                Ok(()) => self.standing(cx).await,
                Err(second) => Err(second),
            },
        };
        let undone = match standing {
            Ok(Standing::Done) => {
                let warning = format!("it is committed, and the answer to that was lost: {error}");
                self.report.warnings.push(warning);
                self.report.outcome = Some(format!("scope `{name}`"));
                return None;
            }
            Ok(Standing::Nothing) => {
                self.taken_back = Some(format!("rolled back the transaction of the scope `{name}`"));
                return Some(error);
            }
            Ok(Standing::HalfDone) => self.bring_back(cx, handle).await,
            Err(second) => return Some(not_known(error, name, &second)),
        };
        Some(match undone {
            Ok(()) => {
                self.taken_back = Some(format!("took the scope `{name}` back to its point"));
                error
            }
            Err(second) => error
                .wrap(format!(
                    "the scope `{name}` failed after it had committed a part, and is not taken back: {second}"
                ))
                .with_kind(ErrorKind::NeedsRecovery)
                .hint("run `walkback recover`; it says what it found and what it will do, and asks"),
        })
    }

    /// Goes on with a new session, once the server is done with what the lost one had begun.
    async fn connect_again(&mut self, cx: &Cx) -> Result<()> {
        self.session = self.runner.connect(cx, Access::Write).await?;
        lock::take_work(self.runner, cx, SCOPE, &mut *self.session).await
    }

    /// Returns how much of the scope is committed. The end of its run is, if all of it is; its mark is, if a part.
    async fn standing(&mut self, cx: &Cx) -> Result<Standing> {
        let run = self.run.id.clone();
        if self.journal().run_status(cx, &run).await? == Some(RunStatus::Done) {
            return Ok(Standing::Done);
        }
        let is_marked = !self.session.capability().transactional_ddl
            && !self.journal().statements_of(cx, &run).await?.is_empty();
        Ok(if is_marked {
            Standing::HalfDone
        } else {
            Standing::Nothing
        })
    }

    async fn bring_back(&mut self, cx: &Cx, handle: &ScopeSession) -> Result<()> {
        let point = handle
            .point()
            .ok_or_else(|| Error::not_found("no point was made before it"))?;
        let (run, point) = (self.run.id.clone(), point.to_owned());
        self.scope_to_point(cx, &run, &point, handle.name()).await
    }

    /// Brings back what was there before a scope, and forgets its mark. What is there now is kept first: others may have
    /// written meanwhile.
    pub(super) async fn scope_to_point(&mut self, cx: &Cx, run: &str, point: &str, name: &str) -> Result<()> {
        if let Some(kept) = self.keep_half_done(cx, point, None).await? {
            self.report.warnings.push(format!(
                "the rows as the scope `{name}` left them half-way are in the point `{kept}`"
            ));
        }
        let name = MigrationId::new(short(name));
        self.restore_half_done(cx, point, run, &name, None).await?;
        cx.step("scope.restored");
        Ok(())
    }
}

/// How much of a scope is committed.
enum Standing {
    Nothing,
    HalfDone,
    Done,
}

/// Says that the database could not be asked what became of a scope.
fn not_known(error: Error, name: &str, second: &Error) -> Error {
    error
        .wrap(format!(
            "whether the scope `{name}` is committed is not known: the database does not answer ({second})"
        ))
        .with_kind(ErrorKind::NeedsRecovery)
        .hint("once it answers, `walkback status` and `walkback audit` tell; do not run the scope again before that")
}

/// Returns a name as the journal keeps it.
fn short(name: &str) -> String {
    name.chars().take(LONGEST_NAME).collect()
}

impl RunKind {
    /// Returns whether it is undone as a whole when it fails.
    pub(crate) fn is_all_or_nothing(self) -> bool {
        self == Self::Scope
    }
}
