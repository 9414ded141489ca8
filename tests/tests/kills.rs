//! Killed at any step, or at any moment: the next command finds the database before or after, never between.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::Rng as _;
use walkback_tests::{Contents, Sandbox, report};

fn project() -> Sandbox {
    Sandbox::with_project(env!("CARGO_BIN_EXE_walkback-under-test"))
}

/// Four tables with rows, three migrations to come: one additive, one destructive, one outside a transaction.
fn prepared() -> Sandbox {
    let sandbox = project();
    sandbox.migration(
        "001_begin",
        "CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT); CREATE TABLE b (id INTEGER PRIMARY KEY, y BLOB);\n\
         INSERT INTO a SELECT value, 'row ' || value FROM (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 500) SELECT value FROM n);\n\
         INSERT INTO b SELECT id, zeroblob(id % 7) FROM a; CREATE INDEX a_x ON a (x);",
        "DROP TABLE b; DROP TABLE a;",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.migration(
        "002_add",
        "CREATE TABLE c (id INTEGER PRIMARY KEY); ALTER TABLE a ADD COLUMN z INTEGER;",
        "ALTER TABLE a DROP COLUMN z; DROP TABLE c;",
    );
    sandbox.migration(
        "003_drop",
        "DROP TABLE b; UPDATE a SET x = 'changed' WHERE id % 3 = 0;",
        "",
    );
    sandbox.migration(
        "004_loose",
        "-- walkback: transaction=off\nDELETE FROM a WHERE id % 5 = 0;\nCREATE TABLE d (id INTEGER PRIMARY KEY);\nDROP INDEX a_x;",
        "",
    );
    sandbox
}

/// The states between migrations, which are all that may ever be seen.
fn states() -> BTreeMap<usize, Contents> {
    let sandbox = prepared();
    let mut states = BTreeMap::from([(1, sandbox.contents())]);
    for count in 2..=4 {
        sandbox.ok(&["up", "-n", "1", "-y"]);
        states.insert(count, sandbox.contents());
    }
    states
}

/// Kills a command at each of its steps, lets `next` follow, and checks what `expect` says about the end.
fn kill_everywhere(
    setup: impl Fn() -> Sandbox,
    arguments: &[&str],
    mut check: impl FnMut(&Sandbox, u64),
) -> u64 {
    for step in 1.. {
        let sandbox = setup();
        if sandbox.killed_at(step, arguments).is_none() {
            assert!(
                step > 3,
                "`walkback {}` has hardly any durable step",
                arguments.join(" ")
            );
            return step - 1;
        }
        check(&sandbox, step);
    }
    unreachable!("a command ends")
}

fn assert_settled(sandbox: &Sandbox, states: &BTreeMap<usize, Contents>, step: u64) {
    let recovered = sandbox.run(&["recover", "-y"]);
    assert_eq!(recovered.code, Some(0), "step {step}: {}", recovered.transcript());
    let applied = sandbox.status()["applied"].as_u64().expect("a number");
    let expected = &states[&usize::try_from(applied).expect("a small number")];
    assert_eq!(&sandbox.contents(), expected, "step {step}: {applied} applied");
    assert_eq!(sandbox.value("PRAGMA integrity_check"), "ok");
}

#[test]
fn an_up_killed_at_any_step_is_before_or_after_each_migration_and_goes_on() {
    let states = states();
    let kills = kill_everywhere(prepared, &["up", "-y"], |sandbox, step| {
        assert_settled(sandbox, &states, step);
        sandbox.ok(&["up", "-y"]);
        assert_eq!(sandbox.contents(), states[&4], "step {step}");
    });
    report(&format!("up: {kills} kills, {kills} recovered"));
}

#[test]
fn a_half_done_script_outside_a_transaction_stops_every_other_run_with_exit_4() {
    let states = states();
    let mut refused = 0;
    kill_everywhere(prepared, &["up", "-y"], |sandbox, step| {
        let output = sandbox.run(&["up", "-y"]);
        if output.code == Some(4) {
            refused += 1;
            for arguments in [&["down", "-y"][..], &["rollback", "-y"], &["goto", "base", "-y"]] {
                let output = sandbox.run(arguments);
                assert_eq!(output.code, Some(4), "step {step}: {}", output.transcript());
                assert!(
                    output.stderr.contains("walkback recover"),
                    "{}",
                    output.transcript()
                );
            }
            assert_settled(sandbox, &states, step);
        } else {
            assert_eq!(output.code, Some(0), "step {step}: {}", output.transcript());
            assert_eq!(sandbox.contents(), states[&4], "step {step}");
        }
    });
    assert!(
        refused >= 6,
        "only {refused} of the kills were inside the loose script"
    );
}

#[test]
fn a_recover_killed_at_any_step_is_done_by_the_next() {
    let states = states();
    let half_done = || {
        for step in 1.. {
            let sandbox = prepared();
            sandbox
                .killed_at(step, &["up", "-y"])
                .expect("there is a step inside the loose script");
            let shown = sandbox.run(&["recover", "--dry-run"]);
            if shown.stdout.contains("004") {
                return sandbox;
            }
        }
        unreachable!("a command ends")
    };
    let kills = kill_everywhere(half_done, &["recover", "-y"], |sandbox, step| {
        assert_settled(sandbox, &states, step)
    });
    report(&format!("recover: {kills} kills, {kills} recovered"));
}

#[test]
fn a_down_killed_at_any_step_is_before_or_after_each_migration() {
    let states = states();
    let at_two = || {
        let sandbox = prepared();
        sandbox.ok(&["up", "-n", "1", "-y"]);
        sandbox
    };
    let mut states = states;
    states.insert(0, project().contents());
    let kills = kill_everywhere(at_two, &["down", "--to", "base", "-y"], |sandbox, step| {
        assert_settled(sandbox, &states, step);
        sandbox.ok(&["goto", "base", "-y"]);
        assert_eq!(sandbox.contents(), states[&0], "step {step}");
    });
    report(&format!("down: {kills} kills, {kills} recovered"));
}

#[test]
fn a_full_rollback_killed_at_any_step_is_before_or_after_each_migration() {
    let states = states();
    let at_four = || {
        let sandbox = prepared();
        sandbox.ok(&["up", "-y"]);
        sandbox
    };
    let arguments = ["rollback", "-n", "3", "--type", "auto", "-y"];
    let kills = kill_everywhere(at_four, &arguments, |sandbox, step| {
        assert_settled(sandbox, &states, step);
        if sandbox.status()["applied"] != 1 {
            sandbox.ok(&["rollback", "--to", "001", "-y"]);
        }
        assert_eq!(sandbox.contents(), states[&1], "step {step}");
    });
    report(&format!("rollback: {kills} kills, {kills} recovered"));
}

#[test]
fn a_restore_killed_at_any_step_leaves_the_whole_old_or_the_whole_new_database() {
    let states = states();
    let with_backup = || {
        let sandbox = prepared();
        sandbox.ok(&["backup", "create"]);
        sandbox.ok(&["up", "-y"]);
        sandbox
    };
    let id = |sandbox: &Sandbox| {
        let listed = sandbox.ok(&["backup", "list", "--json"]).json();
        listed["backups"][0]["id"].as_str().expect("a backup").to_owned()
    };
    for step in 1.. {
        let sandbox = with_backup();
        let id = id(&sandbox);
        if sandbox.killed_at(step, &["restore", &id, "-y"]).is_none() {
            report(&format!("restore: {} kills, {} recovered", step - 1, step - 1));
            assert!(step > 3);
            return;
        }
        assert_settled(&sandbox, &states, step);
    }
}

#[test]
fn a_backup_killed_at_any_step_is_complete_or_not_there_and_leaves_the_database_alone() {
    let setup = || {
        let sandbox = prepared();
        sandbox.ok(&["up", "-n", "1", "-y"]);
        sandbox
    };
    let before = setup().contents();
    let kills = kill_everywhere(setup, &["backup", "create"], |sandbox, step| {
        assert_eq!(sandbox.contents(), before, "step {step}");
        let listed = sandbox.ok(&["backup", "list", "--json"]).json();
        for backup in listed["backups"].as_array().expect("a list") {
            sandbox.ok(&["backup", "verify", backup["id"].as_str().expect("an id")]);
        }
        sandbox.ok(&["backup", "create"]);
    });
    report(&format!("backup: {kills} kills, {kills} recovered"));
}

#[test]
fn a_hundred_kills_at_random_moments_of_a_fifty_migration_run_always_end_at_head() {
    let mut kills = 0;
    let mut rounds = 0;
    let mut random = rand::rng();
    while kills < 100 {
        rounds += 1;
        let sandbox = project();
        for number in 1..=50 {
            let up = format!(
                "CREATE TABLE t{number} (id INTEGER PRIMARY KEY, v TEXT);\nINSERT INTO t{number} VALUES (1, 'once');\n\
                 INSERT INTO t{number} SELECT id + 1, 'more' FROM t{};",
                if number == 1 { 1 } else { number - 1 }
            );
            sandbox.migration(
                &format!("{number:03}_step"),
                &up,
                &format!("DROP TABLE t{number};"),
            );
        }
        loop {
            let mut child = sandbox.spawn(&["up", "-y"]);
            std::thread::sleep(Duration::from_millis(random.random_range(5..400)));
            let ended = child.try_wait().expect("the child can be asked");
            child.kill().expect("the child can be killed");
            let output = child.wait_with_output().expect("the child ends");
            if ended.is_some() {
                assert!(
                    output.status.success(),
                    "{}",
                    String::from_utf8_lossy(&output.stderr)
                );
                break;
            }
            kills += 1;
        }
        sandbox.ok(&["up", "-y"]);
        let status = sandbox.status();
        assert_eq!(
            (
                status["applied"].as_u64(),
                status["pending"].as_array().map(Vec::len)
            ),
            (Some(50), Some(0))
        );
        for number in 1..=50 {
            let count = sandbox.value(&format!("SELECT count(*) FROM t{number} WHERE v = 'once'"));
            assert_eq!(count, "1", "migration {number} was applied twice or half");
        }
        assert_eq!(sandbox.value("SELECT count(*) FROM _walkback_ledger"), "50");
        assert_eq!(
            sandbox.value("SELECT count(*) FROM _walkback_runs WHERE status = 'running'"),
            "0"
        );
    }
    report(&format!(
        "{kills} kills in {rounds} runs of 50 migrations; each run ended at head"
    ));
}

#[test]
fn two_ups_at_once_apply_every_migration_once() {
    for _ in 0..10 {
        let sandbox = prepared();
        let children: Vec<_> = (0..3).map(|_| sandbox.spawn(&["up", "-y"])).collect();
        for child in children {
            let output = child.wait_with_output().expect("the child ends");
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        assert_eq!(sandbox.value("SELECT count(*) FROM _walkback_ledger"), "4");
        let runs = "SELECT count(*) FROM _walkback_statements WHERE migration = '004' AND direction = 'up'";
        assert_eq!(sandbox.value(runs), "3");
    }
}

#[test]
fn a_half_done_script_without_a_point_is_named_and_settled_by_a_person() {
    let half_done = |step| {
        let sandbox = project();
        sandbox.write(
            "walkback.toml",
            "[env.dev]\nurl = \"sqlite:app.db\"\nstores = []\n",
        );
        sandbox.migration(
            "001_loose",
            "-- walkback: transaction=off\nCREATE TABLE a (x);\nINSERT INTO a VALUES (1);\nCREATE TABLE b (x);",
            "",
        );
        sandbox.killed_at(step, &["up", "-y"])?;
        Some(sandbox)
    };
    let mut named = 0;
    for step in 1.. {
        let Some(sandbox) = half_done(step) else { break };
        let recover = sandbox.run(&["recover", "-y"]);
        if recover.code == Some(0) {
            continue;
        }
        named += 1;
        assert_eq!(recover.code, Some(4), "{}", recover.transcript());
        assert!(
            recover.stderr.contains("001") && recover.stderr.contains("walkback stamp"),
            "{}",
            recover.transcript()
        );
        sandbox.sql("DROP TABLE IF EXISTS a; DROP TABLE IF EXISTS b");
        sandbox.ok(&["stamp", "base", "-y"]);
        sandbox.ok(&["up", "-y"]);
        assert_eq!(sandbox.contents().rows.len(), 2);
    }
    assert!(named >= 4, "only {named} of the kills were inside the script");
}

#[test]
fn a_recover_waits_for_a_run_that_is_alive() {
    let sandbox = project();
    let slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) INSERT INTO a SELECT i FROM n;";
    sandbox.migration(
        "001_loose",
        &format!("-- walkback: transaction=off\nCREATE TABLE a (x);\n{slow}"),
        "",
    );
    let mut child = sandbox.spawn(&["up", "-y"]);
    while !sandbox
        .run(&["recover", "--dry-run", "--lock-timeout", "1ms"])
        .stderr
        .contains("walkback up")
    {
        assert!(
            child.try_wait().expect("the child can be asked").is_none(),
            "the script is too fast to be caught"
        );
    }
    let recover = sandbox.run(&["recover", "-y"]);
    assert!(child.wait().expect("the child ends").success());
    assert_eq!(recover.code, Some(0), "{}", recover.transcript());
    assert_eq!(sandbox.value("SELECT count(*) FROM a"), "2000000");
    assert_eq!(sandbox.status()["applied"], 1);
}
