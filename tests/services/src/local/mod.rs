//! Servers from binaries of this machine: in a temporary folder, on a free port, never as root.

mod mysql;
mod postgres;

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
pub(crate) use mysql::SETTINGS as MYSQL_SETTINGS;
pub(crate) use postgres::SETTINGS as POSTGRES_SETTINGS;

use crate::client;
use crate::server::{Lifetime, Started};
use crate::service::{Family, Service};
use crate::stopper::{Guard, Stopper, remove};
use crate::tls::{Certificates, certificates};

/// How long a server may take to answer after its start.
const PATIENCE: Duration = Duration::from_secs(90);

/// How often a start is tried: another process may take the port between our look and the server's.
const ATTEMPTS: u32 = 3;

/// The account that a server runs as when we are root, which servers refuse to be.
#[derive(Debug, Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

/// A server that is installed here.
#[derive(Debug)]
enum Installation {
    Postgres(postgres::Binaries),
    Mysql(mysql::Binaries),
}

/// A folder of a server: removed again if its start fails.
#[derive(Debug)]
struct Place {
    folder: PathBuf,
    password: String,
    port: u16,
    keep: bool,
}

/// Starts a server from binaries of this machine, with all that it has in a folder within another one.
pub(crate) fn start(service: Service, lifetime: Lifetime, within: Option<&Path>) -> Result<Started> {
    let installation = match service {
        Service::Postgres | Service::PostgresNewest => Installation::Postgres(postgres::find(service)?),
        Service::Mysql => Installation::Mysql(mysql::find_mysql()?),
        Service::Mariadb => Installation::Mysql(mysql::find_mariadb()?),
    };
    let mut attempt = 1;
    loop {
        match installation.start_once(service, lifetime, within) {
            Err(error) if attempt < ATTEMPTS && format!("{error:#}").contains("in use") => attempt += 1,
            result => return result,
        }
    }
}

impl Installation {
    fn start_once(&self, service: Service, lifetime: Lifetime, within: Option<&Path>) -> Result<Started> {
        let mut place = Place::make(service, within)?;
        let command = match self {
            Self::Postgres(binaries) => binaries.prepare(&place)?,
            Self::Mysql(binaries) => binaries.prepare(&place)?,
        };
        let url = service.root_url(&place.password, place.port);
        let log = place.log()?;
        let (stopper, mut guard) = match lifetime {
            Lifetime::Process => (None, Some(Guard::start(&command, &place.folder, log)?)),
            Lifetime::Stopped => (Some(spawn_standing(command, &place, log)?), None),
        };
        let begin = Instant::now();
        while let Err(error) = client::version(service, &url) {
            let ended = match (&mut guard, &stopper) {
                (Some(guard), _) => guard.has_ended(),
                (None, Some(stopper)) => !stopper.is_running()?,
                (None, None) => true,
            };
            if ended || begin.elapsed() > PATIENCE {
                let said = place.last_words();
                if let Some(stopper) = &stopper {
                    stopper.stop()?;
                }
                return Err(error.context(format!("{self} does not answer; it said: {said}")));
            }
            thread::sleep(Duration::from_millis(100));
        }
        place.keep = true;
        Ok(Started {
            url,
            how: format!("local binary {self}"),
            ca: Some(place.file("ca.pem")),
            stopper,
            guard,
        })
    }
}

impl std::fmt::Display for Installation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let program = match self {
            Self::Postgres(binaries) => binaries.server(),
            Self::Mysql(binaries) => binaries.server(),
        };
        write!(f, "{}", program.display())
    }
}

/// Starts a server that goes on when we end.
fn spawn_standing(mut command: Command, place: &Place, log: File) -> Result<Stopper> {
    let errors = log.try_clone().context("cannot share the log")?;
    command
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .process_group(0);
    as_its_user(&mut command)?;
    let child = command.spawn().with_context(|| shown(&command))?;
    Stopper::of_process(&child, &place.folder)
}

/// Returns where a server keeps what is gone with it: in memory, where there is room. Tests make and drop thousands of
/// tables, and a file system on a disk spends longer on their files than the server on their statements.
fn quick_folder() -> PathBuf {
    const IN_MEMORY: &str = "/dev/shm";
    const ROOM: u64 = 6 * 1024 * 1024 * 1024;
    let room = rustix::fs::statvfs(IN_MEMORY).map_or(0, |fs| fs.f_bavail.saturating_mul(fs.f_frsize));
    if room >= ROOM {
        PathBuf::from(IN_MEMORY)
    } else {
        std::env::temp_dir()
    }
}

impl Place {
    fn make(service: Service, within: Option<&Path>) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("walkback-{}-", service.name()))
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(within.map_or_else(quick_folder, Path::to_path_buf))
            .context("cannot make a temporary folder")?
            .keep();
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .context("no port is free")?
            .port();
        let place = Self {
            folder,
            password: password(),
            port,
            keep: false,
        };
        let Certificates {
            authority,
            certificate,
            key,
        } = certificates()?;
        place.write("ca.pem", &authority)?;
        place.write("server.crt", &certificate)?;
        place.write("server.key", &key)?;
        if service.family() == Family::Postgres {
            place.write("password", &place.password)?;
        }
        give(&place.folder)?;
        Ok(place)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file that only the server's account reads.
    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.file(name);
        fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        give(&path)
    }

    fn log(&self) -> Result<File> {
        let path = self.file("log");
        File::options()
            .append(true)
            .create(true)
            .open(&path)
            .with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Runs a program that prepares the folder.
    fn run(&self, command: &mut Command) -> Result<()> {
        as_its_user(command)?;
        let output = command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start {}", shown(command)))?;
        if !output.status.success() {
            bail!(
                "{} failed ({}): {}{}",
                shown(command),
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(())
    }

    /// Returns the end of the log, in one line.
    fn last_words(&self) -> String {
        let mut text = Vec::new();
        let read = File::open(self.file("log")).and_then(|mut file| {
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(1000)))?;
            file.read_to_end(&mut text)
        });
        match read {
            Ok(0) => "nothing".to_owned(),
            Ok(_) => String::from_utf8_lossy(&text).trim().replace('\n', " | "),
            Err(error) => format!("a log that cannot be read ({error})"),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.keep {
            // The failure that brought us here is the one to tell.
            remove(&self.folder).ok();
        }
    }
}

/// Makes a password of hexadecimal digits.
pub(crate) fn password() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Lets a program run as an account that servers accept.
pub(crate) fn as_its_user(command: &mut Command) -> Result<()> {
    if let Some(account) = account()? {
        command.uid(account.uid).gid(account.gid);
    }
    Ok(())
}

/// Gives a file to the account of the server.
fn give(path: &Path) -> Result<()> {
    match account()? {
        Some(Account { uid, gid }) => chown(path, Some(uid), Some(gid))
            .with_context(|| format!("cannot give `{}` to another account", path.display())),
        None => Ok(()),
    }
}

/// Returns the account to change to; `None` if we are not root and stay who we are.
fn account() -> Result<Option<Account>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd").context("cannot read the accounts")?;
    find_account(&accounts)
        .map(Some)
        .context("we are root, servers refuse that, and there is no account `nobody`")
}

fn find_account(accounts: &str) -> Option<Account> {
    accounts.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields.as_slice() {
            ["nobody", _, uid, gid, ..] => Some(Account {
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
            }),
            _ => None,
        }
    })
}

/// Returns where programs are looked for: `PATH`, and where Debian puts what root starts.
fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/usr/local/sbin", "/usr/libexec"].map(PathBuf::from));
    folders
}

/// Finds a program by one of its names.
fn find_program(names: &[&str]) -> Option<PathBuf> {
    search_path()
        .into_iter()
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .find(|path| path.is_file())
}

/// Runs a program for the version it tells.
fn version_of(command: &mut Command) -> Result<String> {
    let output = command
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn shown(command: &Command) -> String {
    format!("`{}`", command.get_program().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_found_among_others() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\nnobody2:x:1:1::/:\nnobody:x:65534:65533:nobody:/:\n";
        let account = find_account(accounts).expect("it is there");
        assert_eq!((account.uid, account.gid), (65534, 65533));
        assert!(find_account("root:x:0:0::/:\n").is_none());
    }
}
