//! `restore`: replace tables by what a backup holds.

use std::path::Path;

use walkback_core::{Error, Result};

use super::change::{self, place};
use crate::cli::args::Restore;
use crate::cli::context::{Context, consent, json};
use crate::cli::render::plan as render;
use crate::cli::render::table::count;

pub(super) async fn run(context: &Context, args: &Restore) -> Result<u8> {
    let runner = context.runner()?;
    let backup = backup_id(&args.backup)?;
    let plan = runner
        .plan_restore(&context.cx, &backup, &args.tables, args.set_version.as_deref())
        .await?;
    let shown = render::restore(&plan, &place(&runner));
    if args.dry_run {
        context.out.text(shown);
        return change::finish_dry_run(context, &plan.warnings, json(&plan));
    }
    context.out.detail(shown);
    change::warn_all(context, &plan.warnings);
    let rows: u64 = plan.loss.iter().map(|loss| loss.rows).sum();
    let lost = if rows == 0 {
        String::new()
    } else {
        format!(", and lose {} written since", count(rows, "row"))
    };
    let what = format!(
        "replace {} by what `{}` holds{lost}",
        count(plan.replace.len(), "table"),
        plan.point
    );
    let consent = consent(&args.consent);
    runner.check_change(&consent)?;
    context
        .confirm(&runner, what, args.consent.confirm_name.as_deref())
        .await?;
    let report = runner.run_restore(&context.cx, &plan, &consent).await?;
    change::finish(context, ("plan", json(&plan)), &report)
}

/// Returns the id of a backup that is named by its id, or by the path of its manifest.
///
/// # Errors
/// `Unsupported` for a file that is no manifest of ours: a dump of another tool.
pub(super) fn backup_id(given: &str) -> Result<String> {
    let path = Path::new(given);
    let is_manifest = path.extension().is_some_and(|extension| extension == "json");
    match path.file_stem().and_then(|stem| stem.to_str()) {
        Some(stem) if is_manifest => Ok(stem.to_owned()),
        _ if path.is_file() => Err(Error::unsupported(
            format!("restoring `{given}`, a file that is no backup of walkback,"),
            "this version of walkback",
        )
        .hint("`walkback backup list` shows the backups there are")),
        _ if given.contains('/') => Err(Error::not_found(format!("there is no backup file `{given}`"))
            .hint("`walkback backup list` shows the backups there are")),
        _ => Ok(given.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_is_named_by_its_id_or_by_its_manifest() {
        assert_eq!(backup_id("bk_20260101_000000").unwrap(), "bk_20260101_000000");
        assert_eq!(backup_id("vault/points/bk_1.json").unwrap(), "bk_1");
        let error = backup_id("no/such/file.sql").unwrap_err();
        assert_eq!(error.to_string(), "there is no backup file `no/such/file.sql`");
    }
}
