//! A base backup laid out as the data folder of a server: always as a copy.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink,
};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use walkback_core::cx::{Task, Unit};
use walkback_core::{Cx, Error, ErrorKind, Result};

use super::account::Account;
use super::ask::Present;
use super::base::{Base, Form, TARS};
use super::links::{a_link, no_links_of_others, of_the_same_owner};
use super::place::Place;

/// What a server leaves in its folder while it runs: another one would take it for its own.
pub(super) const OF_A_RUN: [&str; 3] = ["postmaster.pid", "postmaster.opts", "standby.signal"];

/// What is to be free beside the copy: a server writes its log again as it reads it.
const BESIDE: u64 = 512 * 1024 * 1024;

/// What a server must leave free while it replays its log.
const FLOOR: u64 = 128 * 1024 * 1024;

/// One thing to copy.
#[derive(Debug)]
enum Item {
    Folder(PathBuf),
    File { from: PathBuf, to: PathBuf },
    Link { target: PathBuf, at: PathBuf },
}

/// What is copied, and how much it is.
#[derive(Debug, Default)]
struct Items {
    items: Vec<Item>,
    bytes: u64,
}

/// Copies a base backup into the folder `data` of a place.
pub(super) async fn lay_out(cx: &Cx, base: &Base, place: &Place, present: &Present) -> Result<()> {
    match &base.form {
        Form::Plain => copy(cx, base, place, present).await?,
        Form::Tar(tars) => {
            if let Some(bytes) = base.bytes {
                must_fit(place.path(), &base.folder, bytes)?;
            }
            unpack(cx, base, place, tars).await?;
            let manifest = base.folder.join("backup_manifest");
            place.remove("data/backup_manifest")?;
            copy_file(place.account, &manifest, &place.file("data/backup_manifest"))?;
        }
    }
    no_links_of_others(place, base)?;
    let data = place.file("data");
    File::open(&data)
        .and_then(|folder| folder.set_permissions(Permissions::from_mode(0o700)))
        .map_err(|error| Error::io("protect", &data, error))?;
    only_known_tablespaces(place, present)
}

async fn copy(cx: &Cx, base: &Base, place: &Place, present: &Present) -> Result<()> {
    let mut items = Items::default();
    items.collect(&base.folder, &place.file("data"), "")?;
    items.tablespaces(base, place, present)?;
    // Where a copy shares its blocks with what it is of, it needs none; what a server writes needs some.
    let own = if shares_blocks(place.path(), &base.folder) {
        0
    } else {
        items.bytes
    };
    must_fit(place.path(), &base.folder, own)?;
    let task = cx
        .progress()
        .begin("copying the base backup", Unit::Bytes, Some(items.bytes));
    for item in items.items {
        cx.check()?;
        let account = place.account;
        let done = tokio::task::spawn_blocking(move || item.make(account)).await;
        let bytes = done.map_err(|error| Error::internal("a copy was given up").with_source(error))??;
        task.advance(bytes);
    }
    Ok(())
}

impl Item {
    fn make(self, account: Account) -> Result<u64> {
        match self {
            Self::Folder(path) => {
                let made = fs::DirBuilder::new().mode(0o700).create(&path);
                made.map_err(|error| Error::io("create", &path, error))?;
                account.own(&path)?;
                Ok(0)
            }
            Self::File { from, to } => copy_file(account, &from, &to),
            Self::Link { target, at } => {
                symlink(&target, &at).map_err(|error| Error::io("create", &at, error))?;
                account.own(&at)?;
                Ok(0)
            }
        }
    }
}

fn copy_file(account: Account, from: &Path, to: &Path) -> Result<u64> {
    let mut input = File::open(from).map_err(|error| Error::io("read", from, error))?;
    // What is there already is not ours, and what it leads to is not either.
    let mut output = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(|error| Error::io("create", to, error))?;
    let bytes = std::io::copy(&mut input, &mut output).map_err(|error| Error::io("copy", from, error))?;
    account.own_open(&output, to)?;
    Ok(bytes)
}

impl Items {
    /// Notes all that is in a folder. `inside` is its path within the data folder.
    fn collect(&mut self, from: &Path, to: &Path, inside: &str) -> Result<()> {
        self.items.push(Item::Folder(to.to_owned()));
        let failed = |error| Error::io("read", from, error);
        for entry in fs::read_dir(from).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let (path, target) = (entry.path(), to.join(&name));
            let shown = name.to_string_lossy();
            let kind = entry.file_type().map_err(failed)?;
            let is_link = kind.is_symlink();
            match inside {
                // Slots are of the server that had them, and would have this one wait for their readers.
                "pg_replslot" => continue,
                "pg_tblspc" if is_link => continue,
                "" if OF_A_RUN.contains(&shown.as_ref()) => continue,
                _ => {}
            }
            // Beside the log, and tablespaces, a base backup has no links. Configuration may be one, and is not used;
            // rows may not, since it may lead to anything.
            let is_log = is_link && inside.is_empty() && shown == "pg_wal";
            if is_link && !is_log {
                if inside.is_empty() {
                    continue;
                }
                return Err(a_link(&path));
            }
            if is_log {
                of_the_same_owner(&path, from)?;
            }
            let metadata = fs::metadata(&path).map_err(|error| Error::io("read", &path, error))?;
            if metadata.is_dir() {
                let inside = format!("{inside}{}{shown}", if inside.is_empty() { "" } else { "/" });
                self.collect(&path, &target, &inside)?;
            } else if metadata.is_file() {
                self.bytes += metadata.len();
                self.items.push(Item::File {
                    from: path,
                    to: target,
                });
            }
        }
        Ok(())
    }

    /// Notes the tablespaces of a base backup: what links in it lead to is copied too, and linked to there.
    fn tablespaces(&mut self, base: &Base, place: &Place, present: &Present) -> Result<()> {
        let links = base.folder.join("pg_tblspc");
        let failed = |error| Error::io("read", &links, error);
        let all = place.file("tablespaces");
        self.items.push(Item::Folder(all.clone()));
        for entry in fs::read_dir(&links).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if !entry.file_type().map_err(failed)?.is_symlink() {
                continue;
            }
            let from =
                fs::read_link(entry.path()).map_err(|error| Error::io("read", &entry.path(), error))?;
            let is_of_the_server = present
                .tablespaces
                .iter()
                .any(|(_, place)| Path::new(place) == from);
            if is_of_the_server && !base.has_manifest {
                return Err(Error::new(
                    ErrorKind::Damaged,
                    format!(
                        "the base backup `{}` holds no copy of the tablespace in `{}`, but a link to the server's own",
                        base.folder.display(),
                        from.display()
                    ),
                )
                .hint("make one that copies it: `pg_basebackup --tablespace-mapping=OLD=NEW`"));
            }
            of_the_same_owner(&entry.path(), &base.folder)?;
            let to = all.join(entry.file_name());
            self.collect(&from, &to, "tablespace")?;
            let at = place.file("data/pg_tblspc").join(entry.file_name());
            self.items.push(Item::Link { target: to, at });
        }
        Ok(())
    }
}

/// Refuses a copy that has no room.
fn must_fit(place: &Path, base: &Path, bytes: u64) -> Result<()> {
    let free = free(place)?;
    let needed = bytes.saturating_add(BESIDE);
    if free >= needed {
        return Ok(());
    }
    let gib = |bytes: u64| format!("{}.{} GiB", bytes >> 30, ((bytes >> 20) % 1024) * 10 / 1024);
    Err(Error::new(
        ErrorKind::Io,
        format!(
            "a copy of the base backup `{}` needs {}, and only {} are free at `{}`",
            base.display(),
            gib(needed),
            gib(free),
            place.parent().unwrap_or(place).display()
        ),
    )
    .hint("set `folder` in `[env.<name>.recovery]` to one on a larger file system"))
}

fn free(place: &Path) -> Result<u64> {
    let room = rustix::fs::statvfs(place)
        .map_err(|error| Error::io("ask for the free space of", place, error.into()))?;
    Ok(room.f_bavail.saturating_mul(room.f_frsize))
}

/// Refuses to go on where a server that replays its log has used up what was free: others write there too.
pub(super) fn must_leave_room(place: &Path) -> Result<()> {
    if free(place)? >= FLOOR {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Io,
        format!(
            "what was written since the base backup does not fit at `{}`",
            place.parent().unwrap_or(place).display()
        ),
    )
    .hint(
        "set `folder` in `[env.<name>.recovery]` to one on a larger file system, or make a newer base backup",
    ))
}

#[cfg(target_os = "linux")]
fn shares_blocks(place: &Path, base: &Path) -> bool {
    const BTRFS: u64 = 0x9123_683E;
    const XFS: u64 = 0x5846_5342;
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    let kind = rustix::fs::statfs(place)
        .ok()
        .and_then(|room| u64::try_from(room.f_type).ok());
    kind.is_some_and(|kind| [BTRFS, XFS].contains(&kind)) && device(place) == device(base)
}

#[cfg(not(target_os = "linux"))]
fn shares_blocks(_: &Path, _: &Path) -> bool {
    false
}

/// Unpacks archives: the cluster, its log, and each tablespace beside it.
async fn unpack(
    cx: &Cx,
    base: &Base,
    place: &Place,
    tars: &std::collections::BTreeMap<String, PathBuf>,
) -> Result<()> {
    let total = u64::try_from(tars.len()).ok();
    let task = cx
        .progress()
        .begin("unpacking the base backup", Unit::Items, total);
    let all = place.file("tablespaces");
    Item::Folder(all.clone()).make(place.account)?;
    // The cluster has to be there before what goes into it.
    let order = |name: &&String| (name.as_str() != "base", (*name).clone());
    let mut names: Vec<_> = tars.keys().collect();
    names.sort_by_key(order);
    for name in names {
        let into = match name.as_str() {
            "base" => place.file("data"),
            "pg_wal" => place.file("data/pg_wal"),
            number => all.join(number),
        };
        if !into.exists() {
            Item::Folder(into.clone()).make(place.account)?;
        }
        unpack_one(cx, place.account, &tars[name], &into, &*task).await?;
        no_links_of_others(place, base)?;
        if into.starts_with(&all) {
            let at = place.file("data/pg_tblspc").join(name);
            Item::Link { target: into, at }.make(place.account)?;
        }
    }
    Ok(())
}

async fn unpack_one(cx: &Cx, account: Account, tar: &Path, into: &Path, task: &dyn Task) -> Result<()> {
    let name = tar.to_string_lossy();
    let form = TARS.iter().rev().find(|(ending, _)| name.ends_with(ending));
    let input = File::open(tar).map_err(|error| Error::io("read", tar, error))?;
    let mut command = account.command("tar");
    command
        .args([
            "--extract",
            "--file=-",
            "--no-same-owner",
            "--no-same-permissions",
        ])
        .args(form.map_or(&[][..], |(_, arguments)| arguments))
        .arg("--directory")
        .arg(into)
        .stdin(Stdio::from(input))
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let child = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Error::not_found("`tar` cannot be started").with_source(error))?;
    let output = tokio::select! {
        output = child.wait_with_output() => output.map_err(|error| Error::io("unpack", tar, error))?,
        ended = cx.ended() => return Err(ended),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::new(
            ErrorKind::Damaged,
            format!("`{}` cannot be unpacked", tar.display()),
        )
        .with_source(std::io::Error::other(said.trim().to_owned())));
    }
    task.advance(1);
    Ok(())
}

/// Refuses where the server would write into the folder of another: it makes tablespaces where they were made.
fn only_known_tablespaces(place: &Place, present: &Present) -> Result<()> {
    let here = place.file("data/pg_tblspc");
    let known = |number: &str| {
        fs::read_link(here.join(number)).is_ok_and(|to| to == place.file("tablespaces").join(number))
    };
    for (number, location) in &present.tablespaces {
        if !known(&number.to_string()) {
            return Err(Error::unsupported(
                format!("going back to before the tablespace in `{location}` was made"),
                "a server that must not write there",
            )
            .hint("make a base backup after each new tablespace; moments after that can be gone back to"));
        }
    }
    // It tells a server where to link to, and that is where the tablespaces of the present are.
    let map = place.file("data/tablespace_map");
    let lines = fs::read_to_string(&map).unwrap_or_default();
    for line in lines.lines() {
        if let Some((number, location)) = line.split_once(' ')
            && number.parse::<u32>().is_ok()
            && !known(number)
        {
            return Err(Error::new(
                ErrorKind::Damaged,
                format!("the base backup holds nothing of the tablespace in `{location}`"),
            )
            .hint(format!("its archive is `{number}.tar`, beside `base.tar`")));
        }
    }
    Ok(())
}
