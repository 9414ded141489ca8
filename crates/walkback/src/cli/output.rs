//! Where a command writes: data to stdout, everything else to stderr.

use std::fmt::Display;
use std::io::{ErrorKind as Io, Write};
use std::sync::Mutex;

use serde_json::Value;
use walkback_core::{Error, ErrorKind, Result};

/// The two streams of a command.
///
/// A reader that goes away (`walkback history | head`) does not stop a command half-way: what follows is
/// dropped. Any other failure to write is kept, and told at the end.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    failure: Mutex<Option<std::io::Error>>,
    /// What is told, in the order in which it is, for a summary.
    told: Mutex<Vec<Told>>,
}

/// A piece of what a command tells.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    /// The outcome, or a plan.
    Text(String),
    Warning(String),
    Error(String),
}

impl Output {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self {
            json,
            quiet,
            failure: Mutex::new(None),
            told: Mutex::default(),
        }
    }

    /// Returns whether stdout gets one JSON object instead of text.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Writes text for a person to stdout, and ends the line. Nothing with `--json`.
    pub(crate) fn text(&self, text: impl Display) {
        self.note(Told::Text(text.to_string()));
        if !self.json {
            self.write(&format!("{text}\n"));
        }
    }

    /// Writes bytes to stdout as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        self.note_failure(std::io::stdout().write_all(bytes));
    }

    /// Writes text that goes beside the outcome: a plan. Nothing with `--json` or `--quiet`.
    pub(crate) fn detail(&self, text: impl Display) {
        if !self.quiet {
            self.text(text);
        }
    }

    /// Writes the one object of `--json`. Nothing without it.
    pub(crate) fn object(&self, object: &Value) {
        if self.json {
            self.write(&format!("{object:#}\n"));
        }
    }

    /// Warns on stderr.
    pub(crate) fn warn(&self, text: impl Display) {
        self.note(Told::Warning(text.to_string()));
        write_error(&format!("{}: {text}\n", super::render::style::warning("warning")));
    }

    /// Writes the error that ends the command: to stderr, or as the one object of `--json`.
    pub(crate) fn error(&self, error: &Error) {
        let text = super::render::error::text(error);
        if self.json {
            self.object(&super::render::error::object(error));
        } else {
            write_error(&text);
        }
        self.note(Told::Error(text));
    }

    /// Returns what was told so far.
    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().map_or_else(|_| Vec::new(), |told| told.clone())
    }

    fn note(&self, told: Told) {
        if let Ok(mut all) = self.told.lock() {
            all.push(told);
        }
    }

    /// Fails if something that was to be on stdout is not there, for another reason than a reader gone away.
    pub(crate) fn finish(&self) -> Result<()> {
        self.note_failure(anstream::stdout().flush());
        let failure = self.failure.lock().map_or(None, |mut failure| failure.take());
        match failure {
            Some(error) if error.kind() != Io::BrokenPipe => {
                Err(Error::new(ErrorKind::Io, "the output cannot be written")
                    .with_source(error)
                    .hint("what the command did is done; `walkback status` shows where the database stands"))
            }
            _ => Ok(()),
        }
    }

    fn write(&self, text: &str) {
        if self.failure.lock().is_ok_and(|failure| failure.is_none()) {
            self.note_failure(anstream::stdout().write_all(text.as_bytes()));
        }
    }

    fn note_failure(&self, outcome: std::io::Result<()>) {
        if let (Err(error), Ok(mut failure)) = (outcome, self.failure.lock())
            && failure.is_none()
        {
            *failure = Some(error);
        }
    }
}

/// Writes to stderr. If even that fails there is nobody left to tell.
pub(crate) fn write_error(text: &str) {
    anstream::stderr().write_all(text.as_bytes()).ok();
}
