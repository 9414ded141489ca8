//! The server ends in the middle of a run, without a warning, and is started again.

use std::time::{Duration, Instant};

use rand::Rng as _;
use walkback_services::{Lifetime, Server, Service, Stopper, Way, answers, start};
use walkback_tests::{Backend, Output, report, use_server};

use crate::kinds::{self, Kind, Seen};
use crate::{everywhere, settle, table};

/// Those whose server is started for this test alone, from a binary of this machine or in a container.
pub(crate) const CRASHING: &[Backend] = &[Backend::Postgres, Backend::Mysql, Backend::Mariadb];

/// What is under way when the server ends.
pub(crate) const CRASHED: &[(&str, &Kind)] = &[
    ("`up`, server killed", &kinds::UP),
    ("`up` outside a transaction, server killed", &kinds::LOOSE_UP),
    ("`rollback --type full`, server killed", &kinds::FULL),
    ("`restore`, server killed", &kinds::RESTORE),
];

/// How often the server ends for each kind.
fn crashes() -> usize {
    if everywhere() { 10 } else { 1 }
}

/// A server of this test alone.
pub(crate) struct Private {
    pub(crate) server: Server,
    stopper: Stopper,
    service: Service,
}

impl Private {
    fn start(backend: Backend) -> Result<Self, String> {
        let service = service(backend);
        let server = start(service, Way::Local, Lifetime::Stopped)
            .or_else(|_| start(service, Way::Container, Lifetime::Stopped))
            .map_err(|why| format!("{why:#}"))?;
        let mut private = Self::of(server)?;
        // Servers of tests lose what was just committed; this one does not.
        if private.is_container() {
            private.make_durable();
        } else {
            private.crash(match backend {
                Backend::Postgres => &["-c", "synchronous_commit=on", "-c", "full_page_writes=on"],
                _ => &["--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1"],
            });
        }
        Ok(private)
    }

    /// Makes this thread use a server that was started.
    pub(crate) fn of(server: Server) -> Result<Self, String> {
        let stopper = server.stopper().cloned().ok_or("nothing stops it")?;
        use_server(Some(server.clone()));
        Ok(Self {
            service: server.service(),
            server,
            stopper,
        })
    }

    /// Ends the server without a warning, and starts it again with further arguments.
    pub(crate) fn crash(&mut self, further: &[&str]) {
        let crashed = self.stopper.crash().expect("it can be ended");
        std::thread::sleep(Duration::from_millis(200));
        let url = self.server.url().to_owned();
        let service = self.service;
        self.stopper = crashed
            .start(further, || answers(service, &url).is_ok())
            .expect("it starts again");
        if self.is_container() {
            self.make_durable();
        }
    }

    /// Does something after which the server may have ended by itself; then it is started again.
    pub(crate) fn outlasting<T>(&mut self, does: impl FnOnce() -> T) -> T {
        let again = self.stopper.again().expect("it runs");
        let outcome = does();
        let (url, service) = (self.server.url().to_owned(), self.service);
        let begin = Instant::now();
        while answers(service, &url).is_err() {
            if self.stopper.is_running().expect("an answer") && begin.elapsed() < Duration::from_secs(30) {
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
            let started = again.start(&[], || answers(service, &url).is_ok());
            self.stopper = started.expect("it starts again");
        }
        outcome
    }

    fn is_container(&self) -> bool {
        matches!(self.stopper, Stopper::Container { .. })
    }

    /// Sets what the command line of a container, which is that of its first start, does not say.
    fn make_durable(&self) {
        let settings = match self.service {
            Service::Postgres => "ALTER ROLE ALL SET synchronous_commit = on",
            _ => "SET GLOBAL innodb_flush_log_at_trx_commit = 1, GLOBAL sync_binlog = 1; FLUSH LOGS",
        };
        for sql in settings.split("; ") {
            self.server.run(sql).expect("it is set");
        }
    }
}

/// Returns what a server of this backend is called.
pub(crate) fn service(backend: Backend) -> Service {
    match backend {
        Backend::Mariadb => Service::Mariadb,
        Backend::Mysql => Service::Mysql,
        _ => Service::Postgres,
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        use_server(None);
        if let Err(error) = self.stopper.stop() {
            report(&format!("a server is left: {error:#}"));
        }
    }
}

pub(crate) fn a_server_that_crashes_is_as_a_kill(backend: Backend) {
    let mut private = match Private::start(backend) {
        Ok(private) => private,
        Err(why) => {
            report(&format!("ignored: no server of its own for {backend}: {why}"));
            return;
        }
    };
    for &(name, kind) in CRASHED {
        let twin = (kind.setup)(backend);
        let before = Seen::of(&twin);
        let began = Instant::now();
        let arguments = kind.command(&twin);
        twin.ok(&arguments);
        let long = u64::try_from(began.elapsed().as_millis()).expect("a short time");
        let after = Seen::of(&twin);
        for _ in 0..crashes() {
            let sandbox = (kind.setup)(backend);
            let arguments = kind.command(&sandbox);
            let child = sandbox.spawn(&arguments);
            let moment = rand::rng().random_range(0..long);
            std::thread::sleep(Duration::from_millis(moment));
            private.crash(&[]);
            let output = child.wait_with_output().expect("it ends");
            let output = Output::new(&arguments, &output, &sandbox.path("."));
            table::killed(name, backend);
            settle(
                &sandbox,
                kind,
                (&before, &after),
                &output,
                &format!("server killed after {moment} ms of {long}"),
            );
            table::recovered(name, backend);
        }
    }
}
