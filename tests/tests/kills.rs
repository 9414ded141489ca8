//! Killed at any step, or at any moment: the next command finds the database before or after, never between.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use rand::Rng as _;
use walkback_tests::{Backend, Contents, ONE_OF_EACH, Sandbox, journeys, report};

fn main() -> ExitCode {
    walkback_tests::main(
        "kills",
        &journeys! {
            ONE_OF_EACH => [
                an_up_killed_at_any_step_is_before_or_after_each_migration_and_goes_on,
                a_half_done_script_outside_a_transaction_stops_every_other_run_with_exit_4,
                a_recover_killed_at_any_step_is_done_by_the_next,
                a_half_done_script_goes_forward_where_that_is_asked_for,
                a_recover_that_goes_forward_may_be_killed_at_any_step,
                going_forward_again_takes_up_what_the_first_try_left,
                a_down_killed_at_any_step_is_before_or_after_each_migration,
                a_full_rollback_killed_at_any_step_is_before_or_after_each_migration,
                a_restore_killed_at_any_step_leaves_the_whole_old_or_the_whole_new_database,
                a_backup_killed_at_any_step_is_complete_or_not_there_and_leaves_the_database_alone,
                kills_at_random_moments_of_a_long_run_always_end_at_head,
                a_half_done_script_without_a_point_is_named_and_settled_by_a_person,
                a_recover_waits_for_a_run_that_is_alive,
            ],
        },
    )
}

fn project(backend: Backend) -> Sandbox {
    Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"))
}

/// Two tables with rows, three migrations to come: one additive, one destructive, one outside a transaction.
fn prepared(backend: Backend) -> Sandbox {
    let sandbox = project(backend);
    let bytes = backend.bytes_type();
    sandbox.migration(
        "001_begin",
        &format!(
            "CREATE TABLE a (id INTEGER PRIMARY KEY, x VARCHAR(40)); CREATE TABLE b (id INTEGER PRIMARY KEY, y {bytes});\n\
             INSERT INTO a SELECT i, CONCAT('row ', i) FROM {};\n\
             INSERT INTO b SELECT id, {} FROM a; CREATE INDEX a_x ON a (x);",
            backend.numbers(300),
            backend.bytes("00ff41")
        ),
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
    let index = if backend.is_postgres() {
        "CREATE INDEX CONCURRENTLY a_both ON a (id, x);\n"
    } else {
        ""
    };
    sandbox.migration(
        "004_loose",
        &format!(
            "-- walkback: transaction=off\nDELETE FROM a WHERE id % 5 = 0;\n{index}CREATE TABLE d (id INTEGER PRIMARY KEY);\n{};",
            backend.drop_index("a_x", "a")
        ),
        "",
    );
    sandbox
}

/// The states between migrations, which are all that may ever be seen.
fn states(backend: Backend) -> BTreeMap<usize, Contents> {
    let sandbox = prepared(backend);
    let mut states = BTreeMap::from([(1, sandbox.contents())]);
    for count in 2..=4 {
        sandbox.ok(&["up", "-n", "1", "-y"]);
        states.insert(count, sandbox.contents());
    }
    states
}

/// Returns every how many steps to kill. `WALKBACK_KILLS=all` kills at every step everywhere; without it a run
/// on PostgreSQL, whose migrations are transactions as on SQLite, and on MariaDB, which takes the steps of MySQL,
/// takes each third, from a random one.
fn stride(backend: Backend) -> usize {
    match backend {
        _ if std::env::var("WALKBACK_KILLS").is_ok_and(|kills| kills == "all") => 1,
        Backend::Sqlite | Backend::Mysql => 1,
        Backend::Postgres | Backend::PostgresNewest | Backend::Mariadb => 3,
    }
}

/// Kills a command at each of its steps, lets `check` follow, and returns how many kills there were. From the
/// second version of a server on only each `stride`-th step is taken, from a random one.
fn kill_everywhere(
    setup: impl Fn() -> Sandbox,
    arguments: impl Fn(&Sandbox) -> Vec<String>,
    stride: usize,
    mut check: impl FnMut(&Sandbox, u64),
) -> usize {
    let first = rand::rng().random_range(1..=stride);
    let mut kills = 0;
    for step in (1..).skip(first - 1).step_by(stride) {
        let sandbox = setup();
        let arguments = arguments(&sandbox);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        if sandbox.killed_at(step, &arguments).is_none() {
            assert!(
                step > 3,
                "`walkback {}` has hardly any durable step",
                arguments.join(" ")
            );
            break;
        }
        kills += 1;
        check(&sandbox, step);
    }
    kills
}

fn words(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|&word| word.to_owned()).collect()
}

fn assert_settled(sandbox: &Sandbox, states: &BTreeMap<usize, Contents>, step: u64) {
    let recovered = sandbox.run(&["recover", "-y"]);
    assert_eq!(recovered.code, Some(0), "step {step}: {}", recovered.transcript());
    let applied = sandbox.status()["applied"].as_u64().expect("a number");
    let expected = &states[&usize::try_from(applied).expect("a small number")];
    sandbox.assert_contents(expected, &format!("step {step}: {applied} applied"));
    sandbox.assert_sound();
}

fn an_up_killed_at_any_step_is_before_or_after_each_migration_and_goes_on(backend: Backend) {
    let states = states(backend);
    let up = |_: &Sandbox| words(&["up", "-y"]);
    let kills = kill_everywhere(
        || prepared(backend),
        up,
        stride(backend),
        |sandbox, step| {
            assert_settled(sandbox, &states, step);
            sandbox.ok(&["up", "-y"]);
            sandbox.assert_contents(&states[&4], &format!("step {step}"));
        },
    );
    report(&format!("up on {backend}: {kills} kills, {kills} recovered"));
}

fn a_half_done_script_outside_a_transaction_stops_every_other_run_with_exit_4(backend: Backend) {
    let states = states(backend);
    let mut refused = 0;
    let stride = if backend == Backend::Sqlite { 1 } else { 3 };
    let up = |_: &Sandbox| words(&["up", "-y"]);
    kill_everywhere(
        || prepared(backend),
        up,
        stride,
        |sandbox, step| {
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
                sandbox.assert_contents(&states[&4], &format!("step {step}"));
            }
        },
    );
    assert!(
        refused >= 6 / stride,
        "only {refused} of the kills were inside the loose script"
    );
}

/// Returns the first step of `up` at which a kill leaves what `recover` describes like this. It is the same each time: the
/// run is the same, and so are its steps.
fn first_step_of_up(backend: Backend, is_it: impl Fn(&str) -> bool) -> u64 {
    let is_found = |step: &u64| {
        let sandbox = prepared(backend);
        sandbox
            .killed_at(*step, &["up", "-y"])
            .expect("there is a step inside the loose script");
        is_it(&sandbox.run(&["recover", "--dry-run"]).stdout)
    };
    (1..).find(is_found).expect("the loose script is reached")
}

fn a_recover_killed_at_any_step_is_done_by_the_next(backend: Backend) {
    let states = states(backend);
    let inside = first_step_of_up(backend, |found| found.contains("004"));
    let half_done = || {
        let sandbox = prepared(backend);
        sandbox
            .killed_at(inside + 2, &["up", "-y"])
            .expect("the steps are the same each time");
        sandbox
    };
    let recover = |_: &Sandbox| words(&["recover", "-y"]);
    let kills = kill_everywhere(half_done, recover, stride(backend), |sandbox, step| {
        assert_settled(sandbox, &states, step);
    });
    report(&format!("recover on {backend}: {kills} kills, {kills} recovered"));
}

/// Goes forward if that can be, else back, and says whether it went forward.
fn forward_or_back(sandbox: &Sandbox, states: &BTreeMap<usize, Contents>, step: u64) -> bool {
    let forward = sandbox.run(&["recover", "--forward", "-y"]);
    if forward.code == Some(0) {
        assert_settled(sandbox, states, step);
        return true;
    }
    assert_eq!(forward.code, Some(4), "step {step}: {}", forward.transcript());
    let why = "cannot go forward";
    assert!(forward.stderr.contains(why), "{}", forward.transcript());
    sandbox.ok(&["recover", "--back", "-y"]);
    assert_settled(sandbox, states, step);
    false
}

fn a_half_done_script_goes_forward_where_that_is_asked_for(backend: Backend) {
    let states = states(backend);
    let (mut forward, mut back) = (0, 0);
    let up = |_: &Sandbox| words(&["up", "-y"]);
    kill_everywhere(
        || prepared(backend),
        up,
        stride(backend),
        |sandbox, step| {
            if !sandbox
                .run(&["recover", "--dry-run"])
                .stdout
                .contains("in the middle of")
            {
                return;
            }
            match forward_or_back(sandbox, &states, step) {
                true => forward += 1,
                false => back += 1,
            }
            // What went forward is walked back as what was never killed.
            sandbox.ok(&["up", "-y"]);
            sandbox.assert_contents(&states[&4], &format!("step {step}"));
            sandbox.ok(&["rollback", "--to", "003", "-y", "--allow-lossy"]);
            sandbox.assert_contents(&states[&3], &format!("step {step}, walked back"));
        },
    );
    assert!(forward > 0, "none of the kills went forward");
    report(&format!(
        "half-done on {backend}: {forward} went forward, {back} only back"
    ));
}

/// Kills a command at a step by its name.
fn killed_at_step(sandbox: &Sandbox, step: &str, arguments: &[&str]) {
    let mut command = sandbox.command(arguments);
    let output = command.env("WALKBACK_TEST_KILL_AT", step).output();
    assert!(
        !output.expect("the binary starts").status.success(),
        "{step} was not reached"
    );
}

fn going_forward_again_takes_up_what_the_first_try_left(backend: Backend) {
    let states = states(backend);
    for first in ["statement.intent 2", "statement.intent 3"] {
        let sandbox = prepared(backend);
        sandbox.ok(&["up", "-n", "2", "-y"]);
        killed_at_step(&sandbox, first, &["up", "-y"]);
        for step in [
            "forward.taken-back",
            "forward.begun",
            "forward.begun",
            "statement.intent",
        ] {
            killed_at_step(&sandbox, step, &["recover", "--forward", "-y"]);
        }
        sandbox.ok(&["recover", "--forward", "-y"]);
        sandbox.assert_contents(&states[&4], first);
        assert_eq!(sandbox.status()["applied"], 4);
    }
}

fn a_recover_that_goes_forward_may_be_killed_at_any_step(backend: Backend) {
    let states = states(backend);
    let inside = first_step_of_up(backend, |found| {
        found.contains("in the middle of `004`") && found.contains("(done)")
    });
    let half_done = || {
        let sandbox = prepared(backend);
        sandbox
            .killed_at(inside, &["up", "-y"])
            .expect("the steps are the same each time");
        sandbox
    };
    let recover = |_: &Sandbox| words(&["recover", "--forward", "-y"]);
    let kills = kill_everywhere(half_done, recover, stride(backend), |sandbox, step| {
        forward_or_back(sandbox, &states, step);
    });
    report(&format!(
        "recover --forward on {backend}: {kills} kills, {kills} recovered"
    ));
}

fn a_down_killed_at_any_step_is_before_or_after_each_migration(backend: Backend) {
    let mut states = states(backend);
    states.insert(0, project(backend).contents());
    let at_two = || {
        let sandbox = prepared(backend);
        sandbox.ok(&["up", "-n", "1", "-y"]);
        sandbox
    };
    let down = |_: &Sandbox| words(&["down", "--to", "base", "-y"]);
    let kills = kill_everywhere(at_two, down, stride(backend), |sandbox, step| {
        assert_settled(sandbox, &states, step);
        sandbox.ok(&["goto", "base", "-y"]);
        sandbox.assert_contents(&states[&0], &format!("step {step}"));
    });
    report(&format!("down on {backend}: {kills} kills, {kills} recovered"));
}

fn a_full_rollback_killed_at_any_step_is_before_or_after_each_migration(backend: Backend) {
    let states = states(backend);
    let at_four = || {
        let sandbox = prepared(backend);
        sandbox.ok(&["up", "-y"]);
        sandbox
    };
    let rollback = |_: &Sandbox| words(&["rollback", "-n", "3", "--type", "auto", "-y"]);
    let kills = kill_everywhere(at_four, rollback, stride(backend), |sandbox, step| {
        assert_settled(sandbox, &states, step);
        if sandbox.status()["applied"] != 1 {
            sandbox.ok(&["rollback", "--to", "001", "-y"]);
        }
        sandbox.assert_contents(&states[&1], &format!("step {step}"));
    });
    report(&format!(
        "rollback on {backend}: {kills} kills, {kills} recovered"
    ));
}

fn a_restore_killed_at_any_step_leaves_the_whole_old_or_the_whole_new_database(backend: Backend) {
    let states = states(backend);
    let with_backup = || {
        let sandbox = prepared(backend);
        sandbox.ok(&["backup", "create"]);
        sandbox.ok(&["up", "-y"]);
        sandbox
    };
    let restore = |sandbox: &Sandbox| {
        let listed = sandbox.ok(&["backup", "list", "--json"]).json();
        let id = listed["backups"][0]["id"].as_str().expect("a backup");
        words(&["restore", id, "-y"])
    };
    let kills = kill_everywhere(with_backup, restore, stride(backend), |sandbox, step| {
        assert_settled(sandbox, &states, step);
    });
    report(&format!("restore on {backend}: {kills} kills, {kills} recovered"));
}

fn a_backup_killed_at_any_step_is_complete_or_not_there_and_leaves_the_database_alone(backend: Backend) {
    let setup = || {
        let sandbox = prepared(backend);
        sandbox.ok(&["up", "-n", "1", "-y"]);
        sandbox
    };
    let before = setup().contents();
    let backup = |_: &Sandbox| words(&["backup", "create"]);
    let kills = kill_everywhere(setup, backup, stride(backend), |sandbox, step| {
        sandbox.assert_contents(&before, &format!("step {step}"));
        let listed = sandbox.ok(&["backup", "list", "--json"]).json();
        for backup in listed["backups"].as_array().expect("a list") {
            sandbox.ok(&["backup", "verify", backup["id"].as_str().expect("an id")]);
        }
        sandbox.ok(&["backup", "create"]);
    });
    report(&format!("backup on {backend}: {kills} kills, {kills} recovered"));
}

/// A hundred kills of fifty migrations, and fewer on a server.
fn kills_at_random_moments_of_a_long_run_always_end_at_head(backend: Backend) {
    // A server takes longer for each migration: killed too soon each time, a run would hardly get on.
    let (wanted, count, longest) = if backend == Backend::Sqlite {
        (100, 50, 400)
    } else {
        (12, 20, 1500)
    };
    let mut kills = 0;
    let mut rounds = 0;
    let mut random = rand::rng();
    while kills < wanted {
        rounds += 1;
        let sandbox = project(backend);
        for number in 1..=count {
            let up = format!(
                "CREATE TABLE t{number} (id INTEGER PRIMARY KEY, v VARCHAR(9));\nINSERT INTO t{number} VALUES (1, 'once');\n\
                 INSERT INTO t{number} SELECT id + 1, 'more' FROM t{0} WHERE id < 5;",
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
            std::thread::sleep(Duration::from_millis(random.random_range(5..longest)));
            let ended = child.try_wait().expect("the child can be asked");
            child.kill().expect("the child can be killed");
            let output = child.wait_with_output().expect("the child ends");
            if ended.is_some() {
                let said = String::from_utf8_lossy(&output.stderr);
                if output.status.code() != Some(4) {
                    assert!(output.status.success(), "{said}");
                    break;
                }
                // Where definitions are final at once, a kill can leave a script half done.
                sandbox.ok(&["recover", "-y"]);
            } else {
                kills += 1;
            }
        }
        sandbox.ok(&["up", "-y"]);
        let status = sandbox.status();
        assert_eq!(
            (
                status["applied"].as_u64(),
                status["pending"].as_array().map(Vec::len)
            ),
            (Some(count), Some(0))
        );
        let mut session = sandbox.session();
        for number in 1..=count {
            let once = session.value(&format!("SELECT count(*) FROM t{number} WHERE v = 'once'"));
            assert_eq!(once, "1", "migration {number} was applied twice or half");
        }
        let ledger = session.value("SELECT count(*) FROM _walkback_ledger");
        assert_eq!(ledger, count.to_string());
        assert_eq!(
            session.value("SELECT count(*) FROM _walkback_runs WHERE status = 'running'"),
            "0"
        );
    }
    report(&format!(
        "{kills} kills in {rounds} runs of {count} migrations on {backend}; each run ended at head"
    ));
}

fn a_half_done_script_without_a_point_is_named_and_settled_by_a_person(backend: Backend) {
    let half_done = |step| {
        let sandbox = project(backend);
        sandbox.write(
            "walkback.toml",
            &format!("[env.dev]\nurl = \"{}\"\nstores = []\n", sandbox.url()),
        );
        sandbox.migration("001_begin", "CREATE TABLE a (x INTEGER);", "");
        sandbox.ok(&["up", "-y"]);
        // Rows of a table that was there before: nothing but a point would bring them back.
        sandbox.migration(
            "002_loose",
            "-- walkback: transaction=off\nINSERT INTO a VALUES (1);\nINSERT INTO a VALUES (2);\nCREATE TABLE b (x INTEGER);",
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
            recover.stderr.contains("002") && recover.stderr.contains("walkback stamp"),
            "{}",
            recover.transcript()
        );
        sandbox.sql("DELETE FROM a; DROP TABLE IF EXISTS b");
        sandbox.ok(&["stamp", "001", "-y"]);
        sandbox.ok(&["up", "-y"]);
        assert_eq!(sandbox.value("SELECT count(*) FROM a"), "2");
        assert_eq!(sandbox.contents().rows.len(), 2);
    }
    assert!(named >= 2, "only {named} of the kills were inside the script");
}

fn a_recover_waits_for_a_run_that_is_alive(backend: Backend) {
    let sandbox = project(backend);
    let slow = match backend {
        Backend::Sqlite => {
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) INSERT INTO a SELECT i FROM n"
        }
        Backend::Postgres | Backend::PostgresNewest => "SELECT pg_sleep(4)",
        Backend::Mysql | Backend::Mariadb => "INSERT INTO a SELECT SLEEP(4)",
    };
    sandbox.migration(
        "001_loose",
        &format!("-- walkback: transaction=off\nCREATE TABLE a (x INTEGER);\n{slow};\nCREATE TABLE done (x INTEGER);"),
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
    assert_eq!(sandbox.value("SELECT count(*) FROM done"), "0");
    assert_eq!(sandbox.status()["applied"], 1);
}
