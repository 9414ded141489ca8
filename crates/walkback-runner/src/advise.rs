//! Advice: what is wrong, as a person sees it, and what the database says, answered with the kind of rollback and its command.
//!
//! The tree is the one that teams keep on paper: an incomplete change goes down, corrupt data comes back from what was kept, what
//! is slow loses its new indexes, an application that fails goes first, and what failed half-way goes forward where it can.

use serde::Serialize;
use walkback_core::{Access, Cx, DialectKind, Result};

use crate::changes::OnConflict;
use crate::execute::join;
use crate::hooks::Moment;
use crate::killed::{KilledRollback, heads_moved};
use crate::loss::Loss;
use crate::point::is_own_backup;
use crate::recover::RecoverDirection;
use crate::rollback::{RollbackKind, RollbackPlan, RollbackRequest, RollbackWhat};
use crate::runner::Runner;
use crate::status::Status;

/// What is wrong, as a person sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Symptom {
    /// The schema is not what the migration should have made of it.
    Incomplete,
    /// Data is wrong since the migration.
    Corrupt,
    /// The database is slow since the migration.
    Slow,
    /// The application fails since the migration.
    Application,
    /// A migration failed, or was stopped, half-way.
    Partial,
}

/// What to do.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Advice {
    /// What was asked.
    pub symptom: Symptom,
    /// What was found, a line each.
    pub found: Vec<String>,
    /// The kind of way back, or `forward`, `nothing`.
    pub kind: String,
    /// Why this one.
    pub why: String,
    /// What to type, in this order.
    pub commands: Vec<String>,
    /// SQL for a new migration, where that is the answer.
    pub sql: Vec<String>,
    /// What would be taken away that was written since.
    pub loses: Vec<Loss>,
}

impl Advice {
    fn answer(mut self, kind: impl Into<String>, why: impl Into<String>, commands: &[&str]) -> Self {
        self.kind = kind.into();
        self.why = why.into();
        self.commands = commands.iter().map(|&command| command.to_owned()).collect();
        self
    }
}

impl Runner {
    /// Looks at the database and says what to do about a symptom. Nothing is written.
    ///
    /// # Errors
    /// Fails if the database or the migrations cannot be read.
    pub async fn advise(&self, cx: &Cx, symptom: Symptom) -> Result<Advice> {
        let status = self.status(cx).await?;
        let advice = Advice {
            symptom,
            found: found(&status),
            kind: String::new(),
            why: String::new(),
            commands: Vec::new(),
            sql: Vec::new(),
            loses: Vec::new(),
        };
        if !status.needs_recovery
            && let Some(killed) = &status.killed_rollback
        {
            return Ok(of_killed(advice, killed));
        }
        if let Some(run) = &status.unfinished {
            if !status.needs_recovery && heads_moved(run, &join(&status.current)) {
                let why =
                    "what it had done is complete and stays, if its process is gone; `recover` ends its row";
                let commands = ["walkback recover --dry-run", "walkback recover"];
                return Ok(advice.answer("nothing", why, &commands));
            }
            return self.of_unfinished(cx, advice, status.needs_recovery).await;
        }
        if status.applied == 0 {
            return Ok(advice.answer(
                "nothing",
                "no migration is applied: what is wrong does not come from one",
                &["walkback status"],
            ));
        }
        let back = status.last_run.as_ref().filter(|run| goes_back(&run.kind));
        match symptom {
            _ if let Some(run) = back => Ok(advice.answer(
                "nothing",
                format!(
                    "the last run ({}) has walked back already; `walkback rollback` would bring back what it took away",
                    run.kind
                ),
                &["walkback status", "walkback history"],
            )),
            Symptom::Partial if !status.pending.is_empty() => Ok(advice.answer(
                "forward",
                "nothing is half-done: what failed was undone, and what is pending is applied by the next `up`",
                &["walkback up --dry-run", "walkback up"],
            )),
            Symptom::Incomplete | Symptom::Partial => self.of_incomplete(cx, advice).await,
            Symptom::Corrupt => self.of_corrupt(cx, advice).await,
            Symptom::Slow => self.of_slow(cx, advice).await,
            Symptom::Application => self.of_application(cx, advice).await,
        }
    }

    /// A run that never ended comes before any symptom.
    async fn of_unfinished(&self, cx: &Cx, advice: Advice, half_done: bool) -> Result<Advice> {
        if !half_done {
            return Ok(advice.answer(
                "transaction",
                "it undoes itself when it is stopped; if its process is gone, nothing of it is left",
                &["walkback abort", "walkback recover"],
            ));
        }
        let forward = self.plan_recover(cx, Some(RecoverDirection::Forward)).await;
        if let (Symptom::Partial, Ok(Some(plan))) = (advice.symptom, forward) {
            return Ok(advice.answer("forward", plan.reason, &["walkback recover --forward"]));
        }
        let plan = self.plan_recover(cx, None).await?;
        let why = plan.map_or_else(String::new, |plan| plan.reason);
        Ok(advice.answer("back", why, &["walkback recover --dry-run", "walkback recover"]))
    }

    async fn last_run(&self, cx: &Cx, kind: RollbackKind) -> Result<RollbackPlan> {
        let request = RollbackRequest {
            what: RollbackWhat::LastRun,
            kind,
            on_conflict: OnConflict::default(),
        };
        Box::pin(self.plan_rollback(cx, &request)).await
    }

    async fn of_incomplete(&self, cx: &Cx, mut advice: Advice) -> Result<Advice> {
        if let Ok(plan) = self.last_run(cx, RollbackKind::Down).await
            && !plan.is_empty()
            && plan.loss().next().is_none()
        {
            let why = "its downs lead back, and nothing was written since that they take away";
            return Ok(advice.answer("down", why, &["walkback rollback --type down"]));
        }
        let plan = self.last_run(cx, RollbackKind::Auto).await?;
        advice.loses = plan.loss().cloned().collect();
        let why = plan.reason.clone();
        Ok(advice.answer(
            plan.kind.word(),
            why,
            &["walkback rollback --dry-run", "walkback rollback"],
        ))
    }

    async fn of_corrupt(&self, cx: &Cx, mut advice: Advice) -> Result<Advice> {
        if let Ok(plan) = self.last_run(cx, RollbackKind::Surgical).await
            && !plan.is_empty()
        {
            advice.loses = plan.loss().cloned().collect();
            let why =
                "what the migration changed in rows goes back cell by cell; what was written since stays";
            return Ok(advice.answer("surgical", why, &["walkback rollback --type surgical"]));
        }
        if let Some(backup) = self.newest_backup(cx).await? {
            advice.found.push(format!("the newest backup is `{backup}`"));
            let plan = self.last_run(cx, RollbackKind::Auto).await;
            if let Ok(plan) = plan
                && !plan.is_empty()
            {
                advice.loses = plan.loss().cloned().collect();
                let why = format!("{}; if the data was wrong before it, the backup", plan.reason);
                let restore = format!("walkback restore {backup} --dry-run");
                let commands = ["walkback rollback --dry-run", "walkback rollback", &restore];
                return Ok(advice.answer(plan.kind.word(), why, &commands));
            }
            let restored = self.plan_restore(cx, &backup, &[], None).await?;
            advice.loses.clone_from(&restored.loss);
            let look = format!("walkback restore {backup} --dry-run");
            let restore = format!("walkback restore {backup}");
            let why = "nothing was kept of the last run itself";
            return Ok(advice.answer("backup", why, &[&look, &restore]));
        }
        let plan = self.last_run(cx, RollbackKind::Auto).await?;
        advice.loses = plan.loss().cloned().collect();
        let why = plan.reason.clone();
        Ok(advice.answer(
            plan.kind.word(),
            why,
            &["walkback rollback --dry-run", "walkback rollback"],
        ))
    }

    async fn newest_backup(&self, cx: &Cx) -> Result<Option<String>> {
        let Some(vault) = self.vault() else {
            return Ok(None);
        };
        let points = vault.list(cx).await?;
        let backups = points.iter().filter(|point| is_own_backup(self, point));
        Ok(backups
            .max_by_key(|point| point.modified)
            .map(|point| point.id.clone()))
    }

    async fn of_slow(&self, cx: &Cx, mut advice: Advice) -> Result<Advice> {
        let plan = self.last_run(cx, RollbackKind::Auto).await?;
        let mut session = self.connect(cx, Access::Read).await?;
        let state = self.load(cx, &mut *session).await?;
        let dialect = self.dialect();
        for step in &plan.steps {
            let Some(stored) = state.stored.get(&step.id) else {
                continue;
            };
            for (index, table) in stored.delta.created_indexes() {
                advice
                    .found
                    .push(format!("`{}` made the index `{index}` on `{table}`", step.name));
                let (index, table) = match dialect.kind() {
                    // Where an index lives beside its table, its name has the schema of the table.
                    DialectKind::Mysql => (dialect.quote_identifier(&index.name), Some(table)),
                    _ => (dialect.quote_table(index), None),
                };
                let on =
                    table.map_or_else(String::new, |table| format!(" ON {}", dialect.quote_table(table)));
                advice.sql.push(format!("DROP INDEX {index}{on};"));
            }
        }
        if advice.sql.is_empty() {
            advice.loses = plan.loss().cloned().collect();
            let why = "the last run made no index that could be dropped by itself; it can only go as a whole";
            let commands = ["walkback rollback --dry-run", "walkback rollback"];
            return Ok(advice.answer(plan.kind.word(), why, &commands));
        }
        let why = "an index goes without touching a row, and the rest of the migration stays: write the statements into a new one";
        Ok(advice.answer("indexes", why, &["walkback new drop_slow_index", "walkback up"]))
    }

    async fn of_application(&self, cx: &Cx, mut advice: Advice) -> Result<Advice> {
        let plan = self.last_run(cx, RollbackKind::Auto).await?;
        advice.loses = plan.loss().cloned().collect();
        if self.settings().hooks.has(Moment::RollbackCode) {
            let why =
                "the code goes back by `rollback_code` of the environment, with services stopped meanwhile";
            let commands = ["walkback rollback --full --dry-run", "walkback rollback --full"];
            return Ok(advice.answer(plan.kind.word(), why, &commands));
        }
        advice
            .found
            .push("`rollback_code` of the environment names no command that brings the code back".to_owned());
        let why = "first the release before this one, by your own means: it may be enough; then the schema";
        let commands = ["walkback rollback --dry-run", "walkback rollback"];
        Ok(advice.answer(plan.kind.word(), why, &commands))
    }
}

/// Returns whether a kind of run takes something back, and is itself taken back by a rollback.
fn goes_back(kind: &str) -> bool {
    matches!(kind, "rollback" | "down" | "restore" | "full-rollback")
}

/// Answers after a rollback that was killed once the database was walked back: as after one that was not, and with the commands
/// that it did not come to.
fn of_killed(mut advice: Advice, killed: &KilledRollback) -> Advice {
    advice.found.push(killed.told());
    advice.found.extend(killed.left_out.iter().cloned());
    let why = format!(
        "the last run ({}) has walked back already, if its process is gone; `{}` would bring back what it took away",
        killed.run.kind, killed.undo_with
    );
    match (&killed.unreached, killed.is_open) {
        (Some(target), _) => {
            let rest = format!("walkback rollback --to {target}");
            let why = format!("{why}; it was to go further");
            advice.answer("down", why, &["walkback recover", &rest])
        }
        (None, true) => advice.answer("nothing", why, &["walkback recover", "walkback status"]),
        (None, false) => advice.answer(
            "nothing",
            why.replace(", if its process is gone", ""),
            &["walkback status", "walkback history"],
        ),
    }
}

fn found(status: &Status) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(run) = &status.unfinished {
        let how = if status.needs_recovery {
            "it left a migration half-done"
        } else {
            "it is running, or was killed with nothing half-done"
        };
        found.push(format!("run `{}` ({}) never ended: {how}", run.id, run.kind));
    } else if let Some(run) = &status.last_run {
        found.push(format!(
            "the last run was `{}` ({}, {})",
            run.id,
            run.kind,
            run.status.word()
        ));
    }
    if !status.pending.is_empty() {
        found.push(format!("{} pending", status.pending.len()));
    }
    if !status.ahead.is_empty() {
        found.push(format!(
            "the database is ahead of this checkout by {}; their ways back are stored in it",
            status.ahead.len()
        ));
    }
    found.extend(
        status
            .drift
            .iter()
            .map(|drift| format!("somebody changed it by hand: {drift}")),
    );
    found
}
