//! Proof: each migration goes up, down and up again in a scratch database, with rows in it, and schema and
//! data are compared each time.

mod synthesize;

use std::collections::BTreeMap;

use serde::Serialize;
use walkback_core::catalog::{Schema, Table};
use walkback_core::fingerprint::TableFingerprint;
use walkback_core::{Access, Cx, Error, MigrationId, Result, Session, TableName};

use crate::plan::Verdict;
use crate::runner::{DownTarget, Runner, UpTarget};
use crate::settings::{Consent, Policy, Settings};

/// What running a migration up, down and up again has shown.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct VerifyOutcome {
    /// The migration.
    pub id: MigrationId,
    /// Its name for a person.
    pub name: String,
    /// What its way back is worth, as seen.
    pub verdict: Verdict,
    /// Whether it did what it says: a down that fails, or does not lead back to the schema, has not.
    pub passed: bool,
    /// What differed in the schema, a line each.
    pub differences: Vec<String>,
    /// The error that stopped it.
    pub error: Option<String>,
    /// Tables that could not be given rows, so that nothing is known of their data.
    pub without_rows: Vec<String>,
}

/// The schema and what the rows of each table add up to.
struct Snapshot {
    schema: Schema,
    prints: BTreeMap<TableName, TableFingerprint>,
}

impl Runner {
    /// Verifies migrations, all of them if none is named, in a scratch database that is dropped afterwards.
    /// `on_each` is told of each outcome as it comes.
    ///
    /// # Errors
    /// Fails if a migration does not exist, if the engine has no scratch databases, or if an up script fails
    /// (everything after it could not run either).
    pub async fn verify(
        &self,
        cx: &Cx,
        ids: &[String],
        on_each: &mut (dyn FnMut(&VerifyOutcome) + Send),
    ) -> Result<Vec<VerifyOutcome>> {
        let scratch = self
            .engine()
            .scratch()
            .ok_or_else(|| Error::unsupported("a scratch database", self.engine().info().scheme))?;
        let database = scratch.create(cx).await?;
        let mut settings = Settings::new("scratch", self.settings().actor.clone());
        settings.policy = Policy::default();
        let bench = Self::new(database.engine(), self.source().clone(), None, settings);
        let graph = bench.source().load(cx, bench.dialect().kind()).await?.graph;
        let wanted: Vec<MigrationId> = if ids.is_empty() {
            graph.iter().map(|migration| migration.id.clone()).collect()
        } else {
            ids.iter()
                .map(|id| graph.find(id).map(|migration| migration.id.clone()))
                .collect::<Result<_>>()?
        };
        let mut outcomes = Vec::with_capacity(wanted.len());
        let mut without_rows = BTreeMap::new();
        for migration in graph.iter().filter(|migration| wanted.contains(&migration.id)) {
            cx.check()?;
            let outcome = bench.verify_one(cx, migration, &mut without_rows).await?;
            on_each(&outcome);
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    async fn verify_one(
        &self,
        cx: &Cx,
        migration: &walkback_core::Migration,
        without_rows: &mut BTreeMap<TableName, String>,
    ) -> Result<VerifyOutcome> {
        let id = &migration.id;
        for parent in migration.parents.iter().chain(&migration.depends_on) {
            self.scratch_up(cx, parent).await?;
        }
        *without_rows = self.fill(cx).await?;
        let before = self.snapshot(cx).await?;
        self.scratch_up(cx, id).await?;
        let after = self.snapshot(cx).await?;
        let mut outcome = VerifyOutcome {
            id: id.clone(),
            name: migration.name(),
            verdict: Verdict::Lossless,
            passed: true,
            differences: Vec::new(),
            error: None,
            without_rows: without_rows
                .iter()
                .map(|(table, why)| format!("{table}: {why}"))
                .collect(),
        };
        let plan = match self.plan_down(cx, DownTarget::Count(1)).await {
            Ok(plan) => plan,
            Err(error) => {
                let declared = migration.irreversible.clone();
                outcome.verdict = Verdict::Irreversible {
                    why: declared.unwrap_or_else(|| error.message().to_owned()),
                };
                return Ok(outcome);
            }
        };
        if let Err(error) = self.run(cx, &plan, &Consent::default()).await {
            outcome.passed = false;
            outcome.verdict = Verdict::Irreversible {
                why: "its down script fails".to_owned(),
            };
            outcome.error = Some(chain(&error));
            return Ok(outcome);
        }
        let back = self.snapshot(cx).await?;
        outcome.judge_way_back(&before, &back);
        match self.scratch_up(cx, id).await {
            Ok(()) => outcome.judge_again(&after.schema, &self.snapshot(cx).await?.schema),
            Err(error) => {
                outcome.passed = false;
                outcome.error = Some(format!("it does not go up again: {}", chain(&error)));
                return Err(error.wrap(format!(
                    "after the down of `{}` its up fails, so nothing after it can be verified",
                    migration.name()
                )));
            }
        }
        Ok(outcome)
    }

    async fn scratch_up(&self, cx: &Cx, id: &MigrationId) -> Result<()> {
        let plan = self.plan_up(cx, UpTarget::To(id.0.clone())).await?;
        self.run(cx, &plan, &Consent::default()).await.map(|_| ())
    }

    /// Gives every empty table a few rows, and returns those that would not take any.
    async fn fill(&self, cx: &Cx) -> Result<BTreeMap<TableName, String>> {
        let mut session = self.connect(cx, Access::Write).await?;
        let schema = self.schema(cx, &mut *session).await?;
        synthesize::fill(cx, &mut *session, &*self.dialect(), &schema).await
    }

    async fn snapshot(&self, cx: &Cx) -> Result<Snapshot> {
        let mut session = self.connect(cx, Access::Read).await?;
        let schema = self.schema(cx, &mut *session).await?;
        let mut prints = BTreeMap::new();
        for table in &schema.tables {
            prints.insert(table.name.clone(), print(cx, &mut *session, table).await?);
        }
        Ok(Snapshot { schema, prints })
    }
}

/// A column that was dropped and added again stands last: the order of columns is a matter of the schema, and
/// the data is compared without it.
async fn print(cx: &Cx, session: &mut dyn Session, table: &Table) -> Result<TableFingerprint> {
    let mut sorted = table.clone();
    sorted.columns.sort_by(|left, right| left.name.cmp(&right.name));
    session.fingerprint(cx, &sorted).await
}

impl VerifyOutcome {
    fn judge_way_back(&mut self, before: &Snapshot, back: &Snapshot) {
        let differences = before.schema.differences(&back.schema);
        self.differences = differences.iter().map(ToString::to_string).collect();
        if differences.iter().any(|difference| !difference.is_residue()) {
            self.passed = false;
        }
        let mut loses = Vec::new();
        for (table, was) in &before.prints {
            match back.prints.get(table) {
                Some(now) if now == was => {}
                Some(now) if now.rows < was.rows => {
                    loses.push(format!(
                        "{} of {} rows of table `{table}`",
                        was.rows - now.rows,
                        was.rows
                    ));
                }
                Some(_) => loses.push(format!("values in table `{table}`")),
                None => loses.push(format!("table `{table}` with {} rows", was.rows)),
            }
        }
        if !loses.is_empty() {
            self.verdict = Verdict::Lossy { loses };
        }
    }

    fn judge_again(&mut self, after: &Schema, again: &Schema) {
        for difference in after.differences(again) {
            if !difference.is_residue() {
                self.passed = false;
            }
            self.differences.push(format!("after up again: {difference}"));
        }
    }
}

/// Returns an error with its causes, on one line.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
