//! As whom a server runs: never as root, which it refuses to.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, fchown, lchown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use walkback_core::recovery::RecoveryFiles;
use walkback_core::{Error, ErrorKind, Result};

/// Where a system keeps its accounts.
const ACCOUNTS: &str = "/etc/passwd";

/// What servers run as where nobody says anything. Never `nobody`: what that account may read, all its services may.
const USUAL: &str = "postgres";

/// Where programs are looked for.
const PROGRAMS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/homebrew/bin:/run/current-system/sw/bin";

/// The account of a server. `None` inside: we are not root, and it is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account(Option<(u32, u32)>);

impl Account {
    /// Returns the account that owns the files: it may read them. Files of root are read by the usual account.
    pub(super) fn choose(files: &RecoveryFiles) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self(None));
        }
        for path in [&files.base_backup, &files.wal_archive] {
            if let Ok(metadata) = fs::metadata(path)
                && metadata.uid() != 0
            {
                return Ok(Self(Some((metadata.uid(), metadata.gid()))));
            }
        }
        let accounts =
            fs::read_to_string(ACCOUNTS).map_err(|error| Error::io("read", Path::new(ACCOUNTS), error))?;
        let found = find(&accounts, USUAL);
        found.map(|account| Self(Some(account))).ok_or_else(|| {
            Error::new(
                ErrorKind::PermissionDenied,
                format!("PostgreSQL does not run as root, and there is no account `{USUAL}`"),
            )
            .hint("give the base backup to an account that may run it, with `chown -R`")
        })
    }

    /// Lets a program run as this account, in words that can be read. It gets none of our variables: a server would obey
    /// some of them, and others are secrets that this account has no business with.
    pub(super) fn command(self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Self(Some((uid, gid))) = self {
            command.uid(uid).gid(gid);
        }
        command.env_clear();
        command.env("PATH", PROGRAMS).env("LC_ALL", "C").env("TZ", "UTC0");
        command
    }

    /// Gives it an open file or folder: what stands at its path by now does not matter.
    pub(super) fn own_open(self, file: &fs::File, path: &Path) -> Result<()> {
        match self {
            Self(Some((uid, gid))) => {
                fchown(file, Some(uid), Some(gid)).map_err(|error| Error::io("give away", path, error))
            }
            Self(None) => Ok(()),
        }
    }

    /// Returns the number of the account, where it is not ours.
    pub(super) fn uid(self) -> Option<u32> {
        self.0.map(|(uid, _)| uid)
    }

    /// Gives it a file or a folder.
    pub(super) fn own(self, path: &Path) -> Result<()> {
        match self {
            Self(Some((uid, gid))) => {
                lchown(path, Some(uid), Some(gid)).map_err(|error| Error::io("give away", path, error))
            }
            Self(None) => Ok(()),
        }
    }
}

fn find(accounts: &str, wanted: &str) -> Option<(u32, u32)> {
    accounts.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields.as_slice() {
            [name, _, uid, gid, ..] if *name == wanted => Some((uid.parse().ok()?, gid.parse().ok()?)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts = "root:x:0:0::/:\npostgres2:x:1:1::/:\npostgres:x:117:120:a:/:\n";
        assert_eq!(find(accounts, "postgres"), Some((117, 120)));
        assert_eq!(find(accounts, "nobody"), None);
    }

    #[test]
    fn a_program_gets_none_of_our_variables() {
        let output = Account(None).command("env").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let names: Vec<_> = text
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.0))
            .collect();
        assert!(names.contains(&"PATH"), "{names:?}");
        assert!(
            names.iter().all(|name| ["PATH", "LC_ALL", "TZ"].contains(name)),
            "{names:?}"
        );
    }
}
