//! `status`: where the database stands.

use std::fmt::Write as _;

use walkback_core::Result;
use walkback_runner::{Named, RunRecord};

use crate::cli::args::Status as Args;
use crate::cli::context::{Context, json};
use crate::cli::exit;
use crate::cli::render::plan::waiting_line;
use crate::cli::render::style;
use crate::cli::render::table::{count, heads, moment};

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let runner = context.runner()?;
    let status = runner.status(&context.cx).await?;
    let reasons = reasons(&status);
    context.out.text(text(&status));
    if !args.check {
        context.object([
            ("status", json(&status)),
            ("clean", Ok(reasons.is_empty().into())),
        ])?;
        return Ok(exit::DONE);
    }
    let verdict = match reasons.as_slice() {
        [] => style::good("check passed: the database is where the migrations are"),
        reasons => style::error(format!("check failed: {}", reasons.join(", "))),
    };
    context.out.text(verdict);
    let passed = reasons.is_empty();
    let fields = [
        ("status", json(&status)),
        ("clean", Ok(passed.into())),
        ("reasons", json(&reasons)),
    ];
    context.object(fields)?;
    Ok(if passed { exit::DONE } else { exit::CHECK_FAILED })
}

/// Says why the database is not exactly where the migrations are.
fn reasons(status: &walkback_runner::Status) -> Vec<String> {
    let mut reasons = Vec::new();
    let mut add = |number: usize, one: &str, what: &str| {
        if number > 0 {
            reasons.push(format!("{} {what}", count(number, one)));
        }
    };
    add(status.pending.len(), "migration", "pending");
    add(
        status.ahead.len(),
        "migration",
        "applied that this checkout does not have",
    );
    add(status.edited.len(), "migration", "edited since it was applied");
    add(
        status.drift.len(),
        "difference",
        "from the schema that the last run left",
    );
    add(usize::from(status.unfinished.is_some()), "run", "unfinished");
    reasons
}

fn text(status: &walkback_runner::Status) -> String {
    let mut text = String::new();
    let name = format!("{} (environment `{}`)", status.location, status.environment);
    writeln!(text, "{}", style::bold(name)).ok();
    let mut field = |name: &str, value: String| {
        writeln!(text, "  {name:<9} {value}").ok();
    };
    field("database", format!("{} {}", status.product, status.version));
    let shown = status.shown.as_ref().map(|shown| format!(", {shown}"));
    field(
        "ledger",
        format!("{}{}", status.ledger, shown.unwrap_or_default()),
    );
    field("at", heads(&status.current));
    field("head", heads(&status.heads));
    field("applied", count(status.applied, "migration"));
    field("pending", count(status.pending.len(), "migration"));
    if let Some(run) = &status.last_run {
        field("last run", self::run_line(run));
    }
    if let Some(before) = &status.moved_from {
        field("moved", format!("by another tool since, from {}", heads(before)));
    }
    text.push_str(&warned("there is no ledger", status.lost_ledger.clone()));
    text.push_str(&listed("pending", &status.pending));
    text.push_str(&warned(
        &format!(
            "the database is ahead of this checkout by {}; `walkback rollback -n {}` walks back to it",
            count(status.ahead.len(), "migration"),
            status.ahead.len()
        ),
        status.ahead.iter().map(|one| one.name.clone()),
    ));
    text.push_str(&warned(
        "pending, but older than what is applied",
        status.out_of_order.iter().map(|one| one.name.clone()),
    ));
    text.push_str(&warned(
        "edited since it was applied (`stamp` accepts it as it is now)",
        status.edited.iter().map(|one| one.name.clone()),
    ));
    let waiting = status.waiting.iter().map(waiting_line);
    text.push_str(&titled(
        "put aside by rollbacks, and put back by the next `up`",
        waiting,
    ));
    text.push_str(&warned(
        "drift: differs from the schema that the last run left",
        status.drift.iter().cloned(),
    ));
    let unmatched = status
        .unmatched
        .iter()
        .map(|(file, why)| format!("{}: {why}", file.display()));
    text.push_str(&warned("files that are not used", unmatched));
    let is_open = match status.unfinished {
        Some(_) => ", if that run was killed",
        None => "",
    };
    let title = format!("commands of the last deployment or rollback that have not done their work{is_open}");
    text.push_str(&warned(&title, status.left_out.iter().cloned()));
    if let Some(run) = &status.unfinished {
        let todo = if status.needs_recovery {
            "a migration is half-done: run `walkback recover`"
        } else {
            "it is running, or it was killed and nothing is half-done: the next command puts it right"
        };
        text.push_str(&warned(&format!("unfinished run; {todo}"), [run_line(run)]));
    }
    text.trim_end().to_owned()
}

fn run_line(run: &RunRecord) -> String {
    format!(
        "{} {}, {} by {}",
        run.kind,
        run.status.word(),
        moment(&run.started_at),
        run.actor
    )
}

fn listed(title: &str, migrations: &[Named]) -> String {
    let line = |one: &Named| match one.phase {
        Some(phase) => format!("{} ({phase})", one.name),
        None => one.name.clone(),
    };
    titled(title, migrations.iter().map(line))
}

fn titled(title: &str, lines: impl IntoIterator<Item = String>) -> String {
    let lines: String = lines.into_iter().map(|line| format!("  {line}\n")).collect();
    if lines.is_empty() {
        lines
    } else {
        format!("\n{title}:\n{lines}")
    }
}

fn warned(title: &str, lines: impl IntoIterator<Item = String>) -> String {
    titled(&style::warning(title).to_string(), lines)
}
