//! What every command has at hand.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use walkback_core::cx::{Clock, Progress, Steps};
use walkback_core::{Cx, Error, Result};
use walkback_runner::{Actor, Confirmation, Consent, Runner};

use super::args::{Command, ConsentArgs, Global};
use super::confirm::{self, Question};
use super::output::Output;
use super::progress::{Bars, Lines};
use crate::config::{Overrides, Project, Variables};

/// What a test binary may put in place of the real world. The product has none of it.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Hooks {
    /// Is told of each durable step; the crash tests kill the process in it.
    pub steps: Option<Arc<dyn Steps>>,
    /// Tells the time.
    pub clock: Option<Arc<dyn Clock>>,
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks")
            .field("steps", &self.steps.is_some())
            .field("clock", &self.clock.is_some())
            .finish()
    }
}

impl Hooks {
    /// Returns the same hooks with somebody who is told of each durable step.
    #[must_use]
    pub fn with_steps(mut self, steps: Arc<dyn Steps>) -> Self {
        self.steps = Some(steps);
        self
    }

    /// Returns the same hooks with another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }
}

/// What every command has at hand.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) out: Output,
    pub(crate) cx: Cx,
    pub(crate) command: &'static str,
    lock_timeout: Option<Duration>,
    jobs: Option<usize>,
}

impl Context {
    pub(crate) fn new(mut global: Global, command: &Command, hooks: &Hooks) -> Self {
        if global.env.is_none() {
            global.env = command.environment().map(str::to_owned);
        }
        let bars = confirm::stderr_is_terminal() && !global.quiet && !global.json;
        let progress: Arc<dyn Progress> = if bars {
            Arc::new(Bars::new())
        } else {
            Arc::new(Lines { quiet: global.quiet })
        };
        let mut cx = Cx::background().with_progress(progress);
        if let Some(steps) = &hooks.steps {
            cx = cx.with_steps(Arc::clone(steps));
        }
        if let Some(clock) = &hooks.clock {
            cx = cx.with_clock(Arc::clone(clock));
        }
        Self {
            out: Output::new(global.json, global.quiet),
            global,
            cx,
            command: command.name(),
            lock_timeout: command.lock_timeout(),
            jobs: command.jobs(),
        }
    }

    /// Loads the configuration and tells what is odd about it.
    pub(crate) fn project(&self) -> Result<Project> {
        let directory = std::env::current_dir()
            .map_err(|error| Error::io("find the working directory", ".".as_ref(), error))?;
        let overrides = Overrides {
            file: self.global.config.clone(),
            environment: self.global.env.clone(),
            url: self.global.url.clone(),
            lock_timeout: self.lock_timeout,
            jobs: self.jobs,
        };
        Project::load(&directory, process_variables(), overrides).map(Project::with_short_paths)
    }

    /// Opens what the configuration names, and tells what is odd about it.
    pub(crate) fn runner(&self) -> Result<Runner> {
        let project = self.project()?;
        for warning in project.warnings()? {
            self.out.warn(warning);
        }
        let runner = project.runner(&walkback_adapters::registry()?, actor())?;
        Ok(match self.global.unattended {
            true => runner.unattended(),
            false => runner,
        })
    }

    /// Prints the one object of `--json`: the command, then these fields.
    pub(crate) fn object<const N: usize>(&self, fields: [(&str, Result<Value>); N]) -> Result<()> {
        if !self.out.is_json() {
            return Ok(());
        }
        let mut object = Map::new();
        object.insert("command".into(), self.command.into());
        for (name, value) in fields {
            object.insert(name.into(), value?);
        }
        self.out.object(&Value::Object(object));
        Ok(())
    }

    /// Asks a person to confirm, in the way the environment wants it.
    pub(crate) async fn confirm(&self, runner: &Runner, what: String, name: Option<&str>) -> Result<()> {
        let settings = runner.settings();
        let question = Question {
            what,
            environment: &settings.environment,
            confirmation: settings.policy.confirm,
            yes: self.global.yes || self.global.unattended,
            name,
            interactive: !self.global.json && confirm::is_interactive(),
        };
        confirm::confirm(&self.cx, &question).await
    }

    /// Asks for the name of the environment where it is to be typed before any change, and for nothing elsewhere: what is to
    /// be done destroys nothing.
    pub(crate) async fn confirm_by_name(
        &self,
        runner: &Runner,
        what: impl FnOnce() -> String,
        name: Option<&str>,
    ) -> Result<()> {
        match runner.settings().policy.confirm {
            Confirmation::TypeName => self.confirm(runner, what(), name).await,
            Confirmation::Yes => Ok(()),
        }
    }
}

/// Turns something into JSON.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(value)
        .map_err(|error| Error::internal("the outcome cannot be written as JSON").with_source(error))
}

/// Returns what the flags of a command allow.
pub(crate) fn consent(args: &ConsentArgs) -> Consent {
    Consent {
        destructive: args.allow_destructive,
        lossy: args.allow_lossy,
        ticket: args.ticket.clone(),
        reason: args.reason.clone(),
    }
}

/// Returns a variable of this process.
pub(crate) fn variable(name: &str) -> Option<String> {
    process_variables().setting(name).map(str::to_owned)
}

/// Returns who runs this program.
pub(crate) fn actor() -> Actor {
    Actor {
        user: whoami::username(),
        host: gethostname::gethostname().to_string_lossy().into_owned(),
        pid: std::process::id(),
    }
}

/// Returns the variables of this process, without those that are not text.
fn process_variables() -> Variables {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    Variables::new(std::env::vars_os().filter_map(text))
}
