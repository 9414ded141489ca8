//! The rights a run needs, asked for before anything is changed.

use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;
use walkback_core::{Cx, Error, ErrorKind, Result, Session, TableName};

use crate::changes::ChangesPlan;
use crate::journal::Journal;
use crate::plan::{Plan, PlannedStep};
use crate::restore::RestorePlan;
use crate::rollback::RollbackPlan;
use crate::runner::Runner;

/// Returns what a plan does.
pub(crate) fn of_plan(plan: &Plan) -> Vec<Action> {
    plan.steps.iter().flat_map(of_step).collect()
}

/// Returns what a rollback does.
pub(crate) fn of_rollback(plan: &RollbackPlan) -> Vec<Action> {
    let mut actions = Vec::new();
    for step in &plan.steps {
        actions.extend(step.down.iter().flat_map(of_step));
        actions.extend(step.restore.iter().flat_map(of_restore));
        actions.extend(step.changes.iter().flat_map(of_changes));
    }
    actions.extend(plan.restore.iter().flat_map(of_restore));
    actions.extend(plan.changes.iter().flat_map(of_changes));
    actions.extend(plan.load.iter().map(|load| Action::Delete {
        table: load.table.clone(),
    }));
    actions
}

/// Returns what taking rows back cell by cell does.
fn of_changes(changes: &ChangesPlan) -> impl Iterator<Item = Action> {
    changes.tables.iter().flat_map(|table| {
        [
            create(TableName {
                schema: table.schema.clone(),
                name: "_walkback_shadow_0".to_owned(),
            }),
            Action::Insert {
                table: table.clone(),
                may_overwrite: false,
            },
            Action::Update { table: table.clone() },
            Action::Delete { table: table.clone() },
        ]
    })
}

/// Returns what a restore does.
pub(crate) fn of_restore(plan: &RestorePlan) -> Vec<Action> {
    let replaced = plan.replace.iter().map(|(table, _)| table);
    replaced
        .flat_map(|table| {
            [
                create(table.clone()),
                Action::Insert {
                    table: table.clone(),
                    may_overwrite: false,
                },
                Action::DropTable { table: table.clone() },
            ]
        })
        .chain(
            plan.drop_tables
                .iter()
                .map(|table| Action::DropTable { table: table.clone() }),
        )
        .collect()
}

fn of_step(step: &PlannedStep) -> Vec<Action> {
    let statements = step.statements.iter();
    statements
        .flat_map(|statement| statement.effect.actions.iter().cloned())
        .collect()
}

fn create(name: TableName) -> Action {
    Action::Create {
        kind: ObjectKind::Table,
        name,
        on: None,
        or_replace: false,
        if_not_exists: false,
    }
}

/// Refuses to begin if the user of the session lacks a right for what is planned, or for the journal.
pub(crate) async fn check(
    runner: &Runner,
    cx: &Cx,
    session: &mut dyn Session,
    actions: &[Action],
) -> Result<()> {
    let dialect = runner.dialect();
    let mut actions = actions.to_vec();
    let journal = TableName::new("_walkback_meta");
    if Journal::new(session, &*dialect).exists(cx).await? {
        actions.push(Action::Insert {
            table: journal.clone(),
            may_overwrite: true,
        });
        actions.push(Action::Delete { table: journal });
    } else {
        actions.push(create(journal));
    }
    let missing = session.missing_rights(cx, &actions).await?;
    let Some(first) = missing.first() else {
        return Ok(());
    };
    let error = Error::new(
        ErrorKind::PermissionDenied,
        format!("the user of this connection lacks a right that the run needs: {first}"),
    );
    let more = missing.iter().skip(1);
    Err(more
        .fold(error, |error, missing| error.hint(format!("also: {missing}")))
        .hint("nothing was changed"))
}
