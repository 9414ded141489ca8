//! Rollbacks of a migration that updates one row in a hundred of a large table: cell by cell, from the point, and by
//! loading a dump anew; and what the migration itself takes, beside the bare statement.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::server::Server;
use super::{Case, Group, mysql, postgres, project, remove, walkback};
use crate::process::{is_installed, output};

/// How many rows the table has at full scale.
const FULL: f64 = 10_000_000.0;

/// The database with the table, and the one that a dump is loaded into.
const DATABASE: &str = "walkback_bench";
const RELOADED: &str = "walkback_bench_restored";

/// Where the rows are that the migration updates.
const PLACES: &[(&str, &str)] = &[
    ("in one place", "id <= {hundredth}"),
    ("all over", "id % 100 = 3"),
];

/// A database with the table, and how to send statements to it.
#[derive(Clone)]
pub(crate) enum Database {
    File(PathBuf),
    Postgres(Server),
    Mysql(Server),
}

/// Returns how many rows there are.
pub(crate) fn rows(scale: f64) -> Result<u64> {
    if !(0.0001..=10.0).contains(&scale) {
        bail!("`--scale {scale}` is not from 0.0001 to 10");
    }
    Ok(format!("{:.0}", (FULL * scale).max(1000.0)).parse()?)
}

/// Fills a database and returns what is measured on it.
pub(crate) fn groups(binary: &Path, folder: &Path, database: &Database, rows: u64) -> Result<Vec<Group>> {
    project(folder)?;
    if let Some(missing) = database.missing() {
        println!("{}: nothing was measured without `{missing}`", database.name());
        return Ok(Vec::new());
    }
    database.fill(folder, rows)?;
    let dump = database.dump(folder)?;
    let mut groups = Vec::new();
    for (place, condition) in PLACES {
        let condition = condition.replace("{hundredth}", &(rows / 100).to_string());
        let change = format!("UPDATE m SET a = a + 1, b = 'changed' WHERE {condition};");
        let bench = Bench {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            database: database.clone(),
            change,
        };
        groups.push(bench.up(place));
        groups.push(bench.rollback(place, dump.clone()));
    }
    Ok(groups)
}

/// What all cases on one database have at hand.
#[derive(Clone)]
struct Bench {
    binary: PathBuf,
    folder: PathBuf,
    database: Database,
    change: String,
}

impl Bench {
    fn walkback(&self, arguments: &[&str]) -> Command {
        walkback(&self.binary, &self.folder, &self.database.url(), arguments)
    }

    /// Makes sure that the migration is there, protected in this way, and is not applied.
    fn not_applied(&self, protect: &str) -> Result<()> {
        let up = self.folder.join("migrations").join("001_change").join("up.sql");
        fs::create_dir_all(up.parent().unwrap_or(&self.folder))?;
        if up.exists() {
            let status = output(&mut self.walkback(&["--json", "status"]))?;
            let status: serde_json::Value = serde_json::from_str(&status)?;
            if status["status"]["applied"] != 0 {
                let undo = ["--yes", "rollback", "-n", "1", "--type", "surgical"];
                output(&mut self.walkback(&undo))?;
            }
        }
        fs::write(&up, format!("-- walkback: protect={protect}\n{}", self.change))?;
        Ok(())
    }

    /// Applies the migration anew, and lets an application write after it.
    fn applied(&self, protect: &str) -> Result<()> {
        self.not_applied(protect)?;
        output(&mut self.walkback(&["--yes", "up"]))?;
        self.database.send("UPDATE m SET c = c + 1 WHERE id % 1000 = 7")
    }

    fn up(&self, place: &'static str) -> Group {
        let theirs = self.clone();
        let statement = self.change.clone();
        let ours = |name: &str, protect: &'static str| {
            let (ready, bench) = (self.clone(), self.clone());
            Case {
                name: name.to_owned(),
                prepare: Box::new(move || ready.not_applied(protect)),
                command: Box::new(move || Ok(bench.walkback(&["--yes", "up"]))),
                output: None,
            }
        };
        let captured = self
            .database
            .captures()
            .then(|| ours("walkback up, captured", "capture"));
        Group {
            engine: self.database.name(),
            what: if place == PLACES[0].0 {
                "update of 1 % in one place"
            } else {
                "update of 1 % all over"
            },
            cases: captured
                .into_iter()
                .chain([
                    ours("walkback up, with both points", "auto"),
                    Case {
                        name: "the bare statement".to_owned(),
                        prepare: Box::new(|| Ok(())),
                        command: Box::new(move || theirs.database.client(&statement)),
                        output: None,
                    },
                ])
                .collect(),
            missing: Vec::new(),
        }
    }

    fn rollback(&self, place: &'static str, dump: PathBuf) -> Group {
        let ours = |kind: &'static str, protect: &'static str, from: &str| {
            let (ready, bench) = (self.clone(), self.clone());
            Case {
                name: format!("walkback rollback --type {kind}, {from}"),
                prepare: Box::new(move || ready.applied(protect)),
                command: Box::new(move || {
                    Ok(bench.walkback(&["--yes", "rollback", "-n", "1", "--type", kind]))
                }),
                output: None,
            }
        };
        let captured = self.database.captures();
        let captured = captured.then(|| ours("surgical", "capture", "captured"));
        let (ready, database) = (self.clone(), self.database.clone());
        let folder = self.folder.clone();
        let reload = Case {
            name: self.database.reload_name().to_owned(),
            prepare: Box::new(move || ready.database.fresh(&ready.folder)),
            command: Box::new(move || database.reload(&folder, &dump)),
            output: None,
        };
        Group {
            engine: self.database.name(),
            what: if place == PLACES[0].0 {
                "rollback of 1 % in one place"
            } else {
                "rollback of 1 % all over"
            },
            cases: captured
                .into_iter()
                .chain([
                    ours("surgical", "auto", "from both points"),
                    ours("full", "auto", "from the point"),
                    reload,
                ])
                .collect(),
            missing: Vec::new(),
        }
    }
}

impl Database {
    fn name(&self) -> String {
        match self {
            Self::File(_) => "sqlite".to_owned(),
            Self::Postgres(server) | Self::Mysql(server) => server.name.clone(),
        }
    }

    /// Returns whether what a migration changes can be captured there.
    fn captures(&self) -> bool {
        !matches!(self, Self::Mysql(_))
    }

    fn url(&self) -> String {
        match self {
            Self::File(file) => format!("sqlite:{}", file.display()),
            Self::Postgres(server) | Self::Mysql(server) => server.url(DATABASE),
        }
    }

    fn missing(&self) -> Option<&'static str> {
        let tools: &[&'static str] = match self {
            Self::File(_) => &["sqlite3"],
            Self::Postgres(_) => &["psql", "pg_dump", "pg_restore"],
            Self::Mysql(_) => &["mysql", "mysqldump"],
        };
        tools.iter().copied().find(|tool| !is_installed(tool))
    }

    /// Returns the database's own client with a statement to run.
    fn client(&self, sql: &str) -> Result<Command> {
        Ok(match self {
            Self::File(file) => {
                let mut command = Command::new("sqlite3");
                command.arg(file).arg(sql);
                command
            }
            Self::Postgres(server) => {
                let mut command = postgres::psql(server, DATABASE);
                command.args(["-q", "-v", "ON_ERROR_STOP=1", "-c", sql]);
                command
            }
            Self::Mysql(server) => {
                let mut command = mysql::client("mysql", server);
                command.args([DATABASE, "-e", sql]);
                command
            }
        })
    }

    fn send(&self, sql: &str) -> Result<()> {
        output(&mut self.client(sql)?).map(drop)
    }

    fn fill(&self, folder: &Path, rows: u64) -> Result<()> {
        let create = "CREATE TABLE m (id BIGINT NOT NULL PRIMARY KEY, a BIGINT, b VARCHAR(40), c BIGINT, d VARCHAR(60))";
        let one = "{n}, {n} * 7919 % 1000003, 'as it was', 0, {text}";
        let insert = |n: &str, text: &str, from: &str| {
            let one = one.replace("{n}", n).replace("{text}", text);
            format!("INSERT INTO m SELECT {one} FROM {from}")
        };
        match self {
            Self::File(file) => {
                let numbers = format!(
                    "(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT {rows}) SELECT n FROM c)"
                );
                let text = "printf('%08x%08x', n * 2654435761 & 4294967295, n * 40503 & 4294967295)";
                let database = rusqlite::Connection::open(file)?;
                let insert = insert("n", text, &numbers);
                let sql = format!(
                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; BEGIN; {create}; {insert}; COMMIT;"
                );
                database.execute_batch(&sql).context("the table cannot be filled")
            }
            Self::Postgres(server) => {
                postgres::fresh(server, DATABASE)?;
                self.send(create)?;
                self.send(&insert(
                    "n",
                    "md5(n::text)",
                    &format!("generate_series(1::bigint, {rows}) n"),
                ))?;
                self.send("VACUUM ANALYZE m")
            }
            Self::Mysql(server) => {
                mysql::fresh(server, DATABASE)?;
                self.send(create)?;
                self.send(&insert("1", "LEFT(SHA2(1, 256), 32)", "(SELECT 1) AS o"))?;
                let mut count = 1;
                while count < rows {
                    let n = format!("(id + {count})");
                    let text = format!("LEFT(SHA2({n}, 256), 32)");
                    self.send(&insert(&n, &text, &format!("m WHERE id + {count} <= {rows}")))?;
                    count *= 2;
                }
                fs::create_dir_all(folder)?;
                self.send("ANALYZE TABLE m")
            }
        }
    }

    /// Dumps it with its own tool.
    fn dump(&self, folder: &Path) -> Result<PathBuf> {
        let dump = folder.join("m.dump");
        let mut command = match self {
            Self::File(file) => {
                let mut command = Command::new("sqlite3");
                command.arg(file).arg(format!(".backup '{}'", dump.display()));
                command
            }
            Self::Postgres(server) => {
                let mut command = Command::new("pg_dump");
                command.args([
                    "-Fd",
                    "-j2",
                    "-Z1",
                    "-d",
                    &postgres::place(server, DATABASE),
                    "-f",
                ]);
                command.arg(&dump).env("PGPASSWORD", &server.password);
                command
            }
            Self::Mysql(server) => {
                let mut command = mysql::client("mysqldump", server);
                command
                    .args(["--single-transaction", "-r"])
                    .arg(&dump)
                    .arg(DATABASE);
                command
            }
        };
        output(&mut command)?;
        Ok(dump)
    }

    fn reload_name(&self) -> &'static str {
        match self {
            Self::File(_) => "sqlite3 .restore",
            Self::Postgres(_) => "pg_restore -j2",
            Self::Mysql(_) => "mysql < dump",
        }
    }

    /// Makes an empty database for the dump.
    fn fresh(&self, folder: &Path) -> Result<()> {
        match self {
            Self::File(_) => remove(&folder.join("reloaded.db")),
            Self::Postgres(server) => postgres::fresh(server, RELOADED),
            Self::Mysql(server) => mysql::fresh(server, RELOADED),
        }
    }

    fn reload(&self, folder: &Path, dump: &Path) -> Result<Command> {
        Ok(match self {
            Self::File(_) => {
                let mut command = Command::new("sqlite3");
                command.arg(folder.join("reloaded.db"));
                command.arg(format!(".restore '{}'", dump.display()));
                command
            }
            Self::Postgres(server) => {
                let mut command = Command::new("pg_restore");
                command
                    .args(["-j2", "-d", &postgres::place(server, RELOADED)])
                    .arg(dump);
                command.env("PGPASSWORD", &server.password);
                command
            }
            Self::Mysql(server) => {
                // What is measured is given nothing to read: the shell opens the dump.
                let client = mysql::client("mysql", server);
                let arguments: Vec<_> = client.get_args().map(|one| one.to_string_lossy()).collect();
                let mut command = Command::new("sh");
                command.env("MYSQL_PWD", &server.password);
                command.arg("-c").arg(format!(
                    "mysql {} {RELOADED} < '{}'",
                    arguments.join(" "),
                    dump.display()
                ));
                command.stdout(Stdio::null());
                command
            }
        })
    }
}
