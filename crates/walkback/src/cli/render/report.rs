//! What a run did, and how to take it back.

use std::fmt::Write as _;
use std::time::Duration;

use walkback_runner::{Named, Rescued, RunKind, RunReport, TableChanges};

use super::style;
use super::table::{count, heads, names};

/// Renders the outcome of a run.
pub(crate) fn report(report: &RunReport) -> String {
    let mut text = String::new();
    // Milliseconds are enough for a person, and nothing is said to take no time at all.
    let took = humantime::format_duration(Duration::from_millis(report.duration_ms.max(1)));
    let (undone, applied) = (report.undone.len(), report.applied.len());
    let mut done = Vec::new();
    if undone > 0 {
        let number = count(undone, "migration");
        done.push(match report.kind {
            RunKind::Stamp => format!("marked {number} as not applied"),
            _ => format!("walked back {number}"),
        });
    }
    if applied > 0 {
        let number = count(applied, "migration");
        done.push(match report.kind {
            RunKind::Stamp => format!("marked {number} as applied"),
            _ => format!("applied {number}"),
        });
    }
    if done.is_empty() {
        done.push(format!("{} is done", report.kind.name()));
    }
    let at = heads(&report.to);
    writeln!(
        text,
        "{} in {took}; the database is at {at}",
        style::good(done.join(", "))
    )
    .ok();
    // Which is which only needs saying where there are both.
    let both = undone > 0 && applied > 0;
    for note in &report.notes {
        writeln!(text, "{note}").ok();
    }
    text.push_str(&listed(if both { "down  " } else { "" }, &report.undone));
    text.push_str(&listed(if both { "up    " } else { "" }, &report.applied));
    if let Some(points) = kept_in(&report.points) {
        writeln!(text, "kept what was there in {points}").ok();
    }
    for table in &report.changes {
        text.push_str(&changes(table));
    }
    for rescued in &report.rescued {
        text.push_str(&self::rescued(rescued));
    }
    for aside in report.kept.iter().filter(|kept| kept.migration.is_some()) {
        let how = match aside.backup {
            true => format!("copied from `{}` into `{}`", aside.replaced, aside.table),
            false => format!("moved `{}` aside to `{}`", aside.replaced, aside.table),
        };
        let until = day(&aside.deadline);
        writeln!(text, "{how}, until {until}: `walkback purge` drops it then").ok();
    }
    let mut replaced = report.kept.iter().filter(|kept| kept.migration.is_none());
    if let Some(first) = replaced.next() {
        let until = day(&first.deadline);
        let tables = count(replaced.count() + 1, "table");
        writeln!(
            text,
            "what was replaced stays in {tables} until {until}: `walkback purge --dry-run` lists them"
        )
        .ok();
    }
    if report.grants > 0 {
        writeln!(text, "gave back {}", count(report.grants, "grant")).ok();
    }
    if !report.purged.is_empty() {
        writeln!(text, "dropped {} for good", count(report.purged.len(), "table")).ok();
    }
    if let Some(command) = undo_with(report) {
        writeln!(text, "take it back with `{command}`").ok();
    }
    text.trim_end().to_owned()
}

/// Returns the day of a moment as the journal has it.
fn day(moment: &str) -> &str {
    moment.split('T').next().unwrap_or(moment)
}

/// How many conflicts of a table are shown; `--json` has more.
const SHOWN: usize = 20;

/// Says what became of the rows of a table, and of what was changed since.
fn changes(table: &TableChanges) -> String {
    let mut text = match &table.kept {
        Some(kept) => format!(
            "table `{}`: as it was, and of what was written since: {} inserted, {} changed, {} deleted\n",
            table.table,
            count(kept.inserted, "row"),
            kept.changed,
            kept.deleted
        ),
        None => format!(
            "table `{}`: {} changed back, {} brought back, {} removed\n",
            table.table,
            count(table.changed_back, "row"),
            table.brought_back,
            table.removed
        ),
    };
    text.push_str(&conflicts(table, "with what was written since"));
    text
}

/// Says what came back of what a rollback had taken away.
fn rescued(rescued: &Rescued) -> String {
    let mut text = String::new();
    for table in &rescued.tables {
        writeln!(
            text,
            "table `{}`: put back what was written before `{}` was walked back: {} inserted, {} changed, {} deleted",
            table.table,
            rescued.migration.name,
            count(table.brought_back, "row"),
            table.changed_back,
            table.removed
        )
        .ok();
        text.push_str(&conflicts(table, "stay as they are"));
    }
    text
}

fn conflicts(table: &TableChanges, what: &str) -> String {
    let mut text = String::new();
    if table.conflicts > 0 {
        let conflicts = count(table.conflicts, "conflict");
        writeln!(text, "  {conflicts} {what}:").ok();
        for conflict in table.listed.iter().take(SHOWN) {
            writeln!(text, "  {conflict}").ok();
        }
        let shown = table.listed.len().min(SHOWN) as u64;
        if table.conflicts > shown {
            writeln!(text, "  and {} more", table.conflicts - shown).ok();
        }
    }
    text
}

fn listed(before: &str, migrations: &[Named]) -> String {
    migrations
        .iter()
        .map(|migration| format!("  {before}{}\n", migration.name))
        .collect()
}

/// Names the points that were made; only the first and the last of many.
fn kept_in(points: &[String]) -> Option<String> {
    match points {
        [] => None,
        [first, .., last] if points.len() > 3 => {
            Some(format!("{} points, from `{first}` to `{last}`", points.len()))
        }
        few => Some(names(few)),
    }
}

/// Returns the command that takes the run back. A stamp is taken back by another one.
fn undo_with(report: &RunReport) -> Option<String> {
    let stamp = match (report.kind, report.from.as_slice()) {
        (RunKind::Stamp, []) => Some("walkback stamp base".to_owned()),
        (RunKind::Stamp, [only]) => Some(format!("walkback stamp {only}")),
        _ => None,
    };
    report.undo_with.clone().or(stamp)
}
