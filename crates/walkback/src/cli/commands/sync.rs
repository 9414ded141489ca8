//! `sync`: the database goes to what the checkout has. For branches from which newer files were removed.

use std::fmt::Write as _;

use serde_json::Value;
use walkback_core::Result;
use walkback_runner::{RollbackPlan, RollbackRequest, RollbackWhat, RunReport, Runner, UpTarget};

use super::change::{self, place};
use super::{prune, rollback};
use crate::cli::args::Sync;
use crate::cli::context::{Context, consent, json};
use crate::cli::exit;
use crate::cli::render::table::heads;
use crate::cli::render::{plan as render, report as render_report};

pub(super) async fn run(context: &Context, args: &Sync) -> Result<u8> {
    let runner = context.runner()?;
    let request = RollbackRequest {
        what: RollbackWhat::Ahead,
        kind: walkback_runner::RollbackKind::Auto,
        on_conflict: rollback::on_conflict(args.on_conflict),
    };
    let back = runner.plan_rollback(&context.cx, &request).await?;
    if args.dry_run {
        return show(context, &runner, &back).await;
    }
    let undone = walk_back(context, &runner, args, &back).await?;
    // What the checkout has is known only now: what was walked back may be part of it.
    let (plan, applied) = Box::pin(apply(context, &runner, args))
        .await
        .map_err(|error| match &undone {
            Some(report) => error
                .wrap("what the checkout lacks was walked back, and what is pending was not applied")
                .hint(format!(
                    "`walkback rollback` takes back what run `{}` has done; `walkback sync` goes on",
                    report.run
                )),
            None => error,
        })?;
    if undone.is_none() && applied.is_none() {
        let at = heads(&back.from);
        context
            .out
            .text(format!("nothing to do: the database is at {at}, as the checkout"));
    }
    if applied.is_some() {
        prune::by_itself(context, &runner).await;
    }
    let reports = undone.iter().chain(&applied);
    let code = reports.map(change::code).find(|code| *code != exit::DONE);
    context.object([
        ("rollback", json(&back)),
        ("plan", plan),
        ("dry_run", Ok(false.into())),
        ("rolled_back", report_of(undone.as_ref())),
        ("report", report_of(applied.as_ref())),
    ])?;
    Ok(code.unwrap_or(exit::DONE))
}

fn report_of(report: Option<&RunReport>) -> Result<Value> {
    report.map_or(Ok(Value::Null), json)
}

/// Walks back what the checkout lacks.
async fn walk_back(
    context: &Context,
    runner: &Runner,
    args: &Sync,
    plan: &RollbackPlan,
) -> Result<Option<RunReport>> {
    if plan.is_empty() {
        return Ok(None);
    }
    context.out.detail(render::rollback(plan, &place(runner)));
    change::warn_all(context, &plan.warnings);
    let consent = consent(&args.consent);
    if !then_applied(context, runner, plan).await?.is_empty() {
        // To walk back and then be refused would leave the database with less than anybody wants.
        runner.check_needs_no_plan(&context.cx, "sync", &consent).await?;
    }
    runner.check_rollback(&context.cx, plan, &consent).await?;
    context
        .confirm(runner, rollback::what(plan), args.consent.confirm_name.as_deref())
        .await?;
    let report = runner.run_rollback(&context.cx, plan, &consent).await?;
    tell(context, &report);
    Ok(Some(report))
}

/// Applies what is pending.
async fn apply(
    context: &Context,
    runner: &Runner,
    args: &Sync,
) -> Result<(Result<Value>, Option<RunReport>)> {
    let plan = runner.plan_up(&context.cx, UpTarget::Heads).await?;
    if plan.is_empty() {
        change::warn_all(context, &plan.warnings);
        return Ok((json(&plan), None));
    }
    let consent = consent(&args.consent);
    let confirm_name = args.consent.confirm_name.as_deref();
    let report = change::show_and_run(context, runner, &plan, (&consent, confirm_name)).await?;
    tell(context, &report);
    Ok((json(&plan), Some(report)))
}

fn tell(context: &Context, report: &RunReport) {
    context.out.text(render_report::report(report));
    change::warn_all(context, &report.warnings);
    change::warn_all(context, &report.failed_after);
}

/// Names what is applied when a rollback is done: what it took back and the checkout has, and what is pending.
async fn then_applied(context: &Context, runner: &Runner, back: &RollbackPlan) -> Result<Vec<String>> {
    let status = runner.status(&context.cx).await?;
    let ahead = |id: &walkback_core::MigrationId| status.ahead.iter().any(|one| one.id == *id);
    let again = back.steps.iter().rev().filter(|step| !ahead(&step.id));
    let names = again
        .map(|step| &step.name)
        .chain(status.pending.iter().map(|one| &one.name));
    Ok(names.cloned().collect())
}

/// Shows both halves. What is applied behind a rollback is planned when that is done, and named here.
async fn show(context: &Context, runner: &Runner, back: &RollbackPlan) -> Result<u8> {
    let mut shown = String::new();
    let mut plan = Ok(Value::Null);
    let mut warnings = back.warnings.clone();
    if back.is_empty() {
        let up = runner.plan_up(&context.cx, UpTarget::Heads).await?;
        warnings.clone_from(&up.warnings);
        shown = if up.is_empty() {
            format!(
                "nothing to do: the database is at {}, as the checkout",
                heads(&up.from)
            )
        } else {
            render::plan(&up, &place(runner))
        };
        plan = json(&up);
    } else {
        writeln!(shown, "{}", render::rollback(back, &place(runner))).ok();
        for name in then_applied(context, runner, back).await? {
            writeln!(shown, "then applied: {name}").ok();
        }
    }
    context.out.text(shown.trim_end());
    change::warn_all(context, &warnings);
    context.out.text("dry run: nothing was changed");
    context.object([
        ("rollback", json(back)),
        ("plan", plan),
        ("dry_run", Ok(true.into())),
        ("rolled_back", Ok(Value::Null)),
        ("report", Ok(Value::Null)),
    ])?;
    Ok(exit::DONE)
}
