//! What all commands that change the database have in common: show the plan, ask, run, tell.

use serde_json::Value;
use walkback_core::statement::Severity;
use walkback_core::{Direction, Error, ErrorKind, Result};
use walkback_runner::{
    Confirmation, Consent, Decision, Plan, PlannedStep, Policy, RunKind, RunReport, Runner,
};

use crate::cli::args::{ConsentArgs, RunArgs};
use crate::cli::context::{Context, consent, json};
use crate::cli::exit;
use crate::cli::render::table::count;
use crate::cli::render::{plan as render_plan, report as render_report, sql};

/// Says where a change happens: `on app.db (environment `dev`)`.
pub(super) fn place(runner: &Runner) -> String {
    format!(
        "on {} (environment `{}`)",
        runner.engine().info().location,
        runner.settings().environment
    )
}

/// Shows the plan of a run, asks if the policy wants that, runs it and tells what it did.
pub(super) async fn run(context: &Context, runner: &Runner, plan: Plan, args: &RunArgs) -> Result<u8> {
    if args.sql {
        return print_sql(context, runner, &plan.steps, ("plan", json(&plan)?)).await;
    }
    if plan.is_empty() {
        context.out.text(nothing_to_do(&plan));
        warn_all(context, &plan.warnings);
        context.object([
            ("plan", json(&plan)),
            ("dry_run", Ok(args.dry_run.into())),
            ("report", Ok(Value::Null)),
        ])?;
        return Ok(exit::DONE);
    }
    if args.dry_run {
        context.out.text(render_plan::plan(&plan, &place(runner)));
        return finish_dry_run(context, &plan.warnings, json(&plan));
    }
    let consent = consent(&args.consent);
    let consent = (&consent, args.consent.confirm_name.as_deref());
    let report = show_and_run(context, runner, &plan, consent).await?;
    finish(context, ("plan", json(&plan)), &report)
}

/// Ends the row of a rollback that was killed, where a command was refused because of what that one did: typed again, it is
/// meant.
pub(super) async fn after_killed(
    context: &Context,
    runner: &Runner,
    args: &ConsentArgs,
    is_dry: bool,
    refused: Error,
) -> Error {
    if is_dry || refused.kind() != ErrorKind::Refused {
        return refused;
    }
    match Box::pin(runner.end_killed_rollback(&context.cx, &consent(args))).await {
        Ok(told) => {
            warn_all(context, &told);
            refused
        }
        Err(error) => refused.hint(format!("and its row could not be closed: {error}")),
    }
}

/// Shows a plan that is not empty, asks if the policy wants that, and runs it.
pub(super) async fn show_and_run(
    context: &Context,
    runner: &Runner,
    plan: &Plan,
    (consent, confirm_name): (&Consent, Option<&str>),
) -> Result<RunReport> {
    context.out.detail(render_plan::plan(plan, &place(runner)));
    warn_all(context, &plan.warnings);
    runner.check(&context.cx, plan, consent).await?;
    if let Some(what) = wants_confirmation(plan, &runner.settings().policy, consent) {
        context.confirm(runner, what, confirm_name).await?;
    }
    runner.run(&context.cx, plan, consent).await
}

/// Tells what a run did.
pub(super) fn finish(context: &Context, plan: (&str, Result<Value>), report: &RunReport) -> Result<u8> {
    context.out.text(render_report::report(report));
    warn_all(context, &report.warnings);
    warn_all(context, &report.failed_after);
    context.object([plan, ("dry_run", Ok(false.into())), ("report", json(report))])?;
    Ok(code(report))
}

/// Returns the exit code of a run that was done: what failed after it is for somebody to look at.
pub(super) fn code(report: &RunReport) -> u8 {
    if report.failed_after.is_empty() {
        exit::DONE
    } else {
        exit::CHECK_FAILED
    }
}

/// Tells that nothing was done, after the plan was shown.
pub(super) fn finish_dry_run(context: &Context, warnings: &[String], plan: Result<Value>) -> Result<u8> {
    warn_all(context, warnings);
    context.out.text("dry run: nothing was changed");
    context.object([
        ("plan", plan),
        ("dry_run", Ok(true.into())),
        ("report", Ok(Value::Null)),
    ])?;
    Ok(exit::DONE)
}

pub(super) fn warn_all(context: &Context, warnings: &[String]) {
    for warning in warnings {
        context.out.warn(warning);
    }
}

/// Prints the SQL of steps and runs nothing.
pub(super) async fn print_sql<'a>(
    context: &Context,
    runner: &Runner,
    steps: impl IntoIterator<Item = &'a PlannedStep>,
    plan: (&str, Value),
) -> Result<u8> {
    let steps: Vec<_> = steps.into_iter().collect();
    let moves = runner.ledger_in_sql(&context.cx, &steps).await?;
    let script = sql::script(&steps, &runner.ledger(), &moves);
    if script.is_empty() {
        context.out.text("-- nothing to do");
    } else {
        context.out.text(&script);
    }
    context.object([(plan.0, Ok(plan.1)), ("sql", Ok(script.into()))])?;
    Ok(exit::DONE)
}

/// Says that a command has no SQL to print.
pub(super) fn no_sql(why: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("there is no SQL to print: {why}"))
        .hint("run it with `--dry-run` to see what would happen")
}

fn nothing_to_do(plan: &Plan) -> String {
    let at = crate::cli::render::table::heads(&plan.from);
    match plan.kind {
        RunKind::Up => format!("nothing to apply: the database is at {at}"),
        RunKind::Down => format!("nothing to walk back: the database is at {at}"),
        _ => format!("nothing to do: the database is at {at}"),
    }
}

/// Returns what a person has to confirm, if the policy wants that for this plan.
///
/// Where the name of the environment is to be typed, that is for every change: what `--allow-destructive` allows is what may
/// be destroyed, and not where.
pub(super) fn wants_confirmation(plan: &Plan, policy: &Policy, consent: &Consent) -> Option<String> {
    let by_name = policy.confirm == Confirmation::TypeName;
    let destroys = |direction| {
        let steps = plan.steps.iter().filter(move |step| step.direction == direction);
        let statements = steps.flat_map(|step| &step.statements);
        statements
            .filter(|statement| statement.severity >= Severity::Destructive)
            .count()
    };
    // What is refused outright is the runner's to refuse, with its own words.
    let ups = match (policy.destructive, consent.destructive) {
        (Decision::Ask, false) => destroys(Direction::Up),
        _ if by_name => destroys(Direction::Up),
        _ => 0,
    };
    let downs = match (policy.lossy, consent.lossy) {
        _ if by_name => destroys(Direction::Down),
        (Decision::Allow, _) | (_, true) => 0,
        _ => destroys(Direction::Down),
    };
    if ups + downs == 0 && !by_name {
        return None;
    }
    let what = match plan.kind {
        RunKind::Up => "apply",
        RunKind::Down => "walk back",
        RunKind::Redo => "redo",
        _ => "run",
    };
    let with = match ups + downs {
        0 => String::new(),
        1 => ", with 1 statement that destroys something".to_owned(),
        many => format!(", with {many} statements that destroy something"),
    };
    Some(format!("{what} {}{with}", count(plan.steps.len(), "migration")))
}
