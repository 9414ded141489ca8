//! The gate: what the policy of the environment forbids, before anything is changed.

use walkback_core::{Cx, Direction, Error, ErrorKind, Result};

use crate::approval;
use crate::loss::Loss;
use crate::plan::Plan;
use crate::purge::PurgePlan;
use crate::recover::RecoverPlan;
use crate::restore::RestorePlan;
use crate::rollback::RollbackPlan;
use crate::runner::Runner;
use crate::settings::{Consent, Decision, Settings};

/// Lets a plan through, or says what is missing.
///
/// Walking back is what a person does when something is wrong: what a *down* destroys is covered by the loss
/// that is shown and confirmed, so only what goes up is asked about destruction. A run that is part of another began
/// within its hours.
pub(crate) fn plan(runner: &Runner, cx: &Cx, plan: &Plan, consent: &Consent) -> Result<()> {
    let settings = runner.settings();
    change(settings, consent)?;
    let goes_up = plan.steps.iter().any(|step| step.direction == Direction::Up);
    if goes_up && runner.outer().is_none() {
        hours(settings, cx)?;
    }
    if goes_up {
        approval::needed(runner, cx, plan)?;
    }
    loss(settings, &plan.loss, consent)?;
    if settings.policy.destructive != Decision::Refuse || consent.destructive {
        return Ok(());
    }
    let mut destructive = plan.destructive();
    let Some((step, statement)) = destructive.find(|(step, _)| step.direction == Direction::Up) else {
        return Ok(());
    };
    Err(Error::new(
        ErrorKind::Refused,
        format!(
            "migration `{}` {} ({}), and `{}` refuses what destroys",
            step.name, statement.effect, statement.at, settings.environment
        ),
    )
    .hint("run it with `--allow-destructive` if that is meant"))
}

/// Lets a scope in code through, or says what is missing.
pub(crate) fn scope(settings: &Settings, cx: &Cx, consent: &Consent) -> Result<()> {
    change(settings, consent)?;
    hours(settings, cx)?;
    approval::needed_by_code(settings)
}

/// Lets a rollback through, or says what is missing.
pub(crate) fn rollback(settings: &Settings, plan: &RollbackPlan, consent: &Consent) -> Result<()> {
    change(settings, consent)?;
    loss(settings, plan.loss(), consent)
}

/// Lets a recovery through, or says what is missing. What applications wrote to tables that come back from a point cannot
/// be told from what the migration did to them, so it is not counted.
pub(crate) fn recover(settings: &Settings, plan: &RecoverPlan, consent: &Consent) -> Result<()> {
    change(settings, consent)?;
    if !plan.may_lose || settings.policy.lossy != Decision::Refuse || consent.lossy {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Refused,
        format!(
            "to go back restores tables from a point, and what applications wrote to them since goes: `{}` refuses that",
            settings.environment
        ),
    )
    .hint("`walkback recover --back --allow-lossy` does it if that is meant; a point keeps what was written")
    .hint("`walkback recover --dry-run` says whether it can go forward instead"))
}

/// Lets a restore through, or says what is missing.
pub(crate) fn restore(settings: &Settings, plan: &RestorePlan, consent: &Consent) -> Result<()> {
    change(settings, consent)?;
    loss(settings, &plan.loss, consent)
}

/// Lets a purge through, or says what is missing. To drop what has passed its deadline is what a purge is for; before that it
/// is the only way back that is destroyed.
pub(crate) fn purge(settings: &Settings, cx: &Cx, plan: &PurgePlan, consent: &Consent) -> Result<()> {
    change(settings, consent)?;
    if settings.policy.destructive != Decision::Refuse || consent.destructive {
        return Ok(());
    }
    let early: Vec<_> = plan.before_deadline(cx.now()).collect();
    let [first, ..] = early.as_slice() else {
        return Ok(());
    };
    Err(Error::new(
        ErrorKind::Refused,
        format!(
            "this would drop {} for good before the deadline (`{}` is kept until {}), and `{}` refuses what destroys",
            match early.len() {
                1 => "1 table".to_owned(),
                many => format!("{many} tables"),
            },
            first.table,
            first.deadline,
            settings.environment
        ),
    )
    .hint("`walkback purge` without `--all` drops what has passed its deadline")
    .hint("run it with `--allow-destructive` if that is meant"))
}

/// Refuses what takes away rows that were written since, by a rollback, a restore or downs.
fn loss<'l>(settings: &Settings, loss: impl IntoIterator<Item = &'l Loss>, consent: &Consent) -> Result<()> {
    let lost: u64 = loss.into_iter().map(|loss| loss.rows).sum();
    if lost == 0 || settings.policy.lossy != Decision::Refuse || consent.lossy {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Refused,
        format!(
            "this would take back {lost} rows written since, and `{}` refuses that",
            settings.environment
        ),
    )
    .hint("run it with `--allow-lossy` if that is meant; a safety point keeps them"))
}

/// Refuses to go forward outside of the hours of the environment. To walk back is allowed at any time: who needs that needs
/// it now.
pub(crate) fn hours(settings: &Settings, cx: &Cx) -> Result<()> {
    let allowed = &settings.policy.allowed_hours;
    let now = cx.now();
    if allowed.is_empty() || allowed.iter().any(|hours| hours.hold(now)) {
        return Ok(());
    }
    let hours: Vec<_> = allowed.iter().map(|hours| format!("`{hours}`")).collect();
    Err(Error::new(
        ErrorKind::Refused,
        format!(
            "`{}` takes no migrations now ({})",
            settings.environment,
            now.format("%a %Y-%m-%d %H:%M UTC")
        ),
    )
    .hint(format!(
        "its hours are {}; in an emergency somebody changes `allowed_hours`",
        hours.join(", ")
    ))
    .hint("walking back is allowed at any time"))
}

/// Lets a person change the environment, with a ticket where it wants one.
pub(crate) fn change(settings: &Settings, consent: &Consent) -> Result<()> {
    let (users, actor) = (&settings.policy.allowed_users, &settings.actor);
    let at_host = format!("{}@{}", actor.user, actor.host);
    if !users.is_empty() && !users.iter().any(|user| *user == actor.user || *user == at_host) {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("`{}` is not changed by `{at_host}`", settings.environment),
        )
        .hint(format!(
            "it is by {}: ask one of them, or add yourself to `allowed_users`",
            users.join(", ")
        )));
    }
    ticket(settings, consent)
}

/// Asks for a ticket where the environment wants one.
fn ticket(settings: &Settings, consent: &Consent) -> Result<()> {
    if settings.policy.require_ticket
        && consent
            .ticket
            .as_deref()
            .is_none_or(|ticket| ticket.trim().is_empty())
    {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("a change in `{}` needs a ticket", settings.environment),
        )
        .hint("name it with `--ticket <ID>`"));
    }
    Ok(())
}
