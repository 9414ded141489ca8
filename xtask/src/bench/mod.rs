//! `cargo xtask bench`: walkback side by side with the tools that do the same, in one run, on the same data.

mod data;
mod graph;
mod measure;
mod mysql;
mod postgres;
mod rollback;
mod server;
mod sqlite;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use measure::Measured;
use serde::Serialize;

use crate::process::{Build, build_walkback};

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Backups and restores, beside the tools of each engine
    Backup(Backup),
    /// Rollbacks of a migration that updates 1 % of a large table, and what the migration takes
    Rollback(Rollback),
    /// Large graphs of migrations: built, resolved and planned
    Graph,
}

#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// How much data: 1 is about a gigabyte on each engine
    #[arg(long, default_value_t = 0.1)]
    scale: f64,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// How many rows: 1 is ten million
    #[arg(long, default_value_t = 0.1)]
    scale: f64,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// How often each is measured; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only these engines: postgres, postgres-newest, mysql, mariadb, sqlite
    #[arg(long, value_delimiter = ',', value_name = "ENGINE")]
    only: Vec<String>,
    /// A binary of walkback, in place of one that is built for this
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

impl Common {
    fn wants(&self, engine: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == engine)
    }
}

/// Something that is measured beside others.
pub(crate) struct Case {
    /// The tool, with what matters of its arguments.
    name: String,
    /// Makes ready; not measured.
    prepare: Box<dyn Fn() -> Result<()>>,
    command: Box<dyn Fn() -> Result<Command>>,
    /// What it writes, to be weighed.
    output: Option<PathBuf>,
}

/// Cases that do the same. The first is ours.
pub(crate) struct Group {
    engine: String,
    what: &'static str,
    cases: Vec<Case>,
    /// Tools that this machine has not.
    missing: Vec<&'static str>,
}

/// What one case came to: medians over the rounds.
#[derive(Debug, Clone, Serialize)]
struct Outcome {
    engine: String,
    what: &'static str,
    case: String,
    /// How many times as long as ours it took.
    ratio: f64,
    #[serde(flatten)]
    median: Measured,
    rounds: Vec<Measured>,
}

/// Runs what was asked for.
pub(crate) fn run(root: &Path, bench: &Bench) -> Result<()> {
    match bench {
        Bench::Backup(arguments) => backup(root, arguments),
        Bench::Rollback(arguments) => rollbacks(root, arguments),
        Bench::Graph => graph::run(root),
    }
}

fn backup(root: &Path, arguments: &Backup) -> Result<()> {
    let binary = binary(root, arguments.common.binary.as_deref())?;
    let rows = data::rows(arguments.scale)?;
    let folder = tempfile::Builder::new().prefix("walkback-bench-").tempdir()?;
    let wanted = |engine: &str| arguments.common.wants(engine);
    let mut outcomes = Vec::new();
    if wanted("sqlite") {
        let groups = sqlite::groups(&binary, &folder.path().join("sqlite"), rows)?;
        outcomes.extend(
            groups
                .into_iter()
                .map(|group| measured(group, arguments.common.rounds)),
        );
    }
    let names = ["postgres", "postgres-newest", "mysql", "mariadb"];
    let names: Vec<_> = names.into_iter().filter(|name| wanted(name)).collect();
    let servers = server::Servers::up(root, &names)?;
    for name in names {
        let Some(server) = servers.find(name) else {
            println!("{name}: there is no such server here; nothing was measured on it");
            continue;
        };
        let folder = folder.path().join(name);
        let groups = match name {
            "mysql" | "mariadb" => mysql::groups(&binary, &folder, &server, rows)?,
            _ => postgres::groups(&binary, &folder, &server, rows)?,
        };
        outcomes.extend(
            groups
                .into_iter()
                .map(|group| measured(group, arguments.common.rounds)),
        );
        match name {
            "mysql" | "mariadb" => mysql::clean(&server)?,
            _ => postgres::clean(&server)?,
        }
    }
    let stopped = servers.down(root);
    let outcomes: Vec<_> = outcomes.into_iter().collect::<Result<Vec<_>>>()?.concat();
    stopped?;
    written(root, "backup.json", &outcomes)
}

fn rollbacks(root: &Path, arguments: &Rollback) -> Result<()> {
    use rollback::Database;
    let binary = binary(root, arguments.common.binary.as_deref())?;
    let rows = rollback::rows(arguments.scale)?;
    let folder = tempfile::Builder::new().prefix("walkback-bench-").tempdir()?;
    let wanted = |engine: &str| arguments.common.wants(engine);
    let mut outcomes = Vec::new();
    if wanted("sqlite") {
        let folder = folder.path().join("sqlite");
        fs::create_dir_all(&folder)?;
        let database = Database::File(folder.join("full.db"));
        for group in rollback::groups(&binary, &folder, &database, rows)? {
            outcomes.extend(measured(group, arguments.common.rounds)?);
        }
    }
    let names = ["postgres", "postgres-newest", "mysql", "mariadb"];
    let names: Vec<_> = names.into_iter().filter(|name| wanted(name)).collect();
    let servers = server::Servers::up(root, &names)?;
    let on_servers = || -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        for name in names {
            let Some(server) = servers.find(name) else {
                println!("{name}: there is no such server here; nothing was measured on it");
                continue;
            };
            let is_mysql = matches!(name, "mysql" | "mariadb");
            let database = if is_mysql {
                Database::Mysql(server.clone())
            } else {
                Database::Postgres(server.clone())
            };
            for group in rollback::groups(&binary, &folder.path().join(name), &database, rows)? {
                outcomes.extend(measured(group, arguments.common.rounds)?);
            }
            if is_mysql {
                mysql::clean(&server)?;
            } else {
                postgres::clean(&server)?;
            }
        }
        Ok(outcomes)
    };
    let found = on_servers();
    servers.down(root)?;
    outcomes.extend(found?);
    written(root, "rollback.json", &outcomes)
}

/// Returns the binary that is measured.
fn binary(root: &Path, given: Option<&Path>) -> Result<PathBuf> {
    match given {
        Some(binary) => binary.canonicalize().context("cannot find `--binary`"),
        None => build_walkback(root, Build::Alone(&["--release"])),
    }
}

/// Prints the outcomes, and writes them to a file.
fn written(root: &Path, name: &str, outcomes: &[Outcome]) -> Result<()> {
    table::print(outcomes);
    let file = target(root).join("bench").join(name);
    fs::create_dir_all(file.parent().unwrap_or(root))?;
    fs::write(&file, serde_json::to_vec_pretty(outcomes)?)?;
    println!("\nwritten to {}", file.display());
    Ok(())
}

/// Measures cases in turn, so that whatever else the machine does concerns all of them alike.
fn measured(group: Group, rounds: usize) -> Result<Vec<Outcome>> {
    for tool in &group.missing {
        println!("{}: `{tool}` is not on PATH and was not measured", group.engine);
    }
    let mut taken: Vec<Vec<Measured>> = group.cases.iter().map(|_| Vec::new()).collect();
    for round in 1..=rounds {
        for (case, taken) in group.cases.iter().zip(&mut taken) {
            (case.prepare)().with_context(|| format!("cannot prepare `{}`", case.name))?;
            let measured = measure::run((case.command)()?, case.output.as_deref())
                .with_context(|| format!("`{}` failed", case.name))?;
            println!(
                "{} {} {round}/{rounds}: {} {}",
                group.engine,
                group.what,
                case.name,
                measured.shown()
            );
            taken.push(measured);
        }
    }
    let medians: Vec<Measured> = taken.iter().map(|taken| Measured::median(taken)).collect();
    let Some(ours) = medians.first().map(|ours| ours.seconds) else {
        bail!("nothing to measure on {}", group.engine);
    };
    let outcomes = group.cases.into_iter().zip(medians).zip(taken);
    Ok(outcomes
        .map(|((case, median), rounds)| Outcome {
            engine: group.engine.clone(),
            what: group.what,
            case: case.name,
            ratio: median.seconds / ours,
            median,
            rounds,
        })
        .collect())
}

/// Returns the folder of what is built.
fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// Writes a project for walkback: no migrations, a vault beside it.
pub(crate) fn project(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder.join("migrations"))?;
    fs::write(
        folder.join("walkback.toml"),
        "[source]\nkind = \"sql\"\npath = \"migrations\"\n\n\
         [store.local]\nkind = \"fs\"\npath = \"vault\"\n\n[env.bench]\nstores = [\"local\"]\n",
    )?;
    Ok(())
}

/// Returns walkback, at work on a database.
pub(crate) fn walkback(binary: &Path, folder: &Path, url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.current_dir(folder).args(arguments);
    // Not as an argument: it may hold a password.
    command.env("DATABASE_URL", url);
    command
}

/// Returns the newest backup of a vault.
pub(crate) fn newest_backup(folder: &Path) -> Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder.join("vault").join("points"))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| name.starts_with("bk_"));
    names.sort();
    let name = names.pop().context("the vault holds no backup")?;
    Ok(name.trim_end_matches(".json").to_owned())
}

/// Removes a file or a folder, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    if path.is_dir() {
        fs::remove_dir_all(path)?;
    } else if path.exists() {
        fs::remove_file(path)?;
    }
    Ok(())
}
