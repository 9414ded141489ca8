//! Two runs at once, and tables that somebody else holds.

use std::io::{BufRead as _, BufReader};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use walkback_tests::{Backend, ONE_OF_EACH, SERVERS, Sandbox, journeys, report};

fn main() -> ExitCode {
    walkback_tests::main(
        "locks",
        &journeys! {
            ONE_OF_EACH => [
                two_ups_at_once_apply_every_migration_once_fifty_times_over,
                three_ups_at_once_wait_for_each_other,
            ],
            SERVERS => [
                a_table_that_another_session_holds_stops_the_run_and_names_who_holds_it,
                a_table_that_is_let_go_in_time_is_waited_for,
                a_deadlock_is_tried_again,
                a_down_that_never_gets_its_table_leaves_all_as_it_was,
                a_table_that_is_let_go_between_two_tries_is_changed,
                a_serialization_failure_is_tried_again,
            ],
        },
    )
}

fn project(backend: Backend) -> Sandbox {
    Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"))
}

fn two_ups_at_once_apply_every_migration_once_fifty_times_over(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("000_begin", "CREATE TABLE counted (n INTEGER);", "");
    sandbox.ok(&["up", "-y"]);
    // A second version of a server locks as the first does.
    let rounds = if backend == Backend::PostgresNewest {
        10
    } else {
        50
    };
    let (mut waited, mut refused) = (0, 0);
    for round in 1..=rounds {
        // A table now and then: each makes the schema larger, and every run slower.
        let table = if round % 5 == 0 {
            format!("\nCREATE TABLE t{round} (id INTEGER PRIMARY KEY);")
        } else {
            String::new()
        };
        sandbox.migration(
            &format!("{round:03}_step"),
            &format!("INSERT INTO counted VALUES ({round});{table}"),
            &format!("DELETE FROM counted WHERE n = {round};"),
        );
        // Every other pair has one that does not wait.
        let impatient: &[&str] = &["up", "-y", "--lock-timeout", "1ms"];
        let second = if round % 2 == 0 { &["up", "-y"] } else { impatient };
        let children = [sandbox.spawn(&["up", "-y"]), sandbox.spawn(second)];
        for (child, patient) in children.into_iter().zip([true, round % 2 == 0]) {
            let output = child.wait_with_output().expect("the child ends");
            let said = String::from_utf8_lossy(&output.stderr);
            match output.status.code() {
                Some(0) => waited += usize::from(said.contains("waiting for the lock")),
                Some(5) if !patient => {
                    assert!(
                        said.contains("held by walkback up by") || said.contains("held by connection "),
                        "{backend}: {said}"
                    );
                    refused += 1;
                }
                code => panic!("{backend}, round {round}: exit {code:?}: {said}"),
            }
        }
        // The impatient one may have come first, and the patient one has always done its work.
        assert_eq!(
            sandbox.value("SELECT count(*) FROM counted"),
            round.to_string(),
            "round {round}"
        );
    }
    let mut session = sandbox.session();
    let ledger = session.value("SELECT count(*) FROM _walkback_ledger");
    assert_eq!(ledger, (rounds + 1).to_string());
    let counted = session.value("SELECT count(DISTINCT n) FROM counted");
    assert_eq!(counted, rounds.to_string());
    assert!(waited + refused > 0, "no two runs ever met");
    report(&format!(
        "{backend}: {rounds} pairs of `up`; {waited} waited, {refused} were refused; no migration twice"
    ));
}

fn three_ups_at_once_wait_for_each_other(backend: Backend) {
    for _ in 0..3 {
        let sandbox = project(backend);
        sandbox.migration(
            "001_loose",
            "-- walkback: transaction=off\nCREATE TABLE a (x INTEGER);\nINSERT INTO a VALUES (1);\nCREATE TABLE b (x INTEGER);",
            "",
        );
        let children: Vec<_> = (0..3).map(|_| sandbox.spawn(&["up", "-y"])).collect();
        for child in children {
            let output = child.wait_with_output().expect("the child ends");
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        assert_eq!(sandbox.value("SELECT count(*) FROM a"), "1");
        assert_eq!(sandbox.value("SELECT count(*) FROM _walkback_ledger"), "1");
        let statements =
            "SELECT count(*) FROM _walkback_statements WHERE migration = '001' AND direction = 'up'";
        assert_eq!(sandbox.value(statements), "3");
    }
}

/// Applies a first migration, and writes a second that changes its table after `first`.
fn held(backend: Backend, lock_timeout: &str, first: &str) -> Sandbox {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE held (id INTEGER PRIMARY KEY, a VARCHAR(20)); INSERT INTO held VALUES (1, 'x');\nCREATE TABLE free (id INTEGER PRIMARY KEY);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.migration(
        "002_change",
        &format!("-- walkback: lock_timeout={lock_timeout}\n{first}\nALTER TABLE held ADD COLUMN b INTEGER;"),
        "",
    );
    sandbox
}

fn a_table_that_another_session_holds_stops_the_run_and_names_who_holds_it(backend: Backend) {
    let sandbox = held(backend, "1s", "INSERT INTO free VALUES (1);");
    let before = sandbox.contents();
    let mut other = sandbox.session();
    let id = other.value(if backend.is_postgres() {
        "SELECT pg_backend_pid()"
    } else {
        "SELECT CONNECTION_ID()"
    });
    other.sql("BEGIN; UPDATE held SET a = 'mine' WHERE id = 1");
    let began = Instant::now();
    let output = sandbox.run(&["up", "-y"]);
    assert!(began.elapsed() < Duration::from_secs(60), "it waited too long");
    assert!(matches!(output.code, Some(1 | 5)), "{}", output.transcript());
    assert!(
        output.stderr.contains(&id),
        "session {id} is not named: {}",
        output.transcript()
    );
    assert!(output.stderr.contains("tried 4 times"), "{}", output.transcript());
    other.sql("ROLLBACK");
    sandbox.assert_contents(&before, &output.transcript());
    assert_eq!(sandbox.status()["applied"], 1);
    sandbox.ok(&["up", "-y"]);
    assert_eq!(sandbox.status()["applied"], 2);
    assert_eq!(sandbox.value("SELECT count(*) FROM free"), "1");
}

fn a_table_that_is_let_go_in_time_is_waited_for(backend: Backend) {
    let sandbox = held(backend, "30s", "");
    let mut other = sandbox.session();
    other.sql("BEGIN; UPDATE held SET a = 'mine' WHERE id = 1");
    let child = sandbox.spawn(&["up", "-y"]);
    let began = Instant::now();
    while sandbox.server().sessions_that_run("ALTER TABLE") == 0 {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "it does not wait for the table"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    other.sql("COMMIT");
    let output = child.wait_with_output().expect("the child ends");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // What the other session wrote meanwhile is there, and comes back with a rollback.
    assert_eq!(sandbox.value("SELECT a FROM held"), "mine");
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.value("SELECT a FROM held"), "mine");
}

fn a_table_that_is_let_go_between_two_tries_is_changed(backend: Backend) {
    for loose in [false, true] {
        let first = if loose {
            "-- walkback: transaction=off\nINSERT INTO free VALUES (1);"
        } else {
            "INSERT INTO free VALUES (1);"
        };
        let sandbox = held(backend, "200ms", first);
        let mut other = sandbox.session();
        other.sql("BEGIN; UPDATE held SET a = 'mine' WHERE id = 1");
        let mut child = sandbox.spawn(&["up", "-y"]);
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let mut said = String::new();
        while !said.contains("tried again") {
            let line = lines
                .next()
                .unwrap_or_else(|| panic!("{backend}: it gave up: {said}"));
            said.push_str(&line.expect("a line"));
        }
        other.sql("COMMIT");
        for line in lines {
            said.push_str(&line.expect("a line"));
        }
        assert!(
            child.wait().expect("the child ends").success(),
            "{backend}: {said}"
        );
        // No statement has happened twice.
        assert_eq!(sandbox.value("SELECT count(*) FROM free"), "1");
        assert_eq!(sandbox.value("SELECT a FROM held"), "mine");
        // Nobody keeps applications from the tables of a script outside a transaction: what they write meanwhile a
        // rollback from the point takes away, and says so. Cell by cell it stays.
        let is_loose = loose || !backend.is_postgres();
        assert_eq!(said.contains("while `002_change` ran"), is_loose, "{said}");
        let point = sandbox.ok(&["rollback", "-n", "1", "--type", "full", "--dry-run"]);
        assert_eq!(
            point.stdout.contains("loses nothing"),
            !is_loose,
            "{said}\n{}",
            point.transcript()
        );
        let plan = sandbox.ok(&["rollback", "--dry-run"]);
        assert!(plan.stdout.contains("loses nothing"), "{}", plan.transcript());
        sandbox.ok(&["rollback", "-y"]);
        assert_eq!(sandbox.value("SELECT a FROM held"), "mine");
        sandbox.ok(&["rollback", "-y"]);
        assert_eq!(sandbox.value("SELECT a FROM held"), "mine");
    }
}

fn a_deadlock_is_tried_again(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE one (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO one VALUES (1, 0);\n\
         CREATE TABLE two (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO two VALUES (1, 0);\n\
         CREATE TABLE weight (id INTEGER PRIMARY KEY);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.migration(
        "002_change",
        "-- walkback: protect=off\nUPDATE one SET n = n + 1;\nUPDATE two SET n = n + 1;",
        "",
    );
    let mut other = sandbox.session();
    if backend.is_postgres() {
        // Whoever looks for a deadlock first is its victim.
        other.sql("SET deadlock_timeout = '1min'");
    }
    // On MySQL the victim is who has written less.
    other.sql(&format!(
        "BEGIN; INSERT INTO weight SELECT i FROM {}; UPDATE two SET n = 10",
        backend.numbers(200)
    ));
    let child = sandbox.spawn(&["up", "-y"]);
    let began = Instant::now();
    while sandbox.server().sessions_that_run("UPDATE two SET n = n") == 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "it never waits");
        std::thread::sleep(Duration::from_millis(20));
    }
    other.sql("UPDATE one SET n = 10");
    other.sql("COMMIT");
    let output = child.wait_with_output().expect("the child ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{backend}: {said}");
    assert!(
        said.contains("tried again") && said.to_lowercase().contains("deadlock"),
        "{backend}: {said}"
    );
    assert_eq!(sandbox.value("SELECT n FROM one"), "11");
    assert_eq!(sandbox.value("SELECT n FROM two"), "11");
}

fn a_serialization_failure_is_tried_again(backend: Backend) {
    let sandbox = project(backend);
    if !backend.is_postgres() {
        // The others call it a deadlock.
        return;
    }
    sandbox.migration(
        "001_begin",
        "CREATE SEQUENCE tries; CREATE TABLE a (x INTEGER);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let failing = |often: u32| {
        format!(
            "INSERT INTO a VALUES (1);\nDO $$ BEGIN IF nextval('tries') <= {often} THEN \
             RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '40001'; END IF; END $$;"
        )
    };
    sandbox.migration("002_twice", &failing(2), "");
    let output = sandbox.ok(&["up", "-y"]);
    assert_eq!(
        output.stderr.matches("tried again").count(),
        2,
        "{}",
        output.transcript()
    );
    assert_eq!(sandbox.value("SELECT count(*) FROM a"), "1");
    sandbox.migration("003_always", &failing(1000), "");
    let output = sandbox.run(&["up", "-y"]);
    assert_eq!(output.code, Some(1), "{}", output.transcript());
    assert!(output.stderr.contains("tried 4 times"), "{}", output.transcript());
    assert_eq!(sandbox.value("SELECT count(*) FROM a"), "1");
    let config = std::fs::read_to_string(sandbox.path("walkback.toml")).expect("it was written");
    sandbox.write(
        "walkback.toml",
        &config.replacen("[env.dev]\n", "[env.dev]\nlock_retries = 0\n", 1),
    );
    let output = sandbox.run(&["up", "-y"]);
    assert!(!output.stderr.contains("tried"), "{}", output.transcript());
}

fn a_down_that_never_gets_its_table_leaves_all_as_it_was(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE held (id INTEGER PRIMARY KEY, a INTEGER); CREATE TABLE free (id INTEGER PRIMARY KEY, a INTEGER);\n\
         INSERT INTO held VALUES (1, 1); INSERT INTO free VALUES (1, 1);",
        "",
    );
    sandbox.migration(
        "002_two",
        "ALTER TABLE free ADD COLUMN x INTEGER; ALTER TABLE held ADD COLUMN x INTEGER;",
        "-- walkback: lock_timeout=200ms\nALTER TABLE free DROP COLUMN x; ALTER TABLE held DROP COLUMN x;",
    );
    sandbox.migration(
        "003_three",
        "ALTER TABLE free ADD COLUMN y INTEGER;",
        "ALTER TABLE free DROP COLUMN y;",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("UPDATE free SET x = 7, y = 8");
    let before = sandbox.contents();
    let mut other = sandbox.session();
    other.sql("BEGIN; UPDATE held SET a = 2 WHERE id = 1");
    let output = sandbox.run(&["down", "-n", "2", "-y", "--allow-lossy"]);
    other.sql("ROLLBACK");
    assert!(matches!(output.code, Some(1 | 4 | 5)), "{}", output.transcript());
    sandbox.ok(&["recover", "-y"]);
    let applied = sandbox.status()["applied"].as_u64();
    if applied == Some(3) {
        sandbox.assert_contents(&before, &output.transcript());
    } else {
        // What was done before the one that failed stays where each is a transaction.
        assert_eq!(applied, Some(2), "{}", output.transcript());
        assert_eq!(
            sandbox.value("SELECT x FROM free"),
            "7",
            "{}",
            output.transcript()
        );
        assert_eq!(sandbox.status()["current"][0], "002", "{}", output.transcript());
    }
}
