//! `backup`: make and look at backups.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use walkback_core::{ErrorKind, Result};
use walkback_runner::ExportFormat;
use walkback_runner::vault::{Manifest, PointKind, PointSummary, VaultSet};

use super::backup_verify;
use super::dump::{self, Named};
use crate::cli::args::{Backup, BackupCreate, BackupExport, BackupFormat, BackupId};
use crate::cli::context::{Context, json};
use crate::cli::exit;
use crate::cli::render::plan::waiting_line;
use crate::cli::render::table::{bytes, count, heads, table};
use crate::cli::render::{error as render_error, style};

pub(super) async fn run(context: &Context, command: &Backup) -> Result<u8> {
    match command {
        Backup::Create(args) => create(context, args).await,
        Backup::List(args) => {
            let dumps = args.dumps.as_deref();
            list(context, "backup", |kind| kind == PointKind::Backup, dumps).await
        }
        Backup::Show(args) => show(context, args).await,
        Backup::Verify(args) => Box::pin(backup_verify::run(context, args)).await,
        Backup::Export(args) => Box::pin(export(context, args)).await,
        Backup::Prune(args) => super::prune::run(context, args).await,
        Backup::Sweep => super::prune::sweep(context).await,
    }
}

async fn create(context: &Context, args: &BackupCreate) -> Result<u8> {
    let runner = context.runner()?;
    let tables: Vec<String> = args.tables.iter().chain(&args.only).cloned().collect();
    let manifest = runner
        .backup_create(&context.cx, &tables, args.description.as_deref(), args.grants)
        .await?;
    if args.grants {
        super::restore::grants_in_schema(context, &runner, "every backup holds them");
    }
    context.out.text(made("backup", &manifest));
    context
        .out
        .text(format!("go back to it with `walkback restore {}`", manifest.id));
    context.object([("backup", summary(&manifest))])?;
    super::prune::by_itself(context, &runner).await;
    Ok(exit::DONE)
}

/// Says what was made.
pub(super) fn made(what: &str, manifest: &Manifest) -> String {
    let totals = &manifest.totals;
    format!(
        "{} `{}`: {}, {}, {} ({} stored){}",
        style::good(format!("made {what}")),
        manifest.id,
        count(totals.tables, "table"),
        count(totals.rows, "row"),
        bytes(totals.bytes),
        bytes(totals.stored),
        held_grants(manifest).map_or_else(String::new, |grants| format!(", {grants}")),
    )
}

/// Says how many rights a point holds, where they were asked for.
fn held_grants(manifest: &Manifest) -> Option<String> {
    let grants = manifest.grants.as_deref()?;
    let accounts: BTreeSet<_> = grants.iter().map(|grant| &grant.account).collect();
    Some(match accounts.len() {
        0 => "no grants".to_owned(),
        1 => format!("{} of 1 user or role", count(grants.len(), "grant")),
        several => format!("{} of {several} users and roles", count(grants.len(), "grant")),
    })
}

/// Lists the points of some kinds. One that cannot be read is in every list, with the reason.
pub(super) async fn list(
    context: &Context,
    what: &str,
    wanted: fn(PointKind) -> bool,
    dumps: Option<&Path>,
) -> Result<u8> {
    let runner = context.runner()?;
    let points = runner.points(&context.cx).await?;
    let points: Vec<_> = points
        .into_iter()
        .filter(|point| point.kind.is_none_or(wanted))
        .collect();
    if points.is_empty() {
        context.out.text(format!(
            "there are no {what}s; `walkback {what} create` makes one"
        ));
    } else {
        context.out.text(listed(&points, runner.vault()));
    }
    let objects: Result<Vec<Value>> = points.iter().map(object).collect();
    let objects = objects.map(Value::from);
    let Some(folder) = dumps else {
        context.object([(&*format!("{what}s"), objects)])?;
        return Ok(exit::DONE);
    };
    let dumps = runner.dump_list(&context.cx, folder).await?;
    context.out.text(if dumps.is_empty() {
        format!("there are no dumps in `{}`", folder.display())
    } else {
        dump::listed(&dumps)
    });
    context.object([(&*format!("{what}s"), objects), ("dumps", json(&dumps))])?;
    Ok(exit::DONE)
}

fn listed(points: &[PointSummary], vaults: Option<&VaultSet>) -> String {
    let several = vaults.map_or(0, |vaults| vaults.vaults().len()) > 1;
    let grants = |point: &PointSummary| point.info.as_ref().ok().and_then(|info| info.grants);
    let some_have_grants = points.iter().any(|point| grants(point).is_some());
    let rows = points.iter().map(|point| {
        let mut cells = cells(point);
        if some_have_grants {
            cells.push(grants(point).map_or_else(String::new, |number| count(number, "grant")));
        }
        if several {
            cells.push(whereabouts(point, vaults));
        }
        cells
    });
    let mut head = vec!["id", "made at", "kind", "of", "at", "rows", "size", "description"];
    if some_have_grants {
        head.push("grants");
    }
    if several {
        head.push("in");
    }
    table(head, rows)
}

/// Says in which of several stores a point is.
fn whereabouts(point: &PointSummary, vaults: Option<&VaultSet>) -> String {
    let whole = point.stores.iter().filter(|store| store.error.is_none()).count();
    if vaults.is_some_and(|vaults| vaults.vaults().len() == whole) {
        return "all".to_owned();
    }
    let only = if point.stores.len() == 1 { "only " } else { "" };
    let names: Vec<_> = point
        .stores
        .iter()
        .map(|store| match &store.error {
            Some(_) if point.info.is_ok() => format!("{} (cannot be used)", store.name),
            _ => store.name.clone(),
        })
        .collect();
    format!("{only}{}", names.join(", "))
}

fn cells(point: &PointSummary) -> Vec<String> {
    let made = point.created_at().format("%Y-%m-%d %H:%M:%S UTC").to_string();
    match &point.info {
        Ok(info) => vec![
            point.id.clone(),
            made,
            info.kind.words_for(info.run_id.as_deref()).to_owned(),
            info.database.name.clone(),
            heads(&info.ledger.heads).replace('`', ""),
            count(info.totals.rows, "row"),
            bytes(info.totals.bytes),
            info.description.clone().unwrap_or_default(),
        ],
        Err(error) => {
            let empty = String::new;
            let state = match error.kind() {
                ErrorKind::Config => "encrypted",
                _ => "damaged",
            };
            let why = format!("cannot be used: {error}");
            vec![
                point.id.clone(),
                made,
                state.into(),
                empty(),
                empty(),
                empty(),
                empty(),
                why,
            ]
        }
    }
}

/// Returns a line of a list for `--json`: `error` stands in place of everything that cannot be read.
fn object(point: &PointSummary) -> Result<Value> {
    let mut object = serde_json::Map::new();
    object.insert("id".into(), point.id.clone().into());
    if !point.encrypted_to.is_empty() {
        object.insert("encrypted_to".into(), json(&point.encrypted_to)?);
    }
    if !point.stores.is_empty() {
        object.insert("stores".into(), json(&point.stores)?);
    }
    match &point.info {
        Ok(info) => {
            if let Value::Object(fields) = json(info)? {
                object.extend(fields);
            }
        }
        Err(error) => {
            object.insert("error".into(), render_error::object(error)["error"].clone());
        }
    }
    Ok(Value::Object(object))
}

pub(super) async fn show(context: &Context, args: &BackupId) -> Result<u8> {
    let runner = context.runner()?;
    if let Named::File(path) = Named::of(&args.id) {
        let info = runner.dump_show(&context.cx, &path, true).await?;
        context.out.text(dump::text(&info));
        context.object([("dump", json(&info))])?;
        return Ok(exit::DONE);
    }
    let manifest = runner.point(&context.cx, &args.id).await?;
    let waiting = runner.waiting_for(&context.cx, &manifest.id).await?;
    let lines: Vec<_> = waiting
        .iter()
        .map(|one| format!("\n  waits for  {}", waiting_line(one)))
        .collect();
    context.out.text(format!("{}{}", text(&manifest), lines.concat()));
    context.object([("point", json(&manifest)), ("waiting", json(&waiting))])?;
    Ok(exit::DONE)
}

/// Returns what a point is.
pub(super) fn words(manifest: &Manifest) -> &'static str {
    manifest.kind.words_for(manifest.run_id.as_deref())
}

fn text(manifest: &Manifest) -> String {
    let mut text = format!("{} ({})\n", style::bold(&manifest.id), words(manifest));
    let mut field = |name: &str, value: String| {
        if !value.is_empty() {
            writeln!(text, "  {name:<11} {value}").ok();
        }
    };
    let database = &manifest.database;
    field(
        "made at",
        manifest.created_at.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
    );
    field("by", manifest.tool.clone());
    field("for run", manifest.run_id.clone().unwrap_or_default());
    field("description", manifest.description.clone().unwrap_or_default());
    if let Some(encryption) = &manifest.encryption {
        let with = match encryption.key {
            Some(_) => "with a passphrase".to_owned(),
            None => format!("to {}", encryption.recipients.join(", ")),
        };
        field("encrypted", with);
    }
    field(
        "of",
        format!("{} ({} {})", database.name, database.product, database.version),
    );
    let applied = count(manifest.ledger.applied.len(), "migration");
    field(
        "applied",
        format!("{applied}, up to {}", heads(&manifest.ledger.heads)),
    );
    field(
        "schema",
        format!(
            "{}, {}",
            count(manifest.schema.tables.len(), "table"),
            count(manifest.schema.objects.len(), "other object")
        ),
    );
    let totals = &manifest.totals;
    field(
        "holds",
        format!(
            "{} of {}, {} ({} stored)",
            count(totals.rows, "row"),
            count(totals.tables, "table"),
            bytes(totals.bytes),
            bytes(totals.stored)
        ),
    );
    field("grants", held_grants(manifest).unwrap_or_default());
    let rows = manifest.tables.iter().map(|entry| {
        let chunks = count(entry.chunks.len(), "chunk");
        [
            format!("  {}", entry.table),
            count(entry.rows, "row"),
            bytes(entry.bytes),
            chunks,
        ]
    });
    if !manifest.tables.is_empty() {
        text.push_str(&table(["  table", "rows", "size", "chunks"], rows));
    }
    text.trim_end().to_owned()
}

/// Returns what `--json` says of a point that was just made: its manifest without the schema and the chunks.
pub(super) fn summary(manifest: &Manifest) -> Result<Value> {
    let mut object = serde_json::json!({
        "id": manifest.id,
        "created_at": json(&manifest.created_at)?,
        "kind": json(&manifest.kind)?,
        "description": manifest.description,
        "database": json(&manifest.database)?,
        "ledger": json(&manifest.ledger)?,
        "tables": manifest.tables.iter().map(|entry| entry.table.to_string()).collect::<Vec<_>>(),
        "totals": json(&manifest.totals)?,
    });
    if let Some(grants) = &manifest.grants {
        object["grants"] = grants.len().into();
    }
    Ok(object)
}

async fn export(context: &Context, args: &BackupExport) -> Result<u8> {
    let runner = context.runner()?;
    let format = match args.format {
        BackupFormat::Sql => ExportFormat::Sql,
        BackupFormat::Jsonl => ExportFormat::Jsonl,
    };
    let report = runner
        .backup_export(&context.cx, &args.id, &args.out, format, &args.tables)
        .await?;
    context.out.text(format!(
        "{} `{}` into `{}`: {} of {} in {}",
        style::good("exported"),
        report.id,
        report.folder,
        count(report.rows, "row"),
        count(report.tables, "table"),
        count(report.files.len(), "file"),
    ));
    context.object([("export", json(&report))])?;
    Ok(exit::DONE)
}
