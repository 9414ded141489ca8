//! What a run did, and how to take it back.

use std::fmt::Write as _;
use std::time::Duration;

use walkback_runner::{Named, RunKind, RunReport};

use super::style;
use super::table::{count, heads, names};

/// Renders the outcome of a run.
pub(crate) fn report(report: &RunReport) -> String {
    let mut text = String::new();
    // Milliseconds are enough for a person, and nothing is said to take no time at all.
    let took = humantime::format_duration(Duration::from_millis(report.duration_ms.max(1)));
    let (did, undid) = match report.kind {
        RunKind::Stamp => ("marked as applied", "marked as not applied"),
        _ => ("applied", "walked back"),
    };
    let mut done = Vec::new();
    for (verb, migrations) in [(undid, &report.undone), (did, &report.applied)] {
        if !migrations.is_empty() {
            done.push(format!("{verb} {}", count(migrations.len(), "migration")));
        }
    }
    if done.is_empty() {
        done.push(format!("{} is done", report.kind.name()));
    }
    writeln!(
        text,
        "{} in {took}; now at {}",
        style::good(done.join(", ")),
        heads(&report.to)
    )
    .ok();
    for (verb, migrations) in [(undid, &report.undone), (did, &report.applied)] {
        text.push_str(&listed(verb, migrations));
    }
    if !report.points.is_empty() {
        writeln!(text, "kept what was there in {}", names(&report.points)).ok();
    }
    if let Some(command) = &report.undo_with {
        writeln!(text, "take it back with `{command}`").ok();
    }
    text.trim_end().to_owned()
}

fn listed(verb: &str, migrations: &[Named]) -> String {
    migrations
        .iter()
        .map(|migration| format!("  {verb} {}\n", migration.name))
        .collect()
}
