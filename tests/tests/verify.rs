//! `walkback verify` finds the downs that do not lead back, and says which.

use std::process::ExitCode;

use serde_json::Value;
use walkback_tests::{Backend, MYSQL, ONE_OF_EACH, SERVERS, Sandbox, Session, journeys};

fn main() -> ExitCode {
    walkback_tests::main(
        "verify",
        &journeys! {
            ONE_OF_EACH => [
                a_down_that_does_not_lead_back_is_found_and_named,
                a_down_that_brings_back_the_schema_and_not_the_data_is_lossy,
                a_way_back_that_leads_back_is_lossless_also_where_it_is_derived,
                a_migration_without_any_way_back_is_irreversible,
                usual_tables_are_given_rows,
                the_outcomes_are_written_for_ci,
                what_was_seen_is_kept_and_warned_of,
            ],
            SERVERS => [scratch_databases_of_killed_processes_are_dropped],
            MYSQL => [a_killed_verify_leaves_nothing_for_long],
        },
    )
}

const BEGIN: &str = "CREATE TABLE s (a VARCHAR(20) NOT NULL DEFAULT 'x', b INTEGER CHECK (b >= 0));";

/// Verifies a migration upon `s`, and returns the exit code and what is said of it.
fn verify(backend: Backend, up: &str, down: &str) -> (Option<i32>, Value, String) {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration("001_begin", BEGIN, "DROP TABLE s;");
    sandbox.migration("002_change", up, down);
    let output = sandbox.run(&["verify", "--json"]);
    let text = output.transcript();
    let json = output.json();
    let outcomes = json["outcomes"]
        .as_array()
        .or_else(|| json["migrations"].as_array());
    let outcomes = outcomes.unwrap_or_else(|| panic!("no outcomes: {text}"));
    assert_eq!(outcomes.len(), 2, "{text}");
    if backend == Backend::Sqlite {
        assert!(
            !sandbox.path("app.db").exists(),
            "verify has written the database"
        );
    } else {
        let own = sandbox.session().own_tables();
        assert!(own.is_empty(), "verify has written the database: {own:?}");
        assert!(sandbox.contents().definitions.is_empty());
    }
    (output.code, outcomes[1].clone(), text)
}

fn word(outcome: &Value) -> String {
    let verdict = &outcome["verdict"];
    verdict["verdict"]
        .as_str()
        .or(verdict.as_str())
        .unwrap_or_default()
        .to_owned()
}

fn a_down_that_does_not_lead_back_is_found_and_named(backend: Backend) {
    for (up, down, named) in [
        ("CREATE TABLE t (a INTEGER);", "DROP TABLE no_such;", "fails"),
        (
            "CREATE TABLE t (a INTEGER); CREATE INDEX s_a ON s (a);",
            "DROP TABLE t;",
            "s_a",
        ),
        ("CREATE TABLE t (a INTEGER);", "SELECT 1;", "`t` is left over"),
        (
            "ALTER TABLE s ADD COLUMN c INTEGER;",
            "DROP TABLE s; CREATE TABLE s (a VARCHAR(20) DEFAULT 'x', b INTEGER CHECK (b >= 0));",
            if backend == Backend::Sqlite {
                "column a"
            } else {
                "a"
            },
        ),
        (
            "ALTER TABLE s ADD COLUMN c INTEGER;",
            "CREATE TABLE n (a VARCHAR(20) NOT NULL, b INTEGER CHECK (b >= 0)); INSERT INTO n SELECT a, b FROM s; DROP TABLE s; ALTER TABLE n RENAME TO s;",
            if backend == Backend::Sqlite {
                "DEFAULT"
            } else {
                "a"
            },
        ),
        (
            "ALTER TABLE s ADD COLUMN c INTEGER;",
            "CREATE TABLE n (a VARCHAR(20) NOT NULL DEFAULT 'x', b INTEGER); INSERT INTO n SELECT a, b FROM s; DROP TABLE s; ALTER TABLE n RENAME TO s;",
            "check",
        ),
    ] {
        let (code, outcome, text) = verify(backend, up, down);
        assert_eq!(code, Some(3), "{down}: {text}");
        assert_eq!(outcome["passed"], false, "{down}: {text}");
        assert!(
            outcome.to_string().to_lowercase().contains(&named.to_lowercase()),
            "{down} does not name {named}: {text}"
        );
    }
}

fn a_down_that_brings_back_the_schema_and_not_the_data_is_lossy(backend: Backend) {
    for (up, down) in [
        ("DELETE FROM s;", "SELECT 1;"),
        ("UPDATE s SET a = 'gone';", "SELECT 1;"),
        ("DROP TABLE s;", BEGIN),
        (
            "ALTER TABLE s DROP COLUMN a;",
            "ALTER TABLE s ADD COLUMN a VARCHAR(20) NOT NULL DEFAULT 'x';",
        ),
    ] {
        let (code, outcome, text) = verify(backend, up, down);
        assert_eq!(word(&outcome), "lossy", "{up}: {text}");
        assert_eq!(code, Some(0), "{up}: {text}");
    }
}

fn a_way_back_that_leads_back_is_lossless_also_where_it_is_derived(backend: Backend) {
    for (up, down) in [
        ("CREATE TABLE t (a INTEGER);", "DROP TABLE t;"),
        ("CREATE TABLE t (a INTEGER); CREATE INDEX t_a ON t (a);", ""),
        ("ALTER TABLE s RENAME TO q;", "ALTER TABLE q RENAME TO s;"),
        (
            "INSERT INTO s VALUES ('mine', 77);",
            "DELETE FROM s WHERE b = 77;",
        ),
        (
            "ALTER TABLE s ADD COLUMN c INTEGER;",
            "ALTER TABLE s DROP COLUMN c;",
        ),
    ] {
        let (code, outcome, text) = verify(backend, up, down);
        assert_eq!(
            (code, word(&outcome).as_str()),
            (Some(0), "lossless"),
            "{up}: {text}"
        );
    }
}

fn a_migration_without_any_way_back_is_irreversible(backend: Backend) {
    let (_, outcome, text) = verify(backend, "INSERT INTO s VALUES ('x', 1);", "");
    assert_eq!(word(&outcome), "irreversible", "{text}");
}

/// Tables as they usually are, in every dialect's own way.
fn usual_tables(backend: Backend) -> &'static str {
    match backend {
        Backend::Sqlite => {
            "CREATE TABLE child (a INTEGER, b TEXT, note TEXT NOT NULL, PRIMARY KEY (a, b), FOREIGN KEY (a, b) REFERENCES parent (x, y));\n\
             CREATE TABLE parent (x INTEGER, y TEXT, PRIMARY KEY (x, y));\n\
             CREATE TABLE self (id INTEGER PRIMARY KEY, up INTEGER NOT NULL REFERENCES self (id));\n\
             CREATE TABLE r (id INTEGER PRIMARY KEY, p INTEGER NOT NULL REFERENCES self);\n\
             CREATE TABLE checked (id INTEGER PRIMARY KEY, age INTEGER CHECK (age > 0), price REAL CHECK (price >= 0), at TEXT NOT NULL);\n\
             CREATE TABLE made (a INTEGER, b INTEGER AS (a * 2) STORED); CREATE TABLE keyed (k TEXT PRIMARY KEY) WITHOUT ROWID;\n\
             CREATE TABLE \"or\"\"der?\" (\"se?lect\" TEXT UNIQUE);"
        }
        Backend::Postgres | Backend::PostgresNewest => {
            "CREATE TYPE mood AS ENUM ('low', 'high'); CREATE DOMAIN age AS integer CHECK (value > 0);\n\
             CREATE TABLE parent (x integer, y text, PRIMARY KEY (x, y));\n\
             CREATE TABLE child (a integer, b text, note text NOT NULL, PRIMARY KEY (a, b), FOREIGN KEY (a, b) REFERENCES parent (x, y));\n\
             CREATE TABLE self (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, up integer NOT NULL REFERENCES self (id));\n\
             CREATE TABLE r (id serial PRIMARY KEY, p integer NOT NULL REFERENCES self);\n\
             CREATE TABLE checked (id uuid PRIMARY KEY, age age NOT NULL, price numeric(8, 2) CHECK (price >= 0), at timestamptz NOT NULL, mood mood NOT NULL,\n\
                 tags text[] NOT NULL, data jsonb NOT NULL, span interval NOT NULL, day date NOT NULL, raw bytea NOT NULL, ok boolean NOT NULL, far inet NOT NULL, short varchar(3) NOT NULL);\n\
             CREATE TABLE made (a integer, b integer GENERATED ALWAYS AS (a * 2) STORED); CREATE TABLE keyed (k text PRIMARY KEY);\n\
             CREATE TABLE \"or\"\"der?\" (\"se?lect\" text UNIQUE);"
        }
        Backend::Mysql | Backend::Mariadb => {
            "CREATE TABLE parent (x INTEGER, y VARCHAR(20), PRIMARY KEY (x, y));\n\
             CREATE TABLE child (a INTEGER, b VARCHAR(20), note TEXT NOT NULL, PRIMARY KEY (a, b), FOREIGN KEY (a, b) REFERENCES parent (x, y));\n\
             CREATE TABLE self (id INTEGER AUTO_INCREMENT PRIMARY KEY, up INTEGER NOT NULL, FOREIGN KEY (up) REFERENCES self (id));\n\
             CREATE TABLE r (id INTEGER PRIMARY KEY, p INTEGER NOT NULL, FOREIGN KEY (p) REFERENCES self (id));\n\
             CREATE TABLE checked (id BIGINT UNSIGNED PRIMARY KEY, age TINYINT NOT NULL CHECK (age > 0), price DECIMAL(8, 2) CHECK (price >= 0), at DATETIME NOT NULL,\n\
                 mood ENUM ('low', 'high') NOT NULL, tags SET ('a', 'b') NOT NULL, data JSON NOT NULL, span TIME NOT NULL, day DATE NOT NULL, raw VARBINARY(9) NOT NULL,\n\
                 flags BIT(3) NOT NULL, born YEAR NOT NULL, short CHAR(3) NOT NULL);\n\
             CREATE TABLE made (a INTEGER, b INTEGER AS (a * 2) STORED); CREATE TABLE keyed (k VARCHAR(20) PRIMARY KEY);\n\
             CREATE TABLE `or``der?` (`se?lect` VARCHAR(20) UNIQUE);"
        }
    }
}

fn usual_tables_are_given_rows(backend: Backend) {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration("001_begin", usual_tables(backend), "");
    sandbox.migration("002_more", "CREATE TABLE z (a INTEGER);", "DROP TABLE z;");
    let output = sandbox.ok(&["verify", "--json"]);
    let json = output.json();
    let outcomes = json["outcomes"]
        .as_array()
        .or_else(|| json["migrations"].as_array());
    let second = &outcomes.expect("outcomes")[1];
    assert_eq!(
        second["without_rows"],
        serde_json::json!([]),
        "{}",
        output.transcript()
    );
}

fn the_outcomes_are_written_for_ci(backend: Backend) {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration("001_begin", BEGIN, "DROP TABLE s;");
    let table = backend.quoted("a<b>&c");
    sandbox.migration(
        "002_change",
        &format!("CREATE TABLE {table} (i INTEGER);"),
        "SELECT 1;",
    );
    let output = sandbox.run(&["verify", "--junit", "verdicts.xml"]);
    assert_eq!(output.code, Some(3), "{}", output.transcript());
    let written = std::fs::read_to_string(sandbox.path("verdicts.xml")).expect("the file is there");
    for part in [
        "tests=\"2\"",
        "failures=\"1\"",
        "<testcase name=\"001_begin\" classname=\"walkback verify\"",
        "<failure message=",
        "a&lt;b&gt;&amp;c",
    ] {
        assert!(written.contains(part), "{part}: {written}");
    }
    assert!(!written.contains('\u{1b}'), "it is not for a terminal: {written}");
    let nowhere = sandbox.run(&["verify", "--junit", "no/such/folder/verdicts.xml"]);
    assert_ne!(nowhere.code, Some(0), "{}", nowhere.transcript());
    assert!(
        nowhere.stderr.contains("no/such/folder"),
        "{}",
        nowhere.transcript()
    );
}

fn what_was_seen_is_kept_and_warned_of(backend: Backend) {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration("001_begin", BEGIN, "DROP TABLE s;");
    sandbox.ok(&["up", "-y"]);
    sandbox.migration("002_change", "CREATE TABLE t (a INTEGER);", "DROP TABLE no_such;");
    let warned = || {
        let output = sandbox.ok(&["up", "--dry-run"]);
        output.transcript().contains("`002_change` did not lead back")
    };
    let shown = |id: &str| sandbox.ok(&["show", id, "--json"]).json()["migration"]["verified"].clone();
    assert!(shown("001").is_null() && !warned());
    // A journal that an earlier version has made keeps them too.
    sandbox.sql("DROP TABLE _walkback_verdicts");

    let before = sandbox.contents();
    assert_eq!(sandbox.run(&["verify"]).code, Some(3));
    sandbox.assert_contents(&before, "verify");
    assert_eq!(shown("001")["passed"], true);
    assert_eq!(shown("001")["verdict"]["verdict"], "lossless");
    let seen = shown("002");
    assert_eq!((&seen["passed"], &seen["current"]), (&false.into(), &true.into()));
    assert!(
        seen["reason"].as_str().is_some_and(|why| why.contains("no_such")),
        "{seen}"
    );
    assert!(warned());
    let text = sandbox.ok(&["show", "002"]).stdout;
    assert!(
        text.contains("did not pass") && text.contains("no_such"),
        "{text}"
    );

    // Where it has gone up all the same, the way back is another.
    sandbox.ok(&["up", "-y"]);
    let output = sandbox.ok(&["rollback", "-y"]);
    assert!(
        output.transcript().contains("this one was derived"),
        "{}",
        output.transcript()
    );
    sandbox.assert_contents(&before, "rollback");

    // Of other scripts nothing is known, until they are tried.
    sandbox.migration("002_change", "CREATE TABLE t (a INTEGER);", "DROP TABLE t;");
    assert!(!warned());
    assert_eq!(shown("002")["current"], false);
    sandbox.ok(&["verify", "002"]);
    assert_eq!(
        (&shown("002")["passed"], &shown("002")["current"]),
        (&true.into(), &true.into())
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["rollback", "-y", "--type", "down"]);
    sandbox.assert_contents(&before, "rollback");
}

fn scratch_databases_of_killed_processes_are_dropped(backend: Backend) {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration("001_begin", BEGIN, "DROP TABLE s;");
    let name = || {
        format!(
            "walkback_scratch_{:08x}{:08x}",
            1_000_000_000,
            rand::random::<u32>()
        )
    };
    let (left, used) = (name(), name());
    let somebody_elses = format!("walkback_scratch_{}", std::process::id());
    for database in [&left, &used, &somebody_elses] {
        sandbox
            .server()
            .administrate(&format!("CREATE DATABASE {database}"));
    }
    let exists = |database: &str| {
        sandbox.value(&if backend.is_mysql() {
            format!("SELECT count(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '{database}'")
        } else {
            format!("SELECT count(*) FROM pg_database WHERE datname = '{database}'")
        }) == "1"
    };
    let url = sandbox.server().url().replace(sandbox.server().name(), &used);
    let mut user = Session::open(backend, &url);
    user.sql(&if backend.is_mysql() {
        format!("DO GET_LOCK('{used}', 0)")
    } else {
        "SELECT 1".to_owned()
    });

    sandbox.ok(&["verify"]);
    assert!(!exists(&left), "nobody is in it");
    assert!(exists(&used), "somebody is in it");
    assert!(exists(&somebody_elses), "it has no name that walkback gives");
    drop(user);
    for _ in 0..50 {
        sandbox.ok(&["recover"]);
        if !exists(&used) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(!exists(&used), "nobody is in it any more");
    sandbox
        .server()
        .administrate(&format!("DROP DATABASE {somebody_elses}"));
}

fn a_killed_verify_leaves_nothing_for_long(backend: Backend) {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    let pause = 2.5 + f64::from(rand::random::<u16>()) / 1e6;
    sandbox.migration(
        "001_begin",
        &format!("{BEGIN} DO SLEEP({pause});"),
        "DROP TABLE s;",
    );
    let mut child = sandbox.spawn(&["verify"]);
    let find = format!(
        "SELECT coalesce(min(DB), '') FROM information_schema.PROCESSLIST WHERE INFO LIKE 'DO SLEEP({pause})%'"
    );
    let begun = std::time::Instant::now();
    let database = loop {
        assert!(begun.elapsed().as_secs() < 60, "it has not begun");
        match sandbox.value(&find) {
            found if found.is_empty() => std::thread::sleep(std::time::Duration::from_millis(20)),
            found => break found,
        }
    };
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let exists = format!("SELECT count(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '{database}'");
    for _ in 0..100 {
        sandbox.ok(&["recover"]);
        if sandbox.value(&exists) == "0" {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("`{database}` is still there");
}
