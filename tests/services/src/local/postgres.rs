//! PostgreSQL from binaries of this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{Place, find_program, version_of};
use crate::service::Service;

/// Where Debian puts the binaries of each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The version that the plain service asks for.
const USUAL: u32 = 15;

/// Knows letters beyond ASCII, where the system has such a locale without a language.
const LOCALE: &str = if cfg!(target_os = "linux") {
    "--locale=C.UTF-8"
} else {
    "--locale=C"
};

/// `initdb` and `postgres` of one version.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    folder: PathBuf,
    version: u32,
}

/// Finds the installation for a service: version 15 or the oldest, or the newest.
pub(super) fn find(service: Service) -> Result<Binaries> {
    let found = all()?;
    let usual = found
        .iter()
        .find(|binaries| binaries.version == USUAL)
        .or_else(|| found.iter().min_by_key(|binaries| binaries.version))
        .with_context(|| format!("no `initdb` and `postgres` on `PATH` or in `{DEBIAN}/*/bin`"))?;
    if service == Service::Postgres {
        return Ok(usual.clone());
    }
    let newest = found.iter().max_by_key(|binaries| binaries.version);
    match newest {
        Some(newest) if newest.version > usual.version => Ok(newest.clone()),
        _ => bail!(
            "the newest here is {}, which is `postgres` already",
            usual.version
        ),
    }
}

fn all() -> Result<Vec<Binaries>> {
    let mut folders = Vec::new();
    if let Ok(versions) = std::fs::read_dir(DEBIAN) {
        for version in versions {
            folders.push(version?.path().join("bin"));
        }
    }
    if let Some(folder) = find_program(&["postgres"]).as_deref().and_then(Path::parent) {
        folders.push(folder.to_path_buf());
    }
    folders
        .into_iter()
        .filter(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
        .map(|folder| {
            let text = version_of(&mut Command::new(folder.join("postgres")))?;
            let version = major(&text).with_context(|| format!("`{text}` tells no version"))?;
            Ok(Binaries { folder, version })
        })
        .collect()
}

/// Reads the 15 of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` or `.. 19beta1`.
fn major(text: &str) -> Option<u32> {
    let number = text.split_whitespace().nth(2)?;
    let end = number
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(number.len());
    number[..end].parse().ok()
}

impl Binaries {
    pub(super) fn server(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    /// Makes an empty cluster and returns the command that serves it.
    pub(super) fn prepare(&self, place: &Place) -> Result<Command> {
        let data = place.file("data");
        let mut initdb = Command::new(self.folder.join("initdb"));
        initdb
            .args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8"])
            .args(["--no-sync", "--no-instructions", LOCALE, "--pwfile"])
            .arg(place.file("password"))
            .arg("--pgdata")
            .arg(&data);
        place.run(&mut initdb)?;
        let mut server = Command::new(self.server());
        server.arg("-D").arg(&data).args(["-p", &place.port.to_string()]);
        let mut settings = SETTINGS.map(|(name, value)| format!("{name}={value}")).to_vec();
        settings.push(format!("ssl_cert_file={}", place.file("server.crt").display()));
        settings.push(format!("ssl_key_file={}", place.file("server.key").display()));
        settings.push("listen_addresses=127.0.0.1".to_owned());
        settings.push("unix_socket_directories=".to_owned());
        for setting in settings {
            server.arg("-c").arg(setting);
        }
        Ok(server)
    }
}

/// What the server of a test may do that no other may: lose everything in a crash.
pub(crate) const SETTINGS: [(&str, &str); 7] = [
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("max_connections", "300"),
    // Some migrations take them, and the default is none.
    ("max_prepared_transactions", "20"),
    ("wal_level", "logical"),
    ("ssl", "on"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_the_binary_says() {
        assert_eq!(
            major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"),
            Some(15)
        );
        assert_eq!(major("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major("postgres (PostgreSQL)"), None);
        assert_eq!(major(""), None);
    }
}
