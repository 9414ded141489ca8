//! What was there before each statement of a migration: from the database, or from a scratch database.

use std::time::Duration;

use serde::Serialize;
use walkback_core::catalog::Schema;
use walkback_core::engine::Begin;
use walkback_core::{Access, Cx, Error, Migration, Result, Session};

use crate::execute::changes_schema;
use crate::plan::ReadScript;
use crate::runner::Runner;
use crate::verify::chain;

/// How long a database may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where definitions come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CatalogOrigin {
    /// The database of the environment, where the migration is the next.
    Database,
    /// A scratch database, which the earlier migrations were applied to.
    Scratch,
    /// None were needed.
    NotNeeded,
    /// Neither could be asked.
    Unknown,
}

/// What was there before each statement of a script.
pub(super) struct Definitions {
    pub(super) origin: CatalogOrigin,
    /// One for each statement, or one for all of them; empty if nothing is known.
    schemas: Vec<Schema>,
    /// Why nothing is known.
    pub(super) why: String,
}

impl Definitions {
    pub(super) fn unknown(origin: CatalogOrigin, why: impl Into<String>) -> Self {
        Self {
            origin,
            schemas: Vec::new(),
            why: why.into(),
        }
    }

    pub(super) fn of(origin: CatalogOrigin, schemas: Vec<Schema>) -> Self {
        Self {
            origin,
            schemas,
            why: String::new(),
        }
    }

    /// Returns what was there before a statement.
    pub(super) fn before(&self, index: usize) -> Option<&Schema> {
        self.schemas.get(index).or(self.schemas.last())
    }
}

impl Runner {
    /// Finds out what was there before each statement. A catalog of the whole script is enough where a single statement
    /// changes definitions; else each of them is run in a scratch database, to see what the next one finds.
    pub(super) async fn definitions_before(
        &self,
        cx: &Cx,
        migration: &Migration,
        up: &ReadScript,
    ) -> Result<Definitions> {
        let asks = |action: &_| super::asks_catalog(action);
        let statements = up.statements.iter();
        if !statements
            .clone()
            .any(|statement| statement.effect.actions.iter().any(asks))
        {
            return Ok(Definitions::unknown(CatalogOrigin::NotNeeded, ""));
        }
        let is_single = statements.filter(|statement| changes_schema(statement)).count() < 2;
        let from_database = self.definitions_in_database(cx, migration).await;
        cx.check()?;
        if is_single && let Ok(known) = from_database {
            return Ok(known);
        }
        let from_scratch = self.definitions_in_scratch(cx, migration, up).await;
        cx.check()?;
        let (no_scratch, no_database) = match (from_scratch, from_database) {
            (Ok(known), _) | (Err(_), Ok(known)) => return Ok(known),
            (Err(scratch), Err(database)) => (chain(&scratch), chain(&database)),
        };
        Ok(Definitions::unknown(
            CatalogOrigin::Unknown,
            format!("{no_database}, and a scratch database was of no help: {no_scratch}"),
        ))
    }

    async fn definitions_in_database(&self, cx: &Cx, migration: &Migration) -> Result<Definitions> {
        let state = self.state(&cx.clone().with_timeout(PATIENCE)).await?;
        if state.is_applied(&migration.id) {
            return Err(Error::config("the migration is applied to the database already"));
        }
        let needed = migration.parents.iter().chain(&migration.depends_on);
        for id in needed {
            if !state.is_applied(id) {
                return Err(Error::config(format!(
                    "migration `{id}`, which it builds on, is not applied to the database"
                )));
            }
        }
        Ok(Definitions::of(CatalogOrigin::Database, vec![state.schema]))
    }

    /// Applies what the migration builds on in a scratch database, then its own statements, one at a time.
    async fn definitions_in_scratch(
        &self,
        cx: &Cx,
        migration: &Migration,
        up: &ReadScript,
    ) -> Result<Definitions> {
        let bench = self.bench(cx).await?;
        for id in migration.parents.iter().chain(&migration.depends_on) {
            bench.runner.scratch_up(cx, id).await?;
        }
        let mut session = bench.runner.connect(cx, Access::Write).await?;
        if up.transaction && session.capability().transactional_ddl {
            let mode = if up.rebuilds() {
                Begin::Rebuild
            } else {
                Begin::Write
            };
            session.begin(cx, mode).await?;
        }
        let schemas = bench.runner.watch(cx, &mut *session, up).await?;
        Ok(Definitions::of(CatalogOrigin::Scratch, schemas))
    }

    /// Runs statements, and returns what was there before each.
    async fn watch(&self, cx: &Cx, session: &mut dyn Session, up: &ReadScript) -> Result<Vec<Schema>> {
        let mut before = Vec::with_capacity(up.statements.len());
        let mut current = self.schema(cx, session).await?;
        for statement in &up.statements {
            before.push(current.clone());
            session
                .execute(cx, &statement.sql, &[])
                .await
                .map_err(|error| error.wrap(format!("the statement at {} fails there", statement.at)))?;
            if changes_schema(statement) {
                current = self.schema(cx, session).await?;
            }
        }
        Ok(before)
    }
}
