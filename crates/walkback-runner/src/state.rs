//! What everything starts from: the graph, the ledger and the journal, read together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use walkback_core::catalog::Schema;
use walkback_core::graph::Target;
use walkback_core::ledger::{LedgerFormat, LedgerRows};
use walkback_core::{
    Capability, Cx, Error, ErrorKind, Migration, MigrationGraph, MigrationId, Phase, Result, Session,
};

use crate::journal::{
    DeprecatedRow, Journal, LoadRow, RescueRow, RunRecord, StatementRow, StatementState, StoredMigration,
    VerdictRow,
};
use crate::ledger::{Applied, Ledger};
use crate::protect::mark_gone;
use crate::report::Named;
use crate::runner::{DownTarget, Runner, UpTarget};
use crate::scope::ScopeRecovery;
use crate::shown::Shown;

/// The graph, the ledger and the journal at one moment.
#[derive(Debug)]
pub(crate) struct State {
    /// The migrations of the checkout, and those that only the journal still knows.
    pub(crate) graph: MigrationGraph,
    /// Migrations that are in the checkout.
    pub(crate) in_checkout: BTreeSet<MigrationId>,
    pub(crate) unmatched: Vec<(PathBuf, String)>,
    /// Rows of the ledger, oldest first.
    pub(crate) applied: Vec<Applied>,
    pub(crate) stored: BTreeMap<MigrationId, StoredMigration>,
    /// What rollbacks took away and has not been put back, oldest first.
    pub(crate) rescues: Vec<RescueRow>,
    /// What `verify` has last seen of their ways back.
    pub(crate) verdicts: BTreeMap<MigrationId, VerdictRow>,
    /// What migrations have moved aside instead of dropping it, oldest first.
    pub(crate) deprecated: Vec<DeprecatedRow>,
    /// The chain of the audit, and the last run: what an approved plan is good for.
    pub(crate) chain: Option<String>,
    pub(crate) last_run: Option<String>,
    /// Runs that never ended.
    pub(crate) unfinished: Vec<RunRecord>,
    /// The heads that the last run left, where other tools may have moved them since.
    pub(crate) left_by_last_run: Option<BTreeSet<MigrationId>>,
    /// What the table of another tool says that is kept beside the ledger.
    pub(crate) shown: Shown,
    /// Whether there is no ledger, although there may be what it should tell of.
    pub(crate) has_no_ledger: bool,
    /// Statements that were begun outside a transaction and whose migration is not finished.
    pub(crate) half_done: Vec<StatementRow>,
    /// A load that was killed, or is under way.
    pub(crate) load: Option<LoadRow>,
    /// The schema when this was read.
    pub(crate) schema: Schema,
    /// What the server can do.
    pub(crate) capability: Capability,
}

impl State {
    pub(crate) async fn load(runner: &Runner, cx: &Cx, session: &mut dyn Session) -> Result<Self> {
        let dialect = runner.dialect();
        let loaded = runner.source().load(cx, dialect.kind()).await?;
        let format = runner.ledger();
        let in_checkout: BTreeSet<_> = loaded.graph.iter().map(|one| one.id.clone()).collect();
        // Walkback's own comes and goes with its journal.
        let is_shared = format.tool != LedgerFormat::own().tool;
        let has_no_ledger = is_shared && !session.has_table(cx, &format.table).await?;
        let mut applied = Ledger::new(session, &*dialect, &format).read(cx).await?;
        let mut journal = Journal::new(session, &*dialect);
        let has_journal = journal.exists(cx).await?;
        let (mut stored, mut unfinished, mut half_done) = (BTreeMap::new(), Vec::new(), Vec::new());
        let (mut rescues, mut deprecated, mut load) = (Vec::new(), Vec::new(), None);
        if has_journal {
            stored = journal.stored_migrations(cx).await?;
        }
        if format.rows == LedgerRows::Heads {
            let known = with_stored(loaded.graph.clone(), &in_checkout, &stored)?;
            applied = Applied::from_heads(applied, &known);
        }
        let mut shown = Shown::Nothing;
        if format.shown_in.is_some() {
            let known = with_stored(loaded.graph.clone(), &in_checkout, &stored)?;
            shown = Shown::read(cx, session, &*dialect, &format, &known, &mut applied).await?;
        }
        let mut journal = Journal::new(session, &*dialect);
        let mut left_by_last_run = None;
        let (mut chain, mut last_run, mut verdicts) = (None, None, BTreeMap::new());
        if has_journal {
            chain = journal.audit_head(cx).await?.map(|head| head.chain);
            last_run = journal.last_run(cx, runner.outer_run()).await?;
            left_by_last_run = match &shown {
                Shown::Moved(heads) => Some(heads.clone()),
                _ => crate::others::left_by_last_run(cx, &mut journal, &format).await?,
            };
            rescues = journal.rescues(cx).await?;
            deprecated = journal.deprecated(cx).await?;
            verdicts = journal.verdicts(cx).await?;
            unfinished = journal.unfinished_runs(cx).await?;
            load = journal.unfinished_load(cx).await?;
            // The run that this one is part of is under way.
            unfinished.retain(|run| runner.outer_run() != Some(run.id.as_str()));
            for run in &unfinished {
                let statements = journal.statements_of(cx, &run.id).await?;
                half_done.extend(half_done_of(statements, &applied));
            }
        }
        let deprecated = mark_gone(cx, session, deprecated, &mut stored).await?;
        stored.retain(|id, _| applied.iter().any(|row| row.id == *id));
        let graph = with_stored(loaded.graph, &in_checkout, &stored)?;
        let schema = runner.schema(cx, session).await?;
        let mut unmatched = loaded.unmatched;
        if format.rows == LedgerRows::Heads {
            unmatched.extend(late(&graph, &applied, &stored));
        }
        Ok(Self {
            graph,
            in_checkout,
            unmatched,
            applied,
            stored,
            rescues,
            verdicts,
            deprecated,
            chain,
            last_run,
            unfinished,
            left_by_last_run,
            shown,
            has_no_ledger,
            half_done,
            load,
            schema,
            capability: session.capability().clone(),
        })
    }

    /// Returns whether a run has left something half-done.
    pub(crate) fn needs_recovery(&self) -> bool {
        self.load.is_some() || !self.half_done.is_empty()
    }

    pub(crate) fn applied_set(&self) -> BTreeSet<MigrationId> {
        self.applied.iter().map(|row| row.id.clone()).collect()
    }

    pub(crate) fn is_applied(&self, id: &MigrationId) -> bool {
        self.applied.iter().any(|row| row.id == *id)
    }

    /// Returns the heads of a set of applied migrations, those that nobody knows any more included.
    pub(crate) fn heads(&self, applied: &BTreeSet<MigrationId>) -> Vec<MigrationId> {
        heads_in(&self.graph, applied)
    }

    /// Says that a database with tables has no ledger, and what to do.
    pub(crate) fn lost_ledger(&self) -> Option<String> {
        if !self.has_no_ledger || self.schema.tables.is_empty() {
            return None;
        }
        let one = self.schema.tables.len() == 1;
        let last = self.left_by_last_run.as_ref().filter(|heads| !heads.is_empty());
        let heads = last.map(|heads| {
            heads
                .iter()
                .map(MigrationId::as_str)
                .collect::<Vec<_>>()
                .join("`, then `walkback stamp ")
        });
        Some(format!(
            "the database holds {} and no ledger: if these migrations made {}, say how far they are applied with \
             `walkback stamp {}`",
            if one {
                "a table".to_owned()
            } else {
                format!("{} tables", self.schema.tables.len())
            },
            if one { "it" } else { "them" },
            heads.as_deref().unwrap_or("<TARGET>")
        ))
    }

    pub(crate) fn named(&self, id: &MigrationId) -> Named {
        let row = || {
            self.applied
                .iter()
                .find(|row| row.id == *id)
                .and_then(|row| row.slug.clone())
        };
        let name = match self.graph.get(id) {
            Some(migration) => migration.name(),
            None => row()
                .filter(|slug| !slug.is_empty())
                .map_or_else(|| id.0.clone(), |slug| format!("{id}_{slug}")),
        };
        Named {
            id: id.clone(),
            name,
            phase: self.phase_of(id),
        }
    }

    /// Returns which part of a change in two parts a migration is.
    pub(crate) fn phase_of(&self, id: &MigrationId) -> Option<Phase> {
        self.graph.get(id).and_then(|migration| migration.phase)
    }

    /// Returns what is applied and not in the checkout, oldest first.
    pub(crate) fn ahead(&self) -> Vec<Named> {
        let ahead = self
            .applied
            .iter()
            .filter(|row| !self.in_checkout.contains(&row.id));
        ahead.map(|row| self.named(&row.id)).collect()
    }

    pub(crate) fn ups(&self, target: &UpTarget) -> Result<Vec<MigrationId>> {
        let applied = self.applied_set();
        match target {
            UpTarget::Heads => self.graph.plan_up(&applied, &Target::heads()),
            UpTarget::To(target) => self.graph.plan_up(&applied, &target.parse::<Target>()?),
            UpTarget::Phase(phase) => {
                let ids = self.graph.plan_up(&applied, &Target::heads())?;
                self.of_phase(*phase, ids)
            }
            UpTarget::Count(count) => {
                let mut ids = self.graph.plan_up(&applied, &Target::heads())?;
                ids.truncate(*count);
                Ok(ids)
            }
        }
    }

    pub(crate) fn downs(&self, target: &DownTarget) -> Result<Vec<MigrationId>> {
        let applied = self.applied_set();
        if applied.is_empty() {
            return Err(Error::new(
                ErrorKind::NotFound,
                "there is nothing to walk back: no migration is applied",
            )
            .hint(match self.lost_ledger() {
                Some(why) => why,
                None => "`walkback status` shows what is there".to_owned(),
            }));
        }
        let ids = match target {
            DownTarget::To(target) => self.graph.plan_down(&applied, &target.parse::<Target>()?)?,
            DownTarget::Count(count) => self.newest(&applied, *count)?,
        };
        if !ids.is_empty() {
            self.refuse_strangers()?;
        }
        Ok(ids)
    }

    /// Returns the moves that lead to exactly a target: downs newest first, then ups oldest first.
    pub(crate) fn moves(&self, target: &str) -> Result<(Vec<MigrationId>, Vec<MigrationId>)> {
        let moves = self
            .graph
            .plan_goto(&self.applied_set(), &target.parse::<Target>()?)?;
        if !moves.down.is_empty() {
            self.refuse_strangers()?;
        }
        Ok((moves.down, moves.up))
    }

    /// Returns the newest applied migrations, in the reverse of an order in which they could be applied.
    pub(crate) fn newest(&self, applied: &BTreeSet<MigrationId>, count: usize) -> Result<Vec<MigrationId>> {
        let known: Vec<_> = self
            .graph
            .iter()
            .map(|migration| &migration.id)
            .filter(|id| applied.contains(id))
            .collect();
        if count > known.len() {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "cannot walk back {count} migrations: only {} are applied",
                    known.len()
                ),
            )
            .hint("`walkback down --to base` walks back all of them"));
        }
        Ok(known.into_iter().rev().take(count).cloned().collect())
    }

    /// Refuses to go on while a load is not at its end.
    pub(crate) fn refuse_half_loaded(&self) -> Result<()> {
        if let Some(load) = &self.load {
            return Err(Error::new(
                ErrorKind::NeedsRecovery,
                format!(
                    "run `{}` was stopped in the middle of loading `{}` into `{}`",
                    load.run_id,
                    load.options.file.display(),
                    load.table
                ),
            )
            .hint("`walkback recover --forward` goes on behind its last batch, `walkback recover --back` takes it back"));
        }
        Ok(())
    }

    /// Refuses to go on while a run has left something half-done.
    pub(crate) fn refuse_half_done(&self) -> Result<()> {
        self.refuse_half_loaded()?;
        if let Some(scope) = ScopeRecovery::of(&self.half_done) {
            return Err(scope.refusal());
        }
        let Some(statement) = self.half_done.first() else {
            return Ok(());
        };
        Err(Error::new(
            ErrorKind::NeedsRecovery,
            format!(
                "run `{}` was stopped in the middle of migration `{}`",
                statement.run_id, statement.migration
            ),
        )
        .with_context("statement", &statement.statement)
        .hint("run `walkback recover`; it says what it found and what it will do, and asks"))
    }

    /// Refuses to walk back below a migration that nobody knows any more: its down is nowhere.
    /// Refuses where nothing is known of a migration that is applied.
    pub(crate) fn refuse_strangers(&self) -> Result<()> {
        let stranger = self.applied.iter().find(|row| self.graph.get(&row.id).is_none());
        match stranger {
            Some(row) => Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "migration `{}` is applied, but is neither in the checkout nor in the journal",
                    row.id
                ),
            )
            .hint("check out the release that has it, or `walkback stamp` the state that is really there")),
            None => Ok(()),
        }
    }
}

/// Returns the heads of a set of applied migrations, those that the graph does not have included.
pub(crate) fn heads_in(graph: &MigrationGraph, applied: &BTreeSet<MigrationId>) -> Vec<MigrationId> {
    let known = graph.heads_of(applied).into_iter();
    let mut heads: Vec<_> = known.map(|head| head.id.clone()).collect();
    heads.extend(applied.iter().filter(|id| graph.get(id).is_none()).cloned());
    heads
}

/// Returns the statements of the last script of a run that never ended, if that script was not finished.
///
/// Scripts run one after the other, so only the last can be half-done. In a transaction the rows of its
/// statements, the ledger and the script itself commit together, and it is never half-done; outside of one
/// the ledger is written after the last statement, and what it does not say is not finished.
fn half_done_of(statements: Vec<StatementRow>, applied: &[Applied]) -> Vec<StatementRow> {
    let Some(last) = statements
        .last()
        .map(|last| (last.migration.clone(), last.direction.clone()))
    else {
        return Vec::new();
    };
    let mut script: Vec<StatementRow> = statements
        .into_iter()
        .rev()
        .take_while(|statement| statement.migration == last.0 && statement.direction == last.1)
        .collect();
    script.reverse();
    let all_done = script
        .iter()
        .all(|statement| statement.state == StatementState::Done);
    let is_applied = applied.iter().any(|row| row.id.as_str() == last.0);
    if all_done && is_applied == (last.1 == "up") {
        Vec::new()
    } else {
        script
    }
}

/// Returns the files that came below what was applied before they were there: a ledger of heads counts them as applied.
fn late(
    graph: &MigrationGraph,
    applied: &[Applied],
    stored: &BTreeMap<MigrationId, StoredMigration>,
) -> Vec<(PathBuf, String)> {
    let came_late = |id: &MigrationId| {
        let children = graph.children(id).into_iter();
        let mut known = children.filter_map(|child| stored.get(&child.id));
        !stored.contains_key(id) && known.any(|child| !child.parents.contains(id))
    };
    let late = applied.iter().filter(|row| came_late(&row.id));
    let files = late.filter_map(|row| graph.get(&row.id));
    let why =
        "it came below what is applied, and the ledger counts it as applied: give it a place after that";
    files.map(|one| (one.file.clone(), why.to_owned())).collect()
}

/// Adds the migrations that only the journal knows: an older checkout can walk them back.
fn with_stored(
    graph: MigrationGraph,
    in_checkout: &BTreeSet<MigrationId>,
    stored: &BTreeMap<MigrationId, StoredMigration>,
) -> Result<MigrationGraph> {
    let mut extra: Vec<&StoredMigration> = stored
        .values()
        .filter(|stored| !in_checkout.contains(&stored.id))
        .collect();
    if extra.is_empty() {
        return Ok(graph);
    }
    extra.sort_by(|left, right| (&left.stored_at, &left.id).cmp(&(&right.stored_at, &right.id)));
    let mut migrations: Vec<Migration> = graph.iter().cloned().collect();
    let known: BTreeSet<_> = in_checkout
        .iter()
        .cloned()
        .chain(extra.iter().map(|stored| stored.id.clone()))
        .collect();
    for stored in extra {
        let mut migration = Migration::new(
            stored.id.0.clone(),
            stored.slug.clone(),
            journal_path(&stored.name()),
        );
        migration.parents = stored
            .parents
            .iter()
            .filter(|id| known.contains(*id))
            .cloned()
            .collect();
        migration.has_down = stored.down_sql.is_some();
        migrations.push(migration);
    }
    MigrationGraph::build(migrations)
}

/// Returns what messages name in the place of a file, for a script that comes from the journal.
pub(crate) fn journal_path(name: &str) -> PathBuf {
    PathBuf::from(format!("<journal>/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(migration: &str, direction: &str, state: StatementState) -> StatementRow {
        StatementRow {
            run_id: "run".to_owned(),
            seq: 0,
            migration: migration.to_owned(),
            direction: direction.to_owned(),
            place: String::new(),
            statement: String::new(),
            effect: String::new(),
            state,
            noted_at: String::new(),
        }
    }

    #[test]
    fn only_the_last_script_of_a_run_can_be_half_done() {
        use StatementState::{Done, Intent};
        let applied = |id: &str| Applied::only(&MigrationId::new(id));
        for (rows, ledger, half_done) in [
            (vec![], vec![], 0),
            (vec![row("1", "up", Done)], vec!["1"], 0),
            (vec![row("1", "up", Done)], vec![], 1),
            (vec![row("1", "up", Done), row("2", "up", Intent)], vec!["1"], 1),
            (
                vec![row("1", "up", Done), row("2", "up", Done), row("2", "up", Intent)],
                vec!["1"],
                2,
            ),
            (vec![row("1", "down", Done)], vec![], 0),
            (vec![row("1", "down", Done)], vec!["1"], 1),
            (vec![row("1", "down", Done), row("1", "up", Done)], vec!["1"], 0),
            (vec![row("1", "down", Done), row("1", "up", Intent)], vec![], 1),
        ] {
            let ledger: Vec<_> = ledger.into_iter().map(applied).collect();
            let found = half_done_of(rows.clone(), &ledger);
            assert_eq!(found.len(), half_done, "{rows:?}");
        }
    }
}
