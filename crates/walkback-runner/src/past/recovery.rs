//! Back to a moment by the server's own recovery, from a base backup that the environment names.

use std::collections::BTreeSet;

use walkback_core::catalog::{Object, Schema};
use walkback_core::name::ObjectKind;
use walkback_core::recovery::{Recovery, RecoveryFiles};
use walkback_core::{Cx, Error, ErrorKind, Result, TableName};

use super::check::NAME;
use super::{Past, PastPlan, PastRequest, PastRoad};
use crate::doctor::Check;
use crate::identity::moment as words;
use crate::plan::PointScope;
use crate::runner::Runner;

/// The fact that a relation is not in the log: a recovery leaves nothing in it.
const UNLOGGED: &str = "unlogged";

/// Returns of which tables a recovered database holds the rows. Those that are not in the log are empty there; what is
/// not in the scope is never brought back.
pub(super) fn recovered(cx: &Cx, schema: &Schema) -> Result<PointScope> {
    let is_unlogged =
        |object: &&Object| object.kind == ObjectKind::Sequence && object.facts.contains_key(UNLOGGED);
    let sequences: Vec<&Object> = schema.objects.iter().filter(is_unlogged).collect();
    if let Some(alone) = sequences.iter().find(|sequence| sequence.on.is_none()) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the sequence `{}` was unlogged then: the server does not know where it stood",
                alone.name
            ),
        )
        .hint("only moments after `ALTER SEQUENCE .. SET LOGGED` can be gone back to"));
    }
    let tables = schema.tables.iter();
    let unlogged = tables.filter(|table| table.facts.contains_key(UNLOGGED));
    let lost: BTreeSet<&TableName> = unlogged
        .map(|table| &table.name)
        .chain(sequences.iter().filter_map(|sequence| sequence.on.as_ref()))
        .collect();
    for name in &lost {
        cx.progress().warn(&format!(
            "the rows of `{name}` are not brought back: it was unlogged then, and no server can recover them"
        ));
    }
    Ok(without(schema, lost))
}

/// Returns all tables but these, and but those that they are parts of.
fn without<'s>(schema: &'s Schema, mut lost: BTreeSet<&'s TableName>) -> PointScope {
    if lost.is_empty() {
        return PointScope::Everything;
    }
    let mut next: Vec<&TableName> = lost.iter().copied().collect();
    while let Some(name) = next.pop() {
        let parents = schema.table(name).map(|table| table.parents.as_slice());
        next.extend(
            parents
                .unwrap_or_default()
                .iter()
                .filter(|parent| lost.insert(*parent)),
        );
    }
    let names = schema.tables.iter().map(|table| &table.name);
    PointScope::Tables(names.filter(|name| !lost.contains(name)).cloned().collect())
}

impl Runner {
    /// Plans to have the server recover a base backup. Which one, and whether it reaches the moment, is seen on the way.
    pub(super) fn by_recovery(&self, request: &PastRequest) -> Result<PastPlan> {
        let files = self.recovery_files()?;
        if let Some(base) = &request.base {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("this server does not go forward from `{base}`, but from a base backup of its own"),
            )
            .hint("name no backup: the base backups in `[env.<name>.recovery]` are looked at"));
        }
        Ok(PastPlan {
            until: words(request.until),
            road: PastRoad::Recovery,
            base: files.base_backup.display().to_string(),
            base_at: String::new(),
            from: None,
            log_bytes: None,
            seconds_earlier: None,
            warnings: Vec::new(),
            moment: request.until,
            position: None,
        })
    }

    /// Has the server recover a base backup, and makes a point of what was there.
    pub(super) async fn past_recovered(&self, cx: &Cx, plan: &PastPlan) -> Result<Past> {
        let recovery = self
            .engine()
            .recovery()
            .ok_or_else(|| Error::unsupported("recovering a base backup", self.engine().info().scheme))?;
        // Without a vault there is nowhere to bring it to, and a recovery may take hours.
        self.needed_vault()?;
        let files = self.recovery_files()?;
        let database = Box::pin(recovery.recover_to(cx, plan.moment, files)).await?;
        cx.step("past.recovered");
        let described = format!(
            "the database as it was at {}: recovered by the server from `{}`",
            plan.until, plan.base
        );
        let manifest = Box::pin(self.past_from(cx, database, &described)).await?;
        Ok(Past {
            id: manifest.id,
            is_made: true,
            transactions: 0,
            end: None,
            last: None,
        })
    }

    fn recovery_files(&self) -> Result<&RecoveryFiles> {
        self.settings().recovery.as_ref().ok_or_else(|| {
            let environment = &self.settings().environment;
            Error::new(
                ErrorKind::Unsupported,
                "nothing says where the base backups and the archived log of the server are",
            )
            .hint(format!(
                "add `[env.{environment}.recovery]` with `base_backup` and `wal_archive` to `walkback.toml`; \
                 `walkback doctor` says what else is missing"
            ))
        })
    }

    /// Checks whether the server and the files are set up for it.
    pub(super) async fn check_recovery(&self, cx: &Cx, recovery: &dyn Recovery) -> Vec<Check> {
        match recovery.check(cx, self.settings().recovery.as_ref()).await {
            Err(error) => vec![Check::fail(NAME, &error)],
            Ok(lacks) if lacks.is_empty() => vec![Check::ok(
                NAME,
                "the server archives its log, and `restore --to-time` has it recover a base backup",
            )],
            Ok(lacks) => lacks
                .into_iter()
                .map(|lack| match lack.split_once(": ") {
                    Some((what, remedy)) => Check::warn(NAME, what, remedy),
                    None => Check::warn(NAME, lack, "see the page on PostgreSQL and moments of the book"),
                })
                .collect(),
        }
    }
}
