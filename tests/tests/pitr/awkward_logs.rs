//! Logs in which something could be lost, done twice, or done to the database itself.

use std::time::Duration;

use walkback_tests::{Backend, Sandbox, Session};

use super::refusals::own_server;
use super::{NOTES, application, back_to, moment, project};

/// Definitions are logged as they were written: with names between double quotes, and names that begin with a digit.
pub(super) fn names_are_told_however_they_are_written(backend: Backend) {
    let (sandbox, _) = project(backend, NOTES);
    let name = sandbox.server().name().to_owned();
    let mut session = application(&sandbox);
    session.sql("CREATE TABLE 2024_orders (id INT PRIMARY KEY); INSERT INTO 2024_orders VALUES (1), (2)");
    session.sql("CREATE TABLE log (id INT PRIMARY KEY); INSERT INTO log VALUES (1), (2)");
    session.sql(&format!("TRUNCATE TABLE {name}.2024_orders"));
    session.sql(&format!(
        "SET sql_mode = 'ANSI_QUOTES'; TRUNCATE TABLE \"{name}\".\"log\"; SET sql_mode = ''"
    ));
    session.sql("INSERT INTO 2024_orders VALUES (3); INSERT INTO log VALUES (3)");
    let then = sandbox.contents();
    let at = moment(&sandbox);
    session.sql("INSERT INTO 2024_orders VALUES (4); INSERT INTO log VALUES (4)");
    let now = sandbox.contents();
    sandbox.ok(&["restore", "--to-time", &at, "--dry-run"]);
    sandbox.assert_contents(&now, "the database itself was not emptied");
    back_to(&sandbox, &at);
    sandbox.assert_contents(&then, "at the moment");
}

/// A restore exchanges tables under names of walkback's own: what became of them is a part of the way.
pub(super) fn what_walkback_itself_did_is_done_again(backend: Backend) {
    let (sandbox, backup) = project(backend, NOTES);
    let mut session = application(&sandbox);
    session.sql("UPDATE note SET line = 'wrong'; INSERT INTO note VALUES (8, 'eight')");
    sandbox.ok(&["restore", &backup, "-y"]);
    session.sql("INSERT INTO note VALUES (9, 'nine'); DELETE FROM tag WHERE id = 1");
    let then = sandbox.contents();
    let at = moment(&sandbox);
    session.sql("DELETE FROM note");
    // From the backup before the restore, over it.
    sandbox.ok(&["restore", &backup, "--to-time", &at, "-y"]);
    sandbox.assert_contents(&then, "at the moment");
    sandbox.assert_sound();
}

pub(super) fn an_event_does_not_run_where_the_log_is_done_again(backend: Backend) {
    let due = "ON SCHEDULE EVERY 1 SECOND ENABLE DO INSERT INTO seen (name) VALUES (DATABASE())";
    let table = "CREATE TABLE seen (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(80))";
    let (sandbox, _) = project(backend, table);
    let mut session = application(&sandbox);
    let scheduler = session.value("SELECT @@GLOBAL.event_scheduler");
    session.sql(&format!("CREATE EVENT early {due}"));
    let backup = sandbox.backup();
    session.sql(&format!("CREATE EVENT late {due}"));
    session.sql(
        "CREATE EVENT never ON SCHEDULE EVERY 1 SECOND DISABLE DO INSERT INTO seen (name) VALUES ('never')",
    );
    sandbox.server().administrate("SET GLOBAL event_scheduler = ON");
    std::thread::sleep(Duration::from_millis(2500));
    session.sql("ALTER EVENT early DISABLE; ALTER EVENT late DISABLE");
    std::thread::sleep(Duration::from_millis(1100));
    session.sql("DELETE FROM seen; ALTER EVENT early ENABLE");
    session.sql("ALTER EVENT early ON SCHEDULE EVERY 1 YEAR STARTS '2037-01-01 00:00:00'; DELETE FROM seen");
    let then = sandbox.contents();
    let at = moment(&sandbox);
    session.sql("DROP EVENT late");
    sandbox.ok(&["restore", &backup, "--to-time", &at, "-y"]);
    sandbox.ok(&["backup", "verify", &backup, "--restore"]);
    sandbox
        .server()
        .administrate(&format!("SET GLOBAL event_scheduler = {scheduler}"));
    sandbox.assert_contents(&then, "nothing ran in the scratch database");
    let states = "SELECT GROUP_CONCAT(CONCAT(event_name, ' ', status) ORDER BY event_name) FROM information_schema.events \
                  WHERE event_schema = DATABASE()";
    assert_eq!(
        sandbox.value(states),
        "early ENABLED,late DISABLED,never DISABLED"
    );
}

pub(super) fn statements_behind_a_comment_are_done_again(backend: Backend) {
    let (sandbox, _) = project(backend, NOTES);
    let mut session = sandbox.session();
    session.sql("SET SESSION binlog_format = 'MIXED'");
    session.sql("# a word before it\nUPDATE note SET line = 'said' WHERE id = 1");
    session.sql("# Dummy event replacing event type\nCREATE TABLE more (id INT PRIMARY KEY)");
    let then = sandbox.contents();
    let at = moment(&sandbox);
    session.sql("DELETE FROM note");
    back_to(&sandbox, &at);
    sandbox.assert_contents(&then, "at the moment");
}

pub(super) fn a_distributed_transaction_is_never_lost_in_silence(backend: Backend) {
    // The log does not say of which database it is: on a server with other journeys these would be refused as well.
    let (_server, _own) = own_server(backend);
    let (sandbox, _) = project(backend, NOTES);
    let mut session = application(&sandbox);
    let xid = format!("'pitr{}'", sandbox.server().name());
    session.sql(&format!(
        "XA START {xid}; INSERT INTO note VALUES (3, 'three'); XA END {xid}; XA PREPARE {xid}"
    ));
    let prepared = sandbox.run(&["backup", "create"]);
    session.sql(&format!("XA COMMIT {xid}"));
    assert_eq!(prepared.code, Some(0), "{}", prepared.transcript());
    assert!(
        prepared.transcript().contains("cannot go forward from it"),
        "{}",
        prepared.transcript()
    );
    let now = sandbox.contents();
    let at = moment(&sandbox);
    let refused = sandbox.run(&["restore", "--to-time", &at, "-y"]);
    assert_ne!(refused.code, Some(0), "{}", refused.transcript());
    assert!(refused.stderr.contains("XA"), "{}", refused.transcript());
    sandbox.assert_contents(&now, "nothing was changed");
}

/// Returns the file that the server writes its log to.
fn log_of(sandbox: &Sandbox) -> String {
    let status = match sandbox.backend() {
        Backend::Mariadb => "SHOW MASTER STATUS",
        _ => "SHOW BINARY LOG STATUS",
    };
    let mut administrator = Session::open(sandbox.backend(), sandbox.server().server().admin_url());
    administrator.value(status)
}

/// MariaDB adds a checksum to the event that names a file: four bytes that were shown as a part of the name.
pub(super) fn the_plan_names_the_log_as_the_server_does(backend: Backend) {
    let (sandbox, _) = project(backend, NOTES);
    let mut session = application(&sandbox);
    for (id, flush) in [
        (3, ""),
        (4, "FLUSH BINARY LOGS"),
        (5, "FLUSH BINARY LOGS; FLUSH BINARY LOGS"),
    ] {
        if !flush.is_empty() {
            sandbox.server().administrate(flush);
        }
        session.sql(&format!("INSERT INTO note VALUES ({id}, 'more')"));
        let (log, at) = (log_of(&sandbox), moment(&sandbox));
        assert!(log.contains('.') && log.is_ascii(), "`{log}`");
        let arguments = ["restore", "--to-time", &at, "--table", "note", "--dry-run"];
        let shown = sandbox.ok(&arguments).transcript();
        assert!(shown.contains(&format!("to {log}:")), "to `{log}`: {shown}");
    }
}
