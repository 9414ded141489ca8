//! Bad input: the whole of what is said about it, the exit code, and that nothing is lost.
//!
//! Each snapshot is the command, its exit code, stdout and stderr. Each test then goes on with the next correct
//! command, which must find everything as it was.

mod configuration;
mod disk;
mod locks;
mod migrations;
mod permissions;
mod targets;
mod vault;

use walkback_tests::Sandbox;

/// A row that no migration has written, and that none may take away.
const WRITTEN_SINCE: &str = "INSERT INTO t VALUES (2, 'written since')";

fn project() -> Sandbox {
    Sandbox::with_project(env!("CARGO_BIN_EXE_walkback-under-test"))
}

/// Writes the first migration of every project here.
fn write_first(sandbox: &Sandbox) {
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (id INTEGER, a TEXT);\nINSERT INTO t VALUES (1, 'x');\n",
        "DROP TABLE t;\n",
    );
}

/// Creates a project with one migration applied, and a row written since.
fn begun() -> Sandbox {
    let sandbox = project();
    write_first(&sandbox);
    sandbox.ok(&["up"]);
    sandbox.sql(WRITTEN_SINCE);
    sandbox
}

/// Creates such a project with a second migration applied, which only its point can walk back.
fn twice() -> Sandbox {
    let sandbox = begun();
    sandbox.migration("002_change", "UPDATE t SET a = upper(a);\n", "");
    sandbox.ok(&["up", "-y"]);
    sandbox
}

/// Runs a command that must leave the database as it is, and returns all that it said.
fn unchanged(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let before = sandbox.contents();
    let output = sandbox.run(arguments);
    assert_eq!(sandbox.contents(), before, "{}", output.transcript());
    output.transcript()
}

/// Changes a piece of the configuration, which must be there.
fn reconfigure(sandbox: &Sandbox, from: &str, to: &str) {
    let text = std::fs::read_to_string(sandbox.path("walkback.toml")).expect("there is a configuration");
    assert!(text.contains(from), "{text}");
    sandbox.write("walkback.toml", &text.replace(from, to));
}

/// Applies what is pending, and checks that the rows are still there and how many migrations are applied.
fn goes_on(sandbox: &Sandbox, applied: u64) {
    let output = sandbox.ok(&["up", "-y"]);
    assert_eq!(sandbox.status()["applied"], applied, "{}", output.transcript());
    assert_eq!(sandbox.value("SELECT count(*) FROM t"), "2");
}
