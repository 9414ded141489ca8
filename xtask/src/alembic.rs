//! The Alembic that some tests take turns with, from PyPI, in a virtual environment beside the servers of the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::process::run;

/// Leads the tests to the Python that has it.
pub(crate) const VARIABLE: &str = "WALKBACK_TEST_ALEMBIC_PYTHON";

/// What is installed: Alembic, and drivers for the servers. The system's certificates and passwords of MySQL take
/// `cryptography`.
const PACKAGES: &[&str] = &[
    "alembic>=1.16,<2",
    "psycopg2-binary>=2.9,<3",
    "pymysql>=1.1,<2",
    "cryptography",
];

/// Returns a Python that has Alembic: the one that is named already, one that is set up here, or the system's.
///
/// # Errors
/// Says why there is none.
pub(crate) fn python(root: &Path) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(VARIABLE) {
        return Ok(named.into());
    }
    let set_up = set_up(root);
    let system = PathBuf::from("python3");
    match set_up {
        Ok(python) => Ok(python),
        Err(_) if has_alembic(&system) => Ok(system),
        Err(error) => Err(error),
    }
}

fn set_up(root: &Path) -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let folder = root.join(target).join("services").join("alembic");
    let (python, complete) = (folder.join("bin/python"), folder.join("complete"));
    let wanted = PACKAGES.join("\n");
    if fs::read_to_string(&complete).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&folder))?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    run(install.args(PACKAGES))?;
    fs::write(&complete, wanted).with_context(|| format!("cannot write `{}`", complete.display()))?;
    Ok(python)
}

fn has_alembic(python: &Path) -> bool {
    let asked = Command::new(python)
        .args(["-c", "import alembic"])
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}
