//! Making points: what was there, complete and verified in the vault, before anything changes.

use walkback_core::bulk::TableSlice;
use walkback_core::catalog::{Schema, Table};
use walkback_core::grants::Grant;
use walkback_core::{Capability, Cx, ErrorKind, Result};
use walkback_vault::{
    Database, LedgerState, PointKind, PointMeta, PointSummary, Position, VaultSet, Written,
};

use crate::identity;
use crate::journal::PointRow;
use crate::plan::PointScope;
use crate::runner::Runner;
use crate::snapshot::Snapshot;
use crate::state::State;

/// What is said of a backup that nothing can be gone forward from.
const NO_POSITION: &str = "this does not say where the log of the server stands, so that `restore --to-time` cannot go \
                           forward from it; `walkback doctor` says what is missing";

/// What is to be kept, and why.
#[derive(Debug)]
pub(crate) struct PointRequest<'a> {
    pub(crate) kind: PointKind,
    /// First part of the id: `rb` for points before migrations, `safety`, `bk`.
    pub(crate) prefix: &'a str,
    /// Second part of the id: the migration it is about.
    pub(crate) about: &'a str,
    pub(crate) scope: &'a PointScope,
    pub(crate) description: Option<String>,
    pub(crate) run_id: Option<String>,
    /// What the database is called, where that is not what the engine calls it.
    pub(crate) of: Option<String>,
    /// Rights on the database, where they are kept.
    pub(crate) grants: Option<Vec<Grant>>,
    /// Of changed rows: the id of the point that holds them as they were.
    pub(crate) before: Option<&'a str>,
}

/// Makes a point over a snapshot of its own, and returns it once it is complete in the vaults.
pub(crate) async fn make(
    runner: &Runner,
    cx: &Cx,
    state: &State,
    request: PointRequest<'_>,
) -> Result<Written> {
    // A database that is another's scratch has a log that says nothing of that one.
    let goes_forward = request.of.is_none() && *request.scope == PointScope::Everything;
    let snapshot = Snapshot::take(runner, cx, request.scope, goes_forward).await?;
    let mut meta = meta(runner, state, &snapshot.capability(), snapshot.schema(), &request);
    meta.position = snapshot
        .position()
        .map(|position| Position::new(&position.log, &position.at));
    if goes_forward && meta.position.is_none() && runner.engine().replay().is_some() {
        cx.progress().note(NO_POSITION);
    }
    let writer = begin(runner.needed_vault()?, cx, &request, meta).await?;
    snapshot.read(cx, writer).await?.finish_all(cx).await
}

pub(crate) fn meta(
    runner: &Runner,
    state: &State,
    capability: &Capability,
    schema: &Schema,
    request: &PointRequest<'_>,
) -> PointMeta {
    let applied = state.applied.iter().map(|row| row.id.0.clone()).collect();
    let heads = state
        .heads(&state.applied_set())
        .into_iter()
        .map(|id| id.0)
        .collect();
    let name = request.of.clone().unwrap_or_else(|| database_name(runner));
    let database = Database::new(
        capability.product.clone(),
        capability.version.clone(),
        name,
        runner.dialect().kind(),
    );
    let ledger = LedgerState::new(applied, heads);
    let mut meta = PointMeta::new(request.kind, database, ledger, schema.clone());
    meta.description.clone_from(&request.description);
    meta.run_id.clone_from(&request.run_id);
    meta.grants.clone_from(&request.grants);
    meta.before = request.before.map(str::to_owned);
    meta
}

/// What the ids of points begin with that hold a database as it was at a moment, and not as it was when they were made.
pub(crate) const PAST: &str = "pitr";

/// Returns whether a point is such a one, and no newest state of anything.
pub(crate) fn is_of_past(id: &str) -> bool {
    id.strip_prefix(PAST).is_some_and(|rest| rest.starts_with('_'))
}

/// Returns whether a point in a store, which may hold those of several databases, is a backup of the one of a runner, as far as
/// its name tells.
pub(crate) fn is_own_backup(runner: &Runner, point: &PointSummary) -> bool {
    let is_own = point.info.as_ref().is_ok_and(|info| {
        info.database.name == database_name(runner) && info.database.dialect == runner.dialect().kind()
    });
    is_own && point.kind == Some(PointKind::Backup) && !is_of_past(&point.id)
}

/// Returns the name under which the points of this database are kept: without host, folder or user.
pub(crate) fn database_name(runner: &Runner) -> String {
    let location = runner.engine().info().location;
    location.rsplit(['/', '\\']).next().unwrap_or_default().to_owned()
}

/// Begins a point under a free id: two points of one second get a number.
pub(crate) async fn begin(
    vault: &VaultSet,
    cx: &Cx,
    request: &PointRequest<'_>,
    meta: PointMeta,
) -> Result<walkback_vault::PointWriter> {
    // The id is the name of a file: it tells no name of a table or a migration where those are to be secret.
    let about = if vault.is_encrypted() { "" } else { request.about };
    let id = identity::point_id(cx, request.prefix, about);
    for attempt in 1..100 {
        let id = if attempt == 1 {
            id.clone()
        } else {
            format!("{id}_{attempt}")
        };
        match vault.begin(cx, &id, meta.clone()).await {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            other => return other,
        }
    }
    vault.begin(cx, &format!("{id}_100"), meta).await
}

/// Returns the part of a table that is kept: all rows, without the columns that the server computes.
pub(crate) fn slice_of(table: &Table) -> TableSlice {
    let columns = table
        .columns
        .iter()
        .filter(|column| !column.generated)
        .map(|column| column.name.clone())
        .collect();
    TableSlice::new(table.name.clone(), columns, table.primary_key.clone())
}

/// Returns a table as it is kept: without the columns that the server computes. What two of them add up to is
/// compared over the same columns, whatever an engine makes of the others.
pub(crate) fn kept(table: &Table) -> Table {
    let mut kept = table.clone();
    kept.columns.retain(|column| !column.generated);
    kept
}

/// Returns what the journal notes of a point: with it, where it is and each hash that its manifest may have.
pub(crate) fn row_of(written: &Written) -> PointRow {
    let Written { manifest, copies, .. } = written;
    let stores: Vec<_> = copies.iter().map(|copy| copy.location.as_str()).collect();
    let mut hashes: Vec<_> = copies.iter().map(|copy| copy.hash.as_str()).collect();
    hashes.dedup();
    PointRow {
        id: manifest.id.clone(),
        run_id: manifest.run_id.clone(),
        kind: match manifest.kind {
            PointKind::BeforeUp => "before_up",
            PointKind::BeforeRollback => "safety",
            PointKind::AfterUp => "after_up",
            PointKind::AfterRollback => "after_rollback",
            PointKind::Changes => "changes",
            _ => "backup",
        }
        .to_owned(),
        created_at: identity::moment(manifest.created_at),
        store: stores.join(", "),
        manifest_hash: hashes.join(" "),
    }
}
