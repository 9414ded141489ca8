//! The table of kills and recoveries.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use walkback_tests::{Backend, ONE_OF_EACH, report};

use crate::cuts::CUT;
use crate::disks::FULL;
use crate::kinds::ALL;
use crate::power::OUT;
use crate::servers::CRASHED;

/// How often a kind of run was killed on an engine, and how often it was recovered.
type Cells = BTreeMap<(&'static str, String), (usize, usize)>;

static CELLS: Mutex<Cells> = Mutex::new(Cells::new());

fn cells() -> MutexGuard<'static, Cells> {
    CELLS.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn killed(kind: &'static str, backend: Backend) {
    cells().entry((kind, backend.to_string())).or_default().0 += 1;
}

pub(crate) fn recovered(kind: &'static str, backend: Backend) {
    cells().entry((kind, backend.to_string())).or_default().1 += 1;
}

/// Prints the table, and writes it where `WALKBACK_MATRIX` says, from the root of the workspace.
pub(crate) fn publish() {
    let cells = cells();
    if cells.is_empty() {
        return;
    }
    let table = rendered(&cells);
    report(&format!("\n{table}"));
    let Some(file) = std::env::var_os("WALKBACK_MATRIX") else {
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = format!("{HEAD}\n{table}\n{}", total(&cells));
    if let Err(error) = std::fs::write(root.join(file), page) {
        report(&format!("the matrix cannot be written: {error}"));
    }
}

const HEAD: &str = "\
# The crash matrix

Each kind of run, killed with `SIGKILL` at every one of its durable steps; then `walkback recover`, and the same command again
where that is still to be done. Afterwards every definition and every row is what it was before the run or what it is after one
that nobody killed, and so are the ledger, what is pending, what waits to be put back, what was moved aside, and the backups.
Each of them is verified.

In the rows at the end it is not the process that ends, but its connection to the server, at a request chosen at random: before the
request has got there, or when it was answered and the answer is not back yet; that connection alone, or all of them.
Or the server is killed with `SIGKILL` at a random moment, and started again. Or there are only so many kilobytes left on the disk
of the server, and room again afterwards. Or the power fails: the system calls of a run are
traced, and after each of them the files are built again as a disk could hold them, with what was synchronized and nothing else, or
with all names and, of what was written, only what was synchronized.

A cell says how often the run was killed / how often it was recovered. The test that does this writes the table:
`WALKBACK_KILLS=all WALKBACK_MATRIX=docs/src/crash-matrix.md cargo test -p walkback-tests --test matrix`. `cargo xtask test` kills at a
few of the steps of each cell, chosen at random.
";

fn rendered(cells: &Cells) -> String {
    let mut text = "| killed |".to_owned();
    for backend in ONE_OF_EACH {
        write!(text, " {backend} |").ok();
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(ONE_OF_EACH.len()));
    text.push('\n');
    let kinds = ALL.iter().map(|kind| kind.name);
    let faults = CUT
        .iter()
        .chain(CRASHED)
        .chain(FULL)
        .chain(OUT)
        .map(|(name, _)| *name);
    for name in kinds.chain(faults) {
        write!(text, "| {name} |").ok();
        for backend in ONE_OF_EACH {
            match cells.get(&(name, backend.to_string())) {
                Some((killed, recovered)) => write!(text, " {killed} / {recovered} |").ok(),
                None => write!(text, " |").ok(),
            };
        }
        text.push('\n');
    }
    text
}

fn total(cells: &Cells) -> String {
    let killed: usize = cells.values().map(|(killed, _)| killed).sum();
    let recovered: usize = cells.values().map(|(_, recovered)| recovered).sum();
    format!("{killed} kills, {recovered} recovered.\n")
}
