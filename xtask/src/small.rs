//! `cargo xtask small`: a build with three adapters holds no driver it was not asked for.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process::{Build, build_walkback, cargo, output};

const FEATURES: &[&str] = &["--no-default-features", "--features", "sqlite,fs,sql"];

/// Crates that talk to a server. None may be linked.
const DRIVERS: &[&str] = &[
    "tokio-postgres",
    "postgres-protocol",
    "mysql_async",
    "mysql_common",
    "sqlx-core",
    "object_store",
    "reqwest",
    "hyper",
    "rustls",
    "openssl",
    "native-tls",
];

/// What must be there, so that a search that finds nothing is known to work.
const PRESENT: &[&str] = &["rusqlite", "tokio"];

/// Checks what cargo would link, and then what the binary holds.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut command = cargo(root);
    command
        .args([
            "tree",
            "--package",
            "walkback",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .args(FEATURES);
    let tree = output(&mut command)?;
    let linked: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    check("the tree of dependencies", |name| linked.contains(&name))?;

    let binary = build_walkback(root, Build::Alone(FEATURES))?;
    let bytes = fs::read(&binary).with_context(|| format!("cannot read `{}`", binary.display()))?;
    // The path of a crate's source stands in the binary wherever it can panic: `/rusqlite-0.41.1/src/`.
    check("the binary", |name| holds(&bytes, &format!("/{name}-")))?;

    let version = output(Command::new(&binary).arg("--version"))?;
    let crates = linked.iter().collect::<std::collections::BTreeSet<_>>().len();
    println!(
        "small: {} with sqlite, fs and sql: {crates} crates, {:.1} MB unoptimized, no server driver",
        version.trim(),
        megabytes(bytes.len()),
    );
    Ok(())
}

fn check(place: &str, has: impl Fn(&str) -> bool) -> Result<()> {
    let missing: Vec<_> = PRESENT.iter().filter(|name| !has(name)).collect();
    if !missing.is_empty() {
        bail!("{place} does not show {missing:?}, which is there: this check has gone blind");
    }
    let found: Vec<_> = DRIVERS.iter().filter(|name| has(name)).collect();
    if !found.is_empty() {
        bail!(
            "{place} holds {found:?}, which `{}` did not ask for",
            FEATURES.join(" ")
        );
    }
    Ok(())
}

fn holds(bytes: &[u8], text: &str) -> bool {
    let Some((first, rest)) = text.as_bytes().split_first() else {
        return true;
    };
    bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| *byte == first)
        .any(|(at, _)| bytes[at + 1..].starts_with(rest))
}

#[expect(clippy::cast_precision_loss, reason = "a size for a person to read")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_is_found_wherever_it_is_and_a_blind_check_is_noticed() {
        let binary = b"../rusqlite-0.41.1/src/..tokio-1.0../tokio-1.54/src";
        assert!(check("it", |name| holds(binary, &format!("/{name}-"))).is_ok());
        let driver = [binary.as_slice(), b"/tokio-postgres-0.7.18/"].concat();
        let error = check("it", |name| holds(&driver, &format!("/{name}-"))).expect_err("a driver is in it");
        assert!(error.to_string().contains("tokio-postgres"), "{error}");
        let error = check("it", |_| false).expect_err("the check sees nothing");
        assert!(error.to_string().contains("gone blind"), "{error}");
    }
}
