//! `purge`: drop for good what restores replaced, and tables that were moved aside instead of dropped.

use serde_json::Value;
use walkback_core::Result;
use walkback_runner::KeptTable;

use super::change::{self, place};
use crate::cli::args::Purge;
use crate::cli::context::{Context, consent, json};
use crate::cli::exit;
use crate::cli::render::table::{count, table};

pub(super) async fn run(context: &Context, args: &Purge) -> Result<u8> {
    let runner = context.runner()?;
    let plan = runner.plan_purge(&context.cx, args.all).await?;
    if plan.drop.is_empty() {
        context.out.text(format!("nothing to purge {}", place(&runner)));
        if !plan.stays.is_empty() {
            context.out.text(listed(&[("stays", &plan.stays)]));
            context
                .out
                .text("`walkback purge --all` drops it before its deadline");
        }
        context.object([
            ("plan", json(&plan)),
            ("dry_run", Ok(args.dry_run.into())),
            ("report", Ok(Value::Null)),
        ])?;
        return Ok(exit::DONE);
    }
    let shown = format!(
        "purge {}\n{}",
        place(&runner),
        listed(&[("goes", &plan.drop), ("stays", &plan.stays)])
    );
    if args.dry_run {
        context.out.text(shown);
        return change::finish_dry_run(context, &[], json(&plan));
    }
    context.out.detail(shown);
    let consent = consent(&args.consent);
    runner.check_purge(&context.cx, &plan, &consent).await?;
    let early = match plan.before_deadline(context.cx.now()).count() {
        0 => String::new(),
        early => format!(", {early} of them before the deadline"),
    };
    let tables = count(plan.drop.len(), "table");
    let what = format!("drop {tables} for good {}{early}", place(&runner));
    context
        .confirm(&runner, what, args.consent.confirm_name.as_deref())
        .await?;
    let report = runner.run_purge(&context.cx, &plan, &consent).await?;
    change::finish(context, ("plan", json(&plan)), &report)
}

fn listed(groups: &[(&str, &[KeptTable])]) -> String {
    let kept = groups
        .iter()
        .flat_map(|(what, tables)| tables.iter().map(move |kept| (*what, kept)));
    let rows = kept.map(|(what, kept)| {
        [
            format!("  {what}"),
            kept.table.to_string(),
            match &kept.migration {
                Some(migration) if kept.backup => {
                    format!("what {migration} took from `{}`", kept.replaced)
                }
                Some(migration) => format!("`{}`, dropped by {migration}", kept.replaced),
                None => format!("`{}` before {}", kept.replaced, kept.run),
            },
            kept.rows
                .map_or_else(|| "all".to_owned(), |rows| count(rows, "row")),
            day(&kept.deadline).to_owned(),
        ]
    });
    table(["", "table", "holds", "rows", "until"], rows)
}

/// Returns the day of a moment as the journal has it.
fn day(moment: &str) -> &str {
    moment.split('T').next().unwrap_or(moment)
}
