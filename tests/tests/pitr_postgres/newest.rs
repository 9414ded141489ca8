//! The newest PostgreSQL, whose programs are in an image: what is journeyed here is journeyed there again.

use std::process::{Command, Stdio};

use walkback_services::Service;
use walkback_tests::Backend;

use crate::server::Archiving;
use crate::{shop, state};

/// What a version may do otherwise than another.
const JOURNEYS: [&str; 4] = [
    "the_rows_of_a_moment_come_back_and_other_tables_stay",
    "the_whole_database_comes_back_from_archives_and_packed_segments",
    "a_missing_segment_is_named",
    "an_incremental_base_backup_is_passed_over",
];

/// The program of the command line, which the journeys run.
const PROGRAM: &str = env!("CARGO_BIN_EXE_walkback-under-test");

/// The image brings the programs along, and its own user may be no one.
const RUN: &str = r#"
PATH=$(ls -d /usr/lib/postgresql/*/bin):$PATH
for journey in "$@"; do
    /walkback/journeys --exact "pitr_postgres::postgres::$journey" || exit 1
done
"#;

fn image() -> String {
    let (name, tag) = Service::PostgresNewest.image();
    format!("{name}:{tag}")
}

/// Says why this is not seen on this machine.
pub(crate) fn missing() -> Option<String> {
    let mut docker = Command::new("docker");
    docker.args(["image", "inspect", &image()]);
    let status = docker.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let is_there = status.is_ok_and(|status| status.success());
    let is_required = walkback_services::is_required("testcontainers");
    (!is_there && !is_required).then(|| format!("there is no image `{}`", image()))
}

pub(crate) fn the_newest_server_is_recovered_too(_: Backend) {
    let journeys = std::env::current_exe().expect("a program knows itself");
    let mut docker = Command::new("docker");
    docker
        .args(["run", "--rm", "--init", "--network=none", "--entrypoint=sh"])
        .args(["--env=WALKBACK_REQUIRE=postgres", "--env=WALKBACK_JOURNEYS=all"])
        .arg(format!("--volume={}:/walkback/journeys:ro", journeys.display()))
        .arg(format!("--volume={PROGRAM}:{PROGRAM}:ro"))
        .args([&image(), "-c", RUN, "sh"])
        .args(JOURNEYS);
    let output = docker.stdin(Stdio::null()).output().expect("docker starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let passed = said
        .matches("test result: ok. 1 passed; 0 failed; 0 ignored")
        .count();
    assert!(
        output.status.success() && passed == JOURNEYS.len(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Incremental base backups come with PostgreSQL 17: nothing can be recovered from one alone.
pub(crate) fn an_incremental_base_backup_is_passed_over(_: Backend) {
    let server = Archiving::start();
    let sandbox = shop(&server, "shop");
    let full = server.base_backup("1 full", &[]);
    server.session("shop").sql("DELETE FROM orders WHERE id = 1");
    let manifest = full.join("backup_manifest");
    let incremental = format!("--incremental={}", manifest.display());
    server.base_backup("2 incremental", &[&incremental]);
    server.session("shop").sql("DELETE FROM orders WHERE id = 2");
    let (orders, moment) = (state(&server, "shop", "orders"), server.moment());
    server.session("shop").sql("DELETE FROM orders WHERE id = 3");
    let doctor = sandbox.run(&["doctor"]).transcript();
    for part in ["2 incremental", "incremental base backup", "pg_combinebackup"] {
        assert!(doctor.contains(part), "`{part}`: {doctor}");
    }
    sandbox.ok(&["restore", "--to-time", &moment, "--table", "orders", "-y"]);
    assert_eq!(state(&server, "shop", "orders"), orders);
    assert_eq!(server.left(), (0, 0));
}
