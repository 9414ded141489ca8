//! What applications wrote while a migration was half-done is not lost with it.

use std::thread;
use std::time::{Duration, Instant};

use walkback_tests::{Backend, Output, Sandbox};

use super::project;

fn begin(backend: Backend, script: &str) -> Sandbox {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20)); INSERT INTO t VALUES (1, 'a');",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.migration(
        "002_loose",
        &format!("-- walkback: transaction=off\n{script}"),
        "",
    );
    sandbox
}

/// Takes the table from the point that was named, and expects in it what was written.
fn assert_kept(sandbox: &Sandbox, output: &Output) {
    let text = output.transcript();
    let said = format!("{}{}", output.stdout, output.stderr);
    let at = said
        .find("`safety_")
        .unwrap_or_else(|| panic!("no point is named: {text}"));
    let id = said[at + 1..].split('`').next().expect("a name ends");
    assert_eq!(sandbox.value("SELECT count(*) FROM t"), "1", "{text}");
    sandbox.ok(&["restore", id, "--table", "t", "-y", "--allow-lossy"]);
    assert_eq!(
        sandbox.value("SELECT name FROM t WHERE id = 202"),
        "app",
        "{text}"
    );
    assert_eq!(
        sandbox.value("SELECT name FROM t WHERE id = 1"),
        "changed",
        "{text}"
    );
}

fn write(sandbox: &Sandbox) {
    sandbox.sql("INSERT INTO t VALUES (202, 'app')");
    sandbox.sql("UPDATE t SET name = 'changed' WHERE id = 1");
}

pub(super) fn what_applications_wrote_after_a_kill_is_in_the_point_that_recover_names(backend: Backend) {
    let mut seen = 0;
    for step in 1.. {
        let sandbox = begin(
            backend,
            "INSERT INTO t VALUES (2, 'b');\nINSERT INTO t VALUES (3, 'c');",
        );
        if sandbox.killed_at(step, &["up", "-y"]).is_none() {
            break;
        }
        let is_half_done = sandbox.value("SELECT count(*) FROM t") == "2";
        if !is_half_done {
            continue;
        }
        seen += 1;
        write(&sandbox);
        sandbox.policy("lossy = \"refuse\"");
        let refused = sandbox.run(&["recover", "--back", "-y"]);
        assert_eq!(refused.code, Some(6), "{}", refused.transcript());
        assert_eq!(sandbox.value("SELECT count(*) FROM t"), "3");
        let shown = sandbox.ok(&["recover", "--back", "--dry-run"]).transcript();
        assert!(shown.contains("what applications wrote since"), "{shown}");
        let output = sandbox.ok(&["recover", "--back", "-y", "--allow-lossy"]);
        assert_kept(&sandbox, &output);
    }
    assert!(seen > 0, "no kill was between the two");
}

pub(super) fn what_applications_wrote_until_a_script_failed_is_in_the_point_that_is_named(backend: Backend) {
    let wait = if backend.is_mysql() {
        "DO SLEEP(3)"
    } else {
        "SELECT pg_sleep(3)"
    };
    let script = format!("INSERT INTO t VALUES (2, 'b');\n{wait};\nINSERT INTO t VALUES (2, 'twice');");
    let sandbox = begin(backend, &script);
    let child = sandbox.spawn(&["up", "-y"]);
    let begun = Instant::now();
    while sandbox.value("SELECT count(*) FROM t") != "2" {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "the script has not begun"
        );
        thread::sleep(Duration::from_millis(50));
    }
    write(&sandbox);
    let output = child.wait_with_output().expect("it ends");
    let output = Output::new(&["up", "-y"], &output, &sandbox.path("."));
    assert_eq!(output.code, Some(1), "{}", output.transcript());
    assert_kept(&sandbox, &output);
}
