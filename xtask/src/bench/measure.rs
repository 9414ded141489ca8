//! Runs a command and says what it took: time, processor, memory, bytes written.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

/// How often a process is looked at.
const PAUSE: Duration = Duration::from_millis(5);

/// How many ticks of the kernel's accounts are a second: the same on every Linux.
const TICKS: f64 = 100.0;

/// What a command took.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Measured {
    /// From its start to its end.
    pub(crate) seconds: f64,
    /// Processor time of the process and the children it has waited for, not of a server; 0 where unknown.
    pub(crate) cpu_seconds: f64,
    /// The most memory the process itself had, in bytes; 0 where unknown.
    pub(crate) peak_bytes: u64,
    /// What it has written, in bytes.
    pub(crate) stored_bytes: u64,
}

impl Measured {
    /// Returns the median of each figure.
    pub(crate) fn median(all: &[Self]) -> Self {
        let middle = |figure: &dyn Fn(&Self) -> f64| {
            let mut figures: Vec<f64> = all.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures.get(figures.len() / 2).copied().unwrap_or_default()
        };
        let whole = |figure: &dyn Fn(&Self) -> u64| {
            let mut figures: Vec<u64> = all.iter().map(figure).collect();
            figures.sort_unstable();
            figures.get(figures.len() / 2).copied().unwrap_or_default()
        };
        Self {
            seconds: middle(&|measured| measured.seconds),
            cpu_seconds: middle(&|measured| measured.cpu_seconds),
            peak_bytes: whole(&|measured| measured.peak_bytes),
            stored_bytes: whole(&|measured| measured.stored_bytes),
        }
    }

    /// Says it in a few words.
    pub(crate) fn shown(&self) -> String {
        format!("{:.2} s, {:.2} s of processor", self.seconds, self.cpu_seconds)
    }
}

/// Runs a command to its end. What it says goes nowhere, unless it fails.
pub(crate) fn run(mut command: Command, output: Option<&Path>) -> Result<Measured> {
    let errors = tempfile::NamedTempFile::new()?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors.reopen()?);
    let begun = Instant::now();
    let mut child = command.spawn().context("it cannot be started")?;
    let mut measured = watch(&mut child);
    let status = child.wait()?;
    measured.seconds = begun.elapsed().as_secs_f64();
    if !status.success() {
        let said = fs::read_to_string(errors.path()).unwrap_or_default();
        bail!("{status}: {}", said.trim());
    }
    measured.stored_bytes = output.map(size_of).transpose()?.unwrap_or_default();
    Ok(measured)
}

/// Looks at a process until it has ended and only waits to be asked how.
fn watch(child: &mut Child) -> Measured {
    let mut measured = Measured::default();
    let folder = format!("/proc/{}", child.id());
    while let Ok(stat) = fs::read_to_string(format!("{folder}/stat")) {
        let peak = fs::read_to_string(format!("{folder}/status"))
            .ok()
            .and_then(|status| peak(&status));
        measured.peak_bytes = measured.peak_bytes.max(peak.unwrap_or_default());
        let Some((state, ticks)) = state(&stat) else { break };
        measured.cpu_seconds = ticks / TICKS;
        if state == "Z" {
            break;
        }
        thread::sleep(PAUSE);
    }
    measured
}

/// Returns the state of a process, and the ticks that it and its children have used.
fn state(stat: &str) -> Option<(&str, f64)> {
    // The name of the program is in parentheses, and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields
        .get(11..15)?
        .iter()
        .filter_map(|field| field.parse::<f64>().ok());
    Some((fields[0], ticks.sum()))
}

fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes << 10)
}

/// Returns the sizes of all files below a path.
fn size_of(path: &Path) -> Result<u64> {
    let metadata = fs::symlink_metadata(path).with_context(|| format!("cannot find {}", path.display()))?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    let mut sum = 0;
    for entry in fs::read_dir(path)? {
        sum += size_of(&entry?.path())?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accounts_of_the_kernel_are_read() {
        let stat = "7 (a) b) Z 1 2 3 4 5 6 7 8 9 10 100 20 3 0 20 0";
        assert_eq!(state(stat), Some(("Z", 123.0)));
        assert_eq!(peak("VmPeak:\t 9 kB\nVmHWM:\t  12 kB\n"), Some(12 << 10));
        assert_eq!(state("nothing"), None);
    }

    #[test]
    fn a_command_that_fails_is_an_error_with_what_it_said() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo broken >&2; exit 3"]);
        let error = run(command, None).expect_err("it fails");
        assert!(error.to_string().contains("broken"), "{error}");
    }
}
