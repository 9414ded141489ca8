//! Back to a moment on PostgreSQL: the server recovers a copy of its base backup, and tables are taken from it.

mod amiss;
mod killed;
mod newest;
mod server;
mod strange;

use std::process::ExitCode;

use amiss::{
    a_base_backup_that_was_changed_is_refused, a_database_that_was_not_there_yet_is_named,
    a_missing_segment_is_named, doctor_says_what_to_set, no_moment_outside_of_what_is_there,
    the_version_of_the_programs_is_checked,
};
use killed::{killed_it_leaves_nothing, what_its_watcher_could_not_remove_the_next_one_does};
use newest::{an_incremental_base_backup_is_passed_over, the_newest_server_is_recovered_too};
use server::{Archiving, tree};
use strange::{
    a_base_backup_of_a_standby_is_taken_to_the_moment, a_link_in_an_archive_is_refused,
    the_timeline_of_a_clone_is_not_followed, unlogged_tables_are_left_alone,
};
use walkback_tests::{Backend, Sandbox, journeys};

const HERE: &[Backend] = &[Backend::Postgres];
const NEWEST: &[Backend] = &[Backend::PostgresNewest];

fn main() -> ExitCode {
    walkback_tests::main_where(
        "pitr_postgres",
        &journeys! {
            HERE => [
                the_rows_of_a_moment_come_back_and_other_tables_stay,
                the_whole_database_comes_back_from_archives_and_packed_segments,
                of_several_base_backups_the_newest_before_the_moment_is_taken,
                awkward_names_come_back,
                no_moment_outside_of_what_is_there,
                a_missing_segment_is_named,
                the_version_of_the_programs_is_checked,
                a_base_backup_that_was_changed_is_refused,
                a_database_that_was_not_there_yet_is_named,
                doctor_says_what_to_set,
                unlogged_tables_are_left_alone,
                a_base_backup_of_a_standby_is_taken_to_the_moment,
                the_timeline_of_a_clone_is_not_followed,
                a_link_in_an_archive_is_refused,
                killed_it_leaves_nothing,
                what_its_watcher_could_not_remove_the_next_one_does,
                an_incremental_base_backup_is_passed_over,
            ],
            NEWEST => [the_newest_server_is_recovered_too],
        },
        missing,
    )
}

/// Says what a journey needs that is not on this machine.
fn missing(name: &str, backend: Backend) -> Option<String> {
    if NEWEST.contains(&backend) {
        return newest::missing();
    }
    if server::programs().is_none() {
        let is_required = walkback_services::is_required("postgres");
        return (!is_required).then(|| "the programs of PostgreSQL are not on this machine".to_owned());
    }
    let is_of_newer =
        name == "an_incremental_base_backup_is_passed_over" && server::version() < server::INCREMENTAL;
    is_of_newer.then(|| {
        format!(
            "PostgreSQL {} makes no incremental base backups",
            server::version()
        )
    })
}

const SHOP: &str = "CREATE TABLE orders (id integer PRIMARY KEY, what text NOT NULL, price numeric(10,2));\n\
    CREATE TABLE notes (id integer PRIMARY KEY, said text);\n\
    CREATE INDEX orders_by_what ON orders (what);";

/// A project on a database of a server, with two tables and rows in them.
fn shop(server: &Archiving, database: &str) -> Sandbox {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.create_folder("migrations");
    server
        .session("postgres")
        .sql(&format!("CREATE DATABASE {database}"));
    configure(&sandbox, server, database, &server.bases());
    sandbox.migration("001_shop", SHOP, "");
    sandbox.ok(&["up", "-y"]);
    server.session(database).sql(
        "INSERT INTO orders SELECT n, 'thing ' || n, n FROM generate_series(1, 100) n; \
         INSERT INTO notes VALUES (1, 'before')",
    );
    sandbox
}

fn configure(sandbox: &Sandbox, server: &Archiving, database: &str, base: &std::path::Path) {
    sandbox.write(
        "walkback.toml",
        &format!(
            "[source]\nkind = \"sql\"\npath = \"migrations\"\n\n[store.local]\nkind = \"fs\"\npath = \".walkback/vault\"\n\n\
             [env.dev]\nurl = \"{}\"\nstores = [\"local\"]\n{}",
            server.url(database),
            server.recovery(base)
        ),
    );
}

/// Says what tables hold: the number of rows and a hash of all of them.
fn state(server: &Archiving, database: &str, table: &str) -> String {
    server.session(database).value(&format!(
        "SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {table} t"
    ))
}

fn the_rows_of_a_moment_come_back_and_other_tables_stay(_: Backend) {
    let server = Archiving::start();
    let sandbox = shop(&server, "shop");
    let base = server.base_backup("one", &[]);
    server.session("shop").sql("INSERT INTO orders VALUES (101, 'after the base backup', 7); UPDATE orders SET price = 3 WHERE id = 5");
    let orders = state(&server, "shop", "orders");
    let (before, archive) = (tree(&base), tree(&server.wal()).len());
    let moment = server.moment();
    server.session("shop").sql(
        "DELETE FROM orders WHERE id > 10; ALTER TABLE orders DROP COLUMN price; \
         INSERT INTO notes VALUES (2, 'after the moment')",
    );
    assert_ne!(state(&server, "shop", "orders"), orders);
    let output = sandbox.ok(&["restore", "--to-time", &moment, "--table", "orders", "-y"]);
    assert_eq!(
        state(&server, "shop", "orders"),
        orders,
        "{}",
        output.transcript()
    );
    assert_eq!(
        server.session("shop").value("SELECT count(*)::text FROM notes"),
        "2",
        "other tables stay"
    );
    assert_eq!(tree(&base), before, "the base backup is not touched");
    assert_eq!(server.left(), (0, 0), "nothing is left of the server of the past");
    let names: Vec<_> = tree(&server.wal()).into_iter().map(|(path, ..)| path).collect();
    assert!(
        names.len() > archive,
        "the server was asked to archive what it had"
    );
    assert!(
        names.iter().all(|path| path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("00000001"))),
        "the server of the past has archived nothing: {names:?}"
    );
    // What it replaced can be walked back to.
    sandbox.ok(&["rollback", "-y", "--allow-lossy"]);
    assert_eq!(
        server.session("shop").value("SELECT count(*)::text FROM orders"),
        "10"
    );
}

fn the_whole_database_comes_back_from_archives_and_packed_segments(_: Backend) {
    let server = Archiving::start();
    let sandbox = shop(&server, "shop");
    let space = tempfile::tempdir().expect("a temporary folder can be made");
    server::give(space.path());
    server.session("shop").sql(&format!(
        "CREATE TABLESPACE elsewhere LOCATION '{}'",
        space.path().display()
    ));
    server
        .session("shop")
        .sql("CREATE TABLE far (id integer PRIMARY KEY) TABLESPACE elsewhere; INSERT INTO far VALUES (1)");
    server.base_backup("packed", &["--format=tar", "--gzip"]);
    server
        .session("shop")
        .sql("INSERT INTO far VALUES (2); INSERT INTO orders VALUES (200, 'late', 1)");
    let then = server.session("shop").contents();
    let moment = server.moment();
    server
        .session("shop")
        .sql("TRUNCATE far; DROP TABLE notes; CREATE TABLE newer (n integer)");
    server.switch();
    for (file, ..) in tree(&server.wal()) {
        let mut gzip = std::process::Command::new("gzip");
        server::as_nobody(&mut gzip);
        server::run(gzip.arg("--").arg(file));
    }
    let output = sandbox.ok(&["restore", "--to-time", &moment, "-y", "--allow-lossy"]);
    let now = server.session("shop").contents();
    let difference: Vec<_> = now
        .difference(&then)
        .lines()
        .filter(|line| !line.contains("newer") && !line.contains("_deprecated"))
        .map(str::to_owned)
        .collect();
    assert!(
        difference.is_empty(),
        "{}\n{}",
        difference.join("\n"),
        output.transcript()
    );
    assert_eq!(server.left(), (0, 0));
}

fn of_several_base_backups_the_newest_before_the_moment_is_taken(_: Backend) {
    let server = Archiving::start();
    let sandbox = shop(&server, "shop");
    server.base_backup("2026-01-01", &[]);
    server.session("shop").sql("DELETE FROM orders WHERE id = 1");
    let first = state(&server, "shop", "orders");
    let early = server.moment();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    server.base_backup("2026-01-02", &["--format=tar"]);
    server.session("shop").sql("DELETE FROM orders WHERE id = 2");
    let second = state(&server, "shop", "orders");
    let late = server.moment();
    server.session("shop").sql("DELETE FROM orders WHERE id = 3");
    sandbox.ok(&["restore", "--to-time", &late, "--table", "orders", "-y"]);
    assert_eq!(state(&server, "shop", "orders"), second);
    // The newer one is the only one with which this is seen: without the log of the older, it is the one that is taken.
    sandbox.ok(&["restore", "--to-time", &early, "--table", "orders", "-y"]);
    assert_eq!(state(&server, "shop", "orders"), first);
    assert_eq!(server.left(), (0, 0));
}

fn awkward_names_come_back(_: Backend) {
    let server = Archiving::start();
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.create_folder("migrations");
    server.session("postgres").sql("CREATE DATABASE \"My App's 1\"");
    server
        .session("postgres")
        .sql("ALTER DATABASE \"My App's 1\" SET search_path = 'The Schema', public");
    configure(&sandbox, &server, "My%20App's%201", &server.bases());
    let mut session = server.session("My%20App's%201");
    session.sql(
        "CREATE SCHEMA \"The Schema\"; CREATE TABLE \"The Schema\".\"Odd \"\" 'ünë\" (\"a b\" integer PRIMARY KEY, \"select\" text); \
         INSERT INTO \"The Schema\".\"Odd \"\" 'ünë\" VALUES (1, E'a\\tb')",
    );
    server.base_backup("plain", &[]);
    session.sql("INSERT INTO \"The Schema\".\"Odd \"\" 'ünë\" VALUES (2, NULL)");
    let moment = server.moment();
    session.sql("DELETE FROM \"The Schema\".\"Odd \"\" 'ünë\"");
    drop(session);
    let output = sandbox.ok(&["restore", "--to-time", &moment, "--table", "Odd \" 'ünë", "-y"]);
    let mut session = server.session("My%20App's%201");
    let rows = session.value(
        "SELECT string_agg(\"a b\" || coalesce(\"select\", '-'), ',' ORDER BY \"a b\") FROM \"The Schema\".\"Odd \"\" 'ünë\"",
    );
    assert_eq!(rows, "1a\tb,2-", "{}", output.transcript());
}
