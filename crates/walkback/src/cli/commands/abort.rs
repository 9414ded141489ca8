//! `abort`: ask the run that is under way to stop.

use std::time::Duration;

use serde_json::Value;
use walkback_core::Result;
use walkback_runner::{AbortReport, RunStatus};

use super::change::place;
use crate::cli::args::Abort;
use crate::cli::context::{Context, json};
use crate::cli::exit;

/// Undoing may take as long as what is undone.
const USUAL_WAIT: Duration = Duration::from_secs(60);

pub(super) async fn run(context: &Context, args: &Abort) -> Result<u8> {
    let runner = context.runner()?;
    let wait = args.wait.unwrap_or(USUAL_WAIT);
    let Some(report) = runner.abort(&context.cx, wait).await? else {
        context
            .out
            .text(format!("nothing to stop {}: no run is under way", place(&runner)));
        context.object([("aborted", Ok(Value::Null))])?;
        return Ok(exit::DONE);
    };
    context.out.text(text(&report));
    context.object([("aborted", json(&report))])?;
    Ok(if report.needs_recovery {
        exit::NEEDS_RECOVERY
    } else {
        exit::DONE
    })
}

fn text(report: &AbortReport) -> String {
    let run = report.run.as_ref().map(|run| format!(" `{run}`"));
    let mut text = format!("stopped run{} of {}", run.unwrap_or_default(), report.holder);
    let how = match report.outcome {
        Some(RunStatus::Undone) => "what it had begun is undone",
        Some(RunStatus::Done) => "it had just come to its end; `walkback rollback` undoes it",
        Some(RunStatus::Failed) => "it ended with an error",
        _ if report.needs_recovery => {
            "it was in the middle of a migration, which is half-done: run `walkback recover`"
        }
        _ => "it had changed nothing",
    };
    text.push_str(&format!("\n  {how}"));
    if let Some(detail) = &report.detail {
        text.push_str(&format!("\n  {detail}"));
    }
    text
}
