//! What is told of a run at its end.

use crate::plan::RunKind;
use crate::report::{Named, RunReport};

/// Says in a phrase what a run did.
pub(crate) fn summary(report: &RunReport) -> String {
    let names = |named: &[Named]| {
        named
            .iter()
            .map(|named| named.name.clone())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut parts: Vec<String> = report.outcome.iter().cloned().collect();
    if let Some(point) = &report.restored_from {
        parts.push(format!("restored `{point}`"));
    }
    if !report.undone.is_empty() {
        parts.push(format!("walked back {}", names(&report.undone)));
    }
    if !report.applied.is_empty() {
        parts.push(format!("applied {}", names(&report.applied)));
    }
    if !report.purged.is_empty() {
        let tables: Vec<_> = report
            .purged
            .iter()
            .map(|kept| format!("`{}`", kept.table))
            .collect();
        parts.push(format!("dropped {}", tables.join(", ")));
    }
    parts.extend(report.warnings.iter().cloned());
    parts.extend(report.failed_after.iter().cloned());
    if parts.is_empty() {
        "nothing to do".to_owned()
    } else {
        parts.join("; ")
    }
}

pub(super) fn undo_command(report: &RunReport) -> Option<String> {
    let moved = !report.applied.is_empty() || !report.undone.is_empty();
    let changed = moved || !report.points.is_empty() || !report.changes.is_empty();
    match report.kind {
        RunKind::Stamp => None,
        _ if !changed => None,
        _ => Some("walkback rollback".to_owned()),
    }
}
