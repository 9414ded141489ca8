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

    /// Runs a command, shows what it says and returns it. Fails if the command does.
    pub(crate) fn run(&self, arguments: &str) -> Result<String> {
        println!("\n$ walkback {arguments}");
        let (code, text) = self.capture(arguments)?;
        print!("{text}");
        if code == 0 {
            return Ok(text);
        }
        bail!("`walkback {arguments}` ended with exit code {code}");
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
