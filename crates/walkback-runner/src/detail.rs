//! Looking at migrations: history, one of them in full, the graph.

use std::path::PathBuf;

use serde::Serialize;
use walkback_core::{Cx, Direction, ErrorKind, Migration, MigrationId, Phase, Result};

use crate::plan::{PlannedStatement, Planner, ReadScript, ScriptOrigin, Verdict, Verified};
use crate::purge::KeptTable;
use crate::report::Named;
use crate::runner::Runner;
use crate::state::State;

/// Whether a migration is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MigrationState {
    /// It is applied, and in the checkout.
    Applied,
    /// It is in the checkout and not applied.
    Pending,
    /// It is applied and not in the checkout.
    Ahead,
}

/// One line of the history.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// Its identity.
    pub id: MigrationId,
    /// Its name for a person.
    pub name: String,
    /// Whether it is applied.
    pub state: MigrationState,
    /// When it was applied, as the ledger has it.
    pub applied_at: Option<String>,
    /// The run that applied it.
    pub run: Option<String>,
    /// What its way back is worth, if walkback applied it.
    pub verdict: Option<Verdict>,
    /// Which part of a change in two parts it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The branches it is on.
    pub labels: Vec<String>,
    /// What it follows.
    pub parents: Vec<MigrationId>,
    /// Whether nothing follows it.
    pub head: bool,
    /// Whether it is a head of what is applied.
    pub current: bool,
}

/// A script as it would be run.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ScriptView {
    /// Where it comes from.
    pub origin: ScriptOrigin,
    /// Whether all of it happens or none.
    pub transaction: bool,
    /// Its statements.
    pub statements: Vec<PlannedStatement>,
}

/// A migration in full.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct MigrationDetail {
    /// Its line in the history.
    #[serde(flatten)]
    pub entry: HistoryEntry,
    /// Its file.
    pub file: PathBuf,
    /// The line it begins on, where the file holds several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// What follows it.
    pub children: Vec<MigrationId>,
    /// What it needs without following it.
    pub depends_on: Vec<MigrationId>,
    /// Whether its up script was edited after it was applied.
    pub edited: bool,
    /// Its up script, if the checkout has it.
    pub up: Option<ScriptView>,
    /// Its author's way back: from the checkout, else from the journal.
    pub down: Option<ScriptView>,
    /// The way back that was derived when it was applied, and what that cannot bring back.
    pub derived: Option<ScriptView>,
    /// What the derived way back cannot bring back.
    pub derived_loses: Vec<String>,
    /// The point that was made before it.
    pub point: Option<String>,
    /// Where it is what it destroyed: tables that were moved aside, and backup tables.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<KeptTable>,
    /// Why its scripts, or one of them, cannot be read here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
    /// What `verify` has last seen of it, if it was run on this database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
}

/// A node of the graph.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct GraphNode {
    /// Its identity.
    pub id: MigrationId,
    /// Its name for a person.
    pub name: String,
    /// What it follows.
    pub parents: Vec<MigrationId>,
    /// What it needs without following it.
    pub depends_on: Vec<MigrationId>,
    /// Labels it declares.
    pub labels: Vec<String>,
    /// Whether it is applied.
    pub state: MigrationState,
}

/// The graph, in an order in which it can be applied.
#[derive(Debug, Clone, Serialize)]
pub struct GraphView {
    /// The migrations.
    pub nodes: Vec<GraphNode>,
    /// Those that nothing follows.
    pub heads: Vec<MigrationId>,
}

/// Returns what is there still of what a migration destroyed.
fn kept_of(state: &State, id: &MigrationId) -> Vec<KeptTable> {
    let rows = state.deprecated.iter();
    let of_it = rows.filter(|row| row.migration == *id && row.gone.is_none());
    of_it.cloned().map(KeptTable::from).collect()
}

/// Returns a script, or notes why it cannot be followed here.
fn or_why_not(script: Result<Option<ReadScript>>, unread: &mut Option<String>) -> Result<Option<ReadScript>> {
    match script {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            unread.get_or_insert_with(|| error.message().to_owned());
            Ok(None)
        }
        other => other,
    }
}

impl Runner {
    /// Returns every migration of the checkout and of the ledger, oldest first. Nothing is written.
    ///
    /// # Errors
    /// Fails if the database or the migrations cannot be read.
    pub async fn history(&self, cx: &Cx) -> Result<Vec<HistoryEntry>> {
        let state = self.state(cx).await?;
        let mut entries: Vec<_> = state
            .graph
            .iter()
            .map(|migration| entry(&state, migration))
            .collect();
        for row in state
            .applied
            .iter()
            .filter(|row| state.graph.get(&row.id).is_none())
        {
            let named = state.named(&row.id);
            entries.push(HistoryEntry {
                id: row.id.clone(),
                name: named.name,
                state: MigrationState::Ahead,
                applied_at: row.applied_at.clone(),
                run: row.run_id.clone(),
                verdict: None,
                phase: None,
                labels: Vec::new(),
                parents: Vec::new(),
                head: true,
                current: true,
            });
        }
        Ok(entries)
    }

    /// Returns one migration in full. Nothing is written.
    ///
    /// # Errors
    /// `NotFound` if no migration has this identity, name or prefix.
    pub async fn show(&self, cx: &Cx, id: &str) -> Result<MigrationDetail> {
        let state = self.state(cx).await?;
        let migration = state.graph.find(id)?;
        let planner = Planner::new(self, &state);
        let mut unread = None;
        let up = planner.file_script(cx, &migration.id, Direction::Up).await;
        let up = or_why_not(up, &mut unread)?;
        let stored = state.stored.get(&migration.id);
        let down = planner.file_script(cx, &migration.id, Direction::Down).await;
        let down = match or_why_not(down, &mut unread)? {
            Some(down) => Some(down),
            None => stored
                .map(|stored| planner.stored_script(stored))
                .transpose()?
                .flatten(),
        };
        let derived = stored
            .map(|stored| planner.derived_script(stored))
            .transpose()?
            .flatten();
        let verified = state.verdicts.get(&migration.id).map(|row| {
            let hash = |script: &Option<ReadScript>| script.as_ref().map(|script| script.hash.clone());
            Verified::new(row, hash(&up).as_deref(), hash(&down).as_deref())
        });
        let edited = match (&up, stored) {
            (Some(up), Some(stored)) => up.hash != stored.up_hash,
            _ => false,
        };
        let mut entry = entry(&state, migration);
        if entry.verdict.is_none() && up.is_some() {
            entry.verdict = Some(planner.up_step(cx, &migration.id).await?.verdict);
        }
        Ok(MigrationDetail {
            entry,
            file: migration.file.clone(),
            line: migration.line,
            children: state
                .graph
                .children(&migration.id)
                .into_iter()
                .map(|child| child.id.clone())
                .collect(),
            depends_on: migration.depends_on.clone(),
            edited,
            up: up.map(view),
            down: down.map(view),
            derived: derived.map(view),
            derived_loses: stored
                .map(|stored| stored.derived_loses.clone())
                .unwrap_or_default(),
            point: stored.and_then(|stored| stored.point.clone()),
            kept: kept_of(&state, &migration.id),
            unread,
            verified,
        })
    }

    /// Returns the graph. Nothing is written.
    ///
    /// # Errors
    /// Fails if the database or the migrations cannot be read.
    pub async fn graph(&self, cx: &Cx) -> Result<GraphView> {
        let state = self.state(cx).await?;
        let nodes = state.graph.iter().map(|migration| GraphNode {
            id: migration.id.clone(),
            name: migration.name(),
            parents: migration.parents.clone(),
            depends_on: migration.depends_on.clone(),
            labels: migration.labels.clone(),
            state: state_of(&state, &migration.id),
        });
        let heads = state
            .graph
            .heads()
            .into_iter()
            .map(|head| head.id.clone())
            .collect();
        Ok(GraphView {
            nodes: nodes.collect(),
            heads,
        })
    }

    /// Returns the heads of what is applied. Nothing is written.
    ///
    /// # Errors
    /// Fails if the database or the migrations cannot be read.
    pub async fn current(&self, cx: &Cx) -> Result<Vec<Named>> {
        let state = self.state(cx).await?;
        let applied = state.applied_set();
        let ends = state.graph.ends_of(&applied).into_iter().map(|end| &end.id);
        let strangers = applied.iter().filter(|id| state.graph.get(id).is_none());
        Ok(ends.chain(strangers).map(|id| state.named(id)).collect())
    }
}

fn entry(state: &State, migration: &Migration) -> HistoryEntry {
    let applied = state.applied_set();
    let row = state.applied.iter().find(|row| row.id == migration.id);
    let stored = state.stored.get(&migration.id);
    HistoryEntry {
        id: migration.id.clone(),
        name: migration.name(),
        state: state_of(state, &migration.id),
        applied_at: row.and_then(|row| row.applied_at.clone()),
        run: row
            .and_then(|row| row.run_id.clone())
            .or_else(|| stored.map(|stored| stored.run_id.clone())),
        verdict: stored.map(|stored| stored.verdict.clone()),
        phase: migration.phase,
        labels: state
            .graph
            .labels_of(&migration.id)
            .into_iter()
            .flatten()
            .cloned()
            .collect(),
        parents: migration.parents.clone(),
        head: state.graph.children(&migration.id).is_empty(),
        current: state
            .graph
            .heads_of(&applied)
            .iter()
            .any(|head| head.id == migration.id),
    }
}

fn state_of(state: &State, id: &MigrationId) -> MigrationState {
    match (state.is_applied(id), state.in_checkout.contains(id)) {
        (true, true) => MigrationState::Applied,
        (true, false) => MigrationState::Ahead,
        (false, _) => MigrationState::Pending,
    }
}

fn view(script: ReadScript) -> ScriptView {
    ScriptView {
        origin: script.origin,
        transaction: script.transaction,
        statements: script.statements,
    }
}
