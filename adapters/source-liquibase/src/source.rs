//! The source: a changelog, and what it includes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use walkback_core::ledger::LedgerFormat;
use walkback_core::source::{ExternalRun, Loaded, NewMigration};
use walkback_core::{
    AdapterConfig, Cx, DialectKind, Direction, Error, Migration, MigrationGraph, MigrationId,
    MigrationSource, Result, Script,
};

use crate::changelog::Changelog;
use crate::config::Config;
use crate::identity::{alias, plain};
use crate::{create, ledger, scripts};

/// Changesets of a Liquibase project.
#[derive(Debug)]
pub struct LiquibaseSource {
    config: Config,
    /// The folder that paths are from.
    root: PathBuf,
    known: Mutex<Option<Known>>,
}

/// What was read last, for one engine.
type Known = (DialectKind, Arc<Changelog>);

impl LiquibaseSource {
    /// Creates the source that a configuration describes. Nothing is read yet.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](walkback_core::ErrorKind::Config) for a setting that this source does not know.
    pub fn open(config: &AdapterConfig) -> Result<Self> {
        let settings: Config = config.parse()?;
        let root = config.resolve(settings.search_path.as_deref().unwrap_or_default());
        Ok(Self {
            config: settings,
            root,
            known: Mutex::new(None),
        })
    }

    fn file(&self) -> PathBuf {
        self.root.join(plain(&self.config.path))
    }

    async fn read(&self, cx: &Cx, dialect: DialectKind) -> Result<Arc<Changelog>> {
        let (config, root, inner) = (self.config.clone(), self.root.clone(), cx.clone());
        let read =
            tokio::task::spawn_blocking(move || Changelog::read(&inner, &config, &root, dialect)).await;
        let changelog =
            read.map_err(|error| Error::internal("reading the changelog did not end").with_source(error))??;
        let changelog = Arc::new(changelog);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((dialect, Arc::clone(&changelog)));
        Ok(changelog)
    }

    fn known(&self, dialect: DialectKind) -> Option<Arc<Changelog>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_ref().filter(|(of, _)| *of == dialect);
        known.map(|(_, changelog)| Arc::clone(changelog))
    }
}

fn unknown(id: &MigrationId, file: &Path) -> Error {
    Error::not_found(format!("there is no changeset `{id}` in `{}`", file.display()))
        .hint("`walkback history` lists all migrations")
}

#[async_trait]
impl MigrationSource for LiquibaseSource {
    fn location(&self) -> String {
        self.file().display().to_string()
    }

    async fn load(&self, cx: &Cx, dialect: DialectKind) -> Result<Loaded> {
        cx.check()?;
        let changelog = self.read(cx, dialect).await?;
        let mut migrations: Vec<Migration> = Vec::with_capacity(changelog.changesets.len());
        for (id, changeset) in &changelog.changesets {
            let mut migration = Migration::new(id.0.clone(), "", &changeset.file);
            migration.line = Some(changeset.line);
            migration.alias = Some(alias(&changeset.key()));
            migration.parents = migrations
                .last()
                .map(|before| before.id.clone())
                .into_iter()
                .collect();
            migration.has_down = changeset.rollback.is_some();
            migration.up_hash = Some(changeset.known_as());
            migrations.push(migration);
        }
        Ok(Loaded {
            graph: MigrationGraph::build(migrations)?,
            unmatched: changelog.notices.clone(),
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
        let changelog = match self.known(dialect) {
            Some(known) => known,
            None => self.read(cx, dialect).await?,
        };
        let changeset = changelog.find(id).ok_or_else(|| unknown(id, &self.file()))?;
        scripts::script(&changelog, changeset, direction)
    }

    fn ledger(&self, dialect: DialectKind) -> LedgerFormat {
        let known = self.known(dialect).or_else(|| {
            // `load` says what is wrong with the files.
            let read = Changelog::read(&Cx::background(), &self.config, &self.root, dialect);
            read.ok().map(Arc::new)
        });
        ledger::format(dialect, known.as_deref())
    }

    async fn create(&self, cx: &Cx, migration: &NewMigration) -> Result<Vec<PathBuf>> {
        cx.check()?;
        let author = self.config.author.as_deref();
        let file = create::create(cx, (&self.config, &self.root), &self.file(), migration, author)?;
        self.forget();
        Ok(vec![file])
    }

    async fn write_down(
        &self,
        cx: &Cx,
        dialect: DialectKind,
        id: &MigrationId,
        text: &str,
    ) -> Result<PathBuf> {
        let changelog = self.read(cx, dialect).await?;
        let changeset = changelog.find(id).ok_or_else(|| unknown(id, &self.file()))?;
        let file = create::write_down(id, changeset, text)?;
        self.forget();
        Ok(file)
    }

    async fn run(&self, _: &Cx, run: &ExternalRun) -> Result<()> {
        Err(Error::unsupported(
            format!("to run `{}` by a program", run.id),
            "the source of Liquibase",
        ))
    }
}

impl LiquibaseSource {
    fn forget(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
