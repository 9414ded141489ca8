//! Backups of a large table, while others write to it, and after little of it has changed.

use std::fs;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use walkback_tests::{Backend, ONE_OF_EACH, Sandbox, journeys, report};

fn main() -> ExitCode {
    walkback_tests::main(
        "vault_writers",
        &journeys! {
            ONE_OF_EACH => [
                a_large_table_is_backed_up_as_it_was_at_one_moment_while_another_process_writes,
                a_backup_after_one_row_in_a_hundred_has_changed_writes_about_that_much,
            ],
        },
    )
}

fn project(backend: Backend) -> Sandbox {
    Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"))
}

/// Returns how many rows a large table has: five million with `WALKBACK_JOURNEYS=all`.
fn many() -> u64 {
    let all = std::env::var("WALKBACK_JOURNEYS").is_ok_and(|which| which == "all");
    if all { 5_000_000 } else { 200_000 }
}

/// How many rows an application adds in one transaction.
const BATCH: u64 = 10;

/// A large table of accounts, and one row that says how many batches there are and what all accounts hold.
fn filled(backend: Backend) -> Sandbox {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE account (id INTEGER PRIMARY KEY, batch INTEGER NOT NULL, amount INTEGER NOT NULL, note VARCHAR(60));\n\
         CREATE TABLE tally (id INTEGER PRIMARY KEY, batches INTEGER NOT NULL, total INTEGER NOT NULL);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let (many, step) = (many(), 200_000);
    for begin in (0..many).step_by(200_000) {
        sandbox.sql(&format!(
            "INSERT INTO account SELECT {begin} + i, 0, 100, CONCAT('account number ', {begin} + i) FROM {}",
            backend.numbers(step)
        ));
    }
    sandbox.sql(&format!("INSERT INTO tally VALUES (1, 0, {})", many * 100));
    sandbox
}

/// What holds after each transaction of the application, as queries that give the same number.
fn assert_one_moment(sandbox: &Sandbox) -> u64 {
    let number = |sql: &str| sandbox.value(sql).parse::<u64>().expect("a number");
    let batches = number("SELECT batches FROM tally");
    assert_eq!(number("SELECT count(*) FROM account"), many() + batches * BATCH);
    assert_eq!(number("SELECT max(batch) FROM account"), batches);
    assert_eq!(number("SELECT count(DISTINCT batch) FROM account"), batches + 1);
    assert_eq!(
        number("SELECT CAST(sum(amount) AS DECIMAL(20, 0)) FROM account"),
        number("SELECT total FROM tally")
    );
    batches
}

/// Writes one transaction: a batch of new rows, a transfer between two old ones, and the tally of both.
fn write(sandbox: &Sandbox, batch: u64) -> Result<(), String> {
    let first = many() + (batch - 1) * BATCH;
    let rows: Vec<_> = (1..=BATCH)
        .map(|row| format!("({}, {batch}, 7, 'new')", first + row))
        .collect();
    let (from, to) = (batch * 7919 % many() + 1, batch * 104_729 % many() + 1);
    sandbox.session().try_sql(&format!(
        "BEGIN; UPDATE account SET amount = amount - 1 WHERE id = {from}; UPDATE account SET amount = amount + 1 WHERE id = {to}; \
         INSERT INTO account VALUES {}; UPDATE tally SET batches = {batch}, total = total + {}; COMMIT",
        rows.join(", "),
        BATCH * 7
    ))
}

/// Returns what the tables of a backup add up to.
fn fingerprints(sandbox: &Sandbox, id: &str) -> Vec<(Value, Value, Value)> {
    let point = sandbox.ok(&["backup", "show", id, "--json"]).json()["point"].clone();
    let tables = point["tables"].as_array().expect("a list");
    let print = |table: &Value| {
        (
            table["table"].clone(),
            table["rows"].clone(),
            table["fingerprint"].clone(),
        )
    };
    tables.iter().map(print).collect()
}

fn a_large_table_is_backed_up_as_it_was_at_one_moment_while_another_process_writes(backend: Backend) {
    let sandbox = filled(backend);
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let id = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let batch = written.load(Ordering::Relaxed) + 1;
                match write(&sandbox, batch) {
                    Ok(()) => written.store(batch, Ordering::Relaxed),
                    // The file is locked for a moment, and the next attempt is the same.
                    Err(error) => assert!(error.contains("locked"), "{error}"),
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        while written.load(Ordering::Relaxed) < 3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let id = sandbox.backup();
        stop.store(true, Ordering::Relaxed);
        id
    });
    let written = written.load(Ordering::Relaxed);
    let elsewhere = project(backend);
    fs::remove_dir_all(elsewhere.path("migrations")).expect("it can be removed");
    std::os::unix::fs::symlink(sandbox.path("migrations"), elsewhere.path("migrations"))
        .expect("a link can be made");
    std::os::unix::fs::symlink(sandbox.path(".walkback"), elsewhere.path(".walkback"))
        .expect("a link can be made");
    elsewhere.ok(&["restore", &id, "-y"]);
    let batches = assert_one_moment(&elsewhere);
    assert!((3..=written).contains(&batches), "{batches} of {written}");
    let again = elsewhere.backup();
    assert_eq!(fingerprints(&elsewhere, &again), fingerprints(&sandbox, &id));
    report(&format!(
        "{backend}: {} rows backed up while {written} transactions were written; the backup holds the first {batches}",
        many()
    ));
}

fn stored(sandbox: &Sandbox) -> u64 {
    let files = sandbox.vault_files("objects");
    files
        .iter()
        .map(|file| fs::metadata(file).expect("it is there").len())
        .sum()
}

fn a_backup_after_one_row_in_a_hundred_has_changed_writes_about_that_much(backend: Backend) {
    let sandbox = filled(backend);
    let empty = stored(&sandbox);
    let _first = sandbox.backup();
    let whole = stored(&sandbox) - empty;
    let _same = sandbox.backup();
    assert_eq!(
        stored(&sandbox) - empty,
        whole,
        "a backup of what has not changed"
    );
    let (rows, middle) = (many() / 100, many() / 2);
    sandbox.sql(&format!(
        "UPDATE account SET amount = amount + 1 WHERE id > {middle} AND id <= {}",
        middle + rows
    ));
    let _changed = sandbox.backup();
    let added = stored(&sandbox) - empty - whole;
    // The chunks at both ends of what has changed hold rows that have not.
    let share = added as f64 / whole as f64;
    report(&format!(
        "{backend}: 1 % of {} rows changed, {added} bytes written, {:.2} % of the first backup",
        many(),
        share * 100.0
    ));
    assert!(
        share < 0.01 + 4.0 / chunk_count(&sandbox) + 0.005,
        "{added} of {whole} bytes"
    );
}

fn chunk_count(sandbox: &Sandbox) -> f64 {
    u32::try_from(sandbox.vault_files("objects").len()).map_or(f64::MAX, f64::from)
}
