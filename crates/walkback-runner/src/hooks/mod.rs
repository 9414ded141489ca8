//! Hooks: commands of the environment that run round a run, and the check whether the application is well.
//!
//! | file | idea |
//! |---|---|
//! | `shell.rs` | one command: its process group, its time, its output |
//! | `health.rs` | the check, asked again until it passes |
//! | `http.rs` | one question over HTTP |
//! | `notes.rs` | what is noted in the journal, also where the connection is lost |
//! | `call.rs` | the hooks of one moment, noted in the journal before and after each |
//! | `left.rs` | what hooks of a run have left undone |
//! | `around.rs` | the hooks round the work of a run, and what becomes of it when they fail |

mod around;
mod call;
mod health;
#[cfg(feature = "http")]
mod http;
mod left;
mod notes;
mod shell;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

pub(crate) use around::Around;
pub(crate) use call::Caller;
pub(crate) use left::{left_by, left_out};
pub(crate) use notes::{Note, Notes};

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Moment {
    /// Before migrations are applied.
    BeforeUp,
    /// After that, whatever came of it.
    AfterUp,
    /// Before downs are run.
    BeforeDown,
    /// After that.
    AfterDown,
    /// Before a rollback.
    BeforeRollback,
    /// After that.
    AfterRollback,
    /// Before a restore.
    BeforeRestore,
    /// After that.
    AfterRestore,
    /// Before a deployment.
    BeforeDeploy,
    /// After that.
    AfterDeploy,
    /// Stops the services, in a deployment or a full rollback.
    StopServices,
    /// Starts them again.
    StartServices,
    /// Asks whether the application is well.
    HealthCheck,
    /// Brings the code of the release before back.
    RollbackCode,
}

impl Moment {
    /// All for which a configuration may name commands.
    pub const WITH_COMMANDS: [Self; 13] = [
        Self::BeforeUp,
        Self::AfterUp,
        Self::BeforeDown,
        Self::AfterDown,
        Self::BeforeRollback,
        Self::AfterRollback,
        Self::BeforeRestore,
        Self::AfterRestore,
        Self::BeforeDeploy,
        Self::AfterDeploy,
        Self::StopServices,
        Self::StartServices,
        Self::RollbackCode,
    ];

    /// Returns the key of the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BeforeUp => "before_up",
            Self::AfterUp => "after_up",
            Self::BeforeDown => "before_down",
            Self::AfterDown => "after_down",
            Self::BeforeRollback => "before_rollback",
            Self::AfterRollback => "after_rollback",
            Self::BeforeRestore => "before_restore",
            Self::AfterRestore => "after_restore",
            Self::BeforeDeploy => "before_deploy",
            Self::AfterDeploy => "after_deploy",
            Self::StopServices => "stop_services",
            Self::StartServices => "start_services",
            Self::HealthCheck => "health_check",
            Self::RollbackCode => "rollback_code",
        }
    }

    /// Returns whether it puts right what was stopped or changed before: it is run also where the journal cannot be reached.
    pub(crate) const fn puts_right(self) -> bool {
        self.goes_on() || matches!(self, Self::RollbackCode)
    }

    /// Returns whether the commands after one that fails still run: where each is for its own, and as much as can be
    /// is better than nothing.
    const fn goes_on(self) -> bool {
        matches!(
            self,
            Self::AfterUp
                | Self::AfterDown
                | Self::AfterRollback
                | Self::AfterRestore
                | Self::AfterDeploy
                | Self::StartServices
        )
    }
}

/// One command of a hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hook {
    /// What the shell is given.
    pub run: String,
    /// After how long it is stopped.
    #[serde(skip)]
    pub timeout: Duration,
}

impl Hook {
    /// How long a command may take if nothing is said.
    pub const TIMEOUT: Duration = Duration::from_secs(300);

    /// Creates a hook with the usual timeout.
    #[must_use]
    pub fn new(run: impl Into<String>) -> Self {
        Self {
            run: run.into(),
            timeout: Self::TIMEOUT,
        }
    }
}

/// How the application is asked whether it is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// A URL that answers with a status of success.
    Http {
        /// What is asked.
        url: String,
        /// What is shown and recorded: the URL as it is written, before variables are filled in.
        shown: String,
    },
    /// A command that ends with 0.
    Command(String),
}

impl Probe {
    /// Says it in one phrase.
    #[must_use]
    pub fn phrase(&self) -> String {
        match self {
            Self::Http { shown, .. } => format!("GET {}", without_password(shown)),
            Self::Command(command) => command.clone(),
        }
    }
}

/// The check whether the application is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// How it is asked.
    pub probe: Probe,
    /// How often it is asked again after the first time.
    pub retries: usize,
    /// How long to wait between.
    pub interval: Duration,
    /// How long one answer may take.
    pub timeout: Duration,
}

impl HealthCheck {
    /// Creates a check with the usual patience: ten more times, two seconds apart, five seconds for each answer.
    #[must_use]
    pub fn new(probe: Probe) -> Self {
        Self {
            probe,
            retries: 10,
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
        }
    }
}

/// The hooks of an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hooks {
    /// The commands, by moment.
    pub commands: BTreeMap<Moment, Vec<Hook>>,
    /// The check whether the application is well.
    pub health_check: Option<HealthCheck>,
    /// The folder that commands run in; `None` is that of the process.
    pub folder: Option<PathBuf>,
}

impl Hooks {
    /// Returns the commands of a moment.
    #[must_use]
    pub fn of(&self, moment: Moment) -> &[Hook] {
        self.commands.get(&moment).map_or(&[], Vec::as_slice)
    }

    /// Says what a moment runs, a phrase for each.
    #[must_use]
    pub fn phrases(&self, moment: Moment) -> Vec<String> {
        if moment == Moment::HealthCheck {
            return self
                .health_check
                .iter()
                .map(|check| check.probe.phrase())
                .collect();
        }
        self.of(moment).iter().map(|hook| hook.run.clone()).collect()
    }

    /// Returns whether there is something for a moment.
    #[must_use]
    pub fn has(&self, moment: Moment) -> bool {
        match moment {
            Moment::HealthCheck => self.health_check.is_some(),
            _ => !self.of(moment).is_empty(),
        }
    }
}

/// Returns a URL without what stands before its host.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://***@{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        let shown = |shown: &str| {
            let (url, shown) = ("http://h/secret".into(), shown.into());
            Probe::Http { url, shown }.phrase()
        };
        assert_eq!(shown("http://a:b@h/x?y@z"), "GET http://***@h/x?y@z");
        assert_eq!(shown("http://h:80/x@y"), "GET http://h:80/x@y");
        assert_eq!(shown("http://h/${TOKEN}"), "GET http://h/${TOKEN}");
    }
}
