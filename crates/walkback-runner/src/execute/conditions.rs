//! What has to hold before a script runs: asked when its turn comes, since the scripts before it may bring it about.

use walkback_core::engine::{Begin, SessionExt as _};
use walkback_core::migration::{Condition, Otherwise};
use walkback_core::value::Value;
use walkback_core::{Cx, Error, ErrorKind, Result};

use super::Execution;
use crate::plan::PlannedStep;

impl Execution<'_> {
    /// Applies a migration if what it asks for holds; else does what its author wants then.
    pub(super) async fn up_if_it_holds(&mut self, cx: &Cx, step: &PlannedStep) -> Result<()> {
        for condition in &step.script.conditions {
            // Several may stand on one line.
            if condition.once && self.asked.contains(condition) {
                continue;
            }
            let found = self.ask(cx, step, condition).await?;
            if condition.once {
                self.asked.push(condition.clone());
            }
            if found == condition.expected {
                continue;
            }
            let what = format!(
                "`{}` asks for `{}` from `{}`, and it is `{found}` ({})",
                step.name, condition.expected, condition.sql, condition.location
            );
            match condition.otherwise {
                Otherwise::Stop => return Err(stopped(what)),
                Otherwise::Warn => self.report.warnings.push(what),
                Otherwise::Leave => {
                    self.report.warnings.push(format!("{what}: it stays pending"));
                    return Ok(());
                }
                Otherwise::CountAsApplied => {
                    self.report
                        .warnings
                        .push(format!("{what}: it counts as applied, and none of it ran"));
                    return self.count_as_applied(cx, step).await;
                }
            }
        }
        self.up(cx, step).await
    }

    async fn ask(&mut self, cx: &Cx, step: &PlannedStep, condition: &Condition) -> Result<String> {
        let asked = self.session.fetch_optional(cx, &condition.sql, &[]).await;
        let row = asked.map_err(|error| {
            error.wrap(format!(
                "the condition of `{}` cannot be asked ({})",
                step.name, condition.location
            ))
        })?;
        let value = row.and_then(|row| row.first().cloned());
        Ok(value.as_ref().map_or_else(String::new, shown))
    }

    async fn count_as_applied(&mut self, cx: &Cx, step: &PlannedStep) -> Result<()> {
        self.session.begin(cx, Begin::Write).await?;
        let outcome = self.insert_marked(cx, &step.id).await;
        self.end_transaction(cx, outcome).await?;
        cx.step("migration.committed");
        Ok(())
    }
}

fn stopped(what: String) -> Error {
    Error::new(ErrorKind::CheckFailed, format!("the condition of {what}"))
        .hint("nothing of it was run; make it hold, or say what is to happen otherwise: `onFail:MARK_RAN`")
}

/// Returns a value as Liquibase compares it: a truth value is a number there.
fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) | Value::Decimal(text) => text.trim().to_owned(),
        Value::Float(number) => number.to_string(),
        other => other
            .as_i64()
            .map_or_else(String::new, |number| number.to_string()),
    }
}
