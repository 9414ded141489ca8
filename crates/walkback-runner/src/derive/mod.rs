//! A way down for a migration whose author wrote none: derived from its up, for a person to read and to keep.
//!
//! It is what [a run](crate::Runner::run) derives for itself while it applies the migration, statement by statement, and
//! names what has no inverse instead of giving up.

mod catalog;
mod step;

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;
use walkback_core::graph::MigrationGraph;
use walkback_core::migration::SqlScript;
use walkback_core::{Cx, Dialect, Direction, Error, ErrorKind, Migration, MigrationId, Result, Script};

use crate::plan::{ReadScript, ScriptOrigin};
use crate::runner::Runner;

pub use catalog::CatalogOrigin;
pub use step::DerivedStep;
pub(crate) use step::{asks_catalog, changes_rows, is_of_new_table};

/// A way down that was derived, and not written anywhere yet.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct DerivedDown {
    /// The migration.
    pub id: MigrationId,
    /// Its name for a person.
    pub name: String,
    /// Where the definitions come from that the up takes away.
    pub catalog: CatalogOrigin,
    /// What takes each statement of the up back, the last one first. Those that change nothing are not in it.
    pub steps: Vec<DerivedStep>,
    /// The script.
    #[serde(skip)]
    pub text: String,
}

impl DerivedDown {
    /// Returns what has no inverse, with its place.
    pub fn gaps(&self) -> impl Iterator<Item = (&DerivedStep, &str)> {
        self.steps
            .iter()
            .filter_map(|step| Some((step, step.gap.as_deref()?)))
    }

    /// Returns what the script cannot bring back, without repeats.
    #[must_use]
    pub fn loses(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for loss in self.steps.iter().flat_map(|step| &step.loses) {
            if !all.contains(&loss.as_str()) {
                all.push(loss);
            }
        }
        all
    }
}

impl Runner {
    /// Derives the way down of a migration that has none, by its id, its name, the beginning of one, or its slug.
    ///
    /// Definitions that the up takes away are those of the database, if the migration is the next to be applied there, or
    /// of a scratch database that the earlier migrations are applied to. Neither is changed by it.
    ///
    /// # Errors
    /// `AlreadyExists` if there is a way down, with its file; `Unsupported` if nothing of it can be derived, with the
    /// reasons.
    pub async fn derive_down(&self, cx: &Cx, name: &str) -> Result<DerivedDown> {
        let kind = self.dialect().kind();
        let graph = self.source().load(cx, kind).await?.graph;
        let migration = find(&graph, name)?;
        let script = |direction| self.source().script(cx, kind, &migration.id, direction);
        if let Some(Script::Sql(down)) = script(Direction::Down).await?
            && !holds_nothing(&*self.dialect(), &down)
        {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!(
                    "migration `{}` has a way down ({}:{})",
                    migration.name(),
                    down.location.file.display(),
                    down.location.line
                ),
            )
            .hint(
                "walkback never overwrites one; take its statements out first, if it is to be written anew",
            ));
        }
        let up = script(Direction::Up)
            .await?
            .ok_or_else(|| Error::not_found(format!("migration `{}` has no up script", migration.name())))?;
        let up = ReadScript::read(&up, &*self.dialect(), ScriptOrigin::File)?;
        let known = self.definitions_before(cx, migration, &up).await?;
        let mut steps: Vec<_> = step::derive(&*self.dialect(), &up, &known);
        steps.reverse();
        let down = DerivedDown {
            id: migration.id.clone(),
            name: migration.name(),
            catalog: known.origin,
            text: text(migration, &steps),
            steps,
        };
        refuse_nothing(&down)?;
        Ok(down)
    }

    /// Writes a derived way down where the source has it, and returns the file.
    ///
    /// # Errors
    /// `AlreadyExists` if there is one by now.
    pub async fn write_down(&self, cx: &Cx, down: &DerivedDown) -> Result<PathBuf> {
        let kind = self.dialect().kind();
        self.source().write_down(cx, kind, &down.id, &down.text).await
    }
}

/// Returns whether a script holds comments at most.
fn holds_nothing(dialect: &dyn Dialect, script: &SqlScript) -> bool {
    let statements = dialect.split(&script.text, &script.location.file);
    statements.is_ok_and(|statements| statements.is_empty())
}

/// Finds a migration also by its slug, if only one has it.
fn find<'g>(graph: &'g MigrationGraph, name: &str) -> Result<&'g Migration> {
    graph.find(name).or_else(|error| {
        let mut of_slug = graph.iter().filter(|migration| migration.slug == name);
        match (of_slug.next(), of_slug.next()) {
            (Some(only), None) if error.kind() == ErrorKind::NotFound => Ok(only),
            _ => Err(error),
        }
    })
}

fn refuse_nothing(down: &DerivedDown) -> Result<()> {
    if down.steps.iter().any(|step| !step.statements.is_empty()) {
        return Ok(());
    }
    let gaps: Vec<_> = down.gaps().collect();
    if gaps.is_empty() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "migration `{}` changes nothing that would have to be taken back",
                down.name
            ),
        )
        .hint("write `SELECT 1;` as its way down, if that is to be said"));
    }
    let error = Error::new(
        ErrorKind::Unsupported,
        format!(
            "nothing of the way back of `{}` can be derived; no file was written",
            down.name
        ),
    );
    Err(gaps.into_iter().fold(error, |error, (step, why)| {
        error.hint(format!("{} has no inverse: {why}", step.at))
    }))
}

/// Writes the script, with what a person should know in comments.
fn text(migration: &Migration, steps: &[DerivedStep]) -> String {
    let mut text = format!(
        "-- {}: the way back, derived from the up script by `walkback new --down-from-up {}`.\n\
         -- `walkback verify {}` shows whether it brings everything back.\n",
        one_line(&migration.name()),
        migration.id,
        migration.id
    );
    for step in steps {
        let place = step.at.file.file_name().unwrap_or_default().to_string_lossy();
        let place = format!("{place}:{}", step.at.line);
        if let Some(why) = &step.gap {
            writeln!(text, "\n-- cannot be derived: {} ({place})", one_line(why)).ok();
            continue;
        }
        if step.statements.is_empty() && step.note.is_none() {
            continue;
        }
        writeln!(text, "\n-- Takes back {place}.").ok();
        if let Some(note) = &step.note {
            writeln!(text, "-- {}", one_line(note)).ok();
        }
        for loss in &step.loses {
            writeln!(text, "-- Does not bring back {}.", one_line(loss)).ok();
        }
        for statement in &step.statements {
            writeln!(text, "{};", statement.trim().trim_end_matches(';')).ok();
        }
    }
    text
}

/// Keeps a text within its comment.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
