//! `lint`: what migrations will hurt with, told from their scripts.

use std::fmt::Write as _;

use walkback_core::{DialectKind, Result};
use walkback_runner::{Finding, Level, LintReport, LintedMigration, Linter};

use crate::cli::args::{Lint, LintDialect};
use crate::cli::context::{Context, json};
use crate::cli::exit;
use crate::cli::render::table::{bytes, count};
use crate::cli::render::{junit, style};

pub(super) async fn run(context: &Context, args: &Lint) -> Result<u8> {
    let (linter, environment) = linter(context, args)?;
    let report = linter.lint(&context.cx, &args.ids).await?;
    for (path, why) in &report.unmatched {
        context
            .out
            .warn(format!("`{}` is not used: {why}", path.display()));
    }
    let fails = |found: &Finding| found.level == Level::Error || args.strict;
    if let Some(file) = &args.junit {
        let cases = report.migrations.iter().map(|one| case(one, fails)).collect();
        junit::write(file, "walkback lint", &environment, cases)?;
    }
    let failed = report.findings().any(fails);
    for found in report.findings() {
        context.out.text(text(found));
    }
    context.out.text(summary(&report, failed));
    context.object([
        ("dialect", json(&linter.dialect())),
        ("migrations", json(&report.migrations)),
        ("errors", json(&report.count(Level::Error))),
        ("warnings", json(&report.count(Level::Warning))),
        ("passed", Ok((!failed).into())),
    ])?;
    Ok(if failed { exit::CHECK_FAILED } else { exit::DONE })
}

/// Returns what reads the scripts, and the name of the environment. Only the dialect is needed, and a database that
/// is configured tells it without being asked.
fn linter(context: &Context, args: &Lint) -> Result<(Linter, String)> {
    let project = context.project()?;
    let registry = walkback_adapters::registry()?;
    let source = project.open_source(&registry)?;
    let environment = project.environment().to_owned();
    if let Some(dialect) = args.dialect {
        return Ok((Linter::new(source, dialect.into()), environment));
    }
    let engine = project.open_engine(&registry).map_err(|error| {
        error.hint("or say what the scripts are written in: `walkback lint --dialect postgres`")
    })?;
    for warning in project.warnings()? {
        context.out.warn(warning);
    }
    Ok((Linter::asking(source, engine), environment))
}

impl From<LintDialect> for DialectKind {
    fn from(dialect: LintDialect) -> Self {
        match dialect {
            LintDialect::Sqlite => Self::Sqlite,
            LintDialect::Postgres => Self::Postgres,
            LintDialect::Mysql => Self::Mysql,
        }
    }
}

fn case(migration: &LintedMigration, fails: impl Fn(&Finding) -> bool) -> junit::Case<'_> {
    let first = migration.findings.iter().find(|found| fails(found));
    let said: Vec<_> = migration.findings.iter().map(text).collect();
    junit::Case {
        name: &migration.name,
        failure: first.map(|found| (found.rule.name(), format!("{}: {}", found.at, found.message))),
        said: said.join("\n"),
    }
}

fn text(found: &Finding) -> String {
    let label = match found.level {
        Level::Error => style::error("error"),
        Level::Warning => style::warning("warning"),
    };
    let size = found
        .table_bytes
        .map(|size| format!(" (about {} in this database)", bytes(size)))
        .unwrap_or_default();
    let mut text = format!("{}: {label}: {} [{}]{size}", found.at, found.message, found.rule);
    if !found.advice.is_empty() {
        write!(text, "\n    {}: {}", style::good("hint"), found.advice).ok();
    }
    text
}

fn summary(report: &LintReport, failed: bool) -> String {
    let (errors, warnings) = (report.count(Level::Error), report.count(Level::Warning));
    let read = count(report.migrations.len(), "migration");
    match (errors, warnings) {
        _ if report.migrations.is_empty() => "there are no migrations to read".to_owned(),
        (0, 0) => style::good(format!("read {read}: nothing to say")),
        _ => {
            let found = format!(
                "read {read}: {}, {}",
                count(errors, "error"),
                count(warnings, "warning")
            );
            if failed { style::error(found) } else { found }
        }
    }
}
