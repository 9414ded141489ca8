//! Each way in which a scope can end.

use std::sync::Arc;
use std::time::Duration;

use walkback::{Cx, Error, ErrorKind, MigrationTransaction, Result};
use walkback_tests::{Backend, Sandbox};

use crate::work::{block_on, change_definitions, change_rows, manager, scope, wait_until_ended};
use crate::{AFTER, BEFORE, TABLE, project, rows};

/// Checks that nothing is left of a scope, and that the next one can do its work.
pub(crate) fn assert_nothing_left(sandbox: &Sandbox, contents: &walkback_tests::Contents, status: &str) {
    sandbox.assert_contents(contents, "after the scope");
    let last = sandbox.ok(&["audit", "--json", "--limit", "1"]).json();
    let run = &last["runs"][0];
    assert_eq!(run["kind"], "scope", "{last}");
    assert_eq!(run["status"], status, "{last}");
    block_on(async {
        scope(&manager(sandbox))
            .run(|tx| async move { change_rows(&tx).await })
            .await
    })
    .expect("the next scope does its work");
    assert_eq!(rows(sandbox), AFTER);
}

pub(crate) fn what_is_committed_can_be_taken_back(backend: Backend) {
    let sandbox = project(backend);
    let committed = block_on(async {
        let manager = manager(&sandbox);
        let scope = scope(&manager);
        assert!(!scope.is_finished());
        let committed = scope
            .run(|tx| async move {
                change_rows(&tx).await?;
                Ok(7)
            })
            .await
            .expect("the work is done");
        assert!(scope.is_finished());
        let again = scope
            .run(|_| async { Ok(()) })
            .await
            .expect_err("it has been run");
        assert_eq!(again.kind(), ErrorKind::Usage);
        committed
    });
    assert_eq!(committed.value, 7);
    // Where nobody can be kept from writing meanwhile, it goes back as a whole.
    assert_eq!(committed.is_surgical, !backend.is_mysql(), "{committed:?}");
    assert_eq!(rows(&sandbox), AFTER);
    let point = committed.point.expect("there is a store");
    assert!(point.starts_with("rb_tidy_or_ders_"), "{point}");
    let audit = sandbox.ok(&["audit", "--json", "--limit", "1"]).json();
    let run = &audit["runs"][0];
    for (key, value) in [
        ("kind", "scope"),
        ("status", "done"),
        ("reason", "names in capitals"),
        ("ticket", "OPS-7"),
    ] {
        assert_eq!(run[key], value, "{audit}");
    }
    assert!(
        run["actor"]
            .as_str()
            .is_some_and(|who| who.starts_with("service@web-1")),
        "{audit}"
    );
    // The application goes on: a new row, and a change to one that the scope did not touch.
    let (table, column) = (backend.quoted(TABLE), backend.quoted("select"));
    sandbox.sql(&format!("INSERT INTO {table} VALUES (9, 'eve')"));
    sandbox.sql(&format!("UPDATE {table} SET {column} = 'cid' WHERE id = 3"));
    let output = sandbox.ok(&["rollback", &point, "-y"]);
    let back = match backend.is_mysql() {
        true => BEFORE,
        false => "1=ann 2=bob 3=cid 9=eve",
    };
    assert_eq!(rows(&sandbox), back, "{}", output.transcript());
    // And walking that back is the work of the scope again.
    let output = sandbox.ok(&["rollback", "-y"]);
    assert_eq!(
        rows(&sandbox),
        "1=ANN 3=cid 4=dan 9=eve",
        "{}",
        output.transcript()
    );
    assert_eq!(sandbox.status()["applied"], 1);
}

pub(crate) fn an_error_takes_everything_back(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    block_on(async {
        let manager = manager(&sandbox);
        let scope = scope(&manager);
        let error = scope
            .run(|tx| async move {
                change_rows(&tx).await?;
                Err::<(), _>(Error::new(ErrorKind::Conflict, "these names are not mine"))
            })
            .await
            .expect_err("the work fails");
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(error.message(), "these names are not mine");
        assert!(scope.is_finished());
        // An error of the database that the work does not care about is one of the scope where the transaction is lost.
        let boxed = manager.transaction("own errors").tables([TABLE]);
        let error = boxed
            .run_as(|tx| async move {
                change_rows(&tx).await?;
                Err::<(), Box<dyn std::error::Error + Send + Sync>>("a word of its own".into())
            })
            .await
            .expect_err("the work fails");
        assert_eq!(error.to_string(), "a word of its own");
    });
    assert_eq!(rows(&sandbox), BEFORE);
    assert_nothing_left(&sandbox, &before, "undone");
}

pub(crate) fn an_error_takes_definitions_back(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    block_on(async {
        let error = scope(&manager(&sandbox))
            .run(|tx| async move {
                change_definitions(&tx).await?;
                tx.execute(
                    &format!("INSERT INTO {} VALUES (1, 'twice', 1)", tx.quote(TABLE)),
                    &[],
                )
                .await
            })
            .await
            .expect_err("the key is taken");
        assert_ne!(error.kind(), ErrorKind::NeedsRecovery, "{error}");
    });
    assert_nothing_left(&sandbox, &before, "undone");
    sandbox.assert_sound();
}

pub(crate) fn a_panic_takes_everything_back(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    let finished = Arc::new(scope(&manager(&sandbox)));
    let panicked = block_on(async {
        let finished = Arc::clone(&finished);
        let task = tokio::spawn(async move {
            let work = |tx: walkback::ScopeSession| async move {
                change_definitions(&tx).await?;
                assert!(tx.point().is_none(), "the work has a mistake in it");
                Ok(())
            };
            finished.run(work).await
        });
        task.await.expect_err("it panics")
    });
    let words = panicked.into_panic();
    let words = words.downcast_ref::<&str>().copied().unwrap_or_default();
    assert_eq!(words, "the work has a mistake in it");
    assert!(finished.is_finished());
    assert_nothing_left(&sandbox, &before, "undone");
}

/// Does the work, and then never ends.
async fn never_ends(scope: &MigrationTransaction) -> Result<()> {
    let work = |tx: walkback::ScopeSession| async move {
        change_rows(&tx).await?;
        std::future::pending::<Result<()>>().await
    };
    scope.run(work).await.map(drop)
}

pub(crate) fn a_dropped_future_takes_everything_back(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    let scope = scope(&manager(&sandbox));
    // On the thread that the connection of the database needs as well.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime starts").block_on(async {
        let ended = tokio::time::timeout(Duration::from_secs(4), never_ends(&scope)).await;
        ended.expect_err("it does not end");
        tokio::time::sleep(Duration::from_millis(200)).await;
    });
    wait_until_ended(&sandbox, backend);
    assert!(scope.is_finished());
    assert_nothing_left(&sandbox, &before, "undone");
}

pub(crate) fn an_aborted_task_takes_everything_back(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    let scope = Arc::new(scope(&manager(&sandbox)));
    block_on(async {
        let scope = Arc::clone(&scope);
        let task = tokio::spawn(async move { never_ends(&scope).await });
        tokio::time::sleep(Duration::from_secs(3)).await;
        task.abort();
        assert!(task.await.expect_err("it was aborted").is_cancelled());
    });
    wait_until_ended(&sandbox, backend);
    assert!(scope.is_finished());
    assert_nothing_left(&sandbox, &before, "undone");
}

pub(crate) fn what_stops_the_context_takes_everything_back(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    let cx = Cx::background();
    let canceller = cx.canceller();
    let scope = scope(&manager(&sandbox).with_cx(cx));
    let error = block_on(async {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            canceller.cancel();
        });
        never_ends(&scope).await.expect_err("it is interrupted")
    });
    assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
    assert!(scope.is_finished());
    assert_nothing_left(&sandbox, &before, "undone");
}
