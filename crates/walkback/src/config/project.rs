//! The configuration of one environment, ready to open its adapters.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use walkback_core::recovery::RecoveryFiles;
use walkback_core::{Error, ErrorKind, Registry, Result};
use walkback_runner::{Actor, Approver, Hooks, Policy, Probe, Runner, Settings};

use super::FILE_NAME;
use super::environment::{Overrides, Variables};
use super::file::{
    EnvironmentSection, FileConfig, HooksSection, Located, MOST_JOBS, RecoverySection, enough, jobs,
};
use super::place::{listed, suggest};

/// The environment of a run without a configuration file.
const NO_FILE_ENVIRONMENT: &str = "default";

/// A configuration with one environment chosen.
#[derive(Debug, Clone)]
pub struct Project {
    file: Option<PathBuf>,
    pub(super) base: PathBuf,
    pub(super) working_directory: PathBuf,
    pub(super) config: FileConfig,
    pub(super) variables: Variables,
    pub(super) overrides: Overrides,
    pub(super) environment: String,
    /// Whether a flag or `WALKBACK_ENV` named the environment.
    pub(super) is_named: bool,
}

impl Project {
    /// Loads the configuration for a working directory: the file that a flag or `WALKBACK_CONFIG` names, or
    /// the first `walkback.toml` upwards, or none.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if a file that was named does not exist, [`ErrorKind::Config`] if a file cannot
    /// be read or the environment is not in it.
    pub fn load(working_directory: &Path, mut variables: Variables, overrides: Overrides) -> Result<Self> {
        let named = overrides
            .file
            .clone()
            .or_else(|| variables.setting("WALKBACK_CONFIG").map(PathBuf::from));
        let file = match named {
            Some(file) => Some(working_directory.join(file)),
            None => working_directory
                .ancestors()
                .map(|folder| folder.join(FILE_NAME))
                .find(|file| file.is_file()),
        };
        let base = file
            .as_deref()
            .and_then(Path::parent)
            .map_or_else(|| working_directory.to_owned(), Path::to_owned);
        variables.read_file(&base)?;
        let config = match &file {
            Some(file) => {
                let shown = file.strip_prefix(working_directory).unwrap_or(file);
                let text = read(file, shown)?;
                FileConfig::parse(shown, &text)?
            }
            None => FileConfig::default(),
        };
        let environment = choose_environment(file.as_deref(), &config, &variables, &overrides)?;
        let is_named = wanted(&variables, &overrides).is_some();
        Ok(Self {
            file,
            base,
            working_directory: working_directory.to_owned(),
            config,
            variables,
            overrides,
            environment,
            is_named,
        })
    }

    /// Returns the same project with paths as a person in the working directory would type them:
    /// `migrations/1_a/up.sql`, `../walkback.toml`. The working directory must be that of the process.
    #[must_use]
    pub fn with_short_paths(mut self) -> Self {
        self.base = shortened(&self.base, &self.working_directory);
        self.working_directory = PathBuf::new();
        self
    }

    /// Returns the name of the chosen environment.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// Returns the configuration file, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Returns the folder that paths in the configuration are meant from.
    #[must_use]
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Returns the variables the configuration was loaded with.
    #[must_use]
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// Returns the rules of the environment.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.section()
            .map(|section| section.policy.clone())
            .unwrap_or_default()
    }

    /// Returns how long to wait for the lock.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if `WALKBACK_LOCK_TIMEOUT` is not a duration.
    pub fn lock_timeout(&self) -> Result<Option<Duration>> {
        if let Some(timeout) = self.overrides.lock_timeout {
            return Ok(Some(timeout));
        }
        if let Some(text) = self.variables.setting("WALKBACK_LOCK_TIMEOUT") {
            return humantime::parse_duration(text).map(Some).map_err(|error| {
                Error::config(format!("`WALKBACK_LOCK_TIMEOUT={text}` is not a duration"))
                    .with_source(error)
                    .hint("write it as `30s` or `500ms`")
            });
        }
        Ok(self.section().and_then(|section| section.lock_timeout))
    }

    /// Returns what a runner is told about the environment.
    ///
    /// # Errors
    /// As [`Project::lock_timeout`].
    pub fn settings(&self, actor: Actor) -> Result<Settings> {
        let mut settings = Settings::new(&self.environment, actor);
        settings.policy = self.policy();
        if let Some(section) = self.section() {
            if let Some(file) = &section.approvers {
                settings.policy.approvers = self.approvers(file)?;
                if let Some(wanted) = &section.approvals {
                    enough(wanted, &settings.policy.approvers)?;
                }
            }
            settings.retention = section.retention;
            settings.prunes_itself = section.prunes_itself;
            settings.hooks = self.hooks(&section.hooks)?;
            settings.recovery = self.recovery(section.recovery.as_ref())?;
        }
        if let Some(timeout) = self.lock_timeout()? {
            settings.lock_timeout = timeout;
        }
        if let Some(retries) = self.section().and_then(|section| section.lock_retries) {
            settings.lock_retries = retries;
        }
        settings.jobs = self.jobs()?;
        if let Some(kept) = self.section().and_then(|section| section.soft_delete) {
            settings.soft_delete = kept;
        }
        if let Some(protect) = self.section().and_then(|section| section.protect) {
            settings.protect = protect;
        }
        Ok(settings)
    }

    /// Reads a file in the format of OpenSSH's `allowed_signers`.
    fn approvers(&self, file: &Located<String>) -> Result<Vec<String>> {
        let path = self.base.join(self.expand(file)?);
        let text =
            std::fs::read_to_string(&path).map_err(|error| Error::io("read the approvers", &path, error))?;
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let checked = lines.map(|line| Approver::parse(line).map(|_| line.to_owned()));
        checked.collect()
    }

    /// Returns the hooks, with the variables of a URL filled in. Those of commands are the shell's to fill in.
    fn hooks(&self, section: &HooksSection) -> Result<Hooks> {
        let mut hooks = Hooks::default();
        hooks.commands.clone_from(&section.commands);
        hooks.health_check.clone_from(&section.health_check);
        if let (Some(check), Some(url)) = (&mut hooks.health_check, &section.url) {
            let text = self.expand(url)?;
            if !text.starts_with("http://") && !text.starts_with("https://") {
                return Err(url
                    .at
                    .error("`http` of `health_check` is no URL of HTTP")
                    .hint("write it as `http = \"http://localhost:8080/health\"`"));
            }
            check.probe = Probe::Http {
                url: text,
                shown: url.value.clone(),
            };
        }
        hooks.folder = Some(self.base.clone()).filter(|folder| !folder.as_os_str().is_empty());
        Ok(hooks)
    }

    /// Returns what the server's own recovery needs, with the variables filled in.
    fn recovery(&self, section: Option<&RecoverySection>) -> Result<Option<RecoveryFiles>> {
        let Some(section) = section else {
            return Ok(None);
        };
        let path = |text: &Located<String>| Ok::<_, Error>(self.base.join(self.expand(text)?));
        Ok(Some(RecoveryFiles {
            base_backup: path(&section.base_backup)?,
            wal_archive: path(&section.wal_archive)?,
            programs: section.programs.as_ref().map(path).transpose()?,
            folder: section.folder.as_ref().map(path).transpose()?,
        }))
    }

    /// Returns how many sessions a backup or a restore works with: as many as there are processors, unless
    /// something else is said.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if `WALKBACK_JOBS` is not a number from 1 to 8.
    pub fn jobs(&self) -> Result<usize> {
        if let Some(jobs) = self.overrides.jobs {
            return Ok(jobs);
        }
        if let Some(text) = self.variables.setting("WALKBACK_JOBS") {
            return jobs(text).ok_or_else(|| {
                Error::config(format!(
                    "`WALKBACK_JOBS={text}` is not a number from 1 to {MOST_JOBS}"
                ))
            });
        }
        let processors = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let configured = self.section().and_then(|section| section.jobs);
        Ok(configured.unwrap_or_else(|| processors().min(MOST_JOBS)))
    }

    /// Opens everything and puts it together. Does not connect.
    ///
    /// # Errors
    /// As the methods that open the parts.
    pub fn runner(&self, registry: &Registry, actor: Actor) -> Result<Runner> {
        let engine = self.open_engine(registry)?;
        let source = self.open_source(registry)?;
        let vault = self.open_vaults(registry)?;
        Ok(Runner::new(engine, source, vault, self.settings(actor)?))
    }

    /// Returns what is odd about the configuration, though it can be used.
    ///
    /// # Errors
    /// As the methods that open the parts.
    pub fn warnings(&self) -> Result<Vec<String>> {
        let mut warnings = self.url_warnings()?;
        warnings.extend(self.identity_warnings()?);
        Ok(warnings)
    }

    pub(super) fn section(&self) -> Option<&EnvironmentSection> {
        self.config.environments.get(&self.environment)
    }
}

/// Returns the environment that a flag or a variable names.
fn wanted<'a>(variables: &'a Variables, overrides: &'a Overrides) -> Option<&'a str> {
    let flag = overrides.environment.as_deref();
    flag.or_else(|| variables.setting("WALKBACK_ENV"))
}

fn choose_environment(
    file: Option<&Path>,
    config: &FileConfig,
    variables: &Variables,
    overrides: &Overrides,
) -> Result<String> {
    let environments: &BTreeMap<_, _> = &config.environments;
    if let Some(wanted) = wanted(variables, overrides) {
        if environments.contains_key(wanted) {
            return Ok(wanted.to_owned());
        }
        let error = Error::new(ErrorKind::Config, format!("there is no environment `{wanted}`"));
        return Err(match (suggest(wanted, environments.keys().map(String::as_str)), file) {
            (Some(close), _) => error.hint(format!("did you mean `{close}`?")),
            (None, Some(file)) if !environments.is_empty() => {
                error.hint(format!("`{}` has {}", file.display(), listed(environments.keys())))
            }
            (None, Some(file)) => {
                error.hint(format!("add a section `[env.{wanted}]` with a `url` to `{}`", file.display()))
            }
            (None, None) => error.hint(
                "there is no `walkback.toml` here or above: write one with `walkback init`, or leave out `--env`",
            ),
        });
    }
    match environments.len() {
        0 => Ok(NO_FILE_ENVIRONMENT.to_owned()),
        1 => Ok(environments.keys().next().cloned().unwrap_or_default()),
        _ if environments.contains_key("dev") => Ok("dev".to_owned()),
        _ => Err(
            Error::config("several environments are configured, and none was named").hint(format!(
                "pass `--env` with one of {}, or set `WALKBACK_ENV`",
                listed(environments.keys())
            )),
        ),
    }
}

fn read(file: &Path, shown: &Path) -> Result<String> {
    let bytes = std::fs::read(file).map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let error = Error::io("read the configuration", shown, error);
        if missing {
            error.hint("name one with `--config`, or write one with `walkback init`")
        } else {
            error
        }
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Error::config(format!(
            "the configuration is not UTF-8 ({}:{line})",
            shown.display()
        ))
        .with_source(error)
    })
}

/// Returns how a folder above or below the working directory is called from there; any other one as it is.
fn shortened(folder: &Path, working_directory: &Path) -> PathBuf {
    if let Ok(below) = folder.strip_prefix(working_directory) {
        return below.to_owned();
    }
    match working_directory.strip_prefix(folder) {
        Ok(below) => below.components().map(|_| "..").collect(),
        Err(_) => folder.to_owned(),
    }
}
