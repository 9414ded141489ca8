//! Servers as they are run in production: transactions with global names, logs that are packed, parts of rows, and statements
//! among them.

use walkback_services::Server;
use walkback_tests::{Backend, Session};

use super::refusals::{Own, own_server};
use super::{NOTES, application, back_to, moment, project};

/// The ways from none to each transaction having a name that all servers know, as where there are replicas: a step at a time.
const GLOBAL_NAMES: [&str; 4] = ["OFF", "OFF_PERMISSIVE", "ON_PERMISSIVE", "ON"];

/// Has transactions have global names, or none. What a server begins with differs by its version.
fn set_global_names(server: &Server, is_on: bool) {
    let mut administrator = Session::open(Backend::Mysql, server.admin_url());
    if is_on {
        administrator.sql("SET GLOBAL enforce_gtid_consistency = ON");
    }
    let mut steps = GLOBAL_NAMES;
    if !is_on {
        steps.reverse();
    }
    for step in steps {
        // One that it is past already is refused.
        administrator
            .try_sql(&format!("SET GLOBAL gtid_mode = {step}"))
            .ok();
    }
    let found = administrator.value("SELECT @@GLOBAL.gtid_mode");
    assert_eq!(found == "ON", is_on, "{found}");
}

/// Starts a server of this journey's own, and sets variables of it.
fn server_with(backend: Backend, mysql: &[&str], mariadb: &[&str]) -> (Server, Own) {
    let (server, own) = own_server(backend);
    let settings = if backend == Backend::Mariadb {
        mariadb
    } else {
        mysql
    };
    let mut administrator = Session::open(backend, server.admin_url());
    for setting in settings {
        administrator.sql(&format!("SET GLOBAL {setting}"));
    }
    (server, own)
}

/// Sees that the log grows by less than what is written.
fn assert_packs(backend: Backend, server: &Server) {
    let mut administrator = Session::open(backend, server.admin_url());
    let written = match backend {
        Backend::Mariadb => {
            "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'BINLOG_BYTES_WRITTEN'"
        }
        _ => {
            "SELECT CAST(SUM(compressed_bytes_counter) AS CHAR) \
             FROM performance_schema.binary_log_transaction_compression_stats WHERE compression_type = 'ZSTD'"
        }
    };
    let mut bytes = || -> u64 { administrator.value(written).parse().expect("a number") };
    let before = bytes();
    let mut other = Session::open(backend, server.admin_url());
    other.sql("CREATE DATABASE packs; CREATE TABLE packs.t (body LONGTEXT)");
    other.sql("INSERT INTO packs.t VALUES (REPEAT('all the same ', 100000))");
    let after = bytes();
    assert!(
        (before + 100..before + 200_000).contains(&after),
        "it is packed: from {before} to {after}"
    );
    other.sql("DROP DATABASE packs");
}

pub(super) fn global_names_and_a_packed_log_change_nothing(backend: Backend) {
    let (server, _own) = server_with(
        backend,
        &["binlog_transaction_compression = ON", "binlog_checksum = NONE"],
        &[
            "gtid_strict_mode = ON",
            "log_bin_compress = ON",
            "log_bin_compress_min_len = 10",
            "binlog_checksum = NONE",
        ],
    );
    if backend == Backend::Mysql {
        set_global_names(&server, true);
    }
    super::just_before_a_bad_statement_everything_is_as_it_was(backend);
    super::awkward_tables_are_gone_forward_over(backend);
    super::migrations_between_are_applied_or_not_as_at_the_moment(backend);
    super::statements_in_the_log_are_run_again(backend);
    super::names_are_told_however_they_are_written(backend);
    super::what_walkback_itself_did_is_done_again(backend);
    let mut administrator = Session::open(backend, server.admin_url());
    administrator.sql("SET GLOBAL binlog_checksum = CRC32");
    drop(administrator);
    super::the_plan_names_the_log_as_the_server_does(backend);
    large_transactions_and_names_with_a_tag(backend);
    assert_packs(backend, &server);
}

fn large_transactions_and_names_with_a_tag(backend: Backend) {
    let (sandbox, _) = project(backend, NOTES);
    let mut session = application(&sandbox);
    session.sql("CREATE TABLE wide (id INT PRIMARY KEY, body LONGTEXT)");
    if backend == Backend::Mysql {
        session.sql("SET SESSION gtid_next = 'AUTOMATIC:ours'");
    }
    let rows = "SELECT 1 AS id UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4";
    session.sql(&format!(
        "INSERT INTO wide SELECT a.id * 16 + b.id * 4 + c.id, REPEAT(CONCAT(UUID(), a.id), 8000) \
         FROM ({rows}) a, ({rows}) b, ({rows}) c"
    ));
    session.sql("CREATE TABLE taken AS SELECT id, LEFT(body, 40) AS body FROM wide; UPDATE wide SET body = CONCAT(body, id)");
    let then = sandbox.contents();
    let at = moment(&sandbox);
    session.sql("DELETE FROM wide; DROP TABLE taken");
    back_to(&sandbox, &at);
    sandbox.assert_contents(&then, "at the moment");
}

/// The server logs only what it needs to find a row, and what was changed of it.
pub(super) fn parts_of_rows_are_gone_forward_over(backend: Backend) {
    let image = "binlog_row_image = 'MINIMAL'";
    let of_documents = "binlog_row_value_options = 'PARTIAL_JSON'";
    let (server, _own) = server_with(backend, &[image, of_documents], &[image]);
    if backend == Backend::Mysql {
        set_global_names(&server, false);
    }
    super::just_before_a_bad_statement_everything_is_as_it_was(backend);
    super::awkward_tables_are_gone_forward_over(backend);
    columns_that_nobody_named_come_back(backend);
    let mut administrator = Session::open(backend, server.admin_url());
    administrator.sql("SET GLOBAL binlog_row_image = 'NOBLOB'");
    drop(administrator);
    super::awkward_tables_are_gone_forward_over(backend);
    columns_that_nobody_named_come_back(backend);
}

fn columns_that_nobody_named_come_back(backend: Backend) {
    let (sandbox, _) = project(backend, NOTES);
    let doctor = sandbox.ok(&["doctor"]).stdout;
    assert!(!doctor.contains("binlog_row_image"), "it is no lack: {doctor}");
    let mut session = application(&sandbox);
    session.sql(
        "CREATE TABLE made (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40) DEFAULT (UUID()), \
         at DATETIME(6) DEFAULT (SYSDATE(6)), \
         touched TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), n INT DEFAULT 7, \
         body TEXT, twice INT AS (n * 2) STORED, thrice INT AS (n * 3) VIRTUAL, UNIQUE by_name (name))",
    );
    session.sql("CREATE TABLE unkeyed (a INT NOT NULL, b TEXT, c INT DEFAULT 3, UNIQUE by_a (a))");
    session.sql("CREATE TABLE bare (a INT, b TEXT, c DOUBLE)");
    session.sql("INSERT INTO made (n) VALUES (1), (2); INSERT INTO made (body) VALUES ('three'), (NULL); INSERT INTO made VALUES ()");
    session.sql("INSERT INTO unkeyed (a) VALUES (1), (2); INSERT INTO unkeyed VALUES (3, 'b', NULL)");
    session.sql("INSERT INTO bare (b) VALUES ('x'), ('x'), (NULL); INSERT INTO bare VALUES (1, 'y', 0.1)");
    session.sql("UPDATE made SET body = 'changed' WHERE id = 2; UPDATE made SET n = 9 WHERE id IN (3, 4)");
    session.sql("UPDATE made SET id = 50 WHERE id = 5; DELETE FROM made WHERE id = 1");
    session.sql("UPDATE unkeyed SET b = 'c' WHERE a = 1; UPDATE unkeyed SET a = 9 WHERE a = 3; DELETE FROM unkeyed WHERE a = 2");
    session.sql("UPDATE bare SET c = 0.5 WHERE b = 'x' LIMIT 1; DELETE FROM bare WHERE b IS NULL");
    session.sql("ALTER TABLE made ALTER COLUMN n SET DEFAULT 70; INSERT INTO made (body) VALUES ('later')");
    session.sql("REPLACE INTO made (id, n) VALUES (50, 51); INSERT INTO made (id) VALUES (2) ON DUPLICATE KEY UPDATE n = n + 1");
    let then = sandbox.contents();
    let at = moment(&sandbox);
    session.sql("DELETE FROM made; DELETE FROM unkeyed; DELETE FROM bare");
    back_to(&sandbox, &at);
    sandbox.assert_contents(&then, "at the moment");
}

/// Of a user without the right to see distributed transactions MySQL made no backup at all.
pub(super) fn the_rights_that_are_named_are_enough(backend: Backend) {
    // What is done again is in the log of MariaDB here, as of the moment it was done first: other journeys would be refused for it.
    let (_server, _own) = own_server(backend);
    let (sandbox, _) = project(backend, NOTES);
    let database = sandbox.server().name().to_owned();
    let user = format!("pitr{}", rand::random::<u32>());
    let rights = match backend {
        Backend::Mariadb => "BINLOG MONITOR, REPLICATION SLAVE, BINLOG REPLAY",
        _ => "REPLICATION CLIENT, REPLICATION SLAVE, REPLICATION_APPLIER",
    };
    sandbox.server().administrate(&format!(
        "CREATE USER '{user}'@'%' IDENTIFIED BY 'secret'; GRANT ALL PRIVILEGES ON `{database}`.* TO '{user}'@'%'; \
         GRANT ALL PRIVILEGES ON `walkback\\_scratch\\_%`.* TO '{user}'@'%'"
    ));
    for right in rights.split(", ") {
        sandbox
            .server()
            .administrate(&format!("GRANT {right} ON *.* TO '{user}'@'%'"));
    }
    let url = sandbox.server().url_as(&user, "secret");
    let backup = sandbox.run(&["backup", "create", "-u", &url]);
    let mut session = application(&sandbox);
    session.sql(
        "INSERT INTO note VALUES (3, 'three'); ALTER TABLE tag ADD COLUMN more INT; UPDATE tag SET more = 1",
    );
    let then = sandbox.contents();
    let at = moment(&sandbox);
    session.sql("DELETE FROM note");
    let restored = sandbox.run(&["restore", "--to-time", &at, "-y", "-u", &url]);
    sandbox.server().administrate(&format!("DROP USER '{user}'@'%'"));
    assert_eq!(backup.code, Some(0), "{}", backup.transcript());
    assert!(
        !backup.transcript().contains("cannot go forward"),
        "{}",
        backup.transcript()
    );
    assert_eq!(restored.code, Some(0), "{}", restored.transcript());
    sandbox.assert_contents(&then, "at the moment");
}

/// A statement of another database is logged as such, and what a trigger of that one writes here is not in the log.
pub(super) fn what_another_database_writes_here_is_not_lost_in_silence(backend: Backend) {
    let (_server, _own) = own_server(backend);
    let (sandbox, _) = project(backend, NOTES);
    let name = sandbox.server().name().to_owned();
    sandbox.server().administrate(
        "CREATE DATABASE other; CREATE TABLE other.t (id INT PRIMARY KEY); CREATE TABLE other.plain (id INT PRIMARY KEY)",
    );
    let mut session = sandbox.session();
    session.sql("SET SESSION binlog_format = 'MIXED'; USE other");
    session.sql("INSERT INTO plain VALUES (1)");
    session.sql(&format!("INSERT INTO {name}.note VALUES (3, 'three')"));
    let then = sandbox.contents();
    let before = moment(&sandbox);
    session.sql(&format!(
        "CREATE TRIGGER into_ours AFTER INSERT ON t FOR EACH ROW INSERT INTO {name}.note VALUES (NEW.id, 'by a trigger')"
    ));
    session.sql("INSERT INTO t VALUES (70)");
    let now = sandbox.contents();
    assert_ne!(now, then, "the trigger writes");
    let after = moment(&sandbox);
    let refused = sandbox.run(&["restore", "--to-time", &after, "-y"]);
    assert_ne!(refused.code, Some(0), "{}", refused.transcript());
    for part in ["by `t`", "INSERT INTO t", "binlog_format"] {
        assert!(
            refused.stderr.contains(part),
            "`{part}`: {}",
            refused.transcript()
        );
    }
    sandbox.assert_contents(&now, "nothing was changed");
    // As rows the same is done again, and a statement before the trigger was there was nothing to it.
    session.sql("DROP TRIGGER into_ours");
    back_to(&sandbox, &before);
    sandbox.assert_contents(&then, "before the trigger");
}
