//! What restores replaced: kept for a time in tables of its own, and dropped for good by a purge.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use walkback_core::catalog::Schema;
use walkback_core::engine::Begin;
use walkback_core::statement::Action;
use walkback_core::{Cx, DialectKind, Error, ErrorKind, MigrationId, Result, TableName};

use crate::execute::Execution;
use crate::journal::{DeprecatedRow, Journal, KeptRow};
use crate::plan::RunKind;
use crate::protect::is_backup;
use crate::report::RunReport;
use crate::restore::Exchange;
use crate::runner::Runner;
use crate::settings::Consent;
use crate::{gate, identity, point};

/// A table that holds what a restore replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeptTable {
    /// What it is called.
    pub table: TableName,
    /// The table whose rows these were.
    pub replaced: String,
    /// The run that replaced them.
    pub run: String,
    /// How many rows; `None` where nobody has counted them: a table that was moved aside as it was.
    pub rows: Option<u64>,
    /// The migration that dropped it, if it was moved aside and nothing replaced it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migration: Option<MigrationId>,
    /// Whether it is a copy of what that migration took from a table that is there still.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub backup: bool,
    /// Since when, RFC 3339 in UTC.
    pub kept_at: String,
    /// Until when, RFC 3339 in UTC.
    pub deadline: String,
}

impl From<KeptRow> for KeptTable {
    fn from(row: KeptRow) -> Self {
        Self {
            table: row.table,
            replaced: row.replaced,
            run: row.run_id,
            rows: Some(row.rows.unsigned_abs()),
            migration: None,
            backup: false,
            kept_at: row.kept_at,
            deadline: row.deadline,
        }
    }
}

impl From<DeprecatedRow> for KeptTable {
    fn from(row: DeprecatedRow) -> Self {
        Self {
            backup: is_backup(&row.table),
            table: row.table,
            replaced: row.original.to_string(),
            run: row.run_id,
            rows: None,
            migration: Some(row.migration),
            kept_at: row.noted_at,
            deadline: row.deadline,
        }
    }
}

/// What a purge would drop for good.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PurgePlan {
    /// What goes, oldest first.
    pub drop: Vec<KeptTable>,
    /// What stays until its deadline.
    pub stays: Vec<KeptTable>,
}

impl PurgePlan {
    /// Returns what goes although its deadline has not passed.
    pub fn before_deadline(&self, now: DateTime<Utc>) -> impl Iterator<Item = &KeptTable> {
        self.drop
            .iter()
            .filter(move |kept| !has_passed(&kept.deadline, now))
    }
}

impl Runner {
    /// Plans to drop what was kept and has passed its deadline, or all that was kept. Nothing is written.
    ///
    /// # Errors
    /// Fails if the journal cannot be read, and while a run is half-done: it may need what was kept.
    pub async fn plan_purge(&self, cx: &Cx, even_before_deadline: bool) -> Result<PurgePlan> {
        let state = self.state(cx).await?;
        state.refuse_half_done()?;
        let mut session = self.connect(cx, walkback_core::Access::Read).await?;
        let dialect = self.dialect();
        let mut journal = Journal::new(&mut *session, &*dialect);
        let kept = if journal.exists(cx).await? {
            journal.kept(cx).await?
        } else {
            Vec::new()
        };
        let now = cx.now();
        let aside = state.deprecated.into_iter().filter(|row| row.gone.is_none());
        let mut all: Vec<_> = kept.into_iter().map(KeptTable::from).collect();
        all.extend(aside.map(KeptTable::from));
        all.sort_by(|left, right| left.kept_at.cmp(&right.kept_at));
        let goes = |kept: &KeptTable| even_before_deadline || has_passed(&kept.deadline, now);
        let (drop, stays) = all.into_iter().partition(goes);
        Ok(PurgePlan { drop, stays })
    }

    /// Says whether the policy lets a purge through.
    ///
    /// # Errors
    /// `Refused`, with what is missing.
    pub async fn check_purge(&self, cx: &Cx, plan: &PurgePlan, consent: &Consent) -> Result<()> {
        let admitted = gate::purge(self.settings(), cx, plan, consent);
        self.noting_refusal(cx, "purge", consent, admitted).await
    }

    /// Drops what was planned, for good.
    ///
    /// # Errors
    /// `Refused` by the policy, `Locked` if somebody else runs.
    pub async fn run_purge(&self, cx: &Cx, plan: &PurgePlan, consent: &Consent) -> Result<RunReport> {
        self.check_purge(cx, plan, consent).await?;
        let drops: Vec<_> = plan
            .drop
            .iter()
            .map(|kept| Action::DropTable {
                table: kept.table.clone(),
            })
            .collect();
        let (mut execution, steady) = Execution::begin(self, cx, RunKind::Purge, consent, &drops).await?;
        let cx = &steady;
        let heads = execution.state.heads(&execution.state.applied_set());
        execution.record(cx, &heads, &heads).await?;
        let outcome = execution.purge(cx, plan).await;
        execution.conclude(cx, outcome).await
    }
}

/// Returns until when something stays that is kept from a moment on.
pub(crate) fn deadline_after(at: DateTime<Utc>, keep: Duration) -> Result<DateTime<Utc>> {
    let deadline = TimeDelta::from_std(keep)
        .ok()
        .and_then(|keep| at.checked_add_signed(keep));
    deadline.ok_or_else(|| {
        Error::new(
            ErrorKind::Config,
            "`soft_delete` is longer than any date can tell",
        )
    })
}

/// A deadline that cannot be read has not passed.
fn has_passed(deadline: &str, now: DateTime<Utc>) -> bool {
    DateTime::parse_from_rfc3339(deadline).is_ok_and(|deadline| deadline <= now)
}

impl Execution<'_> {
    /// Drops table after table, each with its row: killed in between, the next purge finds the rest.
    async fn purge(&mut self, cx: &Cx, plan: &PurgePlan) -> Result<()> {
        for kept in &plan.drop {
            cx.check()?;
            if kept.migration.is_some() {
                self.drop_deprecated(cx, kept).await?;
            } else {
                self.drop_kept(cx, &kept.table).await?;
            }
            cx.step("purge.dropped");
            self.report.purged.push(kept.clone());
        }
        Ok(())
    }

    /// Drops a table that was moved aside, with the schema that was made for it.
    async fn drop_deprecated(&mut self, cx: &Cx, kept: &KeptTable) -> Result<()> {
        let rows = self.journal().deprecated(cx).await?;
        let is_it = |row: &DeprecatedRow| row.table == kept.table && row.gone.is_none();
        let Some(row) = rows.into_iter().find(is_it) else {
            return Ok(());
        };
        let atomic = self.session.capability().transactional_ddl;
        if atomic {
            self.session.begin(cx, Begin::Write).await?;
        }
        let outcome = async {
            if self.session.has_table(cx, &row.table).await? {
                let sql = format!("DROP TABLE {}", self.dialect.quote_table(&row.table));
                self.session.execute(cx, &sql, &[]).await?;
                if let Some(schema) = &row.table.schema {
                    let sql = format!("DROP SCHEMA {}", self.dialect.quote_identifier(schema));
                    self.session.execute(cx, &sql, &[]).await?;
                }
                cx.step("purge.table");
            }
            let at = identity::moment(cx.now());
            let day = at.split('T').next().unwrap_or(&at);
            let how = format!("`walkback purge` dropped it on {day}, run `{}`", self.run.id);
            self.journal().deprecated_is_gone(cx, &row, &how).await
        }
        .await;
        if atomic {
            return self.end_transaction(cx, outcome).await;
        }
        outcome
    }

    async fn drop_kept(&mut self, cx: &Cx, table: &TableName) -> Result<()> {
        let atomic = self.session.capability().transactional_ddl;
        if atomic {
            self.session.begin(cx, Begin::Write).await?;
        }
        let outcome = async {
            // First the table: a row without a table is found again, a table without a row is not.
            if self.session.has_table(cx, table).await? {
                let sql = format!("DROP TABLE {}", self.dialect.quote_table(table));
                self.session.execute(cx, &sql, &[]).await?;
            }
            self.journal().forget_kept(cx, &table.name).await
        }
        .await;
        if atomic {
            return self.end_transaction(cx, outcome).await;
        }
        outcome
    }

    /// Sets the rows aside that an exchange is about to replace, until the deadline.
    pub(crate) async fn keep_replaced(&mut self, cx: &Cx, exchange: &Exchange, now: &Schema) -> Result<()> {
        let keep = self.runner.settings().soft_delete;
        if keep.is_zero() {
            return Ok(());
        }
        let at = cx.now();
        let deadline = deadline_after(at, keep)?;
        let replaced = exchange.replace.iter().map(|entry| &entry.table);
        let tells_cases = self.dialect.kind() != DialectKind::Sqlite;
        let live = |name| match tells_cases {
            true => now.exact_table(name),
            false => now.table(name),
        };
        let goes = replaced.chain(&exchange.drop_tables).filter_map(live);
        let stamp = self.run.id.trim_start_matches("run_").to_owned();
        for live in goes {
            let number = self.kept_number;
            self.kept_number += 1;
            let row = KeptRow {
                // With the journal: the schema of the live table may go with the migration.
                table: TableName {
                    schema: self.state.schema.home.clone(),
                    name: format!("_walkback_kept_{stamp}_{number}"),
                },
                replaced: live.name.to_string(),
                run_id: self.run.id.clone(),
                rows: 0,
                kept_at: identity::moment(at),
                deadline: identity::moment(deadline),
            };
            self.journal().note_kept(cx, &row).await?;
            let aside = self
                .session
                .set_aside(cx, &point::slice_of(live), &row.table)
                .await;
            let rows = aside.map_err(|error| {
                error
                    .wrap(format!("the rows of `{}` cannot be kept beside what replaces them", live.name))
                    .hint("say `soft_delete = \"0s\"` for the environment to keep them in the safety point only")
            })?;
            self.kept.push(row.table.clone());
            if rows == 0 {
                self.forget_empty(cx, &row.table).await?;
                continue;
            }
            let count = i64::try_from(rows).unwrap_or(i64::MAX);
            self.journal().note_kept_rows(cx, &row.table.name, count).await?;
            self.report
                .kept
                .push(KeptTable::from(KeptRow { rows: count, ..row }));
        }
        cx.step("restore.kept");
        Ok(())
    }

    async fn forget_empty(&mut self, cx: &Cx, table: &TableName) -> Result<()> {
        let sql = format!("DROP TABLE {}", self.dialect.quote_table(table));
        self.session.execute(cx, &sql, &[]).await?;
        self.journal().forget_kept(cx, &table.name).await?;
        self.kept.pop();
        Ok(())
    }

    /// Drops what the exchange has set aside: nothing was replaced after all.
    pub(crate) async fn drop_kept_in_vain(&mut self, cx: &Cx) -> Result<()> {
        for table in std::mem::take(&mut self.kept) {
            self.report.kept.retain(|kept| kept.table != table);
            self.drop_kept(cx, &table).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_has_passed_from_its_moment_on() {
        let now = "2026-12-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap();
        for (deadline, passed) in [
            ("2026-12-01T00:00:00.000000Z", true),
            ("2026-11-30T23:59:59.999999Z", true),
            ("2026-12-01T00:00:00.000001Z", false),
            ("soon", false),
            ("", false),
        ] {
            assert_eq!(has_passed(deadline, now), passed, "{deadline}");
        }
    }
}
