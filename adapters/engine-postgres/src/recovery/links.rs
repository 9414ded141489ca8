//! Links in a base backup: what they lead to is not of it, and may be of a server that runs.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use walkback_core::{Error, ErrorKind, Result};

use super::base::Base;
use super::place::Place;

/// Refuses a copy with a link in it that we have not made, or with a file that has another name elsewhere: whoever
/// writes by it writes into something else.
pub(super) fn no_links_of_others(place: &Place, base: &Base) -> Result<()> {
    let tablespaces = place.file("tablespaces");
    let links = place.file("data/pg_tblspc");
    let mut folders = vec![place.file("data"), tablespaces.clone()];
    while let Some(folder) = folders.pop() {
        let failed = |error| Error::io("read", &folder, error);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            let metadata = fs::symlink_metadata(&path).map_err(|error| Error::io("read", &path, error))?;
            let kind = metadata.file_type();
            let is_own = kind.is_symlink()
                && folder == links
                && fs::read_link(&path).is_ok_and(|to| to == tablespaces.join(entry.file_name()));
            if kind.is_dir() {
                folders.push(path);
            } else if !(is_own || kind.is_file() && metadata.nlink() == 1) {
                let within = path.strip_prefix(place.file("data"));
                let within = within
                    .or_else(|_| path.strip_prefix(&tablespaces))
                    .unwrap_or(&path);
                return Err(a_link(&base.folder.join(within)));
            }
        }
    }
    Ok(())
}

/// Says that something in a base backup is not what it holds itself.
pub(super) fn a_link(path: &Path) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!(
            "`{}` of the base backup is a link, or no plain file: what it leads to is not of the base backup",
            path.display()
        ),
    )
    .hint("make base backups with `pg_basebackup`, which has no such links")
}

/// Refuses to follow a link of somebody to what is not theirs. Only root could.
pub(super) fn of_the_same_owner(link: &Path, base: &Path) -> Result<()> {
    let owner = |path: &Path| {
        fs::metadata(path)
            .map(|metadata| metadata.uid())
            .map_err(|error| Error::io("read", path, error))
    };
    if !rustix::process::geteuid().is_root() || owner(link)? == owner(base)? {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::PermissionDenied,
        format!(
            "`{}` leads to a folder that is not of the owner of the base backup",
            link.display()
        ),
    )
    .hint("give both to the same account, with `chown -R`"))
}
