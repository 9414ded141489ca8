//! The contract of a source, for a changelog of formatted SQL.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;
use walkback_conformance::runner::Fixture;
use walkback_conformance::source::{Harness, Subject};
use walkback_core::{AdapterConfig, MigrationSource};
use walkback_source_liquibase::LiquibaseSource;

const LEFT_OUT: &[(&str, &str)] = &[
    (
        "load_names_every_file_it_cannot_use",
        "a changelog names the files it uses; others are none of its business",
    ),
    (
        "script_gives_the_text_byte_for_byte",
        "empty lines around a changeset are no part of it",
    ),
    (
        "script_that_is_not_text_is_an_error_with_its_file_and_line",
        "a changeset does not begin on the first line; a test of its own says where",
    ),
    (
        "create_writes_a_migration_that_load_finds",
        "a changeset has no slug; what it is about is its comment",
    ),
    (
        "write_down_fills_the_empty_one_of_a_new_migration",
        "a new changeset has no rollback, not an empty one",
    ),
];

fn main() -> ExitCode {
    walkback_conformance::source::main_without(
        "liquibase",
        || Fixture::Ready(Box::new(Project::new()) as Subject),
        LEFT_OUT,
    )
}

/// The up and the down of each changeset.
type Changesets = BTreeMap<String, (Vec<u8>, Option<Vec<u8>>)>;

/// A project of one changelog.
struct Project {
    around: TempDir,
    changesets: Mutex<Changesets>,
}

impl Project {
    fn new() -> Self {
        let project = Self {
            around: TempDir::new().expect("the system gives a temporary folder"),
            changesets: Mutex::default(),
        };
        project.write_all(&Changesets::new());
        project
    }

    fn root(&self) -> PathBuf {
        self.around.path().join("project")
    }

    fn write_all(&self, changesets: &Changesets) {
        let mut text = b"--liquibase formatted sql\n".to_vec();
        for (id, (up, down)) in changesets {
            let (id, author) = of(id);
            text.extend(format!("\n--changeset {author}:{id}\n").into_bytes());
            text.extend(up);
            if let Some(down) = down {
                text.extend(b"\n/* liquibase rollback\n");
                text.extend(down);
                text.extend(b"\n*/");
            }
            text.push(b'\n');
        }
        self.write("changelog.sql", &text);
    }

    fn write(&self, name: &str, text: &[u8]) -> PathBuf {
        fs::create_dir_all(self.root()).expect("a temporary folder can be written");
        let path = self.root().join(name);
        fs::write(&path, text).expect("a temporary folder can be written");
        path
    }
}

impl Harness for Project {
    fn open(&self) -> Arc<dyn MigrationSource> {
        let config = AdapterConfig::new("source", self.root()).with("path", "changelog.sql");
        Arc::new(LiquibaseSource::open(&config).expect("the settings are right"))
    }

    fn id(&self, n: u32) -> String {
        format!("changelog.sql::{n:05}::bob")
    }

    fn add(&self, id: &str, up: &[u8], down: Option<&[u8]>) {
        let mut changesets = self.changesets.lock().unwrap_or_else(PoisonError::into_inner);
        changesets.insert(id.to_owned(), (up.to_vec(), down.map(<[u8]>::to_vec)));
        self.write_all(&changesets);
    }

    fn add_stray(&self) -> PathBuf {
        self.write("notes.txt", b"no changelog\n")
    }

    fn remove_all(&self) {
        fs::remove_dir_all(self.root()).expect("a temporary folder can be removed");
    }

    fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut contents = BTreeMap::new();
        read(self.around.path(), &mut contents);
        contents
    }
}

/// Returns the id and the author of an identity.
fn of(identity: &str) -> (&str, &str) {
    let parts: Vec<&str> = identity.split("::").collect();
    (parts[1], parts[2])
}

fn read(folder: &Path, contents: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("a temporary folder can be read") {
        let path = entry.expect("a temporary folder can be read").path();
        if path.is_dir() {
            read(&path, contents);
        } else {
            let bytes = fs::read(&path).expect("a temporary file can be read");
            contents.insert(path, bytes);
        }
    }
}
