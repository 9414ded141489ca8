//! What goes wrong round a scope: connections that are lost, tables that others hold, clones that are left behind.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use walkback::core::cx::Steps;
use walkback::{Cx, Error, ErrorKind, Result, RollbackKind, ScopeSession};
use walkback_tests::{Backend, Cut, Proxy, Sandbox, Session};

use crate::ends::assert_nothing_left;
use crate::work::{block_on, change_definitions, change_rows, manager, scope, wait_until_ended};
use crate::{AFTER, BEFORE, TABLE, project, rows};

fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime starts")
}

/// Begins a scope whose work changes rows, hands a clone of its session on, and never ends.
async fn never_ending(sandbox: &Sandbox) -> (JoinHandle<Result<()>>, ScopeSession) {
    let scope = scope(&manager(sandbox));
    let (send, receive) = tokio::sync::oneshot::channel::<ScopeSession>();
    let task = tokio::spawn(async move {
        let work = |tx: ScopeSession| async move {
            change_rows(&tx).await?;
            send.send(tx).ok();
            std::future::pending::<Result<()>>().await
        };
        scope.run(work).await.map(drop)
    });
    let clone = receive.await.expect("the work goes as far as that");
    (task, clone)
}

/// The story: a task that the work had started kept a clone of the session, and went on with it after the scope was gone.
pub(crate) fn a_clone_is_of_no_use_once_the_scope_is_dropped(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    // It lives on: nothing is rolled back because its connections end.
    let runtime = runtime();
    let clone = runtime.block_on(async {
        let (task, clone) = never_ending(&sandbox).await;
        task.abort();
        assert!(task.await.expect_err("it was aborted").is_cancelled());
        clone
    });
    let delete = format!("DELETE FROM {}", clone.quote(TABLE));
    for sql in [delete.as_str(), "CREATE TABLE left_behind (id INTEGER)"] {
        let error = runtime
            .block_on(clone.execute(sql, &[]))
            .expect_err("it is of no use");
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    }
    wait_until_ended(&sandbox, backend);
    assert_nothing_left(&sandbox, &before, "undone");
    drop(clone);
}

/// The clone is in the middle of a statement when the scope is dropped.
pub(crate) fn a_clone_in_use_ends_with_its_statement(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    let runtime = runtime();
    let sleep = if backend.is_mysql() {
        "SELECT SLEEP(1)"
    } else {
        "SELECT pg_sleep(1)"
    };
    let (clone, error) = runtime.block_on(async {
        let (task, clone) = never_ending(&sandbox).await;
        let own = clone.clone();
        let sleeps = tokio::spawn(async move { own.query(sleep, &[]).await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        task.abort();
        task.await.expect_err("it was aborted");
        let error = sleeps.await.expect("it ends").expect_err("its scope is gone");
        (clone, error)
    });
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    wait_until_ended(&sandbox, backend);
    assert_nothing_left(&sandbox, &before, "undone");
    drop(clone);
}

pub(crate) fn an_error_that_the_work_swallows_loses_nothing_else(backend: Backend) {
    let sandbox = project(backend);
    let done = block_on(async {
        let work = |tx: ScopeSession| async move {
            change_rows(&tx).await?;
            let twice = format!("INSERT INTO {} VALUES (1, 'twice')", tx.quote(TABLE));
            tx.execute(&twice, &[]).await.expect_err("the key is taken");
            Ok(())
        };
        scope(&manager(&sandbox)).run(work).await
    });
    // Where an error ends the transaction it is not committed, whatever its work says.
    let is_postgres = !backend.is_mysql() && backend != Backend::Sqlite;
    assert_eq!(done.is_err(), is_postgres, "{done:?}");
    assert_eq!(rows(&sandbox), if is_postgres { BEFORE } else { AFTER });
    assert!(sandbox.status()["unfinished"].is_null());
}

/// The story: on MySQL, which holds no table, the row of another session counted as the scope's, and went with it.
pub(crate) fn what_others_write_meanwhile_is_not_taken_back(backend: Backend) {
    let sandbox = project(backend);
    let (table, column) = (backend.quoted(TABLE), backend.quoted("select"));
    let insert = format!("INSERT INTO {table} VALUES (9, 'eve')");
    let update = format!("UPDATE {table} SET {column} = 'cid' WHERE id = 3");
    let manager = manager(&sandbox);
    let others = || {
        let mut session = sandbox.session();
        let first = session.try_sql(&insert);
        first.and_then(|()| session.try_sql(&update))
    };
    let wrote = Mutex::new(None);
    let committed = block_on(async {
        let work = |tx: ScopeSession| {
            let (wrote, others) = (&wrote, &others);
            // By the key: a change that reads all rows would lock all of them.
            let own = format!("UPDATE {table} SET {column} = 'ANN' WHERE id = 1");
            async move {
                tx.execute(&own, &[]).await?;
                if backend.is_mysql() {
                    *wrote.lock().expect("nobody panics") = Some(tokio::task::block_in_place(others));
                }
                Ok(())
            }
        };
        scope(&manager).run(work).await.expect("the work is done")
    });
    let point = committed.point.expect("there is a store");
    let wrote = wrote.lock().expect("nobody panics").take();
    assert_eq!(wrote, backend.is_mysql().then_some(Ok(())));
    assert_eq!(committed.is_surgical, !backend.is_mysql());
    if !backend.is_mysql() {
        return;
    }
    assert_eq!(rows(&sandbox), "1=ANN 2=bob 3=cid 9=eve");
    for kind in [RollbackKind::Surgical, RollbackKind::Partial] {
        let error = block_on(manager.execute(&point, kind)).expect_err("what it changed is not known");
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
    assert_eq!(rows(&sandbox), "1=ANN 2=bob 3=cid 9=eve");
}

/// The story: the wait for a table failed within the transaction, and the end of the run was written into that.
pub(crate) fn a_table_that_others_hold_ends_the_scope(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    let mut other = sandbox.session();
    // It can be read, and nobody else can hold it.
    other.sql(&format!(
        "BEGIN; LOCK TABLE {} IN ROW EXCLUSIVE MODE",
        backend.quoted(TABLE)
    ));
    let scope = scope(&manager(&sandbox));
    let error =
        block_on(scope.run(|tx| async move { change_rows(&tx).await })).expect_err("it waits in vain");
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    assert!(scope.is_finished());
    assert!(sandbox.status()["unfinished"].is_null());
    other.sql("ROLLBACK");
    assert_nothing_left(&sandbox, &before, "undone");
}

/// Does something at the first step of that name.
struct At<F>(&'static str, Mutex<Option<F>>);

impl<F: FnOnce() + Send> Steps for At<F> {
    fn reached(&self, name: &'static str) {
        if name == self.0
            && let Some(act) = self.1.lock().expect("nobody panics").take()
        {
            act();
        }
    }
}

/// Puts a proxy before the database of a sandbox. The configuration speaks to that then.
fn behind_a_proxy(sandbox: &Sandbox) -> Arc<Proxy> {
    let url = sandbox.url();
    let (_, host) = url.rsplit_once('@').expect("a user");
    let (host, _) = host.split_once('/').expect("a database");
    let (_, port) = host.rsplit_once(':').expect("a port");
    let proxy = Proxy::before(port.parse().expect("a number"), None);
    let config = std::fs::read_to_string(sandbox.path("walkback.toml")).expect("it was written");
    let behind = config.replace(&format!(":{port}/"), &format!(":{}/", proxy.port()));
    assert_ne!(config, behind, "the URL names the port");
    sandbox.write("walkback.toml", &behind);
    Arc::new(proxy)
}

/// The story: a connection that was lost during the commit was reported as rolled back, and the service did it twice.
pub(crate) fn a_commit_without_an_answer_is_looked_up(backend: Backend) {
    for after_answer in [true, false] {
        let sandbox = project(backend);
        let before = sandbox.contents();
        let proxy = behind_a_proxy(&sandbox);
        let cuts = Arc::clone(&proxy);
        let steps = At(
            "scope.before-commit",
            Mutex::new(Some(move || {
                // What the client says of statements it has done with goes out first.
                std::thread::sleep(Duration::from_millis(200));
                cuts.cut_next(Cut {
                    request: 0,
                    after_answer,
                    all: false,
                });
            })),
        );
        let manager = manager(&sandbox).with_cx(Cx::background().with_steps(Arc::new(steps)));
        let scope = scope(&manager);
        let done = block_on(scope.run(|tx| async move { change_rows(&tx).await }));
        assert!(proxy.has_cut(), "the commit was not cut");
        assert!(scope.is_finished());
        assert!(sandbox.status()["unfinished"].is_null());
        // PostgreSQL may be asked something before the commit, and that be what is cut: what is said has to be so either way.
        if after_answer && (backend.is_mysql() || done.is_ok()) {
            let done = done.expect("it is committed");
            assert!(!done.warnings.is_empty(), "the answer was lost");
            assert_eq!(rows(&sandbox), AFTER);
        } else {
            let error = done.expect_err("it is not committed");
            assert_ne!(error.kind(), ErrorKind::NeedsRecovery, "{error}");
            assert_nothing_left(&sandbox, &before, "undone");
        }
    }
}

/// The story: where definitions commit, a lost connection was taken for something half-done.
pub(crate) fn a_connection_lost_in_the_work_takes_everything_back(backend: Backend) {
    for work in ["rows", "definitions"] {
        let sandbox = project(backend);
        let before = sandbox.contents();
        let proxy = behind_a_proxy(&sandbox);
        let scope = scope(&manager(&sandbox));
        let cuts = Arc::clone(&proxy);
        let error = block_on(scope.run(|tx| async move {
            match work {
                "rows" => change_rows(&tx).await?,
                _ => change_definitions(&tx).await?,
            }
            cuts.cut_next(Cut {
                request: 0,
                after_answer: false,
                all: false,
            });
            tx.execute(&format!("DELETE FROM {}", tx.quote(TABLE)), &[]).await
        }))
        .expect_err("its connection is lost");
        assert!(proxy.has_cut(), "{error}");
        assert_ne!(error.kind(), ErrorKind::NeedsRecovery, "{error}");
        assert!(scope.is_finished());
        assert_nothing_left(&sandbox, &before, "undone");
    }
}

/// The story: a panic of the work hid that the scope could not be taken back, and it counted as finished.
pub(crate) fn a_panic_that_cannot_be_taken_back_is_not_finished(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    let scope = Arc::new(scope(&manager(&sandbox)));
    let (vault, aside) = (sandbox.path(".walkback/vault"), sandbox.path(".walkback/aside"));
    let (from, to) = (vault.clone(), aside.clone());
    block_on(async {
        let scope = Arc::clone(&scope);
        let task = tokio::spawn(async move {
            let work = |tx: ScopeSession| async move {
                change_definitions(&tx).await?;
                std::fs::rename(from, to).expect("it can be renamed");
                assert!(tx.point().is_none(), "the work has a mistake in it");
                Ok::<_, Error>(())
            };
            scope.run(work).await
        });
        task.await.expect_err("it panics")
    });
    assert!(!scope.is_finished());
    assert_eq!(sandbox.status()["needs_recovery"], true);
    std::fs::remove_dir_all(&vault).ok();
    std::fs::rename(aside, vault).expect("it can be renamed");
    sandbox.ok(&["recover", "-y"]);
    sandbox.assert_contents(&before, "after the recover");
}

/// Where a session may be looked at directly.
pub(crate) fn nobody_else_writes_where_tables_are_held(backend: Backend) {
    let sandbox = project(backend);
    let table = backend.quoted(TABLE);
    let refused = block_on(async {
        let work = |tx: ScopeSession| {
            let sandbox = &sandbox;
            let insert = format!("INSERT INTO {table} VALUES (9, 'eve')");
            async move {
                change_rows(&tx).await?;
                let other = || {
                    let mut session: Session = sandbox.session();
                    if backend != Backend::Sqlite {
                        session.sql("SET lock_timeout = '300ms'");
                    }
                    session.try_sql(&insert)
                };
                Ok(tokio::task::block_in_place(other))
            }
        };
        let committed = scope(&manager(&sandbox)).run(work).await;
        committed.expect("the work is done").value
    });
    refused.expect_err("the table is held");
    assert_eq!(rows(&sandbox), AFTER);
}
