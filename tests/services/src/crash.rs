//! Ending a server without a warning, and starting it again.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::stopper::{PATIENCE, Stopper, docker};

/// A server that was ended without a warning, and all that it has.
#[derive(Debug)]
pub enum Crashed {
    /// A process of this machine.
    Process {
        /// Its command line.
        words: Vec<String>,
        /// The folder with all it has.
        folder: PathBuf,
    },
    /// A container, which keeps its files and its port.
    Container(Stopper),
}

impl Stopper {
    /// Ends a server as a power cut ends it, but for what the system still writes to the disk.
    ///
    /// # Errors
    /// If it does not end.
    pub fn crash(&self) -> Result<Crashed> {
        match self {
            Self::Process { pid, .. } => self.crash_process(*pid),
            Self::Container { id, .. } => {
                docker(["kill", "--signal", "KILL", id])?;
                docker(["wait", id])?;
                Ok(Crashed::Container(self.clone()))
            }
        }
    }

    /// Returns how it is started again, once it has ended.
    ///
    /// # Errors
    /// If it has ended already.
    pub fn again(&self) -> Result<Crashed> {
        let Self::Process { pid, folder, .. } = self else {
            return Ok(Crashed::Container(self.clone()));
        };
        let words = fs::read(format!("/proc/{pid}/cmdline")).context("the server has no command line")?;
        let words = words.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        let words = words
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        Ok(Crashed::Process {
            words,
            folder: folder.clone(),
        })
    }

    fn crash_process(&self, pid: i32) -> Result<Crashed> {
        let again = self.again()?;
        let target = Pid::from_raw(pid).context("no process has the id 0")?;
        kill_process(target, Signal::KILL).context("cannot end the server")?;
        let begin = Instant::now();
        while self.is_running()? {
            if begin.elapsed() > PATIENCE {
                bail!("the process {pid} does not end");
            }
            thread::sleep(Duration::from_millis(10));
        }
        // If it was our child, its number is taken until somebody asks how it ended: PostgreSQL would not start again.
        waitpid(Some(target), WaitOptions::empty()).ok();
        Ok(again)
    }
}

impl Crashed {
    /// Starts it again, a process with further arguments, and waits until it answers.
    ///
    /// # Errors
    /// If it does not.
    pub fn start(&self, further: &[&str], answers: impl Fn() -> bool) -> Result<Stopper> {
        match self {
            Self::Process { words, folder } => start_process(words, further, folder, answers),
            Self::Container(stopper) => {
                if let Stopper::Container { id, .. } = stopper {
                    docker(["start", id])?;
                }
                let begin = Instant::now();
                while !answers() {
                    if begin.elapsed() > PATIENCE * 2 {
                        bail!("the server does not answer again");
                    }
                    thread::sleep(Duration::from_millis(50));
                }
                Ok(stopper.clone())
            }
        }
    }
}

fn start_process(
    words: &[String],
    further: &[&str],
    folder: &Path,
    answers: impl Fn() -> bool,
) -> Result<Stopper> {
    let begin = Instant::now();
    // What the processes of the old one still hold, the new one is refused.
    while begin.elapsed() < PATIENCE * 2 {
        let mut child = spawn(words, further, folder)?;
        while child.try_wait().context("the server is lost")?.is_none() {
            if answers() {
                return Stopper::of_process(&child, folder);
            }
            if begin.elapsed() > PATIENCE * 2 {
                bail!("the server does not answer again: {}", last_words(folder));
            }
            thread::sleep(Duration::from_millis(50));
        }
        thread::sleep(Duration::from_millis(100));
    }
    bail!("the server does not start again: {}", last_words(folder))
}

fn spawn(words: &[String], further: &[&str], folder: &Path) -> Result<Child> {
    let (program, arguments) = words.split_first().context("there is no program")?;
    let log = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(folder.join("again.log"))
        .context("there is no log")?;
    let errors = log.try_clone().context("cannot share the log")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .args(further)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .process_group(0);
    crate::local::as_its_user(&mut command)?;
    command
        .spawn()
        .with_context(|| format!("cannot start `{program}`"))
}

fn last_words(folder: &Path) -> String {
    let log = fs::read_to_string(folder.join("again.log")).unwrap_or_default();
    log.lines().rev().take(5).collect::<Vec<_>>().join(" | ")
}
