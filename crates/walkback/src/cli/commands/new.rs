//! `new`: the files of a new migration.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use walkback_core::source::NewMigration;
use walkback_core::{DialectKind, Error, ErrorKind, MigrationGraph, MigrationId, MigrationSource, Result};
use walkback_runner::CatalogOrigin;

use crate::cli::args::New;
use crate::cli::context::{Context, json};
use crate::cli::exit;
use crate::cli::render::table::names;

pub(super) async fn run(context: &Context, args: &New) -> Result<u8> {
    if args.down_from_up {
        return Box::pin(down_from_up(context, &args.slug)).await;
    }
    let slug = slug(&args.slug)?;
    let (source, graph) = sources(context).await?;
    let parents = parents(&graph, &args.parent)?;
    let migration = NewMigration::new(free_id(context.cx.now(), &graph), slug, parents);
    let files = source.create(&context.cx, &migration).await?;
    tell(context, &migration, &files)
}

/// Writes the derived way back of a migration, and tells what is left to a person.
async fn down_from_up(context: &Context, migration: &str) -> Result<u8> {
    let runner = context.runner()?;
    let down = Box::pin(runner.derive_down(&context.cx, migration)).await?;
    let file = runner.write_down(&context.cx, &down).await?;
    for (step, why) in down.gaps() {
        context.out.warn(format!(
            "the statement at {} has no inverse that could be derived; write what takes it back: {why}",
            step.at
        ));
    }
    for loss in down.loses() {
        context
            .out
            .warn(format!("the way back does not bring back {loss}"));
    }
    context.out.text(format!("wrote {}", file.display()));
    context.out.detail(match down.catalog {
        CatalogOrigin::Database => "what it re-creates is as the database has it now".to_owned(),
        CatalogOrigin::Scratch => "what it re-creates is as the earlier migrations leave it".to_owned(),
        _ => format!("`walkback verify {}` shows whether it leads back", down.id),
    });
    context.object([
        ("id", json(&down.id)),
        ("name", json(&down.name)),
        ("file", json(&file)),
        ("catalog", json(&down.catalog)),
        ("steps", json(&down.steps)),
        ("complete", Ok(down.gaps().next().is_none().into())),
    ])?;
    Ok(exit::DONE)
}

/// Tells which files were written.
pub(super) fn tell(context: &Context, migration: &NewMigration, files: &[PathBuf]) -> Result<u8> {
    for file in files {
        context.out.text(format!("wrote {}", file.display()));
    }
    let fields = [
        ("id", Ok(migration.id.clone().into())),
        ("slug", Ok(migration.slug.clone().into())),
        ("parents", json(&migration.parents)),
        ("files", json(&files)),
    ];
    context.object(fields)?;
    Ok(exit::DONE)
}

/// Returns the source and what is in it; a folder that does not exist yet is empty.
pub(super) async fn sources(context: &Context) -> Result<(Arc<dyn MigrationSource>, MigrationGraph)> {
    let project = context.project()?;
    let registry = walkback_adapters::registry()?;
    let source = project.open_source(&registry)?;
    let engine = project.open_engine(&registry);
    // What follows what hardly ever depends on the engine, and no database is needed to write a file.
    let dialect = engine
        .as_ref()
        .map_or(DialectKind::Sqlite, |engine| engine.dialect().kind());
    match (source.load(&context.cx, dialect).await, engine) {
        (Ok(loaded), _) => Ok((source, loaded.graph)),
        (Err(error), _) if error.kind() == ErrorKind::NotFound => Ok((source, MigrationGraph::default())),
        (Err(_), Err(error)) | (Err(error), Ok(_)) => Err(error),
    }
}

/// Returns an id of the present second, or of the first later one that is free.
pub(super) fn free_id(now: DateTime<Utc>, graph: &MigrationGraph) -> String {
    let taken: BTreeSet<_> = graph.iter().map(|migration| &migration.id).collect();
    let ids = (0..).map(|seconds| {
        (now + TimeDelta::seconds(seconds))
            .format("%Y%m%d%H%M%S")
            .to_string()
    });
    let mut free = ids.skip_while(|id| taken.contains(&MigrationId::new(id)));
    free.next().unwrap_or_default()
}

/// Returns what a migration follows, where the order of the files does not say so already.
fn parents(graph: &MigrationGraph, named: &[String]) -> Result<Vec<MigrationId>> {
    if !named.is_empty() {
        return named
            .iter()
            .map(|name| graph.find(name).map(|migration| migration.id.clone()))
            .collect();
    }
    match graph.heads().as_slice() {
        [] => Ok(Vec::new()),
        [_] if graph.is_linear() => Ok(Vec::new()),
        [head] => Ok(vec![head.id.clone()]),
        heads => Err(Error::new(
            ErrorKind::Usage,
            format!(
                "there are {} heads, and a migration follows one of them",
                heads.len()
            ),
        )
        .hint(format!(
            "name it with `--parent`: {}",
            names(heads.iter().map(|head| &head.id))
        ))
        .hint("or join them first with `walkback merge`")),
    }
}

/// Makes a part of a file name of what a person typed.
pub(super) fn slug(text: &str) -> Result<String> {
    let slug: String = text
        .trim()
        .chars()
        .map(|c| if c == ' ' { '_' } else { c })
        .collect();
    let odd = slug
        .chars()
        .find(|c| !(c.is_alphanumeric() || matches!(c, '_' | '-')));
    match odd {
        None if !slug.is_empty() => Ok(slug),
        Some(odd) => Err(Error::new(
            ErrorKind::Usage,
            format!("`{text}` cannot be part of a file name: it has `{odd}`"),
        )
        .hint("use letters, digits, `_` and `-`, such as `add_users`")),
        None => Err(Error::new(ErrorKind::Usage, "a migration needs a name")
            .hint("say what it is about, such as `add_users`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use walkback_core::Migration;

    #[test]
    fn a_slug_is_a_part_of_a_file_name() {
        assert_eq!(slug("add users").unwrap(), "add_users");
        assert_eq!(slug("größe-2").unwrap(), "größe-2");
        for bad in ["", "  ", "../etc", "a/b", "a.b", "a\nb", "a'b", "a\0"] {
            assert_eq!(slug(bad).unwrap_err().kind(), ErrorKind::Usage, "{bad:?}");
        }
    }

    #[test]
    fn two_migrations_of_one_second_get_two_ids() {
        let now = DateTime::parse_from_rfc3339("2026-12-31T23:59:59Z")
            .unwrap()
            .to_utc();
        let graph = MigrationGraph::build(vec![Migration::new("20261231235959", "a", "a.sql")]).unwrap();
        assert_eq!(free_id(now, &MigrationGraph::default()), "20261231235959");
        assert_eq!(free_id(now, &graph), "20270101000000");
    }

    #[test]
    fn with_several_heads_the_parent_must_be_named() {
        let mut left = Migration::new("2", "l", "2.sql");
        let mut right = Migration::new("3", "r", "3.sql");
        left.parents = vec![MigrationId::new("1")];
        right.parents = vec![MigrationId::new("1")];
        let graph = MigrationGraph::build(vec![Migration::new("1", "b", "1.sql"), left, right]).unwrap();
        let error = parents(&graph, &[]).unwrap_err();
        assert!(error.hints()[0].contains("`2`, `3`"), "{:?}", error.hints());
        assert_eq!(parents(&graph, &["3_r".into()]).unwrap(), [MigrationId::new("3")]);
    }
}
