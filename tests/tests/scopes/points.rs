//! Points of the manager, and what a scope refuses.

use walkback::{Consent, ErrorKind, RollbackKind};
use walkback_tests::Backend;

use crate::work::{block_on, change_rows, manager, scope};
use crate::{BEFORE, TABLE, project, rows};

pub(crate) fn a_point_of_the_manager_is_gone_back_to(backend: Backend) {
    let sandbox = project(backend);
    let (table, column) = (backend.quoted(TABLE), backend.quoted("select"));
    let manager = manager(&sandbox).with_consent(Consent {
        lossy: true,
        ..Consent::default()
    });
    let point = block_on(manager.create("fix names", &[TABLE], Some("before the fix"))).expect("a point");
    assert!(point.id.starts_with("rb_fix_names_"), "{}", point.id);
    assert_eq!(point.tables.len(), 1);
    assert!(
        !block_on(manager.verify(&point.id))
            .expect("it is there")
            .is_empty()
    );
    let missing = block_on(manager.create("fix", &["no such table"], None)).expect_err("no such table");
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    for kind in [RollbackKind::Full, RollbackKind::Backup] {
        sandbox.sql(&format!("UPDATE {table} SET {column} = 'x'"));
        sandbox.sql(&format!("INSERT INTO {table} VALUES (7, 'new')"));
        let losses = block_on(manager.losses(&point.id, kind)).expect("they are counted");
        let lost: u64 = losses.iter().map(|loss| loss.rows).sum();
        assert!(lost >= 1, "{losses:?}");
        let report = block_on(manager.execute(&point.id, kind)).expect("it goes back");
        assert_eq!(report.restored_from.as_deref(), Some(point.id.as_str()));
        assert_eq!(rows(&sandbox), BEFORE);
    }
    let error = block_on(manager.execute(&point.id, RollbackKind::Transaction)).expect_err("nothing is open");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    // Only what a scope has added goes.
    let committed =
        block_on(scope(&manager).run(|tx| async move { change_rows(&tx).await })).expect("the work");
    let point = committed.point.expect("a point");
    // Where nobody can be kept from writing, it is not known what it has added.
    let (kind, left) = match backend.is_mysql() {
        true => (RollbackKind::Full, BEFORE),
        false => (RollbackKind::Partial, "1=ANN 3=it's"),
    };
    block_on(manager.execute(&point, kind)).expect("it goes back");
    assert_eq!(rows(&sandbox), left);
    let history = block_on(manager.history(None)).expect("a history").into_iter();
    let kinds: Vec<_> = history.map(|run| run.kind).collect();
    assert_eq!(
        kinds[..4],
        ["rollback", "scope", "restore", "rollback"],
        "{kinds:?}"
    );
}

pub(crate) fn what_the_point_does_not_hold_is_refused(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    block_on(async {
        let error = scope(&manager(&sandbox))
            .run(|tx| async move {
                change_rows(&tx).await?;
                tx.execute("DELETE FROM other", &[]).await
            })
            .await
            .expect_err("the point does not hold it");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.message().contains("`other`"), "{error}");
    });
    sandbox.assert_contents(&before, "after the refusal");
    block_on(async {
        let all = manager(&sandbox).transaction("all tables");
        all.run(|tx| async move { tx.execute("DELETE FROM other", &[]).await })
            .await
            .expect("a point without names holds all tables");
    });
    assert_eq!(sandbox.value("SELECT count(*) FROM other"), "0");
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "after the rollback");
}

pub(crate) fn what_ends_the_transaction_is_refused(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    block_on(async {
        let manager = manager(&sandbox);
        for sql in ["COMMIT", "ROLLBACK", "SELECT 1; SELECT 2"] {
            let error = scope(&manager)
                .run(|tx| async move {
                    change_rows(&tx).await?;
                    tx.execute(sql, &[]).await
                })
                .await
                .expect_err("a scope is one transaction");
            assert_eq!(error.kind(), ErrorKind::Usage, "{sql}: {error}");
        }
        let kept = scope(&manager)
            .run(|tx| async move { Ok(tx) })
            .await
            .expect("nothing to do")
            .value;
        let error = kept
            .execute("SELECT 1", &[])
            .await
            .expect_err("the scope has ended");
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    });
    sandbox.assert_contents(&before, "after all of them");
}

/// A statement that is given up in its middle: nobody knows what the session answers next.
pub(crate) fn a_statement_that_is_given_up_is_not_committed(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    let sleep = if backend.is_mysql() {
        "SELECT SLEEP(3)"
    } else {
        "SELECT pg_sleep(3)"
    };
    let work = |tx: walkback::ScopeSession| async move {
        change_rows(&tx).await?;
        let given_up = tokio::time::timeout(std::time::Duration::from_millis(300), tx.query(sleep, &[]));
        given_up.await.map(drop).ok();
        Ok(())
    };
    let error = block_on(scope(&manager(&sandbox)).run(work)).expect_err("it is not committed");
    assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
    sandbox.assert_contents(&before, "after it was given up");
}
