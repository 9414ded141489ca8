//! Killed in the middle: no server is left behind, and the base backup is what it was.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use walkback_tests::{Backend, Sandbox};

use crate::server::{Archiving, processes, tree};
use crate::{shop, state};

/// Waits until something holds.
fn until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn kill(pid: i32) {
    let pid = Pid::from_raw(pid).expect("no process has the number 0");
    kill_process(pid, Signal::KILL).expect("it can be killed");
}

fn prepared() -> (Archiving, Sandbox, String, String) {
    let server = Archiving::start();
    let sandbox = shop(&server, "shop");
    server.base_backup("one", &[]);
    let (rows, moment) = (state(&server, "shop", "orders"), server.moment());
    server.session("shop").sql("DELETE FROM orders");
    (server, sandbox, rows, moment)
}

pub(crate) fn killed_it_leaves_nothing(_: Backend) {
    let (server, sandbox, rows, moment) = prepared();
    let before = tree(&server.bases());
    let arguments = ["restore", "--to-time", &moment, "--table", "orders", "-y"];
    // While the server of the past is up.
    sandbox.killed_at(1, &arguments).expect("it is killed");
    until("its watcher ends the server", || server.left() == (0, 0));
    // While the base backup is copied, or a little later.
    for pause in [5, 60, 300, 700] {
        let mut child = sandbox.spawn(&arguments);
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        until("nothing is left", || server.left() == (0, 0));
    }
    assert_eq!(tree(&server.bases()), before, "the base backup is not touched");
    sandbox.run(&["recover", "-y"]);
    sandbox.ok(&arguments);
    assert_eq!(state(&server, "shop", "orders"), rows);
    assert_eq!(server.left(), (0, 0));
}

pub(crate) fn what_its_watcher_could_not_remove_the_next_one_does(_: Backend) {
    let (server, sandbox, rows, moment) = prepared();
    let arguments = ["restore", "--to-time", &moment, "--table", "orders", "-y"];
    let mut child = sandbox.spawn(&arguments);
    let place = || {
        fs::read_dir(server.new_folders())
            .expect("it can be read")
            .flatten()
            .next()
    };
    until("the server begins", || {
        place().is_some_and(|place| place.path().join("data/postmaster.pid").exists())
    });
    let (watcher, _) = processes()
        .into_iter()
        .filter(|(_, arguments)| {
            let text = String::from_utf8_lossy(arguments);
            text.contains("walkback-recovery\0") && text.contains(&server.new_folders().display().to_string())
        })
        .min()
        .expect("there is one");
    kill(watcher);
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    until("the reader of the watcher is gone", || server.left().1 == 1);
    let output = sandbox.run(&["doctor"]);
    assert!(
        output.stdout.contains("is left of a recovery that was killed"),
        "{}",
        output.transcript()
    );
    sandbox.run(&["recover", "-y"]);
    sandbox.ok(&arguments);
    assert_eq!(state(&server, "shop", "orders"), rows);
    assert_eq!(server.left(), (0, 0));
}
