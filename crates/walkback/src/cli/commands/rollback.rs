//! `rollback`: walk back by the means that lose least.

use serde_json::Value;
use walkback_core::{Error, ErrorKind, Result};
use walkback_runner::{OnConflict, RollbackKind, RollbackPlan, RollbackRequest, RollbackWhat, Runner};

use super::change::{self, no_sql, place, print_sql};
use super::deploy;
use super::dump::Chosen;
use crate::cli::args::{ConflictPolicy, Rollback, RollbackType};
use crate::cli::context::{Context, consent, json};
use crate::cli::exit;
use crate::cli::render::plan as render;
use crate::cli::render::table::{count, heads};

pub(super) async fn run(context: &Context, args: &Rollback) -> Result<u8> {
    let mut request = request(args)?;
    let runner = context.runner()?;
    let RollbackWhat::Backup(given) = &request.what else {
        return rollback(context, &runner, args, &request).await;
    };
    let chosen = Chosen::find(context, &runner, given, version(args), true).await?;
    if let (Some(target), false) = (version(args), chosen.is_dump()) {
        return Err(says_itself(target));
    }
    request.what = RollbackWhat::Backup(chosen.id.clone());
    let outcome = rollback(context, &runner, args, &request).await;
    let is_dry = args.run.dry_run || args.run.sql;
    chosen.settle(context, &runner, &outcome, is_dry).await;
    outcome
}

/// Returns the version that the ledger says after a dump was restored: what would otherwise be the target.
fn version(args: &Rollback) -> Option<&str> {
    let point = args.point.as_deref().filter(|_| args.backup.is_some());
    args.to.as_deref().or(point)
}

async fn rollback(
    context: &Context,
    runner: &Runner,
    args: &Rollback,
    request: &RollbackRequest,
) -> Result<u8> {
    let plan = match runner.plan_rollback(&context.cx, request).await {
        Err(refused) => {
            let is_dry = args.run.dry_run || args.run.sql;
            return Err(change::after_killed(context, runner, &args.run.consent, is_dry, refused).await);
        }
        Ok(plan) => plan,
    };
    if args.run.sql {
        if plan.load.is_some() {
            return Err(no_sql(
                "each row of a load is first compared with what was loaded",
            ));
        }
        if plan.restore.is_some()
            || plan.changes.is_some()
            || plan.steps.iter().any(|step| step.down.is_none())
        {
            return Err(no_sql("this rollback brings tables back from the vault"));
        }
        let steps = plan.steps.iter().filter_map(|step| step.down.as_ref());
        return print_sql(context, runner, steps, ("plan", json(&plan)?)).await;
    }
    if plan.is_empty() {
        context.out.text(format!(
            "nothing to walk back: the database is at {}",
            heads(&plan.from)
        ));
        let fields = [
            ("plan", json(&plan)),
            ("dry_run", Ok(args.run.dry_run.into())),
            ("report", Ok(Value::Null)),
        ];
        context.object(fields)?;
        return Ok(exit::DONE);
    }
    let mut shown = render::rollback(&plan, &place(runner));
    if args.full {
        shown = format!(
            "{shown}\n{}",
            deploy::stages("stages", &runner.full_rollback_stages())
        );
    }
    if args.run.dry_run {
        context.out.text(shown);
        return change::finish_dry_run(context, &plan.warnings, json(&plan));
    }
    context.out.detail(shown);
    change::warn_all(context, &plan.warnings);
    let consent = consent(&args.run.consent);
    runner.check_rollback(&context.cx, &plan, &consent).await?;
    context
        .confirm(runner, what(&plan), args.run.consent.confirm_name.as_deref())
        .await?;
    if args.full {
        let report = Box::pin(runner.run_full_rollback(&context.cx, request, &plan, &consent)).await?;
        return deploy::finish(context, "walked back", json(&plan), &report);
    }
    let report = runner.run_rollback(&context.cx, &plan, &consent).await?;
    change::finish(context, ("plan", json(&plan)), &report)
}

/// Says what is to be confirmed.
pub(super) fn what(plan: &RollbackPlan) -> String {
    let rows: u64 = plan.loss().map(|loss| loss.rows).sum();
    let lost = if rows == 0 {
        String::new()
    } else {
        format!(", and lose {}", count(rows, "row"))
    };
    let steps = count(plan.steps.len(), "migration");
    if let Some(load) = &plan.load {
        return format!(
            "remove {} of {} that were loaded into `{}`{lost}",
            load.removed,
            count(load.rows, "row"),
            load.table
        );
    }
    match &plan.restore {
        Some(restore) => format!("go back to `{}`{lost}", restore.point),
        None if plan.changes.is_some() => format!("take the last rollback back{lost}"),
        None => format!("walk back {steps}{lost}"),
    }
}

fn request(args: &Rollback) -> Result<RollbackRequest> {
    let kind = match args.kind {
        RollbackType::Auto => RollbackKind::Auto,
        RollbackType::Down => RollbackKind::Down,
        RollbackType::Surgical => RollbackKind::Surgical,
        RollbackType::Partial => RollbackKind::Partial,
        RollbackType::Full => RollbackKind::Full,
        RollbackType::Transaction => RollbackKind::Transaction,
        RollbackType::Backup => RollbackKind::Backup,
    };
    let named = args
        .backup
        .as_ref()
        .or(args.point.as_ref().filter(|_| kind == RollbackKind::Backup));
    let what = match (named, &args.point, &args.to, args.to_time, args.count) {
        (Some(backup), ..) => RollbackWhat::Backup(backup.clone()),
        _ if kind == RollbackKind::Backup => {
            return Err(
                Error::new(ErrorKind::Usage, "`--type backup` needs the backup to go back to").hint(
                    "name it: `walkback rollback --backup-file <ID>`; `walkback backup list` shows what there is",
                ),
            );
        }
        (_, Some(point), ..) => RollbackWhat::Point(point.clone()),
        (_, _, Some(target), ..) => RollbackWhat::To(target.clone()),
        (.., Some(moment), _) => RollbackWhat::Since(moment),
        (.., Some(count)) => RollbackWhat::Count(count),
        _ => RollbackWhat::LastRun,
    };
    if args.backup.is_some() && !matches!(kind, RollbackKind::Auto | RollbackKind::Backup) {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("`--backup-file` does not go with `--type {}`", kind.word()),
        ));
    }
    Ok(RollbackRequest {
        what,
        kind,
        on_conflict: on_conflict(args.on_conflict),
    })
}

/// Refuses a version for a backup of our own.
fn says_itself(target: &str) -> Error {
    Error::new(
        ErrorKind::Usage,
        format!("a backup of walkback says itself which migrations are applied in it, and not `{target}`"),
    )
    .hint("`walkback restore <ID> --set-version <TARGET>` writes another version into the ledger")
}

pub(super) fn on_conflict(policy: ConflictPolicy) -> OnConflict {
    match policy {
        ConflictPolicy::Keep => OnConflict::Keep,
        ConflictPolicy::Revert => OnConflict::Revert,
        ConflictPolicy::Stop => OnConflict::Stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Command};
    use clap::Parser as _;

    fn of(line: &str) -> Result<RollbackRequest> {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Command::Rollback(args) = cli.command else {
            panic!("{line}")
        };
        request(&args)
    }

    #[test]
    fn what_is_walked_back_is_read_from_the_line() {
        let what = |line| of(line).unwrap().what;
        assert_eq!(what("walkback rollback"), RollbackWhat::LastRun);
        assert_eq!(what("walkback undo -n 2"), RollbackWhat::Count(2));
        assert_eq!(what("walkback rollback --to -1"), RollbackWhat::To("-1".into()));
        assert_eq!(what("walkback rollback rb_1"), RollbackWhat::Point("rb_1".into()));
        assert_eq!(
            what("walkback rollback bk_1 --type backup"),
            RollbackWhat::Backup("bk_1".into())
        );
        assert_eq!(
            what("walkback rollback --backup bk_1"),
            RollbackWhat::Backup("bk_1".into())
        );
        assert_eq!(
            of("walkback rollback --type backup").unwrap_err().kind(),
            ErrorKind::Usage
        );
        assert_eq!(
            of("walkback rollback --backup a --type down").unwrap_err().kind(),
            ErrorKind::Usage
        );
        let dump = of("walkback rollback --backup-file ./a.sql --to 2").unwrap();
        assert_eq!(dump.what, RollbackWhat::Backup("./a.sql".into()));
        assert!(of("walkback rollback 2 --backup-file ./a.sql").is_ok());
        assert!(Cli::try_parse_from("walkback rollback rb_1 -n 2".split(' ')).is_err());
    }
}
