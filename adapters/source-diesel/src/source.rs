//! The source: folders and scripts.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::Deserialize;
use walkback_core::ledger::LedgerFormat;
use walkback_core::migration::SqlScript;
use walkback_core::source::{ExternalRun, Loaded, NewMigration};
use walkback_core::{
    AdapterConfig, Cx, DialectKind, Direction, Error, Migration, MigrationGraph, MigrationId,
    MigrationSource, Result, Script,
};

use crate::config::Config;
use crate::error::{metadata, not_utf8};
use crate::layout::{Folder, Layout, scan};

/// Migrations in a folder, in diesel's layout.
///
/// `script` reads the files that the last `load` has found, or looks for them if there was none.
#[derive(Debug)]
pub struct DieselSource {
    root: PathBuf,
    layout: Mutex<Option<Arc<Layout>>>,
}

/// `metadata.toml`. Other tools keep settings of their own in it.
#[derive(Debug, Deserialize)]
struct Metadata {
    /// Where the file is there and does not say, diesel takes it for `false`; without a file it is `true`.
    #[serde(default)]
    run_in_transaction: bool,
}

impl DieselSource {
    /// Creates the source of a folder. Nothing is read yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            layout: Mutex::new(None),
        }
    }

    /// Creates the source that a configuration describes.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](walkback_core::ErrorKind::Config) for a setting that this source does not know.
    pub fn open(config: &AdapterConfig) -> Result<Self> {
        let settings: Config = config.parse()?;
        Ok(Self::new(config.resolve(&settings.path)))
    }

    fn remember(&self, layout: Option<Arc<Layout>>) {
        *self.layout.lock().unwrap_or_else(PoisonError::into_inner) = layout;
    }

    async fn scan(&self, cx: &Cx) -> Result<Arc<Layout>> {
        let (cx, root) = (cx.clone(), self.root.clone());
        let layout = Arc::new(blocking(move || scan(&cx, &root)).await?);
        self.remember(Some(Arc::clone(&layout)));
        Ok(layout)
    }

    async fn known(&self, cx: &Cx) -> Result<Arc<Layout>> {
        let layout = self.layout.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match layout {
            Some(layout) => Ok(layout),
            None => self.scan(cx).await,
        }
    }
}

#[async_trait]
impl MigrationSource for DieselSource {
    fn location(&self) -> String {
        self.root.display().to_string()
    }

    async fn load(&self, cx: &Cx, _: DialectKind) -> Result<Loaded> {
        cx.check()?;
        let layout = self.scan(cx).await?;
        blocking(move || load(&layout)).await
    }

    async fn script(
        &self,
        cx: &Cx,
        _: DialectKind,
        id: &MigrationId,
        direction: Direction,
    ) -> Result<Option<Script>> {
        cx.check()?;
        let layout = self.known(cx).await?;
        let (id, root) = (id.clone(), self.root.clone());
        blocking(move || read(found(&layout, &id, &root)?, direction)).await
    }

    fn ledger(&self, _: DialectKind) -> LedgerFormat {
        crate::ledger::format()
    }

    async fn create(&self, cx: &Cx, migration: &NewMigration) -> Result<Vec<PathBuf>> {
        cx.check()?;
        self.remember(None);
        let (cx, root, migration) = (cx.clone(), self.root.clone(), migration.clone());
        blocking(move || crate::create::create(&cx, &root, &migration)).await
    }

    async fn write_down(&self, cx: &Cx, _: DialectKind, id: &MigrationId, text: &str) -> Result<PathBuf> {
        cx.check()?;
        let layout = self.scan(cx).await?;
        self.remember(None);
        let (id, root, text) = (id.clone(), self.root.clone(), text.to_owned());
        blocking(move || crate::create::write_down(found(&layout, &id, &root)?, &text)).await
    }

    async fn run(&self, _: &Cx, run: &ExternalRun) -> Result<()> {
        Err(Error::unsupported(
            format!("to run `{}` by a program", run.id),
            "a source of SQL",
        ))
    }
}

fn found<'l>(layout: &'l Layout, id: &MigrationId, root: &Path) -> Result<&'l Folder> {
    layout.find(id.as_str()).ok_or_else(|| {
        Error::not_found(format!("there is no migration `{id}` in `{}`", root.display()))
            .hint("`walkback history` lists all migrations")
    })
}

/// Runs file operations where they do not hold up anything else.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal("reading the migrations did not end").with_source(error))?
}

fn load(layout: &Layout) -> Result<Loaded> {
    let mut migrations: Vec<Migration> = Vec::with_capacity(layout.migrations.len());
    for folder in &layout.migrations {
        let file = folder.script(Direction::Up);
        let mut migration = Migration::new(&folder.version, &folder.slug, file);
        migration.parents = migrations
            .last()
            .map(|before| before.id.clone())
            .into_iter()
            .collect();
        migration.has_down = folder.has_down;
        migration.empty_down = folder.has_empty_down.then(|| folder.script(Direction::Down));
        migrations.push(migration);
    }
    Ok(Loaded {
        graph: MigrationGraph::build(migrations)?,
        unmatched: layout.unmatched.clone(),
    })
}

fn read(folder: &Folder, direction: Direction) -> Result<Option<Script>> {
    if direction == Direction::Down && !folder.has_down {
        return Ok(None);
    }
    let path = folder.script(direction);
    let mut script = SqlScript::new(read_text(&path)?, &path);
    script.transaction = !folder.has_metadata || run_in_transaction(&folder.metadata())?;
    Ok(Some(Script::Sql(script)))
}

fn run_in_transaction(file: &Path) -> Result<bool> {
    let text = read_text(file)?;
    let parsed: Metadata = toml::from_str(&text).map_err(|error| metadata(file, &text, error))?;
    Ok(parsed.run_in_transaction)
}

pub(crate) fn read_text(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|error| Error::io("read", path, error))?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        not_utf8(path, 1 + valid.iter().filter(|byte| **byte == b'\n').count())
    })
}
