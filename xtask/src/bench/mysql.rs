//! MySQL and MariaDB: `mysqldump` into `zstd`, `mydumper` and `myloader`.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use super::server::Server;
use super::{Case, Group, data, newest_backup, project, remove, walkback};
use crate::process::{is_installed, output};

/// The database with the data, and the one that is restored into.
const FULL: &str = "walkback_bench";
const EMPTY: &str = "walkback_bench_restored";

/// Fills a database and returns what is measured on it.
pub(crate) fn groups(binary: &Path, folder: &Path, server: &Server, rows: u64) -> Result<Vec<Group>> {
    project(folder)?;
    if !is_installed("mysql") {
        println!("{}: nothing was measured without `mysql`", server.name);
        return Ok(Vec::new());
    }
    fresh(server, FULL)?;
    let script = folder.join("data.sql");
    std::fs::write(&script, data::mysql(rows))?;
    fill(server, &script)?;
    Ok(vec![
        backup(binary, folder, server),
        restore(binary, folder, server),
    ])
}

/// Runs a script to its end, or to the first statement that fails.
fn fill(server: &Server, script: &Path) -> Result<()> {
    let status = client("mysql", server)
        .arg(FULL)
        .stdin(File::open(script)?)
        .stdout(Stdio::null())
        .status()?;
    if !status.success() {
        bail!("the data could not be made on {} ({status})", server.name);
    }
    Ok(())
}

fn backup(binary: &Path, folder: &Path, server: &Server) -> Group {
    let vault = folder.join("vault");
    let mut cases = vec![{
        let (binary, folder, url) = (binary.to_owned(), folder.to_owned(), server.url(FULL));
        let old = vault.clone();
        Case {
            name: "walkback backup create".to_owned(),
            prepare: Box::new(move || remove(&old)),
            command: Box::new(move || Ok(walkback(&binary, &folder, &url, &["backup", "create"]))),
            output: Some(vault),
        }
    }];
    let mut missing = Vec::new();
    if !is_installed("mydumper") {
        missing.push("mydumper");
    }
    for (name, flag) in [
        ("mydumper -t2", None),
        ("mydumper -t2 --compress", Some("--compress")),
    ] {
        if !missing.is_empty() {
            break;
        }
        let dump = folder.join(flag.map_or("mydumper", |_| "mydumper-compressed"));
        let (old, new, server) = (dump.clone(), dump.clone(), server.clone());
        cases.push(Case {
            name: name.to_owned(),
            prepare: Box::new(move || remove(&old)),
            command: Box::new(move || {
                let mut command = client("mydumper", &server);
                command.args(["-t", "2", "-B", FULL, "-o"]).arg(&new).args(flag);
                Ok(command)
            }),
            output: Some(dump),
        });
    }
    if is_installed("mysqldump") && is_installed("zstd") {
        let dump = folder.join("dump.sql.zst");
        let (old, new, server) = (dump.clone(), dump.clone(), server.clone());
        cases.push(Case {
            name: "mysqldump | zstd".to_owned(),
            prepare: Box::new(move || remove(&old)),
            command: Box::new(move || {
                let mut command = Command::new("sh");
                command.env("MYSQL_PWD", &server.password).arg("-c").arg(format!(
                    "mysqldump -h {} -P {} -u {} --single-transaction {FULL} | zstd -q -o '{}'",
                    server.host,
                    server.port,
                    server.user,
                    new.display()
                ));
                Ok(command)
            }),
            output: Some(dump),
        });
    } else {
        missing.push("mysqldump and zstd");
    }
    Group {
        engine: server.name.clone(),
        what: "backup",
        cases,
        missing,
    }
}

fn restore(binary: &Path, folder: &Path, server: &Server) -> Group {
    let empty = || {
        let server = server.clone();
        Box::new(move || fresh(&server, EMPTY))
    };
    let (binary, project, url) = (binary.to_owned(), folder.to_owned(), server.url(EMPTY));
    let mut cases = vec![Case {
        name: "walkback restore".to_owned(),
        prepare: empty(),
        command: Box::new(move || {
            let backup = newest_backup(&project)?;
            Ok(walkback(&binary, &project, &url, &["--yes", "restore", &backup]))
        }),
        output: None,
    }];
    let is_there = is_installed("mydumper") && is_installed("myloader");
    if is_there {
        let (dump, server) = (folder.join("mydumper"), server.clone());
        cases.push(Case {
            name: "myloader -t2".to_owned(),
            prepare: empty(),
            command: Box::new(move || {
                let mut command = client("myloader", &server);
                command.args(["-t", "2", "-B", EMPTY, "-d"]).arg(&dump);
                Ok(command)
            }),
            output: None,
        });
    }
    Group {
        engine: server.name.clone(),
        what: "restore",
        cases,
        missing: if is_there { Vec::new() } else { vec!["myloader"] },
    }
}

/// Returns a client of the server. The password is in the environment where the tool looks for it there.
pub(super) fn client(tool: &str, server: &Server) -> Command {
    let mut command = Command::new(tool);
    command.args(["-h", &server.host, "-P", &server.port, "-u", &server.user]);
    // Those that are not of the server do not look there.
    if matches!(tool, "mydumper" | "myloader") {
        command.args(["-p", &server.password]);
    }
    command.env("MYSQL_PWD", &server.password);
    command
}

/// Removes what was made on the server.
pub(crate) fn clean(server: &Server) -> Result<()> {
    let sql = format!("DROP DATABASE IF EXISTS {FULL}; DROP DATABASE IF EXISTS {EMPTY}");
    output(client("mysql", server).args(["-e", &sql])).map(drop)
}

/// Makes an empty database, in the place of whatever had its name.
pub(super) fn fresh(server: &Server, database: &str) -> Result<()> {
    let sql = format!("DROP DATABASE IF EXISTS {database}; CREATE DATABASE {database} CHARACTER SET utf8mb4");
    output(client("mysql", server).args(["-e", &sql])).map(drop)
}
