//! `down`: run downs, newest first; one if nothing else is said.

use walkback_core::Result;
use walkback_runner::DownTarget;

use super::change;
use crate::cli::args::{Down, TargetArgs};
use crate::cli::context::Context;

pub(super) async fn run(context: &Context, args: &Down) -> Result<u8> {
    let runner = context.runner()?;
    let plan = match runner.plan_down(&context.cx, target(&args.target)).await {
        Err(refused) => {
            let is_dry = args.run.dry_run || args.run.sql;
            return Err(change::after_killed(context, &runner, &args.run.consent, is_dry, refused).await);
        }
        Ok(plan) => plan,
    };
    change::run(context, &runner, plan, &args.run).await
}

/// Reads the target. `-3` is a place, three steps before the one head; `-n 3` is the three newest, whatever they are.
fn target(args: &TargetArgs) -> DownTarget {
    if let Some(count) = args.count {
        return DownTarget::Count(count);
    }
    match args.to.as_deref().or(args.target.as_deref()) {
        None => DownTarget::Count(1),
        Some(target) => DownTarget::To(target.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_the_familiar_ways() {
        let of = |target: &str| {
            super::target(&TargetArgs {
                to: Some(target.to_owned()),
                ..TargetArgs::default()
            })
        };
        assert_eq!(of("-2"), DownTarget::To("-2".into()));
        assert_eq!(of("base"), DownTarget::To("base".into()));
        assert_eq!(target(&TargetArgs::default()), DownTarget::Count(1));
    }
}
