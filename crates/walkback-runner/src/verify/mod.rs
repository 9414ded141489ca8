//! Proof: each migration goes up, down and up again in a scratch database, with rows in it, and schema and
//! data are compared each time.

mod beyond;
mod kept;
mod restore;
mod synthesize;

use std::collections::BTreeMap;

use serde::Serialize;
use walkback_core::catalog::{Schema, Table};
use walkback_core::engine::ScratchDatabase;
use walkback_core::fingerprint::TableFingerprint;
use walkback_core::name::ObjectKind;
use walkback_core::{Access, Cx, Error, Migration, MigrationId, Result, Session, TableName};

use crate::plan::{ScriptOrigin, Verdict};
use crate::runner::{DownTarget, Runner, UpTarget};
use crate::settings::{Consent, Policy, Settings};

pub use restore::RestoreReport;
pub(crate) use restore::Restored;

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
    /// Where the script that was run as its way back comes from, if there is one.
    pub origin: Option<ScriptOrigin>,
    /// Whether it did what it says: a down that fails, or does not lead back to the schema, has not.
    pub passed: bool,
    /// What differed in the schema, a line each.
    pub differences: Vec<String>,
    /// The error that stopped it.
    pub error: Option<String>,
    /// Tables that could not be given rows, so that nothing is known of their data.
    pub without_rows: Vec<String>,
    #[serde(skip)]
    scripts: Option<kept::Scripts>,
}

/// A runner on a scratch database, which goes with it.
pub(crate) struct Bench {
    pub(crate) runner: Runner,
    // Held for its drop.
    _database: Box<dyn ScratchDatabase>,
}

/// What became of verifying a migration.
enum Seen {
    Outcome(VerifyOutcome),
    /// Its up fails, with rows in the tables.
    FailsWithRows(Error),
}

/// The schema and what the rows of each table add up to.
struct Snapshot {
    schema: Schema,
    prints: BTreeMap<TableName, TableFingerprint>,
}

impl Runner {
    /// Verifies migrations, all of them if none is named, in a scratch database that is dropped afterwards.
    /// `on_each` is told of each outcome as it comes. The journal of the database keeps them, if it has one.
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
        let mut outcomes = Vec::new();
        let ended = Box::pin(self.verify_each(cx, ids, on_each, &mut outcomes)).await;
        // Also what was seen before it had to end.
        self.keep_verdicts(cx, &outcomes).await;
        ended.map(|()| outcomes)
    }

    async fn verify_each(
        &self,
        cx: &Cx,
        ids: &[String],
        on_each: &mut (dyn FnMut(&VerifyOutcome) + Send),
        outcomes: &mut Vec<VerifyOutcome>,
    ) -> Result<()> {
        let mut bench = self.bench(cx).await?;
        let graph = bench
            .runner
            .source()
            .load(cx, bench.runner.dialect().kind())
            .await?
            .graph;
        let wanted: Vec<MigrationId> = if ids.is_empty() {
            graph.iter().map(|migration| migration.id.clone()).collect()
        } else {
            ids.iter()
                .map(|id| graph.find(id).map(|migration| migration.id.clone()))
                .collect::<Result<_>>()?
        };
        let beyond = bench.runner.beyond(cx, &graph).await?;
        for migration in graph.iter().filter(|migration| wanted.contains(&migration.id)) {
            cx.check()?;
            if let Some(why) = beyond.get(&migration.id) {
                let outcome = VerifyOutcome::beyond(migration, why);
                on_each(&outcome);
                outcomes.push(outcome);
                continue;
            }
            let outcome = match bench.runner.verify_one(cx, migration, None).await? {
                Seen::Outcome(outcome) => outcome,
                Seen::FailsWithRows(error) => {
                    // What it has left behind half-way may not be taken back there: there is no vault.
                    bench = self.bench(cx).await?;
                    bench.runner.verify_without_rows(cx, migration, &error).await?
                }
            };
            if !outcome.passed {
                // What a broken down leaves behind must not be blamed on the migrations that follow.
                bench = self.bench(cx).await?;
                bench.runner.scratch_up(cx, &migration.id).await?;
            }
            on_each(&outcome);
            outcomes.push(outcome);
        }
        Ok(())
    }

    /// Returns a runner on an empty scratch database.
    pub(crate) async fn bench(&self, cx: &Cx) -> Result<Bench> {
        let scratch = self
            .engine()
            .scratch()
            .ok_or_else(|| Error::unsupported("a scratch database", self.engine().info().scheme))?;
        let database = scratch.create(cx).await?;
        let mut settings = Settings::new("scratch", self.settings().actor.clone());
        settings.policy = Policy::default();
        let runner = Self::new(database.engine(), self.source().clone(), None, settings);
        Ok(Bench {
            runner,
            _database: database,
        })
    }

    /// Verifies a migration without any rows, with which it fails to go up for this reason.
    async fn verify_without_rows(
        &self,
        cx: &Cx,
        migration: &Migration,
        error: &Error,
    ) -> Result<VerifyOutcome> {
        let why = format!("all tables: its up fails once they have rows: {}", chain(error));
        match self.verify_one(cx, migration, Some(why)).await? {
            Seen::Outcome(outcome) => Ok(outcome),
            Seen::FailsWithRows(error) => Err(error),
        }
    }

    async fn verify_one(&self, cx: &Cx, migration: &Migration, no_rows: Option<String>) -> Result<Seen> {
        let id = &migration.id;
        for parent in migration.parents.iter().chain(&migration.depends_on) {
            self.scratch_up(cx, parent).await?;
        }
        let has_rows = no_rows.is_none();
        let without_rows: Vec<String> = match no_rows {
            Some(why) => vec![why],
            None => {
                let refused = self.fill(cx).await?;
                refused
                    .iter()
                    .map(|(table, why)| format!("{table}: {why}"))
                    .collect()
            }
        };
        let mut before = self.snapshot(cx).await?;
        let up = self.plan_up(cx, UpTarget::To(id.0.clone())).await?;
        match self.run(cx, &up, &Consent::default()).await {
            Err(error) if has_rows => return Ok(Seen::FailsWithRows(error)),
            outcome => outcome.map(drop)?,
        }
        if !has_rows {
            before.prints.clear();
        }
        let after = self.snapshot(cx).await?;
        let mut outcome = VerifyOutcome {
            id: id.clone(),
            name: migration.name(),
            verdict: Verdict::Lossless,
            origin: None,
            passed: true,
            differences: Vec::new(),
            error: None,
            without_rows,
            scripts: up.steps.iter().find(|step| step.id == *id).map(kept::Scripts::of),
        };
        let plan = match self.plan_down(cx, DownTarget::Count(1)).await {
            Ok(plan) => plan,
            Err(error) => {
                let why = migration
                    .irreversible
                    .clone()
                    .unwrap_or_else(|| error.message().to_owned());
                outcome.verdict = Verdict::Irreversible { why };
                return Ok(Seen::Outcome(outcome));
            }
        };
        outcome.origin = plan.steps.first().map(|step| step.origin);
        if let Err(error) = self.run(cx, &plan, &Consent::default()).await {
            outcome.fail("its down script fails", &error);
            return Ok(Seen::Outcome(outcome));
        }
        outcome.judge_way_back(&before, &self.snapshot(cx).await?);
        match self.scratch_up(cx, id).await {
            Ok(()) => outcome.judge_again(&after.schema, &self.snapshot(cx).await?.schema),
            Err(error) => outcome.fail("after its down it does not go up again", &error),
        }
        Ok(Seen::Outcome(outcome))
    }

    /// Applies a migration and what it builds on.
    pub(crate) async fn scratch_up(&self, cx: &Cx, id: &MigrationId) -> Result<()> {
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
    fn fail(&mut self, why: &str, error: &Error) {
        self.passed = false;
        self.verdict = Verdict::Irreversible { why: why.to_owned() };
        self.error = Some(format!("{why}: {}", chain(error)));
    }

    fn judge_way_back(&mut self, before: &Snapshot, back: &Snapshot) {
        let differences = before.schema.differences(&back.schema);
        self.differences = differences.iter().map(ToString::to_string).collect();
        let real = differences.iter().filter(|difference| !difference.is_residue());
        let mut loses: Vec<String> = real.map(ToString::to_string).collect();
        self.passed = loses.is_empty();
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
        for difference in without_starts(after).differences(&without_starts(again)) {
            if !difference.is_residue() {
                self.passed = false;
            }
            self.differences.push(format!("after up again: {difference}"));
        }
    }
}

/// A server fills in when an event that repeats was first made, unless its script says when it begins: made again, it begins
/// later, and is the same otherwise.
fn without_starts(schema: &Schema) -> Schema {
    let mut schema = schema.clone();
    let events = schema
        .objects
        .iter_mut()
        .filter(|object| object.kind == ObjectKind::Event);
    for fact in events.flat_map(|event| event.facts.values_mut()) {
        if let Some((head, rest)) = fact.split_once(" STARTS '")
            && let Some((_, tail)) = rest.split_once('\'')
        {
            *fact = format!("{head}{tail}");
        }
    }
    schema
}

/// Returns an error with its causes, on one line.
pub(crate) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
