//! `plan`: what `up` would do, shown, and written to a file for others to approve.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use serde_json::Value;
use walkback_core::{Error, ErrorKind, Result};
use walkback_runner::{PlanFile, Runner, UpTarget};

use super::change::{self, place};
use super::up::target;
use crate::cli::args::Plan;
use crate::cli::context::{Context, json};
use crate::cli::exit;
use crate::cli::render::plan as render;

pub(super) async fn run(context: &Context, args: &Plan) -> Result<u8> {
    let runner = context.runner()?;
    let target = args.phase.map_or_else(|| target(&args.target), UpTarget::Phase);
    let (plan, file) = runner.plan_to_approve(&context.cx, target).await?;
    change::warn_all(context, &plan.warnings);
    context.out.text(match plan.is_empty() {
        true => "nothing to apply".to_owned(),
        false => render::plan(&plan, &place(&runner)),
    });
    if let Some(out) = &args.out {
        write_new(out, &file)?;
        context.out.text(format!("written to `{}`", out.display()));
        context.out.text(next(context, &runner, out));
    }
    let written = args.out.as_ref().map(|out| out.display().to_string());
    context.object([
        ("plan", json(&plan)),
        ("file", json(&file)),
        ("written", Ok(written.map_or(Value::Null, Value::from))),
    ])?;
    Ok(exit::DONE)
}

/// Says what comes next.
fn next(context: &Context, runner: &Runner, out: &Path) -> String {
    let (policy, out) = (&runner.settings().policy, out.display());
    let until = context.cx.now() + policy.lifetime_of_plans();
    let until = until.format("%Y-%m-%d %H:%M UTC");
    match policy.approvals {
        0 => format!("run it until {until} with `walkback up --plan {out}`"),
        count => format!(
            "{count} of {} have to approve it with `walkback approve {out} --key ~/.ssh/id_ed25519`; run it until {until} with \
             `walkback up --plan {out}`",
            policy.approvers.len()
        ),
    }
}

/// Writes a file that is not there: one that is may have been approved.
fn write_new(path: &Path, file: &PlanFile) -> Result<()> {
    let opened = OpenOptions::new().write(true).create_new(true).open(path);
    let mut opened = opened.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Error::new(
            ErrorKind::AlreadyExists,
            format!(
                "`{}` is there already, and may have been approved",
                path.display()
            ),
        )
        .hint("give the plan another name, or remove that file first"),
        _ => Error::io("write the plan", path, error),
    })?;
    opened
        .write_all(file.text()?.as_bytes())
        .and_then(|()| opened.sync_all())
        .map_err(|error| Error::io("write the plan", path, error))
}
