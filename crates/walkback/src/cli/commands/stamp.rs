//! `stamp`: write the ledger, run no script.

use walkback_core::Result;

use super::change::{self, place};
use crate::cli::args::Stamp;
use crate::cli::context::{Context, consent, json};
use crate::cli::render::plan as render;

pub(super) async fn run(context: &Context, args: &Stamp) -> Result<u8> {
    let runner = context.runner()?;
    let plan = runner.plan_stamp(&context.cx, &args.target, args.purge).await?;
    let shown = render::stamp(&plan, &place(&runner));
    if args.dry_run {
        context.out.text(shown);
        return change::finish_dry_run(context, &[], json(&plan));
    }
    context.out.detail(shown);
    let report = runner
        .run_stamp(&context.cx, &plan, &consent(&args.consent))
        .await?;
    change::finish(context, ("plan", json(&plan)), &report)
}
