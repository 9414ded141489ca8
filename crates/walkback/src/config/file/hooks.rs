//! `[env.<name>.hooks]`: commands that run round a run, and the check whether the application is well.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;
use walkback_core::Result;
use walkback_runner::{HealthCheck, Hook, Moment, Probe};

use super::{Located, Table};

/// The hooks of an environment, variables not yet filled in.
#[derive(Debug, Clone, Default)]
pub struct HooksSection {
    /// The commands, by moment. The shell fills in their variables.
    pub commands: BTreeMap<Moment, Vec<Hook>>,
    /// The check whether the application is well.
    pub health_check: Option<HealthCheck>,
    /// The URL of that check.
    pub url: Option<Located<String>>,
}

const HEALTH_CHECK: &str = "health_check";

impl<'a> Table<'a> {
    pub(super) fn hooks(&self) -> Result<HooksSection> {
        let Some(table) = self.table("hooks")? else {
            return Ok(HooksSection::default());
        };
        let mut known: Vec<_> = Moment::WITH_COMMANDS.iter().map(|moment| moment.name()).collect();
        known.push(HEALTH_CHECK);
        table.allow(&known, &[])?;
        let mut hooks = HooksSection::default();
        for moment in Moment::WITH_COMMANDS {
            if let Some(value) = table.get(moment.name()) {
                hooks
                    .commands
                    .insert(moment, table.commands(moment.name(), value)?);
            }
        }
        if let Some(check) = table.table(HEALTH_CHECK)? {
            (hooks.health_check, hooks.url) = check.health_check()?;
        }
        Ok(hooks)
    }

    fn commands(&self, key: &str, value: &'a Spanned<DeValue<'a>>) -> Result<Vec<Hook>> {
        let Some(items) = value.get_ref().as_array() else {
            return Err(self
                .wrong(key, value, "a list of commands")
                .hint(format!("write it as `{key} = [\"systemctl stop app\"]`")));
        };
        items.iter().map(|item| self.command(key, item)).collect()
    }

    fn command(&self, key: &str, item: &'a Spanned<DeValue<'a>>) -> Result<Hook> {
        let (run, timeout) = match item.get_ref() {
            DeValue::Table(entries) => {
                let table = Table {
                    name: format!("{}.{key}", self.name),
                    at: item.span(),
                    entries,
                    ..*self
                };
                table.allow(&["run", "timeout"], &[])?;
                let Some(run) = table.string("run")? else {
                    return Err(table
                        .place(&table.at)
                        .error(format!("a command of `{key}` has no `run`"))
                        .hint("write it as `{ run = \"systemctl stop app\", timeout = \"60s\" }`"));
                };
                (run, table.some_time("timeout")?.unwrap_or(Hook::TIMEOUT))
            }
            DeValue::String(_) => (self.string_of(key, item)?, Hook::TIMEOUT),
            _ => {
                return Err(self
                    .wrong(key, item, "a list of commands")
                    .hint("a command is a string, or `{ run = \"..\", timeout = \"60s\" }`"));
            }
        };
        if run.value.trim().is_empty() {
            return Err(run.at.error(format!("a command of `{key}` is empty")));
        }
        let mut hook = Hook::new(run.value);
        hook.timeout = timeout;
        Ok(hook)
    }

    fn health_check(&self) -> Result<(Option<HealthCheck>, Option<Located<String>>)> {
        self.allow(&["http", "command", "retries", "interval", "timeout"], &[])?;
        let (http, command) = (self.string("http")?, self.string("command")?);
        let (probe, url) = match (http, command) {
            (Some(url), None) => {
                self.refuse_without_http(&url)?;
                let shown = url.value.clone();
                let probe = Probe::Http {
                    url: String::new(),
                    shown,
                };
                (probe, Some(url))
            }
            (None, Some(command)) if !command.value.trim().is_empty() => {
                (Probe::Command(command.value), None)
            }
            (None, Some(command)) => return Err(command.at.error("the command of `health_check` is empty")),
            (http, _) => {
                let what = if http.is_some() { "both" } else { "neither" };
                return Err(self
                    .place(&self.at)
                    .error(format!("`health_check` has {what} of `http` and `command`"))
                    .hint("write it as `health_check = { http = \"http://localhost:8080/health\" }`, or as `{ command = \"..\" }`"));
            }
        };
        let mut check = HealthCheck::new(probe);
        if let Some(retries) = self.count("retries")? {
            check.retries = retries.value;
        }
        if let Some(interval) = self.duration("interval")? {
            check.interval = interval;
        }
        if let Some(timeout) = self.some_time("timeout")? {
            check.timeout = timeout;
        }
        Ok((Some(check), url))
    }

    /// Reads a time in which something can happen.
    fn some_time(&self, key: &str) -> Result<Option<Duration>> {
        let Some(duration) = self.duration(key)? else {
            return Ok(None);
        };
        if duration.is_zero() {
            return Err(self
                .place(&self.key_span(key))
                .error(format!("`{key}` in `[{}]` is no time at all", self.name))
                .hint(format!("write it as `{key} = \"60s\"`, or leave it out")));
        }
        Ok(Some(duration))
    }

    #[cfg(feature = "http")]
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "without the feature it refuses"
    )]
    fn refuse_without_http(&self, _: &Located<String>) -> Result<()> {
        Ok(())
    }

    #[cfg(not(feature = "http"))]
    #[expect(clippy::unused_self, reason = "with the feature it does nothing")]
    fn refuse_without_http(&self, url: &Located<String>) -> Result<()> {
        Err(url
            .at
            .error("this build has no health check over HTTP")
            .hint("build it with the feature `http`, or write `health_check = { command = \"..\" }`"))
    }
}
