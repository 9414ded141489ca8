//! Stopping what was started: by this process or another, and when this process dies.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// How long a server may take to end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a server until our end of its input closes, which the system does when we die of whatever.
const WATCH_PROCESS: &str = r#"
folder=$1
shift
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
{ read -r _ <&3; : >"$folder/stopped"; kill -s QUIT "$server"; } &
watcher=$!
wait "$server"
if [ -e "$folder/stopped" ]; then rm -rf "$folder"; else kill "$watcher"; fi
"#;

const WATCH_CONTAINER: &str = r#"read -r _; docker rm --force --volumes "$1"; rm -f "$2""#;

/// Stops a server, and removes what it had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum Stopper {
    /// A process of this machine.
    Process {
        /// Its id.
        pid: i32,
        /// When it began: another process may get the same id later.
        began: String,
        /// The folder with all it has.
        folder: PathBuf,
    },
    /// A container of the Docker daemon.
    Container {
        /// Its id.
        id: String,
        /// The file with the certificate of its authority.
        certificate: PathBuf,
    },
}

impl Stopper {
    pub(crate) fn of_process(child: &Child, folder: &Path) -> Result<Self> {
        let pid = i32::try_from(child.id()).context("the id of a process is too large")?;
        Ok(Self::Process {
            pid,
            began: began(pid).context("the server ended at once")?,
            folder: folder.to_path_buf(),
        })
    }

    /// Returns whether it is still there.
    ///
    /// # Errors
    /// If Docker does not tell.
    pub fn is_running(&self) -> Result<bool> {
        match self {
            Self::Process { pid, began: then, .. } => Ok(began(*pid).as_ref() == Some(then)),
            Self::Container { id, .. } => {
                let filter = format!("id={id}");
                Ok(!docker(["ps", "--quiet", "--filter", &filter])?.trim().is_empty())
            }
        }
    }

    /// Stops it, waits for its end and removes what it had. What is gone already is no error.
    ///
    /// # Errors
    /// If it goes on, or leaves something behind.
    pub fn stop(&self) -> Result<()> {
        match self {
            Self::Process { pid, folder, .. } => {
                self.end_process(*pid)?;
                remove(folder)
            }
            Self::Container { id, certificate } => {
                docker(["rm", "--force", "--volumes", id])?;
                remove(certificate)
            }
        }
    }

    fn end_process(&self, pid: i32) -> Result<()> {
        let target = Pid::from_raw(pid).context("no process has the id 0")?;
        let begin = Instant::now();
        let mut signal = Signal::QUIT;
        while self.is_running()? {
            kill_process(target, signal).with_context(|| format!("cannot end the process {pid}"))?;
            let deadline = begin.elapsed() + PATIENCE / 2;
            while self.is_running()? && begin.elapsed() < deadline {
                thread::sleep(Duration::from_millis(50));
            }
            if begin.elapsed() > PATIENCE {
                bail!("the process {pid} does not end");
            }
            signal = Signal::KILL;
        }
        Ok(())
    }
}

/// Stops a server when it is dropped, and when this process ends without dropping it.
#[derive(Debug)]
pub(crate) struct Guard {
    watcher: Child,
    folder: Option<PathBuf>,
}

impl Guard {
    /// Starts a server in its folder, as somebody.
    pub(crate) fn start(command: &Command, folder: &Path, log: File) -> Result<Self> {
        let mut shell = shell(WATCH_PROCESS);
        shell
            .arg(folder)
            .arg(command.get_program())
            .args(command.get_args());
        let errors = log.try_clone().context("cannot share the log")?;
        shell.stdout(log).stderr(errors);
        crate::local::as_its_user(&mut shell)?;
        Ok(Self {
            watcher: shell.spawn().context("cannot start `sh`")?,
            folder: Some(folder.to_path_buf()),
        })
    }

    /// Watches over a container.
    pub(crate) fn of_container(id: &str, certificate: &Path) -> Result<Self> {
        let mut shell = shell(WATCH_CONTAINER);
        shell
            .arg(id)
            .arg(certificate)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(Self {
            watcher: shell.spawn().context("cannot start `sh`")?,
            folder: None,
        })
    }

    /// Returns whether the server has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.watcher.try_wait(), Ok(None))
    }
}

impl Drop for Guard {
    #[expect(clippy::print_stderr, reason = "a test binary tells what it left behind")]
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        let ended = self.watcher.wait().context("the watcher is lost").map(drop);
        let removed = self.folder.as_deref().map_or(Ok(()), remove);
        if let Err(error) = ended.and(removed) {
            eprintln!("warning: something is left of a server: {error:#}");
        }
    }
}

fn shell(script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", script, "walkback-services"])
        .stdin(Stdio::piped())
        // Ctrl-C ends us, and our end is what the shell waits for.
        .process_group(0);
    shell
}

/// Removes a file or a folder with all that is in it, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}

/// Tells when a process began; `None` if it has ended.
fn began(pid: i32) -> Option<String> {
    if let Ok(status) = fs::read_to_string(format!("/proc/{pid}/stat")) {
        // The name of the program, in parentheses, may hold anything.
        let fields: Vec<&str> = status.rsplit_once(')')?.1.split_whitespace().collect();
        let is_over = fields.first().is_none_or(|state| matches!(*state, "Z" | "X"));
        return (!is_over).then(|| fields.get(19).copied().unwrap_or_default().to_owned());
    }
    if Path::new("/proc/self/stat").exists() {
        return None;
    }
    let output = Command::new("ps")
        .args(["-o", "lstart=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// Runs the command line of Docker and returns what it says.
pub(crate) fn docker<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Result<String> {
    let output = Command::new("docker")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("cannot start `docker`")?;
    if !output.status.success() {
        bail!("docker: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_not_the_one_that_was_started_is_left_alone() {
        let mut other = Command::new("sleep").arg("60").spawn().expect("`sleep` starts");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let pid = i32::try_from(other.id()).expect("a small id");
        let stopper = Stopper::Process {
            pid,
            began: "long ago".to_owned(),
            folder: folder.path().join("gone"),
        };
        assert!(!stopper.is_running().expect("an answer"));
        stopper.stop().expect("nothing to stop is no error");
        assert_eq!(other.try_wait().expect("an answer"), None, "it goes on");
        let stopper = Stopper::of_process(&other, folder.path()).expect("it runs");
        assert!(stopper.is_running().expect("an answer"));
        stopper.stop().expect("it ends");
        assert!(!folder.path().exists());
        other.wait().expect("it ended");
    }
}
