//! The crash matrix: each kind of run, on each engine, killed at every durable step, then recovered.
//!
//! What is seen afterwards has to be what was seen before the run, or what is seen after one that nobody killed: every
//! definition and every row, what is applied and what is pending, what waits to be put back, what was moved aside, which
//! backups there are. The table of kills and recoveries is printed at the end, and written into the book by
//!
//! ```sh
//! WALKBACK_KILLS=all WALKBACK_MATRIX=docs/src/crash-matrix.md cargo test -p walkback-tests --test matrix
//! ```
//!
//! The usual run kills at some of the steps, chosen at random.

mod cuts;
mod disks;
mod kinds;
mod power;
mod servers;
mod table;

use std::process::ExitCode;

use rand::seq::IndexedRandom as _;
use walkback_tests::{Backend, ONE_OF_EACH, Output, SERVERS, Sandbox, journeys, report};

use cuts::a_connection_that_is_cut_is_as_a_kill;
use disks::{ON_DISKS, a_full_disk_of_the_server_is_as_a_kill};
use kinds::{Kind, Seen};
use power::a_power_cut_is_as_a_kill;
use servers::{CRASHING, a_server_that_crashes_is_as_a_kill};

fn main() -> ExitCode {
    let outcome = walkback_tests::main(
        "matrix",
        &journeys! {
            ONE_OF_EACH => [
                an_up,
                an_up_outside_a_transaction,
                a_down,
                a_surgical_rollback,
                a_full_rollback,
                an_up_that_puts_back,
                a_restore,
                a_purge,
                a_backup,
                a_prune,
                a_recover_that_goes_back,
                a_recover_that_goes_forward,
            ],
            SERVERS => [a_connection_that_is_cut_is_as_a_kill],
            CRASHING => [a_server_that_crashes_is_as_a_kill],
            ON_DISKS => [a_full_disk_of_the_server_is_as_a_kill],
            &[Backend::Sqlite] => [a_power_cut_is_as_a_kill],
        },
    );
    table::publish();
    outcome
}

fn an_up(backend: Backend) {
    fill(backend, &kinds::UP);
}

fn an_up_outside_a_transaction(backend: Backend) {
    fill(backend, &kinds::LOOSE_UP);
}

fn a_down(backend: Backend) {
    fill(backend, &kinds::DOWN);
}

fn a_surgical_rollback(backend: Backend) {
    fill(backend, &kinds::SURGICAL);
}

fn a_full_rollback(backend: Backend) {
    fill(backend, &kinds::FULL);
}

fn an_up_that_puts_back(backend: Backend) {
    fill(backend, &kinds::PUT_BACK);
}

fn a_restore(backend: Backend) {
    fill(backend, &kinds::RESTORE);
}

fn a_purge(backend: Backend) {
    fill(backend, &kinds::PURGE);
}

fn a_backup(backend: Backend) {
    fill(backend, &kinds::BACKUP);
}

fn a_prune(backend: Backend) {
    fill(backend, &kinds::PRUNE);
}

fn a_recover_that_goes_back(backend: Backend) {
    fill(backend, &kinds::RECOVER_BACK);
}

fn a_recover_that_goes_forward(backend: Backend) {
    fill(backend, &kinds::RECOVER_FORWARD);
}

/// Returns whether every step is wanted.
fn everywhere() -> bool {
    std::env::var("WALKBACK_KILLS").is_ok_and(|kills| kills == "all")
}

/// How many kills a cell gets in a usual run.
fn usual_kills(backend: Backend) -> usize {
    if backend == Backend::Sqlite { 6 } else { 2 }
}

/// Fills one cell of the matrix.
fn fill(backend: Backend, kind: &Kind) {
    let twin = (kind.setup)(backend);
    let before = match kind.before {
        Some(setup) => Seen::of(&setup(backend)),
        None => Seen::of(&twin),
    };
    let steps = count_steps(&twin, kind);
    let after = Seen::of(&twin);
    assert!(steps > 2, "`{}` has hardly any durable step", kind.name);
    let all: Vec<u64> = (1..=steps).collect();
    let chosen: Vec<u64> = if everywhere() {
        all
    } else {
        all.choose_multiple(&mut rand::rng(), usual_kills(backend))
            .copied()
            .collect()
    };
    for step in chosen {
        let sandbox = (kind.setup)(backend);
        let command = kind.command(&sandbox);
        let Some(killed) = sandbox.killed_at(step, &command) else {
            // A run may have a step less than another: a chunk that is there already is not written again.
            report(&format!(
                "{} on {backend}: step {step} was not reached",
                kind.name
            ));
            continue;
        };
        table::killed(kind.name, backend);
        settle(
            &sandbox,
            kind,
            (&before, &after),
            &killed,
            &format!("killed at step {step}"),
        );
        table::recovered(kind.name, backend);
    }
}

/// Runs a command to its end, and returns how many durable steps it has.
fn count_steps(sandbox: &Sandbox, kind: &Kind) -> u64 {
    let log = sandbox.path("steps.log");
    let mut command = sandbox.command(&kind.command(sandbox));
    let output = command
        .env("WALKBACK_TEST_STEPS", &log)
        .output()
        .expect("the binary starts");
    assert!(
        output.status.success(),
        "{}: {}",
        kind.name,
        String::from_utf8_lossy(&output.stderr)
    );
    let steps = std::fs::read_to_string(&log).expect("the steps are written");
    std::fs::remove_file(&log).expect("it is there");
    u64::try_from(steps.lines().count()).expect("a small number")
}

/// Recovers, looks, and lets the run go on.
fn settle(sandbox: &Sandbox, kind: &Kind, (before, after): (&Seen, &Seen), killed: &Output, how: &str) {
    let context = || format!("{} {how}: {}", kind.name, killed.transcript());
    let recovered = sandbox.run(&["recover", "-y"]);
    assert_eq!(
        recovered.code,
        Some(0),
        "{}\n{}",
        context(),
        recovered.transcript()
    );
    let seen = Seen::of(sandbox);
    sandbox.assert_sound();
    let is_between = !(seen.is(before) || seen.is(after));
    assert!(
        !is_between || kind.may_be_between,
        "{}\nit is neither before nor after: {}",
        context(),
        seen.difference(before, after)
    );
    if kind.may_be_between {
        seen.assert_same_data(before, &context());
    }
    // What was half-done is settled: there is nothing left for this command to do, or all of it.
    if !seen.is(after) && kind.can_be_repeated {
        let again = sandbox.run(&kind.command(sandbox));
        assert_eq!(again.code, Some(0), "{}\n{}", context(), again.transcript());
        let seen = Seen::of(sandbox);
        assert!(
            seen.is(after),
            "{}\n{}",
            context(),
            seen.difference(before, after)
        );
    }
    if sandbox.path(".walkback/vault").exists() {
        let verified = sandbox.run(&["backup", "verify"]);
        assert_eq!(verified.code, Some(0), "{}\n{}", context(), verified.transcript());
    }
}
