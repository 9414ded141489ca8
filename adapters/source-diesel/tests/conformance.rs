//! The contract of a source.

use std::process::ExitCode;
use std::sync::Arc;

use walkback_conformance::source::Layout;
use walkback_source_diesel::DieselSource;

fn main() -> ExitCode {
    let layout = Layout {
        open: |folder| Arc::new(DieselSource::new(folder)),
        id: |n| format!("{n:04}"),
        up: |id| format!("{}-{}_change/up.sql", &id[..2], &id[2..]),
        down: |id| format!("{}-{}_change/down.sql", &id[..2], &id[2..]),
        stray: "diesel.toml",
    };
    walkback_conformance::source::main("diesel", layout)
}
