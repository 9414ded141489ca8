//! A temporary folder of migrations, and what is asked of its source.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use walkback_core::migration::SqlScript;
use walkback_core::source::Loaded;
use walkback_core::{
    Cx, DialectKind, Direction, Error, ErrorKind, Migration, MigrationId, MigrationSource as _, Script,
};
use walkback_source_sql::SqlSource;

pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let folder = Self(TempDir::new().unwrap());
        for (path, text) in files {
            folder.write(path, text.as_bytes());
        }
        folder
    }

    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn source(&self) -> SqlSource {
        SqlSource::new(self.path())
    }

    pub(crate) async fn load_for(&self, dialect: DialectKind) -> Result<Loaded, Error> {
        self.source().load(&Cx::background(), dialect).await
    }

    pub(crate) async fn load(&self) -> Loaded {
        self.load_for(DialectKind::Sqlite).await.unwrap()
    }

    /// Loads a folder that is wrong, and returns the message without the path of the temporary folder.
    pub(crate) async fn refuse(&self) -> (String, String) {
        self.told(self.load_for(DialectKind::Sqlite).await.unwrap_err())
    }

    pub(crate) fn told(&self, error: Error) -> (String, String) {
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        let folder = format!("{}/", self.path().display());
        let short = |text: &str| text.replace(&folder, "");
        (
            short(error.message()),
            error.hints().first().map(|hint| short(hint)).unwrap_or_default(),
        )
    }

    pub(crate) async fn script_for(
        &self,
        dialect: DialectKind,
        id: &str,
        direction: Direction,
    ) -> Result<Option<SqlScript>, Error> {
        let script = self
            .source()
            .script(&Cx::background(), dialect, &MigrationId::new(id), direction)
            .await?;
        Ok(script.map(|script| match script {
            Script::Sql(script) => script,
            other => panic!("{other:?}"),
        }))
    }

    pub(crate) async fn script(&self, id: &str, direction: Direction) -> Option<SqlScript> {
        self.script_for(DialectKind::Sqlite, id, direction).await.unwrap()
    }

    pub(crate) async fn up(&self, id: &str) -> SqlScript {
        self.script(id, Direction::Up).await.unwrap()
    }

    pub(crate) async fn down(&self, id: &str) -> SqlScript {
        self.script(id, Direction::Down).await.unwrap()
    }
}

pub(crate) fn get<'a>(loaded: &'a Loaded, id: &str) -> &'a Migration {
    loaded.graph.get(&MigrationId::new(id)).unwrap()
}

pub(crate) fn parents(loaded: &Loaded, id: &str) -> String {
    let parents: Vec<_> = get(loaded, id).parents.iter().map(MigrationId::as_str).collect();
    parents.join(" ")
}

pub(crate) fn unmatched(folder: &Folder, loaded: &Loaded) -> Vec<String> {
    loaded
        .unmatched
        .iter()
        .map(|(path, why)| format!("{}: {why}", path.strip_prefix(folder.path()).unwrap().display()))
        .collect()
}

pub(crate) const UP: &str = "CREATE TABLE t (x);\n";
pub(crate) const DOWN: &str = "DROP TABLE t;\n";
