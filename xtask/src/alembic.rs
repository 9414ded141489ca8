//! The Alembic that some tests take turns with, from PyPI.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::python::environment;

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
    let system = PathBuf::from("python3");
    match environment(root, "alembic", PACKAGES) {
        Ok(python) => Ok(python),
        Err(_) if has_alembic(&system) => Ok(system),
        Err(error) => Err(error),
    }
}

fn has_alembic(python: &Path) -> bool {
    let asked = Command::new(python)
        .args(["-c", "import alembic"])
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}
