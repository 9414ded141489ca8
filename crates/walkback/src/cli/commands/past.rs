//! `restore --to-time`: the database as it was at a moment.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use walkback_core::{Error, ErrorKind, Result};
use walkback_runner::{Past, PastPlan, PastRequest, PastRoad, Runner};

use super::dump::Named;
use super::restore;
use crate::cli::args::Restore;
use crate::cli::context::Context;
use crate::cli::render::style;
use crate::cli::render::table::{bytes, count};

pub(super) async fn run(
    context: &Context,
    runner: &Runner,
    args: &Restore,
    until: DateTime<Utc>,
) -> Result<u8> {
    let base = args.backup.as_deref().map(base).transpose()?;
    let request = PastRequest::new(until, base, args.nearest);
    let plan = Box::pin(runner.past_find(&context.cx, &request)).await?;
    context.out.detail(chosen(&plan));
    for warning in &plan.warnings {
        context.out.warn(warning);
    }
    let past = Box::pin(runner.past_make(&context.cx, &plan)).await?;
    if past.is_made && plan.road == PastRoad::Log {
        context.out.detail(gone_forward(&past));
    }
    let outcome = Box::pin(restore::restore(context, runner, args, &past.id)).await;
    settle(context, runner, &past, &outcome, args.dry_run).await;
    outcome
}

/// Returns the id of the backup that is named to begin with.
fn base(given: &str) -> Result<String> {
    match Named::of(given) {
        Named::Point(id) => Ok(id),
        Named::File(path) => Err(Error::new(
            ErrorKind::Usage,
            format!(
                "nothing can be gone forward from the dump `{}`: it does not say where the log of the server stood",
                path.display()
            ),
        )
        .hint("name a backup that walkback has made, or none: the newest that will do is taken")),
    }
}

/// Takes what was made for this out of the vault again if nothing came of it, and says where it is otherwise.
async fn settle(context: &Context, runner: &Runner, past: &Past, outcome: &Result<u8>, is_dry: bool) {
    if !past.is_made {
        return;
    }
    let is_needed = match outcome {
        Ok(_) => !is_dry,
        Err(error) => error.kind() == ErrorKind::NeedsRecovery,
    };
    if is_needed {
        context.out.text(format!(
            "the database as it was then is kept as the backup `{}`",
            past.id
        ));
        return;
    }
    if let Err(error) = runner.past_discard(&context.cx.shielded(), past).await {
        context
            .out
            .warn(format!("`{}` stays in the vault: {error}", past.id));
    }
}

/// Renders what is begun with.
fn chosen(plan: &PastPlan) -> String {
    let mut text = format!(
        "{}\n",
        style::bold(format!("the database as it was at {}", plan.until))
    );
    if plan.road == PastRoad::Recovery {
        write!(
            text,
            "  {:<11} by the server, from a base backup in `{}`",
            "recovered", plan.base
        )
        .ok();
        return text;
    }
    writeln!(text, "  {:<11} `{}`, of {}", "from", plan.base, plan.base_at).ok();
    if let (PastRoad::Log, Some(from), Some(length)) = (plan.road, &plan.from, plan.log_bytes) {
        writeln!(
            text,
            "  {:<11} from {from} on, {} to look through",
            "by the log",
            bytes(length)
        )
        .ok();
    }
    text.trim_end().to_owned()
}

/// Renders how far it was gone forward.
fn gone_forward(past: &Past) -> String {
    let last = match (&past.end, &past.last) {
        (Some(end), Some(last)) => format!(", the last at {last}, to {end}"),
        (Some(end), None) => format!(", to {end}"),
        _ => String::new(),
    };
    format!(
        "  {:<11} {}{last}",
        "done again",
        count(past.transactions, "transaction")
    )
}
