//! Kills a scenario at each of its durable steps, and looks at what is left.
//!
//! A scenario runs in a child process, which is this same test binary started again. The child kills itself
//! with `SIGKILL` at the k-th call of [`Cx::step`], for k = 1, 2, .. until it gets to its end; after each kill
//! the parent opens what is left and checks it. A killed process loses what is in its memory and nothing that
//! it has handed to the system: this finds wrong orders of writes and states nobody thought of. That a
//! `fsync` is missing only a machine without power would show.
//!
//! ```ignore
//! fn main() -> ExitCode {
//!     let mut trials = crash::trials(vec![Scenario::new("a backup", run, check)]);
//!     trials.extend(..);
//!     runner::run(trials)
//! }
//! ```
//! [`trials`] must be called before anything else in `main`, and with the same scenarios each time: in the
//! child it never returns.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use libtest_mimic::Trial;
use walkback_core::cx::Steps;
use walkback_core::{Cx, Error, Result};

use crate::runner::{failed, note, runtime};

const SCENARIO: &str = "WALKBACK_CRASH_SCENARIO";
const FOLDER: &str = "WALKBACK_CRASH_FOLDER";
const KILL_AT: &str = "WALKBACK_CRASH_AT";
const LOG: &str = "WALKBACK_CRASH_LOG";

/// A child that does not end by itself in this time hangs.
const LONGEST: Duration = Duration::from_secs(120);

/// A scenario of more steps than this is too large to be killed at each.
const MOST_STEPS: u64 = 5_000;

/// How a child came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It was killed.
    Killed {
        /// At the k-th step, from 1.
        at: u64,
        /// The name of the step.
        step: String,
    },
    /// It got to its end.
    Finished,
}

type Run = Box<dyn Fn(PathBuf, Cx) -> BoxFuture<'static, Result<()>> + Send + Sync>;
type Check = Box<dyn Fn(PathBuf, End) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// Something that is killed at each of its steps.
pub struct Scenario {
    name: String,
    prepare: Option<Run>,
    run: Run,
    check: Check,
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scenario")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Scenario {
    /// Creates a scenario. `run` works in a folder that is empty, or as it was prepared; `check` is given the
    /// same folder after the end of `run`, and fails by an error or a panic. A check that itself recovers
    /// what it finds should do so twice: recovery must be repeatable.
    pub fn new<R, C>(
        name: impl Into<String>,
        run: impl Fn(PathBuf, Cx) -> R + Send + Sync + 'static,
        check: impl Fn(PathBuf, End) -> C + Send + Sync + 'static,
    ) -> Self
    where
        R: Future<Output = Result<()>> + Send + 'static,
        C: Future<Output = Result<()>> + Send + 'static,
    {
        Self {
            name: name.into(),
            prepare: None,
            run: Box::new(move |folder, cx| run(folder, cx).boxed()),
            check: Box::new(move |folder, end| check(folder, end).boxed()),
        }
    }

    /// Fills the folder once, in the parent and without kills; every child gets a copy.
    #[must_use]
    pub fn prepared<P>(mut self, prepare: impl Fn(PathBuf, Cx) -> P + Send + Sync + 'static) -> Self
    where
        P: Future<Output = Result<()>> + Send + 'static,
    {
        self.prepare = Some(Box::new(move |folder, cx| prepare(folder, cx).boxed()));
        self
    }
}

/// Makes a trial of each scenario. In a child process this runs the scenario and never returns.
pub fn trials(scenarios: Vec<Scenario>) -> Vec<Trial> {
    if let Ok(name) = std::env::var(SCENARIO) {
        be_the_child(&name, &scenarios);
    }
    scenarios
        .into_iter()
        .map(|scenario| {
            Trial::test(format!("crash::{}", scenario.name), move || {
                let kills = kill_at_every_step(&scenario).map_err(failed)?;
                note(&kills.to_string());
                Ok(())
            })
        })
        .collect()
}

/// How often a scenario was killed at which step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kills {
    /// The scenario.
    pub scenario: String,
    /// Kills by the name of the step.
    pub by_step: BTreeMap<String, u64>,
}

impl Kills {
    /// Returns how many there were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_step.values().sum()
    }
}

impl fmt::Display for Kills {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "crash::{}: {} kills", self.scenario, self.total())?;
        for (index, (step, kills)) in self.by_step.iter().enumerate() {
            let separator = if index == 0 { ":" } else { "," };
            write!(f, "{separator} {step} {kills}")?;
        }
        Ok(())
    }
}

/// Runs a scenario until it gets to its end, killing it one step later each time.
///
/// # Errors
/// Fails if a check does, if a child ends in any other way than by the kill, or if there was nothing to kill.
pub fn kill_at_every_step(scenario: &Scenario) -> Result<Kills> {
    let template = empty_folder()?;
    if let Some(prepare) = &scenario.prepare {
        runtime().block_on(prepare(template.path().to_owned(), Cx::background()))?;
    }
    let mut kills = Kills {
        scenario: scenario.name.clone(),
        ..Kills::default()
    };
    for at in 1..=MOST_STEPS {
        let work = empty_folder()?;
        let (folder, log) = (work.path().join("work"), work.path().join("steps"));
        copy_folder(template.path(), &folder)?;
        let output = run_child(&scenario.name, &folder, &log, at)?;
        let end = how_it_ended(&output, &log, at).map_err(|error| error.wrap(about(scenario, at)))?;
        runtime()
            .block_on((scenario.check)(folder, end.clone()))
            .map_err(|error| error.wrap(format!("{}: after {end:?}", scenario.name)))?;
        match end {
            End::Killed { step, .. } => *kills.by_step.entry(step).or_default() += 1,
            End::Finished if kills.total() == 0 => {
                return Err(Error::internal(format!(
                    "`{}` has no durable step to be killed at",
                    scenario.name
                )));
            }
            End::Finished => return Ok(kills),
        }
    }
    Err(Error::internal(format!(
        "`{}` has more than {MOST_STEPS} steps",
        scenario.name
    )))
}

fn about(scenario: &Scenario, at: u64) -> String {
    format!(
        "the child of `{}` that was to be killed at step {at}",
        scenario.name
    )
}

fn run_child(name: &str, folder: &Path, log: &Path, at: u64) -> Result<Output> {
    let program =
        std::env::current_exe().map_err(|error| Error::io("find", Path::new("this program"), error))?;
    let output_file = |name| {
        let path = log.with_file_name(name);
        std::fs::File::create(&path).map_err(|error| Error::io("create", &path, error))
    };
    let mut child = Command::new(&program)
        .env(SCENARIO, name)
        .env(FOLDER, folder)
        .env(KILL_AT, at.to_string())
        .env(LOG, log)
        .stdin(Stdio::null())
        .stdout(output_file("stdout")?)
        .stderr(output_file("stderr")?)
        .spawn()
        .map_err(|error| Error::io("start", &program, error))?;
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child
            .try_wait()
            .map_err(|error| Error::io("wait for", &program, error))?
        {
            break status;
        }
        if begun.elapsed() > LONGEST {
            child.kill().ok();
            child.wait().ok();
            return Err(Error::internal(format!(
                "`{name}` hangs when it is to be killed at step {at}"
            )));
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let text = |name| std::fs::read(log.with_file_name(name)).unwrap_or_default();
    Ok(Output {
        status,
        stdout: text("stdout"),
        stderr: text("stderr"),
    })
}

fn how_it_ended(output: &Output, log: &Path, at: u64) -> Result<End> {
    const SIGKILL: i32 = 9;
    if output.status.success() {
        return Ok(End::Finished);
    }
    let steps = std::fs::read_to_string(log).unwrap_or_default();
    let step = usize::try_from(at - 1)
        .ok()
        .and_then(|index| steps.lines().nth(index));
    match step {
        Some(step) if output.status.signal() == Some(SIGKILL) => Ok(End::Killed {
            at,
            step: step.to_owned(),
        }),
        _ => Err(Error::internal(format!(
            "it failed ({}):\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ))),
    }
}

#[expect(
    clippy::exit,
    reason = "the child of a test binary must not go on to run tests"
)]
fn be_the_child(name: &str, scenarios: &[Scenario]) -> ! {
    let variable = |name| std::env::var(name).expect("the parent sets every variable");
    let Some(scenario) = scenarios.iter().find(|scenario| scenario.name == name) else {
        note(&format!("there is no scenario `{name}` in this test binary"));
        std::process::exit(2);
    };
    let steps = Killer {
        left: AtomicU64::new(variable(KILL_AT).parse().expect("the parent gives a number")),
        log: PathBuf::from(variable(LOG)),
    };
    let cx = Cx::background().with_steps(Arc::new(steps));
    let outcome = runtime().block_on((scenario.run)(PathBuf::from(variable(FOLDER)), cx));
    if let Err(error) = outcome {
        note(&format!("{error:?}"));
        std::process::exit(1);
    }
    std::process::exit(0);
}

/// Writes down each step, and kills the process at one of them.
struct Killer {
    left: AtomicU64,
    log: PathBuf,
}

impl Steps for Killer {
    fn reached(&self, name: &'static str) {
        // One line, in one write, so that steps of several threads do not mix.
        let mut log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.log)
            .expect("the log of steps can be opened");
        let before = self.left.fetch_sub(1, Ordering::SeqCst);
        log.write_all(format!("{name}\n").as_bytes())
            .expect("the log of steps can be written");
        if before == 1 {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
                .expect("a process can kill itself");
            // The signal is on its way; nothing may happen any more.
            loop {
                std::thread::park();
            }
        }
    }
}

fn empty_folder() -> Result<tempfile::TempDir> {
    tempfile::tempdir().map_err(|error| Error::io("create", &std::env::temp_dir(), error))
}

/// Copies a folder with all that is in it; modes and times are kept where the system's copy keeps them.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let io = |error| Error::io("copy", from, error);
    std::fs::create_dir_all(to).map_err(io)?;
    for entry in std::fs::read_dir(from).map_err(io)? {
        let entry = entry.map_err(io)?;
        let target = to.join(entry.file_name());
        if entry.file_type().map_err(io)?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target).map_err(io)?;
        }
    }
    Ok(())
}
