//! Large graphs: how long they take, and that ten times the migrations take about ten times as long.

use std::path::Path;

use anyhow::Result;

use crate::process::{cargo, run as run_command};

/// Runs the measurement, which is an example of the crate it measures.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut command = cargo(root);
    command.args([
        "run",
        "--release",
        "--package",
        "walkback-core",
        "--example",
        "graph_scale",
    ]);
    run_command(&mut command)
}
