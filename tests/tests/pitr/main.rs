//! Back to a moment: after a bad statement everything is there as it was just before it, and nothing else.

mod awkward_logs;
mod kills;
mod nearest;
mod production;
mod refusals;

use std::process::ExitCode;
use std::time::Duration;

use awkward_logs::{
    a_distributed_transaction_is_never_lost_in_silence, an_event_does_not_run_where_the_log_is_done_again,
    names_are_told_however_they_are_written, statements_behind_a_comment_are_done_again,
    the_plan_names_the_log_as_the_server_does, what_walkback_itself_did_is_done_again,
};
use kills::killed_at_any_step_the_database_is_as_it_was_or_as_it_is;
use nearest::without_a_log_the_newest_backup_from_before_is_taken_and_named;
use production::{
    global_names_and_a_packed_log_change_nothing, parts_of_rows_are_gone_forward_over,
    the_rights_that_are_named_are_enough, what_another_database_writes_here_is_not_lost_in_silence,
};
use refusals::{
    a_moment_that_cannot_be_had_is_refused_with_what_can, a_server_whose_log_is_off_or_gone_says_what_to_do,
    what_cannot_be_done_again_is_refused_with_its_place,
};
use walkback_tests::{Backend, MYSQL, Sandbox, Session, awkward, journeys};

/// Where a server of its own is started for a test.
const MARIADB: &[Backend] = &[Backend::Mariadb];

fn main() -> ExitCode {
    walkback_tests::main(
        "pitr",
        &journeys! {
            MYSQL => [
                just_before_a_bad_statement_everything_is_as_it_was,
                awkward_tables_are_gone_forward_over,
                one_table_comes_back_and_the_others_stay,
                migrations_between_are_applied_or_not_as_at_the_moment,
                statements_in_the_log_are_run_again,
                a_dry_run_leaves_nothing_behind,
                names_are_told_however_they_are_written,
                the_plan_names_the_log_as_the_server_does,
                what_walkback_itself_did_is_done_again,
                an_event_does_not_run_where_the_log_is_done_again,
                statements_behind_a_comment_are_done_again,
                a_distributed_transaction_is_never_lost_in_silence,
                global_names_and_a_packed_log_change_nothing,
                parts_of_rows_are_gone_forward_over,
                what_another_database_writes_here_is_not_lost_in_silence,
                the_rights_that_are_named_are_enough,
                the_doctor_says_what_is_missing,
                a_moment_that_cannot_be_had_is_refused_with_what_can,
                what_cannot_be_done_again_is_refused_with_its_place,
                killed_at_any_step_the_database_is_as_it_was_or_as_it_is,
            ],
            MARIADB => [a_server_whose_log_is_off_or_gone_says_what_to_do],
            &[Backend::Sqlite] => [without_a_log_the_newest_backup_from_before_is_taken_and_named],
        },
    )
}

const NOTES: &str = "CREATE TABLE note (id INTEGER NOT NULL PRIMARY KEY, line VARCHAR(40));\n\
    CREATE TABLE tag (id INTEGER NOT NULL PRIMARY KEY, note INTEGER NOT NULL, word VARCHAR(20), \
    CONSTRAINT of_note FOREIGN KEY (note) REFERENCES note (id) ON DELETE CASCADE);\n\
    INSERT INTO note VALUES (1, 'one'), (2, 'two');\nINSERT INTO tag VALUES (1, 1, 'a'), (2, 2, 'b');";

/// A project with these tables, applied and backed up. Returns the id of the backup.
fn project(backend: Backend, begin: &str) -> (Sandbox, String) {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration("001_begin", begin, "");
    sandbox.ok(&["up", "-y"]);
    // What was before the backup is in another second of the log.
    let backup = sandbox.backup();
    (sandbox, backup)
}

/// A session of an application, whose changes are logged as rows.
fn application(sandbox: &Sandbox) -> Session {
    let mut session = sandbox.session();
    if sandbox.backend() == Backend::Mariadb {
        session.sql("SET SESSION binlog_format = 'ROW'");
    }
    session
}

/// Returns this moment, by the clock of the server. Everything before it is of an earlier second, and everything after it of
/// a later one: that is as fine as the log of MariaDB is.
fn moment(sandbox: &Sandbox) -> String {
    std::thread::sleep(Duration::from_millis(1100));
    let now = sandbox.value("SELECT DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%dT%H:%i:%s.%fZ')");
    std::thread::sleep(Duration::from_millis(1100));
    now
}

fn back_to(sandbox: &Sandbox, moment: &str) {
    sandbox.ok(&["restore", "--to-time", moment, "-y"]);
}

fn just_before_a_bad_statement_everything_is_as_it_was(backend: Backend) {
    let (sandbox, backup) = project(backend, NOTES);
    let mut application = application(&sandbox);
    application.sql("INSERT INTO note VALUES (3, 'three')");
    application.sql("UPDATE note SET line = 'TWO' WHERE id = 2");
    application.sql("DELETE FROM note WHERE id = 1");
    application.sql("ALTER TABLE note ADD COLUMN made TIMESTAMP NULL DEFAULT '2026-01-02 03:04:05', ADD INDEX by_line (line)");
    application.sql("SET time_zone = '+05:00'; CREATE TABLE later (at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, n INT UNSIGNED)");
    application.sql("INSERT INTO later (n) VALUES (4294967295), (0)");
    application.sql("START TRANSACTION; INSERT INTO tag VALUES (3, 3, 'c'); SAVEPOINT s; DELETE FROM tag; ROLLBACK TO s; COMMIT");
    application.sql("CREATE VIEW words AS SELECT word FROM tag");
    application.sql("CREATE TRIGGER copied AFTER INSERT ON note FOR EACH ROW INSERT INTO tag VALUES (NEW.id, NEW.id, 'auto')");
    application.sql("INSERT INTO note (id, line) VALUES (4, 'four')");
    let before = sandbox.contents();
    let at = moment(&sandbox);
    application.sql("DELETE FROM note");
    application.sql("INSERT INTO note (id, line) VALUES (9, 'after')");
    application.sql("DROP TABLE later");

    let shown = sandbox.ok(&["restore", "--to-time", &at, "-y"]);
    let transcript = format!("{}{}", shown.stdout, shown.stderr);
    for part in [
        backup.as_str(),
        "by the log",
        "done again",
        "is kept as the backup `pitr_",
    ] {
        assert!(transcript.contains(part), "`{part}` is not in:\n{transcript}");
    }
    sandbox.assert_contents(&before, "at the moment");
    sandbox.assert_sound();
    // And the restore itself is walked back like any other.
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.value("SELECT line FROM note"), "after");
}

fn awkward_tables_are_gone_forward_over(backend: Backend) {
    let (sandbox, _) = project(backend, awkward::tables(backend));
    let mut application = application(&sandbox);
    application.sql(awkward::rows(backend));
    application.sql(
        "CREATE TABLE `od``d.dot` (id INT PRIMARY KEY, j JSON, g GEOMETRY, y YEAR, t TIME(3), e ENUM('a', 'ö'), \
         c CHAR(3) CHARACTER SET latin1, b BINARY(4), big LONGBLOB, f FLOAT, s INT AS (id * 2) STORED)",
    );
    application.sql(
        "INSERT INTO `od``d.dot` (id, j, g, y, t, e, c, b, big, f) VALUES \
         (1, '{\"a\": [1, 2.5, null, \"ä\"]}', ST_GeomFromText('POINT(1 2)'), 2026, '-12:34:56.789', 'ö', 'é', x'00ff', \
         REPEAT(x'00ff41', 100000), 0.1), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    );
    application.sql("UPDATE `od``d.dot` SET j = JSON_SET(j, '$.b', 1), f = -f WHERE id = 1");
    application.sql("UPDATE `or\"``der` SET small = 200, flags = b'110' WHERE id = 2");
    application.sql("DELETE FROM `or\"``der` WHERE id = 1");
    application.sql("DELETE FROM keyless WHERE b = '1' LIMIT 1");
    let before = sandbox.contents();
    let at = moment(&sandbox);
    application.sql("DELETE FROM keyless; DROP TABLE `od``d.dot`; DELETE FROM `or\"``der`");
    back_to(&sandbox, &at);
    sandbox.assert_contents(&before, "at the moment");
}

fn one_table_comes_back_and_the_others_stay(backend: Backend) {
    let (sandbox, backup) = project(backend, NOTES);
    let mut application = application(&sandbox);
    application.sql("INSERT INTO note VALUES (3, 'three')");
    let at = moment(&sandbox);
    application.sql("UPDATE note SET line = 'gone'");
    application.sql("UPDATE tag SET word = 'new'");
    sandbox.ok(&["restore", &backup, "--to-time", &at, "--table", "note", "-y"]);
    assert_eq!(
        sandbox.value("SELECT GROUP_CONCAT(line ORDER BY id) FROM note"),
        "one,two,three"
    );
    assert_eq!(
        sandbox.value("SELECT GROUP_CONCAT(DISTINCT word) FROM tag"),
        "new"
    );
}

fn migrations_between_are_applied_or_not_as_at_the_moment(backend: Backend) {
    let (sandbox, _) = project(backend, NOTES);
    sandbox.migration(
        "002_more",
        "ALTER TABLE note ADD COLUMN more INTEGER;\nUPDATE note SET more = id;",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    let at = moment(&sandbox);
    sandbox.migration(
        "003_less",
        "ALTER TABLE note DROP COLUMN line;\nDELETE FROM tag;",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    back_to(&sandbox, &at);
    sandbox.assert_contents(&before, "at the moment");
    let current = sandbox.ok(&["current"]).stdout;
    assert!(
        current.contains("002_more") && !current.contains("003"),
        "{current}"
    );
    sandbox.ok(&["up", "-y"]);
    assert_eq!(sandbox.value("SELECT COUNT(*) FROM tag"), "0");
}

/// Where the server logs statements that it takes for safe, as MariaDB does unless it is told otherwise.
fn statements_in_the_log_are_run_again(backend: Backend) {
    let (sandbox, _) = project(
        backend,
        "CREATE TABLE note (id INTEGER NOT NULL AUTO_INCREMENT PRIMARY KEY, line VARCHAR(40), at DATETIME(6))",
    );
    let mut application = sandbox.session();
    application.sql("SET SESSION binlog_format = 'MIXED'");
    application.sql("INSERT INTO note (line, at) VALUES ('a', NOW(6)), ('b', NOW(6))");
    application.sql("SET SESSION sql_mode = 'ANSI_QUOTES'; INSERT INTO \"note\" (line) VALUES ('c')");
    application.sql("START TRANSACTION; UPDATE note SET line = 'A' WHERE id = 1; INSERT INTO note (line) VALUES ('d'); COMMIT");
    application.sql("START TRANSACTION; DELETE FROM note; ROLLBACK");
    let name = sandbox.server().name().to_owned();
    application.sql(&format!("UPDATE `{name}`.note SET line = 'C' WHERE id = 3"));
    let before = sandbox.contents();
    let at = moment(&sandbox);
    application.sql("DELETE FROM note");
    back_to(&sandbox, &at);
    sandbox.assert_contents(&before, "at the moment");
}

fn a_dry_run_leaves_nothing_behind(backend: Backend) {
    // Other tests have scratch databases of their own beside this one.
    let mark = format!("only_in_{}", std::process::id());
    let (sandbox, _) = project(
        backend,
        &format!("{NOTES}\nCREATE TABLE {mark} (id INT PRIMARY KEY)"),
    );
    let mut application = application(&sandbox);
    application.sql(&format!(
        "CREATE DATABASE walkback_scratch_{mark}; CREATE TABLE walkback_scratch_{mark}.{mark} (id INT)"
    ));
    assert_eq!(
        scratch_databases(&sandbox, &mark),
        "1",
        "what is left behind is seen"
    );
    application.sql(&format!("DROP DATABASE walkback_scratch_{mark}"));
    application.sql("INSERT INTO note VALUES (3, 'three')");
    let at = moment(&sandbox);
    application.sql("DELETE FROM note");
    let before = sandbox.contents();
    let points = sandbox.vault_files("points");
    let shown = sandbox
        .ok(&["restore", "--to-time", &at, "--dry-run"])
        .transcript();
    assert!(shown.contains("done again") && shown.contains("note"), "{shown}");
    sandbox.assert_contents(&before, "after a dry run");
    assert_eq!(sandbox.vault_files("points"), points);
    assert_eq!(scratch_databases(&sandbox, &mark), "0");
}

/// Returns how many scratch databases there are that hold a table of this name.
fn scratch_databases(sandbox: &Sandbox, table: &str) -> String {
    let mut administrator = Session::open(sandbox.backend(), sandbox.server().server().admin_url());
    administrator.value(&format!(
        "SELECT COUNT(*) FROM information_schema.tables \
         WHERE table_schema LIKE 'walkback\\_scratch\\_%' AND table_name = '{table}'"
    ))
}

fn the_doctor_says_what_is_missing(backend: Backend) {
    let (sandbox, _) = project(backend, NOTES);
    let all = sandbox.ok(&["doctor"]).stdout;
    assert!(all.contains("point in time"), "{all}");
    let name = format!("pitr{}", std::process::id());
    let database = sandbox.server().name().to_owned();
    sandbox.server().administrate(&format!(
        "CREATE USER '{name}'@'%' IDENTIFIED BY 'secret'; GRANT ALL PRIVILEGES ON `{database}`.* TO '{name}'@'%'"
    ));
    let url = sandbox.server().url_as(&name, "secret");
    let limited = sandbox.run(&["doctor", "-u", &url]).transcript();
    let backup = sandbox.run(&["backup", "create", "-u", &url]).transcript();
    sandbox.server().administrate(&format!("DROP USER '{name}'@'%'"));
    let right = if backend == Backend::Mariadb {
        "BINLOG MONITOR"
    } else {
        "REPLICATION CLIENT"
    };
    assert!(
        limited.contains("point in time") && limited.contains(right),
        "{limited}"
    );
    if backend == Backend::Mysql {
        assert!(backup.contains("cannot go forward from it"), "{backup}");
    }
}
