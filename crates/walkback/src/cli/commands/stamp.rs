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
    let consent = consent(&args.consent);
    runner.check_change(&context.cx, "stamp", &consent).await?;
    let what = || format!("write the ledger {}", place(&runner));
    let name = args.consent.confirm_name.as_deref();
    context.confirm_by_name(&runner, what, name).await?;
    let report = runner.run_stamp(&context.cx, &plan, &consent).await?;
    change::finish(context, ("plan", json(&plan)), &report)
}
