//! A real pgbouncer before a real server: its transaction mode is warned of, its session mode is not.

mod support;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use support::Fresh;
use url::Url;
use walkback_conformance::runner::Fixture;
use walkback_core::{Access, Result};
use walkback_services::Service;

/// The user who owns nothing: pgbouncer does not run as root.
const NOBODY: u32 = 65534;

/// A pooler, ended when it is dropped.
struct Pooler(Child);

impl Drop for Pooler {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Pooler {
    /// Starts a pooler before a server, and returns it with the URL of a database behind it.
    fn start(folder: &Path, url: &str, mode: &str) -> (Self, String) {
        let server = Url::parse(url).expect("a URL");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("its address").port();
        drop(free);
        let (user, password) = (server.username(), server.password().unwrap_or_default());
        let users = folder.join("users");
        fs::write(&users, format!("\"{user}\" \"{password}\"\n")).expect("a file");
        let settings = folder.join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             auth_type = scram-sha-256\nauth_file = {}\npool_mode = {mode}\nunix_socket_dir =\n\
             ignore_startup_parameters = extra_float_digits,options\n",
            server.host_str().unwrap_or("127.0.0.1"),
            server.port().unwrap_or(5432),
            users.display(),
        );
        fs::write(&settings, text).expect("a file");
        for path in [folder, &users, &settings] {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).ok();
        }
        let mut command = Command::new("pgbouncer");
        command.arg("-q").arg(&settings);
        if fs::metadata(folder).is_ok_and(|found| std::os::unix::fs::MetadataExt::uid(&found) == NOBODY) {
            command.uid(NOBODY).gid(NOBODY);
        }
        let pooler = Self(command.spawn().expect("pgbouncer starts"));
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "pgbouncer does not answer"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        let mut pooled = server;
        pooled.set_port(Some(port)).expect("a port");
        pooled.set_host(Some("127.0.0.1")).expect("a host");
        pooled.set_query(Some("sslmode=disable"));
        (pooler, pooled.to_string())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_transaction_mode_is_warned_of() -> Result<()> {
    let fresh = match Fresh::on(Service::Postgres) {
        Fixture::Ready(fresh) => fresh,
        Fixture::Absent(why) => {
            absent("postgres", &why);
            return Ok(());
        }
    };
    if Command::new("pgbouncer").arg("--version").output().is_err() {
        absent("pgbouncer", "it is not on PATH");
        return Ok(());
    }
    let direct = fresh.writer().await?;
    assert!(direct.capability().notices.is_empty(), "nothing stands between");
    for (mode, is_warned_of) in [("transaction", true), ("session", false)] {
        let folder = tempfile::tempdir().expect("a folder");
        let (pooler, url) = Pooler::start(folder.path(), fresh.database.url(), mode);
        let session = fresh.session(&url, Access::Write).await?;
        let notices = session.capability().notices.join("\n");
        assert_eq!(notices.contains("pooler"), is_warned_of, "{mode}: {notices}");
        drop(session);
        drop(pooler);
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a test tells what it did not do")]
fn absent(name: &str, why: &str) {
    assert!(
        !walkback_conformance::runner::is_required(name),
        "{name} is required and absent: {why}"
    );
    eprintln!("ignored: {name} is absent: {why}");
}
