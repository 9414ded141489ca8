//! `deploy`: the whole procedure, and back again by itself.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;
use walkback_core::{Error, ErrorKind, Result};
use walkback_runner::{PlannedStage, ProcedureReport, UpTarget};

use super::change::{self, place};
use super::{approve, prune};
use crate::cli::args::Deploy;
use crate::cli::context::{Context, consent, json};
use crate::cli::exit;
use crate::cli::render::table::{heads, table};
use crate::cli::render::{plan as render, style};

pub(super) async fn run(context: &Context, args: &Deploy) -> Result<u8> {
    if context.global.env.as_deref() != Some(&args.environment) {
        return Err(Error::new(
            ErrorKind::Usage,
            format!(
                "`deploy {}` does not go with `--env` of another name",
                args.environment
            ),
        ));
    }
    let runner = context.runner()?;
    let consent = consent(&args.consent);
    let plan = match &args.plan {
        Some(file) => {
            let file = approve::read(file)?;
            let consent = Some(&consent).filter(|_| !args.dry_run);
            Box::pin(runner.plan_deploy_approved(&context.cx, &file, consent)).await?
        }
        None => {
            let all = || args.to.clone().map_or(UpTarget::Heads, UpTarget::To);
            let target = args.phase.map_or_else(all, UpTarget::Phase);
            Box::pin(runner.plan_deploy(&context.cx, target)).await?
        }
    };
    let mut shown = format!("deploy {}\n{}", place(&runner), stages("stages", &plan.stages));
    write!(shown, "\n{}", stages("if one of them fails", &plan.back)).ok();
    if !plan.up.is_empty() {
        write!(shown, "\n\n{}", render::plan(&plan.up, &place(&runner))).ok();
    }
    if args.dry_run {
        context.out.text(shown);
        return change::finish_dry_run(context, &plan.up.warnings, json(&plan));
    }
    context.out.detail(shown);
    change::warn_all(context, &plan.up.warnings);
    runner.check(&context.cx, &plan.up, &consent).await?;
    if let Some(what) = change::wants_confirmation(&plan.up, &runner.settings().policy, &consent) {
        context
            .confirm(&runner, what, args.consent.confirm_name.as_deref())
            .await?;
    }
    let report = Box::pin(runner.run_deploy(&context.cx, &plan, &consent)).await?;
    let code = finish(context, "deployed", json(&plan), &report)?;
    prune::by_itself(context, &runner).await;
    Ok(code)
}

/// Lists what stages run.
pub(super) fn stages(title: &str, stages: &[PlannedStage]) -> String {
    let rows = stages
        .iter()
        .map(|stage| [format!("  {}", stage.stage), stage.runs.join("; ")]);
    format!("{title}:\n{}", table(["  stage", "runs"], rows).trim_end())
}

/// Tells what a procedure did.
pub(super) fn finish(
    context: &Context,
    done: &str,
    plan: Result<Value>,
    report: &ProcedureReport,
) -> Result<u8> {
    context.out.text(text(done, report));
    for run in &report.runs {
        change::warn_all(context, &run.warnings);
    }
    change::warn_all(context, &report.failed_after);
    context.object([
        ("plan", plan),
        ("dry_run", Ok(false.into())),
        ("report", json(report)),
    ])?;
    Ok(if report.failed_after.is_empty() {
        exit::DONE
    } else {
        exit::CHECK_FAILED
    })
}

fn text(done: &str, report: &ProcedureReport) -> String {
    let took = humantime::format_duration(Duration::from_millis(report.duration_ms.max(1)));
    let mut text = format!(
        "{} in {took}; the database is at {}\n",
        style::good(done),
        heads(&report.to)
    );
    let rows = report.stages.iter().map(|stage| {
        let how = if stage.ok { "done" } else { "failed" };
        [format!("  {}", stage.stage), how.to_owned(), stage.said.clone()]
    });
    writeln!(text, "{}", table(["  stage", "outcome", ""], rows).trim_end()).ok();
    for loss in &report.lost {
        writeln!(
            text,
            "lost in table `{}`: {}; the safety point has it",
            loss.table, loss.what
        )
        .ok();
    }
    for run in &report.runs {
        if let Some(command) = &run.undo_with {
            writeln!(
                text,
                "take it back with `{command}`, or with services and code: `{command} --full`"
            )
            .ok();
        }
    }
    text.trim_end().to_owned()
}
