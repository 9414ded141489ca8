//! `verify`: each migration up, down and up again, on a scratch database.

use std::fmt::Write as _;

use walkback_core::Result;
use walkback_runner::{ScriptOrigin, Verdict, VerifyOutcome};

use crate::cli::args::Verify;
use crate::cli::context::{Context, json};
use crate::cli::exit;
use crate::cli::render::table::count;
use crate::cli::render::{junit, style};

pub(super) async fn run(context: &Context, args: &Verify) -> Result<u8> {
    let runner = context.runner()?;
    let mut show = |outcome: &VerifyOutcome| context.out.text(text(outcome));
    let outcomes = Box::pin(runner.verify(&context.cx, &args.ids, &mut show)).await?;
    if let Some(file) = &args.junit {
        let cases = outcomes.iter().map(case).collect();
        junit::write(file, "walkback verify", &runner.settings().environment, cases)?;
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    context.out.text(summary(&outcomes, failed));
    context.object([
        ("outcomes", json(&outcomes)),
        ("passed", Ok((failed == 0).into())),
    ])?;
    Ok(if failed == 0 {
        exit::DONE
    } else {
        exit::CHECK_FAILED
    })
}

fn case(outcome: &VerifyOutcome) -> junit::Case<'_> {
    let word = outcome.verdict.word();
    let message = || outcome.error.clone().unwrap_or_else(|| word.to_owned());
    junit::Case {
        name: &outcome.name,
        failure: (!outcome.passed).then(|| (word, message())),
        said: text(outcome),
    }
}

fn text(outcome: &VerifyOutcome) -> String {
    let word = if outcome.passed {
        style::good("ok  ")
    } else {
        style::error("fail")
    };
    let derived = match outcome.origin {
        Some(ScriptOrigin::Derived) => " (by the derived way back; its author wrote none)",
        _ => "",
    };
    let mut text = format!("{word}  {}: {}{derived}\n", outcome.name, outcome.verdict.word());
    let why: &[String] = match &outcome.verdict {
        Verdict::Lossy { loses } => loses,
        Verdict::Irreversible { why } | Verdict::Unknown { why } => std::slice::from_ref(why),
        _ => &[],
    };
    for why in why.iter().filter(|why| !outcome.differences.contains(why)) {
        if outcome
            .error
            .as_ref()
            .is_none_or(|error| !error.starts_with(why.as_str()))
        {
            writeln!(text, "        {why}").ok();
        }
    }
    for difference in &outcome.differences {
        writeln!(text, "        {difference}").ok();
    }
    if let Some(error) = &outcome.error {
        writeln!(text, "        {error}").ok();
    }
    if !outcome.without_rows.is_empty() {
        writeln!(
            text,
            "        not seen with data, because no rows could be made: {}",
            outcome.without_rows.join("; ")
        )
        .ok();
    }
    text.trim_end().to_owned()
}

fn summary(outcomes: &[VerifyOutcome], failed: usize) -> String {
    let verdicts = ["lossless", "lossy", "irreversible", "unknown"]
        .into_iter()
        .filter_map(|word| {
            let number = outcomes
                .iter()
                .filter(|outcome| outcome.verdict.word() == word)
                .count();
            (number > 0).then(|| format!("{number} {word}"))
        });
    let verdicts = verdicts.collect::<Vec<_>>().join(", ");
    let all = count(outcomes.len(), "migration");
    match failed {
        _ if outcomes.is_empty() => "there are no migrations to verify".to_owned(),
        0 => style::good(format!("verified {all}: {verdicts}")),
        failed => style::error(format!("{failed} of {all} did not pass: {verdicts}")),
    }
}
