//! The source: revision files, and what Alembic makes of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use walkback_core::ledger::LedgerFormat;
use walkback_core::source::{ExternalRun, Loaded, NewMigration};
use walkback_core::{
    AdapterConfig, Cx, DialectKind, Direction, Error, ErrorKind, MigrationGraph, MigrationId,
    MigrationSource, Result, Script, TableName,
};

use crate::computed::Graph;
use crate::config::Config;
use crate::ledger::VersionTable;
use crate::python::{Python, writing};
use crate::revision::{Found, Revision, is_computed, name_of};
use crate::scripts::{Scripts, Written, empty};
use crate::settings::Settings;

/// Migrations of an Alembic project.
///
/// `load` reads files alone; `script` asks the project's Alembic, once for all revisions.
#[derive(Debug)]
pub struct AlembicSource {
    config: Config,
    file: PathBuf,
    python: Python,
    known: Mutex<Option<Arc<Project>>>,
    scripts: tokio::sync::Mutex<Option<Asked>>,
}

/// What Alembic has said of a project, for one dialect.
type Asked = (DialectKind, Arc<Project>, Arc<Scripts>);

/// A project as its files say it is.
#[derive(Debug)]
struct Project {
    settings: Settings,
    table: VersionTable,
    revisions: BTreeMap<String, Revision>,
    unmatched: Vec<(PathBuf, String)>,
}

impl AlembicSource {
    /// Creates the source that a configuration describes. Nothing is read yet.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a setting that this source does not know.
    pub fn open(config: &AdapterConfig) -> Result<Self> {
        let settings: Config = config.parse()?;
        let file = match &settings.path {
            Some(path) => config.resolve(path),
            None => ["alembic.ini", "pyproject.toml"]
                .map(|name| config.resolve(name))
                .into_iter()
                .find(|file| file.is_file())
                .unwrap_or_else(|| config.resolve("alembic.ini")),
        };
        Ok(Self {
            python: Python::of(config, settings.python.as_deref()),
            config: settings,
            file,
            known: Mutex::new(None),
            scripts: tokio::sync::Mutex::new(None),
        })
    }

    /// Reads the project, and runs its files only where they say of themselves what nobody can read.
    async fn read(&self, cx: &Cx) -> Result<Arc<Project>> {
        let (config, file, inner) = (self.config.clone(), self.file.clone(), cx.clone());
        let read = tokio::task::spawn_blocking(move || Reading::of(&inner, &config, &file)).await;
        let reading =
            read.map_err(|error| Error::internal("reading the revisions did not end").with_source(error))??;
        let project = Arc::new(self.complete(cx, reading).await?);
        self.remember(Some(Arc::clone(&project)));
        Ok(project)
    }

    async fn complete(&self, cx: &Cx, reading: Reading) -> Result<Project> {
        let Reading {
            settings,
            table,
            mut found,
            computed,
            unmatched,
        } = reading;
        if let Some((name, line, first)) = computed.first() {
            let about = (&settings, self.config.section.as_str());
            let told: Graph = self
                .python
                .ask(cx, about, json!({"what": "graph"}))
                .await
                .map_err(|error| {
                    let kind = error.kind();
                    error
                        .wrap(is_computed(&first.file, name, *line).message().to_owned())
                        .with_kind(kind)
                })?;
            for (name, line, revision) in computed {
                let file = std::fs::canonicalize(&revision.file).unwrap_or_else(|_| revision.file.clone());
                let known = told.revisions.iter().find(|known| {
                    known.file == revision.file
                        || std::fs::canonicalize(&known.file).is_ok_and(|path| path == file)
                });
                let known = known.ok_or_else(|| is_computed(&revision.file, name, line))?;
                found.push(revision.told(known));
            }
        }
        let mut revisions = BTreeMap::new();
        for revision in found {
            if let Some(earlier) = revisions.insert(revision.id.clone(), revision.clone()) {
                let earlier: Revision = earlier;
                return Err(Error::config(format!(
                    "the revision `{}` is there twice: {} and {}",
                    revision.id,
                    earlier.file.display(),
                    revision.file.display()
                )));
            }
        }
        Ok(Project {
            settings,
            table,
            revisions,
            unmatched,
        })
    }

    fn remember(&self, project: Option<Arc<Project>>) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = project;
    }

    async fn project(&self, cx: &Cx) -> Result<Arc<Project>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(project) => Ok(project),
            None => self.read(cx).await,
        }
    }

    /// Returns what the revisions do, asked once of Alembic for all of them.
    async fn scripts(&self, cx: &Cx, project: &Arc<Project>, dialect: DialectKind) -> Result<Arc<Scripts>> {
        let mut kept = self.scripts.lock().await;
        if let Some((of, about, scripts)) = &*kept
            && *of == dialect
            && about.is_same(project)
        {
            return Ok(Arc::clone(scripts));
        }
        let request = json!({"what": "scripts", "dialect": dialect.name(), "ids": null});
        let about = (&project.settings, self.config.section.as_str());
        let written: Written = self.python.ask(cx, about, request).await?;
        if let Some(table) = &written.version_table {
            project.check_table(table)?;
        }
        let scripts = Arc::new(Scripts::new(written));
        *kept = Some((dialect, Arc::clone(project), Arc::clone(&scripts)));
        Ok(scripts)
    }
}

impl Project {
    fn is_same(&self, other: &Self) -> bool {
        let facts = |project: &Self| -> Vec<(String, String, String)> {
            let revisions = project.revisions.values();
            let hashes = |one: &Revision| {
                (
                    one.id.clone(),
                    one.upgrade.hash.clone(),
                    one.downgrade.hash.clone(),
                )
            };
            revisions.map(hashes).collect()
        };
        std::ptr::eq(self, other) || self.settings == other.settings && facts(self) == facts(other)
    }

    fn find(&self, id: &MigrationId) -> Result<&Revision> {
        self.revisions.get(id.as_str()).ok_or_else(|| {
            Error::not_found(format!(
                "there is no revision `{id}` in `{}`",
                self.settings.scripts.display()
            ))
            .hint("`walkback history` lists all migrations")
        })
    }

    /// Refuses to work on another version table than Alembic would.
    fn check_table(&self, (name, schema): &(String, Option<String>)) -> Result<()> {
        let mut said = TableName::new(name);
        said.schema.clone_from(schema);
        if said == self.table.table {
            return Ok(());
        }
        Err(Error::config(format!(
            "`{}` makes `{said}` the version table, and walkback was told `{}`",
            self.settings.scripts.join("env.py").display(),
            self.table.table
        ))
        .hint(format!(
            "set `version_table = \"{name}\"` in the section `[source]` of walkback.toml, and `version_table_schema` if it is in one"
        )))
    }
}

/// What the files say.
struct Reading {
    settings: Settings,
    table: VersionTable,
    found: Vec<Revision>,
    /// What only running a file tells, and where.
    computed: Vec<(&'static str, usize, Revision)>,
    unmatched: Vec<(PathBuf, String)>,
}

impl Reading {
    fn of(cx: &Cx, config: &Config, file: &Path) -> Result<Self> {
        let settings = Settings::read(file, &config.section)?;
        let mut reading = Self {
            table: VersionTable::of(config, &settings.scripts)?,
            found: Vec::new(),
            computed: Vec::new(),
            unmatched: Vec::new(),
            settings,
        };
        if !reading.settings.scripts.is_dir() {
            return Err(Error::not_found(format!(
                "there is no folder `{}`, where {} has the migrations",
                reading.settings.scripts.display(),
                file.display()
            ))
            .hint("`alembic init` creates one; or correct `script_location`"));
        }
        for folder in reading.settings.versions.clone() {
            reading.scan(cx, &folder)?;
        }
        reading.unmatched.sort();
        Ok(reading)
    }

    fn scan(&mut self, cx: &Cx, folder: &Path) -> Result<()> {
        if !folder.is_dir() {
            return Ok(());
        }
        let entries =
            std::fs::read_dir(folder).map_err(|error| Error::io("read the folder", folder, error))?;
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(
                entry
                    .map_err(|error| Error::io("read the folder", folder, error))?
                    .path(),
            );
        }
        paths.sort();
        for path in paths {
            cx.check()?;
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let is_aside = name.starts_with('.') || name.starts_with("__") || name.ends_with('~');
            if is_aside {
                continue;
            }
            if path.is_dir() {
                if self.settings.recursive {
                    self.scan(cx, &path)?;
                }
                continue;
            }
            if !name.ends_with(".py") {
                self.unmatched.push((path, "it is no Python file".to_owned()));
                continue;
            }
            match Revision::read(&path)? {
                Found::Revision(revision) => self.found.push(*revision),
                Found::Computed { name, line, rest } => self.computed.push((name, line, *rest)),
                Found::Other(why) => self.unmatched.push((path, why)),
            }
        }
        Ok(())
    }
}

/// The file that a request has written.
#[derive(Debug, Deserialize)]
struct WrittenFile {
    file: PathBuf,
}

/// The answer to a request that gives nothing.
#[derive(Debug, Deserialize)]
struct Nothing {}

#[async_trait]
impl MigrationSource for AlembicSource {
    fn location(&self) -> String {
        self.file.display().to_string()
    }

    async fn load(&self, cx: &Cx, _: DialectKind) -> Result<Loaded> {
        cx.check()?;
        let project = self.read(cx).await?;
        let labels: BTreeMap<&str, &str> = project
            .revisions
            .values()
            .flat_map(|one| one.labels.iter().map(|label| (label.as_str(), one.id.as_str())))
            .collect();
        let by_label = |name: &str| match project.revisions.contains_key(name) {
            true => None,
            false => labels.get(name).map(|id| (*id).to_owned()),
        };
        let migrations = project.revisions.values();
        let migrations = migrations.map(|revision| revision.migration(by_label)).collect();
        Ok(Loaded {
            graph: MigrationGraph::build(migrations)?,
            unmatched: project.unmatched.clone(),
        })
    }

    async fn script(
        &self,
        cx: &Cx,
        dialect: DialectKind,
        id: &MigrationId,
        direction: Direction,
    ) -> Result<Option<Script>> {
        cx.check()?;
        let project = self.project(cx).await?;
        let revision = project.find(id)?;
        let is_way_back = revision.migration(|_| None).has_down;
        if direction == Direction::Down && !is_way_back {
            return Ok(None);
        }
        if !revision.function(direction).does_something {
            return Ok(Some(empty(revision, direction)));
        }
        let scripts = self.scripts(cx, &project, dialect).await?;
        let script = scripts.script(revision, direction).ok_or_else(|| {
            Error::config(format!(
                "Alembic does not know the revision `{id}` ({})",
                revision.file.display()
            ))
            .hint("`alembic history` should list it; does walkback read the same `alembic.ini`?")
        })?;
        Ok(Some(script))
    }

    fn ledger(&self, _: DialectKind) -> LedgerFormat {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(project) = known {
            return project.table.format();
        }
        // `load` says what is wrong with them.
        let scripts = Settings::read(&self.file, &self.config.section).map(|settings| settings.scripts);
        let table = VersionTable::of(&self.config, &scripts.unwrap_or_default());
        let usual = || VersionTable {
            table: TableName::new("alembic_version"),
            has_key: true,
        };
        table.unwrap_or_else(|_| usual()).format()
    }

    async fn create(&self, cx: &Cx, migration: &NewMigration) -> Result<Vec<PathBuf>> {
        crate::create::check(migration)?;
        let project = self.read(cx).await?;
        if let Some(known) = project.revisions.get(&migration.id) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("there is a revision `{}` ({})", known.id, known.file.display()),
            ));
        }
        self.remember(None);
        let request = json!({
            "what": "create",
            "id": migration.id,
            "message": migration.slug.replace('_', " "),
            "heads": migration.parents,
        });
        let about = (&project.settings, self.config.section.as_str());
        let written: WrittenFile = self.python.ask(cx, about, request).await?;
        Ok(vec![written.file])
    }

    async fn write_down(&self, cx: &Cx, _: DialectKind, id: &MigrationId, text: &str) -> Result<PathBuf> {
        let project = self.read(cx).await?;
        let revision = project.find(id)?;
        let place = format!("{}:{}", revision.file.display(), revision.downgrade.line);
        if revision.downgrade.does_something {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("revision `{id}` has a way down ({place})"),
            ));
        }
        Err(
            Error::unsupported(format!("to write a way down into Python ({place})"), "walkback").hint(
                format!(
                    "put these statements into `downgrade()`, each in an `op.execute`:\n{}",
                    text.trim_end()
                ),
            ),
        )
    }

    async fn run(&self, cx: &Cx, run: &ExternalRun) -> Result<()> {
        let project = self.project(cx).await?;
        project.find(&run.id)?;
        let (login, watched) = (&run.login, run.watched.as_ref());
        let mut parameters = login.parameters.clone();
        if let Some(options) = parameters.get_mut("options") {
            // They stand before those of the surroundings.
            *options = writing(options);
        }
        let request = json!({
            "what": "run",
            "dialect": run.dialect.name(),
            "id": run.id,
            "direction": name_of(run.direction),
            "proof": run.proof,
            "first": watched.map(|watched| &watched.first),
            "last": watched.map(|watched| &watched.last),
            "login": {
                "host": login.host,
                "port": login.port,
                "socket": login.socket,
                "user": login.user,
                "password": login.password,
                "database": login.database,
                "parameters": parameters,
            },
        });
        let about = (&project.settings, self.config.section.as_str());
        let pause = watched.map(|watched| &watched.pause);
        let Nothing {} = self.python.ask_twice(cx, about, request, pause).await?;
        Ok(())
    }
}
