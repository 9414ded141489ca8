//! Packages of PyPI that some tests take turns with, in virtual environments beside the servers of the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process::run;

/// Returns a Python that has the packages, in an environment of that name. It is set up once.
///
/// # Errors
/// Says why there is none.
pub(crate) fn environment(root: &Path, name: &str, packages: &[&str]) -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let folder = root.join(target).join("services").join(name);
    let (python, complete) = (folder.join("bin/python"), folder.join("complete"));
    let wanted = packages.join("\n");
    if fs::read_to_string(&complete).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&folder))?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    run(install.args(packages))?;
    fs::write(&complete, wanted).with_context(|| format!("cannot write `{}`", complete.display()))?;
    Ok(python)
}
