//! What cannot be gone back to, and what the person is told.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::time::Duration;

use walkback_tests::{Backend, Sandbox};

use crate::server::{Archiving, give};
use crate::{configure, shop, state};

/// Runs `restore --to-time`, which must fail with this exit code, say these words, change nothing and leave nothing.
pub(crate) fn refused(sandbox: &Sandbox, server: &Archiving, moment: &str, code: i32, words: &[&str]) {
    let before = state(server, "shop", "orders");
    let output = sandbox.run(&["restore", "--to-time", moment, "--table", "orders", "-y"]);
    assert_eq!(output.code, Some(code), "{}", output.transcript());
    for word in words {
        assert!(output.stderr.contains(word), "`{word}`: {}", output.transcript());
    }
    assert_eq!(state(server, "shop", "orders"), before, "nothing is changed");
    assert_eq!(server.left(), (0, 0), "nothing is left");
}

pub(crate) fn no_moment_outside_of_what_is_there(_: Backend) {
    let server = Archiving::start();
    let sandbox = shop(&server, "shop");
    let too_early = server.moment();
    std::thread::sleep(Duration::from_millis(1100));
    refused(
        &sandbox,
        &server,
        &too_early,
        2,
        &["there is no base backup in", "pg_basebackup"],
    );
    server.base_backup("one", &[]);
    refused(
        &sandbox,
        &server,
        &too_early,
        2,
        &["no base backup in", "is from before", "the oldest was"],
    );
    refused(&sandbox, &server, "2100-01-01T00:00:00Z", 2, &["2100"]);
    server.session("shop").sql("UPDATE orders SET price = 1");
    server.switch();
    server.session("shop").sql("UPDATE orders SET price = 2");
    // What stands where the archiver would write keeps it from that.
    let next = server
        .session("postgres")
        .value("SELECT pg_walfile_name(pg_current_wal_lsn())");
    fs::create_dir_all(server.wal().join(format!("{next}.tmp")).join(&next)).expect("a folder can be made");
    let after = server.moment();
    server.session("shop").sql("DELETE FROM orders WHERE id = 7");
    refused(
        &sandbox,
        &server,
        &after,
        2,
        &[
            "ends before",
            "the last transaction before that is of 20",
            "pg_switch_wal",
        ],
    );
}

pub(crate) fn a_missing_segment_is_named(_: Backend) {
    let server = Archiving::start();
    let sandbox = shop(&server, "shop");
    server.base_backup("one", &[]);
    server.switch();
    let gone = server.switch();
    server.switch();
    let moment = server.moment();
    fs::remove_file(server.wal().join(&gone)).expect("it is there");
    refused(
        &sandbox,
        &server,
        &moment,
        8,
        &[&gone, "is missing", "later ones are there"],
    );
    // One that is there and cannot be read is no end of the archive either.
    fs::write(server.wal().join(format!("{gone}.gz")), "no gzip").expect("it can be written");
    give(&server.wal().join(format!("{gone}.gz")));
    refused(&sandbox, &server, &moment, 8, &[&gone, "cannot be read"]);
}

pub(crate) fn the_version_of_the_programs_is_checked(_: Backend) {
    let server = Archiving::start();
    let sandbox = shop(&server, "shop");
    let base = server.base_backup("one", &[]);
    let moment = server.moment();
    let version = fs::read_to_string(base.join("PG_VERSION")).expect("it is there");
    fs::write(base.join("PG_VERSION"), "13\n").expect("it can be written");
    refused(
        &sandbox,
        &server,
        &moment,
        2,
        &["PostgreSQL 13 are not on this machine", "programs"],
    );
    let programs = crate::server::programs().expect("they are there");
    let text = fs::read_to_string(sandbox.path("walkback.toml")).expect("it is there");
    sandbox.write("walkback.toml", &format!("{text}programs = {programs:?}\n"));
    refused(
        &sandbox,
        &server,
        &moment,
        2,
        &[
            "is of PostgreSQL 13, and the programs in",
            &format!("are of {}", version.trim()),
        ],
    );
    fs::write(base.join("PG_VERSION"), version).expect("it can be written");
    sandbox.ok(&["restore", "--to-time", &moment, "--table", "orders", "-y"]);
}

pub(crate) fn a_base_backup_that_was_changed_is_refused(_: Backend) {
    let server = Archiving::start();
    let sandbox = shop(&server, "shop");
    let base = server.base_backup("one", &[]);
    let moment = server.moment();
    let file = server
        .session("shop")
        .value("SELECT pg_relation_filepath('orders')");
    let mut file = fs::File::options()
        .write(true)
        .open(base.join(file))
        .expect("it is there");
    file.seek(SeekFrom::Start(8000)).expect("it is long enough");
    file.write_all(b"x").expect("it can be written");
    drop(file);
    refused(
        &sandbox,
        &server,
        &moment,
        8,
        &["is not what its manifest says", "checksum mismatch"],
    );
    fs::remove_file(base.join("backup_label")).expect("it is there");
    refused(&sandbox, &server, &moment, 2, &["no `backup_label`"]);
}

pub(crate) fn a_database_that_was_not_there_yet_is_named(_: Backend) {
    let server = Archiving::start();
    server.base_backup("one", &[]);
    let moment = server.moment();
    let sandbox = shop(&server, "shop");
    refused(
        &sandbox,
        &server,
        &moment,
        2,
        &["the database `shop` did not exist at"],
    );
}

pub(crate) fn doctor_says_what_to_set(_: Backend) {
    let server = Archiving::start();
    let sandbox = shop(&server, "shop");
    let said = |words: &str| {
        let output = sandbox.run(&["doctor"]);
        assert!(
            output.stdout.contains(words),
            "`{words}`: {}",
            output.transcript()
        );
    };
    said("there is no base backup in");
    server.base_backup("one", &[]);
    said("has it recover a base backup");
    configure(&sandbox, &server, "shop", &server.path("nowhere"));
    said("nowhere");
    let text = fs::read_to_string(sandbox.path("walkback.toml")).expect("it is there");
    let (without, _) = text.split_once("[env.dev.recovery]").expect("it is in it");
    sandbox.write("walkback.toml", without);
    said("no base backup is configured");
    let output = sandbox.run(&["restore", "--to-time", "2026-01-01T00:00:00Z", "-y"]);
    assert_eq!(output.code, Some(2), "{}", output.transcript());
    assert!(
        output.stderr.contains("[env.dev.recovery]"),
        "{}",
        output.transcript()
    );
    // A server that is not set up for it says so.
    let shared = Sandbox::project(Backend::Postgres, env!("CARGO_BIN_EXE_walkback-under-test"));
    let output = shared.run(&["doctor"]);
    assert!(
        output.stdout.contains("ALTER SYSTEM SET archive_mode = 'on'"),
        "{}",
        output.transcript()
    );
}
