//! MySQL and MariaDB from binaries of this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{Place, find_program, version_of};
use crate::home::home;

/// A server, and what makes its first tables.
#[derive(Debug)]
pub(super) enum Binaries {
    /// MariaDB: `mariadbd`, and `mariadb-install-db`.
    Mariadb { server: PathBuf, install: PathBuf },
    /// MySQL makes its tables itself.
    Mysql { server: PathBuf },
    /// MySQL of an unpacked system, run by the loader and with the libraries of that system.
    Unpacked {
        root: PathBuf,
        libraries: PathBuf,
        loader: PathBuf,
    },
}

pub(super) fn find_mariadb() -> Result<Binaries> {
    let server = find_program(&["mariadbd"]).context("no `mariadbd` on `PATH`")?;
    let install = find_program(&["mariadb-install-db", "mysql_install_db"])
        .context("`mariadbd` is here, and no `mariadb-install-db` to make its first tables")?;
    Ok(Binaries::Mariadb { server, install })
}

/// Finds MySQL: installed, or in the system that `services images --unpacked` leaves.
pub(super) fn find_mysql() -> Result<Binaries> {
    let installed = find_program(&["mysqld"]);
    if let Some(server) = &installed {
        let version = version_of(&mut Command::new(server))?;
        // Debian's MariaDB answers to that name too.
        if !version.contains("MariaDB") {
            return Ok(Binaries::Mysql {
                server: server.clone(),
            });
        }
    }
    let root = home().join("unpacked/mysql-9.7");
    if let Some((libraries, loader)) = loader(&root) {
        return Ok(Binaries::Unpacked {
            root,
            libraries,
            loader,
        });
    }
    match installed {
        Some(server) => bail!("`{}` is MariaDB", server.display()),
        None => bail!("no `mysqld` on `PATH`"),
    }
}

/// Finds the loader of an unpacked system, which stands among its libraries.
fn loader(root: &Path) -> Option<(PathBuf, PathBuf)> {
    if !root.join("usr/sbin/mysqld").is_file() {
        return None;
    }
    let folders = fs::read_dir(root.join("usr/lib")).ok()?;
    for folder in folders.flatten().filter(|entry| entry.path().is_dir()) {
        let loader = fs::read_dir(folder.path()).ok()?.flatten().find(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with("ld-linux") && name.contains(".so")
        });
        if let Some(loader) = loader {
            return Some((folder.path(), loader.path()));
        }
    }
    None
}

impl Binaries {
    pub(super) fn server(&self) -> PathBuf {
        match self {
            Self::Mariadb { server, .. } | Self::Mysql { server } => server.clone(),
            Self::Unpacked { root, .. } => root.join("usr/sbin/mysqld"),
        }
    }

    /// Makes the first tables and returns the command that serves them.
    pub(super) fn prepare(&self, place: &Place) -> Result<Command> {
        place.run(self.installer(place).env("TMPDIR", place.file(".")))?;
        place.write("init.sql", &accounts(&place.password))?;
        let mut server = self.command(place);
        server.args(SETTINGS).args([
            format!("--port={}", place.port),
            // A server that starts clears the temporary folder of what looks like its own, of another one as well. Who starts
            // it again takes its arguments and not its environment.
            format!("--tmpdir={}", place.file(".").display()),
            "--bind-address=127.0.0.1".to_owned(),
            // Relative to the data: a path of the temporary folder may be too long for a socket.
            "--socket=server.sock".to_owned(),
            format!("--pid-file={}", place.file("pid").display()),
            format!("--init-file={}", place.file("init.sql").display()),
            format!("--ssl-ca={}", place.file("ca.pem").display()),
            format!("--ssl-cert={}", place.file("server.crt").display()),
            format!("--ssl-key={}", place.file("server.key").display()),
        ]);
        if !matches!(self, Self::Mariadb { .. }) {
            server.arg("--mysqlx=OFF");
        }
        Ok(server)
    }

    fn installer(&self, place: &Place) -> Command {
        if let Self::Mariadb { install, .. } = self {
            let mut command = Command::new(install);
            command
                .args(["--no-defaults", "--skip-test-db"])
                .arg("--auth-root-authentication-method=normal")
                .arg(format!("--datadir={}", place.file("data").display()));
            return command;
        }
        let mut command = self.command(place);
        command.arg("--initialize-insecure");
        command
    }

    fn command(&self, place: &Place) -> Command {
        let mut command = match self {
            Self::Mariadb { server, .. } | Self::Mysql { server } => Command::new(server),
            Self::Unpacked {
                libraries, loader, ..
            } => {
                let mut command = Command::new(loader);
                command.arg("--library-path").arg(libraries).arg(self.server());
                command
            }
        };
        // The server wants `--no-defaults` before all else.
        command
            .arg("--no-defaults")
            .arg(format!("--datadir={}", place.file("data").display()));
        if let Self::Unpacked { root, .. } = self {
            command
                .arg(format!("--basedir={}", root.join("usr").display()))
                .arg(format!(
                    "--lc-messages-dir={}",
                    root.join("usr/share/mysql").display()
                ));
        }
        command
    }
}

/// One statement a line, as the server wants it.
fn accounts(password: &str) -> String {
    [
        "DROP USER IF EXISTS ''@'localhost', 'root'@'127.0.0.1', 'root'@'::1';".to_owned(),
        format!("ALTER USER 'root'@'localhost' IDENTIFIED BY '{password}';"),
        format!("CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY '{password}';"),
        "GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;\n".to_owned(),
    ]
    .join("\n")
}

/// Fast, since nobody minds a loss; and with what makes life hard for a migration: the binary log.
pub(crate) const SETTINGS: [&str; 10] = [
    "--log-bin=binlog",
    "--server-id=1",
    "--local-infile=ON",
    "--sync-binlog=0",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-fast-shutdown=2",
    "--character-set-server=utf8mb4",
    "--max-connections=300",
    "--skip-name-resolve",
    // The folder that was built in exists only where the package was installed.
    "--secure-file-priv=",
];
