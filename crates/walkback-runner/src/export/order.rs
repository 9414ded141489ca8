//! The order in which definitions can be run, found by running them in an empty database.

use walkback_core::catalog::{Object, Table};
use walkback_core::engine::{Begin, SessionExt as _};
use walkback_core::name::ObjectKind;
use walkback_core::{Access, Cx, DialectKind, Error, ErrorKind, Result, Session, TableName};

use crate::runner::Runner;
use crate::verify::chain;

/// A statement of a definition, in its place.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) sql: String,
    pub(super) kind: ObjectKind,
    /// The table that it creates, if it does.
    pub(super) table: Option<TableName>,
}

/// The definitions, in order, around the rows.
#[derive(Debug, Default)]
pub(super) struct Order {
    pub(super) before: Vec<Step>,
    pub(super) after: Vec<Step>,
}

/// The statements of one definition that are still to be run.
struct Waiting {
    steps: Vec<Step>,
    /// Why the first of them could not be run.
    why: Option<Error>,
}

/// Finds the order of tables and of the objects that belong to them or to none.
pub(super) async fn find(runner: &Runner, cx: &Cx, tables: &[&Table], objects: &[&Object]) -> Result<Order> {
    let scratch = runner
        .engine()
        .scratch()
        .ok_or_else(|| Error::unsupported("a scratch database", runner.engine().info().scheme))?;
    let database = scratch.create(cx).await?;
    let mut session = database.engine().connect(cx, Access::Write).await?;
    let kind = runner.dialect().kind();
    for setting in settings(kind) {
        session.execute(cx, setting, &[]).await?;
    }
    let (early, late): (Vec<&Object>, Vec<&Object>) =
        objects.iter().partition(|object| is_early(kind, object));
    let mut first = Vec::new();
    for object in early {
        first.push(waiting(kind, object.kind, &object.definition, None)?);
    }
    for table in tables {
        first.push(waiting(
            kind,
            ObjectKind::Table,
            &table.definition,
            Some(&table.name),
        )?);
    }
    let (before, mut second) = run(cx, &mut *session, first).await?;
    refuse_stuck(&mut second, |waiting| waiting.steps[0].table.is_some())?;
    for object in late {
        second.push(waiting(kind, object.kind, &object.definition, None)?);
    }
    let (after, mut left) = run(cx, &mut *session, second).await?;
    // What a table brings with it is there already.
    refuse_stuck(&mut left, |waiting| {
        let why = waiting.why.as_ref().map(chain).unwrap_or_default();
        !why.contains("already exists") && !why.contains("uplicate")
    })?;
    Ok(Order { before, after })
}

fn settings(kind: DialectKind) -> &'static [&'static str] {
    match kind {
        DialectKind::Mysql => &["SET SESSION foreign_key_checks = 0"],
        DialectKind::Postgres => &["SET check_function_bodies = off"],
        DialectKind::Sqlite => &[],
    }
}

/// Tables are made of these. A position of a counter is set when the rows are there.
fn is_early(kind: DialectKind, object: &Object) -> bool {
    match object.kind {
        ObjectKind::Schema | ObjectKind::Extension | ObjectKind::Type => true,
        ObjectKind::Sequence | ObjectKind::Routine => kind == DialectKind::Postgres,
        _ => false,
    }
}

fn waiting(
    dialect: DialectKind,
    kind: ObjectKind,
    definition: &str,
    table: Option<&TableName>,
) -> Result<Waiting> {
    // One of MySQL is one statement, with what it was made under in front of it.
    let texts = match dialect {
        DialectKind::Mysql => vec![definition.to_owned()],
        _ => {
            let statements = walkback_sql::split(dialect, definition, "definition".as_ref())?;
            statements.into_iter().map(|statement| statement.sql).collect()
        }
    };
    let steps = texts.into_iter().map(|sql| Step {
        sql,
        kind,
        table: table.cloned(),
    });
    Ok(Waiting {
        steps: steps.collect(),
        why: None,
    })
}

/// Runs what can be run until nothing more can.
async fn run(
    cx: &Cx,
    session: &mut dyn Session,
    mut waiting: Vec<Waiting>,
) -> Result<(Vec<Step>, Vec<Waiting>)> {
    let mut done = Vec::new();
    loop {
        let before = done.len();
        for one in &mut waiting {
            while !one.steps.is_empty() {
                cx.check()?;
                match attempt(cx, session, &one.steps[0].sql).await {
                    Ok(()) => done.push(one.steps.remove(0)),
                    Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
                    Err(error) => {
                        one.why = Some(error);
                        break;
                    }
                }
            }
        }
        waiting.retain(|one| !one.steps.is_empty());
        if waiting.is_empty() || done.len() == before {
            return Ok((done, waiting));
        }
    }
}

async fn attempt(cx: &Cx, session: &mut dyn Session, sql: &str) -> Result<()> {
    if !session.capability().transactional_ddl {
        return session.execute(cx, sql, &[]).await.map(drop);
    }
    session.begin(cx, Begin::Write).await?;
    // A position of a counter is set by a query.
    let outcome = if sql
        .trim_start()
        .get(..6)
        .is_some_and(|word| word.eq_ignore_ascii_case("select"))
    {
        session.fetch_all(cx, sql, &[]).await.map(drop)
    } else {
        session.execute(cx, sql, &[]).await.map(drop)
    };
    match outcome {
        Ok(()) => session.commit(cx).await,
        Err(error) => {
            session.rollback(cx).await?;
            Err(error)
        }
    }
}

/// Fails with the first definition of this sort that could not be run.
fn refuse_stuck(left: &mut Vec<Waiting>, is_stuck: impl Fn(&Waiting) -> bool) -> Result<()> {
    let Some(index) = left.iter().position(is_stuck) else {
        return Ok(());
    };
    let waiting = left.swap_remove(index);
    let excerpt: String = waiting.steps[0].sql.chars().take(100).collect();
    let message = format!("no order was found in which `{excerpt}` can be run");
    Err(match waiting.why {
        Some(error) => error.wrap(message),
        None => Error::new(ErrorKind::Database, message),
    })
}
