//! `advise`: what to do when something is wrong.

use std::fmt::Write as _;

use clap::ValueEnum as _;
use walkback_core::{Error, ErrorKind, Result};
use walkback_runner::{Advice, Symptom};

use crate::cli::args::{Advise, SymptomArg};
use crate::cli::confirm;
use crate::cli::context::{Context, json};
use crate::cli::exit;
use crate::cli::render::style;
use crate::cli::render::table::count;

/// The question to each symptom, in the order in which they are asked.
const QUESTIONS: [(SymptomArg, &str); 5] = [
    (SymptomArg::Partial, "a migration failed or was stopped half-way"),
    (
        SymptomArg::Incomplete,
        "the schema is not what the migration should have made of it",
    ),
    (SymptomArg::Corrupt, "data is wrong since the migration"),
    (SymptomArg::Slow, "the database is slow since the migration"),
    (
        SymptomArg::Application,
        "the application fails since the migration",
    ),
];

pub(super) async fn run(context: &Context, args: &Advise) -> Result<u8> {
    let symptom = match args.symptom {
        Some(symptom) => symptom,
        None => asked(context).await?,
    };
    let runner = context.runner()?;
    let mut advice = Box::pin(runner.advise(&context.cx, of(symptom))).await?;
    if let Some(environment) = &context.global.env {
        // What is typed is to meet the database that was looked at.
        for command in &mut advice.commands {
            *command = format!("{command} --env {environment}");
        }
    }
    context.out.text(text(&advice));
    context.object([("advice", json(&advice))])?;
    Ok(exit::DONE)
}

const fn of(symptom: SymptomArg) -> Symptom {
    match symptom {
        SymptomArg::Incomplete => Symptom::Incomplete,
        SymptomArg::Corrupt => Symptom::Corrupt,
        SymptomArg::Slow => Symptom::Slow,
        SymptomArg::Application => Symptom::Application,
        SymptomArg::Partial => Symptom::Partial,
    }
}

/// Asks what is wrong.
async fn asked(context: &Context) -> Result<SymptomArg> {
    let unsaid = || {
        let words = QUESTIONS.map(|(symptom, _)| word(symptom));
        Error::new(ErrorKind::Usage, "nobody said what is wrong")
            .hint(format!("say it: `walkback advise {}`", words.join("|")))
    };
    if context.out.is_json() || !confirm::is_interactive() {
        return Err(unsaid());
    }
    let mut prompt = "what is wrong?\n".to_owned();
    for (number, (_, question)) in QUESTIONS.iter().enumerate() {
        writeln!(prompt, "  {}  {question}", number + 1).ok();
    }
    prompt.push_str("number: ");
    let line = confirm::ask(&context.cx, &prompt).await?;
    let number = line.trim().parse::<usize>().unwrap_or_default();
    let chosen = number.checked_sub(1).and_then(|index| QUESTIONS.get(index));
    chosen.map(|(symptom, _)| *symptom).ok_or_else(unsaid)
}

fn word(symptom: SymptomArg) -> String {
    let value = symptom.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

fn text(advice: &Advice) -> String {
    let mut text = String::new();
    for found in &advice.found {
        writeln!(text, "found: {found}").ok();
    }
    writeln!(text, "{}: {}", style::bold(&advice.kind), advice.why).ok();
    for loss in &advice.loses {
        writeln!(
            text,
            "it takes away from `{}`: {} (at least {})",
            loss.table,
            loss.what,
            count(loss.rows, "row")
        )
        .ok();
    }
    for sql in &advice.sql {
        writeln!(text, "  {sql}").ok();
    }
    for command in &advice.commands {
        writeln!(text, "  $ {command}").ok();
    }
    text.trim_end().to_owned()
}
