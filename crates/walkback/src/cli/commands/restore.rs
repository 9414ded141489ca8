//! `restore`: replace tables by what a backup holds.

use walkback_core::Result;

use super::change::{self, place};
use crate::cli::args::Restore;
use crate::cli::context::{Context, consent, json};
use crate::cli::render::plan as render;
use crate::cli::render::table::count;

pub(super) async fn run(context: &Context, args: &Restore) -> Result<u8> {
    let runner = context.runner()?;
    let plan = runner
        .plan_restore(
            &context.cx,
            &args.backup,
            &args.tables,
            args.set_version.as_deref(),
        )
        .await?;
    let shown = render::restore(&plan, &place(&runner));
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
    context
        .confirm(&runner, what, args.consent.confirm_name.as_deref())
        .await?;
    let report = runner
        .run_restore(&context.cx, &plan, &consent(&args.consent))
        .await?;
    change::finish(context, ("plan", json(&plan)), &report)
}
