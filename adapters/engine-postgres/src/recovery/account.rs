//! As whom a server runs: never as root, which it refuses to.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use walkback_core::recovery::RecoveryFiles;
use walkback_core::{Error, ErrorKind, Result};

/// Where a system keeps its accounts.
const ACCOUNTS: &str = "/etc/passwd";

/// What servers run as where nobody says anything, the usual one first.
const USUAL: [&str; 2] = ["postgres", "nobody"];

/// Variables that a server or its programs would obey, and that are meant for clients.
const CLIENTS: [&str; 6] = [
    "PGDATA",
    "PGPORT",
    "PGTZ",
    "PGDATESTYLE",
    "PGCLIENTENCODING",
    "PGOPTIONS",
];

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
        let found = USUAL.iter().find_map(|name| find(&accounts, name));
        found.map(|account| Self(Some(account))).ok_or_else(|| {
            Error::new(
                ErrorKind::PermissionDenied,
                "PostgreSQL does not run as root, and there is no account `postgres`",
            )
            .hint("give the base backup to an account that may run it, with `chown -R`")
        })
    }

    /// Lets a program run as this account, without what is meant for clients and in words that can be read.
    pub(super) fn command(self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Self(Some((uid, gid))) = self {
            command.uid(uid).gid(gid);
        }
        for name in CLIENTS {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C").env("TZ", "UTC0");
        command
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
}
