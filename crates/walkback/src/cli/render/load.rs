//! Loads: what would be loaded, and what was.

use std::fmt::Write as _;
use std::time::Duration;

use walkback_runner::{LoadPlan, LoadReport, Reason};

use super::style;
use super::table::count;

/// How many kinds of reasons are shown; `--json` has all.
const REASONS: usize = 10;

/// Renders the plan of a load.
pub(crate) fn plan(plan: &LoadPlan, place: &str) -> String {
    let mut text = String::new();
    let file = plan.options.file.display();
    writeln!(
        text,
        "{} {place}: {} of `{file}` ({}) into `{}`",
        style::bold("load"),
        count(plan.records, "record"),
        plan.options.format.name(),
        plan.table
    )
    .ok();
    for column in plan.columns.iter().filter(|column| column.field != column.column) {
        writeln!(text, "  field `{}` goes into `{}`", column.field, column.column).ok();
    }
    let by = match plan.asked_database {
        true => "asked about each",
        false => "as far as the types of the columns tell; the database is asked when they are loaded",
    };
    writeln!(
        text,
        "  fit: {}, rejected: {} ({by})",
        plan.records - plan.rejected,
        plan.rejected
    )
    .ok();
    text.push_str(&reasons(&plan.reasons));
    for rejected in &plan.rejected_records {
        writeln!(text, "  line {}: {}", rejected.line, rejected.reason).ok();
    }
    let listed = plan.rejected_records.len() as u64;
    if plan.rejected > listed {
        writeln!(text, "  and {} more", plan.rejected - listed).ok();
    }
    if plan.past_threshold {
        let most = plan.options.max_failures;
        let line = format!("more than {most} are rejected: the load would take itself back");
        writeln!(text, "  {}", style::warning(line)).ok();
    }
    text.trim_end().to_owned()
}

/// The commands that go on from a load, to be pasted into a shell.
pub(crate) struct Next {
    /// Loads what was rejected.
    pub(crate) again: Option<String>,
    /// Takes the load back.
    pub(crate) undo: Option<String>,
}

/// Renders the outcome of a load.
pub(crate) fn report(report: &LoadReport, next: &Next) -> String {
    let mut text = String::new();
    let milliseconds = report.duration_ms.max(1);
    let took = humantime::format_duration(Duration::from_millis(milliseconds));
    let rate = report.records.saturating_mul(1000) / milliseconds;
    writeln!(
        text,
        "{} into `{}`, {} rejected, in {took} ({} a second)",
        style::good(format!("loaded {}", count(report.loaded, "record"))),
        report.table,
        report.rejected,
        count(rate, "record")
    )
    .ok();
    text.push_str(&reasons(&report.reasons));
    if let (Some(rejects), Some(command)) = (&report.rejects, &next.again) {
        writeln!(
            text,
            "what was rejected is in `{}`, with the reasons: mend it, then\n  {command}",
            rejects.display()
        )
        .ok();
    }
    if let Some(command) = &next.undo {
        writeln!(text, "take it back with `{command}`").ok();
    }
    text.trim_end().to_owned()
}

fn reasons(reasons: &[Reason]) -> String {
    let mut text = String::new();
    for reason in reasons.iter().take(REASONS) {
        writeln!(text, "  {}: {}", count(reason.records, "record"), reason.reason).ok();
    }
    if reasons.len() > REASONS {
        writeln!(text, "  and {} more reasons", reasons.len() - REASONS).ok();
    }
    text
}
