//! `up`: apply pending migrations.

use walkback_core::Result;
use walkback_runner::UpTarget;

use super::{approve, change, prune};
use crate::cli::args::{TargetArgs, Up};
use crate::cli::context::{Context, consent};

pub(super) async fn run(context: &Context, args: &Up) -> Result<u8> {
    let runner = context.runner()?;
    let changes = !args.run.dry_run && !args.run.sql;
    let plan = match &args.plan {
        Some(file) => {
            let (file, consent) = (approve::read(file)?, consent(&args.run.consent));
            let consent = Some(&consent).filter(|_| changes);
            Box::pin(runner.plan_approved(&context.cx, &file, consent)).await?
        }
        None => {
            let target = args.phase.map_or_else(|| target(&args.target), UpTarget::Phase);
            runner.plan_up(&context.cx, target).await?
        }
    };
    let changes = changes && !plan.is_empty();
    let code = change::run(context, &runner, plan, &args.run).await?;
    if changes {
        prune::by_itself(context, &runner).await;
    }
    Ok(code)
}

/// Reads the target. `+3` is a place, three steps after the one head; `-n 3` is the next three, and fewer if there are no
/// more.
pub(super) fn target(args: &TargetArgs) -> UpTarget {
    if let Some(count) = args.count {
        return UpTarget::Count(count);
    }
    match args.to.as_deref().or(args.target.as_deref()) {
        None => UpTarget::Heads,
        Some(target) => UpTarget::To(target.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_the_familiar_ways() {
        let of = |target: &str| {
            super::target(&TargetArgs {
                target: Some(target.to_owned()),
                ..TargetArgs::default()
            })
        };
        assert_eq!(of("+2"), UpTarget::To("+2".into()));
        assert_eq!(of("head"), UpTarget::To("head".into()));
        assert_eq!(of("+x"), UpTarget::To("+x".into()));
        assert_eq!(target(&TargetArgs::default()), UpTarget::Heads);
    }
}
