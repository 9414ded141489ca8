//! Killed at any step; two at once; over something half-done.

use std::os::unix::process::ExitStatusExt as _;

use walkback::ErrorKind;
use walkback_tests::{Backend, Contents, Sandbox, report};

use crate::work::{block_on, change_definitions, change_rows, manager, run_killed, scope};
use crate::{AFTER, project, rows};

/// Returns what there is after the work.
fn done(backend: Backend, work: &str) -> Contents {
    let sandbox = project(backend);
    let output = run_killed(&sandbox, work, u64::MAX);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    sandbox.contents()
}

/// Kills the work at each of its steps, and lets `check` follow. Returns how many kills there were.
fn kill_everywhere(backend: Backend, work: &str, mut check: impl FnMut(&Sandbox, u64)) -> usize {
    let mut kills = 0;
    for step in 1.. {
        let sandbox = project(backend);
        let output = run_killed(&sandbox, work, step);
        if output.status.signal() != Some(9) {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && step > 10, "step {step}: {said}");
            break;
        }
        kills += 1;
        check(&sandbox, step);
    }
    kills
}

pub(crate) fn a_killed_scope_has_happened_or_has_not(backend: Backend) {
    for work in ["rows", "definitions"] {
        let before = project(backend).contents();
        let after = done(backend, work);
        let (mut refused, mut happened) = (0, 0);
        let kills = kill_everywhere(backend, work, |sandbox, step| {
            let output = sandbox.run(&["up", "-y"]);
            match output.code {
                Some(0) => {}
                Some(4) => {
                    refused += 1;
                    assert!(
                        output.stderr.contains("walkback recover"),
                        "{}",
                        output.transcript()
                    );
                    assert_eq!(sandbox.status()["needs_recovery"], true);
                    let output = sandbox.ok(&["recover", "-y"]);
                    sandbox.assert_contents(&before, &format!("step {step}: {}", output.transcript()));
                }
                _ => panic!("step {step}: {}", output.transcript()),
            }
            sandbox.assert_sound();
            assert!(sandbox.status()["unfinished"].is_null(), "step {step}");
            let found = sandbox.contents();
            if found == after {
                happened += 1;
            } else {
                sandbox.assert_contents(&before, &format!("step {step}"));
            }
        });
        report(&format!(
            "{work} on {backend}: {kills} kills, {refused} half-done, {happened} had happened"
        ));
        assert!(happened > 0, "no kill came after the commit");
        assert_eq!(refused > 0, backend.is_mysql() && work == "definitions");
    }
}

pub(crate) fn nothing_is_half_done_where_definitions_are_in_the_transaction(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    // The last step before the commit: halved until it is found, since what comes before it stays before it.
    let (mut killed, mut first, mut end) = (None, 1, 64);
    while first < end {
        let step = u64::midpoint(first, end);
        let trial = project(backend);
        if run_killed(&trial, "definitions", step).status.signal() == Some(9) && trial.contents() == before {
            (killed, first) = (Some(trial), step + 1);
        } else {
            end = step;
        }
    }
    let killed = killed.expect("there is a step before the commit");
    let status = killed.status();
    assert_eq!(status["unfinished"]["kind"], "scope", "{status}");
    assert_eq!(status["needs_recovery"], false, "{status}");
    let output = killed.ok(&["rollback", "--type", "transaction", "-y"]);
    assert!(killed.status()["unfinished"].is_null(), "{}", output.transcript());
    killed.assert_contents(&before, "after the rollback");
}

/// A database in which the work of a scope was killed after a part of it was committed.
fn half_done(backend: Backend) -> Sandbox {
    for step in 1.. {
        let sandbox = project(backend);
        let output = run_killed(&sandbox, "definitions", step);
        assert_eq!(output.status.signal(), Some(9), "no step is half-way");
        if sandbox.status()["needs_recovery"] == true && rows(&sandbox) == AFTER {
            return sandbox;
        }
    }
    unreachable!("steps do not end");
}

pub(crate) fn a_scope_over_something_half_done_is_refused(backend: Backend) {
    let sandbox = half_done(backend);
    let error = block_on(async {
        scope(&manager(&sandbox))
            .run(|tx| async move { change_rows(&tx).await })
            .await
            .expect_err("it is refused")
    });
    assert_eq!(error.kind(), ErrorKind::NeedsRecovery, "{error}");
    assert!(
        error.hints().iter().any(|hint| hint.contains("walkback recover")),
        "{error:?}"
    );
    let output = sandbox.ok(&["recover", "--dry-run"]);
    assert!(output.stdout.contains("tidy or\"ders"), "{}", output.transcript());
    // Killed at any step, a recover is done by the next.
    for step in 1.. {
        if sandbox.killed_at(step, &["recover", "-y"]).is_none() {
            break;
        }
    }
    let before = project(backend).contents();
    sandbox.assert_contents(&before, "after the last recover");
    assert_eq!(sandbox.status()["needs_recovery"], false);
}

pub(crate) fn a_scope_killed_half_way_may_be_left_as_it_is(backend: Backend) {
    let sandbox = half_done(backend);
    let found = sandbox.contents();
    let output = sandbox.ok(&["recover", "--forward", "-y"]);
    sandbox.assert_contents(&found, &output.transcript());
    let status = sandbox.status();
    assert_eq!(status["needs_recovery"], false, "{status}");
    assert!(status["unfinished"].is_null(), "{status}");
    sandbox.ok(&["up", "-y"]);
}

pub(crate) fn two_scopes_have_one_lock(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    block_on(async {
        let (first, second) = (scope(&manager(&sandbox)), scope(&manager(&sandbox)));
        let other = || async {
            let error = second.run(|tx| async move { change_rows(&tx).await }).await;
            error.expect_err("the first has the lock")
        };
        let committed = first
            .run(|tx| async move {
                change_definitions(&tx).await?;
                Ok(Box::pin(other()).await)
            })
            .await
            .expect("the first does its work");
        let error = committed.value;
        assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
        assert!(error.message().contains("scope"), "{error}");
        assert!(!committed.is_surgical);
    });
    assert_eq!(rows(&sandbox), AFTER);
    // What it has defined goes back by its point.
    let output = sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, &output.transcript());
    sandbox.assert_sound();
}
