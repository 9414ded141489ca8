//! `restore`: replace tables by what a backup holds.

use walkback_core::Result;
use walkback_runner::Runner;

use super::change::{self, place};
use super::dump::Chosen;
use super::past;
use crate::cli::args::Restore;
use crate::cli::context::{Context, consent, json};
use crate::cli::render::plan as render;
use crate::cli::render::table::count;

pub(super) async fn run(context: &Context, args: &Restore) -> Result<u8> {
    let runner = context.runner()?;
    if let Some(until) = args.to_time {
        return Box::pin(past::run(context, &runner, args, until)).await;
    }
    let set_version = args.set_version.as_deref();
    let needs_ledger = args.tables.is_empty();
    let backup = args.backup.as_deref().unwrap_or_default();
    let chosen = Chosen::find(context, &runner, backup, set_version, needs_ledger).await?;
    let outcome = restore(context, &runner, args, &chosen.id).await;
    chosen.settle(context, &runner, &outcome, args.dry_run).await;
    outcome
}

/// Plans, shows, asks and restores.
pub(super) async fn restore(context: &Context, runner: &Runner, args: &Restore, backup: &str) -> Result<u8> {
    let mut plan = runner
        .plan_restore(&context.cx, backup, &args.tables, args.set_version.as_deref())
        .await?;
    if args.grants {
        runner.plan_grants(&context.cx, &mut plan).await?;
        grants_in_schema(context, runner, "every restore brings them back");
    }
    let shown = render::restore(&plan, &place(runner));
    if args.dry_run {
        context.out.text(shown);
        return change::finish_dry_run(context, &plan.warnings, json(&plan));
    }
    context.out.detail(shown);
    change::warn_all(context, &plan.warnings);
    let rows: u64 = plan.loss.iter().map(|loss| loss.rows).sum();
    let lost = if rows == 0 {
        String::new()
    } else {
        format!(", and lose {} written since", count(rows, "row"))
    };
    let what = format!(
        "replace {} by what `{}` holds{lost}",
        count(plan.replace.len(), "table"),
        plan.point
    );
    let consent = consent(&args.consent);
    runner.check_restore(&context.cx, &plan, &consent).await?;
    context
        .confirm(runner, what, args.consent.confirm_name.as_deref())
        .await?;
    let report = runner.run_restore(&context.cx, &plan, &consent).await?;
    change::finish(context, ("plan", json(&plan)), &report)
}

/// Says that `--grants` asks for nothing more where rights are part of the schema.
pub(super) fn grants_in_schema(context: &Context, runner: &Runner, so: &str) {
    if runner.grants_are_in_schema() {
        context.out.warn(format!(
            "`--grants` changes nothing here: rights are part of the schema, and {so}"
        ));
    }
}
