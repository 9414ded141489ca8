//! The server's programs on this machine, of the major version that a base backup needs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chrono::{DateTime, NaiveDateTime, Utc};
use walkback_core::{Error, ErrorKind, Result};

use super::account::Account;

/// Before it, a server that runs out of its log before the moment takes what it has for the past.
pub(super) const OLDEST: u32 = 13;

/// `postgres` and its kin.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Finds those of a major version: in the folder that is configured and nowhere else, or where they usually are.
    pub(super) fn find(version: u32, configured: Option<&Path>, told: Option<&Path>) -> Result<Self> {
        if version < OLDEST {
            return Err(Error::unsupported(
                "going back to a moment",
                format!("PostgreSQL {version}: it is there from {OLDEST} on"),
            ));
        }
        if let Some(folder) = configured {
            return match version_of(&folder.join("postgres")) {
                Some(found) if found == version => Ok(Self {
                    folder: folder.to_owned(),
                }),
                Some(found) => Err(Error::config(format!(
                    "the base backup is of PostgreSQL {version}, and the programs in `{}` are of {found}",
                    folder.display()
                ))
                .hint(format!(
                    "set `programs` in `[env.<name>.recovery]` to those of {version}"
                ))),
                None => Err(Error::config(format!(
                    "there is no `postgres` that runs in `{}`",
                    folder.display()
                ))
                .hint("set `programs` in `[env.<name>.recovery]` to the folder of the server's programs")),
            };
        }
        usual(version, told)
            .into_iter()
            .find(|folder| version_of(&folder.join("postgres")) == Some(version))
            .map(|folder| Self { folder })
            .ok_or_else(|| {
                Error::not_found(format!(
                    "the programs of PostgreSQL {version} are not on this machine"
                ))
                .hint(format!(
                    "install the server of version {version}, or set `programs` in `[env.<name>.recovery]` \
                         to their folder"
                ))
            })
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns the time of the last checkpoint of a data folder.
    pub(super) fn checkpoint(&self, data: &Path) -> Option<DateTime<Utc>> {
        let text = self.control(data)?;
        let time = field(&text, "Time of latest checkpoint")?;
        let time = NaiveDateTime::parse_from_str(time, "%a %b %e %H:%M:%S %Y").ok()?;
        Some(time.and_utc())
    }

    /// Returns what the control file of a data folder says.
    pub(super) fn control(&self, data: &Path) -> Option<String> {
        let mut command = Command::new(self.program("pg_controldata"));
        command.env("LC_ALL", "C").env("TZ", "UTC0").arg("-D").arg(data);
        let output = command.stdin(Stdio::null()).output().ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Compares a copy of a base backup with its manifest. Returns what is wrong, `None` if nothing is.
    pub(super) fn verify(&self, account: Account, data: &Path) -> Result<Option<String>> {
        let program = self.program("pg_verifybackup");
        let output = account
            .command(&program)
            .args(["--no-parse-wal", "--quiet"])
            .arg(data)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| {
                Error::io("run", &program, error)
                    .hint("install it: a base backup is compared with its manifest before it is used")
            })?;
        if output.status.success() {
            return Ok(None);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = said
            .lines()
            .map(|line| {
                line.trim_start_matches("pg_verifybackup: ")
                    .trim_start_matches("error: ")
            })
            .take(3)
            .collect();
        Ok(Some(lines.join("; ")))
    }
}

/// Reads one line of what `pg_controldata` says.
pub(super) fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

/// Returns where the programs of a version usually are.
fn usual(version: u32, told: Option<&Path>) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = told.map(Path::to_owned).into_iter().collect();
    folders.extend(
        [
            format!("/usr/lib/postgresql/{version}/bin"),
            format!("/usr/pgsql-{version}/bin"),
            format!("/usr/lib/postgresql{version}/bin"),
            format!("/opt/homebrew/opt/postgresql@{version}/bin"),
            format!("/usr/local/opt/postgresql@{version}/bin"),
            format!("/Applications/Postgres.app/Contents/Versions/{version}/bin"),
            "/usr/local/pgsql/bin".to_owned(),
        ]
        .map(PathBuf::from),
    );
    let configured = Command::new("pg_config")
        .arg("--bindir")
        .stdin(Stdio::null())
        .output();
    if let Ok(output) = configured {
        folders.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    folders
}

/// Returns the major version of a server program.
fn version_of(program: &Path) -> Option<u32> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    major(&String::from_utf8_lossy(&output.stdout))
}

/// Reads the 15 of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` or `.. 19beta1`.
fn major(text: &str) -> Option<u32> {
    let number = text.split_whitespace().nth(2)?;
    let end = number
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(number.len());
    number[..end].parse().ok()
}

/// Reads the version that a data folder is of.
pub(super) fn version_of_data(data: &Path) -> Result<u32> {
    let path = data.join("PG_VERSION");
    let text = std::fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))?;
    text.trim().parse().map_err(|_| {
        Error::new(
            ErrorKind::Damaged,
            format!("`{}` tells no version that walkback knows", path.display()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_fields_are_read_from_what_programs_say() {
        assert_eq!(
            major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"),
            Some(15)
        );
        assert_eq!(major("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major(""), None);
        let text = "pg_control version number:            1300\nmax_prepared_xacts setting:           20\n";
        assert_eq!(field(text, "max_prepared_xacts setting"), Some("20"));
        assert_eq!(field(text, "max_prepared_xacts"), None);
    }

    #[test]
    fn a_folder_without_programs_is_named() {
        let error = Programs::find(15, Some(Path::new("/nowhere")), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains("/nowhere"), "{error}");
        let error = Programs::find(9, None, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}
