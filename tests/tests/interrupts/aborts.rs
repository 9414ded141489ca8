//! `abort` and `unlock`: stopping a run that somebody else has started.

use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use walkback_tests::Backend;

use crate::long::{PATIENCE, long_update, prepared, started};

pub(crate) fn nothing_is_stopped_where_nothing_runs(backend: Backend) {
    let (sandbox, before) = prepared(backend, 3);
    let output = sandbox.ok(&["abort"]);
    assert!(
        output.stdout.contains("no run is under way"),
        "{}",
        output.transcript()
    );
    assert!(sandbox.ok(&["abort", "--json"]).json()["aborted"].is_null());
    if backend != Backend::Sqlite {
        let output = sandbox.ok(&["unlock", "-y"]);
        assert!(
            output.stdout.contains("nobody holds the lock"),
            "{}",
            output.transcript()
        );
    }
    sandbox.assert_contents(&before, "nothing was asked for");
}

pub(crate) fn a_run_is_stopped_from_elsewhere_and_undoes_itself(backend: Backend) {
    for loose in [false, true] {
        let (sandbox, before) = prepared(backend, 100);
        let head = if loose {
            "-- walkback: transaction=off\n"
        } else {
            ""
        };
        let script = format!(
            "{head}CREATE TABLE made (x INTEGER);\nINSERT INTO small VALUES (1);\n{}",
            long_update(backend)
        );
        sandbox.migration("002_long", &script, "");
        let child = started(&sandbox, "UPDATE big SET n");
        let aborted = sandbox.ok(&["abort", "--json"]).json();
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{backend}: {said}");
        assert!(
            said.contains("walkback abort by") || said.contains("as connection"),
            "{backend}: who asked is not said: {said}"
        );
        let aborted = &aborted["aborted"];
        assert_eq!(aborted["outcome"], "undone", "{backend}: {aborted}");
        assert_eq!(aborted["needs_recovery"], false, "{backend}: {aborted}");
        assert!(
            aborted["holder"]
                .as_str()
                .is_some_and(|holder| holder.contains("walkback up by")),
            "{backend}: {aborted}"
        );
        sandbox.assert_contents(&before, &said);
        sandbox.assert_sound();
        let audit = sandbox.ok(&["audit"]);
        assert!(audit.stdout.contains("has asked for"), "{}", audit.transcript());
        // Nothing is in the way of going on.
        sandbox.migration("002_long", "INSERT INTO small VALUES (2);", "");
        sandbox.ok(&["up", "-y"]);
    }
}

pub(crate) fn a_run_that_lives_is_not_unlocked(backend: Backend) {
    let (sandbox, before) = prepared(backend, 100);
    sandbox.migration("002_long", long_update(backend), "");
    let child = started(&sandbox, "UPDATE big SET n");
    std::thread::sleep(std::time::Duration::from_secs(2));
    let refused = sandbox.run(&["unlock", "-y"]);
    let (code, words) = match backend {
        Backend::Sqlite => (2, "kill"),
        _ => (5, "walkback abort"),
    };
    assert_eq!(refused.code, Some(code), "{}", refused.transcript());
    assert!(refused.stderr.contains(words), "{}", refused.transcript());
    sandbox.ok(&["abort"]);
    let output = child.wait_with_output().expect("it ends");
    sandbox.assert_contents(&before, &String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn the_lock_of_a_run_that_hangs_can_be_freed(backend: Backend) {
    let (sandbox, before) = prepared(backend, 100);
    sandbox.migration("002_long", long_update(backend), "");
    let mut child = started(&sandbox, "UPDATE big SET n");
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::STOP).expect("it is there");
    let waited = sandbox.run(&["abort", "--wait", "1s"]);
    assert_eq!(waited.code, Some(5), "{}", waited.transcript());
    assert!(
        waited.stderr.contains("walkback unlock"),
        "{}",
        waited.transcript()
    );
    let began = Instant::now();
    let freed = loop {
        let output = sandbox.run(&["unlock", "-y", "--json"]);
        match output.code {
            Some(0) => break output,
            Some(5) => assert!(began.elapsed() < PATIENCE, "{}", output.transcript()),
            _ => panic!("{}", output.transcript()),
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
    };
    let sessions = &freed.json()["ended"]["sessions"];
    assert_eq!(sessions.as_array().map(Vec::len), Some(2), "{sessions}");
    // Its statement is cancelled at the server, and what it had begun is gone.
    sandbox.ok(&["recover", "-y"]);
    sandbox.assert_contents(&before, &freed.transcript());
    // What comes back to life does nothing any more.
    kill_process(pid, Signal::CONT).expect("it is there");
    let status = child.wait().expect("it ends");
    assert!(!status.success(), "{backend}: it went on");
    sandbox.assert_contents(&before, "it came back to life");
    sandbox.assert_sound();
    sandbox.migration("002_long", "INSERT INTO small VALUES (2);", "");
    sandbox.ok(&["up", "-y"]);
}
