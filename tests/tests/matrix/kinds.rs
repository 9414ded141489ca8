//! The kinds of runs, and what is seen of a database before and after them.

use serde_json::Value;
use walkback_tests::{Backend, Contents, Sandbox};

/// A kind of run that is killed.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Makes a database on which the run has something to do.
    pub(crate) setup: fn(Backend) -> Sandbox,
    /// What was there before, if not what it begins with.
    pub(crate) before: Option<fn(Backend) -> Sandbox>,
    /// The command; `{backup}` stands for the oldest backup.
    arguments: &'static [&'static str],
    /// Whether the same command does the rest once a killed one was recovered.
    pub(crate) can_be_repeated: bool,
    /// Whether it does several things, each of which is whole by itself.
    pub(crate) may_be_between: bool,
}

impl Kind {
    pub(crate) fn command(&self, sandbox: &Sandbox) -> Vec<&'static str> {
        let of = |argument: &'static str| match argument {
            "{backup}" => backups(sandbox)
                .into_iter()
                .next_back()
                .map(leaked)
                .expect("a backup"),
            plain => plain,
        };
        self.arguments.iter().map(|argument| of(argument)).collect()
    }
}

/// A few words for the life of the test.
fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

pub(crate) const ALL: &[Kind] = &[
    UP,
    LOOSE_UP,
    DOWN,
    SURGICAL,
    FULL,
    PUT_BACK,
    RESTORE,
    PURGE,
    BACKUP,
    PRUNE,
    RECOVER_BACK,
    RECOVER_FORWARD,
];

const fn kind(name: &'static str, setup: fn(Backend) -> Sandbox, arguments: &'static [&'static str]) -> Kind {
    Kind {
        name,
        setup,
        before: None,
        arguments,
        can_be_repeated: true,
        may_be_between: false,
    }
}

pub(crate) const UP: Kind = kind("`up`", to_change, &["up", "-y"]);
pub(crate) const LOOSE_UP: Kind = kind("`up` outside a transaction", to_change_loosely, &["up", "-y"]);
pub(crate) const DOWN: Kind = kind("`down`", changed, &["down", "-y", "--allow-lossy"]);
pub(crate) const SURGICAL: Kind = kind(
    "`rollback --type surgical`",
    rows_changed,
    &["rollback", "-n", "1", "--type", "surgical", "-y"],
);
pub(crate) const FULL: Kind = kind(
    "`rollback --type full`",
    changed,
    &["rollback", "-n", "1", "--type", "full", "-y", "--allow-lossy"],
);
pub(crate) const PUT_BACK: Kind = kind("`up` that puts back", rolled_back, &["up", "-y"]);
pub(crate) const RESTORE: Kind = kind("`restore`", changed_since_backup, &["restore", "{backup}", "-y"]);
pub(crate) const PURGE: Kind = kind("`purge`", moved_aside, &["purge", "--all", "-y"]);
pub(crate) const BACKUP: Kind = kind("`backup create`", base, &["backup", "create"]);
pub(crate) const PRUNE: Kind = Kind {
    may_be_between: true,
    ..kind(
        "`backup prune`",
        backed_up,
        &["backup", "prune", "--keep", "last=1", "-y"],
    )
};
pub(crate) const RECOVER_BACK: Kind = Kind {
    before: Some(to_change_loosely),
    can_be_repeated: false,
    ..kind("`recover --back`", half_done, &["recover", "--back", "-y"])
};
pub(crate) const RECOVER_FORWARD: Kind = Kind {
    before: Some(to_change_loosely),
    can_be_repeated: false,
    ..kind("`recover --forward`", half_done, &["recover", "--forward", "-y"])
};

/// Two tables with rows.
fn base(backend: Backend) -> Sandbox {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    let bytes = backend.bytes_type();
    sandbox.migration(
        "001_begin",
        &format!(
            "CREATE TABLE a (id INTEGER PRIMARY KEY, x VARCHAR(40), n INTEGER);\n\
             CREATE TABLE b (id INTEGER PRIMARY KEY, y {bytes});\n\
             INSERT INTO a SELECT i, CONCAT('row ', i), i FROM {};\n\
             INSERT INTO b SELECT id, {} FROM a; CREATE INDEX a_x ON a (x);",
            backend.numbers(60),
            backend.bytes("00ff41")
        ),
        "DROP TABLE b; DROP TABLE a;",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox
}

fn to_change(backend: Backend) -> Sandbox {
    let sandbox = base(backend);
    sandbox.migration(
        "002_change",
        "ALTER TABLE a ADD COLUMN z INTEGER; UPDATE a SET z = n, x = 'changed' WHERE id % 2 = 0;\n\
         CREATE TABLE c (id INTEGER PRIMARY KEY); INSERT INTO c VALUES (1); DELETE FROM b WHERE id > 50;",
        "DROP TABLE c; ALTER TABLE a DROP COLUMN z;",
    );
    sandbox
}

fn to_change_loosely(backend: Backend) -> Sandbox {
    let sandbox = base(backend);
    let index = if backend.is_postgres() {
        "CREATE INDEX CONCURRENTLY a_n ON a (n);\n"
    } else {
        ""
    };
    sandbox.migration(
        "002_loose",
        &format!(
            "-- walkback: transaction=off\nDELETE FROM a WHERE id % 5 = 0;\n{index}CREATE TABLE d (id INTEGER PRIMARY KEY);\n{};\n\
             UPDATE a SET n = n + 1 WHERE id < 9;",
            backend.drop_index("a_x", "a")
        ),
        "",
    );
    sandbox
}

/// What an application writes after a migration.
fn write(sandbox: &Sandbox) {
    sandbox.sql("UPDATE a SET n = -1 WHERE id = 4");
    sandbox.sql("UPDATE a SET x = 'written' WHERE id = 6");
    sandbox.sql("INSERT INTO a (id, x, n) VALUES (1000, 'new', 7)");
    sandbox.sql("DELETE FROM a WHERE id = 8");
}

fn changed(backend: Backend) -> Sandbox {
    let sandbox = to_change(backend);
    sandbox.ok(&["up", "-y"]);
    write(&sandbox);
    sandbox
}

fn rows_changed(backend: Backend) -> Sandbox {
    let sandbox = base(backend);
    sandbox.migration(
        "002_rows",
        "UPDATE a SET x = 'changed' WHERE id % 2 = 0; DELETE FROM b WHERE id > 50; INSERT INTO a VALUES (500, 'added', 1);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    write(&sandbox);
    sandbox
}

fn rolled_back(backend: Backend) -> Sandbox {
    let sandbox = changed(backend);
    sandbox.sql("UPDATE a SET z = 77 WHERE id = 10");
    sandbox.sql("INSERT INTO c VALUES (2)");
    sandbox.ok(&["rollback", "-n", "1", "-y", "--allow-lossy"]);
    sandbox
}

fn changed_since_backup(backend: Backend) -> Sandbox {
    let sandbox = to_change(backend);
    sandbox.ok(&["backup", "create"]);
    sandbox.ok(&["up", "-y"]);
    write(&sandbox);
    sandbox
}

fn moved_aside(backend: Backend) -> Sandbox {
    let sandbox = base(backend);
    sandbox.migration("002_drop", "-- walkback: protect=soft-delete\nDROP TABLE b;", "");
    sandbox.ok(&["up", "-y"]);
    sandbox
}

fn backed_up(backend: Backend) -> Sandbox {
    let sandbox = base(backend);
    for at in [
        "2025-01-01T00:00:00Z",
        "2025-01-02T00:00:00Z",
        "2025-01-03T00:00:00Z",
    ] {
        sandbox.ok_at(at, &["backup", "create"]);
        sandbox.sql("UPDATE a SET n = n + 1");
    }
    sandbox
}

/// A run that was killed after the second statement of a script outside a transaction.
fn half_done(backend: Backend) -> Sandbox {
    let sandbox = to_change_loosely(backend);
    let mut command = sandbox.command(&["up", "-y"]);
    let output = command
        .env("WALKBACK_TEST_KILL_AT", "statement.sent 2")
        .output()
        .expect("the binary starts");
    assert!(!output.status.success(), "it was not killed");
    sandbox
}

fn backups(sandbox: &Sandbox) -> Vec<String> {
    let listed = sandbox.ok(&["backup", "list", "--json"]).json();
    let of = |backup: &Value| backup["id"].as_str().map(str::to_owned);
    listed["backups"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(of)
        .collect()
}

/// All that is seen of a database and its vault, without names and moments that each run makes up for itself.
#[derive(Debug)]
pub(crate) struct Seen {
    contents: Contents,
    /// How much is applied, what is pending and what waits, and whether a run is unfinished.
    status: Value,
    /// How many tables were moved aside.
    aside: usize,
    backups: usize,
}

impl Seen {
    pub(crate) fn of(sandbox: &Sandbox) -> Self {
        let mut contents = sandbox.contents();
        let is_aside = |name: &str| name.contains("_deprecated_") || name.starts_with("_walkback_dropped_");
        contents.rows.retain(|name, _| !is_aside(name));
        contents
            .definitions
            .retain(|name, _| !name.split(' ').any(is_aside));
        let status = sandbox.status();
        // A run that is half-done stops it.
        let purge = sandbox.run(&["purge", "--dry-run", "--json"]);
        let plan = if purge.code == Some(0) {
            purge.json()
        } else {
            Value::Null
        };
        let groups = [&plan["plan"]["drop"], &plan["plan"]["stays"]];
        let tables = groups.iter().filter_map(|group| group.as_array());
        Self {
            contents,
            status: serde_json::json!({
                "applied": status["applied"],
                "current": status["current"],
                "pending": status["pending"],
                "waiting": status["waiting"].as_array().map(Vec::len),
                "drift": status["drift"],
                "half done": status["needs_recovery"],
            }),
            // A restore keeps what it has replaced, and that has names of its own.
            aside: tables
                .flatten()
                .filter(|table| !table["migration"].is_null())
                .count(),
            backups: backups(sandbox).len(),
        }
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        self.contents == other.contents
            && self.status == other.status
            && self.aside == other.aside
            && self.backups == other.backups
    }

    pub(crate) fn assert_same_data(&self, other: &Self, when: &str) {
        assert!(
            self.contents == other.contents && self.status == other.status,
            "{when}: {}",
            self.contents.difference(&other.contents)
        );
    }

    pub(crate) fn difference(&self, before: &Self, after: &Self) -> String {
        let from = |other: &Self| {
            format!(
                "{}; {} and not {}; {} aside and not {}; {} backups and not {}",
                self.contents.difference(&other.contents),
                self.status,
                other.status,
                self.aside,
                other.aside,
                self.backups,
                other.backups
            )
        };
        format!("\nfrom before: {}\nfrom after: {}", from(before), from(after))
    }
}
