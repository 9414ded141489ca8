//! Scripts that fail half-way, and scripts as each engine's own people write them.

use std::process::ExitCode;

use walkback_tests::{
    Backend, EVERYWHERE, MYSQL, ONE_OF_EACH, POSTGRES, SERVERS, Sandbox, awkward, journeys,
};

fn main() -> ExitCode {
    walkback_tests::main(
        "failures",
        &journeys! {
            EVERYWHERE => [
                a_script_of_three_statements_whose_second_fails_is_walked_back_without_a_human,
                a_script_that_fails_after_it_destroyed_much_is_walked_back,
                a_script_of_rows_only_that_fails_in_the_middle_is_all_or_nothing,
            ],
            ONE_OF_EACH => [
                a_clock_that_is_set_back_does_not_change_the_order,
                a_statement_over_its_time_is_cancelled_and_taken_back,
            ],
            SERVERS => [statements_of_the_application_meanwhile_are_kept_when_a_script_fails],
            POSTGRES => [
                an_index_that_cannot_be_built_concurrently_leaves_nothing_behind,
                what_cannot_run_in_a_transaction_runs_outside_of_one,
                other_schemas_and_search_paths_are_walked_back,
                the_connection_may_have_a_search_path,
            ],
            MYSQL => [
                scripts_with_delimiters_go_up_and_come_back,
                routines_without_delimiters_go_up_too,
            ],
        },
    )
}

fn project(backend: Backend) -> Sandbox {
    Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"))
}

const BEGIN: &str = "CREATE TABLE p (id INTEGER PRIMARY KEY, a VARCHAR(20) NOT NULL DEFAULT 'x', n INTEGER);\n\
    CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE);\n\
    CREATE INDEX p_a ON p (a); CREATE TABLE plain (a VARCHAR(20), n INTEGER);\n\
    INSERT INTO p VALUES (1, 'one', 10), (2, 'two', NULL), (3, '', -3); INSERT INTO c VALUES (1, 1), (2, 2), (3, NULL);\n\
    INSERT INTO plain VALUES ('same', 1), ('same', 1), (NULL, NULL);";

/// Applies `BEGIN`, then lets a script fail, and expects all as it was, without a hand being moved.
fn fails_and_is_undone(backend: Backend, script: &str) {
    let sandbox = project(backend);
    sandbox.migration("001_begin", BEGIN, "");
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    sandbox.migration("002_fails", script, "");
    let output = sandbox.run(&["up", "-y"]);
    assert_eq!(output.code, Some(1), "{script}\n{}", output.transcript());
    sandbox.assert_contents(&before, &format!("{script}\n{}", output.transcript()));
    sandbox.assert_sound();
    assert!(
        output.stderr.contains("002_fails"),
        "the migration is not named: {}",
        output.transcript()
    );
    // Nothing is left to recover, and nothing is in the way.
    sandbox.ok(&["recover"]);
    sandbox.migration("002_fails", "INSERT INTO plain VALUES ('right', 1);", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "after the script was put right and walked back");
}

fn a_script_of_three_statements_whose_second_fails_is_walked_back_without_a_human(backend: Backend) {
    let drop_index = backend.drop_index("p_a", "p");
    let mut firsts = vec![
        "CREATE TABLE made (id INTEGER PRIMARY KEY)",
        "ALTER TABLE p ADD COLUMN more INTEGER",
        "ALTER TABLE p RENAME TO q",
        "ALTER TABLE p RENAME COLUMN n TO m",
        "UPDATE p SET n = n + 1, a = 'changed'",
        "DELETE FROM p WHERE id = 1",
        "DELETE FROM plain",
        "INSERT INTO plain SELECT a, n FROM p",
        "DROP TABLE c",
        "DROP TABLE plain",
        "CREATE INDEX plain_n ON plain (n)",
        "CREATE VIEW seen AS SELECT a FROM p",
        "ALTER TABLE plain DROP COLUMN a",
        &drop_index,
    ];
    if backend.is_mysql() {
        firsts.extend([
            "ALTER TABLE p MODIFY n BIGINT NOT NULL DEFAULT 7, RENAME COLUMN a TO aa",
            "ALTER TABLE plain CHANGE a b VARCHAR(3) CHARACTER SET latin1",
            "TRUNCATE TABLE plain",
            "RENAME TABLE plain TO t1, c TO plain",
            "ALTER TABLE p DROP PRIMARY KEY, ADD PRIMARY KEY (id, a)",
            "REPLACE INTO p VALUES (1, 'other', 0)",
        ]);
        firsts.retain(|first| {
            // The widths and rows above do not fit everywhere: what the server refuses proves nothing here.
            let sandbox = project(backend);
            sandbox.sql(BEGIN);
            sandbox.session().try_sql(first).is_ok()
        });
        assert!(firsts.len() >= 16, "{firsts:?}");
    }
    for first in firsts {
        // The second fails with a row that is there already, or because of what is not there.
        for second in [
            "INSERT INTO plain SELECT missing FROM nowhere",
            "DROP TABLE no_such_table",
        ] {
            let script = format!("{first};\n{second};\nCREATE TABLE never (x INTEGER);");
            fails_and_is_undone(backend, &script);
            if backend != Backend::Mysql {
                break;
            }
        }
    }
}

fn a_script_that_fails_after_it_destroyed_much_is_walked_back(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("001_begin", awkward::tables(backend), "");
    sandbox.ok(&["up", "-y"]);
    sandbox.sql(awkward::rows(backend));
    let before = sandbox.contents();
    let script = format!("{}\nDROP TABLE no_such_table;", awkward::destruction(backend));
    for transaction in ["", "-- walkback: transaction=off\n"] {
        sandbox.migration("002_fails", &format!("{transaction}{script}"), "");
        let output = sandbox.run(&["up", "-y"]);
        assert_eq!(output.code, Some(1), "{}", output.transcript());
        sandbox.assert_contents(&before, &output.transcript());
        sandbox.assert_sound();
    }
}

fn a_script_of_rows_only_that_fails_in_the_middle_is_all_or_nothing(backend: Backend) {
    for script in [
        "UPDATE p SET n = 0;\nDELETE FROM c;\nINSERT INTO p VALUES (1, 'twice', 0);\nDELETE FROM p;",
        "INSERT INTO plain VALUES ('new', 1);\nUPDATE p SET a = NULL WHERE id = 2;",
        "DELETE FROM p WHERE id = 1;\nINSERT INTO c VALUES (9, 99);",
    ] {
        fails_and_is_undone(backend, script);
    }
    // And somebody who looks while it runs sees nothing of it.
    let sandbox = project(backend);
    sandbox.migration("001_begin", BEGIN, "");
    sandbox.ok(&["up", "-y"]);
    if backend == Backend::Sqlite {
        return;
    }
    let wait = if backend.is_postgres() {
        "SELECT pg_sleep(2)"
    } else {
        "UPDATE p SET n = 2 WHERE id = 1 + SLEEP(2)"
    };
    sandbox.migration(
        "002_rows",
        &format!("DELETE FROM plain;\n{wait};\nDELETE FROM c;"),
        "",
    );
    let mut child = sandbox.spawn(&["up", "-y"]);
    let mut looked = 0;
    while child.try_wait().expect("the child can be asked").is_none() {
        let mut session = sandbox.session();
        let counts = session.value("SELECT (SELECT count(*) FROM plain) + 10 * (SELECT count(*) FROM c)");
        assert!(
            matches!(counts.as_str(), "33" | "0"),
            "half of it is seen: {counts}"
        );
        looked += usize::from(counts == "33");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(child.wait().expect("it ends").success());
    assert!(looked > 5, "it was over before anybody could look");
    assert_eq!(sandbox.value("SELECT count(*) FROM plain"), "0");
}

fn statements_of_the_application_meanwhile_are_kept_when_a_script_fails(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("001_begin", BEGIN, "");
    sandbox.ok(&["up", "-y"]);
    let wait = if backend.is_postgres() {
        "SELECT pg_sleep(3)"
    } else {
        "UPDATE plain SET n = n + SLEEP(3) WHERE a = 'same' LIMIT 1"
    };
    sandbox.migration(
        "002_fails",
        &format!("-- walkback: transaction=off\nALTER TABLE p ADD COLUMN more INTEGER;\n{wait};\nDROP TABLE no_such_table;"),
        "",
    );
    let mut child = sandbox.spawn(&["up", "-y"]);
    let mut written = 0;
    while child.try_wait().expect("the child can be asked").is_none() {
        if sandbox.server().sessions_that_run("(3)") > 0 {
            written += 1;
            let id = 100 + written;
            sandbox.sql(&format!(
                "INSERT INTO p (id, a) VALUES ({id}, 'app'); INSERT INTO c VALUES ({id}, {id})"
            ));
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(written > 3, "the application had no time to write");
    let mut session = sandbox.session();
    assert_eq!(
        session.value("SELECT count(*) FROM p WHERE a = 'app'"),
        written.to_string(),
        "{said}"
    );
    assert_eq!(
        session.value("SELECT count(*) FROM c"),
        (written + 3).to_string(),
        "{said}"
    );
    let more = "SELECT count(*) FROM information_schema.columns WHERE column_name = 'more' AND table_name = 'p' AND table_schema = ";
    let schema = if backend.is_postgres() {
        "'public'"
    } else {
        "DATABASE()"
    };
    assert_eq!(session.value(&format!("{more}{schema}")), "0", "{said}");
}

fn an_index_that_cannot_be_built_concurrently_leaves_nothing_behind(backend: Backend) {
    for script in [
        "-- walkback: transaction=off\nCREATE UNIQUE INDEX CONCURRENTLY plain_a ON plain (a);",
        "CREATE UNIQUE INDEX CONCURRENTLY plain_a ON plain (a);",
        "CREATE UNIQUE INDEX CONCURRENTLY ON plain (a);",
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS \"plain a\" ON public.plain USING btree (a) WHERE n = 1;",
        "-- walkback: transaction=off\nCREATE INDEX CONCURRENTLY fine ON p (n);\nALTER TABLE p ADD z integer;\nCREATE UNIQUE INDEX CONCURRENTLY plain_a ON plain (a);",
        "REINDEX INDEX CONCURRENTLY p_a;\nCREATE UNIQUE INDEX CONCURRENTLY plain_a ON plain (a);",
    ] {
        fails_and_is_undone(backend, script);
    }
}

fn what_cannot_run_in_a_transaction_runs_outside_of_one(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_begin",
        &format!("{BEGIN} CREATE TYPE mood AS ENUM ('low');"),
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    sandbox.migration(
        "002_outside",
        "CREATE INDEX CONCURRENTLY p_n ON p (n);\nVACUUM p;\nDROP INDEX CONCURRENTLY p_a;",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let after = sandbox.contents();
    assert!(after.definitions.contains_key("index public.p_n"), "{after:?}");
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "walked back");
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&after, "and forward again");
    // A value that was added to an enum can be used by the migration after it.
    sandbox.migration("003_add", "ALTER TYPE mood ADD VALUE 'high';", "");
    sandbox.migration(
        "004_use",
        "CREATE TABLE moods (m mood DEFAULT 'high'); INSERT INTO moods DEFAULT VALUES;",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    assert_eq!(sandbox.value("SELECT m FROM moods"), "high");
}

fn other_schemas_and_search_paths_are_walked_back(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("001_begin", BEGIN, "");
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    for script in [
        "CREATE SCHEMA app;\nCREATE TABLE app.p (id integer PRIMARY KEY);\nINSERT INTO app.p SELECT id FROM p;\nDELETE FROM public.c;",
        "CREATE SCHEMA \"my app\";\nSET LOCAL search_path = \"my app\";\nCREATE TABLE p (a text);\nCREATE TABLE t (b text);\nDROP TABLE p;\nDROP TABLE public.c;",
        "CREATE SCHEMA app;\nSET search_path TO app, public;\nCREATE TABLE q (a text);\nUPDATE p SET n = 0;",
        "CREATE SCHEMA app CREATE TABLE inner_one (a integer) CREATE VIEW v AS SELECT a FROM inner_one;\nALTER TABLE c SET SCHEMA app;",
    ] {
        sandbox.migration("002_schemas", script, "");
        let output = sandbox.ok(&["up", "-y"]);
        let after = sandbox.contents();
        assert_ne!(after, before);
        // Whatever path the script has set, the ledger is where it was.
        assert_eq!(sandbox.status()["applied"], 2, "{}", output.transcript());
        let output = sandbox.ok(&["rollback", "-y"]);
        sandbox.assert_contents(&before, &format!("{script}\n{}", output.transcript()));
        let output = sandbox.ok(&["rollback", "-y"]);
        sandbox.assert_contents(&after, &format!("{script}\n{}", output.transcript()));
        sandbox.ok(&["rollback", "-y"]);
        sandbox.assert_contents(&before, script);
    }
}

fn the_connection_may_have_a_search_path(backend: Backend) {
    let sandbox = project(backend);
    sandbox.sql("CREATE SCHEMA app; CREATE TABLE public.t (a integer); INSERT INTO public.t VALUES (1);");
    let url = format!("{}?options=-csearch_path%3Dapp", sandbox.url());
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (a integer); INSERT INTO t VALUES (7);",
        "",
    );
    sandbox.ok(&["-u", &url, "up", "-y"]);
    let before = sandbox.contents();
    assert_eq!(before.rows["app.t"].len(), 1);
    sandbox.migration("002_change", "UPDATE t SET a = 8; DELETE FROM public.t;", "");
    sandbox.ok(&["-u", &url, "up", "-y"]);
    assert_eq!(sandbox.value("SELECT a FROM app.t"), "8");
    sandbox.ok(&["-u", &url, "rollback", "-n", "1", "-y"]);
    sandbox.assert_contents(&before, "walked back");
}

fn scripts_with_delimiters_go_up_and_come_back(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("001_begin", BEGIN, "");
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    sandbox.migration(
        "002_routines",
        "-- Everything that has a body.\n\
         DELIMITER $$\n\
         CREATE PROCEDURE fill(IN how_many INTEGER)\nBEGIN\n  DECLARE i INTEGER DEFAULT 0;\n  WHILE i < how_many DO\n    INSERT INTO plain VALUES (CONCAT('row; ', i), i); # a comment; with $$ in it is none of ours\n    SET i = i + 1;\n  END WHILE;\nEND$$\n\
         CREATE FUNCTION twice(n INTEGER) RETURNS INTEGER DETERMINISTIC\nBEGIN\n  IF n IS NULL THEN RETURN 0; END IF;\n  RETURN n * 2;\nEND$$\n\
         CREATE TRIGGER p_noted BEFORE UPDATE ON p FOR EACH ROW\nBEGIN\n  IF NEW.n <> OLD.n THEN\n    INSERT INTO plain VALUES ('p; changed', NEW.n);\n  END IF;\nEND $$\n\
         CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2035-01-01 00:00:00' DISABLE DO\nBEGIN\n  DELETE FROM plain WHERE n > 5;\nEND$$\n\
         DELIMITER ;\n\
         CREATE OR REPLACE VIEW doubled AS SELECT id, twice(n) AS n FROM p;\n\
         CALL fill(3);\nUPDATE p SET n = 11 WHERE id = 1;\n"
            .replace("# a comment; with $$ in it is none of ours", "# a comment; with a semicolon")
            .as_str(),
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let mut session = sandbox.session();
    assert_eq!(session.value("SELECT n FROM doubled WHERE id = 1"), "22");
    assert_eq!(
        session.value("SELECT count(*) FROM plain WHERE a LIKE '%; %'"),
        "4"
    );
    let after = sandbox.contents();
    for kind in [
        "PROCEDURE fill",
        "FUNCTION twice",
        "EVENT nightly",
        "VIEW doubled",
        "trigger p_noted",
    ] {
        assert!(
            after.definitions.contains_key(kind),
            "{kind}: {:?}",
            after.definitions.keys()
        );
    }
    let output = sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, &output.transcript());
    let output = sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&after, &output.transcript());
    // And all of it dropped, changed and failed upon: it comes back with its bodies.
    let drops = "DROP TRIGGER p_noted;\nDROP PROCEDURE fill;\nDROP EVENT nightly;\nDROP VIEW doubled;\nDROP FUNCTION twice;\n\
        CREATE FUNCTION twice(n INTEGER) RETURNS INTEGER DETERMINISTIC RETURN 2;";
    sandbox.migration("003_drop", drops, "");
    sandbox.ok(&["up", "-y"]);
    let output = sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&after, &output.transcript());
    sandbox.migration("003_drop", &format!("{drops}\nDROP TABLE no_such_table;"), "");
    let output = sandbox.run(&["up", "-y"]);
    assert_eq!(output.code, Some(1), "{}", output.transcript());
    sandbox.assert_contents(&after, &output.transcript());
}

fn routines_without_delimiters_go_up_too(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("001_begin", BEGIN, "");
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    // As migration tools that send whole files take it.
    sandbox.migration(
        "002_routine",
        "CREATE PROCEDURE fill()\nBEGIN\n  DECLARE done INTEGER DEFAULT 0;\n  IF done = 0 THEN\n    INSERT INTO plain VALUES ('a;b', 1);\n  END IF;\n  CASE done WHEN 0 THEN SET done = 1; ELSE SET done = 2; END CASE;\nEND;\n\
         CALL fill();\nDROP PROCEDURE fill;\n",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    assert_eq!(sandbox.value("SELECT count(*) FROM plain WHERE a = 'a;b'"), "1");
    let output = sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, &output.transcript());
}

/// Clocks are set back, and machines differ: the order of what was done stays.
fn a_clock_that_is_set_back_does_not_change_the_order(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_a",
        "CREATE TABLE a (id INTEGER PRIMARY KEY, x INTEGER); INSERT INTO a VALUES (1, 1);",
        "",
    );
    sandbox.migration("002_b", "UPDATE a SET x = 2;", "");
    sandbox.migration("003_c", "DELETE FROM a;", "");
    let mut states = vec![];
    for year in ["2035", "2031", "2033"] {
        states.push(sandbox.contents());
        let up = sandbox.ok_at(&format!("{year}-01-01T00:00:00Z"), &["up", "-n", "1", "-y"]);
        assert_eq!(
            up.stderr.contains("the clock shows"),
            year != "2035",
            "{}",
            up.transcript()
        );
    }
    let audit = sandbox.ok_at("2030-01-01T00:00:00Z", &["audit", "--json"]).json();
    let runs = audit["runs"].as_array().expect("a list");
    let to: Vec<_> = runs
        .iter()
        .map(|run| run["to"].as_str().expect("a text"))
        .collect();
    assert_eq!(to, ["003", "002", "001"]);
    sandbox.ok_at("2030-01-01T00:00:00Z", &["rollback", "-y"]);
    sandbox.assert_contents(&states[2], "the last run is walked back");
    sandbox.ok_at("2029-01-01T00:00:00Z", &["rollback", "-n", "1", "-y"]);
    sandbox.assert_contents(&states[1], "and the one before it");
    sandbox.ok_at("2028-01-01T00:00:00Z", &["rollback", "-y"]);
    sandbox.assert_contents(&states[2], "and that is walked back");
}

/// A statement that takes longer than its author allows is cancelled at the server, and all is as it was.
fn a_statement_over_its_time_is_cancelled_and_taken_back(backend: Backend) {
    let long = match backend {
        Backend::Sqlite => {
            "UPDATE a SET x = (WITH RECURSIVE c (i) AS (SELECT a.id UNION ALL SELECT i + 1 FROM c WHERE i < 900000000) SELECT count(*) FROM c);"
        }
        Backend::Postgres | Backend::PostgresNewest => "UPDATE a SET x = 3 WHERE pg_sleep(60) IS NOT NULL;",
        Backend::Mysql | Backend::Mariadb => "UPDATE a SET x = x + SLEEP(60);",
    };
    for loose in [false, true] {
        let sandbox = project(backend);
        sandbox.migration(
            "001_a",
            "CREATE TABLE a (id INTEGER PRIMARY KEY, x INTEGER); INSERT INTO a VALUES (1, 1);",
            "",
        );
        sandbox.ok(&["up", "-y"]);
        let before = sandbox.contents();
        let head = if loose {
            "-- walkback: transaction=off\n"
        } else {
            ""
        };
        sandbox.migration(
            "002_b",
            &format!("{head}-- walkback: statement_timeout=500ms\nINSERT INTO a VALUES (2, 2);\nCREATE TABLE b (x INTEGER);\n{long}"),
            "",
        );
        let output = sandbox.run(&["up", "-y"]);
        assert_eq!(output.code, Some(1), "{}", output.transcript());
        assert!(
            output.stderr.contains("its `statement_timeout` is 0.5 s") && output.stderr.contains("up.sql:"),
            "{}",
            output.transcript()
        );
        sandbox.assert_contents(&before, &output.transcript());
        sandbox.assert_sound();
        let recovered = sandbox.ok(&["recover", "-y"]);
        assert!(
            recovered.stdout.contains("nothing to recover"),
            "{}",
            recovered.transcript()
        );
    }
}
