//! The contract of a source, with the Alembic that `WALKBACK_TEST_ALEMBIC_PYTHON` names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;
use walkback_conformance::runner::Fixture;
use walkback_conformance::source::{Harness, Subject};
use walkback_core::{AdapterConfig, MigrationSource};
use walkback_source_alembic::AlembicSource;

const BY_ALEMBIC: &str = "Alembic writes the SQL, from Python";
const NO_PYTHON: &str = "walkback does not write Python";
const LEFT_OUT: &[(&str, &str)] = &[
    ("script_gives_the_text_byte_for_byte", BY_ALEMBIC),
    ("script_names_the_file_and_line_the_text_begins_on", BY_ALEMBIC),
    (
        "script_that_is_not_text_is_an_error_with_its_file_and_line",
        BY_ALEMBIC,
    ),
    (
        "create_begins_where_there_is_nothing",
        "`alembic init` begins a project",
    ),
    ("write_down_gives_a_migration_the_way_down_it_had_not", NO_PYTHON),
    ("write_down_fills_the_empty_one_of_a_new_migration", NO_PYTHON),
    ("write_down_leaves_everything_else_as_it_is", NO_PYTHON),
];

fn main() -> ExitCode {
    walkback_conformance::source::main_without(
        "alembic",
        || match python() {
            Ok(python) => Fixture::Ready(Box::new(Project::new(python)) as Subject),
            Err(why) => Fixture::Absent(why),
        },
        LEFT_OUT,
    )
}

fn python() -> Result<PathBuf, String> {
    let named = std::env::var_os("WALKBACK_TEST_ALEMBIC_PYTHON");
    let python = named.map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let asked = Command::new(&python).args(["-c", "import alembic"]).output();
    match asked {
        Ok(output) if output.status.success() => Ok(python),
        _ => Err(format!("`{}` has no Alembic", python.display())),
    }
}

/// The up and the down of each revision.
type Revisions = BTreeMap<String, (String, Option<String>)>;

/// A project whose revisions follow each other.
struct Project {
    around: TempDir,
    python: PathBuf,
    revisions: Mutex<Revisions>,
}

impl Project {
    fn new(python: PathBuf) -> Self {
        let project = Self {
            around: TempDir::new().expect("the system gives a temporary folder"),
            python,
            revisions: Mutex::default(),
        };
        fs::create_dir_all(project.versions()).expect("a temporary folder can be written");
        project.write("alembic.ini", "[alembic]\nscript_location = %(here)s/db\n");
        project.write("db/env.py", ENV);
        project.write("db/script.py.mako", MAKO);
        project
    }

    fn root(&self) -> PathBuf {
        self.around.path().join("project")
    }

    fn versions(&self) -> PathBuf {
        self.root().join("db/versions")
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.root().join(name);
        fs::write(&path, text).expect("a temporary folder can be written");
        path
    }
}

impl Harness for Project {
    fn open(&self) -> Arc<dyn MigrationSource> {
        let config = AdapterConfig::new("source", self.root())
            .with("path", "alembic.ini")
            .with("python", self.python.to_string_lossy().into_owned());
        Arc::new(AlembicSource::open(&config).expect("the settings are right"))
    }

    fn id(&self, n: u32) -> String {
        format!("r{n:05}")
    }

    fn add(&self, id: &str, up: &[u8], down: Option<&[u8]>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut revisions = self.revisions.lock().unwrap_or_else(PoisonError::into_inner);
        revisions.insert(id.to_owned(), (text(up), down.map(text)));
        // It comes between two others.
        let next = revisions.range::<str, _>((std::ops::Bound::Excluded(id), std::ops::Bound::Unbounded));
        let next = next.map(|(id, _)| id.clone()).next();
        for id in [Some(id.to_owned()), next].into_iter().flatten() {
            let before = revisions.range(..id.clone()).next_back();
            let before = before.map_or_else(|| "None".to_owned(), |(before, _)| format!("{before:?}"));
            let (up, down) = &revisions[&id];
            let call = |text: &str| format!("op.execute({text:?})");
            let down = down.as_ref().map_or_else(|| "pass".to_owned(), |down| call(down));
            self.write(
                &format!("db/versions/{id}.py"),
                &format!(
                    "\"\"\"change\"\"\"\nfrom alembic import op\n\nrevision = {id:?}\ndown_revision = {before}\n\n\n\
                     def upgrade():\n    {}\n\n\ndef downgrade():\n    {down}\n",
                    call(up)
                ),
            );
        }
    }

    fn add_stray(&self) -> PathBuf {
        self.write("db/versions/notes.txt", "no revision\n")
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

const ENV: &str = "from alembic import context\n\ncontext.configure(\n    url=context.config.get_main_option('sqlalchemy.url'), \
literal_binds=True, dialect_opts={'paramstyle': 'named'}\n)\nwith context.begin_transaction():\n    context.run_migrations()\n";

const MAKO: &str = "\"\"\"${message}\"\"\"\nrevision = ${repr(up_revision)}\ndown_revision = ${repr(down_revision)}\n\
branch_labels = ${repr(branch_labels)}\ndepends_on = ${repr(depends_on)}\n\n\ndef upgrade():\n    pass\n\n\n\
def downgrade():\n    pass\n";
