//! `show`: one migration in full.

use std::fmt::Write as _;

use walkback_core::Result;
use walkback_core::statement::Severity;
use walkback_runner::{MigrationDetail, ScriptView, Verified};

use super::history::state;
use crate::cli::args::Show;
use crate::cli::context::{Context, json};
use crate::cli::exit;
use crate::cli::render::plan::origin;
use crate::cli::render::style;
use crate::cli::render::table::{moment, names};

pub(super) async fn run(context: &Context, args: &Show) -> Result<u8> {
    let runner = context.runner()?;
    let migration = runner.show(&context.cx, &args.id).await?;
    context.out.text(text(&migration));
    context.object([("migration", json(&migration))])?;
    Ok(exit::DONE)
}

fn text(migration: &MigrationDetail) -> String {
    let entry = &migration.entry;
    let mut text = format!("{}\n", style::bold(&entry.name));
    let mut field = |name: &str, value: String| {
        if !value.is_empty() {
            writeln!(text, "  {name:<11} {value}").ok();
        }
    };
    field("id", entry.id.to_string());
    let line = migration.line.map(|line| format!(":{line}")).unwrap_or_default();
    field("file", format!("{}{line}", migration.file.display()));
    field("state", state(entry.state).to_owned());
    field(
        "applied at",
        entry.applied_at.as_deref().map(moment).unwrap_or_default(),
    );
    field(
        "applied by",
        entry
            .run
            .as_ref()
            .map(|run| format!("run `{run}`"))
            .unwrap_or_default(),
    );
    if migration.edited {
        field(
            "edited",
            style::warning("its up script was changed after it was applied"),
        );
    }
    if let Some(why) = &migration.unread {
        field("not read", style::warning(why));
    }
    field(
        "follows",
        if entry.parents.is_empty() {
            "nothing: it is a base".into()
        } else {
            names(&entry.parents)
        },
    );
    field(
        "followed by",
        if entry.head {
            "nothing: it is a head".into()
        } else {
            names(&migration.children)
        },
    );
    field(
        "depends on",
        if migration.depends_on.is_empty() {
            String::new()
        } else {
            names(&migration.depends_on)
        },
    );
    field("labels", entry.labels.join(", "));
    field(
        "phase",
        entry.phase.map(|phase| phase.to_string()).unwrap_or_default(),
    );
    field(
        "way back",
        entry
            .verdict
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
    );
    field(
        "verified",
        migration.verified.as_ref().map(verified).unwrap_or_default(),
    );
    field("point", migration.point.clone().unwrap_or_default());
    let kept = migration.kept.iter().map(|kept| {
        let until = kept.deadline.split('T').next().unwrap_or(&kept.deadline);
        format!("`{}` of `{}`, until {until}", kept.table, kept.replaced)
    });
    field("kept", kept.collect::<Vec<_>>().join("; "));
    text.push_str(&script(
        "up",
        migration.up.as_ref(),
        "the checkout does not have it",
    ));
    text.push_str(&script("down", migration.down.as_ref(), "its author wrote none"));
    if let Some(derived) = &migration.derived {
        text.push_str(&script("derived down", Some(derived), ""));
        for loses in &migration.derived_loses {
            writeln!(
                text,
                "    {}",
                style::warning(format!("does not bring back {loses}"))
            )
            .ok();
        }
    }
    text.trim_end().to_owned()
}

/// Says what `verify` has seen, and whether that is of these scripts.
fn verified(seen: &Verified) -> String {
    let at = moment(&seen.at);
    let stale = if seen.current {
        ""
    } else {
        ", before its scripts were changed"
    };
    match (&seen.reason, seen.passed) {
        (_, true) => format!("{at}: {}{stale}", seen.verdict),
        (Some(reason), false) => style::error(format!("{at}: did not pass{stale}: {reason}")),
        (None, false) => style::error(format!("{at}: did not pass{stale}")),
    }
}

fn script(name: &str, script: Option<&ScriptView>, without: &str) -> String {
    let Some(script) = script else {
        return format!("\n{}: {without}\n", style::bold(name));
    };
    let how = if script.transaction {
        ""
    } else {
        ", outside a transaction"
    };
    let mut text = format!("\n{}: {}{how}\n", style::bold(name), origin(script.origin));
    if script.statements.is_empty() {
        text.push_str("  -- no statement\n");
    }
    for statement in &script.statements {
        let does = format!("{} ({})", statement.effect, statement.at);
        let does = if statement.severity >= Severity::Destructive {
            style::warning(does)
        } else {
            style::dim(does)
        };
        writeln!(text, "  -- {does}").ok();
        for line in statement.sql.trim().lines() {
            writeln!(text, "  {line}").ok();
        }
    }
    text
}
