//! `cargo xtask ci`: every check, in the order in which they fail fastest.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::process::{Build, cargo, run as run_command};
use crate::{demo, docs, layers, small, test, tidy};

type Step = fn(&Path) -> Result<()>;

const STEPS: &[(&str, Step)] = &[
    ("fmt", format),
    ("tidy", tidy::run),
    ("layers", layers::run),
    ("clippy", clippy),
    ("docs", |root| docs::run(root, true, Build::WithTests)),
    ("small", small::run),
    ("test", |root| test::run(root, None)),
    ("demo", |root| demo::run(root, false, Build::WithTests)),
];

/// Runs every step and stops at the first that fails.
pub(crate) fn run(root: &Path) -> Result<()> {
    let lock = fs::read(root.join("Cargo.lock")).context("cannot read `Cargo.lock`")?;
    let mut durations: Vec<(&str, Duration)> = Vec::new();
    for (name, step) in STEPS {
        println!("\n== {name}");
        let begin = Instant::now();
        step(root)
            .with_context(|| format!("step `{name}` failed; run it alone with `{}`", command_for(name)))?;
        durations.push((name, begin.elapsed()));
        println!("== {name}: {:.1} s", begin.elapsed().as_secs_f64());
    }
    if fs::read(root.join("Cargo.lock")).ok().as_deref() != Some(&lock) {
        bail!("a step changed `Cargo.lock`: commit the one that belongs to the manifests");
    }
    println!("\nall {} steps passed", durations.len());
    for (name, duration) in &durations {
        println!("  {name:<8} {:>7.1} s", duration.as_secs_f64());
    }
    Ok(())
}

fn command_for(step: &str) -> String {
    match step {
        "fmt" => "cargo fmt --all".to_owned(),
        "clippy" => "cargo clippy --workspace --all-targets -- -D warnings".to_owned(),
        other => format!("cargo xtask {other}"),
    }
}

fn format(root: &Path) -> Result<()> {
    run_command(cargo(root).args(["fmt", "--all", "--check"]))
}

fn clippy(root: &Path) -> Result<()> {
    run_command(cargo(root).args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}
