//! Plans: what would happen, before anybody is asked.

use std::fmt::Write as _;

use walkback_core::Direction;
use walkback_core::grants::Grant;
use walkback_core::statement::Severity;
use walkback_runner::{
    LoadUndo, Loss, OnConflict, Plan, PlannedStatement, PlannedStep, PointScope, RestorePlan, RollbackKind,
    RollbackPlan, ScriptOrigin, SinceThen, StampPlan, TableChange, Waiting,
};

use super::style;
use super::table::{count, heads, moment, names};

/// How many names a line of a plan gives before it only counts the rest.
const AT_MOST: usize = 12;

/// Renders the plan of a run.
pub(crate) fn plan(plan: &Plan, place: &str) -> String {
    let mut text = String::new();
    let (from, to) = (heads(&plan.from), heads(&plan.to));
    let steps = count(plan.steps.len(), "migration");
    writeln!(
        text,
        "{} {place}: {steps}, from {from} to {to}",
        style::bold(plan.kind.name())
    )
    .ok();
    let width = plan
        .steps
        .iter()
        .map(|step| step.name.chars().count())
        .max()
        .unwrap_or_default();
    for step in &plan.steps {
        text.push_str(&self::step(step, width));
    }
    for waiting in &plan.rescues {
        writeln!(text, "  puts back  {}", waiting_line(waiting)).ok();
    }
    text.push_str(&point(&plan.point));
    if plan.steps.iter().any(|step| step.direction == Direction::Down) {
        text.push_str(&losses(plan.loss.iter()));
    }
    text.trim_end().to_owned()
}

/// Says what a rollback has taken away of which tables.
pub(crate) fn waiting_line(waiting: &Waiting) -> String {
    let tables = waiting.tables.iter().map(|aside| match &aside.columns {
        Some(columns) => format!("{} of `{}`", names(columns), aside.table),
        None => format!("rows of `{}`", aside.table),
    });
    let tables: Vec<_> = tables.collect();
    format!(
        "{}: {}, written before it was walked back at {}",
        waiting.migration.name,
        tables.join(", "),
        moment(&waiting.since)
    )
}

fn step(step: &PlannedStep, width: usize) -> String {
    let mut text = String::new();
    let worth = match step.direction {
        Direction::Up => step.verdict.to_string(),
        Direction::Down => origin(step.origin).to_owned(),
    };
    let worth = match step.phase {
        Some(phase) => format!("{worth}, {phase}"),
        None => worth,
    };
    writeln!(
        text,
        "  {:<4}  {:<width$}  {worth}",
        step.direction.to_string(),
        step.name
    )
    .ok();
    for statement in &step.statements {
        text.push_str(&risk(statement));
    }
    if !step.transaction {
        writeln!(
            text,
            "        {}",
            style::warning("runs outside a transaction, statement by statement")
        )
        .ok();
    }
    text
}

/// Renders a statement that destroys something, or that nobody can read; nothing for all others.
fn risk(statement: &PlannedStatement) -> String {
    if statement.severity < Severity::Destructive {
        return String::new();
    }
    let protection = statement.protection.as_ref();
    let protection = protection.map(|by| format!(", {by}")).unwrap_or_default();
    format!(
        "        {} ({}){protection}\n",
        style::warning(&statement.effect),
        statement.at
    )
}

/// Says where a script comes from.
pub(crate) const fn origin(origin: ScriptOrigin) -> &'static str {
    match origin {
        ScriptOrigin::File => "script of the checkout",
        ScriptOrigin::Stored => "script stored in the database",
        ScriptOrigin::Derived => "derived from the up script",
    }
}

fn point(scope: &PointScope) -> String {
    match scope {
        PointScope::None => String::new(),
        PointScope::Tables(tables) if tables.is_empty() => "  point first: the schema\n".to_owned(),
        PointScope::Tables(tables) => {
            let shown = names(tables.iter().take(AT_MOST));
            let more = tables.len().saturating_sub(AT_MOST);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            format!("  point first: the schema, and the rows of {shown}{more}\n")
        }
        PointScope::Everything => "  point first: the schema, and the rows of all tables\n".to_owned(),
    }
}

/// Renders the plan of a rollback: each migration with its means and the reason, and what is lost.
pub(crate) fn rollback(plan: &RollbackPlan, place: &str) -> String {
    let mut text = String::new();
    let (from, to) = (heads(&plan.from), heads(&plan.to));
    let kind = match plan.kind {
        RollbackKind::Auto => String::new(),
        kind => format!(" ({})", kind.word()),
    };
    writeln!(
        text,
        "{}{kind} {place}: from {from} to {to}",
        style::bold("rollback")
    )
    .ok();
    let told_below = plan.steps.iter().any(|step| step.reason == plan.reason);
    if !plan.reason.is_empty() && !told_below {
        writeln!(text, "  {}", plan.reason).ok();
    }
    for step in &plan.steps {
        writeln!(text, "  {:<4}  {}: {}", step.kind.word(), step.name, step.reason).ok();
        for statement in step.down.iter().flat_map(|down| &down.statements) {
            text.push_str(&risk(statement));
        }
        if let Some(exchange) = &step.restore {
            text.push_str(&self::exchange(exchange, "        "));
        }
        for table in step.changes.iter().flat_map(|changes| &changes.tables) {
            let how = if step.kind == RollbackKind::Partial {
                format!("rows that were added to `{table}` go; all else stays")
            } else if step.restore.is_some() {
                format!("what was written to `{table}` since stays")
            } else {
                format!("rows of `{table}` go back cell by cell; what was written since stays")
            };
            writeln!(text, "        {how}").ok();
        }
    }
    if let Some(exchange) = &plan.restore {
        text.push_str(&self::exchange(exchange, "  "));
    }
    if let Some(load) = &plan.load {
        text.push_str(&self::load(load, plan.on_conflict));
    }
    for table in plan.changes.iter().flat_map(|changes| &changes.tables) {
        writeln!(
            text,
            "  rows of `{table}` go back cell by cell; what was written since stays"
        )
        .ok();
    }
    text.push_str(&losses(plan.loss()));
    text.trim_end().to_owned()
}

/// Says which rows of a load go, and which of them an application has changed or refers to.
fn load(load: &LoadUndo, on_conflict: OnConflict) -> String {
    let mut text = String::new();
    let which = match load.overridden {
        0 => ", unless they were changed since",
        _ => ", also those that were changed since",
    };
    writeln!(
        text,
        "  the {} that were loaded into `{}` go{which}; all else stays",
        count(load.rows, "row"),
        load.table
    )
    .ok();
    let conflicts = count(load.conflicts, "row");
    let (are, stay) = match load.conflicts {
        1 => ("is", "stays"),
        _ => ("are", "stay"),
    };
    let said = match (load.conflicts, on_conflict) {
        (0, _) => String::new(),
        (_, OnConflict::Stop) => {
            format!(
                "{conflicts} {are} not as loaded or referred to: nothing would be changed (`--on-conflict stop`)"
            )
        }
        _ => format!("{conflicts} {stay}, changed since or referred to"),
    };
    if !said.is_empty() {
        writeln!(text, "    {}", style::warning(said)).ok();
    }
    for conflict in load.listed.iter().take(AT_MOST) {
        writeln!(text, "      `{}`, {conflict}", load.table).ok();
    }
    let more = (load.conflicts + load.overridden).saturating_sub(load.listed.len().min(AT_MOST) as u64);
    if more > 0 {
        writeln!(text, "      and {more} more").ok();
    }
    text
}

/// Renders the plan of a restore.
pub(crate) fn restore(plan: &RestorePlan, place: &str) -> String {
    let mut text = String::new();
    let made = moment(&plan.created_at);
    writeln!(
        text,
        "{} {place}: from `{}` of {made}",
        style::bold("restore"),
        plan.point
    )
    .ok();
    text.push_str(&exchange(plan, "  "));
    for grant in &plan.grants {
        writeln!(text, "  {}", granted(grant)).ok();
    }
    let last = plan
        .applied_after
        .last()
        .map_or("base".to_owned(), |id| format!("`{id}`"));
    writeln!(
        text,
        "  applied afterwards: {}, up to {last}",
        count(plan.applied_after.len(), "migration")
    )
    .ok();
    text.push_str(&losses(plan.loss.iter()));
    text.trim_end().to_owned()
}

/// Says which rights are given back.
fn granted(grant: &Grant) -> String {
    let rights: Vec<String> = grant
        .rights
        .iter()
        .map(|right| match right.columns.len() {
            0 => right.right.clone(),
            _ => format!("{} ({})", right.right, right.columns.join(", ")),
        })
        .collect();
    let what = match (rights.is_empty(), grant.with_grant_option) {
        (true, _) => "the right to pass on".to_owned(),
        (false, true) => format!("{}, to be passed on,", rights.join(", ")),
        (false, false) => rights.join(", "),
    };
    format!("`{}` gets back {what} on {}", grant.account, grant.on)
}

fn exchange(plan: &RestorePlan, margin: &str) -> String {
    let mut text = String::new();
    for (table, rows) in &plan.replace {
        writeln!(
            text,
            "{margin}table `{table}` comes back as it was, with {}",
            count(*rows, "row")
        )
        .ok();
        for change in plan.changed_since.iter().filter(|change| change.table == *table) {
            writeln!(text, "{margin}  {}", changed(change)).ok();
        }
    }
    for table in &plan.drop_tables {
        writeln!(
            text,
            "{margin}{}",
            style::warning(format!("table `{table}` goes: it was not there then"))
        )
        .ok();
    }
    for object in &plan.create_objects {
        writeln!(text, "{margin}{object} comes back").ok();
    }
    for object in &plan.drop_objects {
        writeln!(text, "{margin}{object} goes").ok();
    }
    text
}

/// Says how a table differs from what it will be again.
fn changed(change: &TableChange) -> String {
    let what = &change.what;
    let value = |value: &Option<String>| value.clone().unwrap_or_default();
    match change.change {
        SinceThen::Added => style::warning(format!("{what} goes: it was added since")),
        SinceThen::Removed => format!("{what} comes back: it was removed since"),
        _ => format!(
            "{what} has changed since: it is `{}`, and becomes `{}` again",
            value(&change.now),
            value(&change.then)
        ),
    }
}

fn losses<'a>(losses: impl Iterator<Item = &'a Loss>) -> String {
    let mut text = String::new();
    for loss in losses {
        let line = format!(
            "loses from `{}`: {} (at least {})",
            loss.table,
            loss.what,
            count(loss.rows, "row")
        );
        writeln!(text, "  {}", style::warning(line)).ok();
    }
    if text.is_empty() {
        "  loses nothing that was written since\n".to_owned()
    } else {
        text
    }
}

/// Renders the plan of a stamp.
pub(crate) fn stamp(plan: &StampPlan, place: &str) -> String {
    let mut text = String::new();
    let (from, to) = (heads(&plan.from), heads(&plan.to));
    writeln!(
        text,
        "{} {place}: from {from} to {to}; no script runs",
        style::bold("stamp")
    )
    .ok();
    let groups = [
        ("will count as applied", &plan.add),
        ("will no longer count as applied", &plan.remove),
        ("was edited, and will count as it is now", &plan.accept),
    ];
    let names = groups.iter().flat_map(|(_, migrations)| migrations.iter());
    let width = names
        .map(|migration| migration.name.chars().count())
        .max()
        .unwrap_or_default();
    for (what, migrations) in groups {
        for migration in migrations {
            writeln!(text, "  {:<width$}  {what}", migration.name).ok();
        }
    }
    text.trim_end().to_owned()
}
