//! The tools that make dumps, as an operator calls them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use walkback_tests::{Backend, Sandbox};

/// The ways in which the tools of a backend write a dump.
pub(crate) fn kinds(backend: Backend) -> &'static [&'static str] {
    match backend {
        Backend::Sqlite => &["database", "sql", "sql.gz", "database.zst"],
        Backend::Postgres | Backend::PostgresNewest => &[
            "sql",
            "create.sql",
            "sql.gz",
            "sql.zst",
            "custom",
            "custom.gz",
            "directory",
            "tar",
        ],
        Backend::Mysql | Backend::Mariadb => &["sql", "databases.sql", "sql.gz", "sql.zst"],
    }
}

/// Makes a dump of the database of a sandbox, and returns its name in the folder.
pub(crate) fn dump(sandbox: &Sandbox, kind: &str) -> String {
    let (kind, packer) = match kind.rsplit_once('.') {
        Some((kind, "gz")) => (kind, Some(("gzip", "gz"))),
        Some((kind, "zst")) => (kind, Some(("zstd", "zst"))),
        _ => (kind, None),
    };
    // Its name says nothing: what it is shows in its content.
    let name = format!("dumps/of_{}", kind.replace('.', "_"));
    let path = sandbox.path(&name);
    sandbox.create_folder("dumps");
    if path.exists() {
        sandbox.remove(&name);
    }
    match sandbox.backend() {
        Backend::Sqlite => sqlite(sandbox, kind, &path),
        Backend::Postgres | Backend::PostgresNewest => postgres(sandbox, kind, &path),
        Backend::Mysql | Backend::Mariadb => mysql(sandbox, kind, &path),
    }
    let Some((program, suffix)) = packer else {
        return name;
    };
    let packed = format!("{name}.{suffix}");
    if sandbox.path(&packed).exists() {
        sandbox.remove(&packed);
    }
    run(Command::new(program).args(["-q", "-k"]).arg(&path));
    packed
}

fn sqlite(sandbox: &Sandbox, kind: &str, path: &Path) {
    let database = sandbox.path("app.db");
    let mut command = Command::new("sqlite3");
    if kind == "sql" {
        let text = run(command.arg(&database).arg(".dump"));
        fs::write(path, text).expect("a file can be written");
    } else {
        run(command
            .arg(&database)
            .arg(format!(".backup '{}'", path.display())));
    }
}

fn postgres(sandbox: &Sandbox, kind: &str, path: &Path) {
    let mut command = Command::new("pg_dump");
    command.arg("--dbname").arg(sandbox.url()).arg("--file").arg(path);
    match kind {
        "create.sql" => command.args(["--create", "--clean"]),
        "custom" => command.arg("-Fc"),
        "directory" => command.args(["-Fd", "-j2"]),
        "tar" => command.arg("-Ft"),
        _ => &mut command,
    };
    run(&mut command);
}

fn mysql(sandbox: &Sandbox, kind: &str, path: &Path) {
    let options = client_options(sandbox);
    let name = sandbox.server().name();
    let mut command = Command::new("mysqldump");
    command
        .arg(format!("--defaults-file={}", options.display()))
        .args([
            "--single-transaction",
            "--routines",
            "--events",
            "--triggers",
            "--hex-blob",
        ])
        .arg(format!("--result-file={}", path.display()));
    if kind == "databases.sql" {
        command.arg("--databases");
    }
    run(command.arg(name));
}

/// Writes how the clients of MySQL and MariaDB reach the server of a sandbox.
pub(crate) fn client_options(sandbox: &Sandbox) -> PathBuf {
    let url = sandbox.url();
    let (_, rest) = url.split_once("://").expect("a scheme");
    let (account, rest) = rest.rsplit_once('@').expect("an account");
    let (user, password) = account.split_once(':').expect("a password");
    let (server, _) = rest.split_once('/').expect("a database");
    let (host, port) = server.split_once(':').expect("a port");
    sandbox.write(
        "client.cnf",
        &format!(
            "[client]\nhost={host}\nport={port}\nprotocol=tcp\nuser=\"{user}\"\npassword=\"{password}\"\n\
             default-character-set=utf8mb4\n"
        ),
    );
    sandbox.path("client.cnf")
}

/// Runs a tool, which must succeed, and returns what it printed.
pub(crate) fn run(command: &mut Command) -> Vec<u8> {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
