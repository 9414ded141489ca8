//! Migrations that take many seconds.

use std::process::Child;
use std::time::{Duration, Instant};

use walkback_tests::{Backend, Contents, Sandbox};

/// How long to wait for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A table `big` with as many rows as make the statements below long, and a second one.
pub(crate) fn prepared(backend: Backend, rows: u32) -> (Sandbox, Contents) {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration(
        "001_begin",
        &format!(
            "CREATE TABLE big (id INTEGER PRIMARY KEY, n INTEGER, pad VARCHAR(400)); CREATE TABLE small (a INTEGER);\n\
             INSERT INTO big SELECT i, i, CONCAT('{}', i) FROM {};",
            "x".repeat(300),
            backend.numbers(rows)
        ),
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let before = sandbox.contents();
    (sandbox, before)
}

/// An `UPDATE` of `big` that takes many seconds.
pub(crate) fn long_update(backend: Backend) -> &'static str {
    match backend {
        Backend::Sqlite => {
            "UPDATE big SET n = n + (WITH RECURSIVE c (i) AS (SELECT big.id UNION ALL SELECT i + 1 FROM c WHERE i < 900000) SELECT count(*) FROM c);"
        }
        Backend::Postgres | Backend::PostgresNewest => {
            "UPDATE big SET n = n + 1 WHERE pg_sleep(0.1) IS NOT NULL;"
        }
        Backend::Mysql | Backend::Mariadb => "UPDATE big SET n = n + 1 + BENCHMARK(1000000, SHA2(id, 256));",
    }
}

/// An `ALTER TABLE` of `big` that takes many seconds on a server, and how many rows it needs for that.
pub(crate) fn long_alter(backend: Backend) -> (&'static str, u32) {
    if backend.is_postgres() {
        // Each row takes a tenth of a second.
        return (
            "ALTER TABLE big ALTER COLUMN n TYPE bigint USING CASE WHEN pg_sleep(0.1) IS NOT NULL THEN n + 1 END;",
            60,
        );
    }
    // Nothing that waits is allowed in there: it takes rows.
    (
        "ALTER TABLE big ADD COLUMN more VARCHAR(20) DEFAULT 'new', ADD INDEX big_pad (pad), ALGORITHM = COPY;",
        100_000,
    )
}

/// Starts `up`, and waits until the statement runs.
pub(crate) fn started(sandbox: &Sandbox, text: &str) -> Child {
    let mut child = sandbox.spawn(&["up", "-y"]);
    let began = Instant::now();
    if sandbox.backend() == Backend::Sqlite {
        // A file cannot be asked what runs in it; the plan and the point take far less than this.
        std::thread::sleep(Duration::from_secs(2));
        return child;
    }
    while sandbox.server().sessions_that_run(text) == 0 {
        assert!(
            child.try_wait().expect("the child can be asked").is_none() && began.elapsed() < PATIENCE,
            "the statement is never seen to run: {}",
            String::from_utf8_lossy(&child.wait_with_output().expect("it ends").stderr)
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    // In the middle, not at the beginning.
    std::thread::sleep(Duration::from_millis(300));
    child
}
