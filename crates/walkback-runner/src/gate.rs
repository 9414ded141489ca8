//! The gate: what the policy of the environment forbids, before anything is changed.

use walkback_core::{Error, ErrorKind, Result};

use crate::plan::{Plan, RunKind};
use crate::rollback::RollbackPlan;
use crate::settings::{Consent, Decision, Settings};

/// Lets a plan through, or says what is missing.
///
/// Walking back is what a person does when something is wrong: what a *down* destroys is covered by the loss
/// that is shown and confirmed, so only `up` is asked about destruction.
pub(crate) fn plan(settings: &Settings, plan: &Plan, consent: &Consent) -> Result<()> {
    ticket(settings, consent)?;
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
    ticket(settings, consent)?;
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

/// Asks for a ticket where the environment wants one.
pub(crate) fn ticket(settings: &Settings, consent: &Consent) -> Result<()> {
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
