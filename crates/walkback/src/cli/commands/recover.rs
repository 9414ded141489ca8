//! `recover`: put an unfinished run right.

use serde_json::Value;
use walkback_core::Result;
use walkback_runner::{RecoverDirection, Runner};

use super::change::{self, place};
use crate::cli::args::Recover;
use crate::cli::context::{Context, consent, json};
use crate::cli::exit;

pub(super) async fn run(context: &Context, args: &Recover) -> Result<u8> {
    let runner = context.runner()?;
    let Some(plan) = runner.plan_recover(&context.cx, args.direction()).await? else {
        context.out.text(format!(
            "nothing to recover {}: no run is unfinished",
            place(&runner)
        ));
        let left_out = runner.left_out(&context.cx).await?;
        change::warn_all(context, &left_out);
        let fields = [
            ("plan", Ok(Value::Null)),
            ("dry_run", Ok(args.dry_run.into())),
            ("report", Ok(Value::Null)),
            ("left_out", json(&left_out)),
        ];
        context.object(fields)?;
        if !args.dry_run {
            runner.catch_up_audit(&context.cx).await?;
            sweep(context, &runner).await;
        }
        return Ok(exit::DONE);
    };
    let mut shown = format!("recover {}\n", place(&runner));
    for found in &plan.found {
        shown.push_str(&format!("  found: {found}\n"));
    }
    shown.push_str(&if plan.half_done {
        let way = match plan.direction {
            RecoverDirection::Forward => "forward to what is there after it",
            _ => "back to what was there before",
        };
        let other = plan.other.as_ref().map(|other| format!("\n  or: {other}"));
        format!("  {way}: {}{}", plan.reason, other.unwrap_or_default())
    } else {
        format!("  nothing has to be put right: {}", plan.reason)
    });
    if args.dry_run {
        context.out.text(shown);
        return change::finish_dry_run(context, &[], json(&plan));
    }
    context.out.detail(shown);
    let report = runner
        .run_recover(&context.cx, &plan, &consent(&args.consent))
        .await?;
    sweep(context, &runner).await;
    change::finish(context, ("plan", json(&plan)), &report)
}

/// Drops what killed processes have left beside the database. That it cannot be does not matter to what was recovered.
async fn sweep(context: &Context, runner: &Runner) {
    match runner.sweep_scratch(&context.cx).await {
        Ok(names) => {
            for name in names {
                context.out.detail(format!(
                    "the scratch database `{name}` of a killed process is dropped"
                ));
            }
        }
        Err(error) => tracing::debug!(%error, "scratch databases could not be looked for"),
    }
}
