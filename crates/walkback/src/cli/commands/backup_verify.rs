//! `backup verify`: read every byte of backups and dumps, and on request restore them for proof.

use std::path::Path;

use serde_json::Value;
use walkback_core::{Error, ErrorKind, Result};
use walkback_runner::Runner;
use walkback_runner::vault::{Damage, StoreReport, TableReport, VerifyReport};

use super::dump::Named;
use crate::cli::args::BackupVerify;
use crate::cli::context::{Context, json};
use crate::cli::render::table::count;
use crate::cli::render::{error as render_error, style};
use crate::cli::{exit, output};

pub(super) async fn run(context: &Context, args: &BackupVerify) -> Result<u8> {
    let runner = context.runner()?;
    let ids = if args.ids.is_empty() {
        all(context, &runner).await?
    } else {
        args.ids.clone()
    };
    let mut reports = if args.ids.is_empty() {
        report_missing(context, &runner).await
    } else {
        Vec::new()
    };
    let mut damaged = reports.len();
    if ids.is_empty() && damaged == 0 {
        context.out.text("the vault is empty: there is nothing to verify");
    }
    for id in &ids {
        damaged += match Named::of(id) {
            Named::File(path) => dump(context, &runner, &path, &mut reports).await?,
            Named::Point(id) => point(context, &runner, &id, args, &mut reports).await?,
        };
    }
    context.object([
        ("reports", Ok(reports.into())),
        ("intact", Ok((damaged == 0).into())),
    ])?;
    Ok(if damaged == 0 {
        exit::DONE
    } else {
        exit::code(ErrorKind::Damaged)
    })
}

/// Verifies a dump of another tool, and returns how many are damaged.
async fn dump(context: &Context, runner: &Runner, path: &Path, reports: &mut Vec<Value>) -> Result<usize> {
    let shown = path.display().to_string();
    match runner.dump_verify(&context.cx, path).await {
        Ok(report) => {
            reports.push(json(&report)?);
            let intact = style::good("intact");
            context
                .out
                .text(format!("{intact}   {shown}: {}", report.checked));
            Ok(0)
        }
        Err(error) if error.kind() == ErrorKind::Damaged => {
            say_damaged(context, &shown, "", &error);
            reports.push(serde_json::json!({"id": shown, "error": render_error::object(&error)["error"]}));
            Ok(1)
        }
        Err(error) => Err(error),
    }
}

/// Verifies a point in each store, on request by restoring it, and returns how many copies are damaged.
async fn point(
    context: &Context,
    runner: &Runner,
    id: &str,
    args: &BackupVerify,
    reports: &mut Vec<Value>,
) -> Result<usize> {
    let found = runner.point_verify(&context.cx, id).await?;
    let several = runner.vault().is_some_and(|vaults| vaults.vaults().len() > 1);
    let mut damaged = 0;
    for StoreReport { store, outcome, .. } in found {
        let store = several.then_some(store.as_str());
        damaged += usize::from(!verified(context, id, store, outcome, reports)?);
    }
    if !args.restore || damaged > 0 {
        return Ok(damaged);
    }
    if args.ids.is_empty() && !runner.point_is_whole(&context.cx, id).await? {
        context.out.text(format!(
            "skipped  {id}: it holds some tables only, and is not restored on its own"
        ));
        return Ok(0);
    }
    match restored(context, runner, id, reports).await {
        Err(error) if error.kind() == ErrorKind::Damaged => {
            say_damaged(context, id, "", &error);
            if let Some(Value::Object(fields)) = reports.last_mut() {
                fields.insert("error".into(), render_error::object(&error)["error"].clone());
            }
            Ok(1)
        }
        outcome => outcome.map(|()| 0),
    }
}

/// Restores a point into a scratch database, and compares it with what the point says.
async fn restored(context: &Context, runner: &Runner, id: &str, reports: &mut [Value]) -> Result<()> {
    let report = runner
        .point_verify_restore(&context.cx, id)
        .await
        .map_err(not_restored)?;
    if let Some(Value::Object(fields)) = reports.last_mut() {
        fields.insert("restored".into(), json(&report)?);
    }
    let report = report.into_result()?;
    context.out.text(format!(
        "{} {}: {} and {} are back in a scratch database as they were",
        style::good("restored"),
        report.id,
        count(report.tables, "table"),
        count(report.rows, "row"),
    ));
    Ok(())
}

fn say_damaged(context: &Context, id: &str, place: &str, error: &Error) {
    context
        .out
        .text(format!("{}  {id}{place}", style::error("damaged")));
    output::write_error(&render_error::text(error));
}

/// Tells what verifying a point in a store came to, and returns whether it is intact there.
fn verified(
    context: &Context,
    id: &str,
    store: Option<&str>,
    outcome: Result<VerifyReport>,
    reports: &mut Vec<Value>,
) -> Result<bool> {
    let place = store.map(|store| format!(" in `{store}`")).unwrap_or_default();
    let mut object = serde_json::json!({"id": id});
    let mut each = Vec::new();
    let outcome = outcome.and_then(|report| {
        object = json(&report)?;
        each = damaged_chunks(&report);
        report.into_result()
    });
    let error = match outcome {
        Ok(report) => {
            context.out.text(intact(&report, &place));
            None
        }
        Err(error) if error.kind() == ErrorKind::Damaged => Some(error),
        // What cannot be opened, or does not answer, is no proof of damage.
        Err(error) => return Err(error),
    };
    if let Some(store) = store {
        object["store"] = store.into();
    }
    if let Some(error) = &error {
        say_damaged(context, id, &place, error);
        // A single one is named by the error.
        for chunk in each.iter().filter(|_| each.len() > 1) {
            context.out.text(chunk);
        }
        if object.get("tables").is_none() {
            object["error"] = render_error::object(error)["error"].clone();
        }
    }
    reports.push(object);
    Ok(error.is_none())
}

/// Returns a line for each chunk that cannot be used.
fn damaged_chunks(report: &VerifyReport) -> Vec<String> {
    let of_table = |table: &'_ TableReport| {
        let (name, of) = (table.table.clone(), table.chunks);
        let line = move |damage: &Damage| {
            let (number, hash, rows) = (damage.index + 1, &damage.hash, count(damage.rows, "row"));
            format!(
                "  table `{name}`: chunk {number} of {of}, `{hash}` with {rows}, {}",
                damage.kind
            )
        };
        table.damage.iter().map(line).collect::<Vec<_>>()
    };
    report.tables.iter().flat_map(of_table).collect()
}

/// A backup that the database does not take is as good as damaged.
fn not_restored(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Database | ErrorKind::CheckFailed | ErrorKind::NeedsRecovery => error
            .with_kind(ErrorKind::Damaged)
            .wrap("it cannot be restored into a scratch database"),
        _ => error,
    }
}

/// Tells which points applied migrations need and the vault has not. The vault can be verified without the
/// database, so one that cannot be read is a warning.
async fn report_missing(context: &Context, runner: &Runner) -> Vec<Value> {
    let missing = runner.points_missing(&context.cx).await.unwrap_or_else(|error| {
        context
            .out
            .warn(format!("nobody can say whether a point is missing: {error}"));
        Vec::new()
    });
    let mut reports = Vec::with_capacity(missing.len());
    for (id, migration) in missing {
        let error = Error::new(
            ErrorKind::Damaged,
            format!("the point `{id}`, made before `{migration}`, which is applied, is not in the vault"),
        )
        .hint("bring the vault back from a copy, or correct `path` of the store");
        context.out.text(format!("{}  {id}", style::error("missing")));
        output::write_error(&render_error::text(&error));
        reports.push(serde_json::json!({"id": id, "error": render_error::object(&error)["error"]}));
    }
    reports
}

async fn all(context: &Context, runner: &Runner) -> Result<Vec<String>> {
    Ok(runner
        .points(&context.cx)
        .await?
        .into_iter()
        .map(|point| point.id)
        .collect())
}

fn intact(report: &VerifyReport, place: &str) -> String {
    let rows: u64 = report.tables.iter().map(|table| table.rows).sum();
    let chunks: u64 = report.tables.iter().map(|table| table.chunks).sum();
    let (rows, chunks) = (count(rows, "row"), count(chunks, "chunk"));
    format!(
        "{}   {}{place}: {rows} in {chunks} read and checked",
        style::good("intact"),
        report.id
    )
}
