//! The gate: what the policy of the environment forbids, before anything is changed.

use walkback_core::{Cx, Direction, Error, ErrorKind, Result};

use crate::plan::{Plan, RunKind};
use crate::rollback::RollbackPlan;
use crate::settings::{Consent, Decision, Settings};

/// Lets a plan through, or says what is missing.
///
/// Walking back is what a person does when something is wrong: what a *down* destroys is covered by the loss
/// that is shown and confirmed, so only `up` is asked about destruction.
pub(crate) fn plan(settings: &Settings, cx: &Cx, plan: &Plan, consent: &Consent) -> Result<()> {
    change(settings, consent)?;
    if plan.steps.iter().any(|step| step.direction == Direction::Up) {
        hours(settings, cx)?;
    }
    if plan.kind != RunKind::Up || settings.policy.destructive != Decision::Refuse || consent.destructive {
        return Ok(());
    }
    let Some((step, statement)) = plan.destructive().next() else {
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

/// Lets a rollback through, or says what is missing.
pub(crate) fn rollback(settings: &Settings, plan: &RollbackPlan, consent: &Consent) -> Result<()> {
    change(settings, consent)?;
    let lost: u64 = plan.loss().map(|loss| loss.rows).sum();
    if lost == 0 || settings.policy.lossy != Decision::Refuse || consent.lossy {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Refused,
        format!(
            "this rollback would take back {lost} rows written since, and `{}` refuses that",
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
