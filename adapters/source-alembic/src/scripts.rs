//! What the revisions do, as Alembic writes it for one dialect.

use std::collections::HashMap;

use serde::Deserialize;
use walkback_core::migration::{ExternalScript, SqlScript};
use walkback_core::statement::Location;
use walkback_core::{Direction, Script};

use crate::revision::Revision;

/// What Alembic says of all revisions.
#[derive(Debug, Deserialize)]
pub(crate) struct Written {
    #[serde(default)]
    scripts: Vec<WrittenScript>,
    /// The name and the schema of the version table, as `env.py` configures it.
    pub(crate) version_table: Option<(String, Option<String>)>,
    /// Why `env.py` gives nothing without a database.
    env: Option<String>,
}

#[derive(Debug, Deserialize)]
struct WrittenScript {
    id: String,
    direction: String,
    #[serde(default)]
    statements: Vec<WrittenStatement>,
    #[serde(default)]
    transaction: bool,
    /// Why it cannot be written as SQL.
    why: Option<String>,
}

#[derive(Debug, Deserialize)]
struct WrittenStatement {
    sql: String,
    line: Option<usize>,
}

/// What the revisions do.
#[derive(Debug)]
pub(crate) struct Scripts {
    by_id: HashMap<(String, Direction), WrittenScript>,
    env: Option<String>,
}

impl Scripts {
    pub(crate) fn new(written: Written) -> Self {
        let by_id = written.scripts.into_iter().map(|script| {
            let direction = match script.direction.as_str() {
                "downgrade" => Direction::Down,
                _ => Direction::Up,
            };
            ((script.id.clone(), direction), script)
        });
        Self {
            by_id: by_id.collect(),
            env: written.env,
        }
    }

    /// Returns one script; `None` if Alembic does not know the revision.
    pub(crate) fn script(&self, revision: &Revision, direction: Direction) -> Option<Script> {
        if let Some(why) = &self.env {
            return Some(external(revision, direction, why));
        }
        let script = self.by_id.get(&(revision.id.clone(), direction))?;
        if let Some(why) = &script.why {
            return Some(external(revision, direction, why));
        }
        let (mut text, mut lines) = (String::new(), Vec::new());
        for statement in &script.statements {
            let mut sql = statement.sql.trim_end();
            // Alembic ends statements that have their end already.
            while let Some(ended) = sql.strip_suffix(';').filter(|ended| ended.ends_with(';')) {
                sql = ended;
            }
            let line = statement.line.unwrap_or(revision.function(direction).line);
            lines.extend(std::iter::repeat_n(line, sql.lines().count()));
            text.push_str(sql);
            text.push('\n');
        }
        Some(Script::Sql(sql(
            revision,
            direction,
            text,
            lines,
            script.transaction,
        )))
    }
}

/// Returns the script of a direction that does nothing.
pub(crate) fn empty(revision: &Revision, direction: Direction) -> Script {
    Script::Sql(sql(revision, direction, String::new(), Vec::new(), true))
}

fn sql(
    revision: &Revision,
    direction: Direction,
    text: String,
    lines: Vec<usize>,
    transaction: bool,
) -> SqlScript {
    let mut script = SqlScript::new(text, &revision.file);
    script.lines = lines;
    script.transaction = transaction;
    script.known_as = Some(revision.function(direction).hash.clone());
    script
}

fn external(revision: &Revision, direction: Direction, why: &str) -> Script {
    let function = revision.function(direction);
    let name = crate::revision::name_of(direction);
    Script::External(ExternalScript {
        command: format!("{name}() of {}, run by Alembic", revision.id),
        location: Location {
            file: revision.file.clone(),
            line: function.line,
        },
        why: why.to_owned(),
        hash: function.hash.clone(),
        atomic: !function.leaves_transaction,
    })
}
