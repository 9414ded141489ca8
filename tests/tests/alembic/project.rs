//! A project of Alembic, and Alembic itself beside walkback.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use walkback_tests::{Backend, Output, Sandbox, alembic_python};

const ENV: &str = include_str!("env.py");
const DRIVER: &str = include_str!("driver.py");

/// A project in a sandbox.
pub(crate) struct Project {
    pub(crate) sandbox: Sandbox,
}

/// A revision, as its file is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Revision<'a> {
    pub(crate) id: &'a str,
    /// `None`, `"abc"`, or a tuple: as it stands in the file.
    pub(crate) down_revision: &'a str,
    pub(crate) labels: &'a str,
    pub(crate) depends_on: &'a str,
    pub(crate) upgrade: &'a str,
    pub(crate) downgrade: &'a str,
}

impl<'a> Revision<'a> {
    pub(crate) fn new(id: &'a str, down_revision: &'a str, upgrade: &'a str, downgrade: &'a str) -> Self {
        Self {
            id,
            down_revision,
            labels: "None",
            depends_on: "None",
            upgrade,
            downgrade,
        }
    }

    pub(crate) fn labelled(self, labels: &'a str) -> Self {
        Self { labels, ..self }
    }

    pub(crate) fn needs(self, depends_on: &'a str) -> Self {
        Self { depends_on, ..self }
    }
}

impl Project {
    /// Creates a project without a revision.
    pub(crate) fn new(backend: Backend) -> Self {
        let sandbox = Sandbox::on(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
        let python = alembic_python().expect("the journey is ignored without Alembic");
        sandbox.configure(&format!(
            "[source]\nkind = \"alembic\"\npath = \"alembic.ini\"\npython = \"{}\"",
            python.display()
        ));
        let driver = match backend {
            Backend::Sqlite => "sqlite",
            Backend::Postgres | Backend::PostgresNewest => "postgresql+psycopg2",
            Backend::Mysql | Backend::Mariadb => "mysql+pymysql",
        };
        sandbox.write(
            "alembic.ini",
            &format!("[alembic]\nscript_location = %(here)s/db\nsqlalchemy.url = {driver}://\n"),
        );
        sandbox.write("db/env.py", ENV);
        sandbox.write("db/script.py.mako", MAKO);
        sandbox.create_folder("db/versions");
        Self { sandbox }
    }

    pub(crate) fn add(&self, revision: &Revision<'_>) {
        let body = |text: &str| match text {
            "" => "    pass".to_owned(),
            text => text
                .lines()
                .map(|line| format!("    {line}"))
                .collect::<Vec<_>>()
                .join("\n"),
        };
        self.sandbox.write(
            &format!("db/versions/{}_step.py", revision.id),
            &format!(
                "\"\"\"step {}\n\nRevision ID: {}\n\"\"\"\nimport sqlalchemy as sa\nfrom alembic import op\n\n\
                 revision = \"{}\"\ndown_revision = {}\nbranch_labels = {}\ndepends_on = {}\n\n\n\
                 def upgrade():\n{}\n\n\ndef downgrade():\n{}\n",
                revision.id,
                revision.id,
                revision.id,
                revision.down_revision,
                revision.labels,
                revision.depends_on,
                body(revision.upgrade),
                body(revision.downgrade)
            ),
        );
    }

    /// Adds a revision that makes a table of its name.
    pub(crate) fn add_table(&self, revision: Revision<'_>) {
        let up = format!(
            "op.create_table(\"t_{0}\", sa.Column(\"id\", sa.Integer, primary_key=True))",
            revision.id
        );
        let down = format!("op.drop_table(\"t_{}\")", revision.id);
        self.add(&Revision {
            upgrade: &up,
            downgrade: &down,
            ..revision
        });
    }

    /// Returns what is in the version table, each row once.
    pub(crate) fn versions(&self) -> BTreeSet<String> {
        versions(&mut self.sandbox.session())
    }

    pub(crate) fn walkback(&self, arguments: &[&str]) -> Output {
        self.sandbox.run(arguments)
    }
}

/// Returns what is in the version table.
pub(crate) fn versions(session: &mut walkback_tests::Session) -> BTreeSet<String> {
    if session
        .try_sql("SELECT version_num FROM alembic_version WHERE 1 = 0")
        .is_err()
    {
        return BTreeSet::new();
    }
    let rows = session.column("SELECT version_num FROM alembic_version");
    let set: BTreeSet<_> = rows.iter().cloned().collect();
    assert_eq!(set.len(), rows.len(), "a version is there twice: {rows:?}");
    set
}

/// Alembic, running.
pub(crate) struct Alembic {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    ini: PathBuf,
}

impl Alembic {
    pub(crate) fn of(project: &Project) -> Self {
        let ini = project.sandbox.path("alembic.ini");
        let mut process = Command::new(alembic_python().expect("it was found before"))
            .args(["-c", DRIVER])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(ini.parent().unwrap_or(Path::new("/")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Python starts");
        let input = process.stdin.take().expect("it was asked for");
        let output = BufReader::new(process.stdout.take().expect("it was asked for"));
        Self {
            process,
            input,
            output,
            ini,
        }
    }

    /// Runs a command on a database, and returns what it printed, or why it was refused.
    pub(crate) fn try_run(
        &mut self,
        url: &str,
        name: &str,
        arguments: &[&str],
        options: Value,
    ) -> Result<String, String> {
        let request = json!({
            "ini": self.ini, "url": url, "name": name, "arguments": arguments, "options": options,
        });
        writeln!(self.input, "{request}").expect("Python listens");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("Python answers");
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let output = answer["output"].as_str().unwrap_or_default().to_owned();
        if answer["ok"] == json!(true) {
            Ok(output)
        } else {
            Err(output)
        }
    }

    /// Returns the URL of a database as SQLAlchemy writes it.
    pub(crate) fn url_of(&mut self, url: &str) -> String {
        self.try_run(url, "url", &[], json!({}))
            .expect("a URL is rewritten")
    }

    /// Runs a command on the database of a project.
    pub(crate) fn run(&mut self, project: &Project, name: &str, arguments: &[&str]) -> String {
        self.try_run(&project.url(), name, arguments, json!({}))
            .unwrap_or_else(|why| panic!("alembic {name} {arguments:?}: {why}"))
    }
}

impl Drop for Alembic {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Project {
    /// Returns the URL of its database, with the path of a file in full.
    pub(crate) fn url(&self) -> String {
        match self.sandbox.backend() {
            Backend::Sqlite => format!("sqlite:{}", self.sandbox.path("app.db").display()),
            _ => self.sandbox.url(),
        }
    }
}

const MAKO: &str = "\"\"\"${message}\n\nRevision ID: ${up_revision}\n\"\"\"\nimport sqlalchemy as sa\nfrom alembic import op\n\n\
revision = ${repr(up_revision)}\ndown_revision = ${repr(down_revision)}\nbranch_labels = ${repr(branch_labels)}\n\
depends_on = ${repr(depends_on)}\n\n\ndef upgrade():\n    ${upgrades if upgrades else \"pass\"}\n\n\n\
def downgrade():\n    ${downgrades if downgrades else \"pass\"}\n";
