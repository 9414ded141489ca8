//! Ctrl-C, death, and `abort` from elsewhere, in the middle of a long statement.

mod aborts;
mod long;

use std::process::{Child, ExitCode, Output};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use walkback_tests::{Backend, Contents, ONE_OF_EACH, SERVERS, Sandbox, journeys};

use aborts::{
    a_run_is_stopped_from_elsewhere_and_undoes_itself, a_run_that_lives_is_not_unlocked,
    nothing_is_stopped_where_nothing_runs, the_lock_of_a_run_that_hangs_can_be_freed,
};
use long::{PATIENCE, long_alter, long_update, prepared, started};

fn main() -> ExitCode {
    walkback_tests::main(
        "interrupts",
        &journeys! {
            ONE_OF_EACH => [
                ctrl_c_in_a_long_update_is_undone_with_exit_130,
                ctrl_c_in_a_long_update_outside_a_transaction_is_undone_with_exit_130,
                a_run_is_stopped_from_elsewhere_and_undoes_itself,
                nothing_is_stopped_where_nothing_runs,
                a_run_that_lives_is_not_unlocked,
            ],
            SERVERS => [
                ctrl_c_in_a_long_alter_table_is_undone_with_exit_130,
                a_kill_in_a_long_alter_table_is_recovered_to_before_or_after,
                a_kill_in_a_long_update_is_recovered_to_before_or_after,
                the_lock_of_a_run_that_hangs_can_be_freed,
            ],
        },
    )
}

/// Presses Ctrl-C and waits for the end.
fn interrupted(child: Child) -> Output {
    let began = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).expect("it is there");
    let output = child.wait_with_output().expect("it ends");
    assert!(began.elapsed() < PATIENCE, "it took {:?} to end", began.elapsed());
    output
}

/// Applies a long migration, presses Ctrl-C, and expects all as it was, and nobody left on the server.
fn ctrl_c(sandbox: &Sandbox, before: &Contents, script: &str, text: &str) {
    let backend = sandbox.backend();
    sandbox.migration("002_long", script, "");
    let output = interrupted(started(sandbox, text));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{backend}: {said}");
    if backend != Backend::Sqlite {
        let began = Instant::now();
        while sandbox.server().sessions() > 0 {
            assert!(
                began.elapsed() < Duration::from_secs(5),
                "a session is left on the server"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    sandbox.assert_contents(before, &said);
    sandbox.assert_sound();
    assert_eq!(sandbox.status()["applied"], 1, "{said}");
    // Nothing is in the way of going on.
    sandbox.migration("002_long", "INSERT INTO small VALUES (2);", "");
    sandbox.ok(&["up", "-y"]);
    assert_eq!(sandbox.value("SELECT count(*) FROM small"), "1");
}

fn ctrl_c_in_a_long_update_is_undone_with_exit_130(backend: Backend) {
    let (sandbox, before) = prepared(backend, 100);
    let script = format!("INSERT INTO small VALUES (1);\n{}", long_update(backend));
    ctrl_c(&sandbox, &before, &script, "UPDATE big SET n");
}

fn ctrl_c_in_a_long_update_outside_a_transaction_is_undone_with_exit_130(backend: Backend) {
    let (sandbox, before) = prepared(backend, 100);
    let script = format!(
        "-- walkback: transaction=off\nCREATE TABLE made (x INTEGER);\nUPDATE big SET pad = 'gone' WHERE id < 9;\n{}",
        long_update(backend)
    );
    ctrl_c(&sandbox, &before, &script, "UPDATE big SET n");
}

fn ctrl_c_in_a_long_alter_table_is_undone_with_exit_130(backend: Backend) {
    let (alter, rows) = long_alter(backend);
    let (sandbox, before) = prepared(backend, rows);
    let script = format!("CREATE TABLE made (x INTEGER);\nINSERT INTO small VALUES (1);\n{alter}");
    ctrl_c(&sandbox, &before, &script, "ALTER TABLE big");
}

/// Kills `up` in the middle of a statement, which the server may finish or not; then recovers.
fn kill(backend: Backend, rows: u32, script: &str, text: &str) {
    let (sandbox, before) = prepared(backend, rows);
    sandbox.migration("002_long", script, "");
    let mut child = started(&sandbox, text);
    child.kill().expect("it is there");
    child.wait().expect("it ends");
    // At once: whatever still runs on the server is recover's to wait for.
    let recover = sandbox.run(&["recover", "-y"]);
    assert_eq!(recover.code, Some(0), "{}", recover.transcript());
    let applied = sandbox.status()["applied"].as_u64().expect("a count");
    let found = sandbox.contents();
    if applied == 1 {
        sandbox.assert_contents(&before, &recover.transcript());
    }
    // What is there now is there to stay: nothing on the server goes on behind our back.
    std::thread::sleep(Duration::from_secs(1));
    sandbox.assert_contents(&found, "a second later");
    sandbox.ok(&["up", "-y"]);
    assert_eq!(sandbox.status()["applied"], 2);
    if applied == 2 {
        sandbox.assert_contents(&found, &recover.transcript());
    }
    sandbox.ok(&["rollback", "-n", "1", "-y"]);
    sandbox.assert_contents(&before, "walked back after all");
}

fn a_kill_in_a_long_alter_table_is_recovered_to_before_or_after(backend: Backend) {
    let (alter, rows) = long_alter(backend);
    kill(
        backend,
        rows,
        &format!("CREATE TABLE made (x INTEGER);\n{alter}"),
        "ALTER TABLE big",
    );
}

fn a_kill_in_a_long_update_is_recovered_to_before_or_after(backend: Backend) {
    let script = format!(
        "CREATE TABLE made (x INTEGER);\nUPDATE big SET pad = 'changed' WHERE id < 9;\n{}",
        long_update(backend)
    );
    kill(backend, 30, &script, "UPDATE big SET n");
}
