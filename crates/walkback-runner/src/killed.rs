//! A rollback that was killed once the database was walked back: the same command again would walk back more, or what it
//! took away would be brought back. So a person says which of it is meant.

use std::collections::BTreeSet;

use serde::Serialize;
use walkback_core::{Access, Cx, Error, ErrorKind, MigrationId, Result, Session};

use crate::deploy::{DEPLOY, FULL_ROLLBACK};
use crate::execute::{Execution, join};
use crate::gate;
use crate::hooks::left_out;
use crate::journal::{Journal, RunRecord, RunStatus};
use crate::lock::Lock;
use crate::others::heads_in;
use crate::plan::RunKind;
use crate::runner::Runner;
use crate::settings::Consent;
use crate::state::State;

/// Runs that change nothing in the database themselves.
const NOT_WALKED_BACK: [&str; 3] = ["recover", DEPLOY, FULL_ROLLBACK];

/// A rollback that was killed once it had changed the database.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct KilledRollback {
    /// The run that a person has begun: the rollback, or the procedure that it is part of.
    pub run: RunRecord,
    /// Whether its row in the journal is open still: nothing has been run since.
    pub is_open: bool,
    /// What it has taken back.
    pub taken_back: Vec<String>,
    /// What it has brought back, where it walked a rollback back.
    pub brought_back: Vec<String>,
    /// The target that it had not reached, if there is one.
    pub unreached: Option<String>,
    /// The commands that it did not come to, a line each.
    pub left_out: Vec<String>,
    /// What brings back what it took away.
    pub undo_with: String,
}

impl KilledRollback {
    /// Says what it was and what it has done.
    #[must_use]
    pub fn told(&self) -> String {
        let mut done = Vec::new();
        if !self.taken_back.is_empty() {
            done.push(format!("had taken back {} already", named(&self.taken_back)));
        }
        if !self.brought_back.is_empty() {
            done.push(format!("had brought {} back already", named(&self.brought_back)));
        }
        if done.is_empty() {
            done.push("had changed the database already".to_owned());
        }
        format!(
            "run `{}` ({}) was killed, and {}",
            self.run.id,
            self.run.kind,
            done.join(" and ")
        )
    }

    fn refusal(&self, names_nothing: bool) -> Error {
        let error = Error::new(
            ErrorKind::Refused,
            format!("{}; nothing was done now", self.told()),
        );
        let error = self.left_out.iter().fold(error, |error, left| error.hint(left));
        let error = match &self.unreached {
            Some(target) => error.hint(format!(
                "it was to go further: `walkback rollback --to {target}` takes back the rest"
            )),
            None => error,
        };
        let error = match names_nothing {
            true => {
                error.hint("`walkback rollback -n 1` takes back the newest migration that is still applied")
            }
            false => error.hint("type the command again if more is to go back"),
        };
        let what = match self.taken_back.is_empty() {
            true => "takes back what it did".to_owned(),
            false => format!("brings {} up again", named(&self.taken_back)),
        };
        error.hint(format!("`{}` {what}", self.undo_with))
    }
}

/// The run that changed the database, of a procedure that is made of several.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work<'r> {
    pub(crate) run: &'r RunRecord,
}

impl Work<'_> {
    pub(crate) fn goes_back(self) -> bool {
        goes_back(&self.run.kind)
    }

    /// Returns whether it has changed the database. `heads` are those of what is applied now.
    pub(crate) fn is_done(self, heads: &str) -> bool {
        self.run.status == RunStatus::Done || heads_moved(self.run, heads)
    }
}

impl RunStatus {
    /// Returns whether a run that is not under way was killed.
    pub(crate) const fn was_killed(self) -> bool {
        matches!(self, Self::Running | Self::Interrupted)
    }
}

/// Returns whether a run is made of other runs.
pub(crate) fn is_procedure(kind: &str) -> bool {
    [DEPLOY, FULL_ROLLBACK].contains(&kind)
}

/// Returns whether a run is one that a rollback takes back.
pub(crate) fn is_walked_back(run: &RunRecord) -> bool {
    !NOT_WALKED_BACK.contains(&run.kind.as_str())
}

fn goes_back(kind: &str) -> bool {
    kind == RunKind::Rollback.name() || kind == RunKind::Down.name()
}

/// Returns whether the heads are others than when a run began. One that is open has noted those that it hoped for.
pub(crate) fn heads_moved(run: &RunRecord, heads: &str) -> bool {
    let to = match run.status {
        RunStatus::Running => heads,
        _ => &run.to,
    };
    heads_in(&run.from) != heads_in(to)
}

/// Returns the procedure that a run is part of: under one lock, it began before the run and ended after it.
pub(crate) fn part_of<'r>(runs: &'r [RunRecord], run: &RunRecord) -> Option<&'r RunRecord> {
    let at = runs.iter().position(|one| one.id == run.id)?;
    let before = runs[at + 1..].iter().find(|one| is_procedure(&one.kind));
    before.filter(|one| {
        !is_procedure(&run.kind)
            && one
                .finished_at
                .as_ref()
                .is_none_or(|ended| *ended > run.started_at)
    })
}

/// Returns the last run of a procedure that works on the database. `runs` has the newest first.
pub(crate) fn work_of<'r>(runs: &'r [RunRecord], procedure: &RunRecord) -> Option<Work<'r>> {
    let parts = runs.iter().take_while(|run| run.id != procedure.id);
    let mut works = parts.filter(|run| is_walked_back(run));
    works
        .find(|run| part_of(runs, run).is_some_and(|outer| outer.id == procedure.id))
        .map(|run| Work { run })
}

/// Returns the last run that changed something, if it walked back and was killed, and the run that a person has begun.
fn killed(runs: &[RunRecord]) -> Option<(&RunRecord, Work<'_>)> {
    let work = runs.iter().find(|run| is_walked_back(run))?;
    let begun = part_of(runs, work).unwrap_or(work);
    let was_killed = begun.status.was_killed() || work.status.was_killed();
    (goes_back(&work.kind) && was_killed).then_some((begun, Work { run: work }))
}

impl Runner {
    /// Finds a rollback that was killed once it had changed the database, if nothing has changed it since.
    pub(crate) async fn killed_rollback(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        state: &State,
    ) -> Result<Option<KilledRollback>> {
        let dialect = self.dialect();
        let mut journal = Journal::new(session, &*dialect);
        if !journal.exists(cx).await? {
            return Ok(None);
        }
        let runs = journal.runs(cx, None).await?;
        let applied = state.applied_set();
        let heads = join(&state.heads(&applied));
        let Some((begun, work)) = killed(&runs).filter(|(_, work)| work.is_done(&heads)) else {
            return Ok(None);
        };
        let hooks = &self.settings().hooks;
        let mut left = left_out(cx, &mut journal, hooks, work.run, &heads).await?;
        if begun.id != work.run.id {
            left.extend(left_out(cx, &mut journal, hooks, begun, &heads).await?);
        }
        let points = journal.points_of(cx, &work.run.id).await?;
        let has_point = points
            .iter()
            .any(|point| ["safety", "changes"].contains(&point.kind.as_str()));
        let before = reached(state, &work.run.from);
        let hoped = heads_in(&work.run.to);
        let names = |ids: Vec<&MigrationId>| -> Vec<String> {
            ids.into_iter().map(|id| state.named(id).name).collect()
        };
        let is_short = work.run.status == RunStatus::Running && hoped != heads_in(&heads);
        Ok(Some(KilledRollback {
            run: begun.clone(),
            is_open: begun.status == RunStatus::Running,
            taken_back: names(before.difference(&applied).collect()),
            brought_back: names(applied.difference(&before).collect()),
            unreached: is_short.then(|| match hoped.first() {
                Some(head) => head.to_string(),
                None => "base".to_owned(),
            }),
            left_out: left,
            undo_with: match has_point {
                true => format!("walkback rollback {}", begun.id),
                false => "walkback up".to_owned(),
            },
        }))
    }

    /// Waits for a rollback that is under way: by its lock, what was killed is told from what is not.
    pub(crate) async fn wait_for_rollback(&self, cx: &Cx, session: &mut dyn Session) -> Result<()> {
        let dialect = self.dialect();
        let mut journal = Journal::new(session, &*dialect);
        if self.outer().is_some() || !journal.exists(cx).await? {
            return Ok(());
        }
        let runs = journal.runs(cx, None).await?;
        let is_open = killed(&runs).is_some_and(|(begun, _)| begun.status == RunStatus::Running);
        if is_open {
            drop(Lock::take(self, cx, "plan").await?);
        }
        Ok(())
    }

    /// Refuses to walk back after a rollback that was killed: always where nothing says what is meant, else until a command
    /// has told what that one did, and ended it.
    pub(crate) async fn refuse_after_killed(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        state: &State,
        names_nothing: bool,
    ) -> Result<()> {
        if self.outer().is_some() {
            return Ok(());
        }
        match self.killed_rollback(cx, session, state).await? {
            Some(killed) if killed.is_open || names_nothing => Err(killed.refusal(names_nothing)),
            _ => Ok(()),
        }
    }

    /// Ends the row of a rollback that was killed once it had changed the database, after a command was refused because of
    /// it. Returns what to tell.
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub async fn end_killed_rollback(&self, cx: &Cx, consent: &Consent) -> Result<Vec<String>> {
        let mut session = self.connect(cx, Access::Read).await?;
        let state = State::load(self, cx, &mut *session).await?;
        let found = self.killed_rollback(cx, &mut *session, &state).await?;
        drop(session);
        let Some(killed) = found.filter(|killed| killed.is_open && !state.needs_recovery()) else {
            return Ok(Vec::new());
        };
        if gate::change(self.settings(), consent).is_err() {
            return Ok(Vec::new());
        }
        let (begun, _) = Box::pin(Execution::begin(self, cx, RunKind::Rollback, consent, &[])).await?;
        let mut told = begun.report.warnings;
        // The refusal has said these.
        told.retain(|line| !killed.left_out.contains(line));
        Ok(told)
    }

    /// Says which commands of the last deployment or rollback have not done their work, a line each.
    ///
    /// # Errors
    /// Fails if the database cannot be read.
    pub async fn left_out(&self, cx: &Cx) -> Result<Vec<String>> {
        let mut session = self.connect(cx, Access::Read).await?;
        let state = State::load(self, cx, &mut *session).await?;
        self.left_out_of(cx, &mut *session, &state).await
    }

    pub(crate) async fn left_out_of(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        state: &State,
    ) -> Result<Vec<String>> {
        let dialect = self.dialect();
        let mut journal = Journal::new(session, &*dialect);
        if !journal.exists(cx).await? {
            return Ok(Vec::new());
        }
        let runs = journal.runs(cx, None).await?;
        let is_one = |run: &&RunRecord| {
            let is_one = is_procedure(&run.kind) || goes_back(&run.kind);
            run.environment == self.settings().environment && is_one
        };
        let Some(last) = runs.iter().find(is_one) else {
            return Ok(Vec::new());
        };
        let heads = join(&state.heads(&state.applied_set()));
        let hooks = &self.settings().hooks;
        let mut left = Vec::new();
        for run in [Some(last), part_of(&runs, last)].into_iter().flatten() {
            left.extend(left_out(cx, &mut journal, hooks, run, &heads).await?);
        }
        Ok(left)
    }
}

/// Returns whether the schema is as the last run that remembered it has left it, as far as the journal can tell.
pub(crate) fn remembered(newest_first: &[RunRecord], heads: &str) -> bool {
    let works = newest_first.iter().filter(|run| !is_procedure(&run.kind));
    let mut since = works.take_while(|run| run.status != RunStatus::Done);
    !since.any(|run| heads_moved(run, heads))
}

/// Returns what was applied when these were the heads.
fn reached(state: &State, heads: &str) -> BTreeSet<MigrationId> {
    let heads = heads_in(heads);
    let mut reached = state.graph.ancestors(&heads);
    reached.extend(heads);
    reached
}

fn named(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str, kind: &str, status: RunStatus, times: (&str, Option<&str>)) -> RunRecord {
        RunRecord {
            id: id.to_owned(),
            kind: kind.to_owned(),
            status,
            environment: "dev".to_owned(),
            started_at: times.0.to_owned(),
            finished_at: times.1.map(str::to_owned),
            actor: String::new(),
            from: "2".to_owned(),
            to: "1".to_owned(),
            ticket: None,
            reason: None,
            detail: None,
            hooks: Vec::new(),
        }
    }

    #[test]
    fn a_rollback_that_was_killed_is_found_with_what_it_is_part_of() {
        use RunStatus::{Done, Interrupted, Running};
        let full = run("f", FULL_ROLLBACK, Running, ("1", None));
        let part = run("r", "rollback", Done, ("2", Some("3")));
        let found =
            |runs: &[RunRecord]| killed(runs).map(|(begun, work)| (begun.id.clone(), work.run.id.clone()));
        assert_eq!(
            found(&[part.clone(), full.clone()]),
            Some(("f".into(), "r".into()))
        );
        let ended = run("f", FULL_ROLLBACK, Done, ("1", Some("4")));
        assert_eq!(found(&[part.clone(), ended]), None);
        // One that ended before is another matter.
        let earlier = run("f", FULL_ROLLBACK, Interrupted, ("0", Some("1")));
        assert_eq!(found(&[part.clone(), earlier]), None);
        // `recover` has closed it.
        let closed = run("f", FULL_ROLLBACK, Interrupted, ("1", Some("5")));
        let recover = run("c", "recover", Done, ("4", Some("6")));
        assert_eq!(
            found(&[recover, part.clone(), closed]),
            Some(("f".into(), "r".into()))
        );
        // Something was done since.
        let up = run("u", "up", Done, ("7", Some("8")));
        assert_eq!(
            found(&[up, run("r", "rollback", Interrupted, ("2", Some("3")))]),
            None
        );
    }

    #[test]
    fn whether_the_heads_have_moved_is_told_by_those_of_now_while_a_run_is_open() {
        let open = run("r", "rollback", RunStatus::Running, ("2", None));
        assert!(!heads_moved(&open, "2") && heads_moved(&open, "1"));
        let closed = run("r", "rollback", RunStatus::Interrupted, ("2", Some("3")));
        assert!(heads_moved(&closed, "2"));
        let runs = [open];
        assert!(!remembered(&runs, "1") && remembered(&runs, "2"));
    }
}
