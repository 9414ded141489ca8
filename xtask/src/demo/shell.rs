//! Commands of walkback as a person types them: shown, run, and their output shown.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// The folder of the demo and the binary that is run in it.
pub(crate) struct Shell {
    binary: PathBuf,
    folder: PathBuf,
}

impl Shell {
    pub(crate) fn new(binary: PathBuf, folder: PathBuf) -> Self {
        Self { binary, folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs a command, shows its output whole, and fails if it does.
    pub(crate) fn run(&self, arguments: &str) -> Result<String> {
        self.expect(arguments, 0, usize::MAX)
    }

    /// Runs a command and shows only the first lines of what it says.
    pub(crate) fn run_short(&self, arguments: &str, lines: usize) -> Result<String> {
        self.expect(arguments, 0, lines)
    }

    /// Runs a command that must end with this exit code.
    pub(crate) fn expect(&self, arguments: &str, code: i32, lines: usize) -> Result<String> {
        println!("\n$ walkback {arguments}");
        let (found, text) = self.capture(arguments)?;
        let mut shown = text.lines();
        for line in shown.by_ref().take(lines) {
            println!("{line}");
        }
        let more = shown.count();
        if more > 0 {
            println!("  ... and {more} more lines");
        }
        if found == code {
            return Ok(text);
        }
        bail!("`walkback {arguments}` ended with exit code {found}, and should have ended with {code}");
    }

    /// Runs a command with stdout and stderr in one pipe, in the order in which a terminal shows them.
    fn capture(&self, arguments: &str) -> Result<(i32, String)> {
        let (mut reader, writer) = std::io::pipe().context("cannot make a pipe")?;
        let mut command = self.command(arguments);
        command.stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn().context("cannot start walkback")?;
        // The command holds the ends that write; the pipe ends when they do.
        drop(command);
        let mut text = String::new();
        reader
            .read_to_string(&mut text)
            .context("walkback did not write UTF-8")?;
        let status = child.wait()?;
        let code = status.code().context("walkback was killed by a signal")?;
        Ok((code, text))
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments.split_whitespace())
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        // Settings of whoever runs the demo must not steer it to a database of theirs.
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("WALKBACK_") || name_text == "DATABASE_URL" {
                command.env_remove(&name);
            }
        }
        command
    }
}
