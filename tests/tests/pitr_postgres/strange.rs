//! Base backups and archives that hold more than they should, and tables whose rows no log holds.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use walkback_tests::Backend;

use crate::amiss::refused;
use crate::server::{Archiving, as_nobody, give, run};
use crate::{shop, state};

/// Adds something to the archive of the cluster in a base backup.
fn append(base: &Path, folder: &Path, name: &str) {
    let mut tar = Command::new("tar");
    as_nobody(&mut tar);
    tar.arg("--append").arg("--file").arg(base.join("base.tar"));
    run(tar.arg("--directory").arg(folder).arg(name));
}

pub(crate) fn unlogged_tables_are_left_alone(_: Backend) {
    let server = Archiving::start();
    let sandbox = shop(&server, "shop");
    server
        .session("shop")
        .sql("CREATE UNLOGGED TABLE hollow (id integer PRIMARY KEY); INSERT INTO hollow VALUES (1), (2)");
    server.base_backup("one", &[]);
    let (orders, hollow) = (state(&server, "shop", "orders"), state(&server, "shop", "hollow"));
    let moment = server.moment();
    server.session("shop").sql("DELETE FROM orders WHERE id > 10");
    for (arguments, words) in [
        (&["-y", "--allow-lossy"][..], "does not hold the rows of table"),
        (
            &["--table", "hollow", "-y", "--allow-lossy"][..],
            "does not hold table",
        ),
    ] {
        let output = sandbox.run(&[&["restore", "--to-time", &moment], arguments].concat());
        assert_eq!(output.code, Some(2), "{}", output.transcript());
        assert!(output.stderr.contains(words), "{}", output.transcript());
        assert!(output.stderr.contains("hollow"), "{}", output.transcript());
        assert_eq!(state(&server, "shop", "hollow"), hollow, "it is not emptied");
    }
    sandbox.ok(&["restore", "--to-time", &moment, "--table", "orders", "-y"]);
    assert_eq!(state(&server, "shop", "orders"), orders);
    assert_eq!(state(&server, "shop", "hollow"), hollow);
    assert_eq!(server.left(), (0, 0));
}

pub(crate) fn a_base_backup_of_a_standby_is_taken_to_the_moment(_: Backend) {
    let server = Archiving::start();
    let sandbox = shop(&server, "shop");
    let base = server.base_backup("packed", &["--format=tar"]);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    give(folder.path());
    fs::write(folder.path().join("standby.signal"), "").expect("it can be written");
    append(&base, folder.path(), "standby.signal");
    let (orders, moment) = (state(&server, "shop", "orders"), server.moment());
    server.session("shop").sql("DELETE FROM orders");
    sandbox.ok(&["restore", "--to-time", &moment, "--table", "orders", "-y"]);
    assert_eq!(state(&server, "shop", "orders"), orders);
    assert_eq!(server.left(), (0, 0));
}

pub(crate) fn the_timeline_of_a_clone_is_not_followed(_: Backend) {
    let server = Archiving::start();
    let sandbox = shop(&server, "shop");
    server.base_backup("one", &[]);
    let history = server.wal().join("00000002.history");
    fs::write(&history, "1\t0/1000100\tno recovery target specified\n").expect("it can be written");
    give(&history);
    let (orders, moment) = (state(&server, "shop", "orders"), server.moment());
    server.session("shop").sql("DELETE FROM orders");
    sandbox.ok(&["restore", "--to-time", &moment, "--table", "orders", "-y"]);
    assert_eq!(state(&server, "shop", "orders"), orders);
}

pub(crate) fn a_link_in_an_archive_is_refused(_: Backend) {
    let server = Archiving::start();
    let sandbox = shop(&server, "shop");
    let base = server.base_backup("packed", &["--format=tar"]);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    give(folder.path());
    let live = folder.path().join("live");
    fs::write(&live, "of somebody else").expect("it can be written");
    symlink(&live, folder.path().join("recovery.signal")).expect("it can be made");
    append(&base, folder.path(), "recovery.signal");
    let moment = server.moment();
    refused(&sandbox, &server, &moment, 8, &["recovery.signal", "is a link"]);
    let text = fs::read_to_string(&live).expect("it is there");
    assert_eq!(text, "of somebody else", "what it leads to is not touched");
}
