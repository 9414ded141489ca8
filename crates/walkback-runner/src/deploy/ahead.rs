//! A deployment before this one that was killed, or could not be taken back: the database is ahead of the code of before.

use walkback_core::{Access, Cx, Result};

use super::DEPLOY;
use super::procedure::Procedure;
use crate::journal::{Journal, RunRecord, RunStatus};
use crate::killed::is_procedure;

impl Procedure<'_> {
    /// Returns an earlier deployment whose migrations are still applied, although it did not end well. To bring code back
    /// would bring back code that was never released with them.
    pub(super) async fn left_ahead(&self, cx: &Cx) -> Result<Option<RunRecord>> {
        let mut session = self.runner.connect(cx, Access::Read).await?;
        let dialect = self.runner.dialect();
        let runs = Journal::new(&mut *session, &*dialect).runs(cx, None).await?;
        Ok(ahead(runs, &self.report.run, self.from()))
    }
}

fn ahead(newest_first: Vec<RunRecord>, own: &str, heads: &str) -> Option<RunRecord> {
    newest_first
        .into_iter()
        .filter(|run| run.id != own && is_procedure(&run.kind))
        .take_while(|run| run.status != RunStatus::Done)
        .find(|run| run.kind == DEPLOY && run.from != run.to && run.from != heads)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str, status: RunStatus, from: &str, to: &str) -> RunRecord {
        RunRecord {
            id: id.to_owned(),
            kind: DEPLOY.to_owned(),
            status,
            environment: "dev".to_owned(),
            started_at: String::new(),
            finished_at: None,
            actor: String::new(),
            from: from.to_owned(),
            to: to.to_owned(),
            ticket: None,
            reason: None,
            detail: None,
            hooks: Vec::new(),
        }
    }

    #[test]
    fn what_a_killed_deployment_has_left_is_found_until_one_ends_well() {
        let own = run("3", RunStatus::Running, "002", "002");
        let killed = run("1", RunStatus::Interrupted, "001", "002");
        let failed = run("2", RunStatus::Failed, "002", "002");
        let found = |runs: &[&RunRecord], heads: &str| {
            ahead(runs.iter().map(|run| (*run).clone()).collect(), "3", heads).map(|run| run.id)
        };
        assert_eq!(found(&[&own, &killed], "002").as_deref(), Some("1"));
        assert_eq!(found(&[&own, &failed, &killed], "002").as_deref(), Some("1"));
        // It was walked back meanwhile.
        assert_eq!(found(&[&own, &killed], "001"), None);
        let done = run("2", RunStatus::Done, "002", "002");
        assert_eq!(found(&[&own, &done, &killed], "002"), None);
        // One that was taken back has left nothing.
        assert_eq!(found(&[&own, &failed], "002"), None);
    }
}
