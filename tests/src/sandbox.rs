//! A folder of its own for each test, and the binary run in it.

use std::fs;
use std::os::unix::fs::lchown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::backend::Backend;
use crate::database::{Contents, Session, contents};
use crate::output::Output;
use crate::server::ServerDatabase;

/// A folder of its own, removed at the end.
#[derive(Debug)]
pub struct Sandbox {
    folder: TempDir,
    binary: PathBuf,
    backend: Backend,
    server: Option<ServerDatabase>,
}

impl Sandbox {
    /// Creates an empty folder. `binary` is `env!("CARGO_BIN_EXE_walkback-under-test")`.
    #[must_use]
    pub fn new(binary: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        Self {
            folder,
            binary: binary.into(),
            backend: Backend::Sqlite,
            server: None,
        }
    }

    /// Creates an empty folder, and an empty database where the backend has a server.
    #[must_use]
    pub fn on(backend: Backend, binary: &str) -> Self {
        Self {
            backend,
            server: (backend != Backend::Sqlite).then(|| ServerDatabase::create(backend)),
            ..Self::new(binary)
        }
    }

    /// Creates a folder with a configuration for `sqlite:app.db`, migrations in `migrations` and a vault.
    #[must_use]
    pub fn with_project(binary: &str) -> Self {
        Self::project(Backend::Sqlite, binary)
    }

    /// Creates a folder with a configuration for an empty database, migrations in `migrations` and a vault.
    #[must_use]
    pub fn project(backend: Backend, binary: &str) -> Self {
        let sandbox = Self::on(backend, binary);
        sandbox.configure("[source]\nkind = \"sql\"\npath = \"migrations\"");
        sandbox.create_folder("migrations");
        sandbox
    }

    /// Writes the configuration: this source, this sandbox's database, and a vault in the folder.
    pub fn configure(&self, source: &str) {
        self.write(
            "walkback.toml",
            &format!(
                "{source}\n\n[store.local]\nkind = \"fs\"\npath = \".walkback/vault\"\n\n\
                 [env.dev]\nurl = \"{}\"\nstores = [\"local\"]\n",
                self.url()
            ),
        );
    }

    /// Gives the environment a policy, in the place of what it had.
    ///
    /// # Panics
    /// If there is no configuration.
    pub fn policy(&self, lines: &str) {
        let text = fs::read_to_string(self.path("walkback.toml")).expect("there is a configuration");
        let before = text.split("\n[env.dev.policy]").next().unwrap_or_default();
        self.write(
            "walkback.toml",
            &format!("{before}\n[env.dev.policy]\n{}\n", lines.trim_end()),
        );
    }

    /// Creates a project with the shop of `migrations/shop/sqlite`.
    #[must_use]
    pub fn with_shop(binary: &str) -> Self {
        Self::shop(Backend::Sqlite, binary)
    }

    /// Creates a project with the shop of `migrations/shop`, in the backend's own dialect.
    #[must_use]
    pub fn shop(backend: Backend, binary: &str) -> Self {
        let sandbox = Self::project(backend, binary);
        let dialect = match backend {
            Backend::Sqlite => "sqlite",
            Backend::Postgres | Backend::PostgresNewest => "postgres",
            Backend::Mysql | Backend::Mariadb => "mysql",
        };
        let shop = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../migrations/shop")
            .join(dialect);
        copy_folder(&shop, &sandbox.path("migrations"));
        sandbox
    }

    /// Returns what it runs on.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Returns the URL of its database.
    #[must_use]
    pub fn url(&self) -> String {
        self.server
            .as_ref()
            .map_or_else(|| "sqlite:app.db".to_owned(), ServerDatabase::url)
    }

    /// Returns its database on a server.
    ///
    /// # Panics
    /// If it is a file.
    #[must_use]
    pub fn server(&self) -> &ServerDatabase {
        self.server.as_ref().expect("the backend has a server")
    }

    /// Returns a path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, with its folders.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("folders can be made");
        fs::write(path, text).expect("a file can be written");
    }

    /// Writes a migration in the folder layout; an empty `down` writes none.
    pub fn migration(&self, name: &str, up: &str, down: &str) {
        self.write(&format!("migrations/{name}/up.sql"), up);
        if !down.is_empty() {
            self.write(&format!("migrations/{name}/down.sql"), down);
        }
    }

    /// Creates a folder.
    pub fn create_folder(&self, name: &str) {
        fs::create_dir_all(self.path(name)).expect("folders can be made");
    }

    /// Removes a file or a folder with all that is in it.
    pub fn remove(&self, name: &str) {
        let path = self.path(name);
        if path.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        }
        .expect("it can be removed");
    }

    /// Runs the binary and returns what it said.
    pub fn run(&self, arguments: &[&str]) -> Output {
        Output::new(
            arguments,
            &self.command(arguments).output().expect("the binary starts"),
            self.folder.path(),
        )
    }

    /// Runs the binary with these variables and returns what it said.
    pub fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied());
        Output::new(
            arguments,
            &command.output().expect("the binary starts"),
            self.folder.path(),
        )
    }

    /// Runs the binary, which must succeed.
    pub fn ok(&self, arguments: &[&str]) -> Output {
        let output = self.run(arguments);
        assert_eq!(output.code, Some(0), "{}", output.transcript());
        output
    }

    /// Runs the binary as if it were this moment, in RFC 3339.
    pub fn at(&self, now: &str, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        command.env("WALKBACK_TEST_NOW", now);
        let output = command.output().expect("the binary starts");
        Output::new(arguments, &output, self.folder.path())
    }

    /// Runs the binary as if it were this moment; it must succeed.
    pub fn ok_at(&self, now: &str, arguments: &[&str]) -> Output {
        let output = self.at(now, arguments);
        assert_eq!(output.code, Some(0), "{}", output.transcript());
        output
    }

    /// Returns every file of the vault below a folder, sorted.
    #[must_use]
    pub fn vault_files(&self, below: &str) -> Vec<PathBuf> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    walk(&path, found);
                } else {
                    found.push(path);
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.path(".walkback/vault").join(below), &mut found);
        found.sort();
        found
    }

    /// Runs the binary as a user for whom permissions count. Root may read and write everything, so there the
    /// folder is given to `nobody` first, who then runs it.
    pub fn run_as_user(&self, arguments: &[&str]) -> Output {
        let mut command = if rustix::process::geteuid().is_root() {
            give_away(self.folder.path());
            let mut command = self.command_of(&self.within_reach(), arguments);
            command.uid(NOBODY).gid(NOBODY);
            command
        } else {
            self.command(arguments)
        };
        Output::new(
            arguments,
            &command.output().expect("the binary starts"),
            self.folder.path(),
        )
    }

    /// Returns the binary where every user can run it: the folder it was built in may be private.
    fn within_reach(&self) -> PathBuf {
        let path = self.path(".bin/walkback");
        if !path.exists() {
            self.create_folder(".bin");
            fs::hard_link(&self.binary, &path)
                .or_else(|_| fs::copy(&self.binary, &path).map(|_| ()))
                .expect("the binary can be copied");
        }
        path
    }

    /// Runs the binary until it kills itself at the k-th durable step. `None` if it never got there.
    pub fn killed_at(&self, step: u64, arguments: &[&str]) -> Option<Output> {
        let mut command = self.command(arguments);
        command.env("WALKBACK_TEST_KILL_AT", step.to_string());
        let output = Output::new(
            arguments,
            &command.output().expect("the binary starts"),
            self.folder.path(),
        );
        (output.signal == Some(9)).then_some(output)
    }

    /// Starts the binary and returns at once.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts")
    }

    /// Returns the command, without an environment that a developer's shell could bring in.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(&self.binary, arguments)
    }

    fn command_of(&self, binary: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let brought = name.to_str().is_none_or(|name| {
                let ours = ["WALKBACK_", "PG", "AWS_"]
                    .iter()
                    .any(|prefix| name.starts_with(prefix));
                ours || name.starts_with("MYSQL_") || matches!(name, "DATABASE_URL" | "NO_COLOR")
            });
            if brought {
                command.env_remove(name);
            }
        }
        command
    }

    /// Returns a connection to the database of the project.
    #[must_use]
    pub fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path("app.db")).expect("the database opens")
    }

    /// Connects to the database of the project, as an application would.
    #[must_use]
    pub fn session(&self) -> Session {
        match &self.server {
            None => Session::open_file(&self.path("app.db")),
            Some(server) => Session::open(self.backend, &server.url()),
        }
    }

    /// Runs statements in the database of the project, as an application would.
    pub fn sql(&self, sql: &str) {
        self.session().sql(sql);
    }

    /// Returns one value of the database of the project, as text.
    #[must_use]
    pub fn value(&self, sql: &str) -> String {
        self.session().value(sql)
    }

    /// Returns what `walkback status --json` says.
    #[must_use]
    pub fn status(&self) -> serde_json::Value {
        self.ok(&["status", "--json"]).json()["status"].clone()
    }

    /// Makes a backup of the whole database and returns its id.
    #[must_use]
    pub fn backup(&self) -> String {
        let created = self.ok(&["backup", "create", "--json"]).json();
        created["backup"]["id"].as_str().expect("an id").to_owned()
    }

    /// Checks that the database is sound: no reference leads nowhere, no page or index is broken, and the journal is what the
    /// audit says.
    ///
    /// # Panics
    /// If it is not.
    pub fn assert_sound(&self) {
        let violations = self.session().violations();
        assert!(
            violations.is_empty(),
            "references that lead nowhere, or worse: {violations:?}"
        );
        let verified = self.run(&["audit", "--verify", "--json"]).json();
        let findings = verified["audit"]["findings"].as_array();
        let wrong = findings.into_iter().flatten().find(|found| {
            let place = found["place"].as_str();
            matches!(place, Some("database" | "journal"))
        });
        assert_eq!(wrong, None, "the audit is not what was written: {verified}");
    }

    /// Checks that the application sees exactly this, and says where it does not.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn assert_contents(&self, expected: &Contents, when: &str) {
        let found = self.contents();
        assert!(found == *expected, "{when}: {}", found.difference(expected));
    }

    /// Returns everything the application can see in the database of the project.
    #[must_use]
    pub fn contents(&self) -> Contents {
        match &self.server {
            None => contents(&self.path("app.db")),
            Some(_) => self.session().contents(),
        }
    }
}

/// The user who owns nothing, on every system.
const NOBODY: u32 = 65534;

/// Gives a folder to `nobody`, with all that is in it except the binary.
fn give_away(path: &Path) {
    lchown(path, Some(NOBODY), Some(NOBODY)).expect("root can give files away");
    if path.is_dir() && !path.is_symlink() && !path.ends_with(".bin") {
        for entry in fs::read_dir(path).expect("the folder can be read") {
            give_away(&entry.expect("the folder can be read").path());
        }
    }
}

/// Copies a folder with all that is in it.
fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("folders can be made");
    for entry in fs::read_dir(from).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}
