//! What a scope refuses, or takes back, beyond the rows that its statements name.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use walkback::core::cx::Clock;
use walkback::{Consent, Cx, ErrorKind, RollbackKind, ScopeSession};
use walkback_tests::{Backend, Sandbox};

use crate::work::{block_on, change_rows, manager, scope};
use crate::{AFTER, BEFORE, TABLE, project, rows};

/// Returns how a statement is refused after rows were changed, and checks that nothing is left.
fn refused(sandbox: &Sandbox, sql: &str) -> walkback::Error {
    let before = sandbox.contents();
    let work = |tx: ScopeSession| async move {
        change_rows(&tx).await?;
        tx.execute(sql, &[]).await
    };
    let error = block_on(scope(&manager(sandbox)).run(work)).expect_err(sql);
    sandbox.assert_contents(&before, sql);
    error
}

/// The story: `UPDATE otherdb.orders` passed, for no table of the catalog has that name.
pub(crate) fn what_is_elsewhere_is_refused(backend: Backend) {
    let sandbox = project(backend);
    let (table, column) = (backend.quoted(TABLE), backend.quoted("select"));
    let moves = match backend {
        Backend::Sqlite => "ATTACH ':memory:' AS elsewhere",
        _ if backend.is_mysql() => "USE mysql",
        _ => "SET LOCAL search_path TO elsewhere",
    };
    for sql in [
        format!("UPDATE elsewhere.{table} SET {column} = 'x'"),
        "DELETE FROM elsewhere.orders".to_owned(),
        "CREATE TABLE elsewhere.made (id INTEGER)".to_owned(),
        moves.to_owned(),
    ] {
        let error = refused(&sandbox, &sql);
        assert_eq!(error.kind(), ErrorKind::Refused, "{sql}: {error}");
    }
    // Its own schema may be named, and what is temporary goes with the session.
    let home = match backend {
        Backend::Sqlite => "main".to_owned(),
        _ if backend.is_mysql() => sandbox.server().name().to_owned(),
        _ => "public".to_owned(),
    };
    let work = |tx: ScopeSession| async move {
        change_rows(&tx).await?;
        tx.execute("CREATE TEMPORARY TABLE staging (id INTEGER)", &[])
            .await?;
        tx.execute("INSERT INTO staging VALUES (1)", &[]).await?;
        let update = format!("UPDATE {home}.{} SET id = id", tx.quote(TABLE));
        tx.execute(&update, &[]).await
    };
    block_on(scope(&manager(&sandbox)).run(work)).expect("it is its own");
    assert_eq!(rows(&sandbox), AFTER);
}

pub(crate) fn what_cascades_to_another_table_is_refused(backend: Backend) {
    let sandbox = project(backend);
    let table = backend.quoted(TABLE);
    sandbox.sql(&format!(
        "CREATE TABLE child (id INTEGER NOT NULL PRIMARY KEY, parent INTEGER, \
         FOREIGN KEY (parent) REFERENCES {table} (id) ON DELETE CASCADE)"
    ));
    sandbox.sql("INSERT INTO child VALUES (1, 1)");
    let before = sandbox.contents();
    let delete = format!("DELETE FROM {table}");
    let work = |tx: ScopeSession| async move { tx.execute(&delete, &[]).await };
    let error = block_on(scope(&manager(&sandbox)).run(work)).expect_err("it cascades");
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.message().contains("`child`"), "{error}");
    sandbox.assert_contents(&before, "after the refusal");
}

/// The story: `DROP TABLE` ran in a scope of an environment that refuses what destroys.
pub(crate) fn what_the_policy_refuses_is_refused_in_a_scope(backend: Backend) {
    let sandbox = project(backend);
    sandbox.policy("destructive = \"refuse\"");
    let table = backend.quoted(TABLE);
    let before = sandbox.contents();
    for sql in [format!("DROP TABLE {table}"), format!("DELETE FROM {table}")] {
        let work = |tx: ScopeSession| async move { tx.execute(&sql, &[]).await };
        let error = block_on(scope(&manager(&sandbox)).run(work)).expect_err("it destroys");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        sandbox.assert_contents(&before, "after the refusal");
    }
    let insert = format!("INSERT INTO {table} VALUES (5, 'may')");
    let work = |tx: ScopeSession| async move { tx.execute(&insert, &[]).await };
    block_on(scope(&manager(&sandbox)).run(work)).expect("it only adds");
    let consent = Consent {
        destructive: true,
        ..Consent::default()
    };
    let delete = format!("DELETE FROM {table} WHERE id = 5");
    let work = |tx: ScopeSession| async move { tx.execute(&delete, &[]).await };
    let allowed = manager(&sandbox).with_consent(consent);
    block_on(scope(&allowed).run(work)).expect("it is allowed");
    assert_eq!(rows(&sandbox), BEFORE);
}

pub(crate) fn a_table_that_a_scope_drops_comes_back(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    let drop = |fails: bool| {
        let work = move |tx: ScopeSession| async move {
            tx.execute(&format!("DROP TABLE {}", tx.quote(TABLE)), &[])
                .await?;
            match fails {
                true => Err(walkback::Error::new(ErrorKind::Conflict, "not after all")),
                false => Ok(()),
            }
        };
        block_on(scope(&manager(&sandbox)).run(work)).map(|done| done.point)
    };
    let error = drop(true).expect_err("its work fails");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    sandbox.assert_contents(&before, "after the error");
    drop(false).expect("it is dropped");
    let output = sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, &output.transcript());
    sandbox.assert_sound();
}

/// The story: the values of a definition were left away without a word.
pub(crate) fn a_definition_takes_no_bound_values(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    let work = |tx: ScopeSession| async move {
        let sql = format!(
            "CREATE TABLE made AS SELECT * FROM {} WHERE id = ?",
            tx.quote(TABLE)
        );
        tx.execute(&sql, &[1.into()]).await
    };
    let error = block_on(scope(&manager(&sandbox)).run(work)).expect_err("it takes none");
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    sandbox.assert_contents(&before, "after the refusal");
}

/// A clock that stands still.
struct Still;

impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(22_000)
    }
}

/// The story: the id of the first point of a second is the beginning of the id of the next, which was taken for it.
pub(crate) fn of_two_points_in_one_second_the_one_that_is_named_is_taken(backend: Backend) {
    let sandbox = project(backend);
    let manager = manager(&sandbox).with_cx(Cx::background().with_clock(Arc::new(Still)));
    let change = |id: i64| {
        let work = move |tx: ScopeSession| async move {
            let (table, column) = (tx.quote(TABLE), tx.quote("select"));
            let sql = format!("UPDATE {table} SET {column} = 'new' WHERE id = {id}");
            tx.execute(&sql, &[]).await
        };
        let done = block_on(scope(&manager).run(work)).expect("the work");
        done.point.expect("there is a store")
    };
    let (first, second) = (change(1), change(3));
    assert!(second.starts_with(&first), "{first}, {second}");
    block_on(manager.execute(&first, RollbackKind::Surgical)).expect("the first goes back");
    assert_eq!(rows(&sandbox), "1=ann 2=bob 3=new");
    block_on(manager.execute(&second, RollbackKind::Surgical)).expect("the second goes back");
    assert_eq!(rows(&sandbox), BEFORE);
}
