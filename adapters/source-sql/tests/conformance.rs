//! The contract of a source, in the three layouts.

use std::process::ExitCode;
use std::sync::Arc;

use walkback_conformance::runner::{Fixture, run, trials};
use walkback_conformance::source::{CHECKS, Folder, Layout, Subject};
use walkback_source_sql::SqlSource;

const FOLDERS: Layout = Layout {
    open: |folder| Arc::new(SqlSource::new(folder)),
    id: |n| n.to_string(),
    up: |id| format!("{id}_change/up.sql"),
    down: |id| format!("{id}_change/down.sql"),
    stray: "notes.txt",
};

const PAIRS: Layout = Layout {
    up: |id| format!("{id}_change.up.sql"),
    down: |id| format!("{id}_change.down.sql"),
    stray: ".gitkeep",
    ..FOLDERS
};

const VARIANTS: Layout = Layout {
    id: |n| format!("a{n}.b"),
    up: |id| format!("{id}_change.sqlite.sql"),
    down: |id| format!("{id}_change/down.sqlite3.sql"),
    stray: "1_x/up.oracle.sql",
    ..FOLDERS
};

fn main() -> ExitCode {
    let layouts = [
        ("sql-folders", FOLDERS),
        ("sql-pairs", PAIRS),
        ("sql-variants", VARIANTS),
    ];
    let all = layouts.into_iter().flat_map(|(name, layout)| {
        trials(name, CHECKS, move || {
            Fixture::Ready(Box::new(Folder::new(layout)) as Subject)
        })
    });
    run(all.collect())
}
