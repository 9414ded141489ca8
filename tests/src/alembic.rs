//! The Python with Alembic that some journeys take turns with.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the Python that has Alembic: `WALKBACK_TEST_ALEMBIC_PYTHON`, which `cargo xtask test` sets, else the system's.
///
/// # Errors
/// Says why there is none. Where `WALKBACK_REQUIRE` names `alembic` there is one, or this panics.
pub fn alembic_python() -> Result<PathBuf, String> {
    let named = std::env::var_os("WALKBACK_TEST_ALEMBIC_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| PathBuf::from("python3"));
    let found = has_alembic(&python);
    let required = std::env::var("WALKBACK_REQUIRE").unwrap_or_default();
    let is_required = required.split(',').any(|name| name.trim() == "alembic");
    assert!(!is_required || found.is_ok(), "Alembic is required: {found:?}");
    found.map(|()| python)
}

fn has_alembic(python: &Path) -> Result<(), String> {
    let asked = Command::new(python).args(["-c", "import alembic"]).output();
    match asked {
        Ok(output) if output.status.success() => Ok(()),
        Ok(_) => Err(format!("`{}` has no Alembic", python.display())),
        Err(error) => Err(format!("`{}` does not start: {error}", python.display())),
    }
}
