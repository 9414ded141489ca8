//! What a restore replaces stays in tables of its own until its deadline, and a purge drops it for good.

use std::process::ExitCode;

use walkback_tests::{Backend, ONE_OF_EACH, Sandbox, awkward, journeys};

fn main() -> ExitCode {
    walkback_tests::main(
        "kept",
        &journeys! {
            ONE_OF_EACH => [
                the_rows_that_a_restore_replaces_can_be_read_until_they_are_purged,
                what_is_kept_stands_in_the_way_of_no_later_migration,
                a_purge_drops_only_what_has_passed_its_deadline,
                nothing_is_kept_where_the_configuration_says_so,
                a_restore_that_fails_keeps_nothing,
                a_full_rollback_keeps_what_was_written_since,
            ],
            &[Backend::Postgres] => [types_of_peoples_own_can_be_dropped_while_their_values_are_kept],
        },
    )
}

fn project(backend: Backend) -> Sandbox {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(20)); INSERT INTO t VALUES (1, 'x'), (2, 'y');",
        "DROP TABLE t;",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox
}

/// Changes the configured time that replaced rows are kept.
fn keep_for(sandbox: &Sandbox, time: &str) {
    let path = sandbox.path("walkback.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let changed = text.replacen(
        "[env.dev]\n",
        &format!("[env.dev]\nsoft_delete = \"{time}\"\n"),
        1,
    );
    assert_ne!(text, changed, "{text}");
    std::fs::write(&path, changed).unwrap();
}

fn kept(sandbox: &Sandbox) -> Vec<serde_json::Value> {
    let plan = sandbox.ok(&["purge", "--dry-run", "--json"]).json();
    let groups = [&plan["plan"]["drop"], &plan["plan"]["stays"]];
    groups
        .iter()
        .flat_map(|group| group.as_array().expect("a list").clone())
        .collect()
}

fn name(kept: &serde_json::Value) -> String {
    kept["table"]["name"]
        .as_str()
        .unwrap_or_else(|| kept["table"].as_str().unwrap())
        .to_owned()
}

fn the_rows_that_a_restore_replaces_can_be_read_until_they_are_purged(backend: Backend) {
    let sandbox = project(backend);
    let backup = sandbox.backup();
    sandbox.sql("INSERT INTO t VALUES (3, 'written since')");
    let before = sandbox.contents();
    let output = sandbox.ok(&["restore", &backup, "-y"]);
    assert!(
        output.stdout.contains("stays in 1 table until"),
        "{}",
        output.transcript()
    );
    let kept = kept(&sandbox);
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(
        (kept[0]["replaced"].as_str(), kept[0]["rows"].as_u64()),
        (Some("t"), Some(3))
    );
    let table = name(&kept[0]);
    let read = format!("SELECT a FROM {table} WHERE id = 3");
    assert_eq!(sandbox.value(&read), "written since");
    let listed = sandbox.ok(&["purge"]);
    assert!(
        listed.stdout.contains("nothing to purge"),
        "{}",
        listed.transcript()
    );
    assert!(listed.stdout.contains(&table), "{}", listed.transcript());
    let refused = sandbox.run(&["purge", "--all"]);
    assert_eq!(refused.code, Some(6), "{}", refused.transcript());
    assert_eq!(sandbox.value(&read), "written since");
    let purged = sandbox.ok(&["purge", "--all", "-y"]);
    assert!(
        purged.stdout.contains("dropped 1 table for good"),
        "{}",
        purged.transcript()
    );
    assert!(self::kept(&sandbox).is_empty());
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "the safety point still holds all of it");
}

fn what_is_kept_stands_in_the_way_of_no_later_migration(backend: Backend) {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration("001_begin", awkward::tables(backend), "");
    sandbox.ok(&["up", "-y"]);
    sandbox.sql(awkward::rows(backend));
    let backup = sandbox.backup();
    let before = sandbox.contents();
    sandbox.ok(&["restore", &backup, "-y"]);
    sandbox.assert_contents(&before, "after the restore");
    assert!(!kept(&sandbox).is_empty());
    sandbox.migration("002_drop", awkward::destruction(backend), "");
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "after a migration and its rollback");
    sandbox.ok(&["purge", "--all", "-y"]);
    sandbox.assert_contents(&before, "after the purge");
    sandbox.assert_sound();
}

fn a_purge_drops_only_what_has_passed_its_deadline(backend: Backend) {
    let sandbox = project(backend);
    let backup = sandbox.backup();
    sandbox.ok(&["restore", &backup, "-y"]);
    let long = name(&kept(&sandbox)[0]);
    keep_for(&sandbox, "1ms");
    sandbox.ok(&["restore", &backup, "-y"]);
    assert_eq!(kept(&sandbox).len(), 2);
    sandbox.ok(&["purge", "-y"]);
    let left = kept(&sandbox);
    assert_eq!(left.iter().map(name).collect::<Vec<_>>(), [long]);
    let audit = sandbox.ok(&["audit", "--json"]).json();
    assert!(audit.to_string().contains("_walkback_kept_"), "{audit}");
}

fn nothing_is_kept_where_the_configuration_says_so(backend: Backend) {
    let sandbox = project(backend);
    let backup = sandbox.backup();
    keep_for(&sandbox, "0s");
    let output = sandbox.ok(&["restore", &backup, "-y"]);
    assert!(!output.stdout.contains("stays in"), "{}", output.transcript());
    assert!(kept(&sandbox).is_empty());
}

fn a_restore_that_fails_keeps_nothing(backend: Backend) {
    let sandbox = project(backend);
    let backup = sandbox.backup();
    sandbox.sql("INSERT INTO t VALUES (3, 'new')");
    sandbox.sql("CREATE TABLE child (t_id INTEGER NOT NULL, FOREIGN KEY (t_id) REFERENCES t (id))");
    sandbox.sql("INSERT INTO child VALUES (3)");
    let before = sandbox.contents();
    let output = sandbox.run(&["restore", &backup, "--table", "t", "-y"]);
    assert_eq!(output.code, Some(1), "{}", output.transcript());
    sandbox.assert_contents(&before, "");
    assert!(kept(&sandbox).is_empty());
}

fn a_full_rollback_keeps_what_was_written_since(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("002_change", "UPDATE t SET a = upper(a);", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO t VALUES (3, 'since')");
    sandbox.ok(&["rollback", "-n", "1", "--type", "full", "-y"]);
    let kept = kept(&sandbox);
    assert_eq!(kept.len(), 1, "{kept:?}");
    let read = format!("SELECT a FROM {} WHERE id = 3", name(&kept[0]));
    assert_eq!(sandbox.value(&read), "since");
}

fn types_of_peoples_own_can_be_dropped_while_their_values_are_kept(backend: Backend) {
    let sandbox = project(backend);
    sandbox.sql("CREATE TYPE mood AS ENUM ('ok', 'bad')");
    sandbox.sql("CREATE TABLE m (id INTEGER PRIMARY KEY, mood mood, moods mood[])");
    sandbox.sql("INSERT INTO m VALUES (1, 'ok', '{ok,bad}')");
    let backup = sandbox.backup();
    sandbox.ok(&["restore", &backup, "--table", "m", "-y"]);
    let table = name(&kept(&sandbox)[0]);
    sandbox.sql("DROP TABLE m");
    sandbox.sql("DROP TYPE mood");
    assert_eq!(sandbox.value(&format!("SELECT moods FROM {table}")), "{ok,bad}");
}
