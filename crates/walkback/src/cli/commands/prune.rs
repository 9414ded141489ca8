//! `backup prune` and `backup sweep`: remove what is no longer needed, and give its space back.

use serde_json::Value;
use walkback_core::Result;
use walkback_runner::vault::Rules;
use walkback_runner::{PrunePlan, PrunePoint, Runner, StorePrune, StoreSwept};

use super::change::place;
use crate::cli::args::BackupPrune;
use crate::cli::context::{Context, json};
use crate::cli::exit;
use crate::cli::render::style;
use crate::cli::render::table::{bytes, count, moment, table};

pub(super) async fn run(context: &Context, args: &BackupPrune) -> Result<u8> {
    let runner = context.runner()?;
    let configured = runner.settings().retention;
    let rules = Rules {
        age: args.retention.or(configured.age),
        keep: args.keep.unwrap_or(configured.keep),
    };
    let plan = runner.plan_prune(&context.cx, &rules).await?;
    let shown = rendered(&plan, &place(&runner));
    warn_of_problems(context, &plan);
    if args.dry_run {
        context.out.text(shown);
        context.out.text("dry run: nothing was changed");
        return finish(context, &plan, true, Ok(Value::Null));
    }
    context.out.detail(shown);
    let points: usize = plan.stores.iter().map(|store| store.remove.len()).sum();
    if !plan.is_empty() {
        let what = format!("remove {}", backups_and_points(points));
        context
            .confirm(&runner, what, args.confirm_name.as_deref())
            .await?;
    }
    let report = runner.run_prune(&context.cx, &plan).await?;
    for (store, planned) in report.stores.iter().zip(&plan.stores) {
        context.out.text(done(store, Some(planned)));
    }
    finish(context, &plan, false, json(&report))
}

/// Prunes after a run that has added to the vault, where the environment says so. The run has succeeded: what
/// goes wrong now is a warning.
pub(super) async fn by_itself(context: &Context, runner: &Runner) {
    let settings = runner.settings();
    if !settings.prunes_itself || runner.vault().is_none() {
        return;
    }
    let outcome = async {
        let plan = runner.plan_prune(&context.cx, &settings.retention).await?;
        runner.run_prune(&context.cx, &plan).await
    };
    match outcome.await {
        Ok(report) => {
            let removed: usize = report.stores.iter().map(|store| store.removed.len()).sum();
            if removed > 0 {
                context
                    .out
                    .detail(format!("pruned {}", backups_and_points(removed)));
            }
        }
        Err(error) => context.out.warn(format!(
            "the vault could not be pruned: {error}; `walkback backup prune` tries again"
        )),
    }
}

pub(super) async fn sweep(context: &Context) -> Result<u8> {
    let runner = context.runner()?;
    let swept = runner.vault_sweep(&context.cx).await?;
    for store in &swept {
        context.out.text(done(store, None));
    }
    context.object([("stores", json(&swept))])?;
    Ok(exit::DONE)
}

fn finish(context: &Context, plan: &PrunePlan, dry_run: bool, report: Result<Value>) -> Result<u8> {
    context.object([
        ("plan", json(plan)),
        ("dry_run", Ok(dry_run.into())),
        ("report", report),
    ])?;
    Ok(exit::DONE)
}

fn backups_and_points(number: usize) -> String {
    match number {
        1 => "1 backup or point".to_owned(),
        number => format!("{number} backups and points"),
    }
}

fn rendered(plan: &PrunePlan, place: &str) -> String {
    let mut text = format!("{} {place}", style::bold("prune"));
    for store in &plan.stores {
        let all = store.remove.len() + store.keep.len();
        text.push_str(&format!(
            "\n  {}: {} of {}",
            store.location,
            match store.remove.len() {
                0 => "nothing goes".to_owned(),
                1 => "1 goes".to_owned(),
                many => format!("{many} go"),
            },
            backups_and_points(all),
        ));
        if all > 0 {
            text.push('\n');
            text.push_str(&listed(store));
        }
        if !store.remove.is_empty() {
            text.push_str(&format!(
                "\n  only what goes needs {}: they are given back a day later",
                bytes(store.gives_back)
            ));
        }
    }
    text
}

/// Lists what goes and what stays, newest first.
fn listed(store: &StorePrune) -> String {
    let row = |what: &str, point: &PrunePoint| {
        [
            format!("  {what}"),
            point.id.clone(),
            moment(&point.created_at),
            point.kind.map_or("damaged", |kind| kind.words()).to_owned(),
            point.why.join("; "),
        ]
    };
    let mut rows: Vec<_> = store
        .remove
        .iter()
        .map(|point| (point, "goes"))
        .chain(store.keep.iter().map(|point| (point, "stays")))
        .collect();
    rows.sort_by(|(left, _), (right, _)| (&right.created_at, &right.id).cmp(&(&left.created_at, &left.id)));
    table(
        ["  ", "id", "made at", "kind", "why"],
        rows.into_iter().map(|(point, what)| row(what, point)),
    )
}

fn warn_of_problems(context: &Context, plan: &PrunePlan) {
    for store in &plan.stores {
        for point in store.keep.iter().chain(&store.remove) {
            if let Some(problem) = &point.problem {
                context.out.warn(format!(
                    "`{}` is kept, and counts for no rule: {problem}; `walkback backup verify {}` tells more",
                    point.id, point.id
                ));
            }
        }
    }
}

/// Says what was removed from a store.
fn done(store: &StoreSwept, planned: Option<&StorePrune>) -> String {
    let mut parts = Vec::new();
    if planned.is_some() {
        parts.push(match store.removed.len() {
            0 => "no backup and no point".to_owned(),
            1 => format!("`{}`", store.removed[0]),
            many => backups_and_points(many),
        });
    }
    if store.unfinished > 0 {
        let (files, size) = (
            count(store.unfinished, "unfinished file"),
            bytes(store.unfinished_bytes),
        );
        parts.push(format!("{files} ({size})"));
    }
    let collected = &store.collected;
    let chunks = count(collected.objects, "chunk");
    parts.push(format!(
        "{chunks} that nothing needs ({})",
        bytes(collected.bytes)
    ));
    let mut text = format!(
        "{} {} from {}",
        style::good("removed"),
        parts.join(", "),
        store.location
    );
    if collected.kept_young > 0 {
        let young = count(collected.kept_young, "chunk");
        text.push_str(&format!(
            "\n{young} that nothing needs are younger than a day, and stay until then"
        ));
    }
    text
}
