//! One command: a shell in a process group of its own, stopped with all that it has started when its time is over.
//!
//! Its output goes into a file, not a pipe: a service that a hook starts in the background keeps the file open, and nobody
//! waits for its end, nor does it fail to write when this program is gone.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use walkback_core::{Cx, Error, ErrorKind, Result};

/// How much of the end of what a command writes is kept.
const KEPT: u64 = 8 * 1024;

/// How long a command may take to end by itself once it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// How often it is asked whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// How a command ended.
#[derive(Debug)]
pub(super) enum End {
    Done,
    Failed(String),
    TimedOut,
    /// The run was asked to stop.
    Stopped(Error),
}

/// What a command runs in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) folder: Option<&'a Path>,
    /// Beside those of this process.
    pub(super) variables: &'a [(&'static str, String)],
    /// What is never shown.
    pub(super) secret: Option<&'a str>,
}

/// Runs a command to its end, and returns how it ended and the end of what it wrote.
pub(super) async fn run(
    cx: &Cx,
    command: &str,
    timeout: Duration,
    surroundings: Surroundings<'_>,
) -> Result<(End, String)> {
    let mut output =
        tempfile::tempfile().map_err(|error| Error::io("create a file in", &std::env::temp_dir(), error))?;
    let mut group = Group::start(command, &output, surroundings)?;
    let end = tokio::select! {
        status = group.child.wait() => ended(status),
        () = tokio::time::sleep(timeout) => {
            group.stop().await;
            End::TimedOut
        }
        error = cx.ended() => {
            group.stop().await;
            End::Stopped(error)
        }
    };
    group.is_over = true;
    Ok((end, tail(&mut output, surroundings.secret)))
}

fn ended(status: std::io::Result<ExitStatus>) -> End {
    match status {
        Ok(status) if status.success() => End::Done,
        Ok(status) => End::Failed(match status.code() {
            Some(code) => format!("it ended with {code}"),
            None => format!("it was ended by the system ({status})"),
        }),
        Err(error) => End::Failed(format!("it cannot be waited for: {error}")),
    }
}

/// A process and all that it has started.
struct Group {
    child: Child,
    /// Its number, kept from the start: a child that was waited for has none any more, and what it has started may live.
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
    is_over: bool,
}

impl Group {
    fn start(command: &str, output: &File, surroundings: Surroundings<'_>) -> Result<Self> {
        let failed =
            |error| Error::new(ErrorKind::Hook, format!("`{command}` cannot be started")).with_source(error);
        let mut shell = shell(command);
        shell
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(failed)?)
            .stderr(output.try_clone().map_err(failed)?)
            .envs(surroundings.variables.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = surroundings.folder {
            shell.current_dir(folder);
        }
        let child = shell.spawn().map_err(failed)?;
        Ok(Self {
            #[cfg(unix)]
            leader: child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .and_then(rustix::process::Pid::from_raw),
            child,
            is_over: false,
        })
    }

    /// Asks all of it to end, and ends what does not: a shell is gone at once, and what it has started may have to tidy up.
    async fn stop(&mut self) {
        self.signal(false);
        let until = Instant::now() + GRACE;
        let waited = tokio::time::timeout(GRACE, self.child.wait()).await;
        while Instant::now() < until && !self.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
        self.signal(true);
        if waited.is_err() {
            self.child.wait().await.ok();
        }
    }

    /// Returns whether nothing of it is left.
    #[cfg(unix)]
    fn is_empty(&self) -> bool {
        self.leader
            .is_none_or(|leader| rustix::process::test_kill_process_group(leader).is_err())
    }

    #[cfg(not(unix))]
    #[expect(clippy::unused_self, reason = "there are no groups")]
    fn is_empty(&self) -> bool {
        true
    }

    #[cfg(unix)]
    fn signal(&mut self, at_once: bool) {
        use rustix::process::{Signal, kill_process_group};
        if let Some(leader) = self.leader {
            let signal = if at_once { Signal::KILL } else { Signal::TERM };
            kill_process_group(leader, signal).ok();
        }
    }

    #[cfg(not(unix))]
    fn signal(&mut self, at_once: bool) {
        if at_once {
            self.child.start_kill().ok();
        }
    }
}

/// A run that is given up leaves no command behind.
impl Drop for Group {
    fn drop(&mut self) {
        if !self.is_over {
            self.signal(true);
        }
    }
}

#[cfg(unix)]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).process_group(0);
    shell
}

#[cfg(not(unix))]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    shell.arg("/C").arg(command);
    shell
}

/// Returns the end of what a command has written, without the password of the database.
fn tail(output: &mut File, secret: Option<&str>) -> String {
    let mut bytes = Vec::new();
    let length = output.metadata().map_or(0, |metadata| metadata.len());
    let secret = secret.unwrap_or_default().as_bytes();
    // A password across the beginning of what is kept is seen as a whole, also where each of its bytes is written as three.
    let before = u64::try_from(secret.len()).unwrap_or(0).saturating_mul(3);
    let begin = length.saturating_sub(KEPT);
    let from = begin.saturating_sub(before);
    // What cannot be read is not shown; the hook has ended all the same.
    output
        .seek(SeekFrom::Start(from))
        .and_then(|_| output.read_to_end(&mut bytes))
        .ok();
    let cut = usize::try_from(begin - from).unwrap_or(0);
    let text = masked(&bytes, secret, cut);
    // Databases keep no NUL in a text.
    String::from_utf8_lossy(&text)
        .trim_end()
        .replace('\0', "\u{fffd}")
}

/// Returns what stands from `cut` on, with each occurrence of a secret replaced, also in the form that URLs have it in.
fn masked(bytes: &[u8], secret: &[u8], cut: usize) -> Vec<u8> {
    let mut text = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        match occurrence(rest, secret) {
            Some(length) => {
                at += length;
                if at > cut {
                    text.extend_from_slice(b"***");
                }
            }
            None => {
                if at >= cut {
                    text.extend(rest.first());
                }
                at += 1;
            }
        }
    }
    text
}

/// Returns how long a secret is that stands at the beginning, each of its bytes as it is or as `%2F`.
fn occurrence(bytes: &[u8], secret: &[u8]) -> Option<usize> {
    let mut at = 0;
    for byte in secret {
        let rest = bytes.get(at..)?;
        let encoded = |rest: &[u8]| match rest {
            [b'%', high, low, ..] => {
                let digit = |digit: u8| char::from(digit).to_digit(16);
                Some(digit(*high)? * 16 + digit(*low)? == u32::from(*byte))
            }
            _ => None,
        };
        at += match rest.first()? {
            _ if encoded(rest) == Some(true) => 3,
            first if first == byte => 1,
            _ => return None,
        };
    }
    (at > 0).then_some(at)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn shown(written: &str, secret: &str) -> String {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(written.as_bytes()).unwrap();
        tail(&mut file, Some(secret))
    }

    #[test]
    fn a_password_is_not_shown_in_any_form() {
        assert_eq!(shown("a p/w:d b", "p/w:d"), "a *** b");
        assert_eq!(shown("db://u:p%2Fw%3ad@h", "p/w:d"), "db://u:***@h");
        assert_eq!(shown("db://u:%70%2F%77:d@h", "p/w:d"), "db://u:***@h");
        assert_eq!(shown("100%", "%"), "100***");
        assert_eq!(shown("a%2", "a/"), "a%2");
        assert_eq!(shown("nothing", ""), "nothing");
    }

    #[test]
    fn a_password_across_the_cut_is_not_shown_in_part() {
        let kept = usize::try_from(KEPT).unwrap();
        for before in 0..20 {
            for password in ["geheim", "ge%68eim", "%67%65%68%65%69%6d"] {
                let end = "x".repeat(kept - before);
                let text = shown(&format!("{}{password}{end}", "y".repeat(100)), "geheim");
                let told = text.trim_matches(['x', 'y']);
                assert!(told.is_empty() || told == "***", "{before}: {told}");
                assert!(text.len() <= kept + 3);
            }
        }
    }
}
