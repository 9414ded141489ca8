//! What is asked for of a script, and of single statements of it.

use walkback_core::statement::Severity;

use super::{Protect, StatementProtection};
use crate::plan::{PlannedStatement, PlannedStep};
use crate::runner::Runner;

impl PlannedStep {
    /// Returns how all of it is protected, from what is said of the script and of single statements, or why a point has to
    /// hold everything: statements of one script go back together.
    pub(super) fn asked(&self, runner: &Runner) -> Result<Protect, String> {
        let whole = self.script.protect.unwrap_or(runner.settings().protect);
        if self
            .statements
            .iter()
            .all(|statement| statement.protect.is_none())
        {
            return Ok(whole);
        }
        let destroys = |statement: &&PlannedStatement| statement.severity >= Severity::AddsRows;
        let statements = self.statements.iter().filter(destroys);
        let mut asked: Vec<Protect> = statements
            .map(|statement| statement.protect.unwrap_or(whole))
            .collect();
        let is_off = asked.contains(&Protect::Off);
        asked.retain(|protect| *protect != Protect::Off);
        asked.sort_unstable();
        asked.dedup();
        let is_beside = |protect: &Protect| matches!(protect, Protect::SoftDelete | Protect::BackupTable);
        match &asked[..] {
            [] if is_off => Ok(Protect::Off),
            [] => Ok(whole),
            [Protect::Auto | Protect::Vault] if is_off => {
                Err("the point of a script holds all that it changes, also what is to be `off`".to_owned())
            }
            [one] => Ok(*one),
            several if several.iter().all(is_beside) => Ok(Protect::BackupTable),
            _ => Err("its statements ask for what only a point gives all of them".to_owned()),
        }
    }

    /// Says of everything that it destroys that the point holds it, and why.
    pub(super) fn keep_in_point(&mut self, runner: &Runner, why: &str) {
        self.protect = Protect::Vault;
        let has_vault = runner.vault().is_some();
        for statement in &mut self.statements {
            let asks = statement.protect.is_some();
            statement.protection = (statement.severity >= Severity::Destructive).then(|| match has_vault {
                true => StatementProtection::Vault {
                    why: asks.then(|| why.to_owned()),
                },
                false => StatementProtection::Nothing {
                    why: "there is no vault".to_owned(),
                },
            });
        }
    }
}
