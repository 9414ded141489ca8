//! The product's command line, killed at a step of the test's choice, at a moment of its choice.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use std::time::Instant;

use chrono::{DateTime, Utc};
use walkback::cli::{self, Hooks};
use walkback_core::cx::{Clock, Steps};

fn main() -> ExitCode {
    let kill_at = std::env::var("WALKBACK_TEST_KILL_AT")
        .ok()
        .and_then(|text| Chosen::read(&text));
    let log = std::env::var_os("WALKBACK_TEST_STEPS").map(PathBuf::from);
    let mut hooks = Hooks::default();
    if let Some(now) = std::env::var("WALKBACK_TEST_NOW")
        .ok()
        .and_then(|text| text.parse().ok())
    {
        hooks.clock = Some(Arc::new(StoppedClock(now)));
    }
    if let Some(begin) = std::env::var("WALKBACK_TEST_CLOCK_FROM")
        .ok()
        .and_then(|text| text.parse().ok())
    {
        hooks.clock = Some(Arc::new(RunningClock(begin, Instant::now())));
    }
    if kill_at.is_some() || log.is_some() {
        hooks.steps = Some(Arc::new(KillAt {
            kill_at,
            log,
            count: AtomicU64::new(0),
        }));
    }
    cli::main(hooks)
}

/// A clock that always shows the moment the test chose.
#[derive(Debug)]
struct StoppedClock(DateTime<Utc>);

impl Clock for StoppedClock {
    fn now(&self) -> DateTime<Utc> {
        self.0
    }
}

/// A clock that runs from the moment the test chose.
#[derive(Debug)]
struct RunningClock(DateTime<Utc>, Instant);

impl Clock for RunningClock {
    fn now(&self) -> DateTime<Utc> {
        self.0 + self.1.elapsed()
    }
}

/// Which step to be killed at: `12` is the twelfth, `restore.loaded` the first of that name, and
/// `restore.loaded 3` the third of it.
#[derive(Debug)]
struct Chosen {
    name: Option<String>,
    number: u64,
}

impl Chosen {
    fn read(text: &str) -> Option<Self> {
        let (name, number) = match text.split_once(' ') {
            Some((name, number)) => (Some(name), number.parse().ok()?),
            None => match text.parse() {
                Ok(number) => (None, number),
                Err(_) => (Some(text), 1),
            },
        };
        Some(Self {
            name: name.map(str::to_owned),
            number,
        })
    }
}

/// Notes each durable step, and kills the process at the chosen one.
#[derive(Debug)]
struct KillAt {
    kill_at: Option<Chosen>,
    log: Option<PathBuf>,
    count: AtomicU64,
}

impl Steps for KillAt {
    fn reached(&self, name: &'static str) {
        if let Some(log) = &self.log
            && let Ok(mut file) = OpenOptions::new().create(true).append(true).open(log)
        {
            // A lost line makes the test fail, which is what it is for.
            writeln!(file, "{name}").ok();
        }
        let chosen = self
            .kill_at
            .as_ref()
            .filter(|chosen| chosen.name.as_ref().is_none_or(|wanted| wanted == name));
        if let Some(chosen) = chosen
            && self.count.fetch_add(1, Ordering::SeqCst) + 1 == chosen.number
        {
            let this = rustix::process::getpid();
            rustix::process::kill_process(this, rustix::process::Signal::KILL).ok();
            loop {
                std::thread::park();
            }
        }
    }
}
