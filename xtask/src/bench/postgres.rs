//! PostgreSQL: `pg_dump` and `pg_restore` in their parallel form.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::server::Server;
use super::{Case, Group, data, newest_backup, project, remove, walkback};
use crate::process::{is_installed, output};

/// The database with the data, and the one that is restored into.
const FULL: &str = "walkback_bench";
const EMPTY: &str = "walkback_bench_restored";

/// Fills a database and returns what is measured on it.
pub(crate) fn groups(binary: &Path, folder: &Path, server: &Server, rows: u64) -> Result<Vec<Group>> {
    project(folder)?;
    let tools = ["psql", "pg_dump", "pg_restore"];
    let missing: Vec<_> = tools.into_iter().filter(|tool| !is_installed(tool)).collect();
    if !missing.is_empty() {
        println!(
            "{}: nothing was measured without {}",
            server.name,
            missing.join(", ")
        );
        return Ok(Vec::new());
    }
    fresh(server, FULL)?;
    let script = folder.join("data.sql");
    std::fs::write(&script, data::postgres(rows))?;
    output(
        psql(server, FULL)
            .args(["-q", "-v", "ON_ERROR_STOP=1", "-f"])
            .arg(&script),
    )?;
    if !is_new_enough(server)? {
        println!(
            "{}: `pg_dump` is older than the server and refuses it; only walkback was measured",
            server.name
        );
        return Ok(vec![
            backup(binary, folder, server, &[]),
            restore(binary, folder, server, false),
        ]);
    }
    let mut ways = vec![
        ("pg_dump -Fd -j2", ""),
        ("pg_dump -Fd -j2 -Z0", "-Z0"),
        ("pg_dump -Fd -j2 -Z1", "-Z1"),
    ];
    if version_of("pg_dump")? >= 16 {
        ways.push(("pg_dump -Fd -j2 -Z zstd", "--compress=zstd"));
        ways.push(("pg_dump -Fd -j2 -Z lz4", "--compress=lz4"));
    }
    Ok(vec![
        backup(binary, folder, server, &ways),
        restore(binary, folder, server, true),
    ])
}

fn backup(binary: &Path, folder: &Path, server: &Server, ways: &[(&str, &'static str)]) -> Group {
    let vault = folder.join("vault");
    let ours = {
        let (binary, folder, url) = (binary.to_owned(), folder.to_owned(), server.url(FULL));
        let old = vault.clone();
        Case {
            name: "walkback backup create".to_owned(),
            prepare: Box::new(move || remove(&old)),
            command: Box::new(move || Ok(walkback(&binary, &folder, &url, &["backup", "create"]))),
            output: Some(vault),
        }
    };
    let dumps = ways.iter().map(|(name, way)| {
        let dump = dump_of(folder, way);
        let (old, new, server, way) = (dump.clone(), dump.clone(), server.clone(), *way);
        Case {
            name: (*name).to_owned(),
            prepare: Box::new(move || remove(&old)),
            command: Box::new(move || {
                let mut command = Command::new("pg_dump");
                command
                    .args(["-Fd", "-j2", "-d", &place(&server, FULL), "-f"])
                    .arg(&new);
                command
                    .args((!way.is_empty()).then_some(way))
                    .env("PGPASSWORD", &server.password);
                Ok(command)
            }),
            output: Some(dump),
        }
    });
    Group {
        engine: server.name.clone(),
        what: "backup",
        cases: std::iter::once(ours).chain(dumps).collect(),
        missing: Vec::new(),
    }
}

fn restore(binary: &Path, folder: &Path, server: &Server, with_others: bool) -> Group {
    let empty = || {
        let server = server.clone();
        Box::new(move || fresh(&server, EMPTY))
    };
    let (binary, project, url) = (binary.to_owned(), folder.to_owned(), server.url(EMPTY));
    let ours = Case {
        name: "walkback restore".to_owned(),
        prepare: empty(),
        command: Box::new(move || {
            let backup = newest_backup(&project)?;
            Ok(walkback(&binary, &project, &url, &["--yes", "restore", &backup]))
        }),
        output: None,
    };
    let others = ["", "-Z0"].into_iter().filter(|_| with_others).map(|way| {
        let (dump, server) = (dump_of(folder, way), server.clone());
        Case {
            name: format!(
                "pg_restore -j2 {}",
                if way.is_empty() { "(gzip)" } else { "(plain)" }
            ),
            prepare: empty(),
            command: Box::new(move || {
                let mut command = Command::new("pg_restore");
                command.args(["-j2", "-d", &place(&server, EMPTY)]).arg(&dump);
                command.env("PGPASSWORD", &server.password);
                Ok(command)
            }),
            output: None,
        }
    });
    Group {
        engine: server.name.clone(),
        what: "restore",
        cases: std::iter::once(ours).chain(others).collect(),
        missing: Vec::new(),
    }
}

fn dump_of(folder: &Path, way: &str) -> PathBuf {
    folder.join(format!("dump{way}"))
}

/// Returns where a database is, without the password.
pub(super) fn place(server: &Server, database: &str) -> String {
    format!(
        "host={} port={} user={} dbname={database}",
        server.host, server.port, server.user
    )
}

pub(super) fn psql(server: &Server, database: &str) -> Command {
    let mut command = Command::new("psql");
    command.args(["-X", "-d", &place(server, database)]);
    command.env("PGPASSWORD", &server.password);
    command.env("PGOPTIONS", "-c client_min_messages=warning");
    command
}

/// Removes what was made on the server.
pub(crate) fn clean(server: &Server) -> Result<()> {
    for database in [FULL, EMPTY] {
        let sql = format!("DROP DATABASE IF EXISTS {database} (FORCE)");
        output(psql(server, "postgres").args(["-Atqc", &sql]))?;
    }
    Ok(())
}

/// Makes an empty database, in the place of whatever had its name.
pub(super) fn fresh(server: &Server, database: &str) -> Result<()> {
    for sql in [
        format!("DROP DATABASE IF EXISTS {database} (FORCE)"),
        format!("CREATE DATABASE {database}"),
    ] {
        output(psql(server, "postgres").args(["-Atqc", &sql]))?;
    }
    Ok(())
}

fn is_new_enough(server: &Server) -> Result<bool> {
    let number = output(psql(server, "postgres").args(["-Atqc", "SHOW server_version_num"]))?;
    let number: u32 = number.trim().parse().context("the server has no version")?;
    Ok(version_of("pg_dump")? >= number / 10_000)
}

/// Returns the major version of a tool.
fn version_of(tool: &str) -> Result<u32> {
    let text = output(Command::new(tool).arg("--version"))?;
    let digits: String = text
        .chars()
        .skip_while(|character| !character.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    digits
        .parse()
        .with_context(|| format!("`{tool} --version` says `{text}`"))
}
