//! `unlock`: end the sessions of a run that is gone.

use serde_json::Value;
use walkback_core::Result;
use walkback_runner::UnlockPlan;

use super::change::place;
use crate::cli::args::Unlock;
use crate::cli::context::{Context, consent, json};
use crate::cli::exit;

pub(super) async fn run(context: &Context, args: &Unlock) -> Result<u8> {
    let runner = context.runner()?;
    let Some(plan) = runner.plan_unlock(&context.cx).await? else {
        context.out.text(format!(
            "nothing to unlock {}: nobody holds the lock",
            place(&runner)
        ));
        context.object([("ended", Ok(Value::Null))])?;
        return Ok(exit::DONE);
    };
    context.out.detail(text(&plan));
    let consent = consent(&args.consent);
    runner.check_change(&context.cx, "unlock", &consent).await?;
    context
        .confirm(
            &runner,
            format!("end these sessions {}", place(&runner)),
            args.consent.confirm_name.as_deref(),
        )
        .await?;
    let ended = runner.unlock(&context.cx, &plan, &consent).await?;
    context.out.text(match ended.sessions.len() {
        0 => "they had gone meanwhile; the lock is free".to_owned(),
        _ => "the lock is free; `walkback status` says whether there is something to recover".to_owned(),
    });
    context.object([("ended", json(&ended))])?;
    Ok(exit::DONE)
}

fn text(plan: &UnlockPlan) -> String {
    let lines = plan.sessions.iter().map(|held| {
        let runs = held.runs.as_ref().map(|runs| format!("; it runs `{runs}`"));
        format!(
            "session {} holds `{}`: {}, silent for {} s{}",
            held.session,
            held.lock,
            held.who,
            held.silent_for_s,
            runs.unwrap_or_default()
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}
