//! `goto`: down and up as needed.

use walkback_core::Result;

use super::change;
use crate::cli::args::Goto;
use crate::cli::context::Context;

pub(super) async fn run(context: &Context, args: &Goto) -> Result<u8> {
    let runner = context.runner()?;
    let plan = runner.plan_goto(&context.cx, &args.target).await?;
    change::run(context, &runner, plan, &args.run).await
}
