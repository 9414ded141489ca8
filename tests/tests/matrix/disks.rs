//! The disk of the server is full in the middle of a run, and has room again afterwards.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rand::Rng as _;
use walkback_services::{Lifetime, start_within};
use walkback_tests::{Backend, SmallDisk, report};

use crate::kinds::{self, Kind, Seen};
use crate::servers::{Private, service};
use crate::{everywhere, settle, table};

/// Those that run from binaries of this machine, in a folder of our choice.
pub(crate) const ON_DISKS: &[Backend] = &[Backend::Postgres, Backend::Mariadb];

/// What is under way when there is no room left.
pub(crate) const FULL: &[(&str, &Kind)] = &[
    ("`up`, server's disk full", &kinds::UP),
    ("`up` outside a transaction, server's disk full", &kinds::LOOSE_UP),
    ("`rollback --type full`, server's disk full", &kinds::FULL),
    ("`restore`, server's disk full", &kinds::RESTORE),
];

/// How often the disk is full for each kind.
fn times() -> usize {
    if everywhere() { 12 } else { 2 }
}

pub(crate) fn a_full_disk_of_the_server_is_as_a_kill(backend: Backend) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("others may look in");
    let Some(disk) = SmallDisk::mount(folder.path().to_path_buf(), "700m") else {
        return;
    };
    let server = match start_within(service(backend), Lifetime::Stopped, disk.path()) {
        Ok(server) => server,
        Err(why) => {
            report(&format!("ignored: no server of its own for {backend}: {why:#}"));
            return;
        }
    };
    let mut private = Private::of(server).expect("it was started here");
    if backend == Backend::Mariadb {
        // It would wait for room for its binary log, for a minute each time, and then go on: nothing to recover from.
        private.crash(&["--skip-log-bin"]);
    }
    let mut failed = 0;
    for &(name, kind) in FULL {
        let twin = (kind.setup)(backend);
        let before = Seen::of(&twin);
        twin.ok(&kind.command(&twin));
        let after = Seen::of(&twin);
        for nth in 0..times() {
            let sandbox = (kind.setup)(backend);
            let arguments = kind.command(&sandbox);
            if backend == Backend::Postgres {
                // Without room for its log the server ends: let it have some, so that it does not do so each time.
                for sql in ["SELECT pg_switch_wal()", "CHECKPOINT"] {
                    private.server.run(sql).expect("a fresh segment of the log");
                }
            }
            // Where it ends is left to chance, but for the first, which finds no room at all.
            let room = if nth == 0 {
                0
            } else {
                rand::rng().random_range(0..400)
            };
            let output = private.outlasting(|| {
                disk.leave(room);
                let output = sandbox.run(&arguments);
                disk.free();
                output
            });
            failed += usize::from(output.code != Some(0));
            table::killed(name, backend);
            let how = format!("with {room} kB left");
            settle(&sandbox, kind, (&before, &after), &output, &how);
            table::recovered(name, backend);
        }
    }
    assert!(failed > 0, "no run has found the disk full");
}
