//! A dump as teams make it by hand.

use std::process::Command;

use crate::sandbox::Sandbox;

/// Makes a dump with `mysqldump`, as teams do before they deploy: consistent, with routines, triggers and events.
///
/// # Panics
/// If the sandbox is on no server, or `mysqldump` fails.
pub fn mysqldump(sandbox: &Sandbox, file: &str) {
    let url = sandbox.url();
    let (_, rest) = url.split_once("://").expect("a scheme");
    let (account, rest) = rest.rsplit_once('@').expect("an account");
    let (user, password) = account.split_once(':').expect("a password");
    let (server, _) = rest.split_once('/').expect("a database");
    let (host, port) = server.split_once(':').expect("a port");
    let output = Command::new("mysqldump")
        .args(["--single-transaction", "--routines", "--events", "--triggers"])
        .args(["--protocol=tcp", "--host", host, "--port", port, "--user", user])
        .env("MYSQL_PWD", password)
        .arg(format!("--result-file={}", sandbox.path(file).display()))
        .arg(sandbox.server().name())
        .output()
        .expect("mysqldump starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
