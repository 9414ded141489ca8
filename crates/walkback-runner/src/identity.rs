//! Names that walkback gives: runs, points, backups.

use chrono::{DateTime, Utc};
use rand::Rng as _;
use walkback_core::Cx;

/// Returns the stamp inside names: `20260411_101530`.
fn stamp(now: DateTime<Utc>) -> String {
    now.format("%Y%m%d_%H%M%S").to_string()
}

/// Returns an id of a run. The tail keeps runs of one second apart, also where there are many.
pub(crate) fn run_id(cx: &Cx) -> String {
    format!("run_{}_{:08x}", stamp(cx.now()), rand::rng().random::<u32>())
}

/// Returns an id of the point before a migration: `rb_<migration>_<yyyymmdd_hhmmss>`.
pub(crate) fn point_id(cx: &Cx, prefix: &str, about: &str) -> String {
    let plain: String = about
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '_'
            }
        })
        .take(60)
        .collect();
    if plain.is_empty() {
        format!("{prefix}_{}", stamp(cx.now()))
    } else {
        format!("{prefix}_{plain}_{}", stamp(cx.now()))
    }
}

/// Returns how the ids of all points about one thing begin, whenever they were made.
pub(crate) fn point_prefix(cx: &Cx, prefix: &str, about: &str) -> String {
    let mut id = point_id(cx, prefix, about);
    id.truncate(id.len() - stamp(cx.now()).len());
    id
}

/// Returns a moment as the journal keeps it.
pub(crate) fn moment(now: DateTime<Utc>) -> String {
    now.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}
