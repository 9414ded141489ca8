//! `redo`: the down and the up of the newest migration.

use walkback_core::Result;

use super::change;
use crate::cli::args::Redo;
use crate::cli::context::Context;

pub(super) async fn run(context: &Context, args: &Redo) -> Result<u8> {
    let runner = context.runner()?;
    let plan = runner.plan_redo(&context.cx).await?;
    change::run(context, &runner, plan, &args.run).await
}
