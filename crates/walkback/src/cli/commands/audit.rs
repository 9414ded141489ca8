//! `audit`: the runs that changed the database, and whether what is told of them is whole.

use std::fmt::Write as _;

use walkback_core::Result;
use walkback_runner::{AuditFinding, AuditVerification, Consent, RunRecord, Runner};

use crate::cli::args::Audit;
use crate::cli::context::{Context, json};
use crate::cli::exit;
use crate::cli::render::table::{moment, table};

pub(super) async fn run(context: &Context, args: &Audit) -> Result<u8> {
    let runner = context.runner()?;
    if args.verify {
        return verify(context, &runner).await;
    }
    if let Some(chain) = &args.acknowledge {
        return acknowledge(context, &runner, chain, args).await;
    }
    let runs = runner.audit(&context.cx, Some(args.limit)).await?;
    if runs.is_empty() {
        context.out.text("no run has changed this database");
    } else {
        context.out.text(text(&runs));
        if context.global.verbose > 0 {
            context.out.text(hooks(&runs));
        }
    }
    context.object([("runs", json(&runs))])?;
    Ok(exit::DONE)
}

/// Notes that another chain of this database has ended, and that it is known.
async fn acknowledge(context: &Context, runner: &Runner, chain: &str, args: &Audit) -> Result<u8> {
    let mut consent = Consent::default();
    consent.ticket.clone_from(&args.ticket);
    consent.reason.clone_from(&args.reason);
    let seq = runner.acknowledge_chain(&context.cx, chain, &consent).await?;
    context.out.text(format!(
        "noted in the audit: the end of chain `{chain}` at entry {seq} is known"
    ));
    context.object([("acknowledged", json(&chain)), ("entry", json(&seq))])?;
    Ok(exit::DONE)
}

/// Checks the chain of entries, in the database and in the stores.
async fn verify(context: &Context, runner: &Runner) -> Result<u8> {
    let found = runner.verify_audit(&context.cx).await?;
    let is_whole = found.findings.is_empty();
    context.out.text(match is_whole {
        true => whole(&found),
        false => format!("the audit is not what was written:\n{}", wrong(&found.findings)),
    });
    context.object([("verified", Ok(is_whole.into())), ("audit", json(&found))])?;
    Ok(if is_whole { exit::DONE } else { exit::CHECK_FAILED })
}

fn whole(found: &AuditVerification) -> String {
    let Some(chain) = &found.chain else {
        return "there is no audit yet: nothing has changed this database".to_owned();
    };
    let mut text = format!(
        "the audit is whole: chain `{chain}` with {} entries in the database",
        found.entries
    );
    for store in &found.stores {
        write!(text, ", {} in `{}`", store.entries, store.store).ok();
        if store.waiting > 0 {
            write!(text, " ({} more with the next run that ends)", store.waiting).ok();
        }
    }
    text
}

fn wrong(findings: &[AuditFinding]) -> String {
    let lines = findings.iter().map(|found| {
        let place = match found.place.as_str() {
            place @ ("database" | "journal") => place.to_owned(),
            store => format!("store `{store}`"),
        };
        format!("  {place}: {}", found.what)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn text(runs: &[RunRecord]) -> String {
    let rows = runs.iter().map(|run| {
        let about = [
            run.ticket.as_ref().map(|ticket| format!("ticket {ticket}")),
            run.reason.clone(),
            run.detail.clone(),
        ];
        [
            moment(&run.started_at),
            run.kind.clone(),
            run.status.word().to_owned(),
            format!("{} to {}", or_base(&run.from), or_base(&run.to)),
            run.environment.clone(),
            run.actor.clone(),
            about.into_iter().flatten().collect::<Vec<_>>().join("; "),
        ]
    });
    table(
        [
            "when",
            "run",
            "outcome",
            "migrations",
            "environment",
            "who",
            "about",
        ],
        rows,
    )
}

/// Says what the hooks of each run have written.
fn hooks(runs: &[RunRecord]) -> String {
    let mut text = String::new();
    for run in runs.iter().filter(|run| !run.hooks.is_empty()) {
        writeln!(
            text,
            "\nhooks of run `{}` ({}, {}):",
            run.id,
            run.kind,
            moment(&run.started_at)
        )
        .ok();
        for hook in &run.hooks {
            writeln!(
                text,
                "  {} {}: {}",
                hook.hook,
                hook.outcome.replace('_', " "),
                hook.command
            )
            .ok();
            for line in hook.output.lines() {
                writeln!(text, "    {line}").ok();
            }
        }
    }
    text.trim_end().to_owned()
}

fn or_base(heads: &str) -> &str {
    if heads.is_empty() { "base" } else { heads }
}
