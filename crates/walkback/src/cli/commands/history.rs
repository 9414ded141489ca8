//! `history`: all migrations, in order.

use walkback_core::Result;
use walkback_runner::{HistoryEntry, MigrationState};

use crate::cli::context::{Context, json};
use crate::cli::exit;
use crate::cli::render::table::{moment, table};

pub(super) async fn run(context: &Context) -> Result<u8> {
    let runner = context.runner()?;
    let history = runner.history(&context.cx).await?;
    if history.is_empty() {
        context.out.text(format!(
            "there are no migrations in {}",
            runner.source().location()
        ));
    } else {
        context.out.text(text(&history));
    }
    context.object([("history", json(&history))])?;
    Ok(exit::DONE)
}

fn text(history: &[HistoryEntry]) -> String {
    let rows = history.iter().map(|entry| {
        [
            entry.name.clone(),
            state(entry.state).to_owned(),
            entry.applied_at.as_deref().map(moment).unwrap_or_default(),
            entry
                .verdict
                .as_ref()
                .map(|verdict| verdict.word().to_owned())
                .unwrap_or_default(),
            marks(entry),
        ]
    });
    table(["migration", "state", "applied at", "way back", ""], rows)
}

/// Says whether a migration is applied.
pub(super) const fn state(state: MigrationState) -> &'static str {
    match state {
        MigrationState::Applied => "applied",
        MigrationState::Pending => "pending",
        MigrationState::Ahead => "ahead",
    }
}

fn marks(entry: &HistoryEntry) -> String {
    let mut marks: Vec<String> = entry.labels.clone();
    marks.extend(entry.phase.map(|phase| phase.to_string()));
    let facts = [
        (entry.parents.len() > 1, "merge"),
        (entry.head, "head"),
        (entry.current, "current"),
    ];
    marks.extend(
        facts
            .into_iter()
            .filter(|(is, _)| *is)
            .map(|(_, word)| word.to_owned()),
    );
    marks.join(", ")
}
