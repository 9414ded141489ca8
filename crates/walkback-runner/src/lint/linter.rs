//! Reading the migrations of a source, and looking at each by all rules.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use walkback_core::graph::MigrationGraph;
use walkback_core::statement::Location;
use walkback_core::{
    Cx, Dialect, DialectKind, Direction, Engine, Error, ErrorKind, Migration, MigrationId, MigrationSource,
    Phase, Result, Script,
};

use super::allow::Allowed;
use super::subject::{Subject, finding};
use super::{Finding, Level, LintReport, LintedMigration, Rule, rules, sizes};
use crate::plan::{ReadScript, ScriptOrigin};
use crate::verify::chain;

/// Looks at migrations without running them.
#[derive(Debug, Clone)]
pub struct Linter {
    source: Arc<dyn MigrationSource>,
    dialect: Arc<dyn Dialect>,
    engine: Option<Arc<dyn Engine>>,
}

impl Linter {
    /// Creates a linter that asks no database, for scripts in a dialect.
    #[must_use]
    pub fn new(source: Arc<dyn MigrationSource>, kind: DialectKind) -> Self {
        Self {
            source,
            dialect: Arc::new(walkback_sql::Sql(kind)),
            engine: None,
        }
    }

    /// Creates a linter for the scripts of an engine. Its database is asked how large tables are, where that matters
    /// and it can be reached; nothing else, and nothing is written.
    #[must_use]
    pub fn asking(source: Arc<dyn MigrationSource>, engine: Arc<dyn Engine>) -> Self {
        Self {
            source,
            dialect: engine.dialect(),
            engine: Some(engine),
        }
    }

    /// Returns the dialect the scripts are read in.
    #[must_use]
    pub fn dialect(&self) -> DialectKind {
        self.dialect.kind()
    }

    /// Looks at migrations, all of them if none is named.
    ///
    /// # Errors
    /// Fails if the source cannot be read, and on a name that no migration has. A script that cannot be read is a
    /// finding.
    pub async fn lint(&self, cx: &Cx, ids: &[String]) -> Result<LintReport> {
        let loaded = self.source.load(cx, self.dialect.kind()).await?;
        let wanted = wanted(&loaded.graph, ids)?;
        let mut migrations = Vec::with_capacity(wanted.len());
        for migration in loaded.graph.iter().filter(|one| wanted.contains(&one.id)) {
            cx.check()?;
            migrations.push(LintedMigration {
                id: migration.id.clone(),
                name: migration.name(),
                findings: self.look_at(cx, &loaded.graph, migration).await?,
            });
        }
        if let Some(engine) = &self.engine {
            let mut findings: Vec<_> = migrations
                .iter_mut()
                .flat_map(|migration| &mut migration.findings)
                .collect();
            sizes::add(cx, engine, &mut findings).await?;
        }
        Ok(LintReport {
            migrations,
            unmatched: loaded.unmatched,
        })
    }

    async fn look_at(&self, cx: &Cx, graph: &MigrationGraph, migration: &Migration) -> Result<Vec<Finding>> {
        let up = self.read(cx, migration, Direction::Up).await?;
        let mut down = self.read(cx, migration, Direction::Down).await?;
        let said = |side: &Side| side.unreadable.as_ref().map(|found| found.message.clone());
        if said(&up).is_some() && said(&up) == said(&down) {
            // It is no part of either direction: once is enough.
            down.unreadable = None;
        }
        let mut findings = Vec::new();
        if let Some(up) = &up.script
            && down.unreadable.is_none()
        {
            findings = rules::check(&Subject {
                migration,
                dialect: &*self.dialect,
                up,
                has_expanded: has_expanded(graph, migration),
                down: down.script.as_ref(),
                down_at: down.at.as_ref(),
            });
        }
        findings.retain(|found| !up.covers(found, Direction::Up) && !down.covers(found, Direction::Down));
        for side in [up, down] {
            findings.extend(side.unreadable);
            findings.extend(side.allowed.useless);
        }
        let down_last = |found: &Finding| found.direction == Direction::Down;
        findings.sort_by_key(|found| (down_last(found), found.at.line, found.rule));
        Ok(findings)
    }

    async fn read(&self, cx: &Cx, migration: &Migration, direction: Direction) -> Result<Side> {
        let kind = self.dialect.kind();
        let mut side = Side::default();
        let script = match self.source.script(cx, kind, &migration.id, direction).await {
            Ok(script) => script,
            // What another tool can follow and walkback cannot says nothing of the migrations beside it.
            Err(error) if matches!(error.kind(), ErrorKind::Config | ErrorKind::Unsupported) => {
                side.unreadable = Some(unreadable(direction, &migration.file, &error));
                return Ok(side);
            }
            Err(error) => return Err(error),
        };
        let Some(script) = script else { return Ok(side) };
        if let Script::Sql(sql) = &script {
            side.allowed = Allowed::read(sql, &*self.dialect, direction);
            side.at = Some(sql.location.clone());
        }
        let file = side.at.as_ref().map_or(&migration.file, |at| &at.file).clone();
        match ReadScript::read(&script, &*self.dialect, ScriptOrigin::File) {
            Ok(read) => side.script = Some(read),
            Err(error) => side.unreadable = Some(unreadable(direction, &file, &error)),
        }
        Ok(side)
    }
}

/// One direction of a migration, as it was read.
#[derive(Default)]
struct Side {
    script: Option<ReadScript>,
    /// Where it begins.
    at: Option<Location>,
    allowed: Allowed,
    unreadable: Option<Finding>,
}

impl Side {
    /// Returns whether this script says that a finding is meant. The head of an up script also speaks of a down
    /// that is not written, which has no place to say it.
    fn covers(&self, found: &Finding, direction: Direction) -> bool {
        let of_missing_down = direction == Direction::Up && found.rule == Rule::EmptyDown;
        (found.direction == direction && self.allowed.covers(found))
            || (of_missing_down && self.allowed.covers_all(found.rule))
    }
}

/// Returns whether a migration that this one follows expands.
fn has_expanded(graph: &MigrationGraph, migration: &Migration) -> bool {
    let before = graph.ancestors(&BTreeSet::from([migration.id.clone()]));
    let mut before = before
        .iter()
        .filter(|id| **id != migration.id)
        .filter_map(|id| graph.get(id));
    before.any(|one| one.phase == Some(Phase::Expand))
}

fn wanted(graph: &MigrationGraph, ids: &[String]) -> Result<Vec<MigrationId>> {
    if ids.is_empty() {
        return Ok(graph.iter().map(|migration| migration.id.clone()).collect());
    }
    ids.iter()
        .map(|id| graph.find(id).map(|migration| migration.id.clone()))
        .collect()
}

/// Makes a finding of the error of a script, which names its place in words.
fn unreadable(direction: Direction, file: &Path, error: &Error) -> Finding {
    let message = chain(error);
    let named = format!("{}:", file.display());
    let line = message.split(&named).skip(1).find_map(|behind| {
        let digits: String = behind.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    let at = Location {
        file: file.to_owned(),
        line: line.unwrap_or(1),
    };
    let advice = error.hints().join("; ");
    finding(
        Rule::UnreadableScript,
        Level::Error,
        direction,
        &at,
        message,
        advice,
    )
}
