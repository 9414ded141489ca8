//! A PostgreSQL of the test's own, with its log archived and base backups of it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use walkback_tests::{Backend, Session};

/// Where Debian puts the programs of the usual version.
const DEBIAN: &str = "/usr/lib/postgresql/15/bin";

/// Since when there are incremental base backups.
pub(crate) const INCREMENTAL: u32 = 17;

/// Ends the server when its input closes: the system does so when the test ends, of whatever.
const WATCH: &str = r#""$@" </dev/null & server=$!; read -r _; kill -s QUIT "$server"; wait "$server""#;

/// Returns the folder with the programs of a server, if there is one.
pub(crate) fn programs() -> Option<PathBuf> {
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    [Some(PathBuf::from(DEBIAN)), told]
        .into_iter()
        .flatten()
        .find(|folder| folder.join("initdb").is_file() && folder.join("pg_basebackup").is_file())
}

/// Returns the major version of these programs.
pub(crate) fn version() -> u32 {
    let told = command("postgres").arg("--version").output().expect("it starts");
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let number = told.split(") ").nth(1).and_then(|rest| rest.split('.').next());
    number
        .and_then(|number| number.trim().parse().ok())
        .expect("it tells its version")
}

/// A server, gone with its folder when it is dropped.
pub(crate) struct Archiving {
    folder: TempDir,
    port: u16,
    watcher: Child,
}

impl Archiving {
    /// Starts one. All its folders have awkward names.
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("walkback pitr's 100% ")
            .tempdir()
            .expect("a temporary folder can be made");
        give(folder.path());
        for name in ["wal 50%'s", "ba se's", "new"] {
            fs::create_dir(folder.path().join(name)).expect("a folder can be made");
            give(&folder.path().join(name));
        }
        let data = folder.path().join("data");
        let mut initdb = command("initdb");
        initdb
            .args([
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
            ])
            .args(["--no-sync", "--no-instructions", "--data-checksums", "--pgdata"])
            .arg(&data);
        run(&mut initdb);
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a port is free")
            .port();
        let mut server = Command::new("sh");
        as_nobody(&mut server);
        server
            .args(["-c", WATCH, "watch"])
            .arg(programs().expect("the programs are there").join("postgres"))
            .arg("-D")
            .arg(&data)
            .env("WALKBACK_TEST_WAL", folder.path().join("wal 50%'s"))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).expect("a log can be made"))
            .process_group(0);
        if version() >= INCREMENTAL {
            server.args(["-c", "summarize_wal=on"]);
        }
        for setting in [
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            "fsync=off".to_owned(),
            "archive_mode=on".to_owned(),
            r#"archive_command=cp "%p" "$WALKBACK_TEST_WAL/%f.tmp" && mv "$WALKBACK_TEST_WAL/%f.tmp" "$WALKBACK_TEST_WAL/%f""#.to_owned(),
            "max_prepared_transactions=5".to_owned(),
            // What must not reach a server of the past.
            "archive_cleanup_command=false".to_owned(),
            "search_path=main, public".to_owned(),
        ] {
            server.arg("-c").arg(setting);
        }
        let watcher = server.spawn().expect("the server starts");
        let server = Self {
            folder,
            port,
            watcher,
        };
        let begin = Instant::now();
        while !server.answers() {
            assert!(begin.elapsed() < Duration::from_secs(60), "the server answers");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn answers(&self) -> bool {
        let mut ready = command("pg_isready");
        ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        ready.status().is_ok_and(|status| status.success())
    }

    /// Returns the URL of a database; its name is written with `%` where it must be.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    pub(crate) fn session(&self, database: &str) -> Session {
        Session::open(Backend::Postgres, &self.url(database))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder of the archive.
    pub(crate) fn wal(&self) -> PathBuf {
        self.path("wal 50%'s")
    }

    /// The folder of the base backups.
    pub(crate) fn bases(&self) -> PathBuf {
        self.path("ba se's")
    }

    /// The folder in which copies are made.
    pub(crate) fn new_folders(&self) -> PathBuf {
        self.path("new")
    }

    /// Makes a base backup of this name.
    pub(crate) fn base_backup(&self, name: &str, further: &[&str]) -> PathBuf {
        let folder = self.bases().join(name);
        let mut backup = command("pg_basebackup");
        backup
            .args(["-h", "127.0.0.1", "-U", "postgres", "-p", &self.port.to_string()])
            .args(["-c", "fast", "-D"])
            .arg(&folder)
            .args(further);
        run(&mut backup);
        folder
    }

    /// Returns the present moment of the server, and waits until it is over.
    pub(crate) fn moment(&self) -> String {
        let moment = self.session("postgres").value(
            "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
        );
        std::thread::sleep(Duration::from_millis(20));
        moment
    }

    /// Returns the section of the configuration that names its files.
    pub(crate) fn recovery(&self, base: &Path) -> String {
        format!(
            "[env.dev.recovery]\nbase_backup = {:?}\nwal_archive = {:?}\nfolder = {:?}\n",
            base,
            self.wal(),
            self.new_folders()
        )
    }

    /// Begins a new file of the log, and waits until the one before is archived. Returns its name.
    pub(crate) fn switch(&self) -> String {
        let mut session = self.session("postgres");
        session.sql("CREATE TABLE IF NOT EXISTS switched (n int); INSERT INTO switched VALUES (1)");
        let name = session.value("SELECT pg_walfile_name(pg_switch_wal())");
        let begin = Instant::now();
        while !self.wal().join(&name).exists() {
            assert!(begin.elapsed() < Duration::from_secs(30), "`{name}` is archived");
            std::thread::sleep(Duration::from_millis(20));
        }
        name
    }

    /// Returns how many servers run on copies, and how many folders there are.
    pub(crate) fn left(&self) -> (usize, usize) {
        let folder = self.new_folders();
        let needle = folder.as_os_str().as_encoded_bytes();
        let servers = processes()
            .into_iter()
            .filter(|(_, arguments)| arguments.windows(needle.len()).any(|part| part == needle))
            .count();
        let folders = fs::read_dir(&folder).expect("it can be read").count();
        (servers, folders)
    }
}

impl Drop for Archiving {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        self.watcher.wait().ok();
    }
}

/// Returns the processes of this machine, with their arguments.
pub(crate) fn processes() -> Vec<(i32, Vec<u8>)> {
    let entries = fs::read_dir("/proc").expect("the system lists its processes");
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, fs::read(entry.path().join("cmdline")).ok()?))
        })
        .collect()
}

/// Returns what is in a folder: each file with its size and the moment it was changed.
pub(crate) fn tree(folder: &Path) -> Vec<(PathBuf, u64, i64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("it can be read").flatten() {
        let metadata = entry.metadata().expect("it is there");
        if metadata.is_dir() {
            found.extend(tree(&entry.path()));
        } else {
            found.push((
                entry.path(),
                metadata.len(),
                metadata.mtime_nsec() + metadata.mtime(),
            ));
        }
    }
    found.sort();
    found
}

fn command(program: &str) -> Command {
    let mut command = Command::new(programs().expect("the programs are there").join(program));
    as_nobody(&mut command);
    command.current_dir("/").stdin(Stdio::null());
    command
}

pub(crate) fn run(command: &mut Command) {
    let output = command.output().expect("the program starts");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Servers refuse to be root.
pub(crate) fn as_nobody(command: &mut Command) {
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
}

pub(crate) fn give(path: &Path) {
    if path.is_dir() {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).expect("it can be protected");
    }
    if rustix::process::geteuid().is_root() {
        chown(path, Some(65534), Some(65534)).expect("it can be given away");
    }
}
