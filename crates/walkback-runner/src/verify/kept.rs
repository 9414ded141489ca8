//! What was seen is kept in the journal, where there is one.

use walkback_core::{Access, Cx, Result};

use super::VerifyOutcome;
use crate::identity;
use crate::journal::{Journal, VerdictRow};
use crate::plan::PlannedStep;
use crate::runner::Runner;

/// Which scripts were run.
#[derive(Debug, Clone)]
pub(super) struct Scripts {
    up_hash: String,
    down_hash: Option<String>,
}

impl Scripts {
    pub(super) fn of(step: &PlannedStep) -> Self {
        Self {
            up_hash: step.script.hash.clone(),
            down_hash: step.paired_down.as_ref().map(|down| down.hash.clone()),
        }
    }
}

impl VerifyOutcome {
    /// Returns what the journal keeps of it.
    fn row(&self, at: &str) -> Option<VerdictRow> {
        let scripts = self.scripts.as_ref()?;
        let first = self.differences.first().cloned();
        Some(VerdictRow {
            migration: self.id.clone(),
            up_hash: scripts.up_hash.clone(),
            down_hash: scripts.down_hash.clone(),
            verdict: self.verdict.clone(),
            passed: self.passed,
            reason: self.error.clone().or(first).filter(|_| !self.passed),
            verified_at: at.to_owned(),
        })
    }
}

impl Runner {
    /// Keeps verdicts in the journal of the database. One without a journal is not written to, and that they cannot be kept
    /// changes nothing about what was seen: it is a warning.
    pub(super) async fn keep_verdicts(&self, cx: &Cx, outcomes: &[VerifyOutcome]) {
        let at = identity::moment(cx.now());
        let rows: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.row(&at)).collect();
        if let Err(error) = Box::pin(self.write_verdicts(&cx.shielded(), &rows)).await {
            cx.progress().warn(&format!(
                "what was seen could not be kept in the journal: {}",
                super::chain(&error)
            ));
        }
    }

    async fn write_verdicts(&self, cx: &Cx, rows: &[VerdictRow]) -> Result<()> {
        let dialect = self.dialect();
        // A session that writes would make a file that is not there.
        let mut session = self.connect(cx, Access::Read).await?;
        if rows.is_empty() || !Journal::new(&mut *session, &*dialect).exists(cx).await? {
            return Ok(());
        }
        drop(session);
        let mut session = self.connect(cx, Access::Write).await?;
        Journal::new(&mut *session, &*dialect)
            .note_verdicts(cx, rows)
            .await
    }
}
