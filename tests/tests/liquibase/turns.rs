//! Liquibase and walkback take turns on one database, and Liquibase alone works on another: their ledgers say the same.

use walkback_tests::{Backend, Sandbox};

use crate::project::{CHANGELOG, Liquibase, described, lock_holder, project, rows};

/// What is done on both databases.
#[derive(Debug, Clone, Copy)]
enum Move {
    Up(u32),
    UpAll,
    Back(u32),
}

/// Who does it on the shared one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Liquibase,
    Walkback,
}

use Move::{Back, Up, UpAll};
use Who::{Liquibase as L, Walkback as W};

const MOVES: [(Who, Move); 12] = [
    (L, Up(2)),
    (W, Up(1)),
    (W, Back(1)),
    (L, Back(1)),
    (W, UpAll),
    (L, Back(2)),
    (W, Back(2)),
    (L, UpAll),
    (W, Back(5)),
    (W, Up(3)),
    (L, UpAll),
    (W, Back(3)),
];

pub(crate) fn in_turn_with_liquibase_the_ledger_is_what_liquibase_alone_would_have_written(backend: Backend) {
    let (shared, alone) = (project(backend, CHANGELOG), project(backend, CHANGELOG));
    let liquibase = Liquibase::new(backend);
    for (number, (who, what)) in MOVES.into_iter().enumerate() {
        let when = format!("move {number}: {who:?} {what:?}");
        by_liquibase(&liquibase, &alone, what);
        match who {
            L => by_liquibase(&liquibase, &shared, what),
            W => by_walkback(&shared, what),
        }
        assert_eq!(rows(&shared), rows(&alone), "{when}");
        assert_eq!(lock_holder(&shared), "", "{when}");
        assert_eq!(
            contents(&shared),
            contents(&alone),
            "{when}: the databases differ"
        );
    }
    let said = liquibase.run(&shared, &["validate"]);
    assert!(said.contains("No validation errors"), "{said}");
    let said = liquibase.run(&shared, &["status", "--verbose"]);
    assert!(said.contains("3 changesets have not been applied"), "{said}");
    let status = shared.status();
    assert_eq!(status["pending"].as_array().map(Vec::len), Some(3), "{status}");
    assert_eq!(status["edited"].as_array().map(Vec::len), Some(0), "{status}");
}

fn contents(sandbox: &Sandbox) -> String {
    let mut session = sandbox.session();
    let exists = |table: &str, session: &mut walkback_tests::Session| {
        session
            .try_sql(&format!("SELECT 1 FROM {table} WHERE 1 = 0"))
            .is_ok()
    };
    let mut said = String::new();
    for table in ["people", "more"] {
        said.push_str(&format!("{table}: {}; ", exists(table, &mut session)));
    }
    if exists("people", &mut session) {
        said.push_str(&session.column("SELECT name FROM people ORDER BY id").join(", "));
    }
    said
}

fn by_liquibase(liquibase: &Liquibase, sandbox: &Sandbox, what: Move) {
    let arguments = match what {
        Up(count) => vec!["update-count".to_owned(), count.to_string()],
        UpAll => vec!["update".to_owned()],
        Back(count) => vec!["rollback-count".to_owned(), count.to_string()],
    };
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    liquibase.run(sandbox, &arguments);
}

fn by_walkback(sandbox: &Sandbox, what: Move) {
    match what {
        Up(count) => sandbox.ok(&["up", "-y", "-n", &count.to_string()]),
        UpAll => sandbox.ok(&["up", "-y"]),
        Back(count) => sandbox.ok(&["down", "-y", "--allow-lossy", "-n", &count.to_string()]),
    };
}

/// Returns the checksum in what is said of a row.
fn checksum(row: &str) -> &str {
    row.split(" | ").nth(5).unwrap_or_default()
}

/// What is described instead of written has a checksum that only Liquibase knows: it is NULL, and Liquibase fills it in.
pub(crate) fn in_turn_with_liquibase_described_changes_are_what_it_makes_of_them(backend: Backend) {
    const MASTER: &str = "db/master.xml";
    let (shared, alone) = (described(backend), described(backend));
    let liquibase = Liquibase::new(backend);
    shared.ok(&["up", "-y"]);
    liquibase.run_on(&alone, MASTER, &["update"]);
    let unknown: Vec<bool> = rows(&shared).iter().map(|row| checksum(row) == "NULL").collect();
    assert_eq!(unknown.iter().filter(|is_unknown| **is_unknown).count(), 4);
    let without_unknown = |sandbox: &Sandbox| -> Vec<String> {
        let all = rows(sandbox).into_iter().zip(&unknown);
        let cut = |(row, is_unknown): (String, &bool)| match is_unknown {
            true => row.replacen(&format!(" | {} | ", checksum(&row)), " | ? | ", 1),
            false => row,
        };
        all.map(cut).collect()
    };
    assert_eq!(without_unknown(&shared), without_unknown(&alone));
    shared.assert_contents(&alone.contents(), "the databases differ");
    // Liquibase takes what walkback wrote for its own, and fills in what was not known.
    liquibase.run_on(&shared, MASTER, &["validate"]);
    let said = liquibase.run_on(&shared, MASTER, &["status"]);
    assert!(said.contains("is up to date"), "{said}");
    liquibase.run_on(&shared, MASTER, &["update"]);
    assert_eq!(
        rows(&shared),
        rows(&alone),
        "Liquibase has filled in its checksums"
    );
    let status = shared.status();
    assert_eq!(status["edited"].as_array().map(Vec::len), Some(0), "{status}");
    // Back behind the tag, by walkback alone and by Liquibase alone.
    shared.ok(&["down", "-y", "--allow-lossy", "--to", "eve:2"]);
    liquibase.run_on(&alone, MASTER, &["rollback-count", "5"]);
    assert_eq!(rows(&shared).len(), rows(&alone).len());
    assert_eq!(rows(&shared), rows(&alone));
    liquibase.run_on(&shared, MASTER, &["update"]);
    liquibase.run_on(&alone, MASTER, &["update"]);
    assert_eq!(rows(&shared), rows(&alone));
    assert_eq!(lock_holder(&shared), "");
}
