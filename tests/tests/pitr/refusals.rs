//! Moments that cannot be gone back to, and what is said then.

use std::time::Duration;

use walkback_services::{Lifetime, Server, Service, Stopper, Way, answers, start};
use walkback_tests::{Backend, Session, report, use_server};

use super::{NOTES, application, moment, project};

pub(super) fn a_moment_that_cannot_be_had_is_refused_with_what_can(backend: Backend) {
    let (sandbox, backup) = project(backend, NOTES);
    let before = sandbox.contents();
    for (moment, part) in [
        ("2999-01-01 00:00:00", "still to come"),
        (
            "2001-01-01 00:00:00",
            "the oldest moment that can be gone back to",
        ),
        ("2001-01-01 00:00:00", backup.as_str()),
    ] {
        let refused = sandbox.run(&["restore", "--to-time", moment, "-y"]);
        assert_ne!(refused.code, Some(0));
        assert!(refused.stderr.contains(part), "{}", refused.transcript());
    }
    let wrong = sandbox.run(&["restore", "--to-time", "yesterday", "-y"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.transcript());
    let none = sandbox.run(&["restore", "-y"]);
    assert_eq!(none.code, Some(2), "{}", none.transcript());
    let at = moment(&sandbox);
    let later = sandbox.backup();
    let refused = sandbox.run(&["restore", &later, "--to-time", &at, "-y"]);
    assert!(
        refused.stderr.contains("was made after"),
        "{}",
        refused.transcript()
    );
    sandbox.assert_contents(&before, "nothing was changed");
}

pub(super) fn what_cannot_be_done_again_is_refused_with_its_place(backend: Backend) {
    let (sandbox, _) = project(backend, NOTES);
    let mut application = application(&sandbox);
    let name = sandbox.server().name().to_owned();
    application.sql(&format!(
        "CREATE TRIGGER named AFTER DELETE ON note FOR EACH ROW DELETE FROM `{name}`.tag"
    ));
    let after = sandbox.contents();
    let at = moment(&sandbox);
    let points = sandbox.vault_files("points");
    let refused = sandbox.run(&["restore", "--to-time", &at, "-y"]);
    assert_ne!(refused.code, Some(0));
    for part in ["cannot be done again", "CREATE", "before `binlog."] {
        assert!(
            refused.stderr.contains(part),
            "`{part}`: {}",
            refused.transcript()
        );
    }
    sandbox.assert_contents(&after, "nothing was changed");
    assert_eq!(sandbox.vault_files("points"), points);
}

/// A server that is stopped at the end.
pub(super) struct Own(Stopper);

impl Drop for Own {
    fn drop(&mut self) {
        use_server(None);
        if let Err(error) = self.0.stop() {
            report(&format!("a server is left: {error:#}"));
        }
    }
}

/// Starts a server that this journey alone uses, as long as the second is kept.
pub(super) fn own_server(backend: Backend) -> (Server, Own) {
    let started = match backend {
        Backend::Mariadb => start(Service::Mariadb, Way::Local, Lifetime::Stopped),
        _ => start(Service::Mysql, Way::Container, Lifetime::Stopped)
            .or_else(|_| start(Service::Mysql, Way::Local, Lifetime::Stopped)),
    };
    let server = started.expect("a server of its own");
    let own = Own(server.stopper().expect("it is ours").clone());
    use_server(Some(server.clone()));
    (server, own)
}

pub(super) fn a_server_whose_log_is_off_or_gone_says_what_to_do(backend: Backend) {
    let (server, mut own) = own_server(backend);
    server
        .run("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
        .expect("it is set");
    let (sandbox, _) = project(Backend::Mariadb, NOTES);
    let at = moment(&sandbox);
    sandbox.sql("INSERT INTO note VALUES (3, 'three')");
    // The log that the backup names goes.
    sandbox
        .server()
        .administrate("FLUSH BINARY LOGS; FLUSH BINARY LOGS");
    let mut administrator = Session::open(Backend::Mariadb, server.admin_url());
    let newest = administrator.value("SHOW MASTER STATUS");
    // A log goes once the engine has flushed all that is in it.
    for _ in 0..50 {
        administrator.sql(&format!("FLUSH ENGINE LOGS; PURGE BINARY LOGS TO '{newest}'"));
        if administrator.value("SHOW BINARY LOGS") == newest {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(administrator.value("SHOW BINARY LOGS"), newest);
    let refused = sandbox.run(&["restore", "--to-time", &at, "-y"]);
    assert_ne!(refused.code, Some(0));
    for part in [
        "has removed its binary log",
        "binlog_expire_logs_seconds",
        "--nearest",
    ] {
        assert!(
            refused.stderr.contains(part),
            "`{part}`: {}",
            refused.transcript()
        );
    }
    // A log that begins anew has the names of the old.
    let second = sandbox.backup();
    sandbox.server().administrate("RESET MASTER");
    sandbox.sql("INSERT INTO note VALUES (4, 'four')");
    let later = moment(&sandbox);
    let refused = sandbox.run(&["restore", &second, "--to-time", &later, "-y"]);
    assert_ne!(refused.code, Some(0), "{}", refused.transcript());
    assert!(
        refused.stderr.contains("has removed its binary log"),
        "{}",
        refused.transcript()
    );
    assert_eq!(sandbox.value("SELECT COUNT(*) FROM note"), "4");

    let crashed = own.0.crash().expect("it ends");
    let url = server.admin_url().to_owned();
    own.0 = crashed
        .start(&["--skip-log-bin"], || answers(Service::Mariadb, &url).is_ok())
        .expect("it starts again");
    let doctor = sandbox.run(&["doctor"]).stdout;
    let refused = sandbox.run(&["restore", "--to-time", &later, "-y"]);
    let backup = sandbox.ok(&["backup", "create"]).transcript();
    let nearest = sandbox.run(&["restore", "--to-time", &later, "--nearest", "-y"]);
    let lines = sandbox.value("SELECT COUNT(*) FROM note");
    assert!(doctor.contains("log_bin"), "{doctor}");
    assert!(
        refused.stderr.contains("the binary log is off"),
        "{}",
        refused.transcript()
    );
    assert!(backup.contains("cannot go forward from it"), "{backup}");
    assert_eq!(nearest.code, Some(0), "{}", nearest.transcript());
    assert_eq!(lines, "3", "as in the newest backup from before");
}
