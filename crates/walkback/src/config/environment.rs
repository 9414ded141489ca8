//! What the surroundings say: variables of the process, the `.env` file, flags.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use walkback_core::{Error, ErrorKind, Result};

/// Variables of the process and of a `.env` file. The process wins.
#[derive(Clone, Default)]
pub struct Variables {
    process: BTreeMap<String, String>,
    file: BTreeMap<String, String>,
    file_path: Option<PathBuf>,
}

/// Where a variable was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VariableOrigin {
    /// In the environment of the process.
    Process,
    /// In this `.env` file.
    File(PathBuf),
}

/// Names only: values may be secrets.
impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variables")
            .field("process", &self.process.len())
            .field("file", &self.file.keys().collect::<Vec<_>>())
            .finish()
    }
}

impl Variables {
    /// Creates variables from those of a process. Nothing here asks the operating system.
    pub fn new<K: Into<String>, V: Into<String>>(process: impl IntoIterator<Item = (K, V)>) -> Self {
        Self {
            process: process
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            ..Self::default()
        }
    }

    /// Adds the variables of the `.env` file in a folder, if there is one.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with the line that cannot be read, but never with its text, which may be a secret.
    pub fn read_file(&mut self, folder: &Path) -> Result<()> {
        let path = folder.join(".env");
        if !path.is_file() {
            return Ok(());
        }
        for entry in dotenvy::from_path_iter(&path).map_err(|error| unreadable(&path, error))? {
            let (name, value) = entry.map_err(|error| unreadable(&path, error))?;
            self.file.insert(name, value);
        }
        self.file_path = Some(path);
        Ok(())
    }

    /// Returns a variable, and where it was found.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(&str, VariableOrigin)> {
        if let Some(value) = self.process.get(name) {
            return Some((value, VariableOrigin::Process));
        }
        let value = self.file.get(name)?;
        Some((value, VariableOrigin::File(self.file_path.clone()?)))
    }

    /// Returns the value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name).map(|(value, _)| value)
    }

    /// Returns the value of one of walkback's own variables: empty counts as not set.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }
}

fn unreadable(path: &Path, error: dotenvy::Error) -> Error {
    match error {
        dotenvy::Error::Io(error) => Error::io("read", path, error),
        dotenvy::Error::LineParse(line, _) => {
            // The text of the file is only looked at for the number of the line.
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let number = text
                .lines()
                .position(|other| other.contains(line.trim()))
                .map_or(1, |index| index + 1);
            Error::config(format!(
                "line {number} of `{0}` cannot be read ({0}:{number})",
                path.display()
            ))
            .hint("a line is `NAME=value`; put a value with spaces or `#` into quotes")
        }
        _ => Error::new(ErrorKind::Config, format!("`{}` cannot be read", path.display())),
    }
}

/// What flags say in place of the environment and the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// `--env`.
    pub environment: Option<String>,
    /// `--url`.
    pub url: Option<String>,
    /// `--lock-timeout`.
    pub lock_timeout: Option<Duration>,
    /// `--jobs`.
    pub jobs: Option<usize>,
}
