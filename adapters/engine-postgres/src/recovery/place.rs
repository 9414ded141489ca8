//! The private folder of a server that lives for one recovery, and who watches that neither outlives us.
//!
//! A shell holds the other end of a pipe. When we let go of it, also by being killed, it ends the server and removes the
//! folder. Should the shell be killed as well, or the machine stop, the folder is found by the next recovery: nobody
//! holds the lock on its file `owner` any more.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;
use walkback_core::recovery::RecoveryFiles;
use walkback_core::{Cx, Error, ErrorKind, Result};

use super::account::Account;

/// What names of such folders begin with.
const PREFIX: &str = "walkback-recovery-";

/// The file that is locked for as long as somebody needs the folder.
const OWNER: &str = "owner";

/// How long a server may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// How long the path of a socket may be, on the system that allows least.
const LONGEST_SOCKET: usize = 103;

/// A private folder, with a server in it once it was started.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) account: Account,
    watcher: Child,
    folder: TempDir,
    /// Held for its lock.
    _owner: File,
}

impl Place {
    /// Makes a folder that a server is to be started in with this program and these arguments, once it is told to.
    pub(super) fn make(
        files: &RecoveryFiles,
        account: Account,
        server: impl FnOnce(&Path) -> Vec<std::ffi::OsString>,
    ) -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).permissions(Permissions::from_mode(0o700));
        let made = match &files.folder {
            Some(parent) => builder.tempdir_in(parent),
            None => builder.tempdir(),
        };
        let parent = files.folder.clone().unwrap_or_default();
        let folder = made.map_err(|error| Error::io("make a folder in", &parent, error))?;
        let owner = owned(folder.path())?;
        account.own(folder.path())?;
        let path = folder.path();
        if path.join(".s.PGSQL.65535").as_os_str().len() > LONGEST_SOCKET {
            return Err(
                Error::config(format!("the path `{}` is too long for a socket", path.display()))
                    .hint("set `folder` in `[env.<name>.recovery]` to one with a shorter path"),
            );
        }
        let watcher = watch(path, account, server(path))?;
        Ok(Self {
            account,
            watcher,
            folder,
            _owner: owner,
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the path of something in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of it, in place of what has its name. No link is followed, wherever one stands.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.file(name);
        self.remove(name)?;
        let (folder, name) = self.open_above(name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(&folder, name, flags, Mode::RUSR | Mode::WUSR);
        let mut file = File::from(made.map_err(|error| Error::io("write", &path, error.into()))?);
        file.write_all(text.as_bytes())
            .map_err(|error| Error::io("write", &path, error))?;
        self.account.own_open(&file, &path)
    }

    /// Removes a file of it, if it is there.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        let path = self.file(name);
        let (folder, name) = self.open_above(name)?;
        match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
            Err(error) if error != Errno::NOENT => Err(Error::io("remove", &path, error.into())),
            _ => Ok(()),
        }
    }

    /// Opens the folder that something of it is in, and returns what that is called there.
    fn open_above<'n>(&self, name: &'n str) -> Result<(OwnedFd, &'n str)> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let failed = |error: Errno| Error::io("open", self.path(), error.into());
        let mut folder = rustix::fs::open(self.path(), flags, Mode::empty()).map_err(failed)?;
        let mut rest = name;
        while let Some((above, within)) = rest.split_once('/') {
            folder = rustix::fs::openat(&folder, above, flags, Mode::empty()).map_err(failed)?;
            rest = within;
        }
        Ok((folder, rest))
    }

    /// Starts the server.
    pub(super) fn start(&mut self) -> Result<()> {
        let told = match &mut self.watcher.stdin {
            Some(input) => input.write_all(b"start\n"),
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        };
        told.map_err(|error| Error::internal("the server cannot be started").with_source(error))
    }

    /// Returns whether the server has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        self.file("ended").exists() || !matches!(self.watcher.try_wait(), Ok(None))
    }

    /// Returns a text that the server has written; nothing if it has not.
    pub(super) fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.file(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Ends the server, and removes the folder.
impl Drop for Place {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        let begin = Instant::now();
        while matches!(self.watcher.try_wait(), Ok(None)) {
            if begin.elapsed() > PATIENCE {
                end_server(self.folder.path(), Signal::KILL);
                self.watcher.kill().ok();
                self.watcher.wait().ok();
                break;
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// Makes the file that says that a folder is needed. It is locked before it has its name: a folder that has one without
/// a lock is nobody's.
fn owned(folder: &Path) -> Result<File> {
    let (early, path) = (folder.join("owner.new"), folder.join(OWNER));
    let make = || {
        let file = File::create_new(&early)?;
        file.try_lock().map_err(std::io::Error::from)?;
        fs::rename(&early, &path)?;
        Ok(file)
    };
    make().map_err(|error| Error::io("lock", &path, error))
}

fn watch(folder: &Path, account: Account, server: Vec<std::ffi::OsString>) -> Result<Child> {
    let path = folder.join("log");
    let io = |error| Error::io("write", &path, error);
    let log = File::create_new(&path).map_err(io)?;
    account.own(&path)?;
    let errors = log.try_clone().map_err(io)?;
    let mut shell = account.command("sh");
    shell
        .args(["-c", include_str!("watch.sh"), "walkback-recovery"])
        .arg(folder)
        .args(server)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(log)
        .stderr(errors)
        // Ctrl-C ends us, and our end is what it waits for.
        .process_group(0);
    shell.spawn().map_err(|error| {
        Error::new(
            ErrorKind::PermissionDenied,
            "`sh` cannot be started as the account of the server",
        )
        .with_source(error)
    })
}

/// Removes what recoveries have left whose process and whose watcher were both killed.
pub(super) fn sweep(cx: &Cx, files: &RecoveryFiles) {
    for folder in abandoned(files) {
        tracing::info!(folder = %folder.display(), "what a killed recovery has left is removed");
        end_server(&folder, Signal::QUIT);
        if let Err(error) = remove_all(&folder)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            cx.progress().warn(&format!(
                "`{}` is left of a recovery that was killed, and cannot be removed: {error}",
                folder.display()
            ));
        }
    }
}

/// Removes a folder, also one into which something is still being unpacked. What it is found by goes last.
fn remove_all(folder: &Path) -> std::io::Result<()> {
    let begin = Instant::now();
    loop {
        let emptied = fs::read_dir(folder).and_then(|entries| {
            for entry in entries {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    fs::remove_dir_all(entry.path())?;
                } else if entry.file_name() != OWNER {
                    fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        });
        match emptied.and_then(|()| fs::remove_dir_all(folder)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound && begin.elapsed() < PATIENCE => {
                std::thread::sleep(LOOK);
            }
            outcome => return outcome,
        }
    }
}

/// Returns the folders that nobody needs any more.
pub(super) fn abandoned(files: &RecoveryFiles) -> Vec<PathBuf> {
    // Without an account for a server there has been none, and those of others are theirs.
    let account = Account::choose(files).ok().and_then(Account::uid);
    let parent = match &files.folder {
        Some(folder) => folder.clone(),
        None => match TempDir::with_prefix(PREFIX) {
            // Asked this way, since only the command line reads what the environment says.
            Ok(probe) => probe.path().parent().map(Path::to_path_buf).unwrap_or_default(),
            Err(_) => return Vec::new(),
        },
    };
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .filter(|folder| is_abandoned(folder, account))
        .collect()
}

/// Returns whether a folder is of ours, or of the account that our servers run as, and nobody holds its lock.
fn is_abandoned(folder: &Path, account: Option<u32>) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let is_ours = fs::symlink_metadata(folder).is_ok_and(|metadata| {
        metadata.is_dir() && (metadata.uid() == own || account == Some(metadata.uid()))
    });
    // What stands there may be no file, and to open a pipe is to wait for who writes into it.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    is_ours
        && rustix::fs::open(folder.join(OWNER), flags, Mode::empty()).is_ok_and(|owner| {
            let owner = File::from(owner);
            owner.metadata().is_ok_and(|metadata| metadata.is_file()) && owner.try_lock().is_ok()
        })
}

/// Ends the server whose data are in a folder, if one runs.
fn end_server(folder: &Path, first: Signal) {
    let data = folder.join("data");
    let pid_file = data.join("postmaster.pid");
    if !fs::symlink_metadata(&pid_file).is_ok_and(|metadata| metadata.is_file()) {
        return;
    }
    let Ok(text) = fs::read_to_string(&pid_file) else {
        return;
    };
    let first_line = text
        .lines()
        .next()
        .and_then(|line| line.trim().parse::<i32>().ok());
    let Some(pid) = first_line.filter(|pid| *pid > 1) else {
        return;
    };
    let Some(target) = Pid::from_raw(pid) else { return };
    let (begin, mut signal) = (Instant::now(), first);
    // Another process may have the number by now, and is left alone.
    while serves(pid, &data) && begin.elapsed() < PATIENCE {
        kill_process(target, signal).ok();
        let until = begin.elapsed() + PATIENCE / 3;
        while test_kill_process(target).is_ok() && serves(pid, &data) && begin.elapsed() < until {
            std::thread::sleep(LOOK);
        }
        signal = Signal::KILL;
    }
}

/// Returns whether a process is a server with these data: they stand in its arguments.
fn serves(pid: i32, data: &Path) -> bool {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).or_else(|_| {
        let mut ps = std::process::Command::new("ps");
        let output = ps
            .args(["-ww", "-o", "command=", "-p", &pid.to_string()])
            .output()?;
        Ok::<_, std::io::Error>(output.stdout)
    });
    let data = data.as_os_str().as_encoded_bytes();
    arguments.is_ok_and(|arguments| {
        let words: Vec<&[u8]> = arguments.split(|byte| *byte == 0).collect();
        words.windows(2).any(|pair| pair == [&b"-D"[..], data])
            // What `ps` writes has blanks between the words, and may have them within.
            || words.len() == 1 && arguments.windows(data.len()).any(|part| part == data)
    })
}
