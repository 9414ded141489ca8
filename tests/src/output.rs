//! What a command said, in a form that is the same on every machine.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

/// What a command said.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its exit code; `None` if it was killed.
    pub code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    command: String,
    folder: String,
}

impl Output {
    /// Takes what a command that was started has said, in the folder it ran in.
    #[must_use]
    pub fn new(arguments: &[&str], output: &std::process::Output, folder: &Path) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        Self {
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            command: format!("walkback {}", arguments.join(" ")),
            folder: folder.display().to_string(),
        }
    }

    /// Returns the one object that `--json` prints.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{}", self.transcript()))
    }

    /// Returns command, exit code, stdout and stderr, with what differs from run to run taken out.
    #[must_use]
    pub fn transcript(&self) -> String {
        let code = self
            .code
            .map_or_else(|| format!("signal {:?}", self.signal), |code| code.to_string());
        let mut text = format!("$ {}\nexit: {code}\n", self.command);
        for (name, stream) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !stream.is_empty() {
                text.push_str(&format!("--- {name}\n{}\n", stream.trim_end()));
            }
        }
        redact(&text.replace(&self.folder, "<folder>"))
    }
}

static PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        (r"run_\d{8}_\d{6}_[0-9a-f]{8}", "run_<id>"),
        (r"_\d{8}_\d{6}(_\d+)?\b", "_<time>"),
        (
            r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?( ?UTC|Z|\+00:00)?",
            "<time>",
        ),
        (r"\b\d+(\.\d+)? ?(ms|s)\b", "<duration>"),
        (r"\S+@\S+ \(pid \d+\)", "<user>"),
        (r"\b[0-9a-f]{64}\b", "<hash>"),
    ]
    .into_iter()
    .map(|(pattern, with)| (Regex::new(pattern).expect("the pattern is right"), with))
    .collect()
});

/// Takes out what differs from run to run: times, durations, ids, users, hashes.
#[must_use]
pub fn redact(text: &str) -> String {
    PATTERNS.iter().fold(text.to_owned(), |text, (pattern, with)| {
        pattern.replace_all(&text, *with).into_owned()
    })
}
