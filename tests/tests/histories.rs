//! Real histories that nobody here wrote, through the binary, on each engine they are written for.
//!
//! Their files are not part of this repository. `WALKBACK_CORPORA` names a folder that holds them as
//! `<owner>/<repository>/<path in the repository>`; a history that is not there is ignored, and said to be.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use walkback_tests::{Backend, EVERYWHERE, SERVERS, Sandbox, TRANSACTIONAL, journeys, report};

fn main() -> ExitCode {
    let journeys = journeys! {
        EVERYWHERE => [vaultwarden_goes_up_down_and_up],
        // The first casts to JSON, the second names a check, as MySQL can and MariaDB cannot.
        &[Backend::Sqlite, Backend::Postgres, Backend::PostgresNewest, Backend::Mysql] => [
            hydra_goes_up_down_and_up,
            keto_goes_up_down_and_up,
        ],
        TRANSACTIONAL => [gitness_goes_up_down_and_up],
        // The files of the first for SQLite call functions that only its own program adds; the other has none.
        SERVERS => [authelia_goes_up_down_and_up, mattermost_goes_up_down_and_up],
        // Its files for PostgreSQL are for 16 and later.
        &[Backend::PostgresNewest, Backend::Mysql, Backend::Mariadb] => [model_registry_goes_up_down_and_up],
    };
    walkback_tests::main_where("histories", &journeys, |name, backend| {
        let history = HISTORIES.iter().find(|history| name.starts_with(history.name))?;
        history
            .folder(backend)
            .is_none()
            .then(|| format!("`WALKBACK_CORPORA` names no folder with {}", history.repository))
    })
}

/// A repository whose migrations are written for several engines.
#[derive(Debug)]
struct History {
    /// What the names of its journeys begin with.
    name: &'static str,
    repository: &'static str,
    /// Layout of its files.
    kind: &'static str,
    /// Folder of the files for SQLite, for PostgreSQL, and for MySQL.
    folders: [Option<&'static str>; 3],
}

const HISTORIES: &[History] = &[
    History {
        name: "vaultwarden",
        repository: "dani-garcia/vaultwarden",
        kind: "diesel",
        folders: [
            Some("migrations/sqlite"),
            Some("migrations/postgresql"),
            Some("migrations/mysql"),
        ],
    },
    History {
        name: "authelia",
        repository: "authelia/authelia",
        kind: "sql",
        folders: [
            Some("internal/storage/migrations/sqlite"),
            Some("internal/storage/migrations/postgres"),
            Some("internal/storage/migrations/mysql"),
        ],
    },
    History {
        name: "gitness",
        repository: "harness/gitness",
        kind: "sql",
        folders: [
            Some("app/store/database/migrate/sqlite"),
            Some("app/store/database/migrate/postgres"),
            None,
        ],
    },
    History {
        name: "hydra",
        repository: "ory/hydra",
        kind: "sql",
        folders: [Some("persistence/sql/migrations"); 3],
    },
    History {
        name: "mattermost",
        repository: "mattermost/mattermost-server",
        kind: "sql",
        folders: [None, Some("db/migrations/postgres"), Some("db/migrations/mysql")],
    },
    History {
        name: "keto",
        repository: "ory/keto",
        kind: "sql",
        folders: [Some("internal/persistence/sql/migrations/sql"); 3],
    },
    History {
        name: "model_registry",
        repository: "kubeflow/model-registry",
        kind: "sql",
        folders: [
            None,
            Some("internal/platform/db/postgres/migrations"),
            Some("internal/platform/db/mysql/migrations"),
        ],
    },
];

impl History {
    fn folder(&self, backend: Backend) -> Option<PathBuf> {
        let [sqlite, postgres, mysql] = self.folders;
        let folder = match backend {
            Backend::Sqlite => sqlite,
            Backend::Postgres | Backend::PostgresNewest => postgres,
            Backend::Mysql | Backend::Mariadb => mysql,
        };
        let corpora = std::env::var_os("WALKBACK_CORPORA")?;
        let path = PathBuf::from(corpora).join(self.repository).join(folder?);
        path.is_dir().then_some(path)
    }
}

fn vaultwarden_goes_up_down_and_up(backend: Backend) {
    up_down_up("vaultwarden", backend);
}

fn authelia_goes_up_down_and_up(backend: Backend) {
    up_down_up("authelia", backend);
}

fn gitness_goes_up_down_and_up(backend: Backend) {
    up_down_up("gitness", backend);
}

fn hydra_goes_up_down_and_up(backend: Backend) {
    up_down_up("hydra", backend);
}

fn mattermost_goes_up_down_and_up(backend: Backend) {
    up_down_up("mattermost", backend);
}

fn keto_goes_up_down_and_up(backend: Backend) {
    up_down_up("keto", backend);
}

fn model_registry_goes_up_down_and_up(backend: Backend) {
    up_down_up("model_registry", backend);
}

/// Copies the files, `V0001.Name.up.sql` as `0001_Name.up.sql`, and returns how many migrations they are.
fn copy(from: &Path, to: &Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(from).expect("the history can be read") {
        let entry = entry.expect("the history can be read");
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(&name));
            count += 1;
            continue;
        }
        let renamed = match name.strip_prefix('V').and_then(|rest| rest.split_once('.')) {
            Some((number, rest)) => format!("{number}_{rest}"),
            None => name,
        };
        count += usize::from(renamed.ends_with(".up.sql"));
        std::fs::create_dir_all(to).expect("folders can be made");
        std::fs::copy(entry.path(), to.join(renamed)).expect("a file can be copied");
    }
    count
}

/// Copies the files of a folder in which several may have one number, numbered anew in their order, and of those for
/// several engines (`1_name.mysql.up.sql`) the ones for this.
fn copy_numbered(from: &[PathBuf], to: &Path, backend: Backend) -> usize {
    let mine: &[&str] = match backend {
        Backend::Sqlite => &["sqlite", "sqlite3"],
        Backend::Postgres | Backend::PostgresNewest => &["postgres"],
        Backend::Mysql | Backend::Mariadb => &["mysql"],
    };
    // By name and direction; a file for this engine comes before one for all.
    let mut chosen = std::collections::BTreeMap::<(String, String), PathBuf>::new();
    for folder in from {
        for entry in std::fs::read_dir(folder).expect("the history can be read") {
            let path = entry.expect("the history can be read").path();
            let file = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let parts: Vec<&str> = file.split('.').collect();
            let [name, marks @ .., direction, "sql"] = &parts[..] else {
                continue;
            };
            let key = ((*name).to_owned(), (*direction).to_owned());
            match marks {
                [] | ["autocommit"] => drop(chosen.entry(key).or_insert(path)),
                [engine, ..] if mine.contains(engine) => drop(chosen.insert(key, path)),
                _ => {}
            }
        }
    }
    std::fs::create_dir_all(to).expect("folders can be made");
    let mut numbers = std::collections::BTreeMap::new();
    for (name, _) in chosen.keys().filter(|(_, direction)| direction == "up") {
        numbers.insert(name.clone(), numbers.len() + 1);
    }
    for ((name, direction), path) in &chosen {
        if let Some(number) = numbers.get(name) {
            let renamed = format!(
                "{number:04}_{}.{direction}.sql",
                name.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_')
            );
            let mut sql = std::fs::read_to_string(path).expect("a script can be read");
            if path.to_string_lossy().contains(".autocommit.") {
                sql.insert_str(0, "-- walkback: transaction=off\n");
            }
            std::fs::write(to.join(renamed), sql).expect("a script can be written");
        }
    }
    numbers.len()
}

fn project(history: &History, backend: Backend) -> (Sandbox, usize) {
    let sandbox = Sandbox::on(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.configure(&format!(
        "[source]\nkind = \"{}\"\npath = \"migrations\"",
        history.kind
    ));
    let folder = history
        .folder(backend)
        .expect("it is there, or the journey is ignored");
    let to = sandbox.path("migrations");
    let count = match history.name {
        "gitness" | "hydra" => copy_numbered(&[folder], &to, backend),
        "keto" => {
            let networks = folder.join("../../../../../oryx/networkx/migrations/sql");
            copy_numbered(&[networks, folder], &to, backend)
        }
        _ => copy(&folder, &to),
    };
    if history.name == "vaultwarden" && backend.is_mysql() {
        without_foreign_keys(&sandbox.path("migrations"));
    }
    (sandbox, count)
}

/// Says in each script what its own program says before it runs any.
fn without_foreign_keys(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("the copy can be read") {
        let path = entry.expect("the copy can be read").path();
        if path.is_dir() {
            without_foreign_keys(&path);
            continue;
        }
        let sql = std::fs::read_to_string(&path).expect("the copy can be read");
        if !sql.trim().is_empty() {
            let sql = format!("SET FOREIGN_KEY_CHECKS = 0;\n{sql}");
            std::fs::write(&path, sql).expect("the copy can be written");
        }
    }
}

/// To the head, back to the base by rollback, to the head again, and to the base by the authors' own downs as far
/// as there are any; and a verdict for each.
fn up_down_up(name: &str, backend: Backend) {
    let history = HISTORIES
        .iter()
        .find(|history| history.name == name)
        .expect("it is listed");
    let (sandbox, count) = project(history, backend);
    let base = sandbox.contents();
    sandbox.ok(&["up", "-y"]);
    let head = sandbox.contents();
    assert_eq!(sandbox.status()["applied"], count);
    assert!(head.definitions.len() > 5, "hardly anything was made");
    if history.kind == "diesel" {
        let ledger = sandbox.value("SELECT count(*) FROM __diesel_schema_migrations");
        assert_eq!(ledger, count.to_string());
    }

    // By rollback every migration is walked back to what was there before, whatever its down does.
    let rollback = sandbox.ok(&["rollback", "--to", "base", "-y"]);
    report(&format!(
        "{name} on {backend}: rollback to base: {} downs replaced by a sounder way",
        rollback.stderr.matches("does not lead back").count()
    ));
    sandbox.assert_contents(&base, &rollback.transcript());
    sandbox.ok(&["up", "-y"]);
    if history.name == "gitness" {
        // It writes the time into its rows.
        assert_eq!(sandbox.contents().definitions, head.definitions);
    } else {
        sandbox.assert_contents(&head, "up again");
    }

    by_their_own_downs(name, &sandbox);
    verdicts(name, history, backend);
}

/// Runs the authors' own downs, one after the other; one that fails must leave all as it was before it.
fn by_their_own_downs(name: &str, sandbox: &Sandbox) {
    let backend = sandbox.backend();
    let mut named = 0;
    loop {
        let before = sandbox.contents();
        let down = sandbox.run(&["down", "-y"]);
        named += down.stderr.matches("does not lead back").count();
        if down.code != Some(0) {
            assert_ne!(down.code, Some(4), "{}", down.transcript());
            sandbox.assert_contents(&before, &format!("a down that failed: {}", down.transcript()));
            report(&format!(
                "{name} on {backend}: their own downs: {named} things not restored, then: {}",
                down.stderr.lines().next().unwrap_or_default()
            ));
            return;
        }
    }
}

fn verdicts(name: &str, history: &History, backend: Backend) {
    let (sandbox, count) = project(history, backend);
    let verify = sandbox.run(&["verify", "--json"]);
    let outcomes = verify.json();
    let outcomes = outcomes["outcomes"].as_array().expect("verify gives a list");
    assert_eq!(outcomes.len(), count, "{}", verify.transcript());
    let mut words = std::collections::BTreeMap::<String, usize>::new();
    for outcome in outcomes {
        let verdict = outcome["verdict"]["verdict"]
            .as_str()
            .expect("each has a verdict");
        let passed = outcome["passed"].as_bool().expect("each is passed or not");
        *words
            .entry(format!("{verdict}{}", if passed { "" } else { ", not passed" }))
            .or_default() += 1;
    }
    report(&format!("{name} on {backend}: verdicts {words:?}"));
}
